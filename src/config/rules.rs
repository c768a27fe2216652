//! What must hold between the parts of a configuration. Each clash is told at its later place and names the earlier one.

use super::keys::nearest;
use super::people::{HostEntry, OperatorEntry, Placed, TeamEntry};
use super::problem::{Report, Span};
use super::schema::{HostKey, Principal};
use super::trust::AuthorityEntry;
use crate::model::{AuthorityName, HostName, OperatorName, Port, PortRange, TeamName};
use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;

/// Everything read, before the whole is checked.
pub(super) struct People {
    pub teams: Vec<(TeamName, TeamEntry)>,
    pub hosts: Vec<(HostName, HostEntry)>,
    pub operators: Vec<(OperatorName, OperatorEntry)>,
    pub authorities: Vec<(AuthorityName, AuthorityEntry)>,
}

impl People {
    /// Checks all of it and gives whose each key is. `pending`: whether a host's key may be approved when it comes.
    pub fn check(&self, report: &Report<'_>, listen: &[SocketAddr], pending: bool) -> HashMap<String, Principal> {
        self.ranges(report, listen);
        self.team_names(report);
        if !pending {
            self.recognisable(report);
        }
        self.fixed_ports(report);
        self.unix_users(report);
        self.keys(report)
    }

    fn ranges(&self, report: &Report<'_>, listen: &[SocketAddr]) {
        let mut all: Vec<(&TeamName, &Placed<PortRange>)> =
            self.teams.iter().flat_map(|(name, t)| t.ranges.iter().map(move |r| (name, r))).collect();
        all.sort_by_key(|(_, r)| r.at.start);
        for (n, (team, range)) in all.iter().enumerate() {
            for (other_team, other) in all.iter().take(n).filter(|(_, o)| o.value.overlaps(range.value)) {
                let whose = if team == other_team {
                    format!("its own {}", other.value)
                } else {
                    format!("{} of team {other_team}", other.value)
                };
                let shared_first = range.value.first().max(other.value.first());
                let shared_last = range.value.last().min(other.value.last());
                let shared =
                    PortRange::new(shared_first, shared_last).map_or_else(|_| String::new(), |r| r.to_string());
                report.add(
                    &range.at,
                    format!("ports {} of team {team} overlap {whose} ({})", range.value, report.line(&other.at)),
                    format!("no two ranges may share a port: take {shared} out of one of them"),
                );
            }
            let own = listen.iter().find(|a| Port::try_from(a.port()).is_ok_and(|p| range.value.contains(p)));
            if let Some(address) = own {
                report.add(
                    &range.at,
                    format!(
                        "ports {} of team {team} include {}, where the SSH server itself listens",
                        range.value,
                        address.port()
                    ),
                    format!("take {} out of the range, or move `listen` in [ssh]", address.port()),
                );
            }
        }
    }

    fn team(&self, name: &TeamName) -> Option<&TeamEntry> {
        self.teams.iter().find(|(n, _)| n == name).map(|(_, t)| t)
    }

    /// That a team named by somebody is there.
    pub(super) fn known_team(&self, report: &Report<'_>, whose: &str, team: &Placed<TeamName>) {
        if self.team(&team.value).is_some() {
            return;
        }
        let near = nearest(team.value.as_str(), self.teams.iter().map(|(n, _)| n.as_str()));
        let near = near.map(|n| format!("did you mean {n:?}? ")).unwrap_or_default();
        let remedy = format!("{near}Name a team that exists, or add [teams.{}]", quoted(team.value.as_str()));
        report.add(&team.at, format!("{whose} names the team {:?}, which does not exist", team.value.as_str()), remedy);
    }

    fn team_names(&self, report: &Report<'_>) {
        for (host, entry) in &self.hosts {
            entry.team.iter().for_each(|t| self.known_team(report, &format!("host {host}"), t));
        }
        for (operator, entry) in &self.operators {
            entry.teams.iter().flatten().for_each(|t| self.known_team(report, &format!("operator {operator}"), t));
        }
    }

