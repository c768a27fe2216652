//! `portreeve.toml`: what may connect, and how. Read, checked as a whole, and then never changed: a reload makes a new
//! [`Config`] and a [`Diff`] between the two.

mod actions;
mod approved;
mod audit;
mod cipher;
mod diff;
mod diff_trust;
mod expiry;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;
pub mod host_keys;
pub mod keys;
mod krl;
mod limits;
mod load;
mod lookup;
mod options;
mod people;
mod problem;
mod public_key;
mod reader;
mod revoked;
mod rules;
pub mod scaffold;
mod schema;
mod sections;
pub mod shell;
mod shipping;
mod sources;
mod trust;
mod values;
mod vouch;

pub use actions::{ActionRule, TwoPerson};
pub use cipher::Cipher;
pub use diff::{Diff, HostChange, OperatorChange, Scope, SettingChange, TeamChange};
pub use limits::Limits;
pub use lookup::account_of;
pub use problem::{ConfigError, Problem};
pub use public_key::RSA_MIN_BITS;
pub use revoked::{ListNews, RevokedKeys, Suspect};
pub use schema::{
    AuditConfig, Config, ControlConfig, HealthConfig, Host, HostKey, LogConfig, OnFailure, Operator, Principal, Reach,
    RelayConfig, Service, SshConfig, Team,
};
pub use sources::{Overflow, Penalties, SourcesConfig, Startups};
pub use trust::{Authority, Fido, Pending, Trust};

#[cfg(test)]
mod tests;
