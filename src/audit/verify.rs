//! Proof of the chain, from the first record to the last, on the bytes as they lie on the disk.
//!
//! What the chain alone cannot show: that whole lines are missing from the very end (or that everything was written anew
//! by somebody who may write the folder). Keep the last seq and hash of a report elsewhere to compare; signed
//! checkpoints do so by themselves later.

use super::walk::Walk;
use super::{AuditError, Checkpoint};
use crate::model::{Seq, Time};
use serde::{Deserialize, Serialize};
use ssh_key::PublicKey;
use std::fmt;
use std::path::Path;

/// The first place where the chain does not hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Break {
    /// Name of the file in the folder.
    pub file: String,
    /// Line of the file, from 1.
    pub line: u64,
    /// The record's number, as far as the line tells.
    pub seq: Option<Seq>,
    /// What is wrong, in a sentence.
    pub what: String,
}

/// A piece of a line at the end of the newest file: being written this moment, or torn by a crash (the daemon's next
/// start sets it aside). No break of the chain: nothing of it was ever acknowledged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Torn {
    /// Name of the file in the folder.
    pub file: String,
    /// Line of the file where it begins, from 1.
    pub line: u64,
    /// How many bytes.
    pub bytes: u64,
}

/// What a proof may rely on beyond the files.
#[derive(Debug, Clone, Default)]
pub struct Trust {
    /// Keys of the daemon, old and new: each checkpoint must be signed by one of them, and one there must be. When none
    /// is given, each must be signed by the key it names.
    pub keys: Vec<PublicKey>,
    /// Checkpoints that were kept elsewhere.
    pub checkpoints: Vec<Checkpoint>,
}

/// How far signatures reach.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Signed {
    /// The last checkpoint's own number: everything up to it is signed.
    pub upto: Seq,
    /// When that was made, by the daemon's clock.
    pub made: Time,
    /// Fingerprints of the keys that signed.
    pub keys: Vec<String>,
    /// Checkpoints read.
    pub checkpoints: u64,
    /// Records after the last one.
    pub unsigned: u64,
}

/// What [`verify`] found.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct VerifyReport {
    /// Records read.
    pub records: u64,
    /// Files read.
    pub files: usize,
    /// Number and time of the first record.
    pub first: Option<(Seq, Time)>,
    /// Number and time of the last record.
    pub last: Option<(Seq, Time)>,
    /// Hash of the last record: kept elsewhere, it proves later that nothing was cut off the end.
    pub last_hash: Option<String>,
    /// The first break.
    pub broken: Option<Break>,
    /// An unfinished last line.
    pub torn: Option<Torn>,
    /// How far signatures reach; none when there is no checkpoint.
    pub signed: Option<Signed>,
}

impl VerifyReport {
    /// Whether the chain holds. A torn last line does not break it.
    #[must_use]
    pub fn is_ok(&self) -> bool {
        self.broken.is_none()
    }
}

impl fmt::Display for VerifyReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (records, files) = (count(self.records, "record"), count(self.files as u64, "file"));
        match (&self.broken, self.first, self.last) {
            (Some(b), ..) => {
                write!(f, "the chain is broken at {} line {}", b.file, b.line)?;
                if let Some(seq) = b.seq {
                    write!(f, " (seq {seq})")?;
                }
                write!(f, ": {}; what comes before it holds, {records} in {files} were read", b.what)?;
            }
            (None, Some((first, from)), Some((last, to))) => {
                let (from, to) = (from.format("%F %TZ"), to.format("%F %TZ"));
                write!(f, "the chain holds: {records} in {files}, seq {first} ({from}) to {last} ({to})")?;
                if let Some(hash) = &self.last_hash {
                    write!(f, ", last hash {hash}")?;
                }
            }
            (None, ..) => write!(f, "the journal is empty")?,
        }
        if let (Some(s), None) = (&self.signed, &self.broken) {
            write!(f, "; signed up to seq {} ({}) by {}", s.upto, s.made.format("%F %TZ"), s.keys.join(" and "))?;
            if s.unsigned > 0 {
                write!(f, ", {} after that", count(s.unsigned, "record"))?;
            }
        }
        if let Some(t) = &self.torn {
            write!(
                f,
                "; the last {} of {} (line {}) are no whole record: being written now, or torn by a crash and set aside \
                 when the daemon next starts",
                count(t.bytes, "byte"),
                t.file,
                t.line
            )?;
        }
        Ok(())
    }
}

fn count(n: u64, what: &str) -> String {
    if n == 1 { format!("1 {what}") } else { format!("{n} {what}s") }
}

/// Reads every file of the journal in order and proves the chain. It needs no daemon, and a daemon may be appending.
///
/// # Errors
/// [`AuditError`] when the folder or a file cannot be read. A broken chain is no error but in the report.
pub fn verify(dir: &Path) -> Result<VerifyReport, AuditError> {
    verify_by(dir, Trust::default())
}

/// As [`verify`], by keys and checkpoints that were kept elsewhere: then a journal that was written anew, or cut at its
/// end, is found too. The checkpoints are taken as they are: [`Checkpoint::prove`] them before.
///
/// # Errors
/// As [`verify`].
pub fn verify_by(dir: &Path, trust: Trust) -> Result<VerifyReport, AuditError> {
    let mut walk = Walk::whole(trust);
    walk.go_on(dir, |_| false)?;
    Ok(walk.judged())
}
