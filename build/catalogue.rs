//! The catalogue of texts: `locales/LANGUAGE/SECTION.toml`, read, compared and made into code.
//!
//! An entry is a text with named places (`hidden = "{n} hidden"`), or one with a form for one and a form for all other
//! numbers `n` (`hosts = { one = "1 host", other = "{n} hosts" }`). A language without plurals has the text alone.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::Path;

/// The languages, by their folders; the first is the one that all others are compared with.
pub const LANGUAGES: [(&str, &str); 2] = [("en", "En"), ("ko", "Ko")];

/// One message in one language.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entry {
    /// The same for every number.
    Text(String),
    /// For one, and for all others.
    Plural {
        /// For one.
        one: String,
        /// For all others.
        other: String,
    },
}

/// Messages by section and name.
pub type Texts = BTreeMap<(String, String), Entry>;

/// Reads every language.
///
/// # Errors
/// What cannot be read, a sentence each.
pub fn read(folder: &Path) -> Result<Vec<Texts>, Vec<String>> {
    let mut problems = vec![];
    let mut all = vec![];
    for (language, _) in LANGUAGES {
        let mut texts = Texts::new();
        let place = folder.join(language);
        let files = std::fs::read_dir(&place).map_err(|e| vec![format!("{}: {e}", place.display())])?;
        for path in files.flatten().map(|f| f.path()).filter(|p| p.extension().is_some_and(|e| e == "toml")) {
            let section = path.file_stem().map(|s| s.to_string_lossy().into_owned()).unwrap_or_default();
            let parsed = std::fs::read_to_string(&path).map_err(|e| e.to_string()).and_then(|text| entries(&text));
            match parsed {
                Ok(found) => texts.extend(found.into_iter().map(|(name, e)| ((section.clone(), name), e))),
                Err(e) => problems.push(format!("{}: {e}", path.display())),
            }
        }
        all.push(texts);
    }
    if problems.is_empty() { Ok(all) } else { Err(problems) }
}

/// The messages of one file.
///
/// # Errors
/// A sentence.
pub fn entries(text: &str) -> Result<Vec<(String, Entry)>, String> {
    let table: toml::Table = text.parse().map_err(|e: toml::de::Error| e.to_string().replace('\n', " "))?;
    table
        .into_iter()
        .map(|(name, value)| {
            let entry = match &value {
                toml::Value::String(s) => Some(Entry::Text(s.clone())),
                toml::Value::Table(t) if t.len() == 2 => {
                    let form = |f: &str| t.get(f).and_then(toml::Value::as_str).map(str::to_owned);
                    form("one").zip(form("other")).map(|(one, other)| Entry::Plural { one, other })
                }
                _ => None,
            };
            let entry =
                entry.ok_or_else(|| format!("{name} is neither a text nor {{ one = \"…\", other = \"…\" }}"))?;
            Ok((name, entry))
        })
        .collect()
}

/// The named places of a text.
///
/// # Errors
/// A sentence that says what is wrong with its braces.
pub fn places(text: &str) -> Result<BTreeSet<String>, String> {
    let mut found = BTreeSet::new();
    let plain = text.replace("{{", "").replace("}}", "");
    let mut rest = plain.as_str();
    while let Some((_, after)) = rest.split_once('{') {
        let (name, tail) = after.split_once('}').ok_or_else(|| format!("a brace is open in {text:?}"))?;
        let word = name.starts_with(|c: char| c.is_ascii_lowercase())
            && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
        if !word {
            return Err(format!("{{{name}}} is no name of a place in {text:?}"));
        }
        found.insert(name.to_owned());
        rest = tail;
    }
    Ok(found)
}

impl Entry {
    /// All places of all its forms.
    fn places(&self) -> Result<BTreeSet<String>, String> {
        match self {
            Self::Text(t) => places(t),
            Self::Plural { one, other } => {
                let mut all = places(other)?;
                all.extend(places(one)?);
                if !all.contains("n") {
                    return Err("a plural has a place {n}".to_owned());
                }
                Ok(all)
            }
        }
    }
}

/// The code of all messages, one type each.
///
/// # Errors
/// What is missing or differs, a sentence each.
pub fn code(languages: &[Texts]) -> Result<String, Vec<String>> {
    let mut problems = vec![];
    let keys: BTreeSet<&(String, String)> = languages.iter().flat_map(BTreeMap::keys).collect();
    let mut out = String::from("// Made by build.rs from locales/.\n");
    let mut open: Option<&str> = None;
    for key in keys {
        let (section, name) = key;
        let mut wanted: Option<BTreeSet<String>> = None;
        let mut forms: Vec<(&str, &Entry)> = vec![];
        for (texts, (language, variant)) in languages.iter().zip(LANGUAGES) {
            let file = format!("locales/{language}/{section}.toml");
            let Some(entry) = texts.get(key) else {
                problems.push(format!("{file}: {name} is missing"));
                continue;
            };
            forms.push((variant, entry));
            match (entry.places(), &wanted) {
                (Err(e), _) => problems.push(format!("{file}: {name}: {e}")),
                (Ok(p), None) => wanted = Some(p),
                (Ok(p), Some(w)) if p != *w => {
                    problems.push(format!("{file}: {name} has the places {p:?}, and the others have {w:?}"));
                }
                (Ok(_), Some(_)) => {}
            }
        }
        if open != Some(section) {
            out.push_str(if open.is_some() { "}\n" } else { "" });
            let _ = writeln!(out, "pub(crate) mod {section} {{\n    use super::{{Count, Display, Lang}};");
            open = Some(section);
        }
        one(&mut out, name, &wanted.unwrap_or_default(), &forms);
    }
    out.push_str(if open.is_some() { "}\n" } else { "" });
    if problems.is_empty() { Ok(out) } else { Err(problems) }
}

/// One message's type, and its text in each language.
fn one(out: &mut String, name: &str, places: &BTreeSet<String>, forms: &[(&str, &Entry)]) {
    let counted = forms.iter().any(|(_, e)| matches!(e, Entry::Plural { .. }));
    let kind = |p: &str| if counted && p == "n" { "Count" } else { "Display" };
    let life = if places.is_empty() { "" } else { "<'a>" };
    let fields: String = places.iter().map(|p| format!(" pub(crate) {p}: &'a dyn {},", kind(p))).collect();
    let given = if places.is_empty() { "&'static str" } else { "String" };
    let _ = writeln!(out, "    pub(crate) struct {name}{life} {{{fields} }}");
    let _ =
        writeln!(out, "    impl{life} {name}{life} {{\n        pub(crate) fn text(&self, lang: Lang) -> {given} {{");
    if !places.is_empty() {
        let names: Vec<&str> = places.iter().map(String::as_str).collect();
        let _ = writeln!(out, "            let Self {{ {} }} = self;", names.join(", "));
    }
    let make = |text: &str| {
        let plain = format!("{:?}", text.replace("{{", "{").replace("}}", "}"));
        match self::places(text) {
            Ok(own) if !own.is_empty() => format!("format!({text:?})"),
            _ if places.is_empty() => plain,
            _ => format!("{plain}.to_owned()"),
        }
    };
    out.push_str("            match lang {\n");
    for (variant, entry) in forms {
        let text = match entry {
            Entry::Text(t) => make(t),
            Entry::Plural { one, other } => {
                format!("if n.is_one() {{ {} }} else {{ {} }}", make(one), make(other))
            }
        };
        let _ = writeln!(out, "                Lang::{variant} => {text},");
    }
    out.push_str("            }\n        }\n    }\n");
}
