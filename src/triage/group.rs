//! Rules applied to facts: every trouble gets its cause, and what has one cause becomes one incident.

use super::facts::{Facts, HostFacts};
use super::rules::{RESTARTED, Seen};
use super::table::{Find, Next, RULES, Rule};
use crate::model::{Blast, Evidence, HostName, Incident, Mute, NextStep, Port, TeamName, Time, TunnelView};
use std::collections::{BTreeMap, BTreeSet, HashSet};

/// Names and ports that an incident lists; it counts them all.
const LISTED: usize = 32;
/// More incidents of one cause than this are told by team.
const FOLD: usize = 16;
/// Names in a sentence.
const NAMES: usize = 4;

/// What is seen under one name.
#[derive(Default)]
struct Group {
    seen: Vec<Seen>,
    hosts: BTreeSet<HostName>,
    teams: BTreeSet<TeamName>,
    ports: BTreeSet<Port>,
    visitors_cut: u64,
    visitors_now: u64,
}

impl Group {
    fn add(&mut self, seen: Seen, host: Option<&HostFacts<'_>>, rows: &[&TunnelView]) {
        match &seen.ports {
            Some(ports) => self.ports.extend(ports),
            None => self.ports.extend(rows.iter().map(|r| r.lease.port)),
        }
        if let Some(h) = host {
            self.hosts.insert(h.name.clone());
            self.teams.insert(h.team.clone());
        }
        self.hosts.extend(seen.host.clone());
        self.teams.extend(seen.team.clone());
        for r in rows {
            self.visitors_cut += r.obituary.as_ref().filter(|_| !r.state.is_live()).map_or(0, |o| o.visitors_cut);
            self.visitors_now += u64::from(r.visitors_now);
        }
        self.seen.push(seen);
    }

    fn merge(&mut self, other: Self) {
        self.seen.extend(other.seen);
        self.hosts.extend(other.hosts);
        self.teams.extend(other.teams);
        self.ports.extend(other.ports);
        self.visitors_cut += other.visitors_cut;
        self.visitors_now += other.visitors_now;
    }
}

/// What is wrong, the worst first; and when that may change though nothing happens.
#[must_use]
pub fn incidents(facts: &Facts<'_>, mutes: &[Mute]) -> (Vec<Incident>, Option<Time>) {
    let mut explained: HashSet<&HostName> = HashSet::new();
    let mut out = Vec::new();
    for rule in RULES {
        let mut groups: BTreeMap<String, Group> = BTreeMap::new();
        match rule.find {
            Find::Bastion(find) => {
                for seen in find(facts) {
                    groups.entry(seen.group.clone()).or_default().add(seen, None, &[]);
                }
            }
            Find::Host(find) => {
                for (name, h) in facts.hosts.iter().filter(|(name, _)| !explained.contains(*name)).collect::<Vec<_>>() {
                    if let Some(seen) = find(facts, h) {
                        explained.insert(name);
                        let rows: Vec<&TunnelView> = h.rows.iter().copied().filter(|r| !r.state.is_live()).collect();
                        groups.entry(seen.group.clone()).or_default().add(seen, Some(h), &rows);
                    }
                }
            }
            Find::Tunnel(find) => {
                for h in facts.hosts.values() {
                    for row in &h.rows {
                        // What is live is not explained by what its host was refused or has lost.
                        if !row.state.is_live() && explained.contains(h.name) {
                            continue;
                        }
                        if let Some(seen) = find(facts, h, row) {
                            groups.entry(seen.group.clone()).or_default().add(seen, Some(h), &[row]);
                        }
                    }
                }
            }
        }
        if groups.len() > FOLD {
            groups = by_team(groups);
        }
        out.extend(groups.into_iter().map(|(key, group)| incident(rule, &key, group)));
    }
    without_repeats(&mut out);
    for i in &mut out {
        i.muted = mutes.iter().find(|m| m.covers(&i.id, &i.blast.teams, facts.now)).cloned();
    }
    // The worst first, then the newest; what is muted comes last.
    out.sort_by(|a, b| {
        (a.muted.is_some(), a.severity, b.since, &a.id).cmp(&(b.muted.is_some(), b.severity, a.since, &b.id))
    });
    let mute_ends = mutes.iter().map(|m| m.until).filter(|t| *t > facts.now).min();
    let window = facts.started + RESTARTED;
    let window = (facts.ran_before && window > facts.now).then_some(window);
    (out, facts.due.into_iter().chain(window).chain(mute_ends).min())
}

fn by_team(groups: BTreeMap<String, Group>) -> BTreeMap<String, Group> {
    let mut teams: BTreeMap<String, Group> = BTreeMap::new();
    for group in groups.into_values() {
        let name = group.teams.first().map_or_else(|| "the bastion".to_owned(), |t| format!("team {t}"));
        teams.entry(name).or_default().merge(group);
    }
    teams
}

