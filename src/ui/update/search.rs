//! From match to match of the last filter, once it is lifted.

use super::{follow, say};
use crate::ui::state::filter::Filter;
use crate::ui::state::journal::shows;
use crate::ui::state::rows::TunnelRow;
use crate::ui::state::{Screen, State, Tone};
use crate::ui::words::tr;

/// To the next row that the last filter matches, though it hides nothing any more.
pub(super) fn search(state: &mut State, forward: bool) {
    let filter = Filter::parse(&state.last_search);
    if filter.is_empty() {
        return say(state, Tone::Info, tr!(state.lang(), say.nothing_to_seek, filter = state.key("filter")));
    }
    let height = state.list_height();
    let (len, here) = match state.screen {
        Screen::Triage => (state.incident_rows.len(), state.triage.selected),
        Screen::Tunnels => (state.tunnel_rows.len(), state.tunnels.index(&state.tunnel_rows)),
        Screen::Health => (state.health_rows.len(), state.health.index(&state.health_rows)),
        Screen::Sessions => (state.session_rows.len(), state.sessions.index(&state.session_rows)),
        Screen::Audit => (state.audit_ids.len(), state.audit.index(&state.audit_ids)),
        Screen::Changes => (state.changes.ids.len(), state.changes.nav.index(&state.changes.ids)),
        Screen::Ports => return,
    };
    let here = here.unwrap_or(0);
    let now = state.now;
    let holds = |i: &usize| -> bool {
        let tunnel = |rows: &[crate::model::Port]| {
            let row = rows.get(*i).and_then(|p| state.row(*p));
            row.is_some_and(|row| filter.matches(&TunnelRow { row, live: &state.live, now }))
        };
        match state.screen {
            Screen::Triage => {
                let incident = state.incident_rows.get(*i).and_then(|n| state.live.incidents().get(*n));
                incident.is_some_and(|x| filter.matches(x))
            }
            Screen::Tunnels => tunnel(&state.tunnel_rows),
            Screen::Health => tunnel(&state.health_rows),
            Screen::Sessions => {
                let s = state.session_rows.get(*i).and_then(|id| state.live.sessions.get(id));
                s.is_some_and(|s| filter.matches(s))
            }
            Screen::Audit => state.audit_rows.get(*i).is_some_and(|r| shows(&filter, r, &state.journal.asked)),
            Screen::Changes => state.changes.rows.get(*i).is_some_and(|c| filter.matches(c)),
            Screen::Ports => false,
        }
    };
    let found = if forward {
        (here + 1..len).chain(0..=here.min(len.saturating_sub(1))).find(holds)
    } else {
        (0..here).rev().chain((here..len).rev()).find(holds)
    };
    match (found, state.screen) {
        (None, _) => say(state, Tone::Info, tr!(state.lang(), say.no_match, text = state.last_search)),
        (Some(i), Screen::Triage) => state.triage.select(i),
        (Some(i), Screen::Tunnels) => state.tunnels.select(i, &state.tunnel_rows, height),
        (Some(i), Screen::Health) => state.health.select(i, &state.health_rows, height),
        (Some(i), Screen::Sessions) => state.sessions.select(i, &state.session_rows, height),
        (Some(i), Screen::Audit) => {
            follow(state, false);
            state.audit.select(i, &state.audit_ids, height);
        }
        (Some(i), Screen::Changes) => state.changes.nav.select(i, &state.changes.ids, height),
        (Some(_), Screen::Ports) => {}
    }
}
