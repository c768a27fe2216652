//! Clients that die, fall silent, come back, or want what another has.

use crate::common::bastion::{Bastion, Builder};
use crate::common::ports::is_free;
use crate::common::services::{echo, hear, says, source, visit};
use crate::common::{SOON, eventually, stream};
use serde_json::Value;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::mpsc;
use std::time::{Duration, Instant};

fn two_hosts() -> Builder {
    Bastion::builder().team("pay", 8).host("pay-01", "pay").host("pay-02", "pay")
}

fn port_freed(b: &Bastion, port: u16) -> Value {
    b.wait_audit(&format!("end of the forward of {port}"), |e| e["event"] == "forward.end" && e["port"] == port)
}

#[test]
fn a_killed_client_frees_its_port_within_a_second() {
    let b = two_hosts().start();
    let port = b.port("pay", 0);
    let mut ssh = b.ssh("pay-01").forward(port, says("here")).start().wait_forward();
    let mut visitor = visit(port);
    let mut said = String::new();
    visitor.read_to_string(&mut said).unwrap();
    assert!(!is_free(port));

    let killed = Instant::now();
    ssh.kill9();
    eventually("the port is free", SOON, || is_free(port));
    let took = killed.elapsed();
    assert!(took < Duration::from_secs(1), "{took:?}");
    let end = port_freed(&b, port);
    assert!(["client-disconnect", "peer-reset"].contains(&end["obituary"]["cause"].as_str().unwrap()), "{end}");
    b.wait_tunnel(port, "is down", |t| t["state"] == "down");

    // And the host has it again at once.
    let _again = b.ssh("pay-01").forward(port, says("back")).start().wait_forward();
    assert_eq!(hear(port), "back");
}

/// What they have got so far is not all there was, and they must not believe it.
#[test]
fn visitors_of_a_killed_client_are_reset() {
    let b = two_hosts().start();
    let port = b.port("pay", 0);
    let mut ssh = b.ssh("pay-01").forward(port, source(1, 1 << 40)).start().wait_forward();
    let mut conn = visit(port);
    conn.read_exact(&mut [0; 65_536]).unwrap();
    ssh.kill9();
    assert_eq!(stream::read(&mut conn).map_err(|e| e.kind()), Err(std::io::ErrorKind::ConnectionReset));
    let close = b.wait_event("visitor.close", "pay-01");
    assert_ne!(close["reason"], Value::Null, "{close}");
}

#[test]
fn a_client_that_says_goodbye_frees_its_port() {
    let b = two_hosts().start();
    let port = b.port("pay", 0);
    let mut ssh = b.ssh("pay-01").forward(port, says("here")).start().wait_forward();
    ssh.term();
    ssh.wait_exit();
    let end = port_freed(&b, port);
    assert_eq!(end["obituary"]["cause"], "client-disconnect", "{end}");
    let session = b.wait_event("session.end", "pay-01");
    assert_eq!((&session["session"], &session["obituary"]["cause"]), (&end["session"], &"client-disconnect".into()));
}

/// Interval × count + 5 s, with 1 s × 3.
const SILENCE: Duration = Duration::from_secs(3 + 5);

fn impatient() -> Builder {
    two_hosts().set("ssh", "keepalive_interval = \"1s\"\nkeepalive_count = 3")
}

#[test]
fn a_stopped_client_is_noticed_by_keepalive() {
    let b = impatient().start();
    let port = b.port("pay", 0);
    let ssh = b.ssh("pay-01").forward(port, says("here")).start().wait_forward();
    let stopped = Instant::now();
    ssh.stop();
    eventually("the port is free", 2 * SILENCE, || is_free(port));
    let took = stopped.elapsed();
    assert!(took < SILENCE, "{took:?}");
    // Not before its time either: three unanswered signs of life, not one.
    assert!(took > Duration::from_secs(2), "{took:?}");
    assert_eq!(port_freed(&b, port)["obituary"]["cause"], "keepalive-timeout");
}

#[test]
fn a_client_that_only_pauses_keeps_its_port() {
    let b = impatient().start();
    let port = b.port("pay", 0);
    let ssh = b.ssh("pay-01").forward(port, says("here")).start().wait_forward();
    let other = b.ssh("pay-02").forward(b.port("pay", 1), says("there")).start().wait_forward();
    // The other one's end marks the time: stopped two and a half seconds later, this one is still within its own.
    other.stop();
    let stopped = Instant::now();
    eventually("half of the time is over", SOON, || stopped.elapsed() > Duration::from_millis(2500));
    ssh.stop();
    port_freed(&b, b.port("pay", 1));
    ssh.cont();
    assert_eq!(hear(port), "here");
    assert_eq!(b.tunnel(port).unwrap()["state"], "up");
}

