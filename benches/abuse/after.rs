//! Attacks of a host that has a key: taken over, or gone mad.

use super::before::Attack;
use super::common::{Res, Server, at};
use super::wire::{Msg, Wire, msg};
use super::world::{EVIL, Told, World};
use std::io::{ErrorKind, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::time::{Duration, Instant};

pub const ATTACKS: &[(&str, Attack)] = &[
    ("channel-open flood", channels),
    ("channel requests on refused channels", requests),
    ("`tcpip-forward` flood", forwards),
    ("global-request flood, answers never read", globals),
    ("rekey flood", rekeys),
    ("window abuse: overflow, zero, data beyond it", windows),
    ("tiny packet flood", tiny),
    ("goodbye, and then bytes for ever", zombie),
];

/// Sends what `make` makes until the time is over, over sessions that are begun anew when they are ended.
fn storm(w: &World, time: Duration, make: impl Fn(u64) -> Vec<u8>, read: bool) -> Res<Told> {
    let until = Instant::now() + time;
    let (mut tried, mut sessions, mut stuck, mut shut) = (0, 0_u64, 0_u64, 0_u64);
    while Instant::now() < until {
        let mut wire = match w.session(EVIL) {
            Ok(wire) => wire,
            Err(_) => {
                shut += 1;
                std::thread::sleep(Duration::from_millis(50));
                continue;
            }
        };
        sessions += 1;
        if read {
            let mut reader = wire.stream.try_clone().map_err(at("clone"))?;
            std::thread::spawn(move || std::io::copy(&mut reader, &mut std::io::sink()));
        }
        let _ = wire.stream.set_write_timeout(Some(Duration::from_secs(1)));
        while Instant::now() < until {
            let mut batch = Vec::new();
            for _ in 0..64 {
                tried += 1;
                let m = make(tried);
                batch.extend(wire.frame(&m));
            }
            match wire.stream.write_all(&batch) {
                Ok(()) => {}
                Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                    // The server does not read: it holds the sender back. A part of a packet is out, so this is the end.
                    stuck += 1;
                    std::thread::sleep(until.saturating_duration_since(Instant::now()).min(Duration::from_secs(5)));
                    break;
                }
                Err(_) => break,
            }
        }
    }
    let mut what = format!("{sessions} sessions");
    if stuck > 0 {
        what.push_str(&format!(", {stuck} held back by TCP"));
    }
    if shut > 0 {
        what.push_str(&format!(", {shut} times not let in"));
    }
    Ok(Told { tried, what })
}

fn channels(w: &World, time: Duration) -> Res<Told> {
    let make = |n: u64| {
        let open = |kind: &str| Msg::new(msg::CHANNEL_OPEN).string(kind).u32(n as u32).u32(1 << 20).u32(32_768);
        match n % 4 {
            0 | 1 => open("session").0,
            2 => open("direct-tcpip").string("127.0.0.1").u32(22).string("127.0.0.1").u32(1).0,
            _ => open("forwarded-tcpip").string("127.0.0.1").u32(22).string("127.0.0.1").u32(1).0,
        }
    };
    storm(w, time, make, true)
}

fn requests(w: &World, time: Duration) -> Res<Told> {
    let make = |n: u64| {
        if n % 8 == 1 {
            return Msg::new(msg::CHANNEL_OPEN).string("session").u32(n as u32).u32(1 << 20).u32(32_768).0;
        }
        let kind = ["exec", "shell", "pty-req", "subsystem", "env", "auth-agent-req@openssh.com"][(n % 6) as usize];
        let m = Msg::new(msg::CHANNEL_REQUEST).u32((n / 8 % 8 + 2) as u32).string(kind).byte(1);
        match kind {
            "exec" | "subsystem" => m.string("id").0,
            "env" => m.string("LANG").string("C").0,
            "pty-req" => m.string("xterm").u32(80).u32(24).u32(0).u32(0).string("").0,
            _ => m.0,
        }
    };
    storm(w, time, make, true)
}

fn forwards(w: &World, time: Duration) -> Res<Told> {
    let port = w.ours.port(EVIL, 0);
    let make = move |n: u64| {
        let asked = if n.is_multiple_of(4) { u32::from(port) } else { (n % 70_000) as u32 };
        let kind = if n % 4 == 1 { "cancel-tcpip-forward" } else { "tcpip-forward" };
        Msg::new(msg::GLOBAL_REQUEST).string(kind).byte(1).string("localhost").u32(asked).0
    };
    storm(w, time, make, true)
}

fn globals(w: &World, time: Duration) -> Res<Told> {
    let make = |n: u64| Msg::new(msg::GLOBAL_REQUEST).string(format!("flood-{}@x", n % 100)).byte(1).0;
    storm(w, time, make, false)
}

