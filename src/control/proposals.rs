//! The rule of two persons: what one operator proposes, another one confirms. Until then nothing is done.
//!
//! Proposals are in memory only: after a restart nobody is surprised by what somebody wanted yesterday. The journal has
//! each of them, and what became of it.

use super::authz;
use super::desk::Desk;
use super::protocol::{Action, ApiError, ErrorCode, Identity, Outcome};
use super::sight::unlimited;
use crate::audit::{Actor, Context, Event, What};
use crate::config::{Config, Principal};
use crate::model::{Certified, GrantId, OperatorName, ProposalId, ProposalView, Seq, TeamName, Time, now};
use crate::tunnels::{By, DISK_WAIT, Session};
use chrono::TimeDelta;
use std::collections::BTreeMap;
use std::sync::{Arc, MutexGuard, PoisonError};

/// Proposals that wait at a time.
const MOST: usize = 32;
/// Of them of one operator.
const MOST_EACH: usize = 8;

/// All that wait.
pub(super) type Proposals = BTreeMap<ProposalId, Proposal>;

/// One that waits.
#[derive(Debug, Clone)]
pub(super) struct Proposal {
    action: Action,
    /// Who proposed it, as they were then.
    who: Identity,
    operator: OperatorName,
    /// What they had signed in with, for one who came by SSH.
    session: Option<Arc<Session>>,
    team: Option<TeamName>,
    context: Context,
    since: Time,
    until: Time,
    blast: String,
}

/// The operator somebody is by name. Root and the daemon's own account are none unless an `unix_user` says so: whoever can
/// become root would otherwise be two persons.
fn person(config: &Config, who: &Identity) -> Option<OperatorName> {
    match who.uid {
        Some(uid) => config.operator_of_uid(uid).map(|(name, _)| name.clone()),
        None if who.via == "ssh" => who.name.parse().ok().filter(|n| config.operators.contains_key(n)),
        None => None,
    }
}

/// Whether both are one person for all that can be known: by name, by account, or by the key they came with.
fn same(a: &Identity, b: &Identity) -> bool {
    let both = |x: Option<&str>, y: Option<&str>| x.is_some() && x == y;
    a.name == b.name || both(a.fingerprint.as_deref(), b.fingerprint.as_deref()) || (a.uid.is_some() && a.uid == b.uid)
}

/// The certificate that a session signed in with.
fn certified(session: Option<&Arc<Session>>) -> Option<&Certified> {
    session.and_then(|s| s.credential.certified.as_ref())
}

/// Whether a certificate would sign in as this operator too. It may have the principals of several, and who has its
/// holder's login has a new key for each of them.
fn stands_for(config: &Config, c: Option<&Certified>, operator: &str) -> bool {
    let holder = c.and_then(|c| config.vouched(c, operator).ok());
    matches!(holder, Some(Principal::Operator(o)) if o.as_str() == operator)
}

fn forbidden(message: String) -> ApiError {
    ApiError::new(ErrorCode::Forbidden, message)
}

impl Desk {
    fn waiting(&self) -> MutexGuard<'_, Proposals> {
        self.proposals.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One that can still be confirmed.
    fn proposal(&self, id: ProposalId) -> Option<Proposal> {
        self.waiting().get(&id).filter(|p| now() < p.until).cloned()
    }

    /// That the proposal an action means is no more.
    pub(super) fn proposal_gone(&self, id: ProposalId) -> Option<String> {
        let gone = || format!("there is no proposal {id} (any more); `portreeve proposals` lists those that wait");
        self.proposal(id).is_none().then(gone)
    }

    /// That a proposal, or what it is about, is no more.
    pub(super) fn confirmed_gone(&self, id: ProposalId) -> Option<String> {
        self.proposal_gone(id).or_else(|| self.proposal(id).and_then(|p| self.gone(&p.action)))
    }

    /// What the audit says of what a proposal is about, as it was then.
    pub(super) fn proposal_context(&self, id: ProposalId) -> Context {
        self.proposal(id).map(|p| p.context).unwrap_or_default()
    }

    /// What the audit says of what this person would confirm. A reload may have given it to another team meanwhile.
    pub(super) fn confirmed_context(&self, who: &Identity, id: ProposalId) -> Context {
        self.proposal(id).map(|p| self.anew(who, p).context).unwrap_or_default()
    }

    /// A proposal with the team and place of what it is about as they are now. Not for [`Self::views`]: of an incident
    /// they are read from the board, which whoever asks for views may hold.
    fn anew(&self, who: &Identity, p: Proposal) -> Proposal {
        let (team, context) = self.subject(who, &p.action);
        Proposal { team, context, ..p }
    }

