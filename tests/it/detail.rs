//! A tunnel's detail in a real console: who is on it is cut, its past is found, its host is told how to dial in.

use crate::common::bastion::{BINARY, Bastion};
use crate::common::eventually;
use crate::common::load::{Download, endless};
use crate::common::services::{echo, visit};
use crate::common::terminal::Terminal;
use std::io::{Read as _, Write as _};
use std::process::Command;
use std::time::Duration;

fn console(b: &Bastion) -> Terminal {
    let mut c = Command::new(BINARY);
    c.arg("--socket").arg(b.socket());
    let mut c = Terminal::run(&c);
    c.until_text("● live");
    c
}

#[test]
fn a_visitor_is_cut_by_one_key_and_the_journal_of_the_tunnel_says_so() {
    let b = Bastion::builder().team("pay", 8).host_with("pay-01", "pay", &[("ssh", 0)]).start();
    let port = b.port("pay", 0);
    let _host = b.ssh("pay-01").forward(port, endless()).start().wait_forward();
    let (first, second) = (Download::start(port), Download::start(port));
    first.wait_bytes(1);
    second.wait_bytes(1);
    let mut c = console(&b);
    c.keys("2");
    c.until_line(&["up", &port.to_string()]);
    c.keys("W");
    c.until_text("RW");
    c.keys("\rl");
    c.until("both visitors", |s| s.contents().lines().filter(|l| l.contains("127.0.0.1:")).count() == 2);
    c.keys("X");
    c.until_text("cut visitor v");
    c.keys("y");
    c.until("one is left", |s| s.contents().lines().filter(|l| l.contains(" 127.0.0.1:")).count() == 1);
    eventually("one is cut and the other is not", Duration::from_secs(5), || first.is_running() != second.is_running());
    // Its audit, two tabs on, and how the host dials in.
    c.keys("]]]");
    c.until_line(&["visitor cut"]);
    c.keys("]");
    c.until_text(&format!("-R {port}:localhost:22"));
}

#[test]
fn a_sign_in_is_found_though_thousands_of_events_came_since() {
    let b = Bastion::builder()
        .team("pay", 8)
        .host_with("pay-01", "pay", &[("ssh", 0)])
        .unchecked_host("pay-02", "pay")
        .start();
    let busy = b.port("pay", 1);
    let _quiet = b.ssh("pay-01").forward(b.port("pay", 0), echo()).start().wait_forward();
    let _busy = b.ssh("pay-02").forward(busy, echo()).start().wait_forward();
    // A console is given the last two thousand; each visit is two.
    for _ in 0..1_050 {
        let mut visitor = visit(busy);
        visitor.write_all(b"x").unwrap();
        visitor.read_exact(&mut [0]).unwrap();
    }
    eventually("the visits are written down", Duration::from_secs(10), || b.audit().len() > 2_100);
    let mut c = console(&b);
    c.keys("2");
    c.until_line(&["up", "pay-01"]);
    c.keys("\r");
    c.until_text("nothing recorded lately");
    c.keys("lll");
    c.until_line(&["signed in with OpenSSH"]);
    c.until_text("1 sign-in or refusal of the last day");
}

#[test]
fn what_changed_of_a_host_that_went_leads_to_its_tunnel_and_back() {
    let b = Bastion::builder().team("pay", 8).host_with("pay-01", "pay", &[("ssh", 0)]).host("pay-02", "pay").start();
    let port = b.port("pay", 0).to_string();
    let first = b.ssh("pay-01").forward(b.port("pay", 0), echo()).start().wait_forward();
    let _other = b.ssh("pay-02").forward(b.port("pay", 1), echo()).start().wait_forward();
    let mut c = console(&b);
    c.until_text("all well");
    drop(first);
    c.until_line(&["down", "pay-01"]);
    c.keys("w");
    c.until_line(&["tunnel closed"]);
    c.until_line(&["signed in with OpenSSH"]);
    assert!(!c.contents().contains("pay-02"), "only what concerns it:\n{}", c.contents());
    // The newest of it is about its tunnel or session; both lead to its tunnel.
    c.keys("\r");
    c.until_text(&format!("pay-01 :{port} "));
    c.keys("\x1b");
    c.until_text("[7 changes]");
    c.keys("\x1b");
    c.until_text("[1 triage");
    // Everything has the other's too.
    c.keys("7");
    c.until_line(&["tunnel", "pay-02", "tunnel is up"]);
}
