//! The configuration as the rest of the daemon sees it: complete, checked, every path absolute, every default filled in.

use super::actions::ActionRule;
use super::cipher::Cipher;
use super::limits::Limits;
use super::sources::{SourcesConfig, Startups};
use super::trust::Trust;
use crate::model::{
    Approval, BindPolicy, CheckKind, HostName, Networks, OperatorName, Port, PortRange, Role, TeamName, Time,
};
use ipnet::IpNet;
use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// A whole, valid configuration.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// The file it was read from.
    pub path: PathBuf,
    /// When.
    pub read_at: Time,
    /// `[bastion] name`: shown in the console's corner; the machine's host name by default.
    pub name: String,
    /// `[bastion] address`: how hosts reach it, where that is not what it listens on.
    pub address: Option<Reach>,
    /// `[bastion] state`: folder of the ledger (`ledger.sqlite`) and the spill files.
    pub state_dir: PathBuf,
    /// `[ssh]`.
    pub ssh: SshConfig,
    /// `[sources]`: rules for the networks that connections come from.
    pub sources: SourcesConfig,
    /// `[control]`.
    pub control: ControlConfig,
    /// `[audit]`.
    pub audit: AuditConfig,
    /// `[log]`.
    pub log: LogConfig,
    /// `[relay]`.
    pub relay: RelayConfig,
    /// `[limits]`: defaults for every team. See [`Config::limits_of`].
    pub limits: Limits,
    /// `[health]`: defaults for every service.
    pub health: HealthConfig,
    /// `[trust]` and `[authorities.NAME]`, and the principals of teams, hosts and operators.
    pub trust: Trust,
    /// `[actions.NAME]`, by the action's id. See [`Config::role_for`] and [`Config::two_person`].
    pub actions: BTreeMap<&'static str, ActionRule>,
    /// `[teams.NAME]`.
    pub teams: BTreeMap<TeamName, Team>,
    /// `[hosts.NAME]`.
    pub hosts: BTreeMap<HostName, Host>,
    /// `[operators.NAME]`.
    pub operators: BTreeMap<OperatorName, Operator>,
    /// Whose each key is, by fingerprint (`SHA256:…`).
    pub keys: HashMap<String, Principal>,
    /// Approvals in force, by fingerprint: keys that are in `keys` and not in the file. See [`Config::with_approved`].
    pub approved: BTreeMap<String, Approval>,
    /// From where keys may be used, by fingerprint; those that are limited.
    pub networks: HashMap<String, Networks>,
    /// When keys expire, by fingerprint; those that do.
    pub expiries: HashMap<String, Time>,
    /// Whose each fixed port is, and the service's name.
    pub fixed_ports: HashMap<Port, (HostName, String)>,
}

/// How hosts reach the bastion.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reach {
    /// A name or an address, without brackets.
    pub host: String,
    /// The port; the one it listens on when absent.
    pub port: Option<u16>,
}

impl std::fmt::Display for Reach {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.port {
            Some(port) if self.host.contains(':') => write!(f, "[{}]:{port}", self.host),
            Some(port) => write!(f, "{}:{port}", self.host),
            None => f.write_str(&self.host),
        }
    }
}

/// Who a key belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Principal {
    /// A host.
    Host(HostName),
    /// An operator.
    Operator(OperatorName),
}

impl std::fmt::Display for Principal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Host(name) => write!(f, "host {name}"),
            Self::Operator(name) => write!(f, "operator {name}"),
        }
    }
}

/// `[ssh]`: the embedded server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SshConfig {
    /// `listen`, default `127.0.0.1:2222`: addresses, e.g. `[::]:22`. Port 0 takes a free one.
    pub listen: Vec<SocketAddr>,
    /// `host_keys`: private key files (OpenSSH format), ed25519 and rsa.
    pub host_keys: Vec<PathBuf>,
    /// `host_certificates`: certificates of those keys (`ssh-keygen -h`), read again on reload.
    pub host_certificates: Vec<PathBuf>,
    /// `ciphers`: those offered, none other; the server's own choice when absent.
    pub ciphers: Option<Vec<Cipher>>,
    /// `keepalive_interval`, default 15 s: silence after which the host is asked for a sign of life.
    pub keepalive_interval: Duration,
    /// `keepalive_count`, default 3: a host silent for interval × count is dead.
    pub keepalive_count: u32,
    /// `send_timeout`, default 30 s: TCP_USER_TIMEOUT of hosts' and visitors' connections.
    pub send_timeout: Duration,
    /// `login_grace_time`, default 30 s: time to sign in.
    pub login_grace_time: Duration,
    /// `max_startups`, default `100:30:400`: connections not yet signed in, of networks that nobody has signed in from.
    pub max_startups: Startups,
    /// `max_startups_known`, default 4096: the same of networks that somebody has signed in from.
    pub max_startups_known: usize,
    /// `max_auth_attempts`, default 6: keys a connection may try.
    pub max_auth_attempts: usize,
    /// `takeover_probe`, default 3 s: time an older session of a host has to answer when a newer one wants its port.
    pub takeover_probe: Duration,
    /// `reconnect_wait`, default 60 s: how long a reconnect watches for the redial.
    pub reconnect_wait: Duration,
    /// `drain`, default 5 s: time visitors have to finish when the daemon stops.
    pub drain: Duration,
}

/// `[control]`: the Unix socket of console and CLI.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ControlConfig {
    /// `socket`: its path, by default `control.sock` in the state folder. Created with mode 0660.
    pub socket: PathBuf,
    /// `group`: the group that owns it; the daemon's own by default.
    pub group: Option<String>,
    /// `idle_lock`: after this long without a key a console leaves write mode and hides what it shows; never by default.
    pub idle_lock: Option<Duration>,
    /// `idle_logout`: after this long without a key a console is closed; never by default.
    pub idle_logout: Option<Duration>,
    /// `confirm_within`, default 15 min: how long what one operator proposes waits for another one.
    pub confirm_within: Duration,
}

