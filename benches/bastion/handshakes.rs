//! Whole sign-ins: TCP, key exchange, public key, forward up; eight clients at once.

use crate::common::client::Client;
use crate::common::{Res, Server};
use std::net::SocketAddr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

/// Clients at once.
pub const AT_ONCE: usize = 8;

/// Ports of each host, used in turn: the session of a client just killed may still hold the last one.
pub const PORTS: u16 = 6;

/// The same key exchange for all. Left to themselves this sshd and client would take one (sntrup761) that costs more.
const KEX: &str = "KexAlgorithms=curve25519-sha256";

/// One run: sign-ins a second, over so many.
pub fn run(server: &dyn Server, count: usize) -> Res<f64> {
    let nowhere = SocketAddr::from(([127, 0, 0, 1], 9));
    let (begun, failed, last) = (AtomicUsize::new(0), Mutex::new(None), Mutex::new(None));
    let began = Instant::now();
    std::thread::scope(|scope| {
        for host in 0..AT_ONCE {
            let (begun, failed, last) = (&begun, &failed, &last);
            scope.spawn(move || {
                for n in 0.. {
                    if begun.fetch_add(1, Ordering::Relaxed) >= count {
                        return;
                    }
                    match Client::new(server, host).option(KEX).forward(n % PORTS, nowhere).start() {
                        Ok(client) => {
                            *last.lock().unwrap() = Some(Instant::now());
                            drop(client);
                        }
                        Err(why) => {
                            *failed.lock().unwrap() = Some(why);
                            return;
                        }
                    }
                }
            });
        }
    });
    match (failed.into_inner().unwrap(), last.into_inner().unwrap()) {
        (Some(why), _) => Err(why),
        (None, Some(end)) => Ok(count as f64 / end.duration_since(began).as_secs_f64()),
        (None, None) => Err("no sign-in".to_owned()),
    }
}
