//! A daemon for tests: a small fixed world behind [`Api`], whose answers tests choose.

use super::protocol::{Action, ApiError, Delta, ErrorCode, Explanation, Identity, Outcome, Reply, Request, Snapshot};
use super::server::{Api, BoxFuture, Cursor};
use crate::audit::{Actor, Context, Event, Found, Progress, Record, What};
use crate::model::*;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use tokio::sync::{Semaphore, watch};

pub(crate) fn identity(name: &str, role: Role) -> Identity {
    Identity::unix(name, role, None)
}

pub(crate) fn every_action() -> Vec<Action> {
    let target = BlockTarget::parse("pay-db").unwrap();
    let host: HostName = "pay-db".parse().unwrap();
    let (port, db) = (port(20100), host.clone());
    vec![
        Action::Reconnect { host: host.clone(), session: None, wait_s: None },
        Action::Revoke { target: target.clone(), reason: None },
        Action::Restore { target },
        Action::Assign { host, port: None, service: None, until: None, reason: None },
        Action::Move { from: port, to: None, reason: None },
        Action::Release { port, reason: None },
        Action::Reserve { port, until: at(), reason: "moves here in May".to_owned() },
        Action::Grant {
            what: Granted::Visitors { team: None, port: Some(port), network: "203.0.113.0/24".parse().unwrap() },
            until: at(),
            reason: "an audit".to_owned(),
        },
        Action::Ungrant { grant: GrantId::new(), reason: None },
        Action::CutVisitor { visitor: VisitorId::new() },
        Action::Disconnect { session: SessionId::new() },
        Action::Logout { operator: "alice".parse().unwrap(), reason: None },
        Action::Confirm { proposal: ProposalId::new() },
        Action::Withdraw { proposal: ProposalId::new() },
        Action::Mute { incident: "host-gone:pay-db".to_owned(), for_s: 3_600, reason: "moved".to_owned() },
        Action::Unmute { incident: "host-gone:pay-db".to_owned() },
        Action::Approve { fingerprint: "SHA256:new".to_owned(), host: db, until: None, reason: None },
        Action::Unapprove { fingerprint: "SHA256:new".to_owned(), reason: None },
        Action::Dismiss { fingerprint: "SHA256:new".to_owned() },
        Action::Reload,
        Action::WriteMode { on: true },
    ]
}

/// One moment for all rows, so that two pictures are equal.
pub(crate) fn at() -> Time {
    static AT: std::sync::LazyLock<Time> = std::sync::LazyLock::new(now);
    *AT
}

pub(crate) fn port(n: u16) -> Port {
    Port::try_from(n).unwrap()
}

pub(crate) fn session_id() -> SessionId {
    "s1abc".parse().unwrap()
}

pub(crate) fn tunnel(n: u16, host: &str, team: &str, state: TunnelState) -> TunnelView {
    let since = at();
    TunnelView {
        lease: LeaseView {
            port: port(n),
            host: host.parse().unwrap(),
            team: team.parse().unwrap(),
            service: Some("ssh".to_owned()),
            kind: LeaseKind::Fixed,
            since,
            until: None,
            by: "config".to_owned(),
            reason: None,
        },
        state,
        state_since: since,
        session: state.is_live().then(session_id),
        listen: vec![format!("127.0.0.1:{n}").parse().unwrap()],
        source: Some("203.0.113.9:5022".parse().unwrap()),
        bytes_to_host: 1_536,
        bytes_to_visitors: 3 << 30,
        visitors_now: 2,
        visitors_total: 9,
        visitors_refused: 0,
        behind: BehindView::default(),
        health: HealthView { check: CheckKind::Ssh, interval_s: 30, rise: 2, fall: 3, ..HealthView::default() },
        obituary: (state == TunnelState::Down).then(|| ObituaryView {
            at: since,
            obituary: Obituary::of(ObituaryCause::KeepaliveTimeout),
            last_byte_at: None,
            last_rtt_ms: None,
            visitors_cut: 0,
        }),
        revoked: None,
        warning: None,
        revision: Revision(1),
    }
}

pub(crate) fn record(seq: u64) -> Record {
    let context = Context { host: Some("pay-db".parse().unwrap()), port: Some(port(20100)), ..Context::default() };
    let what = What::Reconnect { stage: "asked".to_owned(), seconds: None };
    Record {
        seq: Seq(seq),
        at: at(),
        event: Event::success(Actor::Operator("alice".to_owned()), what, context),
        prev: "0".repeat(64),
        hash: "1".repeat(64),
    }
}

