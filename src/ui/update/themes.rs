//! Choosing a theme: each is shown while it is looked at; Esc is the one before.

use super::{Effect, say, settings};
use crate::ui::input::Key;
use crate::ui::settings::file::Edit;
use crate::ui::state::dialog::Dialog;
use crate::ui::state::{State, Tone};
use crate::ui::words::tr;

/// Opens the list.
pub(super) fn choose(state: &mut State) {
    state.dialog = Some(Dialog::Themes { before: state.own.theme.clone() });
}

/// Shows a theme.
fn show(state: &mut State, name: String) {
    state.own.theme = name;
    state.palette = state.own.palette();
}

/// A key while the list is open.
pub(super) fn key(state: &mut State, key: Key, out: &mut Vec<Effect>) {
    let Some(Dialog::Themes { before }) = &state.dialog else { return };
    let before = before.clone();
    let names: Vec<String> = state.own.themes.names().map(str::to_owned).collect();
    let here = names.iter().position(|n| *n == state.own.theme).unwrap_or(0);
    let go = |to: usize| names.get(to.min(names.len().saturating_sub(1))).cloned();
    let to = match key {
        Key::Down | Key::Char('j') | Key::Tab => go(here + 1),
        Key::Up | Key::Char('k') | Key::BackTab => go(here.saturating_sub(1)),
        Key::Home | Key::Char('g') => go(0),
        Key::End | Key::Char('G') => go(usize::MAX),
        Key::Enter => {
            state.dialog = None;
            let name = state.own.theme.clone();
            return say(state, Tone::Info, tr!(state.lang(), say.theme, name));
        }
        Key::Char('s') => {
            state.dialog = None;
            let edit = Edit { name: "theme".into(), words: Some(vec![state.own.theme.clone()]) };
            return settings::change(state, edit, out);
        }
        Key::Esc | Key::Char('q') | Key::Ctrl('c') => {
            state.dialog = None;
            Some(before)
        }
        _ => None,
    };
    if let Some(name) = to {
        show(state, name);
    }
}