    /// Whether the rule of two persons lets this person ask for this. What they may do at all is judged before. Gives the
    /// grant that allows what they would confirm, where the configuration does not.
    pub(super) fn by_two(&self, who: &Identity, action: &Action) -> Result<Option<GrantId>, ApiError> {
        let config = self.registry.config();
        let nobody = |verb: &str| {
            forbidden(format!(
                "{verb} is an act of two operators, and {} is nobody by name: sign in as an operator, or give the account \
                 one by `unix_user`",
                who.name
            ))
        };
        match action {
            Action::Confirm { proposal } => match self.proposal(*proposal) {
                Some(p) if person(&config, who).is_none() => Err(nobody(p.action.id())),
                Some(p) => self.may_second(&config, who, &self.anew(who, p)),
                None => Err(ApiError::new(ErrorCode::NotFound, self.proposal_gone(*proposal).unwrap_or_default())),
            },
            Action::Withdraw { proposal } => match self.proposal(*proposal) {
                Some(p) if person(&config, who).as_ref() == Some(&p.operator) => Ok(None),
                Some(p) => self.may(&config, who, &p),
                None => Err(ApiError::new(ErrorCode::NotFound, self.proposal_gone(*proposal).unwrap_or_default())),
            },
            other if authz::needs_second(&config, other) && person(&config, who).is_none() => Err(nobody(other.id())),
            _ => Ok(None),
        }
    }

    /// The session of somebody who came by SSH. Without it nothing is known of what they signed in with.
    fn came_in(&self, who: &Identity) -> Result<Option<Arc<Session>>, ApiError> {
        let session = who.session.and_then(|id| self.registry.session(id));
        if who.via == "ssh" && session.is_none() {
            return Err(forbidden(format!("the session of {} is over: sign in again", who.name)));
        }
        Ok(session)
    }

    /// Whether somebody may do what is proposed, and by which grant, where the configuration does not allow it.
    fn may(&self, config: &Config, who: &Identity, p: &Proposal) -> Result<Option<GrantId>, ApiError> {
        let grant = authz::check(config, who, &p.action, p.team.as_ref())?;
        self.not_above(who, &p.action).map(|()| grant)
    }

    fn may_second(&self, config: &Config, who: &Identity, p: &Proposal) -> Result<Option<GrantId>, ApiError> {
        if same(who, &p.who) {
            return Err(forbidden(format!(
                "{} proposed it, and another operator must confirm it: one by another name, who comes with another key or \
                 account",
                p.operator
            )));
        }
        let session = self.came_in(who)?;
        let (first, second) = (certified(p.session.as_ref()), certified(session.as_ref()));
        let both = stands_for(config, first, &who.name) || stands_for(config, second, p.operator.as_str());
        let one_id = matches!((first, second), (Some(a), Some(b)) if a.mark.ca == b.mark.ca && a.key_id == b.key_id);
        if both || one_id {
            return Err(forbidden(format!(
                "{} proposed it, and another operator must confirm it: a certificate of one of you is good for both names, \
                 or both have the same key id",
                p.operator
            )));
        }
        self.may(config, who, p)
    }

    /// Why a proposal can stand no longer: its time is over, or its proposer could not propose it now.
    fn over(&self, config: &Config, p: &Proposal, at: Time) -> Option<String> {
        if p.until <= at {
            return Some("nobody confirmed it in time".to_owned());
        }
        let lost = |why: &str| Some(format!("{} may not do it any more: {why}", p.operator));
        let credential = p.session.as_ref().map(|s| s.credential.as_ref());
        let Some(powers) = self.registry.powers(&p.operator, credential) else {
            return lost("no such operator is in the configuration");
        };
        if let Some(rule) = self.registry.dismissed(&p.operator) {
            return lost(&rule);
        }
        let good = match (&p.session, p.who.uid) {
            (Some(s), _) => self.registry.still_good(s),
            (None, Some(uid)) if config.operator_of_uid(uid).map(|(n, _)| n) != Some(&p.operator) => {
                Err("the account they came from is somebody else's".to_owned())
            }
            _ => Ok(()),
        };
        if let Err(why) = good {
            return lost(&why);
        }
        let now = Identity { role: powers.role, teams: powers.teams, granted: powers.granted, ..p.who.clone() };
        self.may(config, &now, p).err().and_then(|e| lost(&e.message))
    }

    /// Writes down an act of this rule. Where the disk refuses, nothing is done; but for a revocation, which is not kept
    /// waiting for a disk that refuses or hangs.
    async fn on_record(&self, event: Event, action: &Action) -> Result<Seq, ApiError> {
        let revokes = matches!(action, Action::Revoke { .. });
        let commit = self.registry.journal.commit(event.clone());
        let written = if revokes {
            match tokio::time::timeout(DISK_WAIT, commit).await {
                Ok(written) => written,
                // It is in the journal's queue, in its place.
                Err(_) => return Ok(self.registry.journal.status().seq),
            }
        } else {
            commit.await
        };
        match written {
            Ok(seq) => Ok(seq),
            Err(_) if revokes => {
                self.registry.journal.record(event);
                Ok(self.registry.journal.status().seq)
            }
            Err(e) => Err(ApiError::new(
                ErrorCode::Unavailable,
                format!("the audit journal cannot be written, so nothing was done: {e}"),
            )),
        }
    }

