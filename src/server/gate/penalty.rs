//! Penalties of networks, as sshd has them since OpenSSH 9.8: time that adds up with each offence, up to a maximum, and
//! runs off by itself. Beyond a minimum the network is refused until all of it has run off.

use crate::config::{Overflow, Penalties};
use ipnet::IpNet;
use std::collections::{BTreeSet, HashMap};
use std::time::{Duration, Instant};

/// What a connection did before anybody had signed in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::server) enum Offence {
    /// Left after keys that were not accepted.
    Auth,
    /// Left without having tried.
    NoAuth,
    /// Did not sign in in time.
    Grace,
    /// Broke the protocol.
    Protocol,
    /// Its session panicked.
    Crash,
}

impl Offence {
    /// What it costs.
    pub(super) fn price(self, p: &Penalties) -> Duration {
        match self {
            Self::Auth => p.auth,
            Self::NoAuth => p.no_auth,
            Self::Grace => p.grace,
            Self::Protocol => p.protocol,
            Self::Crash => p.crash,
        }
    }

    /// For the journal.
    pub(super) fn words(self) -> &'static str {
        match self {
            Self::Auth => "its keys were not accepted",
            Self::NoAuth => "it left without trying to sign in",
            Self::Grace => "it did not sign in in time",
            Self::Protocol => "it broke the protocol",
            Self::Crash => "its session crashed",
        }
    }
}

#[derive(Debug)]
struct Penalty {
    until: Instant,
    /// Whether it is beyond the minimum. It stays so until it has run off.
    active: bool,
    last: Offence,
}

/// See the module. IPv4 and IPv6 are kept apart: addresses of the latter cost nothing, and must not push out the former.
#[derive(Debug, Default)]
pub(super) struct Table {
    v4: Family,
    v6: Family,
}

#[derive(Debug, Default)]
struct Family {
    by_net: HashMap<IpNet, Penalty>,
    by_end: BTreeSet<(Instant, IpNet)>,
}

impl Family {
    fn expire(&mut self, now: Instant) {
        while let Some((until, net)) = self.by_end.first().copied() {
            if until > now {
                return;
            }
            self.by_end.pop_first();
            self.by_net.remove(&net);
        }
    }

    fn set(&mut self, net: IpNet, penalty: Penalty) {
        self.remove(&net);
        self.by_end.insert((penalty.until, net));
        self.by_net.insert(net, penalty);
    }

    fn remove(&mut self, net: &IpNet) -> Option<Penalty> {
        let old = self.by_net.remove(net)?;
        self.by_end.remove(&(old.until, *net));
        Some(old)
    }
}

/// How a network stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    Good,
    /// Refused for so long, last because of this.
    Penalised(Duration, Offence),
    /// More are penalised than can be kept, so whoever is not known is.
    TableFull,
}

impl Table {
    fn family(&mut self, net: &IpNet) -> &mut Family {
        match net {
            IpNet::V4(_) => &mut self.v4,
            IpNet::V6(_) => &mut self.v6,
        }
    }

    /// How this network stands now.
    pub(super) fn standing(&mut self, net: &IpNet, rules: &Penalties, now: Instant) -> Standing {
        let family = self.family(net);
        family.expire(now);
        match family.by_net.get(net) {
            Some(p) if p.active => Standing::Penalised(p.until.saturating_duration_since(now), p.last),
            _ if rules.overflow == Overflow::Deny && family.by_net.len() >= rules.table => Standing::TableFull,
            _ => Standing::Good,
        }
    }

    /// Adds to a network's penalty. True when it begins to be refused with it.
    pub(super) fn add(&mut self, net: IpNet, offence: Offence, rules: &Penalties, now: Instant) -> bool {
        let price = offence.price(rules);
        if !rules.on || price.is_zero() {
            return false;
        }
        let family = self.family(&net);
        family.expire(now);
        let before = family.by_net.get(&net).map(|p| (p.until, p.active));
        if before.is_none() && family.by_net.len() >= rules.table {
            match rules.overflow {
                Overflow::Deny => return false,
                Overflow::Permissive => {
                    if let Some((_, soonest)) = family.by_end.pop_first() {
                        family.by_net.remove(&soonest);
                    }
                }
            }
        }
        let (from, was) = before.unwrap_or((now, false));
        let until = (from + price).min(now + rules.max);
        let active = was || until.saturating_duration_since(now) > rules.min;
        family.set(net, Penalty { until, active, last: offence });
        active && !was
    }

