//! Questions and help, over the screen.

use super::canvas::{Canvas, Span};
use super::{help, log, pending, settings};
use crate::ui::state::Tone;
use crate::ui::state::dialog::{Ask, Dialog};
use crate::ui::text;
use crate::ui::words::tr;
use ratatui::layout::Rect;

pub(super) fn draw(c: &mut Canvas<'_>, area: Rect) {
    let l = c.lang();
    match &c.state.dialog {
        None => {}
        Some(Dialog::Help { scroll }) => {
            let width = area.width.saturating_sub(4).min(100);
            let lines = help::lines(c, usize::from(width.saturating_sub(4)));
            let (find, typing) = &c.state.help;
            let title = match (find.value(), typing) {
                ("", false) => tr!(l, window.help).to_owned(),
                (text, true) => tr!(l, window.help_find, text),
                (text, false) => tr!(l, window.help_found, text),
            };
            scrolled(c, area, width, &lines, *scroll, &title);
        }
        Some(Dialog::Messages { scroll }) => {
            let width = area.width.saturating_sub(4).min(100);
            let lines = messages(c, usize::from(width.saturating_sub(4)));
            scrolled(c, area, width, &lines, *scroll, tr!(l, window.messages));
        }
        Some(Dialog::Settings { scroll }) => {
            let width = area.width.saturating_sub(4).min(100);
            let lines = settings::lines(c, usize::from(width.saturating_sub(4)));
            scrolled(c, area, width, &lines, *scroll, tr!(l, setting.window));
        }
        Some(Dialog::Log { scroll }) => {
            let width = area.width.saturating_sub(4).min(100);
            let lines = log::lines(c, usize::from(width.saturating_sub(4)));
            scrolled(c, area, width, &lines, *scroll, &tr!(l, window.log, undo = c.key("undo")));
        }
        Some(Dialog::Pending { scroll }) => {
            let width = area.width.saturating_sub(4).min(100);
            let lines = pending::lines(c, usize::from(width.saturating_sub(4)));
            scrolled(c, area, width, &lines, *scroll, tr!(l, window.pending));
        }
        Some(Dialog::Themes { before }) => themes(c, area, before),
        Some(Dialog::Offer { rows, text }) => {
            let said = tr!(l, export.offer, n = rows, bytes = text::bytes(text.len() as u64));
            let width = area.width.saturating_sub(2).min(76);
            let plain = c.pal.text;
            let mut lines: Vec<Vec<Span>> =
                text::wrap(&said, usize::from(width.saturating_sub(4))).into_iter().map(|l| vec![(l, plain)]).collect();
            lines.push(vec![]);
            lines.push(vec![(tr!(l, export.offer_keys).to_owned(), c.pal.dim)]);
            scrolled(c, area, width, &lines, 0, tr!(l, export.offer_window));
        }
        Some(Dialog::Ask(ask)) => question(c, area, ask),
    }
}

/// Lines of which a window shows some.
fn scrolled(c: &mut Canvas<'_>, area: Rect, width: u16, lines: &[Vec<Span>], scroll: usize, title: &str) {
    let inner = window(c, area, width, lines.len(), title);
    c.scroll_max = lines.len().saturating_sub(usize::from(inner.height));
    let scroll = scroll.min(c.scroll_max);
    for (y, line) in (inner.y..inner.bottom()).zip(lines.iter().skip(scroll)) {
        c.line(inner, y, line);
    }
}

/// The themes, the one looked at marked. At the right edge, so that what it does to the screen is seen.
fn themes(c: &mut Canvas<'_>, area: Rect, before: &str) {
    let (plain, accent, dim) = (c.pal.text, c.pal.accent, c.pal.dim);
    let cursor = c.glyph("▸", ">");
    let mut lines: Vec<Vec<Span>> = vec![];
    for name in c.state.own.themes.names() {
        let here = name == c.state.own.theme;
        let was = if name == before { format!(" {}", tr!(c.lang(), window.theme_before)) } else { String::new() };
        let mark = if here { cursor } else { " " };
        lines.push(vec![(format!("{mark} {name}"), if here { accent } else { plain }), (was, dim)]);
    }
    let at = lines.iter().position(|l| l.first().is_some_and(|(s, _)| s.starts_with(cursor))).unwrap_or(0);
    lines.push(vec![(tr!(c.lang(), window.theme_keys).to_owned(), dim)]);
    let width = area.width.min(42);
    let place = Rect { x: area.right().saturating_sub(width), width, ..area };
    let room = usize::from(area.height.saturating_sub(2));
    scrolled(c, place, width, &lines, (at + 2).saturating_sub(room), tr!(c.lang(), window.theme));
}

/// What the message line has said, newest first, nothing cut.
fn messages(c: &Canvas<'_>, width: usize) -> Vec<Vec<Span>> {
    let mut out = vec![];
    for (at, m) in c.state.said.iter().rev() {
        let style = match m.tone {
            Tone::Info => c.pal.text,
            Tone::Ok => c.pal.ok,
            Tone::Bad => c.pal.bad,
        };
        let time = format!("{} ", c.time(*at));
        let indent = text::width(&time);
        for (n, line) in text::wrap(&m.text, width.saturating_sub(indent).max(8)).into_iter().enumerate() {
            out.push(vec![(if n == 0 { time.clone() } else { " ".repeat(indent) }, c.pal.dim), (line, style)]);
        }
    }
    if out.is_empty() {
        out.push(vec![(tr!(c.lang(), window.nothing_said).to_owned(), c.pal.dim)]);
    }
    out
}

