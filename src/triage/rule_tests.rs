//! Each rule, on facts made by hand.

use super::rule_fixtures::*;
use super::*;
use crate::model::*;
use crate::tunnels::{Decision, Ledger, Overload, block_rule};
use ObituaryCause::{ClientDisconnect, KeepaliveTimeout};
use chrono::TimeDelta;

#[test]
fn nothing_is_wrong_where_all_is_up_or_revoked_on_purpose() {
    let w = World::of(vec![row(20101, "a", TunnelState::Up), row(20102, "b", TunnelState::Revoked)]);
    assert_eq!(w.look(), (vec![], None));
}

#[test]
fn a_silent_host_says_when_it_was_last_heard_of_and_what_was_cut() {
    let i = World::of(vec![down(20101, "a", KeepaliveTimeout, 60), down(20102, "a", KeepaliveTimeout, 60)])
        .only("host-silent");
    assert_eq!((i.severity, i.what.as_str(), i.since), (Severity::Down, "a", ago(60)));
    assert_eq!((i.tunnels, i.hosts, i.blast.visitors_cut), (2, 1, 4));
    assert_eq!(
        i.evidence,
        "keepalive timeout: the host went silent, last heard of at 13:58:15Z, its last round trip took 31 ms; it has not \
         dialled again"
    );
    assert_eq!(i.blast.ports, [port(20101), port(20102)]);
    assert!(i.next.iter().any(|n| n.run.as_deref() == Some("portreeve audit --host a -n 20")), "{:?}", i.next);
}

#[test]
fn a_host_that_said_goodbye_is_gone_not_silent() {
    let i = World::of(vec![down(20101, "a", ClientDisconnect, 60)]).only("host-gone");
    assert_eq!(i.evidence, "the client disconnected; it has not dialled again");
}

#[test]
fn a_host_that_is_back_is_no_incident_of_its_end() {
    let mut w = World::of(vec![down(20101, "a", KeepaliveTimeout, 60)]);
    w.sessions = vec![session("a", 1, 2, "203.0.113.1:1", &[])];
    let (found, due) = w.look();
    assert!(found.is_empty(), "it may still ask for its ports: {found:?}");
    assert!(due.is_some_and(|d| d > t0() && d < t0() + TimeDelta::seconds(9)), "and is looked at when it is late");
}

#[test]
fn a_refused_host_says_how_often_and_why_by_the_ledgers_own_words() {
    // The ledger's sentences.
    let text = "[teams.pay]\nports = \"20100-20101\"\n[hosts.a]\nteam = \"pay\"\nkeys = [\"KEY\"]\nports = { ssh = 20100 }\n\
                [hosts.b]\nteam = \"pay\"\nkeys = [\"KEZ\"]\nports = { ssh = 20101 }\n";
    let key = |n: u8| {
        let pair = ssh_key::private::Ed25519Keypair::from_seed(&[n; 32]);
        let key = ssh_key::PrivateKey::new(ssh_key::private::KeypairData::Ed25519(pair), "").unwrap();
        key.public_key().to_openssh().unwrap()
    };
    let text = text.replace("KEY", &key(1)).replace("KEZ", &key(2));
    let config = crate::config::Config::parse(&text, std::path::Path::new("/etc/portreeve.toml")).unwrap();
    let ledger = Ledger::default();
    let decide = |host: &str, asked: u32| match ledger.decide(&config, &name(host), None, asked, &|_| false, &|_| false)
    {
        Decision::Refuse { rule } => rule,
        Decision::Grant { rule, .. } => panic!("{rule}"),
    };
    let block =
        RevocationView { target: BlockTarget::Host(name("a")), by: "alice".into(), since: ago(9), reason: None };
    let own = "port 20100 is held by this host's own session s1 (since 2026-03-04 13:00:00Z), which still answers";
    for (rule, cause) in [
        (decide("b", 20100), "refused-port-held"),
        (decide("b", 0), "refused-range-full"),
        (decide("b", 80), "refused-policy"),
        (block_rule(&block), "refused-revoked"),
        (own.to_owned(), "refused-port-held"),
        ("port 20100 is in use on 127.0.0.1 by another program of the bastion".to_owned(), "refused-port-held"),
    ] {
        let mut w = World::of(vec![down(20101, "b", ClientDisconnect, 60)]);
        w.troubles.refused(&name("b"), &rule, None, ago(30));
        w.troubles.refused(&name("b"), &rule, None, ago(20));
        let i = w.only(cause);
        assert_eq!(i.evidence, format!("refused ×2: {rule}"));
        let restore = i.next.iter().any(|n| n.run.as_deref() == Some("portreeve restore a"));
        if rule.contains("port 20100 is") {
            // Not the host's own port: the one it asks for.
            assert_eq!(i.next[0].run.as_deref(), Some("portreeve explain b 20100"), "{:?}", i.next);
        }
        assert_eq!(restore, cause == "refused-revoked", "what is blocked is host a: {:?}", i.next);
        assert_eq!((i.since, i.tunnels, i.blast.ports.as_slice()), (ago(30), 1, [port(20101)].as_slice()));
    }
}

