//! `grants`: what is given until a time.

use crate::cli::exit::Exit;
use crate::cli::human::{moment, span};
use crate::cli::out::{Fail, Out};
use crate::cli::table::{Cell, Table};
use crate::control::client::Client;
use crate::model::{GrantView, HostName, LeaseView, Port, TeamName, Time};
use serde::Serialize;

#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Given<'a> {
    Granted(&'a GrantView),
    Lent(Lent<'a>),
}

/// A lease until a time.
#[derive(Debug, Serialize)]
struct Lent<'a> {
    kind: &'static str,
    port: Port,
    host: &'a HostName,
    team: &'a TeamName,
    service: &'a Option<String>,
    by: &'a str,
    since: Time,
    until: Time,
    reason: &'a Option<String>,
}

impl<'a> Lent<'a> {
    fn of(l: &'a LeaseView) -> Option<Self> {
        let LeaseView { port, host, team, service, kind: _, since, until, by, reason } = l;
        let (kind, port, since, until) = ("lease", *port, *since, (*until)?);
        Some(Self { kind, port, host, team, service, by, since, until, reason })
    }
}

impl Given<'_> {
    fn until(&self) -> Time {
        match self {
            Self::Granted(g) => g.until,
            Self::Lent(l) => l.until,
        }
    }
}

/// `grants`
pub(super) async fn grants(client: &Client, out: &mut Out<'_>) -> Result<Exit, Fail> {
    let s = client.snapshot().await?;
    let lent = s.tunnels.iter().filter_map(|t| Lent::of(&t.lease)).map(Given::Lent);
    let mut all: Vec<Given<'_>> = s.daemon.grants.iter().map(Given::Granted).chain(lent).collect();
    // What ends first is what one looks for.
    all.sort_by_key(Given::until);
    if out.json {
        out.json(&all).await?;
        return Ok(Exit::Done);
    }
    let mut table = Table::new(&["GRANT", "WHAT", "UNTIL", "LEFT", "BY", "WHY"]);
    for given in &all {
        let (id, what, by, why) = match given {
            Given::Granted(g) => (Some(g.id), g.what.to_string(), g.by.as_str(), Some(&g.reason)),
            Given::Lent(l) => (None, format!("port {} to host {}", l.port, l.host), l.by, l.reason.as_ref()),
        };
        table.row(vec![
            Cell::or_dash(id),
            Cell::new(what),
            Cell::new(moment(given.until())),
            Cell::number(span(given.until() - s.at)),
            Cell::new(by),
            Cell::or_dash(why),
        ]);
    }
    out.table(&table).await?;
    if all.iter().any(|g| matches!(g, Given::Lent(_))) {
        out.remark("a lease ends before its time by portreeve release PORT, all else by portreeve ungrant GRANT\n")
            .await?;
    }
    Ok(Exit::Done)
}
