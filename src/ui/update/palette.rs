//! The command line behind `:`.

use super::{Effect, act, export, go, help, say, settings, themes, undo, views};
use crate::control::actions::{ACTIONS, Scope};
use crate::ui::fuzzy;
use crate::ui::keys::COMMANDS;
use crate::ui::state::dialog::Dialog;
use crate::ui::state::{Screen, State, Tone, Zone};
use crate::ui::words::{Lang, tr};

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
        ("help", []) => help(state),
        ("log", []) => state.dialog = Some(Dialog::Log { scroll: 0 }),
        ("pending", []) => state.dialog = Some(Dialog::Pending { scroll: 0 }),
        ("undo", []) => undo::undo(state, None),
        ("undo", [seq]) => match seq.parse() {
            Ok(seq) => undo::undo(state, Some(seq)),
            Err(_) => say(state, Tone::Bad, tr!(state.lang(), undo.usage)),
        },
        ("export", []) => export::export(state, None, out),
        ("export", [file]) => export::export(state, Some(file), out),
        ("export", _) => say(state, Tone::Bad, tr!(state.lang(), export.usage)),
        ("mouse", []) => settings::mouse(state, !state.own.mouse, out),
        ("mouse", ["on"]) => settings::mouse(state, true, out),
        ("mouse", ["off"]) => settings::mouse(state, false, out),
        ("mouse", _) => say(state, Tone::Bad, tr!(state.lang(), say.usage_mouse)),
        ("save", [name]) => views::save(state, name, out),
        ("save", _) => say(state, Tone::Bad, tr!(state.lang(), say.usage_save)),
        ("view", []) => views::list(state),
        ("view", [name]) => views::recall(state, name),
        ("view", _) => say(state, Tone::Bad, tr!(state.lang(), say.usage_view)),
        ("set", words) => settings::set(state, words, out),
        ("lang", [code]) if Lang::parse(code).is_some() => {
            state.own.lang = Lang::parse(code).unwrap_or_default();
            say(state, Tone::Info, tr!(state.lang(), setting.language_now, language = code));
        }
        ("lang", _) => say(state, Tone::Bad, tr!(state.lang(), command.lang_usage)),
        ("messages", []) => state.dialog = Some(Dialog::Messages { scroll: 0 }),
        ("theme", [name]) if state.own.themes.names().any(|n| n == *name) => {
            state.own.theme = (*name).to_owned();
            state.palette = state.own.palette();
            say(state, Tone::Info, tr!(state.lang(), say.theme, name));
        }
        ("theme", [name]) => no_theme(state, name),
        ("theme", []) => themes::choose(state),
        ("theme", _) => no_theme(state, ""),
        ("tz", ["local"]) => state.zone = Zone::Local,
        ("tz", ["utc" | "UTC"]) => state.zone = Zone::Utc,
        ("tz", ["relative"]) => state.zone = Zone::Relative,
        ("tz", _) => say(state, Tone::Bad, tr!(state.lang(), say.usage_tz)),
        (verb, args) => match ACTIONS.iter().find(|a| a.verb == verb) {
            None => say(state, Tone::Bad, tr!(state.lang(), say.no_command, verb)),
            Some(spec) => match act::hindrance(state, spec) {
                Some(why) => say(state, Tone::Bad, why),
                None => match act::from_words(state, spec, args) {
                    Ok(ask) => state.dialog = Some(Dialog::Ask(Box::new(act::second(state, ask)))),
                    Err(why) => say(state, Tone::Bad, why),
                },
            },
        },
    }
}

