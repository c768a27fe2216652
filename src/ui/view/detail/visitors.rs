//! Who is connected now, from where, since when, and what waits for them. One is selected, to be cut.

use crate::model::BEHIND;
use crate::ui::state::live::Row;
use crate::ui::text;
use crate::ui::view::canvas::{Canvas, Span};
use crate::ui::view::table::{self, Column, Rows, col, num};
use crate::ui::words::tr;
use ratatui::layout::Rect;

const COLUMNS: [Column; 7] = [
    col("id", |l| tr!(l, column.id), 5, 8, 3),
    col("from", |l| tr!(l, column.from), 14, 47, 0),
    col("operator", |l| tr!(l, column.operator), 8, 16, 5),
    num("age", |l| tr!(l, column.age), 5, 1),
    num("↑in", |l| tr!(l, column.to_host), 5, 4),
    num("↓out", |l| tr!(l, column.to_visitor), 5, 2),
    num("waits", |l| tr!(l, column.waits), 6, 0),
];

pub(super) fn draw(c: &mut Canvas<'_>, area: Rect, row: &Row, focus: bool) {
    let list = c.state.visitors_of(row.port());
    let Some(list) = list.filter(|l| !l.is_empty()) else {
        let note = match (row.view.state.is_live(), row.view.visitors_now) {
            (false, _) => tr!(c.lang(), detail.not_up),
            (true, 0) => tr!(c.lang(), detail.nobody),
            (true, _) => tr!(c.lang(), detail.asking_visitors),
        };
        let dim = c.pal.dim;
        c.put(area, area.x, area.y, note, dim);
        return;
    };
    let ids: Vec<_> = list.iter().map(|v| v.id).collect();
    let below = u16::from(area.height > 4);
    let table = Rect { height: area.height.saturating_sub(below), ..area };
    // What does not fit is scrolled; the cursor is kept in sight here, where the height is known.
    let room = usize::from(table.height.saturating_sub(1)).max(1);
    let selected = c.state.tabs.visitor.index(&ids);
    let offset = selected.map_or(0, |i| (i + 1).saturating_sub(room));
    let rows = Rows { len: ids.len(), offset, selected, focus };
    table::draw(c, table, &COLUMNS, None, &rows, |c, i| {
        let Some(v) = c.state.visitors_of(row.port()).and_then(|l| l.get(i)) else { return vec![] };
        let (waits, style) = match (v.holding, v.buffered) {
            (true, n) => (format!("!{}", text::bytes(n)), c.pal.bad),
            (false, 0) => ("-".to_owned(), c.pal.dim),
            (false, n) if n < BEHIND => (text::bytes(n), c.pal.dim),
            (false, n) => (format!("!{}", text::bytes(n)), c.pal.warn),
        };
        vec![
            (v.id.to_string(), c.pal.accent),
            (v.source.to_string(), c.pal.text),
            (v.operator.clone().unwrap_or_else(|| "-".to_owned()), c.pal.text),
            (c.age(v.since), c.pal.text),
            (text::bytes(v.bytes_to_host), c.pal.text),
            (text::bytes(v.bytes_to_visitor), c.pal.text),
            (waits, style),
        ]
    });
    if below > 0 {
        let (said, style) = foot(c, row, selected);
        let line = (text::cut(&said, usize::from(area.width)), style);
        c.line(area, area.bottom().saturating_sub(1), &[line]);
    }
}

/// What its marks mean for the selected one, or how it is cut.
fn foot(c: &Canvas<'_>, row: &Row, selected: Option<usize>) -> Span {
    let l = c.lang();
    let v = selected.and_then(|i| c.state.visitors_of(row.port())?.get(i));
    match v {
        Some(v) if v.holding => {
            let said = tr!(l, detail.slows, id = v.id, bytes = text::bytes(v.buffered), cut = c.key("cut"));
            (said, c.pal.bad)
        }
        Some(v) if v.buffered >= BEHIND => {
            (tr!(l, detail.reads_slowly, id = v.id, bytes = text::bytes(v.buffered), cut = c.key("cut")), c.pal.warn)
        }
        _ => (
            tr!(l, detail.visitors_keys, down = c.key("down"), up = c.key("up"), cut = c.key("cut")).to_owned(),
            c.pal.dim,
        ),
    }
}
