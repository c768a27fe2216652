//! What the journal records: typed events, each with the same few context fields.

use crate::model::{
    BlockTarget, CertMark, GrantId, Granted, HostName, LinkLayer, Obituary, OperatorName, Port, ProposalId, Role, Seq,
    SessionId, Severity, TeamName, Time, Verdict, VisitorId,
};
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;

/// How it went, in OCSF's sense of status.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// It was done.
    Success,
    /// Policy said no.
    Refused,
    /// It was allowed and did not work.
    Failure,
}

/// On whose account something happened.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "type", content = "name", rename_all = "lowercase")]
pub enum Actor {
    /// A person, known by a key or by the peer credentials of the control socket.
    Operator(String),
    /// A host's session.
    Host(String),
    /// Somebody connecting to a tunnel.
    Visitor,
    /// Somebody not (yet) authenticated.
    Unknown,
    /// portreeve itself.
    Daemon,
}

/// Who did it and on what: the fields that every event may carry and that queries filter by.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Context {
    /// The peer's address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<SocketAddr>,
    /// Fingerprint of the key used (`SHA256:…`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fingerprint: Option<String>,
    /// The certificate used, for a sign-in by certificate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub certificate: Option<Box<CertMark>>,
    /// User name given at login, cleaned.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// Team concerned.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub team: Option<TeamName>,
    /// Host concerned.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host: Option<HostName>,
    /// Port on the bastion concerned.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub port: Option<Port>,
    /// SSH session concerned.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session: Option<SessionId>,
    /// Visitor concerned.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub visitor: Option<VisitorId>,
    /// The operator who proposed it, where another one (the actor) had to confirm it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub proposed_by: Option<String>,
    /// How the operator came: `unix` (the control socket), or `ssh`, with the address and key they came with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub via: Option<String>,
    /// The rule that decided, in the words of `portreeve explain`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    /// Particulars for people: the reason given, the error met. Cleaned.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// What happened. The names are stable: they are the `event` field of a journal line.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event")]
