//! Reading ahead of the SSH library, which asks for four bytes of a packet and then for the rest: two calls of the kernel
//! for each packet, three with what it takes to learn that there is nothing more.
//!
//! A quiet session reads into a small buffer that it gives back at once. One that fills it is under bulk: then a single
//! `readv` fills what the library asked for and, behind it, a buffer that grows with what comes. Bytes that land where
//! they were wanted are not copied. And the kernel is told not to wake us for each packet of it: a quarter less time for
//! each byte, and larger writes to the visitor.

use std::future::Future;
use std::io::{self, IoSliceMut};
use std::os::fd::AsRawFd;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep};

/// Read ahead by a quiet session, bytes: any packet but those of a transfer.
const LEAST: usize = 4 * 1024;
/// Read ahead under bulk at most: the rest of one packet and three whole ones (32 KiB each, OpenSSH's size).
const MOST: usize = 128 * 1024;

/// Under bulk the kernel wakes us for so much, bytes: four packets. At the speed at which that pays it is a third of a
/// millisecond.
const WORTHWHILE: libc::c_int = 128 * 1024;
/// When so much does not come within this, it wakes us for any byte again.
const PATIENCE: Duration = Duration::from_millis(1);

struct Waits {
    until: Pin<Box<Sleep>>,
    /// Whether we wait too, and `until` holds.
    armed: bool,
}

/// Bytes that have come before they were asked for.
#[derive(Default)]
pub(super) struct ReadAhead {
    buf: Vec<u8>,
    start: usize,
    end: usize,
    /// How much to read ahead next time; 0 stands for [`LEAST`].
    size: usize,
    /// While the kernel waits for [`WORTHWHILE`].
    waits: Option<Waits>,
}

impl ReadAhead {
    /// As [`AsyncRead::poll_read`] of the stream itself.
    pub(super) fn poll_read(
        &mut self,
        from: &mut TcpStream,
        cx: &mut Context<'_>,
        to: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.start < self.end {
            self.hand_out(to);
            return Poll::Ready(Ok(()));
        }
        if self.size > LEAST { self.read_bulk(from, cx, to) } else { self.read_quietly(from, cx, to) }
    }

    fn hand_out(&mut self, to: &mut ReadBuf<'_>) {
        let waiting = self.buf.get(self.start..self.end).unwrap_or_default();
        let now = waiting.get(..waiting.len().min(to.remaining())).unwrap_or_default();
        to.put_slice(now);
        self.start += now.len();
        if self.start == self.end && self.size <= LEAST {
            // Thousands of sessions are quiet most of the time.
            self.buf = Vec::new();
        }
    }

    /// tokio's own read knows from a short count that the socket is empty, and saves the call that would say so.
    fn read_quietly(
        &mut self,
        from: &mut TcpStream,
        cx: &mut Context<'_>,
        to: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if to.remaining() >= LEAST {
            return Pin::new(from).poll_read(cx, to);
        }
        // A session that only waits holds no buffer.
        ready!(from.poll_read_ready(cx))?;
        self.buf.resize(LEAST, 0);
        let mut own = ReadBuf::new(&mut self.buf);
        let result = Pin::new(from).poll_read(cx, &mut own);
        (self.start, self.end) = (0, own.filled().len());
        if self.end == LEAST {
            self.size = LEAST * 4;
        }
        if self.end == 0 {
            self.buf = Vec::new();
        }
        ready!(result)?;
        self.hand_out(to);
        Poll::Ready(Ok(()))
    }

    fn read_bulk(&mut self, from: &TcpStream, cx: &mut Context<'_>, to: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.buf.len() != self.size {
            // Made anew rather than grown: there is nothing in it to keep.
            self.buf = vec![0; self.size];
        }
        let asked = to.remaining();
        let n = loop {
            ready!(self.poll_worthwhile(from, cx))?;
            let mut both = [IoSliceMut::new(to.initialize_unfilled()), IoSliceMut::new(&mut self.buf)];
            match from.try_read_vectored(&mut both) {
                Ok(n) => break n,
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
                Err(e) => return Poll::Ready(Err(e)),
            }
        };
        to.advance(n.min(asked));
        (self.start, self.end) = (0, n.saturating_sub(asked));
        if self.end == self.buf.len() {
            self.size = (self.size * 4).min(MOST);
        } else if n < self.size / 8 && self.waits.is_none() {
            self.size /= 2;
        }
        Poll::Ready(Ok(()))
    }

    /// Ready when much has come, or when something has and more has not for too long.
    fn poll_worthwhile(&mut self, from: &TcpStream, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let ready = from.poll_read_ready(cx);
        if ready.is_ready() || (self.size < MOST && self.waits.is_none()) {
            if let Some(w) = &mut self.waits {
                w.armed = false;
            }
            return ready;
        }
        let waits = self.waits.get_or_insert_with(|| {
            wake_for(from, WORTHWHILE);
            Waits { until: Box::pin(tokio::time::sleep(PATIENCE)), armed: true }
        });
        if !std::mem::replace(&mut waits.armed, true) {
            waits.until.as_mut().reset(Instant::now() + PATIENCE);
        }
        if waits.until.as_mut().poll(cx).is_ready() {
            // Bulk no more. If something is there the kernel tells at once.
            wake_for(from, 1);
            self.waits = None;
            self.size = LEAST * 4;
        }
        Poll::Pending
    }
}

