//! Operators who are to leave: logged out by an admin, gone from the configuration, or away from their keys.

use crate::common::bastion::{Bastion, Builder};
use crate::common::load::endless;
use crate::common::services::{echo, says};
use crate::common::ssh::Ssh;
use crate::common::{SOON, eventually};
use crate::console::{local, remote_of as console};
use serde_json::Value;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::time::{Duration, Instant};

/// From the event to the last byte.
const CUT: Duration = Duration::from_secs(1);

fn bastion() -> Builder {
    Bastion::builder()
        .team("pay", 8)
        .host("pay-01", "pay")
        .operator("alice", "operator", &[])
        .operator("bob", "operator", &[])
        .operator("boss", "admin", &[])
}

/// A connection to a port that ssh forwards: it says that it does a moment before it does.
#[track_caller]
fn connect(port: u16) -> TcpStream {
    let mut conn = None;
    eventually("the port is forwarded", SOON, || {
        conn = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).ok();
        conn.is_some()
    });
    conn.unwrap()
}

/// An operator's `ssh -N -L`, and somebody who downloads through it without end. Says when the last byte came.
struct Through {
    ssh: Ssh,
    reader: std::thread::JoinHandle<chrono::DateTime<chrono::Utc>>,
}

impl Through {
    #[track_caller]
    fn start(b: &Bastion, who: &str, port: u16) -> Self {
        let free = b.port_outside("pay");
        let ssh = b.ssh(who).args(&["-N", "-L", &format!("127.0.0.1:{free}:localhost:{port}")]).start();
        let mut conn = connect(free);
        let mut first = [0; 64 * 1024];
        conn.read_exact(&mut first).unwrap();
        let reader = std::thread::spawn(move || {
            let mut buf = [0; 64 * 1024];
            while matches!(conn.read(&mut buf), Ok(n) if n > 0) {}
            chrono::Utc::now()
        });
        Self { ssh, reader }
    }

    /// That the visitor's last byte came within a second of this event, and the client is gone.
    #[track_caller]
    fn cut_by(mut self, event: &Value) {
        let end = self.reader.join().unwrap();
        self.ssh.wait_exit();
        let at: chrono::DateTime<chrono::Utc> = event["at"].as_str().unwrap().parse().unwrap();
        let took = (end - at).to_std().unwrap_or_default();
        assert!(took < CUT, "the visitor was cut {took:?} after {event}");
    }
}

#[test]
fn an_operator_taken_out_by_a_reload_loses_console_and_forwards_at_once() {
    let b = bastion().start();
    let port = b.port("pay", 0);
    let _host = b.ssh("pay-01").forward(port, endless()).start().wait_forward();
    let mut theirs = console(&b, "alice");
    theirs.until_text("● live");
    let mut others = console(&b, "bob");
    others.until_text("● live");
    let through = Through::start(&b, "alice", port);
    let section = |t: String| {
        let (before, rest) = t.split_once("[operators.alice]").unwrap();
        let after = rest.split_once("[operators.bob]").unwrap().1;
        format!("{before}[operators.bob]{after}")
    };
    b.rewrite(section);
    let began = Instant::now();
    let out = b.cli(&["reload"]);
    assert!(out.status.success());
    assert!(String::from_utf8_lossy(&out.stdout).contains("its key is no longer in the configuration"), "{out:?}");
    assert_ne!(theirs.wait_exit(), 0);
    // The reload's own line comes when all of it has been done; the first end tells when it began.
    let first = b.wait_audit("the first end", |e| e["event"] == "session.end" && e["actor"]["name"] == "alice");
    assert_eq!(first["obituary"]["cause"], "config-change");
    through.cut_by(&first);
    assert!(began.elapsed() < SOON);
    eventually("both sessions are over", SOON, || {
        let ends = b.audit();
        ends.iter().filter(|e| e["event"] == "session.end" && e["actor"]["name"] == "alice").count() == 2
    });
    b.wait_audit("the console's end", |e| {
        e["event"] == "operator.console" && e["stage"] == "close" && e["actor"]["name"] == "alice"
    });
    others.keys("6");
    others.until_text("bob");
    assert!(!b.ssh("alice").run(&["status"]).status.success());
}

#[test]
fn an_operator_who_is_revoked_loses_console_and_forwards_within_a_second() {
    let b = bastion().start();
    let port = b.port("pay", 0);
    let _host = b.ssh("pay-01").forward(port, endless()).start().wait_forward();
    let mut theirs = console(&b, "alice");
    theirs.until_text("● live");
    let through = Through::start(&b, "alice", port);
    let out = b.ssh("boss").run(&["revoke", "operator:alice", "--reason", "left", "--yes"]);
    assert!(out.status.success(), "{out:?}");
    let event = b.wait_audit("the block", |e| e["event"] == "operator.revoke");
    assert_eq!((&event["actor"]["name"], &event["target"]["value"]), (&"boss".into(), &"alice".into()));
    through.cut_by(&event);
    assert_ne!(theirs.wait_exit(), 0);
    let done = b.wait_audit("the proof", |e| e["event"] == "operator.revoked");
    assert_eq!((&done["sessions"], &done["reason"]), (&2.into(), &"left".into()));
}

