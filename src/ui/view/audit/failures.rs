//! Refused sign-ins and requests, summed up by where they came from.

use super::super::canvas::Canvas;
use super::super::table::{self, Column, Rows, col, num};
use crate::ui::state::failures::{Because, Source};
use crate::ui::text;
use crate::ui::words::{self, tr};
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

fn because(c: &Canvas<'_>, host: &str, why: Because) -> String {
    match why {
        Because::Key => tr!(c.lang(), audit.by_key, host),
        Because::Name => tr!(c.lang(), audit.by_name, host),
        Because::Address => tr!(c.lang(), audit.by_address, host),
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
        let host = s.host.as_ref().map(|(h, why)| because(c, h, *why)).unwrap_or_default();
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
        let (dim, l) = (c.pal.dim, c.lang());
        let note = tr!(l, audit.nothing_refused, day = c.key("day-back"), filter = c.key("filter"));
        c.put(list, list.x + 1, list.y + 2, &note, dim);
    }
    if foot == 0 {
        return;
    }
    let below = Rect { y: list.bottom(), height: foot, ..area };
    let l = c.lang();
    let span = f.span.map(|(from, to)| tr!(l, audit.failures, n = f.count, from = c.time(from), to = c.time(to)));
    c.rule(below, below.y, &span.unwrap_or_default(), false);
    let Some(s) = f.current() else { return };
    let mut said = vec![
        tr!(l, audit.source, name = s.name, first = c.time(s.first), last = c.time(s.last)),
        tr!(l, audit.addresses, n = s.addresses),
    ];
    if s.addresses == 1 {
        said.pop();
    }
    let users = tried(s);
    if !users.is_empty() {
        said.push(tr!(l, audit.as_users, users));
    }
    if !s.keys.is_empty() {
        said.push(s.keys.iter().cloned().collect::<Vec<_>>().join(" "));
    }
    said.extend(s.rule.as_deref().map(|r| words::rule::said(l, r).into_owned()));
    let (width, style) = (usize::from(below.width.saturating_sub(2)), c.pal.text);
    for (y, line) in (below.y + 1..below.bottom()).zip(text::wrap(&said.join(" · "), width)) {
        c.put(below, below.x + 1, y, &line, style);
    }
}
