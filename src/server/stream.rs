//! The byte stream under one SSH session: counts, notes signs of life, and can be poisoned.
//!
//! The library owns its session's task and gives no way to end it that works in every state (a disconnect queues behind
//! data). It does not own the stream.

use super::ahead::ReadAhead;
use super::kexinit::{Offer, Sniffer};
use super::noise::Noise;
use crate::model::{Obituary, ObituaryCause};
use crate::tunnels::Vital;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::Sleep;

/// Longest identification string (RFC 4253 §4.2: 255 characters with the line end).
const IDENT_MAX: usize = 255;

/// How long the other side is listened to after somebody has said goodbye: so that what we said last is not lost by a reset.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// The client's identification, as far as it has come.
#[derive(Debug, Default)]
pub(super) struct Ident(OnceLock<String>, Mutex<Option<String>>, Mutex<Option<Offer>>, AtomicBool, Said);

/// What the library said of it, and whether somebody has signed in.
#[derive(Debug, Default)]
struct Said {
    heard: Mutex<Vec<&'static str>>,
    signed_in: AtomicBool,
}

impl Ident {
    /// The key that was last offered and would do, were it proved.
    pub(super) fn offered(&self, fingerprint: &str) {
        *self.1.lock().unwrap_or_else(PoisonError::into_inner) = Some(fingerprint.to_owned());
    }

