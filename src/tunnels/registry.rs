//! The registry: sessions and tunnels that live, the ledger beside them, and the memory of those that died.
//!
//! One lock guards it. It is taken at sign-in, at a forward, at an end: never for a byte and never across a wait.

mod known;

use super::approve::Approvals;
use super::credential::Credential;
use super::crowd::Crowd;
use super::dirty::Dirty;
use super::ledger::{Conflict, Ledger};
use super::live::{Session, Tunnel};
use super::pending::Waiting;
use super::relay::RelayLimits;
use super::spill::SpillBudget;
use super::strain::Strain;
use super::trouble::Troubles;
use super::uses::Uses;
use crate::audit::{Actor, Event, Journal, Repeats, What};
use crate::config::{Config, OnFailure, Principal, RevokedKeys};
use crate::model::{
    BlockTarget, Certified, GrantView, HealthView, HostName, Obituary, ObituaryView, OperatorName, Port, Seq,
    SessionId, SessionKind, TeamName, Time, Traffic, now,
};
use crate::store::{Saved, StoreHandle};
use arc_swap::ArcSwap;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, watch};

/// How long a port is passed over after another program was found on it.
const FOREIGN: Duration = Duration::from_secs(300);

/// The last life of a tunnel that is no more.
#[derive(Debug, Clone)]
pub struct Past {
    /// Whose it was. The port may be another host's by now.
    pub host: HostName,
    /// Why it ended.
    pub obituary: ObituaryView,
    /// Where its host was.
    pub source: SocketAddr,
    /// Bytes to the host.
    pub bytes_to_host: u64,
    /// Bytes to visitors.
    pub bytes_to_visitors: u64,
    /// Visitors it had.
    pub visitors_total: u64,
    /// Visitors turned away.
    pub visitors_refused: u64,
    /// Its health at the end.
    pub health: HealthView,
}

/// Everything under the lock.
#[derive(Debug)]
pub(super) struct State {
    pub(super) ledger: Ledger,
    pub(super) sessions: HashMap<SessionId, Arc<Session>>,
    /// The same of hosts, by host, oldest first.
    pub(super) by_host: HashMap<HostName, Vec<Arc<Session>>>,
    pub(super) tunnels: BTreeMap<Port, Arc<Tunnel>>,
    /// The same, by session.
    pub(super) carried: HashMap<SessionId, BTreeMap<Port, Arc<Tunnel>>>,
    /// Ports granted and being bound.
    pub(super) pending: HashMap<Port, SessionId>,
    pub(super) past: BTreeMap<Port, Past>,
    /// What tunnels that ended have carried since the daemon started, by team: sums must not fall when one ends.
    pub(super) ended: BTreeMap<TeamName, Traffic>,
    /// When keys were used.
    pub(super) uses: Uses,
    /// What goes wrong with hosts.
    pub(super) troubles: Troubles,
    /// Sessions signed in by certificates that end, by that time.
    pub(super) expiring: BTreeSet<(Time, SessionId)>,
    /// Blocks that hold in memory and are not (yet) saved.
    pub(super) unsaved: HashSet<BlockTarget>,
    /// Ports on which another program was found listening, and when: not given out again for a while.
    pub(super) foreign: HashMap<Port, Instant>,
    /// Keys that nobody has, and that may be approved.
    pub(super) waiting: Waiting,
    /// Keys approved beside the configuration.
    pub(super) approvals: Approvals,
    /// Incidents that are to alarm nobody, by id.
    pub(super) mutes: super::mutes::Mutes,
    /// What changed since the board was last brought up to date.
    pub(super) dirty: Dirty,
}

impl State {
    pub(super) fn in_use(&self, port: Port) -> bool {
        self.tunnels.contains_key(&port)
            || self.pending.contains_key(&port)
            || self.foreign.get(&port).is_some_and(|seen| seen.elapsed() < FOREIGN)
    }

    pub(super) fn holder(&self, port: Port) -> Option<SessionId> {
        self.tunnels.get(&port).map(|t| t.session.id).or_else(|| self.pending.get(&port).copied())
    }
}

