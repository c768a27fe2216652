//! The control protocol: one JSON object a line, both ways, over a Unix socket or inside an SSH channel.
//!
//! The client says [`Request::Hello`] first. Requests carry an id; their replies carry it back and may come in any
//! order. After [`Request::Subscribe`] the server pushes one [`Push::Snapshot`] and then [`Push::Delta`]s, at most ten a
//! second and only when something changed; a client that reads slowly gets fewer and larger ones, never a backlog.

mod push;

use super::howto::HowTo;
use crate::audit::{AuditQuery, ChainStatus, Checkpoint, Found, Record};
use crate::model::{
    BlockTarget, GrantId, GrantView, Granted, GrantedRole, HostName, Incident, KeyView, LeaseView, Metrics,
    OperatorName, PendingKey, Port, ProposalId, ProposalView, RevocationView, Rights, Role, Seq, SessionId, TeamName,
    Time, VisitorId, VisitorView,
};
pub use push::{Delta, Push, Rows, Snapshot};
use serde::{Deserialize, Serialize};

/// Version of this protocol. A server refuses a client of another version and says which it speaks.
pub const VERSION: u32 = 1;

/// Longest line either side accepts, bytes.
pub const MAX_LINE: usize = 64 * 1024 * 1024;

/// Client to server.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ClientFrame {
    /// Chosen by the client, echoed in the reply.
    pub id: u64,
    /// What is asked.
    pub request: Request,
}

/// Server to client.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(clippy::large_enum_variant)] // made, written and gone: never kept in numbers
pub enum ServerFrame {
    /// The answer to a request.
    Reply {
        /// The request's id.
        id: u64,
        /// What came of it.
        result: Result<Reply, ApiError>,
    },
    /// Sent unasked, after a subscription.
    Push(Box<Push>),
}

/// What a client can ask.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case")]
pub enum Request {
    /// First of all.
    Hello {
        /// The client's [`VERSION`].
        version: u32,
        /// What it is: `console`, `cli`, or a name of its own.
        client: String,
    },
    /// The whole live state, once.
    Snapshot,
    /// The whole live state and then its changes. `since` asks for the recent events after that number too.
    Subscribe {
        /// Last event the client has.
        since: Option<Seq>,
    },
    /// The visitors connected now, of one tunnel or all.
    Visitors {
        /// Only this tunnel's.
        port: Option<Port>,
    },
    /// Numbers for monitoring.
    Metrics {
        /// Those of each tunnel too.
        tunnels: bool,
    },
    /// What is wrong, by probable cause.
    Triage,
    /// Would this be allowed, and by which rule?
    Explain {
        /// A host's name or a key fingerprint (`SHA256:…`).
        who: String,
        /// The port it would ask for; 0 or absent for any.
        port: Option<u32>,
    },
    /// How a host brings its tunnels up: of a host, a key's host, or a port.
    HowTo {
        /// Whose.
        of: BlockTarget,
    },
    /// Would this action be done, and by which rule? Nothing is done, and nothing is written down.
    Rehearse(Action),
    /// Whose keys there are, and when each was last used.
    Keys,
    /// Keys that nobody has and that wait to be approved.
    Pending,
    /// Where configuration and ledger disagree.
    Check,
    /// Search the journal.
    Audit(Box<AuditQuery>),
    /// Search the journal for a moment and say how far that came; the client asks on with `before` until it is told that
    /// all has been searched, or stops asking.
    Search {
        /// For what.
        query: Box<AuditQuery>,
        /// For how long, milliseconds; a quarter of a second when absent, a second at most.
        slice_ms: Option<u32>,
    },
    /// Verify the journal's chain.
    AuditVerify,
    /// Sign the journal as it is now.
    Checkpoint,
    /// How far the journal's chain is known to hold, reading only what has been written since the last time.
    Chain,
    /// A key was pressed at this console. It tells so now and then, where the daemon closes idle ones.
    Active,
    /// Do something. Every variant of [`Action`] is authorised and audited in one place.
    Act(Action),
}

