//! The desk: answers every request of console, CLI and SSH exec. Here, once, it is decided who may do what, and every
//! refusal is written down.

use super::authz;
use super::proposals::Proposals;
use super::protocol::{Action, ApiError, Delta, ErrorCode, Identity, Outcome, Reply, Request, Snapshot};
use super::seats::{Seat, Seats};
use super::server::{Api, BoxFuture, Cursor};
use super::sight::{came, identify, sees_record, sees_session, sees_tunnel, unlimited};
use crate::audit::{Actor, Context, Event, Record, What};
use crate::model::{BlockTarget, DaemonView, Revision, Role, Seq, bytes, now};
use crate::server::Gate;
use crate::triage::{Known, Scope, Triage};
use crate::tunnels::{ActError, Board, By, Done, Registry};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::watch;

/// Recent events a snapshot carries at most.
const RECENT: usize = 2_000;
/// New events a delta carries at most.
const EVENTS: usize = 500;
/// How often counters are looked at while somebody watches.
const SAMPLE: Duration = Duration::from_secs(1);

/// What the desk knows of the daemon around it.
#[derive(Debug, Clone)]
pub struct Facts {
    /// Addresses of the SSH server.
    pub ssh: Vec<SocketAddr>,
    /// The line that brings up a first tunnel.
    pub first_tunnel: Option<String>,
    /// The bastion's public keys, in OpenSSH's form.
    pub host_keys: Vec<String>,
    /// Connections that have not signed in.
    pub gate: Arc<Gate>,
}

/// Reads the configuration anew and puts it in force; says what changed, a sentence each.
pub trait Reloader: Send + Sync + 'static {
    /// Does it.
    fn reload(&self, by: By) -> BoxFuture<'static, Result<(Seq, Vec<String>), String>>;
}

/// See the module.
pub struct Desk {
    pub(super) registry: Arc<Registry>,
    board: Mutex<(Board, Option<u64>)>,
    triage: Mutex<Triage>,
    pub(super) facts: Facts,
    reloader: Arc<dyn Reloader>,
    /// What waits for a second operator.
    pub(super) proposals: Mutex<Proposals>,
    pub(super) seats: Seats,
    /// Itself, for answers that outlive the call.
    me: std::sync::Weak<Self>,
}

impl Desk {
    /// A desk for this registry.
    #[must_use]
    pub fn new(registry: Arc<Registry>, facts: Facts, reloader: Arc<dyn Reloader>) -> Arc<Self> {
        Arc::new_cyclic(|me| Self {
            registry,
            board: Mutex::default(),
            triage: Mutex::default(),
            facts,
            reloader,
            proposals: Mutex::default(),
            seats: Seats::default(),
            me: me.clone(),
        })
    }

    /// Looks once a second at the counters while somebody watches, and at consoles that nobody sits at. Runs for ever.
    pub async fn sample(self: Arc<Self>) {
        let mut every = tokio::time::interval(SAMPLE);
        every.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
        loop {
            every.tick().await;
            if self.registry.watched() {
                self.registry.touch();
            }
            self.close_idle();
        }
    }

    /// Runs `f` on the rows, brought up to date if anything happened since the last time.
    pub(super) fn with_board<T>(&self, f: impl FnOnce(&Board) -> T) -> T {
        let tick = *self.registry.changes().borrow();
        let mut guard = self.board.lock().unwrap_or_else(PoisonError::into_inner);
        let (board, seen) = &mut *guard;
        if *seen != Some(tick) {
            board.refresh(&self.registry);
            *seen = Some(tick);
        }
        f(board)
    }

    /// What is wrong, as far as this person may see it. `patient`: as of up to a second ago will do.
    pub(super) fn triage(&self, who: &Identity, board: &Board, patient: bool) -> Known {
        let scope: Scope = who.rights().teams_as(Role::Viewer);
        let mut triage = self.triage.lock().unwrap_or_else(PoisonError::into_inner);
        triage.look(&scope, board, &self.registry, patient)
    }

