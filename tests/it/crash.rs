//! Ends of the daemon, orderly and not, and what is there afterwards.

use crate::common::bastion::{BINARY, Bastion};
use crate::common::disk::SmallDisk;
use crate::common::load::{Download, endless};
use crate::common::services::{echo, hear, says, visit};
use crate::common::supervised::{Group, eager};
use crate::common::{SOON, eventually};
use serde_json::Value;
use std::fs::{self, OpenOptions};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

fn text(out: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr))
}

/// Port, host and kind of every lease.
fn leases(b: &Bastion) -> Vec<(u64, String, String)> {
    let word = |v: &Value| v.as_str().unwrap().to_owned();
    let rows = b.json(&["tunnels"]);
    rows.as_array().unwrap().iter().map(|t| (t["port"].as_u64().unwrap(), word(&t["host"]), word(&t["kind"]))).collect()
}

/// The journal's newest file.
fn newest(dir: &Path) -> PathBuf {
    let files = fs::read_dir(dir).unwrap().map(|f| f.unwrap().path());
    files.filter(|p| p.file_name().unwrap().to_str().unwrap().starts_with("audit-")).max().unwrap()
}

/// What the journal's files say, without a daemon.
fn on_disk(dir: &Path) -> Vec<Value> {
    let text = fs::read_to_string(newest(dir)).unwrap();
    text.lines().map(|l| serde_json::from_str(l).unwrap()).collect()
}

#[test]
fn after_a_kill_under_load_everything_is_as_it_was_and_every_client_comes_back_by_itself() {
    let mut b = Bastion::builder()
        .team("pay", 12)
        .host_with("pay-01", "pay", &[("web", 0)])
        .host("pay-02", "pay")
        .host("pay-03", "pay")
        .host("gone", "pay")
        .start();
    let ports = [b.port("pay", 0), b.port("pay", 1), b.port("pay", 2)];
    assert!(b.cli(&["assign", "pay-03", &ports[2].to_string(), "--reason", "ticket"]).status.success());
    assert!(b.cli(&["revoke", "gone", "--yes"]).status.success());
    assert!(b.cli(&["revoke", &b.port("pay", 9).to_string(), "--yes"]).status.success());
    let _clients: Vec<Group> = ["pay-01", "pay-02", "pay-03"]
        .iter()
        .zip(ports)
        .map(|(host, port)| Group::start(host, eager(b.autossh(host)).forward(port, endless()).command()))
        .collect();
    for p in ports {
        b.wait_tunnel(p, "is up", |t| t["state"] == "up");
    }
    let before = leases(&b);
    let downloads: Vec<Download> = ports.iter().flat_map(|p| Download::many(*p, 2)).collect();
    downloads.iter().for_each(|d| d.wait_bytes(500_000));
    let sessions: Vec<Value> = ports.iter().map(|p| b.tunnel(*p).unwrap()["session"].clone()).collect();

    let began = Instant::now();
    b.kill9();
    downloads.into_iter().for_each(|d| assert!(d.cut_after(began) < SOON));
    b.start();
    assert_eq!(leases(&b), before);
    for (p, old) in ports.iter().zip(sessions) {
        let row = b.wait_tunnel(*p, "is up again", |t| t["state"] == "up");
        assert_ne!(row["session"], old);
        Download::start(*p).wait_bytes(100_000);
    }
    let blocked: Vec<Value> = b.json(&["status"])["daemon"]["revocations"].as_array().unwrap().clone();
    assert_eq!(blocked.len(), 2, "{blocked:?}");
    let mut gone = b.ssh("gone").forward(b.port("pay", 5), echo()).start();
    assert!(!gone.wait_exit().success());
    assert!(gone.log.contains("Permission denied"));
    let verified = b.cli(&["audit", "verify"]);
    assert!(verified.status.success(), "{}", text(&verified));
}

