//! The relay: bytes between one visitor and its host, both ways, with half-close.

use super::carrier::{FromHost, HostReader, HostWriter};
use super::spill::{Backlog, SpillBudget};
use crate::config::RelayConfig;
use bytes::BytesMut;
use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::Notify;
use tokio::time::Instant;

/// First and largest buffer for reading from a visitor, bytes. It grows while reads fill it, so that an idle visitor
/// costs 4 KiB and a busy one two packets of SSH a read.
const READ_MIN: usize = 4 * 1024;
const READ_MAX: usize = 64 * 1024;
/// How long a host has to close a stream after both sides have said that they are done. A stream that this side
/// closes first is never freed by the library underneath (DESIGN.md, trap 4), so the host goes first where it can.
const CLOSE_WAIT: Duration = Duration::from_secs(10);
/// The same when the visitor is gone and what the host still sends is thrown away.
const ABORT_WAIT: Duration = Duration::from_secs(1);

/// Counters of bytes, written by relays and read by anyone; never locked.
#[derive(Debug, Default)]
pub struct Tally {
    /// From visitors to the host.
    pub to_host: AtomicU64,
    /// From the host to visitors.
    pub to_visitor: AtomicU64,
    /// Waiting for the visitor.
    pub buffered: AtomicU64,
}

/// A visitor's connection.
pub trait VisitorStream: Send {
    /// Both halves, to be used at once.
    fn halves(&mut self) -> (impl AsyncRead + Unpin + Send + '_, impl AsyncWrite + Unpin + Send + '_);
    /// Makes the drop that follows a reset rather than an orderly end, so that the visitor is not left believing that
    /// it has seen all there was.
    fn abort(&self);
}

impl VisitorStream for tokio::net::TcpStream {
    fn halves(&mut self) -> (impl AsyncRead + Unpin + Send + '_, impl AsyncWrite + Unpin + Send + '_) {
        self.split()
    }
    fn abort(&self) {
        // An error means that the socket is gone already.
        let _ = socket2::SockRef::from(self).set_linger(Some(Duration::ZERO));
    }
}

/// The tunnel's end of a visit that comes through an operator's session.
#[derive(Debug)]
pub struct Pipe {
    /// The bytes.
    pub stream: tokio::io::DuplexStream,
    /// Told when the visit is cut. The pipe itself can only end, and an end would look like an orderly one.
    pub cut: Arc<Notify>,
}

impl VisitorStream for Pipe {
    fn halves(&mut self) -> (impl AsyncRead + Unpin + Send + '_, impl AsyncWrite + Unpin + Send + '_) {
        tokio::io::split(&mut self.stream)
    }
    fn abort(&self) {
        self.cut.notify_one();
    }
}

impl VisitorStream for tokio::io::DuplexStream {
    fn halves(&mut self) -> (impl AsyncRead + Unpin + Send + '_, impl AsyncWrite + Unpin + Send + '_) {
        tokio::io::split(self)
    }
    fn abort(&self) {}
}

/// How a visit ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// Both sides were done.
    Finished,
    /// The host closed the stream.
    HostClosed,
    /// The visitor's connection broke.
    VisitorGone,
    /// The visitor took nothing for too long while bytes waited.
    Stalled,
    /// More waits for the visitor than may be kept for it. To stop draining instead would freeze the whole session.
    TooFarBehind,
    /// The bytes that wait for the visitor could not be kept.
    SpillFailed,
    /// The host's session ended.
    LinkGone,
}

impl End {
    /// A sentence for the audit; none for an orderly end.
    #[must_use]
    pub fn sentence(self) -> Option<&'static str> {
        match self {
            Self::Finished | Self::HostClosed => None,
            Self::VisitorGone => Some("the visitor's connection broke"),
            Self::Stalled => Some("cut: the visitor took no data for the stall time"),
            Self::TooFarBehind => {
                Some("cut: more data waited for the visitor than may be kept (relay.visitor_spill, total_spill)")
            }
            Self::SpillFailed => Some("cut: the data waiting for the visitor could not be kept on disk"),
            Self::LinkGone => Some("the host's session ended"),
        }
    }
}

