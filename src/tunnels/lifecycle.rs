//! What operators do to leases, sessions and tunnels. Who may do it is decided, and refusals are audited, in `control`;
//! here it is done, and what was done is written into the journal.

use super::live::{Session, Tunnel, TunnelOrder};
use super::registry::Registry;
use crate::audit::{Actor, AuditError, Context, Event, What};
use crate::model::{
    GrantView, HostName, LeaseView, Obituary, ObituaryCause, OperatorName, Port, RevocationView, Seq, SessionId,
    SessionKind, VisitorId, VisitorView,
};
use crate::store::StoreError;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};
use thiserror::Error;

/// A session that does not end by itself is given this long before it is left to its poisoned stream.
pub(super) const END_WAIT: Duration = Duration::from_secs(2);

/// The longest a reconnect watches.
const WATCH_MAX: Duration = Duration::from_secs(600);

/// Why something was not done.
#[derive(Debug, Error)]
pub enum ActError {
    /// There is no such thing.
    #[error("{0}")]
    NotFound(String),
    /// Policy or state forbids it.
    #[error("{0}")]
    Conflict(String),
    /// The ledger could not be written; nothing was changed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The journal could not be written.
    #[error("the audit journal cannot be written, so nothing was done: {0}")]
    Audit(#[from] AuditError),
    /// The journal cannot be written at present.
    #[error("the audit journal cannot be written, so nothing was done: {0}")]
    Unaudited(String),
}

/// Who asks.
#[derive(Debug, Clone)]
pub struct By {
    /// On whose account.
    pub actor: Actor,
    /// How they came, for the audit.
    pub via: Option<String>,
    /// Who proposed it, where a second operator had to confirm it.
    pub proposed_by: Option<String>,
}

impl By {
    /// By whose word it happens.
    #[must_use]
    pub fn name(&self) -> String {
        let name = match &self.actor {
            Actor::Operator(n) | Actor::Host(n) => n.clone(),
            Actor::Visitor | Actor::Unknown | Actor::Daemon => "portreeve".to_owned(),
        };
        match &self.proposed_by {
            Some(first) => format!("{first} and {name}"),
            None => name,
        }
    }
    /// The context with how they came, and who proposed it.
    #[must_use]
    pub fn context(&self, context: Context) -> Context {
        Context { via: self.via.clone(), proposed_by: self.proposed_by.clone(), ..context }
    }
    /// An event on their account that went well.
    #[must_use]
    pub fn success(&self, what: What, context: Context) -> Event {
        Event::success(self.actor.clone(), what, self.context(context))
    }
    /// An event on their account that did not work.
    #[must_use]
    pub fn failure(&self, what: What, error: &str, context: Context) -> Event {
        Event::failure(self.actor.clone(), what, error, self.context(context))
    }
}

/// What was done.
#[derive(Debug, Clone)]
pub struct Done {
    /// The audit event that proves it.
    pub seq: Seq,
    /// In a sentence.
    pub summary: String,
    /// Whether it came to what was wanted.
    pub ok: bool,
    /// Lease concerned.
    pub lease: Option<LeaseView>,
    /// Block concerned.
    pub revocation: Option<RevocationView>,
    /// Grant concerned.
    pub grant: Option<GrantView>,
}

impl Done {
    pub(super) fn new(seq: Seq, summary: String) -> Self {
        Self { seq, summary, ok: true, lease: None, revocation: None, grant: None }
    }

