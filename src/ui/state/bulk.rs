//! Marks in the tunnels list, and what is done to all that is marked: acts that follow each other, each on its own.

use crate::control::protocol::Action;
use crate::model::{HostName, Port};
use crate::ui::words::{Lang, tr};
use std::collections::{BTreeSet, VecDeque};

/// Rows that are marked, whatever hides them.
pub(crate) type Marks = BTreeSet<Port>;

/// What many acts are of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Host,
    Port,
    Block,
    Lease,
}

/// One thing to do to all.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Way {
    /// What is acted on.
    pub(crate) what: Kind,
    pub(crate) acts: Vec<Action>,
    /// What it costs, a line each.
    pub(crate) facts: Vec<String>,
}

impl Way {
    /// `1 host`, `2 hosts`.
    pub(crate) fn count(&self, lang: Lang) -> String {
        let n = self.acts.len();
        match self.what {
            Kind::Host => tr!(lang, bulk.hosts, n),
            Kind::Port => tr!(lang, bulk.ports, n),
            Kind::Block => tr!(lang, bulk.blocks, n),
            Kind::Lease => tr!(lang, bulk.leases, n),
        }
    }
}

/// A question about all that is marked.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Plan {
    /// The ways it can be done; one unless there is a choice.
    pub(crate) ways: Vec<Way>,
    /// Whose the ports were when it was asked.
    pub(crate) seen: Vec<(Port, HostName)>,
}

/// Acts on their way.
#[derive(Debug, Clone, Default)]
pub(crate) struct Batch {
    pub(crate) verb: &'static str,
    pub(crate) todo: VecDeque<Action>,
    pub(crate) running: usize,
    pub(crate) total: usize,
    pub(crate) done: usize,
    /// What was not done, and why.
    pub(crate) failed: Vec<String>,
}

/// Acts of a batch that are asked for at a time: a reconnect is answered after up to a minute.
const WIDTH: usize = 16;

impl Batch {
    pub(crate) fn new(verb: &'static str, acts: Vec<Action>) -> Self {
        let total = acts.len();
        Self { verb, todo: acts.into(), total, ..Self::default() }
    }

    /// The next to ask for, if it may be now.
    pub(crate) fn next(&mut self) -> Option<Action> {
        if self.running >= WIDTH {
            return None;
        }
        let act = self.todo.pop_front()?;
        self.running += 1;
        Some(act)
    }

    pub(crate) fn is_over(&self) -> bool {
        self.running == 0 && self.todo.is_empty()
    }

    /// How far it is, or what came of it.
    pub(crate) fn progress(&self, lang: Lang) -> String {
        let (verb, done, total) = (self.verb, self.done, self.total);
        match self.failed.len() {
            0 => tr!(lang, bulk.progress, verb, done, total),
            n => tr!(lang, bulk.progress_failed, verb, done, total, n),
        }
    }
}
