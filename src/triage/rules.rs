//! What the rules see: each looks at the facts and says what it has seen in a sentence; it knows nothing of the others.

use super::facts::{Expiring, Facts, HostFacts, KEY_WARNING, is_silence};
use crate::model::{Evidence, HostName, LinkLayer, Port, Severity, TeamName, Time, TunnelState, TunnelView};
use chrono::TimeDelta;

/// For so long a restart of the bastion explains what is not back.
pub(super) const RESTARTED: TimeDelta = TimeDelta::minutes(10);

/// What a rule has seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// What is seen under the same name is one incident.
    pub group: String,
    /// Whom it concerns.
    pub what: String,
    /// Since when.
    pub since: Time,
    /// The evidence.
    pub evidence: Evidence,
    /// How bad, if otherwise than the rule says.
    pub severity: Option<Severity>,
    /// The ports concerned, if otherwise than the host's that are not up.
    pub ports: Option<Vec<Port>>,
    /// The host concerned, where the rule is not about hosts.
    pub host: Option<HostName>,
    /// The team concerned, where there is no host.
    pub team: Option<TeamName>,
    /// What is blocked, where that is the cause.
    pub target: Option<String>,
    /// The key to decide on, where that is the cause.
    pub key: Option<String>,
    /// The port that was asked for, where that is not the host's.
    pub asked: Option<Port>,
}

impl Seen {
    fn new(what: &str, since: Time, evidence: Evidence) -> Self {
        let (group, what) = (what.to_owned(), what.to_owned());
        Self {
            group,
            what,
            since,
            evidence,
            severity: None,
            ports: None,
            host: None,
            team: None,
            target: None,
            key: None,
            asked: None,
        }
    }
}

/// Why somebody is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reason {
    Revoked,
    Expired,
    Held,
    Full,
    Policy,
}

impl Reason {
    /// By the rule's own words; a test holds them to those that the ledger says.
    pub(super) fn of(rule: &str) -> Self {
        let any = |words: &[&str]| words.iter().any(|w| rule.contains(w));
        if any(&["was revoked by"]) {
            Self::Revoked
        } else if any(&[" expired at "]) {
            Self::Expired
        } else if any(&["held by host", "held by this host's own session", "by another program of the bastion"]) {
            Self::Held
        } else if any(&["has no free port left"]) {
            Self::Full
        } else {
            Self::Policy
        }
    }
}

pub(super) fn journal_failed(f: &Facts<'_>) -> Vec<Seen> {
    let evidence = |why: &str| Evidence::JournalFailed { why: why.to_owned() };
    f.audit_failure.map(|(why, since)| Seen::new("the bastion", since, evidence(why))).into_iter().collect()
}

pub(super) fn overloaded(f: &Facts<'_>) -> Vec<Seen> {
    let Some(o) = f.overload else { return vec![] };
    let worst_ms = u64::try_from(o.worst.as_millis()).unwrap_or(u64::MAX);
    let evidence = Evidence::Overloaded { late: o.late, worst_ms, unaccepted: o.unaccepted };
    vec![Seen::new("the bastion", o.since, evidence)]
}

pub(super) fn expires(f: &Facts<'_>) -> Vec<Seen> {
    let seen = |x: &Expiring| {
        let left_s = (x.at - f.now).num_seconds();
        let evidence = Evidence::KeyExpires { key: x.fingerprint.clone(), at: x.at, left_s };
        let mut seen = Seen::new(&x.name, x.at - KEY_WARNING, evidence);
        seen.ports = Some(vec![]);
        if let Some((host, team)) = &x.host {
            seen.team = Some(team.clone());
            seen.host = Some(host.clone());
        }
        seen
    };
    f.expiring.iter().map(seen).collect()
}

/// An unknown key is offered in a host's place; `pending`: it is proved, and waits for somebody to decide.
pub(super) fn unknown_key(_: &Facts<'_>, h: &HostFacts<'_>, pending: bool) -> Option<Seen> {
    let k = h.knock.filter(|k| k.pending == pending)?;
    if h.refusal.is_some_and(|r| r.at > k.at) {
        return None;
    }
    let evidence = Evidence::UnknownKey {
        count: k.count,
        source: k.source,
        was: h.address(),
        user: k.user.clone(),
        key: k.fingerprint.clone(),
    };
    let since = h.lost().map_or(k.first, |o| o.at.min(k.first));
    Some(Seen { key: pending.then(|| k.fingerprint.clone()), ..Seen::new(h.name.as_str(), since, evidence) })
}

pub(super) fn refused(_: &Facts<'_>, h: &HostFacts<'_>, reason: Reason) -> Option<Seen> {
    let r = h.refusal.filter(|r| Reason::of(&r.rule) == reason)?;
    let evidence = Evidence::Refused { count: r.count, rule: r.rule.to_string() };
    let mut seen = Seen::new(h.name.as_str(), r.first, evidence);
    seen.asked = port_of(&r.rule).filter(|_| matches!(reason, Reason::Held | Reason::Policy));
    seen.target = r.rule.split("`portreeve restore ").nth(1).and_then(|t| t.split('`').next()).map(str::to_owned);
    // What it has stands.
    if !h.sessions.iter().all(|s| s.ports.is_empty()) {
        seen.severity = Some(Severity::Warning);
    }
    if h.rows.is_empty() {
        seen.ports = Some(seen.asked.into_iter().collect());
    }
    Some(seen)
}

