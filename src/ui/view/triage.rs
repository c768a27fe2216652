//! Screen 1: what is wrong, by probable cause. Home.

use super::canvas::{Canvas, Span};
use super::table::{self, Column, Rows, col, num};
use super::tunnels;
use crate::model::{Incident, Severity, TunnelState};
use crate::ui::state::Plan;
use crate::ui::text;
use crate::ui::words::{self, tr};
use ratatui::layout::Rect;
use ratatui::style::Style;

pub(super) const COLUMNS: [Column; 5] = [
    col("sev", |l| tr!(l, column.severity), 9, 9, 0),
    col("what", |l| tr!(l, column.what), 14, 20, 0),
    num("since", |l| tr!(l, column.since), 6, 2),
    num("n", |l| tr!(l, column.count), 4, 3),
    col("likely", |l| tr!(l, column.likely), 12, 60, 1),
];
/// Ports and hosts named in a line.
const NAMED: usize = 8;
/// Columns of a step's key.
const KEY: usize = 9;

pub(super) fn draw(c: &mut Canvas<'_>, area: Rect, plan: Plan) {
    let area = tunnels::intro(c, area);
    if c.state.incident_rows.is_empty() {
        return calm(c, area);
    }
    let (list, side) = tunnels::split(area, plan);
    let below = u16::try_from(c.state.footer()).unwrap_or(0).min(list.height.saturating_sub(2));
    let list = Rect { height: list.height.saturating_sub(below), ..list };
    let rows = Rows {
        len: c.state.incident_rows.len(),
        offset: c.state.triage.offset,
        selected: c.state.triage.selected,
        focus: true,
    };
    table::draw(c, list, &COLUMNS, None, &rows, row);
    let Some(incident) = c.state.selected_incident().cloned() else { return };
    match side {
        Some(side) => pane(c, side, &incident),
        None if below > 0 => pane(c, Rect { y: list.bottom(), height: below, ..area }, &incident),
        None => {}
    }
}

fn look(c: &Canvas<'_>, x: &Incident) -> (&'static str, Style) {
    match x.severity {
        _ if x.muted.is_some() => ("z", c.pal.dim),
        Severity::Down => (c.glyph("✗", "x"), c.pal.bad),
        Severity::Warning => ("!", c.pal.warn),
        Severity::Note => (c.glyph("·", "."), c.pal.dim),
    }
}

fn row(c: &mut Canvas<'_>, i: usize) -> Vec<Span> {
    let Some(x) = c.state.incident_rows.get(i).and_then(|n| c.state.live.incidents().get(*n)) else { return vec![] };
    let (glyph, style) = look(c, x);
    let age = c.age(x.since);
    let l = c.lang();
    let muted = x.muted.is_some();
    let word = if muted { tr!(l, state.severity_muted) } else { words::model::severity(l, x.severity) };
    vec![
        (format!("{glyph} {word}"), style),
        (what(c, x), c.pal.text),
        (age, c.pal.text),
        (x.tunnels.max(x.hosts).to_string(), c.pal.text),
        (words::cause::likely(l, x).to_owned(), style),
    ]
}

/// The evidence, then what it hits, then what to do.
fn pane(c: &mut Canvas<'_>, area: Rect, x: &Incident) {
    let (_, style) = look(c, x);
    c.rule(
        area,
        area.y,
        &tr!(c.lang(), triage.heading, what = what(c, x), likely = words::cause::likely(c.lang(), x)),
        false,
    );
    let inner = Rect {
        x: area.x + 1,
        y: area.y + 1,
        width: area.width.saturating_sub(2),
        height: area.height.saturating_sub(1),
    };
    let width = usize::from(inner.width);
    let dim = c.pal.dim;
    let mut lines: Vec<Vec<Span>> = vec![];
    if let Some(m) = &x.muted {
        let said = tr!(c.lang(), triage.muted, until = c.time(m.until), by = m.by, reason = m.reason);
        lines.extend(text::wrap(&said, width).into_iter().map(|l| vec![(l, c.pal.warn)]));
    }
    lines.extend(text::wrap(&c.here(&words::evidence::said(c.lang(), x)), width).into_iter().map(|l| vec![(l, style)]));
    let room = usize::from(inner.height);
    let steps = steps(c, x, width, room);
    // With little room the evidence is what counts.
    if room < 4 {
        lines.truncate(room);
    } else {
        let hits = text::wrap(&hits(c, x), width);
        lines.truncate(room.saturating_sub(1 + steps.len()).max(1));
        let left = room.saturating_sub(lines.len() + steps.len()).max(1);
        lines.extend(hits.into_iter().take(left).map(|l| vec![(l, dim)]));
    }
    lines.extend(steps);
    for (y, line) in (inner.y..inner.bottom()).zip(&lines) {
        c.line(Rect { y, height: 1, ..inner }, y, line);
    }
}

