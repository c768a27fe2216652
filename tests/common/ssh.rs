//! Stock OpenSSH clients.

use super::lines::Lines;
use super::{SOON, end, signal, wait_exit};
use nix::sys::signal::Signal;
use std::ffi::OsStr;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::Duration;

/// Options of every client: nothing of this machine's configuration, agents or known hosts.
pub const PLAIN: &[&str] = &[
    "IdentitiesOnly=yes",
    "StrictHostKeyChecking=no",
    "UserKnownHostsFile=/dev/null",
    "GlobalKnownHostsFile=/dev/null",
    "ControlPath=none",
    "ConnectTimeout=20",
];

/// A client to be started.
pub struct SshCommand {
    command: Command,
    target: String,
    name: String,
    supervises: bool,
}

impl SshCommand {
    /// A client that signs in at `address` as `user` with `key`.
    pub fn new(user: &str, key: &Path, address: SocketAddr) -> Self {
        Self::through("ssh", user, key, address)
    }

    /// The same by way of another program that takes ssh's options (autossh).
    pub fn through(program: &str, user: &str, key: &Path, address: SocketAddr) -> Self {
        let mut command = Command::new(program);
        command.env_remove("SSH_AUTH_SOCK").env_remove("DISPLAY");
        command.args(["-F", "none", "-v", "-p", &address.port().to_string(), "-i"]).arg(key);
        for o in PLAIN {
            command.args(["-o", o]);
        }
        Self {
            command,
            target: format!("{user}@{}", address.ip()),
            name: user.to_owned(),
            supervises: program != "ssh",
        }
    }

    /// One more option of `ssh_config`.
    pub fn option(mut self, option: &str) -> Self {
        self.command.args(["-o", option]);
        self
    }
    /// One more argument, before the destination.
    pub fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.command.arg(arg);
        self
    }
    /// More arguments, before the destination.
    pub fn args(mut self, args: &[&str]) -> Self {
        self.command.args(args);
        self
    }
    /// A variable of its environment.
    pub fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }
    /// `-R port:service`.
    pub fn forward(self, port: u16, to: SocketAddr) -> Self {
        self.args(&["-R", &format!("{port}:{to}")])
    }

    /// Starts it with `-N`: forwards only.
    pub fn start(mut self) -> Ssh {
        self.command.args(["-N", "-T", "-o", "ExitOnForwardFailure=yes", "-o", "BatchMode=yes"]);
        self.spawn(&[])
    }

    /// The command line for `-N`, for those who start it in another way.
    pub fn command(mut self) -> Command {
        self.command.args(["-N", "-T", "-o", "ExitOnForwardFailure=yes", "-o", "BatchMode=yes"]);
        self.command.arg(&self.target);
        self.command
    }

    /// Starts it with a command, or none: a shell.
    pub fn spawn(mut self, words: &[&str]) -> Ssh {
        self.command.arg(&self.target).args(words);
        let mut child =
            self.command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let log = Lines::of(child.stderr.take().unwrap());
        let out = Lines::of(child.stdout.take().unwrap());
        Ssh { child, log, out, name: self.name, supervises: self.supervises }
    }

    /// The same, but nobody ever reads its standard output.
    pub fn spawn_unread(mut self, words: &[&str]) -> Ssh {
        self.command.arg(&self.target).args(words);
        let mut child =
            self.command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let log = Lines::of(child.stderr.take().unwrap());
        // The pipe stays open, in the child's keeping.
        Ssh { child, log, out: Lines::default(), name: self.name, supervises: self.supervises }
    }

    /// Runs it with a command to its end.
    #[track_caller]
    pub fn run(mut self, words: &[&str]) -> Output {
        self.command.arg(&self.target).args(words);
        self.command.stdin(Stdio::null()).output().unwrap()
    }
}

/// A running client. It is killed when dropped, and shows its log when the test has failed.
pub struct Ssh {
    child: Child,
    /// What it says with `-v`.
    pub log: Lines,
    /// Its standard output.
    pub out: Lines,
    name: String,
    supervises: bool,
}

impl Ssh {
    /// Waits until its (last) remote forward is up.
    #[track_caller]
    pub fn wait_forward(self) -> Self {
        self.wait_forwards(1)
    }

    /// Waits until so many remote forwards are up.
    #[track_caller]
    pub fn wait_forwards(self, n: usize) -> Self {
        let mut up = 0;
        let found = self.log.find(SOON, |l| {
            up += usize::from(l.contains("remote forward success for:"));
            (up == n).then_some(())
        });
        assert!(found.is_some(), "{} of {n} forwards of {} are up:\n{}", up, self.name, self.log.text());
        self
    }

    /// The port it was given for `-R 0`.
    #[track_caller]
    pub fn allocated(&self) -> u16 {
        let line = self.log.wait("Allocated port ", SOON);
        line.split("Allocated port ").nth(1).and_then(|l| l.split(' ').next()).unwrap().parse().unwrap()
    }

    /// Waits for its end.
    #[track_caller]
    pub fn wait_exit(&mut self) -> ExitStatus {
        self.wait_exit_for(SOON)
    }
    /// Waits for its end, with a time of one's own.
    #[track_caller]
    pub fn wait_exit_for(&mut self, timeout: Duration) -> ExitStatus {
        let status = wait_exit(&mut self.child, &format!("ssh of {}", self.name), timeout);
        self.log.to_end(timeout);
        status
    }
    /// Whether it still runs.
    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }
    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }
    /// Processes it has started: the ssh of an autossh.
    pub fn children(&self) -> Vec<i32> {
        let pid = self.pid();
        let list = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap();
        list.split_whitespace().map(|p| p.parse().unwrap()).collect()
    }
    /// Its standard input.
    pub fn stdin(&mut self) -> std::process::ChildStdin {
        self.child.stdin.take().unwrap()
    }
    /// SIGSTOP: it is there and says nothing any more.
    pub fn stop(&self) {
        signal(&self.child, Signal::SIGSTOP);
    }
    /// SIGCONT.
    pub fn cont(&self) {
        signal(&self.child, Signal::SIGCONT);
    }
    /// SIGTERM: it says goodbye.
    pub fn term(&self) {
        signal(&self.child, Signal::SIGTERM);
    }
    /// SIGKILL, and its status taken.
    pub fn kill9(&mut self) {
        if self.supervises && self.is_running() {
            // So that it takes its ssh with it.
            self.term();
            let _ = self.child.wait();
        }
        end(&mut self.child);
    }
}

impl Drop for Ssh {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("---- ssh of {}\n{}", self.name, self.log.text());
        }
        if self.supervises && self.is_running() {
            // So that it takes its ssh with it.
            self.term();
            let _ = self.child.wait();
        }
        end(&mut self.child);
    }
}
