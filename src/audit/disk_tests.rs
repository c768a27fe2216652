//! The journal on a disk that refuses: full, failing, or changed by somebody else.

use super::files::{Disk, LogFile, RealDisk};
use super::journal_tests::{all, assert_holds, event, newest, quick, until, users};
use super::*;
use crate::model::Seq;
use std::fs::{self, File};
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

/// The real files on a disk with so much room, whose fsync may fail.
#[derive(Clone, Default)]
struct SmallDisk {
    /// Bytes left; no bound when none.
    room: Arc<Mutex<Option<usize>>>,
    bad_sync: Arc<AtomicBool>,
    /// An fsync takes as long as this is set.
    hold_sync: Arc<AtomicBool>,
    bad_cut: Arc<AtomicBool>,
    syncs: Arc<AtomicUsize>,
}

impl SmallDisk {
    fn leave(&self, room: impl Into<Option<usize>>) {
        *self.room.lock().unwrap() = room.into();
    }
}

struct SmallFile {
    file: File,
    disk: SmallDisk,
}

impl Disk for SmallDisk {
    type File = SmallFile;
    fn open(&self, path: &Path) -> io::Result<SmallFile> {
        Ok(SmallFile { file: RealDisk.open(path)?, disk: self.clone() })
    }
}

impl LogFile for SmallFile {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut room = self.disk.room.lock().unwrap();
        let fits = room.unwrap_or(usize::MAX).min(bytes.len());
        *room = room.map(|r| r - fits);
        self.file.append(&bytes[..fits])?;
        // ENOSPC, after as much as went in: what write(2) does.
        if fits < bytes.len() { Err(io::Error::from_raw_os_error(28)) } else { Ok(()) }
    }
    fn sync(&mut self) -> io::Result<()> {
        self.disk.syncs.fetch_add(1, Ordering::Relaxed);
        while self.disk.hold_sync.load(Ordering::Relaxed) {
            std::thread::yield_now();
        }
        if self.disk.bad_sync.load(Ordering::Relaxed) { Err(io::Error::from_raw_os_error(5)) } else { self.file.sync() }
    }
    fn truncate(&mut self, len: u64) -> io::Result<()> {
        if self.disk.bad_cut.load(Ordering::Relaxed) {
            return Err(io::Error::from_raw_os_error(5));
        }
        self.file.truncate(len)
    }
    fn len(&self) -> io::Result<u64> {
        LogFile::len(&self.file)
    }
}

#[tokio::test]
async fn on_a_full_disk_commits_fail_records_wait_and_all_is_written_in_order_when_there_is_room() {
    let dir = tempfile::tempdir().unwrap();
    let disk = SmallDisk::default();
    let journal = Journal::open_on(dir.path(), disk.clone(), quick()).unwrap();
    let mut live = journal.subscribe();
    journal.commit(event("before")).await.unwrap();
    let good = fs::read(newest(dir.path())).unwrap();

    disk.leave(100);
    journal.record(event("kept 1"));
    let error = journal.commit(event("refused")).await.unwrap_err().to_string();
    assert!(error.contains("No space left on device") && error.contains("audit-"), "{error}");
    journal.record(event("kept 2"));
    assert!(journal.healthy().unwrap_err().contains("No space left"));
    assert_eq!(journal.status().failure, journal.healthy().err());
    assert!(journal.flush().await.is_err());
    assert!(journal.commit_blocking(event("refused too")).is_err());
    assert_eq!(fs::read(newest(dir.path())).unwrap(), good, "no half line stays");

    disk.leave(None);
    let resumed = until(&mut live, "audit.resumed").await;
    let What::AuditResumed { kept: 2, lost: 0, .. } = resumed.event.what else { panic!("{resumed:?}") };
    assert!(resumed.event.context.reason.as_deref().unwrap().contains("No space left"));
    journal.commit(event("after")).await.unwrap();
    assert_eq!(journal.healthy(), Ok(()));
    assert_eq!(journal.status().failure, None);
    assert_eq!(users(&all(dir.path())), ["before", "kept 1", "kept 2", "", "after"]);
    assert_holds(dir.path(), 5);
}

#[tokio::test]
async fn half_a_line_that_could_not_be_cut_at_once_is_cut_before_the_next_is_written() {
    let dir = tempfile::tempdir().unwrap();
    let disk = SmallDisk::default();
    let journal = Journal::open_on(dir.path(), disk.clone(), quick()).unwrap();
    let mut live = journal.subscribe();
    journal.commit(event("before")).await.unwrap();
    disk.bad_cut.store(true, Ordering::Relaxed);
    disk.leave(50);
    journal.commit(event("refused")).await.unwrap_err();
    assert!(verify(dir.path()).unwrap().torn.is_some());
    disk.leave(None);
    disk.bad_cut.store(false, Ordering::Relaxed);
    until(&mut live, "audit.resumed").await;
    assert_holds(dir.path(), 2);
}

#[tokio::test]
async fn a_failed_fsync_acknowledges_nothing_and_nothing_is_written_twice() {
    let dir = tempfile::tempdir().unwrap();
    let disk = SmallDisk::default();
    let journal = Journal::open_on(dir.path(), disk.clone(), quick()).unwrap();
    let mut live = journal.subscribe();
    disk.bad_sync.store(true, Ordering::Relaxed);
    journal.record(event("kept"));
    journal.commit(event("refused")).await.unwrap_err();
    assert_eq!(journal.status().seq, Seq(0));
    assert!(journal.recent(None, 10).is_empty(), "nothing is shown that is not on the disk");
    disk.bad_sync.store(false, Ordering::Relaxed);
    until(&mut live, "audit.resumed").await;
    assert_eq!(users(&all(dir.path())), ["kept", ""]);
    assert_holds(dir.path(), 2);
}

