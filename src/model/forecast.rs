//! When a range runs out, as far as its leases tell.

use super::Time;
use chrono::TimeDelta;
use std::collections::BTreeSet;

/// How far back leases are looked at, days.
const WINDOW: i64 = 56;
/// Leases there must be in that time, on as many days, and the time they must be spread over: fewer carry no trend.
const LEASES: usize = 4;
const DAYS: usize = 3;
const SPREAD: i64 = 10;
/// Further ahead nothing is said, days.
const AHEAD: f64 = 365.0;

/// What is to be expected of a range.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Forecast {
    /// Leases that come in a week.
    pub per_week: f64,
    /// Days until no port is free.
    pub days: f64,
}

/// When `free` ports are taken, if leases go on to come as they have. `since` are the times of those that were given since
/// the range came to be (not those that the configuration fixes). None when they are too few, came all at once, or come so
/// slowly that it is far off.
#[must_use]
pub fn forecast(since: impl IntoIterator<Item = Time>, free: usize, now: Time) -> Option<Forecast> {
    let begin = now - TimeDelta::days(WINDOW);
    let recent: Vec<Time> = since.into_iter().filter(|t| *t >= begin && *t <= now).collect();
    let first = *recent.iter().min()?;
    let last = *recent.iter().max()?;
    let days: BTreeSet<_> = recent.iter().map(Time::date_naive).collect();
    if recent.len() < LEASES || days.len() < DAYS || last - first < TimeDelta::days(SPREAD) {
        return None;
    }
    // The first one opens the time that is looked at; the quiet since the last one counts as well.
    #[allow(clippy::cast_precision_loss)]
    let (came, elapsed, free) = ((recent.len() - 1) as f64, (now - first).num_seconds() as f64 / 86_400.0, free as f64);
    let per_day = came / elapsed;
    let days = free / per_day;
    (days <= AHEAD).then_some(Forecast { per_week: per_day * 7.0, days })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> Time {
        "2026-11-21T12:00:00Z".parse().unwrap()
    }
    fn ago(days: &[i64]) -> Vec<Time> {
        days.iter().map(|d| now() - TimeDelta::days(*d)).collect()
    }

    #[test]
    fn a_steady_stream_says_when_the_range_is_full() {
        // Nine in 28 days, the first of which opens the count: two a week.
        let f = forecast(ago(&[28, 25, 21, 18, 14, 11, 7, 4, 1]), 4, now()).unwrap();
        assert!((f.per_week - 2.0).abs() < 0.01 && (f.days - 14.0).abs() < 0.1, "{f:?}");
        assert!(forecast(ago(&[28, 25, 21, 18, 14, 11, 7, 4, 1]), 0, now()).unwrap().days < 0.01);
    }

    #[test]
    fn nothing_is_said_of_too_few_of_a_burst_of_what_is_long_past_or_of_what_is_far_off() {
        assert_eq!(forecast(vec![], 4, now()), None);
        assert_eq!(forecast(ago(&[20, 10, 1]), 4, now()), None, "too few");
        assert_eq!(forecast(ago(&[1, 1, 1, 1, 1, 1, 1, 1]), 4, now()), None, "all at once: the day it was set up");
        assert_eq!(forecast(ago(&[4, 3, 2, 1, 1]), 4, now()), None, "a few days are no trend");
        assert_eq!(forecast(ago(&[300, 290, 280, 270, 260]), 4, now()), None, "long past");
        assert_eq!(forecast(ago(&[50, 40, 30, 20]), 900, now()), None, "far off");
    }
}
