//! Screen 4: what the checks say.

use super::canvas::{Canvas, Span};
use super::table::{self, Column, Rows, col, num};
use super::{detail, tunnels};
use crate::ui::state::Plan;
use crate::ui::text;
use ratatui::layout::Rect;

pub(super) const COLUMNS: [Column; 7] = [
    col("VERDICT", 9, 9, 0),
    num("PORT", 5, 0),
    col("HOST", 12, 16, 0),
    col("CHECK", 5, 5, 2),
    num("LATENCY", 7, 1),
    col("EVERY", 12, 12, 4),
    col("LAST ERROR", 22, 60, 3),
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
        let error = h.last_error.clone().unwrap_or_default();
        vec![
            (format!("{glyph} {}", h.verdict), style),
            (r.port().to_string(), c.pal.text),
            (r.host().to_string(), c.pal.text),
            (h.check.to_string(), c.pal.dim),
            (h.latency_ms.map_or_else(|| "-".into(), text::millis), c.pal.text),
            (format!("{}s +{} -{}", h.interval_s, h.rise, h.fall), c.pal.dim),
            (error, if h.verdict == crate::model::Verdict::Failing { c.pal.bad } else { c.pal.dim }),
        ]
    });
    let title: Span = (text::fit("HISTORY", strip, false), c.pal.title);
    c.line(right, right.y, &[title]);
    for (y, line) in (right.y + 1..right.bottom()).zip(&strips) {
        c.line(right, y, line);
    }
    if let Some(side) = side {
        detail::draw(c, side, c.state.health.selected, c.state.detail);
    }
}
