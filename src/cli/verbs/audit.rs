//! `audit`: search, follow, verify, checkpoint.

use super::judge::show_verified;
use crate::audit::{Actor, AuditQuery, Outcome, Record, ocsf};
use crate::cli::args::{AuditArgs, AuditCommand, DEFAULT_LIMIT};
use crate::cli::exit::Exit;
use crate::cli::human::moment;
use crate::cli::out::{Fail, Out};
use crate::cli::table::Tone;
use crate::control::client::{Client, ClientError, unexpected};
use crate::control::protocol::{Push, Reply, Request};
use crate::model::{Seq, bytes, clean};
use crate::ui::{Lang, sentence};
use tokio::sync::mpsc;

/// How long the daemon searches before it says how far it came, milliseconds.
const SLICE_MS: u32 = 400;

/// `audit …`
pub(super) async fn audit(client: &Client, out: &mut Out<'_>, args: &AuditArgs) -> Result<Exit, Fail> {
    if args.command.is_some() && args.searches() {
        let why = "verify and checkpoint are about the whole journal: leave the search options away, or search for the \
                   word with -- verify";
        return Err(Fail::Usage(why.to_owned()));
    }
    match args.command {
        Some(AuditCommand::Verify { .. }) => {
            return match client.request(Request::AuditVerify).await? {
                Reply::Verified { ok, summary } => show_verified(out, ok, &summary).await,
                other => Err(unexpected(&other).into()),
            };
        }
        Some(AuditCommand::Checkpoint) => {
            let checkpoint = match client.request(Request::Checkpoint).await? {
                Reply::Checkpoint(c) => c,
                other => return Err(unexpected(&other).into()),
            };
            if out.json {
                out.json(&checkpoint).await?;
            } else {
                out.text(&checkpoint.to_string()).await?;
            }
            return Ok(Exit::Done);
        }
        None => {}
    }
    if args.follow {
        return follow(client, out, args.query(), args.ocsf).await;
    }
    let (records, more) = search(client, out, args.query()).await?;
    for r in &records {
        line(out, r, args.ocsf).await?;
    }
    if more && !out.json {
        let first = records.first().map(|r| format!("; page back with --before {}", r.seq)).unwrap_or_default();
        out.remark(&format!("there may be older events that match{first}, or raise --limit\n")).await?;
    }
    Ok(Exit::Done)
}

/// Asks piece by piece, newest first, until there are as many as wanted; says how far it came where somebody waits.
/// Whether older ones may match too.
async fn search(client: &Client, out: &mut Out<'_>, mut query: AuditQuery) -> Result<(Vec<Record>, bool), Fail> {
    let wanted = query.limit.unwrap_or(DEFAULT_LIMIT).clamp(1, 100_000);
    let mut records: Vec<Record> = Vec::new();
    let mut told = false;
    loop {
        query.limit = Some(wanted - records.len());
        let request = Request::Search { query: Box::new(query.clone()), slice_ms: Some(SLICE_MS) };
        let found = match client.request(request).await? {
            Reply::Found(found) => found,
            other => return Err(unexpected(&other).into()),
        };
        let mut all = found.records;
        all.append(&mut records);
        records = all;
        let done = found.next.is_none() || records.len() >= wanted;
        if out.can_ask() && !out.json && (told || !done) {
            told = !done;
            let p = found.progress;
            let text = format!("searched {} of {}, {} found", bytes(p.bytes_done), bytes(p.bytes), records.len());
            // Written over by the next, and wiped at the end.
            out.remark(&format!("\r\x1b[K{}", if done { "" } else { &text })).await?;
        }
        if done {
            return Ok((records, found.next.is_some()));
        }
        query.before = found.next;
    }
}

/// Shows what matches already, then what comes, each record once and in order. Ends when nobody reads or the
/// daemon goes.
async fn follow(client: &Client, out: &mut Out<'_>, query: AuditQuery, as_ocsf: bool) -> Result<Exit, Fail> {
    // Subscribed before the search, so that nothing falls between the two.
    let mut pushes = client.subscribe(None).await?;
    let mut last = match pushes.recv().await {
        Some(Push::Snapshot(s)) => s.daemon.audit.seq,
        _ => return Err(gone()),
    };
    let mut waiting = Vec::new();
    let (records, _) = meanwhile(search(client, out, query.clone()), &mut pushes, &mut waiting).await?;
    show(out, &query, &records, &mut last, true, as_ocsf).await?;
    loop {
        let push = if waiting.is_empty() { pushes.recv().await } else { Some(waiting.remove(0)) };
        let (events, missed) = match push {
            Some(Push::Delta(d)) => (d.events, d.events_missed),
            Some(Push::Snapshot(s)) => (s.events, 0),
            Some(Push::Rows(_)) => continue,
            Some(Push::Goodbye(why)) => return Err(Fail::Client(ClientError::Closed(format!(": {why}")))),
            None => return Err(gone()),
        };
        if missed > 0 {
            // Too many at once to be pushed; the journal has them all.
            let query = AuditQuery { after: Some(last), limit: Some(100_000), ..query.clone() };
            let (records, _) = meanwhile(search(client, out, query.clone()), &mut pushes, &mut waiting).await?;
            show(out, &query, &records, &mut last, false, as_ocsf).await?;
        }
        show(out, &query, &events, &mut last, false, as_ocsf).await?;
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
    as_ocsf: bool,
) -> Result<(), Fail> {
    for r in records {
        if all || (r.seq > *last && query.matches(r)) {
            line(out, r, as_ocsf).await?;
        }
        *last = r.seq.max(*last);
    }
    Ok(())
}

async fn line(out: &mut Out<'_>, r: &Record, as_ocsf: bool) -> Result<(), Fail> {
    if as_ocsf {
        return match ocsf(r) {
            Some(event) => out.json(&event).await,
            None => Ok(()),
        };
    }
    if out.json {
        return out.json(r).await;
    }
    let text = text(out, r);
    out.text(&text).await
}

/// `SEQ TIME OUTCOME EVENT ACTOR: what happened, in a sentence; key=value…`
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
        ("via", c.via.clone()),
    ];
    let fields: Vec<String> =
        fields.into_iter().filter_map(|(k, v)| v.map(|v| format!("{k}={}", clean(&v, 300)))).collect();
    let gap = if fields.is_empty() { "" } else { "  " };
    format!(
        "{:>6} {} {} {:<18} {}: {}{gap}{}\n",
        r.seq,
        moment(r.at),
        out.paint(tone, glyph),
        r.event.name(),
        clean(&actor, 80),
        clean(&sentence::told(Lang::En, r), 600),
        fields.join(" ")
    )
}
