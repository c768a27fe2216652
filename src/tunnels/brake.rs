//! Letting the host's side wait for moments while a quick visitor catches up.
//!
//! A visitor that reads as fast as it can is now and then a little slower than its host sends: its process did not run
//! for some milliseconds. What comes meanwhile could go to the spill file, but that costs several times the work of
//! carrying it, for the rest of the transfer. So such a visitor may make its session wait. It earns the right by reading:
//! a visitor that takes [`EARN`] bytes a second may hold all the time (nobody could be faster through this session), one
//! that takes a hundredth of that for a hundredth of the time, one that takes nothing not at all.

use std::time::Duration;
use tokio::time::Instant;

/// Bytes for which a visitor earns a second of waiting.
const EARN: u64 = 128 * 1024 * 1024;
/// The most that it may have earned, and so the longest its neighbours wait at a time.
const MOST: Duration = Duration::from_millis(10);
/// Less than this is not worth beginning.
const LEAST: Duration = Duration::from_millis(1);

/// One visitor's right to make its session wait.
#[derive(Debug, Default)]
pub(super) struct Brake {
    credit: Duration,
    since: Option<Instant>,
}

impl Brake {
    /// The visitor took bytes.
    pub(super) fn took(&mut self, n: usize) {
        let earned = Duration::from_nanos((n as u64).saturating_mul(1_000_000_000) / EARN);
        self.credit = (self.credit + earned).min(MOST);
    }

    /// Until when the session may wait from now on; none if it may not.
    pub(super) fn engage(&mut self, now: Instant) -> Option<Instant> {
        self.pay(now);
        let least = if self.since.is_some() { Duration::ZERO } else { LEAST };
        if self.credit <= least {
            self.since = None;
            return None;
        }
        self.since = Some(now);
        Some(now + self.credit)
    }

    /// The session waits no longer.
    pub(super) fn release(&mut self, now: Instant) {
        self.pay(now);
        self.since = None;
    }

    fn pay(&mut self, now: Instant) {
        if let Some(since) = self.since {
            self.credit = self.credit.saturating_sub(now.saturating_duration_since(since));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of a second, how much of it the session of a visitor waits that takes `rate` bytes a second in pieces of 64 KiB.
    fn share(rate: u64) -> Duration {
        let mut brake = Brake::default();
        let (start, step) = (Instant::now(), Duration::from_millis(1));
        let (mut waited, mut owed) = (Duration::ZERO, 0);
        for ms in 0..1000 {
            let now = start + step * ms;
            owed += rate / 1000;
            while owed >= 65_536 {
                owed -= 65_536;
                brake.took(65_536);
            }
            if let Some(until) = brake.engage(now) {
                waited += step.min(until - now);
            }
        }
        waited
    }

    #[test]
    fn a_session_waits_for_its_visitors_as_much_as_they_read() {
        assert_eq!(share(0), Duration::ZERO);
        assert!(share(1 << 20) < Duration::from_millis(15), "{:?}", share(1 << 20));
        let quarter = share(32 << 20);
        assert!(quarter > Duration::from_millis(150) && quarter < Duration::from_millis(300), "{quarter:?}");
        assert!(share(256 << 20) > Duration::from_millis(980), "{:?}", share(256 << 20));
    }

    #[test]
    fn a_visitor_that_stops_after_a_fast_start_holds_its_session_for_ten_milliseconds_once() {
        let mut brake = Brake::default();
        brake.took(1 << 30);
        let now = Instant::now();
        assert_eq!(brake.engage(now), Some(now + MOST));
        assert_eq!(brake.engage(now + MOST), None);
        assert_eq!(brake.engage(now + Duration::from_secs(60)), None);
        brake.took(65_536);
        assert_eq!(brake.engage(now + Duration::from_secs(60)), None, "half a millisecond is not worth it");
        brake.took(131_072);
        brake.engage(now + Duration::from_secs(60)).unwrap();
        brake.release(now + Duration::from_secs(60));
    }
}
