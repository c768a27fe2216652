//! Screen 7: what changed in the last minutes.

use super::audit::in_full;
use super::canvas::Canvas;
use super::table::{self, Column, Rows, col, num};
use crate::audit::Outcome;
use crate::ui::state::Pending;
use crate::ui::state::changes::area as area_of;
use crate::ui::words::tr;
use crate::ui::{sentence, text};
use ratatui::layout::Rect;

/// What changed needs room before all else but the time.
fn columns(width: u16) -> [Column; 6] {
    [
        col("time", |l| tr!(l, column.time), 12, 12, 0),
        num("seq", |l| tr!(l, column.seq), 6, 4),
        col("area", |l| tr!(l, column.area), 7, 7, 2),
        col("on-what", |l| tr!(l, column.on_what), 14, 22, 1),
        col("who", |l| tr!(l, column.who), 9, 14, 3),
        col("what-changed", |l| tr!(l, column.changed), if width < 70 { 16 } else { 36 }, 400, 0),
    ]
}

pub(super) fn draw(c: &mut Canvas<'_>, area: Rect) {
    title(c, area);
    let area = Rect { y: area.y + 1, height: area.height.saturating_sub(1), ..area };
    let rows = Rows {
        len: c.state.changes.rows.len(),
        offset: c.state.changes.nav.offset,
        selected: c.state.changes.nav.index(&c.state.changes.ids),
        focus: true,
    };
    if rows.len == 0 {
        let dim = c.pal.dim;
        let note = match (&c.state.live.daemon, c.state.filter()) {
            (None, _) => tr!(c.lang(), changes.waiting).to_owned(),
            (_, Some(_)) => tr!(c.lang(), changes.all_hidden, back = c.key("back")),
            _ => tr!(c.lang(), changes.none, longer = c.key("longer")),
        };
        c.put(area, area.x + 1, area.y + u16::from(area.height > 3), &note, dim);
        return;
    }
    // One line of what stands below is the title above.
    let foot = u16::try_from(c.state.footer().saturating_sub(1)).unwrap_or(0);
    let list = Rect { height: area.height.saturating_sub(foot), ..area };
    table::draw(c, list, &columns(area.width), None, &rows, |c, i| {
        let Some(change) = c.state.changes.rows.get(i) else { return vec![] };
        let r = &change.newest;
        let failure = sentence::is_auth_failure(r);
        let style = match r.event.outcome {
            _ if failure => c.pal.bad,
            Outcome::Success => c.pal.text,
            Outcome::Refused => c.pal.warn,
            Outcome::Failure => c.pal.bad,
        };
        let mark = if failure { c.glyph("✗ ", "x ") } else { "" };
        let told = sentence::event(c.lang(), r);
        let told = match change.count() {
            1 => told,
            n => tr!(c.lang(), changes.run, n, time = c.time(change.first), told),
        };
        vec![
            (c.time(r.at), c.pal.dim),
            (r.seq.to_string(), c.pal.dim),
            (area_name(c, r).to_owned(), c.pal.info),
            (sentence::subject(c.lang(), r), c.pal.text),
            (sentence::actor(c.lang(), &r.event.actor), c.pal.dim),
            (format!("{mark}{told}"), style),
        ]
    });
    if foot > 0 {
        let foot = Rect { y: list.bottom(), height: foot, ..area };
        c.rule(foot, foot.y, "", false);
        let Some(change) = c.state.changes.selected() else { return };
        let full = in_full(c, &change.newest);
        let text_style = c.pal.text;
        for (y, line) in (foot.y + 1..foot.bottom()).zip(text::wrap(&full, usize::from(area.width.saturating_sub(2)))) {
            c.put(foot, foot.x + 1, y, &line, text_style);
        }
    }
}

/// The area of an event, as the screen has it.
fn area_name(c: &Canvas<'_>, r: &crate::audit::Record) -> &'static str {
    let l = c.lang();
    match area_of(r) {
        "bastion" => tr!(l, changes.area_bastion),
        "audit" => tr!(l, changes.area_audit),
        "config" => tr!(l, changes.area_config),
        "health" => tr!(l, changes.area_health),
        "triage" => tr!(l, changes.area_triage),
        "tunnel" => tr!(l, changes.area_tunnel),
        "visitor" => tr!(l, changes.area_visitor),
        "action" => tr!(l, changes.area_action),
        "session" => tr!(l, changes.area_session),
        _ => tr!(l, changes.area_auth),
    }
}

/// Of what, of how long, and whether the journal is still being asked.
fn title(c: &mut Canvas<'_>, area: Rect) {
    let ch = &c.state.changes;
    let l = c.lang();
    let of = ch.scope.as_ref().map_or(tr!(l, changes.everything), |s| s.words.as_str());
    let said = match ch.minutes {
        m if m % 60 == 0 => tr!(l, changes.title_hours, of, n = m / 60),
        m => tr!(l, changes.title_minutes, of, n = m),
    };
    let (title, dim, warn, bad) = (c.pal.title, c.pal.dim, c.pal.warn, c.pal.bad);
    let asking = c.state.pending.values().any(|p| matches!(p, Pending::Changes(_)));
    let (note, style) = match (&ch.problem, asking, ch.more) {
        (Some(problem), ..) => (problem.clone(), bad),
        (None, true, _) => (tr!(l, changes.asking).to_owned(), warn),
        (None, false, true) => (tr!(l, changes.newest_only).to_owned(), warn),
        (None, false, false) => {
            (tr!(l, changes.keys, longer = c.key("longer"), shorter = c.key("shorter")).to_owned(), dim)
        }
    };
    let room = usize::from(area.width).saturating_sub(2);
    let said = text::cut(&said, room);
    let x = c.put(area, area.x + 1, area.y, &said, title);
    let left = usize::from(area.right().saturating_sub(x));
    if text::width(&note) + 2 <= left {
        c.put(area, x + 2, area.y, &note, style);
    }
}

#[cfg(test)]
mod tests;
