//! From the file to a [`Config`], or to everything that is wrong with it.

use super::people;
use super::problem::{Complaint, ConfigError, Report};
use super::reader;
use super::rules::People;
use super::schema::{AuditConfig, Config, Host, Operator};
use super::sections;
use super::trust;
use crate::model::{HostName, OperatorName};
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use toml::de::DeTable;

impl Config {
    /// Reads the file at `path`.
    ///
    /// # Errors
    /// Every problem of the file; or that it cannot be read, or that others than its owner can write it or its folder.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let bytes = fs::read(path).map_err(|e| {
            let remedy = match e.kind() {
                std::io::ErrorKind::NotFound => "name the file with --config; `portreeve up` writes a first one",
                std::io::ErrorKind::PermissionDenied => "let the account portreeve runs as read it",
                _ => "name the configuration file itself",
            };
            ConfigError::about_file(path, format!("the configuration cannot be read: {e}"), remedy.to_owned())
        })?;
        let text = String::from_utf8(bytes).map_err(|e| {
            let valid = e.as_bytes().get(..e.utf8_error().valid_up_to()).unwrap_or_default();
            let line = valid.split(|b| *b == b'\n').count();
            ConfigError::about_file(path, format!("line {line} is not UTF-8 text"), "save the file as UTF-8".to_owned())
        })?;
        let exposed = writable_by_others(path);
        match (Self::parse(&text, path), exposed) {
            (result, Ok(())) => result,
            (Ok(_), Err(e)) => Err(e),
            (Err(mut found), Err(e)) => {
                found.problems.splice(0..0, e.problems);
                Err(found)
            }
        }
    }

    /// Reads the text of a file that stands, or would stand, at `path`; relative paths in it start at its folder.
    ///
    /// # Errors
    /// Every problem of the text.
    pub fn parse(text: &str, path: &Path) -> Result<Self, ConfigError> {
        let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        let base = absolute.parent().map_or_else(|| PathBuf::from("/"), Path::to_owned);
        let report = Report::new(path, text);
        let (document, errors) = DeTable::parse_recoverable(text);
        if !errors.is_empty() {
            // What a broken file means is a guess: its other problems are told when it is whole.
            note_syntax(&report, &errors);
            return Err(report.finish().err().unwrap_or(ConfigError { problems: Vec::new() }));
        }
        let config = {
            let section = reader::top(&report, document.get_ref());
            let (name, address, state_dir) = sections::bastion(&report, section("bastion").as_ref(), &base);
            let ssh = sections::ssh(&report, section("ssh").as_ref(), &base);
            let sources = super::sources::read(&report, section("sources").as_ref());
            let control = sections::control(&report, section("control").as_ref(), &base, &state_dir);
            let audit = super::audit::audit(&report, section("audit").as_ref(), &base, &state_dir);
            let ships = super::shipping::shipping(section("shipping").as_ref(), &base);
            let audit = AuditConfig { ships, ..audit };
            let log = sections::log(&report, section("log").as_ref(), &base);
            let relay = sections::relay(&report, section("relay").as_ref());
            let limits = super::limits::read(&report, section("limits").as_ref(), relay.max_visitors);
            let health = sections::health(&report, section("health").as_ref());
            let actions = super::actions::read(section("actions").as_ref());
            let people = People {
                teams: people::teams(section("teams").as_ref(), &limits),
                hosts: people::hosts(section("hosts").as_ref(), &health),
                operators: people::operators(section("operators").as_ref()),
                authorities: trust::authorities(section("authorities").as_ref()),
            };
            let trust = trust::trust(&report, section("trust").as_ref(), &base);
            let keys = people.check(&report, &ssh.listen, trust.pending.on);
            let trust = people.trust(&report, trust, &keys);
            let People { teams, hosts, operators, .. } = people;
            let hosts: BTreeMap<HostName, Host> =
                hosts.into_iter().filter_map(|(name, h)| Some((name, h.finish()?))).collect();
            let fixed_ports = hosts
                .iter()
                .flat_map(|(name, h)| h.services.iter().map(|(s, x)| (x.port, (name.clone(), s.clone()))))
                .collect();
            let of_hosts = hosts.values().flat_map(|h: &Host| &h.keys);
            let operators: BTreeMap<OperatorName, Operator> =
                operators.into_iter().map(|(name, o)| (name, o.finish())).collect();
            let of_operators = operators.values().flat_map(|o| &o.keys);
            let all: Vec<_> = of_hosts.chain(of_operators).collect();
            let expiries = all.iter().filter_map(|k| Some((k.fingerprint.clone(), k.expires?))).collect();
            let networks = all.iter().filter_map(|k| Some((k.fingerprint.clone(), k.networks.clone()?))).collect();
            Self {
                path: absolute,
                read_at: crate::model::now(),
                name,
                address,
                state_dir,
                ssh,
                sources,
                control,
                audit,
                log,
                relay,
                limits,
                health,
                trust,
                actions,
                teams: teams.into_iter().map(|(name, t)| (name, t.team)).collect(),
                hosts,
                operators,
                keys,
                approved: BTreeMap::new(),
                networks,
                expiries,
                fixed_ports,
            }
        };
        report.finish()?;
        Ok(config)
    }
}

fn note_syntax(report: &Report<'_>, errors: &[toml::de::Error]) {
    let mut told = Vec::new();
    for e in errors {
        let at = e.span().unwrap_or(0..0);
        // One slip makes several errors on its line; the first says it.
        let (line, _) = report.position(&at);
        if told.contains(&line) {
            continue;
        }
        told.push(line);
        let message = e.message().trim();
        let remedy = if message.contains("duplicate key") {
            "it is already set above: keep one of the two"
        } else if message.contains("string") {
            "write text in double quotes, each string closed on its own line"
        } else {
            "write key = value, text in double quotes, lists as [\"a\", \"b\"], sections as [name]"
        };
        report.add_with_line(&at, &Complaint::new(format!("this is not TOML: {message}"), remedy));
    }
}

/// As sshd with its files: whoever can write the configuration, or swap it in its folder, decides who signs in.
fn writable_by_others(path: &Path) -> Result<(), ConfigError> {
    let real = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let folder = real.parent().unwrap_or(Path::new("/"));
    let checked = [("the configuration", real.as_path()), ("the configuration's folder", folder)]
        .map(|(what, place)| owner_only(path, what, place));
    let problems: Vec<_> = checked.into_iter().filter_map(Result::err).flat_map(|e| e.problems).collect();
    if problems.is_empty() { Ok(()) } else { Err(ConfigError { problems }) }
}

/// Whether only the owner of a file or folder can write it; `file` is the configuration that the error is about.
pub(super) fn owner_only(file: &Path, what: &str, place: &Path) -> Result<(), ConfigError> {
    let shown = place.display();
    let (what, remedy) = match fs::metadata(place).map(|m| m.permissions().mode() & 0o7777) {
        Ok(mode) if mode & 0o022 == 0 => return Ok(()),
        Ok(mode) => (
            format!("{what} can be written by others than its owner (mode {mode:04o}): {shown}"),
            format!("chmod go-w {}", super::shell::quote(&place.to_string_lossy())),
        ),
        Err(e) => (
            format!("the permissions of {shown} cannot be read: {e}"),
            "let the account portreeve runs as look at it".to_owned(),
        ),
    };
    Err(ConfigError::about_file(file, what, remedy))
}