    pub(super) fn warned(seq: Seq, summary: String, warning: Option<String>) -> Self {
        match warning {
            None => Self::new(seq, summary),
            Some(w) => Self { ok: false, ..Self::new(seq, format!("{summary}; {w}")) },
        }
    }
}

impl Registry {
    /// Drops a host's sessions and watches for its redial with the same ports.
    ///
    /// # Errors
    /// [`ActError`] when the host has no session, or when it is not the one that was meant.
    pub async fn reconnect(
        &self,
        by: By,
        host: &HostName,
        seen: Option<SessionId>,
        wait: Duration,
    ) -> Result<Done, ActError> {
        let sessions = self.sessions_of(host);
        let Some(newest) = sessions.last() else {
            return Err(ActError::NotFound(format!("host {host} has no session to drop; it is not connected")));
        };
        if let Some(seen) = seen
            && sessions.iter().all(|s| s.id != seen)
        {
            return Err(ActError::Conflict(format!(
                "host {host} has already come back as session {} since you looked; nothing was dropped",
                newest.id
            )));
        }
        let context = newest.context();
        let sessions: Vec<_> = sessions.iter().filter(|s| seen.is_none_or(|id| id == s.id)).cloned().collect();
        let wait = wait.min(WATCH_MAX);
        let ports: BTreeSet<Port> = sessions.iter().flat_map(|s| self.tunnels_of(s.id)).map(|t| t.port()).collect();
        let asked = What::Reconnect { stage: "asked".to_owned(), seconds: None };
        self.journal.commit(by.success(asked, context.clone())).await?;

        let mut changes = self.changes();
        let began = Instant::now();
        let old: Vec<SessionId> = sessions.iter().map(|s| s.id).collect();
        self.cut(&sessions, &Obituary::of(ObituaryCause::Reconnect)).await;
        let back = async {
            loop {
                changes.mark_unchanged();
                let now: BTreeSet<Port> = self
                    .sessions_of(host)
                    .iter()
                    .filter(|s| !old.contains(&s.id))
                    .flat_map(|s| self.tunnels_of(s.id))
                    .map(|t| t.port())
                    .collect();
                let present = self.sessions_of(host).iter().any(|s| !old.contains(&s.id));
                if present && ports.is_subset(&now) {
                    return;
                }
                if changes.changed().await.is_err() {
                    std::future::pending::<()>().await;
                }
            }
        };
        let ok = tokio::time::timeout(wait, back).await.is_ok();
        let seconds = began.elapsed().as_secs_f64();
        let summary = if ok {
            format!("{host} is back in {seconds:.1} s on the same ports ({})", list(&ports))
        } else {
            let missing: BTreeSet<Port> = ports.into_iter().filter(|p| self.tunnel(*p).is_none()).collect();
            let connected = self.sessions_of(host).iter().any(|s| !old.contains(&s.id));
            let but = if connected {
                format!("it is connected again but did not ask for {}", list(&missing))
            } else {
                "a stock client redials only under a supervisor such as autossh or systemd".to_owned()
            };
            format!("{host} is not back after {:.0} s: {but}", wait.as_secs_f64())
        };
        let stage = if ok { "back" } else { "not back" };
        let what = What::Reconnect { stage: stage.to_owned(), seconds: Some(seconds) };
        let event = if ok { by.success(what, context) } else { by.failure(what, &summary, context) };
        let (seq, warning) = self.prove(event).await;
        let done = Done::warned(seq, summary, warning);
        Ok(Done { ok: ok && done.ok, ..done })
    }

    /// Cuts one visitor.
    ///
    /// # Errors
    /// [`ActError`] when it is gone already.
    pub async fn cut_visitor(&self, by: By, visitor: VisitorId) -> Result<Done, ActError> {
        let (tunnel, source) = self
            .find_visitor(visitor)
            .ok_or_else(|| ActError::NotFound(format!("there is no visitor {visitor} (any more)")))?;
        self.auditable()?;
        let mut changes = self.changes();
        if tunnel.orders.send(TunnelOrder::Cut(visitor)).is_err() {
            return Err(ActError::NotFound(format!("visitor {visitor} left with its tunnel")));
        }
        // What is said to be cut is gone: its end needs no more than a turn of the tunnel's thread.
        let gone = async {
            loop {
                changes.mark_unchanged();
                if !tunnel.has_visitor(visitor) || changes.changed().await.is_err() {
                    return;
                }
            }
        };
        let _ = tokio::time::timeout(END_WAIT, gone).await;
        let context = Context { visitor: Some(visitor), ..tunnel.context() };
        let (seq, warning) = self.prove(by.success(What::CutVisitor {}, context)).await;
        Ok(Done::warned(seq, format!("cut visitor {visitor} ({source}) of port {}", tunnel.port()), warning))
    }

    /// The tunnel a visitor is on, and where the visitor comes from.
    #[must_use]
    pub fn find_visitor(&self, visitor: VisitorId) -> Option<(Arc<Tunnel>, std::net::SocketAddr)> {
        self.tunnels().into_iter().find_map(|t| {
            let v = t.visitor_views().into_iter().find(|v| v.id == visitor)?;
            Some((t, v.source))
        })
    }

    /// Closes one session.
    ///
    /// # Errors
    /// [`ActError`] when it is gone already.
    pub async fn disconnect(&self, by: By, id: SessionId) -> Result<Done, ActError> {
        let session =
            self.session(id).ok_or_else(|| ActError::NotFound(format!("there is no session {id} (any more)")))?;
        let seq = self.journal.commit(by.success(What::Disconnect {}, session.context())).await?;
        self.cut(std::slice::from_ref(&session), &Obituary::of(ObituaryCause::OperatorDisconnect)).await;
        Ok(Done::new(seq, format!("closed session {id} of {}", session.name)))
    }

