//! The state of the chain for a screen: proved once from its beginning, and then only what has been written since.

use super::walk::Walk;
use super::{AuditError, Break};
use crate::model::{Seq, Time, now};
use serde::{Deserialize, Serialize};
use std::path::Path;

/// How it stands with the chain, as `portreeve audit verify` would say of what has been read.
///
/// What was read once is read again only when its file has another length or time: who can write the folder can change a
/// byte and set the time back, and a full `audit verify` finds that.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ChainStatus {
    /// The first record there is. Not 1 when older files have been moved away.
    pub first: Option<Seq>,
    /// The chain holds up to this record (or was read up to it, when it is broken).
    pub upto: Option<(Seq, Time)>,
    /// Everything written has been read.
    pub complete: bool,
    /// Bytes read and to be read.
    pub bytes: (u64, u64),
    /// The first break.
    pub broken: Option<Break>,
    /// When this was found.
    pub at: Option<Time>,
}

/// The walk that is kept from one look to the next.
#[derive(Debug)]
pub(super) struct Watch(Walk);

impl Default for Watch {
    fn default() -> Self {
        Self(Walk::from_first())
    }
}

impl Watch {
    /// Reads what is new, until `stop` says so.
    pub(super) fn look(&mut self, dir: &Path, stop: impl FnMut(u64) -> bool) -> Result<ChainStatus, AuditError> {
        if !self.0.stands(dir)? {
            *self = Self::default();
        }
        let complete = self.0.go_on(dir, stop)?;
        let report = &self.0.report;
        Ok(ChainStatus {
            first: report.first.map(|(seq, _)| seq),
            upto: self.0.last(),
            complete,
            bytes: self.0.bytes,
            broken: report.broken.clone(),
            at: Some(now()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::{Actor, Context, Event, Journal, What};
    use std::fs;

    fn journal(dir: &Path, n: u64) {
        let j = Journal::open(dir).unwrap();
        for day in ["2026-01-01T10:00:00Z", "2026-01-02T10:00:00Z"] {
            for _ in 0..n {
                let e = Event::success(Actor::Daemon, What::VisitorOpen {}, Context::default());
                j.record_at(e, day.parse().unwrap());
            }
        }
        j.close().unwrap();
    }

    #[test]
    fn what_was_proved_is_not_read_again_and_what_is_new_is() {
        let dir = tempfile::tempdir().unwrap();
        journal(dir.path(), 5);
        let mut watch = Watch::default();
        let s = watch.look(dir.path(), |_| false).unwrap();
        assert!(s.complete && s.broken.is_none(), "{s:?}");
        assert_eq!((s.first, s.upto.map(|u| u.0)), (Some(Seq(1)), Some(Seq(10))));
        let read = s.bytes.0;
        journal(dir.path(), 1);
        let s = watch.look(dir.path(), |_| false).unwrap();
        assert_eq!((s.upto.map(|u| u.0), s.broken), (Some(Seq(12)), None));
        assert_eq!(s.bytes.0, s.bytes.1);
        assert!(s.bytes.0 > read && watch.0.report.records == 12, "each record once");
    }

    #[test]
    fn a_finished_file_that_changed_is_read_again_and_the_break_is_named() {
        let dir = tempfile::tempdir().unwrap();
        journal(dir.path(), 3);
        let mut watch = Watch::default();
        watch.look(dir.path(), |_| false).unwrap();
        let first = dir.path().join("audit-2026-01-01.jsonl");
        let text = fs::read_to_string(&first).unwrap();
        fs::write(&first, text.replacen("visitor.open", "visitor.shut", 1)).unwrap();
        let b = watch.look(dir.path(), |_| false).unwrap().broken.unwrap();
        assert_eq!((b.file.as_str(), b.line, b.seq), ("audit-2026-01-01.jsonl", 1, Some(Seq(1))));
    }

    #[test]
    fn the_proof_begins_where_older_files_were_moved_away_and_goes_on_in_pieces() {
        let dir = tempfile::tempdir().unwrap();
        journal(dir.path(), 2_000);
        fs::remove_file(dir.path().join("audit-2026-01-01.jsonl")).unwrap();
        let mut watch = Watch::default();
        let mut looks = 0;
        let s = loop {
            looks += 1;
            let s = watch.look(dir.path(), |_| true).unwrap();
            if s.complete {
                break s;
            }
            assert!(s.bytes.0 < s.bytes.1);
        };
        assert!(looks > 1, "in pieces");
        assert_eq!((s.first, s.upto.map(|u| u.0), s.broken), (Some(Seq(2001)), Some(Seq(4000)), None));
    }
}
