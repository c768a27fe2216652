//! Screen 5: the journal as it is written, and back in time.

mod failures;

use super::canvas::{Canvas, Span};
use super::table::{self, Column, Rows, col, num};
use crate::audit::{Outcome, Record};
use crate::ui::state::Pending;
use crate::ui::state::journal::Phase;
use crate::ui::words::tr;
use crate::ui::{sentence, text};
use ratatui::layout::Rect;

pub(super) const COLUMNS: [Column; 6] = [
    col("time", |l| tr!(l, column.time), 12, 12, 0),
    num("seq", |l| tr!(l, column.seq), 6, 6),
    col("who", |l| tr!(l, column.who), 9, 16, 1),
    col("on-what", |l| tr!(l, column.on_what), 17, 26, 2),
    col("source", |l| tr!(l, column.source), 15, 22, 3),
    col("event", |l| tr!(l, column.event), 33, 400, 0),
];

pub(super) fn draw(c: &mut Canvas<'_>, area: Rect) {
    let area = if c.state.plan().small { area } else { header(c, area) };
    if c.state.summing() {
        return failures::draw(c, area);
    }
    let rows = Rows {
        len: c.state.audit_rows.len(),
        offset: c.state.audit.offset,
        selected: c.state.audit.index(&c.state.audit_ids),
        focus: true,
    };
    let foot = u16::try_from(c.state.footer()).unwrap_or(0);
    let list = Rect { height: area.height.saturating_sub(foot), ..area };
    let wide = area.width >= 100;
    table::draw(c, list, &COLUMNS, None, &rows, |c, i| {
        let Some(r) = c.state.audit_rows.get(i) else { return vec![] };
        let failure = sentence::is_auth_failure(r);
        let style = match r.event.outcome {
            _ if failure => c.pal.bad,
            Outcome::Success => c.pal.text,
            Outcome::Refused => c.pal.warn,
            Outcome::Failure => c.pal.bad,
        };
        // The port of the other side says little where there is little room; it is below, with the whole event.
        let source = r.event.context.source;
        let source = source.map(|s| if wide { s.to_string() } else { s.ip().to_string() }).unwrap_or_default();
        let mark = if failure { c.glyph("✗ ", "x ") } else { "" };
        vec![
            (c.time(r.at), c.pal.dim),
            (r.seq.to_string(), c.pal.dim),
            (sentence::actor(c.lang(), &r.event.actor), style),
            (sentence::subject(c.lang(), r), c.pal.text),
            (source, c.pal.dim),
            (format!("{mark}{}", sentence::event(c.lang(), r)), style),
        ]
    });
    if rows.len == 0 && list.height > 2 {
        let (dim, l) = (c.pal.dim, c.lang());
        let note = match &c.state.journal.hunt {
            Some(h) if h.runs() => tr!(l, audit.searching_empty).to_owned(),
            Some(h) if h.phase == Phase::Done => tr!(l, audit.none_at_all, back = c.key("back")),
            Some(_) => tr!(l, audit.none_searched, up = c.key("up"), back = c.key("back")),
            None => tr!(l, audit.empty).to_owned(),
        };
        c.put(list, list.x + 1, list.y + 2, &note, dim);
    }
    if foot > 0 {
        whole(c, Rect { y: list.bottom(), height: foot, ..area });
    }
    if c.state.plan().small {
        // What the list is doing stands at the right of its titles.
        let (note, style) = hunting(c, false).unwrap_or_else(|| mode(c));
        let w = u16::try_from(text::width(&note)).unwrap_or(0) + 2;
        let x = area.right().saturating_sub(w).max(area.x);
        c.put(area, x, area.y, &format!(" {note} "), style);
    }
}

/// What the list is doing, how far a search is, and how it stands with the chain.
fn header(c: &mut Canvas<'_>, area: Rect) -> Rect {
    let bar: Span = (format!(" {} ", c.glyph("│", "|")), c.pal.border);
    let mut spans = vec![(" ".to_owned(), c.pal.text), mode(c)];
    let width = |spans: &[Span]| spans.iter().map(|(s, _)| text::width(s)).sum::<usize>();
    let chain = chain(c);
    let room = usize::from(area.width).saturating_sub(text::width(&chain.0) + 2);
    if let Some(said) = hunting(c, true) {
        let fits = width(&spans) + 3 + text::width(&said.0) <= room;
        spans.push(bar);
        spans.push(if fits { said } else { hunting(c, false).unwrap_or(said) });
    }
    c.line(area, area.y, &spans);
    let at = area.right().saturating_sub(u16::try_from(text::width(&chain.0)).unwrap_or(0) + 1).max(area.x);
    c.put(area, at.saturating_sub(1).max(area.x), area.y, " ", chain.1);
    c.put(area, at, area.y, &chain.0, chain.1);
    Rect { y: area.y + 1, height: area.height.saturating_sub(1), ..area }
}