pub enum What {
    /// The daemon is ready.
    #[serde(rename = "daemon.start")]
    DaemonStart {
        /// Its version.
        version: String,
    },
    /// The daemon stops; the last event of an orderly run.
    #[serde(rename = "daemon.stop")]
    DaemonStop {
        /// The signal or command that asked for it.
        cause: String,
    },
    /// The journal was opened after an unclean stop, and what could not be read was set aside.
    #[serde(rename = "audit.recovered")]
    AuditRecovered {
        /// Where the torn bytes are kept.
        kept: String,
        /// How many bytes.
        bytes: u64,
    },
    /// The journal can be written again after the disk refused, or after more came than it could take. The reason is in
    /// the context; the outcome is `failure` when records were lost.
    #[serde(rename = "audit.resumed")]
    AuditResumed {
        /// How long it could not be written, seconds.
        seconds: f64,
        /// Records that waited in memory and were written now, just before this one.
        kept: u64,
        /// Records that were lost because too many waited.
        lost: u64,
    },
    /// The chain up to the record before, signed.
    #[serde(rename = "audit.checkpoint")]
    Checkpoint(super::Checkpoint),
    /// A file of the journal is deleted because it is older, or the journal larger, than is to be kept.
    #[serde(rename = "audit.expired")]
    AuditExpired {
        /// Its name.
        file: String,
        /// Its last record.
        upto: Seq,
        /// Hash of that record, which the next file goes on from.
        head: String,
        /// Its size.
        bytes: u64,
    },
    /// The journal can no longer be sent on to a receiver, or can again.
    #[serde(rename = "audit.shipping")]
    AuditShipping {
        /// Its name in the configuration.
        name: String,
        /// Where.
        to: String,
        /// Whether it can.
        up: bool,
        /// Records it has not got.
        behind: u64,
    },
    /// The configuration was read anew (or could not be: outcome `failure`).
    #[serde(rename = "config.reload")]
    ConfigReload {
        /// What changed, a sentence each.
        changes: Vec<String>,
    },
    /// A revocation list was read, or cannot be (outcome `failure`): nobody can sign in then.
    #[serde(rename = "trust.list")]
    RevocationList {
        /// Its file.
        file: String,
        /// Keys it has.
        keys: usize,
        /// Certificates it has, by number, by range of numbers or by key id.
        certificates: usize,
    },
    /// Configuration and ledger disagree about a port.
    #[serde(rename = "config.conflict")]
    ConfigConflict {
        /// The disagreement in a sentence.
        conflict: String,
    },
    /// Somebody signed in.
    #[serde(rename = "auth.success")]
    AuthSuccess {
        /// Role, for an operator.
        #[serde(skip_serializing_if = "Option::is_none")]
        role: Option<Role>,
        /// The client's identification string.
        client: String,
    },
    /// A login attempt was refused.
    #[serde(rename = "auth.failure")]
    AuthFailure {
        /// `publickey`, `password`, …
        method: String,
        /// The client's identification string.
        client: String,
    },
    /// A key that nobody has was proved, and is kept to be approved: written once for each.
    #[serde(rename = "key.pending")]
    KeyPending {
        /// The client's identification string.
        client: String,
    },
    /// An admin approved a pending key for a host.
    #[serde(rename = "key.approved")]
    KeyApproved {
        /// Until when; until it is taken back when absent.
        #[serde(skip_serializing_if = "Option::is_none")]
        until: Option<Time>,
        /// Where the key was proved last.
        from: SocketAddr,
    },
    /// An approval ended: taken back by an operator, or by itself for the reason in the context.
    #[serde(rename = "key.unapproved")]
    KeyUnapproved {
        /// Sessions closed.
        sessions: usize,
        /// Their listeners.
        tunnels: usize,
    },
    /// An operator dropped a pending key.
    #[serde(rename = "key.dismissed")]
    KeyDismissed {},
    /// A connection ended, or was refused, before anyone signed in.
    #[serde(rename = "connection.refused")]
    ConnectionRefused {},
    /// More refusals of one kind than are written one by one; the rule and the address are those of the last of them.
    #[serde(rename = "refusals.counted")]
    RefusalsCounted {
        /// The event that each of them would have been.
        of: String,
        /// The network, session or port; none when there were too many of them.
        #[serde(skip_serializing_if = "Option::is_none")]
        from: Option<String>,
        /// How many, besides those that were written.
        count: u64,
        /// In how many seconds.
        seconds: f64,
    },
    /// A session ended.
    #[serde(rename = "session.end")]
    SessionEnd {
        /// Why.
        obituary: Obituary,
        /// How long it lasted, seconds.
        seconds: f64,
        /// Bytes received, on the wire.
        bytes_in: u64,
        /// Bytes sent, on the wire.
        bytes_out: u64,
    },
    /// Something other than a forward was asked for and refused: a shell, exec, agent, X11, a direct connection…
    #[serde(rename = "request.refused")]
    RequestRefused {
        /// What was asked, in RFC 4254's word: `shell`, `exec`, `direct-tcpip`, `x11-req`, …
        request: String,
    },
    /// A `tcpip-forward` was granted and the listener is up.
    #[serde(rename = "forward.granted")]
    ForwardGranted {
        /// Addresses as bound.
        listen: Vec<SocketAddr>,
        /// The address the client asked for, verbatim (cleaned).
        asked: String,
        /// The port the client asked for; 0 for any.
        asked_port: u32,
    },
    /// A `tcpip-forward` was refused.
    #[serde(rename = "forward.refused")]
    ForwardRefused {
        /// The address the client asked for, verbatim (cleaned).
        asked: String,
        /// The port the client asked for; 0 for any.
        asked_port: u32,
    },
    /// A tunnel's listener is gone.
    #[serde(rename = "forward.end")]
    ForwardEnd {
        /// Why.
        obituary: Obituary,
        /// Visitors it had in all.
        visitors: u64,
        /// Bytes to the host.
        bytes_to_host: u64,
        /// Bytes to visitors.
        bytes_to_visitors: u64,
    },
    /// A visitor connected to a tunnel (through its port, or as an operator's `-J`/`-W`/`-L`).
    #[serde(rename = "visitor.open")]
    VisitorOpen {},
    /// A visitor was turned away.
    #[serde(rename = "visitor.refused")]
    VisitorRefused {},
    /// A visitor reads, but so slowly that its host's session is made to wait for it. Once for each visitor.
    #[serde(rename = "visitor.slows")]
    VisitorSlows {
        /// Bytes that waited for it when that began.
        waiting: u64,
    },
    /// A visitor's connection ended.
    #[serde(rename = "visitor.close")]
    VisitorClose {
        /// How long it lasted, seconds.
        seconds: f64,
        /// Bytes to the host.
        bytes_to_host: u64,
        /// Bytes to the visitor.
        bytes_to_visitor: u64,
    },
    /// The verdict on the service behind a tunnel changed.
    #[serde(rename = "health.change")]
    HealthChange {
        /// Before.
        from: Verdict,
        /// Now.
        to: Verdict,
        /// Where it failed.
        #[serde(skip_serializing_if = "Option::is_none")]
        layer: Option<LinkLayer>,
    },
    /// A live lease was written to the ledger (sticky, requested, or assigned by an operator).
    #[serde(rename = "lease.granted")]
    LeaseGranted {
        /// How it came about, see [`crate::model::LeaseKind`].
        kind: crate::model::LeaseKind,
        /// Until when; for ever when absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        until: Option<Time>,
    },
    /// A lease moved to another port.
    #[serde(rename = "lease.moved")]
    LeaseMoved {
        /// The port it left.
        from: Port,
    },
    /// A lease ended: by an operator, or by the daemon when its time was over.
    #[serde(rename = "lease.released")]
    LeaseReleased {},
    /// An operator keeps a port free for a time.
    #[serde(rename = "port.reserved")]
    PortReserved {
        /// Until when.
        until: Time,
    },
    /// A reservation ended, by itself or by an operator.
    #[serde(rename = "port.unreserved")]
    PortUnreserved {},
    /// An operator asked a host to redial; written when it is dropped, and again with the result.
    #[serde(rename = "operator.reconnect")]
    Reconnect {
        /// `asked`, `back` or `not back`.
        stage: String,
        /// How long the host took to come back, seconds.
        #[serde(skip_serializing_if = "Option::is_none")]
        seconds: Option<f64>,
    },
    /// An operator blocked a host, key or port; written before anything is cut.
    #[serde(rename = "operator.revoke")]
    Revoke {
        /// What.
        target: BlockTarget,
    },
    /// What a revocation closed; written when all of it is closed.
    #[serde(rename = "operator.revoked")]
    Revoked {
        /// What.
        target: BlockTarget,
        /// Sessions closed.
        sessions: usize,
        /// Listeners closed.
        tunnels: usize,
        /// Visitors cut.
        visitors: usize,
    },
    /// An operator lifted a block.
    #[serde(rename = "operator.restore")]
    Restore {
        /// What.
        target: BlockTarget,
    },
    /// An operator wants no alarm for an incident for a time. The reason is in the context.
    #[serde(rename = "operator.mute")]
    Mute {
        /// The incident's id.
        incident: String,
        /// Until when.
        until: Time,
    },
    /// A mute was lifted by an operator, or its time was over.
    #[serde(rename = "operator.unmute")]
    Unmute {
        /// The incident's id.
        incident: String,
    },
    /// Something was given until a time: a role, or a way in to a network of visitors. The reason is in the context.
    #[serde(rename = "operator.grant")]
    Grant {
        /// Its id.
        id: GrantId,
        /// What.
        granted: Granted,
        /// Until when.
        until: Time,
    },
    /// What was given ended: by an operator before its time, or by the daemon when its time was over.
    #[serde(rename = "operator.ungrant")]
    Ungrant {
        /// Its id.
        id: GrantId,
        /// What.
        granted: Granted,
        /// Visitors and operators' visits that were cut with it.
        visitors: usize,
    },
    /// Triage has seen something go wrong, for longer than a redial takes. The evidence is the context's reason.
    #[serde(rename = "incident.open")]
    IncidentOpen {
        /// The cause, from the table in docs/console.md.
        cause: String,
        /// Whom it concerns: a host, a network, a team, the bastion.
        what: String,
        /// How bad.
        severity: Severity,
        /// Tunnels concerned.
        tunnels: usize,
        /// Hosts concerned.
        hosts: usize,
    },
    /// What had gone wrong is so no more, or has another cause now.
    #[serde(rename = "incident.close")]
    IncidentClose {
        /// The cause.
        cause: String,
        /// Whom it concerned.
        what: String,
        /// How long it lasted, seconds.
        seconds: f64,
    },
    /// An operator wants something done for which another one has to say yes. Nothing is done yet.
    #[serde(rename = "operator.propose")]
    Propose {
        /// Its id.
        proposal: ProposalId,
        /// What, as its command.
        what: String,
        /// Until when it can be confirmed.
        until: Time,
        /// What it would do, by which rule.
        blast: String,
    },
    /// Another operator says yes; written before it is done. Who proposed it is in the context.
    #[serde(rename = "operator.confirm")]
    Confirm {
        /// Its id.
        proposal: ProposalId,
        /// What, as its command.
        what: String,
    },
    /// What was proposed is not to be done: an operator took it back, or (actor `daemon`) it ended by itself; why is the
    /// context's reason.
    #[serde(rename = "operator.withdraw")]
    Withdraw {
        /// Its id.
        proposal: ProposalId,
        /// What, as its command.
        what: String,
    },
    /// An admin closed all that an operator had open.
    #[serde(rename = "operator.logout")]
    Logout {
        /// Whom.
        operator: OperatorName,
        /// SSH sessions closed, with their consoles, commands and forwards.
        sessions: usize,
        /// Connections to the control socket closed.
        connections: usize,
        /// Visits to tunnels cut.
        visitors: usize,
    },
    /// An operator's request was refused.
    #[serde(rename = "operator.refused")]
    OperatorRefused {
        /// The action's id.
        action: String,
    },
    /// An operator cut one visitor.
    #[serde(rename = "operator.cut")]
    CutVisitor {},
    /// An operator closed a session.
    #[serde(rename = "operator.disconnect")]
    Disconnect {},
    /// An operator opened a console or its write mode, or ran a command over SSH.
    #[serde(rename = "operator.console")]
    Console {
        /// `open`, `write`, `read-only`, `close`, or the command line.
        stage: String,
    },
}

