//! A first folder for `portreeve up`: configuration, keys and identities, so that one command leads to a running bastion.

use super::ConfigError;
use super::host_keys::{self, HostKeyError, KeyFile, KeyKind, new_file};
use super::lookup::account_of;
use super::schema::{Config, Principal};
use super::shell::quote;
use crate::model::{NameError, OperatorName};
use std::fs;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use thiserror::Error;

/// The port of a first bastion; the next ones when it is taken.
const FIRST_SSH_PORT: u16 = 2222;

/// The folder's files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scaffold {
    /// Whether `portreeve.toml` was written just now.
    pub created: bool,
    /// `portreeve.toml`.
    pub config: PathBuf,
    /// The port of the first address of `ssh.listen`.
    pub ssh_port: u16,
    /// The operator's private key; may be gone in a folder that was there before.
    pub operator_identity: PathBuf,
    /// The name of the operator in the configuration, when it was written just now.
    pub operator: Option<OperatorName>,
    /// The first host's private key; may be gone in a folder that was there before.
    pub host_identity: PathBuf,
    /// The bastion's public host keys, as ssh's `UserKnownHostsFile`.
    pub known_hosts: PathBuf,
    /// The first host as configured, and a port of its own; none when the configuration no longer has its key.
    first: Option<(String, u16)>,
}

