//! Verbs that show the live state: status, tunnels, health, sessions, visitors.

use crate::cli::exit::Exit;
use crate::cli::filter::Filter;
use crate::cli::human::{age, bytes, count, glyph, moment, span};
use crate::cli::out::{Fail, Out};
use crate::cli::table::{Cell, Table, Tone};
use crate::control::client::{Client, unexpected};
use crate::control::protocol::{Identity, Reply, Request, Snapshot};
use crate::model::{
    BEHIND, DaemonView, Granted, HealthView, HostName, Port, SessionKind, TeamName, TunnelState, TunnelView, Verdict,
    VisitorView, clean_line, now,
};
use chrono::TimeDelta;
use serde::Serialize;
use std::fmt::Write as _;

/// Tunnels by state.
#[derive(Debug, Default, Serialize)]
struct States {
    up: usize,
    degraded: usize,
    down: usize,
    awaiting: usize,
    revoked: usize,
}

#[derive(Debug, Default, Serialize)]
struct Sessions {
    hosts: usize,
    operators: usize,
}

#[derive(Debug, Serialize)]
struct Status<'a> {
    daemon: &'a DaemonView,
    you: &'a Identity,
    tunnels: States,
    sessions: Sessions,
    visitors: u64,
}

/// `status`
pub(super) async fn status(client: &Client, out: &mut Out<'_>) -> Result<Exit, Fail> {
    let s = client.snapshot().await?;
    let status = summary(&s, client.identity());
    if out.json {
        out.json(&status).await?;
    } else {
        let text = status_text(&s, &status, out);
        out.text(&text).await?;
    }
    Ok(Exit::Done)
}

fn summary<'a>(s: &'a Snapshot, you: &'a Identity) -> Status<'a> {
    let mut tunnels = States::default();
    for t in &s.tunnels {
        match t.state {
            TunnelState::Up => tunnels.up += 1,
            TunnelState::Degraded => tunnels.degraded += 1,
            TunnelState::Down => tunnels.down += 1,
            TunnelState::Awaiting => tunnels.awaiting += 1,
            TunnelState::Revoked => tunnels.revoked += 1,
        }
    }
    let hosts = s.sessions.iter().filter(|x| x.kind == SessionKind::Host).count();
    let sessions = Sessions { hosts, operators: s.sessions.len() - hosts };
    let visitors = s.tunnels.iter().map(|t| u64::from(t.visitors_now)).sum();
    Status { daemon: &s.daemon, you, tunnels, sessions, visitors }
}