/// A range that is full is not told again where a host is refused for it.
fn without_repeats(out: &mut Vec<Incident>) {
    let told: Vec<TeamName> =
        out.iter().filter(|i| i.cause == "refused-range-full").flat_map(|i| i.blast.teams.clone()).collect();
    out.retain(|i| i.cause != "range-exhausted" || !i.blast.teams.iter().any(|t| told.contains(t)));
}

fn incident(rule: &Rule, key: &str, group: Group) -> Incident {
    let first = group.seen.iter().min_by_key(|s| s.since);
    let same = group.seen.iter().all(|s| Some(&s.evidence) == group.seen.first().map(|s| &s.evidence));
    let several = group.hosts.len() > 1 || group.hosts.is_empty() && group.seen.len() > 1;
    let seen = match first {
        Some(s) if group.seen.len() == 1 || same && (!several || rule.cause == "network-lost") => s.evidence.clone(),
        Some(s) if !several => Evidence::First { first: Box::new(s.evidence.clone()), more: group.seen.len() - 1 },
        _ => many(&group),
    };
    let evidence = match &seen {
        Evidence::Many { hosts, ports, names } => rule
            .many
            .replace("{hosts}", &count(*hosts, "host"))
            .replace("{ports}", &count(*ports, "port"))
            .replace("{names}", &names.join(", ")),
        one => one.to_string(),
    };
    let what = match first {
        Some(s) if group.seen.iter().all(|x| x.what == s.what) => s.what.clone(),
        _ if key.starts_with("team ") => key.to_owned(),
        _ => count(group.hosts.len(), "host"),
    };
    let severity = group.seen.iter().map(|s| s.severity.unwrap_or(rule.severity)).min().unwrap_or(rule.severity);
    let since = first.map(|s| s.since).unwrap_or_default();
    let next = rule.next.iter().map(|n| step(n, &group)).collect();
    Incident {
        id: format!("{}:{key}", rule.cause),
        cause: rule.cause.to_owned(),
        severity,
        what,
        likely: rule.likely.to_owned(),
        muted: None,
        evidence,
        seen: Some(seen),
        since,
        tunnels: group.ports.len(),
        hosts: group.hosts.len(),
        next,
        blast: Blast {
            teams: group.teams.into_iter().collect(),
            hosts: group.hosts.into_iter().take(LISTED).collect(),
            ports: group.ports.into_iter().take(LISTED).collect(),
            visitors_cut: group.visitors_cut,
            visitors_now: group.visitors_now,
        },
    }
}

/// Names of many, and how many they are.
fn many(group: &Group) -> Evidence {
    let mut names: Vec<String> = group.hosts.iter().take(NAMES).map(ToString::to_string).collect();
    if names.is_empty() {
        names = group.seen.iter().take(NAMES).map(|s| format!("{}: {}", s.what, s.evidence)).collect();
    }
    if group.hosts.len() > NAMES {
        names.push("…".to_owned());
    }
    Evidence::Many { hosts: group.hosts.len(), ports: group.ports.len(), names }
}

fn count(n: usize, what: &str) -> String {
    if n == 1 { format!("1 {what}") } else { format!("{n} {what}s") }
}

/// A step with the first of those concerned in the place of the names. A command that lacks one is left out.
fn step(next: &Next, group: &Group) -> NextStep {
    let host = group.hosts.first().map(ToString::to_string);
    let port = group.seen.iter().find_map(|s| s.asked).or(group.ports.first().copied()).map(|p| p.to_string());
    let team = group.teams.first().map(ToString::to_string);
    let target = group.seen.iter().find_map(|s| s.target.clone());
    // Of several hosts only that one's: nobody is told to approve a key for another.
    let key = group.seen.iter().find(|s| host.as_ref() == Some(&s.what)).and_then(|s| s.key.clone());
    let names = [("{host}", host), ("{port}", port), ("{team}", team), ("{target}", target), ("{key}", key)];
    let fill = |text: &str| {
        names.iter().try_fold(text.to_owned(), |text, (name, value)| {
            if text.contains(name) { value.as_ref().map(|v| text.replace(name, v)) } else { Some(text) }
        })
    };
    // `explain` can do without a port.
    let run = next.run.and_then(|r| fill(r).or_else(|| fill(r.trim_end_matches(" {port}"))));
    let what = fill(next.what)
        .unwrap_or_else(|| names.iter().fold(next.what.to_owned(), |text, (name, _)| text.replace(name, "…")));
    NextStep { key: next.key.to_owned(), what, run }
}

/// How many are more than notes and not muted; none when all is well.
#[must_use]
pub fn alarms(incidents: &[Incident]) -> usize {
    incidents.iter().filter(|i| i.alarms()).count()
}
