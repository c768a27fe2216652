//! How a host brings its tunnels up: the ssh line, the ssh_config, the systemd unit and the known_hosts for it. Made of
//! what the daemon knows and of the files in `contrib/host`, here and nowhere else.

use super::desk::Desk;
use super::protocol::{ApiError, ErrorCode, Identity};
use crate::config::shell::quote;
use crate::config::{Config, Principal};
use crate::model::{BindPolicy, BlockTarget, CheckKind, HostName, Port, Revision, TunnelView};
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;

/// The files that every host gets; what differs from host to host is put in.
const SSH_CONFIG: &str = include_str!("../../contrib/host/ssh_config");
const UNIT: &str = include_str!("../../contrib/host/portreeve-tunnel.service");
/// Where those files say that the key and the bastion's keys are.
const FOLDER: &str = "/etc/portreeve-tunnel";
/// What every ssh of a host must be told, or a tunnel can be dead and look alive.
const ALIVE: &str = "-o ExitOnForwardFailure=yes -o ServerAliveInterval=15 -o ServerAliveCountMax=3";
/// Stands where the port of a service is not known; ssh refuses it.
pub(crate) const UNKNOWN: &str = "SERVICE_PORT";
/// Ports of services by their usual names.
const USUAL: &[(&str, u16)] = &[
    ("ssh", 22),
    ("sftp", 22),
    ("http", 80),
    ("web", 80),
    ("https", 443),
    ("mqtt", 1883),
    ("mqtts", 8883),
    ("mysql", 3306),
    ("rdp", 3389),
    ("postgres", 5432),
    ("postgresql", 5432),
    ("vnc", 5900),
    ("redis", 6379),
    ("node_exporter", 9100),
];

/// What a host needs to know to dial in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HowTo {
    /// Whose tunnels.
    pub host: HostName,
    /// Fingerprints of its keys.
    pub keys: Vec<String>,
    /// Name or address of the bastion.
    pub address: String,
    /// Its SSH port.
    pub port: u16,
    /// What to ask for.
    pub forwards: Vec<ForwardHint>,
    /// The bastion's public keys, in OpenSSH's form.
    pub host_keys: Vec<String>,
}

/// One forward to ask for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ForwardHint {
    /// The port on the bastion; any when absent.
    pub port: Option<Port>,
    /// Whether visitors may come from outside the bastion.
    pub gateway: bool,
    /// The service's name.
    pub service: Option<String>,
    /// Where it listens on the host, as far as its name or check tells.
    pub local: Option<u16>,
    /// Nothing tells; it is what most tunnels lead to.
    pub guessed: bool,
}

impl ForwardHint {
    fn of(t: &TunnelView, gateway: bool) -> Self {
        let service = t.lease.service.clone();
        let usual = |s: &str| USUAL.iter().find(|(name, _)| name.eq_ignore_ascii_case(s)).map(|(_, port)| *port);
        let by_check = match t.health.check {
            CheckKind::Ssh => Some(22),
            CheckKind::Http => Some(80),
            CheckKind::Tcp | CheckKind::None => None,
        };
        let known = service.as_deref().and_then(usual).or(by_check);
        let guessed = known.is_none() && service.is_none();
        Self { port: Some(t.lease.port), gateway, service, local: known.or(guessed.then_some(22)), guessed }
    }

    /// `20122` or `*:20122`.
    fn listen(&self) -> String {
        let port = self.port.map_or(0, Port::get);
        if self.gateway { format!("*:{port}") } else { port.to_string() }
    }

    fn target(&self) -> String {
        format!("localhost:{}", self.local.map_or_else(|| UNKNOWN.to_owned(), |p| p.to_string()))
    }
}

/// The forms it can be had in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Format {
    /// One command, to try it by hand.
    #[default]
    Ssh,
    /// A block of ssh_config(5).
    Config,
    /// A unit that keeps it up.
    Systemd,
    /// The bastion's keys for ssh's `UserKnownHostsFile`.
    KnownHosts,
}

impl Format {
    /// All of them, the shortest first.
    pub const ALL: [Self; 4] = [Self::Ssh, Self::Config, Self::Systemd, Self::KnownHosts];

