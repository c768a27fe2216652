//! Bounds: visitors that read slowly or not at all, and too many of them.

use crate::common::bastion::Bastion;
use crate::common::services::{echo, hear, says, source, visit};
use crate::common::{SOON, eventually, stream};
use serde_json::Value;
use std::io::{ErrorKind, Read};

const MIB: u64 = 1024 * 1024;

/// The most memory the daemon ever had, in MiB.
fn peak_memory(b: &Bastion) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", b.pid())).unwrap();
    let line = status.lines().find_map(|l| l.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() / 1024
}

#[test]
fn a_visitor_that_reads_late_costs_disk_and_not_memory() {
    const LEN: u64 = 192 * MIB;
    let b = Bastion::builder().team("pay", 4).host("pay-01", "pay").start();
    let port = b.port("pay", 0);
    let _host = b.ssh("pay-01").forward(port, source(1, LEN)).start().wait_forward();
    let mut late = visit(port);
    eventually("nearly all of it waits in the bastion", 3 * SOON, || {
        let visitors = b.json(&["visitors"]);
        visitors[0]["buffered"].as_u64().is_some_and(|n| n > LEN - 16 * MIB)
    });
    let peak = peak_memory(&b);
    assert!(peak < 100, "{peak} MiB");
    assert_eq!(stream::read(&mut late).unwrap(), stream::sum(1, LEN));
    drop(late);
    let row = b.wait_tunnel(port, "has nothing waiting", |t| t["visitors_now"] == 0);
    assert_eq!(row["bytes_to_visitors"], LEN);
}

#[test]
fn a_visitor_that_takes_nothing_is_cut_after_the_stall_time() {
    let b = Bastion::builder().team("pay", 4).host("pay-01", "pay").set("relay", "stall_timeout = \"1s\"").start();
    let port = b.port("pay", 0);
    let _host = b.ssh("pay-01").forward(port, source(1, 64 * MIB)).start().wait_forward();
    let mut stuck = visit(port);
    let close = b.wait_event("visitor.close", "pay-01");
    assert!(close["reason"].as_str().unwrap().contains("took no data for the stall time"), "{close}");
    assert_eq!(stream::read(&mut stuck).map_err(|e| e.kind()), Err(ErrorKind::ConnectionReset));
    // Its neighbours, and the session, are none the worse.
    let mut next = visit(port);
    assert_eq!(stream::read(&mut next).unwrap(), stream::sum(1, 64 * MIB));
}

#[test]
fn one_visitor_too_many_is_refused() {
    let b = Bastion::builder().team("pay", 4).host("pay-01", "pay").set("relay", "max_visitors = 2").start();
    let port = b.port("pay", 0);
    let _host = b.ssh("pay-01").forward(port, echo()).start().wait_forward();
    let (first, _second) = (visit(port), visit(port));
    b.wait_tunnel(port, "has two visitors", |t| t["visitors_now"] == 2);
    let mut third = visit(port);
    assert_eq!(third.read(&mut [0]).map_err(|e| e.kind()), Err(ErrorKind::ConnectionReset));
    let no = b.wait_refusal("visitor.refused", "has 2 visitors already (relay.max_visitors)");
    assert_eq!(no["source"], third.local_addr().unwrap().to_string());
    drop(first);
    b.wait_tunnel(port, "has room again", |t| t["visitors_now"] == 1);
    let mut fourth = visit(port);
    std::io::Write::write_all(&mut fourth, b"x").unwrap();
    fourth.read_exact(&mut [0]).unwrap();
}

/// A channel that the server closes first is never freed by the library, and a session that lives for months would
/// grow by each visitor.
#[test]
fn many_visitors_leave_nothing_behind() {
    let b = Bastion::builder().team("pay", 4).host("pay-01", "pay").start();
    let port = b.port("pay", 0);
    let _host = b.ssh("pay-01").forward(port, says("hello")).start().wait_forward();
    let files = || std::fs::read_dir(format!("/proc/{}/fd", b.pid())).unwrap().count();
    assert_eq!(hear(port), "hello");
    b.wait_tunnel(port, "is left", |t| t["visitors_now"] == 0);
    let before = files();
    for _ in 0..300 {
        assert_eq!(hear(port), "hello");
    }
    let row = b.wait_tunnel(port, "is left by all", |t| t["visitors_now"] == 0);
    assert_eq!((&row["visitors_total"], &row["visitors_refused"]), (&301.into(), &0.into()));
    eventually("no file is left open", SOON, || files() <= before + 1);
    let closes = b.audit().iter().filter(|e| e["event"] == "visitor.close").count();
    assert_eq!(closes, 301);
    assert_ne!(b.tunnel(port).unwrap()["session"], Value::Null);
}
