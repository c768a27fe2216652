//! Screen 2: every tunnel and lease.

use super::canvas::{Canvas, Span};
use super::detail;
use super::table::{self, Column, Rows, col, num};
use crate::ui::state::Plan;
use crate::ui::state::live::Row;
use crate::ui::text;
use crate::ui::words::{self, tr};
use ratatui::layout::Rect;

pub(super) const COLUMNS: [Column; 13] = [
    col("state", |l| tr!(l, column.state), 10, 10, 0),
    num("port", |l| tr!(l, column.port), 5, 0),
    col("host", |l| tr!(l, column.host), 10, 26, 0),
    col("service", |l| tr!(l, column.service), 7, 12, 4),
    col("team", |l| tr!(l, column.team), 6, 14, 3),
    num("visitors", |l| tr!(l, column.visitors), 4, 2),
    num("out", |l| tr!(l, column.out_rate), 5, 5),
    num("in", |l| tr!(l, column.in_rate), 5, 8),
    col("traffic", |l| tr!(l, column.traffic), 8, 8, 6),
    num("total", |l| tr!(l, column.total), 6, 10),
    col("health", |l| tr!(l, column.health), 9, 9, 7),
    col("checks", |l| tr!(l, column.checks), 8, 8, 9),
    num("since", |l| tr!(l, column.since), 6, 1),
];
/// Results of checks in a row.
const CHECKS: usize = 8;

pub(super) fn draw(c: &mut Canvas<'_>, area: Rect, plan: Plan) {
    if c.state.detail && !plan.wide {
        return detail::draw(c, area, c.state.tunnels.selected, true);
    }
    let area = intro(c, area);
    let (list, side) = split(area, plan);
    // What the mark before a host means, for the row under the cursor. Beside the list the detail says it.
    let below = u16::try_from(c.state.footer()).unwrap_or(0);
    let list = Rect { height: list.height.saturating_sub(below), ..list };
    if below > 0
        && let Some(row) = c.state.tunnels.selected.and_then(|p| c.state.row(p))
        && let Some(w) = warning(c, row)
    {
        let said = text::cut(&c.here(&format!(" ! {}: {w}", row.port())), usize::from(area.width));
        let warn = c.pal.warn;
        c.put(area, area.x, list.bottom(), &said, warn);
    }
    let rows = Rows {
        len: c.state.tunnel_rows.len(),
        offset: c.state.tunnels.offset,
        selected: c.state.tunnels.index(&c.state.tunnel_rows),
        focus: !c.state.detail,
    };
    let (by, reverse) = c.state.sort;
    let mark = (by.column(), if reverse { "↑" } else { "↓" });
    if rows.len > 0 || c.state.first_tunnel().is_none() {
        table::draw(c, list, &COLUMNS, Some(mark), &rows, row);
    }
    marks(c, list, &rows);
    if rows.len == 0 && c.state.first_tunnel().is_none() && list.height > 2 {
        let dim = c.pal.dim;
        let note = match (&c.state.live.daemon, c.state.filter()) {
            (None, _) => tr!(c.lang(), tunnels.waiting).to_owned(),
            _ if c.state.live.filling() => tr!(c.lang(), tunnels.filling).to_owned(),
            (_, Some(_)) => tr!(c.lang(), tunnels.all_hidden, back = c.key("back")),
            _ => tr!(c.lang(), tunnels.empty).to_owned(),
        };
        c.put(list, list.x + 1, list.y + 2, &note, dim);
    }
    if let Some(side) = side {
        detail::draw(c, side, c.state.tunnels.selected, c.state.detail);
    }
}

/// What is wrong with a tunnel, or with its host.
fn warning(c: &Canvas<'_>, row: &Row) -> Option<String> {
    let l = c.lang();
    let own = row.view.warning.as_ref().map(|told| match words::behind::said(l, &row.view.behind, row.host()) {
        Some(said) if row.view.behind.sentence(row.host()).as_ref() == Some(told) => said,
        _ => words::rule::said(l, told).into_owned(),
    });
    own.or_else(|| c.state.live.restarts(row.host()).map(|i| words::evidence::said(l, i).into_owned()))
}