    /// Closes all that an operator has open: sessions with their consoles, commands and forwards, and by `close` so many
    /// `connections` to the control socket. It is no block.
    ///
    /// # Errors
    /// [`ActError`] when there is nothing to close, or when it cannot be written down.
    pub async fn log_out(
        &self,
        by: By,
        operator: &OperatorName,
        reason: Option<String>,
        connections: usize,
        close: impl FnOnce(),
    ) -> Result<Done, ActError> {
        let sessions = self.sessions().into_iter();
        let sessions: Vec<_> =
            sessions.filter(|s| s.kind == SessionKind::Operator && s.name == operator.as_str()).collect();
        if sessions.is_empty() && connections == 0 {
            return Err(ActError::NotFound(format!("{operator} has nothing open: no session, no control connection")));
        }
        let of = |t: &Arc<Tunnel>| {
            let theirs = |v: &VisitorView| v.operator.as_deref() == Some(operator.as_str());
            t.visitor_views().into_iter().filter(theirs).map(|v| (Arc::clone(t), v.id)).collect::<Vec<_>>()
        };
        let visits: Vec<_> = self.tunnels().iter().flat_map(of).collect();
        let what =
            What::Logout { operator: operator.clone(), sessions: sessions.len(), connections, visitors: visits.len() };
        let (name, why) = (by.name(), reason.as_ref().map(|r| format!(": {r}")).unwrap_or_default());
        let seq = self.journal.commit(by.success(what, Context { reason, ..Context::default() })).await?;
        close();
        // A client has a moment to say goodbye; what it visits is cut before.
        for (tunnel, visitor) in &visits {
            // A tunnel that has ended meanwhile has no visitors.
            let _ = tunnel.orders.send(TunnelOrder::Cut(*visitor));
        }
        let detail = crate::model::clean_line(&format!("logged out by {name}{why}"));
        self.cut(&sessions, &Obituary::with(ObituaryCause::OperatorDisconnect, &detail)).await;
        let (sessions, connections) = (count(sessions.len(), "session"), count(connections, "control connection"));
        let visitors = count(visits.len(), "visitor");
        Ok(Done::new(seq, format!("logged {operator} out: closed {sessions}, {connections}, {visitors}")))
    }

    /// Ends every session and tunnel: the daemon stops.
    pub async fn shut_down(&self) {
        self.cut(&self.sessions(), &Obituary::of(ObituaryCause::Shutdown)).await;
    }

    /// Closes the sessions' tunnels at once, then the sessions, all at the same time.
    pub(super) async fn cut(&self, sessions: &[Arc<Session>], obituary: &Obituary) {
        for s in sessions {
            for t in self.tunnels_of(s.id) {
                t.close(obituary);
            }
            s.end(obituary.clone());
        }
        let deadline = tokio::time::Instant::now() + END_WAIT;
        for s in sessions {
            if tokio::time::timeout_at(deadline, s.ended()).await.is_err() {
                s.vital.poison();
            }
        }
        // A poisoned one ends within its owner's last breath, and writes that down.
        let deadline = tokio::time::Instant::now() + END_WAIT;
        for s in sessions {
            let _ = tokio::time::timeout_at(deadline, s.ended()).await;
        }
    }

    /// Nothing may be changed that cannot be written down.
    pub(super) fn auditable(&self) -> Result<(), ActError> {
        self.journal.healthy().map_err(ActError::Unaudited)
    }

    /// Writes down what has been done. It is done by now, so where the disk does not take it the journal keeps it in
    /// memory until it does, and the warning says so.
    pub(super) async fn prove(&self, event: Event) -> (Seq, Option<String>) {
        match self.journal.commit(event.clone()).await {
            Ok(seq) => (seq, None),
            Err(e) => {
                self.journal.record(event);
                (self.journal.status().seq, Some(format!("the journal could not be written ({e})")))
            }
        }
    }
}

fn list(ports: &BTreeSet<Port>) -> String {
    if ports.is_empty() {
        return "none".to_owned();
    }
    ports.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

pub(super) fn count(n: usize, what: &str) -> String {
    if n == 1 { format!("1 {what}") } else { format!("{n} {what}s") }
}
