//! The ledger's rules.

use super::*;
use crate::model::Time;
use std::path::Path;

fn config() -> Config {
    let key = |n: u8| {
        let key = ssh_key::PrivateKey::new(
            ssh_key::private::KeypairData::Ed25519(ssh_key::private::Ed25519Keypair::from_seed(&[n; 32])),
            "",
        );
        key.unwrap().public_key().to_openssh().unwrap()
    };
    let text = format!(
        "[teams.pay]\nports = \"20100-20103\"\n[teams.iot]\nports = \"20200-20201\"\n\
         [hosts.db]\nteam = \"pay\"\nkeys = [\"{}\"]\nports = {{ ssh = 20100 }}\n\
         [hosts.web]\nteam = \"pay\"\nkeys = [\"{}\"]\n\
         [hosts.cam]\nteam = \"iot\"\nkeys = [\"{}\"]\n",
        key(1),
        key(2),
        key(3)
    );
    Config::parse(&text, Path::new("/etc/portreeve/portreeve.toml")).unwrap()
}

fn host(name: &str) -> HostName {
    name.parse().unwrap()
}
fn port(n: u16) -> Port {
    Port::try_from(n).unwrap()
}
fn ask(l: &Ledger, c: &Config, who: &str, asked: u32) -> Decision {
    l.decide(c, &host(who), None, asked, &|_| false, &|_| false)
}
fn granted(l: &mut Ledger, c: &Config, who: &str, asked: u32) -> u16 {
    match ask(l, c, who, asked) {
        Decision::Grant { port, fresh, .. } => {
            if let Some(lease) = fresh {
                l.apply(&Change::PutLease(lease));
            }
            port.get()
        }
        Decision::Refuse { rule } => panic!("{rule}"),
    }
}
fn refused(l: &Ledger, c: &Config, who: &str, asked: u32) -> String {
    match ask(l, c, who, asked) {
        Decision::Refuse { rule } => rule,
        Decision::Grant { port, .. } => panic!("was given {port}"),
    }
}
fn block(l: &mut Ledger, target: BlockTarget) {
    l.apply(&Change::PutRevocation(RevocationView { target, by: "alice".into(), since: now(), reason: None }));
}

#[test]
fn a_fixed_port_is_its_hosts_and_nobody_elses() {
    let (c, mut l) = (config(), Ledger::default());
    assert_eq!(granted(&mut l, &c, "db", 20100), 20100);
    let rule = refused(&l, &c, "web", 20100);
    assert!(rule.contains("held by host db of team pay"), "{rule}");
}

#[test]
fn any_port_means_the_next_free_one_and_the_same_one_for_ever() {
    let (c, mut l) = (config(), Ledger::default());
    assert_eq!(granted(&mut l, &c, "web", 0), 20101, "20100 is fixed");
    assert_eq!(granted(&mut l, &c, "web", 0), 20101);
    assert_eq!(granted(&mut l, &c, "db", 0), 20102);
    let second = l.decide(&c, &host("web"), None, 0, &|_| false, &|p| p == port(20101));
    assert!(matches!(second, Decision::Grant { port: p, .. } if p == port(20103)), "{second:?}");
}

#[test]
fn a_port_asked_for_by_number_must_be_free_and_of_the_team() {
    let (c, mut l) = (config(), Ledger::default());
    assert_eq!(granted(&mut l, &c, "web", 20103), 20103);
    assert!(refused(&l, &c, "db", 20103).contains("held by host web"));
    assert!(refused(&l, &c, "web", 20200).contains("outside team pay's ranges (20100-20103)"));
    assert!(refused(&l, &c, "web", 65536 + 20103).contains("not a TCP port"));
    assert!(refused(&l, &c, "nobody", 20103).contains("not in the configuration"));
}

#[test]
fn a_full_range_says_so() {
    let (c, mut l) = (config(), Ledger::default());
    for n in [20200, 20201] {
        assert_eq!(granted(&mut l, &c, "cam", n), n as u16);
    }
    assert!(refused(&l, &c, "cam", 0).contains("no free port left"));
}

