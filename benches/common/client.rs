//! Stock OpenSSH clients that bring tunnels.

use super::{Guard, Res, Server, at};
use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::process::{ChildStderr, Command, Stdio};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::{Duration, Instant};

/// Time a client has until its forwards are up.
const UP: Duration = Duration::from_secs(20);

/// Options of every client: nothing of this machine's configuration, agents or known hosts.
const PLAIN: &[&str] = &[
    "IdentitiesOnly=yes",
    "IdentityAgent=none",
    "StrictHostKeyChecking=no",
    "UserKnownHostsFile=/dev/null",
    "GlobalKnownHostsFile=/dev/null",
    "ControlPath=none",
    "BatchMode=yes",
    "ExitOnForwardFailure=yes",
    "ConnectTimeout=15",
];

/// A client to be started.
pub struct Client<'a> {
    server: &'a dyn Server,
    host: usize,
    forwards: Vec<(u16, SocketAddr)>,
    options: Vec<String>,
}

impl<'a> Client<'a> {
    /// Of this host, to this server.
    pub fn new(server: &'a dyn Server, host: usize) -> Self {
        Self { server, host, forwards: Vec::new(), options: Vec::new() }
    }
    /// `-R`: a port of the host's, by number, to a service.
    pub fn forward(mut self, n: u16, to: SocketAddr) -> Self {
        self.forwards.push((self.server.port(self.host, n), to));
        self
    }
    /// `-c`.
    pub fn cipher(self, name: &str) -> Self {
        self.option(&format!("Ciphers={name}"))
    }
    /// An option of `ssh_config`.
    pub fn option(mut self, option: &str) -> Self {
        self.options.push(option.to_owned());
        self
    }

    /// The command line: `ssh -N` and all options. It tells of its forwards and of nothing else: with `-v` it would write
    /// a dozen lines for each visitor, and be measured doing so.
    pub fn command(&self) -> Command {
        let mut c = Command::new("ssh");
        c.args([
            "-F",
            "none",
            "-N",
            "-T",
            "-o",
            "LogVerbose=ssh.c:ssh_confirm_remote_forward():*",
            "-p",
            &self.server.address().port().to_string(),
            "-i",
        ]);
        c.arg(self.server.key(self.host));
        for option in PLAIN.iter().copied().chain(self.options.iter().map(String::as_str)) {
            c.args(["-o", option]);
        }
        for (port, to) in &self.forwards {
            c.args(["-R", &format!("127.0.0.1:{port}:{to}")]);
        }
        c.arg(format!("{}@{}", self.server.user(self.host), self.server.address().ip()));
        c.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        c
    }

    /// Starts it and waits until every forward is up.
    pub fn start(self) -> Res<Guard> {
        let mut child = Guard(self.command().spawn().map_err(at("ssh"))?);
        let stderr = child.0.stderr.take().ok_or("no stderr")?;
        wait_up(stderr, self.forwards.len()).map_err(|why| {
            let log = self.server.log();
            if log.is_empty() { why } else { format!("{why} ({}: {log})", self.server.name()) }
        })?;
        Ok(child)
    }
}

/// Reads what ssh says until it has told of so many forwards; the rest is read and thrown away, so that it never blocks.
fn wait_up(stderr: ChildStderr, wanted: usize) -> Res<()> {
    let (tx, rx) = channel();
    std::thread::spawn(move || {
        let mut reader = BufReader::new(stderr);
        let mut line = String::new();
        while reader.read_line(&mut line).is_ok_and(|n| n > 0) {
            if tx.send(line.trim().to_owned()).is_err() {
                break;
            }
            line.clear();
        }
        let mut waste = [0; 4096];
        while reader.read(&mut waste).is_ok_and(|n| n > 0) {}
    });
    let until = Instant::now() + UP;
    let (mut up, mut last) = (0, String::new());
    while up < wanted {
        match rx.recv_timeout(until.saturating_duration_since(Instant::now())) {
            Ok(line) if line.contains("remote forward success for:") => up += 1,
            Ok(line) => last = line,
            Err(RecvTimeoutError::Timeout) => {
                return Err(format!("ssh has {up} of {wanted} forwards after {UP:?}: {last}"));
            }
            Err(RecvTimeoutError::Disconnected) => return Err(format!("ssh ended: {last}")),
        }
    }
    Ok(())
}
