//! The board: the live state as rows, each with the revision at which it last changed, so that a console can be sent
//! just what is new. Made only while somebody looks.

use super::live::{Session, Tunnel};
use super::registry::{Past, Refusal, Registry};
use crate::config::Config;
use crate::model::{
    BehindView, BlockTarget, HealthView, LeaseKind, LeaseView, Port, Revision, RevocationView, SessionId, SessionView,
    TeamView, Time, TunnelState, TunnelView, Verdict, now,
};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// A session younger than this may still ask for its ports; no warning yet.
const ASKING: Duration = Duration::from_secs(10);

/// All rows, and when each changed. What is gone is remembered, so that a console that was away learns of it.
#[derive(Debug, Default)]
pub struct Board {
    revision: u64,
    tunnels: BTreeMap<Port, TunnelView>,
    sessions: BTreeMap<SessionId, SessionView>,
    tunnels_gone: BTreeMap<Port, u64>,
    sessions_gone: BTreeMap<SessionId, u64>,
    teams: (u64, Vec<TeamView>),
}

/// The most that is remembered of the sessions that are gone: far more than end between two looks of a console.
const GRAVES: usize = 20_000;

impl Board {
    /// Brings the rows up to date. Returns the revision, which rose if any row changed.
    pub fn refresh(&mut self, registry: &Registry) -> Revision {
        let config = registry.config();
        let next = self.revision + 1;
        let mut changed = false;

        let mut rows = registry.tunnel_rows(&config);
        for (port, row) in &mut rows {
            changed |= settle_row(self.tunnels.get(port), row, next, |r| &mut r.revision);
            self.tunnels_gone.remove(port);
        }
        for port in self.tunnels.keys().filter(|p| !rows.contains_key(p)) {
            self.tunnels_gone.insert(*port, next);
            changed = true;
        }
        self.tunnels = rows;

        let mut sessions: BTreeMap<SessionId, SessionView> =
            registry.sessions_with_ports().iter().map(|(s, ports)| (s.id, session_row(s, ports.clone()))).collect();
        for (id, row) in &mut sessions {
            changed |= settle_row(self.sessions.get(id), row, next, |r| &mut r.revision);
        }
        for id in self.sessions.keys().filter(|id| !sessions.contains_key(id)) {
            self.sessions_gone.insert(*id, next);
            changed = true;
        }
        while self.sessions_gone.len() > GRAVES {
            // The one that went longest ago; a session that lived long has a low id.
            let oldest = self.sessions_gone.iter().min_by_key(|(_, at)| **at).map(|(id, _)| *id);
            if let Some(id) = oldest {
                self.sessions_gone.remove(&id);
            }
        }
        self.sessions = sessions;

        let teams = team_rows(&config, &self.tunnels);
        if teams != self.teams.1 {
            self.teams = (next, teams);
            changed = true;
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
        self.tunnels.values().filter(move |r| r.revision > since)
    }

    /// Leases that went after `since`.
    pub fn tunnels_gone_since(&self, since: Revision) -> impl Iterator<Item = Port> {
        self.tunnels_gone.iter().filter(move |(_, at)| **at > since.0).map(|(p, _)| *p)
    }

    /// Sessions that changed after `since`.
    pub fn sessions_since(&self, since: Revision) -> impl Iterator<Item = &SessionView> {
        self.sessions.values().filter(move |r| r.revision > since)
    }

    /// Sessions that went after `since`.
    pub fn sessions_gone_since(&self, since: Revision) -> impl Iterator<Item = SessionId> {
        self.sessions_gone.iter().filter(move |(_, at)| **at > since.0).map(|(id, _)| *id)
    }
}

/// Keeps the old revision of a row that is the same otherwise. Returns whether it changed.
fn settle_row<T: PartialEq + Clone>(
    before: Option<&T>,
    row: &mut T,
    next: u64,
    revision: impl Fn(&mut T) -> &mut Revision,
) -> bool {
    if let Some(before) = before {
        let mut was = before.clone();
        *revision(row) = *revision(&mut was);
        if was == *row {
            return false;
        }
    }
    *revision(row) = Revision(next);
    true
}

impl Registry {
    fn sessions_with_ports(&self) -> Vec<(Arc<Session>, Vec<Port>)> {
        let state = self.state();
        let mut ports: HashMap<SessionId, Vec<Port>> = HashMap::new();
        for t in state.tunnels.values() {
            ports.entry(t.session.id).or_default().push(t.port());
        }
        state.sessions.values().map(|s| (Arc::clone(s), ports.remove(&s.id).unwrap_or_default())).collect()
    }

    fn tunnel_rows(&self, config: &Config) -> BTreeMap<Port, TunnelView> {
        let state = self.state();
        let leases = state.ledger.all(config);
        // The newest session of each host, to tell a host that is away from one that did not ask.
        let mut present: HashMap<&str, &Arc<Session>> = HashMap::new();
        for s in state.sessions.values().filter(|s| s.host.is_some()) {
            let slot = present.entry(s.name.as_str()).or_insert(s);
            if s.id > slot.id {
                *slot = s;
            }
        }
        let mut blocks: HashMap<&str, &RevocationView> = HashMap::new();
        let mut blocked_ports: BTreeMap<Port, &RevocationView> = BTreeMap::new();
        for b in state.ledger.blocks() {
            match &b.target {
                BlockTarget::Host(h) => {
                    blocks.insert(h.as_str(), b);
                }
                BlockTarget::Port(p) => {
                    blocked_ports.insert(*p, b);
                }
                BlockTarget::Key(_) => {}
            }
        }
        leases
            .into_iter()
            .map(|(port, lease)| {
                let revoked = blocked_ports.get(&port).or_else(|| blocks.get(lease.host.as_str())).copied();
                let live = state.tunnels.get(&port);
                let past = state.past.get(&port).filter(|p| p.host == lease.host);
                let session = present.get(lease.host.as_str()).copied();
                let row = match live {
                    Some(t) => live_row(t, past),
                    None => {
                        let refusal = state.refusals.get(&lease.host);
                        idle_row(config, lease, past, session, refusal, self.started)
                    }
                };
                (port, with_block(row, revoked))
            })
            .collect()
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
        fingerprint: s.fingerprint.clone(),
        client: s.client.clone(),
        since: s.since,
        ports,
        bytes_in: s.vital.bytes_in(),
        bytes_out: s.vital.bytes_out(),
        rtt_ms: s.vital.rtt_ms(),
        last_heard: Some(s.vital.last_heard()),
        revision: Revision::default(),
    }
}

fn team_rows(config: &Config, tunnels: &BTreeMap<Port, TunnelView>) -> Vec<TeamView> {
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
        })
        .collect()
}
