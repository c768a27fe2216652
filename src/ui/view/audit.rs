//! Screen 5: the journal as it is written, and back in time.

use super::canvas::Canvas;
use super::table::{self, Column, Rows, col, num};
use crate::audit::{Outcome, Record};
use crate::ui::state::Pending;
use crate::ui::{sentence, text};
use ratatui::layout::Rect;

pub(super) const COLUMNS: [Column; 6] = [
    col("TIME", 12, 12, 0),
    num("SEQ", 6, 3),
    col("WHO", 9, 16, 1),
    col("ON WHAT", 14, 26, 2),
    col("SOURCE", 20, 22, 4),
    col("EVENT", 30, 400, 0),
];

pub(super) fn draw(c: &mut Canvas<'_>, area: Rect) {
    let rows = Rows {
        len: c.state.audit_rows.len(),
        offset: c.state.audit.offset,
        selected: c.state.audit.index(&c.state.audit_ids),
        focus: true,
    };
    let foot = u16::try_from(c.state.footer()).unwrap_or(0);
    let list = Rect { height: area.height.saturating_sub(foot), ..area };
    table::draw(c, list, &COLUMNS, None, &rows, |c, i| {
        let Some(r) = c.state.audit_rows.get(i) else { return vec![] };
        let failure = sentence::is_auth_failure(r);
        let style = match r.event.outcome {
            _ if failure => c.pal.bad,
            Outcome::Success => c.pal.text,
            Outcome::Refused => c.pal.warn,
            Outcome::Failure => c.pal.bad,
        };
        let source = r.event.context.source.map(|s| s.to_string()).unwrap_or_default();
        let mark = if failure { c.glyph("✗ ", "x ") } else { "" };
        vec![
            (c.time(r.at), c.pal.dim),
            (r.seq.to_string(), c.pal.dim),
            (sentence::actor(&r.event.actor), style),
            (sentence::subject(r), c.pal.text),
            (source, c.pal.dim),
            (format!("{mark}{}", sentence::event(r)), style),
        ]
    });
    if foot > 0 {
        whole(c, Rect { y: list.bottom(), height: foot, ..area });
    }
    // What the list is doing stands at the right of its titles.
    let new = c.state.new_below();
    let loading = c.state.pending.values().any(|p| *p == Pending::Older);
    let (note, style) = if loading {
        ("loading older".to_owned(), c.pal.warn)
    } else if c.state.follow {
        (format!("{} follow", c.glyph("●", "*")), c.pal.ok)
    } else if new > 0 {
        (format!("paused, {new} new below: G"), c.pal.notice)
    } else if c.state.live.beginning && rows.selected == Some(0) {
        ("paused, this is the beginning".to_owned(), c.pal.dim)
    } else {
        ("paused: G follows".to_owned(), c.pal.warn)
    };
    let w = u16::try_from(text::width(&note)).unwrap_or(0) + 2;
    let x = area.right().saturating_sub(w).max(area.x);
    c.put(area, x, area.y, &format!(" {note} "), style);
}

/// The selected event without cuts.
fn whole(c: &mut Canvas<'_>, area: Rect) {
    c.rule(area, area.y, "", false);
    let Some(r) = c.state.selected_event().cloned() else { return };
    let text_style = c.pal.text;
    let full = in_full(c, &r);
    let width = usize::from(area.width.saturating_sub(2));
    for (y, line) in (area.y + 1..area.bottom()).zip(text::wrap(&full, width)) {
        c.put(area, area.x + 1, y, &line, text_style);
    }
}

/// An event with all there is to it, its time with date and offset.
pub(super) fn in_full(c: &Canvas<'_>, r: &Record) -> String {
    let x = &r.event.context;
    let local = r.at.with_timezone(&chrono::Local);
    let at = if c.state.zone == crate::ui::state::Zone::Local {
        local.format("%Y-%m-%d %H:%M:%S%.3f%:z").to_string()
    } else {
        r.at.format("%Y-%m-%d %H:%M:%S%.3fZ").to_string()
    };
    let mut parts = vec![at, format!("seq {}", r.seq), r.event.name().to_owned(), sentence::subject(r)];
    parts.extend(x.source.map(|s| format!("from {s}")));
    parts.extend(x.fingerprint.clone());
    parts.extend(x.session.map(|s| s.to_string()));
    format!("{} · {}", parts.join(" · "), sentence::event(r))
}
