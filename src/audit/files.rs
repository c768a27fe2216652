//! The files of a journal: their names, their order, and reading one from its end.

use super::AuditError;
use crate::model::Time;
use chrono::NaiveDate;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// The UTC day of a time; the name of the file it goes to (or of a newer one, see [`super::Journal`]).
pub(super) fn day_of(at: Time) -> NaiveDate {
    at.date_naive()
}

/// `audit-2026-11-21.jsonl`.
pub(super) fn file_name(day: NaiveDate) -> String {
    format!("audit-{}.jsonl", day.format("%Y-%m-%d"))
}

/// One daily file.
#[derive(Debug, Clone)]
pub(super) struct DayFile {
    pub(super) day: NaiveDate,
    pub(super) path: PathBuf,
}

impl DayFile {
    /// Its name, for people.
    pub(super) fn name(&self) -> String {
        file_name(self.day)
    }
}

/// The daily files of the folder, oldest first. Whatever else lies there is not ours to judge.
pub(super) fn list(dir: &Path) -> Result<Vec<DayFile>, AuditError> {
    let mut files = Vec::new();
    for entry in fs::read_dir(dir).map_err(AuditError::folder(dir, "listed"))? {
        let entry = entry.map_err(AuditError::folder(dir, "listed"))?;
        let name = entry.file_name();
        let day = name
            .to_str()
            .and_then(|n| n.strip_prefix("audit-")?.strip_suffix(".jsonl"))
            .and_then(|d| NaiveDate::parse_from_str(d, "%Y-%m-%d").ok())
            // Only the one spelling that we write ("2026-1-2" parses too).
            .filter(|d| name.to_str() == Some(file_name(*d).as_str()));
        if let Some(day) = day {
            files.push(DayFile { day, path: entry.path() });
        }
    }
    files.sort_by_key(|f| f.day);
    Ok(files)
}

/// Makes the folder, for nobody but us, if it is not there.
pub(super) fn make_dir(dir: &Path) -> Result<(), AuditError> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(AuditError::folder(dir, "created"))
}

/// Makes a name in the folder survive a power cut.
pub(super) fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

/// A file being appended to. A trait so that a test can put a full disk under the writer; the file itself stays real.
pub(super) trait LogFile: Send {
    /// Writes all of it at the end; what was written before an error stays there.
    fn append(&mut self, bytes: &[u8]) -> io::Result<()>;
    /// Returns once it is on the disk.
    fn sync(&mut self) -> io::Result<()>;
    /// Cuts the file to this length.
    fn truncate(&mut self, len: u64) -> io::Result<()>;
    /// Its length; an error when somebody has deleted it, since what is written then is lost.
    fn len(&self) -> io::Result<u64>;
}

impl LogFile for File {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        io::Write::write_all(self, bytes)
    }
    fn sync(&mut self) -> io::Result<()> {
        self.sync_data()
    }
    fn truncate(&mut self, len: u64) -> io::Result<()> {
        self.set_len(len)
    }
    fn len(&self) -> io::Result<u64> {
        let m = self.metadata()?;
        if m.nlink() == 0 { Err(io::Error::other("the file was deleted while it was written")) } else { Ok(m.len()) }
    }
}

/// Where the writer opens its files.
pub(super) trait Disk: Send + 'static {
    /// An open file.
    type File: LogFile;
    /// Opens for appending; creates it for nobody but us if it is not there.
    fn open(&self, path: &Path) -> io::Result<Self::File>;
}

/// The disk as it is.
pub(super) struct RealDisk;

impl Disk for RealDisk {
    type File = File;
    fn open(&self, path: &Path) -> io::Result<File> {
        let file = OpenOptions::new().append(true).create(true).mode(0o600).open(path)?;
        if let Some(dir) = path.parent() {
            sync_dir(dir)?;
        }
        Ok(file)
    }
}

