//! Nobody presses a key: the console leaves write mode, hides what it shows, and tells the daemon when somebody is there.

use super::{Effect, send, send_action};
use crate::control::protocol::{Action, Request};
use crate::model::Time;
use crate::ui::state::{Pending, State};
use chrono::TimeDelta;

/// Least time between two words to the daemon that somebody is there.
const TELL: TimeDelta = TimeDelta::seconds(1);

/// Time has passed.
pub(super) fn tick(state: &mut State, now: Time, out: &mut Vec<Effect>) {
    if state.locks_at().is_none_or(|(_, at)| now < at) {
        return;
    }
    state.locked = true;
    // A half-typed question is not left for whoever comes next.
    state.dialog = None;
    state.prompt = None;
    if state.write_until.take().is_some() {
        send_action(state, Action::WriteMode { on: false }, out);
    }
}

/// A key was pressed. True when that is all it did: it shows again what was hidden.
pub(super) fn woken(state: &mut State, out: &mut Vec<Effect>) -> bool {
    state.last_key = state.now;
    let closes = state.live.daemon.as_ref().is_some_and(|d| d.idle_logout_s.is_some());
    // Over SSH the daemon sees the keys itself.
    let tells = closes && state.is_live() && state.who.as_ref().is_some_and(|w| w.via == "unix");
    if tells && state.told_active.is_none_or(|at| state.now - at >= TELL) {
        state.told_active = Some(state.now);
        send(state, Request::Active, Pending::Active, out);
    }
    std::mem::take(&mut state.locked)
}

#[cfg(test)]
mod tests;
