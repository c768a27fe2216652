//! The audit journal: typed events as JSON lines, chained by hash, one file a day.

mod chain;
mod error;
mod event;
mod files;
mod journal;
mod query;
mod recover;
mod search;
mod verify;
mod writer;

#[cfg(test)]
mod disk_tests;
#[cfg(test)]
mod journal_tests;
#[cfg(test)]
mod verify_tests;

pub use error::AuditError;
pub use event::{Actor, Context, Event, Outcome, Record, What};
pub use journal::{Journal, RECENT, WAITING_MAX, WAITING_UNHEALTHY};
pub use query::{About, AuditQuery};
pub use search::query_dir;
pub use verify::{Break, Torn, VerifyReport, verify};
