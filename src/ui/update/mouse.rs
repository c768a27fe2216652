//! The mouse, where its user has asked for it: a click selects, a click on what is selected opens it, the wheel scrolls.

use super::{Effect, command, go, open, pane, step, tabs};
use crate::ui::input::Mouse;
use crate::ui::keys::Cmd;
use crate::ui::state::dialog::Dialog;
use crate::ui::state::nav::Step;
use crate::ui::state::spots::{self, Target};
use crate::ui::state::{Screen, State};

/// Rows that one step of the wheel goes.
const WHEEL: usize = 3;

/// Takes it in.
pub(super) fn mouse(state: &mut State, mouse: Mouse, out: &mut Vec<Effect>) {
    if let Some(dialog) = &mut state.dialog {
        if let Some(scroll) = Dialog::scroll(dialog) {
            match mouse {
                Mouse::WheelDown => *scroll = scroll.saturating_add(WHEEL),
                Mouse::WheelUp => *scroll = scroll.saturating_sub(WHEEL),
                Mouse::Click(..) => {}
            }
        }
        return;
    }
    match mouse {
        Mouse::WheelDown => step(state, Step::Down(WHEEL), out),
        Mouse::WheelUp => step(state, Step::Up(WHEEL), out),
        // What is being typed is not left by a slip of the hand.
        Mouse::Click(..) if state.prompt.is_some() => {}
        Mouse::Click(x, y) => match spots::at(&state.spots, x, y) {
            Some(Target::Screen(screen)) => go(state, screen),
            Some(Target::Row(i)) => row(state, i, out),
            Some(Target::Port(port)) if state.port_cursor == Some(port) => command(state, Cmd::Open, out),
            Some(Target::Port(port)) => state.port_cursor = Some(port),
            Some(Target::Detail) if !state.detail => {
                pane(state);
                tabs::fill(state, out);
            }
            Some(Target::Detail) | None => {}
        },
    }
}

fn row(state: &mut State, i: usize, out: &mut Vec<Effect>) {
    let height = state.list_height();
    let before = selected(state);
    state.detail = false;
    match state.screen {
        Screen::Triage => state.triage.select(i),
        Screen::Tunnels => state.tunnels.select(i, &state.tunnel_rows, height),
        Screen::Health => state.health.select(i, &state.health_rows, height),
        Screen::Sessions => state.sessions.select(i, &state.session_rows, height),
        Screen::Audit => {
            super::follow(state, false);
            state.audit.select(i, &state.audit_ids, height);
        }
        Screen::Changes => state.changes.nav.select(i, &state.changes.ids, height),
        Screen::Ports => {}
    }
    if before == Some(i) {
        open(state);
    }
    tabs::fill(state, out);
}

fn selected(state: &State) -> Option<usize> {
    match state.screen {
        Screen::Triage => state.triage.selected,
        Screen::Tunnels => state.tunnels.index(&state.tunnel_rows),
        Screen::Health => state.health.index(&state.health_rows),
        Screen::Sessions => state.sessions.index(&state.session_rows),
        Screen::Audit => state.audit.index(&state.audit_ids),
        Screen::Changes => state.changes.nav.index(&state.changes.ids),
        Screen::Ports => None,
    }
}
