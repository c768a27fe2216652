//! The journal's own thread: the only place that writes.
//!
//! A record gets its number when it is written, and is shown (to the ring and to subscribers) when it is on the disk:
//! nobody ever sees a record that a crash could take back, and a commit that failed leaves no number behind.

use super::chain::{self, Tip};
use super::files::{self, Disk, LogFile};
use super::journal::Shared;
use super::retain;
use super::settings::Settings;
use super::{Actor, AuditError, Checkpoint, Context, Event, What};
use crate::model::{Seq, Time};
use chrono::NaiveDate;
use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError, TryRecvError};
use std::time::{Duration, Instant};

/// Records written and fsynced in one go.
const BATCH: usize = 1_000;

/// How the outcome of a commit or flush is told.
pub(super) type Reply = Box<dyn FnOnce(Result<Seq, AuditError>) + Send>;

/// How a checkpoint that was asked for is given.
pub(super) type Signed = Box<dyn FnOnce(Result<Checkpoint, AuditError>) + Send>;

/// What the thread is told. Nearly every order is a `Write`, so its size is the size that is needed.
#[allow(clippy::large_enum_variant)]
pub(super) enum Order {
    /// Write it; with a reply, at once, or else not at all.
    Write { event: Event, at: Time, reply: Option<Reply> },
    /// Write all that came before.
    Flush(Reply),
    /// The same, and a checkpoint after it.
    Checkpoint(Signed),
}

impl Order {
    /// Whether somebody waits for the outcome.
    pub(super) fn is_urgent(&self) -> bool {
        matches!(self, Self::Flush(_) | Self::Checkpoint(_) | Self::Write { reply: Some(_), .. })
    }
}

struct Waiting {
    event: Event,
    at: Time,
    reply: Option<Reply>,
    /// The writer's own remark on a failure that is over; taken back when the disk refuses again.
    remark: bool,
}

/// The disk refuses.
struct Failing {
    since: Instant,
    why: String,
    retry_at: Instant,
}

pub(super) struct Writer<D: Disk> {
    pub(super) shared: Arc<Shared>,
    pub(super) orders: Receiver<Order>,
    pub(super) disk: D,
    pub(super) dir: PathBuf,
    pub(super) settings: Settings,
    /// Held as long as the thread lives.
    pub(super) lock: File,
    pub(super) tip: Tip,
    /// The newest file and how much of it is good: on the disk, whole lines.
    pub(super) newest: Option<(NaiveDate, u64)>,
}

impl<D: Disk> Writer<D> {
    pub(super) fn run(self) {
        let _ended = Ended(self.shared.clone());
        let mut state = State {
            w: self,
            file: None,
            waiting: VecDeque::new(),
            flushes: Vec::new(),
            asked: Vec::new(),
            due: None,
            failing: None,
            sign_at: None,
            tidy: true,
        };
        while state.gather() {
            state.write();
        }
        state.write();
        // A run ends with a checkpoint, so that nothing of it stays unsigned.
        state.sign_at = state.sign_at.map(|_| Instant::now());
        state.write();
        state.finish();
    }
}

/// However the thread ends, the handles learn of it.
struct Ended(Arc<Shared>);

impl Drop for Ended {
    fn drop(&mut self) {
        self.0.ended.store(true, Ordering::Release);
    }
}

struct State<D: Disk> {
    w: Writer<D>,
    /// Open on `newest`. None at first, and after an error: the next attempt opens it anew.
    file: Option<D::File>,
    waiting: VecDeque<Waiting>,
    flushes: Vec<Reply>,
    /// Who wants a checkpoint.
    asked: Vec<Signed>,
    /// When to write what waits.
    due: Option<Instant>,
    failing: Option<Failing>,
    /// When to sign what was written since the last checkpoint.
    sign_at: Option<Instant>,
    /// Old files are to be looked for: a day has begun.
    tidy: bool,
}

