//! Numbers and times as people read them.

pub use crate::model::bytes;
use crate::model::{Time, TunnelState};
use chrono::TimeDelta;

use super::table::Tone;

/// A length of time in its two largest units: `48s`, `2m14s`, `3h05m`, `12d04h`. Negative ones (clocks differ) read `0s`.
#[must_use]
pub fn span(d: TimeDelta) -> String {
    let s = d.num_seconds().max(0);
    match s {
        0..60 => format!("{s}s"),
        60..3_600 => format!("{}m{:02}s", s / 60, s % 60),
        3_600..86_400 => format!("{}h{:02}m", s / 3_600, s % 3_600 / 60),
        _ => format!("{}d{:02}h", s / 86_400, s % 86_400 / 3_600),
    }
}

/// Age of `then` as of `now`.
#[must_use]
pub fn age(now: Time, then: Time) -> String {
    span(now - then)
}

/// A moment, in UTC, to the second.
#[must_use]
pub fn moment(t: Time) -> String {
    t.format("%Y-%m-%d %H:%M:%SZ").to_string()
}

/// Glyph and tone of a state; the word stands beside it always.
#[must_use]
pub fn glyph(state: TunnelState) -> (&'static str, Tone) {
    match state {
        TunnelState::Up => ("✓", Tone::Good),
        TunnelState::Degraded => ("!", Tone::Warn),
        TunnelState::Down => ("✗", Tone::Bad),
        TunnelState::Awaiting => ("○", Tone::Dim),
        TunnelState::Revoked => ("⊘", Tone::Bad),
    }
}

/// `1 tunnel`, `2 tunnels`.
#[must_use]
pub fn count(n: usize, what: &str) -> String {
    if n == 1 { format!("1 {what}") } else { format!("{n} {what}s") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_keep_one_decimal_and_never_read_1024() {
        for (n, text) in
            [(0, "0 B"), (1023, "1023 B"), (1536, "1.5 KiB"), (1 << 20, "1.0 MiB"), ((1 << 20) - 1, "1.0 MiB")]
        {
            assert_eq!(bytes(n), text);
        }
        assert_eq!(bytes(u64::MAX), "16.0 EiB");
    }

    #[test]
    fn spans_show_two_units() {
        for (s, text) in [(-5, "0s"), (48, "48s"), (134, "2m14s"), (11_100, "3h05m"), (1_051_200, "12d04h")] {
            assert_eq!(span(TimeDelta::seconds(s)), text);
        }
    }
}
