//! `portreeve.toml`: what may connect, and how. Read, checked as a whole, and then never changed: a reload makes a new
//! [`Config`] and a [`Diff`] between the two.

mod cipher;
mod diff;
mod expiry;
pub mod host_keys;
pub mod keys;
mod limits;
mod load;
mod lookup;
mod people;
mod problem;
mod public_key;
mod reader;
mod rules;
pub mod scaffold;
mod schema;
mod sections;
pub mod shell;
mod sources;
mod values;

pub use cipher::Cipher;
pub use diff::{Diff, HostChange, OperatorChange, Scope, SettingChange, TeamChange};
pub use limits::Limits;
pub use lookup::account_of;
pub use problem::{ConfigError, Problem};
pub use schema::{
    AuditConfig, Config, ControlConfig, HealthConfig, Host, HostKey, LogConfig, Operator, Principal, Reach,
    RelayConfig, Service, SshConfig, Team,
};
pub use sources::{Overflow, Penalties, SourcesConfig, Startups};

#[cfg(test)]
mod tests;