pub(crate) fn snapshot() -> Snapshot {
    let at = at();
    Snapshot {
        revision: Revision(1),
        at,
        daemon: DaemonView {
            name: "bastion-1".to_owned(),
            version: "0.1.0".to_owned(),
            started: at,
            ssh: vec!["127.0.0.1:2222".parse().unwrap()],
            config: "/etc/portreeve/portreeve.toml".to_owned(),
            config_read: at,
            first_tunnel: None,
            audit: AuditStatus { seq: Seq(3), failure: None, notice: None },
            spill: SpillView { used: 0, limit: 8 << 30 },
            notices: vec!["team iot: 9 of 10 ports are leased".to_owned()],
            revocations: vec![],
            grants: vec![],
            pending: vec![],
            approved: vec![],
            proposals: vec![],
            rules: vec![],
            idle_lock_s: None,
            idle_logout_s: None,
        },
        you: None,
        teams: vec![team("iot", "20200-20201"), team("pay", "20100-20199")],
        tunnels: vec![
            tunnel(20100, "pay-db", "pay", TunnelState::Up),
            tunnel(20101, "결제-서버", "pay", TunnelState::Degraded),
            tunnel(20200, "iot-77", "iot", TunnelState::Down),
        ],
        sessions: vec![SessionView {
            id: session_id(),
            kind: SessionKind::Host,
            name: "pay-db".to_owned(),
            team: Some("pay".parse().unwrap()),
            role: None,
            user: "tunnel".to_owned(),
            source: "203.0.113.9:5022".parse().unwrap(),
            fingerprint: "SHA256:abc".to_owned(),
            client: "OpenSSH_9.2p1".to_owned(),
            since: at,
            ports: vec![port(20100)],
            bytes_in: 10,
            bytes_out: 20,
            rtt_ms: Some(12.5),
            algorithms: None,
            last_heard: Some(at),
            revision: Revision(1),
        }],
        incidents: Some(vec![]),
        events: vec![record(3)],
        follow: None,
    }
}

/// A host that is silent.
pub(crate) fn incident() -> Incident {
    Incident {
        id: "host-silent:iot-77".to_owned(),
        cause: "host-silent".to_owned(),
        severity: Severity::Down,
        what: "iot-77".to_owned(),
        likely: "keepalive lost, silent".to_owned(),
        evidence: "keepalive timeout: the host went silent; it has not dialled again".to_owned(),
        seen: None,
        since: at(),
        tunnels: 1,
        hosts: 1,
        blast: Blast {
            teams: vec!["iot".parse().unwrap()],
            hosts: vec!["iot-77".parse().unwrap()],
            ports: vec![port(20200)],
            visitors_cut: 2,
            visitors_now: 0,
        },
        next: vec![NextStep {
            key: "5".to_owned(),
            what: "sign-ins".to_owned(),
            run: Some("portreeve audit --host iot-77 -n 20".to_owned()),
        }],
        muted: None,
    }
}

fn team(name: &str, range: &str) -> TeamView {
    TeamView {
        name: name.parse().unwrap(),
        contact: None,
        ranges: vec![range.parse().unwrap()],
        bind: BindPolicy::Loopback,
        visitors: vec![],
        leased: 1,
        reserved: vec![],
    }
}

/// The fake daemon.
pub(crate) struct Fake {
    pub(crate) changed: watch::Sender<u64>,
    /// Deltas computed.
    pub(crate) deltas: AtomicUsize,
    /// What was asked, in order.
    pub(crate) asked: Mutex<Vec<Request>>,
    /// What `Act` is answered.
    pub(crate) outcome: Mutex<Result<bool, ApiError>>,
    /// `Visitors` takes one of these before it is answered; `Act` too when `act_waits`.
    pub(crate) gate: Arc<Semaphore>,
    pub(crate) act_waits: bool,
    /// Actions that came to their end.
    pub(crate) acted: watch::Sender<usize>,
    /// Requests being answered now, and the most at a time.
    pub(crate) busy: watch::Sender<usize>,
    /// What is verified, explained, checked.
    pub(crate) good: bool,
    /// Bytes of padding in each delta.
    pub(crate) padding: usize,
    /// What whoever asks was granted.
    pub(crate) granted: Mutex<Vec<GrantedRole>>,
}

