//! The relay: bytes between one visitor and its host, both ways, with half-close.

use super::brake::Brake;
use super::carrier::{FromHost, HostReader, HostWriter};
use super::hold::{BEAT, Hold, Pace, ROOM};
use super::spill::{Backlog, CHUNK, SpillBudget};
use super::taken::{LOOKS, Taken, VisitorWrite};
use super::vital::Vital;
use crate::config::RelayConfig;
use crate::wait::or_never;
use bytes::BytesMut;
use std::future::{Future, poll_fn};
use std::io::{self, IoSlice};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Poll;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::Instant;

/// First and largest buffer for reading from a visitor, bytes. It grows while reads fill it, so that an idle visitor
/// costs 4 KiB and a busy one two packets of SSH a read.
const READ_MIN: usize = 4 * 1024;
const READ_MAX: usize = 64 * 1024;
/// Gathered for one write to a visitor, bytes, where the host is quick.
const BATCH: u64 = 256 * 1024;
/// How long a host has to close a stream after both sides have said that they are done. A stream that this side
/// closes first is never freed by the library underneath (DESIGN.md, trap 4), so the host goes first where it can.
const CLOSE_WAIT: Duration = Duration::from_secs(10);
/// The same when the visitor is gone and what the host still sends is thrown away.
const ABORT_WAIT: Duration = Duration::from_secs(1);
/// What is thrown away meanwhile at most, bytes: twice what OpenSSH sends before it must hear from us. A service that goes
/// on without end must not take the session's time from those who are listened to.
const DISCARD: usize = 4 * 1024 * 1024;

/// Counters of bytes, written by relays and read by anyone; never locked.
#[derive(Debug, Default)]
pub struct Tally {
    /// From visitors to the host.
    pub to_host: AtomicU64,
    /// From the host to visitors.
    pub to_visitor: AtomicU64,
    /// Waiting for the visitor.
    pub buffered: AtomicU64,
    /// Visitors that slow their session down at this moment: so much waits for them that no more is taken from the
    /// host until they have read some of it. 0 or 1 for one visitor.
    pub holding: AtomicU64,
    /// For how long they have done so in all, milliseconds. Rises while it lasts.
    pub held: AtomicU64,
}

/// A visitor's connection.
pub trait VisitorStream: Send {
    /// Both halves, to be used at once.
    fn halves(&mut self) -> (impl AsyncRead + Unpin + Send + '_, impl VisitorWrite + Unpin + Send + '_);
    /// Makes the drop that follows a reset rather than an orderly end, so that the visitor is not left believing that
    /// it has seen all there was.
    fn abort(&self);
}

impl VisitorStream for tokio::net::TcpStream {
    fn halves(&mut self) -> (impl AsyncRead + Unpin + Send + '_, impl VisitorWrite + Unpin + Send + '_) {
        self.split()
    }
    fn abort(&self) {
        // An error means that the socket is gone already.
        let _ = socket2::SockRef::from(self).set_linger(Some(Duration::ZERO));
    }
}