/// What a relay shares with others.
#[derive(Debug)]
pub struct RelayLimits {
    /// `[relay]` of the configuration.
    pub config: RelayConfig,
    /// The spill files' budget.
    pub budget: Arc<SpillBudget>,
}

/// Carries bytes until both sides are done or one is gone. Returns the end and the host's halves, for [`settle`].
pub async fn relay<V: VisitorStream, R: HostReader, W: HostWriter>(
    visitor: &mut V,
    reader: &mut R,
    writer: &W,
    tallies: [&Tally; 2],
    limits: &RelayLimits,
) -> End {
    let (from_visitor, to_visitor) = visitor.halves();
    let up = pump_up(from_visitor, writer, tallies);
    let down = pump_down(to_visitor, reader, tallies, limits);
    tokio::pin!(up, down);
    let mut up_done = false;
    let mut down_done: Option<&mut R> = None;
    loop {
        let host_done = down_done.is_some();
        // Once the host has said EOF its reader still has to be watched: it may close before the visitor is done.
        let closing = async {
            match &mut down_done {
                Some(reader) => loop {
                    let next = reader.next().await;
                    if next.is_over() {
                        break next;
                    }
                },
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            r = &mut up, if !up_done => match r {
                Ok(()) => up_done = true,
                Err(end) => return end,
            },
            r = &mut down, if !host_done => match r {
                Ok(reader) => down_done = Some(reader),
                Err(end) => return end,
            },
            // The visitor has been told of the host's EOF already. Only what it still sends can be lost.
            over = closing => return match over {
                _ if up_done => End::Finished,
                FromHost::Gone => End::LinkGone,
                _ => End::HostClosed,
            },
        }
        if up_done && down_done.is_some() {
            return End::Finished;
        }
    }
}

/// After a relay: lets the host close the stream first, throwing away what it still sends, and closes it by force when
/// it does not.
pub async fn settle<R: HostReader, W: HostWriter>(reader: R, writer: W, end: End) {
    settle_within(CLOSE_WAIT, reader, writer, end).await;
}

/// [`settle`] with another time for the other side to close a stream on which both are done.
pub async fn settle_within<R: HostReader, W: HostWriter>(close_wait: Duration, mut reader: R, writer: W, end: End) {
    let wait = match end {
        End::HostClosed | End::LinkGone => return,
        End::Finished => close_wait,
        End::VisitorGone | End::Stalled | End::TooFarBehind | End::SpillFailed => {
            if writer.eof().await.is_err() {
                return;
            }
            ABORT_WAIT
        }
    };
    let closed = async { while !reader.next().await.is_over() {} };
    if tokio::time::timeout(wait, closed).await.is_err() {
        drop(reader);
        let _ = writer.close().await;
    }
}

async fn pump_up<A: AsyncRead + Unpin, W: HostWriter>(mut from: A, to: &W, tallies: [&Tally; 2]) -> Result<(), End> {
    let mut cap = READ_MIN;
    loop {
        let mut buf = BytesMut::with_capacity(cap);
        let n = from.read_buf(&mut buf).await.map_err(|_| End::VisitorGone)?;
        if n == 0 {
            return to.eof().await.map_err(|_| End::LinkGone);
        }
        if n >= cap {
            cap = (cap * 4).min(READ_MAX);
        } else if n < cap / 8 {
            cap = (cap / 2).max(READ_MIN);
        }
        to.write(buf.freeze()).await.map_err(|_| End::LinkGone)?;
        for t in tallies {
            t.to_host.fetch_add(n as u64, Ordering::Relaxed);
        }
    }
}

/// Takes everything the host sends, at once, and gives it to the visitor at the visitor's pace. Returns the reader at
/// the host's EOF, when the visitor has been told of it.
async fn pump_down<'r, A: AsyncWrite + Unpin, R: HostReader>(
    mut to: A,
    from: &'r mut R,
    tallies: [&Tally; 2],
    limits: &RelayLimits,
) -> Result<&'r mut R, End> {
    let c = &limits.config;
    let mut backlog = Backlog::new(c.visitor_memory, c.visitor_spill, Arc::clone(&limits.budget));
    let gauge = Gauge { tallies, shown: 0 };
    let mut gauge = gauge;
    let mut ended: Option<FromHost> = None;
    let mut progress = Instant::now();
    let stall = tokio::time::sleep(c.stall_timeout);
    tokio::pin!(stall);
    loop {
        if backlog.is_empty() {
            match ended {
                // No orderly end: the visitor must not believe that it has seen all there was.
                Some(FromHost::Gone) => return Err(End::LinkGone),
                Some(FromHost::Closed) => {
                    let _ = to.shutdown().await;
                    return Err(End::HostClosed);
                }
                Some(_) => {
                    to.shutdown().await.map_err(|_| End::VisitorGone)?;
                    return Ok(from);
                }
                None => {}
            }
            match from.next().await {
                FromHost::Data(data) => backlog.push(data).await.map_err(|_| End::SpillFailed)?,
                end => ended = Some(end),
            }
            progress = Instant::now();
            continue;
        }
        backlog.refill().await.map_err(|_| End::SpillFailed)?;
        tokio::select! {
            biased;
            written = write_some(&mut to, &backlog) => match written {
                Ok(n) if n > 0 => {
                    backlog.advance(n);
                    progress = Instant::now();
                    for t in tallies {
                        t.to_visitor.fetch_add(n as u64, Ordering::Relaxed);
                    }
                }
                _ => return Err(End::VisitorGone),
            },
            more = from.next(), if ended.is_none() => match more {
                FromHost::Data(_) if !backlog.has_room() => return Err(End::TooFarBehind),
                FromHost::Data(data) => backlog.push(data).await.map_err(|_| End::SpillFailed)?,
                end => ended = Some(end),
            },
            () = &mut stall => {
                let deadline = progress + c.stall_timeout;
                if Instant::now() >= deadline {
                    return Err(End::Stalled);
                }
                stall.as_mut().reset(deadline);
            }
        }
        gauge.show(backlog.len());
    }
}

