//! Who is let as far as the handshake: decided at the accept, before any cryptography, by the address alone.
//!
//! There are three kinds of networks. *Strangers* are all that nobody has signed in from: for them hold sshd's rules -
//! random early drop, a limit for each network, penalties. *Known* are those from which a key of the configuration has
//! signed in within a month. They have places of their own, which no stranger can take, one of them may have as many as it
//! leaves free to the others, and a penalty does not shut them out but puts them into the slow lane: so many at a time, and
//! so many that fail a second, one after the other: who comes too early waits for a moment, so that a client which comes once
//! gets its turn beside one that comes again and again. *Exempt* are those the configuration names, loopback by default: they have the places of the
//! known, and no rule for their network.

mod known;
mod penalty;

pub(super) use penalty::Offence;

use crate::config::Config;
use crate::model::{FileUse, GateView, is_kept, now};
use ipnet::IpNet;
use known::Known;
use penalty::{Standing, Table};
use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::os::fd::RawFd;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Where the known networks are kept, in the state folder.
const FILE: &str = "known_networks";
/// Connections a second that a known network under a penalty may begin and not sign in with: more than a team that was taken
/// out of the configuration makes with all its supervisors, and a tenth of a core's time.
const LANE_RATE: f64 = 100.0;
/// The same, saved up.
const LANE_BURST: f64 = 200.0;
/// The longest wait for a turn: of the places below, so many times the rate, and the others are for those whose turn it is.
const LANE_WAIT: Duration = Duration::from_millis(1_500);
/// Connections of such a network that have not signed in, at a time.
const LANE_PLACES: usize = 256;

/// Why a connection is not let in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct No {
    /// Its kind: a word for counting.
    pub kind: &'static str,
    /// The rule, for the journal.
    pub rule: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Stranger,
    Known,
    Exempt,
}

/// Kinds of refusals, each with a count for the metrics.
const KINDS: [&str; 6] = ["network", "penalty", "per-source", "startups", "slow-lane", "files"];

#[derive(Debug)]
struct State {
    strangers: usize,
    known_now: usize,
    by_net: HashMap<IpNet, usize>,
    penalties: Table,
    known: Known,
    lanes: HashMap<IpNet, Lane>,
}

/// What a known network under a penalty may still do.
#[derive(Debug, Clone, Copy)]
struct Lane {
    tokens: f64,
    at: Instant,
}

impl Lane {
    /// How long until the turn of one that comes now; none when too many wait. Below zero are those who do.
    fn take(&mut self, now: Instant) -> Option<Duration> {
        let gained = now.saturating_duration_since(self.at).as_secs_f64() * LANE_RATE;
        self.tokens = (self.tokens + gained).min(LANE_BURST);
        self.at = now;
        let wait = Duration::from_secs_f64((1.0 - self.tokens).max(0.0) / LANE_RATE);
        if wait > LANE_WAIT {
            return None;
        }
        self.tokens -= 1.0;
        Some(wait)
    }
}

/// See the module.
#[derive(Debug)]
pub struct Gate {
    state: Mutex<State>,
    path: PathBuf,
    random: RandomState,
    drawn: AtomicU64,
    refused: [AtomicU64; KINDS.len()],
}

/// A place among the connections that have not signed in; given back when dropped.
#[derive(Debug)]
pub(super) struct Pass {
    gate: Arc<Gate>,
    config: Arc<Config>,
    net: IpNet,
    kind: Kind,
    /// It came through the slow lane, and its turn is so much later.
    slow: Option<Duration>,
}