/// What a client can do to the world.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "action", rename_all = "snake_case")]
pub enum Action {
    /// Drop the host's session and watch for its redial. Replies when the host is back or the wait is over.
    Reconnect {
        /// Which host.
        host: HostName,
        /// The session seen when it was confirmed; refused when it is another by now.
        session: Option<SessionId>,
        /// Seconds to watch; the configured time when absent.
        wait_s: Option<u64>,
    },
    /// Block, then cut, then report.
    Revoke {
        /// What.
        target: BlockTarget,
        /// Why.
        reason: Option<String>,
    },
    /// Lift a block.
    Restore {
        /// What.
        target: BlockTarget,
    },
    /// Give a host a port.
    Assign {
        /// Whom.
        host: HostName,
        /// Which; the next free one of the team's ranges when absent.
        port: Option<Port>,
        /// The service's name, e.g. `ssh`.
        service: Option<String>,
        /// Until when; for ever when absent.
        #[serde(default)]
        until: Option<Time>,
        /// Why.
        reason: Option<String>,
    },
    /// Move a lease to another port of the same team. The live tunnel, if any, is closed: the host must ask anew.
    Move {
        /// From.
        from: Port,
        /// To; the next free one when absent.
        to: Option<Port>,
        /// Why.
        reason: Option<String>,
    },
    /// End a lease, or a reservation before its time. The live tunnel, if any, is closed.
    Release {
        /// Which.
        port: Port,
        /// Why.
        reason: Option<String>,
    },
    /// Keep a free port free until then; one that is reserved already is reserved anew.
    Reserve {
        /// Which.
        port: Port,
        /// Until when.
        until: Time,
        /// Why.
        reason: String,
    },
    /// Give something until a time: a role, or a way in to a network of visitors.
    Grant {
        /// What.
        what: Granted,
        /// Until when.
        until: Time,
        /// Why.
        reason: String,
    },
    /// End a grant before its time, and cut what stands on it.
    Ungrant {
        /// Which.
        grant: GrantId,
        /// Why.
        reason: Option<String>,
    },
    /// Cut one visitor.
    CutVisitor {
        /// Which.
        visitor: VisitorId,
    },
    /// Close one session, host's or operator's.
    Disconnect {
        /// Which.
        session: SessionId,
    },
    /// Close all that an operator has open. No block: they can sign in again.
    Logout {
        /// Whom.
        operator: OperatorName,
        /// Why.
        reason: Option<String>,
    },
    /// Do what another operator has proposed.
    Confirm {
        /// Which.
        proposal: ProposalId,
    },
    /// Take back what is proposed.
    Withdraw {
        /// Which.
        proposal: ProposalId,
    },
    /// No alarm for an incident for a time.
    Mute {
        /// Its id, as triage gives it.
        incident: String,
        /// For how long, seconds.
        for_s: u64,
        /// Why.
        reason: String,
    },
    /// Alarm for it again.
    Unmute {
        /// Its id.
        incident: String,
    },
    /// Let a pending key sign in a host.
    Approve {
        /// The key, `SHA256:…`.
        fingerprint: String,
        /// Whom it is to sign in.
        host: HostName,
        /// Until when; until it is taken back when absent.
        until: Option<Time>,
        /// Why.
        reason: Option<String>,
    },
    /// Take an approval back, then cut what lives by it.
    Unapprove {
        /// The key, `SHA256:…`.
        fingerprint: String,
        /// Why.
        reason: Option<String>,
    },
    /// Drop a pending key.
    Dismiss {
        /// The key, `SHA256:…`.
        fingerprint: String,
    },
    /// Read the configuration anew.
    Reload,
    /// Enter or leave a console's write mode. Recorded, and checked against the role; the console enforces the rest.
    WriteMode {
        /// Enter or leave.
        on: bool,
    },
}

