//! The one door for actions: what can be asked, by whom, and what comes back.

pub mod authz;
pub mod client;
pub mod codec;
pub mod command;
pub mod desk;
mod enroll;
mod explain;
pub mod howto;
mod journal;
mod keys;
pub(crate) mod metrics;
mod mute;
mod pending;
pub mod proposals;
pub mod protocol;
mod reach;
pub mod seats;
pub mod server;
pub mod sight;
mod standing;
mod subject;
pub mod unix;

pub use crate::model::actions;

#[cfg(any(test, fuzzing))]
#[allow(clippy::unwrap_used, clippy::panic)] // for tests only
#[cfg_attr(not(test), allow(dead_code))] // fuzz targets need a part of it
pub(crate) mod fake;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;
#[cfg(test)]
mod tests;