#[test]
fn a_torn_last_line_is_reported_kept_aside_and_the_chain_goes_on() {
    let mut b = Bastion::builder().team("pay", 4).host("pay-01", "pay").start();
    drop(b.ssh("pay-01").forward(b.port("pay", 0), echo()).start().wait_forward());
    b.wait_event("session.end", "pay-01");
    b.kill9();
    let dir = b.dir().join("audit");
    let half = r#"{"seq":99,"at":"2026-01-01T00:00:00Z","event":"auth.succ"#;
    OpenOptions::new().append(true).open(newest(&dir)).unwrap().write_all(half.as_bytes()).unwrap();
    let torn = Command::new(BINARY).args(["audit", "verify", "--dir"]).arg(&dir).output().unwrap();
    let before = on_disk_whole_lines(&dir);

    b.start();
    let found = b.wait_audit("the report", |e| e["event"] == "audit.recovered");
    assert_eq!(found["bytes"], half.len());
    assert_eq!(fs::read_to_string(dir.join(found["kept"].as_str().unwrap())).unwrap(), half);
    let notice = b.json(&["status"])["daemon"]["audit"]["notice"].clone();
    assert!(notice.as_str().is_some_and(|n| n.contains("torn") && n.contains("the chain goes on")), "{notice}");
    let last = before.last().unwrap();
    assert_eq!(found["prev"], last["hash"], "the chain goes on from the last whole record");
    let verified = b.cli(&["audit", "verify"]);
    assert!(verified.status.success(), "{}", text(&verified));
    assert!(text(&torn).contains("torn"), "while it lay there: {}", text(&torn));
}

fn on_disk_whole_lines(dir: &Path) -> Vec<Value> {
    let text = fs::read_to_string(newest(dir)).unwrap();
    text.split_inclusive('\n').filter(|l| l.ends_with('\n')).map(|l| serde_json::from_str(l).unwrap()).collect()
}

#[test]
fn asked_to_stop_it_lets_a_visitor_finish_and_nobody_new_in() {
    let mut b = Bastion::builder().team("pay", 4).host("pay-01", "pay").start();
    let port = b.port("pay", 0);
    let mut ssh = b.ssh("pay-01").forward(port, echo()).start().wait_forward();
    let mut slow = visit(port);
    slow.write_all(b"before").unwrap();
    let mut got = [0; 6];
    slow.read_exact(&mut got).unwrap();
    b.signal(nix::sys::signal::Signal::SIGTERM);
    b.log().wait("stopping", SOON);
    eventually("no new visitor is let in", SOON, || {
        std::net::TcpStream::connect(("127.0.0.1", port)).map_or(true, |mut c| {
            let _ = c.set_read_timeout(Some(Duration::from_secs(1)));
            let _ = c.write_all(b"x");
            !matches!(c.read(&mut [0; 1]), Ok(1))
        })
    });
    slow.write_all(b"after!").unwrap();
    slow.read_exact(&mut got).unwrap();
    assert_eq!(&got, b"after!");
    drop(slow);
    assert!(b.term().success());
    ssh.wait_exit();
    let dir = b.dir().join("audit");
    let events = on_disk(&dir);
    // The goodbye, and the signature under it.
    let [.., last, signed] = events.as_slice() else { panic!("{events:?}") };
    assert_eq!((&last["event"], &last["cause"]), (&"daemon.stop".into(), &"SIGTERM".into()));
    assert_eq!((&signed["event"], &signed["upto"]), (&"audit.checkpoint".into(), &last["seq"]));
    let closed = events.iter().find(|e| e["event"] == "visitor.close" && e["bytes_to_visitor"] == 12);
    assert!(closed.is_some(), "the visitor went by itself");
    let verified = Command::new(BINARY).args(["audit", "verify", "--dir"]).arg(dir).output().unwrap();
    assert!(verified.status.success(), "{}", text(&verified));
}

#[test]
fn asked_to_stop_it_waits_for_visitors_no_longer_than_the_drain_time() {
    let mut b = Bastion::builder().team("pay", 4).host("pay-01", "pay").set("ssh", "drain = \"1s\"").start();
    let port = b.port("pay", 0);
    let _ssh = b.ssh("pay-01").forward(port, endless()).start().wait_forward();
    let download = Download::start(port);
    download.wait_bytes(1);
    let began = Instant::now();
    assert!(b.term().success());
    assert!(
        began.elapsed() >= Duration::from_secs(1) && began.elapsed() < Duration::from_secs(6),
        "{:?}",
        began.elapsed()
    );
    download.cut_after(began);
    let dir = b.dir().join("audit");
    assert_eq!(on_disk(&dir).iter().rev().nth(1).unwrap()["event"], "daemon.stop");
}