#[test]
fn a_refusal_is_over_ten_minutes_after_the_last_one_unless_its_session_stays() {
    let mut w = World::of(vec![]);
    w.troubles.refused(
        &name("a"),
        "port 80 is outside team pay's ranges (20100-20199)",
        Some("s7".parse().unwrap()),
        t0(),
    );
    assert_eq!(w.only("refused-policy").severity, Severity::Down);
    assert_eq!(w.look().1, Some(t0() + TimeDelta::minutes(10)));
    w.now = t0() + TimeDelta::minutes(10);
    assert!(w.found().is_empty());
    w.sessions = vec![session("a", 7, 3600, "203.0.113.1:1", &[20101])];
    w.sessions[0].id = "s7".parse().unwrap();
    assert_eq!(w.only("refused-policy").severity, Severity::Warning, "what it has stands");
}

#[test]
fn an_unknown_key_is_a_hosts_affair_by_its_name_or_by_the_address_where_it_alone_was() {
    let knock = |w: &mut World, host: Option<&str>, from: &str| {
        w.troubles.knocked(host.map(name), from.parse().unwrap(), "tunnel", ("SHA256:new", false), ago(9));
    };
    let lost = || World::of(vec![down(20101, "a", ClientDisconnect, 60)]);

    let mut w = lost();
    knock(&mut w, Some("a"), "198.51.100.7");
    let i = w.only("refused-unknown-key");
    assert_eq!(
        i.evidence,
        "a key that nobody here has is offered ×1 from 198.51.100.7 (it was at 203.0.113.1 last) as user tunnel: SHA256:new"
    );
    assert_eq!(i.since, ago(60));

    let mut w = lost();
    knock(&mut w, None, "203.0.113.1");
    assert!(w.only("refused-unknown-key").evidence.contains("(where it was last)"));

    // Another host was there too: it could be either's.
    let mut w = World::of(vec![down(20101, "a", ClientDisconnect, 60), down(20201, "b", ClientDisconnect, 60)]);
    knock(&mut w, None, "203.0.113.1");
    assert!(w.found().iter().all(|i| i.cause == "host-gone"));

    // The internet knocks all day.
    let mut w = World::of(vec![]);
    knock(&mut w, None, "203.0.113.1");
    assert!(w.found().is_empty());

    // And a host that is there needs no other key.
    let mut w = lost();
    w.sessions = vec![session("a", 1, 60, "203.0.113.1:1", &[20101])];
    knock(&mut w, Some("a"), "203.0.113.1");
    assert!(w.found().iter().all(|i| i.cause != "refused-unknown-key"));
}

