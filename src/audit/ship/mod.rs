//! The journal sent on as it is written: to syslog or journald, each by a thread of its own.
//!
//! The journal is the spool: a thread reads its files from where it came to, so that nothing is lost while the other end
//! is away or the daemon is stopped, and nothing waits in memory. How far it came is kept in a file beside the ledger,
//! and moves only when the other end's kernel has what was sent; after a broken connection the last records may come
//! twice, which their `seq` tells.

mod sink;
mod syslog;
mod tail;

use super::{Actor, Context, Event, Journal, What};
use crate::model::Seq;
use sink::Sink;
use std::collections::VecDeque;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tail::Tail;
use tokio::sync::broadcast::error::TryRecvError;

/// Records sent before it is asked whether they have arrived.
const BATCH: usize = 500;
/// Between attempts to reach the other end: from, up to.
const RETRY: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));

/// A record as each kind of receiver gets it.
#[cfg(any(test, fuzzing))]
pub(super) fn lines(r: &super::Record) -> [String; 2] {
    [syslog::of(r, false).line(), syslog::of(r, true).short().line()]
}

/// Where records go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ShipTo {
    /// A Unix socket that takes syslog, datagrams or a stream: `/dev/log`.
    Unix(PathBuf),
    /// Syslog over TCP (RFC 6587, counted), `host:port`.
    Tcp(String),
    /// Syslog over TLS (RFC 5425), `host:port`, with the certificates it is known by.
    Tls {
        /// Where.
        to: String,
        /// A PEM file of certificate authorities.
        ca: PathBuf,
    },
    /// The socket of systemd's journal.
    Journald(PathBuf),
}

impl std::fmt::Display for ShipTo {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
            Self::Tcp(to) => write!(f, "tcp:{to}"),
            Self::Tls { to, .. } => write!(f, "tls:{to}"),
            Self::Journald(path) => write!(f, "journald:{}", path.display()),
        }
    }
}

/// One receiver of the journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shipping {
    /// Its name in the configuration.
    pub name: String,
    /// Where.
    pub to: ShipTo,
    /// As OCSF events, not as lines of the journal.
    pub ocsf: bool,
}

/// A receiver at work. Dropped, it stops within a moment.
#[derive(Debug)]
pub struct Ship {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Ship {
    /// Begins to send, from where the last run came to; the very first time from now on.
    ///
    /// # Errors
    /// When no thread can be made.
    pub fn start(journal: &Journal, what: Shipping, state_dir: &Path) -> io::Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let place = state_dir.join(format!("ship-{}.seq", what.name));
        let mut worker =
            Worker { journal: journal.clone(), live: journal.subscribe(), place, what, stop: stop.clone(), down: None };
        let thread = std::thread::Builder::new().name("ship".to_owned()).spawn(move || worker.run())?;
        Ok(Self { stop, thread: Some(thread) })
    }

    /// Ends it; what was written up to now is sent first if the other end takes it at once.
    pub fn stop(mut self) {
        self.stop.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

struct Worker {
    journal: Journal,
    live: tokio::sync::broadcast::Receiver<Arc<super::Record>>,
    /// Where it is kept how far it came.
    place: PathBuf,
    what: Shipping,
    stop: Arc<AtomicBool>,
    /// Since when the other end is away, and why.
    down: Option<(Instant, String)>,
}

impl Worker {
    fn run(&mut self) {
        let from = read_place(&self.place).unwrap_or_else(|| {
            let now = self.journal.status().seq;
            keep_place(&self.place, now);
            now
        });
        let mut tail = Tail::after(self.journal.dir(), from);
        while !self.stopped() {
            let result = Sink::open(&self.what.to).and_then(|mut sink| self.send(&mut sink, &mut tail));
            let Err(error) = result else { return };
            self.is_down(&error, tail.seq());
            // What was sent and not known to have arrived is sent again.
            tail = Tail::after(self.journal.dir(), read_place(&self.place).unwrap_or(from));
            // As long again as it has been away, so each outage begins with a short wait.
            let away = self.down.as_ref().map_or(RETRY.0, |(since, _)| since.elapsed());
            self.rest(away.clamp(RETRY.0, RETRY.1));
        }
    }

    fn stopped(&self) -> bool {
        self.stop.load(Ordering::Acquire)
    }

    fn rest(&self, time: Duration) {
        let until = Instant::now() + time;
        while !self.stopped() && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(100).min(until.saturating_duration_since(Instant::now())));
        }
    }