    /// A host is known by a key, by a principal of its own, or by one of its team's.
    fn recognisable(&self, report: &Report<'_>) {
        for (host, entry) in &self.hosts {
            let of_team =
                entry.team.as_ref().and_then(|t| self.team(&t.value)).is_some_and(|t| !t.principals.is_empty());
            if entry.keyless && entry.principals.is_empty() && !of_team {
                report.add(
                    &entry.at,
                    format!("[hosts.{}] has neither keys nor principals: the host could not sign in", quoted(host.as_str())),
                    "give the public keys the host signs in with: keys = [\"ssh-ed25519 AAAA…\"]; or the principals of its certificates; or write pending = true in [trust], and approve its key when it comes",
                );
            }
        }
    }

    fn fixed_ports(&self, report: &Report<'_>) {
        let mut taken: BTreeMap<Port, (&HostName, &str, &Span)> = BTreeMap::new();
        for (host, entry) in &self.hosts {
            for (port, service, _) in &entry.services {
                if let Some((other, other_service, at)) = taken.get(&port.value) {
                    let holder = if *other == host {
                        format!("its {other_service}")
                    } else {
                        format!("host {other}'s {other_service}")
                    };
                    report.add(
                        &port.at,
                        format!(
                            "port {} of host {host}'s {service} is already {holder} ({})",
                            port.value,
                            report.line(at)
                        ),
                        "give each service a port of its own",
                    );
                } else {
                    taken.insert(port.value, (host, service, &port.at));
                }
                let Some((team, ranges)) =
                    entry.team.as_ref().and_then(|t| Some((&t.value, &self.team(&t.value)?.ranges)))
                else {
                    continue;
                };
                if !ranges.is_empty() && !ranges.iter().any(|r| r.value.contains(port.value)) {
                    let list = ranges.iter().map(|r| r.value.to_string()).collect::<Vec<_>>().join(", ");
                    report.add(
                        &port.at,
                        format!(
                            "port {} of host {host}'s {service} is outside the ports of team {team} ({list})",
                            port.value
                        ),
                        "choose a port of the team, or widen the team's ports",
                    );
                }
            }
        }
    }

    fn unix_users(&self, report: &Report<'_>) {
        let mut seen: HashMap<&str, (&OperatorName, &Span)> = HashMap::new();
        for (operator, entry) in &self.operators {
            let Some(user) = &entry.unix_user else { continue };
            if let Some((other, at)) = seen.get(user.value.as_str()) {
                report.add(
                    &user.at,
                    format!(
                        "operators {other} ({}) and {operator} have the same unix_user {:?}",
                        report.line(at),
                        user.value
                    ),
                    "an account on this machine stands for one operator: take it out of one of them",
                );
            } else {
                seen.insert(&user.value, (operator, &user.at));
            }
        }
    }

    fn keys(&self, report: &Report<'_>) -> HashMap<String, Principal> {
        let hosts =
            self.hosts.iter().flat_map(|(name, e)| e.keys.iter().map(move |k| (Principal::Host(name.clone()), k)));
        let operators = self
            .operators
            .iter()
            .flat_map(|(name, e)| e.keys.iter().map(move |k| (Principal::Operator(name.clone()), k)));
        let mut all: Vec<(Principal, &Placed<HostKey>)> = hosts.chain(operators).collect();
        all.sort_by_key(|(_, k)| k.at.start);
        let mut owners: HashMap<String, (Principal, &Span)> = HashMap::new();
        for (owner, key) in all {
            if let Some((other, at)) = owners.get(&key.value.fingerprint) {
                let line = report.line(at);
                let (what, remedy) = if *other == owner {
                    (
                        format!("the key {} stands twice in {owner} (also {line})", key.value.fingerprint),
                        "keep one of them",
                    )
                } else {
                    (
                        format!("the key {} of {owner} is also {other}'s ({line})", key.value.fingerprint),
                        "a key tells who signs in, so it has one owner: make a key for each (ssh-keygen -t ed25519)",
                    )
                };
                report.add(&key.at, what, remedy);
            } else {
                owners.insert(key.value.fingerprint.clone(), (owner, &key.at));
            }
        }
        owners.into_iter().map(|(fingerprint, (owner, _))| (fingerprint, owner)).collect()
    }
}

/// A name as it stands in a section's title.
pub(super) fn quoted(name: &str) -> String {
    let bare = name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_'));
    if bare { name.to_owned() } else { format!("\"{name}\"") }
}
