//! Questions about other operators: who is logged out, and what two of them must agree on.

use super::plain;
use crate::control::actions::ActionSpec;
use crate::control::protocol::Action;
use crate::model::{OperatorName, ProposalId, SessionKind};
use crate::ui::state::State;
use crate::ui::state::dialog::{Ask, Subject};
use crate::ui::words::tr;

/// Says so where the answer only proposes. Of a revoke its own facts do, for they follow the choice of its target.
pub(in crate::ui::update) fn second(state: &State, mut ask: Ask) -> Ask {
    let kind = match &ask.subject {
        Subject::Revoke { .. } => return ask,
        Subject::Restore { target } => Some(target.kind()),
        _ => None,
    };
    if state.needs_second(ask.spec, kind) {
        ask.facts.push(tr!(state.lang(), ask.second).into());
    }
    ask
}

pub(super) fn log_out(
    state: &State,
    spec: &'static ActionSpec,
    name: &str,
    reason: Option<String>,
) -> Result<Ask, String> {
    let l = state.lang();
    let operator: OperatorName = name.parse().map_err(|e: crate::model::NameError| e.to_string())?;
    let theirs = |s: &&crate::model::SessionView| s.kind == SessionKind::Operator && s.name == operator.as_str();
    let n = state.live.sessions.values().filter(theirs).count();
    let mut facts = vec![tr!(l, ask.logout_open, operator, n), tr!(l, ask.logout_fact).to_owned()];
    if state.who.as_ref().is_some_and(|w| w.name == operator.as_str()) {
        facts.push(tr!(l, ask.logout_own).to_owned());
    }
    let title = tr!(l, ask.logout, operator);
    Ok(plain(spec, Action::Logout { operator, reason }, &title, facts))
}

/// To confirm or to withdraw what waits.
pub(in crate::ui::update) fn proposal(state: &State, spec: &'static ActionSpec, id: ProposalId) -> Result<Ask, String> {
    let l = state.lang();
    let known = state.live.daemon.iter().flat_map(|d| &d.proposals).find(|p| p.id == id);
    let Some(p) = known else {
        // What was proposed a moment ago need not be known here yet to be taken back.
        return match spec.id {
            "withdraw" => {
                let (action, what) = (Action::Withdraw { proposal: id }, id);
                let fact = tr!(l, ask.withdraw_fact).to_owned();
                Ok(plain(spec, action, &tr!(l, ask.withdraw, what), vec![fact]))
            }
            _ => Err(tr!(l, ask.no_proposal, id)),
        };
    };
    let (by, at) = (&p.by, p.since.format("%H:%M:%SZ"));
    let mut facts = vec![match &p.reason {
        Some(reason) => tr!(l, ask.confirm_why, by, at, reason),
        None => tr!(l, ask.confirm_by, by, at),
    }];
    facts.push(p.blast.clone());
    let (action, title, fact) = match spec.id {
        "confirm" => (Action::Confirm { proposal: id }, tr!(l, ask.confirm, what = p.what), tr!(l, ask.confirm_fact)),
        _ => (Action::Withdraw { proposal: id }, tr!(l, ask.withdraw, what = p.what), tr!(l, ask.withdraw_fact)),
    };
    facts.push(fact.to_owned());
    Ok(plain(spec, action, &title, facts))
}
