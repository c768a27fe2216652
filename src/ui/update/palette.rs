//! The command line behind `:`.

use super::{Effect, act, go, say, settings, views};
use crate::control::actions::{ACTIONS, Scope};
use crate::ui::keys::COMMANDS;
use crate::ui::state::dialog::Dialog;
use crate::ui::state::{Screen, State, Tone, Zone};

/// Runs a command.
pub(super) fn run(state: &mut State, line: &str, out: &mut Vec<Effect>) {
    let words: Vec<&str> = line.split_whitespace().collect();
    let Some((verb, args)) = words.split_first() else { return };
    if let Some(screen) = Screen::ALL.into_iter().find(|s| s.word() == *verb) {
        return go(state, screen);
    }
    match (*verb, args) {
        ("write", []) => act::write_mode(state, true, out),
        ("read", []) => act::write_mode(state, false, out),
        ("quit" | "q" | "q!", []) => out.push(Effect::Quit),
        ("help", []) => state.dialog = Some(Dialog::Help { scroll: 0 }),
        ("mouse", []) => settings::mouse(state, !state.own.mouse, out),
        ("mouse", ["on"]) => settings::mouse(state, true, out),
        ("mouse", ["off"]) => settings::mouse(state, false, out),
        ("mouse", _) => say(state, Tone::Bad, "usage: :mouse on|off"),
        ("save", [name]) => views::save(state, name, out),
        ("save", _) => say(state, Tone::Bad, "usage: :save NAME"),
        ("view", []) => views::list(state),
        ("view", [name]) => views::recall(state, name),
        ("view", _) => say(state, Tone::Bad, "usage: :view NAME"),
        ("set", words) => settings::set(state, words, out),
        ("messages", []) => state.dialog = Some(Dialog::Messages { scroll: 0 }),
        ("theme", [name]) if state.own.themes.names().any(|n| n == *name) => {
            state.own.theme = (*name).to_owned();
            state.palette = state.own.palette();
            say(state, Tone::Info, format!("theme {name}; :set theme {name} keeps it for the next console"));
        }
        ("theme", [name]) => no_theme(state, name),
        ("theme", _) => no_theme(state, ""),
        ("tz", ["local"]) => state.zone = Zone::Local,
        ("tz", ["utc" | "UTC"]) => state.zone = Zone::Utc,
        ("tz", ["relative"]) => state.zone = Zone::Relative,
        ("tz", _) => say(state, Tone::Bad, "usage: :tz local|utc|relative"),
        (verb, args) => match ACTIONS.iter().find(|a| a.verb == verb) {
            None => say(state, Tone::Bad, format!("no such command: {verb} (? lists them)")),
            Some(spec) => match act::hindrance(state, spec) {
                Some(why) => say(state, Tone::Bad, why),
                None => match act::from_words(state, spec, args) {
                    Ok(ask) => state.dialog = Some(Dialog::Ask(Box::new(ask))),
                    Err(why) => say(state, Tone::Bad, why),
                },
            },
        },
    }
}

fn no_theme(state: &mut State, name: &str) {
    let names: Vec<&str> = state.own.themes.names().collect();
    let names = names.join(", ");
    let what = if name.is_empty() { "themes".to_owned() } else { format!("no theme {name}; there are") };
    say(state, Tone::Info, format!("{what}: {names}"));
}

/// Everything that could stand where the cursor is.
pub(crate) fn candidates(state: &State, line: &str) -> Vec<String> {
    let mut words: Vec<&str> = line.split_whitespace().collect();
    if line.is_empty() || line.ends_with(' ') {
        words.push("");
    }
    let Some((last, before)) = words.split_last() else { return vec![] };
    let all: Vec<String> = match before {
        [] => ACTIONS.iter().map(|a| a.verb).chain(COMMANDS.iter().map(|c| c.0)).map(str::to_owned).collect(),
        ["theme"] => state.own.themes.names().map(str::to_owned).collect(),
        ["set"] => settings::names(state),
        ["set", name, ..] => settings::values(state, name),
        ["save" | "view"] => views::names(state),
        ["mouse"] => ["on", "off"].map(str::to_owned).to_vec(),
        ["tz"] => ["local", "utc", "relative"].map(str::to_owned).to_vec(),
        ["disconnect"] => state.live.sessions.keys().map(ToString::to_string).collect(),
        ["cut"] => state.visitors.iter().flat_map(|(_, _, all)| all).map(|v| v.id.to_string()).collect(),
        ["mute"] => state.live.incidents().iter().map(|i| i.id.clone()).collect(),
        ["unmute"] => state.live.incidents().iter().filter(|i| i.muted.is_some()).map(|i| i.id.clone()).collect(),
        ["move" | "release"] => state.live.tunnels.keys().map(ToString::to_string).collect(),
        ["restore"] => {
            let blocks = state.live.daemon.iter().flat_map(|d| &d.revocations);
            blocks.map(|r| r.target.value()).collect()
        }
        [verb] if ACTIONS.iter().any(|a| a.verb == *verb && !matches!(a.scope, Scope::Bastion | Scope::Session)) => {
            state.live.host_names()
        }
        _ => vec![],
    };
    all.into_iter().filter(|c| c.starts_with(last)).take(50).collect()
}

/// The line with its last word completed as far as it is certain.
pub(super) fn complete(state: &State, line: &str) -> Option<String> {
    let found = candidates(state, line);
    let first = found.first()?;
    let head = line.rfind(' ').and_then(|i| line.get(..=i)).unwrap_or("");
    if found.len() == 1 {
        return Some(format!("{head}{first} "));
    }
    let mut common = first.as_str();
    while !found.iter().all(|f| f.starts_with(common)) {
        let end = common.char_indices().last()?.0;
        common = common.get(..end)?;
    }
    Some(format!("{head}{common}"))
}
