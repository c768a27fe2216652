//! Keys that nobody has and that were proved: kept in memory for a while, so that an admin can approve one.
//!
//! Anybody can make a key and prove it. So there is room for so many, for a few of each network, and nobody makes another
//! one's key leave, but for this: a network that somebody of the configuration has signed in from takes the place of a
//! stranger.

use super::credential::Credential;
use super::ledger::Who;
use super::lifecycle::{ActError, By, Done};
use super::registry::{Registry, State};
use crate::audit::{Actor, Context, Event, What};
use crate::config::{Config, Pending};
use crate::model::{PendingKey, SessionId, Time, now};
use chrono::TimeDelta;
use ipnet::IpNet;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::SocketAddr;

/// Dismissed keys that are remembered. Each takes an operator to make.
const DISMISSED: usize = 1_024;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    /// With the network each came from first, by fingerprint; none where no rule for networks holds.
    all: BTreeMap<String, (PendingKey, Option<IpNet>)>,
    /// Keys that are not to be noted again before then.
    dismissed: HashMap<String, Time>,
    /// Keys that somebody is approving: nobody's until that is written down, and not to be noted again.
    approving: BTreeSet<String>,
}

/// Where a key would stand.
#[derive(Debug, PartialEq, Eq)]
enum Place {
    /// It stands there already.
    Again,
    /// There is room.
    Free,
    /// In the place of this one.
    Instead(String),
}

impl Waiting {
    /// Forgets what has not been seen for so long, and all of it where policy keeps nothing. Whether a key went.
    fn forget(&mut self, rules: &Pending, at: Time) -> bool {
        let before = self.all.len();
        self.all.retain(|_, (k, _)| rules.on && at < over(k.last, rules));
        self.dismissed.retain(|_, until| rules.on && at < *until);
        self.all.len() != before
    }

    /// Where this key would stand; none where there is no room for it.
    fn place(&self, rules: &Pending, key: &str, net: Option<IpNet>, known: bool) -> Option<Place> {
        if !rules.on || self.dismissed.contains_key(key) {
            return None;
        }
        if self.all.contains_key(key) {
            return Some(Place::Again);
        }
        if net.is_some() && self.all.values().filter(|(_, n)| *n == net).count() >= rules.of_network {
            return None;
        }
        if self.all.len() < rules.most {
            return Some(Place::Free);
        }
        let strangers = self.all.values().map(|(k, _)| k).filter(|k| known && !k.known);
        strangers.min_by_key(|k| k.last).map(|k| Place::Instead(k.fingerprint.clone()))
    }

    /// Notes a key that was proved. Whether it is new here; none where there is no room for it.
    fn note(&mut self, rules: &Pending, key: PendingKey, net: Option<IpNet>) -> Option<bool> {
        match self.place(rules, &key.fingerprint, net, key.known)? {
            Place::Again => {
                if let Some((old, _)) = self.all.get_mut(&key.fingerprint) {
                    *old = PendingKey { first: old.first, count: old.count.saturating_add(1), ..key };
                }
                return Some(false);
            }
            Place::Free => {}
            Place::Instead(other) => drop(self.all.remove(&other)),
        }
        self.all.insert(key.fingerprint.clone(), (key, net));
        Some(true)
    }

    /// Forgets those that have come to be somebody's.
    pub(super) fn keep(&mut self, config: &Config) {
        self.all.retain(|key, _| !config.keys.contains_key(key));
    }

    pub(super) fn get(&self, fingerprint: &str) -> Option<&PendingKey> {
        self.all.get(fingerprint).map(|(k, _)| k)
    }

    /// Takes one out: nobody else can have it then.
    pub(super) fn take(&mut self, fingerprint: &str) -> Option<(PendingKey, Option<IpNet>)> {
        self.all.remove(fingerprint)
    }

    /// Takes one out to approve it: until [`Waiting::approved`] nobody else can, and it is not noted.
    pub(super) fn take_to_approve(&mut self, fingerprint: &str) -> Option<(PendingKey, Option<IpNet>)> {
        let taken = self.take(fingerprint)?;
        self.approving.insert(fingerprint.to_owned());
        Some(taken)
    }

    pub(super) fn is_being_approved(&self, fingerprint: &str) -> bool {
        self.approving.contains(fingerprint)
    }

    /// It has been approved, or could not be.
    pub(super) fn approved(&mut self, fingerprint: &str) {
        self.approving.remove(fingerprint);
    }

    /// Puts back what was taken for nothing.
    pub(super) fn put_back(&mut self, (key, net): (PendingKey, Option<IpNet>)) {
        self.all.entry(key.fingerprint.clone()).or_insert((key, net));
    }
}

/// The network whose share of the places this one takes. An exempt one has none: behind a proxy all come from there.
fn share(config: &Config, peer: SocketAddr) -> Option<IpNet> {
    let rules = &config.sources;
    (!rules.is_exempt(peer.ip())).then(|| rules.network(peer.ip()))
}