fn status_text(s: &Snapshot, status: &Status<'_>, out: &Out<'_>) -> String {
    let d = &s.daemon;
    let mut text = String::new();
    let ssh: Vec<String> = d.ssh.iter().map(ToString::to_string).collect();
    let you = status.you;
    let states = [
        (TunnelState::Up, status.tunnels.up),
        (TunnelState::Degraded, status.tunnels.degraded),
        (TunnelState::Down, status.tunnels.down),
        (TunnelState::Awaiting, status.tunnels.awaiting),
        (TunnelState::Revoked, status.tunnels.revoked),
    ];
    let states: Vec<String> = states
        .iter()
        .filter(|(_, n)| *n > 0)
        .map(|(state, n)| {
            let (glyph, tone) = glyph(*state);
            out.paint(tone, &format!("{glyph} {n} {state}"))
        })
        .collect();
    let mut line = |name: &str, value: &str| {
        // Writing to a String does not fail.
        let _ = writeln!(text, "{} {value}", out.paint(Tone::Head, &format!("{name:<9}")));
    };
    line("bastion", &format!("{}, portreeve {}, up {}", clean_line(&d.name), d.version, age(s.at, d.started)));
    line("ssh", &ssh.join(" "));
    line("config", &format!("{}, read {} ago", clean_line(&d.config), age(s.at, d.config_read)));
    line("tunnels", &format!("{}  {}", s.tunnels.len(), states.join("  ")));
    let (hosts, operators) = (status.sessions.hosts, status.sessions.operators);
    line("sessions", &format!("{}, {}", count(hosts, "host"), count(operators, "operator")));
    let behind: Vec<&TunnelView> = s.tunnels.iter().filter(|t| t.behind.visitors > 0).collect();
    let late: u64 = behind.iter().map(|t| u64::from(t.behind.visitors)).sum();
    let waiting: u64 = behind.iter().map(|t| t.behind.buffered).sum();
    let late = if late > 0 { format!(", {late} behind: {} wait for them", bytes(waiting)) } else { String::new() };
    line("visitors", &format!("{}{late}", status.visitors));
    if d.spill.used > 0 {
        let tone = if d.spill.is_nearly_full() { Tone::Bad } else { Tone::Warn };
        let used = format!("{} of {} on disk for slow visitors", bytes(d.spill.used), bytes(d.spill.limit));
        line("spill", &out.paint(tone, &used));
    }
    match &d.audit.failure {
        Some(why) => line("audit", &out.paint(Tone::Bad, &format!("✗ not written: {}", clean_line(why)))),
        None => line("audit", &format!("event {}", d.audit.seq)),
    }
    if let Some(notice) = &d.audit.notice {
        line("", &out.paint(Tone::Warn, &format!("! {}", clean_line(notice))));
    }
    let granted = you.granted.iter().map(|g| {
        let on = g.teams.as_ref().map(|ts| ts.iter().map(|t| format!(" {t}")).collect::<String>());
        let on = on.map(|ts| format!(" on{ts}")).unwrap_or_default();
        format!(", {}{on} until {} by grant {}", g.role, moment(g.until), g.grant)
    });
    let roles = format!("{}{}", you.role, granted.collect::<String>());
    line("you", &format!("{} ({roles}) by {}", clean_line(&you.name), clean_line(&you.via)));
    for r in &d.revocations {
        let why = r.reason.as_deref().map(|w| format!(": {w}")).unwrap_or_default();
        let said = format!("⊘ {} by {}, {} ago{why}", r.target, r.by, age(s.at, r.since));
        line("blocked", &out.paint(Tone::Bad, &clean_line(&said)));
    }
    for g in &d.grants {
        let said = format!("{} by {} until {}: {} ({})", g.what, g.by, moment(g.until), g.reason, g.id);
        line("granted", &clean_line(&said));
    }
    for n in &d.notices {
        line("notice", &out.paint(Tone::Warn, &format!("! {}", clean_line(n))));
    }
    if s.tunnels.is_empty()
        && let Some(first) = &d.first_tunnel
    {
        line("try", first);
    }
    text
}

/// Glyph and word.
pub(super) fn state_cell(state: TunnelState) -> Cell {
    let (glyph, tone) = glyph(state);
    Cell::new(format!("{glyph} {state}")).tone(tone)
}

/// What one should know of this row, the worst first.
pub(super) fn note(t: &TunnelView) -> String {
    if let Some(r) = &t.revoked {
        let why = r.reason.as_deref().map(|w| format!(": {w}")).unwrap_or_default();
        return format!("{} blocked by {}{why}", r.target.kind(), r.by);
    }
    if let Some(w) = &t.warning {
        return w.clone();
    }
    match t.state {
        TunnelState::Degraded => t.health.last_error.clone().unwrap_or_default(),
        TunnelState::Down => t.obituary.as_ref().map(|o| o.obituary.to_string()).unwrap_or_default(),
        _ => String::new(),
    }
}

