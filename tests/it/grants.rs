//! What is given until a time, and ends by itself: leases, roles, and networks of visitors.

use crate::common::bastion::Bastion;
use crate::common::load::{Download, endless};
use crate::common::services::{echo, hear, says};
use crate::common::{SOON, eventually};
use serde_json::Value;
use std::net::{Ipv4Addr, TcpStream};
use std::process::Output;

fn said(out: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr))
}

fn done(out: Output) -> String {
    assert!(out.status.success(), "{}", said(&out));
    said(&out)
}

fn closed(port: u16) -> bool {
    TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err()
}

#[test]
fn a_lease_until_a_time_ends_by_itself_with_its_tunnel_and_leaves_the_session_its_others() {
    let b = Bastion::builder().team("pay", 4).host("pay-01", "pay").host("pay-02", "pay").start();
    let (lent, own) = (b.port("pay", 0), b.port("pay", 1));
    let port = lent.to_string();
    let past = b.cli(&["assign", "pay-01", &port, "--until", "2020-01-01"]);
    assert_eq!(past.status.code(), Some(2), "{past:?}");
    let long = b.cli(&["assign", "pay-01", &port, "--until", "400days"]);
    assert!(said(&long).contains("within 366 days"), "{long:?}");
    let given = b.json(&["assign", "pay-01", &port, "--until", "5s", "--reason", "ticket 7"]);
    let until = given["lease"]["until"].as_str().unwrap().to_owned();
    let event = b.wait_event("lease.granted", "pay-01");
    assert_eq!((&event["until"], &event["reason"]), (&until.clone().into(), &"ticket 7".into()));

    let mut ssh = b.ssh("pay-01").forward(lent, endless()).forward(own, says("mine")).start().wait_forwards(2);
    let download = Download::start(lent);
    download.wait_bytes(100_000);
    assert_eq!(b.tunnel(lent).unwrap()["until"], until.as_str());
    let why = done(b.cli(&["explain", "pay-01", &port]));
    assert!(why.contains(", until ") && why.contains(" by "), "{why}");
    let other = b.cli(&["explain", "pay-02", &port]);
    assert_eq!(other.status.code(), Some(1));

    let over = b.wait_event("lease.released", "pay-01");
    assert_eq!((&over["actor"]["type"], &over["port"]), (&"daemon".into(), &lent.into()));
    let reason = over["reason"].as_str().unwrap();
    assert!(reason.starts_with("the time set by ") && reason.ends_with("is over (ticket 7)"), "{reason}");
    let end = b.wait_audit("the tunnel's end", |e| e["event"] == "forward.end" && e["port"] == lent);
    assert_eq!(end["obituary"]["cause"], "lease-over");
    // Not before it, and soon after.
    let at = |v: &Value| v.as_str().unwrap().parse::<chrono::DateTime<chrono::Utc>>().unwrap();
    let late = (at(&over["at"]) - at(&until.into())).num_milliseconds();
    assert!((0..2_000).contains(&late), "{late} ms after its time");
    eventually("the visitor is cut", SOON, || !download.is_running());
    eventually("the port is free", SOON, || closed(lent));
    assert!(b.tunnel(lent).is_none(), "the lease is no row any more");
    assert!(ssh.is_running());
    assert_eq!(hear(own), "mine");
    // And another may have it.
    done(b.cli(&["assign", "pay-02", &port]));
}

#[test]
fn a_lease_that_ended_while_the_daemon_was_away_is_over_when_it_is_back() {
    let mut b = Bastion::builder().team("pay", 4).host("pay-01", "pay").host("pay-02", "pay").start();
    let (short, long) = (b.port("pay", 0), b.port("pay", 1));
    done(b.cli(&["assign", "pay-01", &short.to_string(), "--until", "2s"]));
    done(b.cli(&["assign", "pay-01", &long.to_string(), "--until", "1h"]));
    let granted = b.wait_audit("the lease", |e| e["event"] == "lease.granted" && e["port"] == short);
    b.kill9();
    let until = granted["until"].as_str().unwrap().parse::<chrono::DateTime<chrono::Utc>>().unwrap();
    eventually("its time is over", SOON, || chrono::Utc::now() > until);
    b.start();
    let over = b.wait_audit("its end", |e| e["event"] == "lease.released" && e["port"] == short);
    assert_eq!(over["actor"]["type"], "daemon");
    // The other has come through it.
    let held = b.cli(&["assign", "pay-02", &long.to_string()]);
    assert!(said(&held).contains("already held") || said(&held).contains("is held by host pay-01"), "{held:?}");
    assert!(b.tunnel(long).unwrap()["until"].is_string());
    let _ssh = b.ssh("pay-02").forward(short, echo()).start().wait_forward();
}