    /// Keeps what somebody asked for until another operator confirms it.
    pub(super) async fn propose(
        &self,
        who: &Identity,
        by: By,
        action: Action,
        context: Context,
    ) -> Result<Outcome, ApiError> {
        let config = self.registry.config();
        let Some(operator) = person(&config, who) else {
            return Err(forbidden(format!("{} is nobody by name", who.name)));
        };
        let session = self.came_in(who).inspect_err(|e| {
            let what = What::OperatorRefused { action: action.id().to_owned() };
            self.registry.journal.record(by.failure(what, &e.message, context.clone()));
        })?;
        let rehearsed = self.rehearse(who, &action);
        let refuse = |message: String| {
            let what = What::OperatorRefused { action: action.id().to_owned() };
            self.registry.journal.record(by.failure(what, &message, context.clone()));
            Err(ApiError::new(ErrorCode::Conflict, message))
        };
        if !rehearsed.allowed {
            return refuse(rehearsed.rule);
        }
        let since = now();
        let stands = TimeDelta::from_std(config.control.confirm_within).unwrap_or_default();
        let (id, until) = (ProposalId::new(), since + stands);
        let (what, reason) = (action.verb_line(), action.reason().map(str::to_owned));
        let new = Proposal {
            action: action.clone(),
            who: who.clone(),
            operator: operator.clone(),
            session,
            team: context.team.clone(),
            context: context.clone(),
            since,
            until,
            blast: rehearsed.rule.clone(),
        };
        let full = {
            let mut all = self.waiting();
            let same = action.without_reason();
            let again = all.iter().find(|(_, p)| p.action.without_reason() == same && since < p.until);
            if let Some((id, p)) = again {
                Some(format!("{} has proposed that already, as {id}", p.operator))
            } else if all.len() >= MOST {
                Some(format!("{MOST} proposals wait, the most there may be: confirm or withdraw some"))
            } else if all.values().filter(|p| p.operator == operator).count() >= MOST_EACH {
                Some(format!("{MOST_EACH} proposals of {operator} wait, the most there may be: withdraw some"))
            } else {
                all.insert(id, new);
                None
            }
        };
        if let Some(why) = full {
            return refuse(why);
        }
        let told = What::Propose { proposal: id, what: what.clone(), until, blast: rehearsed.rule.clone() };
        let event = by.success(told, Context { reason, ..context.clone() });
        let seq = match self.on_record(event, &action).await {
            Ok(seq) => seq,
            Err(e) => {
                self.waiting().remove(&id);
                return Err(e);
            }
        };
        self.registry.announce();
        let summary = format!(
            "nothing is done yet: {what} waits as {id} for another operator, until {} ({}). They run: portreeve confirm {id}",
            until.format("%H:%M:%SZ"),
            rehearsed.rule
        );
        let proposal = self.views(who).into_iter().find(|v| v.id == id).map(Box::new);
        Ok(Outcome { seq, summary, ok: false, lease: None, revocation: None, grant: None, proposal })
    }

    /// Does what was proposed, on both operators' account.
    pub(super) async fn confirm(
        &self,
        who: Identity,
        by: By,
        id: ProposalId,
        asked: &Action,
    ) -> Result<Outcome, ApiError> {
        self.proposals_over();
        // From here on it is nobody else's to confirm.
        let Some(p) = self.waiting().remove(&id) else {
            let gone = self.proposal_gone(id).unwrap_or_default();
            let what = What::OperatorRefused { action: asked.id().to_owned() };
            self.registry.journal.record(by.failure(what, &gone, Context::default()));
            return Err(ApiError::new(ErrorCode::NotFound, gone));
        };
        self.registry.announce();
        let by = By { proposed_by: Some(p.operator.to_string()), ..by };
        let p = self.judged(&who, &by, id, p, asked)?;
        let what = What::Confirm { proposal: id, what: p.action.verb_line() };
        let event = by.success(what, p.context.clone());
        self.on_record(event, &p.action).await?;
        // The disk may have taken long, and rights end meanwhile.
        let who = self.as_of_now(&who);
        let p = self.judged(&who, &by, id, p, asked)?;
        let done = self.carry_out(who, by, p.action, p.context).await?;
        Ok(Outcome { summary: format!("{} (proposed by {})", done.summary, p.operator), ..done })
    }

