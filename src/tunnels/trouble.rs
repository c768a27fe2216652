//! What goes wrong with hosts, remembered for triage: what they are refused, unknown keys offered in their name, and
//! how often their sessions end. Bounded by the number of hosts, whatever the internet tries.

use super::live::Session;
use super::registry::{Registry, State};
use crate::config::{Config, Principal};
use crate::model::{HostName, ObituaryCause, SessionId, SessionKind, Time, now};
use chrono::TimeDelta;
use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

/// After so long without another one, a series of refusals is over.
pub const REFUSED_FRESH: TimeDelta = TimeDelta::minutes(10);
/// In this time a restart counts for half. As routers damp a route that flaps: five minutes apart for ever, or three in
/// short order, is too often; one an hour is not.
const HALF_LIFE_S: f64 = 300.0;
/// From this score on a host restarts repeatedly.
const FLAPPING: f64 = 2.0;
/// Below it the next restart begins a new series.
const FORGOTTEN: f64 = 0.5;
/// Addresses of which offers of unknown keys are remembered. More than this many sources at once are no hosts of ours.
const ADDRESSES: usize = 1_024;

/// What a host was refused, until it is granted something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The rule that decided last.
    pub rule: Arc<str>,
    /// How often, in this series.
    pub count: u64,
    /// When the series began.
    pub first: Time,
    /// When it was refused last.
    pub at: Time,
    /// The session that asked, if it had signed in.
    pub session: Option<SessionId>,
}

/// Keys that nobody here has, offered from one place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Knock {
    /// The last of the keys.
    pub fingerprint: String,
    /// Whether it is pending: proved, and waiting for somebody to decide.
    pub pending: bool,
    /// The user name given, cleaned.
    pub user: String,
    /// Where from.
    pub source: IpAddr,
    /// How often, in this series.
    pub count: u64,
    /// When the series began.
    pub first: Time,
    /// The last time.
    pub at: Time,
}

/// How often a host's sessions have ended by themselves.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Restarts {
    score: f64,
    /// How often, in this series.
    pub count: u32,
    /// When the series began.
    pub first: Time,
    /// The last end.
    pub last: Time,
    /// How the last one ended.
    pub cause: ObituaryCause,
}

impl Restarts {
    /// A series that begins.
    #[must_use]
    pub fn new(at: Time, cause: ObituaryCause) -> Self {
        Self { score: 1.0, count: 1, first: at, last: at, cause }
    }

    /// Another end.
    pub fn again(&mut self, at: Time, cause: ObituaryCause) {
        let score = self.score(at);
        if score < FORGOTTEN {
            *self = Self::new(at, cause);
            return;
        }
        *self = Self { score: score + 1.0, count: self.count.saturating_add(1), last: at, cause, ..*self };
    }

    fn score(&self, at: Time) -> f64 {
        #[allow(clippy::cast_precision_loss)] // milliseconds of a few minutes
        let seconds = (at - self.last).num_milliseconds().max(0) as f64 / 1000.0;
        self.score * (-seconds / HALF_LIFE_S).exp2()
    }

    /// Until when this counts as restarting repeatedly, if it does.
    #[must_use]
    pub fn flaps_until(&self, at: Time) -> Option<Time> {
        if self.count < 3 || self.score(at) < FLAPPING {
            return None;
        }
        #[allow(clippy::cast_possible_truncation)] // a few minutes
        let ms = ((self.score / FLAPPING).log2() * HALF_LIFE_S * 1000.0) as i64;
        Some(self.last + TimeDelta::milliseconds(ms + 1))
    }

    /// Seconds between two ends, on average.
    #[must_use]
    pub fn every_s(&self) -> i64 {
        (self.last - self.first).num_seconds() / i64::from(self.count.saturating_sub(1).max(1))
    }
}

/// All of it.
#[derive(Debug, Clone, Default)]
pub struct Troubles {
    /// Rises with every change.
    pub version: u64,
    /// By host.
    pub refusals: HashMap<HostName, Refusal>,
    /// Unknown keys offered with a host's name for a user name.
    pub by_name: HashMap<HostName, Knock>,
    /// Unknown keys offered with another user name, by address.
    pub by_address: HashMap<IpAddr, Knock>,
    /// By host.
    pub restarts: HashMap<HostName, Restarts>,
}

