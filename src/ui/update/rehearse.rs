//! The dry run of a question about ports: what the daemon would say, before anybody answers.

use super::{Effect, Pending, send};
use crate::control::protocol::{Action, ApiError, Reply, Request};
use crate::ui::state::State;
use crate::ui::state::dialog::{Ask, Dialog, Dry};
use crate::ui::words::tr;

/// What is asked about, as far as the daemon's answer depends on it.
fn wish(ask: &Ask) -> Option<Action> {
    let mut action = ask.rehearsed()?;
    match &mut action {
        Action::Assign { reason, service, until, .. } => (*reason, *service, *until) = (None, None, None),
        Action::Move { reason, .. } | Action::Release { reason, .. } => *reason = None,
        Action::Reserve { reason, .. } => reason.clear(),
        _ => return None,
    }
    Some(action)
}

/// Asks for what the open question is about, once for each of its answers.
pub(super) fn attend(state: &mut State, out: &mut Vec<Effect>) {
    let asked = state.pending.values().any(|p| matches!(p, Pending::Rehearse(_)));
    if asked || !state.is_live() {
        return;
    }
    let Some(Dialog::Ask(ask)) = &mut state.dialog else { return };
    let wanted = wish(ask);
    if ask.dry.as_ref().map(|d| &d.of) == wanted.as_ref() {
        return;
    }
    ask.dry = None;
    if let Some(action) = wanted {
        send(state, Request::Rehearse(action.clone()), Pending::Rehearse(action), out);
    }
}

/// The daemon's answer.
pub(super) fn told(state: &mut State, of: Action, result: Result<Reply, ApiError>) {
    let lang = state.lang();
    let Some(Dialog::Ask(ask)) = &mut state.dialog else { return };
    if wish(ask).as_ref() == Some(&of) {
        let (allowed, rule) = match result {
            Ok(Reply::Explained(e)) => (Some(e.allowed), e.rule),
            Ok(_) => (None, tr!(lang, ask.no_answer).to_owned()),
            Err(e) => (None, e.message),
        };
        ask.dry = Some(Dry { of, allowed, rule });
    }
}
