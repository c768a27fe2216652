//! The audit journal: typed events as JSON lines, chained by hash, one file a day.

mod about;
mod aside;
mod blocks;
mod chain;
mod checkpoint;
mod error;
mod event;
mod files;
mod folded;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;
mod journal;
mod name;
mod ocsf;
mod origin;
mod query;
mod recover;
mod repeat;
mod retain;
mod search;
mod settings;
mod ship;
mod sieve;
mod verify;
mod walk;
mod watch;
mod witness;
mod writer;

#[cfg(test)]
mod checkpoint_tests;
#[cfg(test)]
mod disk_tests;
#[cfg(test)]
mod journal_tests;
#[cfg(test)]
mod search_tests;
#[cfg(test)]
mod verify_tests;

pub use about::About;
pub use checkpoint::{Checkpoint, CheckpointError, NAMESPACE};
pub use error::AuditError;
pub use event::{Actor, Context, Event, Outcome, Record, What};
pub use journal::{Journal, RECENT, WAITING_MAX, WAITING_UNHEALTHY};
pub use name::EVENT_CLASSES;
pub use ocsf::{OCSF, OCSF_VERSION, Ocsf, ocsf};
pub use origin::Origin;
pub use query::{AuditQuery, Clock, event_matches, moment, moment_ahead};
pub use repeat::{Kind as RepeatKind, Repeats, Whom};
pub use search::{Found, Progress, query_dir, search_dir};
pub use settings::{Keep, SYNC_MAX, Settings, Sync};
pub use ship::{Ship, ShipTo, Shipping};
pub use verify::{Break, Torn, Trust, VerifyReport, verify, verify_by};
pub use watch::ChainStatus;