impl Troubles {
    /// A host was refused something.
    pub fn refused(&mut self, host: &HostName, rule: &str, session: Option<SessionId>, at: Time) {
        self.version += 1;
        let before = self.refusals.get(host).filter(|r| at - r.at < REFUSED_FRESH);
        let (count, first) = before.map_or((1, at), |r| (r.count + 1, r.first));
        self.refusals.insert(host.clone(), Refusal { rule: rule.into(), count, first, at, session });
    }

    /// A host was granted something: what it was refused before matters no more.
    pub fn granted(&mut self, host: &HostName) {
        if self.refusals.remove(host).is_some() | self.by_name.remove(host).is_some() {
            self.version += 1;
        }
    }

    /// A key was offered that nobody here has.
    pub fn knocked(
        &mut self,
        host: Option<HostName>,
        source: IpAddr,
        user: &str,
        (fingerprint, pending): (&str, bool),
        at: Time,
    ) {
        self.version += 1;
        let fresh = |k: &&Knock| at - k.at < REFUSED_FRESH;
        let before = match &host {
            Some(h) => self.by_name.get(h).filter(|k| k.source == source).filter(fresh),
            None => self.by_address.get(&source).filter(fresh),
        };
        let (count, first) = before.map_or((1, at), |k| (k.count + 1, k.first));
        let (fingerprint, user) = (fingerprint.to_owned(), user.to_owned());
        let knock = Knock { fingerprint, pending, user, source, count, first, at };
        match host {
            Some(h) => {
                self.by_name.insert(h, knock);
            }
            None => {
                if self.by_address.len() >= ADDRESSES && !self.by_address.contains_key(&source) {
                    let oldest = self.by_address.values().min_by_key(|k| k.at).map(|k| k.source);
                    oldest.map(|ip| self.by_address.remove(&ip));
                }
                self.by_address.insert(source, knock);
            }
        }
    }

    /// A pending key was approved or dismissed.
    pub fn decided(&mut self, fingerprint: &str) {
        self.version += 1;
        let all = self.by_name.values_mut().chain(self.by_address.values_mut());
        all.filter(|k| k.fingerprint == fingerprint).for_each(|k| k.pending = false);
    }

    /// A host's session has ended.
    pub fn ended(&mut self, host: &HostName, cause: ObituaryCause, at: Time) {
        use ObituaryCause::{ClientDisconnect, KeepaliveTimeout, PeerReset, ProtocolError, SendTimeout, Takeover};
        // What operators and the bastion end is not the host's doing.
        let its_own =
            matches!(cause, ClientDisconnect | KeepaliveTimeout | PeerReset | ProtocolError | SendTimeout | Takeover);
        if its_own {
            self.version += 1;
            let begin = || Restarts::new(at, cause);
            self.restarts.entry(host.clone()).and_modify(|r| r.again(at, cause)).or_insert_with(begin);
        }
    }

    /// Forgets hosts that are no more.
    pub fn keep(&mut self, config: &Config) {
        self.version += 1;
        self.refusals.retain(|h, _| config.hosts.contains_key(h));
        self.by_name.retain(|h, _| config.hosts.contains_key(h));
        self.restarts.retain(|h, _| config.hosts.contains_key(h));
    }
}

impl State {
    /// Notes the end of a host's session.
    pub(super) fn note_end(&mut self, session: &Session, cause: ObituaryCause) {
        if let Some(host) = session.host.as_ref().filter(|_| session.kind == SessionKind::Host) {
            // A session that was refused what it came for and leaves is told as refused.
            let refused = self.troubles.refusals.get(host).is_some_and(|r| r.session == Some(session.id));
            if !refused {
                self.troubles.ended(host, cause, now());
            }
        }
    }
}

impl Registry {
    /// Remembers what a host was refused, so that its rows and triage can say why it is not up.
    pub fn note_refusal(&self, host: &HostName, rule: &str, session: Option<SessionId>) {
        {
            let mut state = self.state();
            state.troubles.refused(host, rule, session, now());
            state.dirty.host(host);
        }
        self.announce();
    }

