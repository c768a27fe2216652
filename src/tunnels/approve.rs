//! Approved keys: a pending key that an admin gives to a host. It is kept in the ledger and laid over the configuration,
//! so that it signs its host in like a key of the file, until it is taken back or the file says something of it.

use super::credential::Credential;
use super::ledger::Conflict;
use super::lifecycle::{ActError, By, Done, count};
use super::live::Session;
use super::pending::not_pending;
use super::registry::{Registry, State};
use crate::audit::{Actor, Context, Event, What};
use crate::config::{Config, Principal};
use crate::model::{Approval, HostName, Obituary, ObituaryCause, Seq, Time, now};
use crate::store::Change;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The most there may be: the configuration is to catch up.
const MOST: usize = 128;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Approvals(BTreeMap<String, Approval>);

impl Approvals {
    pub(super) fn new(saved: &[Approval]) -> Self {
        Self(saved.iter().map(|a| (a.fingerprint.clone(), a.clone())).collect())
    }

    /// The configuration with those approvals in force that it leaves in force.
    pub(super) fn over(&self, config: Arc<Config>) -> Arc<Config> {
        if self.0.is_empty() && config.approved.is_empty() {
            return config;
        }
        Arc::new(config.with_approved(self.0.values()))
    }

    /// Where the configuration gives an approved key to somebody else.
    pub(super) fn conflicts(&self, config: &Config) -> Vec<Conflict> {
        let clash = |a: &Approval| {
            let other = config.written(&a.fingerprint).filter(|who| **who != Principal::Host(a.host.clone()))?;
            let key = &a.fingerprint;
            let sentence = format!(
                "key {key}: {} approved it for host {}, and the configuration gives it to {other}. The configuration wins; \
                 forget the approval with `portreeve unapprove {key}`",
                a.by, a.host
            );
            Some(Conflict { team: config.hosts.get(&a.host).map(|h| h.team.clone()), sentence })
        };
        self.0.values().filter_map(clash).collect()
    }
}

impl State {
    /// What would be approved.
    fn approvable(
        &self,
        config: &Config,
        by: &By,
        fingerprint: &str,
        host: &HostName,
        until: Option<Time>,
        reason: Option<String>,
    ) -> Result<Approval, ActError> {
        let at = now();
        if self.waiting.is_being_approved(fingerprint) {
            return Err(ActError::Conflict(format!(
                "{fingerprint} is being approved just now: look again in a moment"
            )));
        }
        let key = self.waiting.get(fingerprint).ok_or_else(|| not_pending(fingerprint))?.key.clone();
        if !config.hosts.contains_key(host) {
            let why = format!("there is no host {host} in {}: add [hosts.{host}] first", config.path.display());
            return Err(ActError::NotFound(why));
        }
        if until.is_some_and(|t| t <= at) {
            return Err(ActError::Conflict("the approval would be over already: name a time to come".to_owned()));
        }
        if let Some(who) = config.keys.get(fingerprint) {
            return Err(ActError::Conflict(format!("{fingerprint} is the key of {who} already")));
        }
        // One that is over and was not forgotten yet would be forgotten after the new one is saved.
        if let Some(old) = self.approvals.0.get(fingerprint) {
            let why =
                format!("the approval of {fingerprint} for host {} has to end first: look again in a moment", old.host);
            return Err(ActError::Conflict(why));
        }
        if self.approvals.0.len() >= MOST {
            let why = format!("{MOST} keys are approved beside the configuration: write them into it, and reload");
            return Err(ActError::Conflict(why));
        }
        let credential = Credential { fingerprint: fingerprint.to_owned(), ..Credential::default() };
        if let Some(rule) = credential.blocked(&self.ledger, config, &Principal::Host(host.clone())) {
            return Err(ActError::Conflict(format!("it would sign nobody in: {rule}")));
        }
        let reason = reason.map(|r| crate::model::clean_line(&r)).filter(|r| !r.is_empty());
        let (fingerprint, host, by) = (fingerprint.to_owned(), host.clone(), by.name());
        Ok(Approval { fingerprint, key, host, by, since: at, until, reason })
    }
}

