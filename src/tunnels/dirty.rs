//! What has changed and has not been shown yet: so that the board looks at those rows only.

use super::live::Session;
use crate::model::{HostName, Port, SessionId};
use std::collections::HashSet;

/// What the board has to look at anew.
#[derive(Debug)]
pub(super) struct Dirty {
    /// Everything: at the start, and when too much has changed to keep account of (nobody looks, perhaps).
    pub(super) all: bool,
    pub(super) ports: HashSet<Port>,
    pub(super) sessions: HashSet<SessionId>,
    pub(super) hosts: HashSet<HostName>,
}

impl Default for Dirty {
    fn default() -> Self {
        Self { all: true, ports: HashSet::new(), sessions: HashSet::new(), hosts: HashSet::new() }
    }
}

/// From so many changes on it is quicker to look at everything.
const DIRTY_MAX: usize = 4_096;

impl Dirty {
    /// Takes what there is; from now on it is empty.
    pub(super) fn take(&mut self) -> Self {
        let none = Self { all: false, ..Self::default() };
        std::mem::replace(self, none)
    }

    fn room(&mut self) -> bool {
        if !self.all && self.ports.len() + self.sessions.len() + self.hosts.len() >= DIRTY_MAX {
            *self = Self::default();
        }
        !self.all
    }

    pub(super) fn port(&mut self, port: Port) {
        if self.room() {
            self.ports.insert(port);
        }
    }

    pub(super) fn session(&mut self, session: &Session) {
        if self.room() {
            self.sessions.insert(session.id);
        }
        // Whether its host is present shows in the host's other rows.
        if let Some(host) = &session.host {
            self.host(host);
        }
    }

    pub(super) fn host(&mut self, host: &HostName) {
        if self.room() {
            self.hosts.insert(host.clone());
        }
    }
}

/// What changed in the ledger since somebody asked.
#[derive(Debug, Clone, Default)]
pub(super) struct Changed {
    /// More than single ports: a block reaches as far as its host's or key's ports do.
    pub(super) all: bool,
    /// Ports whose lease changed.
    pub(super) ports: Vec<Port>,
}

/// Beyond this many it is quicker to look at everything; and nobody may be asking.
const CHANGED_MAX: usize = 4_096;

impl Changed {
    /// Notes a port.
    pub(super) fn port(&mut self, port: Port) {
        if self.all {
            return;
        }
        if self.ports.len() >= CHANGED_MAX {
            *self = Self { all: true, ports: Vec::new() };
            return;
        }
        self.ports.push(port);
    }
}
