//! Attacks of people who have no key.

use super::common::Res;
use super::wire::{Identity, Wire, connect, kexinit};
use super::world::{Told, World, stranger};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Attackers with keys at a time.
const AT_ONCE: usize = 32;

pub type Attack = fn(&World, Duration) -> Res<Told>;

pub const ATTACKS: &[(&str, Attack)] = &[
    ("slow loris: a byte of the version string a second", slow_loris),
    ("half open: version and key exchange begun, then silence", half_open),
    ("connection flood of one address", flood_of_one),
    ("connection flood of 60,000 addresses", flood_of_many),
    ("giant banner: 1 MiB without a line end", giant_banner),
    ("malformed packets: lengths, padding, rubbish", malformed),
    ("authentication flood of one address", auth_flood_of_one),
    ("authentication flood of many addresses", auth_flood_of_many),
    ("authentication flood out of a known site", auth_flood_of_site),
];

/// Whether the server lets us begin.
fn let_in(mut stream: &TcpStream) -> bool {
    let mut first = [0; 8];
    stream.read_exact(&mut first).is_ok() && &first == b"SSH-2.0-"
}

fn slow_loris(w: &World, time: Duration) -> Res<Told> {
    let (mut tried, mut held) = (0, Vec::new());
    let until = Instant::now() + time;
    let mut most = 0;
    while Instant::now() < until {
        for _ in 0..500 {
            tried += 1;
            let Ok(s) = connect(w.address(), Some(stranger(tried))) else { continue };
            if let_in(&s) {
                held.push(s);
            }
        }
        held.retain_mut(|s: &mut TcpStream| s.write_all(b"S").is_ok());
        most = most.max(held.len());
        std::thread::sleep(Duration::from_millis(500));
    }
    Ok(Told { tried, what: format!("{most} places taken at most, the rest refused at the accept") })
}

fn half_open(w: &World, time: Duration) -> Res<Told> {
    let (mut tried, mut held) = (0, Vec::new());
    let until = Instant::now() + time;
    while Instant::now() < until {
        tried += 1;
        let Ok(mut wire) = Wire::open(w.address(), Some(stranger(tried))) else { continue };
        if wire.send(&kexinit().0).is_ok() {
            held.push(wire);
        }
    }
    Ok(Told { tried, what: format!("{} places taken, the rest refused at the accept", held.len()) })
}

fn flood(w: &World, time: Duration, of: impl Fn(u64) -> u64) -> Told {
    let (mut tried, mut refused, mut lost) = (0, 0, 0);
    let until = Instant::now() + time;
    while Instant::now() < until {
        tried += 1;
        match connect(w.address(), Some(stranger(of(tried)))) {
            Ok(s) if let_in(&s) => {}
            Ok(_) => refused += 1,
            Err(_) => lost += 1,
        }
    }
    Told { tried, what: format!("{refused} refused at the accept, {lost} not connected") }
}

fn flood_of_one(w: &World, time: Duration) -> Res<Told> {
    Ok(flood(w, time, |_| 1))
}

fn flood_of_many(w: &World, time: Duration) -> Res<Told> {
    Ok(flood(w, time, |n| n))
}

fn giant_banner(w: &World, time: Duration) -> Res<Told> {
    let (mut tried, mut taken) = (0, 0_u64);
    let until = Instant::now() + time;
    let line = vec![b'A'; 1 << 20];
    while Instant::now() < until {
        tried += 1;
        let Ok(mut s) = connect(w.address(), Some(stranger(tried))) else { continue };
        for piece in line.chunks(16_384) {
            match s.write(piece) {
                Ok(n) if n > 0 => taken += n as u64,
                _ => break,
            }
        }
    }
    Ok(Told {
        tried,
        what: format!("cut after 255 characters; {} KiB each got into the network", taken / 1024 / tried.max(1)),
    })
}

fn malformed(w: &World, time: Duration) -> Res<Told> {
    let packets: [&[u8]; 8] = [
        b"\xff\xff\xff\xff\xff\xff\xff\xff",
        b"\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0",
        b"\0\0\0\x0c\xff\x14\0\0\0\0\0\0\0\0\0\0",
        b"\0\0\0\x01\0\0\0\0\0\0\0\0\0\0\0\0",
        b"\0\0\x80\0\x04",
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        b"\0\0\0\x0c\x0a\x15\0\0\0\0\0\0\0\0\0\0",
        b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03",
    ];
    let (mut tried, mut open) = (0, 0);
    let until = Instant::now() + time;
    while Instant::now() < until {
        tried += 1;
        let Ok(mut wire) = Wire::open(w.address(), Some(stranger(tried))) else { continue };
        let packet = packets[(tried % 8) as usize];
        if wire.stream.write_all(packet).is_err() {
            continue;
        }
        // A length that promises more is waited for, until the grace time ends it.
        if tried % 8 != 4 && !wire.wait_closed(Duration::from_secs(2)) {
            open += 1;
        }
    }
    Ok(Told { tried, what: format!("closed at once; {open} waited for more until the grace time") })
}

fn try_key(w: &World, from: std::net::IpAddr, key: &Identity) -> Option<bool> {
    let mut wire = Wire::open(w.address(), Some(from)).ok()?;
    wire.exchange(&mut |_| {}).ok()?;
    wire.sign_in("root", key, &mut |_| {}).ok()
}

fn auth(w: &World, time: Duration, of: impl Fn(u64) -> std::net::IpAddr + Sync) -> Res<Told> {
    let path = w.ours.dir().join("nobody");
    super::common::make_key(&path)?;
    let key = Identity::read(&path);
    // Each attempt waits for the server a little, so there are many at a time.
    let (tried, reached, in_vain) = (AtomicU64::new(0), AtomicU64::new(0), AtomicU64::new(0));
    let until = Instant::now() + time;
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                while Instant::now() < until {
                    let n = tried.fetch_add(1, Ordering::Relaxed);
                    match try_key(w, of(n), &key) {
                        Some(true) => in_vain.fetch_add(1, Ordering::Relaxed),
                        Some(false) => reached.fetch_add(1, Ordering::Relaxed),
                        None => 0,
                    };
                }
            });
        }
    });
    if in_vain.into_inner() > 0 {
        return Err("an unknown key got in".to_owned());
    }
    let (tried, reached) = (tried.into_inner(), reached.into_inner());
    Ok(Told { tried, what: format!("{reached} reached the sign-in and were refused, the others at the accept") })
}

fn auth_flood_of_one(w: &World, time: Duration) -> Res<Told> {
    auth(w, time, |_| stranger(1))
}

fn auth_flood_of_many(w: &World, time: Duration) -> Res<Told> {
    auth(w, time, stranger)
}

fn auth_flood_of_site(w: &World, time: Duration) -> Res<Told> {
    auth(w, time, |_| super::world::SITE.parse().unwrap())
}
