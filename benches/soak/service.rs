//! What stands behind the tunnels: one service that does what the visitor's first bytes ask for.

use super::stream;
use super::tally::Tally;
use socket2::SockRef;
use std::collections::HashMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::Instant;

/// What the bytes of a request begin with.
const MAGIC: u64 = 0x0a31_762d_6b61_6f73;
/// Bytes of a request.
pub const REQUEST: usize = 56;

/// Who speaks when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// The service sends back what it gets.
    Echo,
    /// Both at once.
    Both,
    /// The visitor speaks and ends, then the service.
    VisitorFirst,
    /// The service speaks and ends, then the visitor.
    ServiceFirst,
}

/// What a visitor asks for.
#[derive(Debug, Clone, Copy)]
pub struct Request {
    /// Told with what the service saw.
    pub id: u64,
    /// Who speaks when.
    pub order: Order,
    /// Bytes to the visitor; of an echo those both ways.
    pub down: u64,
    /// Bytes from the visitor.
    pub up: u64,
    /// Of the service's bytes; the visitor's are those of its complement.
    pub seed: u64,
    /// The service's pace, bytes per second.
    pub rate: u64,
}

impl Request {
    /// As it is sent.
    pub fn bytes(&self) -> [u8; REQUEST] {
        let words = [MAGIC, self.id, self.order as u64, self.down, self.up, self.seed, self.rate];
        let mut out = [0; REQUEST];
        out.chunks_exact_mut(8).zip(words).for_each(|(o, w)| o.copy_from_slice(&w.to_le_bytes()));
        out
    }
    fn read(bytes: &[u8; REQUEST]) -> Option<Self> {
        let word = |n: usize| u64::from_le_bytes(bytes[n * 8..n * 8 + 8].try_into().unwrap());
        let order = [Order::Echo, Order::Both, Order::VisitorFirst, Order::ServiceFirst].get(word(2) as usize).copied();
        (word(0) == MAGIC).then_some(())?;
        Some(Self { id: word(1), order: order?, down: word(3), up: word(4), seed: word(5), rate: word(6) })
    }
}

/// What a service saw of one visit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seen {
    /// Right bytes from the visitor.
    pub bytes: u64,
    /// Whether the end of them was an orderly one.
    pub orderly: bool,
}

/// Where visitors learn what the service saw.
#[derive(Default)]
pub struct Desk(Mutex<HashMap<u64, oneshot::Sender<Seen>>>);

impl Desk {
    /// To be asked before the visit begins.
    pub fn expect(&self, id: u64) -> oneshot::Receiver<Seen> {
        let (tx, rx) = oneshot::channel();
        self.0.lock().unwrap().insert(id, tx);
        rx
    }
    /// Nobody waits any more.
    pub fn forget(&self, id: u64) {
        self.0.lock().unwrap().remove(&id);
    }
    fn tell(&self, id: u64, seen: Seen) {
        if let Some(tx) = self.0.lock().unwrap().remove(&id) {
            let _ = tx.send(seen);
        }
    }
}

/// Keeps to a number of bytes per second.
pub struct Pace {
    rate: u64,
    began: Instant,
    bytes: u64,
}

impl Pace {
    /// From now on.
    pub fn new(rate: u64) -> Self {
        Self { rate, began: Instant::now(), bytes: 0 }
    }
    /// How much to take at a time: some tenth of a second of it.
    pub fn chunk(&self) -> usize {
        usize::try_from(self.rate / 16).unwrap_or(usize::MAX).clamp(1024, 64 * 1024)
    }
    /// Waits until these bytes are due.
    pub async fn take(&mut self, n: u64) {
        self.bytes += n;
        let due = self.began + Duration::from_secs_f64(self.bytes as f64 / self.rate as f64);
        if due > Instant::now() + Duration::from_millis(2) {
            tokio::time::sleep_until(due).await;
        }
    }
}

/// Sends `len` bytes of a stream.
pub async fn send(to: &mut (impl AsyncWrite + Unpin), seed: u64, len: u64, rate: u64) -> io::Result<()> {
    let mut pace = Pace::new(rate);
    let mut buf = vec![0; pace.chunk()];
    let mut at = 0;
    while at < len {
        let n = (len - at).min(buf.len() as u64);
        stream::fill(seed, at, &mut buf[..n as usize]);
        to.write_all(&buf[..n as usize]).await?;
        at += n;
        pace.take(n).await;
    }
    Ok(())
}

/// One listening service. `Desk` and `Tally` are everybody's.
pub struct Service {
    /// Where it listens when it is up.
    pub address: SocketAddr,
    desk: Arc<Desk>,
    tally: Arc<Tally>,
    running: Mutex<Option<AbortHandle>>,
}

