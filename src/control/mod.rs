//! The one door for actions: what can be asked, by whom, and what comes back.

pub mod actions;
pub mod authz;
pub mod client;
pub mod codec;
pub mod desk;
mod enroll;
mod explain;
pub mod howto;
mod journal;
mod keys;
pub(crate) mod metrics;
mod mute;
pub mod protocol;
pub mod server;
pub mod sight;
pub mod unix;

#[cfg(test)]
pub(crate) mod fake;
#[cfg(test)]
mod tests;
