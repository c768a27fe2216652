//! Screen 3: every port of every team.

use super::canvas::{Canvas, Span};
use crate::model::Port;
use crate::ui::state::grid::{GridLine, PortKind};
use crate::ui::state::spots::Target;
use crate::ui::text;
use crate::ui::words::{self, tr};
use ratatui::layout::Rect;

pub(super) fn draw(c: &mut Canvas<'_>, area: Rect) {
    let height = c.state.grid_height();
    let lines: Vec<GridLine> = c.state.grid.iter().skip(c.state.port_offset).take(height).cloned().collect();
    let per_line = crate::ui::state::grid::per_line(c.state.size.0);
    let (dim, title, selection, l) = (c.pal.dim, c.pal.title, c.pal.selection, c.lang());
    if lines.is_empty() {
        c.put(area, area.x + 1, area.y, tr!(l, ports.no_range), dim);
    }
    for (y, line) in (area.y..area.bottom()).zip(&lines) {
        c.rows_drawn += 1;
        match line {
            GridLine::Team(None) => {
                c.put(area, area.x + 1, y, tr!(l, ports.outside), title);
            }
            GridLine::Team(Some(i)) => {
                let Some(t) = c.state.live.teams.get(*i) else { continue };
                let (size, free) = (t.size(), t.free());
                let ranges: Vec<String> = t.ranges.iter().map(ToString::to_string).collect();
                let percent = ((size - free) * 100).checked_div(size).unwrap_or(0);
                let next = match c.state.grid_next_free(t) {
                    None => tr!(l, ports.none_free).to_owned(),
                    Some(port) => tr!(l, ports.next, port),
                };
                let mut rest = vec![next];
                rest.extend(c.state.live.forecast(t, c.state.now).map(|f| text::forecast(l, &f)));
                rest.push(t.bind.to_string());
                rest.extend(t.contact.as_deref().map(|contact| tr!(l, ports.call, contact)));
                let rest = rest.join(" · ");
                let (leased, reserved, ranges) = (t.leased, t.reserved.len(), ranges.join(" "));
                // Where there is little room, ranges go without: their numbers stand before their lines.
                let facts = match (area.width >= 100, reserved) {
                    (true, 0) => tr!(l, ports.team, ranges, leased, size, percent, rest),
                    (true, _) => tr!(l, ports.team_reserved, ranges, leased, size, reserved, percent, rest),
                    (false, 0) => tr!(l, ports.team_short, leased, size, percent, rest),
                    (false, _) => tr!(l, ports.team_reserved_short, leased, size, reserved, percent, rest),
                };
                let room = usize::from(area.width).saturating_sub(3 + text::width(t.name.as_str()));
                let facts = format!("  {}", text::cut(&facts, room));
                let style = if percent >= 90 { c.pal.warn } else { dim };
                c.line(Rect { y, height: 1, ..area }, y, &[(format!(" {}", t.name), title), (facts, style)]);
            }
            GridLine::Cells { first, .. } => {
                let base = first / per_line * per_line;
                c.put(area, area.x, y, &format!("{first:>6} "), dim);
                for port in line.ports() {
                    let (glyph, style) = c.port_look(PortKind::of(&c.state.live, port));
                    let glyph = if degraded(c, port) { "!" } else { glyph };
                    let style = if degraded(c, port) { c.pal.warn } else { style };
                    // Ports of a line of a range end up below each other whatever the range begins with.
                    let at = area.x + 7 + (port.get() - base);
                    let here = c.state.port_cursor == Some(port);
                    c.spot(Rect { x: at, y, width: 1, height: 1 }, Target::Port(port));
                    c.put(area, at, y, glyph, if here { style.patch(selection) } else { style });
                }
            }
        }
    }
    let below = Rect {
        y: area.y + u16::try_from(height).unwrap_or(area.height).min(area.height),
        height: area.height.saturating_sub(u16::try_from(height).unwrap_or(area.height)),
        ..area
    };
    about(c, below);
}

