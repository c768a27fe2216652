//! The board: the live state as rows, each with the revision at which it last changed, so that a console can be sent
//! just what is new. Made only while somebody looks.

use super::live::{Session, Tunnel};
use super::registry::{Past, Registry, State};
use super::rows::Rows;
use super::trouble::Refusal;
use crate::config::Config;
use crate::model::{
    BehindView, BlockTarget, HealthView, HostName, LeaseKind, LeaseView, Port, Revision, RevocationView, SessionId,
    SessionView, TeamView, Time, TunnelState, TunnelView, Verdict, now,
};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// A session younger than this may still ask for its ports; no warning yet.
const ASKING: Duration = Duration::from_secs(10);

/// All rows, and when each changed. What is gone is remembered, so that a console that was away learns of it.
///
/// It is kept up to date by looking only at what the registry says has changed, and, where counters may have moved, by
/// comparing the counters of what is live: ten thousand quiet tunnels cost next to nothing.
#[derive(Debug, Default)]
pub struct Board {
    revision: u64,
    tunnels: Rows<Port, TunnelView>,
    sessions: Rows<SessionId, SessionView>,
    /// What the live rows were made of.
    live: HashMap<Port, (Arc<Tunnel>, TunnelPulse)>,
    present: HashMap<SessionId, (Arc<Session>, SessionPulse)>,
    /// The rows of each host.
    by_host: HashMap<HostName, BTreeSet<Port>>,
    /// Ports whose row is anything but up: all that triage has to look at.
    not_up: BTreeSet<Port>,
    /// Rows that will change by themselves: the session that carries or ought to carry them gets too old to still ask.
    ripen: BTreeSet<(Time, Port)>,
    teams: (u64, Vec<TeamView>),
}

/// The counters of a live tunnel that move without the registry hearing of it. A row is made anew when they differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct TunnelPulse([u64; 8]);

impl TunnelPulse {
    fn of(t: &Tunnel) -> Self {
        Self([
            t.tally.to_host.load(Ordering::Relaxed),
            t.tally.to_visitor.load(Ordering::Relaxed),
            t.visitors_total.load(Ordering::Relaxed),
            t.visitors_refused.load(Ordering::Relaxed),
            t.visitors_now() as u64,
            t.tally.buffered.load(Ordering::Relaxed),
            t.tally.holding.load(Ordering::Relaxed),
            t.tally.held.load(Ordering::Relaxed),
        ])
    }
}

/// The same of a session.
#[derive(Debug, Clone, Copy, PartialEq)]
struct SessionPulse(u64, u64, Option<f64>, Time);

impl SessionPulse {
    fn of(s: &Session) -> Self {
        Self(s.vital.bytes_in(), s.vital.bytes_out(), s.vital.rtt_ms(), s.vital.last_heard())
    }
}

/// The most that is remembered of the sessions that are gone: far more than end between two looks of a console.
const GRAVES: usize = 20_000;

impl Board {
    /// Brings the rows up to date. Returns the revision, which rose if any row changed.
    pub fn refresh(&mut self, registry: &Registry) -> Revision {
        let config = registry.config();
        let next = self.revision + 1;
        let mut changed = false;
        let mut regrouped = false;
        {
            let mut state = registry.state();
            let mut dirty = state.dirty.take();
            let ledger = state.ledger.take_changed();
            if dirty.all || ledger.all {
                regrouped = true;
                changed |= self.everything(&state, &config, registry.started, next);
            } else {
                dirty.ports.extend(ledger.ports);
                for host in &dirty.hosts {
                    dirty.ports.extend(self.by_host.get(host).into_iter().flatten());
                }
                let now = now();
                while let Some((at, port)) = self.ripen.first().copied().filter(|(at, _)| *at < now) {
                    self.ripen.remove(&(at, port));
                    dirty.ports.insert(port);
                }
                for port in dirty.ports {
                    regrouped |= self.tunnels.rows.contains_key(&port)
                        != self.settle_port(port, &state, &config, registry.started, next, &mut changed);
                }
                for id in dirty.sessions {
                    changed |= self.settle_session(id, &state, next);
                }
            }
        }
        if registry.counters.swap(false, Ordering::Relaxed) {
            changed |= self.sample(registry, next);
        }
        while self.sessions.gone.len() > GRAVES {
            self.sessions.forget_oldest();
        }
        if regrouped {
            let reserved = registry.reservations();
            let teams = team_rows(&config, &self.tunnels.rows, &reserved);
            if teams != self.teams.1 {
                self.teams = (next, teams);
                changed = true;
            }
        }
        if changed {
            self.revision = next;
        }
        Revision(self.revision)
    }