    /// Sends all there is and waits for more, until it is stopped or the other end breaks.
    fn send(&mut self, sink: &mut Sink, tail: &mut Tail) -> io::Result<()> {
        let mut under_way = VecDeque::new();
        loop {
            let written = self.journal.status().seq;
            let mut sent = 0;
            while sent < BATCH
                && tail.seq() < written
                && let Some(record) = tail.next()?
            {
                sink.send(&syslog::of(&record, self.what.ocsf))?;
                sent += 1;
            }
            if sent > 0 {
                sink.flush()?;
                under_way.push_back((Instant::now(), tail.seq()));
                self.is_up(tail.seq());
            }
            sink.alive()?;
            while let Some((_, seq)) = under_way.front().copied().filter(|(at, _)| at.elapsed() >= sink.settles()) {
                keep_place(&self.place, seq);
                under_way.pop_front();
            }
            if sent > 0 {
                continue;
            }
            if self.stopped() {
                return Ok(());
            }
            self.wait();
        }
    }

    /// Until something is written, or for a moment.
    fn wait(&mut self) {
        let until = Instant::now() + Duration::from_secs(1);
        loop {
            match self.live.try_recv() {
                Ok(_) | Err(TryRecvError::Lagged(_)) => {
                    // All that has come is looked for together.
                    while matches!(self.live.try_recv(), Ok(_) | Err(TryRecvError::Lagged(_))) {}
                    return;
                }
                Err(TryRecvError::Closed) => return self.rest(Duration::from_millis(200)),
                Err(TryRecvError::Empty) => {}
            }
            if self.stopped() || Instant::now() >= until {
                return;
            }
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    fn event(&self, up: bool, behind: u64) -> What {
        What::AuditShipping { name: self.what.name.clone(), to: self.what.to.to_string(), up, behind }
    }

    fn is_down(&mut self, error: &io::Error, at: Seq) {
        let why = match error.kind() {
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => "it does not answer".to_owned(),
            _ => error.to_string(),
        };
        if self.down.as_ref().is_none_or(|(_, known)| *known != why) {
            let since = self.down.take().map_or_else(Instant::now, |(since, _)| since);
            self.down = Some((since, why.clone()));
            tracing::warn!(name = self.what.name, to = %self.what.to, why, "the audit journal cannot be sent on");
            let behind = self.journal.status().seq.0.saturating_sub(at.0);
            let what = self.event(false, behind);
            self.journal.record(Event::failure(Actor::Daemon, what, &why, Context::default()));
        }
    }

    fn is_up(&mut self, at: Seq) {
        if self.down.take().is_some() {
            tracing::info!(name = self.what.name, to = %self.what.to, "the audit journal is sent on again");
            let what = self.event(true, self.journal.status().seq.0.saturating_sub(at.0));
            self.journal.record(Event::success(Actor::Daemon, what, Context::default()));
        }
    }
}

fn read_place(path: &Path) -> Option<Seq> {
    std::fs::read_to_string(path).ok()?.trim().parse().ok().map(Seq)
}

/// On a full disk the place stays behind, and records are sent twice rather than never.
fn keep_place(path: &Path, seq: Seq) {
    let new = path.with_extension("new");
    let done = std::fs::write(&new, format!("{}\n", seq.0)).and_then(|()| std::fs::rename(&new, path));
    if let Err(error) = done {
        tracing::debug!(path = %path.display(), %error, "how far the journal was sent on is not kept");
    }
}