#[test]
fn hosts_of_one_network_lost_together_are_one_incident() {
    let lost = |age: [i64; 4]| {
        let hosts = ["a", "b", "c", "d"].into_iter().zip(age).zip(20101..);
        World::of(hosts.map(|((h, age), p)| down(p, h, KeepaliveTimeout, age)).collect())
    };
    let w = lost([60, 55, 52, 48]);
    let i = w.only("network-lost");
    assert_eq!(i.evidence, "4 of 4 hosts of 203.0.113.0/24 fell silent within 12 s; no other path to them is known");
    assert_eq!((i.what.as_str(), i.hosts, i.tunnels, i.since), ("203.0.113.0/24", 4, 4, ago(60)));
    assert_eq!(i.blast.visitors_cut, 8);

    // Hours apart they are not together, and with others alive there it is not the network.
    let causes = |w: &World| w.found().into_iter().map(|i| i.cause).collect::<Vec<_>>();
    assert_eq!(causes(&lost([40_000, 30_000, 20_000, 10_000])), ["host-silent"; 4]);
    let mut w = lost([60, 55, 52, 48]);
    w.sessions = vec![session("e", 1, 60, "203.0.113.77:1", &[20105]), session("f", 2, 60, "203.0.113.78:1", &[20106])];
    assert_eq!(causes(&w), ["host-silent"; 4]);
}

#[test]
fn a_dead_service_is_told_from_a_dumb_one_and_from_a_stuck_session() {
    for (layer, cause) in [
        (LinkLayer::Channel, "service-refused"),
        (LinkLayer::Service, "service-silent"),
        (LinkLayer::Link, "session-stuck"),
    ] {
        let mut w = World::of(vec![degraded(20101, "a", layer), degraded(20102, "a", layer)]);
        w.sessions = vec![session("a", 1, 600, "203.0.113.1:1", &[20101, 20102])];
        let i = w.only(cause);
        assert_eq!(
            i.evidence,
            "port 20101 (ssh), ssh check: connection refused by localhost:22; the host's session is up (and 1 more)"
        );
        assert_eq!((i.tunnels, i.hosts, i.blast.visitors_now), (2, 1, 6));
    }
}

#[test]
fn a_host_that_restarts_is_told_once_until_it_has_calmed_down() {
    let mut w = World::of(vec![down(20101, "a", ClientDisconnect, 2)]);
    for age in [182, 92, 2] {
        w.troubles.ended(&name("a"), ClientDisconnect, ago(age));
    }
    let i = w.only("host-restarts");
    assert_eq!(i.evidence, "its session ended ×3 since 13:56:58Z, about every 90 s; last: the client disconnected");
    // Back for now, and still restarting; its service is another matter.
    w.tunnels = vec![degraded(20101, "a", LinkLayer::Channel)];
    w.sessions = vec![session("a", 1, 1, "203.0.113.1:1", &[20101])];
    let causes: Vec<String> = w.found().into_iter().map(|i| i.cause).collect();
    assert_eq!(causes, ["service-refused", "host-restarts"]);
    // What may still ask for its ports is late in ten seconds; the restarts are forgotten after that.
    w.now = w.look().1.unwrap();
    assert!(w.found().iter().any(|i| i.cause == "host-restarts"));
    w.tunnels.clear();
    w.now = w.look().1.unwrap();
    assert!(w.found().is_empty(), "it leaves by itself");
}

#[test]
fn a_port_that_a_connected_host_did_not_ask_for() {
    let mut w = World::of(vec![row(20102, "a", TunnelState::Awaiting)]);
    w.sessions = vec![session("a", 1, 60, "203.0.113.1:1", &[20101])];
    let i = w.only("port-not-requested");
    assert_eq!(i.evidence, "it is connected since 2026-03-04 13:59:00Z and did not ask for port 20102 (fixed lease)");
    // What it asked for by itself once is not missed.
    w.tunnels[0].lease.kind = LeaseKind::Requested;
    assert!(w.found().is_empty());
}

