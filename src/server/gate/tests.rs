use super::*;
use std::time::Duration;

fn config(text: &str) -> Arc<Config> {
    Arc::new(Config::parse(text, Path::new("/nonexistent/portreeve.toml")).unwrap())
}

struct Rig {
    gate: Arc<Gate>,
    config: Arc<Config>,
    now: Instant,
    _dir: tempfile::TempDir,
}

impl Rig {
    fn new(text: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        Self { gate: Gate::new(dir.path()), config: config(text), now: Instant::now(), _dir: dir }
    }
    fn come(&self, ip: &str) -> Result<Pass, &'static str> {
        self.gate.admit(&self.config, ip.parse().unwrap(), 9, self.now).map_err(|no| no.kind)
    }
    /// Comes and fails.
    fn fail(&self, ip: &str, offence: Offence) -> Result<Option<String>, &'static str> {
        self.come(ip).map(|p| p.offends(offence))
    }
    fn sign_in(&self, ip: &str) {
        self.come(ip).unwrap().signed_in();
    }
}

#[test]
fn a_stranger_whose_keys_fail_is_refused_and_its_neighbours_are_not() {
    let r = Rig::new("");
    let said: Vec<_> = (0..4).map(|_| r.fail("203.0.113.7", Offence::Auth).unwrap()).collect();
    assert!(said[..3].iter().all(Option::is_none));
    assert!(said[3].as_ref().unwrap().contains("203.0.113.7/32 is refused from now on"), "{said:?}");
    assert_eq!(r.come("203.0.113.7").unwrap_err(), "penalty");
    assert!(r.come("203.0.113.8").is_ok());
    // Of IPv6 the whole /64 is one.
    (0..4).for_each(|n| drop(r.fail(&format!("2001:db8::{n}"), Offence::Auth).unwrap()));
    assert_eq!(r.come("2001:db8::ffff").unwrap_err(), "penalty");
    assert!(r.come("2001:db8:0:1::1").is_ok());
    assert_eq!(r.gate.view().penalised, 2);
}

/// One machine with a wrong key, a thousand hosts behind the same address.
#[test]
fn a_known_network_is_slowed_down_and_never_shut_out() {
    let mut r = Rig::new("");
    r.sign_in("203.0.113.7");
    let said: Vec<_> = (0..20).filter_map(|_| r.fail("203.0.113.7", Offence::Auth).unwrap()).collect();
    assert_eq!(said.len(), 1);
    assert!(said[0].contains("slowed down"), "{said:?}");
    // Those that sign in come through one after the other, as many as there are.
    for _ in 0..1_000 {
        r.sign_in("203.0.113.7");
        // Each forgives some of the penalty; the machine goes on.
        let _ = r.fail("203.0.113.7", Offence::Crash).unwrap();
        r.now += Duration::from_millis(10);
    }
    // Those that do not sign in get a few a second.
    let mut r = Rig::new("");
    r.sign_in("203.0.113.7");
    (0..20).for_each(|_| drop(r.fail("203.0.113.7", Offence::Crash)));
    let tries = |r: &Rig| (0..1_000).filter(|_| r.fail("203.0.113.7", Offence::Auth).is_ok()).count();
    assert!(tries(&r) <= 350);
    r.now += Duration::from_secs(1);
    assert_eq!(tries(&r), 100);
    assert!(r.gate.view().refused.iter().any(|(k, n)| k == "slow-lane" && *n >= 1_550), "{:?}", r.gate.view());
}

/// A flood that comes again as soon as it is refused would else take every turn before a client that comes once.
#[test]
fn in_the_slow_lane_one_after_the_other_has_its_turn() {
    let r = Rig::new("");
    r.sign_in("203.0.113.7");
    (0..20).for_each(|_| drop(r.fail("203.0.113.7", Offence::Crash)));
    let waits: Vec<_> =
        std::iter::from_fn(|| r.come("203.0.113.7").ok()?.slow).filter(|wait| !wait.is_zero()).collect();
    assert_eq!(waits.len(), 150);
    assert!(waits.windows(2).all(|w| w[0] < w[1]), "{waits:?}");
    assert!(*waits.last().unwrap() <= LANE_WAIT);
}

#[test]
fn two_thousand_known_hosts_behind_one_address_come_at_once() {
    let r = Rig::new("");
    r.sign_in("203.0.113.7");
    let all: Vec<_> = (0..2_000).map(|_| r.come("203.0.113.7").unwrap()).collect();
    // And they leave room for another site.
    r.sign_in("198.51.100.1");
    let others: Vec<_> = (0..1_000).map(|_| r.come("198.51.100.1").unwrap()).collect();
    assert_eq!(r.gate.unauthenticated(), 3_000);
    drop((all, others));
    assert_eq!(r.gate.unauthenticated(), 0);
    assert!(r.gate.state().by_net.is_empty());
}