/// A cleared, framed place in the middle; the room inside.
fn window(c: &mut Canvas<'_>, area: Rect, width: u16, lines: usize, title: &str) -> Rect {
    let height = u16::try_from(lines).unwrap_or(u16::MAX).saturating_add(2).min(area.height);
    let width = width.min(area.width);
    let outer = Rect { x: area.x + (area.width - width) / 2, y: area.y + (area.height - height) / 2, width, height };
    c.clear(outer);
    let style = c.pal.accent;
    let (h, v) = (c.glyph("─", "-"), c.glyph("│", "|"));
    let (tl, tr, bl, br) = if c.state.caps.unicode { ("┌", "┐", "└", "┘") } else { ("+", "+", "+", "+") };
    let across = h.repeat(usize::from(width.saturating_sub(2)));
    c.put(outer, outer.x, outer.y, &format!("{tl}{across}{tr}"), style);
    for y in outer.y + 1..outer.bottom().saturating_sub(1) {
        c.put(outer, outer.x, y, v, style);
        c.put(outer, outer.right().saturating_sub(1), y, v, style);
    }
    c.put(outer, outer.x, outer.bottom().saturating_sub(1), &format!("{bl}{across}{br}"), style);
    let title = text::cut(title, usize::from(width.saturating_sub(6)));
    c.put(outer, outer.x + 2, outer.y, &format!(" {title} "), style);
    Rect { x: outer.x + 2, y: outer.y + 1, width: width.saturating_sub(4), height: height.saturating_sub(2) }
}

fn question(c: &mut Canvas<'_>, area: Rect, ask: &Ask) {
    let width = area.width.saturating_sub(2).min(76);
    let room = usize::from(width.saturating_sub(4));
    let l = c.lang();
    let label_width = ask.fields.iter().map(|f| text::width(f.label.said(l))).max().unwrap_or(0) + 2;
    let (plain, dim, bad, accent, selection) = (c.pal.text, c.pal.dim, c.pal.bad, c.pal.accent, c.pal.selection);
    let mut facts: Vec<String> = ask.facts.iter().flat_map(|f| text::wrap(f, room)).collect();
    let mut lines: Vec<Vec<Span>> = vec![];
    for (i, f) in ask.fields.iter().enumerate() {
        let here = i == ask.focus;
        let value_room = room.saturating_sub(label_width + 2);
        let shown = if f.choice.is_some() {
            format!("< {} >", text::cut(f.value(), value_room.saturating_sub(4)))
        } else {
            let tail = if here { f.input.visual_scroll(value_room.max(1)) } else { 0 };
            f.input.value().chars().skip(tail).collect()
        };
        let label = text::fit(f.label.said(l), label_width, false);
        let value = text::fit(&shown, value_room, false);
        lines.push(vec![(label, if here { accent } else { dim }), (value, if here { selection } else { plain })]);
    }
    if let Some(f) = ask.fields.get(ask.focus).filter(|f| f.choice.is_none() && !f.known.is_empty()) {
        let known = f.completions();
        let note = if known.is_empty() { tr!(l, window.none_known).to_owned() } else { known.join(" ") };
        lines.push(vec![(text::fit(&format!("{}{note}", " ".repeat(label_width)), room, false), dim)]);
    }
    if let Some(dry) = &ask.dry {
        let rule = crate::ui::words::rule::said(l, &dry.rule);
        let (said, style) = match dry.allowed {
            Some(true) => (format!("{}{}", c.glyph("✓ ", "+ "), tr!(l, window.would_do, rule)), c.pal.ok),
            Some(false) => (format!("{}{}", c.glyph("✗ ", "x "), tr!(l, window.would_refuse, rule)), bad),
            None => (tr!(l, window.not_tried, rule), dim),
        };
        lines.extend(text::wrap(&said, room).into_iter().map(|l| vec![(l, style)]));
    }
    if let Some(p) = &ask.problem {
        lines.extend(text::wrap(p, room).into_iter().map(|l| vec![(l, bad)]));
    }
    let keys = if ask.yes_no() { tr!(l, window.yes_no).to_owned() } else { tr!(l, window.enter).to_owned() };
    // On a small screen empty lines go first, then the last of the facts: what it cuts is the first of them.
    let height = usize::from(area.height.saturating_sub(2));
    let airy = facts.len() + lines.len() + 3 <= height;
    let most = height.saturating_sub(lines.len() + 1).max(1);
    if !airy && facts.len() > most {
        facts.truncate(most);
        if let Some(last) = facts.last_mut() {
            *last = text::fit(&format!("{last} …"), room.min(text::width(last) + 2), false);
        }
    }
    if airy {
        lines.push(vec![]);
    }
    lines.push(vec![(keys, dim)]);
    let first_field = facts.len() + usize::from(airy);
    let gap = airy.then(Vec::new);
    lines.splice(..0, facts.into_iter().map(|f| vec![(f, plain)]).chain(gap));
    let title = tr!(l, window.question, title = ask.title);
    let inner = window(c, area, width, lines.len(), &title);
    // Where even that is too much the end matters most: the fields and the keys.
    let skip = lines.len().saturating_sub(usize::from(inner.height));
    for (y, line) in (inner.y..inner.bottom()).zip(lines.iter().skip(skip)) {
        c.line(inner, y, line);
    }
    if let Some(f) = ask.fields.get(ask.focus).filter(|f| f.choice.is_none()) {
        let value_room = room.saturating_sub(label_width + 2).max(1);
        let at = label_width + f.input.visual_cursor().saturating_sub(f.input.visual_scroll(value_room));
        let line = (first_field + ask.focus).checked_sub(skip);
        if let (Some(line), Ok(x)) = (line.and_then(|l| u16::try_from(l).ok()), u16::try_from(at)) {
            let (x, y) = (inner.x + x, inner.y + line);
            c.cursor = (x < inner.right() && y < inner.bottom()).then_some((x, y));
        }
    }
}
