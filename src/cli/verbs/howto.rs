//! `howto`: what a host needs to dial in.

use crate::cli::exit::Exit;
use crate::cli::out::{Fail, Out};
use crate::cli::table::Tone;
use crate::control::client::{Client, unexpected};
use crate::control::howto::{Format, HowTo};
use crate::control::protocol::{Reply, Request};
use crate::model::BlockTarget;
use serde::Serialize;

#[derive(Debug, Serialize)]
struct Answer<'a> {
    #[serde(flatten)]
    facts: &'a HowTo,
    ssh: String,
    config: String,
    systemd: String,
    known_hosts: String,
    remarks: Vec<String>,
}

/// `howto HOST|PORT`
pub(super) async fn howto(client: &Client, out: &mut Out<'_>, of: &BlockTarget, format: Format) -> Result<Exit, Fail> {
    let facts = match client.request(Request::HowTo { of: of.clone() }).await? {
        Reply::HowTo(h) => h,
        other => return Err(unexpected(&other).into()),
    };
    if out.json {
        let text = |f: Format| facts.text(f);
        let answer = Answer {
            ssh: facts.command(),
            config: text(Format::Config),
            systemd: text(Format::Systemd),
            known_hosts: text(Format::KnownHosts),
            remarks: facts.remarks(),
            facts: &facts,
        };
        out.json(&answer).await?;
        return Ok(Exit::Done);
    }
    // Apart from the text, so that it can go into a file as it is.
    for remark in facts.remarks() {
        let line = format!("{} {remark}\n", out.paint(Tone::Dim, "#"));
        out.remark(&line).await?;
    }
    out.text(&facts.text(format)).await?;
    Ok(Exit::Done)
}
