//! Keys that nobody has: proved by a client that was refused, and then approved for a host beside the configuration.

use super::{HostName, Time};
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;

/// A key that nobody has, proved by a client that was refused. Nothing but the key itself is to be believed.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct PendingKey {
    /// The key, `SHA256:…`.
    pub fingerprint: String,
    /// The same in OpenSSH's form, without a comment.
    pub key: String,
    /// The user name given last, cleaned.
    pub user: String,
    /// Where it came from last.
    pub source: SocketAddr,
    /// The client's software as it calls itself, cleaned.
    pub client: String,
    /// When it was proved first.
    pub first: Time,
    /// When it was proved last.
    pub last: Time,
    /// How often.
    pub count: u64,
    /// Whether somebody of the configuration has signed in from its network.
    pub known: bool,
}

/// A key that an operator has approved for a host. It is as good as one of the configuration, until that has it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Approval {
    /// The key, `SHA256:…`.
    pub fingerprint: String,
    /// The same in OpenSSH's form, without a comment.
    pub key: String,
    /// The host that it signs in.
    pub host: HostName,
    /// Who approved it.
    pub by: String,
    /// When.
    pub since: Time,
    /// Until when it holds; until it is taken back, or the configuration has it, when absent.
    pub until: Option<Time>,
    /// Why.
    pub reason: Option<String>,
}

impl Approval {
    /// What to write into the configuration to make it permanent.
    #[must_use]
    pub fn permanent(&self) -> String {
        format!("add \"{} {}\" to `keys` in [hosts.{}]", self.key, self.host, self.host)
    }
}

/// The type of a key in OpenSSH's form, e.g. `ssh-ed25519`.
#[must_use]
pub fn key_type(key: &str) -> &str {
    key.split(' ').next().unwrap_or_default()
}
