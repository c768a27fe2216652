//! What the tunnel is: facts, why it last ended, and what happened around it.

use super::{LABEL, fact, timeline};
use crate::ui::state::live::Row;
use crate::ui::text;
use crate::ui::view::canvas::{Canvas, Span};

pub(super) fn lines(c: &Canvas<'_>, row: &Row, width: usize) -> Vec<Vec<Span>> {
    let mut lines = facts(c, row, width);
    let about = |r: &crate::audit::Record| {
        let x = &r.event.context;
        x.port == Some(row.port()) || (x.port.is_none() && x.host.as_ref() == Some(row.host()))
    };
    lines.extend(timeline(c, "timeline, newest first", width, about));
    lines
}

/// The last verdict of a tunnel that is not there.
pub(super) fn was(c: &Canvas<'_>, row: &Row) -> String {
    let h = &row.view.health;
    match (h.verdict, h.last_at) {
        (crate::model::Verdict::Unknown, _) | (_, None) => format!("not checked while it is {}", row.view.state),
        (verdict, Some(at)) => format!("not checked while it is {}; was {verdict} {}", row.view.state, c.time(at)),
    }
}

fn facts(c: &Canvas<'_>, row: &Row, width: usize) -> Vec<Vec<Span>> {
    let (v, session) = (&row.view, c.state.live.session_of(row));
    let mut out = vec![];
    let (glyph, style) = c.state_look(v.state);
    fact(c, &mut out, width, "state", &format!("{glyph} {} for {}", v.state, c.age(v.state_since)), style);
    let text_style = c.pal.text;
    // A failed check is said below, with its layer; who is behind as well.
    let behind = v.behind.sentence(row.host());
    if let Some(w) =
        v.warning.as_ref().filter(|w| v.health.last_error.as_ref() != Some(w) && behind.as_ref() != Some(w))
    {
        fact(c, &mut out, width, "warning", &c.here(w), c.pal.warn);
    }
    if let Some(i) = c.state.live.restarts(row.host()) {
        fact(c, &mut out, width, "restarts", &i.evidence, c.pal.warn);
    }
    slow(c, row, width, behind, &mut out);
    if v.behind.visitors > 0 {
        // They are what one came for; otherwise they stand below the facts.
        out.extend(visitors(c, row, width));
        out.push(vec![]);
    }
    if let Some(r) = &v.revoked {
        let why = r.reason.as_deref().map(|w| format!(": {w}")).unwrap_or_default();
        fact(c, &mut out, width, "blocked", &format!("{} by {}, {}{why}", r.target, r.by, c.time(r.since)), c.pal.bad);
    }
    if let Some(o) = &v.obituary {
        fact(c, &mut out, width, "last end", &format!("{} {}", c.time(o.at), o.obituary), c.pal.warn);
        let byte = o.last_byte_at.map(|t| format!("last byte {}", c.time(t)));
        let rtt = o.last_rtt_ms.map(|m| format!("last rtt {}", text::millis(m)));
        let both: Vec<String> = byte.into_iter().chain(rtt).collect();
        if !both.is_empty() {
            fact(c, &mut out, width, "", &both.join(", "), text_style);
        }
    }
    let h = &v.health;
    let (hglyph, hstyle) = c.verdict_look(h.verdict);
    let latency = h.latency_ms.map(|m| format!(", {}", text::millis(m))).unwrap_or_default();
    if v.state.is_live() {
        fact(c, &mut out, width, "health", &format!("{hglyph} {} ({} check{latency})", h.verdict, h.check), hstyle);
    } else {
        // Nobody asks a tunnel that is not there: what was said last is of then, not of now.
        fact(c, &mut out, width, "health", &was(c, row), c.pal.dim);
    }
    if let Some(e) = &h.last_error {
        let layer = h.layer.map(|l| format!(" at the {}", format!("{l:?}").to_lowercase())).unwrap_or_default();
        fact(c, &mut out, width, "", &format!("{e}{layer}"), c.pal.bad);
    }
    if !h.history.is_empty() {
        let mut line = vec![(text::fit("", LABEL, false), c.pal.dim)];
        line.extend(c.strip(&h.history, width.saturating_sub(LABEL)));
        out.push(line);
    }
    if h.check != crate::model::CheckKind::None {
        let last = h.last_at.map(|t| format!(", last {}", c.time(t))).unwrap_or_default();
        let every = format!("every {} s; {} good pass, {} bad fail{last}", h.interval_s, h.rise, h.fall);
        fact(c, &mut out, width, "checked", &every, text_style);
    }
    let lease = &v.lease;
    fact(c, &mut out, width, "service", &format!("{} of team {}", row.service(), row.team()), text_style);
    let until = lease.until.map(|t| format!(" until {}", c.time(t))).unwrap_or_default();
    let why = lease.reason.as_deref().map(|w| format!(": {w}")).unwrap_or_default();
    let given = format!("{} by {}, {}{until}{why}", lease.kind, lease.by, c.time(lease.since));
    fact(c, &mut out, width, "lease", &given, text_style);
    if !v.listen.is_empty() {
        let listen: Vec<String> = v.listen.iter().map(ToString::to_string).collect();
        fact(c, &mut out, width, "listens on", &listen.join(" "), text_style);
    }
    if let Some(s) = session {
        let rtt = s.rtt_ms.map(|m| format!(", rtt {}", text::millis(m))).unwrap_or_default();
        fact(c, &mut out, width, "session", &format!("{} from {}{rtt}", s.id, s.source), text_style);
        fact(c, &mut out, width, "client", &format!("{} as {}, {}", s.client, s.user, s.fingerprint), text_style);
    } else if let Some(source) = v.source {
        fact(c, &mut out, width, "last from", &source.to_string(), text_style);
    }
    let refused = if v.visitors_refused > 0 { format!(", {} refused", v.visitors_refused) } else { String::new() };
    let visitors = format!("{} now, {} in all{refused}", v.visitors_now, v.visitors_total);
    fact(c, &mut out, width, "visitors", &visitors, text_style);
    let moved =
        format!("↑ {} to host, ↓ {} to visitors", text::bytes(v.bytes_to_host), text::bytes(v.bytes_to_visitors));
    fact(c, &mut out, width, "bytes", &moved, text_style);
    let others: Vec<String> = c
        .state
        .live
        .others_of(row.host(), row.port())
        .map(|r| format!("{}{} {}", c.state_look(r.view.state).0, r.port(), r.service()))
        .collect();
    if !others.is_empty() {
        fact(c, &mut out, width, "also has", &others.join(", "), text_style);
    }
    out
}

