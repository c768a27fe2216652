//! The use of keys: noted at each sign-in, written to the ledger a moment later, many at a time.

use super::live::Session;
use super::registry::Registry;
use crate::config::{Config, HostKey, Principal};
use crate::model::{Approval, HostName, KeyUse, KeyView, Time, key_type, now};
use crate::store::Change;
use chrono::TimeDelta;
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// A key of somebody who has another one in use is left over after so long.
const LEFT_OVER: TimeDelta = TimeDelta::days(30);
/// An operator's key that nobody uses is a risk after so long.
const DORMANT: TimeDelta = TimeDelta::days(90);

/// What is known of the keys in the configuration.
#[derive(Debug, Default)]
pub(super) struct Uses {
    keys: HashMap<String, KeyUse>,
    /// Not yet written, or to be forgotten.
    dirty: BTreeSet<String>,
}

impl Uses {
    pub(super) fn new(saved: Vec<KeyUse>) -> Self {
        Self { keys: saved.into_iter().map(|u| (u.fingerprint.clone(), u)).collect(), dirty: BTreeSet::new() }
    }

    /// Keys that have come into the configuration are known from now on, those that have left are forgotten.
    pub(super) fn keep(&mut self, config: &Config, at: Time) {
        let gone: Vec<String> = self.keys.keys().filter(|k| !config.keys.contains_key(*k)).cloned().collect();
        for key in gone {
            self.keys.remove(&key);
            self.dirty.insert(key);
        }
        for key in config.keys.keys().filter(|k| !self.keys.contains_key(*k)).cloned().collect::<Vec<_>>() {
            let fresh = KeyUse { fingerprint: key.clone(), since: at, last: None, source: None, uses: 0 };
            self.keys.insert(key.clone(), fresh);
            self.dirty.insert(key);
        }
    }

    /// Somebody has signed in.
    pub(super) fn used(&mut self, session: &Session) {
        // The keys in certificates come and go by themselves.
        if session.credential.certified.is_some() {
            return;
        }
        if let Some(u) = self.keys.get_mut(&session.credential.fingerprint) {
            u.last = Some(session.since);
            u.source = Some(session.source);
            u.uses += 1;
            self.dirty.insert(u.fingerprint.clone());
        }
    }

    fn take(&mut self) -> Vec<Change> {
        let change = |key: String| match self.keys.get(&key) {
            Some(u) => Change::PutKeyUse(u.clone()),
            None => Change::DropKeyUse(key),
        };
        std::mem::take(&mut self.dirty).into_iter().map(change).collect()
    }
}

impl Registry {
    /// Writes down which keys were used since the last time. What a crash loses is a moment's.
    pub async fn save_key_uses(&self) {
        let changes = self.state().uses.take();
        if changes.is_empty() {
            return;
        }
        if let Err(error) = self.store.apply(changes.clone()).await {
            tracing::debug!(%error, "the use of keys was not saved; the next time");
            let mut state = self.state();
            state.uses.dirty.extend(changes.into_iter().filter_map(|c| match c {
                Change::PutKeyUse(u) => Some(u.fingerprint),
                Change::DropKeyUse(key) => Some(key),
                _ => None,
            }));
        }
    }

    /// Every key of the configuration and its use, by whose it is.
    #[must_use]
    pub fn keys(&self) -> Vec<KeyView> {
        let config = self.config();
        let at = now();
        let state = self.state();
        let mut live: HashMap<&str, usize> = HashMap::new();
        for s in state.sessions.values().filter(|s| s.credential.certified.is_none()) {
            *live.entry(&s.credential.fingerprint).or_default() += 1;
        }
        let of_hosts = config.hosts.iter().map(|(n, h)| (Principal::Host(n.clone()), Some(&h.team), h.keys.as_slice()));
        let of_operators =
            config.operators.iter().map(|(n, o)| (Principal::Operator(n.clone()), None, o.keys.as_slice()));
        let approved: Vec<_> = config.approved.values().map(as_written).collect();
        let team = |h: &HostName| config.hosts.get(h).map(|h| &h.team);
        let of_approvals = approved.iter().map(|(h, k)| (Principal::Host(h.clone()), team(h), std::slice::from_ref(k)));
        let mut all = Vec::new();
        for (whose, team, keys) in of_hosts.chain(of_approvals).chain(of_operators) {
            for k in keys {
                let credential =
                    super::Credential { fingerprint: k.fingerprint.clone(), ..super::Credential::default() };
                let refused = credential
                    .blocked(&state.ledger, &config, &whose)
                    .or_else(|| self.not_listed(&credential).err())
                    .or_else(|| config.expired(&k.fingerprint, at));
                let unknown =
                    || KeyUse { fingerprint: k.fingerprint.clone(), since: at, last: None, source: None, uses: 0 };
                let (host, operator) = match &whose {
                    Principal::Host(h) => (Some(h.clone()), None),
                    Principal::Operator(o) => (None, Some(o.clone())),
                };
                all.push(KeyView {
                    used: state.uses.keys.get(&k.fingerprint).cloned().unwrap_or_else(unknown),
                    algorithm: k.algorithm.clone(),
                    comment: k.comment.clone(),
                    host,
                    operator,
                    team: team.cloned(),
                    expires: k.expires,
                    from: k.networks.as_ref().map(ToString::to_string),
                    sessions: live.get(k.fingerprint.as_str()).copied().unwrap_or_default(),
                    refused,
                    approved: config.approved.get(&k.fingerprint).cloned(),
                });
            }
        }
        all
    }
}

