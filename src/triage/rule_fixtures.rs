//! Facts made by hand: tunnels, sessions, and the world they are in.

use super::*;
use crate::model::*;
use crate::tunnels::{Overload, Troubles};
use chrono::TimeDelta;

pub(super) fn t0() -> Time {
    "2026-03-04T14:00:00Z".parse().unwrap()
}
pub(super) fn ago(s: i64) -> Time {
    t0() - TimeDelta::seconds(s)
}
pub(super) fn port(n: u16) -> Port {
    n.try_into().unwrap()
}
pub(super) fn name(s: &str) -> HostName {
    s.parse().unwrap()
}

/// A row of a host of team pay that was last at 203.0.113.`port % 100`.
pub(super) fn row(n: u16, host: &str, state: TunnelState) -> TunnelView {
    TunnelView {
        lease: LeaseView {
            port: port(n),
            host: name(host),
            team: "pay".parse().unwrap(),
            service: Some("ssh".into()),
            kind: LeaseKind::Fixed,
            since: ago(1_000_000),
            until: None,
            by: "config".into(),
            reason: None,
        },
        state,
        state_since: ago(100),
        session: None,
        listen: vec![],
        source: (state != TunnelState::Awaiting).then(|| format!("203.0.113.{}:5022", n % 100).parse().unwrap()),
        bytes_to_host: 0,
        bytes_to_visitors: 0,
        visitors_now: 0,
        visitors_total: 0,
        visitors_refused: 0,
        behind: BehindView::default(),
        health: HealthView::default(),
        obituary: None,
        revoked: None,
        warning: None,
        revision: Revision(1),
    }
}

pub(super) fn down(n: u16, host: &str, cause: ObituaryCause, age: i64) -> TunnelView {
    TunnelView {
        obituary: Some(ObituaryView {
            at: ago(age),
            obituary: Obituary::of(cause),
            last_byte_at: Some(ago(age + 45)),
            last_rtt_ms: Some(31.4),
            visitors_cut: 2,
        }),
        state_since: ago(age),
        ..row(n, host, TunnelState::Down)
    }
}

pub(super) fn degraded(n: u16, host: &str, layer: LinkLayer) -> TunnelView {
    let health = HealthView {
        check: CheckKind::Ssh,
        verdict: Verdict::Failing,
        last_error: Some("connection refused by localhost:22".into()),
        layer: Some(layer),
        ..HealthView::default()
    };
    TunnelView { health, visitors_now: 3, ..row(n, host, TunnelState::Degraded) }
}

pub(super) fn session(host: &str, id: u64, age: i64, source: &str, ports: &[u16]) -> SessionView {
    SessionView {
        id: format!("s{id}").parse().unwrap(),
        kind: SessionKind::Host,
        name: host.into(),
        team: Some("pay".parse().unwrap()),
        role: None,
        user: "tunnel".into(),
        source: source.parse().unwrap(),
        fingerprint: "SHA256:x".into(),
        client: "OpenSSH".into(),
        since: ago(age),
        ports: ports.iter().map(|p| port(*p)).collect(),
        bytes_in: 0,
        bytes_out: 0,
        rtt_ms: None,
        algorithms: None,
        last_heard: None,
        revision: Revision(1),
    }
}

/// What there is, before it is looked at.
pub(super) struct World {
    pub(super) now: Time,
    pub(super) started: Time,
    pub(super) ran_before: bool,
    pub(super) audit_failure: Option<&'static str>,
    pub(super) tunnels: Vec<TunnelView>,
    pub(super) sessions: Vec<SessionView>,
    pub(super) teams: Vec<TeamView>,
    pub(super) troubles: Troubles,
    pub(super) mutes: Vec<Mute>,
    pub(super) overload: Option<Overload>,
    pub(super) expiring: Vec<facts::Expiring>,
}

impl World {
    pub(super) fn of(tunnels: Vec<TunnelView>) -> Self {
        Self {
            now: t0(),
            started: ago(86_400),
            ran_before: false,
            audit_failure: None,
            tunnels,
            sessions: vec![],
            teams: vec![],
            troubles: Troubles::default(),
            mutes: vec![],
            overload: None,
            expiring: vec![],
        }
    }

    pub(super) fn look(&self) -> (Vec<Incident>, Option<Time>) {
        let sessions = || self.sessions.iter().collect();
        let team_of = |_: &HostName| Some("pay".parse().unwrap());
        incidents(
            &Facts::of(&Picture {
                now: self.now,
                started: self.started,
                ran_before: self.ran_before,
                overload: self.overload.as_ref(),
                expiring: self.expiring.clone(),
                audit_failure: self.audit_failure.map(|f| (f, ago(5))),
                tunnels: self.tunnels.iter().filter(|t| t.state != TunnelState::Up).collect(),
                total: self.tunnels.len(),
                sessions: &sessions,
                teams: self.teams.iter().collect(),
                troubles: &self.troubles,
                team_of: &team_of,
            }),
            &self.mutes,
        )
    }

    pub(super) fn found(&self) -> Vec<Incident> {
        self.look().0
    }

    #[track_caller]
    pub(super) fn only(&self, cause: &str) -> Incident {
        let found = self.found();
        let causes: Vec<&str> = found.iter().map(|i| i.cause.as_str()).collect();
        assert_eq!(causes, [cause], "{found:#?}");
        found.into_iter().next().unwrap()
    }
}