    /// Whether this person may have no console any more: revoked, or gone from the configuration.
    fn has_to_leave(&self, who: &Identity) -> bool {
        let config = self.registry.config();
        match who.uid {
            Some(uid) => identify(&config, uid).is_err() || self.account_out(uid),
            None => false,
        }
    }

    fn daemon(&self, who: &Identity) -> DaemonView {
        let config = self.registry.config();
        let audit = self.registry.journal.status();
        let spill = self.registry.limits().budget.view();
        let mut notices = self.registry.list_problems();
        notices.extend(self.conflicts(who));
        if spill.is_nearly_full() {
            // Without the number that changes every second: a notice is to be read, and it is in the header.
            notices.push(format!(
                "data waiting for slow visitors fills nine tenths of relay.total_spill ({}); who they are: portreeve visitors",
                bytes(spill.limit)
            ));
        }
        DaemonView {
            name: config.name.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            started: self.registry.started,
            ssh: self.facts.ssh.clone(),
            config: config.path.display().to_string(),
            config_read: config.read_at,
            first_tunnel: self.facts.first_tunnel.clone(),
            audit,
            spill,
            notices,
            pending: self.seen_pending(who),
            approved: self.seen_approvals(who),
            proposals: self.views(who),
            rules: config.action_rules(),
            idle_lock_s: config.control.idle_lock.map(|d| d.as_secs()),
            idle_logout_s: config.control.idle_logout.map(|d| d.as_secs()),
            revocations: self
                .registry
                .blocks()
                .into_iter()
                .filter(|b| match self.registry.target_context(&config, &b.target).team {
                    Some(t) => who.sees(&t),
                    None => unlimited(who) || matches!(b.target, BlockTarget::Key(_) | BlockTarget::Port(_)),
                })
                .collect(),
            grants: self.seen_grants(who),
        }
    }

    fn events(&self, who: &Identity, since: Option<Seq>, max: usize) -> (Vec<Record>, u64) {
        let all = self.registry.journal.recent(since, usize::MAX);
        let visible: Vec<_> = all.iter().filter(|r| sees_record(who, r)).collect();
        let missed = visible.len().saturating_sub(max);
        (visible.into_iter().skip(missed).map(|r| (**r).clone()).collect(), missed as u64)
    }

    async fn answer(self: Arc<Self>, who: Identity, request: Request) -> Result<Reply, ApiError> {
        match request {
            Request::Hello { .. } | Request::Snapshot | Request::Subscribe { .. } | Request::Active => {
                Err(ApiError::new(ErrorCode::Invalid, "this request is answered by the connection itself"))
            }
            Request::Visitors { port } => {
                let tunnels = match port {
                    Some(p) => self.registry.tunnel(p).into_iter().collect(),
                    None => self.registry.tunnels(),
                };
                let visitors =
                    tunnels.iter().filter(|t| who.sees(&t.lease.team)).flat_map(|t| t.visitor_views()).collect();
                Ok(Reply::Visitors { visitors })
            }
            Request::Metrics { tunnels } => Ok(Reply::Metrics(Box::new(self.metrics(&who, tunnels).await))),
            Request::Triage => {
                let known = self.with_board(|b| self.triage(&who, b, false));
                Ok(Reply::Triaged { at: now(), incidents: known.incidents.to_vec() })
            }
            Request::Explain { who: host, port } => self.explain(&who, &host, port).map(Reply::Explained),
            Request::HowTo { of } => self.howto(&who, &of).map(|h| Reply::HowTo(Box::new(h))),
            Request::Rehearse(action) => Ok(Reply::Explained(self.rehearse(&who, &action))),
            Request::Keys => Ok(self.keys(&who)),
            Request::Pending => Ok(self.pending(&who)),
            Request::Check => Ok(Reply::Checked { findings: self.check(&who) }),
            Request::Audit(query) => self.audit(&who, *query).await,
            Request::Search { query, slice_ms } => self.search(&who, *query, slice_ms).await,
            Request::AuditVerify => self.verify().await,
            Request::Checkpoint => self.checkpoint().await,
            Request::Chain => self.chain().await,
            Request::Act(action) => self.act(who, action).await.map(Reply::Done),
        }
    }