/// Whether new events are followed.
fn mode(c: &Canvas<'_>) -> Span {
    let (new, l) = (c.state.new_below(), c.lang());
    let loading = c.state.pending.values().any(|p| *p == Pending::Older);
    if loading {
        (tr!(l, audit.loading).to_owned(), c.pal.warn)
    } else if c.state.follow {
        (format!("{} {}", c.glyph("●", "*"), tr!(l, audit.follow)), c.pal.ok)
    } else if new > 0 {
        (tr!(l, audit.paused_new, n = new, bottom = c.key("bottom")), c.pal.notice)
    } else if c.state.filter().is_none() && c.state.live.beginning && c.state.audit.index(&c.state.audit_ids) == Some(0)
    {
        (tr!(l, audit.paused_beginning).to_owned(), c.pal.dim)
    } else {
        (tr!(l, audit.paused, bottom = c.key("bottom")).to_owned(), c.pal.warn)
    }
}

/// How far a search is, in full or short.
fn hunting(c: &Canvas<'_>, full: bool) -> Option<Span> {
    let h = c.state.journal.hunt.as_ref()?;
    let (p, found) = (h.progress, h.found.len());
    let (files_done, files) = (p.files_done, p.files);
    let (l, done, all) = (c.lang(), text::bytes(p.bytes_done), text::bytes(p.bytes));
    Some(match (&h.phase, full) {
        (Phase::Running, true) => {
            (tr!(l, audit.running, done, all, files_done, files, found, back = c.key("back")), c.pal.warn)
        }
        (Phase::Running, false) => (tr!(l, audit.running_short, done, all, found, back = c.key("back")), c.pal.warn),
        (Phase::Enough, true) => (tr!(l, audit.enough, found, done, all, up = c.key("up")), c.pal.info),
        (Phase::Enough, false) => (tr!(l, audit.enough_short, found, up = c.key("up")), c.pal.info),
        (Phase::Stopped, true) => (tr!(l, audit.stopped, done, all, found, up = c.key("up")), c.pal.warn),
        (Phase::Stopped, false) => (tr!(l, audit.stopped_short, found), c.pal.warn),
        (Phase::Done, true) => (tr!(l, audit.searched, all, files, found), c.pal.dim),
        (Phase::Done, false) => (tr!(l, audit.searched_short, found), c.pal.dim),
        (Phase::Failed(why), _) => (tr!(l, audit.not_searched, why), c.pal.bad),
    })
}

/// As `portreeve audit verify` would say of what has been read.
fn chain(c: &Canvas<'_>) -> Span {
    let l = c.lang();
    let Some(chain) = &c.state.journal.chain else {
        return (tr!(l, audit.chain_unchecked).to_owned(), c.pal.dim);
    };
    let upto = chain.upto.map(|(seq, _)| seq.0).unwrap_or_default();
    if let Some(b) = &chain.broken {
        let place = match b.seq {
            Some(seq) => tr!(l, audit.place_seq, seq),
            None => tr!(l, audit.place_line, file = b.file, line = b.line),
        };
        return (format!("{}{}", c.glyph("✗ ", "x "), tr!(l, audit.chain_broken, place)), c.pal.notice);
    }
    if !chain.complete {
        let (read, all) = chain.bytes;
        let percent = (read * 100).checked_div(all).unwrap_or(0);
        return (tr!(l, audit.chain_checking, percent), c.pal.dim);
    }
    let holds = match chain.first.map(|s| s.0) {
        // Older files have been moved away.
        Some(first) if first > 1 => tr!(l, audit.chain_holds_from, first, upto),
        _ => tr!(l, audit.chain_holds, upto),
    };
    (format!("{}{holds}", c.glyph("✓ ", "+ ")), c.pal.ok)
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
    let mut parts =
        vec![at, tr!(c.lang(), audit.in_seq, seq = r.seq), r.event.name().to_owned(), sentence::subject(c.lang(), r)];
    parts.extend(x.source.map(|source| tr!(c.lang(), audit.in_from, source)));
    parts.extend(x.fingerprint.clone());
    parts.extend(x.session.map(|s| s.to_string()));
    parts.retain(|p| !p.is_empty());
    format!("{} · {}", parts.join(" · "), sentence::event(c.lang(), r))
}

#[cfg(test)]
mod tests;
