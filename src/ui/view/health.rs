//! Screen 4: what the checks say.

use super::canvas::{Canvas, Span};
use super::table::{self, Column, Rows, col, num};
use super::{detail, tunnels};
use crate::ui::state::Plan;
use crate::ui::text;
use crate::ui::words::{self, tr};
use ratatui::layout::Rect;

pub(super) const COLUMNS: [Column; 7] = [
    col("verdict", |l| tr!(l, column.verdict), 9, 9, 0),
    num("port", |l| tr!(l, column.port), 5, 0),
    col("host", |l| tr!(l, column.host), 12, 16, 0),
    col("check", |l| tr!(l, column.check), 5, 5, 2),
    num("latency", |l| tr!(l, column.latency), 7, 1),
    col("every", |l| tr!(l, column.every), 12, 12, 4),
    col("last-error", |l| tr!(l, column.last_error), 22, 60, 3),
];
/// The strip stands after the port's host, as wide as there is room.
const STRIP: usize = 30;

pub(super) fn draw(c: &mut Canvas<'_>, area: Rect, plan: Plan) {
    if c.state.detail && !plan.wide {
        return detail::draw(c, area, c.state.health.selected, true);
    }
    let (list, side) = tunnels::split(area, plan);
    let rows = Rows {
        len: c.state.health_rows.len(),
        offset: c.state.health.offset,
        selected: c.state.health.index(&c.state.health_rows),
        focus: !c.state.detail,
    };
    // The strip has a style per cell, which a table's cell has not: it takes the right end of the list.
    let strip = if list.width > 110 { STRIP } else { usize::from(list.width / 6).min(STRIP) };
    let columns = u16::try_from(strip).unwrap_or(0) + 1;
    let left = Rect { width: list.width.saturating_sub(columns), ..list };
    let right = Rect { x: left.right() + 1, width: columns.saturating_sub(1), ..list };
    let mut strips = vec![];
    table::draw(c, left, &COLUMNS, None, &rows, |c, i| {
        let Some(r) = c.state.health_rows.get(i).and_then(|p| c.state.row(*p)) else { return vec![] };
        let h = &r.view.health;
        strips.push(c.strip(&h.history, strip));
        let (glyph, style) = c.verdict_look(h.verdict);
        let error = words::rule::said(c.lang(), h.last_error.as_deref().unwrap_or_default()).into_owned();
        vec![
            (format!("{glyph} {}", words::model::verdict(c.lang(), h.verdict)), style),
            (r.port().to_string(), c.pal.text),
            (r.host().to_string(), c.pal.text),
            (words::model::check(c.lang(), h.check).to_owned(), c.pal.dim),
            (h.latency_ms.map_or_else(|| "-".into(), text::millis), c.pal.text),
            (tr!(c.lang(), health.every, s = h.interval_s, rise = h.rise, fall = h.fall), c.pal.dim),
            (error, if h.verdict == crate::model::Verdict::Failing { c.pal.bad } else { c.pal.dim }),
        ]
    });
    let title: Span = (text::fit(tr!(c.lang(), column.history), strip, false), c.pal.title);
    c.line(right, right.y, &[title]);
    for (y, line) in (right.y + 1..right.bottom()).zip(&strips) {
        c.line(right, y, line);
    }
    if let Some(side) = side {
        detail::draw(c, side, c.state.health.selected, c.state.detail);
    }
}