fn over(last: Time, rules: &Pending) -> Time {
    last + TimeDelta::from_std(rules.time).unwrap_or(TimeDelta::MAX)
}

impl State {
    /// Whether nobody has this key or is about to get it, and it is not blocked.
    fn is_nobodys(&self, config: &Config, key: &str) -> bool {
        let known = config.keys.contains_key(key) || config.trust.cas.contains_key(key);
        !known
            && !self.waiting.is_being_approved(key)
            && self.ledger.barred(&Who { fingerprint: Some(key), ..Who::default() }).is_none()
    }
}

impl Registry {
    /// Whether an unknown key that is offered is worth its proof: policy keeps such keys, and there is room for it. `known`:
    /// somebody of the configuration has signed in from its network.
    #[must_use]
    pub fn may_be_pending(&self, credential: &Credential, peer: SocketAddr, known: bool) -> bool {
        if !self.config().trust.pending.on || !self.takes_notes(credential) {
            return false;
        }
        let mut state = self.state();
        let config = self.config();
        let (rules, net) = (&config.trust.pending, share(&config, peer));
        state.waiting.forget(rules, now());
        state.is_nobodys(&config, &credential.fingerprint)
            && state.waiting.place(rules, &credential.fingerprint, net, known).is_some()
    }

    /// Notes an unknown key that was proved, where [`Registry::may_be_pending`] holds.
    pub fn note_pending(&self, credential: &Credential, key: PendingKey, session: SessionId) {
        if !self.takes_notes(credential) {
            return;
        }
        let new = {
            let mut state = self.state();
            let config = self.config();
            let (rules, net) = (&config.trust.pending, share(&config, key.source));
            state.waiting.forget(rules, now());
            if !state.is_nobodys(&config, &key.fingerprint) {
                return;
            }
            state.waiting.note(rules, key.clone(), net) == Some(true)
        };
        if new {
            let what = What::KeyPending { client: key.client };
            let context = Context {
                source: Some(key.source),
                fingerprint: Some(key.fingerprint),
                user: Some(key.user),
                session: Some(session),
                ..Context::default()
            };
            // Not among those that are counted: there are no more of them than there is room.
            self.journal.record(Event::success(Actor::Unknown, what, context));
        }
        self.announce();
    }

    /// Whether a key that no list revokes can be noted, and that be written down.
    fn takes_notes(&self, credential: &Credential) -> bool {
        self.not_listed(credential).is_ok() && self.open_for_business().is_ok() && self.auditable().is_ok()
    }

    /// The pending keys, the one that was seen last first.
    #[must_use]
    pub fn pending(&self) -> Vec<PendingKey> {
        let config = self.config();
        let mut all: Vec<PendingKey> = {
            let mut state = self.state();
            state.waiting.forget(&config.trust.pending, now());
            state.waiting.all.values().map(|(k, _)| k.clone()).collect()
        };
        all.sort_by(|a, b| (b.last, &a.fingerprint).cmp(&(a.last, &b.fingerprint)));
        all
    }

    /// Forgets the pending keys that have not been seen for long.
    pub fn pending_over(&self, at: Time) {
        let config = self.config();
        if self.state().waiting.forget(&config.trust.pending, at) {
            self.announce();
        }
    }

    /// Drops a pending key. For as long as one is kept it is not noted again.
    ///
    /// # Errors
    /// [`ActError`] when there is no such key, or when it could not be written down.
    pub async fn dismiss(&self, by: By, fingerprint: &str) -> Result<Done, ActError> {
        self.auditable()?;
        let until = over(now(), &self.config().trust.pending);
        let (key, _) = {
            let mut state = self.state();
            let taken = state.waiting.take(fingerprint).ok_or_else(|| not_pending(fingerprint))?;
            let full = state.waiting.dismissed.len() >= DISMISSED;
            if let Some(oldest) = state.waiting.dismissed.iter().min_by_key(|(_, at)| **at).map(|(k, _)| k.clone())
                && full
            {
                state.waiting.dismissed.remove(&oldest);
            }
            state.waiting.dismissed.insert(fingerprint.to_owned(), until);
            state.troubles.decided(fingerprint);
            taken
        };
        self.announce();
        let context =
            Context { fingerprint: Some(key.fingerprint), user: Some(key.user.clone()), ..Context::default() };
        let (seq, warning) = self.prove(by.success(What::KeyDismissed {}, context)).await;
        let until = until.format("%Y-%m-%d %H:%MZ");
        let summary =
            format!("dismissed {fingerprint} (user {}, from {}); not noted before {until}", key.user, key.source.ip());
        Ok(Done::warned(seq, summary, warning))
    }
}

