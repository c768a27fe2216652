//! Who sits at control connections: found again to be logged out, or when nobody has pressed a key for too long.

use super::desk::Desk;
use super::protocol::Identity;
use super::sight::came;
use crate::audit::{Actor, Context, Event, What};
use crate::model::OperatorName;
use crate::tunnels::{ActError, By, Done, Said};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

/// One control connection.
#[derive(Debug)]
pub struct Seat {
    who: Identity,
    /// It called itself a console.
    console: AtomicBool,
    /// When a key was last pressed there, as far as that was told.
    pressed: Mutex<Instant>,
    end: Said<String>,
}

impl Seat {
    /// One for this person, who has just come.
    #[must_use]
    pub fn new(who: Identity) -> Self {
        Self { who, console: AtomicBool::new(false), pressed: Mutex::new(Instant::now()), end: Said::default() }
    }

    pub(super) fn is_console(&self) {
        self.console.store(true, Ordering::Relaxed);
    }

    pub(super) fn press(&self) {
        *self.pressed.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    fn idle(&self) -> Duration {
        self.pressed.lock().unwrap_or_else(PoisonError::into_inner).elapsed()
    }

    /// Waits until it is to be closed, and gives the sentence that says why.
    pub(super) async fn closed(&self) -> String {
        self.end.wait().await.clone()
    }
}

/// All connections there are.
#[derive(Debug, Default)]
pub(super) struct Seats(Mutex<Vec<Weak<Seat>>>);

impl Seats {
    pub(super) fn enter(&self, seat: &Arc<Seat>) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|s| s.strong_count() > 0);
        all.push(Arc::downgrade(seat));
    }

    fn all(&self) -> Vec<Arc<Seat>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).iter().filter_map(Weak::upgrade).collect()
    }
}

/// What a console is told that nobody has pressed a key at for so long.
#[must_use]
pub fn idle_sentence(limit: Duration) -> String {
    format!(
        "no key was pressed for {}, so this console was closed ([control] idle_logout)",
        humantime::format_duration(limit)
    )
}

/// The end of a console at which nobody has pressed a key for too long.
#[must_use]
pub fn idle_event(name: &str, limit: Duration, context: Context) -> Event {
    let reason = Some(format!("no key was pressed for {}", humantime::format_duration(limit)));
    let what = What::Console { stage: "idle".to_owned() };
    Event::success(Actor::Operator(name.to_owned()), what, Context { reason, ..context })
}

impl Desk {
    /// Closes consoles on the control socket at which nobody has pressed a key for too long. Those over SSH are minded
    /// where their keys come in.
    pub(super) fn close_idle(&self) {
        let Some(limit) = self.registry.config().control.idle_logout else { return };
        for seat in self.seats.all() {
            let theirs = seat.who.uid.is_some() && seat.console.load(Ordering::Relaxed);
            if theirs && seat.idle() >= limit && seat.end.heard().is_none() {
                let context = Context { via: Some(came(&seat.who)), ..Context::default() };
                self.registry.journal.record(idle_event(&seat.who.name, limit, context));
                seat.end.say(idle_sentence(limit));
            }
        }
    }

    /// Closes all that an operator has open.
    pub(super) async fn log_out(
        &self,
        by: By,
        operator: &OperatorName,
        reason: Option<String>,
    ) -> Result<Done, ActError> {
        let config = self.registry.config();
        if !config.operators.contains_key(operator) {
            return Err(ActError::NotFound(format!("there is no operator {operator} in {}", config.path.display())));
        }
        let theirs = |s: &Arc<Seat>| {
            let account = s.who.uid.and_then(|uid| config.operator_of_uid(uid));
            account.is_some_and(|(name, _)| name == operator)
        };
        let seats: Vec<Arc<Seat>> = self.seats.all().into_iter().filter(theirs).collect();
        let why = reason.as_ref().map(|r| format!(": {}", crate::model::clean_line(r))).unwrap_or_default();
        let told = format!("{} has logged you out{why}", by.name());
        let connections = seats.len();
        let close = move || seats.iter().for_each(|s| s.end.say(told.clone()));
        self.registry.log_out(by, operator, reason, connections, close).await
    }
}
