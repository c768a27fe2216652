//! The handle to the journal that the rest of the daemon holds.

use super::chain::Tip;
use super::files::{self, Disk, RealDisk};
use super::recover::recover;
use super::settings::Settings;
use super::watch::Watch;
use super::writer::{Order, Reply, Writer};
use super::{AuditError, AuditQuery, ChainStatus, Checkpoint, Event, Found, Record, aside, search_dir};
use crate::model::{AuditStatus, Seq, Time};
use std::collections::VecDeque;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, mpsc};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};
use tokio::sync::{Semaphore, broadcast, oneshot};

/// Records kept in memory for [`Journal::recent`].
pub const RECENT: usize = 2_048;
/// Records that may wait for the disk (some 60 MB at most). What comes after is counted as lost, and the journal says so
/// as soon as it can.
pub const WAITING_MAX: usize = 100_000;
/// Records waiting for the disk from which [`Journal::healthy`] says no.
pub const WAITING_UNHEALTHY: usize = 10_000;
/// Records a subscriber may be behind before it misses some (and can fetch them by [`Journal::recent`]).
const SUBSCRIPTION: usize = 4_096;

/// The audit journal: typed events as JSON lines, chained by hash, one file a (UTC) day, written by a thread of its own.
///
/// Cheap to clone. A record goes to the file of its day, or to a newer one if there is one already: a file never holds a
/// record of a later day than its own, and files read in order of their names give the records in order.
#[derive(Clone)]
pub struct Journal {
    inner: Arc<Inner>,
}

struct Inner {
    dir: PathBuf,
    shared: Arc<Shared>,
    /// None once closed. Dropping it ends the thread, after it has written all it was given.
    orders: RwLock<Option<mpsc::Sender<Order>>>,
    thread: Mutex<Option<JoinHandle<()>>>,
    /// Held by whoever reads the files.
    turn: Semaphore,
    /// How far the chain has been proved.
    watch: Arc<Mutex<Watch>>,
}

impl Inner {
    /// The thread sleeps over what nobody waits for.
    fn wake(&self) {
        if let Some(thread) = lock(&self.thread).as_ref() {
            thread.thread().unpark();
        }
    }

    /// The thread, which may sleep over what it has, learns that nothing more comes.
    fn end(&self) {
        drop(self.orders.write().unwrap_or_else(PoisonError::into_inner).take());
        self.wake();
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.end();
    }
}

/// What the thread and the handles both see.
pub(super) struct Shared {
    /// Records given and not yet written.
    pub(super) waiting: AtomicUsize,
    /// Records lost and not yet accounted for in the journal.
    pub(super) lost: AtomicU64,
    /// The thread is gone.
    pub(super) ended: AtomicBool,
    failing: AtomicBool,
    seq: AtomicU64,
    failure: Mutex<Option<String>>,
    notice: Option<String>,
    recent: Mutex<VecDeque<Arc<Record>>>,
    live: broadcast::Sender<Arc<Record>>,
}

fn lock<T>(m: &Mutex<T>) -> MutexGuard<'_, T> {
    m.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared {
    pub(super) fn publish(&self, record: Arc<Record>) {
        let mut recent = lock(&self.recent);
        if recent.len() == RECENT {
            recent.pop_front();
        }
        recent.push_back(record.clone());
        self.seq.store(record.seq.0, Ordering::Release);
        // No subscriber is no error. Sent under the lock, so that ring and subscribers see one order.
        let _ = self.live.send(record);
    }

    pub(super) fn set_failure(&self, why: Option<&str>) {
        *lock(&self.failure) = why.map(str::to_owned);
        self.failing.store(why.is_some(), Ordering::Release);
    }
}

impl Journal {
    /// Opens the journal in this folder, made if it is not there (mode 0700), for this process alone.
    ///
    /// Reads the end of the newest file only. A torn last line is moved to a file `torn-….jsonl` in the same folder, an
    /// `audit.recovered` event is written, and the chain goes on; [`Journal::status`] has a notice of this, and of a
    /// chain that is broken among the records read.
    ///
    /// # Errors
    /// [`AuditError::Locked`] when another process writes it, others when folder or files cannot be used.
    pub fn open(dir: &Path) -> Result<Self, AuditError> {
        Self::open_with(dir, Settings::default())
    }

    /// As [`Journal::open`], kept in another way.
    ///
    /// # Errors
    /// As [`Journal::open`].
    pub fn open_with(dir: &Path, settings: Settings) -> Result<Self, AuditError> {
        Self::open_on(dir, RealDisk, settings)
    }

