//! `[sources]` and `ssh.max_startups`: what holds for connections before anybody has signed in.

use super::keys;
use super::problem::{Complaint, Report};
use super::reader::{Item, Table};
use super::values;
use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

/// Connections that have not signed in, with sshd's random early drop: up to `start` all are taken, from there on `rate`
/// per cent are refused, rising evenly to all of them at `full`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Startups {
    /// So many are always taken.
    pub start: usize,
    /// Per cent refused from there on.
    pub rate: u8,
    /// From so many on all are refused.
    pub full: usize,
}

impl Startups {
    /// What holds when nothing is said. A connection costs this daemon some tens of KiB and no process, as it does sshd,
    /// whose default is 10:30:100.
    pub const DEFAULT: Self = Self { start: 100, rate: 30, full: 400 };

    /// A limit without early drop.
    #[must_use]
    pub const fn hard(full: usize) -> Self {
        Self { start: full, rate: 100, full }
    }

    /// How many of a thousand connections are refused while so many have not signed in.
    #[must_use]
    pub fn refused_of_1000(&self, now: usize) -> u64 {
        if now >= self.full {
            return 1000;
        }
        if now < self.start {
            return 0;
        }
        let (over, span) = ((now - self.start) as u64, (self.full - self.start) as u64);
        let rate = u64::from(self.rate) * 10;
        rate + (1000 - rate.min(1000)) * over / span.max(1)
    }
}

impl fmt::Display for Startups {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.start == self.full {
            write!(f, "{}", self.full)
        } else {
            write!(f, "{}:{}:{}", self.start, self.rate, self.full)
        }
    }
}

/// What happens when more networks are penalised than can be kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Overflow {
    /// The penalty that ends soonest is forgotten.
    #[default]
    Permissive,
    /// Networks that nobody has signed in from are refused, all of them, until there is room.
    Deny,
}

/// Seconds of refusal that a network earns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Penalties {
    /// `penalties`, default true: whether there are any.
    pub on: bool,
    /// `penalty_auth`, default 5 s: left after keys that were not accepted.
    pub auth: Duration,
    /// `penalty_no_auth`, default 1 s: left without having tried to sign in.
    pub no_auth: Duration,
    /// `penalty_grace`, default 10 s: did not sign in within `ssh.login_grace_time`.
    pub grace: Duration,
    /// `penalty_protocol`, default 10 s: broke the protocol before it had signed in.
    pub protocol: Duration,
    /// `penalty_crash`, default 90 s: its session panicked.
    pub crash: Duration,
    /// `penalty_min`, default 15 s: what must come together before anything is refused.
    pub min: Duration,
    /// `penalty_max`, default 10 min: the most that can.
    pub max: Duration,
    /// `max_penalties`, default 65536: networks that are kept.
    pub table: usize,
    /// `overflow`: when there are more.
    pub overflow: Overflow,
}

/// `[sources]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourcesConfig {
    /// `allow`: who may connect at all; none means everybody.
    pub allow: Option<Vec<IpNet>>,
    /// `deny`: who may not. Stands above `allow`.
    pub deny: Vec<IpNet>,
    /// `exempt`, default loopback: of whom neither penalties nor limits by network hold.
    pub exempt: Vec<IpNet>,
    /// `ipv4_prefix`, default 32: bits of an IPv4 address that make a network.
    pub ipv4_prefix: u8,
    /// `ipv6_prefix`, default 64: the same of an IPv6 address. A customer has at least so much.
    pub ipv6_prefix: u8,
    /// `max_startups`, default 32: connections of one network, not yet signed in, that nobody has signed in from.
    pub max_startups: usize,
    /// Penalties.
    pub penalties: Penalties,
    /// `report_interval`, default 60 s: refusals beyond the first are counted and told so often.
    pub report_interval: Duration,
}

impl SourcesConfig {
    /// The network that an address counts as.
    #[must_use]
    pub fn network(&self, ip: IpAddr) -> IpNet {
        let net = match ip.to_canonical() {
            IpAddr::V4(ip) => Ipv4Net::new(ip, self.ipv4_prefix).map(IpNet::V4),
            IpAddr::V6(ip) => Ipv6Net::new(ip, self.ipv6_prefix).map(IpNet::V6),
        };
        net.map_or_else(|_| IpNet::from(ip), |n| n.trunc())
    }

    /// Whether the rules for networks do not hold for this address.
    #[must_use]
    pub fn is_exempt(&self, ip: IpAddr) -> bool {
        holds(&self.exempt, ip)
    }

