//! Bulk transfers: megabytes a second, and the server's CPU time for them.

use crate::common::measure::Cpu;
use crate::common::service::{BLOCK, PATIENCE, Service, visit};
use crate::common::{Res, eventually};
use crate::peer::{Peer, Tunnel, Way};
use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// Until the transfer is steady: windows open, buffers grown.
const RAMP: Duration = Duration::from_millis(300);

/// What is transferred.
#[derive(Debug, Clone, Copy)]
pub struct Load {
    /// For `ssh -c`.
    pub cipher: &'static str,
    /// `ssh` processes, each with a tunnel of its own.
    pub clients: usize,
    /// Visitors of each tunnel.
    pub streams: usize,
    /// Which way.
    pub way: Way,
}

/// What one run came to.
#[derive(Debug, Clone, Copy)]
pub struct Speed {
    /// Megabytes (10⁶) a second, all streams together.
    pub mb_s: f64,
    /// CPU seconds of the server for each gigabyte (10⁹ bytes).
    pub cpu_gb: f64,
}

/// One run: everything is started, transfers for `time` between two looks at the counters, and is ended.
pub fn run(peer: &dyn Peer, load: Load, time: Duration) -> Res<Speed> {
    let transfer = Transfer::start(peer, load)?;
    let workers = peer.workers();
    let look = || (Instant::now(), transfer.bytes(), Cpu::now(&workers));
    let (from, bytes_before, cpu_before) = look();
    std::thread::sleep(time);
    let (to, bytes_after, cpu_after) = look();
    let moved = (bytes_after - bytes_before) as f64;
    if moved == 0.0 {
        return Err(format!("no byte in {time:?}"));
    }
    Ok(Speed {
        mb_s: moved / to.duration_since(from).as_secs_f64() / 1e6,
        cpu_gb: cpu_after.since(&cpu_before) / (moved / 1e9),
    })
}

/// A transfer that goes on until it is dropped.
pub struct Transfer {
    way: Way,
    // Dropped in this order: the clients, the service, and at last the visitors, which wait for the ends of their threads.
    _tunnels: Vec<Tunnel>,
    service: Service,
    visitors: Streams,
}

impl Transfer {
    /// Starts it and waits until it is steady.
    pub fn start(peer: &dyn Peer, load: Load) -> Res<Self> {
        let service = Service::start(load.way.service())?;
        let tunnels: Vec<_> =
            (0..load.clients).map(|host| peer.tunnel(host, load.cipher, &[service.address()])).collect::<Res<_>>()?;
        let mut visitors = Streams::default();
        for port in tunnels.iter().flat_map(|t| &t.ports) {
            for _ in 0..load.streams {
                visitors.start(*port, load.way)?;
            }
        }
        let me = Self { way: load.way, _tunnels: tunnels, service, visitors };
        eventually("the first bytes of a transfer", PATIENCE, || me.bytes() > 0)?;
        std::thread::sleep(RAMP);
        Ok(me)
    }

    /// Bytes so far, counted where they arrive.
    pub fn bytes(&self) -> u64 {
        if self.way == Way::Up { self.service.bytes() } else { self.visitors.bytes() }
    }
}

/// Visitors that transfer without pause, each on a thread.
#[derive(Default)]
pub struct Streams {
    open: Vec<TcpStream>,
    bytes: Arc<AtomicU64>,
    running: Arc<AtomicUsize>,
}

impl Streams {
    /// One more.
    pub fn start(&mut self, port: u16, way: Way) -> Res<()> {
        let mut conn = visit(port)?;
        self.open.push(conn.try_clone().map_err(|e| e.to_string())?);
        let (bytes, running) = (Arc::clone(&self.bytes), Arc::clone(&self.running));
        running.fetch_add(1, Ordering::Relaxed);
        std::thread::spawn(move || {
            let mut buf = vec![0x5a; BLOCK];
            match way {
                Way::Up => while conn.write_all(&buf).is_ok() {},
                Way::Down => {
                    while let Ok(n) = conn.read(&mut buf)
                        && n > 0
                    {
                        bytes.fetch_add(n as u64, Ordering::Relaxed);
                    }
                }
            }
            running.fetch_sub(1, Ordering::Relaxed);
        });
        Ok(())
    }

    /// Bytes that arrived at visitors.
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }
}

impl Drop for Streams {
    fn drop(&mut self) {
        for conn in &self.open {
            let _ = conn.shutdown(Shutdown::Both);
        }
        // So that they cost the next run nothing.
        let _ = eventually("the end of visitors", PATIENCE, || self.running.load(Ordering::Relaxed) == 0);
    }
}
