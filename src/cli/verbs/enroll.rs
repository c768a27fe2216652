//! `enroll`: a lease for a host, where it has none, and the script that brings its tunnels up.

use crate::cli::exit::Exit;
use crate::cli::out::{Fail, Out};
use crate::cli::table::Tone;
use crate::control::client::{Client, unexpected};
use crate::control::howto::HowTo;
use crate::control::protocol::{Action, Outcome, Reply, Request};
use crate::model::{BlockTarget, HostName, Port, TunnelView};
use serde::Serialize;

/// What is asked for.
#[derive(Debug)]
pub(super) struct Wanted<'a> {
    pub(super) host: &'a HostName,
    pub(super) port: Option<Port>,
    pub(super) service: Option<&'a String>,
    pub(super) reason: Option<&'a String>,
}

#[derive(Debug, Serialize)]
struct Answer<'a> {
    #[serde(flatten)]
    facts: &'a HowTo,
    assigned: Option<Outcome>,
    script: String,
}

/// `enroll HOST [--port PORT] [--service NAME]`
pub(super) async fn enroll(client: &Client, out: &mut Out<'_>, wanted: Wanted<'_>) -> Result<Exit, Fail> {
    let snapshot = client.snapshot().await?;
    let has = |t: &TunnelView| {
        t.lease.host == *wanted.host
            && wanted.port.is_none_or(|p| t.lease.port == p)
            && wanted.service.is_none_or(|s| t.lease.service.as_ref() == Some(s))
    };
    let mut assigned = None;
    if !snapshot.tunnels.iter().any(has) {
        let action = Action::Assign {
            host: wanted.host.clone(),
            port: wanted.port,
            service: wanted.service.cloned(),
            until: None,
            reason: wanted.reason.cloned(),
        };
        assigned = match client.request(Request::Act(action)).await? {
            Reply::Done(outcome) if outcome.proposal.is_some() => {
                out.remark(&format!("{}; then run this again\n", outcome.summary)).await?;
                return Ok(Exit::NotOk);
            }
            Reply::Done(outcome) => Some(outcome),
            other => return Err(unexpected(&other).into()),
        };
    }
    let facts = match client.request(Request::HowTo { of: BlockTarget::Host(wanted.host.clone()) }).await? {
        Reply::HowTo(h) => h,
        other => return Err(unexpected(&other).into()),
    };
    let script = facts.script();
    if out.json {
        out.json(&Answer { facts: &facts, assigned, script }).await?;
        return Ok(Exit::Done);
    }
    // Apart from the script, so that it can go into a file as it is.
    let done = assigned.map(|a| format!("{} (event {})", a.summary, a.seq));
    for remark in done.into_iter().chain(facts.remarks()) {
        let line = format!("{} {remark}\n", out.paint(Tone::Dim, "#"));
        out.remark(&line).await?;
    }
    out.text(&script).await?;
    Ok(Exit::Done)
}