/// Why the folder cannot be made.
#[derive(Debug, Error)]
pub enum ScaffoldError {
    /// A file or folder.
    #[error("{path} cannot be written: {error}\n    choose a folder you can write with --data", path = path.display())]
    Write {
        /// Which.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// A key.
    #[error(transparent)]
    Key(#[from] HostKeyError),
    /// The configuration that is there has problems.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The account's name does not make an operator's.
    #[error(transparent)]
    Name(#[from] NameError),
}

/// Makes what is missing for a bastion in `data_dir`. A folder that has a `portreeve.toml` is left as it is.
///
/// # Errors
/// What could not be written, or what is wrong with the configuration that is there.
pub fn ensure(data_dir: &Path, listen: Option<SocketAddr>) -> Result<Scaffold, ScaffoldError> {
    ensure_for(data_dir, listen, &account_of(nix::unistd::geteuid().as_raw()))
}

fn ensure_for(data_dir: &Path, listen: Option<SocketAddr>, account: &str) -> Result<Scaffold, ScaffoldError> {
    let at = |name: &str| data_dir.join(name);
    let config_path = at("portreeve.toml");
    let there = fs::symlink_metadata(&config_path).is_ok();
    let mut operator = None;
    if !there {
        let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(data_dir);
        made.map_err(|error| ScaffoldError::Write { path: data_dir.to_owned(), error })?;
        // Before anything is written into it: the configuration would be refused there.
        super::load::owner_only(&config_path, "the folder", data_dir)?;
        operator = Some(populate(data_dir, &config_path, listen, account)?);
    }
    let config = Config::load(&config_path)?;
    let host_identity = at("first_host_ed25519");
    Ok(Scaffold {
        created: !there,
        ssh_port: config.ssh.listen.first().map_or(0, SocketAddr::port),
        first: first_host(&config, &host_identity),
        config: config_path,
        operator_identity: at("operator_ed25519"),
        operator,
        host_identity,
        known_hosts: at("known_hosts"),
    })
}

/// Writes everything, the configuration last: a folder with a configuration is complete.
fn populate(
    data_dir: &Path,
    config_path: &Path,
    listen: Option<SocketAddr>,
    account: &str,
) -> Result<OperatorName, ScaffoldError> {
    let at = |name: &str| data_dir.join(name);
    let write = |path: PathBuf, mode: u32, text: &str| match new_file(&path, mode, text.as_bytes()) {
        Err(e) if e.kind() != io::ErrorKind::AlreadyExists => Err(ScaffoldError::Write { path, error: e }),
        _ => Ok(()),
    };
    let host_keys = host_keys::ensure(&[at("ssh_host_ed25519_key"), at("ssh_host_rsa_key")])?;
    let operator: OperatorName = account.parse().or_else(|_| "operator".parse())?;
    let operator_key = host_keys::ensure_one(&at("operator_ed25519"), KeyKind::Ed25519, operator.as_str())?;
    let host_key = host_keys::ensure_one(&at("first_host_ed25519"), KeyKind::Ed25519, "first-host")?;
    write(at("known_hosts"), 0o644, &known_hosts(&host_keys))?;
    let listen = listen.unwrap_or_else(|| SocketAddr::from((Ipv4Addr::LOCALHOST, free_port())));
    let text = template(listen, &operator, account, &operator_key, &host_key);
    write(config_path.to_owned(), 0o600, &text)?;
    Ok(operator)
}

/// This file is for one bastion only, so its keys stand for any address: a later change of `ssh.listen` asks nobody again.
fn known_hosts(keys: &[KeyFile]) -> String {
    keys.iter().map(|k| format!("* {}\n", k.public_line())).collect()
}

/// The first of the usual ports that is free now, else any. It is written down, so that it stays the same.
fn free_port() -> u16 {
    let try_port = |port: u16| {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).ok()?;
        listener.local_addr().ok().map(|a| a.port())
    };
    (FIRST_SSH_PORT..FIRST_SSH_PORT + 100).chain([0]).find_map(try_port).unwrap_or(FIRST_SSH_PORT)
}

fn first_host(config: &Config, identity: &Path) -> Option<(String, u16)> {
    let pub_path = identity.with_extension("pub");
    let key = super::public_key::read(&fs::read_to_string(pub_path).ok()?).ok()?;
    let Principal::Host(host) = config.principal(&key.fingerprint)? else { return None };
    let (_, team) = config.team_of(host)?;
    let fixed = config.hosts.get(host)?.services.values().map(|s| s.port).min();
    // A free port of the team's: not one that is fixed to another host.
    let port = fixed.or_else(|| team.ports.iter().flat_map(|r| r.iter()).find(|p| config.fixed(*p).is_none()))?;
    Some((host.to_string(), port.get()))
}

impl Scaffold {
    /// The line that brings up a first tunnel, ready to be copied into a shell in the current folder: the first host's
    /// port to the SSH server of this machine. `ssh` is where the bastion listens. None when the configuration no longer
    /// has the first host's key.
    #[must_use]
    pub fn first_tunnel(&self, ssh: SocketAddr) -> Option<String> {
        let (host, port) = self.first.as_ref()?;
        let here = std::env::current_dir().unwrap_or_default();
        let shown = |path: &Path| shown_from(&here, path);
        let identity = shown(&self.host_identity);
        // `-i` looks for the file before it expands %-tokens, so that no spelling of such a path passes it.
        let identity =
            if identity.contains('%') { option("IdentityFile", &identity) } else { format!("-i {}", quote(&identity)) };
        let known = option("UserKnownHostsFile", &shown(&self.known_hosts));
        let ip = if ssh.ip().is_unspecified() { Ipv4Addr::LOCALHOST.to_string() } else { ssh.ip().to_string() };
        let user = quote(&format!("{host}@{ip}"));
        Some(format!(
            "ssh -N -p {} {identity} -o IdentitiesOnly=yes {known} -o StrictHostKeyChecking=yes \
             -o ExitOnForwardFailure=yes -o ServerAliveInterval=15 -R {port}:localhost:{} {user}",
            ssh.port(),
            service_port(ssh)
        ))
    }
}

/// An option of ssh whose value is a path. ssh expands %-tokens in it and splits it at spaces, so that it has quotes of its
/// own inside the shell's (ssh_config(5)).
fn option(name: &str, path: &str) -> String {
    let path = path.replace('%', "%%");
    let path = if path.contains(' ') { format!("\"{path}\"") } else { path };
    format!("-o {}", quote(&format!("{name}={path}")))
}

/// What the first tunnel leads to: this machine's SSH server, or, where there is none, the bastion itself, so that the
/// newcomer's first tunnel answers in any case.
fn service_port(ssh: SocketAddr) -> u16 {
    let sshd = SocketAddr::from((Ipv4Addr::LOCALHOST, 22));
    let there = std::net::TcpStream::connect_timeout(&sshd, std::time::Duration::from_millis(200)).is_ok();
    if there { 22 } else { ssh.port() }
}

/// The path as written from the folder `here`: relative when it is under it.
fn shown_from(here: &Path, path: &Path) -> String {
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    absolute.strip_prefix(here).unwrap_or(&absolute).to_string_lossy().into_owned()
}

fn template(
    listen: SocketAddr,
    operator: &OperatorName,
    account: &str,
    operator_key: &KeyFile,
    host_key: &KeyFile,
) -> String {
    format!(
        r#"# portreeve.toml: what may connect to this bastion, and how.
# Every key is described in docs/configuration.md. After a change: `portreeve check`, then `portreeve reload`.
# Paths are relative to this file's folder.

[ssh]
# Where hosts and operators sign in. For other machines: listen = ["0.0.0.0:{port}", "[::]:{port}"]
listen = "{listen}"

# A team owns hosts and a range of ports. Its tunnels listen on loopback unless it says otherwise:
#   bind = "gateway"
#   visitors = ["10.0.0.0/8"]       # who may connect then; ["0.0.0.0/0", "::/0"] lets anyone in
[teams.demo]
ports = "20100-20199"

# A host signs in with one of its keys and holds tunnels on ports of its team. A host asks for a port itself
# (ssh -R 20100:localhost:22), or has fixed ones that nobody else can take:
#   ports = {{ ssh = 20122, web = {{ port = 20180, check = "http" }} }}
[hosts.first-host]
team = "demo"
keys = ["{host_line}"]          # first_host_ed25519

# An operator sees and commands tunnels: by key over SSH (ssh -t {name}@bastion), and by account on this machine.
# Roles: viewer, operator, admin.
[operators.{name_key}]
role = "admin"
unix_user = {account:?}
keys = ["{operator_line}"]      # operator_ed25519
"#,
        port = listen.port(),
        host_line = host_key.public_line(),
        name = operator,
        name_key = super::rules::quoted(operator.as_str()),
        operator_line = operator_key.public_line(),
    )
}

#[cfg(test)]
mod tests;
