//! Where bytes wait for a visitor that reads slowly: a little memory, then an unlinked file.
//!
//! The host's side must always be drained (see [`super::carrier::HostReader`]), so what the visitor does not take has
//! to go somewhere. nginx does the same for slow readers of a proxied download.

use crate::model::{FileUse, SpillView, is_kept};
use bytes::{Bytes, BytesMut};
use nix::fcntl::{FallocateFlags, fallocate};
use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// How much is read back from the file at a time.
pub(super) const CHUNK: usize = 256 * 1024;

/// In steps of this the blocks of what was read back are freed: a multiple of the block size of every file system.
const STEP: u64 = 64 * 1024;

/// What all spill files together may hold.
#[derive(Debug)]
pub struct SpillBudget {
    dir: PathBuf,
    used: AtomicU64,
    total: u64,
}

impl SpillBudget {
    /// Files go, unlinked, into `dir`; together they hold at most `total` bytes.
    #[must_use]
    pub fn new(dir: &Path, total: u64) -> Self {
        Self { dir: dir.to_owned(), used: AtomicU64::new(0), total }
    }
    /// Bytes held in files now.
    #[must_use]
    pub fn used(&self) -> u64 {
        self.used.load(Ordering::Relaxed)
    }
    /// Used and limit, for screens.
    #[must_use]
    pub fn view(&self) -> SpillView {
        SpillView { used: self.used(), limit: self.total }
    }
    /// Whoever asks has seen that there is room, so together they go beyond the total by a message each at most; a byte
    /// that has come cannot be refused any more.
    fn take(&self, n: u64) {
        self.used.fetch_add(n, Ordering::Relaxed);
    }
    fn give(&self, n: u64) {
        self.used.fetch_sub(n, Ordering::Relaxed);
    }
}

/// Bytes on their way to one visitor, in order.
#[derive(Debug)]
pub struct Backlog {
    memory: VecDeque<Bytes>,
    memory_len: usize,
    memory_max: usize,
    file: Option<Arc<File>>,
    read_at: u64,
    write_at: u64,
    /// Before here the file has no blocks.
    freed: u64,
    file_max: u64,
    budget: Arc<SpillBudget>,
}

impl Backlog {
    /// Holds up to `memory_max` bytes in memory and then up to `file_max` in a file.
    #[must_use]
    pub fn new(memory_max: usize, file_max: u64, budget: Arc<SpillBudget>) -> Self {
        Self {
            memory: VecDeque::new(),
            memory_len: 0,
            memory_max,
            file: None,
            read_at: 0,
            write_at: 0,
            freed: 0,
            file_max,
            budget,
        }
    }

    /// Whether nothing waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.memory_len == 0 && self.in_file() == 0
    }

    /// Bytes that wait.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.memory_len as u64 + self.in_file()
    }

    fn in_file(&self) -> u64 {
        self.write_at - self.read_at
    }

    /// Whether more may be pushed, and so much besides. What is in memory counts too once there is a file, so that room
    /// is made by each byte that the visitor takes and not by the large pieces in which the file is read.
    #[must_use]
    pub fn has_room(&self, besides: u64) -> bool {
        if self.in_file() == 0 && self.memory_len < self.memory_max {
            return true;
        }
        let most = self.file_max.saturating_add(self.memory_max as u64);
        self.len().saturating_add(besides) < most && self.budget.used().saturating_add(besides) < self.budget.total
    }

    /// The most that it may hold in a file.
    #[must_use]
    pub fn file_max(&self) -> u64 {
        self.file_max
    }

    /// The slices to write next.
    pub fn slices(&self) -> impl Iterator<Item = &[u8]> {
        self.memory.iter().map(AsRef::as_ref)
    }

    /// Adds bytes at the end.
    ///
    /// # Errors
    /// When the spill file cannot be made or written (disk full).
    pub async fn push(&mut self, data: Bytes) -> io::Result<()> {
        if data.is_empty() {
            return Ok(());
        }
        // Memory only while nothing waits in the file, or the order would be lost.
        if self.in_file() == 0 && self.memory_len < self.memory_max {
            self.memory_len += data.len();
            self.memory.push_back(data);
            return Ok(());
        }
        let n = data.len() as u64;
        let file = match &self.file {
            Some(f) => Arc::clone(f),
            None => {
                let f = Arc::new(tempfile::tempfile_in(&self.budget.dir)?);
                if is_kept(f.as_raw_fd(), FileUse::Many) {
                    return Err(io::Error::other("the open files that are left are kept for operators"));
                }
                self.file = Some(Arc::clone(&f));
                f
            }
        };
        self.budget.take(n);
        // Given back unless it is written: the relay may be dropped while it waits here.
        let taken = Taken { budget: Arc::clone(&self.budget), n };
        let at = self.write_at;
        tokio::task::spawn_blocking(move || file.write_all_at(&data, at)).await.map_err(io::Error::other)??;
        taken.keep();
        self.write_at += n;
        Ok(())
    }

    /// Takes `n` written bytes off the front.
    pub fn advance(&mut self, mut n: usize) {
        self.memory_len = self.memory_len.saturating_sub(n);
        while n > 0 {
            let Some(front) = self.memory.front_mut() else { break };
            if front.len() > n {
                bytes::Buf::advance(front, n);
                break;
            }
            n -= front.len();
            self.memory.pop_front();
        }
    }

    /// Brings bytes back from the file when memory has run dry, at most `most` of them.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub async fn refill(&mut self, most: usize) -> io::Result<()> {
        if self.memory_len > 0 || self.in_file() == 0 {
            return Ok(());
        }
        let Some(file) = self.file.clone() else { return Ok(()) };
        let n = usize::try_from(self.in_file()).unwrap_or(most).min(most);
        let at = self.read_at;
        let (freed, free) = (self.freed, (at + n as u64) / STEP * STEP);
        let read = tokio::task::spawn_blocking(move || {
            let mut buf = BytesMut::zeroed(n);
            file.read_exact_at(&mut buf, at)?;
            free_blocks(&file, freed, free);
            Ok::<_, io::Error>(buf.freeze())
        })
        .await
        .map_err(io::Error::other)??;
        self.read_at += n as u64;
        self.freed = free;
        self.budget.give(n as u64);
        self.memory_len += read.len();
        self.memory.push_back(read);
        if self.in_file() == 0 {
            // Start anew: the file's blocks are given back, and a visitor that has caught up costs nothing.
            self.file = None;
            self.read_at = 0;
            self.write_at = 0;
            self.freed = 0;
        }
        Ok(())
    }
}

