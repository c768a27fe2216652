//! Incidents as of now, for whoever asks: worked out anew when something changed, and for those who watch at most once a
//! second.

use super::facts::{Expiring, Facts, KEY_WARNING, Picture};
use super::group::incidents;
use crate::config::{Config, Principal};
use crate::model::{HostName, Incident, Mute, Revision, SessionView, TeamName, Time, now};
use crate::tunnels::{Board, Overload, Registry, Troubles};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Those who watch are told at most so often.
const PAUSE: Duration = Duration::from_secs(1);
/// Kept for so many different scopes.
const SCOPES: usize = 64;

/// Keys of those who may be seen that expire soon or have expired.
fn expiring(config: &Config, scope: &Scope, now: Time) -> Vec<Expiring> {
    let soon = config.expiries.iter().filter(|(_, at)| **at - KEY_WARNING <= now);
    let mut all: Vec<Expiring> = soon
        .filter_map(|(fingerprint, at)| {
            let (name, host) = match config.keys.get(fingerprint)? {
                Principal::Host(h) => (h.to_string(), Some((h.clone(), config.hosts.get(h)?.team.clone()))),
                Principal::Operator(o) => (o.to_string(), None),
            };
            let seen = scope.as_ref().is_none_or(|s| host.as_ref().is_some_and(|(_, team)| s.contains(team)));
            seen.then(|| Expiring { name, host, fingerprint: fingerprint.clone(), at: *at })
        })
        .collect();
    all.sort_by(|a, b| (a.at, &a.fingerprint).cmp(&(b.at, &b.fingerprint)));
    all
}

/// When the next key begins to be told of, or expires.
fn next_expiry(config: &Config, now: Time) -> Option<Time> {
    config.expiries.values().flat_map(|at| [*at - KEY_WARNING, *at]).filter(|t| *t > now).min()
}

/// Whose incidents: of these teams, or of all.
pub type Scope = Option<Vec<TeamName>>;

/// Incidents, and which version of them.
#[derive(Debug, Clone)]
pub struct Known {
    /// Rises with every change; no two scopes share one.
    pub version: u64,
    /// The worst first.
    pub incidents: Arc<[Incident]>,
}

struct Kept {
    known: Known,
    made: Instant,
    of: (Revision, u64, Option<String>, Arc<[Mute]>, Option<Overload>),
    due: Option<Time>,
}

/// See the module.
#[derive(Default)]
pub struct Triage {
    version: u64,
    troubles: Option<Arc<Troubles>>,
    scopes: HashMap<Scope, Kept>,
    /// Since when the journal cannot be written.
    unaudited: Option<Time>,
}

impl Triage {
    /// The incidents that somebody of this scope may see. With `patient`, those of up to a second ago will do.
    pub fn look(&mut self, scope: &Scope, board: &Board, registry: &Registry, patient: bool) -> Known {
        if scope.as_ref().is_some_and(Vec::is_empty) {
            // Somebody who may see nothing any more.
            return Known { version: 0, incidents: Arc::new([]) };
        }
        if let Some(kept) = self.scopes.get(scope).filter(|k| patient && k.made.elapsed() < PAUSE) {
            return kept.known.clone();
        }
        let troubles = registry.troubles(self.troubles.as_ref());
        self.troubles = Some(Arc::clone(&troubles));
        let failure = registry.journal.status().failure;
        let now = now();
        let of = (board.revision(), troubles.version, failure, registry.mutes(), registry.strain.overload(now));
        if let Some(kept) = self.scopes.get_mut(scope).filter(|k| k.of == of && k.due.is_none_or(|d| now < d)) {
            kept.made = Instant::now();
            return kept.known.clone();
        }
        self.unaudited = of.2.as_ref().map(|_| self.unaudited.unwrap_or(now));
        let config = registry.config();
        let sees = |team: &TeamName| scope.as_ref().is_none_or(|teams| teams.contains(team));
        let sessions = || -> Vec<&SessionView> {
            let all = board.sessions_since(Revision(0));
            all.filter(|s| s.team.as_ref().is_some_and(sees)).collect()
        };
        let team_of = |h: &HostName| config.hosts.get(h).map(|x| x.team.clone()).filter(|t| sees(t));
        let total = if scope.is_none() {
            board.tunnels_len()
        } else {
            board.tunnels_since(Revision(0)).filter(|t| sees(&t.lease.team)).count()
        };
        let facts = Facts::of(&Picture {
            now,
            started: registry.started,
            ran_before: registry.ran_before,
            overload: of.4.as_ref(),
            expiring: expiring(&config, scope, now),
            audit_failure: of.2.as_deref().zip(self.unaudited),
            tunnels: board.tunnels_not_up().filter(|t| sees(&t.lease.team)).collect(),
            total,
            sessions: &sessions,
            teams: board.teams().iter().filter(|t| sees(&t.name)).collect(),
            troubles: &troubles,
            team_of: &team_of,
        });
        let (found, due) = incidents(&facts, &of.3);
        let due = due.into_iter().chain(next_expiry(&config, now)).min();
        let known = match self.scopes.get(scope) {
            Some(kept) if *kept.known.incidents == *found => kept.known.clone(),
            _ => {
                self.version += 1;
                Known { version: self.version, incidents: found.into() }
            }
        };
        if self.scopes.len() >= SCOPES && !self.scopes.contains_key(scope) {
            // People whose teams have changed leave theirs behind.
            self.scopes.clear();
        }
        let kept = Kept { known: known.clone(), made: Instant::now(), of, due };
        self.scopes.insert(scope.clone(), kept);
        known
    }
}
