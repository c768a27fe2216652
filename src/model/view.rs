//! Pictures of the live state, as the daemon sends them and the console, the CLI and JSON show them.

use super::{Approval, BehindView, BlockTarget, GrantView, LinkLayer, PendingKey, ProposalView, SpillView};
use super::{
    BindPolicy, CheckKind, HostName, LeaseKind, Obituary, Port, PortRange, Revision, Role, Seq, SessionId, TeamName,
    Time, TunnelState, Verdict, VisitorId,
};
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;

/// One row of the ledger: the right of one host to one port.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeaseView {
    /// The port on the bastion.
    pub port: Port,
    /// Who may have it.
    pub host: HostName,
    /// The host's team.
    pub team: TeamName,
    /// The service's name, e.g. `ssh` (fixed ports are named in the configuration).
    pub service: Option<String>,
    /// Where the lease comes from.
    pub kind: LeaseKind,
    /// Since when.
    pub since: Time,
    /// Until when; for ever when absent.
    pub until: Option<Time>,
    /// Who gave it: an operator, `config`, or the host itself.
    pub by: String,
    /// Why, as the giver wrote it.
    pub reason: Option<String>,
}

/// A tunnel, or the place of one: every lease has a row, live or not. The port identifies it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TunnelView {
    /// The lease this row stands for.
    #[serde(flatten)]
    pub lease: LeaseView,
    /// State now.
    pub state: TunnelState,
    /// When it came to that state.
    pub state_since: Time,
    /// The session that carries it, while it is live. Also its generation.
    pub session: Option<SessionId>,
    /// Address and port it listens on, as bound, while it is live.
    pub listen: Vec<SocketAddr>,
    /// The host's address as seen by the bastion, live or last.
    pub source: Option<SocketAddr>,
    /// Bytes from visitors to the host since the tunnel came up (or in its last life).
    pub bytes_to_host: u64,
    /// Bytes from the host to visitors.
    pub bytes_to_visitors: u64,
    /// Visitors connected now.
    pub visitors_now: u32,
    /// Visitors since the tunnel came up (or in its last life).
    pub visitors_total: u64,
    /// Visitors cut or refused since the tunnel came up.
    pub visitors_refused: u64,
    /// Visitors that read slowly, and what waits for them.
    #[serde(default)]
    pub behind: BehindView,
    /// What the checks say.
    pub health: HealthView,
    /// Why it last ended.
    pub obituary: Option<ObituaryView>,
    /// What blocks it.
    pub revoked: Option<RevocationView>,
    /// A sentence when something about this row needs attention ("the session did not ask for this port").
    pub warning: Option<String>,
    /// When this row last changed, in the daemon's counting.
    pub revision: Revision,
}

/// The checks of one tunnel.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct HealthView {
    /// How it is checked.
    pub check: CheckKind,
    /// After rise and fall counts.
    pub verdict: Verdict,
    /// When the verdict last changed.
    pub since: Option<Time>,
    /// When it was last checked.
    pub last_at: Option<Time>,
    /// How long the last good check took, in milliseconds.
    pub latency_ms: Option<f64>,
    /// Why the last bad check failed.
    pub last_error: Option<String>,
    /// In which layer.
    pub layer: Option<LinkLayer>,
    /// Results of the last checks, oldest first: `None` failed, `Some(ms)` passed. At most 60.
    pub history: Vec<Option<f32>>,
    /// Seconds between checks.
    pub interval_s: u64,
    /// Good results in a row that make it passing.
    pub rise: u32,
    /// Bad results in a row that make it failing.
    pub fall: u32,
}

/// Why a tunnel last ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ObituaryView {
    /// When.
    pub at: Time,
    /// Why.
    #[serde(flatten)]
    pub obituary: Obituary,
    /// When the last byte came from the host.
    pub last_byte_at: Option<Time>,
    /// Last measured round trip to the host, in milliseconds.
    pub last_rtt_ms: Option<f64>,
    /// Visitors that were connected and have been cut.
    #[serde(default)]
    pub visitors_cut: u64,
}

/// A block set by an operator.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RevocationView {
    /// What is blocked.
    pub target: BlockTarget,
    /// Who blocked it.
    pub by: String,
    /// When.
    pub since: Time,
    /// Why, as the operator wrote it.
    pub reason: Option<String>,
}

/// Whose session it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SessionKind {
    /// A host's.
    Host,
    /// An operator's.
    Operator,
}

/// One authenticated SSH connection.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SessionView {
    /// Its id.
    pub id: SessionId,
    /// Host or operator.
    pub kind: SessionKind,
    /// Name of the host or operator.
    pub name: String,
    /// The host's team; none for operators.
    pub team: Option<TeamName>,
    /// The operator's role; none for hosts.
    pub role: Option<Role>,
    /// User name given at login (free text of the client, cleaned).
    pub user: String,
    /// Where it comes from.
    pub source: SocketAddr,
    /// Fingerprint of the key it signed in with.
    pub fingerprint: String,
    /// The client's identification string without `SSH-2.0-`, cleaned.
    pub client: String,
    /// Key exchange and cipher agreed on, as far as that is known.
    #[serde(default)]
    pub algorithms: Option<String>,
    /// When it signed in.
    pub since: Time,
    /// Ports it carries.
    pub ports: Vec<Port>,
    /// Bytes received from it, on the wire.
    pub bytes_in: u64,
    /// Bytes sent to it, on the wire.
    pub bytes_out: u64,
    /// Last measured round trip, in milliseconds.
    pub rtt_ms: Option<f64>,
    /// When anything was last received from it.
    pub last_heard: Option<Time>,
    /// When this row last changed.
    pub revision: Revision,
}