    /// Remembers that a key was refused before anybody had signed in. It is a host's affair when the key is a host's, or
    /// else when it comes with a host's name; what comes from an address may turn out to be.
    pub fn note_key(&self, peer: SocketAddr, user: &str, fingerprint: &str, rule: &str) {
        let config = self.config();
        let source = peer.ip().to_canonical();
        match config.keys.get(fingerprint) {
            Some(Principal::Host(host)) => self.note_refusal(host, rule, None),
            Some(Principal::Operator(_)) => {}
            None => {
                let host = config.hosts.get_key_value(user).map(|(h, _)| h.clone());
                let mut state = self.state();
                let pending = state.waiting.get(fingerprint).is_some();
                state.troubles.knocked(host, source, user, (fingerprint, pending), now());
                drop(state);
                self.announce();
            }
        }
    }

    /// What goes wrong, unless it is what one has already.
    #[must_use]
    pub fn troubles(&self, known: Option<&Arc<Troubles>>) -> Arc<Troubles> {
        let state = self.state();
        match known.filter(|k| k.version == state.troubles.version) {
            Some(k) => Arc::clone(k),
            None => Arc::new(state.troubles.clone()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ObituaryCause::{ClientDisconnect, Reconnect, Revoke};

    fn at(s: i64) -> Time {
        Time::from_timestamp(1_800_000_000 + s, 0).unwrap()
    }
    fn host() -> HostName {
        "pay-01".parse().unwrap()
    }

    #[test]
    fn three_ends_in_short_order_flap_and_calm_down_by_themselves() {
        let mut r = Restarts::new(at(0), ClientDisconnect);
        r.again(at(5), ClientDisconnect);
        assert_eq!(r.flaps_until(at(5)), None, "twice is not repeatedly");
        r.again(at(10), ClientDisconnect);
        let until = r.flaps_until(at(10)).unwrap();
        assert!(until > at(120) && until < at(300), "{until}");
        assert_eq!(r.flaps_until(until + TimeDelta::milliseconds(2)), None);
        assert_eq!((r.count, r.every_s()), (3, 5));
    }

    #[test]
    fn every_ninety_seconds_for_long_flaps_and_every_hour_does_not() {
        let series = |gap: i64| {
            let mut r = Restarts::new(at(0), ClientDisconnect);
            (1..20).for_each(|n| r.again(at(n * gap), ClientDisconnect));
            (r.flaps_until(at(19 * gap)).is_some(), r.count)
        };
        assert_eq!(series(90), (true, 20));
        assert_eq!(series(3_600), (false, 1));
    }

    #[test]
    fn what_operators_end_is_no_restart() {
        let mut t = Troubles::default();
        t.ended(&host(), Reconnect, at(0));
        t.ended(&host(), Revoke, at(1));
        assert!(t.restarts.is_empty());
        t.ended(&host(), ClientDisconnect, at(2));
        assert_eq!(t.restarts[&host()].count, 1);
    }

    #[test]
    fn a_series_of_refusals_begins_anew_after_a_pause_and_ends_with_a_grant() {
        let mut t = Troubles::default();
        t.refused(&host(), "no", None, at(0));
        t.refused(&host(), "no", None, at(60));
        assert_eq!((t.refusals[&host()].count, t.refusals[&host()].first), (2, at(0)));
        t.refused(&host(), "no", None, at(60 + 601));
        assert_eq!((t.refusals[&host()].count, t.refusals[&host()].first), (1, at(661)));
        t.granted(&host());
        assert!(t.refusals.is_empty());
    }

    #[test]
    fn addresses_are_remembered_up_to_a_number() {
        let mut t = Troubles::default();
        for n in 0..2_000_u32 {
            t.knocked(None, IpAddr::V4(n.into()), "root", ("SHA256:x", false), at(i64::from(n)));
        }
        assert_eq!(t.by_address.len(), ADDRESSES);
        assert!(!t.by_address.contains_key(&IpAddr::V4(0.into())), "the oldest goes first");
    }
}