impl Registry {
    /// Lets a pending key sign in a host from now on.
    ///
    /// The journal has it before the ledger, and both before anybody is let in by it.
    ///
    /// # Errors
    /// [`ActError`] when the key is not pending, the host is not in the configuration, either is blocked, the time is over,
    /// or it cannot be written down or saved.
    pub async fn approve(
        &self,
        by: By,
        fingerprint: &str,
        host: &HostName,
        until: Option<Time>,
        reason: Option<String>,
    ) -> Result<Done, ActError> {
        self.auditable()?;
        let (approval, taken) = {
            let mut state = self.state();
            let approval = state.approvable(&self.config(), &by, fingerprint, host, until, reason)?;
            // Two who approve it at once would have memory and disk differ: only one of them finds it.
            let taken = state.waiting.take_to_approve(fingerprint).ok_or_else(|| not_pending(fingerprint))?;
            (approval, taken)
        };
        let (key, _) = &taken;
        let what = What::KeyApproved { until, from: key.source };
        let context = Context { user: Some(key.user.clone()), ..self.approval_context(&approval) };
        let written = self.write_down(by.success(what, context), &approval).await;
        let seq = {
            let mut state = self.state();
            state.waiting.approved(fingerprint);
            match written {
                Ok(seq) => {
                    state.approvals.0.insert(approval.fingerprint.clone(), approval.clone());
                    state.troubles.decided(fingerprint);
                    self.lay_approvals(&mut state);
                    seq
                }
                Err(e) => {
                    state.waiting.put_back(taken);
                    // A reload may have given it to somebody meanwhile.
                    state.waiting.keep(&self.config());
                    return Err(e);
                }
            }
        };
        self.touch();
        let time = until.map(|t| format!(" until {}", t.format("%Y-%m-%d %H:%MZ"))).unwrap_or_default();
        let summary = format!(
            "approved {fingerprint} for host {host}{time}; to make it permanent {}, then reload",
            approval.permanent()
        );
        Ok(Done::new(seq, summary))
    }

    /// Has an approval in the journal, then in the ledger. Where the ledger does not take it, the journal says so.
    async fn write_down(&self, event: Event, approval: &Approval) -> Result<Seq, ActError> {
        let seq = self.journal.commit(event).await?;
        if let Err(e) = self.store.apply(vec![Change::PutApproval(approval.clone())]).await {
            let context =
                Context { reason: Some(format!("it could not be saved: {e}")), ..self.approval_context(approval) };
            let what = What::KeyUnapproved { sessions: 0, tunnels: 0 };
            self.journal.record(Event::success(Actor::Daemon, what, context));
            return Err(e.into());
        }
        Ok(seq)
    }

    /// Takes an approval back and ends the sessions that live by it.
    ///
    /// # Errors
    /// [`ActError`] when the key is not approved, or when that could not be saved. `revoke` holds without a disk.
    pub async fn unapprove(&self, by: By, fingerprint: &str, reason: Option<String>) -> Result<Done, ActError> {
        self.auditable()?;
        let change = Change::DropApproval(fingerprint.to_owned());
        let (seen, saving) = {
            let state = self.state();
            let seen = state.approvals.0.get(fingerprint).cloned().ok_or_else(|| {
                ActError::NotFound(format!(
                    "{fingerprint} is not approved: `portreeve keys` says which are; keys of the configuration are taken \
                     out there, or blocked with `portreeve revoke`"
                ))
            })?;
            (seen, self.store.apply(vec![change]))
        };
        saving.await?;
        {
            let mut state = self.state();
            // Another may have taken it back meanwhile, and somebody approved it anew.
            if state.approvals.0.get(fingerprint) != Some(&seen) {
                return Err(ActError::Conflict(format!("the approval of {fingerprint} has changed meanwhile")));
            }
            state.approvals.0.remove(fingerprint);
            self.lay_approvals(&mut state);
        }
        self.touch();
        let ended = self.unapproved(fingerprint);
        let (sessions, tunnels) = (ended.len(), self.tunnels_by(&ended));
        self.cut(&ended, &Obituary::of(ObituaryCause::Revoke)).await;
        let what = What::KeyUnapproved { sessions, tunnels };
        let context = Context { reason, ..self.approval_context(&seen) };
        let (seq, warning) = self.prove(by.success(what, context)).await;
        let closed = format!("closed {}, {}", count(sessions, "session"), count(tunnels, "tunnel"));
        let summary = format!("{fingerprint} signs host {} in no more: {closed}", seen.host);
        Ok(Done::warned(seq, summary, warning))
    }

