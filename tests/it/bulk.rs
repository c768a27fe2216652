//! Several hosts at once, from a real console.

use crate::common::bastion::{BINARY, Bastion};
use crate::common::load::{Download, endless};
use crate::common::terminal::Terminal;
use crate::common::{SOON, eventually};
use std::process::Command;

#[test]
fn two_hosts_are_revoked_by_one_question_and_each_is_written_down() {
    let b = Bastion::builder().team("pay", 8).host("pay-01", "pay").host("pay-02", "pay").host("pay-03", "pay").start();
    let hosts: Vec<_> = (1..=3)
        .map(|n| b.ssh(&format!("pay-0{n}")).forward(b.port("pay", n - 1), endless()).start().wait_forward())
        .collect();
    let loads: Vec<Download> = (0..3).map(|n| Download::start(b.port("pay", n))).collect();
    loads.iter().for_each(|l| l.wait_bytes(1));
    let mut c = Command::new(BINARY);
    c.arg("--socket").arg(b.socket());
    let mut c = Terminal::run(&c);
    c.until_text("● live");
    c.keys("2");
    c.until_line(&["up", "pay-03"]);
    c.keys("W");
    c.until_text("RW");
    c.keys("  ");
    c.until_text("2 marked");
    c.keys("x");
    c.until_text("revoke 2 hosts?");
    c.until_text("cuts 2 live tunnels and 2 visitors");
    c.keys("\r");
    c.until_text("type 2 to confirm");
    assert!(loads.iter().all(Download::is_running));
    c.keys("2\r");
    c.until_text("revoke: 2 of 2 done");
    for host in ["pay-01", "pay-02"] {
        c.until_line(&["revoked", host]);
        let e = b.wait_event("operator.revoked", host);
        assert_eq!(e["visitors"], 1, "{e}");
    }
    eventually("only the one that was not marked is left", SOON, || {
        loads.iter().map(Download::is_running).eq([false, false, true])
    });
    assert_eq!(b.audit().iter().filter(|e| e["event"] == "operator.revoke").count(), 2);

    // And back.
    c.keys("*u");
    c.until_text("restore 2 blocks?");
    c.keys("2\r");
    c.until_text("restore: 2 of 2 done");
    b.wait_event("operator.restore", "pay-02");
    drop(hosts);
}
