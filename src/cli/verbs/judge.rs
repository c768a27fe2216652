//! Verbs that judge: explain and check. Their exit code says which way.

use crate::cli::exit::Exit;
use crate::cli::human::count;
use crate::cli::out::{Fail, Out};
use crate::cli::table::Tone;
use crate::control::client::{Client, unexpected};
use crate::control::protocol::{Explanation, Reply, Request};
use crate::model::clean;

/// Longest sentence shown.
const SENTENCE: usize = 2_000;

/// `explain KEY|HOST [PORT]`
pub(super) async fn explain(client: &Client, out: &mut Out<'_>, who: &str, port: Option<u32>) -> Result<Exit, Fail> {
    let answer = match client.request(Request::Explain { who: who.to_owned(), port }).await? {
        Reply::Explained(e) => e,
        other => return Err(unexpected(&other).into()),
    };
    show_explanation(out, &answer).await
}

/// Writes whether something would be allowed and why, and says by the exit code which way.
pub(super) async fn show_explanation(out: &mut Out<'_>, answer: &Explanation) -> Result<Exit, Fail> {
    let exit = if answer.allowed { Exit::Done } else { Exit::NotOk };
    if out.json {
        out.json(answer).await?;
        return Ok(exit);
    }
    let mut text = String::new();
    for step in &answer.steps {
        text.push_str(&format!("  {}\n", clean(step, SENTENCE)));
    }
    let port = answer.port.map(|p| format!(", port {p}")).unwrap_or_default();
    let (tone, word) = if answer.allowed { (Tone::Good, "✓ allowed") } else { (Tone::Bad, "✗ refused") };
    text.push_str(&format!("{}: {}\n", out.paint(tone, &format!("{word}{port}")), clean(&answer.rule, SENTENCE)));
    out.text(&text).await?;
    Ok(exit)
}

/// `check`
pub(super) async fn check(client: &Client, out: &mut Out<'_>) -> Result<Exit, Fail> {
    match client.request(Request::Check).await? {
        Reply::Checked { findings } => show_findings(out, &findings).await,
        other => Err(unexpected(&other).into()),
    }
}

/// Writes findings, and says by the exit code whether there are any.
pub(in crate::cli) async fn show_findings(out: &mut Out<'_>, findings: &[String]) -> Result<Exit, Fail> {
    let exit = if findings.is_empty() { Exit::Done } else { Exit::NotOk };
    if out.json {
        out.json(findings).await?;
        return Ok(exit);
    }
    let mut text: String =
        findings.iter().map(|f| format!("{} {}\n", out.paint(Tone::Warn, "!"), clean(f, SENTENCE))).collect();
    text.push_str(&match findings.len() {
        0 => format!("{}\n", out.paint(Tone::Good, "✓ no findings")),
        n => format!("{}\n", count(n, "finding")),
    });
    out.text(&text).await?;
    Ok(exit)
}

/// Writes what became of the proof, and says by the exit code which way.
pub(in crate::cli) async fn show_verified(out: &mut Out<'_>, ok: bool, summary: &str) -> Result<Exit, Fail> {
    let exit = if ok { Exit::Done } else { Exit::NotOk };
    if out.json {
        out.json(&serde_json::json!({ "ok": ok, "summary": summary })).await?;
        return Ok(exit);
    }
    let (tone, word) = if ok { (Tone::Good, "✓ ok") } else { (Tone::Bad, "✗ broken") };
    let line = format!("{}: {}\n", out.paint(tone, word), clean(summary, SENTENCE));
    out.text(&line).await?;
    Ok(exit)
}
