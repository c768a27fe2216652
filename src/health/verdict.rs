//! Rise and fall, as HAProxy counts them.

use crate::model::Verdict;

/// Turns results into a verdict.
#[derive(Debug, Default)]
pub struct Judge {
    verdict: Verdict,
    streak: u32,
    last: Option<bool>,
}

impl Judge {
    /// The verdict now.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        self.verdict
    }

    /// Whether the last result agrees with the verdict, so that there is no haste.
    #[must_use]
    pub fn settled(&self) -> bool {
        match (self.verdict, self.last) {
            (Verdict::Passing, Some(ok)) => ok,
            (Verdict::Failing, Some(ok)) => !ok,
            _ => false,
        }
    }

    /// Takes a result in. The very first good one counts alone: a tunnel that has just come up and answers is passing.
    pub fn take(&mut self, ok: bool, rise: u32, fall: u32) -> Verdict {
        self.streak = if self.last == Some(ok) { self.streak.saturating_add(1) } else { 1 };
        let first = self.last.is_none();
        self.last = Some(ok);
        if ok && (first || self.streak >= rise) {
            self.verdict = Verdict::Passing;
        } else if !ok && self.streak >= fall {
            self.verdict = Verdict::Failing;
        }
        self.verdict
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(results: &str, rise: u32, fall: u32) -> Vec<Verdict> {
        let mut j = Judge::default();
        results.chars().map(|c| j.take(c == '+', rise, fall)).collect()
    }

    #[test]
    fn rise_and_fall_hold_a_flapping_service_steady() {
        use Verdict::{Failing as F, Passing as P, Unknown as U};
        assert_eq!(run("+--+---++", 2, 3), [P, P, P, P, P, P, F, F, P]);
        assert_eq!(run("---", 2, 3), [U, U, F]);
        assert_eq!(run("-++", 2, 3), [U, U, P]);
        assert_eq!(run("-+-+-+", 2, 2), [U, U, U, U, U, U]);
    }
}
