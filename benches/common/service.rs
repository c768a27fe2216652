//! Services behind the tunnels: threads of the driver with plain blocking sockets, the same for every peer.

use super::{Res, at};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// What each read and write moves at most.
pub const BLOCK: usize = 256 * 1024;

/// No read or write of the driver waits longer.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// What a service does with each connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Reads for ever and counts.
    Sink,
    /// Writes for ever.
    Source,
    /// Sends back what comes, at once.
    Echo,
    /// Answers the first byte with one and closes.
    Reply,
}

struct Inner {
    kind: Kind,
    bytes: AtomicU64,
    over: AtomicBool,
    open: Mutex<Vec<TcpStream>>,
    served: AtomicUsize,
}

/// A running service; it ends, with all its connections, when dropped.
pub struct Service {
    address: SocketAddr,
    inner: Arc<Inner>,
}

impl Service {
    /// Starts it on a free port of loopback.
    pub fn start(kind: Kind) -> Res<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(at("service"))?;
        let address = listener.local_addr().map_err(at("service"))?;
        let inner = Arc::new(Inner {
            kind,
            bytes: AtomicU64::new(0),
            over: AtomicBool::new(false),
            open: Mutex::new(Vec::new()),
            served: AtomicUsize::new(0),
        });
        // Short visits are served by threads that are there already; long ones get a thread each.
        let acceptors = if kind == Kind::Reply { 24 } else { 1 };
        for _ in 0..acceptors {
            let (listener, inner) = (listener.try_clone().map_err(at("service"))?, Arc::clone(&inner));
            std::thread::spawn(move || accept(&listener, &inner));
        }
        Ok(Self { address, inner })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
    /// Bytes received so far ([`Kind::Sink`]).
    pub fn bytes(&self) -> u64 {
        self.inner.bytes.load(Ordering::Relaxed)
    }
    /// Connections so far.
    pub fn served(&self) -> usize {
        self.inner.served.load(Ordering::Relaxed)
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.inner.over.store(true, Ordering::Relaxed);
        for conn in self.inner.open.lock().map(|mut o| std::mem::take(&mut *o)).unwrap_or_default() {
            let _ = conn.shutdown(Shutdown::Both);
        }
        // Each wakes one that waits in accept.
        for _ in 0..if self.inner.kind == Kind::Reply { 24 } else { 1 } {
            let _ = TcpStream::connect(self.address);
        }
    }
}

fn accept(listener: &TcpListener, inner: &Arc<Inner>) {
    while let Ok((conn, _)) = listener.accept() {
        if inner.over.load(Ordering::Relaxed) {
            return;
        }
        inner.served.fetch_add(1, Ordering::Relaxed);
        let _ = prepare(&conn);
        if inner.kind == Kind::Reply {
            serve(conn, inner);
            continue;
        }
        if let (Ok(copy), Ok(mut open)) = (conn.try_clone(), inner.open.lock()) {
            open.push(copy);
        }
        let inner = Arc::clone(inner);
        std::thread::spawn(move || serve(conn, &inner));
    }
}

fn serve(mut conn: TcpStream, inner: &Inner) {
    let mut buf = vec![0x5a; if inner.kind == Kind::Reply { 64 } else { BLOCK }];
    match inner.kind {
        Kind::Sink => {
            while let Ok(n) = conn.read(&mut buf)
                && n > 0
            {
                inner.bytes.fetch_add(n as u64, Ordering::Relaxed);
            }
        }
        Kind::Source => while conn.write_all(&buf).is_ok() {},
        Kind::Echo => {
            while let Ok(n) = conn.read(&mut buf)
                && n > 0
            {
                if conn.write_all(&buf[..n]).is_err() {
                    break;
                }
            }
        }
        Kind::Reply => {
            if conn.read(&mut buf).is_ok_and(|n| n > 0) {
                let _ = conn.write_all(&buf[..1]);
            }
        }
    }
}

/// As every socket of the driver is: never waits for ever, never for more bytes.
pub fn prepare(conn: &TcpStream) -> std::io::Result<()> {
    conn.set_nodelay(true)?;
    conn.set_read_timeout(Some(PATIENCE))?;
    conn.set_write_timeout(Some(PATIENCE))
}

/// A visitor's connection.
pub fn visit(port: u16) -> Res<TcpStream> {
    let to = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let conn = TcpStream::connect_timeout(&to, PATIENCE).map_err(at("visitor"))?;
    prepare(&conn).map_err(at("visitor"))?;
    Ok(conn)
}
