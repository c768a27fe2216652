//! The journal as evidence: checkpoints that are proved elsewhere, and a disk that fills under load.

use crate::common::bastion::{BINARY, Bastion};
use crate::common::disk::SmallDisk;
use crate::common::load::{Download, endless};
use crate::common::services::{echo, hear, says};
use crate::common::{SOON, eventually};
use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::atomic::{AtomicBool, Ordering};

fn text(out: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr))
}

fn verify(dir: &Path, more: &[(&str, &Path)]) -> Output {
    let mut command = Command::new(BINARY);
    command.args(["audit", "verify", "--dir"]).arg(dir);
    for (option, file) in more {
        command.arg(option).arg(file);
    }
    command.output().unwrap()
}

/// The journal's files as they are now, somewhere else.
fn copied(from: &Path, to: &Path) -> Vec<PathBuf> {
    fs::create_dir_all(to).unwrap();
    let days = fs::read_dir(from).unwrap().map(|e| e.unwrap().path());
    let days = days.filter(|p| p.extension().is_some_and(|e| e == "jsonl"));
    days.map(|p| {
        let there = to.join(p.file_name().unwrap());
        fs::copy(&p, &there).unwrap();
        there
    })
    .collect()
}

#[test]
fn a_checkpoint_taken_over_ssh_proves_a_copy_of_the_journal_elsewhere() {
    let b = Bastion::builder().team("pay", 4).host("pay-01", "pay").operator("ops", "viewer", &[]).start();
    let port = b.port("pay", 0);
    let ssh = b.ssh("pay-01").forward(port, says("hello")).start().wait_forward();
    assert_eq!(hear(port), "hello");
    b.wait_audit("the visit", |e| e["event"] == "visitor.close");
    let out = String::from_utf8(b.ssh("ops").run(&["audit", "checkpoint"]).stdout).unwrap();
    let elsewhere = tempfile::tempdir().unwrap();
    let at = |name: &str| elsewhere.path().join(name);
    fs::write(at("checkpoint"), &out).unwrap();
    assert!(out.starts_with("portreeve audit checkpoint\nseq "), "{out}");
    drop(ssh);
    b.wait_event("session.end", "pay-01");

    let key = b.dir().join("state/audit_ed25519_key.pub");
    let proof: [(&str, &Path); 2] = [("--key", &key), ("--checkpoint", &at("checkpoint"))];
    let days = copied(&b.dir().join("audit"), &at("copy"));
    let holds = verify(&at("copy"), &proof);
    assert!(holds.status.success(), "{}", text(&holds));
    assert!(text(&holds).contains("; signed up to seq "), "{}", text(&holds));

    // The end cut off at a line: the files alone do not show it.
    let good = fs::read_to_string(&days[0]).unwrap();
    let lines: Vec<&str> = good.split_inclusive('\n').collect();
    fs::write(&days[0], lines[..2].concat()).unwrap();
    assert!(verify(&at("copy"), &[]).status.success());
    let cut = verify(&at("copy"), &proof);
    assert_eq!(cut.status.code(), Some(1), "{}", text(&cut));
    assert!(text(&cut).contains("the end is cut off"), "{}", text(&cut));

    // A key that is not this bastion's.
    fs::write(&days[0], &good).unwrap();
    let other = b.key("ops").with_extension("pub");
    let stranger = verify(&at("copy"), &[("--key", &other)]);
    assert!(text(&stranger).contains("which is not the key given"), "{}", text(&stranger));
    let missing = verify(&at("copy"), &[("--key", &at("nowhere"))]);
    assert!(!missing.status.success() && text(&missing).contains("cannot be read"), "{}", text(&missing));

    // The daemon proves its own, and signs what it proves.
    let own = b.cli(&["audit", "verify"]);
    assert!(own.status.success() && text(&own).contains("signed up to"), "{}", text(&own));
}