    /// See [`Ident::offered`]. A connection that ends with one has not proved it: a wrong signature, perhaps.
    pub(super) fn unproved(&self) -> Option<String> {
        self.1.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The key was proved, and refused all the same: that is told where it was refused.
    pub(super) fn judged(&self) {
        *self.1.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// A sign-in was refused.
    pub(super) fn failed(&self) {
        self.3.store(true, Ordering::Relaxed);
    }

    /// Whether one was: a key not accepted, or accepted and then not proved.
    pub(super) fn has_failed(&self) -> bool {
        self.3.load(Ordering::Relaxed) || self.unproved().is_some()
    }

    /// A rule by which the library refused something by itself.
    pub(super) fn hear(&self, rule: &'static str) {
        let mut heard = self.4.heard.lock().unwrap_or_else(PoisonError::into_inner);
        // A client may try the same a few times.
        if heard.len() < 8 {
            heard.push(rule);
        }
    }

    /// See [`Ident::hear`]. Given once.
    pub(super) fn take_heard(&self) -> Vec<&'static str> {
        std::mem::take(&mut *self.4.heard.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Whether somebody has signed in.
    pub(super) fn is_in(&self) -> bool {
        self.4.signed_in.load(Ordering::Relaxed)
    }

    /// The key is proved, and known elsewhere.
    pub(super) fn proved(&self) {
        self.4.signed_in.store(true, Ordering::Relaxed);
        super::ear::reads_no_more();
        *self.1.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    fn set_offer(&self, offer: Offer) {
        *self.2.lock().unwrap_or_else(PoisonError::into_inner) = Some(offer);
    }

    /// What the client offered in its first packet. Given once: a session of hours need not keep its dozens of names.
    pub(super) fn take_offer(&self) -> Option<Offer> {
        self.2.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// The client's software, without `SSH-2.0-`, cleaned; empty while unknown.
    pub(super) fn software(&self) -> String {
        let line = self.0.get().map_or("", String::as_str);
        crate::model::clean(line.strip_prefix("SSH-2.0-").unwrap_or(line), 80)
    }
}

/// What a client sends first, as it comes: its identification, and the packet behind it.
#[derive(Debug, Default)]
pub(super) struct Opening {
    first: Vec<u8>,
    kexinit: Sniffer,
}

impl Opening {
    /// More bytes of the stream.
    pub(super) fn hear(&mut self, bytes: &[u8], ident: &Ident) {
        if ident.0.get().is_some() {
            if let Some(offer) = self.kexinit.feed(bytes) {
                ident.set_offer(offer);
            }
            return;
        }
        let before = self.first.len();
        let room = IDENT_MAX.saturating_sub(before);
        self.first.extend_from_slice(bytes.get(..bytes.len().min(room)).unwrap_or_default());
        if let Some(end) = self.first.iter().position(|b| *b == b'\n') {
            // What came with it belongs to the first packet.
            if let Some(offer) = bytes.get((end + 1).saturating_sub(before)..).and_then(|rest| self.kexinit.feed(rest))
            {
                ident.set_offer(offer);
            }
            let line = String::from_utf8_lossy(self.first.get(..end).unwrap_or_default()).trim_end().to_owned();
            let _ = ident.0.set(line);
            self.first = Vec::new();
        }
    }

    /// Bytes held.
    #[cfg(any(test, fuzzing))]
    pub(super) fn held(&self) -> usize {
        self.first.len() + self.kexinit.held()
    }
}

pub(super) struct SessionStream {
    inner: TcpStream,
    ahead: ReadAhead,
    vital: Arc<Vital>,
    ident: Arc<Ident>,
    opening: Opening,
    blocked: bool,
    noise: Noise,
    /// What was sent before the library came, and comes from it once more.
    said: &'static [u8],
    /// Since the library has closed our side: until when the other's is listened to.
    closing: Option<Pin<Box<Sleep>>>,
}

impl SessionStream {
    pub(super) fn new(inner: TcpStream, vital: Arc<Vital>, ident: Arc<Ident>) -> Self {
        Self {
            inner,
            ahead: ReadAhead::default(),
            vital,
            ident,
            opening: Opening::default(),
            blocked: false,
            noise: Noise::default(),
            said: &[],
            closing: None,
        }
    }

    /// These bytes are sent already: the library will send them first, and then they are passed over.
    pub(super) fn has_said(&mut self, bytes: &'static [u8]) {
        self.said = bytes;
    }

    /// Waits for the client's first bytes, and leaves them where they are. None: it has left.
    pub(super) async fn peek(&self, into: &mut [u8]) -> io::Result<usize> {
        self.inner.peek(into).await
    }

    /// How many of these bytes were sent before.
    fn again(&mut self, bytes: &[u8]) -> usize {
        let n = self.said.len().min(bytes.len());
        let same = self.said.get(..n) == bytes.get(..n);
        self.said = if same { self.said.get(n..).unwrap_or_default() } else { &[] };
        if same { n } else { 0 }
    }

    /// Throws away what still comes, until the other side ends or its time is over: an end then, whatever it says.
    ///
    /// Once somebody has said goodbye the library reads until the stream ends, for as long as that takes: a client that
    /// says it and goes on sending would keep its session, its ports and our watchdog happy for ever.
    fn poll_drain(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut waste = [0; 4096];
        loop {
            if self.closing.as_mut().is_none_or(|until| until.as_mut().poll(cx).is_ready()) {
                return Poll::Ready(Ok(()));
            }
            let mut buf = ReadBuf::new(&mut waste);
            ready!(Pin::new(&mut self.inner).poll_read(cx, &mut buf))?;
            if buf.filled().is_empty() {
                return Poll::Ready(Ok(()));
            }
        }
    }

    fn wrote(&mut self, result: &Poll<io::Result<usize>>) {
        match result {
            Poll::Ready(Ok(n)) => {
                self.vital.sent(*n);
                if self.blocked {
                    // The peer's TCP took something after having taken nothing: somebody is there, even if the library
                    // does not read while it writes.
                    self.vital.alive();
                }
                self.blocked = false;
            }
            Poll::Ready(Err(_)) => {}
            Poll::Pending => self.blocked = true,
        }
    }
}

fn poisoned() -> io::Error {
    io::Error::new(io::ErrorKind::ConnectionAborted, "the session was ended by the bastion")
}

impl AsyncRead for SessionStream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.vital.wait_read(cx.waker());
        if self.vital.is_poisoned() {
            return Poll::Ready(Err(poisoned()));
        }
        if self.closing.is_some() {
            return self.poll_drain(cx);
        }
        let before = buf.filled().len();
        let me = &mut *self;
        let result = me.ahead.poll_read(&mut me.inner, cx, buf);
        if let Poll::Ready(Ok(())) = &result {
            let new = buf.filled().get(before..).unwrap_or_default();
            if !new.is_empty() {
                if !self.ident.is_in() {
                    super::ear::reads(&self.ident);
                }
                self.vital.received(new.len());
                let me = &mut *self;
                me.opening.hear(new, &me.ident);
                if let Some(why) = me.noise.look(&me.vital, Instant::now) {
                    me.vital.ends(Obituary::with(ObituaryCause::ProtocolError, &why));
                    me.vital.poison();
                    return Poll::Ready(Err(poisoned()));
                }
            }
        }
        result
    }
}

impl AsyncWrite for SessionStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.vital.wait_write(cx.waker());
        if self.vital.is_poisoned() {
            return Poll::Ready(Err(poisoned()));
        }
        if !self.said.is_empty() && !buf.is_empty() {
            let again = self.again(buf);
            if again > 0 {
                return Poll::Ready(Ok(again));
            }
        }
        let result = Pin::new(&mut self.inner).poll_write(cx, buf);
        self.wrote(&result);
        result
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.vital.wait_write(cx.waker());
        if self.vital.is_poisoned() {
            return Poll::Ready(Err(poisoned()));
        }
        let result = Pin::new(&mut self.inner).poll_write_vectored(cx, bufs);
        self.wrote(&result);
        result
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // The library comes here when somebody has said goodbye; if it was us, the cause is known already. A client that
        // has said it leaves at once, often with a reset on its heels, which would otherwise be taken for the cause.
        self.vital.ends(Obituary::of(ObituaryCause::ClientDisconnect));
        if self.closing.is_none() {
            self.closing = Some(Box::pin(tokio::time::sleep(LAST_WORDS)));
        }
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}