/// The worst moment: its TCP windows are full, so that even the keepalive cannot be sent.
#[test]
fn a_client_stopped_in_the_middle_of_busy_transfers_is_noticed_too() {
    let b = impatient().start();
    let port = b.port("pay", 0);
    let service = echo();
    let ssh = b.ssh("pay-01").forward(port, service).start().wait_forward();
    let (busy, is_busy) = mpsc::channel();
    let visitors: Vec<_> = (0..8)
        .map(|seed| {
            let mut reader = visit(port);
            let mut writer = reader.try_clone().unwrap();
            let writing = std::thread::spawn(move || stream::write(&mut writer, seed, 1 << 40));
            let busy = busy.clone();
            std::thread::spawn(move || {
                reader.read_exact(&mut [0; 65_536]).unwrap();
                busy.send(()).unwrap();
                let read = stream::read(&mut reader);
                // The kernel tells of a reset once: whichever of the two comes first.
                (read.is_err(), writing.join().unwrap().is_err())
            })
        })
        .collect();
    for _ in 0..8 {
        is_busy.recv_timeout(SOON).unwrap();
    }
    let stopped = Instant::now();
    ssh.stop();
    eventually("the port is free", 3 * SILENCE, || is_free(port));
    let took = stopped.elapsed();
    for v in visitors {
        assert_ne!(v.join().unwrap(), (false, false), "a visitor that is cut must know");
    }
    assert!(took < SILENCE, "{took:?}");
    assert_eq!(port_freed(&b, port)["obituary"]["cause"], "keepalive-timeout");
}

#[test]
fn a_client_stopped_while_visitors_download_is_noticed_too() {
    let b = impatient().start();
    let port = b.port("pay", 0);
    let ssh = b.ssh("pay-01").forward(port, source(1, 1 << 40)).start().wait_forward();
    let (busy, is_busy) = mpsc::channel();
    let visitors: Vec<_> = (0..8)
        .map(|_| {
            let busy = busy.clone();
            std::thread::spawn(move || {
                let mut conn = visit(port);
                conn.read_exact(&mut vec![0; 1 << 20]).unwrap();
                busy.send(()).unwrap();
                stream::read(&mut conn)
            })
        })
        .collect();
    for _ in 0..8 {
        is_busy.recv_timeout(SOON).unwrap();
    }
    let stopped = Instant::now();
    ssh.stop();
    eventually("the port is free", 3 * SILENCE, || is_free(port));
    let took = stopped.elapsed();
    for v in visitors {
        assert!(v.join().unwrap().is_err(), "a visitor that is cut must not take it for the end of the stream");
    }
    assert!(took < SILENCE, "{took:?}");
}

/// With keepalive as it is by default (15 s × 3), so that only the takeover can be what frees the port.
#[test]
fn the_same_host_takes_its_port_over_from_a_stopped_client() {
    let b = two_hosts().start();
    let port = b.port("pay", 0);
    let old = b.ssh("pay-01").forward(port, says("old")).start().wait_forward();
    let before = b.tunnel(port).unwrap()["session"].clone();
    old.stop();
    let began = Instant::now();
    let _new = b.ssh("pay-01").forward(port, says("new")).start().wait_forward();
    let took = began.elapsed();
    assert_eq!(hear(port), "new");
    assert!(took < Duration::from_secs(5), "{took:?}");
    let end = port_freed(&b, port);
    assert_eq!((&end["obituary"]["cause"], &end["session"]), (&"takeover".into(), &before));
    // The old one's late end must not take the new one's tunnel away.
    b.wait_audit("end of the old session", |e| e["event"] == "session.end" && e["session"] == before);
    assert_eq!(hear(port), "new");
    assert_ne!(b.tunnel(port).unwrap()["session"], before);
}

/// Visitors of an echo that send without end, so that the session is full both ways.
fn busy_visitors(port: u16) -> Vec<TcpStream> {
    let one = |seed| {
        let mut reader = visit(port);
        let (mut writer, mut rest) = (reader.try_clone().unwrap(), reader.try_clone().unwrap());
        writer.write_all(&[0; 1024]).unwrap();
        reader.read_exact(&mut [0; 1024]).unwrap();
        // These end when they are cut.
        std::thread::spawn(move || stream::write(&mut writer, seed, 1 << 40));
        std::thread::spawn(move || stream::read(&mut rest));
        reader
    };
    (0..4).map(one).collect()
}

