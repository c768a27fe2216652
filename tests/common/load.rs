//! Visitors at work: connections that read for ever, and tell when and how they ended.

use super::services::{serve, visit};
use super::{SOON, eventually};
use std::io::{ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

/// A service that sends as fast as it is read, until its visitor leaves.
pub fn endless() -> SocketAddr {
    serve(|mut conn| {
        let block = vec![0x5a; 64 * 1024];
        while conn.write_all(&block).is_ok() {}
    })
}

/// A visitor in the middle of a download.
pub struct Download {
    bytes: Arc<AtomicU64>,
    over: Receiver<Instant>,
}

impl Download {
    /// Connects to a tunnel, and reads from then on.
    #[track_caller]
    pub fn start(port: u16) -> Self {
        let mut conn = visit(port);
        let bytes = Arc::new(AtomicU64::new(0));
        let (tx, over) = channel();
        let counter = Arc::clone(&bytes);
        std::thread::spawn(move || {
            let mut buf = vec![0; 64 * 1024];
            loop {
                match conn.read(&mut buf) {
                    Ok(0) => break,
                    Ok(n) => counter.fetch_add(n as u64, Ordering::Relaxed),
                    // Nothing for a minute is no end: the socket was not cut, and the test has long failed.
                    Err(e) if e.kind() == ErrorKind::WouldBlock => return,
                    Err(_) => break,
                };
            }
            let _ = tx.send(Instant::now());
        });
        Self { bytes, over }
    }

    /// So many at once, each past its first bytes.
    #[track_caller]
    pub fn many(port: u16, n: usize) -> Vec<Self> {
        let all: Vec<_> = (0..n).map(|_| Self::start(port)).collect();
        all.iter().for_each(|d| d.wait_bytes(1));
        all
    }

    /// Bytes read so far.
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Waits until it has read so many.
    #[track_caller]
    pub fn wait_bytes(&self, n: u64) {
        eventually(&format!("a download of {n} bytes"), SOON, || self.bytes() >= n);
    }

    /// Whether it still goes on.
    pub fn is_running(&self) -> bool {
        matches!(self.over.try_recv(), Err(std::sync::mpsc::TryRecvError::Empty))
    }

    /// When its socket was closed or reset, seen from `since`.
    #[track_caller]
    pub fn cut_after(self, since: Instant) -> Duration {
        match self.over.recv_timeout(SOON) {
            Ok(at) => at.saturating_duration_since(since),
            Err(_) => panic!("a visitor was not cut within {SOON:?}"),
        }
    }
}
