//! What is live: sessions, tunnels and visitors. Shared between the threads; counters are atomic.

use super::credential::Credential;
use super::post::{Mailbox, Said};
use super::rate::{Bucket, Rates};
use super::relay::Tally;
use super::vital::Vital;
use crate::audit::Context;
use crate::config::Config;
use crate::model::{
    BEHIND, BehindView, CheckKind, HealthView, HostName, Laggard, LeaseView, LinkLayer, Obituary, Port, Role,
    SessionId, SessionKind, TeamName, Time, Traffic, VisitorId, VisitorView,
};
use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::{Notify, oneshot};

/// Visitors cut no further apart are cut by one thing.
const TOGETHER: Duration = Duration::from_secs(5);

/// What can be asked of the task that owns a session.
#[derive(Debug)]
pub enum Order {
    /// Ask the client for a sign of life and say how long it took. No answer: no sign.
    Ping(oneshot::Sender<Duration>),
    /// End the session in order, with a word to the client if it listens, and by force if it does not.
    Goodbye,
}

/// One authenticated SSH connection.
#[derive(Debug)]
pub struct Session {
    /// Its id, and generation.
    pub id: SessionId,
    /// Host's or operator's.
    pub kind: SessionKind,
    /// Name of the host or operator.
    pub name: String,
    /// The host, for a host's session.
    pub host: Option<HostName>,
    /// The host's team.
    pub team: Option<TeamName>,
    /// The operator's role.
    pub role: Option<Role>,
    /// User name given at login, cleaned.
    pub user: String,
    /// Peer address.
    pub source: SocketAddr,
    /// What it signed in with.
    pub credential: Box<Credential>,
    /// The client's identification, cleaned.
    pub client: String,
    /// Key exchange and cipher agreed on, as far as that is known.
    pub algorithms: Option<String>,
    /// When it signed in.
    pub since: Time,
    /// Signs of life, and the poison.
    pub vital: Arc<Vital>,
    /// To the task that owns it.
    pub orders: Mailbox<Order>,
    /// Said when the session has ended and its tunnels are closed.
    pub over: Said<()>,
}

impl Session {
    /// Starts its end: says why, asks the owner to say goodbye. The owner uses force after a moment.
    pub fn end(&self, obituary: Obituary) {
        self.vital.ends(obituary);
        if self.orders.send(Order::Goodbye).is_err() {
            self.vital.poison();
        }
    }

    /// Waits until it has ended.
    pub async fn ended(&self) {
        self.over.wait().await;
    }

    /// The audit's fields for this session.
    #[must_use]
    pub fn context(&self) -> Context {
        Context {
            source: Some(self.source),
            fingerprint: Some(self.credential.fingerprint.clone()),
            certificate: self.credential.mark().cloned().map(Box::new),
            user: Some(self.user.clone()),
            team: self.team.clone(),
            host: self.host.clone(),
            session: Some(self.id),
            ..Context::default()
        }
    }
}

/// What can be asked of the task that owns a tunnel.
#[derive(Debug)]
pub enum TunnelOrder {
    /// A visitor that comes through an operator's session.
    Visit(Box<VisitOrder>),
    /// Check the service as a visitor would meet it.
    Check {
        /// How.
        kind: CheckKind,
        /// For how long at most.
        timeout: Duration,
        /// The result: how long it took, or what failed.
        done: oneshot::Sender<Result<Duration, CheckFailure>>,
    },
    /// Cut one visitor.
    Cut(VisitorId),
}

/// A visitor that comes through an operator's session.
#[derive(Debug)]
pub struct VisitOrder {
    /// Its bytes.
    pub stream: super::pipe::FarEnd,
    /// Who.
    pub caller: Caller,
    /// Told once the host has opened the stream, or why not.
    pub opened: oneshot::Sender<Result<VisitorId, String>>,
}

/// A failed check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckFailure {
    /// Where.
    pub layer: LinkLayer,
    /// What, in a sentence.
    pub error: String,
}

/// Who visits.
#[derive(Debug, Clone)]
pub struct Caller {
    /// Address; an operator's own for a visit through an SSH session.
    pub source: SocketAddr,
    /// The operator's name and session, for a visit through an SSH session.
    pub operator: Option<(String, SessionId, String)>,
}

/// A visitor, where it comes from, and as which operator in which session.
pub type Came = (VisitorId, SocketAddr, Option<(String, SessionId)>);