#[test]
fn a_full_range_is_told_once() {
    let team = |leased| TeamView {
        name: "pay".parse().unwrap(),
        contact: None,
        ranges: vec!["20101-20103".parse().unwrap()],
        bind: BindPolicy::Loopback,
        visitors: vec![],
        leased,
        reserved: vec![],
    };
    let mut w = World::of(vec![]);
    w.teams = vec![team(2)];
    assert!(w.found().is_empty());
    w.teams = vec![team(3)];
    let i = w.only("range-exhausted");
    assert_eq!(
        i.evidence,
        "all 3 ports of 20101-20103 are leased, 0 of them not up; the next host that asks for one is refused"
    );
    assert_eq!((i.severity, i.what.as_str(), i.blast.teams.len()), (Severity::Warning, "team pay", 1));
    w.troubles.refused(&name("a"), "team pay has no free port left; widen `ports`", None, ago(3));
    w.only("refused-range-full");
}

#[test]
fn a_restart_of_the_bastion_explains_for_ten_minutes_who_is_not_back() {
    let mut w = World::of(vec![row(20101, "a", TunnelState::Awaiting), row(20102, "b", TunnelState::Up)]);
    w.started = ago(30);
    let i = w.only("host-absent");
    assert_eq!(i.severity, Severity::Note, "a first start is no restart");
    w.ran_before = true;
    let i = w.only("bastion-restarted");
    assert_eq!(
        i.evidence,
        "it started at 13:59:30Z, and cut every session before that; 1 of 2 tunnels are not back yet"
    );
    assert_eq!((i.severity, i.tunnels), (Severity::Warning, 1));
    assert_eq!(w.look().1, Some(ago(30) + TimeDelta::minutes(10)));
    w.tunnels.remove(0);
    let i = w.only("bastion-restarted");
    assert!(i.evidence.ends_with("everybody is back") && i.severity == Severity::Note, "{i:?}");
    w.now = t0() + TimeDelta::minutes(10);
    assert!(w.found().is_empty());
}

#[test]
fn a_journal_that_cannot_be_written_is_the_first_thing_to_know() {
    let mut w = World::of(vec![down(20101, "a", KeepaliveTimeout, 60)]);
    w.audit_failure = Some("no space left on device");
    let found = w.found();
    assert_eq!(found[0].cause, "journal-failed");
    assert_eq!(found[0].since, ago(5));
    assert!(found[0].evidence.starts_with("no space left on device; new logins"), "{}", found[0].evidence);
}

#[test]
fn many_incidents_of_one_cause_are_told_by_team() {
    let rows = (0..200).map(|n| {
        let mut r = down(20_000 + n, &format!("h{n:03}"), KeepaliveTimeout, i64::from(n) * 300);
        r.source = Some(format!("10.0.{n}.1:5022").parse().unwrap());
        r
    });
    let i = World::of(rows.collect()).only("host-silent");
    assert_eq!((i.what.as_str(), i.hosts, i.tunnels), ("team pay", 200, 200));
    assert_eq!(i.evidence, "200 hosts went silent at different times: h000, h001, h002, h003, …");
    assert_eq!(i.blast.ports.len(), 32, "a long list is cut");
}

#[test]
fn ten_thousand_in_trouble_are_told_apart_in_no_time() {
    let rows = (0..10_000).map(|n: u16| {
        let mut r = down(20_000 + n, &format!("h{n:05}"), KeepaliveTimeout, i64::from(n % 50) * 300);
        r.source = Some(format!("10.{}.{}.1:5022", n / 250, n % 250).parse().unwrap());
        r
    });
    let w = World::of(rows.collect());
    let began = std::time::Instant::now();
    let found = w.found();
    let took = began.elapsed();
    assert_eq!(found.iter().map(|i| i.tunnels).sum::<usize>(), 10_000);
    // Unoptimised and on a loaded machine; the optimised one takes a few milliseconds.
    assert!(took < std::time::Duration::from_secs(2), "{took:?}");
}

#[test]
fn causes_have_one_name_each_and_say_what_to_do() {
    let mut names: Vec<&str> = RULES.iter().map(|r| r.cause).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), RULES.len());
    assert!(RULES.iter().all(|r| !r.next.is_empty() && !r.likely.is_empty()));
}