/// A line as it lies in a file.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct RawLine {
    /// Where it begins.
    pub(super) start: u64,
    /// Its bytes without the newline.
    pub(super) bytes: Vec<u8>,
    /// Whether a newline ends it. Only the last line of a file can lack one.
    pub(super) ended: bool,
}

/// The lines of a file from the last to the first, as the file was when this began.
pub(super) struct RevLines {
    file: File,
    /// Where `buf` begins in the file.
    pos: u64,
    /// Bytes read and not yet given out.
    buf: Vec<u8>,
}

const BLOCK: usize = 64 * 1024;

impl RevLines {
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let file = File::open(path)?;
        let pos = file.metadata()?.len();
        Ok(Self { file, pos, buf: Vec::new() })
    }

    /// Reads a block before `buf`, at least as long as `buf` so that a long line costs no more than twice its length.
    fn fill(&mut self) -> io::Result<()> {
        let want = u64::try_from(self.buf.len().max(BLOCK)).unwrap_or(u64::MAX).min(self.pos);
        let mut block = vec![0; usize::try_from(want).map_err(io::Error::other)?];
        self.pos -= want;
        self.file.seek(SeekFrom::Start(self.pos))?;
        self.file.read_exact(&mut block)?;
        block.append(&mut self.buf);
        self.buf = block;
        Ok(())
    }

    /// The line before the last one given out, or `None` at the beginning of the file.
    pub(super) fn next(&mut self) -> io::Result<Option<RawLine>> {
        if self.buf.is_empty() {
            if self.pos == 0 {
                return Ok(None);
            }
            self.fill()?;
        }
        loop {
            let ended = self.buf.last() == Some(&b'\n');
            let body = self.buf.len() - usize::from(ended);
            let before = self.buf.iter().take(body).rposition(|b| *b == b'\n');
            if before.is_none() && self.pos > 0 {
                self.fill()?;
                continue;
            }
            let from = before.map_or(0, |i| i + 1);
            let mut bytes = self.buf.split_off(from);
            if ended {
                bytes.pop();
            }
            let start = self.pos + u64::try_from(from).unwrap_or(u64::MAX);
            return Ok(Some(RawLine { start, bytes, ended }));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn backwards(content: &[u8]) -> Vec<RawLine> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("f");
        fs::write(&path, content).unwrap();
        let mut lines = RevLines::open(&path).unwrap();
        let mut out = Vec::new();
        while let Some(l) = lines.next().unwrap() {
            out.push(l);
        }
        out
    }

    proptest! {
        #[test]
        fn read_from_its_end_a_file_has_the_same_lines(
            lines in prop::collection::vec("[ab]{0,5}|[ab]{70000}|[ab]{200000}", 0..6), ended: bool
        ) {
            let mut content = lines.join("\n").into_bytes();
            if ended && !lines.is_empty() { content.push(b'\n'); }
            let mut want = Vec::new();
            let mut start = 0u64;
            for l in content.split_inclusive(|b| *b == b'\n') {
                let ended = l.ends_with(b"\n");
                want.push(RawLine { start, bytes: l.strip_suffix(b"\n").unwrap_or(l).to_vec(), ended });
                start += l.len() as u64;
            }
            want.reverse();
            prop_assert_eq!(backwards(&content), want);
        }
    }

    #[test]
    fn only_files_named_as_we_name_them_are_listed_and_in_order_of_days() {
        let dir = tempfile::tempdir().unwrap();
        for n in ["audit-2026-10-02.jsonl", "audit-2026-9-3.jsonl", "audit-2026-09-30.jsonl", "torn-1.jsonl", "lock"] {
            fs::write(dir.path().join(n), "").unwrap();
        }
        let names: Vec<_> = list(dir.path()).unwrap().iter().map(DayFile::name).collect();
        assert_eq!(names, ["audit-2026-09-30.jsonl", "audit-2026-10-02.jsonl"]);
    }
}
