//! The journal's records in order, from one on, as they are written.

use crate::audit::Record;
use crate::audit::chain::Link;
use crate::audit::files::{self, DayFile};
use crate::model::Seq;
use chrono::NaiveDate;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Seek, SeekFrom};
use std::path::{Path, PathBuf};

/// See the module.
pub(super) struct Tail {
    dir: PathBuf,
    seq: Seq,
    /// The file it is in, where the next line begins, and the reader.
    here: Option<(NaiveDate, u64, BufReader<File>)>,
}

impl Tail {
    /// What comes after a record.
    pub(super) fn after(dir: &Path, seq: Seq) -> Self {
        Self { dir: dir.to_owned(), seq, here: None }
    }

    /// The last record given.
    pub(super) fn seq(&self) -> Seq {
        self.seq
    }

    /// The next record, if it is there.
    pub(super) fn next(&mut self) -> io::Result<Option<Record>> {
        loop {
            if self.here.is_none() && !self.find()? {
                return Ok(None);
            }
            let Some((day, offset, reader)) = &mut self.here else { return Ok(None) };
            let mut line = Vec::new();
            let n = reader.read_until(b'\n', &mut line)? as u64;
            if line.last() != Some(&b'\n') {
                // The end, or a line half written: it is read again. A newer file goes on from here.
                reader.seek(SeekFrom::Start(*offset))?;
                let day = *day;
                let newer = list(&self.dir)?.into_iter().find(|d| d.day > day);
                if n > 0 {
                    return Ok(None);
                }
                match newer {
                    Some(newer) => self.here = Some((newer.day, 0, BufReader::new(File::open(newer.path)?))),
                    None => return Ok(None),
                }
                continue;
            }
            *offset += n;
            // A record of a newer version may have an event that this one does not know; it is passed over.
            let Some(link) = Link::read(&line).filter(|l| l.seq > self.seq) else { continue };
            self.seq = link.seq;
            if let Ok(record) = serde_json::from_slice(&line) {
                return Ok(Some(record));
            }
        }
    }

    /// Finds the newest file that begins at or before the next record, or else the oldest.
    fn find(&mut self) -> io::Result<bool> {
        let mut found = None;
        for day in list(&self.dir)?.into_iter().rev() {
            let mut reader = BufReader::new(File::open(&day.path)?);
            let mut line = Vec::new();
            reader.read_until(b'\n', &mut line)?;
            let early = Link::read(&line).is_some_and(|l| l.seq.0 <= self.seq.0.saturating_add(1));
            reader.seek(SeekFrom::Start(0))?;
            found = Some((day.day, 0, reader));
            if early {
                break;
            }
        }
        self.here = found;
        Ok(self.here.is_some())
    }
}

fn list(dir: &Path) -> io::Result<Vec<DayFile>> {
    files::list(dir).map_err(|e| io::Error::other(e.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::Journal;
    use crate::audit::journal_tests::{event, quick};

    #[test]
    fn records_come_once_and_in_order_over_days_and_from_where_one_left() {
        let dir = tempfile::tempdir().unwrap();
        let journal = Journal::open_with(dir.path(), quick()).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let write = |day: u32, n: u32| {
            for _ in 0..n {
                journal.record_at(event("x"), format!("2026-01-0{day}T10:00:00Z").parse().unwrap());
            }
            runtime.block_on(journal.flush()).unwrap();
        };
        let mut tail = Tail::after(dir.path(), Seq(0));
        assert!(tail.next().unwrap().is_none(), "nothing yet");
        write(1, 3);
        let all = |tail: &mut Tail| std::iter::from_fn(|| tail.next().unwrap()).map(|r| r.seq.0).collect::<Vec<_>>();
        assert_eq!(all(&mut tail), [1, 2, 3]);
        write(1, 1);
        write(2, 2);
        write(3, 1);
        assert_eq!(all(&mut tail), [4, 5, 6, 7]);
        for from in 0..=7 {
            assert_eq!(all(&mut Tail::after(dir.path(), Seq(from))), (from + 1..=7).collect::<Vec<_>>());
        }
        // Files that have expired meanwhile are not waited for.
        std::fs::remove_file(dir.path().join("audit-2026-01-01.jsonl")).unwrap();
        assert_eq!(all(&mut Tail::after(dir.path(), Seq(1))), [5, 6, 7]);
    }
}