/// One visitor.
#[derive(Debug)]
pub struct Visitor {
    /// Its id.
    pub id: VisitorId,
    /// Who.
    pub caller: Caller,
    /// Since when.
    pub since: Time,
    /// Its bytes.
    pub tally: Tally,
    /// Why it is cut, where that is not said by its tunnel's end or an operator's act.
    pub why: OnceLock<String>,
}

/// A live tunnel.
#[derive(Debug)]
pub struct Tunnel {
    /// The lease under which it stands.
    pub lease: LeaseView,
    /// The session that carries it.
    pub session: Arc<Session>,
    /// Addresses as bound.
    pub listen: Vec<SocketAddr>,
    /// Since when.
    pub since: Time,
    /// Bytes of all visitors.
    pub tally: Tally,
    /// Visitors now.
    pub visitors: Mutex<HashMap<VisitorId, Arc<Visitor>>>,
    /// Visitors so far.
    pub visitors_total: AtomicU64,
    /// Visitors turned away or cut so far.
    pub visitors_refused: AtomicU64,
    /// New visitors, where there is a limit to how many a second.
    pub intake: Bucket,
    /// Its bytes, where there is a limit to how many a second.
    rates: Mutex<Option<Arc<Rates>>>,
    /// Visitors whose connections were just cut, and when the last one was: those that a tunnel's end costs are cut a
    /// moment before it or with it.
    pub cut: Mutex<Option<(Instant, u64)>>,
    /// Health, written by the checks.
    pub health: Mutex<HealthView>,
    /// Somebody met a fault: check now rather than at the next interval.
    pub recheck: Notify,
    /// To the task that owns it.
    pub orders: Mailbox<TunnelOrder>,
    /// Says why it must end.
    pub stop: Said<Obituary>,
    /// Said when the port is free again.
    pub released: Said<()>,
}

impl Tunnel {
    /// One that begins now, under this lease.
    #[must_use]
    pub fn new(lease: LeaseView, session: Arc<Session>, listen: Vec<SocketAddr>) -> Self {
        Self {
            lease,
            session,
            listen,
            since: crate::model::now(),
            tally: Tally::default(),
            visitors: Mutex::default(),
            visitors_total: AtomicU64::new(0),
            visitors_refused: AtomicU64::new(0),
            intake: Bucket::default(),
            rates: Mutex::default(),
            cut: Mutex::default(),
            health: Mutex::default(),
            recheck: Notify::new(),
            orders: Mailbox::default(),
            stop: Said::default(),
            released: Said::default(),
        }
    }

    /// The buckets for the bytes of visitors that come now; none when there is no limit.
    #[must_use]
    pub fn rates(&self, config: &Config) -> Option<Arc<Rates>> {
        let rate = config.limits_of(&self.lease.team).bytes_per_second?;
        let mut rates = self.rates.lock().unwrap_or_else(PoisonError::into_inner);
        // A changed rate begins with buckets of its own; visitors that are there keep theirs.
        let same = rates.take().filter(|r| r.rate == rate);
        Some(Arc::clone(rates.insert(same.unwrap_or_else(|| Arc::new(Rates::new(rate))))))
    }

    /// The port.
    #[must_use]
    pub fn port(&self) -> Port {
        self.lease.port
    }

    /// Closes listener and visitors; the first cause given stands.
    pub fn close(&self, obituary: &Obituary) {
        self.stop.say(obituary.clone());
    }

    /// Waits until the port is free.
    pub async fn closed(&self) {
        self.released.wait().await;
    }

