//! What can be asked of the journal.

use super::{Outcome, Record};
use crate::model::{HostName, Port, Seq, TeamName, Time};
use serde::{Deserialize, Serialize};

/// Which records. Every field given must match; an empty query matches all.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct AuditQuery {
    /// Only after this number.
    pub after: Option<Seq>,
    /// Only before this number.
    pub before: Option<Seq>,
    /// Only at or after this time.
    pub since: Option<Time>,
    /// Only before this time.
    pub until: Option<Time>,
    /// Event name, or its beginning up to a dot: `auth.failure`, `auth`.
    pub event: Option<String>,
    /// How it went.
    pub outcome: Option<Outcome>,
    /// Name of the operator or host on whose account it happened.
    pub actor: Option<String>,
    /// Host concerned.
    pub host: Option<HostName>,
    /// Team concerned.
    pub team: Option<TeamName>,
    /// Port concerned.
    pub port: Option<Port>,
    /// A text that occurs anywhere in the line, case ignored.
    pub text: Option<String>,
    /// At most this many, the newest ones; 1,000 when absent, 100,000 at most.
    pub limit: Option<usize>,
}

impl AuditQuery {
    /// Whether the record matches, `limit` aside.
    #[must_use]
    pub fn matches(&self, r: &Record) -> bool {
        let c = &r.event.context;
        self.after.is_none_or(|s| r.seq > s)
            && self.before.is_none_or(|s| r.seq < s)
            && self.since.is_none_or(|t| r.at >= t)
            && self.until.is_none_or(|t| r.at < t)
            && self.event.as_deref().is_none_or(|e| event_matches(e, r.event.name()))
            && self.outcome.is_none_or(|o| o == r.event.outcome)
            && self.actor.as_deref().is_none_or(|a| match &r.event.actor {
                super::Actor::Operator(n) | super::Actor::Host(n) => n == a,
                super::Actor::Visitor => a == "visitor",
                super::Actor::Unknown => a == "unknown",
                super::Actor::Daemon => a == "daemon",
            })
            && self.host.as_ref().is_none_or(|h| c.host.as_ref() == Some(h))
            && self.team.as_ref().is_none_or(|t| c.team.as_ref() == Some(t))
            && self.port.is_none_or(|p| c.port == Some(p))
            && self.text.as_deref().is_none_or(|t| {
                serde_json::to_string(r).is_ok_and(|line| line.to_lowercase().contains(&t.to_lowercase()))
            })
    }
}

fn event_matches(wanted: &str, name: &str) -> bool {
    let wanted = wanted.trim_end_matches('.');
    name == wanted || name.strip_prefix(wanted).is_some_and(|rest| rest.starts_with('.'))
}
