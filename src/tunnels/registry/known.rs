//! What the registry knows, for those who ask.

use super::{Known, Registry};
use crate::model::{HostName, LeaseView, Port, SessionId, TeamName, Traffic};
use crate::tunnels::ledger::Conflict;
use crate::tunnels::live::{Session, Tunnel};
use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError};

impl Registry {
    /// A session by id.
    #[must_use]
    pub fn session(&self, id: SessionId) -> Option<Arc<Session>> {
        self.state().sessions.get(&id).cloned()
    }

    /// All sessions, oldest first.
    #[must_use]
    pub fn sessions(&self) -> Vec<Arc<Session>> {
        let mut all: Vec<_> = self.state().sessions.values().cloned().collect();
        all.sort_by_key(|s| s.id);
        all
    }

    /// The live sessions of a host, oldest first.
    #[must_use]
    pub fn sessions_of(&self, host: &HostName) -> Vec<Arc<Session>> {
        self.state().by_host.get(host).cloned().unwrap_or_default()
    }

    /// A live tunnel by port.
    #[must_use]
    pub fn tunnel(&self, port: Port) -> Option<Arc<Tunnel>> {
        self.state().tunnels.get(&port).cloned()
    }

    /// All live tunnels, by port.
    #[must_use]
    pub fn tunnels(&self) -> Vec<Arc<Tunnel>> {
        self.state().tunnels.values().cloned().collect()
    }

    /// What each team's tunnels have carried since the daemon started, and those of them that live, read at one moment.
    #[must_use]
    pub fn traffic(&self) -> (BTreeMap<TeamName, Traffic>, BTreeMap<Port, Arc<Tunnel>>) {
        let state = self.state();
        let mut sums = state.ended.clone();
        for t in state.tunnels.values() {
            sums.entry(t.lease.team.clone()).or_default().add(&t.traffic());
        }
        (sums, state.tunnels.clone())
    }

    /// Blocks that hold in memory and are not saved.
    #[must_use]
    pub fn unsaved_blocks(&self) -> usize {
        self.state().unsaved.len()
    }

    /// Whether the ledger took the last change that it was given.
    #[must_use]
    pub fn ledger_writable(&self) -> bool {
        self.store.healthy()
    }

    /// The live tunnels of a session, by port.
    #[must_use]
    pub fn tunnels_of(&self, session: SessionId) -> Vec<Arc<Tunnel>> {
        self.state().carried.get(&session).map(|ts| ts.values().cloned().collect()).unwrap_or_default()
    }

    /// The lease of a port, fixed or not.
    #[must_use]
    pub fn lease(&self, port: Port) -> Option<LeaseView> {
        let config = self.config();
        self.state().ledger.lease(&config, port)
    }

    /// Blocks in force.
    #[must_use]
    pub fn blocks(&self) -> Vec<crate::model::RevocationView> {
        self.state().ledger.blocks().cloned().collect()
    }

    /// Ports that are kept free for a time.
    #[must_use]
    pub fn reservations(&self) -> Vec<crate::model::ReservationView> {
        self.state().ledger.reservations().cloned().collect()
    }

    /// Where configuration and ledger disagree. Worked out anew only when one of them has changed.
    #[must_use]
    pub fn conflicts(&self) -> Arc<[Conflict]> {
        let config = self.config();
        let mut known = self.conflicts.lock().unwrap_or_else(PoisonError::into_inner);
        let state = self.state();
        let ledger = state.ledger.version();
        if let Some(k) = known.as_ref().filter(|k| k.ledger == ledger && Arc::ptr_eq(&k.config, &config)) {
            return Arc::clone(&k.conflicts);
        }
        let mut conflicts = state.ledger.conflicts(&config);
        conflicts.extend(state.approvals.conflicts(&config));
        let conflicts: Arc<[Conflict]> = conflicts.into();
        *known = Some(Known { config, ledger, conflicts: Arc::clone(&conflicts) });
        conflicts
    }
}