/// `[audit]`: the journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditConfig {
    /// `dir`: folder of the daily files.
    pub dir: PathBuf,
    /// `key`: the private key that signs checkpoints, by default `audit_ed25519_key` in the state folder.
    pub key: PathBuf,
    /// `checkpoint`, default 1 min: at most this long after a record comes a checkpoint that covers it.
    pub checkpoint: Duration,
    /// `sync`, default 200 ms: how long records wait to share an fsync.
    pub sync: crate::audit::Sync,
    /// `keep_days`, `keep_size`: how much of the journal stays; by default all.
    pub keep: crate::audit::Keep,
    /// `[shipping.NAME]`: where it is sent on to.
    pub ships: Vec<crate::audit::Shipping>,
    /// `on_failure`: what holds while the journal cannot be written.
    pub on_failure: OnFailure,
}

/// What holds while the journal cannot be written. Tunnels that are up go on either way, and what happens meanwhile is
/// kept in memory until it can be written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum OnFailure {
    /// No new sessions and tunnels.
    #[default]
    Refuse,
    /// Sessions and tunnels as ever, with an alarm on every screen; acts of operators are refused but for `revoke`.
    Continue,
}

impl OnFailure {
    /// As it is written in the file.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Refuse => "refuse",
            Self::Continue => "continue",
        }
    }
}

/// `[log]`: operational logs, apart from the audit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogConfig {
    /// `dir`: folder of the daily files; logs go to standard error when absent.
    pub dir: Option<PathBuf>,
    /// `level`, default `info`: an EnvFilter directive such as `info,portreeve=debug`.
    pub level: String,
}

/// `[relay]`: limits of buffering.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RelayConfig {
    /// `visitor_memory`, default 256 KiB: bytes held in memory for a visitor that reads slowly, before spilling to a file.
    pub visitor_memory: usize,
    /// `visitor_spill`, default 1 GiB: bytes held in a file for one visitor.
    pub visitor_spill: u64,
    /// `total_spill`, default 8 GiB: bytes held in files for all visitors.
    pub total_spill: u64,
    /// `stall_timeout`, default 60 s: a visitor with data waiting that takes none for this long is cut.
    pub stall_timeout: Duration,
    /// `open_timeout`, default 10 s: time a host has to open a channel for a visitor.
    pub open_timeout: Duration,
    /// `max_visitors`, default 1024: visitors of one tunnel at a time.
    pub max_visitors: usize,
}

/// `[health]`, or a service's own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HealthConfig {
    /// `interval`, default 30 s: between checks of one tunnel.
    pub interval: Duration,
    /// `timeout`, default 5 s: for one check.
    pub timeout: Duration,
    /// `rise`, default 2: good results in a row that make a service passing (the first result ever counts alone).
    pub rise: u32,
    /// `fall`, default 3: bad results in a row that make it failing.
    pub fall: u32,
}

/// A team.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Team {
    /// `ports`: its ranges. No two teams share a port.
    pub ports: Vec<PortRange>,
    /// `bind`, default `loopback`.
    pub bind: BindPolicy,
    /// `visitors`: networks visitors of `gateway` tunnels may come from. Empty: loopback only.
    pub visitors: Vec<IpNet>,
    /// `contact`: whom to call.
    pub contact: Option<String>,
    /// `stall_timeout`: for its visitors, in place of `[relay]`'s. See [`Config::stall_timeout`].
    pub stall_timeout: Option<Duration>,
    /// `limits` over `[limits]`.
    pub limits: Limits,
    /// `principals`: a certificate with one of them signs in the host of this team that its key id names.
    pub principals: Vec<String>,
}

/// A host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Host {
    /// `team`.
    pub team: TeamName,
    /// `keys`: public keys in OpenSSH's one-line form.
    pub keys: Vec<HostKey>,
    /// `principals`: a certificate with one of them signs it in.
    pub principals: Vec<String>,
    /// `ports`: its fixed ports, by service name.
    pub services: BTreeMap<String, Service>,
    /// `check`: how ports without a check of their own are checked (sticky and requested ones too). Default `tcp`.
    pub check: CheckKind,
}

/// A public key of a host or operator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostKey {
    /// `SHA256:…`.
    pub fingerprint: String,
    /// E.g. `ssh-ed25519`.
    pub algorithm: String,
    /// The comment at the line's end.
    pub comment: String,
    /// `expiry-time` before it: from then on it signs nobody in.
    pub expires: Option<Time>,
    /// `from` before it: it signs nobody in from elsewhere.
    pub networks: Option<Networks>,
}

/// A fixed port of a host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Service {
    /// The port on the bastion.
    pub port: Port,
    /// How it is checked; by default from the service's name: `ssh` → ssh, `http`/`web` → http, else the host's `check`.
    pub check: CheckKind,
    /// Interval, timeout, rise and fall, where they differ from `[health]`.
    pub health: Option<HealthConfig>,
}

/// An operator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Operator {
    /// `keys`.
    pub keys: Vec<HostKey>,
    /// `principals`: a certificate with one of them signs the operator in.
    pub principals: Vec<String>,
    /// `role`, default `viewer`. An admin is never limited to teams.
    pub role: Role,
    /// `teams`; none means all.
    pub teams: Option<Vec<TeamName>>,
    /// `unix_user`: the account on this machine whose control-socket connections are this operator's; by its number where
    /// it has no name. See [`Config::operator_of_uid`].
    pub unix_user: Option<String>,
}
