//! What this console has done, newest first: each act as its command, its number, and what came of it.

use super::canvas::{Canvas, Span};
use crate::ui::state::acts::Undo;
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
        let undo = match &act.undo {
            Undo::By(_) => String::new(),
            Undo::Never(_) | Undo::Nothing => String::new(),
            Undo::Done => " (undone, or an undo)".to_owned(),
        };
        for line in text::wrap(&format!("{glyph} {}{undo}", act.outcome), room) {
            out.push(vec![(" ".repeat(indent), dim), (line, style)]);
        }
    }
    if out.is_empty() {
        out.push(vec![("nothing has been done in this console yet".to_owned(), dim)]);
    } else {
        out.push(vec![]);
        let undo = c.state.own.set.keys.say("undo");
        let hint = format!("{undo} takes the last one back, :undo SEQ another");
        out.extend(text::wrap(&hint, width).into_iter().map(|l| vec![(l, dim)]));
    }
    out
}
