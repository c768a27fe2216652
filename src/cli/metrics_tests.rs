//! The page is held to the format by a reader that takes nothing else.

use super::*;
use crate::control::fake::metrics;
use std::collections::{BTreeMap, HashSet};

/// A sample's name and labels, and its value.
type Samples = BTreeMap<(String, BTreeMap<String, String>), f64>;

/// Reads the exposition format 0.0.4 strictly: every sample belongs to the family announced last, with help and type,
/// each family comes once, each series once, and counters end in `_total`.
fn parse(page: &str) -> Samples {
    assert!(page.ends_with('\n'));
    let (mut out, mut seen) = (Samples::new(), HashSet::new());
    let (mut helped, mut family) = (String::new(), String::new());
    for line in page.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            let (name, help) = rest.split_once(' ').unwrap();
            assert!(!help.is_empty() && seen.insert(name.to_owned()), "{line}");
            helped = name.to_owned();
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').unwrap();
            assert_eq!(name, helped, "the type follows the help");
            assert!(["gauge", "counter"].contains(&kind), "{line}");
            assert_eq!(kind == "counter", name.ends_with("_total"), "{line}");
            assert!(name.starts_with("portreeve_") && name.chars().all(|c| c.is_ascii_lowercase() || c == '_'));
            family = name.to_owned();
        } else {
            let end = line.find(['{', ' ']).unwrap();
            let (name, rest) = line.split_at(end);
            assert_eq!(name, family, "{line}");
            let (labels, value) = labels(rest);
            let value: f64 = value.parse().unwrap();
            assert!(value.is_finite() && value >= 0.0, "{line}");
            assert!(out.insert((name.to_owned(), labels), value).is_none(), "twice: {line}");
        }
    }
    for family in seen {
        assert!(out.keys().any(|(name, _)| *name == family), "{family} has no sample");
    }
    out
}

/// `{a="b",c="d"} 1` as labels and value.
fn labels(rest: &str) -> (BTreeMap<String, String>, &str) {
    let mut labels = BTreeMap::new();
    let Some(mut rest) = rest.strip_prefix('{') else { return (labels, rest.strip_prefix(' ').unwrap()) };
    loop {
        let (name, after) = rest.split_once("=\"").unwrap();
        assert!(name.chars().all(|c| c.is_ascii_lowercase() || c == '_') && !name.is_empty(), "{name}");
        let (mut value, mut escaped, mut end) = (String::new(), false, None);
        for (i, c) in after.char_indices() {
            match (escaped, c) {
                (true, 'n') => value.push('\n'),
                (true, '\\' | '"') => value.push(c),
                (true, other) => panic!("\\{other} is no escape"),
                (false, '"') => {
                    end = Some(i);
                    break;
                }
                (false, '\\') => {}
                (false, c) => value.push(c),
            }
            escaped = !escaped && c == '\\';
        }
        assert!(labels.insert(name.to_owned(), value).is_none(), "{name} twice");
        rest = &after[end.expect("the quote is closed") + 1..];
        if let Some(value) = rest.strip_prefix("} ") {
            return (labels, value);
        }
        rest = rest.strip_prefix(',').unwrap();
    }
}

fn get(samples: &Samples, name: &str, labels: &[(&str, &str)]) -> f64 {
    let labels = labels.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    *samples.get(&(name.to_owned(), labels)).unwrap_or_else(|| panic!("{name} is not there: {samples:#?}"))
}

#[test]
fn the_page_is_what_the_format_asks_for_and_says_what_the_numbers_are() {
    let m = metrics(true);
    let s = parse(&text(&m));
    let tunnel = [("port", "20101"), ("host", "결제-서버"), ("team", "pay")];
    assert_eq!(get(&s, "portreeve_tunnel_buffered_bytes", &tunnel), f64::from(3 << 20));
    assert_eq!(get(&s, "portreeve_tunnel_visitors_holding", &tunnel), 1.0);
    assert_eq!(get(&s, "portreeve_tunnel_session_held_seconds_total", &tunnel), 1.5);
    assert_eq!(get(&s, "portreeve_tunnel_state", &[tunnel.as_slice(), &[("state", "degraded")]].concat()), 1.0);
    assert_eq!(get(&s, "portreeve_tunnels", &[("state", "up")]), 1.0);
    assert_eq!(get(&s, "portreeve_transferred_bytes_total", &[("direction", "to_visitors")]), 4000.0);
    assert_eq!(get(&s, "portreeve_team_ports", &[("team", "pay")]), 100.0);
    assert_eq!(get(&s, "portreeve_spill_used_bytes", &[]), f64::from(2 << 20));
    assert_eq!(get(&s, "portreeve_audit_writable", &[]), 1.0);
    assert_eq!(get(&s, "portreeve_start_time_seconds", &[]), 1_772_632_931.25);
    let fewer = parse(&text(&metrics(false)));
    assert!(fewer.keys().all(|(name, _)| !name.starts_with("portreeve_tunnel_")) && fewer.len() < s.len());
}

#[test]
fn an_empty_bastion_has_no_family_without_a_sample() {
    let m = Metrics { teams: vec![], tunnels: vec![], ..metrics(true) };
    parse(&text(&m));
}

#[test]
fn what_would_end_a_label_is_escaped() {
    let name = "a\"b\\c\nd{e=\"f\"} 1".to_owned();
    let s = parse(&text(&Metrics { name: name.clone(), ..metrics(true) }));
    assert!(s.keys().any(|(n, l)| n == "portreeve_build_info" && l["name"] == name));
}