    /// As `--format` takes it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Ssh => "ssh",
            Self::Config => "config",
            Self::Systemd => "systemd",
            Self::KnownHosts => "known_hosts",
        }
    }

    /// Where it goes on the host.
    #[must_use]
    pub fn place(self) -> &'static str {
        match self {
            Self::Ssh => "a shell on the host, to try it",
            Self::Config => "/etc/portreeve-tunnel/ssh_config",
            Self::Systemd => "/etc/systemd/system/portreeve-tunnel.service",
            Self::KnownHosts => "/etc/portreeve-tunnel/known_hosts",
        }
    }
}

impl HowTo {
    /// In this form, with its last line end.
    #[must_use]
    pub fn text(&self, format: Format) -> String {
        match format {
            Format::Ssh => format!("{}\n", self.command()),
            Format::Config => self.ssh_config(),
            Format::Systemd => self.unit(),
            Format::KnownHosts => self.known_hosts(),
        }
    }

    /// The line to try it by hand.
    #[must_use]
    pub fn command(&self) -> String {
        format!("ssh -N -T -p {} {ALIVE}{} {}", self.port, self.asked(), quote(&self.whom()))
    }

    fn whom(&self) -> String {
        format!("{}@{}", self.host, self.address)
    }

    fn asked(&self) -> String {
        let one = |f: &ForwardHint| format!(" -R {}", quote(&format!("{}:{}", f.listen(), f.target())));
        self.forwards.iter().map(one).collect()
    }

    fn ssh_config(&self) -> String {
        let mut out = String::new();
        for line in bare(SSH_CONFIG) {
            let line = match line.split_whitespace().next() {
                Some("HostName") => format!("    HostName {}", self.address),
                Some("Port") => format!("    Port {}", self.port),
                Some("User") => format!("    User {}", self.host),
                Some("RemoteForward") => {
                    let all = self.forwards.iter().map(|f| format!("    RemoteForward {} {}", f.listen(), f.target()));
                    all.collect::<Vec<_>>().join("\n")
                }
                _ => line.to_owned(),
            };
            out.push_str(&line);
            out.push('\n');
        }
        out
    }

    fn unit(&self) -> String {
        let mut out = String::new();
        let mut within = false;
        for line in bare(UNIT) {
            let start = line.starts_with("ExecStart=");
            if start {
                out.push_str(&self.exec_start());
            } else if line.starts_with("Description=") {
                out.push_str(&format!("Description=reverse tunnels of {} to {}\n", self.host, self.address));
            } else if !within {
                // Sections are easier to find with a line between them.
                if line.starts_with('[') && !out.is_empty() {
                    out.push('\n');
                }
                out.push_str(line);
                out.push('\n');
            }
            within = (start || within) && line.ends_with('\\');
        }
        out
    }

    /// All in one line of the unit, so that it needs no other file but the keys. Nothing in it is special to systemd:
    /// names have no `%`, `$` or quotes.
    fn exec_start(&self) -> String {
        let asked: String =
            self.forwards.iter().map(|f| format!(" \\\n    -R {}:{}", f.listen(), f.target())).collect();
        format!(
            "ExecStart=/usr/bin/ssh -F none -N -T -p {} -i {FOLDER}/id_ed25519 \\\n    -o IdentitiesOnly=yes -o BatchMode=yes \
             -o UserKnownHostsFile={FOLDER}/known_hosts -o StrictHostKeyChecking=yes \\\n    {ALIVE}{asked} \\\n    {}\n",
            self.port,
            self.whom()
        )
    }

    fn known_hosts(&self) -> String {
        // As ssh looks them up: with brackets and port, unless it is ssh's own.
        let name = if self.port == 22 { self.address.clone() } else { format!("[{}]:{}", self.address, self.port) };
        self.host_keys.iter().map(|k| format!("{name} {k}\n")).collect()
    }