    /// The approvals there are, in force or not, by key.
    #[must_use]
    pub fn approvals(&self) -> Vec<Approval> {
        self.state().approvals.0.values().cloned().collect()
    }

    /// The approval of this key.
    #[must_use]
    pub fn approval(&self, fingerprint: &str) -> Option<Approval> {
        self.state().approvals.0.get(fingerprint).cloned()
    }

    /// Ends the approvals whose time is over, whose host has left the configuration, or whose key has come into it for the
    /// same host, and cuts all that lives by them together.
    ///
    /// It waits for no disk: what the disk does not take is over again at the next start.
    pub async fn approvals_over(&self, at: Time) {
        let over: Vec<_> = {
            let mut state = self.state();
            let config = self.config();
            let over: Vec<_> =
                state.approvals.0.values().filter_map(|a| Some((a.clone(), ended(a, &config, at)?))).collect();
            if over.is_empty() {
                return;
            }
            // Under the lock: what is approved anew is saved after this.
            let forget = |(a, why): (Approval, String)| {
                state.approvals.0.remove(&a.fingerprint);
                let saving = self.store.apply(vec![Change::DropApproval(a.fingerprint.clone())]);
                (a, why, saving)
            };
            let over = over.into_iter().map(forget).collect();
            self.lay_approvals(&mut state);
            over
        };
        self.touch();
        let mut all = Vec::new();
        let mut events = Vec::new();
        for (a, why, saving) in over {
            let sessions = self.unapproved(&a.fingerprint);
            let what = What::KeyUnapproved { sessions: sessions.len(), tunnels: self.tunnels_by(&sessions) };
            let context = Context { reason: Some(why), ..self.approval_context(&a) };
            events.push(Event::success(Actor::Daemon, what, context));
            all.extend(sessions);
            tokio::spawn(async move {
                if let Err(error) = saving.await {
                    let key = a.fingerprint;
                    tracing::warn!(%error, key, "an approval that is over could not be forgotten; the next start does it");
                }
            });
        }
        self.cut(&all, &Obituary::of(ObituaryCause::ConfigChange)).await;
        for event in events {
            self.journal.record(event);
        }
    }

    /// Puts the configuration in force anew, with the approvals as they are now.
    fn lay_approvals(&self, state: &mut State) {
        let config = state.approvals.over(self.config());
        self.put_config(state, config);
    }

    /// The sessions that a key has signed in and would not now.
    fn unapproved(&self, fingerprint: &str) -> Vec<Arc<Session>> {
        let config = self.config();
        let stays = |s: &Session| {
            let holder = s.credential.holder(&config, &s.user, s.source.ip(), now()).ok();
            holder.is_some() && holder == s.holder()
        };
        let of_key = |s: &Arc<Session>| s.credential.certified.is_none() && s.credential.fingerprint == fingerprint;
        self.sessions().into_iter().filter(|s| of_key(s) && !stays(s)).collect()
    }

    /// How many tunnels these sessions have.
    fn tunnels_by(&self, sessions: &[Arc<Session>]) -> usize {
        sessions.iter().map(|s| self.tunnels_of(s.id).len()).sum()
    }

    fn approval_context(&self, a: &Approval) -> Context {
        Context {
            fingerprint: Some(a.fingerprint.clone()),
            host: Some(a.host.clone()),
            team: self.config().hosts.get(&a.host).map(|h| h.team.clone()),
            reason: a.reason.clone(),
            ..Context::default()
        }
    }
}

/// Why an approval is over, if it is.
fn ended(a: &Approval, config: &Config, at: Time) -> Option<String> {
    if a.until.is_some_and(|until| until <= at) {
        return Some(format!("the time set by {} is over", a.by));
    }
    if !config.hosts.contains_key(&a.host) {
        return Some(format!("host {} is not in the configuration any more", a.host));
    }
    let same = config.written(&a.fingerprint) == Some(&Principal::Host(a.host.clone()));
    same.then(|| "the configuration has the key now".to_owned())
}