impl VisitorStream for tokio::io::DuplexStream {
    fn halves(&mut self) -> (impl AsyncRead + Unpin + Send + '_, impl VisitorWrite + Unpin + Send + '_) {
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
    Stalled {
        /// For how long.
        after: Duration,
        /// How many bytes waited.
        waiting: u64,
    },
    /// More waits for the visitor than may be kept for it, and it does not read fast enough for its session to wait.
    TooFarBehind {
        /// How many bytes waited.
        waiting: u64,
    },
    /// The bytes that wait for the visitor could not be kept.
    SpillFailed,
    /// The host's session ended.
    LinkGone,
}

impl End {
    /// A sentence for the audit; none for an orderly end.
    #[must_use]
    pub fn sentence(self) -> Option<String> {
        Some(match self {
            Self::Finished | Self::HostClosed => return None,
            Self::VisitorGone => "the visitor's connection broke".to_owned(),
            Self::Stalled { after, waiting } => format!(
                "cut: the visitor took no data for the stall time of {}, with {waiting} bytes waiting for it",
                humantime::format_duration(after)
            ),
            Self::TooFarBehind { waiting } => format!(
                "cut: {waiting} bytes waited for the visitor, more than may be kept (relay.visitor_spill, total_spill), \
                 and it read less than {} KiB a second",
                super::hold::HOLD_FLOOR / 1024
            ),
            Self::SpillFailed => "cut: the data waiting for the visitor could not be kept on disk".to_owned(),
            Self::LinkGone => "the host's session ended".to_owned(),
        })
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

/// What holds for one visit.
pub struct Terms<'a> {
    /// Limits of buffering.
    pub limits: &'a RelayLimits,
    /// A visitor that takes nothing for this long, with bytes waiting for it, is cut.
    pub stall: Duration,
    /// Of the session that is slowed when the visitor does not keep up.
    pub vital: &'a Vital,
    /// Told once, with the bytes that wait, when the visitor begins to slow its session.
    pub slows: &'a (dyn Fn(u64) + Sync),
}

/// Carries bytes until both sides are done or one is gone. Returns how it ended, for [`settle_within`].
pub async fn relay<V: VisitorStream, R: HostReader, W: HostWriter>(
    visitor: &mut V,
    reader: &mut R,
    writer: &W,
    tallies: [&Tally; 2],
    terms: &Terms<'_>,
) -> End {
    let (from_visitor, to_visitor) = visitor.halves();
    let up = pump_up(from_visitor, writer, tallies);
    let down = pump_down(to_visitor, reader, tallies, terms);
    tokio::pin!(up, down);
    let mut up_done = false;
    let mut down_done: Option<&mut R> = None;
    let mut deaf = false;
    loop {
        let host_done = down_done.is_some();
        // Once the host has said EOF its reader still has to be watched: it may close before the visitor is done.
        let closing = async {
            match &mut down_done {
                Some(reader) => {
                    let mut discarded = 0;
                    loop {
                        match reader.next().await {
                            // For nobody: the host is told, and closes the stream.
                            FromHost::Data(data) if deaf && discarded + data.len() > DISCARD => break None,
                            FromHost::Data(data) => discarded += data.len(),
                            come if come.is_over() => break Some(come),
                            _ => {}
                        }
                    }
                }
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            r = &mut up, if !up_done => match r {
                Ok(()) => up_done = true,
                Err(end) => return end,
            },
            r = &mut down, if !host_done => match r {
                Ok((reader, heard)) => {
                    down_done = Some(reader);
                    deaf = !heard;
                }
                Err(end) => return end,
            },
            // The visitor has been told of the host's EOF already. Only what it still sends can be lost.
            over = closing => return match over {
                _ if deaf => End::VisitorGone,
                _ if up_done => End::Finished,
                Some(FromHost::Gone) => End::LinkGone,
                _ => End::HostClosed,
            },
            () = stands_still(tallies[0], terms.stall), if deaf => return End::VisitorGone,
        }
        if up_done && down_done.is_some() {
            return if deaf { End::VisitorGone } else { End::Finished };
        }
    }
}

/// Until nothing has gone to the host for so long.
async fn stands_still(tally: &Tally, time: Duration) {
    loop {
        let before = tally.to_host.load(Ordering::Relaxed);
        tokio::time::sleep(time).await;
        if tally.to_host.load(Ordering::Relaxed) == before {
            return;
        }
    }
}

/// [`settle_within`] ten seconds.
pub async fn settle<R: HostReader, W: HostWriter>(reader: R, writer: W, end: End) {
    settle_within(CLOSE_WAIT, reader, writer, end).await;
}

/// After a relay: lets the host close the stream first, throwing away what it still sends, and closes it by force when
/// it does not. `close_wait`: how long the other side of a stream on which both are done may take.
pub async fn settle_within<R: HostReader, W: HostWriter>(close_wait: Duration, reader: R, writer: W, end: End) {
    match end {
        End::HostClosed | End::LinkGone => {}
        End::Finished => wind_up(close_wait, false, reader, writer).await,
        End::VisitorGone | End::Stalled { .. } | End::TooFarBehind { .. } | End::SpillFailed => {
            wind_up(ABORT_WAIT, true, reader, writer).await;
        }
    }
}

/// Takes leave of a stream on which nothing was said to be over: this side is done, and what still comes is thrown away.
pub async fn leave<R: HostReader, W: HostWriter>(reader: R, writer: W) {
    wind_up(CLOSE_WAIT, true, reader, writer).await;
}

async fn wind_up<R: HostReader, W: HostWriter>(wait: Duration, says_eof: bool, mut reader: R, writer: W) {
    let closed = async {
        let mut discarded = 0;
        loop {
            match reader.next().await {
                FromHost::Data(data) if discarded + data.len() > DISCARD => return false,
                FromHost::Data(data) => discarded += data.len(),
                come if come.is_over() => return true,
                _ => {}
            }
        }
    };
    // At the same time: the session may wait for this very stream to be read, and then takes no word from us.
    let eof = async {
        if says_eof {
            // Fails when the session is gone, which the reader sees too.
            let _ = writer.eof().await;
        }
    };
    let both = async {
        tokio::pin!(closed, eof);
        tokio::select! {
            in_order = &mut closed => in_order,
            () = &mut eof => closed.await,
        }
    };
    if !matches!(tokio::time::timeout(wait, both).await, Ok(true)) {
        close(reader, writer).await;
    }
}

/// Closes a stream by force. First nobody reads it any more: the session may wait for that, and then takes no word from us.
pub async fn close<R: HostReader, W: HostWriter>(reader: R, writer: W) {
    drop(reader);
    // Fails when the session is gone, and the stream with it.
    let _ = writer.close().await;
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

/// Takes everything the host sends, at once, and gives it to the visitor at the visitor's pace. Only for a visitor that
/// reads and has all it may have in waiting, the host's side waits. Returns the reader at the host's EOF, when the
/// visitor has been told of it, or with `false` when the visitor takes nothing more: what it had sent before may still
/// be on its way to the host.
async fn pump_down<'r, A: VisitorWrite + Unpin, R: HostReader>(
    mut to: A,
    from: &'r mut R,
    tallies: [&Tally; 2],
    terms: &Terms<'_>,
) -> Result<(&'r mut R, bool), End> {
    let c = &terms.limits.config;
    let mut backlog = Backlog::new(c.visitor_memory, c.visitor_spill, Arc::clone(&terms.limits.budget));
    let mut gauge = Gauge { tallies, shown: 0 };
    let mut ended: Option<FromHost> = None;
    let mut since = Instant::now();
    let mut pace = Pace::new(since);
    let mut hold: Option<Hold<'_>> = None;
    let mut told = false;
    let mut brake = Brake::default();
    let room = ROOM.min(backlog.file_max() / 4);
    let mut taken = Taken::default();
    let stall = tokio::time::sleep(terms.stall / LOOKS);
    tokio::pin!(stall);
    loop {
        if backlog.is_empty() && hold.is_none() {
            match ended {
                // No orderly end: the visitor must not believe that it has seen all there was.
                Some(FromHost::Gone) => return Err(End::LinkGone),
                Some(FromHost::Closed) => {
                    let _ = to.shutdown().await;
                    return Err(End::HostClosed);
                }
                Some(_) => {
                    let heard = to.shutdown().await.is_ok();
                    return Ok((from, heard));
                }
                None => {}
            }
            let mut next = Some(from.next().await);
            // All that has come by now goes in one write: each write wakes the visitor's process.
            while let Some(come) = next.take() {
                match come {
                    FromHost::Data(data) => backlog.push(data).await.map_err(|_| End::SpillFailed)?,
                    end => ended = Some(end),
                }
                if ended.is_none() && backlog.len() < BATCH {
                    next = already(from).await;
                }
            }
            since = Instant::now();
            gauge.show(backlog.len());
            continue;
        }
        // In small pieces while the session waits, so that it does not wait for a large one.
        let braked = if ended.is_none() && hold.is_none() && backlog.len() >= c.visitor_memory as u64 {
            brake.engage(Instant::now())
        } else {
            None
        };
        let most = if hold.is_some() { CHUNK / 8 } else { CHUNK };
        backlog.refill(most).await.map_err(|_| End::SpillFailed)?;
        tokio::select! {
            biased;
            written = write_some(&mut to, &backlog) => match written {
                Ok(n) if n > 0 => {
                    let now = Instant::now();
                    backlog.advance(n);
                    pace.took(n as u64, now);
                    brake.took(n);
                    if braked.is_some() && backlog.len() < c.visitor_memory as u64 {
                        brake.release(now);
                    }
                    for t in tallies {
                        t.to_visitor.fetch_add(n as u64, Ordering::Relaxed);
                    }
                }
                _ => return Ok((from, false)),
            },
            more = from.next(), if ended.is_none() && hold.is_none() && braked.is_none() => match more {
                FromHost::Data(data) if backlog.has_room(0) => {
                    backlog.push(data).await.map_err(|_| End::SpillFailed)?;
                }
                FromHost::Data(data) => {
                    let (now, waiting) = (Instant::now(), backlog.len());
                    if !pace.may_hold(now) {
                        return Err(End::TooFarBehind { waiting });
                    }
                    hold = Some(Hold::begin(data, tallies, terms.vital, now));
                    if !std::mem::replace(&mut told, true) {
                        (terms.slows)(waiting);
                    }
                }
                end => ended = Some(end),
            },
            () = &mut stall => {
                let now = Instant::now();
                let deadline = since.max(pace.last()).max(taken.last(to.unacknowledged(), pace.last(), now)) + terms.stall;
                if now >= deadline {
                    return Err(End::Stalled { after: terms.stall, waiting: backlog.len() });
                }
                stall.as_mut().reset(deadline.min(now + terms.stall / LOOKS));
            }
            () = tokio::time::sleep(BEAT), if hold.is_some() => {}
            () = sleep_until(braked), if braked.is_some() => {}
        }
        if let Some(h) = &mut hold {
            h.count();
            if terms.vital.is_ending() {
                return Err(End::LinkGone);
            }
            if backlog.has_room(room) {
                let parked = std::mem::take(&mut h.parked);
                hold = None;
                backlog.push(parked).await.map_err(|_| End::SpillFailed)?;
            } else if !pace.is_kept(Instant::now()) {
                return Err(End::TooFarBehind { waiting: backlog.len() + h.parked.len() as u64 });
            }
        }
        gauge.show(backlog.len());
    }
}

/// What has come from the host already, without waiting for it.
async fn already<R: HostReader>(from: &mut R) -> Option<FromHost> {
    poll_fn(|cx| match pin!(from.next()).poll(cx) {
        Poll::Ready(come) => Poll::Ready(Some(come)),
        Poll::Pending => Poll::Ready(None),
    })
    .await
}

async fn sleep_until(at: Option<Instant>) {
    or_never(at.map(tokio::time::sleep_until)).await;
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
#[path = "relay_tests.rs"]
mod tests;