#[test]
fn what_is_muted_comes_last_and_alarms_nobody_until_its_time_is_over() {
    let mut w = World::of(vec![
        down(20_100, "pay-01", ClientDisconnect, 60),
        degraded(20_101, "pay-02", LinkLayer::Channel),
        row(20_102, "pay-03", TunnelState::Up),
    ]);
    assert_eq!(alarms(&w.found()), 2);
    let mute = |id: &str| Mute {
        incident: id.to_owned(),
        by: "alice".to_owned(),
        since: ago(10),
        until: t0() + TimeDelta::seconds(50),
        reason: "moved to the new rack".to_owned(),
        teams: None,
    };
    w.mutes = vec![mute("host-gone:pay-01"), mute("host-gone:nobody")];
    let (found, due) = w.look();
    let order: Vec<(&str, bool)> = found.iter().map(|i| (i.cause.as_str(), i.muted.is_some())).collect();
    assert_eq!(order, [("service-refused", false), ("host-gone", true)]);
    assert_eq!(alarms(&found), 1);
    assert_eq!(due, Some(t0() + TimeDelta::seconds(50)), "it is looked at again when the mute ends");
    w.now = t0() + TimeDelta::seconds(50);
    assert_eq!(alarms(&w.found()), 2);
}

#[test]
fn a_bastion_that_does_not_keep_up_says_by_how_much_and_is_looked_at_again() {
    let mut w = World::of(vec![]);
    let seconds = std::time::Duration::from_secs_f64;
    let o = Overload { since: ago(20), last: ago(5), late: 4, worst: seconds(1.84), unaccepted: 0 };
    w.overload = Some(o.clone());
    let (found, due) = w.look();
    assert_eq!((found.len(), found[0].cause.as_str(), found[0].since), (1, "bastion-overloaded", ago(20)));
    assert!(found[0].evidence.starts_with("its threads ran late ×4, by up to 1.8 s"), "{}", found[0].evidence);
    assert_eq!(due, Some(ago(5) + TimeDelta::seconds(60)));
    w.overload = Some(Overload { late: 1, worst: seconds(3.2), unaccepted: 7, ..o });
    let i = w.only("bastion-overloaded");
    assert!(i.evidence.contains("3.2 s late") && i.evidence.contains("could not be accepted ×7"), "{}", i.evidence);
}

#[test]
fn keys_that_expire_are_told_two_weeks_before_and_when_they_have() {
    let mut w = World::of(vec![]);
    let key = |host: &str, left: TimeDelta| facts::Expiring {
        name: host.to_owned(),
        host: Some((name(host), "pay".parse().unwrap())),
        fingerprint: "SHA256:x".to_owned(),
        at: t0() + left,
    };
    let (days, hours) = (TimeDelta::days, TimeDelta::hours);
    for (left, words) in [
        (days(9), "expires at 2026-03-13 14:00:00Z, in 9 days"),
        (hours(30), "in 30 hours"),
        (hours(-1), "expired at 2026-03-04 13:00:00Z: it signs in no more"),
    ] {
        w.expiring = vec![key("pay-01", left)];
        let i = w.only("key-expires");
        assert!(i.evidence.contains(words), "{}", i.evidence);
        assert_eq!((i.what.as_str(), i.since, i.tunnels, i.hosts), ("pay-01", t0() + left - days(14), 0, 1));
    }
    // A host that dials in vain with it is down for it.
    w.tunnels = vec![down(20_101, "pay-01", ClientDisconnect, 60)];
    let rule = "the key SHA256:x of host pay-01 expired at 2026-03-04 13:00:00Z (expiry-time in /etc/portreeve.toml)";
    w.troubles.refused(&name("pay-01"), rule, None, ago(30));
    let causes: Vec<String> = w.found().into_iter().map(|i| i.cause).collect();
    assert_eq!(causes, ["refused-key-expired", "key-expires"]);
}