/// See the module.
pub struct Registry {
    config: ArcSwap<Config>,
    limits: ArcSwap<RelayLimits>,
    /// Revocation lists.
    pub(super) revoked: ArcSwap<RevokedKeys>,
    /// What was given until a time. Read without the lock, changed under it.
    pub(super) granted: ArcSwap<Vec<GrantView>>,
    /// One look at them at a time.
    pub(super) looking: Mutex<()>,
    /// The journal.
    pub journal: Journal,
    pub(super) repeats: Repeats,
    pub(super) crowd: Crowd,
    pub(super) store: StoreHandle,
    state: Mutex<State>,
    tick: watch::Sender<u64>,
    /// Counters may have moved since the board last looked.
    pub(super) counters: AtomicBool,
    pub(super) tunnel_up: mpsc::UnboundedSender<Arc<Tunnel>>,
    /// Whether the bastion keeps up.
    pub strain: Strain,
    /// When the daemon started.
    pub started: Time,
    /// Whether a daemon ran here before: journal or ledger are older than this run.
    pub ran_before: bool,
    drained: AtomicU64,
    /// The disagreements of configuration and ledger, of which configuration and which version of the ledger.
    conflicts: Mutex<Option<Known>>,
}

/// See [`Registry::conflicts`].
struct Known {
    config: Arc<Config>,
    ledger: u64,
    conflicts: Arc<[Conflict]>,
}

impl std::fmt::Debug for Registry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Registry").field("state", &self.state).finish_non_exhaustive()
    }
}

impl Registry {
    /// A registry with the ledger as saved. Each tunnel that comes up is sent to `tunnel_up`, for the checks.
    #[must_use]
    pub fn new(
        config: Arc<Config>,
        journal: Journal,
        store: StoreHandle,
        saved: Saved,
        tunnel_up: mpsc::UnboundedSender<Arc<Tunnel>>,
    ) -> Arc<Self> {
        let limits = Self::limits_of(&config, None);
        let approvals = Approvals::new(&saved.approvals);
        let config = approvals.over(config);
        let mut uses = Uses::new(saved.key_uses.clone());
        uses.keep(&config, now());
        let ran_before = journal.status().seq > Seq::default() || !saved.leases.is_empty();
        Arc::new(Self {
            config: ArcSwap::new(config),
            limits: ArcSwap::from_pointee(limits),
            revoked: ArcSwap::default(),
            granted: ArcSwap::from_pointee(saved.grants.clone()),
            looking: Mutex::default(),
            journal,
            repeats: Repeats::default(),
            crowd: Crowd::default(),
            store,
            state: Mutex::new(State {
                mutes: super::mutes::Mutes::new(saved.mutes.iter().cloned()),
                ledger: Ledger::new(saved),
                sessions: HashMap::new(),
                by_host: HashMap::new(),
                tunnels: BTreeMap::new(),
                carried: HashMap::new(),
                pending: HashMap::new(),
                past: BTreeMap::new(),
                ended: BTreeMap::new(),
                uses,
                waiting: Waiting::default(),
                approvals,
                troubles: Troubles::default(),
                expiring: BTreeSet::new(),
                unsaved: HashSet::new(),
                foreign: HashMap::new(),
                dirty: Dirty::default(),
            }),
            tick: watch::Sender::new(0),
            counters: AtomicBool::new(true),
            tunnel_up,
            strain: Strain::default(),
            started: now(),
            ran_before,
            drained: AtomicU64::new(0),
            conflicts: Mutex::new(None),
        })
    }

    fn limits_of(config: &Config, before: Option<&RelayLimits>) -> RelayLimits {
        let same = before.filter(|b| b.config.total_spill == config.relay.total_spill);
        RelayLimits {
            config: config.relay.clone(),
            budget: same.map_or_else(
                || Arc::new(SpillBudget::new(&config.state_dir, config.relay.total_spill)),
                |b| Arc::clone(&b.budget),
            ),
        }
    }

    /// The configuration now.
    #[must_use]
    pub fn config(&self) -> Arc<Config> {
        self.config.load_full()
    }

    /// Buffer limits now.
    #[must_use]
    pub fn limits(&self) -> Arc<RelayLimits> {
        self.limits.load_full()
    }