    /// The revision now.
    #[must_use]
    pub fn revision(&self) -> Revision {
        Revision(self.revision)
    }

    /// All teams, if any changed after `since`.
    #[must_use]
    pub fn teams_since(&self, since: Revision) -> Option<&[TeamView]> {
        (self.teams.0 > since.0).then_some(self.teams.1.as_slice())
    }

    /// All teams.
    #[must_use]
    pub fn teams(&self) -> &[TeamView] {
        &self.teams.1
    }

    /// Tunnels that changed after `since`.
    pub fn tunnels_since(&self, since: Revision) -> impl Iterator<Item = &TunnelView> {
        self.tunnels.since(since)
    }

    /// Tunnels and leases that are not up, by port.
    pub fn tunnels_not_up(&self) -> impl Iterator<Item = &TunnelView> {
        self.not_up.iter().filter_map(|p| self.tunnels.rows.get(p))
    }

    /// How many rows there are.
    #[must_use]
    pub fn tunnels_len(&self) -> usize {
        self.tunnels.rows.len()
    }

    /// Leases that went after `since`.
    pub fn tunnels_gone_since(&self, since: Revision) -> impl Iterator<Item = Port> {
        self.tunnels.gone_since(since)
    }

    /// Sessions that changed after `since`.
    pub fn sessions_since(&self, since: Revision) -> impl Iterator<Item = &SessionView> {
        self.sessions.since(since)
    }

    /// Sessions that went after `since`.
    pub fn sessions_gone_since(&self, since: Revision) -> impl Iterator<Item = SessionId> {
        self.sessions.gone_since(since)
    }

    /// Looks at every lease and session there is.
    fn everything(&mut self, state: &State, config: &Config, started: Time, next: u64) -> bool {
        let mut changed = false;
        let leases = state.ledger.all(config);
        let gone: Vec<Port> = self.tunnels.rows.keys().filter(|p| !leases.contains_key(p)).copied().collect();
        for port in gone {
            self.drop_port(port, next);
            changed = true;
        }
        for (port, lease) in leases {
            changed |= self.settle_lease(port, &lease, state, config, started, next);
        }
        let gone: Vec<SessionId> =
            self.sessions.rows.keys().filter(|s| !state.sessions.contains_key(s)).copied().collect();
        for id in gone.into_iter().chain(state.sessions.keys().copied()) {
            changed |= self.settle_session(id, state, next);
        }
        changed
    }

    /// Brings one port's row up to date; whether it has one now.
    fn settle_port(
        &mut self,
        port: Port,
        state: &State,
        config: &Config,
        started: Time,
        next: u64,
        changed: &mut bool,
    ) -> bool {
        match state.ledger.lease(config, port) {
            Some(lease) => {
                *changed |= self.settle_lease(port, &lease, state, config, started, next);
                true
            }
            None => {
                *changed |= self.drop_port(port, next);
                false
            }
        }
    }