/// `tunnels [FILTER…]`
pub(super) async fn tunnels(client: &Client, out: &mut Out<'_>, filter: &[String]) -> Result<Exit, Fail> {
    let filter = Filter::parse(filter).map_err(Fail::Usage)?;
    let s = client.snapshot().await?;
    let rows: Vec<&TunnelView> = s.tunnels.iter().filter(|t| filter.matches(t)).collect();
    if out.json {
        out.json(&rows).await?;
        return Ok(Exit::Done);
    }
    let mut table = Table::new(&[
        "PORT",
        "HOST",
        "TEAM",
        "SERVICE",
        "STATE",
        "SINCE",
        "VISITORS",
        "TO HOST",
        "FROM HOST",
        "SOURCE",
        "NOTE",
    ]);
    for t in &rows {
        table.row(vec![
            Cell::number(t.lease.port),
            Cell::new(&t.lease.host),
            Cell::new(&t.lease.team),
            Cell::or_dash(t.lease.service.as_ref()),
            state_cell(t.state),
            Cell::number(age(s.at, t.state_since)),
            Cell::number(t.visitors_now),
            Cell::number(bytes(t.bytes_to_host)),
            Cell::number(bytes(t.bytes_to_visitors)),
            Cell::or_dash(t.source),
            Cell::new(note(t)),
        ]);
    }
    out.table(&table).await?;
    let hidden = s.tunnels.len() - rows.len();
    if hidden > 0 {
        out.remark(&format!("{hidden} of {} not shown (filter)\n", s.tunnels.len())).await?;
    } else if rows.is_empty() {
        let hint =
            s.daemon.first_tunnel.as_ref().map(|l| format!("; bring up a first one:\n  {l}")).unwrap_or_default();
        out.remark(&format!("no tunnels and no leases yet{hint}\n")).await?;
    }
    Ok(Exit::Done)
}

#[derive(Debug, Serialize)]
struct HealthRow<'a> {
    port: Port,
    host: &'a HostName,
    team: &'a TeamName,
    service: &'a Option<String>,
    state: TunnelState,
    health: &'a HealthView,
}

/// `health`
pub(super) async fn health(client: &Client, out: &mut Out<'_>) -> Result<Exit, Fail> {
    let s = client.snapshot().await?;
    let rows = s.tunnels.iter().map(|t| HealthRow {
        port: t.lease.port,
        host: &t.lease.host,
        team: &t.lease.team,
        service: &t.lease.service,
        state: t.state,
        health: &t.health,
    });
    let rows: Vec<HealthRow<'_>> = rows.collect();
    if out.json {
        out.json(&rows).await?;
        return Ok(Exit::Done);
    }
    let mut table = Table::new(&["PORT", "HOST", "CHECK", "VERDICT", "SINCE", "LATENCY", "LAST", "HISTORY", "ERROR"]);
    for r in &rows {
        let h = r.health;
        let verdict = match h.verdict {
            Verdict::Passing => Cell::new("✓ passing").tone(Tone::Good),
            Verdict::Failing => Cell::new("✗ failing").tone(Tone::Bad),
            Verdict::Unknown => Cell::new("○ unknown").tone(Tone::Dim),
        };
        let good = h.history.iter().filter(|x| x.is_some()).count();
        let history = (!h.history.is_empty()).then(|| format!("{good}/{}", h.history.len()));
        table.row(vec![
            Cell::number(r.port),
            Cell::new(r.host),
            Cell::new(h.check),
            verdict,
            Cell::or_dash(h.since.map(|t| age(s.at, t))),
            Cell::or_dash(h.latency_ms.map(|ms| format!("{ms:.1} ms"))),
            Cell::or_dash(h.last_at.map(|t| format!("{} ago", age(s.at, t)))),
            Cell::or_dash(history),
            Cell::new(h.last_error.as_deref().filter(|_| h.verdict != Verdict::Passing).unwrap_or_default()),
        ]);
    }
    out.table(&table).await?;
    Ok(Exit::Done)
}