#[test]
fn a_known_network_cannot_take_the_places_of_the_others() {
    let r = Rig::new("[ssh]\nmax_startups_known = 100");
    r.sign_in("203.0.113.7");
    r.sign_in("198.51.100.1");
    let held: Vec<_> = (0..1_000).filter_map(|_| r.come("203.0.113.7").ok()).collect();
    assert_eq!(held.len(), 50);
    assert!(r.come("198.51.100.1").is_ok());
}

#[test]
fn strangers_are_dropped_early_and_take_no_place_of_the_known() {
    let r = Rig::new("[ssh]\nmax_startups = \"10:30:60\"");
    r.sign_in("203.0.113.7");
    let mut held = Vec::new();
    let mut refused = 0;
    for n in 0..3_000_u32 {
        let ip = std::net::Ipv4Addr::from(0x0a00_0000 + n).to_string();
        match r.come(&ip) {
            Ok(p) => held.push(p),
            Err(kind) => {
                assert_eq!(kind, "startups");
                refused += 1;
            }
        }
        assert!(n >= 10 || refused == 0, "refused before `start`");
    }
    assert_eq!(held.len(), 60, "in the end it is full");
    assert!(refused >= 2_940);
    assert!(r.come("203.0.113.7").is_ok());
    assert!(r.come("127.0.0.1").is_ok());
}

#[test]
fn one_stranger_has_so_many_places_and_loopback_has_no_rule() {
    let r = Rig::new("[sources]\nmax_startups = 3");
    let held: Vec<_> = (0..3).map(|_| r.come("203.0.113.7").unwrap()).collect();
    assert_eq!(r.come("203.0.113.7").unwrap_err(), "per-source");
    assert!(r.come("203.0.113.8").is_ok());
    drop(held);
    assert!(r.come("203.0.113.7").is_ok());
    let many: Vec<_> = (0..2_000).map(|_| r.come("127.0.0.1").unwrap()).collect();
    assert!(many.iter().all(|p| p.offends(Offence::Crash).is_none()));
    assert!(r.come("127.0.0.1").is_ok());
}

#[test]
fn networks_are_allowed_and_denied() {
    let r = Rig::new("[sources]\nallow = [\"203.0.113.0/24\", \"127.0.0.0/8\"]\ndeny = \"203.0.113.7/32\"");
    assert!(r.come("203.0.113.8").is_ok());
    assert!(r.come("127.0.0.1").is_ok());
    assert_eq!(r.come("203.0.113.7").unwrap_err(), "network");
    assert_eq!(r.come("198.51.100.1").unwrap_err(), "network");
}

#[test]
fn the_older_key_is_a_limit_for_both() {
    let r = Rig::new("[ssh]\nmax_unauthenticated = 2");
    let _held = [r.come("127.0.0.1").unwrap(), r.come("127.0.0.1").unwrap()];
    assert_eq!(r.come("127.0.0.1").unwrap_err(), "startups");
    let _held = [r.come("203.0.113.7").unwrap(), r.come("203.0.113.8").unwrap()];
    assert_eq!(r.come("203.0.113.9").unwrap_err(), "startups");
}

#[test]
fn what_is_known_is_known_after_a_restart() {
    let r = Rig::new("");
    r.sign_in("203.0.113.7");
    r.gate.save(&r.config, ["198.51.100.1".parse().unwrap(), "127.0.0.1".parse().unwrap()].into_iter());
    let again = Gate::new(r._dir.path());
    assert_eq!(again.view().known_networks, 2, "loopback is none");
    let held: Vec<_> = (0..500).map(|_| again.admit(&r.config, "203.0.113.7".parse().unwrap(), 9, r.now)).collect();
    assert!(held.iter().all(Result::is_ok));
}

#[test]
fn only_a_network_that_somebody_has_signed_in_from_is_known_and_an_exempt_one_never_is() {
    let rig = Rig::new("[sources]\nexempt = [\"127.0.0.0/8\", \"10.0.0.5/32\"]\n");
    let known = |ip: &str| rig.gate.knows(&rig.config, ip.parse().unwrap());
    assert!(!known("198.51.100.7") && !known("10.0.0.5") && !known("127.0.0.1"));
    for ip in ["198.51.100.7", "10.0.0.5", "127.0.0.1"] {
        rig.sign_in(ip);
    }
    assert!(known("198.51.100.7"));
    assert!(!known("10.0.0.5") && !known("127.0.0.1"), "a stranger behind the proxy is none from a known network");
    // One that was known before it became exempt.
    let rig = Rig { config: config("[sources]\nexempt = [\"198.51.100.7/32\"]\n"), ..rig };
    assert!(!rig.gate.knows(&rig.config, "198.51.100.7".parse().unwrap()));
}