impl Action {
    /// The id of its entry in [`super::actions::ACTIONS`], as in the audit; `write_mode` has none.
    #[must_use]
    pub fn id(&self) -> &'static str {
        match self {
            Self::Reconnect { .. } => "reconnect",
            Self::Revoke { .. } => "revoke",
            Self::Restore { .. } => "restore",
            Self::Assign { .. } => "assign",
            Self::Move { .. } => "move",
            Self::Release { .. } => "release",
            Self::Reserve { .. } => "reserve",
            Self::Grant { .. } => "grant",
            Self::Ungrant { .. } => "ungrant",
            Self::CutVisitor { .. } => "cut_visitor",
            Self::Disconnect { .. } => "disconnect",
            Self::Logout { .. } => "logout",
            Self::Confirm { .. } => "confirm",
            Self::Withdraw { .. } => "withdraw",
            Self::Mute { .. } => "mute",
            Self::Unmute { .. } => "unmute",
            Self::Approve { .. } => "approve",
            Self::Unapprove { .. } => "unapprove",
            Self::Dismiss { .. } => "dismiss",
            Self::Reload => "reload",
            Self::WriteMode { .. } => "write_mode",
        }
    }

    /// The same, whatever the reason.
    #[must_use]
    pub fn without_reason(&self) -> Self {
        let mut same = self.clone();
        match &mut same {
            Self::Revoke { reason, .. }
            | Self::Assign { reason, .. }
            | Self::Move { reason, .. }
            | Self::Release { reason, .. }
            | Self::Ungrant { reason, .. }
            | Self::Approve { reason, .. }
            | Self::Unapprove { reason, .. }
            | Self::Logout { reason, .. } => *reason = None,
            Self::Reserve { reason, .. } | Self::Grant { reason, .. } | Self::Mute { reason, .. } => reason.clear(),
            _ => {}
        }
        same
    }

    /// Why, where one can say it.
    #[must_use]
    pub fn reason(&self) -> Option<&str> {
        match self {
            Self::Revoke { reason, .. }
            | Self::Assign { reason, .. }
            | Self::Move { reason, .. }
            | Self::Release { reason, .. }
            | Self::Ungrant { reason, .. }
            | Self::Approve { reason, .. }
            | Self::Unapprove { reason, .. }
            | Self::Logout { reason, .. } => reason.as_deref(),
            Self::Reserve { reason, .. } | Self::Grant { reason, .. } | Self::Mute { reason, .. } => Some(reason),
            Self::Reconnect { .. }
            | Self::Restore { .. }
            | Self::CutVisitor { .. }
            | Self::Disconnect { .. }
            | Self::Confirm { .. }
            | Self::Withdraw { .. }
            | Self::Unmute { .. }
            | Self::Dismiss { .. }
            | Self::Reload
            | Self::WriteMode { .. } => None,
        }
    }
}

/// Answers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "snake_case")]
pub enum Reply {
    /// To `Hello`.
    Welcome {
        /// The server's version of the protocol.
        version: u32,
        /// portreeve's version.
        portreeve: String,
        /// Who you are, by key or peer credentials.
        you: Identity,
    },
    /// To `Snapshot`, and to `Subscribe` (whose snapshot is pushed).
    Snapshot(Box<Snapshot>),
    /// To `Subscribe`.
    Subscribed,
    /// To `Active`.
    Noted,
    /// To `Visitors`.
    Visitors {
        /// Them.
        visitors: Vec<VisitorView>,
    },
    /// To `Metrics`.
    Metrics(Box<Metrics>),
    /// To `Triage`.
    Triaged {
        /// The daemon's clock.
        at: Time,
        /// The worst first. Empty when all is well.
        incidents: Vec<Incident>,
    },
    /// To `Explain` and `Rehearse`.
    Explained(Explanation),
    /// To `HowTo`.
    HowTo(Box<HowTo>),
    /// To `Keys`.
    Keys {
        /// The daemon's clock.
        at: Time,
        /// Those that one may know of, by whose they are.
        keys: Vec<KeyView>,
    },
    /// To `Pending`.
    Pending {
        /// The daemon's clock.
        at: Time,
        /// Those that one may know of, the one that was seen last first.
        keys: Vec<PendingKey>,
        /// Whether policy keeps any.
        on: bool,
    },
    /// To `Check`.
    Checked {
        /// Disagreements and doubts, a sentence each, with what to do. Empty when all is well.
        findings: Vec<String>,
    },
    /// To `Audit`.
    Records {
        /// Oldest first.
        records: Vec<Record>,
        /// More matched than were asked for; ask again with `before` the first of these.
        more: bool,
    },
    /// To `Search`.
    Found(Found),
    /// To `Chain`.
    Chain(ChainStatus),
    /// To `AuditVerify`.
    Verified {
        /// Whether the chain holds.
        ok: bool,
        /// What was read, or the first break, in a sentence.
        summary: String,
    },
    /// To `Checkpoint`.
    Checkpoint(Box<Checkpoint>),
    /// To `Act`.
    Done(Outcome),
}

