//! Signs of life of one session, and the way to end it that works in every state.
//!
//! The stream under the SSH library writes here; watchdogs, probes and screens read. Nothing is locked on the way of a
//! byte.

use crate::model::{Obituary, Time};
use atomic_waker::AtomicWaker;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::task::Waker;
use std::time::{Duration, Instant};

/// See [`Vital::hold`].
#[derive(Debug)]
pub struct Held<'a>(&'a Vital);

impl Drop for Held<'_> {
    fn drop(&mut self) {
        // The time starts anew before the last hold is gone, so that no watchdog sees the gap.
        self.0.alive();
        self.0.holds.fetch_sub(1, Ordering::AcqRel);
    }
}

/// Counters and the poison of one connection.
#[derive(Debug)]
pub struct Vital {
    born: Instant,
    born_at: Time,
    bytes_in: AtomicU64,
    bytes_out: AtomicU64,
    carried: AtomicU64,
    forsaken: AtomicU64,
    /// Milliseconds after `born`.
    heard: AtomicU64,
    rtt_us: AtomicU64,
    least_rtt_us: AtomicU64,
    lights: AtomicU64,
    /// Visitors for which the session is made to wait.
    holds: AtomicUsize,
    poisoned: AtomicBool,
    reader: AtomicWaker,
    writer: AtomicWaker,
    cause: Mutex<Option<Obituary>>,
}

impl Default for Vital {
    fn default() -> Self {
        Self {
            born: Instant::now(),
            born_at: crate::model::now(),
            bytes_in: AtomicU64::new(0),
            bytes_out: AtomicU64::new(0),
            carried: AtomicU64::new(0),
            forsaken: AtomicU64::new(0),
            heard: AtomicU64::new(0),
            rtt_us: AtomicU64::new(0),
            least_rtt_us: AtomicU64::new(u64::MAX),
            lights: AtomicU64::new(0),
            holds: AtomicUsize::new(0),
            poisoned: AtomicBool::new(false),
            reader: AtomicWaker::new(),
            writer: AtomicWaker::new(),
            cause: Mutex::new(None),
        }
    }
}

impl Vital {
    /// Notes bytes received.
    pub fn received(&self, n: usize) {
        self.bytes_in.fetch_add(n as u64, Ordering::Relaxed);
        self.alive();
    }

    /// Notes bytes sent.
    pub fn sent(&self, n: usize) {
        self.bytes_out.fetch_add(n as u64, Ordering::Relaxed);
    }

    /// Notes received bytes that were data of a channel, or else for something.
    pub fn carries(&self, n: usize) {
        self.carried.fetch_add(n as u64, Ordering::Relaxed);
    }

    /// See [`Vital::carries`].
    #[must_use]
    pub fn carried(&self) -> u64 {
        self.carried.load(Ordering::Relaxed)
    }

    /// Notes that we have closed a channel in which so many bytes may still be on their way: the library drops them unseen.
    pub fn forsakes(&self, n: usize) {
        self.forsaken.fetch_add(n as u64, Ordering::Relaxed);
    }

    /// See [`Vital::forsakes`]; of all channels.
    #[must_use]
    pub fn forsaken(&self) -> u64 {
        self.forsaken.load(Ordering::Relaxed)
    }

    /// Notes a sign of life that is no byte: the peer's TCP took data after having taken none.
    pub fn alive(&self) {
        let ms = u64::try_from(self.born.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.heard.store(ms, Ordering::Relaxed);
    }

    /// Bytes received.
    #[must_use]
    pub fn bytes_in(&self) -> u64 {
        self.bytes_in.load(Ordering::Relaxed)
    }

    /// Bytes sent.
    #[must_use]
    pub fn bytes_out(&self) -> u64 {
        self.bytes_out.load(Ordering::Relaxed)
    }

    /// The session is made to wait for a visitor, and does not listen, until this is dropped.
    #[must_use]
    pub fn hold(&self) -> Held<'_> {
        self.holds.fetch_add(1, Ordering::AcqRel);
        Held(self)
    }