    /// Puts another configuration in force, as approvals leave it: gives that. Cutting what it no longer allows is the
    /// caller's (see `lifecycle`).
    pub(super) fn swap_config(&self, config: &Arc<Config>) -> Arc<Config> {
        let limits = Self::limits_of(config, Some(&self.limits.load()));
        self.limits.store(Arc::new(limits));
        let config = {
            let mut state = self.state();
            let config = state.approvals.over(Arc::clone(config));
            state.troubles.keep(&config);
            self.put_config(&mut state, Arc::clone(&config));
            config
        };
        self.announce();
        config
    }

    /// The same under the lock, with nothing left to be laid over it.
    pub(super) fn put_config(&self, state: &mut State, config: Arc<Config>) {
        state.uses.keep(&config, now());
        state.waiting.keep(&config);
        state.dirty.all = true;
        self.config.store(config);
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        #[cfg(test)]
        super::turns::point();
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says that counters may have moved: those of everything live are looked at. What changes a row otherwise is said
    /// by [`Registry::tunnel_changed`] and the like, which is much less work for those who look.
    pub fn touch(&self) {
        self.counters.store(true, Ordering::Relaxed);
        self.announce();
    }

    /// Says that the row of this tunnel has changed.
    pub fn tunnel_changed(&self, port: Port) {
        self.state().dirty.port(port);
        self.announce();
    }

    /// Says that there is something new, which need not be a row.
    pub fn announce(&self) {
        self.tick.send_modify(|n| *n += 1);
    }

    /// Whether anybody waits for changes.
    #[must_use]
    pub fn watched(&self) -> bool {
        self.tick.receiver_count() > 0
    }

    /// Ticks whenever something has changed.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.tick.subscribe()
    }

    /// No more sessions, grants and visitors: the daemon is stopping.
    pub fn drain(&self) {
        self.drained.store(1, Ordering::Relaxed);
    }

    /// Whether visitors may still come: those there are have a moment to finish when the daemon stops, nobody new does.
    ///
    /// # Errors
    /// The reason why not.
    pub fn not_stopping(&self) -> Result<(), String> {
        if self.drained.load(Ordering::Relaxed) == 0 { Ok(()) } else { Err("the bastion is stopping".to_owned()) }
    }

    /// Whether sessions may still begin. A journal that cannot be written closes the door, unless the configuration
    /// says otherwise: what cannot be audited is not done.
    ///
    /// # Errors
    /// The reason why not.
    pub fn open_for_business(&self) -> Result<(), String> {
        self.not_stopping()?;
        if self.config().audit.on_failure == OnFailure::Continue {
            return Ok(());
        }
        self.journal.healthy().map_err(|e| format!("the audit journal cannot be written ({e})"))
    }

    /// The block that keeps this holder of this credential out, as a sentence.
    #[must_use]
    pub fn blocked(&self, credential: &Credential, holder: &Principal) -> Option<String> {
        credential.blocked(&self.state().ledger, &self.config(), holder)
    }

    /// The block on this operator, as a sentence.
    #[must_use]
    pub fn dismissed(&self, operator: &OperatorName) -> Option<String> {
        self.state().ledger.block(&BlockTarget::Operator(operator.clone())).map(super::ledger::block_rule)
    }

    /// A session has signed in.
    ///
    /// # Errors
    /// When a block fell between its sign-in and now.
    pub fn session_begins(&self, session: Arc<Session>) -> Result<(), String> {
        {
            let mut state = self.state();
            // Read under the lock: a reload puts its configuration in force first and then looks through the sessions,
            // so a session is either seen by it or sees it.
            let config = self.config();
            let holder = session.credential.holder(&config, &session.user, session.source.ip(), now())?;
            if session.holder().as_ref() != Some(&holder) {
                return Err("the key was given to somebody else just now".to_owned());
            }
            if let Some(rule) = session.credential.blocked(&state.ledger, &config, &holder) {
                return Err(rule);
            }
            self.not_listed(&session.credential)?;
            if let Some(host) = &session.host {
                let max = session.team.as_ref().map_or(&config.limits, |t| config.limits_of(t)).sessions_per_host;
                if state.by_host.get(host).is_some_and(|all| all.len() >= max) {
                    return Err(format!("host {host} has {max} sessions already (limits.sessions_per_host)"));
                }
            }
            if let Some(at) = session.credential.certified.as_ref().and_then(Certified::ends) {
                state.expiring.insert((at, session.id));
            }
            state.dirty.session(&session);
            if let Some(host) = &session.host {
                // Mostly one; ids rise, but two that sign in at once may come here in the other order.
                let of_host = state.by_host.entry(host.clone()).or_insert_with(|| Vec::with_capacity(1));
                let at = of_host.partition_point(|s| s.id < session.id);
                of_host.insert(at, Arc::clone(&session));
            }
            state.uses.used(&session);
            state.sessions.insert(session.id, session);
        }
        self.announce();
        Ok(())
    }