    pub(super) fn open_on<D: Disk>(dir: &Path, disk: D, settings: Settings) -> Result<Self, AuditError> {
        files::make_dir(dir)?;
        let lock = take_lock(dir)?;
        let found = recover(dir, RECENT)?;
        let notice = (!found.notices.is_empty()).then(|| found.notices.join("; "));
        if let Some(notice) = &notice {
            tracing::warn!(%notice, "audit journal");
        }
        let (orders, receiver) = mpsc::channel();
        let shared = Arc::new(Shared {
            waiting: AtomicUsize::new(0),
            lost: AtomicU64::new(0),
            ended: AtomicBool::new(false),
            failing: AtomicBool::new(false),
            seq: AtomicU64::new(found.tip.seq.0),
            failure: Mutex::new(None),
            notice,
            recent: Mutex::new(found.recent.into()),
            live: broadcast::Sender::new(SUBSCRIPTION),
        });
        let (tip, newest): (Tip, _) = (found.tip, found.newest);
        let writer =
            Writer { shared: shared.clone(), orders: receiver, disk, dir: dir.to_owned(), settings, lock, tip, newest };
        let thread = thread::Builder::new()
            .name("audit".to_owned())
            .spawn(move || writer.run())
            .map_err(AuditError::folder(dir, "served by a thread"))?;
        let journal = Self {
            inner: Arc::new(Inner {
                dir: dir.to_owned(),
                shared,
                orders: RwLock::new(Some(orders)),
                thread: Mutex::new(Some(thread)),
                turn: Semaphore::new(1),
                watch: Arc::default(),
            }),
        };
        for event in found.events {
            journal.record(event);
        }
        Ok(journal)
    }