#[test]
fn blocks_on_host_key_and_port_are_met_before_any_lease() {
    let (c, mut l) = (config(), Ledger::default());
    block(&mut l, BlockTarget::Port(port(20100)));
    assert!(refused(&l, &c, "db", 20100).contains("port 20100 was revoked by alice"));
    block(&mut l, BlockTarget::Host(host("web")));
    assert!(refused(&l, &c, "web", 0).contains("host web was revoked"));
    block(&mut l, BlockTarget::Key("SHA256:x".into()));
    let keyed = l.decide(&c, &host("db"), Some("SHA256:x"), 20101, &|_| false, &|_| false);
    assert!(matches!(keyed, Decision::Refuse { rule } if rule.contains("key SHA256:x was revoked")));
}

#[test]
fn operators_assign_and_move_within_the_teams_ranges_and_never_onto_somebody() {
    let (c, mut l) = (config(), Ledger::default());
    let lease = l.assign(&c, &host("web"), None, "alice", None, None, &|_| false).unwrap();
    assert_eq!(lease.port, port(20101));
    l.apply(&Change::PutLease(lease));
    let taken = l.assign(&c, &host("db"), Some(port(20101)), "alice", None, None, &|_| false);
    assert!(taken.unwrap_err().contains("held by host web"));
    let moved = l.moved(&c, port(20101), Some(port(20103)), "alice", None, &|_| false).unwrap();
    assert_eq!((moved.port, moved.host.as_str()), (port(20103), "web"));
    assert!(l.moved(&c, port(20100), None, "alice", None, &|_| false).unwrap_err().contains("is fixed for host db"));
    assert!(l.releasable(&c, port(20102)).unwrap_err().contains("nobody has a lease"));
}

#[test]
fn disagreements_of_configuration_and_ledger_are_told_with_what_to_do() {
    let (c, mut l) = (config(), Ledger::default());
    let stale = |who: &str, p: u16, team: &str| LeaseView {
        port: port(p),
        host: host(who),
        team: team.parse().unwrap(),
        service: None,
        kind: LeaseKind::Sticky,
        since: now(),
        until: None,
        by: "x".into(),
        reason: None,
    };
    for lease in [stale("web", 20100, "pay"), stale("gone", 20101, "pay"), stale("cam", 20102, "iot")] {
        l.apply(&Change::PutLease(lease));
    }
    let told = l.conflicts(&c).into_iter().map(|x| x.sentence).collect::<Vec<_>>().join("\n");
    for part in ["fixes it for host db", "host gone, which is not in the configuration", "outside team iot's ranges"] {
        assert!(told.contains(part), "{part} not in {told}");
    }
    assert_eq!(l.lease(&c, port(20100)).unwrap().host, host("db"), "the configuration wins");
}

#[test]
fn a_reserved_port_is_passed_over_refused_and_neither_assigned_nor_moved_to_until_its_time_is_over() {
    let (c, mut l) = (config(), Ledger::default());
    let reserve = |n: u16, until: Time| {
        let (team, by, reason) = ("pay".parse().unwrap(), "alice".to_owned(), "the new database".to_owned());
        Change::PutReservation(ReservationView { port: port(n), team, by, since: now(), until, reason })
    };
    assert_eq!(l.reservable(&c, port(20101)).unwrap().as_str(), "pay");
    assert!(l.reservable(&c, port(20100)).unwrap_err().contains("held by host db"));
    assert!(l.reservable(&c, port(30000)).unwrap_err().contains("no team's ranges"));
    let later = now() + chrono::TimeDelta::hours(1);
    l.apply(&reserve(20101, later));
    let rule = refused(&l, &c, "web", 20101);
    assert!(rule.contains("reserved until") && rule.contains("alice") && rule.contains("the new database"), "{rule}");
    let assigned = |l: &Ledger, p: Option<Port>| l.assign(&c, &host("web"), p, "bob", None, None, &|_| false);
    assert_eq!(assigned(&l, Some(port(20101))).unwrap_err(), rule);
    assert_eq!(assigned(&l, None).unwrap().port, port(20102), "the next free one is another");
    assert_eq!(granted(&mut l, &c, "web", 0), 20102);
    assert!(l.moved(&c, port(20102), Some(port(20101)), "bob", None, &|_| false).is_err());
    // Over, and not noticed yet.
    l.apply(&reserve(20101, now() - chrono::TimeDelta::seconds(1)));
    assert_eq!(granted(&mut l, &c, "db", 20101), 20101);
    assert!(l.reservable(&c, port(20101)).unwrap_err().contains("held by host db"));
}
