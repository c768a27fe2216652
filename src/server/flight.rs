//! How much may be on its way to a host through one channel.
//!
//! A stock client grants 2 MiB, and on a short path a bulk upload fills that: the client's own queue. Whatever else goes
//! through the session then waits behind it: four milliseconds, measured, where less than one will do. An eighth of it
//! keeps a near client busy enough. Uploads among themselves have nobody to make wait, and on a long path every byte of
//! the window is needed: neither are held back.

use crate::tunnels::Vital;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::Instant;

/// A client with a round trip of no more than this is near.
const NEAR: Duration = Duration::from_millis(1);
/// Sent to a near client before it makes room, bytes: 256 MB/s at the longest round trip that counts as near.
const ENOUGH: u32 = 256 * 1024;
/// A near client makes room well within this, or it does not do so piecemeal and the limit is not for it.
const PATIENCE: Duration = Duration::from_millis(10);

/// What OpenSSH grants at first (`CHAN_TCP_WINDOW_DEFAULT`); the library does not tell.
const OPENSSH_WINDOW: u32 = 2 * 1024 * 1024;

/// A visitor that sends this much within [`STINT`] uploads; one that does not, waits for each answer.
const BULK: usize = 1024 * 1024;
const STINT: Duration = Duration::from_millis(100);

/// What a visitor is to the others of its session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Manner {
    /// It has sent nothing: a check of a service, or a download. It makes nobody wait and waits for nobody.
    Silent,
    /// It sends little, and would like it to arrive soon.
    Light,
    /// It uploads.
    Bulk,
}

/// How much one visitor sends.
#[derive(Debug)]
struct Rate {
    manner: Manner,
    since: Instant,
    sent: usize,
}

impl Rate {
    /// Notes what is to be sent; what it was and what it is.
    fn sends(&mut self, n: usize) -> (Manner, Manner) {
        let (was, now) = (self.manner, Instant::now());
        let past = now.saturating_duration_since(self.since);
        if past > STINT {
            if past > STINT * 2 || self.sent < BULK {
                self.manner = Manner::Light;
            }
            (self.since, self.sent) = (now, 0);
        }
        self.sent = self.sent.saturating_add(n);
        if self.sent >= BULK {
            self.manner = Manner::Bulk;
        } else if self.manner == Manner::Silent {
            self.manner = Manner::Light;
        }
        (was, self.manner)
    }
}

/// What is on its way through one channel, as far as the client has told.
pub(super) struct Flight {
    vital: Arc<Vital>,
    rate: Mutex<Rate>,
    /// The whole window; the largest seen where it is not known.
    full: AtomicU32,
    /// Sent and not made room for.
    out: AtomicU32,
    room: Notify,
}

impl Flight {
    /// For a client that calls itself `software`.
    pub(super) fn new(vital: Arc<Vital>, openssh: bool) -> Self {
        let full = if openssh { OPENSSH_WINDOW } else { 0 };
        Self {
            vital,
            rate: Mutex::new(Rate { manner: Manner::Silent, since: Instant::now(), sent: 0 }),
            full: AtomicU32::new(full),
            out: AtomicU32::new(0),
            room: Notify::new(),
        }
    }

    /// The client has made room: this much may be sent now.
    pub(super) fn window(&self, size: u32) {
        let full = self.full.fetch_max(size, Ordering::Relaxed).max(size);
        self.out.store(full - size, Ordering::Relaxed);
        self.room.notify_one();
    }

    /// Waits until `n` bytes more may be sent.
    pub(super) async fn send(&self, n: usize) {
        let (was, is) = self.rate.lock().unwrap_or_else(PoisonError::into_inner).sends(n);
        if was != Manner::Light && is == Manner::Light {
            self.vital.light_begins();
        }
        if was == Manner::Light && is != Manner::Light {
            self.vital.light_ends();
        }
        let own = u64::from(is == Manner::Light);
        while self.out.load(Ordering::Relaxed) >= ENOUGH
            && self.full.load(Ordering::Relaxed) > ENOUGH
            && self.vital.lights() > own
            && self.vital.least_rtt().is_some_and(|rtt| rtt <= NEAR)
        {
            if tokio::time::timeout(PATIENCE, self.room.notified()).await.is_err() {
                // The service behind it does not take anything, or the client makes room by halves of the window.
                break;
            }
        }
        self.out.fetch_add(u32::try_from(n).unwrap_or(u32::MAX), Ordering::Relaxed);
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        if self.rate.get_mut().unwrap_or_else(PoisonError::into_inner).manner == Manner::Light {
            self.vital.light_ends();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flight(rtt: Duration, openssh: bool) -> Flight {
        let vital = Arc::new(Vital::default());
        vital.measured(rtt);
        // Somebody else is there.
        vital.light_begins();
        Flight::new(vital, openssh)
    }

    async fn took(f: &Flight, n: usize) -> Duration {
        let began = Instant::now();
        f.send(n).await;
        began.elapsed()
    }

    #[tokio::test(start_paused = true)]
    async fn a_near_client_is_sent_more_only_when_it_makes_room() {
        let f = flight(Duration::from_micros(200), true);
        assert_eq!(took(&f, ENOUGH as usize).await, Duration::ZERO);
        let more = async {
            tokio::time::sleep(Duration::from_millis(3)).await;
            f.window(OPENSSH_WINDOW);
        };
        let (waited, ()) = tokio::join!(took(&f, 1000), more);
        assert!(waited >= Duration::from_millis(3) && waited < PATIENCE, "{waited:?}");
        assert_eq!(f.out.load(Ordering::Relaxed), 1000);
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_is_far_or_makes_room_in_another_way_is_not_held_back() {
        for f in [flight(Duration::from_millis(20), true), flight(Duration::from_micros(200), false)] {
            for _ in 0..10 {
                assert_eq!(took(&f, ENOUGH as usize).await, Duration::ZERO);
            }
        }
        // It makes no room at all: each write is late, none is lost.
        let f = flight(Duration::from_micros(200), true);
        assert_eq!(took(&f, ENOUGH as usize).await, Duration::ZERO);
        assert!(took(&f, 1).await <= PATIENCE * 2);
    }

    #[tokio::test(start_paused = true)]
    async fn uploads_among_themselves_are_not_held_back_until_somebody_else_comes() {
        let vital = Arc::new(Vital::default());
        vital.measured(Duration::from_micros(200));
        let (a, b) = (Flight::new(Arc::clone(&vital), true), Flight::new(Arc::clone(&vital), true));
        a.send(BULK).await;
        b.send(BULK).await;
        assert_eq!(vital.lights(), 0);
        assert_eq!(took(&a, ENOUGH as usize).await, Duration::ZERO);

        let other = Flight::new(Arc::clone(&vital), true);
        other.send(1).await;
        assert_eq!(vital.lights(), 1);
        assert_eq!(took(&a, ENOUGH as usize).await, PATIENCE);
        drop(other);
        assert_eq!(took(&a, ENOUGH as usize).await, Duration::ZERO);

        // One that has stopped and sends a little again is light again, and counts once.
        tokio::time::advance(STINT * 3).await;
        a.send(10).await;
        a.send(10).await;
        assert_eq!(vital.lights(), 1);
        drop((a, b));
        assert_eq!(vital.lights(), 0);
    }
}
