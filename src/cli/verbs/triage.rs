//! `triage`: what is wrong, by probable cause. Its exit code says whether anything is.

use crate::cli::exit::Exit;
use crate::cli::human::{age, count};
use crate::cli::out::{Fail, Out};
use crate::cli::table::Tone;
use crate::control::client::{Client, unexpected};
use crate::control::protocol::{Reply, Request};
use crate::model::{Incident, Severity, Time, clean};
use crate::triage::alarms;
use serde::Serialize;

/// Longest sentence shown.
const SENTENCE: usize = 2_000;
/// Ports named in a line.
const PORTS: usize = 8;

#[derive(Debug, Serialize)]
struct Answer<'a> {
    at: Time,
    incidents: &'a [Incident],
}

/// `triage`
pub(super) async fn triage(client: &Client, out: &mut Out<'_>) -> Result<Exit, Fail> {
    let (at, incidents) = match client.request(Request::Triage).await? {
        Reply::Triaged { at, incidents } => (at, incidents),
        other => return Err(unexpected(&other).into()),
    };
    let exit = if alarms(&incidents) == 0 { Exit::Done } else { Exit::NotOk };
    if out.json {
        out.json(&Answer { at, incidents: &incidents }).await?;
        return Ok(exit);
    }
    let mut text: String = incidents.iter().map(|i| paragraph(i, at, out)).collect();
    if exit == Exit::Done {
        text.push_str(&format!("{}\n", out.paint(Tone::Good, "✓ all well")));
    }
    out.text(&text).await?;
    Ok(exit)
}

fn paragraph(i: &Incident, at: Time, out: &Out<'_>) -> String {
    let (glyph, tone) = match i.severity {
        _ if i.muted.is_some() => ("z", Tone::Dim),
        Severity::Down => ("✗", Tone::Bad),
        Severity::Warning => ("!", Tone::Warn),
        Severity::Note => ("·", Tone::Dim),
    };
    let head = out.paint(tone, &format!("{glyph} {}", i.severity));
    let mut text = format!(
        "{head}  {}: {}, {}  ({})\n",
        clean(&i.what, 100),
        clean(&i.likely, 200),
        age(at, i.since),
        clean(&i.id, 200)
    );
    if let Some(m) = &i.muted {
        let until = m.until.format("%Y-%m-%d %H:%M:%SZ");
        text.push_str(&format!("    muted until {until} by {}: {}\n", clean(&m.by, 100), clean(&m.reason, SENTENCE)));
    }
    text.push_str(&format!("    {}\n", clean(&i.evidence, SENTENCE)));
    text.push_str(&format!("    hits: {}\n", clean(&hits(i), SENTENCE)));
    for n in &i.next {
        let run = n.run.as_ref().map(|r| format!("{}  ", clean(r, 200))).unwrap_or_default();
        // Keys are the console's.
        if !run.is_empty() || n.key.is_empty() {
            text.push_str(&format!(
                "    next: {run}{}{}\n",
                if run.is_empty() { "" } else { "# " },
                clean(&n.what, 200)
            ));
        }
    }
    text
}

fn hits(i: &Incident) -> String {
    let mut parts = vec![count(i.tunnels, "tunnel"), count(i.hosts, "host")];
    let join = |all: Vec<String>| all.join(" ");
    if !i.blast.teams.is_empty() {
        parts.push(format!("team {}", join(i.blast.teams.iter().map(ToString::to_string).collect())));
    }
    if !i.blast.ports.is_empty() {
        let more = if i.tunnels > PORTS { " …" } else { "" };
        parts
            .push(format!("ports {}{more}", join(i.blast.ports.iter().take(PORTS).map(ToString::to_string).collect())));
    }
    if i.blast.visitors_cut > 0 {
        parts.push(format!("{} cut", count(usize::try_from(i.blast.visitors_cut).unwrap_or(usize::MAX), "visitor")));
    }
    if i.blast.visitors_now > 0 {
        parts.push(format!("{} now", count(usize::try_from(i.blast.visitors_now).unwrap_or(usize::MAX), "visitor")));
    }
    parts.join(", ")
}
