//! A small bastion for tests, the same every time.

use super::caps::{Caps, Depth};
use super::link::LinkEvent;
use super::notify::Through;
use super::state::own::Own;
use super::state::{State, Zone};
use super::theme::Themes;
use super::update;
use crate::audit::{Actor, Context, Event, Outcome, Record, What};
use crate::control::protocol::{Delta, Identity, Push, Snapshot};
use crate::model::*;
use chrono::TimeDelta;

pub(crate) fn t0() -> Time {
    "2026-03-04T14:02:11Z".parse().unwrap()
}
pub(crate) fn ago(seconds: i64) -> Time {
    t0() - TimeDelta::seconds(seconds)
}
pub(crate) fn port(n: u16) -> Port {
    n.try_into().unwrap()
}
pub(crate) fn session_id(n: u64) -> SessionId {
    format!("s{n}").parse().unwrap()
}

pub(crate) fn tunnel(n: u16, host: &str, team: &str, service: &str, state: TunnelState) -> TunnelView {
    let live = state.is_live();
    let failing = state == TunnelState::Degraded;
    TunnelView {
        lease: LeaseView {
            port: port(n),
            host: host.parse().unwrap(),
            team: team.parse().unwrap(),
            service: Some(service.into()),
            kind: LeaseKind::Fixed,
            since: ago(86_400 * 40),
            until: None,
            by: "config".into(),
            reason: None,
        },
        state,
        state_since: ago(i64::from(n % 100) * 61 + 5),
        session: live.then(|| session_id(u64::from(n))),
        listen: if live { vec![format!("127.0.0.1:{n}").parse().unwrap()] } else { vec![] },
        source: Some(format!("203.0.113.{}:50022", n % 250).parse().unwrap()),
        bytes_to_host: u64::from(n) * 1000,
        bytes_to_visitors: u64::from(n) * 77_000,
        visitors_now: u32::from(n % 4),
        visitors_total: 120,
        visitors_refused: 0,
        behind: BehindView::default(),
        health: HealthView {
            check: CheckKind::Ssh,
            verdict: if failing {
                Verdict::Failing
            } else if live {
                Verdict::Passing
            } else {
                Verdict::Unknown
            },
            since: Some(ago(300)),
            last_at: Some(ago(12)),
            latency_ms: live.then_some(4.25),
            last_error: failing.then(|| "connection refused by localhost:22".into()),
            layer: failing.then_some(LinkLayer::Channel),
            history: if live {
                (0..30_u8).map(|i| (!failing || i < 22).then_some(1.0 + f32::from(i % 7))).collect()
            } else {
                vec![]
            },
            interval_s: 30,
            rise: 2,
            fall: 3,
        },
        obituary: (state == TunnelState::Down).then(|| ObituaryView {
            at: ago(48),
            obituary: Obituary::with(ObituaryCause::KeepaliveTimeout, "3 x 15 s"),
            last_byte_at: Some(ago(95)),
            last_rtt_ms: Some(31.5),
            visitors_cut: 3,
        }),
        revoked: (state == TunnelState::Revoked).then(|| RevocationView {
            target: BlockTarget::Host(host.parse().unwrap()),
            by: "alice".into(),
            since: ago(7200),
            reason: Some("key leaked".into()),
        }),
        warning: None,
        revision: Revision(1),
    }
}

pub(crate) fn session(of: &TunnelView) -> SessionView {
    SessionView {
        id: of.session.unwrap(),
        kind: SessionKind::Host,
        name: of.lease.host.to_string(),
        team: Some(of.lease.team.clone()),
        role: None,
        user: "tunnel".into(),
        source: of.source.unwrap(),
        fingerprint: format!("SHA256:{}abcdefghijklmnopqrstuvwxyz0123456789ABC", of.lease.port),
        client: "OpenSSH_9.2p1 Debian-2".into(),
        since: of.state_since,
        ports: vec![of.lease.port],
        bytes_in: 123_456,
        bytes_out: 45_678,
        rtt_ms: Some(f64::from(of.lease.port.get() % 100) + 0.5),
        algorithms: Some("curve25519-sha256 aes128-gcm@openssh.com".into()),
        last_heard: Some(ago(3)),
        revision: Revision(1),
    }
}

pub(crate) fn record(seq: u64, at: Time, what: What, outcome: Outcome, context: Context) -> Record {
    let actor = match (&what, &context.host) {
        (What::AuthFailure { .. }, _) => Actor::Unknown,
        (_, Some(h)) => Actor::Host(h.to_string()),
        _ => Actor::Daemon,
    };
    let event = Event { what, outcome, actor, context };
    Record { seq: Seq(seq), at, event, prev: "0".repeat(64), hash: "1".repeat(64) }
}

