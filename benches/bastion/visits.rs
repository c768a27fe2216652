//! New visitors: connect, one byte there and one back, end of file; sixteen at once.

use crate::common::Res;
use crate::common::service::{Kind, Service, visit};
use crate::peer::Peer;
use std::io::{Read, Write};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// Visitors at once.
pub const AT_ONCE: usize = 16;

/// At most so many in a run: each leaves a port in TIME_WAIT, and of those there are 28,000.
const MOST: usize = 8_000;

/// One run: visits a second.
pub fn run(peer: &dyn Peer, cipher: &str, time: Duration) -> Res<f64> {
    let service = Service::start(Kind::Reply)?;
    let tunnel = peer.tunnel(0, cipher, &[service.address()])?;
    let port = tunnel.ports[0];
    // The first visit is the slow one, and proves that it works.
    one(port)?;
    let (begun, done, failed) = (AtomicUsize::new(0), AtomicUsize::new(0), Mutex::new(None));
    let began = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                while began.elapsed() < time && begun.fetch_add(1, Ordering::Relaxed) < MOST {
                    match one(port) {
                        Ok(()) => _ = done.fetch_add(1, Ordering::Relaxed),
                        Err(why) => {
                            *failed.lock().unwrap() = Some(why);
                            return;
                        }
                    }
                }
            });
        }
    });
    let took = began.elapsed().as_secs_f64();
    match failed.into_inner().unwrap() {
        Some(why) => Err(format!("a visit failed: {why}")),
        None => Ok(done.into_inner() as f64 / took),
    }
}

fn one(port: u16) -> Res<()> {
    let mut conn = visit(port)?;
    let mut answer = Vec::new();
    conn.write_all(&[7]).and_then(|()| conn.read_to_end(&mut answer)).map_err(|e| e.to_string())?;
    if answer.len() == 1 { Ok(()) } else { Err(format!("{} bytes instead of one", answer.len())) }
}
