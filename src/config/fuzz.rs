//! What must hold of whatever is read as configuration, key or revocation list.

use super::{Config, ConfigError, Diff, options, public_key, revoked};
use crate::fuzzing::NEXT;
use crate::model::Networks;
use std::collections::BTreeSet;
use std::path::Path;

const PATH: &str = "/etc/portreeve/portreeve.toml";

/// One file, or two for a reload from the first to the second.
pub fn config(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let (old, new) = text.split_once(NEXT).unwrap_or((text, ""));
    let (Some(old), Some(new)) = (read(old), read(new)) else { return };
    let (there, back) = (Diff::between(&old, &new), Diff::between(&new, &old));
    assert_eq!(there.is_empty(), there.sentences().is_empty(), "what differs is told: {there:?}");
    assert_eq!(there.is_empty(), back.is_empty(), "a difference is one both ways: {there:?} {back:?}");
    assert_eq!(there.hosts_added, back.hosts_removed);
    assert_eq!(there.operators_added, back.operators_removed);
    assert_eq!(there.teams_added, back.teams_removed);
}

fn read(text: &str) -> Option<Config> {
    match Config::parse(text, Path::new(PATH)) {
        Ok(config) => {
            sound(&config);
            let again = Config::parse(text, Path::new(PATH)).ok();
            assert!(again.is_some_and(|again| Diff::between(&config, &again).is_empty()), "read alike twice");
            Some(config)
        }
        Err(e) => {
            told(text, &e);
            None
        }
    }
}

/// What a configuration in force may be relied on for.
fn sound(c: &Config) {
    let mut ports = BTreeSet::new();
    let mut ranges = Vec::new();
    for team in c.teams.values() {
        for range in &team.ports {
            assert!(ranges.iter().all(|r| !range.overlaps(*r)), "two ranges share a port");
            assert!(c.ssh.listen.iter().all(|a| a.port().to_string() != range.to_string()), "the SSH port is in one");
            ranges.push(*range);
        }
    }
    for (name, host) in &c.hosts {
        let team = c.teams.get(&host.team);
        assert!(team.is_some(), "host {name} is of a team that is not there");
        for service in host.services.values() {
            assert!(ports.insert(service.port), "two services have port {}", service.port);
            let inside = team.is_some_and(|t| t.ports.is_empty() || t.ports.iter().any(|r| r.contains(service.port)));
            assert!(inside, "port {} is outside its team's ranges", service.port);
        }
    }
    let keys = |keys: &[super::HostKey]| keys.iter().map(|k| k.fingerprint.clone()).collect::<Vec<_>>();
    let all: Vec<String> = c.hosts.values().flat_map(|h| keys(&h.keys)).collect();
    let operators: Vec<String> = c.operators.values().flat_map(|o| keys(&o.keys)).collect();
    let distinct: BTreeSet<&String> = all.iter().chain(&operators).collect();
    assert_eq!(distinct.len(), all.len() + operators.len(), "a key is two people's");
    assert!(distinct.iter().all(|k| c.keys.contains_key(*k)), "a key is nobody's");
}

/// A file that is refused is refused with a reason and a remedy, at a place that there is.
fn told(text: &str, e: &ConfigError) {
    assert!(!e.problems.is_empty(), "refused without a reason");
    let lines = text.lines().count().max(1) + 1;
    for p in &e.problems {
        assert!(!p.what.is_empty() && !p.remedy.is_empty(), "{p:?}");
        assert!(p.line <= lines, "line {} of {lines}: {p:?}", p.line);
    }
    assert!(!e.to_string().is_empty());
}

/// Lines before and of keys, and lists of networks.
pub fn credentials(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    for line in text.lines() {
        if let Ok(key) = public_key::read(line) {
            assert!(key.fingerprint.starts_with("SHA256:"), "{key:?}");
            assert!(!key.comment.chars().any(char::is_control), "{key:?}");
            // Options are not the key's: without them it is the same.
            let bare = options::split(line).ok().and_then(|(_, rest)| public_key::read(rest).ok());
            assert_eq!(bare.map(|b| b.fingerprint), Some(key.fingerprint));
        }
        if let Ok(networks) = Networks::parse(line) {
            assert_eq!(Networks::parse(&networks.to_string()).ok(), Some(networks), "as written");
        }
        let _ = Networks::of_certificate(line);
    }
}

/// A revocation list.
pub fn revoked(data: &[u8]) {
    let Ok(content) = revoked::parse(data) else { return };
    assert_eq!(revoked::parse(data).as_ref(), Ok(&content), "read alike twice");
    // Nothing is made up: each entry takes bytes, a bit of a bitmap at least one bit.
    let (keys, certificates) = content.counts();
    assert!(keys <= data.len() && certificates <= data.len() * 8, "{keys} {certificates}");
    for of in &content.certificates {
        let ca = of.ca.as_deref().unwrap_or("SHA256:any");
        for id in &of.ids {
            assert!(of.names(ca, 0, id), "{id:?} is revoked");
        }
        for serial in of.ranges.iter().flat_map(|(low, high)| [*low, *high]).filter(|n| *n != 0) {
            assert!(of.names(ca, serial, "\0"), "{serial} is revoked");
        }
        for (first, bits) in &of.bitmaps {
            let n = bits.iter().rev().take_while(|b| **b == 0).count();
            let Some(byte) = bits.iter().rev().nth(n) else { continue };
            let lowest =
                (n as u64 * 8).checked_add(u64::from(byte.trailing_zeros())).and_then(|b| first.checked_add(b));
            assert!(lowest.is_none_or(|s| s == 0 || of.names(ca, s, "\0")), "{lowest:?} is revoked");
        }
    }
}