/// One event before it has a number.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// What happened.
    #[serde(flatten)]
    pub what: What,
    /// How it went.
    pub outcome: Outcome,
    /// On whose account.
    pub actor: Actor,
    /// On what.
    #[serde(flatten)]
    pub context: Context,
}

impl Event {
    /// An event that went well.
    #[must_use]
    pub fn success(actor: Actor, what: What, context: Context) -> Self {
        Self { what, outcome: Outcome::Success, actor, context }
    }
    /// An event that policy refused, with the deciding rule.
    #[must_use]
    pub fn refused(actor: Actor, what: What, rule: &str, mut context: Context) -> Self {
        context.rule = Some(rule.to_owned());
        Self { what, outcome: Outcome::Refused, actor, context }
    }
    /// An event that failed, with the error.
    #[must_use]
    pub fn failure(actor: Actor, what: What, error: &str, mut context: Context) -> Self {
        context.reason = Some(crate::model::clean_line(error));
        Self { what, outcome: Outcome::Failure, actor, context }
    }
}

/// One line of the journal. The hash covers every other field in the order written, `prev` included.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// Its number.
    pub seq: Seq,
    /// When it happened (was given to the journal). Not sorted: a clock may jump back; the number tells the order.
    pub at: Time,
    /// The event.
    #[serde(flatten)]
    pub event: Event,
    /// Hash of the line before, 64 hex digits (SHA-256).
    pub prev: String,
    /// Hash of this line without this field, 64 hex digits (SHA-256).
    pub hash: String,
}
