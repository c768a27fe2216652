//! One tunnel in full, in tabs: what it is, who visits it, its checks, its sign-ins, its events, and how it is brought up.

mod fix;
mod health;
mod journal;
mod overview;
mod visitors;

use super::canvas::{Canvas, Span};
use crate::audit::Record;
use crate::model::Port;
use crate::ui::state::spots::Target;
use crate::ui::state::tabs::Tab;
use crate::ui::words::tr;
use crate::ui::{sentence, text};
use ratatui::layout::Rect;
use ratatui::style::Style;

/// Events looked through for a timeline, newest first, and shown.
const LOOKED_AT: usize = 5_000;
const SHOWN: usize = 60;
/// Columns of a fact's label.
const LABEL: usize = 11;

pub(super) fn draw(c: &mut Canvas<'_>, area: Rect, port: Option<Port>, focus: bool) {
    c.spot(area, Target::Detail);
    let Some(row) = port.and_then(|p| c.state.row(p)) else {
        let dim = c.pal.dim;
        c.rule(area, area.y, tr!(c.lang(), detail.title), focus);
        c.put(area, area.x + 1, area.y + 1, tr!(c.lang(), detail.nothing), dim);
        return;
    };
    c.rule(area, area.y, &format!("{} :{}", row.host(), row.port()), focus);
    let inner = Rect {
        x: area.x + 1,
        y: area.y + 1,
        width: area.width.saturating_sub(1),
        height: area.height.saturating_sub(1),
    };
    tabs(c, inner);
    let inner = Rect { y: inner.y + 1, height: inner.height.saturating_sub(1), ..inner };
    let width = usize::from(inner.width);
    match c.state.tabs.tab {
        Tab::Overview => {
            let lines = overview::lines(c, row, width);
            scrolled(c, inner, &lines);
        }
        Tab::Health => {
            let lines = health::lines(c, row, width);
            scrolled(c, inner, &lines);
        }
        Tab::Visitors => visitors::draw(c, inner, row, focus),
        Tab::Auth | Tab::Audit => journal::draw(c, inner, row, focus),
        Tab::Fix => fix::draw(c, inner, row, focus),
    }
    // Over the rows of a tab's table: those are no rows of the list.
    c.spot(area, Target::Detail);
}

/// The tabs, the open one in brackets; the others are cut short where there is little room.
fn tabs(c: &mut Canvas<'_>, area: Rect) {
    let room = usize::from(area.width);
    let l = c.lang();
    let whole: usize = Tab::ALL.iter().map(|t| text::width(t.name(l)) + 1).sum::<usize>() + 1;
    let mut x = area.x;
    for tab in Tab::ALL {
        let here = tab == c.state.tabs.tab;
        let word = if here || whole <= room { tab.name(l) } else { tab.short(l) };
        let style = if here { c.pal.selection } else { c.pal.dim };
        let label = if here { format!("[{word}]") } else { word.to_owned() };
        // A bracket takes the place of the space before it.
        let at = if here { x } else { x + 1 };
        x = c.put(area, at, area.y, &label, style);
        if here {
            x = x.saturating_sub(1);
        }
    }
}

/// Lines of which the pane shows some.
fn scrolled(c: &mut Canvas<'_>, inner: Rect, lines: &[Vec<Span>]) {
    let room = usize::from(inner.height);
    c.scroll_max = lines.len().saturating_sub(room);
    let scroll = c.state.detail_scroll.min(c.scroll_max);
    for (y, line) in (inner.y..inner.bottom()).zip(lines.iter().skip(scroll)) {
        c.line(Rect { y, height: 1, ..inner }, y, line);
    }
    if lines.len() > room + scroll {
        let dim = c.pal.dim;
        let n = lines.len() - room - scroll + 1;
        let more = format!("{} {}", c.glyph("▼", "v"), tr!(c.lang(), detail.more_lines, n));
        let y = inner.bottom().saturating_sub(1);
        c.put(inner, inner.x, y, &text::fit(&more, usize::from(inner.width), false), dim);
    }
}

fn fact(c: &Canvas<'_>, out: &mut Vec<Vec<Span>>, width: usize, label: &str, value: &str, style: Style) {
    for (n, line) in text::wrap(value, width.saturating_sub(LABEL).max(8)).into_iter().enumerate() {
        let label = if n == 0 { label } else { "" };
        out.push(vec![(text::fit(label, LABEL, false), c.pal.dim), (line, style)]);
    }
}

/// Events that the console has heard lately, one or more lines each.
fn timeline(c: &Canvas<'_>, title: &str, width: usize, about: impl Fn(&Record) -> bool) -> Vec<Vec<Span>> {
    let events: Vec<_> = c.state.live.events.iter().rev().take(LOOKED_AT).filter(|r| about(r)).take(SHOWN).collect();
    let mut out = vec![vec![], vec![(title.to_owned(), c.pal.title)]];
    if events.is_empty() {
        out.push(vec![(tr!(c.lang(), detail.no_events).to_owned(), c.pal.dim)]);
    }
    for r in events {
        let style = match r.event.outcome {
            crate::audit::Outcome::Success => c.pal.text,
            crate::audit::Outcome::Refused => c.pal.warn,
            crate::audit::Outcome::Failure => c.pal.bad,
        };
        let time = format!("{} ", c.time(r.at));
        let indent = text::width(&time);
        for (n, line) in
            text::wrap(&sentence::event(c.lang(), r), width.saturating_sub(indent).max(8)).into_iter().enumerate()
        {
            let head = if n == 0 { time.clone() } else { " ".repeat(indent) };
            out.push(vec![(head, c.pal.dim), (line, style)]);
        }
    }
    out
}

#[cfg(test)]
mod tests;
