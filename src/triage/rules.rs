//! What the rules see: each looks at the facts and says what it has seen in a sentence; it knows nothing of the others.

use super::facts::{Expiring, Facts, HostFacts, KEY_WARNING, is_silence};
use crate::model::{HostName, LinkLayer, Port, Severity, TeamName, Time, TunnelState, TunnelView};
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
    /// The evidence, one sentence.
    pub evidence: String,
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
    /// The port that was asked for, where that is not the host's.
    pub asked: Option<Port>,
}

impl Seen {
    fn new(what: &str, since: Time, evidence: String) -> Self {
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
    let sentence =
        |why: &str| format!("{why}; new logins and grants are refused, tunnels that stand stay and revoke works");
    f.audit_failure.map(|(why, since)| Seen::new("the bastion", since, sentence(why))).into_iter().collect()
}

pub(super) fn overloaded(f: &Facts<'_>) -> Vec<Seen> {
    let Some(o) = f.overload else { return vec![] };
    let late = match o.late {
        0 => None,
        1 => Some(format!("one of its threads ran {:.1} s late", o.worst.as_secs_f64())),
        n => Some(format!("its threads ran late ×{n}, by up to {:.1} s", o.worst.as_secs_f64())),
    };
    let late = late.map(|l| format!("{l}: the machine is short of processor time, or stood still"));
    let closed = (o.unaccepted > 0)
        .then(|| format!("connections could not be accepted ×{}: no descriptors or memory left", o.unaccepted));
    let evidence: Vec<String> = late.into_iter().chain(closed).collect();
    vec![Seen::new("the bastion", o.since, evidence.join("; "))]
}

pub(super) fn expires(f: &Facts<'_>) -> Vec<Seen> {
    let seen = |x: &Expiring| {
        let when = x.at.format("%Y-%m-%d %H:%M:%SZ");
        let left = x.at - f.now;
        let what = match left {
            _ if left <= TimeDelta::zero() => {
                format!("expired at {when}: it signs in no more, a session that stands stays")
            }
            _ if left < TimeDelta::days(2) => format!("expires at {when}, in {} hours", left.num_hours()),
            _ => format!("expires at {when}, in {} days", left.num_days()),
        };
        let mut seen = Seen::new(&x.name, x.at - KEY_WARNING, format!("its key {} {what}", x.fingerprint));
        seen.ports = Some(vec![]);
        if let Some((host, team)) = &x.host {
            seen.team = Some(team.clone());
            seen.host = Some(host.clone());
        }
        seen
    };
    f.expiring.iter().map(seen).collect()
}

pub(super) fn unknown_key(_: &Facts<'_>, h: &HostFacts<'_>) -> Option<Seen> {
    let k = h.knock?;
    if h.refusal.is_some_and(|r| r.at > k.at) {
        return None;
    }
    let from = match h.address() {
        Some(ip) if ip == k.source => "where it was last".to_owned(),
        Some(ip) => format!("it was at {ip} last"),
        None => "it was not seen before".to_owned(),
    };
    let evidence = format!(
        "a key that nobody here has is offered ×{} from {} ({from}) as user {}: {}",
        k.count, k.source, k.user, k.fingerprint
    );
    Some(Seen::new(h.name.as_str(), h.lost().map_or(k.first, |o| o.at.min(k.first)), evidence))
}

pub(super) fn refused(_: &Facts<'_>, h: &HostFacts<'_>, reason: Reason) -> Option<Seen> {
    let r = h.refusal.filter(|r| Reason::of(&r.rule) == reason)?;
    let evidence = format!("refused ×{}: {}", r.count, r.rule);
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
    let took = (n.last - n.first).num_seconds();
    let evidence = format!(
        "{} of {} hosts of {} fell silent within {}; no other path to them is known",
        n.lost,
        n.known,
        n.name,
        if took < 1 { "a second".to_owned() } else { format!("{took} s") }
    );
    Some(Seen::new(&n.name, n.first, evidence))
}

pub(super) fn restarts(_: &Facts<'_>, h: &HostFacts<'_>) -> Option<Seen> {
    let r = h.restarts?;
    let evidence = format!(
        "its session ended ×{} since {}, about every {} s; last: {}",
        r.count,
        r.first.format("%H:%M:%SZ"),
        r.every_s().max(1),
        r.cause.sentence()
    );
    let mut seen = Seen::new(h.name.as_str(), r.first, evidence);
    seen.ports = Some(h.ports());
    Some(seen)
}

pub(super) fn silent(_: &Facts<'_>, h: &HostFacts<'_>) -> Option<Seen> {
    let o = h.lost().filter(|o| is_silence(o.obituary.cause))?;
    let mut evidence = o.obituary.to_string();
    if let Some(heard) = o.last_byte_at {
        evidence.push_str(&format!(", last heard of at {}", heard.format("%H:%M:%SZ")));
    }
    if let Some(ms) = o.last_rtt_ms {
        evidence.push_str(&format!(", its last round trip took {ms:.0} ms"));
    }
    Some(Seen::new(h.name.as_str(), o.at, format!("{evidence}; it has not dialled again")))
}

pub(super) fn gone(_: &Facts<'_>, h: &HostFacts<'_>) -> Option<Seen> {
    let o = h.lost()?;
    Some(Seen::new(h.name.as_str(), o.at, format!("{}; it has not dialled again", o.obituary)))
}

pub(super) fn service(h: &HostFacts<'_>, t: &TunnelView, layer: LinkLayer) -> Option<Seen> {
    let failing = t.state == TunnelState::Degraded && t.health.layer.unwrap_or(LinkLayer::Service) == layer;
    if !failing {
        return None;
    }
    let error = t.health.last_error.as_deref().unwrap_or("the check fails");
    let service = t.lease.service.as_deref().map(|s| format!(" ({s})")).unwrap_or_default();
    let evidence =
        format!("port {}{service}, {} check: {error}; the host's session is up", t.lease.port, t.health.check);
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
    let evidence = format!(
        "it is connected since {} and did not ask for port {} ({} lease)",
        session.since.format("%Y-%m-%d %H:%M:%SZ"),
        t.lease.port,
        t.lease.kind
    );
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
        let evidence = format!(
            "all {} ports of {} are leased{}, {} of them not up; the next host that asks for one is refused",
            t.leased + t.reserved.len(),
            ranges.join(", "),
            if t.reserved.is_empty() { "" } else { " or reserved" },
            mine().filter(|r| !r.state.is_live()).count()
        );
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
    let back = match awaited.len() {
        0 => "everybody is back".to_owned(),
        n => format!("{n} of {} tunnels are not back yet", f.total),
    };
    let evidence =
        format!("it started at {}, and cut every session before that; {back}", f.started.format("%H:%M:%SZ"));
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
    let evidence = "it has not dialled in since the bastion started".to_owned();
    let mut seen = Seen::new(h.name.as_str(), since, evidence);
    // Spares and newcomers: one line for all.
    seen.group = "all".to_owned();
    Some(seen)
}
