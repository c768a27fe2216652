//! Reservations: ports that nobody gets for a time, with a reason.

use super::lifecycle::{ActError, By, Done};
use super::registry::Registry;
use crate::audit::{Actor, Context, Event, What};
use crate::model::{Port, ReservationView, Time, now};
use crate::store::Change;
use chrono::TimeDelta;

/// The longest reservation, days: who forgets one is reminded.
pub const RESERVE_DAYS: i64 = 366;

impl Registry {
    /// Keeps a port free until then. One that is reserved already is reserved anew.
    ///
    /// # Errors
    /// [`ActError`] when the port is leased, blocked or of no team, when time or reason will not do, or when it cannot be
    /// saved.
    pub async fn reserve(&self, by: By, port: Port, until: Time, reason: String) -> Result<Done, ActError> {
        let wrong = |why: String| Err(ActError::Conflict(why));
        let since = now();
        if until <= since || until - since > TimeDelta::days(RESERVE_DAYS) {
            return wrong(format!("a port is reserved until a time within {RESERVE_DAYS} days from now"));
        }
        let reason = crate::model::clean_line(&reason);
        if reason.trim().is_empty() {
            return wrong("say why: who needs a port will want to know".to_owned());
        }
        self.auditable()?;
        let (new, old, saving) = {
            let mut state = self.state();
            let team = state.ledger.reservable(&self.config(), port).map_err(ActError::Conflict)?;
            if state.tunnels.contains_key(&port) {
                return wrong(format!("port {port} is listened on now"));
            }
            let old = state.ledger.reservation(port).cloned();
            // No two of a port begin together: it is how one of them knows its own when it has to be undone.
            let next = |o: &ReservationView| since.max(o.since + TimeDelta::milliseconds(1));
            let since = old.as_ref().map_or(since, next);
            let new = ReservationView { port, team, by: by.name(), since, until, reason };
            let change = Change::PutReservation(new.clone());
            state.ledger.apply(&change);
            (new, old, self.store.apply(vec![change]))
        };
        if let Err(e) = saving.await {
            let mut state = self.state();
            // Unless somebody has changed it again meanwhile.
            if state.ledger.reservation(port) == Some(&new) {
                state.ledger.apply(&old.map_or(Change::DropReservation(port), Change::PutReservation));
            }
            return Err(e.into());
        }
        self.touch();
        let (seq, warning) = self.prove(by.success(What::PortReserved { until }, context(&new))).await;
        let until = until.format("%Y-%m-%d %H:%MZ");
        Ok(Done::warned(seq, format!("port {port} is reserved until {until}: {}", new.reason), warning))
    }

    /// Ends a reservation before its time.
    pub(super) async fn unreserve(
        &self,
        by: By,
        old: ReservationView,
        reason: Option<String>,
    ) -> Result<Done, ActError> {
        let port = old.port;
        let change = Change::DropReservation(port);
        let saving = {
            let mut state = self.state();
            if state.ledger.reservation(port) != Some(&old) {
                return Err(ActError::Conflict(format!("the reservation of port {port} has changed meanwhile")));
            }
            state.ledger.apply(&change);
            self.store.apply(vec![change])
        };
        if let Err(e) = saving.await {
            let mut state = self.state();
            // What nobody has taken meanwhile is kept free again.
            if state.ledger.reservable(&self.config(), port).is_ok() && state.ledger.reservation(port).is_none() {
                state.ledger.apply(&Change::PutReservation(old));
            }
            return Err(e.into());
        }
        self.touch();
        let context = Context { reason, ..context(&old) };
        let (seq, warning) = self.prove(by.success(What::PortUnreserved {}, context)).await;
        Ok(Done::warned(seq, format!("port {port} is free; it was reserved by {}: {}", old.by, old.reason), warning))
    }

    /// Forgets the reservations whose time is over, and writes that down.
    pub async fn reservations_over(&self, at: Time) {
        let over: Vec<ReservationView> = {
            let mut state = self.state();
            let over: Vec<_> = state.ledger.reservations().filter(|r| r.until <= at).cloned().collect();
            for r in &over {
                state.ledger.apply(&Change::DropReservation(r.port));
            }
            over
        };
        if over.is_empty() {
            return;
        }
        self.touch();
        for r in over {
            // It keeps nobody from the port any more; the next start forgets it again. Unless it was reserved anew.
            let saving = {
                let state = self.state();
                let new = state.ledger.reservation(r.port).cloned();
                self.store.apply(vec![new.map_or(Change::DropReservation(r.port), Change::PutReservation)])
            };
            if let Err(error) = saving.await {
                tracing::warn!(%error, port = %r.port, "a reservation that is over could not be forgotten");
            }
            let reason = Some(format!("the time set by {} is over ({})", r.by, r.reason));
            let context = Context { reason, ..context(&r) };
            self.journal.record(Event::success(Actor::Daemon, What::PortUnreserved {}, context));
        }
    }
}

fn context(r: &ReservationView) -> Context {
    Context { port: Some(r.port), team: Some(r.team.clone()), reason: Some(r.reason.clone()), ..Context::default() }
}
