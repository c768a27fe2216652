//! What changed: opened from a selection or for everything, and from a row to what it is about.

use super::{Effect, follow, jump, say, send, show};
use crate::audit::About;
use crate::control::protocol::{ApiError, Reply, Request};
use crate::model::{HostName, Port};
use crate::ui::state::changes::Scope;
use crate::ui::state::live::Row;
use crate::ui::state::{Pending, Screen, State, Tone};
use crate::ui::words::{Lang, cause, tr};

/// Hosts and ports named in the title.
const NAMED: usize = 3;

/// From what is selected: only what concerns that.
pub(super) fn open(state: &mut State) {
    let Some(scope) = scope(state) else {
        return say(state, Tone::Info, tr!(state.lang(), changes.nothing_selected, changes = state.key("changes")));
    };
    let here = state.place();
    state.trail.push(here);
    state.changes.begin(Some(scope));
    show(state, Screen::Changes);
}

/// Asks the journal for what the console has not heard.
pub(super) fn ask(state: &mut State, out: &mut Vec<Effect>) {
    let asked = state.pending.values().any(|p| matches!(p, Pending::Changes(_)));
    if state.screen != Screen::Changes || asked || !state.is_live() {
        return;
    }
    if let Some(query) = state.changes.gap(&state.live, state.now) {
        let scope = state.changes.scope.clone();
        send(state, Request::Audit(Box::new(query)), Pending::Changes(scope), out);
    }
}

/// What the journal says.
pub(super) fn answered(state: &mut State, scope: Option<&Scope>, result: Result<Reply, ApiError>) {
    if state.changes.scope.as_ref() != scope {
        return;
    }
    match result {
        Ok(Reply::Records { records, more }) => state.changes.add(records, more, state.now),
        Ok(_) => {}
        Err(e) => state.changes.problem = Some(tr!(state.lang(), changes.not_read, why = e)),
    }
    state.resort();
}

/// Goes to what the selected change is about: its tunnel, its port, its session; else the event in the journal.
pub(super) fn enter(state: &mut State) {
    let Some(change) = state.changes.selected() else { return };
    let (seq, c) = (change.newest.seq, change.newest.event.context.clone());
    let here = state.place();
    let tunnel = c.port.filter(|p| state.row(*p).is_some());
    let of_host = |h: &HostName| state.live.tunnels.values().find(|r| r.host() == h).map(Row::port);
    let session = c.session.filter(|s| state.live.sessions.contains_key(s));
    if let Some(port) = tunnel {
        jump(state, port);
    } else if let Some(port) = c.port {
        show(state, Screen::Ports);
        state.port_cursor = Some(port);
    } else if let Some(session) = session {
        show(state, Screen::Sessions);
        select_session(state, session);
    } else if let Some(port) = c.host.as_ref().and_then(of_host) {
        jump(state, port);
    } else {
        show(state, Screen::Audit);
        let height = state.list_height();
        if !state.audit.select_id(seq, &state.audit_ids.clone(), height) {
            state.come_back(here);
            return say(state, Tone::Info, tr!(state.lang(), changes.whole_bastion));
        }
        follow(state, false);
    }
    state.trail.push(here);
}

fn select_session(state: &mut State, session: crate::model::SessionId) {
    let height = state.list_height();
    if !state.sessions.select_id(session, &state.session_rows, height) {
        state.set_filter("");
        state.sessions.select_id(session, &state.session_rows, height);
    }
}

/// What the selection concerns.
fn scope(state: &State) -> Option<Scope> {
    let l = state.lang();
    let scope = match state.screen {
        Screen::Triage => of_incident(state)?,
        Screen::Sessions => {
            let s = state.selected_session()?;
            let who = match s.name.parse() {
                Ok(host) if s.team.is_some() => About::Host(host),
                _ => About::Actor(s.name.clone()),
            };
            Scope { about: vec![who, About::Stranger(s.source.ip())], words: s.name.clone() }
        }
        Screen::Audit => of_event(l, &state.selected_event()?.event.context)?,
        Screen::Changes => of_event(l, &state.changes.selected()?.newest.event.context)?,
        Screen::Tunnels | Screen::Health | Screen::Ports => {
            let port = state.selected_port()?;
            match state.row(port) {
                Some(row) => of_row(l, row),
                None => of_port(l, port),
            }
        }
    };
    // What befalls the bastion befalls everything on it.
    Some(Scope { about: scope.about.into_iter().chain([About::Bastion]).collect(), ..scope })
}

fn of_row(l: Lang, row: &Row) -> Scope {
    let stranger = row.view.source.map(|s| About::Stranger(s.ip()));
    let about = [About::Host(row.host().clone()), About::Port(row.port())].into_iter().chain(stranger).collect();
    Scope { about, words: tr!(l, changes.host_and_port, host = row.host(), port = row.port()) }
}

fn of_port(l: Lang, port: Port) -> Scope {
    Scope { about: vec![About::Port(port)], words: tr!(l, changes.port, port) }
}

fn of_event(l: Lang, c: &crate::audit::Context) -> Option<Scope> {
    match (&c.host, c.port, c.source) {
        (Some(host), port, source) => {
            let words = port.map_or_else(|| host.to_string(), |port| tr!(l, changes.host_and_port, host, port));
            let stranger = source.map(|s| About::Stranger(s.ip()));
            let about = std::iter::once(About::Host(host.clone())).chain(port.map(About::Port)).chain(stranger);
            Some(Scope { about: about.collect(), words })
        }
        (None, Some(port), _) => Some(of_port(l, port)),
        (None, None, Some(source)) => {
            Some(Scope { about: vec![About::Net(source.ip().to_canonical().into())], words: source.ip().to_string() })
        }
        (None, None, None) => None,
    }
}

fn of_incident(state: &State) -> Option<Scope> {
    let x = state.selected_incident()?;
    let mut about: Vec<About> = vec![];
    about.extend(x.what.parse().ok().map(About::Net));
    about.extend(x.blast.hosts.iter().cloned().map(About::Host));
    about.extend(x.blast.ports.iter().copied().map(About::Port));
    // Where there are more than are named, or none, their teams stand for them.
    if x.hosts > x.blast.hosts.len() || x.tunnels > x.blast.ports.len() || x.blast.hosts.is_empty() {
        about.extend(x.blast.teams.iter().cloned().map(About::Team));
    }
    // From where a key is tried that nobody knows.
    let sources = x.blast.ports.iter().filter_map(|p| state.row(*p)).filter_map(|r| r.view.source);
    let strangers: Vec<About> = sources.map(|s| About::Stranger(s.ip())).take(NAMED).collect();
    about.extend(strangers);
    Some(Scope { about, words: cause::what(state.lang(), x) })
}

#[cfg(test)]
mod tests;
