//! Services and visitors that misbehave.

use super::services::{serve, visit};
use super::{SOON, eventually};
use socket2::{Domain, SockRef, Socket, Type};
use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// A service that sends without end: a burst within a time, and then an eighth of that pace. The burst is more than
/// everything on the way can hold, so that a visitor that does not read is far behind when it is over. The pace makes
/// what there is beside it comparable with what there was alone: somebody's full speed would be half of the machine.
pub struct Trickle {
    /// Where it is.
    pub address: SocketAddr,
    sent: Arc<Mutex<Vec<Arc<AtomicU64>>>>,
    burst: u64,
}

impl Trickle {
    /// Starts it.
    pub fn start(burst: u64, within: Duration) -> Self {
        let sent: Arc<Mutex<Vec<Arc<AtomicU64>>>> = Arc::default();
        let all = Arc::clone(&sent);
        let address = serve(move |mut conn| {
            let mine = Arc::new(AtomicU64::new(0));
            all.lock().unwrap().push(Arc::clone(&mine));
            let block = vec![0x5a; 64 * 1024];
            let pause = within / u32::try_from(burst / block.len() as u64).unwrap();
            let began = Instant::now();
            for n in 1.. {
                if conn.write_all(&block).is_err() {
                    return;
                }
                let late = mine.fetch_add(block.len() as u64, Ordering::Relaxed) >= burst;
                let pause = if late { pause * 8 } else { (pause * n).saturating_sub(began.elapsed()) };
                std::thread::park_timeout(pause);
            }
        });
        Self { address, sent, burst }
    }

    /// Waits until it has sent its burst to so many.
    #[track_caller]
    pub fn wait_burst(&self, visitors: usize) {
        eventually("the bursts are sent", SOON, || {
            self.sent.lock().unwrap().iter().filter(|s| s.load(Ordering::Relaxed) >= self.burst).count() >= visitors
        });
    }
}

/// A service that takes connections and never reads.
pub fn deaf() -> SocketAddr {
    let kept = Mutex::new(Vec::new());
    serve(move |conn| kept.lock().unwrap().push(conn))
}

/// A service that reads without end, and the bytes that have come.
pub fn sink() -> (SocketAddr, Arc<AtomicU64>) {
    let arrived = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&arrived);
    let address = serve(move |mut conn| {
        let mut buf = vec![0; 64 * 1024];
        while let Ok(n @ 1..) = conn.read(&mut buf) {
            counter.fetch_add(n as u64, Ordering::Relaxed);
        }
    });
    (address, arrived)
}

/// A service that sends as fast as it is read, until its visitor says that it has enough.
pub fn until_enough() -> SocketAddr {
    serve(|mut conn| {
        let mut ear = conn.try_clone().unwrap();
        let enough = Arc::new(AtomicBool::new(false));
        let heard = Arc::clone(&enough);
        std::thread::spawn(move || {
            while let Ok(1..) = ear.read(&mut [0; 1024]) {}
            heard.store(true, Ordering::Relaxed);
        });
        let block = vec![0x5a; 64 * 1024];
        while !enough.load(Ordering::Relaxed) && conn.write_all(&block).is_ok() {}
        let _ = conn.shutdown(Shutdown::Both);
    })
}

/// A visitor of [`until_enough`] that reads.
pub struct Reader {
    conn: TcpStream,
    read: Arc<AtomicU64>,
    thread: JoinHandle<()>,
}

impl Reader {
    /// Starts it, and waits for its first bytes.
    #[track_caller]
    pub fn start(port: u16) -> Self {
        Self::many(port, 1).remove(0)
    }

    /// So many at once.
    #[track_caller]
    pub fn many(port: u16, n: usize) -> Vec<Self> {
        let all: Vec<_> = (0..n).map(|_| Self::begin(port)).collect();
        for r in &all {
            eventually("a download goes", SOON, || r.bytes() > 0);
        }
        all
    }

    fn begin(port: u16) -> Self {
        let conn = visit(port);
        let mut reader = conn.try_clone().unwrap();
        let read = Arc::new(AtomicU64::new(0));
        let counter = Arc::clone(&read);
        let thread = std::thread::spawn(move || {
            let mut buf = vec![0; 64 * 1024];
            while let Ok(n @ 1..) = reader.read(&mut buf) {
                counter.fetch_add(n as u64, Ordering::Relaxed);
            }
        });
        Self { conn, read, thread }
    }

    /// Bytes read so far.
    pub fn bytes(&self) -> u64 {
        self.read.load(Ordering::Relaxed)
    }

    /// Says that it has enough, and waits for the end.
    #[track_caller]
    pub fn finish(self) {
        self.conn.shutdown(Shutdown::Write).unwrap();
        self.thread.join().unwrap();
    }

    /// Leaves in the middle.
    #[track_caller]
    pub fn leave(self) {
        self.conn.shutdown(Shutdown::Both).unwrap();
        self.thread.join().unwrap();
    }
}