impl Default for Fake {
    fn default() -> Self {
        Self {
            changed: watch::Sender::new(0),
            deltas: AtomicUsize::new(0),
            asked: Mutex::default(),
            outcome: Mutex::new(Ok(true)),
            gate: Arc::new(Semaphore::new(1_000)),
            act_waits: false,
            acted: watch::Sender::new(0),
            busy: watch::Sender::new(0),
            good: true,
            padding: 0,
            granted: Mutex::default(),
        }
    }
}

impl Api for Fake {
    fn snapshot(&self, _who: &Identity, _since: Option<Seq>) -> Snapshot {
        snapshot()
    }
    fn delta(&self, _who: &Identity, cursor: &mut Cursor) -> Option<Delta> {
        self.deltas.fetch_add(1, Ordering::SeqCst);
        let revision = Revision(*self.changed.borrow());
        cursor.revision = revision;
        let seq = Seq(cursor.seq.0 + 1);
        cursor.seq = seq;
        let mut row = tunnel(20100, "pay-db", "pay", TunnelState::Up);
        row.warning = Some("x".repeat(self.padding));
        Some(Delta {
            revision,
            at: at(),
            daemon: None,
            teams: None,
            tunnels: vec![row],
            tunnels_gone: vec![],
            sessions: vec![],
            sessions_gone: vec![],
            incidents: None,
            events: vec![record(seq.0)],
            events_missed: 0,
        })
    }
    fn changed(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }
    fn identity(&self, who: &Identity) -> Identity {
        Identity { granted: self.granted.lock().unwrap().clone(), ..who.clone() }
    }
    fn handle(&self, _who: Identity, request: Request) -> BoxFuture<'static, Result<Reply, ApiError>> {
        self.asked.lock().unwrap().push(request.clone());
        let waits = matches!(request, Request::Visitors { .. }) || self.act_waits;
        let gate = Arc::clone(&self.gate);
        let (busy, acted) = (self.busy.clone(), self.acted.clone());
        let (good, outcome) = (self.good, self.outcome.lock().unwrap().clone());
        Box::pin(async move {
            busy.send_modify(|n| *n += 1);
            if waits {
                gate.acquire().await.unwrap().forget();
            }
            busy.send_modify(|n| *n -= 1);
            answer(request, good, outcome, &acted)
        })
    }
}

fn answer(
    request: Request,
    good: bool,
    outcome: Result<bool, ApiError>,
    acted: &watch::Sender<usize>,
) -> Result<Reply, ApiError> {
    Ok(match request {
        Request::Visitors { .. } => Reply::Visitors {
            visitors: vec![VisitorView {
                id: "v1".parse().unwrap(),
                port: port(20100),
                source: "127.0.0.1:40000".parse().unwrap(),
                operator: None,
                since: now(),
                bytes_to_host: 1,
                bytes_to_visitor: 2,
                buffered: 0,
                holding: false,
                held_ms: 0,
            }],
        },
        Request::Metrics { tunnels } => Reply::Metrics(Box::new(metrics(tunnels))),
        Request::Triage => Reply::Triaged { at: at(), incidents: if good { vec![] } else { vec![incident()] } },
        Request::Explain { who, .. } if who == "boom" => panic!("a bug in the daemon"),
        Request::Explain { .. } => Reply::Explained(Explanation {
            allowed: good,
            port: Some(port(20100)),
            rule: "fixed port of pay-db".to_owned(),
            steps: vec!["the key is pay-db's".to_owned()],
        }),
        #[cfg(not(test))]
        Request::HowTo { .. } => return Err(ApiError::new(ErrorCode::NotFound, "nobody is there")),
        #[cfg(test)]
        Request::HowTo { .. } => Reply::HowTo(Box::new(super::howto::tests::sample())),
        Request::Rehearse(_) => Reply::Explained(Explanation {
            allowed: good,
            port: Some(port(20100)),
            rule: "port 20100 is free in team pay's range".to_owned(),
            steps: vec![],
        }),
        Request::Check => {
            Reply::Checked { findings: if good { vec![] } else { vec!["20100 is held twice".to_owned()] } }
        }
        Request::Audit(q) if q.limit == Some(0) => Reply::Records { records: vec![], more: true },
        Request::Audit(_) => Reply::Records { records: vec![record(2), record(3)], more: true },
        Request::Search { query, .. } if query.limit == Some(1) && query.before.is_none() => {
            Reply::Found(found(vec![record(3)], Some(3)))
        }
        // In two pieces, the first of which comes back with nothing.
        Request::Search { query, .. } if query.before.is_none() => Reply::Found(found(vec![], Some(4))),
        Request::Search { .. } => Reply::Found(found(vec![record(2), record(3)], None)),
        Request::Chain => Reply::Chain(crate::audit::ChainStatus::default()),
        Request::Checkpoint => Reply::Checkpoint(Box::new(crate::audit::Checkpoint {
            upto: Seq(7),
            head: "ab".repeat(32),
            made: crate::model::now(),
            key: "SHA256:x".to_owned(),
            signature: "-----BEGIN SSH SIGNATURE-----\n".to_owned(),
        })),
        Request::AuditVerify => Reply::Verified { ok: good, summary: "3 events".to_owned() },
        Request::Act(_) => {
            let ok = outcome?;
            acted.send_modify(|n| *n += 1);
            let summary = if ok { "back in 3.2 s on the same ports" } else { "not back after 60 s" };
            Reply::Done(Outcome {
                seq: Seq(7),
                summary: summary.to_owned(),
                ok,
                lease: None,
                revocation: None,
                grant: None,
                proposal: None,
            })
        }
        _ => return Err(ApiError::new(ErrorCode::Invalid, "serve answers this itself")),
    })
}