/// That there is no such key to be decided on.
pub(super) fn not_pending(fingerprint: &str) -> ActError {
    ActError::NotFound(format!(
        "{fingerprint} is not pending: `portreeve pending` lists the keys that are, and a client has to prove one first"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(s: i64) -> Time {
        Time::from_timestamp(1_800_000_000 + s, 0).unwrap()
    }
    #[allow(clippy::unnecessary_wraps)] // as a key is noted
    fn net(n: u8) -> Option<IpNet> {
        Some(format!("203.0.113.{n}/32").parse().unwrap())
    }
    fn rules() -> Pending {
        Pending { on: true, most: 4, of_network: 2, time: std::time::Duration::from_secs(600) }
    }
    fn key(name: &str, known: bool, last: i64) -> PendingKey {
        PendingKey {
            fingerprint: format!("SHA256:{name}"),
            key: "ssh-ed25519 AAAA".to_owned(),
            user: name.to_owned(),
            source: "203.0.113.1:50022".parse().unwrap(),
            client: "OpenSSH_9.2p1".to_owned(),
            first: at(last),
            last: at(last),
            count: 1,
            known,
        }
    }
    fn names(w: &Waiting) -> Vec<&str> {
        w.all.values().map(|(k, _)| k.user.as_str()).collect()
    }

    #[test]
    fn one_that_comes_again_is_counted_and_none_of_its_network_is_pushed_out() {
        let mut w = Waiting::default();
        assert_eq!(w.note(&rules(), key("a", false, 0), net(1)), Some(true));
        assert_eq!(w.note(&rules(), key("a", false, 5), net(1)), Some(false));
        let a = w.get("SHA256:a").unwrap();
        assert_eq!((a.count, a.first, a.last), (2, at(0), at(5)));
        assert_eq!(w.note(&rules(), key("b", false, 6), net(1)), Some(true));
        assert_eq!(w.note(&rules(), key("c", true, 7), net(1)), None, "its network has had its share");
        assert_eq!(names(&w), ["a", "b"]);
    }

    #[test]
    fn a_stranger_pushes_out_nobody_and_gives_way_to_a_known_network() {
        let mut w = Waiting::default();
        for (n, name) in ["a", "b", "c"].into_iter().enumerate() {
            let n = u8::try_from(n).unwrap();
            assert_eq!(w.note(&rules(), key(name, false, n.into()), net(n)), Some(true));
        }
        assert_eq!(w.note(&rules(), key("site", true, 3), net(10)), Some(true));
        assert_eq!(w.note(&rules(), key("d", false, 4), net(4)), None, "all places are taken");
        assert_eq!(w.note(&rules(), key("site-2", true, 5), net(11)), Some(true));
        assert_eq!(names(&w), ["b", "c", "site", "site-2"], "the stranger that was seen least lately went");
        for n in 12..40 {
            w.note(&rules(), key(&format!("known-{n}"), true, 6), net(n));
        }
        assert_eq!(w.all.len(), 4);
        assert!(w.all.values().all(|(k, _)| k.known) && w.get("SHA256:site").is_some(), "{:?}", names(&w));
    }

    #[test]
    fn an_exempt_network_has_no_share_and_gives_way_to_a_known_one() {
        let config = Config::parse("[sources]\nexempt = [\"10.0.0.5/32\"]\n", std::path::Path::new("/x")).unwrap();
        assert_eq!(share(&config, "10.0.0.5:50022".parse().unwrap()), None);
        assert!(share(&config, "203.0.113.1:50022".parse().unwrap()).is_some());
        let mut w = Waiting::default();
        for (n, name) in [(0, "a"), (1, "b"), (2, "c"), (3, "d")] {
            assert_eq!(w.note(&rules(), key(name, false, n), None), Some(true), "no share of two for {name}");
        }
        assert_eq!(w.note(&rules(), key("e", false, 4), None), None, "all places are taken");
        assert_eq!(w.note(&rules(), key("site", true, 5), net(1)), Some(true));
        assert_eq!(names(&w), ["b", "c", "d", "site"]);
    }

    #[test]
    fn what_is_not_seen_again_is_forgotten_and_all_of_it_when_policy_says_so() {
        let mut w = Waiting::default();
        w.note(&rules(), key("a", false, 0), net(1));
        w.note(&rules(), key("b", false, 300), net(1));
        assert!(!w.forget(&rules(), at(599)));
        assert!(w.forget(&rules(), at(600)));
        assert_eq!(names(&w), ["b"]);
        assert!(w.forget(&Pending { on: false, ..rules() }, at(601)) && w.all.is_empty());
    }

    #[test]
    fn a_dismissed_key_is_not_noted_again_for_a_while() {
        let mut w = Waiting::default();
        w.dismissed.insert("SHA256:a".to_owned(), at(600));
        assert_eq!(w.note(&rules(), key("a", true, 0), net(1)), None);
        w.forget(&rules(), at(600));
        assert_eq!(w.note(&rules(), key("a", true, 601), net(1)), Some(true));
    }
}