/// Of what kind a lease is, who gave it, since and until when, and why.
pub(super) fn lease(c: &Canvas<'_>, x: &crate::model::LeaseView) -> String {
    let l = c.lang();
    let (kind, by, since) = (words::model::lease(l, x.kind), &x.by, c.time(x.since));
    let said = match x.until {
        None => tr!(l, ports.lease, kind, by, since),
        Some(until) => tr!(l, ports.lease_until, kind, by, since, until = c.time(until)),
    };
    reasoned(c, said, x.reason.as_deref())
}

/// With the reason that somebody gave.
pub(super) fn reasoned(c: &Canvas<'_>, said: String, reason: Option<&str>) -> String {
    match reason {
        None => said,
        Some(reason) => tr!(c.lang(), ports.with_reason, said, reason),
    }
}

fn degraded(c: &Canvas<'_>, port: Port) -> bool {
    c.state.row(port).is_some_and(|r| r.view.state == crate::model::TunnelState::Degraded)
}

/// Who has the port under the cursor and why; and what the signs mean.
fn about(c: &mut Canvas<'_>, area: Rect) {
    let Some(port) = c.state.port_cursor else { return };
    let kind = PortKind::of(&c.state.live, port);
    let (glyph, style) = c.port_look(kind);
    let mut y = area.y;
    if area.height >= 4 {
        c.rule(area, y, "", false);
        y += 1;
    }
    let mut spans: Vec<Span> = vec![(format!(" {port} {glyph} {} ", kind.name(c.lang())), style)];
    let (text_style, dim, l) = (c.pal.text, c.pal.dim, c.lang());
    let mut why: Vec<Span> = vec![];
    match c.state.row(port) {
        Some(r) => {
            let state = words::model::state(l, r.view.state);
            spans.push((format!("{} ({}) {} {state}", r.host(), r.team(), r.service()), text_style));
            why.push((format!(" {}", lease(c, &r.view.lease)), dim));
        }
        None if kind == PortKind::Reserved => {
            if let Some(r) = c.state.live.reservation(port) {
                spans.push((tr!(l, ports.reserved, until = c.moment(r.until), by = r.by), text_style));
                let (release, reserve) = (c.key("release"), c.key("reserve"));
                let hint = tr!(l, ports.reserved_hint, reason = r.reason, release, reserve);
                why.push((format!(" {hint}"), dim));
            }
        }
        None => {
            let team = c.state.live.team_of(port).map(|t| t.name.to_string()).unwrap_or_default();
            spans.push((tr!(l, ports.range_of, team), text_style));
            let hint = if c.state.writable() {
                tr!(l, ports.hint_write, assign = c.key("assign"), reserve = c.key("reserve"))
            } else {
                tr!(l, ports.hint_read, write = c.key("write"), assign = c.key("assign"), reserve = c.key("reserve"))
            };
            why.push((format!(" {hint}"), dim));
        }
    }
    c.line(Rect { y, ..area }, y, &spans);
    y += 1;
    if area.height >= 3 {
        let cut: Vec<Span> = why.into_iter().map(|(s, st)| (text::cut(&s, usize::from(area.width)), st)).collect();
        c.line(area, y, &cut);
        y += 1;
    }
    if area.height >= 5 {
        if let Some((last, count)) = c.state.live.clash(port) {
            let who = crate::ui::sentence::actor(c.lang(), &last.event.actor);
            let rule = c.here(&words::rule::said(l, last.event.context.rule.as_deref().unwrap_or_default()));
            let said = match count {
                0 | 1 => tr!(l, ports.clash, who, at = c.time(last.at), rule),
                n => tr!(l, ports.clash_times, who, at = c.time(last.at), n, rule),
            };
            let said = format!(" ! {said}");
            let warn = c.pal.warn;
            c.put(area, area.x, y, &text::cut(&said, usize::from(area.width)), warn);
        }
        y += 1;
    }
    if area.height >= 4 {
        let mut legend: Vec<Span> = vec![];
        for k in PortKind::ALL {
            let (glyph, style) = c.port_look(k);
            legend.push((format!(" {glyph}"), style));
            legend.push((format!(" {} ", k.name(l)), dim));
        }
        legend.push((" !".to_owned(), c.pal.warn));
        legend.push((format!(" {}", tr!(l, ports.degraded)), dim));
        c.line(area, y, &legend);
    }
}

#[cfg(test)]
mod tests;