    /// Whether this address may connect at all.
    ///
    /// # Errors
    /// The rule by which it may not.
    pub fn admits(&self, ip: IpAddr) -> Result<(), &'static str> {
        if holds(&self.deny, ip) {
            return Err("the network is denied (sources.deny)");
        }
        match &self.allow {
            Some(allow) if !holds(allow, ip) => Err("the network is not allowed (sources.allow)"),
            _ => Ok(()),
        }
    }

    /// Each setting by its key, for the difference between two.
    pub(super) fn settings(&self) -> Vec<(&'static str, String)> {
        let Self { allow, deny, exempt, ipv4_prefix, ipv6_prefix, max_startups, penalties, report_interval } = self;
        let Penalties { on, auth, no_auth, grace, protocol, crash, min, max, table, overflow } = penalties;
        let list = |nets: &[IpNet]| {
            let all = nets.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
            if all.is_empty() { "none".to_owned() } else { all }
        };
        let time = |d: &Duration| {
            if d.is_zero() { "off".to_owned() } else { humantime::format_duration(*d).to_string() }
        };
        let overflow = match overflow {
            Overflow::Permissive => "permissive",
            Overflow::Deny => "deny",
        };
        vec![
            ("sources.allow", allow.as_deref().map_or_else(|| "all".to_owned(), list)),
            ("sources.deny", list(deny)),
            ("sources.exempt", list(exempt)),
            ("sources.ipv4_prefix", ipv4_prefix.to_string()),
            ("sources.ipv6_prefix", ipv6_prefix.to_string()),
            ("sources.max_startups", max_startups.to_string()),
            ("sources.penalties", on.to_string()),
            ("sources.penalty_auth", time(auth)),
            ("sources.penalty_no_auth", time(no_auth)),
            ("sources.penalty_grace", time(grace)),
            ("sources.penalty_protocol", time(protocol)),
            ("sources.penalty_crash", time(crash)),
            ("sources.penalty_min", time(min)),
            ("sources.penalty_max", time(max)),
            ("sources.max_penalties", table.to_string()),
            ("sources.overflow", overflow.to_owned()),
            ("sources.report_interval", time(report_interval)),
        ]
    }
}

fn holds(nets: &[IpNet], ip: IpAddr) -> bool {
    let ip = ip.to_canonical();
    nets.iter().any(|n| n.contains(&ip))
}

const STARTUPS: &str =
    "write \"100:30:400\": how many are always taken, per cent refused from there on, how many at most";

fn startups_value(text: &str) -> Result<Startups, Complaint> {
    let bad = |why: &str| Complaint::new(format!("{text:?}: {why}"), STARTUPS);
    let number = |t: &str| t.trim().parse::<usize>().ok().filter(|n| (1..=1_000_000).contains(n));
    let parts: Vec<&str> = text.split(':').collect();
    match parts.as_slice() {
        [full] => number(full).map(Startups::hard).ok_or_else(|| bad("it is not a number from 1 to 1000000")),
        [start, rate, full] => {
            let (Some(start), Some(full)) = (number(start), number(full)) else {
                return Err(bad("the first and the last must be numbers from 1 to 1000000"));
            };
            let rate = rate.trim().parse::<u8>().ok().filter(|r| (1..=100).contains(r));
            let rate = rate.ok_or_else(|| bad("the rate must be from 1 to 100, in per cent"))?;
            if start > full {
                return Err(bad("the first is more than the last"));
            }
            Ok(Startups { start, rate, full })
        }
        _ => Err(bad("it must have one number or three")),
    }
}

/// `ssh.max_startups` and `max_startups_known`, or the older `max_unauthenticated`, which is a limit for both.
pub(super) fn startups<'a>(report: &'a Report<'a>, ssh: &Table<'a>) -> (Startups, usize) {
    let known = ssh.count("max_startups_known", 1_000_000, 4096) as usize;
    let new = ssh.item("max_startups").and_then(|i| i.parsed(STARTUPS, startups_value));
    let Some(old) = ssh.item("max_unauthenticated") else {
        return (new.unwrap_or(Startups::DEFAULT), known);
    };
    let both = ["max_startups", "max_startups_known"].into_iter().find(|k| ssh.item(k).is_some());
    if let Some(other) = both {
        report.add(
            &old.at,
            format!("`ssh.max_unauthenticated` and `ssh.{other}` say two things about the same connections"),
            "keep max_startups and max_startups_known; max_unauthenticated is the older way to write a limit for both",
        );
    }
    let limit = old.number(1, 1_000_000).unwrap_or(4096) as usize;
    (Startups::hard(limit), limit)
}