    /// Whether the session is made to wait.
    #[must_use]
    pub fn is_held(&self) -> bool {
        self.holds.load(Ordering::Acquire) > 0
    }

    /// How long nothing has been heard. While we do not listen that says nothing of the other side, and does not count.
    #[must_use]
    pub fn silence(&self) -> Duration {
        if self.is_held() {
            return Duration::ZERO;
        }
        self.born.elapsed().saturating_sub(Duration::from_millis(self.heard.load(Ordering::Relaxed)))
    }

    /// When something was last heard.
    #[must_use]
    pub fn last_heard(&self) -> Time {
        self.born_at + Duration::from_millis(self.heard.load(Ordering::Relaxed))
    }

    /// How long the connection has stood.
    #[must_use]
    pub fn age(&self) -> Duration {
        self.born.elapsed()
    }

    /// Notes a measured round trip.
    pub fn measured(&self, rtt: Duration) {
        let us = u64::try_from(rtt.as_micros()).unwrap_or(0).max(1);
        self.rtt_us.store(us, Ordering::Relaxed);
        self.least_rtt_us.fetch_min(us, Ordering::Relaxed);
    }

    /// A visitor of the host sends, and little: it waits for each answer, as at a prompt.
    pub fn light_begins(&self) {
        self.lights.fetch_add(1, Ordering::Relaxed);
    }

    /// Such a one is over, or uploads now.
    pub fn light_ends(&self) {
        self.lights.fetch_sub(1, Ordering::Relaxed);
    }

    /// Visitors that have sent something and do not upload.
    #[must_use]
    pub fn lights(&self) -> u64 {
        self.lights.load(Ordering::Relaxed)
    }

    /// Notes what the path alone takes, as the kernel measured it.
    pub fn path(&self, rtt: Duration) {
        let us = u64::try_from(rtt.as_micros()).unwrap_or(u64::MAX - 1).max(1);
        self.least_rtt_us.fetch_min(us, Ordering::Relaxed);
    }

    /// The shortest round trip measured: what the path itself takes, without the queues of a transfer.
    #[must_use]
    pub fn least_rtt(&self) -> Option<Duration> {
        match self.least_rtt_us.load(Ordering::Relaxed) {
            u64::MAX => None,
            us => Some(Duration::from_micros(us)),
        }
    }

    /// The last measured round trip, in milliseconds.
    #[must_use]
    pub fn rtt_ms(&self) -> Option<f64> {
        match self.rtt_us.load(Ordering::Relaxed) {
            0 => None,
            #[allow(clippy::cast_precision_loss)]
            us => Some(us as f64 / 1000.0),
        }
    }

    /// Ends the connection at once, whatever it is doing: the stream fails at its next read and write, and those that
    /// wait are woken.
    pub fn poison(&self) {
        self.poisoned.store(true, Ordering::Release);
        self.reader.wake();
        self.writer.wake();
    }

    /// Whether [`Vital::poison`] was called.
    #[must_use]
    pub fn is_poisoned(&self) -> bool {
        self.poisoned.load(Ordering::Acquire)
    }

    /// Registers who waits to read. Look at [`Vital::is_poisoned`] afterwards.
    pub fn wait_read(&self, waker: &Waker) {
        self.reader.register(waker);
    }

    /// Registers who waits to write. Look at [`Vital::is_poisoned`] afterwards.
    pub fn wait_write(&self, waker: &Waker) {
        self.writer.register(waker);
    }

    /// Says why the session ends. The first cause stands; what follows from it does not replace it.
    pub fn ends(&self, obituary: Obituary) {
        self.cause.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(obituary);
    }

    /// Whether the session ends or has ended.
    #[must_use]
    pub fn is_ending(&self) -> bool {
        self.is_poisoned() || self.cause.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    /// Why the session ended, if somebody said.
    #[must_use]
    pub fn cause(&self) -> Option<Obituary> {
        self.cause.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
