//! `audit`: search, follow, verify.

use super::judge::show_verified;
use crate::audit::{Actor, AuditQuery, Outcome, Record};
use crate::cli::args::{AuditArgs, AuditCommand};
use crate::cli::exit::Exit;
use crate::cli::human::moment;
use crate::cli::out::{Fail, Out};
use crate::cli::table::Tone;
use crate::control::client::{Client, ClientError, unexpected};
use crate::control::protocol::{Push, Reply, Request};
use crate::model::{Seq, clean};
use tokio::sync::mpsc;

/// `audit …`
pub(super) async fn audit(client: &Client, out: &mut Out<'_>, args: &AuditArgs) -> Result<Exit, Fail> {
    if let Some(AuditCommand::Verify { .. }) = args.command {
        if args.searches() {
            let why =
                "verify proves the whole journal: leave the search options away, or search for the word with -- verify";
            return Err(Fail::Usage(why.to_owned()));
        }
        return match client.request(Request::AuditVerify).await? {
            Reply::Verified { ok, summary } => show_verified(out, ok, &summary).await,
            other => Err(unexpected(&other).into()),
        };
    }
    if args.follow {
        return follow(client, out, args.query()).await;
    }
    let (records, more) = search(client, args.query()).await?;
    for r in &records {
        line(out, r).await?;
    }
    if more && !out.json {
        let first = records.first().map(|r| format!("; page back with --before {}", r.seq)).unwrap_or_default();
        out.remark(&format!("older events match too{first}, or raise --limit\n")).await?;
    }
    Ok(Exit::Done)
}

async fn search(client: &Client, query: AuditQuery) -> Result<(Vec<Record>, bool), Fail> {
    match client.request(Request::Audit(query)).await? {
        Reply::Records { records, more } => Ok((records, more)),
        other => Err(unexpected(&other).into()),
    }
}

/// Shows what matches already, then what comes, each record once and in order. Ends when nobody reads or the
/// daemon goes.
async fn follow(client: &Client, out: &mut Out<'_>, query: AuditQuery) -> Result<Exit, Fail> {
    // Subscribed before the search, so that nothing falls between the two.
    let mut pushes = client.subscribe(None).await?;
    let mut last = match pushes.recv().await {
        Some(Push::Snapshot(s)) => s.daemon.audit.seq,
        _ => return Err(gone()),
    };
    let mut waiting = Vec::new();
    let (records, _) = meanwhile(search(client, query.clone()), &mut pushes, &mut waiting).await?;
    show(out, &query, &records, &mut last, true).await?;
    loop {
        let push = if waiting.is_empty() { pushes.recv().await } else { Some(waiting.remove(0)) };
        let (events, missed) = match push {
            Some(Push::Delta(d)) => (d.events, d.events_missed),
            Some(Push::Snapshot(s)) => (s.events, 0),
            None => return Err(gone()),
        };
        if missed > 0 {
            // Too many at once to be pushed; the journal has them all.
            let query = AuditQuery { after: Some(last), limit: Some(100_000), ..query.clone() };
            let (records, _) = meanwhile(search(client, query.clone()), &mut pushes, &mut waiting).await?;
            show(out, &query, &records, &mut last, false).await?;
        }
        show(out, &query, &events, &mut last, false).await?;
    }
}

fn gone() -> Fail {
    Fail::Client(ClientError::Closed(" (while following)".to_owned()))
}

/// Waits for the answer and keeps what is pushed in the meantime: the two share a stream, so that pushes not taken
/// would hold the answer up.
async fn meanwhile<T>(
    answer: impl Future<Output = T>,
    pushes: &mut mpsc::Receiver<Push>,
    waiting: &mut Vec<Push>,
) -> T {
    tokio::pin!(answer);
    loop {
        tokio::select! {
            value = &mut answer => return value,
            Some(push) = pushes.recv() => waiting.push(push),
        }
    }
}

/// Writes those records that match and have not been written, and remembers how far it came.
async fn show(
    out: &mut Out<'_>,
    query: &AuditQuery,
    records: &[Record],
    last: &mut Seq,
    all: bool,
) -> Result<(), Fail> {
    for r in records {
        if all || (r.seq > *last && query.matches(r)) {
            line(out, r).await?;
        }
        *last = r.seq.max(*last);
    }
    Ok(())
}

async fn line(out: &mut Out<'_>, r: &Record) -> Result<(), Fail> {
    if out.json {
        return out.json(r).await;
    }
    let text = text(out, r);
    out.text(&text).await
}

/// `SEQ TIME OUTCOME EVENT ACTOR key=value… reason`
fn text(out: &Out<'_>, r: &Record) -> String {
    let c = &r.event.context;
    let (glyph, tone) = match r.event.outcome {
        Outcome::Success => ("✓ success", Tone::Good),
        Outcome::Refused => ("⊘ refused", Tone::Warn),
        Outcome::Failure => ("✗ failure", Tone::Bad),
    };
    let actor = match &r.event.actor {
        Actor::Operator(n) => format!("operator {n}"),
        Actor::Host(n) => format!("host {n}"),
        Actor::Visitor => "visitor".to_owned(),
        Actor::Unknown => "unknown".to_owned(),
        Actor::Daemon => "daemon".to_owned(),
    };
    let fields = [
        ("host", c.host.as_ref().map(ToString::to_string)),
        ("team", c.team.as_ref().map(ToString::to_string)),
        ("port", c.port.map(|p| p.to_string())),
        ("source", c.source.map(|a| a.to_string())),
        ("user", c.user.clone()),
        ("key", c.fingerprint.clone()),
        ("session", c.session.map(|s| s.to_string())),
        ("visitor", c.visitor.map(|v| v.to_string())),
        ("rule", c.rule.as_ref().map(|x| format!("{x:?}"))),
        ("reason", c.reason.as_ref().map(|x| format!("{x:?}"))),
    ];
    let mut fields: Vec<String> =
        fields.into_iter().filter_map(|(k, v)| v.map(|v| format!("{k}={}", clean(&v, 300)))).collect();
    fields.extend(particulars(r));
    format!(
        "{:>6} {} {} {:<18} {} {}\n",
        r.seq,
        moment(r.at),
        out.paint(tone, glyph),
        r.event.name(),
        clean(&actor, 80),
        fields.join(" ")
    )
}

/// The fields of this kind of event, as the journal names them.
fn particulars(r: &Record) -> Vec<String> {
    let Ok(serde_json::Value::Object(map)) = serde_json::to_value(&r.event.what) else { return Vec::new() };
    let shown = map.into_iter().filter(|(k, _)| k != "event").map(|(k, v)| match v {
        serde_json::Value::String(s) => format!("{k}={}", clean(&s, 300)),
        other => format!("{k}={}", clean(&other.to_string(), 300)),
    });
    shown.collect()
}