/// An approved key as it would stand in the configuration.
fn as_written(a: &Approval) -> (HostName, HostKey) {
    let algorithm = key_type(&a.key).to_owned();
    let (fingerprint, expires) = (a.fingerprint.clone(), a.until);
    (a.host.clone(), HostKey { fingerprint, algorithm, comment: String::new(), expires, networks: None })
}

/// Keys that had better be taken out, a sentence each.
#[must_use]
pub fn unused_keys(keys: &[KeyView], at: Time) -> Vec<String> {
    let day = |t: Time| t.format("%Y-%m-%d").to_string();
    let mut by_owner: BTreeMap<(bool, &str), Vec<&KeyView>> = BTreeMap::new();
    for k in keys {
        by_owner.entry((k.host.is_none(), k.whose())).or_default().push(k);
    }
    let mut out = Vec::new();
    for ((operator, name), keys) in by_owner {
        let newest = keys.iter().filter_map(|k| if k.sessions > 0 { Some(at) } else { k.used.last }).max();
        for k in &keys {
            let Some(idle) = k.idle_since() else { continue };
            let unused = match k.used.last {
                Some(t) => format!("has not been used since {}", day(t)),
                None => format!("has not been used since it was added on {} or before", day(k.used.since)),
            };
            let kind = if operator { "operator" } else { "host" };
            let key = &k.used.fingerprint;
            if newest.is_some_and(|t| t > idle) && at - idle >= LEFT_OVER {
                out.push(format!(
                    "the key {key} of {kind} {name} {unused}, and another one has: take it out if it is done with"
                ));
            } else if operator && at - idle >= DORMANT {
                out.push(format!("the key {key} of {kind} {name} {unused}: take it out, or ask whose it is"));
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(name: &str, operator: bool, print: &str, last: Option<i64>, since: i64, sessions: usize) -> KeyView {
        let at = |days: i64| Time::from_timestamp(days * 86_400, 0).unwrap();
        KeyView {
            used: KeyUse {
                fingerprint: print.to_owned(),
                since: at(since),
                last: last.map(at),
                source: None,
                uses: u64::from(last.is_some()),
            },
            algorithm: "ssh-ed25519".into(),
            comment: String::new(),
            host: (!operator).then(|| name.parse().unwrap()),
            operator: operator.then(|| name.parse().unwrap()),
            team: None,
            expires: None,
            from: None,
            sessions,
            refused: None,
            approved: None,
        }
    }

    #[test]
    fn the_key_that_a_change_has_left_behind_is_told_and_a_host_that_is_away_is_not() {
        let at = Time::from_timestamp(1_000 * 86_400, 0).unwrap();
        let told = |keys: &[KeyView]| unused_keys(keys, at);
        // A change of keys: the old one is told of a month after the new one took over.
        let changed = [key("db", false, "old", Some(960), 1, 0), key("db", false, "new", Some(961), 950, 1)];
        assert_eq!(told(&changed).len(), 1);
        assert!(
            told(&changed)[0].starts_with("the key old of host db has not been used since 1972-08-18, and another")
        );
        assert!(
            told(&[key("db", false, "old", Some(980), 1, 0), key("db", false, "new", Some(990), 950, 1)]).is_empty()
        );
        // One that is prepared and waits.
        assert!(told(&[key("db", false, "a", Some(999), 1, 1), key("db", false, "next", None, 999, 0)]).is_empty());
        assert_eq!(told(&[key("db", false, "a", Some(999), 1, 1), key("db", false, "never", None, 900, 0)]).len(), 1);
        // The only key of a host that is away, and the same of an operator.
        assert!(told(&[key("db", false, "a", Some(100), 1, 0)]).is_empty());
        assert_eq!(told(&[key("al", true, "a", Some(100), 1, 0)]).len(), 1);
        assert!(told(&[key("al", true, "a", Some(100), 1, 1)]).is_empty(), "in use now");
        // A host and an operator of one name are two.
        assert!(told(&[key("x", false, "a", Some(900), 1, 0), key("x", true, "b", Some(999), 1, 0)]).is_empty());
    }
}
