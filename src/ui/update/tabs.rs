//! The tabs of a tunnel's detail: going from one to another, moving in them, and asking the daemon for what they show.

use super::{Effect, Pending, Step, journal, send, visitors};
use crate::audit::AuditQuery;
use crate::control::howto::Format;
use crate::control::protocol::{ApiError, Reply, Request};
use crate::model::{BlockTarget, HostName, Port};
use crate::ui::state::tabs::{History, Tab, Then};
use crate::ui::state::{Screen, State};
use crate::ui::words::tr;

/// Whether a detail with its tabs is on the screen.
pub(super) fn shown(state: &State) -> bool {
    let place = matches!(state.screen, Screen::Tunnels | Screen::Health);
    place && (state.detail || state.plan().wide) && state.selected_port().is_some()
}

/// Opens a tab.
pub(super) fn show(state: &mut State, tab: Tab, out: &mut Vec<Effect>) {
    state.tabs.tab = tab;
    state.detail_scroll = 0;
    fill(state, out);
}

/// Asks for what the open tab shows and the console does not know.
pub(super) fn fill(state: &mut State, out: &mut Vec<Effect>) {
    visitors(state, out);
    // Beside the list it follows the cursor: nothing is asked for every row that it passes.
    if !state.detail || !shown(state) {
        return;
    }
    let Some(row) = state.selected_port().and_then(|p| state.row(p)) else { return };
    let (host, port, tab) = (row.host().clone(), row.port(), state.tabs.tab);
    if tab.is_journal() {
        let known = state.tabs.history.as_ref().is_some_and(|h| h.port == port && h.tab == tab);
        if !known {
            state.tabs.history = Some(History::of(row, tab, &state.live));
            state.tabs.event = crate::ui::state::nav::Nav::default();
            older(state, out);
        }
    } else if tab == Tab::Fix {
        let known = state.tabs.howto.as_ref().is_some_and(|(h, known)| *h == host && known.is_ok());
        let asked = state.pending.values().any(|p| *p == Pending::HowTo(host.clone()));
        if !known && !asked && state.is_live() {
            let of = BlockTarget::Host(host.clone());
            send(state, Request::HowTo { of }, Pending::HowTo(host), out);
        }
    }
}

/// Asks the journal for what is before all that is known.
fn older(state: &mut State, out: &mut Vec<Effect>) {
    let asked = state.pending.values().any(|p| matches!(p, Pending::History { .. }));
    if asked || !state.is_live() {
        return;
    }
    let now = state.now;
    let Some(history) = &mut state.tabs.history else { return };
    let (port, tab) = (history.port, history.tab);
    if let Some(query) = history.next(now) {
        search(state, (port, tab), Box::new(query), out);
    }
}

/// A piece at a time, so that it is seen how far it has come and nothing is searched that nobody looks at any more.
fn search(state: &mut State, (port, tab): (Port, Tab), query: Box<AuditQuery>, out: &mut Vec<Effect>) {
    let request = Request::Search { query, slice_ms: Some(journal::SLICE_MS) };
    send(state, request, Pending::History { port, tab }, out);
}

/// Moves within the open tab.
pub(super) fn step(state: &mut State, step: Step, out: &mut Vec<Effect>) {
    let page = usize::from(state.plan().body).max(1);
    match state.tabs.tab {
        Tab::Visitors => {
            let ids = state.visitor_ids();
            state.tabs.visitor.go(step, &ids, page);
        }
        Tab::Auth | Tab::Audit => {
            let Some(history) = &state.tabs.history else { return };
            let last = history.ids.last().copied();
            state.tabs.event.go(step, &history.ids, page);
            if matches!(step, Step::Down(_) | Step::Bottom) && state.tabs.event.selected == last {
                older(state, out);
            }
        }
        Tab::Fix if matches!(step, Step::Down(1) | Step::Up(1)) => {
            let last = Format::ALL.len() - 1;
            let form = state.tabs.form;
            state.tabs.form = if step == Step::Down(1) { (form + 1).min(last) } else { form.saturating_sub(1) };
            state.detail_scroll = 0;
        }
        Tab::Overview | Tab::Health | Tab::Fix => {
            state.detail_scroll = match step {
                Step::Down(n) => state.detail_scroll.saturating_add(n).min(500),
                Step::Up(n) => state.detail_scroll.saturating_sub(n),
                Step::Top => 0,
                Step::Bottom => 500,
            };
        }
    }
}

/// What the journal says.
pub(super) fn history(
    state: &mut State,
    (port, tab): (Port, Tab),
    result: Result<Reply, ApiError>,
    out: &mut Vec<Effect>,
) {
    let lang = state.lang();
    let seen = state.detail && shown(state) && state.tabs.tab == tab && state.selected_port() == Some(port);
    let Some(history) = state.tabs.history.as_mut().filter(|h| h.port == port && h.tab == tab) else {
        // Another was opened meanwhile, and waited for this to be over.
        return older(state, out);
    };
    match result {
        Ok(Reply::Found(found)) => {
            if !seen {
                history.stop();
            }
            match history.add(found) {
                Then::GoOn(query) => search(state, (port, tab), query, out),
                Then::Further => older(state, out),
                Then::Enough => {}
            }
        }
        Ok(_) => {}
        Err(e) => history.problem = Some(tr!(lang, detail.not_read, why = e)),
    }
}

/// What the daemon says of how a host dials in.
pub(super) fn howto(state: &mut State, host: HostName, result: Result<Reply, ApiError>) {
    state.tabs.howto = match result {
        Ok(Reply::HowTo(h)) => Some((host, Ok(*h))),
        Ok(_) => None,
        Err(e) => Some((host, Err(e.message))),
    };
}

/// What `y` copies, where the open tab has something of its own.
pub(super) fn value(state: &State) -> Option<String> {
    let tabs = &state.tabs;
    match tabs.tab {
        _ if !state.detail || !shown(state) => None,
        Tab::Visitors => Some(state.selected_visitor()?.source.to_string()),
        Tab::Auth | Tab::Audit => {
            let history = tabs.history.as_ref()?;
            serde_json::to_string(&**history.get(tabs.event.index(&history.ids)?)?).ok()
        }
        Tab::Fix => {
            let (_, howto) = tabs.howto.as_ref()?;
            Some(howto.as_ref().ok()?.text(tabs.form()))
        }
        Tab::Overview | Tab::Health => None,
    }
}

/// What `Y` copies.
pub(super) fn shell_command(state: &State) -> Option<String> {
    let row = state.selected_port().and_then(|p| state.row(p))?;
    match state.tabs.tab {
        _ if !state.detail || !shown(state) => None,
        Tab::Visitors => Some(format!("portreeve cut {}", state.selected_visitor()?.id)),
        Tab::Auth => Some(format!("portreeve audit --host {} --event auth", row.host())),
        Tab::Audit => Some(format!("portreeve audit --port {}", row.port())),
        Tab::Fix => Some(format!("portreeve howto {} --format {}", row.host(), state.tabs.form().word())),
        Tab::Overview | Tab::Health => None,
    }
}

#[cfg(test)]
mod tests;
