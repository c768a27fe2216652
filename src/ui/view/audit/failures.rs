//! Refused sign-ins and requests, summed up by where they came from.

use super::super::canvas::Canvas;
use super::super::table::{self, Column, Rows, col, num};
use crate::ui::state::failures::{Because, Source};
use crate::ui::text;
use crate::ui::words::tr;
use ratatui::layout::Rect;

const COLUMNS: [Column; 7] = [
    num("count", |l| tr!(l, column.failures), 6, 0),
    col("source", |l| tr!(l, column.source), 17, 22, 0),
    num("last", |l| tr!(l, column.last), 8, 1),
    num("for", |l| tr!(l, column.lasted), 7, 4),
    col("tried", |l| tr!(l, column.tried), 16, 40, 2),
    num("keys", |l| tr!(l, column.keys), 4, 5),
    col("probably", |l| tr!(l, column.probably), 18, 40, 3),
];

fn because(why: Because) -> &'static str {
    match why {
        Because::Key => "its key",
        Because::Name => "its name",
        Because::Address => "its address",
    }
}

fn tried(s: &Source) -> String {
    s.users.iter().cloned().collect::<Vec<_>>().join(" ")
}

pub(super) fn draw(c: &mut Canvas<'_>, area: Rect) {
    let Some(f) = &c.state.journal.failures else { return };
    let foot = u16::try_from(c.state.footer()).unwrap_or(0);
    let list = Rect { height: area.height.saturating_sub(foot), ..area };
    let selected = (!f.rows.is_empty()).then_some(f.selected);
    let rows = Rows { len: f.rows.len(), offset: f.offset, selected, focus: true };
    table::draw(c, list, &COLUMNS, None, &rows, |c, i| {
        let Some(s) = f.rows.get(i) else { return vec![] };
        let lasted = text::age((s.last - s.first).num_seconds()).0;
        let host = s.host.as_ref().map(|(h, why)| format!("{h} ({})", because(*why))).unwrap_or_default();
        vec![
            (s.count.to_string(), c.pal.bad),
            (s.name.clone(), c.pal.text),
            (c.age(s.last), c.pal.dim),
            (lasted, c.pal.dim),
            (tried(s), c.pal.text),
            (s.keys.len().to_string(), c.pal.dim),
            (host, c.pal.warn),
        ]
    });
    if rows.len == 0 && list.height > 2 {
        let dim = c.pal.dim;
        c.put(list, list.x + 1, list.y + 2, "nothing was refused in what is shown; [ or / reach further back", dim);
    }
    if foot == 0 {
        return;
    }
    let below = Rect { y: list.bottom(), height: foot, ..area };
    let span = f.span.map(|(from, to)| format!("{} failures from {} to {}", f.count, c.time(from), c.time(to)));
    c.rule(below, below.y, &span.unwrap_or_default(), false);
    let Some(s) = f.current() else { return };
    let mut said = vec![
        format!("{}: first {}, last {}", s.name, c.time(s.first), c.time(s.last)),
        format!("from {} addresses", s.addresses),
    ];
    if s.addresses == 1 {
        said.pop();
    }
    let users = tried(s);
    if !users.is_empty() {
        said.push(format!("as {users}"));
    }
    if !s.keys.is_empty() {
        said.push(s.keys.iter().cloned().collect::<Vec<_>>().join(" "));
    }
    said.extend(s.rule.clone());
    let (width, style) = (usize::from(below.width.saturating_sub(2)), c.pal.text);
    for (y, line) in (below.y + 1..below.bottom()).zip(text::wrap(&said.join(" · "), width)) {
        c.put(below, below.x + 1, y, &line, style);
    }
}