    /// Disagreements of configuration and ledger that this person may know of.
    fn conflicts(&self, who: &Identity) -> Vec<String> {
        let all = self.registry.conflicts();
        let theirs = all.iter().filter(|c| c.team.as_ref().map_or_else(|| unlimited(who), |t| who.sees(t)));
        theirs.map(|c| c.sentence.clone()).collect()
    }

    fn check(&self, who: &Identity) -> Vec<String> {
        let config = self.registry.config();
        let mut findings = self.conflicts(who);
        findings.extend(self.unused_keys(who));
        if !unlimited(who) {
            // The file speaks of every team.
            return findings;
        }
        findings.extend(self.registry.list_problems());
        findings.extend(self.lonely_rules());
        match crate::config::Config::load(&config.path) {
            Ok(on_disk) => {
                let diff = crate::config::Diff::between(&config, &on_disk);
                if !diff.is_empty() {
                    findings.push(format!(
                        "{} has changed since it was read ({}); put it in force with `portreeve reload`",
                        config.path.display(),
                        diff.sentences().join("; ")
                    ));
                }
            }
            Err(e) => findings.push(format!("{} could not be reloaded as it is now: {e}", config.path.display())),
        }
        findings
    }

    async fn act(&self, who: Identity, mut action: Action) -> Result<Outcome, ApiError> {
        self.canonical(&mut action)?;
        let (team, context) = self.subject(&who, &action);
        let mut by = By { actor: Actor::Operator(who.name.clone()), via: Some(came(&who)), proposed_by: None };
        let config = self.registry.config();
        let allowed = self.credential_holds(&who);
        let allowed = allowed.and_then(|()| authz::check(&config, &who, &action, team.as_ref()));
        let allowed = allowed.and_then(|grant| self.not_above(&who, &action).map(|()| grant));
        let allowed = allowed.and_then(|grant| self.by_two(&who, &action).map(|its| its.or(grant)));
        // What is gone is of no team, so somebody limited to teams would be told that it is not theirs.
        let allowed = allowed.map_err(|e| match self.gone(&action) {
            Some(gone) if who.rights().best() >= authz::required_role(&config, &action) => {
                ApiError::new(ErrorCode::NotFound, gone)
            }
            _ => e,
        });
        match allowed {
            // What somebody did by a grant reads so in the journal.
            Ok(Some(grant)) => by.via = by.via.map(|via| format!("{via} by grant {grant}")),
            Ok(None) => {}
            Err(e) => {
                let what = What::OperatorRefused { action: action.id().to_owned() };
                let context = Context { via: by.via.clone(), ..context };
                self.registry.journal.record(Event::refused(by.actor, what, &e.message, context));
                return Err(e);
            }
        }
        match action {
            Action::Confirm { proposal } => self.confirm(who, by, proposal, &action).await,
            Action::Withdraw { proposal } => self.withdraw(by, proposal).await,
            _ if authz::needs_second(&config, &action) => self.propose(&who, by, action, context).await,
            _ => self.carry_out(who, by, action, context).await,
        }
    }