    /// What to mind, a sentence each.
    #[must_use]
    pub fn remarks(&self) -> Vec<String> {
        let mut out = Vec::new();
        if !self.keys.is_empty() {
            let keys = self.keys.join(" or ");
            out.push(format!(
                "{} signs in with the key {keys}: name its file with -i if ssh does not find it",
                self.host
            ));
        }
        for f in &self.forwards {
            let port = f.port.map_or_else(|| "any port".to_owned(), |p| format!("port {p}"));
            match (&f.service, f.local) {
                (Some(s), None) => {
                    out.push(format!("{port}: put the port of the service {s} in place of {UNKNOWN}"));
                }
                (_, Some(local)) if f.guessed => {
                    out.push(format!("{port}: that its service listens on {local} is a guess"));
                }
                _ => {}
            }
        }
        out
    }
}

/// The lines of a file that are neither comments nor empty.
fn bare(text: &str) -> impl Iterator<Item = &str> {
    text.lines().filter(|l| !l.trim().is_empty() && !l.trim_start().starts_with('#'))
}

/// What the address is that hosts dial: as configured; or where it listens; or its name, where it listens everywhere.
fn reach(config: &Config, ssh: &[SocketAddr]) -> (String, u16) {
    let port = ssh.first().map_or(22, SocketAddr::port);
    if let Some(r) = &config.address {
        return (r.host.clone(), r.port.unwrap_or(port));
    }
    let named = ssh.iter().find(|a| !a.ip().is_unspecified() && !a.ip().is_loopback());
    if let Some(a) = named {
        return (a.ip().to_string(), a.port());
    }
    match ssh.first() {
        Some(a) if a.ip().is_loopback() => (a.ip().to_string(), port),
        _ => (host_like(&config.name), port),
    }
}

/// The bastion's name is free text; only what could be a host's name is one.
fn host_like(name: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || matches!(c, '.' | '-' | '_');
    let fits = name.starts_with(char::is_alphanumeric) && name.chars().all(plain);
    if fits { name.to_owned() } else { "BASTION".to_owned() }
}