/// Visitors that are behind, and what it costs the session, here or through another tunnel of it.
fn slow(c: &Canvas<'_>, row: &Row, width: usize, behind: Option<String>, out: &mut Vec<Vec<Span>>) {
    let b = &row.view.behind;
    let style = if b.holding > 0 { c.pal.bad } else { c.pal.warn };
    if let Some(behind) = behind {
        fact(c, out, width, "slow", &behind, style);
    } else if b.buffered > 0 {
        fact(c, out, width, "waiting", &format!("{} for visitors", text::bytes(b.buffered)), c.pal.text);
    }
    if b.held_ms > 0 {
        let age = text::age(i64::try_from(b.held_ms / 1000).unwrap_or(i64::MAX)).0;
        fact(c, out, width, "", &format!("slow visitors have slowed its session for {age} in all"), c.pal.text);
    }
    let others = c.state.live.others_of(row.host(), row.port());
    for other in others.filter(|o| o.view.session == row.view.session && o.view.behind.holding > 0) {
        let who = other.view.behind.worst.as_ref().map(|w| w.source.to_string()).unwrap_or_default();
        let said = format!("its session is slowed by visitor {who} of port {}", other.port());
        fact(c, out, width, "slow", &said, c.pal.bad);
    }
}

/// Who is connected, as the daemon last said; those furthest behind first.
fn visitors(c: &Canvas<'_>, row: &Row, width: usize) -> Vec<Vec<Span>> {
    let known = c.state.visitors.as_ref().filter(|(p, _, _)| *p == row.port() && row.view.visitors_now > 0);
    let Some((_, _, list)) = known.filter(|(_, _, l)| !l.is_empty()) else { return vec![] };
    let mut list: Vec<_> = list.iter().collect();
    list.sort_by_key(|v| (!v.holding, std::cmp::Reverse(v.buffered), v.id));
    let mut out = vec![vec![], vec![("visitors now (the tab visitors cuts one)".to_owned(), c.pal.title)]];
    for v in list {
        let operator = v.operator.as_deref().map(|o| format!(" {o}")).unwrap_or_default();
        let moved = format!("↑{} ↓{}", text::bytes(v.bytes_to_host), text::bytes(v.bytes_to_visitor));
        let line = format!(" {}{operator} {} {moved}", v.source, c.age(v.since));
        out.push(vec![(v.id.to_string(), c.pal.accent), (line, c.pal.text)]);
        let (waits, style) = match (v.holding, v.buffered) {
            (true, n) => (format!("{} wait: it slows the session", text::bytes(n)), c.pal.bad),
            (false, 0) => continue,
            (false, n) if n < crate::model::BEHIND => (format!("{} wait", text::bytes(n)), c.pal.dim),
            (false, n) => (format!("{} behind: it reads slowly", text::bytes(n)), c.pal.warn),
        };
        // On a line of its own: beside the list there are forty columns, and this is what one looks for.
        out.push(vec![(text::cut(&format!("  ! {waits}"), width), style)]);
    }
    out
}