    /// Does what this person may do.
    pub(super) async fn carry_out(
        &self,
        who: Identity,
        by: By,
        action: Action,
        context: Context,
    ) -> Result<Outcome, ApiError> {
        let (id, failed_by, subject) = (action.id(), by.clone(), context.clone());
        let r = &self.registry;
        let done = match action {
            Action::Reconnect { host, session, wait_s } => {
                let wait = wait_s.map_or(r.config().ssh.reconnect_wait, Duration::from_secs);
                r.reconnect(by, &host, session, wait).await
            }
            Action::Revoke { target, reason } => r.revoke(by, target, reason).await,
            Action::Restore { target } => r.restore(by, target).await,
            Action::Assign { host, port, service, until, reason } => {
                r.assign(by, &host, port, service, until, reason).await
            }
            Action::Move { from, to, reason } => r.move_lease(by, from, to, reason).await,
            Action::Release { port, reason } => r.release(by, port, reason).await,
            Action::Reserve { port, until, reason } => r.reserve(by, port, until, reason).await,
            Action::Grant { what, until, reason } => r.grant(by, what, until, &reason).await,
            Action::Ungrant { grant, reason } => r.ungrant(by, grant, reason).await,
            Action::CutVisitor { visitor } => r.cut_visitor(by, visitor).await,
            Action::Disconnect { session } => r.disconnect(by, session).await,
            Action::Logout { operator, reason } => self.log_out(by, &operator, reason).await,
            Action::Mute { incident, for_s, reason } => self.mute(by, &who, (incident, for_s, &reason), context).await,
            Action::Unmute { incident } => r.unmute(by, &incident, context).await,
            Action::Approve { fingerprint, host, until, reason } => {
                r.approve(by, &fingerprint, &host, until, reason).await
            }
            Action::Unapprove { fingerprint, reason } => r.unapprove(by, &fingerprint, reason).await,
            Action::Dismiss { fingerprint } => r.dismiss(by, &fingerprint).await,
            Action::Reload => return self.reload(by).await,
            // Stand for another one, which is carried out in their place.
            Action::Confirm { .. } | Action::Withdraw { .. } => {
                return Err(ApiError::new(ErrorCode::Invalid, "a proposal cannot be about another one"));
            }
            Action::WriteMode { on } => {
                let stage = if on { "write" } else { "read-only" };
                let what = What::Console { stage: stage.to_owned() };
                let event = by.success(what, context);
                r.journal.commit(event).await.map_err(ActError::from).map(|seq| Done {
                    seq,
                    summary: if on { "write mode for ten minutes".to_owned() } else { "read-only".to_owned() },
                    ok: true,
                    lease: None,
                    revocation: None,
                    grant: None,
                })
            }
        };
        done.map(outcome).map_err(|e| {
            let what = What::OperatorRefused { action: id.to_owned() };
            let event = failed_by.failure(what, &e.to_string(), subject);
            self.registry.journal.record(event);
            let code = match &e {
                ActError::NotFound(_) => ErrorCode::NotFound,
                ActError::Conflict(_) => ErrorCode::Conflict,
                ActError::Store(_) | ActError::Audit(_) | ActError::Unaudited(_) => ErrorCode::Unavailable,
            };
            ApiError::new(code, e.to_string())
        })
    }

    async fn reload(&self, by: By) -> Result<Outcome, ApiError> {
        match self.reloader.reload(by).await {
            Ok((seq, changes)) => {
                let summary = if changes.is_empty() { "nothing has changed".to_owned() } else { changes.join("; ") };
                Ok(Outcome { seq, summary, ok: true, lease: None, revocation: None, grant: None, proposal: None })
            }
            Err(e) => Err(ApiError::new(ErrorCode::Invalid, format!("the running configuration stays: {e}"))),
        }
    }
}

impl Api for Desk {
    fn snapshot(&self, who: &Identity, since: Option<Seq>) -> Snapshot {
        let who = &self.as_of_now(who);
        let (events, _) = self.events(who, since, RECENT);
        // Nobody may have watched: counters are then as old as the last event.
        self.registry.touch();
        self.with_board(|b| Snapshot {
            revision: b.revision(),
            at: now(),
            daemon: self.daemon(who),
            you: Some(Box::new(who.clone())),
            teams: b.teams().iter().filter(|t| who.sees(&t.name)).cloned().collect(),
            tunnels: b.tunnels_since(Revision(0)).filter(|t| sees_tunnel(who, t)).cloned().collect(),
            sessions: b.sessions_since(Revision(0)).filter(|s| sees_session(who, s)).cloned().collect(),
            incidents: Some(self.triage(who, b, false).incidents.to_vec()),
            events,
            follow: None,
        })
    }