/// Keeps the "waiting" counters equal to what one backlog holds, also when it is dropped half way.
struct Gauge<'a> {
    tallies: [&'a Tally; 2],
    shown: u64,
}

impl Gauge<'_> {
    fn show(&mut self, now: u64) {
        if now == self.shown {
            return;
        }
        for t in self.tallies {
            // Wrapping addition of a difference: several visitors share the tunnel's counter.
            t.buffered.fetch_add(now.wrapping_sub(self.shown), Ordering::Relaxed);
        }
        self.shown = now;
    }
}

impl Drop for Gauge<'_> {
    fn drop(&mut self) {
        self.show(0);
    }
}

/// One vectored write of what waits. Cancel safe: it has written all it reports or nothing.
async fn write_some<A: AsyncWrite + Unpin>(to: &mut A, backlog: &Backlog) -> io::Result<usize> {
    let mut slices = [IoSlice::new(&[]); 16];
    let mut n = 0;
    for (slot, s) in slices.iter_mut().zip(backlog.slices()) {
        *slot = IoSlice::new(s);
        n += 1;
    }
    poll_fn(|cx| Pin::new(&mut *to).poll_write_vectored(cx, slices.get(..n).unwrap_or_default())).await
}

#[cfg(test)]
mod tests {
    use super::super::carrier::LinkGone;
    use super::*;
    use bytes::Bytes;
    use tokio::sync::mpsc;

    struct TestReader(mpsc::Receiver<FromHost>);
    impl HostReader for TestReader {
        async fn next(&mut self) -> FromHost {
            self.0.recv().await.unwrap_or(FromHost::Closed)
        }
    }
    struct TestWriter(mpsc::Sender<Option<Bytes>>);
    impl HostWriter for TestWriter {
        async fn write(&self, data: Bytes) -> Result<(), LinkGone> {
            self.0.send(Some(data)).await.map_err(|_| LinkGone)
        }
        async fn eof(&self) -> Result<(), LinkGone> {
            self.0.send(None).await.map_err(|_| LinkGone)
        }
        async fn close(&self) -> Result<(), LinkGone> {
            Ok(())
        }
    }

    struct Rig {
        limits: RelayLimits,
        tally: Tally,
        total: Tally,
        _dir: tempfile::TempDir,
    }

