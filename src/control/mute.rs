//! Incidents as the desk handles them: who may mute which, and the lines they leave in the journal.

use super::desk::Desk;
use super::protocol::Identity;
use super::sight::unlimited;
use crate::audit::{Actor, Context, Event, What};
use crate::model::{Incident, Mute, Role, Severity, Time, now};
use crate::tunnels::{ActError, By, Done};
use chrono::TimeDelta;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// How often triage is looked at for the journal.
const LOOK: Duration = Duration::from_secs(2);
/// What has lasted less is not written down: a host that redials at once is no incident.
const PATIENCE: TimeDelta = TimeDelta::seconds(5);

impl Desk {
    /// The team and host that a mute concerns, as this person sees the incident. No team where it has none, or where the
    /// mute is of somebody with more rights: then only those not limited to teams may.
    pub(super) fn incident_context(&self, who: &Identity, incident: &str) -> Context {
        let context = self.incidents(who).iter().find(|i| i.id == incident).map(of_incident);
        let context = context.unwrap_or_default();
        let theirs = |m: &Mute| m.teams.as_ref().is_some_and(|its| its.iter().all(|t| who.sees(t)));
        let stands = self.registry.muted(incident).filter(|m| now() < m.until);
        if !unlimited(who) && stands.is_some_and(|m| !theirs(&m)) { Context { team: None, ..context } } else { context }
    }

    fn incidents(&self, who: &Identity) -> Arc<[Incident]> {
        self.with_board(|b| self.triage(who, b, false)).incidents
    }

    pub(super) async fn mute(
        &self,
        by: By,
        who: &Identity,
        (incident, for_s, reason): (String, u64, &str),
        context: Context,
    ) -> Result<Done, ActError> {
        if self.registry.muted(&incident).is_none() && !self.incidents(who).iter().any(|i| i.id == incident) {
            return Err(ActError::NotFound(format!(
                "there is no incident {incident:?} now; `portreeve triage` lists them by their ids"
            )));
        }
        let since = now();
        let until =
            i64::try_from(for_s).ok().and_then(TimeDelta::try_seconds).and_then(|t| since.checked_add_signed(t));
        let until = until.unwrap_or(Time::MAX_UTC);
        let teams = who.rights().teams_as(Role::Operator);
        let (by_name, reason) = (who.name.clone(), crate::model::clean_line(reason));
        self.registry.mute(by, Mute { incident, by: by_name, since, until, reason, teams }, context).await
    }

    /// Writes into the journal what triage sees come and go. Runs for ever.
    pub async fn attend(self: Arc<Self>) {
        let mut every = tokio::time::interval(LOOK);
        every.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut open = Open::default();
        loop {
            every.tick().await;
            let at = now();
            self.registry.mutes_over(at).await;
            self.registry.reservations_over(at).await;
            self.registry.pending_over(at);
            self.proposals_over();
            let incidents = self.with_board(|b| self.triage(&everybody(), b, true)).incidents;
            for event in open.look(&incidents, at) {
                self.registry.journal.record(event);
            }
        }
    }
}

/// One who sees all.
fn everybody() -> Identity {
    Identity::unix("portreeve", crate::model::Role::Viewer, None)
}

/// What is said of an incident's place: the team, host and port where there is but one.
fn of_incident(i: &Incident) -> Context {
    let blast = &i.blast;
    let one = |n: usize| n == 1;
    Context {
        team: blast.teams.first().filter(|_| one(blast.teams.len())).cloned(),
        host: blast.hosts.first().filter(|_| one(i.hosts)).cloned(),
        port: blast.ports.first().filter(|_| one(i.tunnels)).copied(),
        ..Context::default()
    }
}

/// Incidents that last, and whether the journal has them.
#[derive(Debug, Default)]
struct Open(BTreeMap<String, (Incident, Time, bool)>);