    fn delta(&self, who: &Identity, cursor: &mut Cursor) -> Option<Delta> {
        let who = &self.as_of_now(who);
        let (events, events_missed) = self.events(who, Some(cursor.seq), EVENTS);
        let since = cursor.revision;
        let daemon = self.daemon(who);
        let mut delta = self.with_board(|b| Delta {
            revision: b.revision(),
            at: now(),
            daemon: None,
            teams: b.teams_since(since).map(|ts| ts.iter().filter(|t| who.sees(&t.name)).cloned().collect()),
            tunnels: b.tunnels_since(since).filter(|t| sees_tunnel(who, t)).cloned().collect(),
            // What left this person's teams is gone for them.
            tunnels_gone: b
                .tunnels_gone_since(since)
                .chain(b.tunnels_since(since).filter(|t| !sees_tunnel(who, t)).map(|t| t.lease.port))
                .collect(),
            sessions: b.sessions_since(since).filter(|s| sees_session(who, s)).cloned().collect(),
            sessions_gone: b.sessions_gone_since(since).collect(),
            incidents: {
                let known = self.triage(who, b, true);
                let news = cursor.triage != Some(known.version);
                cursor.triage = Some(known.version);
                news.then(|| known.incidents.to_vec())
            },
            events,
            events_missed,
        });
        cursor.revision = delta.revision;
        if let Some(last) = delta.events.last() {
            cursor.seq = last.seq;
        }
        // The journal's number rises with every event; by itself it is no reason to send the daemon's facts again.
        let print = fingerprint(&daemon);
        if cursor.daemon != Some(print) {
            cursor.daemon = Some(print);
            delta.daemon = Some(daemon);
        }
        let silent = delta.daemon.is_none()
            && delta.teams.is_none()
            && delta.tunnels.is_empty()
            && delta.tunnels_gone.is_empty()
            && delta.sessions.is_empty()
            && delta.sessions_gone.is_empty()
            && delta.incidents.is_none()
            && delta.events.is_empty();
        (!silent).then_some(delta)
    }

    fn changed(&self) -> watch::Receiver<u64> {
        self.registry.changes()
    }

    fn enter(&self, seat: &Arc<Seat>) {
        self.seats.enter(seat);
    }

    fn dismissed(&self, who: &Identity) -> bool {
        self.has_to_leave(who)
    }

    fn identity(&self, who: &Identity) -> Identity {
        self.as_of_now(who)
    }

    fn handle(&self, who: Identity, request: Request) -> BoxFuture<'static, Result<Reply, ApiError>> {
        let me = self.me.upgrade();
        Box::pin(async move {
            match me {
                Some(desk) => {
                    let who = desk.as_of_now(&who);
                    desk.answer(who, request).await
                }
                None => Err(ApiError::new(ErrorCode::Unavailable, "the daemon is stopping")),
            }
        })
    }
}

fn fingerprint(d: &DaemonView) -> u64 {
    use std::hash::{DefaultHasher, Hash, Hasher};
    let mut still = d.clone();
    still.audit.seq = Seq::default();
    let mut h = DefaultHasher::new();
    serde_json::to_string(&still).unwrap_or_default().hash(&mut h);
    h.finish()
}

fn outcome(d: Done) -> Outcome {
    Outcome {
        seq: d.seq,
        summary: d.summary,
        ok: d.ok,
        lease: d.lease,
        revocation: d.revocation,
        grant: d.grant,
        proposal: None,
    }
}
