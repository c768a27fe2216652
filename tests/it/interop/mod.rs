//! Clients of other makers, as hosts. Each asks for a port and for any port, cancels a forward and carries 64 MiB each way,
//! with key exchanges on the way, so far as it can. What one cannot is in docs/interoperability.md.

mod alive;
mod audit;
mod greeting;
mod libraries;
mod programs;
mod rsa;

use crate::common::bastion::Bastion;
use crate::common::lines::Lines;
use crate::common::{SOON, end, eventually, ports, signal, wait_exit};
use crate::transfer::{MIB, there_and_back};
use nix::sys::signal::Signal;
use serde_json::Value;
use std::io::ErrorKind;
use std::process::{Child, ChildStdin, Command, Output, Stdio};

/// A bastion with one host. Nothing but the test visits its services, or asks its client anything.
fn bastion() -> Bastion {
    let quiet = Bastion::builder().set("ssh", "keepalive_interval = \"10m\"");
    quiet.team("pay", 4).unchecked_host("pay-01", "pay").start()
}

/// A client that runs. It is killed when dropped, and shows what it said when the test has failed.
struct Client {
    child: Child,
    stdin: Option<ChildStdin>,
    out: Lines,
    log: Lines,
}

impl Client {
    /// Starts it. Where it is missing, the package that has it is named.
    #[track_caller]
    fn start(mut command: Command, package: &str) -> Self {
        command.env_remove("SSH_AUTH_SOCK").env_remove("DISPLAY");
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap_or_else(|e| missing(&command, package, &e));
        let log = Lines::of(child.stderr.take().unwrap());
        let out = Lines::of(child.stdout.take().unwrap());
        Self { stdin: child.stdin.take(), child, out, log }
    }

    /// Ends it, and waits until the bastion has heard of it.
    #[track_caller]
    fn leaves(mut self, b: &Bastion) {
        signal(&self.child, Signal::SIGTERM);
        wait_exit(&mut self.child, "the client", SOON);
        ended_by_itself(b);
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("---- the client\n{}\n---- on standard error\n{}", self.out.text(), self.log.text());
        }
        end(&mut self.child);
    }
}

/// Runs a program to its end.
#[track_caller]
fn run(mut command: Command, package: &str) -> Output {
    command.stdin(Stdio::null()).output().unwrap_or_else(|e| missing(&command, package, &e))
}

/// Nothing is left out in silence: a test that cannot be run has failed.
#[track_caller]
fn missing<T>(command: &Command, package: &str, error: &std::io::Error) -> T {
    let program = command.get_program().display();
    assert_ne!(
        error.kind(),
        ErrorKind::NotFound,
        "{program} is missing: tests/run installs it, or apt-get install {package}"
    );
    panic!("{program}: {error}")
}

/// 64 MiB to a service that sends them back, and nothing lost.
#[track_caller]
fn carries_64_mib(port: u16) {
    let (sent, received) = there_and_back(port, 7, 64 * MIB);
    assert_eq!((sent.len, &received), (64 * MIB, &sent));
}

/// Whether the port is up, and of the team's range; a little goes through it too.
#[track_caller]
fn is_any_port_of_the_team(b: &Bastion, port: u16) {
    assert!((0..4).any(|n| b.port("pay", n) == port), "{port} is none of the team's");
    b.wait_tunnel(port, "is up", |t| t["state"] == "up");
    let (sent, received) = there_and_back(port, 8, MIB);
    assert_eq!(received, sent);
}

/// What the client cancelled is gone, its session is not.
#[track_caller]
fn is_cancelled(b: &Bastion, port: u16) {
    let end = b.wait_audit("end of the forward", |e| e["event"] == "forward.end" && e["port"] == port);
    assert_eq!(end["obituary"]["cause"], "client-cancel");
    eventually("the port is free", SOON, || ports::is_free(port));
    session(b);
}

/// The one session there is.
#[track_caller]
fn session(b: &Bastion) -> Value {
    let all = b.json(&["sessions"]);
    let all = all.as_array().unwrap();
    assert_eq!(all.len(), 1, "{all:?}");
    all[0].clone()
}

/// It ended because the client did. Not all say goodbye, and what is unread when they leave becomes a reset.
#[track_caller]
fn ended_by_itself(b: &Bastion) {
    let end = b.wait_event("session.end", "pay-01");
    let cause = end["obituary"]["cause"].as_str();
    assert!(matches!(cause, Some("client-disconnect" | "peer-reset")), "{end}");
}