/// `[sources]`.
pub(super) fn read<'a>(report: &'a Report<'a>, item: Option<&Item<'a>>) -> SourcesConfig {
    let t = Table::new(report, "sources", item.map_or(0..0, |i| i.at.clone()), item, &keys::SOURCES);
    let networks = |key| {
        let one = |i: Item<'a>| i.parsed("write networks in quotes, such as \"10.1.0.0/16\"", values::network);
        t.item(key).map(|i| i.list().into_iter().filter_map(one).collect::<Vec<_>>())
    };
    let allow = networks("allow");
    if let Some(i) = t.item("allow").filter(|i| i.list().is_empty()) {
        report.add(&i.at, "`sources.allow` is empty: nobody could connect", "name networks, or leave the key out");
    }
    let prefix = |key, bits: u8, default: u8| {
        let n = t.item(key).and_then(|i| i.number(1, u32::from(bits))).unwrap_or(u32::from(default));
        u8::try_from(n).unwrap_or(default)
    };
    let time = |key, default| {
        let remedy = "write a duration, such as \"5s\", or \"off\"";
        t.item(key).and_then(|i| i.parsed(remedy, values::duration_or_off)).unwrap_or(Duration::from_secs(default))
    };
    let loopback = || {
        let v4 = Ipv4Net::new(Ipv4Addr::new(127, 0, 0, 0), 8).map(IpNet::V4);
        v4.into_iter().chain([IpNet::from(IpAddr::V6(Ipv6Addr::LOCALHOST))]).collect()
    };
    let penalties = Penalties {
        on: t.item("penalties").and_then(|i| i.yes_or_no()).unwrap_or(true),
        auth: time("penalty_auth", 5),
        no_auth: time("penalty_no_auth", 1),
        grace: time("penalty_grace", 10),
        protocol: time("penalty_protocol", 10),
        crash: time("penalty_crash", 90),
        min: t.duration("penalty_min", Duration::from_secs(15)),
        max: t.duration("penalty_max", Duration::from_secs(600)),
        table: t.count("max_penalties", 10_000_000, 65_536) as usize,
        overflow: t
            .item("overflow")
            .and_then(|i| i.word(&[("permissive", Overflow::Permissive), ("deny", Overflow::Deny)]))
            .unwrap_or_default(),
    };
    if penalties.max < penalties.min
        && let Some(i) = t.item("penalty_max").or_else(|| t.item("penalty_min"))
    {
        report.add(
            &i.at,
            "`sources.penalty_max` is less than `sources.penalty_min`: nobody would ever be refused",
            "raise penalty_max, or write penalties = false",
        );
    }
    SourcesConfig {
        allow,
        deny: networks("deny").unwrap_or_default(),
        exempt: networks("exempt").unwrap_or_else(loopback),
        ipv4_prefix: prefix("ipv4_prefix", 32, 32),
        ipv6_prefix: prefix("ipv6_prefix", 128, 64),
        max_startups: t.count("max_startups", 1_000_000, 32) as usize,
        penalties,
        report_interval: t.duration("report_interval", Duration::from_secs(60)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn early_drop_begins_at_the_rate_and_rises_to_all() {
        let s = startups_value("10:30:60").unwrap();
        assert_eq!([0, 9, 10, 35, 59, 60, 99].map(|n| s.refused_of_1000(n)), [0, 0, 300, 650, 986, 1000, 1000]);
        let hard = startups_value("128").unwrap();
        assert_eq!([0, 127, 128].map(|n| hard.refused_of_1000(n)), [0, 0, 1000]);
        for bad in ["", "0", "10:30", "60:30:10", "10:0:60", "10:101:60", "a:b:c", "1:2:3:4", "-1"] {
            assert!(startups_value(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_network_is_a_prefix_and_mapped_addresses_are_ipv4() {
        let report = Report::new(std::path::Path::new("x"), "");
        let c = read(&report, None);
        let net = |ip: &str| c.network(ip.parse().unwrap()).to_string();
        assert_eq!(net("203.0.113.7"), "203.0.113.7/32");
        assert_eq!(net("::ffff:203.0.113.7"), "203.0.113.7/32");
        assert_eq!(net("2001:db8:1:2:3::4"), "2001:db8:1:2::/64");
        assert!(c.is_exempt("127.0.0.9".parse().unwrap()) && c.is_exempt("::1".parse().unwrap()));
        assert!(!c.is_exempt("203.0.113.7".parse().unwrap()));
    }
}