    /// How many visitors there are now.
    #[must_use]
    pub fn visitors_now(&self) -> usize {
        self.visitors.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// A visitor was cut.
    pub fn note_cut(&self) {
        let mut cut = self.cut.lock().unwrap_or_else(PoisonError::into_inner);
        let before = cut.filter(|(at, _)| at.elapsed() < TOGETHER).map_or(0, |(_, n)| n);
        *cut = Some((Instant::now(), before + 1));
    }

    /// Visitors cut within this moment.
    #[must_use]
    pub fn just_cut(&self) -> u64 {
        let cut = self.cut.lock().unwrap_or_else(PoisonError::into_inner);
        cut.filter(|(at, _)| at.elapsed() < TOGETHER).map_or(0, |(_, n)| n)
    }

    /// Whether this visitor is there.
    #[must_use]
    pub fn has_visitor(&self, id: VisitorId) -> bool {
        self.visitors.lock().unwrap_or_else(PoisonError::into_inner).contains_key(&id)
    }

    /// Cuts a visitor, for this reason. Whether there was one to cut.
    pub fn cut(&self, id: VisitorId, why: &str) -> bool {
        let visitor = self.visitors.lock().unwrap_or_else(PoisonError::into_inner).get(&id).cloned();
        visitor.is_some_and(|v| {
            // The first reason stands.
            let _ = v.why.set(why.to_owned());
            self.orders.send(TunnelOrder::Cut(id)).is_ok()
        })
    }

    /// Where each visitor comes from, and as which operator in which session.
    #[must_use]
    pub fn callers(&self) -> Vec<Came> {
        let visitors = self.visitors.lock().unwrap_or_else(PoisonError::into_inner);
        let by = |v: &Visitor| v.caller.operator.as_ref().map(|(name, session, _)| (name.clone(), *session));
        visitors.values().map(|v| (v.id, v.caller.source, by(v))).collect()
    }

    /// The visitors now, oldest first.
    #[must_use]
    pub fn visitor_views(&self) -> Vec<VisitorView> {
        let visitors = self.visitors.lock().unwrap_or_else(PoisonError::into_inner);
        let mut out: Vec<VisitorView> = visitors
            .values()
            .map(|v| VisitorView {
                id: v.id,
                port: self.port(),
                source: v.caller.source,
                operator: v.caller.operator.as_ref().map(|(name, ..)| name.clone()),
                since: v.since,
                bytes_to_host: v.tally.to_host.load(Ordering::Relaxed),
                bytes_to_visitor: v.tally.to_visitor.load(Ordering::Relaxed),
                buffered: v.tally.buffered.load(Ordering::Relaxed),
                holding: v.tally.holding.load(Ordering::Relaxed) > 0,
                held_ms: v.tally.held.load(Ordering::Relaxed),
            })
            .collect();
        out.sort_by_key(|v| v.id);
        out
    }

    /// The host's service refused a visitor: seen at once, before a check finds the same. The verdict stays the checks'.
    pub fn refused(&self, error: &str) {
        let mut view = self.health.lock().unwrap_or_else(PoisonError::into_inner);
        let at = crate::model::now();
        // Many visitors at once are one observation.
        let again = view.layer == Some(LinkLayer::Channel)
            && view.last_at.is_some_and(|t| at.signed_duration_since(t).num_milliseconds() < 1000);
        view.layer = Some(LinkLayer::Channel);
        view.last_error = Some(crate::model::clean_line(error));
        if !again {
            view.last_at = Some(at);
            if view.history.len() >= 60 {
                view.history.remove(0);
            }
            view.history.push(None);
        }
    }

    /// Which visitors are behind. They are looked through only when the tunnel's own counters say that there may be some.
    #[must_use]
    pub fn behind(&self) -> BehindView {
        let mut out = BehindView {
            buffered: self.tally.buffered.load(Ordering::Relaxed),
            held_ms: self.tally.held.load(Ordering::Relaxed),
            ..BehindView::default()
        };
        if out.buffered < BEHIND && self.tally.holding.load(Ordering::Relaxed) == 0 {
            return out;
        }
        let visitors = self.visitors.lock().unwrap_or_else(PoisonError::into_inner);
        let mut worst: Option<(bool, u64, &Visitor)> = None;
        for v in visitors.values() {
            let buffered = v.tally.buffered.load(Ordering::Relaxed);
            let holding = v.tally.holding.load(Ordering::Relaxed) > 0;
            if !holding && buffered < BEHIND {
                continue;
            }
            out.visitors = out.visitors.saturating_add(1);
            out.holding = out.holding.saturating_add(u32::from(holding));
            if worst.is_none_or(|(h, b, w)| (holding, buffered, w.id) > (h, b, v.id)) {
                worst = Some((holding, buffered, v));
            }
        }
        out.worst = worst.map(|(holding, buffered, v)| Laggard {
            id: v.id,
            source: v.caller.source,
            operator: v.caller.operator.as_ref().map(|(name, ..)| name.clone()),
            buffered,
            holding,
        });
        out
    }

    /// What it has carried since it came up.
    #[must_use]
    pub fn traffic(&self) -> Traffic {
        Traffic {
            bytes_to_host: self.tally.to_host.load(Ordering::Relaxed),
            bytes_to_visitors: self.tally.to_visitor.load(Ordering::Relaxed),
            visitors: self.visitors_total.load(Ordering::Relaxed),
            refused: self.visitors_refused.load(Ordering::Relaxed),
            held_ms: self.tally.held.load(Ordering::Relaxed),
        }
    }

    /// A copy of its health.
    #[must_use]
    pub fn health(&self) -> HealthView {
        self.health.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The audit's fields for this tunnel.
    #[must_use]
    pub fn context(&self) -> Context {
        Context { port: Some(self.port()), ..self.session.context() }
    }
}