/// Marks stand where the cursor stands, and how many there are at the right of the titles.
fn marks(c: &mut Canvas<'_>, list: Rect, rows: &Rows) {
    let n = c.state.marks.len();
    if n == 0 {
        return;
    }
    let (accent, notice) = (c.pal.accent, c.pal.notice);
    for (y, i) in (list.y + 1..list.bottom()).zip(rows.offset..rows.len) {
        if c.state.tunnel_rows.get(i).is_some_and(|p| c.state.marks.contains(p)) {
            let here = rows.selected == Some(i);
            let mark = if here { c.glyph("◆", "#") } else { c.glyph("•", "+") };
            let style = if here && rows.focus { c.pal.selection } else { accent };
            c.put(list, list.x, y, mark, style);
        }
    }
    let shown = c.state.tunnel_rows.iter().filter(|p| c.state.marks.contains(p)).count();
    let note = match n - shown {
        0 => tr!(c.lang(), tunnels.marked, n, back = c.key("back")),
        hidden => tr!(c.lang(), tunnels.marked_hidden, n, hidden),
    };
    let note = format!(" {note} ");
    let w = u16::try_from(text::width(&note)).unwrap_or(0);
    c.put(list, list.right().saturating_sub(w).max(list.x), list.y, &note, notice);
}

/// List and detail side by side where there is room.
pub(super) fn split(area: Rect, plan: Plan) -> (Rect, Option<Rect>) {
    if !plan.wide {
        return (area, None);
    }
    let side = (area.width * 2 / 5).clamp(44, 90);
    let list = Rect { width: area.width.saturating_sub(side + 1), ..area };
    (list, Some(Rect { x: list.right() + 1, width: side, ..area }))
}

/// The line that brings up a first tunnel: nothing left or right of it, so that it can be copied as it stands.
pub(super) fn intro(c: &mut Canvas<'_>, area: Rect) -> Rect {
    let lines = c.state.intro_lines();
    if lines.is_empty() {
        return area;
    }
    let (title, accent) = (c.pal.title, c.pal.accent);
    let said = tr!(c.lang(), tunnels.first, copy = c.key("copy"));
    c.put(area, area.x, area.y, &said, title);
    let mut y = area.y + 2;
    for line in &lines {
        c.put(area, area.x, y, line, accent);
        y += 1;
    }
    y += 1;
    let used = y.saturating_sub(area.y).min(area.height);
    Rect { y: area.y + used, height: area.height - used, ..area }
}

fn row(c: &mut Canvas<'_>, i: usize) -> Vec<Span> {
    let Some(r) = c.state.tunnel_rows.get(i).and_then(|p| c.state.row(*p)) else { return vec![] };
    let v = &r.view;
    let (glyph, style) = c.state_look(v.state);
    let (hglyph, hstyle) = c.verdict_look(v.health.verdict);
    let (to_host, to_visitors) = r.rates(c.state.now);
    let plain = if v.state.is_live() { c.pal.text } else { c.pal.dim };
    let rate = |n: u64| if n == 0 { ("-".to_owned(), c.pal.dim) } else { (text::bytes(n), c.pal.text) };
    let health = if v.state.is_live() {
        (format!("{hglyph}{}", words::model::verdict(c.lang(), v.health.verdict)), hstyle)
    } else {
        ("-".to_owned(), c.pal.dim)
    };
    let restarts = c.state.live.restarts(r.host()).is_some();
    let warn = if v.warning.is_some() || restarts { "!" } else { "" };
    vec![
        (format!("{glyph} {}", words::model::state(c.lang(), v.state)), style),
        (r.port().to_string(), c.pal.text),
        (format!("{warn}{}", r.host()), if warn.is_empty() { c.pal.text } else { c.pal.warn }),
        (r.service().to_owned(), plain),
        (r.team().to_string(), plain),
        match (v.behind.visitors, v.visitors_now) {
            (0, 0) => ("0".to_owned(), c.pal.dim),
            (0, n) => (n.to_string(), c.pal.text),
            (_, n) => (format!("!{n}"), if v.behind.holding > 0 { c.pal.bad } else { c.pal.warn }),
        },
        rate(to_visitors),
        rate(to_host),
        (c.spark(&r.spark), c.pal.info),
        (text::bytes(r.bytes()), plain),
        health,
        (c.strip(&v.health.history, CHECKS).into_iter().map(|(s, _)| s).collect(), hstyle),
        (c.age(v.state_since), plain),
    ]
}

#[cfg(test)]
mod tests;