/// The port that a rule speaks of.
fn port_of(rule: &str) -> Option<Port> {
    let after = rule.split("port ").nth(1)?;
    after.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

pub(super) fn network_lost(f: &Facts<'_>, h: &HostFacts<'_>) -> Option<Seen> {
    let n = f.networks.get(h.name)?;
    let seconds = (n.last - n.first).num_seconds();
    let evidence = Evidence::NetworkLost { lost: n.lost, known: n.known, network: n.name.clone(), seconds };
    Some(Seen::new(&n.name, n.first, evidence))
}

pub(super) fn restarts(_: &Facts<'_>, h: &HostFacts<'_>) -> Option<Seen> {
    let r = h.restarts?;
    let evidence = Evidence::Restarts { count: r.count, since: r.first, every: r.every_s().max(1), last: r.cause };
    let mut seen = Seen::new(h.name.as_str(), r.first, evidence);
    seen.ports = Some(h.ports());
    Some(seen)
}

pub(super) fn silent(_: &Facts<'_>, h: &HostFacts<'_>) -> Option<Seen> {
    let o = h.lost().filter(|o| is_silence(o.obituary.cause))?;
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // milliseconds of a round trip
    let rtt_ms = o.last_rtt_ms.map(|ms| ms.round().max(0.0) as u64);
    let evidence = Evidence::Silent { end: o.obituary.clone(), heard: o.last_byte_at, rtt_ms };
    Some(Seen::new(h.name.as_str(), o.at, evidence))
}

pub(super) fn gone(_: &Facts<'_>, h: &HostFacts<'_>) -> Option<Seen> {
    let o = h.lost()?;
    Some(Seen::new(h.name.as_str(), o.at, Evidence::Gone { end: o.obituary.clone() }))
}

pub(super) fn service(h: &HostFacts<'_>, t: &TunnelView, layer: LinkLayer) -> Option<Seen> {
    let failing = t.state == TunnelState::Degraded && t.health.layer.unwrap_or(LinkLayer::Service) == layer;
    if !failing {
        return None;
    }
    let evidence = Evidence::Service {
        port: t.lease.port,
        service: t.lease.service.clone(),
        check: t.health.check,
        error: t.health.last_error.clone(),
    };
    Some(Seen::new(h.name.as_str(), t.state_since, evidence))
}

pub(super) fn not_requested(f: &Facts<'_>, h: &HostFacts<'_>, t: &TunnelView) -> Option<Seen> {
    use crate::model::LeaseKind::{Assigned, Fixed};
    let session = h.settled(f.now)?;
    // What a host asked for by itself once is missed only where it was up.
    let missed =
        t.state == TunnelState::Down || t.state == TunnelState::Awaiting && matches!(t.lease.kind, Fixed | Assigned);
    if !missed || t.revoked.is_some() {
        return None;
    }
    let evidence = Evidence::NotRequested { since: session.since, port: t.lease.port, lease: t.lease.kind };
    Some(Seen::new(h.name.as_str(), t.state_since.max(session.since), evidence))
}

pub(super) fn exhausted(f: &Facts<'_>) -> Vec<Seen> {
    let full = f.teams.iter().filter(|t| {
        let size: usize = t.ranges.iter().map(|r| r.size()).sum();
        size > 0 && t.leased + t.reserved.len() >= size
    });
    full.map(|t| {
        let mine =
            || f.hosts.values().flat_map(|h| &h.rows).filter(|r| t.ranges.iter().any(|x| x.contains(r.lease.port)));
        let ranges: Vec<String> = t.ranges.iter().map(ToString::to_string).collect();
        let evidence = Evidence::Exhausted {
            ports: t.leased + t.reserved.len(),
            ranges: ranges.join(", "),
            reserved: !t.reserved.is_empty(),
            down: mine().filter(|r| !r.state.is_live()).count(),
        };
        let mut seen = Seen::new(&format!("team {}", t.name), f.started, evidence);
        // The ones that might be given back.
        seen.ports = Some(mine().filter(|r| !r.state.is_live()).map(|r| r.lease.port).collect());
        seen.team = Some(t.name.clone());
        if let Some(last) = mine().map(|r| r.lease.since).max() {
            seen.since = last;
        }
        seen
    })
    .collect()
}

pub(super) fn restarted(f: &Facts<'_>) -> Vec<Seen> {
    if !f.ran_before || f.now - f.started >= RESTARTED {
        return vec![];
    }
    let awaited: Vec<&TunnelView> = f
        .hosts
        .values()
        .filter(|h| h.sessions.is_empty())
        .flat_map(|h| h.rows.iter().copied())
        .filter(|r| r.state == TunnelState::Awaiting)
        .collect();
    let evidence = Evidence::Restarted { at: f.started, missing: awaited.len(), total: f.total };
    let mut seen = Seen::new("the bastion", f.started, evidence);
    seen.severity = (!awaited.is_empty()).then_some(Severity::Warning);
    seen.ports = Some(awaited.iter().map(|r| r.lease.port).collect());
    vec![seen]
}

pub(super) fn absent(f: &Facts<'_>, h: &HostFacts<'_>) -> Option<Seen> {
    // In its first minutes the restart says it.
    let restarted = f.ran_before && f.now - f.started < RESTARTED;
    let awaited = h.sessions.is_empty() && h.rows.iter().any(|r| r.state == TunnelState::Awaiting);
    if restarted || !awaited {
        return None;
    }
    let since = f.started.max(h.rows.iter().map(|r| r.state_since).min().unwrap_or(f.started));
    let mut seen = Seen::new(h.name.as_str(), since, Evidence::Absent);
    // Spares and newcomers: one line for all.
    seen.group = "all".to_owned();
    Some(seen)
}