#[test]
fn a_forced_logout_closes_all_of_an_operator_within_a_second_and_is_no_block() {
    let account = nix::unistd::User::from_uid(nix::unistd::geteuid()).unwrap().unwrap().name;
    let b = bastion().start();
    b.rewrite(|t| t.replacen("[operators.alice]\n", &format!("[operators.alice]\nunix_user = \"{account}\"\n"), 1));
    let boss = |words: &[&str]| b.ssh("boss").run(words);
    assert!(b.cli(&["reload"]).status.success());
    let port = b.port("pay", 0);
    let _host = b.ssh("pay-01").forward(port, endless()).start().wait_forward();
    let mut far = console(&b, "alice");
    far.until_text("● live");
    let mut near = local(&b);
    near.until_text("● live");
    let mut other = console(&b, "bob");
    other.until_text("● live");
    let others = Through::start(&b, "bob", port);
    // A forward of hers besides, in a port of its own.
    let mut waiting = b.ssh("alice").args(&["-W", &format!("localhost:{port}")]).spawn_unread(&[]);
    b.wait_audit("her visit", |e| e["event"] == "visitor.open" && e["actor"]["name"] == "alice");

    assert_eq!(boss(&["logout", "nobody", "--yes"]).status.code(), Some(5));
    let out = b.ssh("bob").run(&["logout", "alice", "--yes"]);
    assert_eq!(out.status.code(), Some(4));
    b.wait_refusal("operator.refused", "logout needs the role admin");

    let out = boss(&["logout", "alice", "--reason", "shift-over", "--yes"]);
    let told = String::from_utf8_lossy(&out.stdout).into_owned();
    assert!(out.status.success(), "{out:?}");
    let e = b.ssh("boss").run(&["audit", "--event", "operator.logout", "--json"]);
    let e: Value = serde_json::from_slice(&e.stdout).unwrap();
    assert_eq!(
        (&e["operator"], &e["actor"]["name"], &e["reason"], &e["sessions"], &e["visitors"]),
        (&"alice".into(), &"boss".into(), &"shift-over".into(), &2.into(), &1.into())
    );
    assert!(e["connections"].as_u64().unwrap() >= 1, "{e}");
    assert!(told.contains("logged alice out: closed 2 sessions"), "{told}");
    waiting.wait_exit();
    assert_ne!(far.wait_exit(), 0);
    assert_eq!(near.wait_exit(), 1, "the local console leaves rather than dial again");
    assert!(near.is_restored());
    assert!(near.contents().contains("boss has logged you out: shift-over"), "{}", near.contents());
    let audit = b.ssh("boss").run(&["audit", "-n", "1000", "--json"]);
    let audit: Vec<Value> =
        String::from_utf8(audit.stdout).unwrap().lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    let at = |e: &Value| e["at"].as_str().unwrap().parse::<chrono::DateTime<chrono::Utc>>().unwrap();
    let ends: Vec<_> = audit.iter().filter(|x| x["event"] == "session.end" && x["actor"]["name"] == "alice").collect();
    assert!(ends.len() >= 2);
    for end in ends.iter().filter(|x| x["seq"].as_u64() > e["seq"].as_u64()) {
        assert!(at(end) - at(&e) < chrono::TimeDelta::from_std(CUT).unwrap(), "{end} after {e}");
        assert!(end["obituary"]["detail"].as_str().unwrap().contains("logged out by boss: shift-over"), "{end}");
    }

    // Nobody else was touched, and she can come again.
    other.keys("6");
    other.until_text("bob");
    assert!(!others.reader.is_finished());
    assert!(b.ssh("alice").run(&["status"]).status.success());
    eventually("she has nothing open", SOON, || boss(&["logout", "alice", "--yes"]).status.code() == Some(5));

    // In the console, from her row among the sessions.
    let mut far = console(&b, "alice");
    far.until_text("● live");
    let mut admin = console(&b, "boss");
    admin.until_text("● live");
    admin.keys("W");
    admin.until_text("RW");
    admin.keys("6/alice\r");
    admin.until_line(&["alice"]);
    admin.keys("E");
    admin.until_text("log alice out");
    admin.keys("y");
    admin.until_text("logged alice out: closed 1 session");
    assert_ne!(far.wait_exit(), 0);
}

