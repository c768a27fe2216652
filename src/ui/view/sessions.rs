//! Screen 6: who is connected.

use super::canvas::Canvas;
use super::table::{self, Column, Rows, col, num};
use crate::model::Granted;
use crate::ui::text;
use crate::ui::words::{self, tr};
use ratatui::layout::Rect;

pub(super) const COLUMNS: [Column; 10] = [
    col("kind", |l| tr!(l, column.kind), 8, 8, 0),
    col("name", |l| tr!(l, column.name), 10, 24, 0),
    col("team-role", |l| tr!(l, column.team_or_role), 9, 12, 3),
    col("source", |l| tr!(l, column.source), 20, 24, 1),
    num("since", |l| tr!(l, column.since), 6, 0),
    num("rtt", |l| tr!(l, column.rtt), 6, 2),
    num("in", |l| tr!(l, column.in_bytes), 5, 4),
    num("out", |l| tr!(l, column.out_bytes), 5, 5),
    col("key", |l| tr!(l, column.key), 14, 50, 6),
    col("client", |l| tr!(l, column.client), 12, 30, 7),
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
    let mark = (by.column(), if reverse { "↑" } else { "↓" });
    table::draw(c, list, &COLUMNS, Some(mark), &rows, |c, i| {
        let Some(s) = c.state.session_rows.get(i).and_then(|id| c.state.live.sessions.get(id)) else { return vec![] };
        let (kind, style) = match s.kind {
            crate::model::SessionKind::Host => (words::model::session_kind(c.lang(), s.kind), c.pal.text),
            crate::model::SessionKind::Operator => (words::model::session_kind(c.lang(), s.kind), c.pal.info),
        };
        let role = s.role.map(|r| words::model::role(c.lang(), r).to_owned());
        let belongs = s.team.as_ref().map(ToString::to_string).or(role).unwrap_or_default();
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
    let (name, id) = (&s.name, s.id);
    let heading = match s.team {
        Some(_) => tr!(c.lang(), sessions.heading_host, name, id),
        None => tr!(c.lang(), sessions.heading_operator, name, id),
    };
    c.rule(area, list.bottom(), &heading, false);
    for (y, line) in (list.bottom() + 1..area.bottom()).zip(text::wrap(&said.join(" · "), width)) {
        c.put(area, area.x + 1, y, &line, text_style);
    }
}

/// All that is known of a session.
fn about(c: &Canvas<'_>, s: &crate::model::SessionView) -> Vec<String> {
    let live = &c.state.live;
    let l = c.lang();
    let port = |port: &crate::model::Port| match live.tunnels.get(port) {
        Some(r) => tr!(l, sessions.port, port, service = r.service(), n = r.view.visitors_now),
        None => port.to_string(),
    };
    let ports: Vec<String> = s.ports.iter().map(port).collect();
    let mut said = vec![];
    for g in live.grants().iter().filter(|_| s.kind == crate::model::SessionKind::Operator) {
        match &g.what {
            Granted::Role { operator, role, teams } if operator.as_str() == s.name => {
                let (role, until, id, by) = (words::model::role(l, *role), c.moment(g.until), g.id, &g.by);
                said.push(match teams {
                    None => tr!(l, grant.session, role, until, id, by),
                    Some(teams) => tr!(l, grant.session_on, role, teams = words::model::names(teams), until, id, by),
                });
            }
            _ => {}
        }
    }
    said.extend([tr!(l, sessions.user, user = s.user), s.fingerprint.clone(), s.client.clone()]);
    said.extend(s.algorithms.clone());
    said.push(tr!(l, sessions.from, source = s.source, time = c.time(s.since)));
    said.push(match s.rtt_ms {
        None => tr!(l, sessions.no_rtt).to_owned(),
        Some(ms) => tr!(l, sessions.rtt, rtt = text::millis(ms)),
    });
    said.push(tr!(l, sessions.moved, received = text::bytes(s.bytes_in), sent = text::bytes(s.bytes_out)));
    said.extend(s.last_heard.map(|t| tr!(l, sessions.heard, age = c.age(t))));
    said.push(match ports.as_slice() {
        [] => tr!(l, sessions.no_ports).to_owned(),
        [port] => tr!(l, sessions.one_port, port),
        ports => tr!(l, sessions.ports, ports = ports.join(", ")),
    });
    said
}

#[cfg(test)]
mod tests;
