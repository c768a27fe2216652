//! The facts that rules look at: what is not up, whose it is, and what else is known of those hosts. One picture, taken
//! at one moment, of what one person may see.

use crate::model::{
    HostName, ObituaryCause, ObituaryView, Port, SessionKind, SessionView, TeamName, TeamView, Time, TunnelState,
    TunnelView,
};
use crate::tunnels::{Knock, Overload, REFUSED_FRESH, Refusal, Restarts, STRAIN_FRESH, Troubles};
use chrono::TimeDelta;
use ipnet::IpNet;
use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;

/// A session younger than this may still ask for its ports.
const ASKING: TimeDelta = TimeDelta::seconds(10);
/// Losses no further apart than this have one cause, when they are of one network: each is noticed within one keepalive
/// time of it, wherever in that time its last sign of life fell.
const TOGETHER: TimeDelta = TimeDelta::seconds(60);
/// So many hosts of one network are "several".
const SEVERAL: usize = 3;

/// What the facts are made from.
pub struct Picture<'a> {
    /// Now.
    pub now: Time,
    /// When the daemon started.
    pub started: Time,
    /// Whether one ran before it.
    pub ran_before: bool,
    /// Why the journal cannot be written, if so, and since when.
    pub audit_failure: Option<(&'a str, Time)>,
    /// That the bastion does not keep up.
    pub overload: Option<&'a Overload>,
    /// Keys that expire within [`KEY_WARNING`], or have expired.
    pub expiring: Vec<Expiring>,
    /// Tunnels and leases that are not up.
    pub tunnels: Vec<&'a TunnelView>,
    /// Tunnels and leases in all.
    pub total: usize,
    /// Sessions of hosts. Called only when something is amiss.
    pub sessions: &'a dyn Fn() -> Vec<&'a SessionView>,
    /// Teams.
    pub teams: Vec<&'a TeamView>,
    /// What goes wrong with hosts.
    pub troubles: &'a Troubles,
    /// The team of a host, if it may be seen.
    pub team_of: &'a dyn Fn(&HostName) -> Option<TeamName>,
}

/// A key that expires soon, or has expired.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expiring {
    /// Whose: a host's or an operator's name.
    pub name: String,
    /// The host and its team, where it is a host's.
    pub host: Option<(HostName, TeamName)>,
    /// Its fingerprint.
    pub fingerprint: String,
    /// When.
    pub at: Time,
}

/// So long before a key expires it is told.
pub const KEY_WARNING: TimeDelta = TimeDelta::days(14);

/// A host that something is amiss with.
pub struct HostFacts<'a> {
    /// Its name.
    pub name: &'a HostName,
    /// Its team.
    pub team: TeamName,
    /// Its tunnels and leases that are not up, by port.
    pub rows: Vec<&'a TunnelView>,
    /// Its live sessions, oldest first.
    pub sessions: Vec<&'a SessionView>,
    /// What it is refused these minutes.
    pub refusal: Option<&'a Refusal>,
    /// The unknown key that is offered in its place these minutes, while it has no session.
    pub knock: Option<&'a Knock>,
    /// That its sessions end again and again.
    pub restarts: Option<&'a Restarts>,
}

impl HostFacts<'_> {
    /// The last end of a tunnel of a host that has no session now.
    #[must_use]
    pub fn lost(&self) -> Option<&ObituaryView> {
        if !self.sessions.is_empty() {
            return None;
        }
        let down = self.rows.iter().filter(|r| r.state == TunnelState::Down);
        down.filter_map(|r| r.obituary.as_ref()).max_by_key(|o| o.at)
    }

    /// The address it was last seen at.
    #[must_use]
    pub fn address(&self) -> Option<IpAddr> {
        let now = self.sessions.last().map(|s| s.source);
        now.or_else(|| self.rows.iter().find_map(|r| r.source)).map(|a| a.ip().to_canonical())
    }

    /// A session that is old enough to have asked for all its ports.
    #[must_use]
    pub fn settled(&self, now: Time) -> Option<&SessionView> {
        self.sessions.last().copied().filter(|s| now - s.since > ASKING)
    }

    /// Ports of its sessions and of its rows.
    pub(super) fn ports(&self) -> Vec<Port> {
        let mut ports: Vec<Port> = self.rows.iter().map(|r| r.lease.port).collect();
        ports.extend(self.sessions.iter().flat_map(|s| s.ports.iter().copied()));
        ports.sort_unstable();
        ports.dedup();
        ports
    }
}

