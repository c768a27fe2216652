//! When a visitor may slow its host's session down, and for how long it does.
//!
//! Beyond what may be kept for a visitor there are two ways out: cut it, or take nothing more from the host until it has
//! caught up a little. The second makes every tunnel of the same session wait, so only a visitor that does read is worth
//! it, and it is counted and told.

use super::relay::Tally;
use super::vital::{Held, Vital};
use bytes::Bytes;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::time::Instant;

/// What a visitor must take, bytes a second, for its session to be slowed rather than the visitor cut.
pub const HOLD_FLOOR: u64 = 64 * 1024;
/// The time over which that is measured.
pub const HOLD_WINDOW: Duration = Duration::from_secs(2);
/// A visitor that has taken nothing for this long does not get its session held in the first place: for one that is
/// dead, no neighbour waits at all.
const FRESH: Duration = Duration::from_secs(1);
/// How often a hold looks up while nothing happens.
pub(super) const BEAT: Duration = Duration::from_millis(250);
/// Room that ends a hold: the session takes a breath each time the visitor has read this much, once a second at the
/// slowest.
pub(super) const ROOM: u64 = 64 * 1024;

const SLOTS: u64 = 8;
const SLOT: Duration = Duration::from_millis(250);

/// How fast a visitor reads, over the last [`HOLD_WINDOW`].
pub(super) struct Pace {
    origin: Instant,
    slot: u64,
    taken: [u64; SLOTS as usize],
    last: Instant,
}

impl Pace {
    pub(super) fn new(now: Instant) -> Self {
        Self { origin: now, slot: 0, taken: [0; SLOTS as usize], last: now }
    }

    fn roll(&mut self, now: Instant) {
        let slot = u64::try_from(now.saturating_duration_since(self.origin).as_millis() / SLOT.as_millis());
        let slot = slot.unwrap_or(u64::MAX);
        let passed = slot.saturating_sub(self.slot).min(SLOTS);
        for n in 1..=passed {
            if let Some(t) = self.place(self.slot + n) {
                *t = 0;
            }
        }
        self.slot = self.slot.max(slot);
    }

    fn place(&mut self, slot: u64) -> Option<&mut u64> {
        self.taken.get_mut(usize::try_from(slot % SLOTS).unwrap_or_default())
    }

    /// The visitor took bytes.
    pub(super) fn took(&mut self, n: u64, now: Instant) {
        self.roll(now);
        let slot = self.slot;
        if let Some(t) = self.place(slot) {
            *t += n;
        }
        self.last = now;
    }

    /// When it last took any.
    pub(super) fn last(&self) -> Instant {
        self.last
    }

    /// Whether it reads fast enough for its session to wait for it. A newcomer is measured by the time it has had.
    pub(super) fn is_kept(&mut self, now: Instant) -> bool {
        self.roll(now);
        let time = now.saturating_duration_since(self.origin).min(HOLD_WINDOW);
        u128::from(self.taken.iter().sum::<u64>()) * 1000 >= u128::from(HOLD_FLOOR) * time.as_millis()
    }

    /// Whether a hold may begin.
    pub(super) fn may_hold(&mut self, now: Instant) -> bool {
        now.saturating_duration_since(self.last) < FRESH && self.is_kept(now)
    }
}

/// A session made to wait, until dropped. Counts the time, and keeps the watchdog from taking the silence for death.
pub(super) struct Hold<'a> {
    /// What had come when there was no room left.
    pub(super) parked: Bytes,
    tallies: [&'a Tally; 2],
    since: Instant,
    counted: u64,
    _held: Held<'a>,
}

impl<'a> Hold<'a> {
    pub(super) fn begin(parked: Bytes, tallies: [&'a Tally; 2], vital: &'a Vital, now: Instant) -> Self {
        for t in tallies {
            t.holding.fetch_add(1, Ordering::Relaxed);
        }
        Self { parked, tallies, since: now, counted: 0, _held: vital.hold() }
    }

    /// Brings the counters up to date.
    pub(super) fn count(&mut self) {
        let ms = u64::try_from(self.since.elapsed().as_millis()).unwrap_or(u64::MAX);
        for t in self.tallies {
            t.held.fetch_add(ms.saturating_sub(self.counted), Ordering::Relaxed);
        }
        self.counted = ms;
    }
}

impl Drop for Hold<'_> {
    fn drop(&mut self) {
        self.count();
        for t in self.tallies {
            t.holding.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn only_a_visitor_that_reads_keeps_its_session_waiting() {
        let mut pace = Pace::new(Instant::now());
        tokio::time::advance(Duration::from_millis(250)).await;
        assert!(!pace.may_hold(Instant::now()), "it has taken nothing yet");
        for _ in 0..30 {
            pace.took(HOLD_FLOOR / 4, Instant::now());
            tokio::time::advance(Duration::from_millis(250)).await;
        }
        pace.took(HOLD_FLOOR / 4, Instant::now());
        assert!(pace.may_hold(Instant::now()), "at the floor it may");
        tokio::time::advance(Duration::from_millis(1100)).await;
        assert!(!pace.may_hold(Instant::now()), "not when it has just stopped");
        tokio::time::advance(Duration::from_secs(1)).await;
        assert!(!pace.is_kept(Instant::now()));
        for _ in 0..30 {
            pace.took(HOLD_FLOOR / 8, Instant::now());
            tokio::time::advance(Duration::from_millis(250)).await;
        }
        assert!(!pace.is_kept(Instant::now()), "half the floor is too little");
        tokio::time::advance(Duration::from_secs(3600)).await;
        pace.took(10 << 20, Instant::now());
        assert!(pace.may_hold(Instant::now()), "what it did an hour ago does not count");
    }

    #[tokio::test(start_paused = true)]
    async fn a_hold_is_counted_while_it_lasts_and_silence_is_not_death() {
        let (visitor, tunnel, vital) = (Tally::default(), Tally::default(), Vital::default());
        let mut hold = Hold::begin(Bytes::new(), [&visitor, &tunnel], &vital, Instant::now());
        assert_eq!((visitor.holding.load(Ordering::Relaxed), tunnel.holding.load(Ordering::Relaxed)), (1, 1));
        assert!(vital.silence().is_zero());
        tokio::time::advance(Duration::from_millis(700)).await;
        hold.count();
        assert_eq!(visitor.held.load(Ordering::Relaxed), 700);
        tokio::time::advance(Duration::from_millis(800)).await;
        drop(hold);
        assert_eq!((tunnel.held.load(Ordering::Relaxed), tunnel.holding.load(Ordering::Relaxed)), (1500, 0));
    }
}
