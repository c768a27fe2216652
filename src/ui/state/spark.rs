//! Bytes of the last minutes, in a handful of numbers a tunnel: made of the counters that come anyway, so that neither the
//! daemon nor the wire knows of it. What was before the console began is not known.

use crate::model::Time;
use chrono::TimeDelta;

/// Numbers kept, and so columns drawn.
pub(crate) const STEPS: usize = 8;
/// Seconds of one: four minutes in all.
const STEP_S: i64 = 30;

/// See the module.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Spark {
    /// Which step the newest is, counted from the epoch.
    step: i64,
    /// Newest first.
    bytes: [u64; STEPS],
}

fn step_of(at: Time) -> i64 {
    at.timestamp().div_euclid(STEP_S)
}

impl Spark {
    /// So many bytes more.
    pub(crate) fn add(&mut self, bytes: u64, at: Time) {
        if bytes == 0 {
            return;
        }
        self.bytes = self.newest_first(at);
        self.step = self.step.max(step_of(at));
        if let Some(now) = self.bytes.first_mut() {
            *now = now.saturating_add(bytes);
        }
    }

    fn newest_first(&self, at: Time) -> [u64; STEPS] {
        let passed = usize::try_from(step_of(at) - self.step).unwrap_or(0).min(STEPS);
        let mut out = [0; STEPS];
        for (to, from) in out.iter_mut().skip(passed).zip(self.bytes) {
            *to = from;
        }
        out
    }

    /// As of now, oldest first.
    pub(crate) fn bars(&self, at: Time) -> [u64; STEPS] {
        let mut out = self.newest_first(at);
        out.reverse();
        out
    }

    /// When it reads differently without news; none when it is all quiet.
    pub(crate) fn moves(&self, now: Time) -> Option<Time> {
        let next = (step_of(now) + 1).saturating_mul(STEP_S);
        let busy = self.newest_first(now).iter().any(|b| *b > 0);
        busy.then(|| now + TimeDelta::milliseconds(next.saturating_mul(1000) - now.timestamp_millis()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ui::fixtures::{ago, t0};

    #[test]
    fn bytes_move_to_the_left_and_out() {
        let mut s = Spark::default();
        assert_eq!((s.bars(t0()), s.moves(t0())), ([0; STEPS], None));
        s.add(7, ago(60));
        s.add(5, t0());
        s.add(1, t0());
        assert_eq!(s.bars(t0()), [0, 0, 0, 0, 0, 7, 0, 6]);
        // 14:02:11 is in the step that ends at 14:02:30.
        let next = s.moves(t0()).unwrap();
        assert_eq!(next, t0() + TimeDelta::seconds(19));
        assert_eq!(s.bars(next), [0, 0, 0, 0, 7, 0, 6, 0]);
        let later = t0() + TimeDelta::minutes(4);
        assert_eq!((s.bars(later), s.moves(later)), ([0; STEPS], None));
        // A clock that jumps back loses nothing.
        s.add(2, ago(600));
        assert_eq!(s.bars(t0())[7], 8);
    }
}
