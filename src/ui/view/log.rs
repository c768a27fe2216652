//! What this console has done, newest first: each act as its command, its number, and what came of it.

use super::canvas::{Canvas, Span};
use crate::ui::state::acts::Undo;
use crate::ui::words::tr;
use crate::ui::{sentence, text};

/// All lines, for this width.
pub(super) fn lines(c: &Canvas<'_>, width: usize) -> Vec<Vec<Span>> {
    let (dim, plain, ok, bad) = (c.pal.dim, c.pal.text, c.pal.ok, c.pal.bad);
    let mut out: Vec<Vec<Span>> = vec![];
    for act in c.state.acts.log.iter().rev() {
        let seq = act.seq.map_or_else(|| "-".to_owned(), |s| s.to_string());
        let head = format!("{} {seq} ", c.time(act.at));
        let indent = text::width(&head);
        let room = width.saturating_sub(indent).max(8);
        for (n, line) in text::wrap(&sentence::command(&act.action), room).into_iter().enumerate() {
            out.push(vec![(if n == 0 { head.clone() } else { " ".repeat(indent) }, dim), (line, plain)]);
        }
        let (glyph, style) = if act.ok { (c.glyph("✓", "+"), ok) } else { (c.glyph("✗", "x"), bad) };
        let outcome = match &act.undo {
            Undo::By(_) | Undo::Never(_) | Undo::Nothing => act.outcome.clone(),
            Undo::Done => tr!(c.lang(), window.undone, outcome = act.outcome),
        };
        for line in text::wrap(&format!("{glyph} {outcome}"), room) {
            out.push(vec![(" ".repeat(indent), dim), (line, style)]);
        }
    }
    if out.is_empty() {
        out.push(vec![(tr!(c.lang(), window.nothing_done).to_owned(), dim)]);
    } else {
        out.push(vec![]);
        let hint = tr!(c.lang(), window.undo_hint, key = c.key("undo"));
        out.extend(text::wrap(&hint, width).into_iter().map(|l| vec![(l, dim)]));
    }
    out
}