impl Open {
    /// What is to be written, now that these are the incidents.
    fn look(&mut self, incidents: &[Incident], at: Time) -> Vec<Event> {
        let mut events = Vec::new();
        let counted = |i: &&Incident| i.severity < Severity::Note;
        self.0.retain(|id, (was, _, told)| {
            let still = incidents.iter().filter(counted).any(|i| i.id == *id);
            if !still && *told {
                #[allow(clippy::cast_precision_loss)] // milliseconds of years
                let seconds = (at - was.since).num_milliseconds().max(0) as f64 / 1_000.0;
                let what = What::IncidentClose { cause: was.cause.clone(), what: was.what.clone(), seconds };
                events.push(Event::success(Actor::Daemon, what, of_incident(was)));
            }
            still
        });
        for i in incidents.iter().filter(counted) {
            let (kept, seen, told) = self.0.entry(i.id.clone()).or_insert_with(|| (i.clone(), at, false));
            if kept != i {
                // Of the last that was seen of it, its end tells.
                *kept = i.clone();
            }
            if *told || at - *seen < PATIENCE {
                continue;
            }
            *told = true;
            let what = What::IncidentOpen {
                cause: i.cause.clone(),
                what: i.what.clone(),
                severity: i.severity,
                tunnels: i.tunnels,
                hosts: i.hosts,
            };
            let context = Context { reason: Some(i.evidence.clone()), ..of_incident(i) };
            events.push(Event::success(Actor::Daemon, what, context));
        }
        events
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Blast;

    fn at(s: i64) -> Time {
        Time::from_timestamp(1_800_000_000 + s, 0).unwrap()
    }
    fn incident(id: &str, severity: Severity) -> Incident {
        let (cause, what) = id.split_once(':').unwrap();
        Incident {
            id: id.to_owned(),
            cause: cause.to_owned(),
            severity,
            what: what.to_owned(),
            likely: String::new(),
            evidence: "it is so".to_owned(),
            seen: None,
            since: at(0),
            tunnels: 1,
            hosts: 1,
            blast: Blast {
                hosts: vec![what.parse().unwrap()],
                teams: vec!["pay".parse().unwrap()],
                ..Blast::default()
            },
            next: vec![],
            muted: None,
        }
    }
    fn names(events: &[Event]) -> Vec<&'static str> {
        events.iter().map(Event::name).collect()
    }

    #[test]
    fn what_lasts_is_written_once_and_again_when_it_ends() {
        let mut open = Open::default();
        let one = [incident("host-gone:pay-01", Severity::Down)];
        assert!(open.look(&one, at(1)).is_empty(), "it may be back in a moment");
        assert!(open.look(&one, at(5)).is_empty());
        let told = open.look(&one, at(6));
        assert_eq!(names(&told), ["incident.open"]);
        assert_eq!(told[0].context.host.as_ref().unwrap().as_str(), "pay-01");
        assert_eq!(told[0].context.reason.as_deref(), Some("it is so"));
        assert!(open.look(&one, at(8)).is_empty(), "once");
        let told = open.look(&[], at(60));
        assert_eq!(names(&told), ["incident.close"]);
        assert!(matches!(told[0].what, What::IncidentClose { seconds, .. } if (seconds - 60.0).abs() < 0.01));
        assert!(open.look(&[], at(62)).is_empty());
    }

    #[test]
    fn what_is_over_before_it_was_written_and_notes_leave_nothing() {
        let mut open = Open::default();
        let some = [incident("host-gone:pay-01", Severity::Down), incident("host-absent:pay-02", Severity::Note)];
        assert!(open.look(&some, at(1)).is_empty());
        assert!(open.look(&some[1..], at(4)).is_empty());
        assert!(open.look(&some[1..], at(20)).is_empty());
        assert!(open.look(&[], at(22)).is_empty());
        // One that comes back counts from when it came back.
        assert!(open.look(&some, at(30)).is_empty());
        assert_eq!(names(&open.look(&some, at(35))), ["incident.open"]);
    }
}