/// Whether an end is what a path that breaks looks like.
#[must_use]
pub fn is_silence(cause: ObituaryCause) -> bool {
    matches!(cause, ObituaryCause::KeepaliveTimeout | ObituaryCause::SendTimeout)
}

/// Hosts of one source network that were lost together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LostNetwork {
    /// The network, or the address when they all came from one.
    pub name: String,
    /// How many were lost.
    pub lost: usize,
    /// How many hosts are known there, lost or not.
    pub known: usize,
    /// The first loss.
    pub first: Time,
    /// The last loss.
    pub last: Time,
}

/// See the module.
pub struct Facts<'a> {
    /// Now.
    pub now: Time,
    /// When the daemon started.
    pub started: Time,
    /// Whether one ran before it.
    pub ran_before: bool,
    /// Why the journal cannot be written, if so, and since when.
    pub audit_failure: Option<(&'a str, Time)>,
    /// That the bastion does not keep up.
    pub overload: Option<&'a Overload>,
    /// Keys that expire soon, or have expired.
    pub expiring: Vec<Expiring>,
    /// Tunnels and leases in all, up or not.
    pub total: usize,
    /// Hosts that something is amiss with.
    pub hosts: BTreeMap<HostName, HostFacts<'a>>,
    /// Teams.
    pub teams: Vec<&'a TeamView>,
    /// Networks lost, by host.
    pub networks: HashMap<&'a HostName, LostNetwork>,
    /// When something here changes though nothing happens.
    pub due: Option<Time>,
}

impl<'a> Facts<'a> {
    /// Puts the facts together.
    #[must_use]
    pub fn of(p: &Picture<'a>) -> Self {
        let mut facts = Self {
            now: p.now,
            started: p.started,
            ran_before: p.ran_before,
            audit_failure: p.audit_failure,
            overload: p.overload,
            expiring: p.expiring.clone(),
            total: p.total,
            hosts: BTreeMap::new(),
            teams: p.teams.clone(),
            networks: HashMap::new(),
            due: p.overload.map(|o| o.last + STRAIN_FRESH),
        };
        for row in &p.tunnels {
            let team = &row.lease.team;
            if let Some(h) = facts.host(&row.lease.host, || Some(team.clone())) {
                h.rows.push(row);
            }
        }
        for name in p.troubles.refusals.keys().chain(p.troubles.by_name.keys()) {
            facts.host(name, || (p.team_of)(name));
        }
        for (name, restarts) in &p.troubles.restarts {
            if let Some(until) = restarts.flaps_until(p.now)
                && facts.host(name, || (p.team_of)(name)).is_some_and(|h| {
                    h.restarts = Some(restarts);
                    true
                })
            {
                facts.due_at(until);
            }
        }
        if facts.hosts.is_empty() {
            return facts;
        }
        let sessions = (p.sessions)();
        for s in sessions.iter().filter(|s| s.kind == SessionKind::Host) {
            // By text, for a session has the name of a host or an operator.
            if let Some(h) = facts.hosts.get_mut(s.name.as_str()) {
                h.sessions.push(s);
                let asked = s.since + ASKING;
                if asked > p.now {
                    facts.due_at(asked + TimeDelta::milliseconds(1));
                }
            }
        }
        facts.refusals(p);
        facts.knocks(p);
        facts.lost_networks(&sessions);
        facts
    }

