//! What can go wrong with the journal.

use std::io;
use std::path::{Path, PathBuf};
use thiserror::Error;

/// Why the journal could not be opened, written or read.
#[derive(Debug, Error)]
pub enum AuditError {
    /// The folder of the journal.
    #[error("the audit folder {} cannot be {doing}: {source}. Check that it exists and belongs to the daemon's user", dir.display())]
    Folder {
        /// Which.
        dir: PathBuf,
        /// `created`, `listed`, `locked`.
        doing: &'static str,
        /// The system's word.
        source: io::Error,
    },
    /// Another daemon has it.
    #[error(
        "the audit journal in {} is being written by another portreeve ({holder}): stop that one first, or give this one a folder of its own ([audit] dir)",
        dir.display()
    )]
    Locked {
        /// The folder.
        dir: PathBuf,
        /// `process 1234`, or that it is not known.
        holder: String,
    },
    /// One file of the journal.
    #[error("the audit file {} cannot be {doing}: {source}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// `opened`, `read`, `cut`, `kept aside`.
        doing: &'static str,
        /// The system's word.
        source: io::Error,
    },
    /// The event is not in the journal and will not be: whatever it was to prove must not be done.
    #[error(
        "the audit journal cannot be written ({why}), so the event was not recorded: free the disk or mend the folder, the journal tries again every second"
    )]
    Unwritable {
        /// The file and the system's word.
        why: String,
    },
    /// More events wait for the disk than are kept in memory. Like [`AuditError::Unwritable`] for the caller.
    #[error("the audit journal is {waiting} records behind the disk, so the event was not recorded")]
    Behind {
        /// How many wait.
        waiting: usize,
    },
    /// The event cannot be written as JSON.
    #[error("the event cannot be written as JSON: {0}")]
    Encode(String),
    /// A checkpoint was asked for and nobody can sign it.
    #[error("no checkpoint can be made: {0}")]
    Unsigned(String),
    /// The journal was closed, or its thread is gone.
    #[error("the audit journal is closed, so nothing more is recorded; the daemon must be restarted")]
    Stopped,
}

impl AuditError {
    pub(super) fn folder(dir: &Path, doing: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Folder { dir: dir.to_owned(), doing, source }
    }
    pub(super) fn file(path: &Path, doing: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::File { path: path.to_owned(), doing, source }
    }
}