/// Whom it concerns. Names are as they are; what the daemon counts is counted in this language.
fn what(c: &Canvas<'_>, x: &Incident) -> String {
    words::cause::what(c.lang(), x)
}

/// What to do: whole where there is room, a line each where not.
fn steps(c: &Canvas<'_>, x: &Incident, width: usize, room: usize) -> Vec<Vec<Span>> {
    let (plain, key) = (c.pal.text, c.pal.accent);
    let width = width.saturating_sub(KEY);
    let line = |k: &str, what: String| vec![(text::fit(k, KEY, false), key), (what, plain)];
    let mut whole = vec![];
    let what = |i| words::cause::step(c.lang(), x, i);
    for (i, n) in x.next.iter().enumerate() {
        let key = c.state.own.set.keys.translate(&n.key);
        let mut k = key.as_str();
        for part in text::wrap(&what(i), width) {
            whole.push(line(std::mem::take(&mut k), part));
        }
    }
    // Evidence and what it hits come first.
    if whole.len() + 5 <= room {
        return whole;
    }
    let key = |n: &crate::model::NextStep| c.state.own.set.keys.translate(&n.key);
    x.next.iter().enumerate().map(|(i, n)| line(&key(n), text::cut(&what(i), width))).collect()
}

fn hits(c: &Canvas<'_>, x: &Incident) -> String {
    let l = c.lang();
    let mut parts = vec![
        tr!(l, triage.since, time = c.time(x.since)),
        tr!(l, triage.tunnels, n = x.tunnels),
        tr!(l, triage.hosts, n = x.hosts),
    ];
    let list = |all: Vec<String>, of: usize| {
        let more = if of > NAMED { " …" } else { "" };
        (!all.is_empty()).then(|| all.join(" ") + more)
    };
    let text_of = |n: &crate::model::Port| n.to_string();
    let teams: Vec<String> = x.blast.teams.iter().take(NAMED).map(ToString::to_string).collect();
    let hosts: Vec<String> = x.blast.hosts.iter().take(NAMED).map(ToString::to_string).collect();
    let ports = list(x.blast.ports.iter().take(NAMED).map(text_of).collect(), x.tunnels);
    parts.extend(list(teams, x.blast.teams.len()).map(|names| tr!(l, triage.teams_named, names)));
    parts.extend(ports.map(|names| match x.blast.ports.as_slice() {
        [name] if x.tunnels <= 1 => tr!(l, triage.port_named, name),
        _ => tr!(l, triage.ports_named, names),
    }));
    parts.extend(list(hosts, x.hosts).filter(|_| x.hosts > 1).map(|names| tr!(l, triage.hosts_named, names)));
    if x.blast.visitors_cut > 0 {
        parts.push(tr!(l, triage.visitors_cut, n = x.blast.visitors_cut));
    }
    if x.blast.visitors_now > 0 {
        parts.push(tr!(l, triage.visitors_now, n = x.blast.visitors_now));
    }
    parts.join(", ")
}

/// Nothing is wrong, or nothing is known, or it is filtered away: said plainly.
fn calm(c: &mut Canvas<'_>, area: Rect) {
    let n = |s| c.state.live.count(s);
    let (ok, dim, warn) = (c.pal.ok, c.pal.dim, c.pal.warn);
    let l = c.lang();
    let (title, style, well) = match (&c.state.live.daemon, c.state.filter()) {
        (None, _) => (tr!(l, triage.waiting).to_owned(), dim, false),
        (_, Some(_)) => (tr!(l, triage.all_hidden, back = c.key("back")).to_owned(), dim, false),
        _ if !c.state.live.triaged() => (tr!(l, triage.too_old, tunnels = c.key("tunnels")).to_owned(), warn, false),
        _ if !c.state.is_live() => (tr!(l, triage.was_well).to_owned(), dim, false),
        _ => (format!("{} {}", c.glyph("✓", "+"), tr!(l, triage.well)), ok, true),
    };
    let y = area.y + if area.height > 3 { 1 } else { 0 };
    c.put(area, area.x + 1, y, &title, style);
    if well {
        let mut said = vec![tr!(l, triage.tunnels_up, up = n(TunnelState::Up), total = c.state.live.total())];
        let (awaited, revoked) = (n(TunnelState::Awaiting), n(TunnelState::Revoked));
        said.extend((awaited > 0).then(|| tr!(l, triage.awaited, n = awaited)));
        said.extend((revoked > 0).then(|| tr!(l, triage.revoked, n = revoked)));
        let said = said.join(", ");
        c.put(area, area.x + 1, y + 1, &text::cut(&said, usize::from(area.width.saturating_sub(2))), dim);
    }
}