fn found(records: Vec<Record>, next: Option<u64>) -> Found {
    let progress = Progress { files_done: 1, files: 2, bytes_done: 1 << 20, bytes: 3 << 20 };
    Found { records, next: next.map(Seq), progress }
}

/// Numbers of [`snapshot`]'s bastion, with one visitor of 20101 that slows its session.
pub(crate) fn metrics(each_tunnel: bool) -> Metrics {
    let s = snapshot();
    let traffic = Traffic { bytes_to_host: 1000, bytes_to_visitors: 2000, visitors: 9, refused: 1, held_ms: 1500 };
    let worst = Laggard {
        id: "v1".parse().unwrap(),
        source: "10.0.0.7:51234".parse().unwrap(),
        operator: None,
        buffered: 3 << 20,
        holding: true,
    };
    let behind = BehindView { buffered: 3 << 20, visitors: 1, holding: 1, held_ms: 1500, worst: Some(worst) };
    let tunnels = s.tunnels.iter().map(|t| TunnelMetrics {
        port: t.lease.port,
        host: t.lease.host.clone(),
        team: t.lease.team.clone(),
        state: t.state,
        state_since: t.state_since,
        health: if t.state == TunnelState::Up { Verdict::Passing } else { Verdict::Failing },
        latency_ms: Some(4.25),
        visitors_now: t.visitors_now.into(),
        behind: if t.lease.port == port(20101) { behind.clone() } else { BehindView::default() },
        traffic,
    });
    let teams = s.teams.iter().map(|t| TeamMetrics {
        team: t.name.clone(),
        ports: t.ranges.iter().map(|r| r.iter().count() as u64).sum(),
        leased: t.leased as u64,
        tunnels: {
            let mut n = StateCounts::default();
            s.tunnels.iter().filter(|x| x.lease.team == t.name).for_each(|x| n.count(x.state));
            n
        },
        visitors_now: 4,
        visitors_behind: 1,
        buffered: 3 << 20,
        traffic,
    });
    Metrics {
        at: at(),
        name: s.daemon.name.clone(),
        version: s.daemon.version.clone(),
        process: ProcessMetrics {
            pid: 7,
            started: Time::from_timestamp_millis(1_772_632_931_250).unwrap(),
            resident_bytes: 20 << 20,
            open_fds: 40,
            max_fds: 1024,
            threads: 6,
            cpu_seconds: 1.25,
        },
        sessions: SessionCounts { hosts: 1, operators: 0, held: 1 },
        unauthenticated: 2,
        gate: crate::model::GateView { refused: vec![("startups".to_owned(), 7)], ..Default::default() },
        spill: SpillView { used: 2 << 20, limit: 8 << 30 },
        audit: s.daemon.audit.clone(),
        ledger_writable: true,
        unsaved_blocks: 0,
        blocks: 0,
        teams: teams.collect(),
        tunnels: if each_tunnel { tunnels.collect() } else { vec![] },
    }
}
