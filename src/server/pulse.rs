//! The pulse of a session that has nothing to say: a question after each while of silence, which keeps the connection, tells
//! a dead host from a quiet one, and measures the round trip, all in one.
//!
//! The library's own keepalive has a timer for each session and measures nothing; of ten thousand quiet sessions that is
//! most of what they cost. It stays behind this one, later, for a session in which ours is stuck in a queue.

use crate::tunnels::{Session, Vital};
use crate::wait::or_never;
use russh::server::Handle;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::time::Instant;

/// A host that talks all the time is asked nonetheless, for the round trip.
const MEASURE: Duration = Duration::from_secs(300);

/// The first question comes this long after the sign-in, and up to [`SPREAD`] later: when thousands come back at once, it
/// must not get in the way of those that still sign in, nor be asked of all at the same time ever after.
const FIRST: Duration = Duration::from_secs(2);
const SPREAD: Duration = Duration::from_secs(20);

/// Questions that are due within this time are asked together: waking a thread costs more than a question.
const GRID: Duration = Duration::from_millis(250);

type Asking = Pin<Box<dyn Future<Output = Answer> + Send>>;

/// How long the answer took. None: the session ended, and nothing was heard.
type Answer = Option<Duration>;

/// See the module.
pub(super) struct Pulse {
    /// When to ask at the latest, however much is heard.
    measure: Instant,
    asked: Instant,
    asking: Option<Asking>,
}

impl Pulse {
    pub(super) fn new(session: &Session) -> Self {
        let share = f64::from(session.source.port() % 1000) / 1000.0;
        let now = Instant::now();
        Self { measure: now + FIRST + SPREAD.mul_f64(share), asked: now, asking: None }
    }

    /// When to ask next; never while an answer is awaited.
    pub(super) fn next(&self, vital: &Vital, every: Duration) -> Option<Instant> {
        if self.asking.is_some() {
            return None;
        }
        // What cannot be asked, for the session is just ending, is not asked over and over.
        let silent = (Instant::now() + every.saturating_sub(vital.silence())).max(self.asked + every / 2);
        Some(together(silent.min(self.measure), every))
    }

    pub(super) fn ask(&mut self, handle: Handle, vital: Arc<Vital>) {
        self.asked = Instant::now();
        self.measure = self.asked + MEASURE;
        self.asking = Some(Box::pin(ask(handle, vital)));
    }

    /// The answer has come; never, while nothing is asked.
    pub(super) async fn answered(&mut self) {
        let _ = or_never(self.asking.as_mut()).await;
        self.asking = None;
    }
}

/// A little earlier, so that all that are due about then come together. Short intervals are kept exactly.
fn together(at: Instant, every: Duration) -> Instant {
    static BEGAN: OnceLock<Instant> = OnceLock::new();
    if every < GRID * 8 {
        return at;
    }
    let since = at.saturating_duration_since(*BEGAN.get_or_init(Instant::now));
    let over = since.subsec_nanos() % GRID.subsec_nanos();
    at.checked_sub(Duration::from_nanos(over.into())).unwrap_or(at)
}

/// Asks for a sign of life, and notes how long it took: a global request that no client knows must be answered "no"
/// (RFC 4254 §4).
pub(super) async fn ask(handle: Handle, vital: Arc<Vital>) -> Answer {
    let before = vital.bytes_in();
    let asked = Instant::now();
    let _ = handle.cancel_forward_tcpip("portreeve-ping".to_owned(), 0).await;
    // The call also returns when the session is gone.
    (vital.bytes_in() > before && !vital.is_poisoned()).then(|| {
        let took = asked.elapsed();
        vital.measured(took);
        took
    })
}
