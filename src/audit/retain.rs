//! Old files of the journal that need not stay.

use super::AuditError;
use super::chain::Link;
use super::files::{self, DayFile, RevLines};
use super::settings::Keep;
use crate::model::Seq;
use chrono::{Days, NaiveDate};
use std::path::Path;

/// A file that may go, and what the record about it says.
#[derive(Debug)]
pub(super) struct Old {
    pub(super) day: DayFile,
    /// Its last record: where the chain goes on in the next file.
    pub(super) upto: Seq,
    /// Hash of that record.
    pub(super) head: String,
    pub(super) bytes: u64,
}

/// The files that may go, oldest first. Never the newest, and never one whose end is not a whole record: then nobody
/// could say where the chain goes on.
pub(super) fn old(dir: &Path, keep: Keep, today: NaiveDate) -> Result<Vec<Old>, AuditError> {
    if keep == Keep::default() {
        return Ok(Vec::new());
    }
    let mut days = files::list(dir)?;
    let size = |d: &DayFile| d.path.metadata().map_or(0, |m| m.len());
    let mut total: u64 = days.iter().map(size).sum();
    days.pop();
    let oldest = keep.days.and_then(|n| today.checked_sub_days(Days::new(n.into())));
    let mut out = Vec::new();
    for day in days {
        let late = oldest.is_some_and(|o| day.day < o);
        let large = keep.bytes.is_some_and(|most| total > most);
        if !late && !large {
            break;
        }
        let bytes = size(&day);
        let Some(link) = last(&day)? else { break };
        total = total.saturating_sub(bytes);
        out.push(Old { day, upto: link.seq, head: link.hash, bytes });
    }
    Ok(out)
}

fn last(day: &DayFile) -> Result<Option<Link>, AuditError> {
    let unread = || AuditError::file(&day.path, "read");
    let line = RevLines::open(&day.path).map_err(unread())?.next().map_err(unread())?;
    Ok(line.filter(|l| l.ended).and_then(|l| Link::read(&l.bytes)))
}