impl Gate {
    /// A gate that knows the networks saved in this state folder.
    #[must_use]
    pub fn new(state_dir: &Path) -> Arc<Self> {
        let path = state_dir.join(FILE);
        Arc::new(Self {
            state: Mutex::new(State {
                strangers: 0,
                known_now: 0,
                by_net: HashMap::new(),
                penalties: Table::default(),
                known: Known::read(&path),
                lanes: HashMap::new(),
            }),
            path,
            random: RandomState::new(),
            drawn: AtomicU64::new(0),
            refused: Default::default(),
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One of a thousand, which nobody can foresee.
    fn draw(&self) -> u64 {
        self.random.hash_one(self.drawn.fetch_add(1, Ordering::Relaxed)) % 1000
    }

    /// Lets a connection in, or says why not.
    pub(super) fn admit(
        self: &Arc<Self>,
        config: &Arc<Config>,
        ip: IpAddr,
        fd: RawFd,
        now: Instant,
    ) -> Result<Pass, No> {
        let result = self.decide(config, ip, fd, now);
        if let Err(no) = &result {
            self.count(no.kind);
        }
        result
    }

    /// A connection was refused for a reason of this kind.
    pub(super) fn count(&self, kind: &str) {
        let at = KINDS.iter().position(|k| *k == kind);
        if let Some(n) = at.and_then(|n| self.refused.get(n)) {
            n.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn decide(self: &Arc<Self>, config: &Arc<Config>, ip: IpAddr, fd: RawFd, now: Instant) -> Result<Pass, No> {
        let no = |kind, rule: String| Err(No { kind, rule });
        let rules = &config.sources;
        if let Err(rule) = rules.admits(ip) {
            return no("network", rule.to_owned());
        }
        let net = rules.network(ip);
        let mut state = self.state();
        let kind = match (rules.is_exempt(ip), state.known.has(&net)) {
            (true, _) => Kind::Exempt,
            (false, true) => Kind::Known,
            (false, false) => Kind::Stranger,
        };
        // Who is a host and who an operator is known only after the sign-in; strangers are neither, mostly.
        let used_for = if kind == Kind::Stranger { FileUse::Many } else { FileUse::Perhaps };
        if is_kept(fd, used_for) {
            return no("files", "the open files that are left are kept for operators".to_owned());
        }
        let (mut slow, mut turn) = (false, None);
        if kind != Kind::Exempt && rules.penalties.on {
            match state.penalties.standing(&net, &rules.penalties, now) {
                Standing::Good => {}
                Standing::Penalised(..) if kind == Kind::Known => slow = true,
                Standing::Penalised(left, offence) => {
                    let seconds = left.as_secs() + 1;
                    let why = offence.words();
                    return no(
                        "penalty",
                        format!("{net} is refused for another {seconds} s: {why} (sources.penalties)"),
                    );
                }
                Standing::TableFull if kind == Kind::Known => {}
                Standing::TableFull => {
                    return no("penalty", "too many networks are penalised (sources.overflow)".to_owned());
                }
            }
        }
        let here = state.by_net.get(&net).copied().unwrap_or(0);
        match kind {
            Kind::Stranger => {
                if here >= rules.max_startups {
                    let rule = format!("{here} connections of {net} have not signed in yet (sources.max_startups)");
                    return no("per-source", rule);
                }
                let startups = config.ssh.max_startups;
                if self.draw() < startups.refused_of_1000(state.strangers) {
                    let n = state.strangers;
                    return no("startups", format!("{n} connections have not signed in yet (ssh.max_startups)"));
                }
                state.strangers += 1;
            }
            Kind::Known | Kind::Exempt => {
                let free = config.ssh.max_startups_known.saturating_sub(state.known_now);
                if free == 0 || (kind == Kind::Known && here >= free) {
                    let n = state.known_now;
                    let rule =
                        format!("{n} connections of known networks have not signed in yet (ssh.max_startups_known)");
                    return no("startups", rule);
                }
                if slow {
                    if here >= LANE_PLACES {
                        let rule = format!(
                            "{here} connections of {net}, which has a penalty, have not signed in yet \
                             (sources.penalties)"
                        );
                        return no("per-source", rule);
                    }
                    let lane = state.lanes.entry(net).or_insert(Lane { tokens: LANE_BURST, at: now });
                    turn = lane.take(now);
                    if turn.is_none() {
                        let rule = format!(
                            "{net} has a penalty, and more than {LANE_RATE} connections a second that do not sign in \
                             (sources.penalties)"
                        );
                        return no("slow-lane", rule);
                    }
                }
                state.known_now += 1;
            }
        }
        *state.by_net.entry(net).or_insert(0) += 1;
        drop(state);
        Ok(Pass { gate: Arc::clone(self), config: Arc::clone(config), net, kind, slow: turn })
    }

    /// Whether somebody has signed in from this address's network. Nobody can tell of an exempt one: behind a proxy there
    /// are all strangers.
    pub(super) fn knows(&self, config: &Config, ip: IpAddr) -> bool {
        !config.sources.is_exempt(ip) && self.state().known.has(&config.sources.network(ip))
    }

    /// Connections that have not signed in.
    #[must_use]
    pub fn unauthenticated(&self) -> usize {
        let state = self.state();
        state.strangers + state.known_now
    }

    /// For the metrics.
    #[must_use]
    pub fn view(&self) -> GateView {
        let mut state = self.state();
        GateView {
            strangers: state.strangers as u64,
            known: state.known_now as u64,
            known_networks: state.known.len() as u64,
            penalised: state.penalties.active(Instant::now()) as u64,
            refused: KINDS
                .iter()
                .zip(&self.refused)
                .map(|(k, n)| ((*k).to_owned(), n.load(Ordering::Relaxed)))
                .collect(),
        }
    }

    /// Writes the known networks down, if there is something new, with those of sessions that still stand. May block.
    pub fn save(&self, config: &Config, standing: impl Iterator<Item = IpAddr>) {
        let text = {
            let mut state = self.state();
            for ip in standing.filter(|ip| !config.sources.is_exempt(*ip)) {
                state.known.note(config.sources.network(ip), now());
            }
            let penalised: Vec<IpNet> = state.lanes.keys().copied().collect();
            for net in penalised {
                let standing = state.penalties.standing(&net, &config.sources.penalties, Instant::now());
                if standing == Standing::Good {
                    state.lanes.remove(&net);
                }
            }
            state.known.unsaved(now())
        };
        if let Some(text) = text
            && let Err(error) = known::write(&self.path, &text)
        {
            tracing::warn!(path = %self.path.display(), %error, "the known networks cannot be saved");
        }
    }
}

impl Pass {
    /// Waits until it is its turn, where it has to.
    pub(super) async fn turn(&self) {
        if let Some(wait) = self.slow.filter(|w| !w.is_zero()) {
            tokio::time::sleep(wait).await;
        }
    }

    /// Somebody has signed in: the network is known from now on.
    pub(super) fn signed_in(self) {
        if self.kind == Kind::Exempt {
            return;
        }
        let mut state = self.gate.state();
        state.known.note(self.net, now());
        state.penalties.forgive(&self.net, self.config.sources.penalties.auth, Instant::now());
        if self.slow.is_some()
            && let Some(lane) = state.lanes.get_mut(&self.net)
        {
            lane.tokens += 1.0;
        }
    }

    /// Nobody has. Gives what to say when the network is refused from now on.
    pub(super) fn offends(&self, offence: Offence) -> Option<String> {
        if self.kind == Kind::Exempt {
            return None;
        }
        let rules = &self.config.sources.penalties;
        let begins = self.gate.state().penalties.add(self.net, offence, rules, Instant::now());
        let fate = if self.kind == Kind::Known { "slowed down" } else { "refused" };
        begins.then(|| format!("{} is {fate} from now on: {}", self.net, offence.words()))
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        let mut state = self.gate.state();
        match self.kind {
            Kind::Stranger => state.strangers = state.strangers.saturating_sub(1),
            Kind::Known | Kind::Exempt => state.known_now = state.known_now.saturating_sub(1),
        }
        if let Some(n) = state.by_net.get_mut(&self.net) {
            *n -= 1;
            if *n == 0 {
                state.by_net.remove(&self.net);
            }
        }
    }
}

#[cfg(test)]
mod tests;