fn tiny(w: &World, time: Duration) -> Res<Told> {
    storm(w, time, |_| Msg::new(msg::IGNORE).string("x").0, true)
}

fn rekeys(w: &World, time: Duration) -> Res<Told> {
    let until = Instant::now() + time;
    let (mut tried, mut sessions, mut shut) = (0, 0_u64, 0_u64);
    while Instant::now() < until {
        let Ok(mut wire) = w.session(EVIL) else {
            shut += 1;
            std::thread::sleep(Duration::from_millis(50));
            continue;
        };
        sessions += 1;
        while Instant::now() < until {
            tried += 1;
            if wire.exchange(&mut |_| {}).is_err() {
                break;
            }
        }
    }
    Ok(Told { tried, what: format!("{sessions} sessions, {shut} times not let in") })
}

/// A host opens its forward, visitors come, and it does with their channels what no host should.
fn windows(w: &World, time: Duration) -> Res<Told> {
    let until = Instant::now() + time;
    let port = w.ours.port(EVIL, 0);
    let (mut tried, mut ends) = (0, [0_u64; 4]);
    while Instant::now() < until {
        let Ok(mut wire) = w.session(EVIL) else {
            std::thread::sleep(Duration::from_millis(50));
            continue;
        };
        if !wire.forward(port).map_err(at("forward"))? {
            // An older session of ours is being closed.
            std::thread::sleep(Duration::from_millis(50));
            continue;
        }
        let way = (tried % 4) as usize;
        tried += 1;
        let mut visitor = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).map_err(at("visit"))?;
        let ended = abuse_window(&mut wire, &mut visitor, way, until);
        ends[way] += u64::from(ended);
    }
    let what = format!(
        "windows of 2^32-1 raised further: {} sessions ended; zero window and packet: {}; data beyond the window: {}; \
         adjustments of channels that are not there: {}",
        ends[0], ends[1], ends[2], ends[3]
    );
    Ok(Told { tried, what })
}

/// Whether the server ended the session for it.
fn abuse_window(wire: &mut Wire, visitor: &mut TcpStream, way: usize, until: Instant) -> bool {
    let Ok(open) = wire.recv_kind(&[msg::CHANNEL_OPEN]) else { return true };
    let Some((_, rest)) = super::wire::string(&open[1..]) else { return true };
    let id = u32::from_be_bytes(rest[..4].try_into().unwrap());
    let (window, packet) = match way {
        0 => (u32::MAX, 32_768),
        1 => (0, 0),
        _ => (1 << 20, 32_768),
    };
    let confirm = Msg::new(msg::CHANNEL_OPEN_CONFIRMATION).u32(id).u32(5).u32(window).u32(packet).0;
    if wire.send(&confirm).is_err() {
        return true;
    }
    let _ = visitor.write_all(&[0; 100_000]);
    let stop = until.min(Instant::now() + Duration::from_secs(1));
    let data = vec![1; 32_000];
    for n in 0_u32.. {
        if Instant::now() >= stop {
            break;
        }
        let m = match way {
            0 | 1 => Msg::new(msg::CHANNEL_WINDOW_ADJUST).u32(id).u32(if way == 0 { u32::MAX } else { 0 }).0,
            2 => Msg::new(msg::CHANNEL_DATA).u32(id).string(&data).0,
            _ => Msg::new(msg::CHANNEL_WINDOW_ADJUST).u32(1000 + n).u32(1 << 20).0,
        };
        if wire.send(&m).is_err() {
            return true;
        }
        std::thread::yield_now();
    }
    false
}

/// The library waits for the end of the stream once the client has said goodbye; this client goes on sending.
fn zombie(w: &World, time: Duration) -> Res<Told> {
    let until = Instant::now() + time;
    let (mut tried, mut longest) = (0, 0.0_f64);
    while Instant::now() < until {
        let mut wire = w.session(EVIL).map_err(at("sign in"))?;
        tried += 1;
        let port = w.ours.port(EVIL, 0);
        let _ = wire.forward(port);
        let bye = Msg::new(msg::DISCONNECT).u32(11).string("bye").string("").0;
        wire.send(&bye).map_err(at("goodbye"))?;
        let began = Instant::now();
        let give_up = began + Duration::from_secs(60);
        while Instant::now() < give_up && wire.stream.write_all(&[0; 64]).is_ok() {
            std::thread::sleep(Duration::from_millis(20));
        }
        longest = longest.max(began.elapsed().as_secs_f64());
    }
    if longest > 10.0 {
        return Err(format!("a session that had said goodbye stood for {longest:.0} s"));
    }
    Ok(Told { tried, what: format!("closed after {longest:.1} s at the most") })
}
