//! Whether the bastion itself keeps up: how late its threads run, and whether it can still accept connections.
//!
//! Each runtime asks to be woken once a second. One that is woken late had something else to do, or the machine had: then
//! pings, checks and keystrokes were late by as much.

use super::registry::Registry;
use crate::model::{Time, accept_failures, now};
use chrono::TimeDelta;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// How often a runtime is asked.
const EVERY: Duration = Duration::from_secs(1);
/// Woken later than this counts as late.
const LATE: Duration = Duration::from_secs(1);
/// So late that once is enough.
const VERY_LATE: Duration = Duration::from_secs(3);
/// So often late within [`FRESH`] is overloaded.
const OFTEN: usize = 3;
/// What is older counts no more.
pub const FRESH: TimeDelta = TimeDelta::seconds(60);

/// That it does not keep up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Overload {
    /// Since when.
    pub since: Time,
    /// When it was last seen.
    pub last: Time,
    /// How often its threads ran late.
    pub late: usize,
    /// By how much at worst.
    pub worst: Duration,
    /// Accepts that failed.
    pub unaccepted: u64,
}

#[derive(Debug, Default)]
struct Inner {
    /// Late wake-ups, oldest first.
    late: VecDeque<(Time, Duration)>,
    /// Failed accepts: how many there were when they were last looked at, then this series.
    counted: u64,
    unaccepted: Option<(Time, Time, u64)>,
}

/// See the module.
#[derive(Debug, Default)]
pub struct Strain(Mutex<Inner>);

impl Strain {
    fn with<T>(&self, f: impl FnOnce(&mut Inner) -> T) -> T {
        f(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// A runtime was woken so late. Whether that is news.
    fn woken(&self, by: Duration, at: Time) -> bool {
        if by < LATE {
            return false;
        }
        self.with(|i| {
            i.late.push_back((at, by));
            // A minute of three threads that are late each second.
            if i.late.len() > 180 {
                i.late.pop_front();
            }
        });
        true
    }

    /// So many accepts have failed in all. Whether that is news.
    fn accepts_failed(&self, total: u64, at: Time) -> bool {
        self.with(|i| {
            let more = total.saturating_sub(i.counted);
            i.counted = total;
            if more == 0 {
                return false;
            }
            let before = i.unaccepted.filter(|(_, last, _)| at - *last < FRESH);
            i.unaccepted = Some(before.map_or((at, at, more), |(first, _, n)| (first, at, n + more)));
            true
        })
    }

    /// That it does not keep up, if so.
    #[must_use]
    pub fn overload(&self, at: Time) -> Option<Overload> {
        self.with(|i| {
            let fresh: Vec<(Time, Duration)> = i.late.iter().copied().filter(|(t, _)| at - *t < FRESH).collect();
            let worst = fresh.iter().map(|(_, by)| *by).max().unwrap_or_default();
            let late = if fresh.len() >= OFTEN || worst >= VERY_LATE { fresh } else { vec![] };
            let unaccepted = i.unaccepted.filter(|(_, last, _)| at - *last < FRESH);
            let times = || late.iter().map(|(t, _)| *t);
            let first = times().min().into_iter().chain(unaccepted.map(|u| u.0)).min()?;
            let last = times().max().into_iter().chain(unaccepted.map(|u| u.1)).max()?;
            let unaccepted = unaccepted.map_or(0, |u| u.2);
            Some(Overload { since: first, last, late: late.len(), worst, unaccepted })
        })
    }
}

/// Asks this runtime to be woken, again and again, and notes when it is late. Runs for ever.
pub async fn keep_time(registry: Arc<Registry>) {
    loop {
        let due = Instant::now() + EVERY;
        tokio::time::sleep_until(due).await;
        let (late, at) = (due.elapsed(), now());
        let news = registry.strain.woken(late, at) | registry.strain.accepts_failed(accept_failures(), at);
        if news {
            registry.announce();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(s: i64) -> Time {
        Time::from_timestamp(1_800_000_000 + s, 0).unwrap()
    }
    fn ms(n: u64) -> Duration {
        Duration::from_millis(n)
    }

    #[test]
    fn late_often_or_very_late_once_is_overloaded_for_a_minute() {
        let s = Strain::default();
        assert!(!s.woken(ms(900), at(0)), "that happens");
        assert!(s.woken(ms(1_500), at(1)) && s.woken(ms(1_200), at(2)));
        assert_eq!(s.overload(at(3)), None, "twice is not often");
        s.woken(ms(1_000), at(3));
        let o = s.overload(at(4)).unwrap();
        assert_eq!((o.since, o.last, o.late, o.worst, o.unaccepted), (at(1), at(3), 3, ms(1_500), 0));
        assert_eq!(s.overload(at(61)), None, "the first is forgotten");
        s.woken(ms(3_000), at(100));
        assert_eq!(s.overload(at(159)).unwrap().worst, ms(3_000));
        assert_eq!(s.overload(at(160)), None);
    }

    #[test]
    fn accepts_that_fail_are_told_from_the_first() {
        let s = Strain::default();
        assert!(s.accepts_failed(5, at(0)) && !s.accepts_failed(5, at(1)) && s.accepts_failed(9, at(2)));
        let o = s.overload(at(3)).unwrap();
        assert_eq!((o.since, o.last, o.late, o.unaccepted), (at(0), at(2), 0, 9));
        assert_eq!(s.overload(at(62)), None);
        s.accepts_failed(10, at(100));
        assert_eq!(s.overload(at(100)).unwrap().unaccepted, 1, "another series");
    }
}