    fn host(&mut self, name: &'a HostName, team: impl FnOnce() -> Option<TeamName>) -> Option<&mut HostFacts<'a>> {
        use std::collections::btree_map::Entry;
        match self.hosts.entry(name.clone()) {
            Entry::Occupied(e) => Some(e.into_mut()),
            Entry::Vacant(e) => {
                let (rows, sessions) = (vec![], vec![]);
                let team = team()?;
                Some(e.insert(HostFacts { name, team, rows, sessions, refusal: None, knock: None, restarts: None }))
            }
        }
    }

    /// Something changes by itself then.
    pub(super) fn due_at(&mut self, at: Time) {
        if at > self.now {
            self.due = Some(self.due.map_or(at, |d| d.min(at)));
        }
    }

    fn refusals(&mut self, p: &Picture<'a>) {
        for (name, refusal) in &p.troubles.refusals {
            let Some(h) = self.hosts.get_mut(name) else { continue };
            // A session that was refused and stays is refused for as long as it stays.
            let fresh = p.now - refusal.at < REFUSED_FRESH;
            let stays = refusal.session.is_some_and(|id| h.sessions.iter().any(|s| s.id == id));
            if fresh || stays {
                h.refusal = Some(refusal);
                self.due_at(refusal.at + REFUSED_FRESH);
            }
        }
    }

    /// Unknown keys that are offered in place of a host that is away: with its name, or from where it alone was last.
    fn knocks(&mut self, p: &Picture<'a>) {
        let mut last_at: HashMap<IpAddr, Vec<&'a HostName>> = HashMap::new();
        if !p.troubles.by_address.is_empty() {
            for h in self.hosts.values().filter(|h| h.sessions.is_empty()) {
                if let Some(ip) = h.address() {
                    last_at.entry(ip).or_default().push(h.name);
                }
            }
        }
        let by_name = p.troubles.by_name.iter();
        let by_address =
            p.troubles.by_address.values().filter_map(|k| match last_at.get(&k.source).map(Vec::as_slice) {
                Some([only]) => Some((*only, k)),
                _ => None,
            });
        for (name, knock) in by_address.chain(by_name) {
            let Some(h) = self.hosts.get_mut(name) else { continue };
            if h.sessions.is_empty() && p.now - knock.at < REFUSED_FRESH && h.knock.is_none_or(|k| k.at < knock.at) {
                h.knock = Some(knock);
                self.due_at(knock.at + REFUSED_FRESH);
            }
        }
    }

    fn lost_networks(&mut self, sessions: &[&'a SessionView]) {
        let mut lost: HashMap<IpNet, Vec<(Time, IpAddr, &'a HostName)>> = HashMap::new();
        for h in self.hosts.values() {
            let silent = h.lost().filter(|o| is_silence(o.obituary.cause)).map(|o| o.at);
            if let Some((at, ip)) = silent.zip(h.address()) {
                lost.entry(network(ip)).or_default().push((at, ip, h.name));
            }
        }
        lost.retain(|_, hosts| hosts.len() >= SEVERAL);
        if lost.is_empty() {
            return;
        }
        let mut alive: HashMap<IpNet, std::collections::HashSet<&str>> = HashMap::new();
        for s in sessions {
            let net = network(s.source.ip().to_canonical());
            if lost.contains_key(&net) {
                alive.entry(net).or_default().insert(&s.name);
            }
        }
        for (net, mut hosts) in lost {
            hosts.sort_unstable();
            let alive = alive.get(&net).map_or(0, std::collections::HashSet::len);
            // One after the other is one loss, as long as the gaps are small.
            for together in hosts.chunk_by(|a, b| b.0 - a.0 <= TOGETHER) {
                let known = alive + hosts.len();
                // Most of the network is away, or it is not the network.
                if together.len() < SEVERAL || together.len() * 5 < known * 4 {
                    continue;
                }
                let (Some((first, ip, _)), Some((last, ..))) = (together.first(), together.last()) else { continue };
                let one = together.iter().all(|(_, a, _)| a == ip);
                let name = if one { ip.to_string() } else { net.to_string() };
                let (lost, first, last) = (together.len(), *first, *last);
                let network = LostNetwork { name, lost, known, first, last };
                self.networks.extend(together.iter().map(|(_, _, host)| (*host, network.clone())));
            }
        }
    }
}

/// The network of an address: /24, or /64.
fn network(ip: IpAddr) -> IpNet {
    let prefix = if ip.is_ipv4() { 24 } else { 64 };
    IpNet::new(ip, prefix).map_or_else(|_| IpNet::from(ip), |n| n.trunc())
}
