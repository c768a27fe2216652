//! The harness itself.

use crate::common::bastion::Bastion;
use crate::common::services::{Nginx, Sshd, echo, visit};
use crate::common::stream;
use std::io::{Read, Write};
use std::net::Shutdown;

#[test]
fn a_first_tunnel_carries_bytes_and_is_listed() {
    let b = Bastion::builder().team("pay", 4).host("pay-01", "pay").start();
    let port = b.port("pay", 0);
    let _ssh = b.ssh("pay-01").forward(port, echo()).start().wait_forward();
    let mut conn = visit(port);
    conn.write_all(b"hello").unwrap();
    conn.shutdown(Shutdown::Write).unwrap();
    let mut back = String::new();
    conn.read_to_string(&mut back).unwrap();
    assert_eq!(back, "hello");
    let row = b.wait_tunnel(port, "has its bytes counted", |t| t["bytes_to_visitors"] == 5);
    assert_eq!((&row["state"], &row["host"], &row["bytes_to_host"]), (&"up".into(), &"pay-01".into(), &5.into()));
    let closed = b.wait_event("visitor.close", "pay-01");
    assert_eq!((&closed["bytes_to_host"], &closed["bytes_to_visitor"]), (&5.into(), &5.into()));
}

#[test]
fn a_daemon_stops_in_order_and_starts_again() {
    let mut b = Bastion::builder().team("pay", 4).host("pay-01", "pay").start();
    b.wait_audit("first start", |e| e["event"] == "daemon.start");
    b.restart();
    b.wait_audit("second start", |e| e["event"] == "daemon.start" && e["seq"].as_u64() > Some(1));
    let events = b.audit().into_iter().map(|e| e["event"].as_str().unwrap().to_owned());
    // A stop may be followed by a checkpoint of the journal.
    let events: Vec<_> = events.filter(|e| e != "audit.checkpoint").collect();
    assert_eq!(events, ["daemon.start", "daemon.stop", "daemon.start"]);
    assert!(b.cli(&["audit", "verify"]).status.success());
}

/// What a supervisor does that gives up on a slow start, or a script that only wanted to see the ready line.
#[test]
fn a_signal_right_after_ready_stops_the_daemon_in_order() {
    for _ in 0..20 {
        let mut b = Bastion::builder().team("pay", 4).start();
        assert_eq!(b.term().code(), Some(0), "ended by the signal itself");
    }
}

#[test]
fn real_services_start() {
    let sshd = Sshd::start();
    assert_ne!(sshd.address.port(), 0);
    let nginx = Nginx::start(&[("page", b"hello")]);
    assert_ne!(nginx.http, nginx.https);
}

#[test]
fn streams_are_long_exact_and_all_different() {
    let bytes = stream::bytes(7, 1_000_000);
    assert_eq!(bytes.len(), 1_000_000);
    assert_eq!(stream::read(&mut bytes.as_slice()).unwrap(), stream::sum(7, 1_000_000));
    assert_ne!(stream::sum(8, 1_000_000), stream::sum(7, 1_000_000));
}