pub(crate) fn of(host: &str, p: u16) -> Context {
    Context {
        host: Some(host.parse().unwrap()),
        port: Some(port(p)),
        source: Some("203.0.113.9:50022".parse().unwrap()),
        ..Context::default()
    }
}

pub(crate) fn granted(p: u16) -> What {
    What::ForwardGranted { listen: vec![], asked: "localhost".into(), asked_port: p.into() }
}

pub(crate) fn auth_failure(seq: u64, at: Time) -> Record {
    let what = What::AuthFailure { method: "publickey".into(), client: "OpenSSH_9.2p1".into() };
    let context = Context {
        source: Some("203.0.113.9:41000".parse().unwrap()),
        user: Some("root".into()),
        rule: Some("the key is not declared".into()),
        ..Context::default()
    };
    record(seq, at, what, Outcome::Refused, context)
}

pub(crate) fn team(name: &str, range: &str, leased: usize) -> TeamView {
    TeamView {
        name: name.parse().unwrap(),
        contact: Some("on-call 1234".into()),
        ranges: vec![range.parse().unwrap()],
        bind: BindPolicy::Loopback,
        visitors: vec![],
        leased,
        reserved: vec![],
    }
}

/// A key that waits to be approved, as a client proved it in the name of this host.
pub(crate) fn pending(host: &str, known: bool) -> PendingKey {
    PendingKey {
        fingerprint: "SHA256:Gk3bWvI0nNj0a6m2i4c5yQ1uJxq7rZP9oT8eLhVfKdM".into(),
        key: "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI".into(),
        user: host.into(),
        source: "203.0.113.9:50022".parse().unwrap(),
        client: "OpenSSH_9.2p1".into(),
        first: ago(240),
        last: ago(9),
        count: 12,
        known,
    }
}

/// A console in write mode of an admin who has one key to decide on, and has approved another.
pub(crate) fn deciding(size: (u16, u16)) -> State {
    let mut s = writable(size);
    s.who.as_mut().unwrap().role = Role::Admin;
    let daemon = s.live.daemon.as_mut().unwrap();
    daemon.pending = vec![pending("iot-77", true)];
    daemon.approved = vec![Approval {
        fingerprint: "SHA256:9rZQv7mX2dYh0eT5kLw8bN1cUs4gJf6aPiOq3RzWxVY".into(),
        key: "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI".into(),
        host: "pay-spare".parse().unwrap(),
        by: "alice".into(),
        since: ago(3_600),
        until: Some(t0() + chrono::TimeDelta::days(2)),
        reason: Some("new disk".into()),
    }];
    s
}

pub(crate) fn snapshot() -> Snapshot {
    use TunnelState::{Awaiting, Degraded, Down, Revoked, Up};
    let mut tunnels = vec![
        tunnel(20101, "pay-db", "pay", "ssh", Up),
        tunnel(20102, "pay-db", "pay", "http", Degraded),
        tunnel(20103, "결제-서버", "pay", "ssh", Up),
        tunnel(20104, "pay-spare", "pay", "ssh", Awaiting),
        tunnel(20201, "iot-77", "iot", "ssh", Down),
        tunnel(20202, "iot-lost", "iot", "ssh", Revoked),
        tunnel(20210, "센서-게이트웨이-서울-본사", "iot", "mqtt", Up),
    ];
    tunnels[5].lease.kind = LeaseKind::Assigned;
    tunnels[5].lease.by = "alice".into();
    let sessions: Vec<SessionView> = tunnels.iter().filter(|t| t.session.is_some()).map(session).collect();
    let ended = What::ForwardEnd {
        obituary: Obituary::with(ObituaryCause::KeepaliveTimeout, "3 x 15 s"),
        visitors: 12,
        bytes_to_host: 4_000_000,
        bytes_to_visitors: 90_000_000,
    };
    let health = What::HealthChange { from: Verdict::Passing, to: Verdict::Failing, layer: Some(LinkLayer::Channel) };
    let events = vec![
        record(101, ago(4000), granted(20101), Outcome::Success, of("pay-db", 20101)),
        record(102, ago(3999), granted(20102), Outcome::Success, of("pay-db", 20102)),
        record(103, ago(600), granted(20201), Outcome::Success, of("iot-77", 20201)),
        record(104, ago(300), health, Outcome::Success, of("pay-db", 20102)),
        record(105, ago(48), ended, Outcome::Success, of("iot-77", 20201)),
        auth_failure(106, ago(20)),
    ];
    Snapshot {
        revision: Revision(7),
        at: t0(),
        daemon: DaemonView {
            name: "bastion-1".into(),
            version: "0.1.0".into(),
            started: ago(86_400),
            ssh: vec!["127.0.0.1:2222".parse().unwrap()],
            config: "/etc/portreeve/portreeve.toml".into(),
            config_read: ago(86_400),
            first_tunnel: None,
            audit: AuditStatus { seq: Seq(106), failure: None, notice: None },
            spill: SpillView { used: 0, limit: 8 << 30 },
            notices: vec![],
            revocations: vec![tunnels[5].revoked.clone().unwrap()],
            grants: vec![],
            pending: vec![],
            approved: vec![],
            proposals: vec![],
            rules: vec![],
            idle_lock_s: None,
            idle_logout_s: None,
        },
        you: None,
        teams: vec![team("iot", "20200-20249", 3), team("pay", "20100-20199", 4)],
        tunnels,
        sessions,
        incidents: Some(vec![]),
        events,
        follow: None,
    }
}