/// A visitor connected now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VisitorView {
    /// Its id.
    pub id: VisitorId,
    /// The tunnel it visits.
    pub port: Port,
    /// Where it comes from; for an operator's `-J` the operator's own address.
    pub source: SocketAddr,
    /// The operator's name when it came through an operator's session.
    pub operator: Option<String>,
    /// Since when.
    pub since: Time,
    /// Bytes to the host.
    pub bytes_to_host: u64,
    /// Bytes to the visitor.
    pub bytes_to_visitor: u64,
    /// Bytes held for it because it reads too slowly.
    pub buffered: u64,
    /// So much waits for it that nothing more is taken from the host for now, which slows the host's whole session.
    #[serde(default)]
    pub holding: bool,
    /// For how long it has slowed the session in all, in milliseconds.
    #[serde(default)]
    pub held_ms: u64,
}

/// A team.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TeamView {
    /// Its name.
    pub name: TeamName,
    /// Whom to call.
    pub contact: Option<String>,
    /// Its ports.
    pub ranges: Vec<PortRange>,
    /// Where its tunnels may listen.
    pub bind: BindPolicy,
    /// Networks visitors of `gateway` tunnels may come from; empty means nobody from outside.
    pub visitors: Vec<String>,
    /// Ports of the ranges that are leased.
    pub leased: usize,
    /// Ports of the ranges that nobody gets for a time.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reserved: Vec<ReservationView>,
}

impl TeamView {
    /// Ports of its ranges.
    #[must_use]
    pub fn size(&self) -> usize {
        self.ranges.iter().map(|r| r.size()).sum()
    }

    /// Of them neither leased nor reserved.
    #[must_use]
    pub fn free(&self) -> usize {
        self.size().saturating_sub(self.leased + self.reserved.len())
    }
}

/// A port that is kept free for a time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReservationView {
    /// Which.
    pub port: Port,
    /// The team whose range has it.
    pub team: TeamName,
    /// Who reserved it.
    pub by: String,
    /// Since when.
    pub since: Time,
    /// Until when.
    pub until: Time,
    /// Why.
    pub reason: String,
}

/// State of the audit journal.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct AuditStatus {
    /// Number of the last event written.
    pub seq: Seq,
    /// Why the journal cannot be written now; new logins and grants are refused while this is so.
    pub failure: Option<String>,
    /// What was found wrong when the journal was opened (a torn last line, a break of the chain).
    pub notice: Option<String>,
}

/// What the configuration asks of an action beyond the table of actions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ActionRuleView {
    /// The action's verb.
    pub verb: String,
    /// The least role.
    pub role: Role,
    /// Kinds of targets for which another operator must confirm it, or `all`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub two_person: Vec<String>,
}

impl ActionRuleView {
    /// Whether another operator must confirm it, where it is about something of this kind.
    #[must_use]
    pub fn needs_second(&self, kind: Option<&str>) -> bool {
        self.two_person.iter().any(|k| k == "all" || Some(k.as_str()) == kind)
    }
}

/// The daemon itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DaemonView {
    /// The bastion's name as configured, or its host name.
    pub name: String,
    /// portreeve's version.
    pub version: String,
    /// When it started.
    pub started: Time,
    /// Addresses the SSH server listens on.
    pub ssh: Vec<SocketAddr>,
    /// The configuration file.
    pub config: String,
    /// When the running configuration was read.
    pub config_read: Time,
    /// The line that brings up a first tunnel, where the daemon knows one (scaffolded by `up`).
    pub first_tunnel: Option<String>,
    /// The journal.
    pub audit: AuditStatus,
    /// Files in which data waits for slow visitors.
    #[serde(default)]
    pub spill: SpillView,
    /// Sentences an operator should know: configuration and ledger disagree, a limit is near.
    pub notices: Vec<String>,
    /// Blocks in force.
    pub revocations: Vec<RevocationView>,
    /// What is given until a time, besides leases.
    #[serde(default)]
    pub grants: Vec<GrantView>,
    /// Keys that nobody has and that wait to be approved.
    #[serde(default)]
    pub pending: Vec<PendingKey>,
    /// Keys approved beside the configuration.
    #[serde(default)]
    pub approved: Vec<Approval>,
    /// After so many seconds without a key a console hides what it shows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idle_lock_s: Option<u64>,
    /// After so many seconds without a key the daemon closes a console.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idle_logout_s: Option<u64>,
    /// Acts that wait for a second operator.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub proposals: Vec<ProposalView>,
    /// What the configuration asks of actions beyond their table.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<ActionRuleView>,
}
