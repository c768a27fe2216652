//! Screen 3: every port of every team.

use super::canvas::{Canvas, Span};
use crate::model::Port;
use crate::ui::state::grid::{GridLine, PortKind};
use crate::ui::state::spots::Target;
use crate::ui::text;
use ratatui::layout::Rect;

pub(super) fn draw(c: &mut Canvas<'_>, area: Rect) {
    let height = c.state.grid_height();
    let lines: Vec<GridLine> = c.state.grid.iter().skip(c.state.port_offset).take(height).cloned().collect();
    let per_line = crate::ui::state::grid::per_line(c.state.size.0);
    let (dim, title, selection) = (c.pal.dim, c.pal.title, c.pal.selection);
    if lines.is_empty() {
        c.put(area, area.x + 1, area.y, "no team has a range of ports", dim);
    }
    for (y, line) in (area.y..area.bottom()).zip(&lines) {
        c.rows_drawn += 1;
        match line {
            GridLine::Team(None) => {
                c.put(area, area.x, y, " outside every range", title);
            }
            GridLine::Team(Some(i)) => {
                let Some(t) = c.state.live.teams.get(*i) else { continue };
                let (size, free) = (t.size(), t.free());
                let ranges: Vec<String> = t.ranges.iter().map(ToString::to_string).collect();
                let percent = ((size - free) * 100).checked_div(size).unwrap_or(0);
                let next = c.state.grid_next_free(t).map_or_else(|| "none free".to_owned(), |p| format!("next {p}"));
                let ahead = c.state.live.forecast(t, c.state.now).map(|f| format!(" · {}", text::forecast(&f)));
                let ahead = ahead.unwrap_or_default();
                let contact = t.contact.as_deref().map(|k| format!(" · call {k}")).unwrap_or_default();
                let (leased, reserved, ranges) = (t.leased, t.reserved.len(), ranges.join(" "));
                // Where there is little room, ranges go without: their numbers stand before their lines.
                let facts = if area.width >= 100 {
                    let kept = if reserved > 0 { format!(" +{reserved} reserved") } else { String::new() };
                    format!(
                        "  {ranges} · {leased} of {size} leased{kept} ({percent}%) · {next}{ahead} · {}{contact}",
                        t.bind
                    )
                } else {
                    let kept = if reserved > 0 { format!("+{reserved}") } else { String::new() };
                    format!("  {leased}{kept} of {size} taken ({percent}%) · {next}{ahead} · {}{contact}", t.bind)
                };
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
    let mut spans: Vec<Span> = vec![(format!(" {port} {glyph} {} ", kind.word()), style)];
    let (text_style, dim) = (c.pal.text, c.pal.dim);
    let mut why: Vec<Span> = vec![];
    match c.state.row(port) {
        Some(r) => {
            let l = &r.view.lease;
            spans.push((format!("{} ({}) {} {}", r.host(), r.team(), r.service(), r.view.state), text_style));
            let until = l.until.map(|t| format!(" until {}", c.time(t))).unwrap_or_default();
            let reason = l.reason.as_deref().map(|w| format!(": {w}")).unwrap_or_default();
            why.push((format!(" {} by {}, {}{until}{reason}", l.kind, l.by, c.time(l.since)), dim));
        }
        None if kind == PortKind::Reserved => {
            if let Some(r) = c.state.live.reservation(port) {
                spans.push((format!("until {} by {}", c.moment(r.until), r.by), text_style));
                why.push((format!(" {}; r ends it, v sets another time", r.reason), dim));
            }
        }
        None => {
            let team = c.state.live.team_of(port).map(|t| t.name.to_string()).unwrap_or_default();
            spans.push((format!("range of {team}"), text_style));
            let hint = if c.state.writable() {
                " a assigns it to a host, v reserves it until a date"
            } else {
                " W, then a assigns it to a host, v reserves it"
            };
            why.push((hint.to_owned(), dim));
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
            let who = crate::ui::sentence::actor(&last.event.actor);
            let rule = last.event.context.rule.clone().unwrap_or_default();
            let times = if count > 1 { format!(", {count} times") } else { String::new() };
            let said = format!(" ! {who} asked for it {}{times}: {}", c.time(last.at), c.here(&rule));
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
            legend.push((format!(" {} ", k.word()), dim));
        }
        legend.push((" !".to_owned(), c.pal.warn));
        legend.push((" degraded".to_owned(), dim));
        c.line(area, y, &legend);
    }
}

#[cfg(test)]
mod tests;