pub(crate) fn delta() -> Delta {
    Delta {
        revision: Revision(8),
        at: t0(),
        daemon: None,
        teams: None,
        tunnels: vec![],
        tunnels_gone: vec![],
        sessions: vec![],
        sessions_gone: vec![],
        incidents: None,
        events: vec![],
        events_missed: 0,
    }
}

pub(crate) fn alice(role: Role) -> Identity {
    Identity {
        name: "alice".into(),
        role,
        teams: None,
        granted: vec![],
        via: "unix".into(),
        source: None,
        fingerprint: None,
        session: None,
        uid: None,
    }
}

/// A console that has not heard of the daemon yet.
pub(crate) fn blank(size: (u16, u16), depth: Depth, unicode: bool) -> State {
    let (themes, _) = Themes::load(None);
    let caps = Caps { depth, unicode, through: Through::Nothing, titled: true };
    let mut s = State::new(t0(), size, caps, Own::new(themes, "dark", depth, Zone::Utc));
    s.resort();
    s
}

/// A console that shows the tunnels of [`snapshot`].
pub(crate) fn console(size: (u16, u16)) -> State {
    let mut s = blank(size, Depth::Ansi256, true);
    update::link(&mut s, LinkEvent::Up(alice(Role::Operator)));
    update::link(&mut s, LinkEvent::Push(Push::Snapshot(snapshot())));
    keys(&mut s, "2");
    s
}

/// A console at home, with these incidents.
pub(crate) fn home(size: (u16, u16), incidents: Vec<Incident>) -> State {
    let mut s = blank(size, Depth::Ansi256, true);
    update::link(&mut s, LinkEvent::Up(alice(Role::Operator)));
    let snap = Snapshot { incidents: Some(incidents), ..snapshot() };
    update::link(&mut s, LinkEvent::Push(Push::Snapshot(snap)));
    s
}

/// Some of each severity, one with a wide name and a long sentence.
pub(crate) fn incidents() -> Vec<Incident> {
    let one = |cause: &str, what: &str, severity, age, host: &str, p: u16, evidence: &str| {
        let rule = crate::triage::RULES.iter().find(|r| r.cause == cause).unwrap();
        Incident {
            id: format!("{cause}:{what}"),
            cause: cause.into(),
            severity,
            what: what.into(),
            likely: rule.likely.into(),
            evidence: evidence.into(),
            seen: None,
            since: ago(age),
            tunnels: 1,
            hosts: 1,
            blast: Blast {
                teams: vec!["pay".parse().unwrap()],
                hosts: vec![host.parse().unwrap()],
                ports: vec![port(p)],
                visitors_cut: 3,
                visitors_now: 0,
            },
            next: rule
                .next
                .iter()
                .map(|n| NextStep { key: n.key.into(), what: n.what.into(), run: n.run.map(Into::into) })
                .collect(),
            muted: None,
        }
    };
    let mut network = one(
        "network-lost",
        "203.0.113.0/24",
        Severity::Down,
        134,
        "pay-db",
        20101,
        "4 of 4 hosts of 203.0.113.0/24 fell silent within 12 s; no other path to them is known",
    );
    network.tunnels = 6;
    network.hosts = 4;
    network.seen = Some(Evidence::NetworkLost { lost: 4, known: 4, network: "203.0.113.0/24".into(), seconds: 12 });
    network.blast.ports = (20101..20107).map(port).collect();
    network.blast.hosts = ["pay-db", "pay-spare", "iot-77"].map(|h| h.parse().unwrap()).to_vec();
    let mut all = vec![
        one(
            "refused-unknown-key",
            "iot-77",
            Severity::Down,
            48,
            "iot-77",
            20201,
            "a key that nobody here has is offered ×12 from 203.0.113.9 (where it was last) as user iot-77: \
             SHA256:0123456789abcdefghijklmnopqrstuvwxyzABCDEFG",
        ),
        network,
        one(
            "host-restarts",
            "센서-게이트웨이-서울-본사",
            Severity::Warning,
            660,
            "센서-게이트웨이-서울-본사",
            20210,
            "its session ended ×7 since 13:51:11Z, about every 90 s; last: the client disconnected",
        ),
        one(
            "host-absent",
            "pay-spare",
            Severity::Note,
            86_400,
            "pay-spare",
            20104,
            "it has not dialled in since the bastion started",
        ),
    ];
    let seen = [(0, "203.0.113.9", Some(12)), (2, "", None), (3, "", Some(0))];
    for (n, source, count) in seen {
        all[n].seen = Some(match count {
            Some(0) => Evidence::Absent,
            Some(count) => Evidence::UnknownKey {
                count,
                source: source.parse().unwrap(),
                was: Some(source.parse().unwrap()),
                user: "iot-77".into(),
                key: "SHA256:0123456789abcdefghijklmnopqrstuvwxyzABCDEFG".into(),
            },
            None => Evidence::Restarts {
                count: 7,
                since: "2026-03-04T13:51:11Z".parse().unwrap(),
                every: 90,
                last: ObituaryCause::ClientDisconnect,
            },
        });
    }
    for x in &all {
        assert_eq!(x.seen.as_ref().map(ToString::to_string).as_ref(), Some(&x.evidence));
    }
    all
}