/// The old session is stuck in every way: its window is full and so are its client's buffers.
#[test]
fn a_port_is_taken_over_from_a_client_stopped_while_visitors_download() {
    let b = two_hosts().start();
    let port = b.port("pay", 0);
    let old = b.ssh("pay-01").forward(port, echo()).start().wait_forward();
    let visitors = busy_visitors(port);
    old.stop();
    let began = Instant::now();
    let _new = b.ssh("pay-01").forward(port, says("new")).start().wait_forward();
    let took = began.elapsed();
    assert_eq!(hear(port), "new");
    assert!(took < Duration::from_secs(5), "{took:?}");
    assert_eq!(port_freed(&b, port)["obituary"]["cause"], "takeover");
    drop(visitors);
}

#[test]
fn a_sticky_port_is_taken_over_too() {
    let b = two_hosts().start();
    let any = |line| b.ssh("pay-01").args(&["-R", &format!("0:{}", says(line))]).start();
    let old = any("old");
    let port = old.allocated();
    old.stop();
    let new = any("new");
    assert_eq!(new.allocated(), port);
    assert_eq!(hear(port), "new");
}

#[test]
fn a_client_that_answers_keeps_its_port_from_another_of_the_same_host() {
    let b = two_hosts().start();
    let port = b.port("pay", 0);
    let mut first = b.ssh("pay-01").forward(port, says("first")).start().wait_forward();
    let holder = b.tunnel(port).unwrap()["session"].as_str().unwrap().to_owned();
    let mut second = b.ssh("pay-01").forward(port, says("second")).start();
    assert_eq!(second.wait_exit().code(), Some(255));
    let rule = format!("port {port} is held by this host's own session {holder}");
    b.wait_refusal("forward.refused", &rule);
    b.wait_refusal("forward.refused", "which still answers");
    assert!(second.log.contains(&rule), "{}", second.log.text());
    assert!(first.is_running());
    assert_eq!(hear(port), "first");
}

#[test]
fn a_busy_client_keeps_its_port_from_another_of_the_same_host() {
    let b = two_hosts().start();
    let port = b.port("pay", 0);
    let _first = b.ssh("pay-01").forward(port, echo()).start().wait_forward();
    let visitors = busy_visitors(port);
    let mut second = b.ssh("pay-01").forward(port, says("second")).start();
    assert_eq!(second.wait_exit().code(), Some(255));
    b.wait_refusal("forward.refused", "which still answers");
    let row = b.tunnel(port).unwrap();
    assert_eq!((&row["state"], &row["visitors_now"]), (&"up".into(), &visitors.len().into()));
}

#[test]
fn a_client_that_answers_keeps_its_sticky_port_too() {
    let b = two_hosts().start();
    let any = |line| b.ssh("pay-01").args(&["-R", &format!("0:{}", says(line))]).start();
    let first = any("first");
    let port = first.allocated();
    let mut second = any("second");
    assert_eq!(second.wait_exit().code(), Some(255));
    b.wait_refusal("forward.refused", &format!("port {port} is held by this host's own session"));
    assert_eq!(hear(port), "first");
}

#[test]
fn another_host_does_not_take_a_stopped_clients_port() {
    let b = two_hosts().start();
    let port = b.port("pay", 0);
    let first = b.ssh("pay-01").forward(port, says("first")).start().wait_forward();
    first.stop();
    let mut other = b.ssh("pay-02").forward(port, says("other")).start();
    assert_eq!(other.wait_exit().code(), Some(255));
    b.wait_refusal("forward.refused", "is held by host pay-01 of team pay");
    assert!(other.log.contains("is held by host pay-01 of team pay"), "{}", other.log.text());
    first.cont();
    assert_eq!(hear(port), "first");
}

/// Its ssh dies, then the daemon dies; each time it is back on its port without help.
#[test]
fn a_client_under_autossh_comes_back_by_itself() {
    let mut b = two_hosts().start();
    let port = b.port("pay", 0);
    let supervisor = b.autossh("pay-01").forward(port, says("here")).start().wait_forward();
    let first = b.tunnel(port).unwrap()["session"].clone();

    let ssh = supervisor.children();
    assert_eq!(ssh.len(), 1, "{ssh:?}");
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(ssh[0]), nix::sys::signal::Signal::SIGKILL).unwrap();
    b.wait_tunnel(port, "is back", |t| t["state"] == "up" && t["session"] != first);
    assert_eq!(hear(port), "here");

    b.kill9();
    b.start();
    b.wait_tunnel(port, "is back after the daemon's death", |t| t["state"] == "up");
    assert_eq!(hear(port), "here");
    assert!(b.cli(&["audit", "verify"]).status.success());
}
