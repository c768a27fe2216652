//! What a reload changes of certificates, revocation lists and the networks that keys may be used from.

use super::schema::Config;
use super::trust::Authority;
use crate::model::TeamName;
use std::collections::BTreeMap;

/// A sentence each.
pub(super) fn changes(old: &Config, new: &Config) -> Vec<String> {
    let mut out = Vec::new();
    let (a, b) = (&old.trust, &new.trust);
    for (name, authority) in &b.authorities {
        match a.authorities.get(name) {
            None => out.push(format!("authority {name} added")),
            Some(before) => authority_changes(name.as_str(), before, authority, &mut out),
        }
    }
    out.extend(
        a.authorities.keys().filter(|n| !b.authorities.contains_key(*n)).map(|n| format!("authority {n} removed")),
    );
    let given = |c: &Config| -> BTreeMap<String, String> {
        let people = c.trust.principals.iter().map(|(p, who)| (p.clone(), who.to_string()));
        people.chain(c.trust.teams.iter().map(|(p, team)| (p.clone(), format!("team {team}")))).collect()
    };
    let (before, now) = (given(old), given(new));
    out.extend(
        before
            .iter()
            .filter(|(p, who)| now.get(*p) != Some(who))
            .map(|(p, who)| format!("{who}: principal {p:?} taken away")),
    );
    out.extend(
        now.iter()
            .filter(|(p, who)| before.get(*p) != Some(who))
            .map(|(p, who)| format!("{who}: principal {p:?} given")),
    );
    let lists =
        |c: &Config| c.trust.revoked_keys.iter().map(|p| p.display().to_string()).collect::<Vec<_>>().join(", ");
    if lists(old) != lists(new) {
        let shown = |s: String| if s.is_empty() { "none".to_owned() } else { s };
        out.push(format!("trust.revoked_keys: {} → {}", shown(lists(old)), shown(lists(new))));
    }
    if a.fido != b.fido {
        out.push(format!("trust.fido: {} → {}", a.fido.word(), b.fido.word()));
    }
    let mut keys: Vec<_> = new.keys.iter().filter(|(k, _)| old.keys.contains_key(*k)).collect();
    keys.sort_by_key(|(k, _)| *k);
    for (key, whose) in keys {
        match (old.networks.get(key), new.networks.get(key)) {
            (a, b) if a == b => {}
            (_, Some(nets)) => out.push(format!("{whose}: key {key} may be used from {nets}")),
            (_, None) => out.push(format!("{whose}: key {key} may be used from anywhere")),
        }
    }
    out
}

fn authority_changes(name: &str, a: &Authority, b: &Authority, out: &mut Vec<String>) {
    let prints = |x: &Authority| x.keys.iter().map(|k| k.fingerprint.clone()).collect::<Vec<_>>();
    let (before, now) = (prints(a), prints(b));
    out.extend(before.iter().filter(|k| !now.contains(k)).map(|k| format!("authority {name}: key {k} removed")));
    out.extend(now.iter().filter(|k| !before.contains(k)).map(|k| format!("authority {name}: key {k} added")));
    if (a.hosts, a.operators) != (b.hosts, b.operators) {
        let words = [(b.hosts, "hosts"), (b.operators, "operators")];
        let words: Vec<_> = words.iter().filter(|(on, _)| *on).map(|(_, w)| *w).collect();
        out.push(format!("authority {name}: vouches for {} now", words.join(" and ")));
    }
    if a.teams != b.teams {
        let all = |t: &[TeamName]| t.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        let teams = b.teams.as_deref().map_or_else(|| "all".to_owned(), all);
        out.push(format!("authority {name}: teams {teams} now"));
    }
    if a.max_role != b.max_role {
        out.push(format!("authority {name}: max_role {} → {}", a.max_role, b.max_role));
    }
}
