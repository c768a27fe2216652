//! Who plays: hosts, teams and keys of the demo, and the configuration that goes with them.

use crate::config::host_keys::{self, HostKeyError, KeyKind};
use russh::keys::PrivateKey;
use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use thiserror::Error;

/// Why the demo cannot be played.
#[derive(Debug, Error)]
pub enum DemoError {
    /// The folder has a configuration of its own.
    #[error(
        "{0} has a configuration without the demo's hosts; give the demo a folder of its own: up --demo --data ./portreeve-demo"
    )]
    NotOurs(PathBuf),
    /// A file cannot be read or written.
    #[error("the demo cannot use {path}: {source}")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A key cannot be made or read.
    #[error(transparent)]
    Key(#[from] HostKeyError),
    /// No thread.
    #[error("the demo cannot start: {0}")]
    Thread(io::Error),
}

/// What a host does in the play.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// Greets as SSH does.
    Ssh,
    /// Answers HTTP.
    Http,
    /// Answers HTTP, but its session breaks again and again.
    Flapping,
    /// Its session is up, its service is dead.
    Dead,
    /// Asks for a port that is another host's.
    Refused,
}

struct Script {
    team: &'static str,
    host: &'static str,
    port: u16,
    service: &'static str,
    check: &'static str,
    role: Role,
    visited: bool,
}

/// The port a refused host asks for is `pay-db`'s.
const CAST: &[Script] = &[
    Script { team: "pay", host: "pay-db", port: 20201, service: "ssh", check: "ssh", role: Role::Ssh, visited: true },
    Script {
        team: "pay",
        host: "pay-web",
        port: 20202,
        service: "http",
        check: "http",
        role: Role::Http,
        visited: true,
    },
    Script {
        team: "iot",
        host: "iot-gw-7",
        port: 20307,
        service: "http",
        check: "http",
        role: Role::Flapping,
        visited: false,
    },
    Script {
        team: "iot",
        host: "iot-cam",
        port: 20308,
        service: "rtsp",
        check: "tcp",
        role: Role::Dead,
        visited: false,
    },
    Script {
        team: "office",
        host: "서울-프린터",
        port: 20401,
        service: "http",
        check: "http",
        role: Role::Http,
        visited: true,
    },
    Script {
        team: "office",
        host: "office-nas",
        port: 20402,
        service: "ssh",
        check: "ssh",
        role: Role::Refused,
        visited: false,
    },
];

const TEAMS: &[(&str, &str, &str)] = &[
    ("pay", "20200-20219", "payments on-call, +82 2 555 0101"),
    ("iot", "20300-20319", "iot@example.net"),
    ("office", "20400-20409", "서울 사무실"),
];

const MARK: &str = "# --- demo: the hosts of `up --demo` ---";

/// One host, ready to play.
#[derive(Debug)]
pub(super) struct Part {
    pub(super) name: &'static str,
    pub(super) role: Role,
    /// The port it asks for.
    pub(super) port: u16,
    pub(super) visited: bool,
    pub(super) key: PrivateKey,
}

/// Adds the demo's teams and hosts to a configuration that was scaffolded just now, and makes their keys.
///
/// # Errors
/// [`DemoError`] when the folder holds a configuration that is not the demo's.
pub fn prepare(config: &Path, fresh: bool) -> Result<(), DemoError> {
    let file = |source| DemoError::File { path: config.to_owned(), source };
    let text = std::fs::read_to_string(config).map_err(file)?;
    if text.contains(MARK) {
        return Ok(());
    }
    if !fresh {
        return Err(DemoError::NotOurs(config.to_owned()));
    }
    let data = config.parent().unwrap_or(Path::new("."));
    let dir = data.join("demo");
    std::fs::create_dir_all(&dir).map_err(|source| DemoError::File { path: dir.clone(), source })?;
    let mut more = format!("\n{MARK}\n\n[health]\ninterval = \"5s\"\n");
    if text.contains("\n[health]") {
        more = format!("\n{MARK}\n");
    }
    for (team, ports, contact) in TEAMS {
        more.push_str(&format!("\n[teams.{team}]\nports = [\"{ports}\"]\ncontact = \"{contact}\"\n"));
    }
    for s in CAST {
        let public = host_keys::ensure_one(&key_path(data, s), KeyKind::Ed25519, s.host)?.public_line();
        more.push_str(&format!(
            "\n[hosts.\"{}\"]\nteam = \"{}\"\nkeys = [\"{public}\"]\nports = {{ {} = {{ port = {}, check = \"{}\" }} }}\n",
            s.host, s.team, s.service, s.port, s.check
        ));
    }
    OpenOptions::new().append(true).open(config).and_then(|mut f| f.write_all(more.as_bytes())).map_err(file)
}

fn key_path(data: &Path, s: &Script) -> PathBuf {
    data.join("demo").join(format!("host-{}_ed25519", s.port))
}

/// The hosts with their keys.
pub(super) fn read(data: &Path) -> Result<Vec<Part>, DemoError> {
    CAST.iter()
        .map(|s| {
            let key = host_keys::ensure_one(&key_path(data, s), KeyKind::Ed25519, s.host)?.key;
            let port = if s.role == Role::Refused { CAST.first().map_or(s.port, |first| first.port) } else { s.port };
            Ok(Part { name: s.host, role: s.role, port, visited: s.visited, key })
        })
        .collect()
}