/// Visitors come and go, one downloads all the time, and an operator acts, while the disk fills, is full, and has room again.
fn a_disk_that_fills_under_load(policy: &str, new_sessions: bool) {
    let dir = tempfile::Builder::new().prefix("pr-disk-").tempdir().unwrap();
    let Some(disk) = SmallDisk::mount(dir.path().join("audit"), "48m") else {
        eprintln!("skipped: a small file system can be mounted by root only");
        return;
    };
    let b = Bastion::builder()
        .team("pay", 8)
        .host("pay-01", "pay")
        .host("pay-02", "pay")
        .set("audit", &format!("dir = {:?}\non_failure = {policy:?}\ncheckpoint = \"1s\"", disk.path()))
        .start();
    let (down, busy, late) = (b.port("pay", 0), b.port("pay", 1), b.port("pay", 2));
    let _ssh = b.ssh("pay-01").forward(down, endless()).forward(busy, echo()).start().wait_forward();
    let download = Download::start(down);
    let stop = AtomicBool::new(false);
    let acknowledged = std::thread::scope(|s| {
        let visitors = s.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                // One at a time, each to the host and back.
                let Ok(mut visit) = TcpStream::connect(("127.0.0.1", busy)) else { continue };
                let _ = visit.write_all(b"x").and_then(|()| visit.read_exact(&mut [0]));
            }
        });
        let operator = s.spawn(|| {
            let mut done = Vec::new();
            for n in 0.. {
                if stop.load(Ordering::Relaxed) {
                    break;
                }
                let reason = format!("act {n}");
                let port = b.port("pay", 7).to_string();
                let out = b.cli(&["reserve", &port, "--until", "2days", "--reason", &reason, "--json"]);
                if out.status.success() {
                    done.push(reason);
                    b.cli(&["release", &port, "--yes"]);
                }
            }
            done
        });
        b.wait_audit("an act", |e| e["event"] == "port.reserved");
        disk.fill();
        eventually("the daemon says that the journal cannot be written", SOON, || {
            b.json(&["status"])["daemon"]["audit"]["failure"].as_str().is_some_and(|f| f.contains("No space left"))
        });
        let before = download.bytes();
        let mut second = b.ssh("pay-02").forward(late, says("welcome")).start();
        if new_sessions {
            let second = second.wait_forward();
            assert_eq!(hear(late), "welcome");
            drop(second);
        } else {
            assert!(!second.wait_exit().success());
            assert!(second.log.contains("Permission denied"), "{}", second.log.text());
        }
        download.wait_bytes(before + (1 << 20));
        disk.make_room();
        b.wait_audit("the journal goes on", |e| e["event"] == "audit.resumed" && e["lost"] == 0);
        stop.store(true, Ordering::Relaxed);
        visitors.join().unwrap();
        operator.join().unwrap()
    });
    assert!(download.is_running(), "what was up stayed up");
    assert!(!acknowledged.is_empty());
    let journal = b.audit();
    for reason in acknowledged {
        let there = journal.iter().filter(|e| e["event"] == "port.reserved" && e["reason"] == reason.as_str()).count();
        assert_eq!(there, 1, "{reason} was acknowledged");
    }
    let refused = journal.iter().any(|e| {
        e["event"] == "auth.failure"
            && e["rule"].as_str().is_some_and(|r| r.contains("the audit journal cannot be written"))
    });
    assert_eq!(refused, !new_sessions, "the refusal itself is evidence, written when there is room");
    let verified = b.cli(&["audit", "verify"]);
    assert!(verified.status.success(), "{}", text(&verified));
}

#[test]
fn a_disk_that_fills_under_load_keeps_new_sessions_out_and_loses_nothing() {
    a_disk_that_fills_under_load("refuse", false);
}

#[test]
fn a_disk_that_fills_under_load_may_let_new_sessions_in_and_loses_nothing_either() {
    a_disk_that_fills_under_load("continue", true);
}
