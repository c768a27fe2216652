//! The walk along the chain, which can stop anywhere and go on from there when more has been written.

use super::AuditError;
use super::chain::Checker;
use super::files::{self, DayFile};
use super::verify::{Break, Torn, Trust, VerifyReport};
use super::witness::Witness;
use crate::model::Time;
use std::fs::File;
use std::io::{BufRead, BufReader, Seek, SeekFrom};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// Bytes after which a walk asks whether to stop.
const PIECE: u64 = 256 * 1024;

/// A file as it was when it was read to its end: not one byte of it may change afterwards.
#[derive(Debug, PartialEq, Eq)]
struct Mark {
    name: String,
    len: u64,
    changed: (i64, i64),
    inode: u64,
}

impl Mark {
    fn of(day: &DayFile) -> Option<Self> {
        let m = day.path.metadata().ok()?;
        Some(Self { name: day.name(), len: m.len(), changed: (m.mtime(), m.mtime_nsec()), inode: m.ino() })
    }
}

/// Where the walk is in a file.
#[derive(Debug, Default)]
struct Place {
    name: String,
    offset: u64,
    /// Lines before it.
    lines: u64,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Walk {
    pub(super) report: VerifyReport,
    checker: Checker,
    /// In a proof of all of it.
    witness: Option<Witness>,
    /// Files read to their end.
    done: Vec<Mark>,
    here: Option<Place>,
    /// Bytes read, and bytes there were when it was last begun.
    pub(super) bytes: (u64, u64),
}

impl Walk {
    /// For a proof of all of it: from the first record of all, or else where the records before have expired.
    pub(super) fn whole(trust: Trust) -> Self {
        Self { witness: Some(Witness::new(trust)), ..Self::from_first() }
    }

    /// From the first record there is: older files may have been moved away.
    pub(super) fn from_first() -> Self {
        Self {
            report: VerifyReport::default(),
            checker: Checker::from_anywhere(),
            witness: None,
            done: vec![],
            here: None,
            bytes: (0, 0),
        }
    }

    /// The report, once the walk came to the end.
    pub(super) fn judged(self) -> VerifyReport {
        let mut report = self.report;
        if let Some(witness) = self.witness {
            report.signed = witness.signed();
            // The first break by its place: what is wrong with the beginning is known only at the end.
            let breaks = [report.broken, witness.beginning()].into_iter().flatten();
            report.broken = breaks.min_by_key(|b| (b.file.clone(), b.line)).or_else(|| witness.judge());
        }
        report
    }

    /// Whether what has been read is there as it was, by length and time of change. Of the file that is being written
    /// only that it is there.
    pub(super) fn stands(&self, dir: &Path) -> Result<bool, AuditError> {
        let days = files::list(dir)?;
        let same = self.done.iter().enumerate().all(|(n, m)| days.get(n).and_then(Mark::of).as_ref() == Some(m));
        let here = self.here.as_ref().is_none_or(|here| {
            days.get(self.done.len())
                .is_some_and(|d| d.name() == here.name && d.path.metadata().is_ok_and(|m| m.len() >= here.offset))
        });
        Ok(same && here)
    }

    /// Walks on to the end, or until `stop` says so, which is asked with the bytes walked so far. Whether it came to the
    /// end.
    pub(super) fn go_on(&mut self, dir: &Path, mut stop: impl FnMut(u64) -> bool) -> Result<bool, AuditError> {
        let days = files::list(dir)?;
        self.report.files = days.len();
        self.report.torn = None;
        self.bytes.1 = days.iter().map(|d| d.path.metadata().map_or(0, |m| m.len())).sum();
        let mut walked = 0;
        while let Some(day) = days.get(self.done.len()) {
            let last = self.done.len() + 1 == days.len();
            if !self.file(day, last, &mut walked, &mut stop)? {
                return Ok(false);
            }
            if last {
                break;
            }
            self.here = None;
            let Some(mark) = Mark::of(day) else { break };
            self.done.push(mark);
        }
        Ok(true)
    }

    /// Walks on in one file; false when it was stopped.
    fn file(
        &mut self,
        day: &DayFile,
        last: bool,
        walked: &mut u64,
        stop: &mut impl FnMut(u64) -> bool,
    ) -> Result<bool, AuditError> {
        let mut here = self.here.take().unwrap_or_else(|| Place { name: day.name(), ..Place::default() });
        let read = || AuditError::file(&day.path, "read");
        let mut file = File::open(&day.path).map_err(AuditError::file(&day.path, "opened"))?;
        file.seek(SeekFrom::Start(here.offset)).map_err(read())?;
        let mut reader = BufReader::with_capacity(256 * 1024, file);
        let mut line = Vec::new();
        let mut asked = *walked;
        loop {
            line.clear();
            let n = reader.read_until(b'\n', &mut line).map_err(read())? as u64;
            if n == 0 {
                break;
            }
            let place = |seq, what| Break { file: day.name(), line: here.lines + 1, seq, what };
            if line.pop_if(|b| *b == b'\n').is_none() {
                // Torn, or being written, if nothing follows it; else a break.
                if last {
                    self.report.torn = Some(Torn { file: day.name(), line: here.lines + 1, bytes: n });
                } else {
                    self.report.broken.get_or_insert_with(|| place(None, "the line has no end".to_owned()));
                }
                break;
            }
            let (link, flaw) = self.checker.check(&line);
            if let Some(flaw) = flaw {
                self.report.broken.get_or_insert_with(|| place(flaw.seq, flaw.what));
            }
            if let Some(link) = link {
                if let Some(witness) = &mut self.witness
                    && let Some(what) = witness.hear(&here.name, here.lines + 1, &link, &line)
                {
                    self.report.broken.get_or_insert_with(|| place(Some(link.seq), what));
                }
                self.report.records += 1;
                self.report.first.get_or_insert((link.seq, link.at));
                self.report.last = Some((link.seq, link.at));
                self.report.last_hash = Some(link.hash);
            }
            here.offset += n;
            here.lines += 1;
            self.bytes.0 += n;
            *walked += n;
            if *walked - asked >= PIECE {
                asked = *walked;
                if stop(*walked) {
                    self.here = Some(here);
                    return Ok(false);
                }
            }
        }
        self.here = Some(here);
        Ok(true)
    }

    /// Where the walk is, and as of when.
    pub(super) fn last(&self) -> Option<(crate::model::Seq, Time)> {
        self.report.last
    }
}
