//! The catalogue of the console's texts: that it is whole, and that what is not whole is refused.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

#[path = "../build/catalogue.rs"]
mod catalogue;

use catalogue::{Entry, LANGUAGES, Texts, code, entries, places, read};
use std::path::Path;

fn all() -> Vec<Texts> {
    read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("locales")).unwrap()
}

fn texts(e: &Entry) -> Vec<&str> {
    match e {
        Entry::Text(t) => vec![t],
        Entry::Plural { one, other } => vec![one, other],
    }
}

/// What differs between two catalogues of one file each.
fn problems(first: &str, second: &str) -> Vec<String> {
    let of = |text: &str| -> Texts {
        entries(text).unwrap().into_iter().map(|(name, e)| (("frame".to_owned(), name), e)).collect()
    };
    code(&[of(first), of(second)]).unwrap_err()
}

#[test]
fn every_language_has_every_text_with_the_same_places() {
    assert_eq!(code(&all()).map(|code| code.contains("pub(crate) mod triage")), Ok(true));
    let [en, ko] = all().try_into().unwrap();
    assert_eq!(en.len(), ko.len());
    assert!(en.len() > 500, "{}", en.len());
}

#[test]
fn a_text_that_is_missing_or_has_other_places_is_refused_with_its_file() {
    assert_eq!(problems("a = \"x\"\nb = \"y\"", "a = \"x\""), ["locales/ko/frame.toml: b is missing"]);
    assert_eq!(problems("a = \"x\"", "a = \"x\"\nb = \"y\""), ["locales/en/frame.toml: b is missing"]);
    let said = problems("a = \"{n} of {all}\"", "a = \"{n}\"").join("");
    assert!(said.starts_with("locales/ko/frame.toml: a has the places {\"n\"}"), "{said}");
    let said = problems("a = { one = \"1\", other = \"many\" }", "a = \"x\"").join("");
    assert!(said.contains("a plural has a place {n}"), "{said}");
    assert!(problems("a = \"{\"", "a = \"x\"").join("").contains("a brace is open"));
    assert!(problems("a = \"{n:>5}\"", "a = \"{n}\"").join("").contains("is no name of a place"));
    assert!(entries("a = 1").unwrap_err().contains("neither a text"));
    assert_eq!(places("{{no}} {yes} {yes}").unwrap().into_iter().collect::<Vec<_>>(), ["yes"]);
}

#[test]
fn korean_is_korean() {
    // Names of protocols, values that are typed, and what is made of places and signs alone.
    let same = |e: &Entry, of: &Entry| e == of;
    let [en, ko] = all().try_into().unwrap();
    let hangul = |t: &str| t.chars().any(|c| ('가'..='힣').contains(&c));
    for (key, e) in &ko {
        for t in texts(e).into_iter().filter(|t| !hangul(t)) {
            let words = t.split(['{', '}']).step_by(2).flat_map(|t| t.split(|c: char| !c.is_alphabetic()));
            let latin: Vec<&str> =
                words.filter(|w| w.len() > 1 && *w != "set" && w.chars().any(char::is_lowercase)).collect();
            assert!(latin.is_empty() || same(e, &en[key]), "{key:?} is not Korean: {t}");
        }
    }
}

/// After a name that is put in, the right form of a particle would depend on how the name ends.
#[test]
fn no_korean_particle_depends_on_what_stands_in_a_place() {
    for (key, e) in &all()[1] {
        for t in texts(e) {
            for after in t.split('}').skip(1) {
                let word: String = after.chars().take_while(|c| ('가'..='힣').contains(c)).collect();
                let bad = ["은", "는", "이", "가", "을", "를", "과", "와", "으로", "로", "이나", "나", "이라", "라"];
                assert!(!bad.contains(&word.as_str()), "{LANGUAGES:?} {key:?}: {t}");
            }
        }
    }
}

/// Keys can be moved: whoever says what to press takes it from the keys in force, by a place. Left are keys that cannot
/// be moved: those of windows, and ^C.
#[test]
fn no_text_names_a_key_that_may_have_been_moved() {
    let fixed = ["window", "problem", "setting.window", "export.offer_keys", "say.interrupt"];
    // Units, and options of ssh and journalctl.
    let other = ["column", "step.second_client", "step.running", "step.add_forward", "detail.howto_key"];
    for texts_of in all() {
        for ((section, name), e) in &texts_of {
            let full = format!("{section}.{name}");
            if fixed.iter().chain(&other).any(|f| full == *f || section == f) {
                continue;
            }
            for t in texts(e) {
                let words =
                    t.split(['{', '}']).step_by(2).flat_map(|t| t.split(|c: char| !c.is_alphanumeric() && c != '\''));
                let key = |w: &&str| {
                    ["Esc", "Enter", "PgDn"].contains(w)
                        || w.len() == 1 && w.chars().all(char::is_alphabetic) && !["a", "s"].contains(w)
                };
                assert_eq!(words.filter(key).collect::<Vec<_>>(), [""; 0], "{full}: {t}");
            }
        }
    }
}

/// Words of the console stand in the catalogue alone. What is left is for logs, for whoever maintains it, or typed.
#[test]
fn no_sentence_is_left_in_the_code_of_the_console() {
    let mut left = vec![];
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src/ui")];
    while let Some(folder) = folders.pop() {
        for path in std::fs::read_dir(folder).unwrap().map(|f| f.unwrap().path()) {
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let name = path.display().to_string();
            let elsewhere =
                ["tests.rs", "/tests/", "fixtures.rs", "ui/fuzz.rs", ".snap", "ui/words/", "ui/caps.rs", "ui/theme.rs"];
            if elsewhere.iter().any(|e| name.contains(e)) {
                continue;
            }
            let source = std::fs::read_to_string(&path).unwrap();
            for line in source.split("#[cfg(test)]\nmod tests {").next().unwrap().lines() {
                let code = line.trim_start();
                if code.starts_with("//") || code.starts_with("#[") {
                    continue;
                }
                let sentence = |t: &str| {
                    let letters = |w: &&str| w.len() > 1 && w.chars().all(|c| c.is_ascii_lowercase());
                    t.split(' ').collect::<Vec<_>>().windows(2).any(|w| w.iter().all(letters))
                };
                left.extend(code.split('"').skip(1).step_by(2).filter(|t| sentence(t)).map(|t| format!("{name}: {t}")));
            }
        }
    }
    let known = [
        // Refused before there is a console, in the language of the command line.
        "this is none",
        "the console needs a terminal",
        // Names of fields and columns.
        "port host team service state",
        "rate behind waiting rtt",
        "latency age by",
        "event outcome actor key",
        // Commands of the shell.
        ": portreeve ",
    ];
    left.retain(|l| !known.iter().any(|k| l.contains(k)));
    assert!(left.is_empty(), "texts that are not in locales/:\n{}", left.join("\n"));
}
