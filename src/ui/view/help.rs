//! Help, from the tables of keys, actions and commands.

use super::canvas::{Canvas, Span};
use crate::control::actions::{ACTIONS, Danger};
use crate::ui::keys::{COMMANDS, KEYS};
use crate::ui::text;

/// All lines, for this width.
pub(super) fn lines(c: &Canvas<'_>, width: usize) -> Vec<Vec<Span>> {
    let (title, key, text_style, dim) = (c.pal.title, c.pal.accent, c.pal.text, c.pal.dim);
    let find = c.state.help.0.value().trim().to_lowercase();
    let mut out = vec![vec![("Keys".to_owned(), title)]];
    let entry = |out: &mut Vec<Vec<Span>>, k: &str, help: &str, note: &str| {
        if !format!("{k} {help}{note}").to_lowercase().contains(&find) {
            return;
        }
        let room = width.saturating_sub(12).max(10);
        for (n, line) in text::wrap(&format!("{help}{note}"), room).into_iter().enumerate() {
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
        let on: Vec<&str> = b.on.iter().map(|s| s.word()).collect();
        let note = if on.is_empty() { String::new() } else { format!(" ({})", on.join(", ")) };
        entry(&mut out, &shown, b.help, &note);
        told.push(shown);
    }
    out.push(vec![]);
    out.push(vec![(
        "Actions: need write mode ({}), are asked before, and recorded".replace("{}", &map.say("write")),
        title,
    )]);
    for a in ACTIONS {
        let k = map.of_action(a.verb).unwrap_or_else(|| format!(":{}", a.verb));
        let asked = if a.danger == Danger::TypeName { ", its name typed" } else { "" };
        entry(&mut out, &k, a.help, &format!(" (:{} {}; {}{asked})", a.verb, a.args, a.role));
    }
    out.push(vec![]);
    out.push(vec![("Commands".to_owned(), title)]);
    for (name, args, help) in COMMANDS {
        entry(&mut out, &format!(":{name}"), help, &if args.is_empty() { String::new() } else { format!(" ({args})") });
    }
    if !find.is_empty() {
        if out.iter().all(|l| l.len() < 2) {
            out = vec![vec![(format!("nothing here has {find:?}"), dim)]];
        }
        return out;
    }
    out.push(vec![]);
    out.push(vec![("States".to_owned(), title)]);
    use crate::model::TunnelState::{Awaiting, Degraded, Down, Revoked, Up};
    for (state, help) in [
        (Up, "listening; its service passes its checks, or none have run"),
        (Degraded, "listening, but the service behind it fails its checks"),
        (Down, "was there and is lost; the detail says why"),
        (Awaiting, "leased, and no session has asked for it yet"),
        (Revoked, "blocked by an operator"),
    ] {
        let (glyph, style) = c.state_look(state);
        out.push(vec![(text::fit(&format!("{glyph} {state}"), 12, false), style), (help.to_owned(), dim)]);
    }
    for (mark, help) in [
        ("!host", "a warning, or it restarts again and again: the line below the list, or the detail, says which"),
        ("!3 visitors", "one of them reads slowly: the detail says who and how much waits"),
    ] {
        out.push(vec![(text::fit(mark, 12, false), c.pal.warn), (help.to_owned(), dim)]);
    }
    out.push(vec![]);
    out.push(vec![(
        "Fields of filters: port host team service state health check kind source client visitors bytes".to_owned(),
        dim,
    )]);
    out.push(vec![(
        "  rate behind waiting rtt latency age by; in the audit: event outcome actor key user session seq".to_owned(),
        dim,
    )]);
    out
}