/// What came of an action.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// Number of the audit event that proves it.
    pub seq: Seq,
    /// What happened, in a sentence: `back in 3.2 s on the same ports`, `closed 1 session, 2 tunnels, 5 visitors`.
    pub summary: String,
    /// Whether it came to what was asked: a reconnect whose host is not back is done, but not `ok`.
    pub ok: bool,
    /// The lease concerned, for assign and move.
    pub lease: Option<LeaseView>,
    /// The block concerned, for revoke.
    pub revocation: Option<RevocationView>,
    /// The grant concerned, for grant and ungrant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grant: Option<GrantView>,
    /// Where nothing was done yet because another operator must confirm it: what waits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proposal: Option<Box<ProposalView>>,
}

/// The answer to "would it be allowed".
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Explanation {
    /// Whether it would.
    pub allowed: bool,
    /// The port it would get.
    pub port: Option<Port>,
    /// The deciding rule in a sentence.
    pub rule: String,
    /// The steps that led there, a sentence each.
    pub steps: Vec<String>,
}

/// Who is at the other end of a control connection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// The operator's name, or `root`/`uid 1000` for one known by the socket only.
    pub name: String,
    /// What they may do.
    pub role: Role,
    /// Teams they are limited to; none means all.
    pub teams: Option<Vec<TeamName>>,
    /// What was granted to them besides, until a time.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub granted: Vec<GrantedRole>,
    /// How they came: `unix` or `ssh`.
    pub via: String,
    /// Where from, for `ssh`.
    pub source: Option<std::net::SocketAddr>,
    /// Key they signed in with, for `ssh`.
    pub fingerprint: Option<String>,
    /// Their SSH session, for `ssh`.
    pub session: Option<SessionId>,
    /// Their account on this machine, for `unix`.
    #[serde(default)]
    pub uid: Option<u32>,
}

impl Identity {
    /// An identity known by the control socket's peer credentials.
    #[must_use]
    pub fn unix(name: impl Into<String>, role: Role, teams: Option<Vec<TeamName>>) -> Self {
        let via = "unix".to_owned();
        let (name, granted) = (name.into(), Vec::new());
        Self { name, role, teams, granted, via, source: None, fingerprint: None, session: None, uid: None }
    }
    /// What they may do, by the configuration and by grants.
    #[must_use]
    pub fn rights(&self) -> Rights<'_> {
        Rights { role: self.role, teams: self.teams.as_deref(), granted: &self.granted }
    }
    /// Whether this team is theirs to see.
    #[must_use]
    pub fn sees(&self, team: &TeamName) -> bool {
        self.rights().may(Role::Viewer, Some(team)).is_some()
    }
}

/// Why a request was not answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub struct ApiError {
    /// The kind.
    pub code: ErrorCode,
    /// What, on what, and what to do.
    pub message: String,
}

impl ApiError {
    /// Makes one.
    #[must_use]
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }
}

/// Kinds of refusal, for exit codes and for programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorCode {
    /// The request makes no sense or the versions differ.
    Invalid,
    /// Your role or teams do not allow it.
    Forbidden,
    /// There is no such host, port, session or visitor.
    NotFound,
    /// It has changed since you looked, or somebody else holds it.
    Conflict,
    /// The daemon could not do it (journal not writable, disk full, I/O error).
    Unavailable,
}