/// `sessions`
pub(super) async fn sessions(client: &Client, out: &mut Out<'_>) -> Result<Exit, Fail> {
    let s = client.snapshot().await?;
    if out.json {
        out.json(&s.sessions).await?;
        return Ok(Exit::Done);
    }
    let mut table =
        Table::new(&["SESSION", "KIND", "NAME", "TEAM", "SOURCE", "SINCE", "RTT", "PORTS", "CLIENT", "KEY"]);
    for x in &s.sessions {
        let ports: Vec<String> = x.ports.iter().map(ToString::to_string).collect();
        let kind = match (x.kind, x.role) {
            (SessionKind::Host, _) => "host".to_owned(),
            (SessionKind::Operator, Some(role)) => role.to_string(),
            (SessionKind::Operator, None) => "operator".to_owned(),
        };
        let granted = s.daemon.grants.iter().filter_map(|g| match &g.what {
            Granted::Role { operator, role, .. } if x.kind == SessionKind::Operator && operator.as_str() == x.name => {
                Some(format!(", {role} until {}", moment(g.until)))
            }
            _ => None,
        });
        let kind = std::iter::once(kind).chain(granted).collect::<String>();
        table.row(vec![
            Cell::new(x.id),
            Cell::new(kind),
            Cell::new(&x.name),
            Cell::or_dash(x.team.as_ref()),
            Cell::new(x.source),
            Cell::number(age(s.at, x.since)),
            Cell::or_dash(x.rtt_ms.map(|ms| format!("{ms:.1} ms"))),
            Cell::or_dash((!ports.is_empty()).then(|| ports.join(" "))),
            Cell::new(&x.client),
            Cell::new(&x.fingerprint),
        ]);
    }
    out.table(&table).await?;
    Ok(Exit::Done)
}

/// `visitors [PORT]`
pub(super) async fn visitors(client: &Client, out: &mut Out<'_>, port: Option<Port>) -> Result<Exit, Fail> {
    let visitors = match client.request(Request::Visitors { port }).await? {
        Reply::Visitors { visitors } => visitors,
        other => return Err(unexpected(&other).into()),
    };
    if out.json {
        out.json(&visitors).await?;
        return Ok(Exit::Done);
    }
    let head = ["VISITOR", "PORT", "SOURCE", "OPERATOR", "SINCE", "TO HOST", "FROM HOST", "WAITING", "NOTE"];
    let mut table = Table::new(&head);
    // The reply has no clock of the daemon's; the ages of a visitor are not worth a second request.
    let at = now();
    for v in &visitors {
        table.row(vec![
            Cell::new(v.id),
            Cell::number(v.port),
            Cell::new(v.source),
            Cell::or_dash(v.operator.as_ref()),
            Cell::number(age(at, v.since)),
            Cell::number(bytes(v.bytes_to_host)),
            Cell::number(bytes(v.bytes_to_visitor)),
            Cell::number(bytes(v.buffered)).tone(if v.buffered >= BEHIND { Tone::Warn } else { Tone::Plain }),
            Cell::new(slowed(v)).tone(if v.holding { Tone::Bad } else { Tone::Plain }),
        ]);
    }
    out.table(&table).await?;
    Ok(Exit::Done)
}

/// What a visitor costs its host's session.
fn slowed(v: &VisitorView) -> String {
    let held = TimeDelta::milliseconds(i64::try_from(v.held_ms).unwrap_or(i64::MAX));
    match (v.holding, v.held_ms) {
        (true, _) => format!("slows its session, {} in all", span(held)),
        (false, 0) => String::new(),
        (false, _) => format!("has slowed its session for {}", span(held)),
    }
}

/// `metrics`
pub(super) async fn metrics(client: &Client, out: &mut Out<'_>, tunnels: bool) -> Result<Exit, Fail> {
    let metrics = match client.request(Request::Metrics { tunnels }).await? {
        Reply::Metrics(metrics) => metrics,
        other => return Err(unexpected(&other).into()),
    };
    if out.json {
        out.json(&*metrics).await?;
    } else {
        out.text(&crate::cli::metrics::text(&metrics)).await?;
    }
    Ok(Exit::Done)
}
