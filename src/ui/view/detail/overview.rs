//! What the tunnel is: facts, why it last ended, and what happened around it.

use super::{LABEL, fact, timeline};
use crate::model::Granted;
use crate::ui::state::live::Row;
use crate::ui::text;
use crate::ui::view::canvas::{Canvas, Span};
use crate::ui::view::ports::{lease, reasoned};
use crate::ui::words::{self, tr};

pub(super) fn lines(c: &Canvas<'_>, row: &Row, width: usize) -> Vec<Vec<Span>> {
    let mut lines = facts(c, row, width);
    let about = |r: &crate::audit::Record| {
        let x = &r.event.context;
        x.port == Some(row.port()) || (x.port.is_none() && x.host.as_ref() == Some(row.host()))
    };
    lines.extend(timeline(c, tr!(c.lang(), detail.timeline), width, about));
    lines
}

/// The last verdict of a tunnel that is not there.
pub(super) fn was(c: &Canvas<'_>, row: &Row) -> String {
    let (h, l) = (&row.view.health, c.lang());
    let state = words::model::state(l, row.view.state);
    match (h.verdict, h.last_at) {
        (crate::model::Verdict::Unknown, _) | (_, None) => tr!(l, health.not_checked, state),
        (verdict, Some(at)) => {
            let verdict = words::model::verdict(l, verdict);
            tr!(l, health.not_checked_was, state, verdict, time = c.time(at))
        }
    }
}

fn facts(c: &Canvas<'_>, row: &Row, width: usize) -> Vec<Vec<Span>> {
    let (v, session) = (&row.view, c.state.live.session_of(row));
    let mut out = vec![];
    let (glyph, style) = c.state_look(v.state);
    let l = c.lang();
    let state = tr!(l, detail.state_for, state = words::model::state(l, v.state), age = c.age(v.state_since));
    fact(c, &mut out, width, tr!(l, detail.state), &format!("{glyph} {state}"), style);
    let text_style = c.pal.text;
    // A failed check is said below, with its layer; who is behind as well.
    let known = v.behind.sentence(row.host());
    if let Some(w) = v.warning.as_ref().filter(|w| v.health.last_error.as_ref() != Some(w) && known.as_ref() != Some(w))
    {
        fact(c, &mut out, width, tr!(l, detail.warning), &c.here(&words::rule::said(l, w)), c.pal.warn);
    }
    let behind = words::behind::said(l, &v.behind, row.host());
    if let Some(i) = c.state.live.restarts(row.host()) {
        fact(c, &mut out, width, tr!(l, detail.restarts), &words::evidence::said(l, i), c.pal.warn);
    }
    slow(c, row, width, behind, &mut out);
    if v.behind.visitors > 0 {
        // They are what one came for; otherwise they stand below the facts.
        out.extend(visitors(c, row, width));
        out.push(vec![]);
    }
    if let Some(r) = &v.revoked {
        let target = words::model::target(l, &r.target);
        let said = tr!(l, detail.blocked_by, target, by = r.by, since = c.time(r.since));
        fact(c, &mut out, width, tr!(l, detail.blocked), &reasoned(c, said, r.reason.as_deref()), c.pal.bad);
    }
    if let Some(o) = &v.obituary {
        let said = format!("{} {}", c.time(o.at), words::obituary::said(l, &o.obituary));
        fact(c, &mut out, width, tr!(l, detail.last_end), &said, c.pal.warn);
        let byte = o.last_byte_at.map(|t| tr!(l, detail.last_byte, time = c.time(t)));
        let rtt = o.last_rtt_ms.map(|m| tr!(l, detail.last_rtt, rtt = text::millis(m)));
        let both: Vec<String> = byte.into_iter().chain(rtt).collect();
        if !both.is_empty() {
            fact(c, &mut out, width, "", &both.join(", "), text_style);
        }
    }
    let h = &v.health;
    let (hglyph, hstyle) = c.verdict_look(h.verdict);
    let (verdict, check) = (words::model::verdict(l, h.verdict), words::model::check(l, h.check));
    let said = match h.latency_ms {
        Some(m) => tr!(l, detail.verdict_latency, verdict, check, latency = text::millis(m)),
        None => tr!(l, detail.verdict, verdict, check),
    };
    if v.state.is_live() {
        fact(c, &mut out, width, tr!(l, detail.health), &format!("{hglyph} {said}"), hstyle);
    } else {
        // Nobody asks a tunnel that is not there: what was said last is of then, not of now.
        fact(c, &mut out, width, tr!(l, detail.health), &was(c, row), c.pal.dim);
    }
    if let Some(said) = super::health::error(c, row) {
        fact(c, &mut out, width, "", &said, c.pal.bad);
    }
    if !h.history.is_empty() {
        let mut line = vec![(text::fit("", LABEL, false), c.pal.dim)];
        line.extend(c.strip(&h.history, width.saturating_sub(LABEL)));
        out.push(line);
    }
    if h.check != crate::model::CheckKind::None {
        let (s, rise, fall) = (h.interval_s, h.rise, h.fall);
        let every = match h.last_at {
            Some(t) => tr!(l, detail.every_last, s, rise, fall, time = c.time(t)),
            None => tr!(l, detail.every, s, rise, fall),
        };
        fact(c, &mut out, width, tr!(l, detail.checked), &every, text_style);
    }
    let service = tr!(l, detail.service_of, service = row.service(), team = row.team());
    fact(c, &mut out, width, tr!(l, detail.service), &service, text_style);
    fact(c, &mut out, width, tr!(l, detail.lease), &lease(c, &v.lease), text_style);
    for g in c.state.live.grants() {
        let Granted::Visitors { team, port, network } = &g.what else { continue };
        if team.as_ref() == Some(row.team()) && port.is_none_or(|p| p == row.port()) {
            let said = tr!(l, grant.visitors, network, until = c.moment(g.until), id = g.id, by = g.by);
            fact(c, &mut out, width, tr!(l, grant.label), &reasoned(c, said, Some(&g.reason)), c.pal.info);
        }
    }
    if !v.listen.is_empty() {
        let listen: Vec<String> = v.listen.iter().map(ToString::to_string).collect();
        fact(c, &mut out, width, tr!(l, detail.listens), &listen.join(" "), text_style);
    }
    if let Some(s) = session {
        let said = match s.rtt_ms {
            Some(m) => tr!(l, detail.session_rtt, id = s.id, source = s.source, rtt = text::millis(m)),
            None => tr!(l, detail.session_from, id = s.id, source = s.source),
        };
        fact(c, &mut out, width, tr!(l, detail.session), &said, text_style);
        let client = tr!(l, detail.client_as, client = s.client, user = s.user, key = s.fingerprint);
        fact(c, &mut out, width, tr!(l, detail.client), &client, text_style);
    } else if let Some(source) = v.source {
        fact(c, &mut out, width, tr!(l, detail.last_from), &source.to_string(), text_style);
    }
    let (now, total) = (v.visitors_now, v.visitors_total);
    let visitors = match v.visitors_refused {
        0 => tr!(l, detail.visitors_of, now, total),
        refused => tr!(l, detail.visitors_refused, now, total, refused),
    };
    fact(c, &mut out, width, tr!(l, detail.visitors), &visitors, text_style);
    let (to_host, to_visitors) = (text::bytes(v.bytes_to_host), text::bytes(v.bytes_to_visitors));
    fact(c, &mut out, width, tr!(l, detail.bytes), &tr!(l, detail.moved, to_host, to_visitors), text_style);
    let others: Vec<String> = c
        .state
        .live
        .others_of(row.host(), row.port())
        .map(|r| format!("{}{} {}", c.state_look(r.view.state).0, r.port(), r.service()))
        .collect();
    if !others.is_empty() {
        fact(c, &mut out, width, tr!(l, detail.also), &others.join(", "), text_style);
    }
    out
}

