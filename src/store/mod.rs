//! What must survive a restart: leases, revocations, grants, mutes and approved keys, behind one trait.

mod handle;
mod sqlite;

#[cfg(test)]
mod tests;

pub use handle::{Saving, StoreHandle};
pub use sqlite::SqliteStore;

use crate::model::{
    Approval, BlockTarget, GrantId, GrantView, KeyUse, LeaseView, Mute, Port, ReservationView, RevocationView,
};
use thiserror::Error;

/// What was saved.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Saved {
    /// Leases that are not fixed by the configuration.
    pub leases: Vec<LeaseView>,
    /// Blocks in force.
    pub revocations: Vec<RevocationView>,
    /// Incidents that are to alarm nobody.
    pub mutes: Vec<Mute>,
    /// Ports that are kept free for a time.
    pub reservations: Vec<ReservationView>,
    /// When keys were used.
    pub key_uses: Vec<KeyUse>,
    /// What was given until a time.
    pub grants: Vec<GrantView>,
    /// Keys that were approved for hosts.
    pub approvals: Vec<Approval>,
}

/// One change to what is saved.
#[derive(Debug, Clone, PartialEq)]
pub enum Change {
    /// Write a lease; the port is its key.
    PutLease(LeaseView),
    /// Forget the lease of this port.
    DropLease(Port),
    /// Write a block; the target is its key.
    PutRevocation(RevocationView),
    /// Forget a block.
    DropRevocation(BlockTarget),
    /// Write a mute; the incident's id is its key.
    PutMute(Mute),
    /// Forget the mute of this incident.
    DropMute(String),
    /// Write a reservation; the port is its key.
    PutReservation(ReservationView),
    /// Forget the reservation of this port.
    DropReservation(Port),
    /// Write when a key was used; the key is its key.
    PutKeyUse(KeyUse),
    /// Forget a key that is no longer in the configuration.
    DropKeyUse(String),
    /// Write a grant; its id is its key.
    PutGrant(GrantView),
    /// Forget a grant.
    DropGrant(GrantId),
    /// Write an approval; the key is its key.
    PutApproval(Approval),
    /// Forget the approval of this key.
    DropApproval(String),
}

/// Why something could not be saved or read.
#[derive(Debug, Error)]
pub enum StoreError {
    /// The database refused.
    #[error(
        "the ledger {path} cannot be used: {source}. Check the disk and the file's owner; `sqlite3 {path} 'pragma integrity_check'` tells whether it is damaged"
    )]
    Database {
        /// The file.
        path: String,
        /// SQLite's word.
        source: rusqlite::Error,
    },
    /// The file cannot be made or made private.
    #[error("the ledger {path} cannot be opened: {source}. Check that its folder belongs to the daemon's user")]
    File {
        /// The file.
        path: String,
        /// The system's word.
        source: std::io::Error,
    },
    /// The file is a database, but not a sound one.
    #[error(
        "the ledger {path} is damaged: {what}. Stop the daemon and restore it from a backup, or salvage it: `sqlite3 {path} .recover | sqlite3 new.sqlite`"
    )]
    Damaged {
        /// The file.
        path: String,
        /// What SQLite's check says.
        what: String,
    },
    /// A newer portreeve wrote it.
    #[error(
        "the ledger {path} was written by a newer portreeve (layout {found}, this one knows up to {known}): run the newer version, or restore a backup from before it"
    )]
    Newer {
        /// The file.
        path: String,
        /// Its layout.
        found: i64,
        /// The newest layout known here.
        known: i64,
    },
    /// The store's thread could not be started.
    #[error("the ledger's thread cannot be started: {0}")]
    Thread(std::io::Error),
    /// A row that this version cannot read.
    #[error("the ledger {path} has a row that cannot be read: {what}")]
    Row {
        /// The file.
        path: String,
        /// Which, and why.
        what: String,
    },
    /// The store's thread is gone.
    #[error("the ledger's thread has stopped; the daemon must be restarted")]
    Stopped,
}

/// A place that keeps [`Saved`]. SQLite here; a fleet's etcd later.
pub trait Store: Send + 'static {
    /// All that is saved.
    ///
    /// # Errors
    /// [`StoreError`] when it cannot be read.
    fn load(&mut self) -> Result<Saved, StoreError>;
    /// All of the changes or none; durable when it returns.
    ///
    /// # Errors
    /// [`StoreError`] when they cannot be saved.
    fn apply(&mut self, changes: &[Change]) -> Result<(), StoreError>;
}