impl<D: Disk> State<D> {
    /// Takes orders until it is time to write. False when the last handle is gone.
    fn gather(&mut self) -> bool {
        loop {
            let now = Instant::now();
            let order = match self.failing.as_ref().map(|f| f.retry_at).or(self.due) {
                // Nothing waits: the next order wakes this thread.
                None => match self.sign_at {
                    None => self.w.orders.recv().map_err(|_| RecvTimeoutError::Disconnected),
                    Some(t) => self.w.orders.recv_timeout(t.saturating_duration_since(now)),
                },
                // Not woken by each order: at a thousand visits a second that alone would cost as much as the visits do.
                // Whoever waits for an answer wakes this thread.
                Some(t) if t > now => match self.w.orders.try_recv() {
                    Ok(order) => Ok(order),
                    Err(TryRecvError::Empty) => {
                        std::thread::park_timeout(t - now);
                        continue;
                    }
                    Err(TryRecvError::Disconnected) => Err(RecvTimeoutError::Disconnected),
                },
                // Due: what is already here comes along, but a steady stream must not put the writing off. (While the disk
                // refuses all of it comes: it waits here or there, and WAITING_MAX bounds it.)
                Some(_) if self.failing.is_none() && self.waiting.len() >= BATCH => return true,
                Some(_) => self.w.orders.try_recv().map_err(|e| match e {
                    TryRecvError::Empty => RecvTimeoutError::Timeout,
                    TryRecvError::Disconnected => RecvTimeoutError::Disconnected,
                }),
            };
            match order {
                Ok(order) => self.take(order),
                Err(RecvTimeoutError::Timeout) => return true,
                Err(RecvTimeoutError::Disconnected) => return false,
            }
        }
    }

    fn take(&mut self, order: Order) {
        match (order, &self.failing) {
            (Order::Write { reply: Some(reply), .. }, Some(failing)) => {
                self.w.shared.waiting.fetch_sub(1, Ordering::Relaxed);
                reply(Err(AuditError::Unwritable { why: failing.why.clone() }));
            }
            (Order::Flush(reply), Some(failing)) => reply(Err(AuditError::Unwritable { why: failing.why.clone() })),
            (Order::Checkpoint(reply), Some(failing)) => {
                reply(Err(AuditError::Unwritable { why: failing.why.clone() }));
            }
            (Order::Write { event, at, reply }, _) => {
                let waits = if reply.is_some() { Duration::ZERO } else { self.w.settings.sync.of(event.name()) };
                let due = Instant::now() + waits;
                self.due = Some(self.due.map_or(due, |d| d.min(due)));
                self.waiting.push_back(Waiting { event, at, reply, remark: false });
            }
            (Order::Flush(reply), None) => {
                self.due = Some(Instant::now());
                self.flushes.push(reply);
            }
            (Order::Checkpoint(reply), None) => {
                self.due = Some(Instant::now());
                self.asked.push(reply);
            }
        }
    }

    /// Writes all that waits, or notes why not.
    fn write(&mut self) {
        self.due = None;
        self.remark();
        if !self.write_waiting() {
            return;
        }
        if self.failing.take().is_some() {
            tracing::info!("the audit journal can be written again");
            self.w.shared.set_failure(None);
        }
        let seq = self.w.tip.seq;
        for reply in self.flushes.drain(..) {
            reply(Ok(seq));
        }
        self.expire();
        let signed = self.checkpoint();
        if !self.write_waiting() {
            return;
        }
        for reply in self.asked.drain(..) {
            let none = || AuditError::Unsigned("there is no audit key".to_owned());
            reply(signed.clone().ok_or_else(none));
        }
    }

    /// Whether all of it is on the disk; else the failure is noted.
    fn write_waiting(&mut self) -> bool {
        while !self.waiting.is_empty() {
            if let Err((path, e)) = self.write_batch() {
                self.fail(format!("{}: {e}", path.display()));
                return false;
            }
        }
        true
    }

    /// The writer's own word, taken back if the disk refuses.
    fn say(&mut self, event: Event, at: Time) {
        self.w.shared.waiting.fetch_add(1, Ordering::Relaxed);
        self.waiting.push_back(Waiting { event, at, reply: None, remark: true });
    }