/// An address that answers no connect: its queue is full, and the kernel drops what more comes. As an address of the
/// network behind a firewall that drops.
pub struct BlackHole {
    /// Where it is.
    pub address: SocketAddr,
    _listener: Socket,
    _fill: Vec<TcpStream>,
}

impl BlackHole {
    /// Starts it.
    pub fn start() -> Self {
        let listener = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        listener.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into()).unwrap();
        listener.listen(0).unwrap();
        let address = listener.local_addr().unwrap().as_socket().unwrap();
        let mut fill = Vec::new();
        while let Ok(conn) = TcpStream::connect_timeout(&address, Duration::from_millis(300)) {
            fill.push(conn);
            assert!(fill.len() < 16, "a queue that is never full");
        }
        Self { address, _listener: listener, _fill: fill }
    }
}

/// A visitor that sends without end to somebody who does not read, until nothing more goes.
#[track_caller]
pub fn push_until_stuck(port: u16) -> TcpStream {
    let mut conn = visit(port);
    conn.set_write_timeout(Some(Duration::from_millis(300))).unwrap();
    let block = vec![0x77; 64 * 1024];
    let began = Instant::now();
    loop {
        assert!(began.elapsed() < SOON, "a service that does not read takes everything");
        match conn.write(&block) {
            Ok(_) => {}
            Err(e) if e.kind() == ErrorKind::WouldBlock => return conn,
            Err(e) => panic!("pushing to a service that does not read: {e}"),
        }
    }
}

/// A visitor that connects and resets, over and over.
pub struct Resetter {
    stop: Arc<AtomicBool>,
    calm: Arc<AtomicBool>,
    times: Arc<AtomicU64>,
    thread: Option<JoinHandle<()>>,
}

impl Resetter {
    /// Starts it. Every other connection is reset with bytes on the way.
    pub fn start(port: u16) -> Self {
        let [stop, calm] = [(); 2].map(|()| Arc::new(AtomicBool::new(false)));
        let times = Arc::new(AtomicU64::new(0));
        let (stopped, calmed, counter) = (Arc::clone(&stop), Arc::clone(&calm), Arc::clone(&times));
        let thread = std::thread::spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                let mut conn = visit(port);
                if counter.fetch_add(1, Ordering::Relaxed) % 2 == 0 {
                    conn.write_all(&[1; 1024]).unwrap();
                    let _ = conn.read(&mut [0]);
                }
                SockRef::from(&conn).set_linger(Some(Duration::ZERO)).unwrap();
                drop(conn);
                if calmed.load(Ordering::Relaxed) {
                    std::thread::park_timeout(Duration::from_millis(20));
                }
            }
        });
        Self { stop, calm, times, thread: Some(thread) }
    }

    /// Waits until it has come and gone so many times.
    #[track_caller]
    pub fn wait_times(&self, n: u64) {
        eventually(&format!("{n} visits are reset"), SOON, || self.times.load(Ordering::Relaxed) >= n);
    }

    /// From now on fifty times a second at most: without a pause it measures how two share a processor.
    pub fn calm_down(&self) {
        self.calm.store(true, Ordering::Relaxed);
    }

    /// Ends it, and tells how many visits it made.
    #[track_caller]
    pub fn finish(mut self) -> u64 {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.take().unwrap().join().unwrap();
        self.times.load(Ordering::Relaxed)
    }
}

impl Drop for Resetter {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

/// Reads at most so many bytes a second until `hurry` is set, then as fast as it goes.
pub struct Paced {
    conn: TcpStream,
    pace: u32,
    hurry: Arc<AtomicBool>,
}

impl Paced {
    /// Of a connection.
    pub fn new(conn: TcpStream, pace: u32, hurry: Arc<AtomicBool>) -> Self {
        Self { conn, pace, hurry }
    }
}

impl Read for Paced {
    fn read(&mut self, buf: &mut [u8]) -> std::io::Result<usize> {
        let n = self.conn.read(buf)?;
        if !self.hurry.load(Ordering::Relaxed) {
            std::thread::park_timeout(Duration::from_secs(n as u64) / self.pace);
        }
        Ok(n)
    }
}

/// Whether the visitor's connection has been reset, or becomes so within `time`. What has come before is thrown away.
pub fn is_reset_within(mut conn: &TcpStream, time: Duration) -> bool {
    let until = Instant::now() + time;
    let mut buf = vec![0; 64 * 1024];
    loop {
        let Some(left) = until.checked_duration_since(Instant::now()).filter(|l| !l.is_zero()) else { return false };
        conn.set_read_timeout(Some(left)).unwrap();
        match conn.read(&mut buf) {
            Ok(0) => return false,
            Ok(_) => {}
            Err(e) => return e.kind() == ErrorKind::ConnectionReset,
        }
    }
}

/// Ends both ways, for visitors that are through.
pub fn close(conn: &TcpStream) {
    let _ = conn.shutdown(Shutdown::Both);
}
