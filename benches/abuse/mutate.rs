//! Mutated handshakes and messages: no panic, no leak, nothing stuck.

use super::common::measure::{descriptors, rss};
use super::common::{Res, Server};
use super::spoilt::{Rng, message, spoil};
use super::wire::{Identity, Wire, connect};
use super::world::{EVIL, World, stranger};
use std::io::Write;
use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, Instant};

/// One handshake with something spoilt in it: the version, a message, or the bytes on the wire.
fn handshake(w: &World, key: &Identity, n: u64, rng: &mut Rng) {
    // From the site of the attacker's: a stranger would be refused after the fourth, as is told elsewhere.
    let from = if n.is_multiple_of(16) { stranger(n) } else { IpAddr::V4(Ipv4Addr::new(127, 0, 0, 3)) };
    let Ok(stream) = connect(w.address(), Some(from)) else { return };
    let _ = stream.set_read_timeout(Some(Duration::from_millis(300)));
    let mut ident = b"SSH-2.0-wire".to_vec();
    let which = rng.below(8);
    if which == 0 {
        spoil(&mut ident, rng);
    }
    let Ok(mut wire) = Wire::over(stream, &ident) else { return };
    if which == 1 {
        let mut raw = wire.frame(&super::wire::kexinit().0);
        spoil(&mut raw, rng);
        let _ = wire.stream.write_all(&raw);
        wire.wait_closed(Duration::from_millis(5));
        return;
    }
    // Messages of the key exchange and the sign-in, by number; one of them is spoilt.
    let target = rng.below(5);
    let mut seen = 0;
    let mut change = |m: &mut Vec<u8>| {
        if seen == target {
            spoil(m, rng);
        }
        seen += 1;
    };
    if wire.exchange(&mut change).is_ok() {
        let _ = wire.sign_in("h1", key, &mut change);
    }
}

/// So many spoilt messages over one session, or as many as it stands. Gives how many.
fn messages(w: &World, host: usize, rng: &mut Rng, most: u64) -> u64 {
    let Ok(mut wire) = w.session(host) else { return 0 };
    let Ok(mut reader) = wire.stream.try_clone() else { return 0 };
    std::thread::spawn(move || std::io::copy(&mut reader, &mut std::io::sink()));
    let _ = wire.stream.set_write_timeout(Some(Duration::from_secs(2)));
    for n in 0..most {
        let mut m = message(rng, w.ours.port(host, 0));
        // Most are well formed but for their numbers, so that sessions live long enough to have a state.
        if rng.below(4) == 0 {
            spoil(&mut m, rng);
        }
        if wire.send(&m).is_err() {
            return n + 1;
        }
    }
    most
}

pub fn run(n: u64, seed: u64) -> Res<()> {
    let world = World::start()?;
    let key = world.identity(EVIL);
    // What is allocated once is no leak.
    let mut rng = Rng::new(seed ^ 0xabcd);
    let mut warm = 0;
    while warm < n.min(4_000) / 4 {
        handshake(&world, &key, warm, &mut rng);
        warm += 1 + messages(&world, EVIL, &mut rng, 30);
    }
    world.settle()?;
    let pid = world.ours.pid();
    let before = (rss(pid).unwrap_or(0) >> 10, descriptors(pid));
    let began = Instant::now();
    let threads: Vec<_> = (0..4_u64)
        .map(|t| {
            let (world, key) = (&world, &key);
            (t, world, key)
        })
        .collect();
    let counts: Vec<(u64, u64)> = std::thread::scope(|scope| {
        let handles: Vec<_> = threads
            .into_iter()
            .map(|(t, world, key)| {
                scope.spawn(move || {
                    let mut rng = Rng::new(seed * 1_000 + t);
                    let (mut shakes, mut sent) = (0, 0);
                    while shakes + sent < n / 4 {
                        // Two fifths handshakes.
                        if shakes * 3 <= sent * 2 {
                            handshake(world, key, shakes, &mut rng);
                            shakes += 1;
                        } else {
                            let host = EVIL + rng.below(3);
                            sent += messages(world, host, &mut rng, 200).max(1);
                        }
                    }
                    (shakes, sent)
                })
            })
            .collect();
        handles.into_iter().map(|h| h.join().unwrap_or_default()).collect()
    });
    let (shakes, sent) = counts.iter().fold((0, 0), |a, b| (a.0 + b.0, a.1 + b.1));
    let took = began.elapsed().as_secs_f64();
    let gone = world.settle();
    // The memory of the sessions is given back when it has been calm for a while.
    std::thread::sleep(Duration::from_secs(if n > 20_000 { 25 } else { 2 }));
    let after = (rss(pid).unwrap_or(0) >> 10, descriptors(pid));
    println!(
        "{shakes} mutated handshakes and {sent} messages after the sign-in in {took:.0} s (seed {seed}): resident {} KiB \
         before, {} KiB after; descriptors {} before, {} after; panics: {}; stuck: {}",
        before.0,
        after.0,
        before.1,
        after.1,
        if world.panicked() { "YES" } else { "none" },
        if gone.is_ok() { "none" } else { "YES" }
    );
    world.login()?;
    println!("in the audit: {}", world.audit());
    gone?;
    if world.panicked() {
        return Err("the daemon has panicked; its log is above".to_owned());
    }
    if after.1 > before.1 + 2 {
        return Err(format!("{} descriptors are left over", after.1 - before.1));
    }
    // A fifth more is what fragmentation makes of it.
    if after.0 > before.0 + before.0 / 5 + 16_384 {
        return Err(format!("{} KiB are left over", after.0 - before.0));
    }
    Ok(())
}