/// Makes the socket readable only when so many bytes are there, or its end.
fn wake_for(socket: &TcpStream, bytes: libc::c_int) {
    let size = libc::socklen_t::try_from(std::mem::size_of_val(&bytes)).unwrap_or(0);
    // SAFETY: setsockopt(2) reads `size` bytes from `bytes`, which is that long and outlives the call; the descriptor is
    // open as long as `socket` is borrowed. There is no safe binding of SO_RCVLOWAT in the crates that are here.
    #[allow(unsafe_code)]
    let result = unsafe {
        libc::setsockopt(socket.as_raw_fd(), libc::SOL_SOCKET, libc::SO_RCVLOWAT, (&raw const bytes).cast(), size)
    };
    // Without it each packet wakes us, which is only slower.
    let _ = result;
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::poll_fn;
    use tokio::io::AsyncWriteExt;

    struct Rig {
        near: TcpStream,
        ahead: ReadAhead,
    }

    impl Rig {
        async fn new() -> (Self, TcpStream) {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            let far = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
            (Self { near: listener.accept().await.unwrap().0, ahead: ReadAhead::default() }, far)
        }

        /// One read of at most `n` bytes.
        async fn read(&mut self, n: usize) -> Vec<u8> {
            let mut buf = vec![0; n];
            let mut to = ReadBuf::new(&mut buf);
            poll_fn(|cx| self.ahead.poll_read(&mut self.near, cx, &mut to)).await.unwrap();
            to.filled().to_vec()
        }

        async fn read_exact(&mut self, n: usize) -> Vec<u8> {
            let mut got = Vec::new();
            while got.len() < n {
                let more = self.read(n - got.len()).await;
                assert!(!more.is_empty());
                got.extend(more);
            }
            got
        }
    }

    #[tokio::test]
    async fn every_byte_comes_once_and_in_order_whatever_is_asked_for() {
        let (mut rig, mut far) = Rig::new().await;
        let sent: Vec<u8> = (0..3_000_000_u32).map(|i| (i % 251) as u8).collect();
        let expected = sent.clone();
        let writer = tokio::spawn(async move {
            far.write_all(&sent).await.unwrap();
            far
        });
        let mut at = 0;
        let mut largest = 0;
        for ask in [4, 32_780, 1, 4, 70_000, 4, 16].into_iter().cycle() {
            let ask = ask.min(expected.len() - at);
            if ask == 0 {
                break;
            }
            assert_eq!(rig.read_exact(ask).await, expected[at..at + ask]);
            at += ask;
            largest = largest.max(rig.ahead.buf.len());
        }
        assert!(largest > LEAST, "it never noticed the bulk");
        assert!(largest <= MOST);
        // The end is an end, not an error.
        drop(writer.await.unwrap());
        assert_eq!(rig.read(4).await, b"");
        assert!(rig.ahead.start == rig.ahead.end);
    }

    #[tokio::test]
    async fn what_comes_after_bulk_and_is_little_is_not_left_lying() {
        let (mut rig, mut far) = Rig::new().await;
        rig.ahead.size = MOST;
        for round in 0..3 {
            // Read while nothing is there: the kernel is told to wait for much.
            let little = async {
                tokio::task::yield_now().await;
                far.write_all(b"ping").await.unwrap();
            };
            let (got, ()) = tokio::join!(rig.read_exact(4), little);
            assert_eq!(got, b"ping", "round {round}");
            assert!(rig.ahead.waits.is_none() && rig.ahead.size < MOST);
            rig.ahead.size = MOST;
        }
        // An end comes through at once.
        let mut buf = [0; 4];
        let end = async {
            tokio::task::yield_now().await;
            drop(far);
        };
        let mut to = ReadBuf::new(&mut buf);
        let read = poll_fn(|cx| rig.ahead.poll_read(&mut rig.near, cx, &mut to));
        let (result, ()) = tokio::join!(read, end);
        assert!(result.is_ok() && to.filled().is_empty());
    }

    #[tokio::test]
    async fn a_quiet_session_holds_no_buffer_and_one_that_falls_quiet_gives_it_back() {
        let (mut rig, mut far) = Rig::new().await;
        far.write_all(b"ping").await.unwrap();
        assert_eq!(rig.read(4).await, b"ping");
        assert_eq!(rig.ahead.buf.capacity(), 0);

        rig.ahead.size = MOST;
        for _ in 0..8 {
            far.write_all(b"ping").await.unwrap();
            assert_eq!(rig.read_exact(4).await, b"ping");
        }
        assert_eq!(rig.ahead.buf.capacity(), 0);
    }
}
