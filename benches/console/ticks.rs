//! Visitors that each send a byte a second.

use super::{Res, at};
use std::io::Write;
use std::net::{Ipv4Addr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// See the module. They leave when this is dropped.
pub struct Ticks {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Ticks {
    /// One visitor at each of these ports; their bytes are spread over the second.
    pub fn start(ports: &[u16]) -> Res<Self> {
        let visit = |port: &u16| TcpStream::connect((Ipv4Addr::LOCALHOST, *port)).map_err(at("a visitor"));
        let mut visitors = ports.iter().map(visit).collect::<Res<Vec<_>>>()?;
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            let gap = Duration::from_secs(1) / u32::try_from(visitors.len().max(1)).unwrap_or(1);
            let mut due = Instant::now();
            while !stopped.load(Ordering::Relaxed) {
                for v in &mut visitors {
                    // One that was cut ticks no more.
                    let _ = v.write_all(b".");
                    due += gap;
                    std::thread::sleep(due.saturating_duration_since(Instant::now()));
                }
            }
        });
        Ok(Self { stop, thread: Some(thread) })
    }
}

impl Drop for Ticks {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(t) = self.thread.take() {
            let _ = t.join();
        }
    }
}
