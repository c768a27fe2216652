//! What one operator has proposed and another one may confirm.

use super::{ProposalId, TeamName, Time};
use serde::{Deserialize, Serialize};

/// An act that waits for a second operator, as somebody who may see it sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProposalView {
    /// Its id.
    pub id: ProposalId,
    /// What, as its command: `revoke team:pay`.
    pub what: String,
    /// Who proposed it.
    pub by: String,
    /// When.
    pub since: Time,
    /// Until when it can be confirmed.
    pub until: Time,
    /// Why, as the proposer wrote it.
    pub reason: Option<String>,
    /// The team it concerns, if one.
    pub team: Option<TeamName>,
    /// What it would close and by which rule, as it was when it was proposed.
    pub blast: String,
    /// Whether whoever looks proposed it.
    #[serde(default)]
    pub yours: bool,
    /// Whether whoever looks may confirm it.
    #[serde(default)]
    pub may_confirm: bool,
}
