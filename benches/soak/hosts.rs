//! Hosts: stock OpenSSH clients under something that starts them again.

use super::common::ssh::PLAIN;
use super::ledger::Place;
use super::process::spawn;
use super::world::World;
use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;
use std::fs::File;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicI32, Ordering};
use std::time::Duration;

/// Between the end of a client and its next.
const REDIAL: Duration = Duration::from_millis(400);

/// One host.
pub struct Host {
    /// Its name.
    pub name: String,
    /// Its own options of `ssh_config`.
    pub options: &'static [&'static str],
    /// Under autossh rather than in a loop of our own.
    pub autossh: bool,
    /// Its faults.
    pub place: Place,
    /// One fault at a time.
    pub turn: tokio::sync::Mutex<()>,
    leader: AtomicI32,
}

/// Options of the hosts, by turns.
const OPTIONS: &[&[&str]] = &[
    &["Ciphers=aes128-gcm@openssh.com"],
    &["Ciphers=aes256-gcm@openssh.com"],
    &["Ciphers=aes128-ctr"],
    &["Ciphers=aes128-gcm@openssh.com", "RekeyLimit=4M"],
    &["Ciphers=aes128-ctr", "MACs=hmac-sha2-256-etm@openssh.com", "RekeyLimit=4M"],
    &[],
];

impl Host {
    /// The one of this number.
    pub fn new(number: usize) -> Self {
        Self {
            name: format!("host-{:02}", number + 1),
            options: OPTIONS[number % OPTIONS.len()],
            autossh: number % 4 == 3,
            place: Place::default(),
            turn: tokio::sync::Mutex::new(()),
            leader: AtomicI32::new(0),
        }
    }

    /// The process id of its ssh now.
    pub fn ssh_pid(&self) -> Option<Pid> {
        let leader = Some(self.leader.load(Ordering::SeqCst)).filter(|p| *p > 0)?;
        if !self.autossh {
            return Some(Pid::from_raw(leader));
        }
        let list = std::fs::read_to_string(format!("/proc/{leader}/task/{leader}/children")).ok()?;
        list.split_whitespace().next()?.parse().ok().map(Pid::from_raw)
    }

    /// A signal for its ssh. Whether there was one.
    pub fn signal(&self, signal: Signal) -> bool {
        self.ssh_pid().is_some_and(|pid| kill(pid, signal).is_ok())
    }

    /// The end of it all.
    pub fn end(&self) {
        let leader = self.leader.load(Ordering::SeqCst);
        if leader > 0 {
            let _ = killpg(Pid::from_raw(leader), Signal::SIGKILL);
        }
    }
}

/// `user@bastion`, the last word of a command.
pub fn target(user: &str) -> String {
    format!("{user}@127.0.0.1")
}

/// An OpenSSH client with this one's key, without a destination yet.
pub fn ssh(world: &World, user: &str) -> Command {
    through("ssh", &world.out.join(user), world.address.port())
}

/// The same with everything to be said.
pub fn through(program: &str, key: &std::path::Path, port: u16) -> Command {
    let mut command = Command::new(program);
    command.env_remove("SSH_AUTH_SOCK").env_remove("DISPLAY");
    command.args(["-F", "none", "-p", &port.to_string(), "-i"]).arg(key);
    for o in PLAIN.iter().chain(&["BatchMode=yes", "LogLevel=ERROR"]) {
        command.args(["-o", o]);
    }
    command
}

/// Keeps one host dialled in, until aborted.
pub async fn supervise(world: &World, number: usize) {
    let host = &world.hosts[number];
    let log: PathBuf = world.out.join(format!("{}.log", host.name));
    loop {
        let key = world.out.join(&host.name);
        let program = if host.autossh { "autossh" } else { "ssh" };
        let mut command = through(program, &key, world.address.port());
        if host.autossh {
            command.env("AUTOSSH_GATETIME", "0").env("AUTOSSH_PORT", "0").env("AUTOSSH_POLL", "1");
        }
        command.args(["-N", "-T", "-o", "ExitOnForwardFailure=yes"]);
        // So that it notices a dead bastion, and the bastion's own keepalive is not the only one.
        command.args(["-o", "ServerAliveInterval=5", "-o", "ServerAliveCountMax=3"]);
        for o in host.options {
            command.args(["-o", o]);
        }
        for t in world.tunnels.iter().filter(|t| t.host == number) {
            command.args(["-R", &format!("{}:{}", t.port, t.service.address)]);
        }
        command.arg(target(&host.name));
        let log = File::options().create(true).append(true).open(&log).unwrap();
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).process_group(0);
        let mut child = spawn(&mut command);
        host.leader.store(child.id() as i32, Ordering::SeqCst);
        let _ = child.wait().await;
        host.leader.store(0, Ordering::SeqCst);
        tokio::time::sleep(REDIAL).await;
    }
}
