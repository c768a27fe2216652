//! What every accept loop does when the system has no more file descriptors or memory: it waits a little, ever longer, and
//! says so once, not at each try. Accepting again at once would only burn the processor.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

const FIRST: Duration = Duration::from_millis(10);
const LONGEST: Duration = Duration::from_secs(1);

/// Failed accepts of all listeners since the daemon started.
static FAILURES: AtomicU64 = AtomicU64::new(0);

/// Failed accepts of all listeners since the daemon started.
#[must_use]
pub fn accept_failures() -> u64 {
    FAILURES.load(Ordering::Relaxed)
}

/// One listener's trouble; none at first.
#[derive(Debug, Default)]
pub struct AcceptTrouble {
    since: Option<Instant>,
    failures: u64,
}

/// What to do after a failed accept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wait {
    /// How long to wait before the next try.
    pub pause: Duration,
    /// Whether it is the first of an episode, and worth a line in the log.
    pub first: bool,
}

/// An episode that is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Episode {
    /// Failed accepts in it.
    pub failures: u64,
    /// How long it lasted.
    pub lasted: Duration,
}

impl AcceptTrouble {
    /// Whether an error is about the one connection that was to be accepted; the next one may be had at once.
    #[must_use]
    pub fn is_of_one_connection(e: &io::Error) -> bool {
        matches!(
            e.kind(),
            io::ErrorKind::ConnectionAborted | io::ErrorKind::Interrupted | io::ErrorKind::ConnectionReset
        )
    }

    /// An accept failed.
    pub fn failed(&mut self) -> Wait {
        FAILURES.fetch_add(1, Ordering::Relaxed);
        let first = self.since.is_none();
        self.since.get_or_insert_with(Instant::now);
        let doublings = u32::try_from(self.failures).unwrap_or(u32::MAX).min(7);
        self.failures += 1;
        Wait { pause: (FIRST * 2_u32.pow(doublings)).min(LONGEST), first }
    }

    /// An accept went well. Gives the episode that is over with it.
    pub fn over(&mut self) -> Option<Episode> {
        let since = self.since.take()?;
        Some(Episode { failures: std::mem::take(&mut self.failures), lasted: since.elapsed() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failed_accepts_are_retried_ever_more_slowly_up_to_a_second_and_told_once() {
        let mut t = AcceptTrouble::default();
        assert_eq!(t.over(), None);
        let before = accept_failures();
        let waits: Vec<_> = (0..9).map(|_| t.failed()).collect();
        let pauses: Vec<u128> = waits.iter().map(|w| w.pause.as_millis()).collect();
        assert_eq!(pauses, [10, 20, 40, 80, 160, 320, 640, 1000, 1000]);
        assert!(waits.iter().enumerate().all(|(n, w)| w.first == (n == 0)));
        assert!(accept_failures() >= before + 9);
        assert_eq!(t.over().unwrap().failures, 9);
        assert_eq!(t.failed(), Wait { pause: FIRST, first: true }, "the next episode begins anew");
    }
}