    fn settle_lease(
        &mut self,
        port: Port,
        lease: &LeaseView,
        state: &State,
        config: &Config,
        started: Time,
        next: u64,
    ) -> bool {
        if let Some(before) = self.tunnels.rows.get(&port).filter(|r| r.lease.host != lease.host) {
            let host = before.lease.host.clone();
            self.leave(&host, port);
        }
        if !self.by_host.get(&lease.host).is_some_and(|ports| ports.contains(&port)) {
            self.by_host.entry(lease.host.clone()).or_default().insert(port);
        }
        let block = state
            .ledger
            .block(&BlockTarget::Port(port))
            .or_else(|| state.ledger.block(&BlockTarget::Host(lease.host.clone())))
            .or_else(|| state.ledger.block(&BlockTarget::Team(lease.team.clone())));
        let past = state.past.get(&port).filter(|p| p.host == lease.host);
        let row = match state.tunnels.get(&port) {
            Some(t) => {
                self.live.insert(port, (Arc::clone(t), TunnelPulse::of(t)));
                live_row(t, past)
            }
            None => {
                self.live.remove(&port);
                // The newest session tells a host that is away from one that did not ask.
                let session = state.by_host.get(&lease.host).and_then(|all| all.last());
                if let Some(ripe) = session.map(|s| s.since + ASKING).filter(|at| *at >= now()) {
                    self.ripen.insert((ripe, port));
                }
                idle_row(config, lease.clone(), past, session, state.troubles.refusals.get(&lease.host), started)
            }
        };
        let row = with_block(row, block);
        if row.state == TunnelState::Up {
            self.not_up.remove(&port);
        } else {
            self.not_up.insert(port);
        }
        self.tunnels.put(port, row, next)
    }

    fn drop_port(&mut self, port: Port, next: u64) -> bool {
        self.live.remove(&port);
        self.not_up.remove(&port);
        match self.tunnels.remove(port, next) {
            Some(row) => {
                self.leave(&row.lease.host, port);
                true
            }
            None => false,
        }
    }

    fn leave(&mut self, host: &HostName, port: Port) {
        if let Some(ports) = self.by_host.get_mut(host) {
            ports.remove(&port);
            if ports.is_empty() {
                self.by_host.remove(host);
            }
        }
    }

    fn settle_session(&mut self, id: SessionId, state: &State, next: u64) -> bool {
        match state.sessions.get(&id) {
            Some(s) => {
                self.present.insert(id, (Arc::clone(s), SessionPulse::of(s)));
                let ports = state.carried.get(&id).map(|ts| ts.keys().copied().collect()).unwrap_or_default();
                self.sessions.put(id, session_row(s, ports), next)
            }
            None => {
                self.present.remove(&id);
                self.sessions.remove(id, next).is_some()
            }
        }
    }

    /// Looks at the counters of all that is live, without the registry's lock.
    fn sample(&mut self, registry: &Registry, next: u64) -> bool {
        let moved: Vec<Port> =
            self.live.iter().filter(|(_, (t, pulse))| TunnelPulse::of(t) != *pulse).map(|(p, _)| *p).collect();
        let heard: Vec<SessionId> =
            self.present.iter().filter(|(_, (s, pulse))| SessionPulse::of(s) != *pulse).map(|(id, _)| *id).collect();
        if moved.is_empty() && heard.is_empty() {
            return false;
        }
        let config = registry.config();
        let state = registry.state();
        let mut changed = false;
        for port in moved {
            self.settle_port(port, &state, &config, registry.started, next, &mut changed);
        }
        for id in heard {
            changed |= self.settle_session(id, &state, next);
        }
        changed
    }
}

fn with_block(mut row: TunnelView, block: Option<&RevocationView>) -> TunnelView {
    if let Some(b) = block
        && !row.state.is_live()
    {
        row.state = TunnelState::Revoked;
        row.state_since = b.since;
        row.warning = None;
    }
    row.revoked = block.cloned();
    row
}

fn live_row(t: &Tunnel, past: Option<&Past>) -> TunnelView {
    let health = t.health();
    let failing = health.verdict == Verdict::Failing;
    let (state, state_since) = if failing {
        (TunnelState::Degraded, health.since.unwrap_or(t.since))
    } else {
        // Back up since the service recovered, if it ever failed in this life.
        (TunnelState::Up, health.since.filter(|s| *s > t.since && health.history.contains(&None)).unwrap_or(t.since))
    };
    let behind = t.behind();
    let late = behind.sentence(&t.lease.host);
    TunnelView {
        lease: t.lease.clone(),
        behind,
        state,
        state_since,
        session: Some(t.session.id),
        listen: t.listen.clone(),
        source: Some(t.session.source),
        bytes_to_host: t.tally.to_host.load(Ordering::Relaxed),
        bytes_to_visitors: t.tally.to_visitor.load(Ordering::Relaxed),
        visitors_now: u32::try_from(t.visitors_now()).unwrap_or(u32::MAX),
        visitors_total: t.visitors_total.load(Ordering::Relaxed),
        visitors_refused: t.visitors_refused.load(Ordering::Relaxed),
        warning: failing.then(|| health.last_error.clone()).flatten().or(late),
        health,
        obituary: past.map(|p| p.obituary.clone()),
        revoked: None,
        revision: Revision::default(),
    }
}