    /// Judges both operators as of now, by the team that it concerns now. A proposal that they may not carry out is at its
    /// end.
    fn judged(
        &self,
        who: &Identity,
        by: &By,
        id: ProposalId,
        p: Proposal,
        asked: &Action,
    ) -> Result<Proposal, ApiError> {
        let config = self.registry.config();
        // Of an incident each sees as much as is theirs.
        let theirs = self.anew(&p.who, p.clone());
        let p = self.anew(who, p);
        let second = self.credential_holds(who).and_then(|()| self.may_second(&config, who, &p));
        let (e, over) = match (self.over(&config, &theirs, now()), second) {
            (None, Ok(_)) => return Ok(p),
            (Some(why), _) => {
                (ApiError::new(ErrorCode::Conflict, format!("{id} is at its end, nothing was done: {why}")), why)
            }
            (None, Err(e)) => (e.clone(), format!("{} may not confirm it any more: {}", who.name, e.message)),
        };
        let what = What::OperatorRefused { action: asked.id().to_owned() };
        self.registry.journal.record(by.failure(what, &e.message, p.context.clone()));
        self.ended(id, p, &over);
        Err(e)
    }

    /// Takes a proposal back.
    pub(super) async fn withdraw(&self, by: By, id: ProposalId) -> Result<Outcome, ApiError> {
        let Some(p) = self.waiting().remove(&id) else {
            return Err(ApiError::new(ErrorCode::NotFound, self.proposal_gone(id).unwrap_or_default()));
        };
        self.registry.announce();
        let by = By { proposed_by: Some(p.operator.to_string()), ..by };
        let what = p.action.verb_line();
        let event = by.success(What::Withdraw { proposal: id, what: what.clone() }, p.context);
        // It is gone either way, and nothing else has been done.
        let seq = match self.registry.journal.commit(event.clone()).await {
            Ok(seq) => seq,
            Err(_) => {
                self.registry.journal.record(event);
                self.registry.journal.status().seq
            }
        };
        let summary = format!("withdrew {id} of {}: {what}; nothing was done", p.operator);
        Ok(Outcome { seq, summary, ok: true, lease: None, revocation: None, grant: None, proposal: None })
    }

    /// Ends the proposals whose time is over or whose proposer may not do it any more.
    pub(super) fn proposals_over(&self) {
        let (config, at) = (self.registry.config(), now());
        let all: Vec<(ProposalId, Proposal)> = self.waiting().iter().map(|(id, p)| (*id, p.clone())).collect();
        for (id, p) in all {
            let Some(why) = self.over(&config, &p, at) else { continue };
            if self.waiting().remove(&id).is_none() {
                continue;
            }
            self.ended(id, p, &why);
            self.registry.announce();
        }
    }

    /// Writes down that a proposal has come to its end by itself.
    fn ended(&self, id: ProposalId, p: Proposal, why: &str) {
        let what = What::Withdraw { proposal: id, what: p.action.verb_line() };
        let proposed_by = Some(p.operator.to_string());
        let context = Context { reason: Some(crate::model::clean_line(why)), proposed_by, ..p.context };
        self.registry.journal.record(Event::success(Actor::Daemon, what, context));
    }

    /// The proposals that this person may know of, oldest first.
    pub(super) fn views(&self, who: &Identity) -> Vec<ProposalView> {
        let (config, at) = (self.registry.config(), now());
        let me = person(&config, who);
        let all = self.waiting();
        let theirs = all.iter().filter(|(_, p)| {
            let yours = me.as_ref() == Some(&p.operator);
            at < p.until && (yours || p.team.as_ref().map_or_else(|| unlimited(who), |t| who.sees(t)))
        });
        let view = |(id, p): (&ProposalId, &Proposal)| ProposalView {
            id: *id,
            what: p.action.verb_line(),
            by: p.operator.to_string(),
            since: p.since,
            until: p.until,
            reason: p.action.reason().map(str::to_owned),
            team: p.team.clone(),
            blast: p.blast.clone(),
            yours: me.as_ref() == Some(&p.operator),
            may_confirm: me.is_some() && self.may_second(&config, who, p).is_ok(),
        };
        theirs.map(view).collect()
    }

    /// Acts that need two operators and have not two who may do them, a sentence each.
    pub(super) fn lonely_rules(&self) -> Vec<String> {
        let config = self.registry.config();
        let lonely = |rule: &crate::model::ActionRuleView| {
            let may = config.operators.values().filter(|o| o.role >= rule.role).count();
            (!rule.two_person.is_empty() && may < 2).then(|| {
                format!(
                    "[actions.{}] asks for two operators, and only {may} of the configuration may do it (role {}): it cannot be \
                     done; add an operator or take two_person out",
                    rule.verb, rule.role
                )
            })
        };
        config.action_rules().iter().filter_map(lonely).collect()
    }
}