    fn rig(memory: usize, spill: u64) -> Rig {
        let dir = tempfile::tempdir().unwrap();
        let config = RelayConfig {
            visitor_memory: memory,
            visitor_spill: spill,
            total_spill: spill,
            stall_timeout: Duration::from_secs(60),
            open_timeout: Duration::from_secs(10),
            max_visitors: 8,
        };
        let budget = Arc::new(SpillBudget::new(dir.path(), spill));
        Rig { limits: RelayLimits { config, budget }, tally: Tally::default(), total: Tally::default(), _dir: dir }
    }

    #[tokio::test]
    async fn half_close_travels_both_ways_and_bytes_are_counted() {
        let rig = rig(1024, 1 << 20);
        let (mut near, mut far) = tokio::io::duplex(64);
        let (host_tx, host_rx) = mpsc::channel(4);
        let (up_tx, mut up_rx) = mpsc::channel(4);
        let mut reader = TestReader(host_rx);
        let writer = TestWriter(up_tx);
        let run = relay(&mut near, &mut reader, &writer, [&rig.tally, &rig.total], &rig.limits);
        let script = async {
            far.write_all(b"question").await.unwrap();
            far.shutdown().await.unwrap();
            let mut got = Vec::new();
            while let Some(Some(b)) = up_rx.recv().await {
                got.extend_from_slice(&b);
            }
            assert_eq!(got, b"question");
            host_tx.send(FromHost::Data(Bytes::from_static(b"answer"))).await.unwrap();
            host_tx.send(FromHost::Eof).await.unwrap();
            let mut answer = Vec::new();
            far.read_to_end(&mut answer).await.unwrap();
            assert_eq!(answer, b"answer");
        };
        let (end, ()) = tokio::join!(run, script);
        assert_eq!(end, End::Finished);
        assert_eq!(rig.tally.to_host.load(Ordering::Relaxed), 8);
        assert_eq!(rig.total.to_visitor.load(Ordering::Relaxed), 6);
    }

    #[tokio::test]
    async fn a_visitor_that_does_not_read_never_makes_the_host_wait_and_gets_every_byte_in_the_end() {
        let rig = rig(1024, 8 << 20);
        let (mut near, mut far) = tokio::io::duplex(64);
        // A queue of one: if the relay stopped draining, this script would hang.
        let (host_tx, host_rx) = mpsc::channel(1);
        let (up_tx, _up_rx) = mpsc::channel(4);
        let mut reader = TestReader(host_rx);
        let writer = TestWriter(up_tx);
        let run = relay(&mut near, &mut reader, &writer, [&rig.tally, &rig.total], &rig.limits);
        let script = async {
            for i in 0..1000_u32 {
                host_tx.send(FromHost::Data(Bytes::from(vec![i as u8; 4096]))).await.unwrap();
            }
            assert!(rig.tally.buffered.load(Ordering::Relaxed) > 3 << 20);
            host_tx.send(FromHost::Eof).await.unwrap();
            let mut all = Vec::new();
            far.read_to_end(&mut all).await.unwrap();
            assert_eq!(all.len(), 1000 * 4096);
            assert!(all.chunks(4096).enumerate().all(|(i, c)| c.iter().all(|&b| b == i as u8)));
            host_tx.send(FromHost::Closed).await.unwrap();
        };
        let (end, ()) = tokio::join!(run, script);
        assert_eq!(end, End::HostClosed);
        assert_eq!(rig.tally.buffered.load(Ordering::Relaxed), 0);
        assert_eq!(rig.limits.budget.used(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_visitor_without_progress_is_cut_after_the_stall_time() {
        let rig = rig(1024, 1 << 20);
        let (mut near, _far) = tokio::io::duplex(64);
        let (host_tx, host_rx) = mpsc::channel(1);
        let (up_tx, _up_rx) = mpsc::channel(4);
        let mut reader = TestReader(host_rx);
        let writer = TestWriter(up_tx);
        let run = relay(&mut near, &mut reader, &writer, [&rig.tally, &rig.total], &rig.limits);
        let script = async {
            host_tx.send(FromHost::Data(Bytes::from(vec![1; 4096]))).await.unwrap();
        };
        let before = Instant::now();
        let (end, ()) = tokio::join!(run, script);
        assert_eq!(end, End::Stalled);
        assert!(before.elapsed() >= Duration::from_secs(60));
    }
}
