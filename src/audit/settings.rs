//! How a journal is kept: how long a record may wait for the disk, who signs it, and how much of it stays.

use ssh_key::PrivateKey;
use std::sync::Arc;
use std::time::Duration;

/// Longest time that any record may wait to share its fsync with others.
pub const SYNC_MAX: Duration = Duration::from_secs(1);

/// How long records wait to share their fsync with others. What somebody waits for (an operator's act) never waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sync {
    /// Unless their class says otherwise.
    pub all: Duration,
    /// By class, the word before the dot in the event's name: `auth`, `visitor`.
    pub classes: Vec<(String, Duration)>,
}

impl Default for Sync {
    fn default() -> Self {
        Self { all: Duration::from_millis(200), classes: Vec::new() }
    }
}

impl Sync {
    /// For an event of this name.
    pub(super) fn of(&self, event: &str) -> Duration {
        let class = event.split('.').next().unwrap_or(event);
        self.classes.iter().find(|(c, _)| c == class).map_or(self.all, |(_, d)| *d)
    }
}

/// How much of the journal stays on this disk. By default all.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Keep {
    /// Files of days further back than this are deleted.
    pub days: Option<u32>,
    /// The oldest files are deleted until the rest are within this size, bytes. Never the newest file.
    pub bytes: Option<u64>,
}

/// See the module.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Waiting times.
    pub sync: Sync,
    /// Between attempts while the disk refuses.
    pub retry: Duration,
    /// Signs the checkpoints; without it there are none.
    pub key: Option<Arc<PrivateKey>>,
    /// At most this long after a record comes a checkpoint that covers it.
    pub checkpoint: Duration,
    /// What stays.
    pub keep: Keep,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            sync: Sync::default(),
            retry: Duration::from_secs(1),
            key: None,
            checkpoint: Duration::from_secs(60),
            keep: Keep::default(),
        }
    }
}
