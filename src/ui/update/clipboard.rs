//! What is copied: the value under the cursor, or the command that shows it.

use super::{Effect, journal, say, tabs};
use crate::ui::state::{Screen, State, Tone};
use crate::ui::text;
use crate::ui::words::{evidence, tr};

pub(super) fn copy(state: &mut State, text: Option<String>, out: &mut Vec<Effect>) {
    match text {
        Some(text) => {
            let lines = text.trim_end().lines().count();
            let first = text::cut(text.lines().next().unwrap_or_default(), 60);
            let said = match lines.saturating_sub(1) {
                0 => tr!(state.lang(), export.copied, text = first),
                n => tr!(state.lang(), export.copied_more, text = first, n),
            };
            say(state, Tone::Info, said);
            out.push(Effect::Copy(text));
        }
        None => say(state, Tone::Info, tr!(state.lang(), export.nothing)),
    }
}

/// What `y` copies.
pub(super) fn value(state: &State) -> Option<String> {
    if let Some(line) = state.first_tunnel() {
        return Some(line.to_owned());
    }
    if let Some(value) = tabs::value(state) {
        return Some(value);
    }
    match state.screen {
        Screen::Triage => state.selected_incident().map(|i| evidence::said(state.lang(), i).into_owned()),
        Screen::Tunnels | Screen::Health | Screen::Ports => {
            let port = state.selected_port()?;
            let bound = state.row(port).and_then(|r| r.view.listen.first());
            Some(bound.map_or_else(|| port.to_string(), ToString::to_string))
        }
        Screen::Audit => serde_json::to_string(&**state.selected_event()?).ok(),
        Screen::Changes => serde_json::to_string(&*state.changes.selected()?.newest).ok(),
        Screen::Sessions => Some(state.selected_session()?.fingerprint.clone()),
    }
}

/// What `Y` copies.
pub(super) fn shell_command(state: &State) -> Option<String> {
    if let Some(command) = tabs::shell_command(state) {
        return Some(command);
    }
    match state.screen {
        Screen::Triage => {
            let incident = state.selected_incident()?;
            incident.next.iter().find_map(|n| n.run.clone()).or_else(|| Some("portreeve triage".to_owned()))
        }
        Screen::Tunnels | Screen::Health | Screen::Ports => {
            let port = state.selected_port()?;
            Some(match state.row(port) {
                Some(row) => format!("portreeve explain {} {port}", row.host()),
                None => "portreeve ports".to_owned(),
            })
        }
        Screen::Audit => Some(journal::shell_command(state)),
        Screen::Changes => {
            let since = format!("portreeve audit --since {}m", state.changes.minutes);
            let c = &state.changes.selected()?.newest.event.context;
            Some(match (&c.host, c.port) {
                (Some(host), _) => format!("{since} --host {host}"),
                (None, Some(port)) => format!("{since} --port {port}"),
                (None, None) => since,
            })
        }
        Screen::Sessions => {
            let s = state.selected_session()?;
            Some(format!("portreeve explain {}", if s.team.is_some() { &s.name } else { &s.fingerprint }))
        }
    }
}