    /// When a day has begun: deletes the files that need not stay any longer. Each is in the journal, and that is signed,
    /// before it is gone: a proof by key takes nobody's word for it that is not.
    fn expire(&mut self) {
        if !std::mem::take(&mut self.tidy) {
            return;
        }
        let now = crate::model::now();
        let old = match retain::old(&self.w.dir, self.w.settings.keep, files::day_of(now)) {
            Ok(old) if old.is_empty() => return,
            Ok(old) => old,
            Err(error) => {
                return tracing::warn!(%error, "old files of the journal cannot be looked for");
            }
        };
        for o in &old {
            let what = What::AuditExpired { file: o.day.name(), upto: o.upto, head: o.head.clone(), bytes: o.bytes };
            self.say(Event::success(Actor::Daemon, what, Context::default()), now);
        }
        if !self.write_waiting() {
            self.tidy = true;
            return;
        }
        self.sign_at = Some(Instant::now());
        if self.checkpoint().is_none() && self.w.settings.key.is_some() || !self.write_waiting() {
            self.tidy = true;
            return;
        }
        for o in old {
            if let Err(error) = std::fs::remove_file(&o.day.path) {
                tracing::warn!(file = %o.day.path.display(), %error, "an old file of the journal cannot be deleted");
            }
        }
    }

    /// When it is time, or was asked for: a checkpoint of all that is written.
    fn checkpoint(&mut self) -> Option<Checkpoint> {
        if self.failing.is_some() || (self.asked.is_empty() && self.sign_at.is_none_or(|t| t > Instant::now())) {
            return None;
        }
        self.sign_at = None;
        let key = self.w.settings.key.clone()?;
        let now = crate::model::now();
        match Checkpoint::sign(&key, self.w.tip.seq, &self.w.tip.hash, now) {
            Ok(signed) => {
                self.say(Event::success(Actor::Daemon, What::Checkpoint(signed.clone()), Context::default()), now);
                Some(signed)
            }
            Err(error) => {
                tracing::error!(%error, "the audit journal cannot be signed");
                None
            }
        }
    }

    /// After a failure or a loss the journal itself says so, as the last of what waited.
    fn remark(&mut self) {
        let lost = self.w.shared.lost.load(Ordering::Relaxed);
        if self.failing.is_none() && lost == 0 {
            return;
        }
        let kept = u64::try_from(self.waiting.len()).unwrap_or(u64::MAX);
        let (seconds, why) = match &self.failing {
            Some(f) => (f.since.elapsed().as_secs_f64(), f.why.clone()),
            None => (0.0, "more records came than the disk could take".to_owned()),
        };
        let what = What::AuditResumed { seconds: (seconds * 1000.0).round() / 1000.0, kept, lost };
        let event = if lost == 0 {
            let context = Context { reason: Some(crate::model::clean_line(&why)), ..Context::default() };
            Event::success(Actor::Daemon, what, context)
        } else {
            Event::failure(Actor::Daemon, what, &why, Context::default())
        };
        self.say(event, crate::model::now());
    }

    /// The day whose file takes a record of this time: never an older one than the newest there is, so that a clock that
    /// jumps back does not reorder the chain.
    fn day_for(&self, at: Time) -> NaiveDate {
        let day = files::day_of(at);
        self.w.newest.map_or(day, |(newest, _)| day.max(newest))
    }

    /// Writes and fsyncs the first of what waits, as far as it goes into one file.
    fn write_batch(&mut self) -> Result<(), (PathBuf, io::Error)> {
        let Some(day) = self.waiting.front().map(|w| self.day_for(w.at)) else { return Ok(()) };
        let path = self.w.dir.join(files::file_name(day));
        let result = self.open(day, &path).and_then(|()| {
            let n = self.waiting.iter().take(BATCH).take_while(|w| self.day_for(w.at) == day).count();
            let mut tip = self.w.tip.clone();
            let mut bytes = Vec::new();
            let mut sealed = Vec::with_capacity(n);
            for w in self.waiting.iter().take(n) {
                sealed.push(chain::seal(&mut tip, w.at, &w.event, &mut bytes).map_err(|e| e.to_string()));
            }
            self.append(&bytes)?;
            self.w.tip = tip;
            if self.w.settings.key.is_some()
                && self.waiting.iter().take(n).any(|w| !matches!(w.event.what, What::Checkpoint(_)))
            {
                self.sign_at.get_or_insert_with(|| Instant::now() + self.w.settings.checkpoint);
            }
            for (seal, w) in sealed.into_iter().zip(self.waiting.drain(..n)) {
                self.w.shared.waiting.fetch_sub(1, Ordering::Relaxed);
                let outcome = match seal {
                    Ok(seal) => {
                        if let What::AuditResumed { lost, .. } = &w.event.what {
                            self.w.shared.lost.fetch_sub(*lost, Ordering::Relaxed);
                        }
                        // Made anew by this thread. It stays among the recent ones for hours, and its many small pieces
                        // would keep pages of the heap that carries transfers from ever being given back.
                        let record = seal.record(w.at, w.event.clone());
                        let seq = record.seq;
                        self.w.shared.publish(Arc::new(record));
                        Ok(seq)
                    }
                    Err(e) => {
                        tracing::error!(event = w.event.name(), error = %e, "an audit event cannot be written as JSON");
                        if w.reply.is_none() {
                            self.w.shared.lost.fetch_add(1, Ordering::Relaxed);
                        }
                        Err(AuditError::Encode(e))
                    }
                };
                if let Some(reply) = w.reply {
                    reply(outcome);
                }
            }
            Ok(())
        });
        result.map_err(|e| (path, e))
    }

