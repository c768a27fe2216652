//! How much may be on its way to a host through one channel.
//!
//! A stock client grants 2 MiB, and on a short path a bulk upload fills that: the client's own queue. Whatever else goes
//! through the session then waits behind it: four milliseconds, measured, where less than one will do. An eighth of it
//! keeps a near client busy enough. An upload that is alone in its session has nobody to make wait, and on a long path every
//! byte of the window is needed: neither is held back.

use crate::tunnels::Vital;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;
use tokio::sync::Notify;

/// A client with a round trip of no more than this is near.
const NEAR: Duration = Duration::from_millis(1);
/// Sent to a near client before it makes room, bytes: 256 MB/s at the longest round trip that counts as near.
const ENOUGH: u32 = 256 * 1024;
/// A near client makes room well within this, or it does not do so piecemeal and the limit is not for it.
const PATIENCE: Duration = Duration::from_millis(10);

/// What OpenSSH grants at first (`CHAN_TCP_WINDOW_DEFAULT`); the library does not tell.
const OPENSSH_WINDOW: u32 = 2 * 1024 * 1024;

/// What is on its way through one channel, as far as the client has told.
pub(super) struct Flight {
    vital: Arc<Vital>,
    /// Among those that send. A check of a service, or a download, makes nobody wait and waits for nobody.
    counted: AtomicBool,
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
            counted: AtomicBool::new(false),
            vital,
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
        if !self.counted.swap(true, Ordering::Relaxed) {
            self.vital.stream_opens();
        }
        while self.out.load(Ordering::Relaxed) >= ENOUGH
            && self.full.load(Ordering::Relaxed) > ENOUGH
            && self.vital.streams() > 1
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
        if *self.counted.get_mut() {
            self.vital.stream_closes();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::Instant;

    fn flight(rtt: Duration, openssh: bool) -> Flight {
        let vital = Arc::new(Vital::default());
        vital.measured(rtt);
        // Somebody else is there.
        vital.stream_opens();
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
}
