//! When keys were used: what a change from one key to the next is done by.

use super::{Approval, HostName, OperatorName, TeamName, Time};
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;

/// What the ledger keeps of a key that stands in the configuration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyUse {
    /// The key, `SHA256:…`.
    pub fingerprint: String,
    /// Since when it has been in the configuration, as far as is known.
    pub since: Time,
    /// When it last signed somebody in.
    pub last: Option<Time>,
    /// From where that was.
    pub source: Option<SocketAddr>,
    /// How often it did.
    pub uses: u64,
}

/// A key of a host or operator, for those who look after it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyView {
    /// What is known of its use.
    #[serde(flatten)]
    pub used: KeyUse,
    /// Its type, e.g. `ssh-ed25519`.
    pub algorithm: String,
    /// The comment at its line's end.
    pub comment: String,
    /// The host whose it is.
    pub host: Option<HostName>,
    /// The operator whose it is.
    pub operator: Option<OperatorName>,
    /// The host's team.
    pub team: Option<TeamName>,
    /// When it expires.
    pub expires: Option<Time>,
    /// The networks it may be used from.
    pub from: Option<String>,
    /// Sessions signed in by it now.
    pub sessions: usize,
    /// Why it signs nobody in: revoked, or expired.
    pub refused: Option<String>,
    /// By whom and when it was approved, where it does not stand in the configuration.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approved: Option<Approval>,
}

impl KeyView {
    /// The host's or operator's name.
    #[must_use]
    pub fn whose(&self) -> &str {
        let host = self.host.as_ref().map(HostName::as_str);
        host.or_else(|| self.operator.as_ref().map(OperatorName::as_str)).unwrap_or_default()
    }

    /// Since when nobody has signed in by it; none while somebody is.
    #[must_use]
    pub fn idle_since(&self) -> Option<Time> {
        (self.sessions == 0).then(|| self.used.last.unwrap_or(self.used.since))
    }
}