/// Gives the blocks between two places back. Else the file of a visitor that is never quite up to date would grow by all that
/// it was ever sent. A file system that cannot do it (NFS before 4.2) keeps them until the visitor has caught up.
fn free_blocks(file: &File, from: u64, to: u64) {
    if let (Ok(at), Ok(n)) = (from.try_into(), to.saturating_sub(from).try_into())
        && n > 0
    {
        let _ = fallocate(file, FallocateFlags::FALLOC_FL_PUNCH_HOLE | FallocateFlags::FALLOC_FL_KEEP_SIZE, at, n);
    }
}

/// A share of the budget that is not accounted for yet.
struct Taken {
    budget: Arc<SpillBudget>,
    n: u64,
}

impl Taken {
    fn keep(mut self) {
        self.n = 0;
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        self.budget.give(self.n);
    }
}

impl Drop for Backlog {
    fn drop(&mut self) {
        self.budget.give(self.in_file());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn drain(b: &mut Backlog) -> Vec<u8> {
        let mut out = Vec::new();
        while !b.is_empty() {
            b.refill(CHUNK).await.unwrap();
            let first: Vec<u8> = b.slices().next().unwrap().to_vec();
            let n = first.len().min(1000);
            out.extend_from_slice(&first[..n]);
            b.advance(n);
        }
        out
    }

    #[tokio::test]
    async fn bytes_come_out_in_the_order_they_went_in_and_the_budget_is_given_back() {
        let dir = tempfile::tempdir().unwrap();
        let budget = Arc::new(SpillBudget::new(dir.path(), 1 << 20));
        let mut b = Backlog::new(4096, 1 << 20, Arc::clone(&budget));
        let mut sent = Vec::new();
        for i in 0..100_u32 {
            let chunk: Vec<u8> = (0..777_u32).map(|j| (i * 31 + j) as u8).collect();
            sent.extend_from_slice(&chunk);
            b.push(chunk.into()).await.unwrap();
        }
        assert_eq!(b.len(), sent.len() as u64);
        assert!(budget.used() > 0);
        assert_eq!(drain(&mut b).await, sent);
        assert_eq!(budget.used(), 0);
        b.push(Bytes::from_static(b"again")).await.unwrap();
        assert_eq!(drain(&mut b).await, b"again");
    }

    #[tokio::test]
    async fn what_has_been_read_back_takes_no_room_on_the_disk_though_the_visitor_never_catches_up() {
        use std::os::unix::fs::MetadataExt;
        let dir = tempfile::tempdir().unwrap();
        let budget = Arc::new(SpillBudget::new(dir.path(), 1 << 30));
        let mut b = Backlog::new(4096, 1 << 20, Arc::clone(&budget));
        let chunk = Bytes::from(vec![7; 33_333]);
        let (mut came, mut went) = (0, 0);
        while came < 16 << 20 {
            while b.has_room(0) {
                b.push(chunk.clone()).await.unwrap();
                came += chunk.len();
            }
            b.refill(CHUNK / 8).await.unwrap();
            let n = b.slices().next().unwrap().len();
            b.advance(n);
            went += n;
            let on_disk = b.file.as_ref().unwrap().metadata().unwrap().blocks() * 512;
            assert!(
                on_disk <= b.in_file() + 2 * STEP,
                "{on_disk} bytes on the disk, {} wait, {went} are read",
                b.in_file()
            );
        }
    }

    #[tokio::test]
    async fn a_dropped_backlog_gives_its_share_back_and_the_cap_holds() {
        let dir = tempfile::tempdir().unwrap();
        let budget = Arc::new(SpillBudget::new(dir.path(), 10_000));
        let mut b = Backlog::new(10, 5_000, Arc::clone(&budget));
        while b.has_room(0) {
            b.push(vec![7; 500].into()).await.unwrap();
        }
        assert!(b.len() <= 6_000, "{}", b.len());
        drop(b);
        assert_eq!(budget.used(), 0);
    }
}