/// And may act.
pub(crate) fn writable(size: (u16, u16)) -> State {
    let mut s = console(size);
    s.write_until = Some(s.write_end());
    s
}

/// Types keys as a terminal would send them.
pub(crate) fn keys(s: &mut State, bytes: &str) -> Vec<update::Effect> {
    let mut input = super::input::Input::default();
    let mut typed = input.feed(bytes.as_bytes());
    typed.extend(input.timeout());
    typed.into_iter().flat_map(|t| update::typed(s, t)).collect()
}

pub(crate) fn push(s: &mut State, d: Delta) -> Vec<update::Effect> {
    update::link(s, LinkEvent::Push(Push::Delta(d)))
}

/// A terminal that reads what the console writes.
pub(crate) fn vt(rows: u16, columns: u16) -> vt100::Parser {
    vt100::Parser::new(rows.try_into().unwrap(), columns.try_into().unwrap(), 0)
}

/// A tunnel with three visitors, two of them slow.
pub(crate) fn slow_tunnel() -> TunnelView {
    let mut t = tunnel(20101, "pay-db", "pay", "ssh", TunnelState::Up);
    t.visitors_now = 3;
    let worst = laggards().into_iter().find(|v| v.holding).map(|v| Laggard {
        id: v.id,
        source: v.source,
        operator: v.operator,
        buffered: v.buffered,
        holding: v.holding,
    });
    t.behind = BehindView { buffered: (1024 + 12) << 20, visitors: 2, holding: 1, held_ms: 74_000, worst };
    t.warning = t.behind.sentence(&t.lease.host);
    t.revision = Revision(2);
    t
}

/// Its visitors.
pub(crate) fn laggards() -> Vec<VisitorView> {
    let one = |id: &str, source: &str, buffered: u64, holding: bool| VisitorView {
        id: id.parse().unwrap(),
        port: port(20101),
        source: source.parse().unwrap(),
        operator: None,
        since: ago(300),
        bytes_to_host: 1_000,
        bytes_to_visitor: 9_000_000,
        buffered,
        holding,
        held_ms: if holding { 74_000 } else { 0 },
    };
    let mut alice = one("v3", "198.51.100.4:40100", 12 << 20, false);
    alice.operator = Some("alice".into());
    vec![one("v1", "127.0.0.1:40000", 0, false), one("v2", "10.0.0.7:51234", 1 << 30, true), alice]
}

/// A console that shows [`slow_tunnel`], another tunnel of the same session, and data on disk.
pub(crate) fn behind(size: (u16, u16)) -> State {
    let mut s = blank(size, Depth::Ansi256, true);
    update::link(&mut s, LinkEvent::Up(alice(Role::Operator)));
    let mut snap = snapshot();
    snap.daemon.spill.used = 1036 << 20;
    let session = snap.tunnels.first().unwrap().session;
    for t in &mut snap.tunnels {
        match t.lease.port.get() {
            20101 => *t = slow_tunnel(),
            20102 => {
                t.session = session;
                t.warning.clone_from(&t.health.last_error);
            }
            _ => {}
        }
    }
    update::link(&mut s, LinkEvent::Push(Push::Snapshot(snap)));
    keys(&mut s, "2");
    s
}
