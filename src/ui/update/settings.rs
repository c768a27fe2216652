//! Settings: read, changed by `:set`, and what each of them does when it changes.

use super::{Effect, say};
use crate::ui::settings::file::{Edit, edited};
use crate::ui::settings::{self, Problem, Settings, read, spec};
use crate::ui::state::dialog::Dialog;
use crate::ui::state::{State, Tone};
use crate::ui::theme::Themes;

/// The file was read, at the start or because it has changed.
pub(crate) fn loaded(state: &mut State, text: Result<String, String>) -> Vec<Effect> {
    let mut out = vec![];
    match text {
        Err(why) => say(state, Tone::Bad, format!("settings: {why}")),
        Ok(text) if text == state.own.text => {}
        Ok(text) => {
            let (set, problems) = read(&text, &state.own.known());
            state.own.text = text;
            if let Some(first) = problems.first() {
                let more = match problems.len() {
                    1 => String::new(),
                    n => format!(" ({} more: :set)", n - 1),
                };
                let said = format!("{}{more}", at(state, first));
                say(state, Tone::Bad, said);
            }
            state.own.problems = problems;
            apply(state, set, &mut out);
        }
    }
    out
}

/// A problem with its place.
pub(crate) fn at(state: &State, p: &Problem) -> String {
    format!("{} line {}: {}", state.own.file.as_deref().unwrap_or("settings"), p.line, p.what)
}

/// Puts settings in force: what is not another than before stays as the session has it.
fn apply(state: &mut State, new: Settings, out: &mut Vec<Effect>) {
    let old = std::mem::replace(&mut state.own.set, new.clone());
    if new.theme != old.theme {
        state.own.theme = new.theme.unwrap_or_else(|| state.own.first_theme.clone());
        state.palette = state.own.palette();
    }
    if new.zone != old.zone {
        state.zone = new.zone.unwrap_or(state.own.first_zone);
    }
    if new.sort != old.sort {
        state.sort = new.sort.unwrap_or_default();
    }
    if new.mouse != old.mouse {
        mouse(state, new.mouse.unwrap_or(false), out);
    }
    state.resort();
}

/// Takes the mouse, or leaves it to the terminal.
pub(super) fn mouse(state: &mut State, on: bool, out: &mut Vec<Effect>) {
    if state.own.mouse != on {
        state.own.mouse = on;
        let said = if on {
            "the mouse selects and scrolls; with Shift the terminal selects text"
        } else {
            "the mouse is the terminal's again"
        };
        say(state, Tone::Info, said);
        out.push(Effect::Mouse(on));
    }
}

/// `:set`, `:set NAME`, `:set NAME VALUE…`, `:set NAME default`.
pub(super) fn set(state: &mut State, words: &[&str], out: &mut Vec<Effect>) {
    let Some((name, values)) = words.split_first() else {
        state.dialog = Some(Dialog::Settings { scroll: 0 });
        return;
    };
    let Some(spec) = spec(name) else {
        return say(state, Tone::Bad, format!("there is no setting {name} (:set lists them)"));
    };
    if values.is_empty() {
        let own = state.own.set.own().into_iter().find(|(n, _)| n == name).map(|(_, v)| v);
        let value = own.unwrap_or_else(|| "default".into());
        return say(state, Tone::Info, format!("{name} is {value}; :set {name} {}", spec.values));
    }
    let words = (*values != ["default"]).then(|| values.iter().map(|w| w.trim_end_matches(',').to_owned()).collect());
    let edit = Edit { name: (*name).to_owned(), words };
    change(state, edit, out);
}

/// Changes one value, for this console at once, and in the file.
pub(crate) fn change(state: &mut State, edit: Edit, out: &mut Vec<Effect>) {
    let text = match edited(&state.own.text, &edit) {
        Ok(text) => text,
        Err(why) => return say(state, Tone::Bad, format!("nothing set: {why}")),
    };
    let (set, problems) = read(&text, &state.own.known());
    if let Some(p) = problems.iter().find(|p| p.name == edit.name) {
        return say(state, Tone::Bad, format!("nothing set: {}", p.what));
    }
    state.own.text = text;
    state.own.problems = problems;
    apply(state, set, out);
    if state.own.file.is_some() {
        out.push(Effect::Save(edit));
    } else {
        let value = edit.words.map_or_else(|| "default".into(), |w| w.join(" "));
        say(state, Tone::Info, format!("{} is {value} in this console; it keeps no settings file", edit.name));
    }
}

/// What came of writing it.
pub(crate) fn saved(state: &mut State, edit: &Edit, result: Result<(), String>) {
    match result {
        Ok(()) => {
            let value = edit.words.as_ref().map_or_else(|| "default".to_owned(), |w| w.join(" "));
            let file = state.own.file.clone().unwrap_or_default();
            say(state, Tone::Ok, format!("{} is {value}, kept in {file}", edit.name));
        }
        Err(why) => say(state, Tone::Bad, format!("{} is set for this console only: {why}", edit.name)),
    }
}

/// Names for `:set`, to complete from.
pub(super) fn names(state: &State) -> Vec<String> {
    let mut all = vec![];
    for s in settings::SETTINGS {
        match s.name {
            "keys.COMMAND" => {
                all.extend(
                    crate::ui::keymap::names().into_iter().filter(|n| *n != "interrupt").map(|n| format!("keys.{n}")),
                );
            }
            // Those that there are; more of them are made by :save.
            "views.NAME" => all.extend(state.own.set.views.keys().map(|name| format!("views.{name}"))),
            "columns.SCREEN" => all.extend(settings::LISTS.iter().map(|l| format!("columns.{}", l.word()))),
            name => all.push(name.to_owned()),
        }
    }
    all
}

/// Values of a setting, to complete from.
pub(super) fn values(state: &State, name: &str) -> Vec<String> {
    let words = |w: &[&str]| w.iter().map(|s| (*s).to_owned()).collect::<Vec<_>>();
    let mut all = match name.split_once('.') {
        None if name == "theme" => state.own.themes.names().map(str::to_owned).collect(),
        None if name == "zone" => words(&["local", "utc", "relative"]),
        None if name == "notify" => words(&crate::ui::notify::Notify::ALL.map(crate::ui::notify::Notify::word)),
        None if matches!(name, "mouse" | "title") => words(&["true", "false"]),
        Some(("sort", _)) => {
            let all = crate::ui::state::rows::SortBy::ALL.iter();
            all.flat_map(|by| [by.name().to_owned(), format!("-{}", by.name())]).collect()
        }
        Some(("columns", screen)) => {
            let screen = settings::LISTS.into_iter().find(|s| s.word() == screen);
            screen.map(|s| crate::ui::view::columns(s).iter().map(|c| c.name()).collect()).unwrap_or_default()
        }
        _ => vec![],
    };
    all.push("default".into());
    all
}

/// The themes are others now: what is shown takes the new colours at once.
pub(crate) fn themes(state: &mut State, themes: Themes, problems: &[String]) {
    state.own.themes = themes;
    state.palette = state.own.palette();
    if let Some(first) = problems.first() {
        say(state, Tone::Bad, format!("{first} (what it was before is no longer there; others stay)"));
    }
}

/// The mouse was asked for on the command line.
pub(crate) fn take_mouse(state: &mut State) -> Vec<Effect> {
    let mut out = vec![];
    mouse(state, true, &mut out);
    out
}

#[cfg(test)]
mod tests;