fn no_theme(state: &mut State, name: &str) {
    let names: Vec<&str> = state.own.themes.names().collect();
    let names = names.join(", ");
    let said = match name {
        "" => tr!(state.lang(), say.themes, names),
        name => tr!(state.lang(), say.no_theme, name, names),
    };
    say(state, Tone::Info, said);
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
        ["lang"] => Lang::ALL.map(|l| l.word().to_owned()).to_vec(),
        ["tz"] => ["local", "utc", "relative"].map(str::to_owned).to_vec(),
        ["disconnect"] => state.live.sessions.keys().map(ToString::to_string).collect(),
        ["cut"] => state.visitors.iter().flat_map(|(_, _, all)| all).map(|v| v.id.to_string()).collect(),
        ["approve" | "dismiss"] => {
            state.live.daemon.iter().flat_map(|d| &d.pending).map(|k| k.fingerprint.clone()).collect()
        }
        ["approve", _] => state.live.host_names(),
        ["unapprove"] => state.live.daemon.iter().flat_map(|d| &d.approved).map(|a| a.fingerprint.clone()).collect(),
        ["mute"] => state.live.incidents().iter().map(|i| i.id.clone()).collect(),
        ["unmute"] => state.live.incidents().iter().filter(|i| i.muted.is_some()).map(|i| i.id.clone()).collect(),
        ["grant"] => ["role", "visitors"].map(str::to_owned).to_vec(),
        ["grant", "visitors"] => state.live.teams.iter().map(|t| t.name.to_string()).collect(),
        ["grant", "role", _] => ["viewer", "operator", "admin"].map(str::to_owned).to_vec(),
        ["grant", "role", _, _, ..] => state.live.teams.iter().map(|t| t.name.to_string()).collect(),
        ["ungrant"] => state.live.grants().iter().map(|g| g.id.to_string()).collect(),
        ["confirm" | "withdraw"] => {
            let waiting = state.live.daemon.iter().flat_map(|d| &d.proposals);
            waiting.map(|p| p.id.to_string()).collect()
        }
        ["logout"] => {
            let theirs = |s: &&crate::model::SessionView| s.kind == crate::model::SessionKind::Operator;
            let names: std::collections::BTreeSet<String> =
                state.live.sessions.values().filter(theirs).map(|s| s.name.clone()).collect();
            names.into_iter().collect()
        }
        ["move" | "release"] => state.live.tunnels.keys().map(ToString::to_string).collect(),
        ["restore"] => {
            let blocks = state.live.daemon.iter().flat_map(|d| &d.revocations);
            blocks.map(|r| r.target.value()).collect()
        }
        [verb]
            if ACTIONS
                .iter()
                .any(|a| a.verb == *verb && !matches!(a.scope, Scope::Bastion | Scope::Session | Scope::Key)) =>
        {
            state.live.host_names()
        }
        _ => vec![],
    };
    let mut found = fuzzy::matching(all, last);
    found.truncate(50);
    found
}

/// The line with its last word completed: by what the arrows have picked, else as far as it is certain, else by the best.
pub(super) fn complete(state: &State, line: &str) -> Option<String> {
    let found = candidates(state, line);
    let head = line.rfind(' ').and_then(|i| line.get(..=i)).unwrap_or("");
    let typed = line.get(head.len()..).unwrap_or("");
    let begins: Vec<&String> = found.iter().filter(|f| f.starts_with(typed)).collect();
    if state.pick == 0 && begins.len() > 1 {
        let mut common = begins.first()?.as_str();
        while !begins.iter().all(|f| f.starts_with(common)) {
            let end = common.char_indices().last()?.0;
            common = common.get(..end)?;
        }
        if common.len() > typed.len() {
            return Some(format!("{head}{common}"));
        }
    }
    Some(format!("{head}{} ", found.get(state.pick.min(found.len().checked_sub(1)?))?))
}

/// Whether a line begins with a command as it is written. Letters of one that are no command complete it first, and
/// only another Enter runs it: nothing is done that was not seen whole.
pub(super) fn is_command(line: &str) -> bool {
    let Some(verb) = line.split_whitespace().next() else { return true };
    ACTIONS.iter().any(|a| a.verb == verb)
        || COMMANDS.iter().any(|c| c.0 == verb)
        || Screen::ALL.iter().any(|s| s.word() == verb)
        || matches!(verb, "q" | "q!")
}

/// What Enter completes a line to that is no command yet.
pub(super) fn complete_for_enter(state: &State, line: &str) -> Option<String> {
    let found = candidates(state, line);
    let head = line.rfind(' ').and_then(|i| line.get(..=i)).unwrap_or("");
    // Of a line that has arguments already only what was picked is taken.
    let picked = found.get(state.pick).filter(|_| state.pick > 0 || head.trim().is_empty())?;
    Some(format!("{head}{picked} "))
}
