//! `ports`: each team's ranges, who holds what, what is free.

use super::show::{note, state_cell};
use crate::cli::exit::Exit;
use crate::cli::human::{age, moment};
use crate::cli::out::{Fail, Out};
use crate::cli::table::{Cell, Table, Tone};
use crate::control::client::{Client, ClientError};
use crate::control::protocol::{ApiError, ErrorCode, Snapshot};
use crate::model::{
    BlockTarget, Forecast, LeaseKind, LeaseView, Port, PortRange, ReservationView, TeamName, TeamView, TunnelState,
    TunnelView, clean, forecast,
};
use serde::Serialize;
use std::collections::BTreeSet;

#[derive(Debug, Serialize)]
struct TeamPorts<'a> {
    team: &'a TeamName,
    ranges: &'a [PortRange],
    /// Ports of the ranges.
    size: usize,
    /// Of them leased, as the daemon counts.
    leased: usize,
    /// Of them neither leased nor blocked, as far as one may see.
    free: usize,
    next_free: Option<Port>,
    /// Of the ports that are taken, in per cent.
    used_percent: usize,
    /// When the ranges are full, as far as leases tell.
    forecast: Option<Ahead>,
    reserved: &'a [ReservationView],
    leases: Vec<Lease<'a>>,
}

#[derive(Debug, Serialize)]
struct Ahead {
    per_week: f64,
    days: f64,
}

#[derive(Debug, Serialize)]
struct Lease<'a> {
    #[serde(flatten)]
    lease: &'a LeaseView,
    state: TunnelState,
    #[serde(skip)]
    row: &'a TunnelView,
}

/// `ports [TEAM]`
pub(super) async fn ports(client: &Client, out: &mut Out<'_>, team: Option<&TeamName>) -> Result<Exit, Fail> {
    let s = client.snapshot().await?;
    let teams: Vec<TeamPorts<'_>> =
        s.teams.iter().filter(|t| team.is_none_or(|name| t.name == *name)).map(|t| team_ports(&s, t)).collect();
    if let (Some(name), true) = (team, teams.is_empty()) {
        let names: Vec<&str> = s.teams.iter().map(|t| t.name.as_str()).collect();
        let message = format!("there is no team {name}, or it is not yours to see; there are: {}", names.join(", "));
        return Err(ClientError::Api(ApiError::new(ErrorCode::NotFound, message)).into());
    }
    if out.json {
        out.json(&teams).await?;
        return Ok(Exit::Done);
    }
    for (n, t) in teams.iter().enumerate() {
        if n > 0 {
            out.text("\n").await?;
        }
        let ranges: Vec<String> = t.ranges.iter().map(ToString::to_string).collect();
        let next = t.next_free.map_or_else(|| "none left".to_owned(), |p| format!("next {p}"));
        let name = out.paint(Tone::Head, t.team.as_str());
        let reserved = if t.reserved.is_empty() { String::new() } else { format!(", {} reserved", t.reserved.len()) };
        let ahead = t.forecast.as_ref().map(|f| Forecast { per_week: f.per_week, days: f.days });
        let ahead =
            ahead.map(|f| format!(", {}", crate::ui::text::forecast(crate::ui::Lang::En, &f))).unwrap_or_default();
        let line = format!(
            "{name}  {}  {} of {} leased{reserved} ({}%), {} free, {next}{ahead}\n",
            ranges.join(" "),
            t.leased,
            t.size,
            t.used_percent,
            t.free
        );
        out.text(&line).await?;
        for r in t.reserved {
            let (by, reason) = (clean(&r.by, 80), clean(&r.reason, 300));
            out.text(&format!("  {} reserved until {} by {by}: {reason}\n", r.port, moment(r.until))).await?;
        }
        if t.leases.is_empty() {
            continue;
        }
        let mut table = Table::new(&["PORT", "HOST", "SERVICE", "KIND", "STATE", "LEASED", "BY", "WHY", "NOTE"]);
        for l in &t.leases {
            table.row(vec![
                Cell::number(l.lease.port),
                Cell::new(&l.lease.host),
                Cell::or_dash(l.lease.service.as_ref()),
                Cell::new(
                    l.lease
                        .until
                        .map_or_else(|| l.lease.kind.to_string(), |t| format!("{} until {}", l.lease.kind, moment(t))),
                ),
                state_cell(l.state),
                Cell::number(age(s.at, l.lease.since)),
                Cell::new(&l.lease.by),
                Cell::or_dash(l.lease.reason.as_ref()),
                Cell::new(note(l.row)),
            ]);
        }
        out.table(&table).await?;
    }
    Ok(Exit::Done)
}

fn team_ports<'a>(s: &'a Snapshot, team: &'a TeamView) -> TeamPorts<'a> {
    // A port of the range may be held by another team's host after the configuration moved: it is taken all the same.
    let blocked = s.daemon.revocations.iter().filter_map(|r| match r.target {
        BlockTarget::Port(p) => Some(p),
        _ => None,
    });
    let reserved = team.reserved.iter().map(|r| r.port);
    let taken: BTreeSet<Port> = s.tunnels.iter().map(|t| t.lease.port).chain(blocked).chain(reserved).collect();
    let all = || team.ranges.iter().flat_map(|r| r.iter());
    let mut free = all().filter(|p| !taken.contains(p));
    let next_free = free.next();
    let leases = s.tunnels.iter().filter(|t| t.lease.team == team.name);
    let free = usize::from(next_free.is_some()) + free.count();
    let inside = |t: &&TunnelView| team.ranges.iter().any(|r| r.contains(t.lease.port));
    let given = s.tunnels.iter().filter(inside).filter(|t| t.lease.kind != LeaseKind::Fixed);
    let ahead = forecast(given.map(|t| t.lease.since), free, s.at);
    let size = all().count();
    TeamPorts {
        team: &team.name,
        ranges: &team.ranges,
        size,
        leased: team.leased,
        free,
        next_free,
        used_percent: (size.saturating_sub(free) * 100).checked_div(size).unwrap_or(0),
        forecast: ahead.map(|f| Ahead { per_week: f.per_week, days: f.days }),
        reserved: &team.reserved,
        leases: leases.map(|row| Lease { lease: &row.lease, state: row.state, row }).collect(),
    }
}