impl Desk {
    /// Of a host, with all its ports; or of the host of a port, with this one.
    pub(super) fn howto(&self, who: &Identity, of: &BlockTarget) -> Result<HowTo, ApiError> {
        let config = self.registry.config();
        let not_found = |m: String| ApiError::new(ErrorCode::NotFound, m);
        let fits = |t: &TunnelView| match of {
            BlockTarget::Port(p) => t.lease.port == *p,
            BlockTarget::Host(h) => t.lease.host == *h,
            _ => false,
        };
        let rows: Vec<TunnelView> =
            self.with_board(|b| b.tunnels_since(Revision(0)).filter(|t| fits(t)).cloned().collect());
        let host = match (of, rows.first()) {
            (BlockTarget::Host(h), _) => h.clone(),
            (BlockTarget::Key(k), _) => match config.keys.get(k) {
                Some(Principal::Host(h)) => return self.howto(who, &BlockTarget::Host(h.clone())),
                _ => return Err(not_found(format!("no host has the key {k}"))),
            },
            (BlockTarget::Port(_), Some(t)) => t.lease.host.clone(),
            (BlockTarget::Port(p), None) => {
                return Err(not_found(format!("nobody has a lease of port {p}; portreeve ports shows who has which")));
            }
            (other, _) => return Err(not_found(format!("{other} is neither a host nor a port"))),
        };
        let Some(declared) = config.hosts.get(&host) else {
            return Err(not_found(format!("there is no host {host} in {}", config.path.display())));
        };
        if !who.sees(&declared.team) {
            return Err(ApiError::new(ErrorCode::Forbidden, format!("host {host} is of a team that is not yours")));
        }
        let gateway = config.teams.get(&declared.team).is_some_and(|t| t.bind == BindPolicy::Gateway);
        let mut forwards: Vec<ForwardHint> = rows.iter().map(|t| ForwardHint::of(t, gateway)).collect();
        if forwards.is_empty() {
            forwards.push(ForwardHint { port: None, gateway, service: None, local: Some(22), guessed: true });
        }
        let mut keys: Vec<String> = config
            .keys
            .iter()
            .filter(|(_, p)| matches!(p, Principal::Host(h) if *h == host))
            .map(|(fingerprint, _)| fingerprint.clone())
            .collect();
        keys.sort_unstable();
        let (address, port) = reach(&config, &self.facts.ssh);
        Ok(HowTo { host, keys, address, port, forwards, host_keys: self.facts.host_keys.clone() })
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Of a host with a usual service, an unusual one, and one of no name.
    pub(crate) fn sample() -> HowTo {
        let port = |n: u16| n.try_into().ok();
        let one = |n, service: Option<&str>, local, guessed| ForwardHint {
            port: port(n),
            gateway: false,
            service: service.map(str::to_owned),
            local,
            guessed,
        };
        HowTo {
            host: "pay-db".parse().unwrap(),
            keys: vec!["SHA256:0123456789abcdefghijklmnopqrstuvwxyzABCDEFG".to_owned()],
            address: "bastion.example.net".to_owned(),
            port: 2222,
            forwards: vec![
                one(20101, Some("ssh"), Some(22), false),
                one(20102, Some("backup"), None, false),
                one(20103, None, Some(22), true),
            ],
            host_keys: vec!["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIE".to_owned()],
        }
    }

    #[test]
    fn each_form_has_the_port_the_address_the_user_and_what_notices_a_dead_path() {
        let h = sample();
        for format in [Format::Ssh, Format::Config, Format::Systemd] {
            let text = h.text(format);
            let flat = text.replace('=', " ");
            for wanted in
                ["ExitOnForwardFailure yes", "ServerAliveInterval 15", "ServerAliveCountMax 3", "bastion.example.net"]
            {
                assert!(flat.contains(wanted), "{format:?} has no {wanted}:\n{text}");
            }
            for wanted in ["2222", "pay-db", "20101", "localhost:22", "20102", "localhost:SERVICE_PORT"] {
                assert!(text.contains(wanted), "{format:?} has no {wanted}:\n{text}");
            }
            assert!(!text.contains("20122") && !text.contains('#'), "{format:?} is the example:\n{text}");
            assert!(text.ends_with('\n') && !text.ends_with("\n\n"));
        }
        assert_eq!(h.text(Format::KnownHosts), "[bastion.example.net]:2222 ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIE\n");
        assert_eq!(h.text(Format::Systemd).matches("ExecStart=").count(), 1);
        assert!(h.text(Format::Systemd).contains("Restart=always\n"));
        let remarks = h.remarks().join("\n");
        assert!(remarks.contains("port 20102: put the port of the service backup"), "{remarks}");
        assert!(remarks.contains("port 20103: that its service listens on 22 is a guess"), "{remarks}");
    }

    #[test]
    fn a_gateway_listens_everywhere_and_a_shell_does_not_expand_that() {
        let mut h = sample();
        h.forwards.truncate(1);
        h.forwards[0].gateway = true;
        assert!(h.command().contains(" -R '*:20101:localhost:22' "), "{}", h.command());
        assert!(h.text(Format::Config).contains("RemoteForward *:20101 localhost:22\n"));
    }

    #[test]
    fn openssh_reads_the_block_as_it_was_meant() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("ssh_config");
        let mut h = sample();
        h.forwards.truncate(1);
        std::fs::write(&file, h.text(Format::Config)).unwrap();
        let out = std::process::Command::new("ssh").arg("-F").arg(&file).args(["-G", "bastion"]).output().unwrap();
        let said = String::from_utf8(out.stdout).unwrap();
        for wanted in [
            "hostname bastion.example.net",
            "port 2222",
            "user pay-db",
            "remoteforward 20101 [localhost]:22",
            "exitonforwardfailure yes",
            "serveraliveinterval 15",
            "serveralivecountmax 3",
        ] {
            assert!(said.lines().any(|l| l == wanted), "no {wanted} in\n{said}");
        }
    }

    #[test]
    fn only_what_could_be_a_name_is_dialled() {
        assert_eq!(host_like("bastion-1.example.net"), "bastion-1.example.net");
        for odd in ["our bastion", "-oProxyCommand=x", "a;b", ""] {
            assert_eq!(host_like(odd), "BASTION");
        }
    }
}
