//! Refusals in the journal that anybody can cause at will: the first of a kind, and how many more.

use super::live::Tunnel;
use super::registry::Registry;
use crate::audit::{Event, RepeatKind, Whom};
use crate::model::SessionId;
use std::net::IpAddr;

/// Refused sign-ins of one network that are written one by one, an interval.
const SIGN_INS: usize = 30;
/// The same of requests of one session.
const REQUESTS: usize = 20;
/// The same of visitors of one port.
const VISITORS: usize = 20;

impl Registry {
    /// Writes a refusal into the journal, or counts it with others of its kind.
    pub fn record_some(&self, kind: RepeatKind, event: Event) {
        self.repeats.record(&self.journal, kind, event);
    }

    /// A sign-in, or a connection without one, was refused.
    pub fn record_sign_in(&self, source: IpAddr, event: Event) {
        let net = self.config().sources.network(source);
        self.record_some(RepeatKind { whom: Whom::Net(net), word: "sign-in", first: SIGN_INS }, event);
    }

    /// A network has earned a penalty.
    pub fn record_penalty(&self, source: IpAddr, event: Event) {
        let net = self.config().sources.network(source);
        self.record_some(RepeatKind { whom: Whom::Net(net), word: "penalty begins", first: 1 }, event);
    }

    /// Something a session asked for was refused; `word` says what.
    pub fn record_request(&self, session: SessionId, word: &'static str, event: Event) {
        self.record_some(RepeatKind { whom: Whom::Session(session), word, first: REQUESTS }, event);
    }

    /// A visitor was turned away; `word` says by which rule.
    pub fn record_visitor(&self, tunnel: &Tunnel, word: &'static str, event: Event) {
        self.record_some(RepeatKind { whom: Whom::Port(tunnel.port()), word, first: VISITORS }, event);
    }

    /// Where sessions that stand came from.
    #[must_use]
    pub fn sources(&self) -> Vec<IpAddr> {
        self.state().sessions.values().map(|s| s.source.ip()).collect()
    }

    /// Writes down how many refusals were only counted since the last time.
    pub fn tell_repeats(&self) {
        for line in self.repeats.turn() {
            self.journal.record(line);
        }
    }
}
