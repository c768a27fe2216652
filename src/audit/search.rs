//! Searching the journal's files, newest first, in pieces: a search can stop at any block and go on there later.

use super::blocks::{self, Blocks};
use super::files::{self, DayFile};
use super::sieve::Sieve;
use super::{AuditError, AuditQuery, Record};
use crate::model::Seq;
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::path::Path;

/// Records given out when the query sets no limit.
const LIMIT: usize = 1_000;
/// Records given out at most.
const LIMIT_MAX: usize = 100_000;

/// How far a search has come: of the files that its times do not exclude, the newest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Progress {
    /// Files that are searched to their beginning.
    pub files_done: usize,
    /// All of them.
    pub files: usize,
    /// Bytes searched.
    pub bytes_done: u64,
    /// All of them.
    pub bytes: u64,
}

/// What a search, or a piece of one, found.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Found {
    /// What matches, oldest first.
    pub records: Vec<Record>,
    /// Everything from this number on has been searched: go on with `before` this. None at the beginning of the journal.
    pub next: Option<Seq>,
    /// How far it came.
    pub progress: Progress,
}

/// The newest records that match, oldest first, and whether more matched than the query's limit. It needs no daemon, and
/// a daemon may be appending. A line that is no record (torn, or changed) is passed over: [`super::verify()`] names it.
///
/// # Errors
/// [`AuditError`] when the folder or a file cannot be read.
pub fn query_dir(dir: &Path, query: &AuditQuery) -> Result<(Vec<Record>, bool), AuditError> {
    let limit = query.limit.unwrap_or(LIMIT).clamp(1, LIMIT_MAX);
    let one_more = AuditQuery { limit: Some(limit + 1), ..query.clone() };
    let mut found = search_dir(dir, &one_more, |_| true, |_| false)?.records;
    let extra = found.len().saturating_sub(limit);
    found.drain(..extra);
    Ok((found, extra > 0))
}

/// Searches until the limit is reached, the beginning of the journal is, or `stop` says so, which is asked after each
/// block of a quarter of a megabyte. Records that are not `visible` do not count.
///
/// # Errors
/// [`AuditError`] when the folder or a file cannot be read.
pub fn search_dir(
    dir: &Path,
    query: &AuditQuery,
    visible: impl Fn(&Record) -> bool,
    mut stop: impl FnMut(&Progress) -> bool,
) -> Result<Found, AuditError> {
    let limit = query.limit.unwrap_or(LIMIT).clamp(1, LIMIT_MAX + 1);
    let sieve = Sieve::new(query);
    let mut out = Found::default();
    let mut days = files::list(dir)?;
    // A file never holds a record of a later day than its own, so older files have nothing to give.
    days.retain(|d| query.since.is_none_or(|t| d.day >= files::day_of(t)));
    let sizes: Vec<u64> = days.iter().map(|d| d.path.metadata().map_or(0, |m| m.len())).collect();
    out.progress.files = days.len();
    out.progress.bytes = sizes.iter().sum();
    let mut spans = Vec::new();
    'files: for (day, size) in days.iter().zip(sizes).rev() {
        let Some((mut blocks, older)) = open(day, query)? else {
            out.progress.files_done += 1;
            out.progress.bytes_done += size;
            continue;
        };
        let done = out.progress.bytes_done;
        let read = AuditError::file(&day.path, "read");
        let mut failed = None;
        loop {
            let block = match blocks.next() {
                Ok(Some(block)) => block,
                Ok(None) => break,
                Err(e) => {
                    failed = Some(e);
                    break;
                }
            };
            let first = blocks::seq_of_first(block);
            let full = sift(block, query, &sieve, &visible, limit, &mut spans, &mut out.records);
            if full {
                out.next = out.records.last().map(|r| r.seq);
                out.progress.bytes_done = done + size.saturating_sub(blocks.left());
                break 'files;
            }
            let left = blocks.left();
            out.progress.bytes_done = done + size.saturating_sub(left);
            if query.after.is_some_and(|a| first.is_some_and(|first| first <= a)) {
                break;
            }
            // Not between files, where the first block of the next would have to be read to know where to go on.
            if left > 0 && first.is_some() && stop(&out.progress) {
                out.next = first;
                break 'files;
            }
        }
        if let Some(e) = failed {
            return Err(read(e));
        }
        out.progress.files_done += 1;
        out.progress.bytes_done = done + size;
        if !older {
            break;
        }
    }
    if out.next.is_none() {
        out.progress.files_done = out.progress.files;
        out.progress.bytes_done = out.progress.bytes;
    }
    out.records.reverse();
    Ok(out)
}

/// The part of a file that may match, and whether older files may too. None when no part of it may.
fn open(day: &DayFile, query: &AuditQuery) -> Result<Option<(Blocks, bool)>, AuditError> {
    let mut end = None;
    let mut older = true;
    if query.before.is_some() || query.after.is_some() {
        let file = File::open(&day.path).map_err(AuditError::file(&day.path, "opened"))?;
        let first = blocks::first_seq(&file);
        if query.before.is_some_and(|b| first.is_some_and(|first| first >= b)) {
            return Ok(None);
        }
        if let Some(before) = query.before {
            end = Some(blocks::end_before(&file, before).map_err(AuditError::file(&day.path, "read"))?);
        }
        older = query.after.is_none_or(|a| first.is_none_or(|first| first > a));
    }
    let blocks = Blocks::open(&day.path, end).map_err(AuditError::file(&day.path, "opened"))?;
    Ok(Some((blocks, older)))
}

/// Takes the matching records out of a block, the newest first; whether there are as many as may be.
fn sift(
    block: &[u8],
    query: &AuditQuery,
    sieve: &Sieve,
    visible: &impl Fn(&Record) -> bool,
    limit: usize,
    spans: &mut Vec<(usize, usize)>,
    out: &mut Vec<Record>,
) -> bool {
    let mut take = |line: &[u8]| {
        if sieve.may_match(line)
            && let Ok(record) = serde_json::from_slice::<Record>(line)
            && query.matches_fields(&record)
            && visible(&record)
        {
            out.push(record);
        }
        out.len() >= limit
    };
    if sieve.candidates(block, spans) {
        return spans.iter().rev().filter_map(|(from, to)| block.get(*from..*to)).any(take);
    }
    let mut end = block.len().saturating_sub(1);
    loop {
        let begin = block.get(..end).and_then(|b| memchr::memrchr(b'\n', b)).map_or(0, |at| at + 1);
        if block.get(begin..end).is_some_and(&mut take) {
            return true;
        }
        if begin == 0 {
            return false;
        }
        end = begin - 1;
    }
}
