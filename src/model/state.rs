//! States, verdicts, roles and causes of death.

use super::{CaSerial, HostName, OperatorName, Port, TeamName};
use serde::{Deserialize, Serialize};
use std::fmt;

/// State of a tunnel (or of a lease that has none).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TunnelState {
    /// Listening; the last checks of the service behind it passed, or none is configured or has run.
    Up,
    /// Listening, but the service behind it fails its check: "online but unusable".
    Degraded,
    /// The host had it in this daemon's lifetime and lost it; the obituary says why.
    Down,
    /// A lease without a session since the daemon started, or a session that did not ask for it.
    Awaiting,
    /// Blocked by an operator.
    Revoked,
}

impl TunnelState {
    /// The word shown and sent.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::Degraded => "degraded",
            Self::Down => "down",
            Self::Awaiting => "awaiting",
            Self::Revoked => "revoked",
        }
    }
    /// Whether a listener stands on the port now.
    #[must_use]
    pub fn is_live(self) -> bool {
        matches!(self, Self::Up | Self::Degraded)
    }
}

impl fmt::Display for TunnelState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
    }
}

/// Where a lease comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LeaseKind {
    /// Named in `portreeve.toml`.
    Fixed,
    /// Given by an operator.
    Assigned,
    /// Chosen for the host at its first `-R 0`, and its own from then on.
    Sticky,
    /// Asked for by the host by number, free in its team's range at the time; its own from then on.
    Requested,
}

impl LeaseKind {
    /// The word shown and stored.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Fixed => "fixed",
            Self::Assigned => "assigned",
            Self::Sticky => "sticky",
            Self::Requested => "requested",
        }
    }
}
impl fmt::Display for LeaseKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
    }
}

/// On which addresses of the bastion a team's tunnels may listen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BindPolicy {
    /// 127.0.0.1 and ::1 only, whatever the client asks.
    #[default]
    Loopback,
    /// Any address the client asks for; visitors are held to the team's `visitors` list.
    Gateway,
}
impl fmt::Display for BindPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Loopback => "loopback",
            Self::Gateway => "gateway",
        })
    }
}

/// What an operator may do. Each role includes the ones before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// See everything of their teams.
    Viewer,
    /// And connect to tunnels, reconnect, revoke, restore, assign, move, release.
    Operator,
    /// And reload the configuration, and act on every team.
    Admin,
}
impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Viewer => "viewer",
            Self::Operator => "operator",
            Self::Admin => "admin",
        })
    }
}

impl std::str::FromStr for Role {
    type Err = String;
    fn from_str(s: &str) -> Result<Self, String> {
        [Self::Viewer, Self::Operator, Self::Admin]
            .into_iter()
            .find(|r| r.to_string() == s)
            .ok_or_else(|| format!("{s:?} is not a role (viewer, operator, admin)"))
    }
}

/// How the service behind a tunnel is checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CheckKind {
    /// The host opens a connection to the service and keeps it open for a moment.
    #[default]
    Tcp,
    /// And the service greets as SSH does (RFC 4253 §4.2).
    Ssh,
    /// And the service answers `HEAD / HTTP/1.0` with a status line below 500.
    Http,
    /// No check.
    None,
}
impl fmt::Display for CheckKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Tcp => "tcp",
            Self::Ssh => "ssh",
            Self::Http => "http",
            Self::None => "none",
        })
    }
}

/// What the checks of a tunnel say, after rise and fall counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// Not enough results yet, or no check.
    #[default]
    Unknown,
    /// `rise` results in a row were good.
    Passing,
    /// `fall` results in a row were bad.
    Failing,
}
impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Unknown => "unknown",
            Self::Passing => "passing",
            Self::Failing => "failing",
        })
    }
}

/// Which layer a check failed in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LinkLayer {
    /// The SSH session did not answer.
    Link,
    /// The host did not open the channel: its service refused or could not be reached.
    Channel,
    /// The channel opened, but the service did not speak as it should.
    Service,
}

/// Why a tunnel ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ObituaryCause {
    /// The client said goodbye, or closed its connection in order.
    ClientDisconnect,
    /// The client withdrew the forward (`cancel-tcpip-forward`) and kept its session.
    ClientCancel,
    /// The peer's kernel reset the connection.
    PeerReset,
    /// Nothing was heard for interval × count.
    KeepaliveTimeout,
    /// What was sent was not acknowledged in time (TCP_USER_TIMEOUT).
    SendTimeout,
    /// The client broke the protocol, or a key exchange failed.
    ProtocolError,
    /// The same host came back and this session no longer answered.
    Takeover,
    /// An operator asked for it, to make the host dial anew.
    Reconnect,
    /// An operator blocked the host, its key or its lease.
    Revoke,
    /// An operator gave the port to another host or released it.
    LeaseEnded,
    /// The lease was until a time, and that is over.
    LeaseOver,
    /// An operator closed this session.
    OperatorDisconnect,
    /// The configuration no longer allows it.
    ConfigChange,
    /// A revocation list (`trust.revoked_keys`) has its key or certificate now.
    RevokedByList,
    /// The certificate it signed in with has expired.
    CertificateExpired,
    /// The daemon stopped.
    Shutdown,
}

