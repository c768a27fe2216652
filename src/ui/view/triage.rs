//! Screen 1: what is wrong, by probable cause. Home.

use super::canvas::{Canvas, Span};
use super::table::{self, Column, Rows, col, num};
use super::tunnels;
use crate::model::{Incident, Severity, TunnelState};
use crate::ui::state::Plan;
use crate::ui::text;
use ratatui::layout::Rect;
use ratatui::style::Style;

pub(super) const COLUMNS: [Column; 5] =
    [col("SEV", 9, 9, 0), col("WHAT", 14, 20, 0), num("SINCE", 6, 2), num("N", 4, 3), col("LIKELY", 12, 60, 1)];
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
    let word = if x.muted.is_some() { "muted" } else { x.severity.word() };
    vec![
        (format!("{glyph} {word}"), style),
        (x.what.clone(), c.pal.text),
        (age, c.pal.text),
        (x.tunnels.max(x.hosts).to_string(), c.pal.text),
        (x.likely.clone(), style),
    ]
}

/// The evidence, then what it hits, then what to do.
fn pane(c: &mut Canvas<'_>, area: Rect, x: &Incident) {
    let (_, style) = look(c, x);
    c.rule(area, area.y, &format!("{}: {}", x.what, x.likely), false);
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
        let said = format!("muted until {} by {}: {}", c.time(m.until), m.by, m.reason);
        lines.extend(text::wrap(&said, width).into_iter().map(|l| vec![(l, c.pal.warn)]));
    }
    lines.extend(text::wrap(&c.here(&x.evidence), width).into_iter().map(|l| vec![(l, style)]));
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

/// What to do: whole where there is room, a line each where not.
fn steps(c: &Canvas<'_>, x: &Incident, width: usize, room: usize) -> Vec<Vec<Span>> {
    let (plain, key) = (c.pal.text, c.pal.accent);
    let width = width.saturating_sub(KEY);
    let line = |k: &str, what: String| vec![(text::fit(k, KEY, false), key), (what, plain)];
    let mut whole = vec![];
    for n in &x.next {
        let key = c.state.own.set.keys.translate(&n.key);
        let mut k = key.as_str();
        for part in text::wrap(&n.what, width) {
            whole.push(line(std::mem::take(&mut k), part));
        }
    }
    // Evidence and what it hits come first.
    if whole.len() + 5 <= room {
        return whole;
    }
    x.next.iter().map(|n| line(&c.state.own.set.keys.translate(&n.key), text::cut(&n.what, width))).collect()
}

fn hits(c: &Canvas<'_>, x: &Incident) -> String {
    let count = |n: u64, what: &str| if n == 1 { format!("1 {what}") } else { format!("{n} {what}s") };
    let mut parts =
        vec![format!("since {}", c.time(x.since)), count(x.tunnels as u64, "tunnel"), count(x.hosts as u64, "host")];
    let list = |what: &str, all: Vec<String>, of: usize| {
        let more = if of > NAMED { " …" } else { "" };
        (!all.is_empty()).then(|| format!("{what} {}{more}", all.join(" ")))
    };
    let text_of = |n: &crate::model::Port| n.to_string();
    let teams: Vec<String> = x.blast.teams.iter().take(NAMED).map(ToString::to_string).collect();
    let hosts: Vec<String> = x.blast.hosts.iter().take(NAMED).map(ToString::to_string).collect();
    parts.extend(list("team", teams, x.blast.teams.len()));
    parts.extend(list("ports", x.blast.ports.iter().take(NAMED).map(text_of).collect(), x.tunnels));
    parts.extend(list("hosts", hosts, x.hosts).filter(|_| x.hosts > 1));
    if x.blast.visitors_cut > 0 {
        parts.push(format!("{} cut", count(x.blast.visitors_cut, "visitor")));
    }
    if x.blast.visitors_now > 0 {
        parts.push(format!("{} now", count(x.blast.visitors_now, "visitor")));
    }
    parts.join(", ")
}

/// Nothing is wrong, or nothing is known, or it is filtered away: said plainly.
fn calm(c: &mut Canvas<'_>, area: Rect) {
    let n = |s| c.state.live.count(s);
    let (ok, dim, warn) = (c.pal.ok, c.pal.dim, c.pal.warn);
    let (title, style) = match (&c.state.live.daemon, c.state.filter()) {
        (None, _) => ("waiting for the daemon".to_owned(), dim),
        (_, Some(_)) => ("the filter hides every incident; Esc clears it".to_owned(), dim),
        _ if !c.state.live.triaged() => ("this daemon is too old for triage; 2 shows its tunnels".to_owned(), warn),
        _ if !c.state.is_live() => ("all was well when the daemon was last heard".to_owned(), dim),
        _ => (format!("{} all well", c.glyph("✓", "+")), ok),
    };
    let well = title.ends_with("all well");
    let y = area.y + if area.height > 3 { 1 } else { 0 };
    c.put(area, area.x + 1, y, &title, style);
    if well {
        let mut said = format!("{} of {} tunnels up", n(TunnelState::Up), c.state.live.total());
        for (state, words) in [(TunnelState::Awaiting, "awaited"), (TunnelState::Revoked, "revoked by operators")] {
            if n(state) > 0 {
                said.push_str(&format!(", {} {words}", n(state)));
            }
        }
        c.put(area, area.x + 1, y + 1, &text::cut(&said, usize::from(area.width.saturating_sub(2))), dim);
    }
}