    /// A session is over. Its tunnels are closed with the same obituary.
    pub async fn session_ends(&self, session: &Session, obituary: &Obituary) {
        let tunnels = self.tunnels_of(session.id);
        for t in &tunnels {
            t.close(obituary);
        }
        for t in &tunnels {
            t.closed().await;
        }
        {
            let mut state = self.state();
            state.sessions.remove(&session.id);
            if let Some(at) = session.credential.certified.as_ref().and_then(Certified::ends) {
                state.expiring.remove(&(at, session.id));
            }
            state.note_end(session, obituary.cause);
            if let Some(host) = &session.host
                && let Some(of_host) = state.by_host.get_mut(host)
            {
                of_host.retain(|s| s.id != session.id);
                if of_host.is_empty() {
                    state.by_host.remove(host);
                }
            }
            state.dirty.session(session);
        }
        let actor = match session.kind {
            SessionKind::Host => Actor::Host(session.name.clone()),
            SessionKind::Operator => Actor::Operator(session.name.clone()),
        };
        let what = What::SessionEnd {
            obituary: obituary.clone(),
            seconds: session.vital.age().as_secs_f64(),
            bytes_in: session.vital.bytes_in(),
            bytes_out: session.vital.bytes_out(),
        };
        self.journal.record(Event::success(actor, what, session.context()));
        session.over.say(());
        self.announce();
    }

    /// A tunnel's listener and visitors are gone.
    pub(super) fn tunnel_ends(&self, tunnel: &Tunnel, obituary: &Obituary) {
        let port = tunnel.port();
        let to_host = tunnel.tally.to_host.load(Ordering::Relaxed);
        let to_visitors = tunnel.tally.to_visitor.load(Ordering::Relaxed);
        let visitors_total = tunnel.visitors_total.load(Ordering::Relaxed);
        let past = Past {
            host: tunnel.lease.host.clone(),
            obituary: ObituaryView {
                at: now(),
                obituary: obituary.clone(),
                last_byte_at: Some(tunnel.session.vital.last_heard()),
                last_rtt_ms: tunnel.session.vital.rtt_ms(),
                visitors_cut: tunnel.just_cut(),
            },
            source: tunnel.session.source,
            bytes_to_host: to_host,
            bytes_to_visitors: to_visitors,
            visitors_total,
            visitors_refused: tunnel.visitors_refused.load(Ordering::Relaxed),
            health: tunnel.health(),
        };
        {
            let mut state = self.state();
            state.ended.entry(tunnel.lease.team.clone()).or_default().add(&tunnel.traffic());
            if let Some(carried) = state.carried.get_mut(&tunnel.session.id) {
                carried.remove(&port);
                if carried.is_empty() {
                    state.carried.remove(&tunnel.session.id);
                }
            }
            // By generation: a late end of an old session's tunnel must not remove the new one's.
            state.dirty.port(port);
            state.dirty.session(&tunnel.session);
            if state.tunnels.get(&port).is_some_and(|t| t.session.id == tunnel.session.id) {
                state.tunnels.remove(&port);
                state.past.insert(port, past);
            }
        }
        let what = What::ForwardEnd {
            obituary: obituary.clone(),
            visitors: visitors_total,
            bytes_to_host: to_host,
            bytes_to_visitors: to_visitors,
        };
        self.journal.record(Event::success(Actor::Host(tunnel.session.name.clone()), what, tunnel.context()));
        tunnel.released.say(());
        self.announce();
    }
}
