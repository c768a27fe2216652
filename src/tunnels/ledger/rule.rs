//! The sentences of the ledger: why a port is granted or refused.

use super::team_ranges;
use crate::config::Config;
use crate::model::{LeaseView, ReservationView, RevocationView, Time, now};

/// Why a lease that was good once is good no more: its time is over, its host is in another team now, or its team's ranges
/// have changed.
#[must_use]
pub fn stale(config: &Config, l: &LeaseView) -> Option<String> {
    if let Some(until) = l.until.filter(|t| *t <= now()) {
        return Some(format!("the lease of port {} that {} gave ended at {}", l.port, l.by, stamp(until)));
    }
    let team = &config.hosts.get(&l.host)?.team;
    if team != &l.team {
        return Some(format!(
            "the lease of port {} is team {}'s, but host {} is in team {team} now; `portreeve release {}` ends it",
            l.port, l.team, l.host, l.port
        ));
    }
    let inside = team_ranges(config, team).iter().any(|r| r.contains(l.port));
    (!inside).then(|| {
        format!(
            "the lease of port {} is outside team {team}'s ranges now; `portreeve move {}` finds it another",
            l.port, l.port
        )
    })
}

pub(super) fn lease_rule(l: &LeaseView) -> String {
    let service = l.service.as_ref().map(|s| format!(", {s}")).unwrap_or_default();
    // Who asks by which rule is to hear of the end before it comes.
    let until = l.until.map(|t| format!(", until {} by {}", stamp(t), l.by)).unwrap_or_default();
    format!("port {} is host {}'s ({} lease{service}{until})", l.port, l.host, l.kind)
}

/// The sentence for a request that meets a block.
#[must_use]
pub fn block_rule(b: &RevocationView) -> String {
    let mut s = format!("{} was revoked by {} at {}", b.target, b.by, stamp(b.since));
    if let Some(r) = &b.reason {
        s.push_str(&format!(" ({r})"));
    }
    s.push_str(&format!("; `portreeve restore {}` lifts it", b.target.typed()));
    s
}

/// The sentence for whoever asks for a reserved port.
#[must_use]
pub fn reserve_rule(r: &ReservationView) -> String {
    format!(
        "port {} is reserved until {} by {} ({}); `portreeve release {}` ends that",
        r.port,
        stamp(r.until),
        r.by,
        r.reason,
        r.port
    )
}

fn stamp(t: Time) -> String {
    t.format("%Y-%m-%d %H:%M:%SZ").to_string()
}
