//! Settings: read, changed by `:set`, and what each of them does when it changes.

use super::{Effect, say};
use crate::ui::settings::file::{Edit, Unread, edited};
use crate::ui::settings::{self, Problem, Settings, read, spec};
use crate::ui::state::dialog::Dialog;
use crate::ui::state::{State, Tone};
use crate::ui::theme::Themes;
use crate::ui::words::{Lang, tr};

/// The file was read, at the start or because it has changed.
pub(crate) fn loaded(state: &mut State, text: Result<String, Unread>) -> Vec<Effect> {
    let mut out = vec![];
    match text {
        Err(why) => say(state, Tone::Bad, tr!(state.lang(), setting.unread, why = why.said(state.lang()))),
        Ok(text) if text == state.own.text => {}
        Ok(text) => {
            let (set, problems) = read_for(state, &text);
            state.own.text = text;
            if let Some(first) = problems.first() {
                let (first, n) = (at(state, first), problems.len() - 1);
                let said = if n == 0 { first } else { tr!(state.lang(), setting.problem_more, problem = first, n) };
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
    let l = state.lang();
    let file = state.own.file.as_deref().unwrap_or(tr!(l, setting.file));
    tr!(l, setting.problem, file, line = p.line, what = p.what)
}

/// Reads settings, and tells what is wrong in the language that they ask for.
fn read_for(state: &State, text: &str) -> (Settings, Vec<Problem>) {
    let known = state.own.known();
    let (set, problems) = read(text, &known);
    match set.language {
        Some(lang) if lang != known.lang && !problems.is_empty() => read(text, &settings::Known { lang, ..known }),
        _ => (set, problems),
    }
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
    if new.language != old.language {
        state.own.lang = new.language.unwrap_or(state.own.first_lang);
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
        let said = if on { tr!(state.lang(), setting.mouse_on) } else { tr!(state.lang(), setting.mouse_off) };
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
        return say(state, Tone::Bad, tr!(state.lang(), problem.no_setting, name));
    };
    if values.is_empty() {
        let own = state.own.set.own().into_iter().find(|(n, _)| n == name).map(|(_, v)| v);
        let l = state.lang();
        let value = own.unwrap_or_else(|| tr!(l, setting.default).into());
        return say(state, Tone::Info, tr!(l, setting.is, name, value, values = (spec.values)(l)));
    }
    let words = (*values != ["default"]).then(|| values.iter().map(|w| w.trim_end_matches(',').to_owned()).collect());
    let edit = Edit { name: (*name).to_owned(), words };
    change(state, edit, out);
}

/// Changes one value, for this console at once, and in the file.
pub(crate) fn change(state: &mut State, edit: Edit, out: &mut Vec<Effect>) {
    let text = match edited(&state.own.text, &edit, state.lang()) {
        Ok(text) => text,
        Err(why) => return say(state, Tone::Bad, tr!(state.lang(), setting.nothing_set, why)),
    };
    let (set, problems) = read(&text, &state.own.known());
    if let Some(p) = problems.iter().find(|p| p.name == edit.name) {
        return say(state, Tone::Bad, tr!(state.lang(), setting.nothing_set, why = p.what));
    }
    state.own.text = text;
    state.own.problems = problems;
    apply(state, set, out);
    if state.own.file.is_some() {
        out.push(Effect::Save(edit));
    } else {
        let value = value_of(state, &edit);
        say(state, Tone::Info, tr!(state.lang(), setting.is_here, name = edit.name, value));
    }
}

/// What came of writing it.
pub(crate) fn saved(state: &mut State, edit: &Edit, result: Result<(), String>) {
    match result {
        Ok(()) => {
            let (value, file) = (value_of(state, edit), state.own.file.clone().unwrap_or_default());
            say(state, Tone::Ok, tr!(state.lang(), setting.is_kept, name = edit.name, value, file));
        }
        Err(why) => say(state, Tone::Bad, tr!(state.lang(), setting.not_saved, name = edit.name, why)),
    }
}

fn value_of(state: &State, edit: &Edit) -> String {
    edit.words.as_ref().map_or_else(|| tr!(state.lang(), setting.default).to_owned(), |w| w.join(" "))
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
        None if name == "language" => words(&Lang::ALL.map(Lang::word)),
        None if name == "notify" => words(&crate::ui::notify::Notify::ALL.map(crate::ui::notify::Notify::word)),
        None if matches!(name, "mouse" | "title") => words(&["true", "false"]),
        Some(("sort", _)) => {
            let all = crate::ui::state::rows::SortBy::ALL.iter();
            all.flat_map(|by| [by.name().to_owned(), format!("-{}", by.name())]).collect()
        }
        Some(("columns", screen)) => {
            let screen = settings::LISTS.into_iter().find(|s| s.word() == screen);
            screen.map(|s| crate::ui::view::columns(s).iter().map(|c| c.name.to_owned()).collect()).unwrap_or_default()
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
        say(state, Tone::Bad, tr!(state.lang(), setting.theme_gone, why = first));
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