/// Visitors that are behind, and what it costs the session, here or through another tunnel of it.
fn slow(c: &Canvas<'_>, row: &Row, width: usize, behind: Option<String>, out: &mut Vec<Vec<Span>>) {
    let (b, l) = (&row.view.behind, c.lang());
    let style = if b.holding > 0 { c.pal.bad } else { c.pal.warn };
    if let Some(behind) = behind {
        fact(c, out, width, tr!(l, detail.slow), &behind, style);
    } else if b.buffered > 0 {
        let said = tr!(l, detail.waiting_for, bytes = text::bytes(b.buffered));
        fact(c, out, width, tr!(l, detail.waiting), &said, c.pal.text);
    }
    if b.held_ms > 0 {
        let age = text::age(i64::try_from(b.held_ms / 1000).unwrap_or(i64::MAX)).0;
        fact(c, out, width, "", &tr!(l, detail.held, age), c.pal.text);
    }
    let others = c.state.live.others_of(row.host(), row.port());
    for other in others.filter(|o| o.view.session == row.view.session && o.view.behind.holding > 0) {
        let who = other.view.behind.worst.as_ref().map(|w| w.source.to_string()).unwrap_or_default();
        let said = tr!(l, detail.slowed_by, who, port = other.port());
        fact(c, out, width, tr!(l, detail.slow), &said, c.pal.bad);
    }
}

/// Who is connected, as the daemon last said; those furthest behind first.
fn visitors(c: &Canvas<'_>, row: &Row, width: usize) -> Vec<Vec<Span>> {
    let known = c.state.visitors.as_ref().filter(|(p, _, _)| *p == row.port() && row.view.visitors_now > 0);
    let Some((_, _, list)) = known.filter(|(_, _, l)| !l.is_empty()) else { return vec![] };
    let mut list: Vec<_> = list.iter().collect();
    list.sort_by_key(|v| (!v.holding, std::cmp::Reverse(v.buffered), v.id));
    let mut out = vec![vec![], vec![(tr!(c.lang(), detail.visitors_now).to_owned(), c.pal.title)]];
    for v in list {
        let operator = v.operator.as_deref().map(|o| format!(" {o}")).unwrap_or_default();
        let moved = format!("↑{} ↓{}", text::bytes(v.bytes_to_host), text::bytes(v.bytes_to_visitor));
        let line = format!(" {}{operator} {} {moved}", v.source, c.age(v.since));
        out.push(vec![(v.id.to_string(), c.pal.accent), (line, c.pal.text)]);
        let (l, bytes) = (c.lang(), text::bytes(v.buffered));
        let (waits, style) = match (v.holding, v.buffered) {
            (true, _) => (tr!(l, detail.wait_slows, bytes), c.pal.bad),
            (false, 0) => continue,
            (false, n) if n < crate::model::BEHIND => (tr!(l, detail.wait, bytes), c.pal.dim),
            (false, _) => (tr!(l, detail.wait_behind, bytes), c.pal.warn),
        };
        // On a line of its own: beside the list there are forty columns, and this is what one looks for.
        out.push(vec![(text::cut(&format!("  ! {waits}"), width), style)]);
    }
    out
}