    /// Sees to it that `file` is the file of this day and ends where the last good line does.
    fn open(&mut self, day: NaiveDate, path: &std::path::Path) -> io::Result<()> {
        let same = self.w.newest.filter(|(newest, _)| *newest == day);
        if self.file.is_some() && same.is_some() {
            return Ok(());
        }
        self.file = None;
        let mut file = self.w.disk.open(path)?;
        let mut len = file.len()?;
        if let Some((_, good)) = same
            && len > good
        {
            // What a failed write left behind.
            file.truncate(good)?;
            len = good;
        }
        if same.is_some_and(|(_, good)| len < good) && len > 0 {
            // Somebody cut the file, perhaps within a line: the break is theirs, our next line stays whole.
            file.append(b"\n")?;
            len += 1;
        }
        self.tidy |= same.is_none();
        self.w.newest = Some((day, len));
        self.file = Some(file);
        Ok(())
    }

    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        let (Some(file), Some((_, good))) = (&mut self.file, &mut self.w.newest) else { return Ok(()) };
        let written = file.len().and_then(|len| {
            if len != *good {
                return Err(io::Error::other(format!(
                    "somebody else changed the file: it has {len} bytes where {good} were written"
                )));
            }
            file.append(bytes)?;
            file.sync()
        });
        match written {
            Ok(()) => {
                *good += u64::try_from(bytes.len()).unwrap_or(u64::MAX);
                Ok(())
            }
            Err(e) => {
                // Half a line must not stay; if it cannot be cut now, the next attempt does, before it writes.
                if file.len().is_ok_and(|len| len > *good) {
                    let _ = file.truncate(*good).and_then(|()| file.sync());
                }
                self.file = None;
                Err(e)
            }
        }
    }

    /// Notes the failure. Records stay, in order; commits are told, and forgotten.
    fn fail(&mut self, why: String) {
        let now = Instant::now();
        let since = self.failing.as_ref().map_or(now, |f| f.since);
        if self.failing.as_ref().is_none_or(|f| f.why != why) {
            tracing::error!(%why, "the audit journal cannot be written");
            self.w.shared.set_failure(Some(&why));
        }
        let mut kept = VecDeque::with_capacity(self.waiting.len());
        for w in self.waiting.drain(..) {
            if w.reply.is_none() && !w.remark {
                kept.push_back(w);
                continue;
            }
            self.w.shared.waiting.fetch_sub(1, Ordering::Relaxed);
            if let Some(reply) = w.reply {
                reply(Err(AuditError::Unwritable { why: why.clone() }));
            }
        }
        self.waiting = kept;
        for reply in self.flushes.drain(..) {
            reply(Err(AuditError::Unwritable { why: why.clone() }));
        }
        for reply in self.asked.drain(..) {
            reply(Err(AuditError::Unwritable { why: why.clone() }));
        }
        self.failing = Some(Failing { since, why, retry_at: now + self.w.settings.retry });
    }

    /// The last handle is gone.
    fn finish(self) {
        if !self.waiting.is_empty() {
            let n = self.waiting.len();
            self.w.shared.lost.fetch_add(u64::try_from(n).unwrap_or(u64::MAX), Ordering::Relaxed);
            tracing::error!(records = n, "audit records could not be written before the end and are lost");
            for w in &self.waiting {
                tracing::error!(at = %w.at, event = %serde_json::to_string(&w.event).unwrap_or_default(), "lost audit record");
            }
        }
        let _ = self.w.lock.unlock();
    }
}
