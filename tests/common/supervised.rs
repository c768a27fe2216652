//! Clients that dial again: under autossh, or in a shell's loop.

use super::lines::Lines;
use super::ssh::SshCommand;
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};

/// A process and all it started. They are killed when this is dropped.
pub struct Group {
    child: Child,
    /// What it says on its standard error.
    pub log: Lines,
    name: String,
}

impl Group {
    /// Starts it in a process group of its own.
    pub fn start(name: &str, mut command: Command) -> Self {
        let mut child =
            command.process_group(0).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let log = Lines::of(child.stderr.take().unwrap());
        Self { child, log, name: name.to_owned() }
    }

    /// A signal for all of them.
    pub fn signal(&self, signal: Signal) {
        let _ = killpg(Pid::from_raw(i32::try_from(self.child.id()).unwrap()), signal);
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("---- {}\n{}", self.name, self.log.text());
        }
        self.signal(Signal::SIGKILL);
        let _ = self.child.wait();
    }
}

/// Lets autossh dial again after a second at most, and its ssh notice a dead bastion soon.
pub fn eager(autossh: SshCommand) -> SshCommand {
    // The longest pause between two attempts, in seconds.
    autossh.env("AUTOSSH_POLL", "1").option("ServerAliveInterval=1").option("ServerAliveCountMax=3")
}
