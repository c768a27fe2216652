//! What is sent unasked: the live state, whole or in pieces, and its changes.

use super::Identity;
use crate::audit::Record;
use crate::model::{
    DaemonView, Incident, Port, Revision, SessionId, SessionView, StateCounts, TeamView, Time, TunnelView,
};
use serde::{Deserialize, Serialize};

/// Sent unasked.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Push {
    /// First after a subscription.
    Snapshot(Snapshot),
    /// More of the snapshot before, where that says that its rows follow. No delta comes in between.
    Rows(Rows),
    /// What changed since the last push.
    Delta(Delta),
    /// The last of all: why the daemon closes the connection. A console leaves rather than dial again.
    Goodbye(String),
}

/// Some rows of a snapshot that came without them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Rows {
    /// Tunnels and leases, by port, after those of the push before.
    pub tunnels: Vec<TunnelView>,
    /// Sessions, oldest first, after those of the push before.
    pub sessions: Vec<SessionView>,
    /// That was all of it.
    pub last: bool,
}

/// The whole live state.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Snapshot {
    /// As of.
    pub revision: Revision,
    /// The daemon's clock when it was taken.
    pub at: Time,
    /// The daemon.
    pub daemon: DaemonView,
    /// Who you are now: another push of this kind comes when that has changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub you: Option<Box<Identity>>,
    /// Teams, by name.
    pub teams: Vec<TeamView>,
    /// Tunnels and leases, by port.
    pub tunnels: Vec<TunnelView>,
    /// Sessions, oldest first.
    pub sessions: Vec<SessionView>,
    /// What is wrong, the worst first; absent when the daemon is too old to say.
    #[serde(default)]
    pub incidents: Option<Vec<Incident>>,
    /// Recent events, oldest first (at most the last 2,000, or those after `since`).
    pub events: Vec<Record>,
    /// Tunnels and sessions are not in it but follow in [`Push::Rows`]; the tunnels by state.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub follow: Option<StateCounts>,
}

/// Rows of one [`Push::Rows`].
const PIECE: usize = 500;

impl Snapshot {
    /// The same in pieces, so that a client shows what it is about while the rows are on their way, and reads some while
    /// others are written. Small ones stay whole.
    #[must_use]
    pub fn in_pieces(mut self) -> (Self, Vec<Rows>) {
        if self.tunnels.len() + self.sessions.len() <= PIECE {
            return (self, vec![]);
        }
        let mut counts = StateCounts::default();
        self.tunnels.iter().for_each(|t| counts.count(t.state));
        self.follow = Some(counts);
        let (mut tunnels, mut sessions) =
            (std::mem::take(&mut self.tunnels).into_iter(), std::mem::take(&mut self.sessions).into_iter());
        let mut pieces = Vec::new();
        while tunnels.len() + sessions.len() > 0 {
            // Of both alike: what is shown of a tunnel is partly its session's.
            let part = |n: usize, all: usize| (n * PIECE).div_ceil(all);
            let all = tunnels.len() + sessions.len();
            let (t, s) = (part(tunnels.len(), all.max(PIECE)), part(sessions.len(), all.max(PIECE)));
            let (tunnels, sessions) = (tunnels.by_ref().take(t).collect(), sessions.by_ref().take(s).collect());
            pieces.push(Rows { tunnels, sessions, last: false });
        }
        if let Some(last) = pieces.last_mut() {
            last.last = true;
        }
        (self, pieces)
    }

    /// Adds a piece.
    pub fn add(&mut self, rows: Rows) {
        self.tunnels.extend(rows.tunnels);
        self.sessions.extend(rows.sessions);
        if rows.last {
            self.follow = None;
        }
    }
}

/// What changed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Delta {
    /// As of.
    pub revision: Revision,
    /// The daemon's clock.
    pub at: Time,
    /// The daemon, if it changed.
    pub daemon: Option<DaemonView>,
    /// All teams, if any changed.
    pub teams: Option<Vec<TeamView>>,
    /// Tunnels that changed or are new.
    pub tunnels: Vec<TunnelView>,
    /// Leases that are no more.
    pub tunnels_gone: Vec<Port>,
    /// Sessions that changed or are new.
    pub sessions: Vec<SessionView>,
    /// Sessions that ended.
    pub sessions_gone: Vec<SessionId>,
    /// All that is wrong, if any of it changed.
    #[serde(default)]
    pub incidents: Option<Vec<Incident>>,
    /// New events, oldest first.
    pub events: Vec<Record>,
    /// Events left out because there were too many; they are in the journal.
    pub events_missed: u64,
}