    /// The folder.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.inner.dir
    }

    /// Has the event written, in the order of calls and on the disk within a second. Never blocks on the disk.
    ///
    /// While the disk refuses, the record is kept in memory (up to [`WAITING_MAX`]) and written later.
    pub fn record(&self, event: Event) {
        self.record_at(event, crate::model::now());
    }

    pub(super) fn record_at(&self, event: Event, at: Time) {
        let name = event.name();
        if let Err(error) = self.send(event, at, None) {
            self.inner.shared.lost.fetch_add(1, Ordering::Relaxed);
            tracing::error!(event = name, %error, "audit record lost");
        }
    }

    /// Writes the event and returns its number once it is on the disk. Commits at the same time share one fsync. The
    /// event is written even if the future is dropped.
    ///
    /// # Errors
    /// When it cannot be written now. The event is then **not** in the journal and will not be, so that a refused login
    /// is never shown as a success later. Who goes on nevertheless (a revoke must) calls [`Journal::record`] with what
    /// was done: that is kept until the disk takes it.
    pub async fn commit(&self, event: Event) -> Result<Seq, AuditError> {
        let (tx, rx) = oneshot::channel();
        self.send(event, crate::model::now(), Some(Box::new(move |r| drop(tx.send(r)))))?;
        rx.await.unwrap_or(Err(AuditError::Stopped))
    }

    /// [`Journal::commit`] for code that is not async. It blocks the thread for an fsync.
    ///
    /// # Errors
    /// As [`Journal::commit`].
    pub fn commit_blocking(&self, event: Event) -> Result<Seq, AuditError> {
        let (tx, rx) = mpsc::sync_channel(1);
        self.send(event, crate::model::now(), Some(Box::new(move |r| drop(tx.send(r)))))?;
        rx.recv().unwrap_or(Err(AuditError::Stopped))
    }

    fn send(&self, event: Event, at: Time, reply: Option<Reply>) -> Result<(), AuditError> {
        let waiting = self.inner.shared.waiting.fetch_add(1, Ordering::Relaxed);
        let sent = if waiting >= WAITING_MAX {
            Err(AuditError::Behind { waiting })
        } else {
            self.order(Order::Write { event, at, reply })
        };
        if sent.is_err() {
            self.inner.shared.waiting.fetch_sub(1, Ordering::Relaxed);
        }
        sent
    }

    fn order(&self, order: Order) -> Result<(), AuditError> {
        let urgent = order.is_urgent();
        {
            let orders = self.inner.orders.read().unwrap_or_else(PoisonError::into_inner);
            orders.as_ref().ok_or(AuditError::Stopped)?.send(order).map_err(|_| AuditError::Stopped)?;
        }
        if urgent {
            self.inner.wake();
        }
        Ok(())
    }

    /// Returns when everything recorded before is on the disk, with the last number.
    ///
    /// # Errors
    /// When the journal cannot be written now; the records stay in memory.
    pub async fn flush(&self) -> Result<Seq, AuditError> {
        let (tx, rx) = oneshot::channel();
        self.order(Order::Flush(Box::new(move |r| drop(tx.send(r)))))?;
        rx.await.unwrap_or(Err(AuditError::Stopped))
    }

    /// Writes a signed checkpoint of everything recorded before, and returns it.
    ///
    /// # Errors
    /// When the journal cannot be written now, or has no key to sign with.
    pub async fn checkpoint(&self) -> Result<Checkpoint, AuditError> {
        let (tx, rx) = oneshot::channel();
        self.order(Order::Checkpoint(Box::new(move |r| drop(tx.send(r)))))?;
        rx.await.unwrap_or(Err(AuditError::Stopped))
    }

    /// The journal's state for a screen.
    #[must_use]
    pub fn status(&self) -> AuditStatus {
        let shared = &self.inner.shared;
        AuditStatus {
            seq: Seq(shared.seq.load(Ordering::Acquire)),
            failure: self.healthy().err(),
            notice: shared.notice.clone(),
        }
    }

    /// Whether events can be recorded now. Ask before a login or grant; it costs a few reads of memory.
    ///
    /// # Errors
    /// A sentence: why not.
    pub fn healthy(&self) -> Result<(), String> {
        let shared = &self.inner.shared;
        if shared.failing.load(Ordering::Acquire) {
            let why = lock(&shared.failure).clone().unwrap_or_default();
            return Err(format!("the audit journal cannot be written: {why}"));
        }
        if shared.waiting.load(Ordering::Relaxed) >= WAITING_UNHEALTHY {
            return Err(format!(
                "the audit journal is more than {WAITING_UNHEALTHY} records behind: the disk is too slow"
            ));
        }
        if shared.ended.load(Ordering::Acquire) {
            return Err("the audit journal is closed".to_owned());
        }
        Ok(())
    }

    /// The records from now on. Take it before [`Journal::recent`] and skip what is in both by number, so that nothing is
    /// missed. A subscriber that falls 4,096 records behind is told so by the channel.
    #[must_use]
    pub fn subscribe(&self) -> broadcast::Receiver<Arc<Record>> {
        self.inner.shared.live.subscribe()
    }

    /// The newest `max` of the last [`RECENT`] records, those after `since` if given, oldest first.
    #[must_use]
    pub fn recent(&self, since: Option<Seq>, max: usize) -> Vec<Arc<Record>> {
        let recent = lock(&self.inner.shared.recent);
        let mut out: Vec<_> =
            recent.iter().rev().take(max).take_while(|r| since.is_none_or(|s| r.seq > s)).cloned().collect();
        out.reverse();
        out
    }

    /// Searches the files for as long as `slice`, newest first, after a flush, so that what was recorded before is found.
    /// Goes on where it stopped with `before` the number it gives. Records that are not `visible` do not count.
    ///
    /// One piece of a search runs at a time, on a thread of low priority; dropping the future ends it at once.
    ///
    /// # Errors
    /// [`AuditError`] when folder or files cannot be read.
    pub async fn search(
        &self,
        query: AuditQuery,
        slice: Duration,
        visible: impl Fn(&Record) -> bool + Send + 'static,
    ) -> Result<Found, AuditError> {
        let _turn = self.inner.turn.acquire().await.map_err(|_| AuditError::Stopped)?;
        // What the disk refuses cannot be found on it; status() says so.
        if query.before.is_none_or(|b| b > self.status().seq) {
            let _ = self.flush().await;
        }
        let dir = self.inner.dir.clone();
        aside::run("audit-search", &self.inner.dir, move |left| {
            let end = Instant::now() + slice;
            search_dir(&dir, &query, visible, |_| left.is_gone() || Instant::now() >= end)
        })
        .await?
    }

    /// How it stands with the chain: reads what has been written since this was last asked, for as long as `slice`.
    ///
    /// # Errors
    /// [`AuditError`] when folder or files cannot be read.
    pub async fn chain(&self, slice: Duration) -> Result<ChainStatus, AuditError> {
        let _turn = self.inner.turn.acquire().await.map_err(|_| AuditError::Stopped)?;
        let (dir, watch) = (self.inner.dir.clone(), self.inner.watch.clone());
        aside::run("audit-chain", &self.inner.dir, move |left| {
            let end = Instant::now() + slice;
            lock(&watch).look(&dir, |_| left.is_gone() || Instant::now() >= end)
        })
        .await?
    }

    /// Writes all that was recorded, ends the thread and gives the folder free. Blocks until then. Calling it again does
    /// nothing; what is recorded afterwards is refused.
    ///
    /// # Errors
    /// [`AuditError::Unwritable`] when records could not be written and are lost (they are in the operational log).
    pub fn close(&self) -> Result<(), AuditError> {
        self.inner.end();
        let Some(thread) = lock(&self.inner.thread).take() else { return Ok(()) };
        thread.join().map_err(|_| AuditError::Stopped)?;
        match (self.inner.shared.lost.load(Ordering::Relaxed), lock(&self.inner.shared.failure).as_ref()) {
            (0, _) => Ok(()),
            (n, why) => {
                let why = why.map_or("", String::as_str);
                Err(AuditError::Unwritable { why: format!("{n} records lost at the end; {why}") })
            }
        }
    }
}

/// Holds the folder for this process. The kernel lets go of it when the process ends, however it ends.
fn take_lock(dir: &Path) -> Result<File, AuditError> {
    let failed = || AuditError::folder(dir, "locked");
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(dir.join("lock"))
        .map_err(failed())?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut holder = String::new();
            let known = file.read_to_string(&mut holder).is_ok() && !holder.trim().is_empty();
            let holder =
                if known { format!("process {}", holder.trim()) } else { "its process is not known".to_owned() };
            return Err(AuditError::Locked { dir: dir.to_owned(), holder });
        }
        Err(TryLockError::Error(e)) => return Err(failed()(e)),
    }
    // A courtesy to whom is kept out; on a full disk it goes without.
    let _ = file.set_len(0).and_then(|()| writeln!(file, "{}", std::process::id()));
    Ok(file)
}