#[test]
fn a_second_daemon_in_the_same_place_is_refused_and_the_first_is_none_the_worse() {
    let b = Bastion::builder().team("pay", 4).host("pay-01", "pay").start();
    let port = b.port("pay", 0);
    let _ssh = b.ssh("pay-01").forward(port, says("first")).start().wait_forward();
    let second =
        Command::new(BINARY).args(["serve", "--config"]).arg(b.config()).stdin(Stdio::null()).output().unwrap();
    assert!(!second.status.success());
    assert!(second.stdout.is_empty(), "it is never ready");
    let said = String::from_utf8_lossy(&second.stderr);
    let (pid, clear) = (b.pid().to_string(), "another portreeve");
    assert!(said.contains(clear) && said.contains(&pid) && said.contains("stop that one first"), "{said}");
    assert_eq!(hear(port), "first");
    assert!(b.cli(&["audit", "verify"]).status.success());
    assert!(b.cli(&["status"]).status.success());
}

#[test]
fn on_a_full_disk_nobody_new_comes_in_what_runs_goes_on_and_a_revoke_works() {
    let dir = tempfile::Builder::new().prefix("pr-disk-").tempdir().unwrap();
    let Some(disk) = SmallDisk::mount(dir.path().join("audit"), "128k") else {
        eprintln!("skipped: a small file system can be mounted by root only");
        return;
    };
    let b = Bastion::builder()
        .team("pay", 4)
        .host("pay-01", "pay")
        .host("pay-02", "pay")
        .set("audit", &format!("dir = {:?}", disk.path()))
        .start();
    let (one, two) = (b.port("pay", 0), b.port("pay", 1));
    let mut ssh = b.ssh("pay-01").forward(one, echo()).start().wait_forward();
    disk.fill();
    // Something that has to be written down shows that it cannot be.
    drop(visit(one));
    eventually("the daemon says that the journal cannot be written", SOON, || {
        b.json(&["status"])["daemon"]["audit"]["failure"].as_str().is_some_and(|f| f.contains("No space left"))
    });
    let mut refused = b.ssh("pay-02").forward(two, echo()).start();
    assert!(!refused.wait_exit().success());
    assert!(refused.log.contains("Permission denied"), "{}", refused.log.text());
    let mut conn = visit(one);
    conn.write_all(b"still").unwrap();
    let mut back = [0; 5];
    conn.read_exact(&mut back).unwrap();
    let status = text(&b.cli(&["status"]));
    assert!(status.contains("No space left"), "{status}");
    let assign = b.cli(&["assign", "pay-02"]);
    assert_eq!(assign.status.code(), Some(7), "{}", text(&assign));

    let began = Instant::now();
    let revoke = b.cli(&["revoke", "pay-01", "--yes"]);
    assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
    assert!(text(&revoke).contains("revoked host pay-01: closed 1 session, 1 tunnel, 1 visitor"), "{}", text(&revoke));
    assert!(text(&revoke).contains("the journal could not be written"), "{}", text(&revoke));
    ssh.wait_exit();
    assert!(std::net::TcpStream::connect(("127.0.0.1", one)).is_err());

    disk.make_room();
    let resumed = b.wait_audit("the journal goes on", |e| e["event"] == "audit.resumed");
    assert_eq!(resumed["lost"], 0, "{resumed}");
    // What was done meanwhile is in it.
    b.wait_event("operator.revoked", "pay-01");
    let _ssh = b.ssh("pay-02").forward(two, says("welcome")).start().wait_forward();
    assert_eq!(hear(two), "welcome");
    let verified = b.cli(&["audit", "verify"]);
    assert!(verified.status.success(), "{}", text(&verified));
}