fn idle_row(
    config: &Config,
    lease: LeaseView,
    past: Option<&Past>,
    session: Option<&Arc<Session>>,
    refusal: Option<&Refusal>,
    started: Time,
) -> TunnelView {
    let health = past.map_or_else(
        || {
            let (check, h) = config.check_for(&lease.host, lease.port);
            HealthView { check, interval_s: h.interval.as_secs(), rise: h.rise, fall: h.fall, ..HealthView::default() }
        },
        |p| p.health.clone(),
    );
    // Ports that the host itself asked for once are not missed when it asks for others.
    let expected = matches!(lease.kind, LeaseKind::Fixed | LeaseKind::Assigned);
    let (state, state_since, warning) = match (session, past) {
        (Some(s), _) if now() - s.since > chrono::TimeDelta::from_std(ASKING).unwrap_or_default() && expected => (
            TunnelState::Awaiting,
            s.since.max(lease.since),
            Some(format!("host {} is connected but did not ask for this port (-R {}:…)", lease.host, lease.port)),
        ),
        (None, Some(p)) | (Some(_), Some(p)) => (TunnelState::Down, p.obituary.at, None),
        _ => (TunnelState::Awaiting, lease.since.max(started), None),
    };
    // What the host was told matters more than what it did not ask for.
    let warning =
        refusal.map(|r| format!("refused ×{}, last at {}: {}", r.count, r.at.format("%H:%M:%SZ"), r.rule)).or(warning);
    TunnelView {
        state,
        state_since,
        session: None,
        listen: Vec::new(),
        source: past.map(|p| p.source),
        bytes_to_host: past.map_or(0, |p| p.bytes_to_host),
        bytes_to_visitors: past.map_or(0, |p| p.bytes_to_visitors),
        visitors_now: 0,
        visitors_total: past.map_or(0, |p| p.visitors_total),
        visitors_refused: past.map_or(0, |p| p.visitors_refused),
        behind: BehindView::default(),
        health,
        obituary: past.map(|p| p.obituary.clone()),
        revoked: None,
        warning,
        revision: Revision::default(),
        lease,
    }
}

fn session_row(s: &Session, ports: Vec<Port>) -> SessionView {
    SessionView {
        id: s.id,
        kind: s.kind,
        name: s.name.clone(),
        team: s.team.clone(),
        role: s.role,
        user: s.user.clone(),
        source: s.source,
        fingerprint: s.credential.fingerprint.clone(),
        client: s.client.clone(),
        since: s.since,
        ports,
        bytes_in: s.vital.bytes_in(),
        bytes_out: s.vital.bytes_out(),
        rtt_ms: s.vital.rtt_ms(),
        algorithms: s.algorithms.clone(),
        last_heard: Some(s.vital.last_heard()),
        revision: Revision::default(),
    }
}

fn team_rows(
    config: &Config,
    tunnels: &BTreeMap<Port, TunnelView>,
    reserved: &[crate::model::ReservationView],
) -> Vec<TeamView> {
    config
        .teams
        .iter()
        .map(|(name, t)| TeamView {
            name: name.clone(),
            contact: t.contact.clone(),
            ranges: t.ports.clone(),
            bind: t.bind,
            visitors: t.visitors.iter().map(ToString::to_string).collect(),
            leased: tunnels.keys().filter(|p| t.ports.iter().any(|r| r.contains(**p))).count(),
            reserved: {
                let own = reserved.iter().filter(|r| t.ports.iter().any(|range| range.contains(r.port)));
                // By whom a configuration that moved a range has given it a lease meanwhile, nobody else is kept out.
                own.filter(|r| !tunnels.contains_key(&r.port)).cloned().collect()
            },
        })
        .collect()
}

#[cfg(test)]
mod tests;
