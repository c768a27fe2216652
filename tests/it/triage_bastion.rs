//! Triage: faults of the bastion itself, and of what stands between it and a host.

use crate::common::bastion::{Bastion, Builder};
use crate::common::disk::SmallDisk;
use crate::common::incidents::{console, evidence, triage, wait_cause, wait_well, well_on_screen};
use crate::common::services::echo;
use crate::common::{SOON, eventually};
use std::time::Instant;

fn two_hosts() -> Builder {
    Bastion::builder().team("pay", 8).host("pay-01", "pay").host("pay-02", "pay")
}

#[test]
fn a_bastion_that_stood_still_says_so() {
    let b = two_hosts().start();
    let _ssh = b.ssh("pay-01").forward(b.port("pay", 0), echo()).start().wait_forward();
    let mut c = console(&b);
    c.until_text("all well");
    b.signal(nix::sys::signal::Signal::SIGSTOP);
    let since = Instant::now();
    // As a machine does that swaps, or a hypervisor that has others to serve. Time is what this is about.
    eventually("more than three seconds", SOON, || since.elapsed().as_millis() > 4_200);
    b.signal(nix::sys::signal::Signal::SIGCONT);
    let i = wait_cause(&b, "bastion-overloaded", |i| evidence(i).contains("stood still"));
    assert_eq!(i["what"], "the bastion");
    c.until_line(&["warning", "the bastion", "does not keep up"]);
    c.keys("q");
    assert_eq!(c.wait_exit(), 0);
}

#[test]
fn a_bastion_that_was_restarted_says_who_is_not_back() {
    let mut b = two_hosts().start();
    let (one, two) = (b.port("pay", 0), b.port("pay", 1));
    drop(b.ssh("pay-01").forward(one, echo()).start().wait_forward());
    drop(b.ssh("pay-02").forward(two, echo()).start().wait_forward());
    b.kill9();
    b.start();
    let i = wait_cause(&b, "bastion-restarted", |_| true);
    assert!(evidence(&i).ends_with("2 of 2 tunnels are not back yet"), "{i}");
    let _first = b.ssh("pay-01").forward(one, echo()).start().wait_forward();
    let _second = b.ssh("pay-02").forward(two, echo()).start().wait_forward();
    let i = wait_cause(&b, "bastion-restarted", |i| evidence(i).ends_with("everybody is back"));
    assert_eq!((&i["severity"], triage(&b, &[]).1), (&"note".into(), 0));
}

#[test]
fn a_journal_that_cannot_be_written_is_told_on_the_screen_and_leaves_when_there_is_room() {
    let dir = tempfile::Builder::new().prefix("pr-disk-").tempdir().unwrap();
    let Some(disk) = SmallDisk::mount(dir.path().join("audit"), "48m") else {
        eprintln!("skipped: a small file system can be mounted by root only");
        return;
    };
    let b = two_hosts().set("audit", &format!("dir = {:?}", disk.path())).start();
    let port = b.port("pay", 0);
    let _ssh = b.ssh("pay-01").forward(port, echo()).start().wait_forward();
    let mut c = console(&b);
    c.until_text("all well");
    disk.fill();
    // Something has to be written for it to be noticed.
    let mut other = b.ssh("pay-02").forward(b.port("pay", 1), echo()).start();
    c.until_line(&["down", "the bastion", "the audit journal cannot be written"]);
    c.until_text("No space left");
    let i = wait_cause(&b, "journal-failed", |_| true);
    assert_eq!((&i["what"], &i["severity"]), (&"the bastion".into(), &"down".into()));
    assert!(evidence(&i).contains("No space left"), "{i}");
    assert_eq!(b.tunnel(port).unwrap()["state"], "up", "what is up stays up");
    other.kill9();
    disk.make_room();
    b.wait_audit("the journal goes on", |e| e["event"] == "audit.resumed");
    let _other = b.ssh("pay-02").forward(b.port("pay", 1), echo()).start().wait_forward();
    well_on_screen(&b, c);
}

#[test]
fn a_session_that_does_not_answer_the_checks_before_it_counts_as_silent() {
    // The keepalives are those of a real bastion: it takes them three quarters of a minute to give a host up.
    let b = two_hosts().set("health", "interval = \"1s\"\ntimeout = \"1s\"\nrise = 1\nfall = 2").start();
    let port = b.port("pay", 0);
    let ssh = b.ssh("pay-01").forward(port, echo()).start().wait_forward();
    b.wait_tunnel(port, "passes", |t| t["health"]["verdict"] == "passing");
    ssh.stop();
    let i = wait_cause(&b, "session-stuck", |_| true);
    assert_eq!((&i["what"], &i["severity"], &i["blast"]["ports"][0]), (&"pay-01".into(), &"down".into(), &port.into()));
    assert!(i["next"].as_array().unwrap().iter().any(|n| n["run"] == "portreeve reconnect pay-01"), "{i}");
    ssh.cont();
    wait_well(&b);
}

/// A rule without a fault that was made to happen is a guess.
#[test]
fn every_cause_has_a_scenario() {
    let scenarios = [include_str!("triage.rs"), include_str!("triage_bastion.rs")].concat();
    for rule in portreeve::triage::RULES {
        assert!(
            scenarios.contains(&format!("wait_cause(&b, \"{}\"", rule.cause)),
            "{} is never made to happen",
            rule.cause
        );
    }
}