    /// Somebody has signed in from there: so much of the penalty is forgiven.
    pub(super) fn forgive(&mut self, net: &IpNet, much: Duration, now: Instant) {
        let family = self.family(net);
        if let Some(p) = family.remove(net) {
            match p.until.checked_sub(much).filter(|until| *until > now) {
                Some(until) => family.set(*net, Penalty { until, ..p }),
                None => family.expire(now),
            }
        }
    }

    /// Networks that are refused now.
    pub(super) fn active(&mut self, now: Instant) -> usize {
        self.v4.expire(now);
        self.v6.expire(now);
        [&self.v4, &self.v6].iter().map(|f| f.by_net.values().filter(|p| p.active).count()).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules() -> Penalties {
        Penalties {
            on: true,
            auth: Duration::from_secs(5),
            no_auth: Duration::from_secs(1),
            grace: Duration::from_secs(10),
            protocol: Duration::from_secs(10),
            crash: Duration::from_secs(90),
            min: Duration::from_secs(15),
            max: Duration::from_secs(600),
            table: 100,
            overflow: Overflow::Permissive,
        }
    }
    fn net(n: u8) -> IpNet {
        format!("203.0.113.{n}/32").parse().unwrap()
    }
    fn penalised(t: &mut Table, n: u8, r: &Penalties, at: Instant) -> Option<u64> {
        match t.standing(&net(n), r, at) {
            Standing::Penalised(left, _) => Some(left.as_secs()),
            _ => None,
        }
    }

    #[test]
    fn penalties_add_up_begin_beyond_the_minimum_and_run_off() {
        let (mut t, r, t0) = (Table::default(), rules(), Instant::now());
        let at = |s| t0 + Duration::from_secs(s);
        assert_eq!([0, 1, 2, 3].map(|_| t.add(net(1), Offence::Auth, &r, t0)), [false, false, false, true]);
        assert_eq!(penalised(&mut t, 1, &r, t0), Some(20));
        assert_eq!(penalised(&mut t, 2, &r, t0), None, "the neighbour is not");
        // Below the minimum again, but begun: it holds to its end.
        assert_eq!(penalised(&mut t, 1, &r, at(15)), Some(5));
        assert_eq!(penalised(&mut t, 1, &r, at(21)), None);
        assert!(t.v4.by_net.is_empty() && t.v4.by_end.is_empty());
        // One every ten seconds never adds up.
        assert!((0..100).all(|n| !t.add(net(1), Offence::Auth, &r, at(100 + n * 10))));
    }

    #[test]
    fn the_maximum_holds_and_a_crash_counts_at_once() {
        let (mut t, r, t0) = (Table::default(), rules(), Instant::now());
        assert!(t.add(net(1), Offence::Crash, &r, t0));
        (0..100).for_each(|_| assert!(!t.add(net(1), Offence::Crash, &r, t0)));
        assert_eq!(penalised(&mut t, 1, &r, t0), Some(600));
    }

    #[test]
    fn who_signs_in_is_forgiven() {
        let (mut t, r, t0) = (Table::default(), rules(), Instant::now());
        (0..4).for_each(|_| _ = t.add(net(1), Offence::Auth, &r, t0));
        t.forgive(&net(1), r.auth, t0);
        assert_eq!(penalised(&mut t, 1, &r, t0), Some(15));
        (0..3).for_each(|_| t.forgive(&net(1), r.auth, t0));
        assert_eq!(penalised(&mut t, 1, &r, t0), None);
        assert!(t.v4.by_end.is_empty());
    }

    #[test]
    fn the_table_is_bounded_and_says_what_to_do_when_it_is_full() {
        let (mut t, mut r, t0) = (Table::default(), rules(), Instant::now());
        r.table = 10;
        // The first has the most to go and stays.
        (0..3).for_each(|_| _ = t.add(net(0), Offence::Crash, &r, t0));
        for n in 1..=200 {
            t.add(net(n), Offence::Grace, &r, t0 + Duration::from_millis(n.into()));
            assert!(t.v4.by_net.len() <= 10 && t.v4.by_end.len() == t.v4.by_net.len());
        }
        assert!(penalised(&mut t, 0, &r, t0).is_some());
        assert_eq!(t.standing(&net(201), &r, t0), Standing::Good);
        r.overflow = Overflow::Deny;
        assert_eq!(t.standing(&net(201), &r, t0), Standing::TableFull);
        let six = "2001:db8::/64".parse().unwrap();
        assert_eq!(t.standing(&six, &r, t0), Standing::Good, "IPv6 has a table of its own");
    }
}