#[tokio::test]
async fn records_past_the_bound_are_counted_and_the_journal_says_how_many() {
    let dir = tempfile::tempdir().unwrap();
    let disk = SmallDisk::default();
    disk.leave(0);
    let journal = Journal::open_on(dir.path(), disk.clone(), quick()).unwrap();
    let mut live = journal.subscribe();
    journal.commit(event("refused")).await.unwrap_err();
    for _ in 0..WAITING_MAX + 7 {
        journal.record(event("r"));
    }
    assert!(matches!(
        journal.commit(event("refused")).await,
        Err(AuditError::Behind { .. } | AuditError::Unwritable { .. })
    ));
    // The answer comes when the thread has taken all that was given before: the attempt that succeeds has them all.
    journal.flush().await.unwrap_err();
    disk.leave(None);
    let resumed = loop {
        match live.recv().await {
            Ok(r) if r.event.name() == "audit.resumed" => break r,
            Ok(_) | Err(tokio::sync::broadcast::error::RecvError::Lagged(_)) => {}
            Err(e) => panic!("{e}"),
        }
    };
    let What::AuditResumed { kept, lost, .. } = resumed.event.what else { panic!("{resumed:?}") };
    assert_eq!(kept + lost, WAITING_MAX as u64 + 7);
    assert!((7..20).contains(&lost), "{lost} lost");
    assert_eq!(resumed.event.outcome, Outcome::Failure);
    journal.commit(event("after")).await.unwrap();
    journal.close().unwrap();
    assert_holds(dir.path(), kept + 2);
}

#[tokio::test]
async fn closing_while_the_disk_refuses_says_what_is_lost() {
    let dir = tempfile::tempdir().unwrap();
    let disk = SmallDisk::default();
    disk.leave(0);
    let journal = Journal::open_on(dir.path(), disk, quick()).unwrap();
    journal.record(event("a"));
    journal.record(event("b"));
    let error = journal.close().unwrap_err().to_string();
    assert!(error.contains("2 records") && error.contains("No space left"), "{error}");
}

/// No stand-in at all: the kernel's own full device under the file's name.
#[tokio::test]
async fn the_kernels_full_device_is_met_and_left_behind() {
    let dir = tempfile::tempdir().unwrap();
    let link = dir.path().join("audit-2999-01-01.jsonl");
    std::os::unix::fs::symlink("/dev/full", &link).unwrap();
    let journal = Journal::open(dir.path()).unwrap();
    assert!(journal.status().notice.unwrap().contains("dated in the future"));
    let mut live = journal.subscribe();
    journal.record(event("kept"));
    let error = journal.commit(event("refused")).await.unwrap_err().to_string();
    assert!(error.contains("No space left on device"), "{error}");
    fs::remove_file(&link).unwrap();
    until(&mut live, "audit.resumed").await;
    assert_eq!(users(&all(dir.path())), ["kept", ""]);
    assert_holds(dir.path(), 2);
}

#[tokio::test]
async fn a_file_that_is_deleted_or_changed_under_the_daemon_is_noticed() {
    let dir = tempfile::tempdir().unwrap();
    let journal = Journal::open_on(dir.path(), RealDisk, quick()).unwrap();
    let mut live = journal.subscribe();
    journal.commit(event("a")).await.unwrap();
    let path = newest(dir.path());
    fs::remove_file(&path).unwrap();
    let error = journal.commit(event("b")).await.unwrap_err().to_string();
    assert!(error.contains("deleted while it was written"), "{error}");
    until(&mut live, "audit.resumed").await;
    journal.commit(event("c")).await.unwrap();
    let broken = verify(dir.path()).unwrap().broken.unwrap();
    assert!(broken.what.contains("records are missing before it"), "{broken:?}");

    let len = fs::metadata(&path).unwrap().len();
    fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(len - 3).unwrap();
    let error = journal.commit(event("d")).await.unwrap_err().to_string();
    assert!(error.contains("somebody else changed the file"), "{error}");
    until(&mut live, "audit.resumed").await;
    assert_eq!(journal.commit(event("e")).await.unwrap(), Seq(5));
    let found = users(&all(dir.path()));
    assert_eq!(found.last().unwrap(), "e", "what comes after the damage is whole");
}

#[tokio::test]
async fn commits_at_the_same_time_share_an_fsync() {
    let dir = tempfile::tempdir().unwrap();
    let disk = SmallDisk::default();
    let journal = Journal::open_on(dir.path(), disk.clone(), quick()).unwrap();
    disk.hold_sync.store(true, Ordering::Relaxed);
    let commits: Vec<_> = (0..500)
        .map(|n| {
            let journal = journal.clone();
            tokio::spawn(async move { journal.commit(event(&n.to_string())).await.unwrap() })
        })
        .collect();
    // Every commit has been polled once, and so given to the writer, while the first fsync is still under way.
    for _ in 0..500 {
        tokio::task::yield_now().await;
    }
    disk.hold_sync.store(false, Ordering::Relaxed);
    let mut seqs = Vec::new();
    for c in commits {
        seqs.push(c.await.unwrap().0);
    }
    seqs.sort_unstable();
    assert_eq!(seqs, (1..=500).collect::<Vec<_>>());
    let syncs = disk.syncs.load(Ordering::Relaxed);
    assert!(syncs < 20, "{syncs} fsyncs for 500 commits at once");
}
