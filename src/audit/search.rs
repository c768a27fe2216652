//! Searching the journal's files, newest first.

use super::files::{self, RevLines};
use super::{About, AuditError, AuditQuery, Record};
use crate::model::{Seq, Time};
use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::Path;

/// Records given out when the query sets no limit.
const LIMIT: usize = 1_000;
/// Records given out at most.
const LIMIT_MAX: usize = 100_000;

/// The newest records that match, oldest first, and whether more matched than the query's limit. It needs no daemon, and
/// a daemon may be appending. A line that is no record (torn, or changed) is passed over: [`super::verify()`] names it.
///
/// # Errors
/// [`AuditError`] when the folder or a file cannot be read.
pub fn query_dir(dir: &Path, query: &AuditQuery) -> Result<(Vec<Record>, bool), AuditError> {
    let limit = query.limit.unwrap_or(LIMIT).clamp(1, LIMIT_MAX);
    let sieve = Sieve::new(query);
    let mut found = Vec::new();
    for day in files::list(dir)?.iter().rev() {
        // A file never holds a record of a later day than its own, so older files have nothing to give.
        if query.since.is_some_and(|t| day.day < files::day_of(t)) {
            break;
        }
        let first = if query.before.is_some() || query.after.is_some() { first_seq(&day.path) } else { None };
        if query.before.is_some_and(|b| first.is_some_and(|first| first >= b)) {
            continue;
        }
        let mut lines = RevLines::open(&day.path).map_err(AuditError::file(&day.path, "opened"))?;
        while let Some(line) = lines.next().map_err(AuditError::file(&day.path, "read"))? {
            if !line.ended || !sieve.may_match(&line.bytes) {
                continue;
            }
            let Ok(record) = serde_json::from_slice::<Record>(&line.bytes) else { continue };
            if query.matches(&record) {
                if found.len() == limit {
                    found.reverse();
                    return Ok((found, true));
                }
                found.push(record);
            } else if query.after.is_some_and(|a| record.seq <= a) {
                break;
            }
        }
        if query.after.is_some_and(|a| first.is_some_and(|first| first <= a)) {
            break;
        }
    }
    found.reverse();
    Ok((found, false))
}

fn first_seq(path: &Path) -> Option<Seq> {
    let mut line = Vec::new();
    let read: io::Result<usize> = File::open(path).and_then(|f| BufReader::new(f).read_until(b'\n', &mut line));
    read.ok()?;
    super::chain::Link::read(&line).map(|l| l.seq)
}

/// What a matching line must look like: most lines are passed over without being parsed.
struct Sieve {
    exact: Vec<String>,
    /// Of each of these lists one text at least.
    any: Vec<Vec<String>>,
    text: Option<String>,
    since: Option<String>,
    until: Option<String>,
}

impl Sieve {
    fn new(query: &AuditQuery) -> Self {
        let mut exact = Vec::new();
        let mut any = Vec::new();
        if let Some(event) = &query.event {
            any.push(event.split(',').map(|e| format!("\"event\":\"{}", e.trim().trim_end_matches('.'))).collect());
        }
        let traces: Option<Vec<Vec<String>>> = query.about.iter().map(About::traces).collect();
        any.extend(traces.map(|t| t.concat()).filter(|t| !t.is_empty()));
        // Names have no character that JSON escapes.
        exact.extend(query.host.as_ref().map(|h| format!("\"host\":\"{h}\"")));
        exact.extend(query.team.as_ref().map(|t| format!("\"team\":\"{t}\"")));
        exact.extend(query.port.map(|p| format!("\"port\":{p}")));
        // Whole seconds only: text of RFC 3339 sorts like time as long as no fraction is compared.
        let second = |t: Time| t.format("%Y-%m-%dT%H:%M:%S").to_string();
        Self {
            exact,
            any,
            text: query.text.as_ref().map(|t| t.to_lowercase()),
            since: query.since.map(second),
            until: query.until.map(second),
        }
    }

    fn may_match(&self, line: &[u8]) -> bool {
        let Ok(line) = std::str::from_utf8(line) else { return false };
        let second = line.split_once("\"at\":\"").and_then(|(_, rest)| rest.get(..19));
        second.is_some_and(|s| {
            self.since.as_deref().is_none_or(|since| s >= since) && self.until.as_deref().is_none_or(|until| s <= until)
        }) && self.exact.iter().all(|e| line.contains(e.as_str()))
            && self.any.iter().all(|texts| texts.iter().any(|t| line.contains(t.as_str())))
            && self.text.as_deref().is_none_or(|t| line.to_lowercase().contains(t))
    }
}
