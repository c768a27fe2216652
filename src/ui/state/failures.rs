//! Refused sign-ins and requests, by where they came from.

use super::live::Live;
use crate::audit::{Outcome, Record, What};
use crate::model::Time;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

/// Addresses of one network that make it one source.
const NETWORK_FROM: usize = 3;

/// Why a host is probably the one behind a source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Because {
    /// It signed in with this key.
    Key,
    /// Its name was given.
    Name,
    /// It came from this address.
    Address,
}

/// What came from one address or network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Source {
    /// An address, or a network, as a filter has it.
    pub(crate) name: String,
    pub(crate) addresses: usize,
    pub(crate) count: usize,
    pub(crate) first: Time,
    pub(crate) last: Time,
    pub(crate) users: BTreeSet<String>,
    pub(crate) keys: BTreeSet<String>,
    /// The rule that the last one was refused by.
    pub(crate) rule: Option<String>,
    pub(crate) host: Option<(String, Because)>,
}

/// All of them, the busiest first.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Failures {
    pub(crate) rows: Vec<Source>,
    pub(crate) selected: usize,
    pub(crate) offset: usize,
    /// How many failures, and the span of all events looked at.
    pub(crate) count: usize,
    pub(crate) span: Option<(Time, Time)>,
}

/// Whether this is a sign-in or a request that was turned down.
fn is_failure(r: &Record) -> bool {
    r.event.outcome != Outcome::Success
        && matches!(
            r.event.what,
            What::AuthFailure { .. }
                | What::ConnectionRefused {}
                | What::ForwardRefused { .. }
                | What::RequestRefused { .. }
        )
}

/// The /24 or /64 of an address.
fn network(ip: IpAddr) -> String {
    match ip.to_canonical() {
        IpAddr::V4(v4) => {
            let [a, b, c, _] = v4.octets();
            format!("{a}.{b}.{c}.0/24")
        }
        IpAddr::V6(v6) => {
            let [a, b, c, d, ..] = v6.segments();
            format!("{}/64", std::net::Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
    }
}

impl Failures {
    /// Of these events, the selection kept on its source.
    pub(crate) fn of(events: &[Arc<Record>], live: &Live, before: Option<&Self>) -> Self {
        let failures: Vec<&Record> = events.iter().map(|r| &**r).filter(|r| is_failure(r)).collect();
        let mut of_net: BTreeMap<String, BTreeSet<IpAddr>> = BTreeMap::new();
        let address = |r: &Record| r.event.context.source.map(|s| s.ip().to_canonical());
        for ip in failures.iter().filter_map(|r| address(r)) {
            of_net.entry(network(ip)).or_default().insert(ip);
        }
        let name = |ip: IpAddr| {
            let net = network(ip);
            if of_net.get(&net).is_some_and(|all| all.len() >= NETWORK_FROM) { net } else { ip.to_string() }
        };
        let mut sources: BTreeMap<String, Source> = BTreeMap::new();
        let mut addresses: BTreeMap<String, BTreeSet<IpAddr>> = BTreeMap::new();
        for r in &failures {
            let Some(ip) = address(r) else { continue };
            let c = &r.event.context;
            let s = sources.entry(name(ip)).or_insert_with_key(|name| Source {
                name: name.clone(),
                addresses: 0,
                count: 0,
                first: r.at,
                last: r.at,
                users: BTreeSet::new(),
                keys: BTreeSet::new(),
                rule: None,
                host: None,
            });
            s.count += 1;
            (s.first, s.last) = (s.first.min(r.at), s.last.max(r.at));
            s.users.extend(c.user.clone());
            s.keys.extend(c.fingerprint.clone());
            s.rule = c.rule.clone().or(s.rule.take());
            addresses.entry(s.name.clone()).or_default().insert(ip);
            if let Some(h) = &c.host {
                s.host = Some((h.to_string(), Because::Key));
            }
        }
        let known = Known::of(events, live);
        let mut rows: Vec<Source> = sources.into_values().collect();
        for s in &mut rows {
            let from = addresses.get(&s.name);
            s.addresses = from.map_or(1, BTreeSet::len);
            if s.host.is_none() {
                s.host = known.host_of(s, from);
            }
        }
        rows.sort_by(|a, b| b.count.cmp(&a.count).then_with(|| b.last.cmp(&a.last)).then_with(|| a.name.cmp(&b.name)));
        let was = before.and_then(|b| b.rows.get(b.selected)).map(|s| s.name.clone());
        let selected = was.and_then(|n| rows.iter().position(|s| s.name == n)).unwrap_or(0);
        let span = events.first().zip(events.last()).map(|(a, b)| (a.at, b.at));
        Self { rows, selected, offset: before.map_or(0, |b| b.offset), count: failures.len(), span }
    }

    pub(crate) fn current(&self) -> Option<&Source> {
        self.rows.get(self.selected)
    }

    /// Keeps the selected row on the screen.
    pub(crate) fn settle(&mut self, height: usize) {
        let height = height.max(1);
        self.selected = self.selected.min(self.rows.len().saturating_sub(1));
        self.offset = self.offset.min(self.selected).max((self.selected + 1).saturating_sub(height));
        self.offset = self.offset.min(self.rows.len().saturating_sub(height));
    }
}

/// What tells of hosts: their keys, names and addresses.
struct Known<'a> {
    keys: BTreeMap<&'a str, String>,
    names: BTreeSet<String>,
    addresses: BTreeMap<IpAddr, BTreeSet<String>>,
}

impl<'a> Known<'a> {
    fn of(events: &'a [Arc<Record>], live: &'a Live) -> Self {
        let mut keys: BTreeMap<&str, String> = BTreeMap::new();
        let mut addresses: BTreeMap<IpAddr, BTreeSet<String>> = BTreeMap::new();
        for r in events.iter().filter(|r| matches!(r.event.what, What::AuthSuccess { .. })) {
            let c = &r.event.context;
            if let (Some(h), Some(f)) = (&c.host, &c.fingerprint) {
                keys.insert(f, h.to_string());
            }
            if let (Some(h), Some(s)) = (&c.host, c.source) {
                addresses.entry(s.ip().to_canonical()).or_default().insert(h.to_string());
            }
        }
        for s in live.sessions.values().filter(|s| s.team.is_some()) {
            keys.insert(&s.fingerprint, s.name.clone());
            addresses.entry(s.source.ip().to_canonical()).or_default().insert(s.name.clone());
        }
        for row in live.tunnels.values() {
            if let Some(s) = row.view.source {
                addresses.entry(s.ip().to_canonical()).or_default().insert(row.host().to_string());
            }
        }
        Self { keys, names: live.host_names().into_iter().collect(), addresses }
    }

    /// The surest sign first. An address that several hosts share says nothing.
    fn host_of(&self, s: &Source, from: Option<&BTreeSet<IpAddr>>) -> Option<(String, Because)> {
        let by_key = s.keys.iter().find_map(|k| self.keys.get(k.as_str()));
        let by_name = s.users.iter().find(|u| self.names.contains(*u));
        let by_address = from.into_iter().flatten().find_map(|ip| {
            let hosts = self.addresses.get(ip).filter(|h| h.len() == 1)?;
            hosts.first()
        });
        by_key
            .map(|h| (h.clone(), Because::Key))
            .or_else(|| by_name.map(|h| (h.clone(), Because::Name)))
            .or_else(|| by_address.map(|h| (h.clone(), Because::Address)))
    }
}
