//! What is found when a journal is opened: where its chain ends, and what a crash left behind.

use super::chain::{Checker, Link, Tip};
use super::files::{self, DayFile, RevLines};
use super::{Actor, AuditError, Context, Event, Record, What};
use chrono::NaiveDate;
use std::fs::{self, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;

/// A journal ready to be written on.
#[derive(Debug)]
pub(super) struct Found {
    /// The last record.
    pub(super) tip: Tip,
    /// Day and length of the newest file.
    pub(super) newest: Option<(NaiveDate, u64)>,
    /// The last records, oldest first.
    pub(super) recent: Vec<Arc<Record>>,
    /// What was set aside, to be written into the journal itself.
    pub(super) events: Vec<Event>,
    /// The same for people.
    pub(super) notices: Vec<String>,
}

/// Reads as much of the newest files as gives `keep` records, and cuts a torn end off, keeping it aside.
/// Call it with the folder locked.
pub(super) fn recover(dir: &Path, keep: usize) -> Result<Found, AuditError> {
    let days = files::list(dir)?;
    let mut found =
        Found { tip: Tip::genesis(), newest: None, recent: Vec::new(), events: Vec::new(), notices: Vec::new() };
    let mut tip: Option<Tip> = None;
    // Newest first.
    let mut lines: Vec<Vec<u8>> = Vec::new();
    let mut whole = true;
    for day in days.iter().rev() {
        let unread = AuditError::file(&day.path, "read");
        let len = match read_back(day, keep, &mut tip, &mut lines).map_err(unread)? {
            Scan { torn_at: Some(at), len, .. } if at < len => {
                let kept = set_aside(dir, day, at, len)?;
                found.note_torn(day, &kept, len - at);
                at
            }
            Scan { len, .. } => len,
        };
        found.newest.get_or_insert((day.day, len));
        if lines.len() >= keep {
            whole = false;
            break;
        }
    }
    if let Some(tip) = tip {
        found.tip = tip;
    }
    lines.reverse();
    found.note_break(&lines, if whole { Checker::from_genesis() } else { Checker::from_anywhere() });
    // A record of a newer version may have an event that this one does not know; it stays in the file.
    found.recent = lines.iter().filter_map(|l| serde_json::from_slice(l).ok()).map(Arc::new).collect();
    if let Some((day, _)) = found.newest
        && day > files::day_of(crate::model::now()) + chrono::Days::new(1)
    {
        found.notices.push(format!(
            "the newest file of the journal, {}, is dated in the future: was the clock wrong? Records go on in it until that day has passed",
            files::file_name(day)
        ));
    }
    Ok(found)
}

/// What [`read_back`] saw of one file.
struct Scan {
    len: u64,
    /// Where the lines begin that are no records and have none after them.
    torn_at: Option<u64>,
}

fn read_back(day: &DayFile, keep: usize, tip: &mut Option<Tip>, out: &mut Vec<Vec<u8>>) -> io::Result<Scan> {
    let mut lines = RevLines::open(&day.path)?;
    let mut read = Scan { len: 0, torn_at: None };
    let mut last = true;
    while out.len() < keep
        && let Some(line) = lines.next()?
    {
        let length = u64::try_from(line.bytes.len()).unwrap_or(u64::MAX);
        if last {
            read.len = line.start + length + u64::from(line.ended);
            last = false;
        }
        if tip.is_none() {
            match Link::read(&line.bytes).filter(|_| line.ended) {
                Some(link) => *tip = Some(link.tip()),
                None => {
                    read.torn_at = Some(line.start);
                    continue;
                }
            }
        }
        out.push(line.bytes);
    }
    Ok(read)
}

/// Moves the end of a file into a file of its own; the copy is on the disk before anything is cut.
fn set_aside(dir: &Path, day: &DayFile, at: u64, len: u64) -> Result<String, AuditError> {
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .open(&day.path)
        .map_err(AuditError::file(&day.path, "opened for cutting its torn end"))?;
    let stamp = chrono::Utc::now().format("%Y%m%dT%H%M%S%.6fZ");
    let name = format!("torn-{stamp}.jsonl");
    let kept = dir.join(&name);
    let mut copy = || {
        file.seek(SeekFrom::Start(at))?;
        let mut aside = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&kept)?;
        io::copy(&mut Read::by_ref(&mut file).take(len - at), &mut aside)?;
        aside.flush()?;
        aside.sync_all()?;
        files::sync_dir(dir)
    };
    copy().map_err(|source| {
        // Half a copy would be taken for the whole one.
        let _ = fs::remove_file(&kept);
        AuditError::File { path: kept.clone(), doing: "written to keep the journal's torn end", source }
    })?;
    file.set_len(at).and_then(|()| file.sync_all()).map_err(AuditError::file(&day.path, "cut at its torn end"))?;
    Ok(name)
}

impl Found {
    fn note_torn(&mut self, day: &DayFile, kept: &str, bytes: u64) {
        let what = format!("the end of {} was torn by an unclean stop", day.name());
        self.notices
            .push(format!("{what}: {bytes} bytes that are no whole record were moved to {kept}, the chain goes on"));
        let context = Context { reason: Some(what), ..Context::default() };
        self.events.push(Event::success(Actor::Daemon, What::AuditRecovered { kept: kept.to_owned(), bytes }, context));
    }

    fn note_break(&mut self, lines: &[Vec<u8>], mut checker: Checker) {
        if let Some(flaw) = lines.iter().find_map(|l| checker.check(l).1) {
            let at = flaw.seq.map_or_else(|| "among its last records".to_owned(), |s| format!("at seq {s}"));
            self.notices.push(format!(
                "the chain of the journal is broken {at}: {}. New records follow its last line; `portreeve audit verify` names the place",
                flaw.what
            ));
        }
    }
}
