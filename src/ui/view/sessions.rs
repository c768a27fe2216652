//! Screen 6: who is connected.

use super::canvas::Canvas;
use super::table::{self, Column, Rows, col, num};
use crate::ui::text;
use ratatui::layout::Rect;

pub(super) const COLUMNS: [Column; 10] = [
    col("KIND", 8, 8, 0),
    col("NAME", 10, 24, 0),
    col("TEAM/ROLE", 9, 12, 3),
    col("SOURCE", 20, 24, 1),
    num("SINCE", 6, 0),
    num("RTT", 6, 2),
    num("IN", 5, 4),
    num("OUT", 5, 5),
    col("KEY", 14, 50, 6),
    col("CLIENT", 12, 30, 7),
];

pub(super) fn draw(c: &mut Canvas<'_>, area: Rect) {
    let rows = Rows {
        len: c.state.session_rows.len(),
        offset: c.state.sessions.offset,
        selected: c.state.sessions.index(&c.state.session_rows),
        focus: true,
    };
    // What has no room in a row is said below about the selected one.
    let list = Rect { height: area.height.saturating_sub(u16::try_from(c.state.footer()).unwrap_or(0)), ..area };
    let (by, reverse) = c.state.session_sort;
    let mark = format!("{}{}", by.word(), if reverse { "↑" } else { "↓" });
    table::draw(c, list, &COLUMNS, Some(&mark), &rows, |c, i| {
        let Some(s) = c.state.session_rows.get(i).and_then(|id| c.state.live.sessions.get(id)) else { return vec![] };
        let (kind, style) = match s.kind {
            crate::model::SessionKind::Host => ("host", c.pal.text),
            crate::model::SessionKind::Operator => ("operator", c.pal.info),
        };
        let belongs = s.team.as_ref().map(ToString::to_string).or(s.role.map(|r| r.to_string())).unwrap_or_default();
        vec![
            (kind.to_owned(), style),
            (s.name.clone(), c.pal.text),
            (belongs, c.pal.dim),
            (s.source.to_string(), c.pal.text),
            (c.age(s.since), c.pal.dim),
            (s.rtt_ms.map_or_else(|| "-".into(), text::millis), c.pal.text),
            (text::bytes(s.bytes_in), c.pal.text),
            (text::bytes(s.bytes_out), c.pal.text),
            (s.fingerprint.clone(), c.pal.dim),
            (s.client.clone(), c.pal.dim),
        ]
    });
    if list.height == area.height {
        return;
    }
    let Some(s) = c.state.selected_session().cloned() else { return };
    let said = about(c, &s);
    let (width, dim, text_style) = (usize::from(area.width.saturating_sub(2)), c.pal.dim, c.pal.text);
    let foot = area.height - list.height;
    if foot == 1 {
        c.put(area, area.x + 1, list.bottom(), &text::cut(&said.join(" · "), width), dim);
        return;
    }
    let kind = if s.team.is_some() { "host" } else { "operator" };
    c.rule(area, list.bottom(), &format!("{kind} {}, session {}", s.name, s.id), false);
    for (y, line) in (list.bottom() + 1..area.bottom()).zip(text::wrap(&said.join(" · "), width)) {
        c.put(area, area.x + 1, y, &line, text_style);
    }
}

/// All that is known of a session.
fn about(c: &Canvas<'_>, s: &crate::model::SessionView) -> Vec<String> {
    let live = &c.state.live;
    let port = |p: &crate::model::Port| match live.tunnels.get(p) {
        Some(r) => format!("{p} {} ({} visitors)", r.service(), r.view.visitors_now),
        None => p.to_string(),
    };
    let ports: Vec<String> = s.ports.iter().map(port).collect();
    let mut said = vec![format!("user {}", s.user), s.fingerprint.clone(), s.client.clone()];
    said.extend(s.algorithms.clone());
    said.push(format!("from {} since {}", s.source, c.time(s.since)));
    said.push(
        s.rtt_ms.map_or_else(|| "no round trip measured".to_owned(), |ms| format!("round trip {}", text::millis(ms))),
    );
    said.push(format!("{} in, {} out", text::bytes(s.bytes_in), text::bytes(s.bytes_out)));
    said.extend(s.last_heard.map(|t| format!("last heard {} ago", c.age(t))));
    said.push(if ports.is_empty() { "no ports".to_owned() } else { format!("ports {}", ports.join(", ")) });
    said
}

#[cfg(test)]
mod tests;
