//! Mutes: incidents that somebody has in hand, and that are to alarm nobody for a time.

use super::lifecycle::{ActError, By, Done};
use super::registry::Registry;
use crate::audit::{Actor, Context, Event, What};
use crate::model::{Mute, Time};
use crate::store::Change;
use chrono::TimeDelta;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The longest mute, days: who forgets one is reminded.
pub const MUTE_DAYS: i64 = 30;
/// Mutes there may be at a time.
const MOST: usize = 1_000;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Mutes {
    all: BTreeMap<String, Mute>,
    /// The same for those who look; made when something has changed.
    view: Option<Arc<[Mute]>>,
}

impl Mutes {
    pub(super) fn new(saved: impl IntoIterator<Item = Mute>) -> Self {
        Self { all: saved.into_iter().map(|m| (m.incident.clone(), m)).collect(), view: None }
    }

    fn view(&mut self) -> Arc<[Mute]> {
        Arc::clone(self.view.get_or_insert_with(|| self.all.values().cloned().collect()))
    }

    fn take_over(&mut self, at: Time) -> Vec<Mute> {
        let (over, stay) = std::mem::take(self.change()).into_iter().partition(|(_, m)| m.until <= at);
        *self.change() = stay;
        let over: BTreeMap<String, Mute> = over;
        over.into_values().collect()
    }

    fn change(&mut self) -> &mut BTreeMap<String, Mute> {
        self.view = None;
        &mut self.all
    }
}

impl Registry {
    /// The mutes there are, also those whose time is over and has not been noticed. The same pointer for as long as
    /// nothing changes.
    #[must_use]
    pub fn mutes(&self) -> Arc<[Mute]> {
        self.state().mutes.view()
    }

    /// The mute of an incident.
    #[must_use]
    pub fn muted(&self, incident: &str) -> Option<Mute> {
        self.state().mutes.all.get(incident).cloned()
    }

    /// Mutes an incident, or mutes it anew. Which teams' it may be is the caller's to know; `context` is of them.
    ///
    /// # Errors
    /// [`ActError`] when the time or the reason will not do, there are too many, or it cannot be saved.
    pub async fn mute(&self, by: By, mute: Mute, context: Context) -> Result<Done, ActError> {
        let wrong = |why: String| Err(ActError::Conflict(why));
        let time = mute.until - mute.since;
        if time < TimeDelta::minutes(1) || time > TimeDelta::days(MUTE_DAYS) {
            return wrong(format!(
                "an incident is muted for a minute to {MUTE_DAYS} days, not for {} s",
                time.num_seconds()
            ));
        }
        if mute.reason.trim().is_empty() {
            return wrong("say why: who takes over from you will want to know".to_owned());
        }
        {
            let state = self.state();
            if state.mutes.all.len() >= MOST && !state.mutes.all.contains_key(&mute.incident) {
                return wrong(format!("{MOST} incidents are muted already; lift some first"));
            }
        }
        self.auditable()?;
        self.store.apply(vec![Change::PutMute(mute.clone())]).await?;
        self.state().mutes.change().insert(mute.incident.clone(), mute.clone());
        self.announce();
        let what = What::Mute { incident: mute.incident.clone(), until: mute.until };
        let context = Context { reason: Some(mute.reason.clone()), ..context };
        let (seq, warning) = self.prove(by.success(what, context)).await;
        let until = mute.until.format("%Y-%m-%d %H:%M:%SZ");
        Ok(Done::warned(seq, format!("muted {} until {until}: {}", mute.incident, mute.reason), warning))
    }

    /// Lifts a mute.
    ///
    /// # Errors
    /// [`ActError`] when there is none, or it cannot be saved.
    pub async fn unmute(&self, by: By, incident: &str, context: Context) -> Result<Done, ActError> {
        if self.muted(incident).is_none() {
            return Err(ActError::NotFound(format!("{incident} is not muted")));
        }
        self.auditable()?;
        self.store.apply(vec![Change::DropMute(incident.to_owned())]).await?;
        self.state().mutes.change().remove(incident);
        self.announce();
        let (seq, warning) = self.prove(by.success(What::Unmute { incident: incident.to_owned() }, context)).await;
        Ok(Done::warned(seq, format!("{incident} alarms again"), warning))
    }

    /// Forgets the mutes whose time is over, and writes that down.
    pub async fn mutes_over(&self, at: Time) {
        if self.mutes().iter().all(|m| at < m.until) {
            return;
        }
        let over = self.state().mutes.take_over(at);
        self.announce();
        for m in over {
            let mut changes = vec![Change::DropMute(m.incident.clone())];
            // Somebody may have muted it anew just now.
            changes.extend(self.muted(&m.incident).map(Change::PutMute));
            if let Err(error) = self.store.apply(changes).await {
                // It covers nothing any more; the next start forgets it.
                tracing::warn!(%error, incident = m.incident, "a mute that is over could not be forgotten");
            }
            let reason = Some(format!("the time set by {} is over", m.by));
            let team = m.teams.as_ref().and_then(|t| t.first().cloned());
            let context = Context { reason, team, ..Context::default() };
            self.journal.record(Event::success(Actor::Daemon, What::Unmute { incident: m.incident }, context));
        }
    }
}
