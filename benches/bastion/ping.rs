//! One byte there and back, alone and beside a bulk transfer of the same session.

use crate::bulk::Streams;
use crate::common::Res;
use crate::common::measure::percentile;
use crate::common::service::{Kind, Service, visit};
use crate::peer::{Peer, Way};
use std::io::{Read, Write};
use std::time::{Duration, Instant};

/// Round trips that are not counted.
const WARM: usize = 100;

/// How long to go on.
#[derive(Debug, Clone, Copy)]
pub struct Stint {
    /// Round trips, at most.
    pub count: usize,
    /// Time, at most.
    pub time: Duration,
}

/// Microseconds of one run.
#[derive(Debug, Clone, Copy)]
pub struct Times {
    pub p50: f64,
    pub p99: f64,
    /// Round trips that these are of.
    pub count: usize,
}

/// One run.
pub fn run(peer: &dyn Peer, cipher: &str, beside: Option<Way>, stint: Stint) -> Res<Times> {
    let echo = Service::start(Kind::Echo)?;
    let bulk = Service::start(beside.unwrap_or(Way::Up).service())?;
    // Dropped last first: visitors, then the client.
    let tunnel = peer.tunnel(0, cipher, &[echo.address(), bulk.address()])?;
    let mut streams = Streams::default();
    if let Some(way) = beside {
        streams.start(tunnel.ports[1], way)?;
        std::thread::sleep(Duration::from_millis(300));
    }
    let mut conn = visit(tunnel.ports[0])?;
    let mut byte = [7];
    let mut times = Vec::with_capacity(stint.count);
    let mut until = Instant::now() + stint.time;
    for n in 0..WARM + stint.count {
        let began = Instant::now();
        conn.write_all(&byte).and_then(|()| conn.read_exact(&mut byte)).map_err(|e| format!("round trip {n}: {e}"))?;
        let now = Instant::now();
        if n == WARM {
            until = now + stint.time;
        } else if n > WARM {
            times.push(now.duration_since(began).as_secs_f64() * 1e6);
        }
        if now > until {
            break;
        }
    }
    drop(streams);
    drop(tunnel);
    Ok(Times { p50: percentile(&times, 50.0), p99: percentile(&times, 99.0), count: times.len() })
}
