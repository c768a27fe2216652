//! The reference and the example are held to the list of keys, and the list to the reader.

use super::super::keys::{Fallback, SECTIONS};
use super::super::*;
use super::{filled, good};
use std::collections::BTreeMap;
use std::path::Path;

const REFERENCE: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/configuration.md"));
const EXAMPLE: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/contrib/portreeve.toml"));

/// A good file with the line `key = value` in the section of that title.
fn with(title: &str, line: &str) -> String {
    let key = line.split('=').next().unwrap_or_default();
    let section = |head: &str, lines: &[&str]| {
        let others: Vec<&str> =
            lines.iter().copied().filter(|l| line.is_empty() || l.split('=').next() != Some(key)).collect();
        format!("[{head}]\n{}\n{line}\n", others.join("\n"))
    };
    let team = "[teams.t]\nports = \"20100-20199\"\n";
    let text = match title {
        "teams.NAME" => section("teams.t", &["ports = \"20100-20199\""]),
        "hosts.NAME" => format!("{team}{}", section("hosts.h", &["team = \"t\"", "keys = \"@PAY_DB\""])),
        "hosts.NAME.ports.SERVICE" => format!(
            "{team}[hosts.h]\nteam = \"t\"\nkeys = \"@PAY_DB\"\n{}",
            section("hosts.h.ports.s", &["port = 20100"])
        ),
        "operators.NAME" => section("operators.o", &["keys = \"@ALICE\""]),
        "actions.NAME" => section("actions.revoke", &[]),
        "shipping.NAME" if key.trim() == "ca" => section("shipping.s", &["to = \"tls:siem:6514\""]),
        "shipping.NAME" => section("shipping.s", &["to = \"journald\""]),
        "authorities.NAME" => section("authorities.a", &["keys = \"@ALICE\"", "vouches_for = \"hosts\""]),
        plain => section(plain, &[]),
    };
    filled(&text)
}

#[test]
fn every_listed_key_is_read() {
    // A date is no key's value: a key that is read complains about it, under its own name.
    for section in SECTIONS {
        for key in section.keys {
            let text = with(section.title, &format!("{} = 1979-05-27", key.name));
            let told = Config::parse(&text, Path::new("p.toml")).err().map(|e| e.to_string()).unwrap_or_default();
            let label = format!(".{}` must be", key.name);
            assert!(
                told.contains(&label) && told.contains("not a date"),
                "[{}] {}: {told:?}\n{text}",
                section.title,
                key.name
            );
        }
    }
}

#[test]
fn every_listed_default_is_the_one_that_holds() {
    for section in SECTIONS {
        for key in section.keys {
            let Fallback::Value(value) = key.fallback else { continue };
            let written =
                Config::parse(&with(section.title, &format!("{} = {value}", key.name)), Path::new("/c/p.toml"));
            let written = written.unwrap_or_else(|e| panic!("{e}"));
            let text = with(section.title, "");
            let left_out = Config::parse(&text, Path::new("/c/p.toml")).unwrap_or_else(|e| panic!("{e}"));
            let d = Diff::between(&left_out, &written);
            assert!(d.is_empty(), "[{}] {} = {value}: {:?}", section.title, key.name, d.sentences());
        }
    }
}

/// Rows of the reference by section: key → default, both as written.
fn reference() -> BTreeMap<String, BTreeMap<String, String>> {
    let mut sections: BTreeMap<String, BTreeMap<String, String>> = BTreeMap::new();
    let mut here = None;
    for line in REFERENCE.lines() {
        if let Some(title) = line.strip_prefix("## ") {
            here = title.strip_prefix("`[").and_then(|t| t.strip_suffix("]`")).map(str::to_owned);
            if let Some(h) = &here {
                sections.entry(h.clone()).or_default();
            }
        }
        let (Some(section), Some(row)) = (&here, line.strip_prefix("| `")) else { continue };
        let cells: Vec<&str> = row.split(" | ").map(str::trim).collect();
        let [key, _kind, default, ..] = cells.as_slice() else { panic!("{line}") };
        let key = key.trim_end_matches('`').to_owned();
        sections.get_mut(section).unwrap().insert(key, (*default).to_owned());
    }
    sections
}

#[test]
fn the_reference_has_every_key_with_its_default_and_no_other() {
    let mut listed = BTreeMap::new();
    for section in SECTIONS {
        let default = |f: Fallback| match f {
            Fallback::Value(v) => format!("`{v}`"),
            Fallback::Words(w) => w.to_owned(),
            Fallback::Required => "required".to_owned(),
        };
        let keys: BTreeMap<String, String> =
            section.keys.iter().map(|k| (k.name.to_owned(), default(k.fallback))).collect();
        listed.insert(section.title.to_owned(), keys);
    }
    assert_eq!(reference(), listed);
}

#[test]
fn examples_of_the_reference_are_good() {
    let mut blocks = REFERENCE.split("```toml\n").skip(1).filter_map(|b| b.split("```").next()).peekable();
    assert!(blocks.peek().is_some());
    for block in blocks {
        let keys = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI…";
        let text = block.replace(&format!("{keys} pay-db"), "@PAY_DB").replace(&format!("{keys} alice"), "@ALICE");
        good(&text);
    }
}

#[test]
fn the_example_is_good_and_what_it_has_commented_out_are_the_defaults() {
    let path = Path::new("/etc/portreeve/portreeve.toml");
    let as_is = Config::parse(EXAMPLE, path).unwrap_or_else(|e| panic!("{e}"));
    assert!(!as_is.hosts.is_empty() && !as_is.operators.is_empty());
    // `#key = value` is a default; `# words` is a comment.
    let is_default = |l: &str| l.strip_prefix('#').is_some_and(|r| r.starts_with(|c: char| c.is_ascii_lowercase()));
    let defaults = EXAMPLE.lines().filter(|l| is_default(l)).count();
    assert!(defaults > 15, "{defaults}");
    let uncommented: String = EXAMPLE
        .lines()
        .map(|l| if is_default(l) { l.trim_start_matches('#') } else { l })
        .map(|l| format!("{l}\n"))
        .collect();
    let full = Config::parse(&uncommented, path).unwrap_or_else(|e| panic!("{e}"));
    let d = Diff::between(&as_is, &full);
    assert!(d.is_empty(), "{:?}", d.sentences());
}
