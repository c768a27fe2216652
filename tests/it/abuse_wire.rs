//! Clients that do what no client does: a hand-made one, after its sign-in and before.

use crate::common::bastion::Bastion;
use crate::common::mutate::{Rng, message, spoil};
use crate::common::services::{echo, visit};
use crate::common::wire::{Identity, Msg, Wire, connect, kexinit, msg};
use crate::common::{SOON, eventually};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

/// An honest host with a tunnel, and a host that is not.
fn bastion() -> (Bastion, u16, crate::common::ssh::Ssh) {
    let b = Bastion::builder()
        .team("pay", 4)
        .host("pay-01", "pay")
        .host("evil", "pay")
        .set("sources", "report_interval = \"1s\"")
        .start();
    let port = b.port("pay", 0);
    let ssh = b.ssh("pay-01").forward(port, echo()).start().wait_forward();
    (b, port, ssh)
}

fn session(b: &Bastion) -> Wire {
    Wire::session(b.address(), None, "evil", &Identity::read(&b.key("evil"))).unwrap()
}

fn carries(port: u16) -> bool {
    let mut conn: TcpStream = visit(port);
    conn.write_all(b"x").is_ok() && conn.read_exact(&mut [0]).is_ok()
}

/// Sends messages until the server ends the session; how many there were.
fn until_ended(wire: &mut Wire, make: impl Fn(u32) -> Vec<u8>) -> u32 {
    let mut reader = wire.stream.try_clone().unwrap();
    std::thread::spawn(move || std::io::copy(&mut reader, &mut std::io::sink()));
    let began = Instant::now();
    for n in 0.. {
        if wire.send(&make(n)).is_err() {
            return n;
        }
        assert!(began.elapsed() < SOON, "{n} messages, and it goes on");
    }
    0
}

#[test]
fn who_says_goodbye_and_goes_on_sending_is_closed_and_its_port_is_free() {
    let (b, port, _ssh) = bastion();
    let mut wire = session(&b);
    assert!(wire.forward(b.port("pay", 1)).unwrap());
    wire.send(&Msg::new(msg::DISCONNECT).u32(11).string("bye").string("").0).unwrap();
    let began = Instant::now();
    while wire.stream.write_all(&[0; 64]).is_ok() {
        assert!(began.elapsed() < SOON, "it still stands");
        std::thread::yield_now();
    }
    b.wait_event("session.end", "evil");
    b.wait_tunnel(b.port("pay", 1), "is down", |t| t["state"] == "down");
    assert!(carries(port));
}

#[test]
fn what_carries_nothing_is_a_flood_and_named() {
    let (b, port, _ssh) = bastion();
    let named = |n: usize| {
        eventually("the session's end is named", SOON, || {
            let flood = |e: &serde_json::Value| {
                let end = e["obituary"].to_string();
                e["event"] == "session.end" && end.contains("protocol-error") && end.contains("a flood")
            };
            b.audit().iter().filter(|e| flood(e)).count() == n
        });
    };
    let n = until_ended(&mut session(&b), |_| Msg::new(msg::IGNORE).string("x").0);
    assert!(n > 10_000, "{n}");
    named(1);
    let request = |n: u32| Msg::new(msg::GLOBAL_REQUEST).string(format!("flood-{n}")).byte(1).0;
    until_ended(&mut session(&b), request);
    named(2);
    let open = |n: u32| Msg::new(msg::CHANNEL_OPEN).string("session").u32(n).u32(1 << 20).u32(32_768).0;
    let opened = until_ended(&mut session(&b), open);
    named(3);
    // Twenty a second; the others are counted.
    let refused = b.audit().iter().filter(|e| e["event"] == "request.refused").count();
    assert!(refused >= 1 && refused < opened as usize / 20, "{refused} of {opened}");
    b.wait_audit("counted", |e| e["event"] == "refusals.counted" && e["of"] == "request.refused");
    assert!(carries(port));
}

#[test]
fn key_exchanges_without_end_are_ended() {
    let (b, port, _ssh) = bastion();
    let mut wire = session(&b);
    let deadline = Instant::now() + 4 * SOON;
    let mut n = 0;
    while wire.exchange(&mut |_| {}).is_ok() {
        n += 1;
        assert!(Instant::now() < deadline, "{n} key exchanges, and it goes on");
    }
    // What an honest client may want stays possible.
    assert!(n > 100, "{n}");
    assert!(b.wait_event("session.end", "evil")["obituary"].to_string().contains("a flood"));
    assert!(carries(port));
}

#[test]
fn thousands_of_spoilt_handshakes_and_messages_leave_nothing_behind() {
    let (b, port, _ssh) = bastion();
    let key = Identity::read(&b.key("evil"));
    let files = || std::fs::read_dir(format!("/proc/{}/fd", b.pid())).unwrap().count();
    assert!(carries(port));
    b.wait_tunnel(port, "is left", |t| t["visitors_now"] == 0);
    let before = files();
    let mut rng = Rng::new(7);
    for _ in 0..300 {
        let stream = connect(b.address(), None).unwrap();
        stream.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
        let mut ident = b"SSH-2.0-wire".to_vec();
        let target = rng.below(7);
        if target == 6 {
            spoil(&mut ident, &mut rng);
        }
        let Ok(mut wire) = Wire::over(stream, &ident) else { continue };
        if target == 5 {
            let mut raw = wire.frame(&kexinit().0);
            spoil(&mut raw, &mut rng);
            let _ = wire.stream.write_all(&raw);
            continue;
        }
        let mut seen = 0;
        let mut change = |m: &mut Vec<u8>| {
            if seen == target {
                spoil(m, &mut rng);
            }
            seen += 1;
        };
        if wire.exchange(&mut change).is_ok() {
            let _ = wire.sign_in("evil", &key, &mut change);
        }
    }
    let mut sent = 0;
    while sent < 3_000 {
        let Ok(mut wire) = Wire::session(b.address(), None, "evil", &key) else { continue };
        let mut reader = wire.stream.try_clone().unwrap();
        std::thread::spawn(move || std::io::copy(&mut reader, &mut std::io::sink()));
        for _ in 0..100 {
            sent += 1;
            let mut m = message(&mut rng, b.port("pay", 1));
            if rng.below(4) == 0 {
                spoil(&mut m, &mut rng);
            }
            if wire.send(&m).is_err() {
                break;
            }
        }
    }
    eventually("all of them have gone", 3 * SOON, || {
        let sessions = b.json(&["sessions"]);
        sessions.as_array().is_some_and(|s| s.len() == 1) && files() <= before + 2
    });
    assert!(!b.log().text().contains("panicked"));
    assert!(carries(port));
}