#[test]
fn a_console_that_nobody_touches_locks_and_leaves_write_mode() {
    let b = bastion().set("control", "idle_lock = \"5s\"").start();
    let port = b.port("pay", 0);
    let _host = b.ssh("pay-01").forward(port, says("here")).start().wait_forward();
    let account = b.json(&["status"])["you"]["name"].as_str().unwrap().to_owned();
    for (over_ssh, who) in [(true, "alice"), (false, account.as_str())] {
        let mut c = if over_ssh { console(&b, who) } else { local(&b) };
        c.until_text("● live");
        c.keys("2");
        c.until_line(&["up", &port.to_string(), "pay-01"]);
        let began = Instant::now();
        c.keys("W");
        c.until_text("RW");
        c.until("locked", |s| s.contents().contains("locked: no key was pressed for 5s"));
        assert!(began.elapsed() >= Duration::from_millis(4_900), "{:?}", began.elapsed());
        assert!(!c.contents().contains("pay-01") && !c.contents().contains(&port.to_string()), "{}", c.contents());
        b.wait_audit("write mode is over", |e| {
            e["event"] == "operator.console" && e["stage"] == "read-only" && e["actor"]["name"] == *who
        });
        // Nothing is written while it stands, whatever goes on.
        while !c.bytes_within(Duration::from_millis(300)).is_empty() {}
        assert_eq!(crate::common::services::hear(port), "here");
        let bytes = c.bytes_within(Duration::from_secs(2));
        assert!(bytes.is_empty(), "{:?}", String::from_utf8_lossy(&bytes));
        // The key that wakes it does nothing else, nor does what came with it.
        c.keys("q");
        c.until_line(&["up", &port.to_string(), "pay-01"]);
        c.until_text("RO");
        c.keys("q");
        assert_eq!(c.wait_exit(), 0);
    }
}

#[test]
fn a_console_that_nobody_touches_is_closed_and_its_forwards_go_on() {
    let account = nix::unistd::User::from_uid(nix::unistd::geteuid()).unwrap().unwrap().name;
    let b = bastion().start();
    let port = b.port("pay", 0);
    let _host = b.ssh("pay-01").forward(port, echo()).start().wait_forward();
    let (mut far, mut near) = (console(&b, "alice"), local(&b));
    let mut busy = console(&b, "bob");
    for c in [&mut far, &mut near, &mut busy] {
        c.until_text("● live");
    }
    // Of the same session as a console, and of one without.
    let free = b.port_outside("pay");
    let _forward = b.ssh("alice").args(&["-N", "-L", &format!("127.0.0.1:{free}:localhost:{port}")]).start();
    let mut visit = connect(free);
    let mut hello = |word: &str| {
        visit.write_all(word.as_bytes()).unwrap();
        let mut back = vec![0; word.len()];
        visit.read_exact(&mut back).unwrap();
        assert_eq!(back, word.as_bytes());
    };
    hello("before");
    // In force by a reload, also for those that are open.
    busy.keys("j");
    b.rewrite(|t| t.replacen("[ssh]", "[control]\nidle_logout = \"6s\"\n\n[ssh]", 1));
    assert!(b.cli(&["reload"]).status.success());
    let began = Instant::now();
    // Somebody who types stays.
    let mut gone = false;
    eventually("both idle ones are closed", SOON, || {
        busy.keys("j");
        gone = b.audit().iter().filter(|e| e["event"] == "operator.console" && e["stage"] == "idle").count() == 2;
        gone
    });
    assert!(began.elapsed() < SOON);
    assert_eq!(far.wait_exit(), 1);
    assert!(far.contents().contains("no key was pressed for 6s"), "{}", far.contents());
    assert_eq!(near.wait_exit(), 1);
    assert!(near.is_restored());
    assert!(near.contents().contains("no key was pressed for 6s"), "{}", near.contents());
    for who in ["alice", account.as_str()] {
        let e = b.wait_audit(who, |e| e["stage"] == "idle" && e["actor"]["name"] == *who);
        assert_eq!((&e["outcome"], &e["reason"]), (&"success".into(), &"no key was pressed for 6s".into()));
    }
    hello("after");
    busy.keys("6");
    busy.until_text("bob");
    busy.keys("q");
    assert_eq!(busy.wait_exit(), 0);
}

#[test]
fn a_local_console_whose_keys_are_pressed_stays() {
    let b = bastion().set("control", "idle_logout = \"5s\"").start();
    let mut c = local(&b);
    c.until_text("● live");
    let began = Instant::now();
    // Longer than the limit, with a key now and then.
    eventually("twice the limit has passed", SOON, || {
        c.keys("2");
        c.bytes_within(Duration::from_millis(800));
        began.elapsed() > Duration::from_secs(11)
    });
    assert!(!b.audit().iter().any(|e| e["stage"] == "idle"));
    c.until("still there", |s| s.contents().contains("live"));
    c.keys("q");
    assert_eq!(c.wait_exit(), 0);
}
