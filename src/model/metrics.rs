//! Numbers for monitoring: what `portreeve metrics` prints.

use super::{AuditStatus, BehindView, GateView, HostName, Port, SpillView, TeamName, Time, TunnelState, Verdict};
use serde::{Deserialize, Serialize};

/// All numbers at one moment. What belongs to teams is of those teams only that the asker may see.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Metrics {
    /// When they were read.
    pub at: Time,
    /// The bastion's name.
    pub name: String,
    /// portreeve's version.
    pub version: String,
    /// The daemon's process.
    pub process: ProcessMetrics,
    /// Sessions now.
    pub sessions: SessionCounts,
    /// Connections that have not signed in yet.
    pub unauthenticated: u64,
    /// Connections before sign-in.
    #[serde(default)]
    pub gate: GateView,
    /// Spill files.
    pub spill: SpillView,
    /// The journal.
    pub audit: AuditStatus,
    /// Whether the ledger took the last change.
    pub ledger_writable: bool,
    /// Blocks that hold in memory and are not saved.
    pub unsaved_blocks: u64,
    /// Blocks in force.
    pub blocks: u64,
    /// Each team.
    pub teams: Vec<TeamMetrics>,
    /// Each lease and tunnel, unless they were not asked for.
    pub tunnels: Vec<TunnelMetrics>,
}

/// The daemon's process. Zero is what could not be read.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct ProcessMetrics {
    /// Its id.
    pub pid: u32,
    /// When the daemon started.
    pub started: Time,
    /// Resident memory.
    pub resident_bytes: u64,
    /// Open file descriptors.
    pub open_fds: u64,
    /// How many it may have.
    pub max_fds: u64,
    /// Threads.
    pub threads: u64,
    /// Processor time, in user and system mode.
    pub cpu_seconds: f64,
}

/// Sessions by kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct SessionCounts {
    /// Of hosts.
    pub hosts: u64,
    /// Of operators.
    pub operators: u64,
    /// Hosts' sessions that a slow visitor slows at this moment.
    pub held: u64,
}

/// Tunnels by state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct StateCounts {
    /// [`TunnelState::Up`].
    pub up: u64,
    /// [`TunnelState::Degraded`].
    pub degraded: u64,
    /// [`TunnelState::Down`].
    pub down: u64,
    /// [`TunnelState::Awaiting`].
    pub awaiting: u64,
    /// [`TunnelState::Revoked`].
    pub revoked: u64,
}

impl StateCounts {
    /// Counts one.
    pub fn count(&mut self, state: TunnelState) {
        *match state {
            TunnelState::Up => &mut self.up,
            TunnelState::Degraded => &mut self.degraded,
            TunnelState::Down => &mut self.down,
            TunnelState::Awaiting => &mut self.awaiting,
            TunnelState::Revoked => &mut self.revoked,
        } += 1;
    }

    /// Each state and its number.
    #[must_use]
    pub fn each(&self) -> [(TunnelState, u64); 5] {
        [
            (TunnelState::Up, self.up),
            (TunnelState::Degraded, self.degraded),
            (TunnelState::Down, self.down),
            (TunnelState::Awaiting, self.awaiting),
            (TunnelState::Revoked, self.revoked),
        ]
    }
}

/// What only rises: of a tunnel since it came up, of a team since the daemon started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Traffic {
    /// Bytes from visitors to hosts.
    pub bytes_to_host: u64,
    /// Bytes from hosts to visitors.
    pub bytes_to_visitors: u64,
    /// Visitors.
    pub visitors: u64,
    /// Visitors cut or refused.
    pub refused: u64,
    /// Milliseconds for which slow visitors slowed sessions.
    pub held_ms: u64,
}

impl Traffic {
    /// Adds another's.
    pub fn add(&mut self, other: &Self) {
        for (sum, n) in [
            (&mut self.bytes_to_host, other.bytes_to_host),
            (&mut self.bytes_to_visitors, other.bytes_to_visitors),
            (&mut self.visitors, other.visitors),
            (&mut self.refused, other.refused),
            (&mut self.held_ms, other.held_ms),
        ] {
            *sum = sum.saturating_add(n);
        }
    }
}

/// One team.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TeamMetrics {
    /// Its name.
    pub team: TeamName,
    /// Ports of its ranges.
    pub ports: u64,
    /// Of them leased.
    pub leased: u64,
    /// Its tunnels and leases.
    pub tunnels: StateCounts,
    /// Visitors now.
    pub visitors_now: u64,
    /// Of them behind.
    pub visitors_behind: u64,
    /// Bytes that wait for them.
    pub buffered: u64,
    /// Since the daemon started, tunnels that ended included.
    pub traffic: Traffic,
}

/// One lease or tunnel.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TunnelMetrics {
    /// Its port.
    pub port: Port,
    /// Its host.
    pub host: HostName,
    /// The host's team.
    pub team: TeamName,
    /// State now.
    pub state: TunnelState,
    /// Since when.
    pub state_since: Time,
    /// What its check says.
    pub health: Verdict,
    /// How long the last good check took, in milliseconds.
    pub latency_ms: Option<f64>,
    /// Visitors now.
    pub visitors_now: u64,
    /// Slow visitors.
    pub behind: BehindView,
    /// Since the tunnel came up, or in its last life.
    pub traffic: Traffic,
}
