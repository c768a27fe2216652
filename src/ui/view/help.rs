//! Help, from the tables of keys, actions and commands.

use super::canvas::{Canvas, Span};
use crate::control::actions::{ACTIONS, Danger};
use crate::ui::keys::{COMMANDS, KEYS};
use crate::ui::text;
use crate::ui::words::{self, Lang, tr};

/// Fields of filters, and those that only events have.
const FIELDS: &str = "port host team service state health check kind source client visitors bytes rate behind waiting rtt \
                      latency age by";
const EVENT_FIELDS: &str = "event outcome actor key user session seq";

/// All lines, for this width.
pub(super) fn lines(c: &Canvas<'_>, width: usize) -> Vec<Vec<Span>> {
    let (title, key, text_style, dim) = (c.pal.title, c.pal.accent, c.pal.text, c.pal.dim);
    let l = c.lang();
    let find = c.state.help.0.value().trim().to_lowercase();
    let mut out = vec![vec![(tr!(l, help.keys).to_owned(), title)]];
    let entry = |out: &mut Vec<Vec<Span>>, k: &str, help: &str| {
        if !format!("{k} {help}").to_lowercase().contains(&find) {
            return;
        }
        let room = width.saturating_sub(12).max(10);
        for (n, line) in text::wrap(help, room).into_iter().enumerate() {
            out.push(vec![(text::fit(if n == 0 { k } else { "" }, 12, false), key), (line, text_style)]);
        }
    };
    let map = &c.state.own.set.keys;
    let mut told: Vec<String> = vec![];
    for b in KEYS {
        let shown = map.shown(b);
        // A command without a key, or one that has its two bindings on one key now.
        if shown.is_empty() || told.contains(&shown) && shown != b.shown {
            continue;
        }
        let on: Vec<&str> = b.on.iter().map(|s| s.name(l)).collect();
        let note = if on.is_empty() { String::new() } else { tr!(l, help.on, screens = on.join(", ")) };
        entry(&mut out, &shown, &format!("{}{note}", (b.help)(l)));
        told.push(shown);
    }
    out.push(vec![]);
    out.push(vec![(tr!(l, help.actions, key = map.say("write")), title)]);
    for a in ACTIONS {
        let k = map.of_action(a.verb).unwrap_or_else(|| format!(":{}", a.verb));
        let (help, role) = (words::action::help(l, a), words::model::role(l, c.state.role_for(a)));
        let (verb, args) = (a.verb, a.args);
        let said = match a.danger {
            Danger::TypeName => tr!(l, help.action_typed, help, verb, args, role),
            _ => tr!(l, help.action, help, verb, args, role),
        };
        let kinds = c.state.two_operators(a);
        let said = if kinds.is_empty() { said } else { tr!(l, help.two_operators, said, kinds = kinds.join(", ")) };
        entry(&mut out, &k, &said);
    }
    out.push(vec![]);
    out.push(vec![(tr!(l, help.commands).to_owned(), title)]);
    for (name, args, help) in COMMANDS {
        let help = help(l);
        let said = if args.is_empty() { help.to_owned() } else { tr!(l, help.command, help, args) };
        entry(&mut out, &format!(":{name}"), &said);
    }
    if !find.is_empty() {
        if out.iter().all(|l| l.len() < 2) {
            out = vec![vec![(tr!(l, help.nothing, text = format!("{find:?}")), dim)]];
        }
        return out;
    }
    out.push(vec![]);
    out.push(vec![(tr!(l, help.states).to_owned(), title)]);
    use crate::model::TunnelState::{Awaiting, Degraded, Down, Revoked, Up};
    let sign = |out: &mut Vec<Vec<Span>>, sign: &str, style, help: &str| {
        for (n, line) in text::wrap(help, width.saturating_sub(12).max(10)).into_iter().enumerate() {
            out.push(vec![(text::fit(if n == 0 { sign } else { "" }, 12, false), style), (line, dim)]);
        }
    };
    for (state, help) in [
        (Up, tr!(l, help.up)),
        (Degraded, tr!(l, help.degraded)),
        (Down, tr!(l, help.down)),
        (Awaiting, tr!(l, help.awaiting)),
        (Revoked, tr!(l, help.revoked)),
    ] {
        let (glyph, style) = c.state_look(state);
        sign(&mut out, &format!("{glyph} {}", words::model::state(l, state)), style, help);
    }
    for (mark, help) in [
        (tr!(l, help.mark_host), tr!(l, help.mark_host_help)),
        (tr!(l, help.mark_visitors), tr!(l, help.mark_visitors_help)),
    ] {
        sign(&mut out, mark, c.pal.warn, help);
    }
    out.push(vec![]);
    let mut lines = vec![tr!(l, help.fields, fields = FIELDS, audit = EVENT_FIELDS)];
    if l != Lang::En {
        let states = [Up, Degraded, Down, Awaiting, Revoked].map(|s| format!("{s} {}", words::model::state(l, s)));
        lines.push(tr!(l, help.in_words, words = states.join(", ")));
    }
    for line in lines.iter().flat_map(|s| text::wrap(s, width)) {
        out.push(vec![(line, dim)]);
    }
    out
}