impl ObituaryCause {
    /// A sentence for people.
    #[must_use]
    pub fn sentence(self) -> &'static str {
        match self {
            Self::ClientDisconnect => "the client disconnected",
            Self::ClientCancel => "the client cancelled the forward",
            Self::PeerReset => "the connection was reset by the peer",
            Self::KeepaliveTimeout => "keepalive timeout: the host went silent",
            Self::SendTimeout => "data sent to the host was not acknowledged in time",
            Self::ProtocolError => "protocol error",
            Self::Takeover => "taken over by a newer session of the same host",
            Self::Reconnect => "dropped by an operator to make it redial",
            Self::Revoke => "revoked by an operator",
            Self::LeaseEnded => "its lease was moved or released",
            Self::LeaseOver => "the time of its lease is over",
            Self::OperatorDisconnect => "disconnected by an operator",
            Self::ConfigChange => "the configuration no longer allows it",
            Self::RevokedByList => "revoked by a revocation list",
            Self::CertificateExpired => "its certificate has expired",
            Self::Shutdown => "the bastion stopped",
        }
    }
}

/// Why and how a session (and so its tunnels) ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Obituary {
    /// The cause.
    pub cause: ObituaryCause,
    /// Particulars, already cleaned for a terminal; empty when the cause says it all.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub detail: String,
}

impl Obituary {
    /// A cause with nothing to add.
    #[must_use]
    pub fn of(cause: ObituaryCause) -> Self {
        Self { cause, detail: String::new() }
    }
    /// A cause with particulars.
    #[must_use]
    pub fn with(cause: ObituaryCause, detail: &str) -> Self {
        Self { cause, detail: super::clean_line(detail) }
    }
}
impl fmt::Display for Obituary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.cause.sentence())?;
        if !self.detail.is_empty() {
            write!(f, " ({})", self.detail)?;
        }
        Ok(())
    }
}

/// What a revocation blocks.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(tag = "kind", content = "value", rename_all = "lowercase")]
pub enum BlockTarget {
    /// Every key of the host.
    Host(HostName),
    /// One key, by its fingerprint (`SHA256:…`), whoever's it is.
    Key(String),
    /// One port: nobody may hold it.
    Port(Port),
    /// Every host of the team.
    Team(TeamName),
    /// An operator, however they come.
    Operator(OperatorName),
    /// One certificate, by its CA and number.
    Serial(CaSerial),
    /// Every certificate with this key id, whoever signed it.
    Id(String),
    /// Every certificate signed by this key of a CA, by its fingerprint (`SHA256:…`).
    Ca(String),
}
impl BlockTarget {
    /// `host`, `key`, `port`, `team`, `operator`, `serial`, `id` or `ca`.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Host(_) => "host",
            Self::Key(_) => "key",
            Self::Port(_) => "port",
            Self::Team(_) => "team",
            Self::Operator(_) => "operator",
            Self::Serial(_) => "serial",
            Self::Id(_) => "id",
            Self::Ca(_) => "ca",
        }
    }
    /// The name, the fingerprint, the port, or the certificate's number and CA.
    #[must_use]
    pub fn value(&self) -> String {
        match self {
            Self::Host(h) => h.to_string(),
            Self::Key(k) => k.clone(),
            Self::Port(p) => p.to_string(),
            Self::Team(t) => t.to_string(),
            Self::Operator(o) => o.to_string(),
            Self::Serial(s) => s.to_string(),
            Self::Id(k) | Self::Ca(k) => k.clone(),
        }
    }
    /// As an operator types it.
    #[must_use]
    pub fn typed(&self) -> String {
        let short = self.value();
        let alone = matches!(self, Self::Host(_) | Self::Key(_) | Self::Port(_));
        // A host may be called as a port is written.
        if alone && Self::parse(&short).as_ref() == Ok(self) { short } else { format!("{}:{short}", self.kind()) }
    }
    /// From its two halves, as [`BlockTarget::kind`] and [`BlockTarget::value`] give them.
    ///
    /// # Errors
    /// What of it cannot be read.
    pub fn of(kind: &str, value: &str) -> Result<Self, String> {
        let name = |e: super::NameError| e.to_string();
        Ok(match kind {
            "host" => Self::Host(value.parse().map_err(name)?),
            "key" => Self::Key(value.to_owned()),
            "port" => Self::Port(value.parse().map_err(|e: super::PortError| e.to_string())?),
            "team" => Self::Team(value.parse().map_err(name)?),
            "operator" => Self::Operator(value.parse().map_err(name)?),
            "serial" => Self::Serial(value.parse()?),
            "id" if value.trim().is_empty() => return Err("a key id must not be empty".to_owned()),
            "id" => Self::Id(super::clean(value, 200)),
            "ca" if value.is_empty() => return Err("a CA has a fingerprint (SHA256:…) or a name".to_owned()),
            "ca" => Self::Ca(value.to_owned()),
            _ => {
                return Err(format!(
                    "{kind:?} is not a kind of block (host, key, port, team, operator, serial, id, ca)"
                ));
            }
        })
    }
    /// Reads what an operator typed: a fingerprint, a port number, `team:NAME`, `operator:NAME`, `serial:N@CA`,
    /// `id:KEYID`, `ca:FINGERPRINT`, or else a host's name.
    ///
    /// # Errors
    /// A sentence that says what was expected.
    pub fn parse(s: &str) -> Result<Self, String> {
        if s.starts_with("SHA256:") {
            return Ok(Self::Key(s.to_owned()));
        }
        let digits = s.strip_prefix(':').unwrap_or(s);
        if !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()) {
            return digits.parse().map(Self::Port).map_err(|e: super::PortError| e.to_string());
        }
        if let Some((kind, value)) = s.split_once(':').filter(|(kind, _)| !kind.is_empty()) {
            return Self::of(kind, value).map_err(|e| format!("{s:?}: {e}"));
        }
        s.parse()
            .map(Self::Host)
            .map_err(|e| format!("{s:?} is neither a host's name ({e}), nor a port, nor a key fingerprint (SHA256:…)"))
    }
}
impl fmt::Display for BlockTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind(), self.value())
    }
}