impl Service {
    /// On this port of loopback; not up yet.
    pub fn new(port: u16, desk: Arc<Desk>, tally: Arc<Tally>) -> Self {
        Self { address: SocketAddr::from((Ipv4Addr::LOCALHOST, port)), desk, tally, running: Mutex::new(None) }
    }

    /// Listens.
    pub async fn up(&self) {
        let listener = TcpListener::bind(self.address).await.unwrap();
        let (desk, tally) = (Arc::clone(&self.desk), Arc::clone(&self.tally));
        let task = tokio::spawn(async move {
            let mut all = JoinSet::new();
            loop {
                tokio::select! {
                    conn = listener.accept() => if let Ok((conn, _)) = conn {
                        all.spawn(each(conn, Arc::clone(&desk), Arc::clone(&tally)));
                    },
                    Some(_) = all.join_next(), if !all.is_empty() => {}
                }
            }
        });
        *self.running.lock().unwrap() = Some(task.abort_handle());
    }

    /// Is gone, as a process that was killed: refuses the new and resets the old.
    pub async fn down(&self) {
        if let Some(task) = self.running.lock().unwrap().take() {
            task.abort();
        }
        // The listener is closed when the task is dropped, a moment later.
        tokio::task::yield_now().await;
    }
}

async fn each(mut conn: TcpStream, desk: Arc<Desk>, tally: Arc<Tally>) {
    let _ = conn.set_nodelay(true);
    // Unless the visit ends well, the drop resets.
    let _ = SockRef::from(&conn).set_linger(Some(Duration::ZERO));
    let mut head = [0; REQUEST];
    let request = match conn.read_exact(&mut head).await {
        Ok(_) => Request::read(&head),
        // A health check comes and goes without a word.
        Err(_) => return,
    };
    let Some(request) = request else {
        return tally.error("a service got a request with wrong bytes");
    };
    let (seen, result) = serve(&mut conn, request, &tally).await;
    if result.is_ok() {
        let _ = SockRef::from(&conn).set_linger(None);
    }
    desk.tell(request.id, seen);
}

async fn serve(conn: &mut TcpStream, r: Request, tally: &Tally) -> (Seen, io::Result<()>) {
    let (mut from, mut to) = conn.split();
    let mut seen = Seen { bytes: 0, orderly: false };
    let result = match r.order {
        Order::Echo => echo(&mut from, &mut to, &r, &mut seen, tally).await,
        Order::Both => {
            let down = async {
                send(&mut to, r.seed, r.down, r.rate).await?;
                to.shutdown().await
            };
            tokio::try_join!(take(&mut from, &r, &mut seen, tally), down).map(|_| ())
        }
        Order::VisitorFirst => {
            async {
                take(&mut from, &r, &mut seen, tally).await?;
                send(&mut to, r.seed, r.down, r.rate).await?;
                to.shutdown().await
            }
            .await
        }
        Order::ServiceFirst => {
            async {
                send(&mut to, r.seed, r.down, r.rate).await?;
                to.shutdown().await?;
                take(&mut from, &r, &mut seen, tally).await
            }
            .await
        }
    };
    (seen, result)
}

/// Reads to the end and checks each byte.
async fn take(from: &mut (impl AsyncRead + Unpin), r: &Request, seen: &mut Seen, tally: &Tally) -> io::Result<()> {
    let mut buf = vec![0; 32 * 1024];
    loop {
        match from.read(&mut buf).await? {
            0 => break,
            n => right(r, seen, &buf[..n], tally)?,
        }
    }
    seen.orderly = true;
    Ok(())
}

async fn echo(
    from: &mut (impl AsyncRead + Unpin),
    to: &mut (impl AsyncWrite + Unpin),
    r: &Request,
    seen: &mut Seen,
    tally: &Tally,
) -> io::Result<()> {
    let mut buf = vec![0; 32 * 1024];
    loop {
        match from.read(&mut buf).await? {
            0 => break,
            n => {
                right(r, seen, &buf[..n], tally)?;
                to.write_all(&buf[..n]).await?;
            }
        }
    }
    seen.orderly = true;
    to.shutdown().await
}

fn right(r: &Request, seen: &mut Seen, bytes: &[u8], tally: &Tally) -> io::Result<()> {
    tally.add("bytes checked", "by services", bytes.len() as u64);
    if let Err(at) = stream::check(!r.seed, seen.bytes, bytes) {
        tally.error(&format!("a wrong byte at {at} of what visit {:#x} sent ({:?}, {} bytes)", r.id, r.order, r.up));
        return Err(io::ErrorKind::InvalidData.into());
    }
    seen.bytes += bytes.len() as u64;
    if seen.bytes > r.up {
        tally.error(&format!("visit {:#x} sent {} bytes and more than that came out", r.id, r.up));
    }
    Ok(())
}
