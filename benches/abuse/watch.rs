//! What goes on meanwhile: the daemon's memory and CPU, a stock client that signs in every second, and a transfer.

use super::common::measure::{cpu_seconds, rss};
use super::common::{Res, Server, at};
use super::world::{HONEST, World};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// Bytes a second of the transfer.
const RATE: u64 = 50_000_000;
const STEP: Duration = Duration::from_millis(250);

/// What was seen.
#[derive(Debug, Default, Clone)]
pub struct Seen {
    pub rss_before: f64,
    /// MiB.
    pub rss: f64,
    /// Per cent of a core, in a quarter of a second.
    pub cpu: f64,
    pub logins: u64,
    pub logins_good: u64,
    /// Milliseconds.
    pub slowest: f64,
    /// MB in the worst second.
    pub least: f64,
}

/// A service that sends 50 MB a second to whoever comes.
pub fn paced_source() -> Res<SocketAddr> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(at("service"))?;
    let address = listener.local_addr().map_err(at("service"))?;
    thread::spawn(move || {
        for conn in listener.incoming().flatten() {
            thread::spawn(move || pace(conn));
        }
    });
    Ok(address)
}

fn pace(mut conn: TcpStream) {
    let piece = vec![0x5a; (RATE / 200) as usize];
    let began = Instant::now();
    for n in 1_u64.. {
        if conn.write_all(&piece).is_err() {
            return;
        }
        let due = began + Duration::from_millis(5) * u32::try_from(n).unwrap_or(u32::MAX);
        thread::sleep(due.saturating_duration_since(Instant::now()));
    }
}

pub struct Watch {
    stop: Arc<AtomicBool>,
    seen: Arc<Mutex<Seen>>,
    threads: Vec<JoinHandle<()>>,
}

impl Watch {
    pub fn start(world: &World) -> Res<Self> {
        let (stop, seen) = (Arc::new(AtomicBool::new(false)), Arc::new(Mutex::new(Seen::default())));
        let pid = world.ours.pid();
        let mut transfer =
            TcpStream::connect((Ipv4Addr::LOCALHOST, world.ours.port(HONEST, 0))).map_err(at("visit"))?;
        transfer.set_read_timeout(Some(Duration::from_secs(30))).map_err(at("visit"))?;
        let moved = Arc::new(AtomicU64::new(0));
        let mut threads = Vec::new();
        let (s, m) = (Arc::clone(&stop), Arc::clone(&moved));
        threads.push(thread::spawn(move || {
            let mut buf = vec![0; 1 << 18];
            while !s.load(Ordering::Relaxed) {
                match transfer.read(&mut buf) {
                    Ok(n) if n > 0 => m.fetch_add(n as u64, Ordering::Relaxed),
                    _ => return,
                };
            }
        }));
        // The transfer first finds its pace.
        thread::sleep(Duration::from_secs(1));
        seen.lock().unwrap().rss_before = rss(pid).unwrap_or(0) as f64 / f64::from(1 << 20);
        let (s, out) = (Arc::clone(&stop), Arc::clone(&seen));
        threads.push(thread::spawn(move || sample(pid, &moved, &s, &out)));
        let (s, out) = (Arc::clone(&stop), Arc::clone(&seen));
        // The world outlives the watch, which is stopped before it ends.
        let login = world.login_command();
        threads.push(thread::spawn(move || {
            while !s.load(Ordering::Relaxed) {
                let began = Instant::now();
                let good = login().is_ok();
                let took = began.elapsed();
                let mut seen = out.lock().unwrap();
                seen.logins += 1;
                seen.logins_good += u64::from(good);
                seen.slowest = seen.slowest.max(took.as_secs_f64() * 1000.0);
                drop(seen);
                thread::sleep(Duration::from_secs(1).saturating_sub(took));
            }
        }));
        Ok(Self { stop, seen, threads })
    }

    pub fn stop(self) -> Seen {
        self.stop.store(true, Ordering::Relaxed);
        for t in self.threads {
            let _ = t.join();
        }
        self.seen.lock().unwrap().clone()
    }
}

fn sample(pid: u32, moved: &AtomicU64, stop: &AtomicBool, out: &Mutex<Seen>) {
    let mut last = (Instant::now(), cpu_seconds(pid));
    let mut second = (Instant::now(), moved.load(Ordering::Relaxed));
    let mut least = f64::INFINITY;
    while !stop.load(Ordering::Relaxed) {
        thread::sleep(STEP);
        let now = (Instant::now(), cpu_seconds(pid));
        let cpu = (now.1 - last.1) / (now.0 - last.0).as_secs_f64() * 100.0;
        last = now;
        let mut seen = out.lock().unwrap();
        seen.cpu = seen.cpu.max(cpu);
        seen.rss = seen.rss.max(rss(pid).unwrap_or(0) as f64 / f64::from(1 << 20));
        if second.0.elapsed() >= Duration::from_secs(1) {
            let now = (Instant::now(), moved.load(Ordering::Relaxed));
            least = least.min((now.1 - second.1) as f64 / 1e6 / (now.0 - second.0).as_secs_f64());
            second = now;
            seen.least = least;
        }
    }
}
