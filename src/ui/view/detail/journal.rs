//! Events of one tunnel as the journal has them, back to its beginning.

use crate::audit::{Outcome, Record};
use crate::ui::state::Pending;
use crate::ui::state::live::Row;
use crate::ui::state::tabs::{History, Tab};
use crate::ui::view::canvas::Canvas;
use crate::ui::view::table::{self, Column, Rows, col, num};
use crate::ui::words::tr;
use crate::ui::{sentence, text};
use ratatui::layout::Rect;
use ratatui::style::Style;

const COLUMNS: [Column; 4] = [
    col("time", |l| tr!(l, column.time), 12, 12, 0),
    num("seq", |l| tr!(l, column.seq), 6, 3),
    col("who", |l| tr!(l, column.who), 9, 16, 2),
    col("event", |l| tr!(l, column.event), 16, 400, 0),
];
/// Lines of the selected event in full, where there is room.
const WHOLE: u16 = 4;

pub(super) fn draw(c: &mut Canvas<'_>, area: Rect, row: &Row, focus: bool) {
    let Some(history) = c.state.tabs.history.as_ref().filter(|h| h.port == row.port()) else {
        let dim = c.pal.dim;
        c.put(area, area.x, area.y, &tr!(c.lang(), detail.open_journal, open = c.key("open")), dim);
        return;
    };
    let whole = if area.height >= 14 { WHOLE } else { 0 };
    let table = Rect { height: area.height.saturating_sub(whole + 1), ..area };
    let room = usize::from(table.height.saturating_sub(1)).max(1);
    let selected = c.state.tabs.event.index(&history.ids);
    let offset = selected.map_or(0, |i| (i + 1).saturating_sub(room));
    let rows = Rows { len: history.ids.len(), offset, selected, focus };
    if rows.len > 0 {
        table::draw(c, table, &COLUMNS, None, &rows, |c, i| {
            let Some(r) = c.state.tabs.history.as_ref().and_then(|h| h.get(i)) else { return vec![] };
            let style = look(c, r);
            vec![
                (c.time(r.at), c.pal.dim),
                (r.seq.to_string(), c.pal.dim),
                (sentence::actor(c.lang(), &r.event.actor), style),
                (sentence::event(c.lang(), r), style),
            ]
        });
    }
    let (note, style) = note(c, history);
    c.put(area, area.x, table.bottom(), &text::cut(&note, usize::from(area.width)), style);
    let event = selected.and_then(|i| c.state.tabs.history.as_ref()?.get(i)).cloned();
    if let Some(r) = event.filter(|_| whole > 0) {
        let style = look(c, &r);
        let lines = text::wrap(&crate::ui::view::audit::in_full(c, &r), usize::from(area.width));
        for (y, line) in (table.bottom() + 1..area.bottom()).zip(lines) {
            c.put(area, area.x, y, &line, style);
        }
    }
}

pub(super) fn look(c: &Canvas<'_>, r: &Record) -> Style {
    match r.event.outcome {
        _ if sentence::is_auth_failure(r) => c.pal.bad,
        Outcome::Success => c.pal.text,
        Outcome::Refused => c.pal.warn,
        Outcome::Failure => c.pal.bad,
    }
}

/// How far back this reaches, and how one goes on.
fn note(c: &Canvas<'_>, h: &History) -> (String, Style) {
    if let Some(problem) = &h.problem {
        return (problem.clone(), c.pal.bad);
    }
    let asking = c.state.pending.values().any(|p| matches!(p, Pending::History { .. }));
    let (l, n) = (c.lang(), h.ids.len());
    let auth = h.tab == Tab::Auth;
    let progress = h.progress.map(|p| (text::bytes(p.bytes_done), text::bytes(p.bytes)));
    if let (true, Some((done, all))) = (asking, progress) {
        let said =
            if auth { tr!(l, detail.auth_searching, n, done, all) } else { tr!(l, detail.searching, n, done, all) };
        return (said, c.pal.warn);
    }
    let said = match (asking, h.whole(), h.reach()) {
        (true, ..) if auth => tr!(l, detail.auth_asking_older, n),
        (true, ..) => tr!(l, detail.asking_older, n),
        (false, true, _) if auth => tr!(l, detail.auth_whole, n),
        (false, true, _) => tr!(l, detail.whole, n),
        (false, false, Some(0)) if auth => tr!(l, detail.auth_heard, n),
        (false, false, Some(0)) => tr!(l, detail.heard, n),
        (false, false, Some(1)) if auth => tr!(l, detail.auth_last_day, n, bottom = c.key("bottom")),
        (false, false, Some(1)) => tr!(l, detail.last_day, n, bottom = c.key("bottom")),
        (false, false, Some(days)) if auth => tr!(l, detail.auth_last_days, n, days, bottom = c.key("bottom")),
        (false, false, Some(days)) => tr!(l, detail.last_days, n, days, bottom = c.key("bottom")),
        (false, false, None) if auth => tr!(l, detail.auth_further, n, bottom = c.key("bottom")),
        (false, false, None) => tr!(l, detail.further, n, bottom = c.key("bottom")),
    };
    (said, if asking { c.pal.warn } else { c.pal.dim })
}
