//! What the benchmark drivers share: the servers under test, stock OpenSSH clients, measuring, the table.
//!
//! Nothing here hangs: whatever is waited for has a deadline, and what fails is told as a sentence, so that a driver can
//! leave out a row and go on.

// Each driver uses a part of it.
#![allow(dead_code, unused_imports)]

pub mod client;
pub mod machine;
pub mod measure;
pub mod ours;
pub mod report;
pub mod screen;
pub mod service;
pub mod sshd;
pub mod swarm;

use std::io::Read;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

/// A result whose error is a sentence for the table.
pub type Res<T> = Result<T, String>;

/// How a driver ends: what went wrong is told.
pub fn end(done: Res<()>) -> ExitCode {
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("benches/run: {why}");
            ExitCode::FAILURE
        }
    }
}

/// How long anything that should happen soon may take.
pub const SOON: Duration = Duration::from_secs(15);

/// An SSH server under test that carries `ssh -R`.
pub trait Server: Sync {
    /// As the table calls it.
    fn name(&self) -> &'static str;
    /// Where hosts sign in.
    fn address(&self) -> SocketAddr;
    /// The user name of a host, by its number.
    fn user(&self, host: usize) -> String;
    /// The private key of a host.
    fn key(&self, host: usize) -> PathBuf;
    /// A port that this host may have forwarded, by number.
    fn port(&self, host: usize, n: u16) -> u16;
    /// The processes that serve sessions: those whose CPU time and memory the sessions cost.
    fn workers(&self) -> Vec<u32>;
    /// What it logged, for messages about failures.
    fn log(&self) -> String;
}

/// Where a server's files and ports are laid out in the same way for all.
#[derive(Debug, Clone, Copy)]
pub struct Size {
    /// Hosts, each with a key of its own.
    pub hosts: usize,
    /// Ports that each of them may forward.
    pub ports_each: u16,
}

/// Waits until the condition holds.
pub fn eventually(what: &str, timeout: Duration, mut condition: impl FnMut() -> bool) -> Res<Duration> {
    let began = Instant::now();
    while !condition() {
        if began.elapsed() > timeout {
            return Err(format!("not within {timeout:?}: {what}"));
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    Ok(began.elapsed())
}

/// Sentence of an error at something.
pub fn at<E: std::fmt::Display>(what: &str) -> impl FnOnce(E) -> String + '_ {
    move |e| format!("{what}: {e}")
}

/// Ports of drivers: below those of the tests and the soak (20,000 and up), so that all can run at the same time, and below
/// the range from which the kernel takes the local ports of outgoing connections (32768 on Linux).
const FEW: std::ops::Range<u16> = 6_000..9_900;
/// For ten thousand tunnels. One driver at a time.
const MANY: std::ops::Range<u16> = 9_900..20_000;

/// So many free ports in a row. No two calls for a few give the same ones.
pub fn free_ports(count: u16) -> Res<u16> {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    // Another driver that starts now looks elsewhere first.
    let spread = u16::try_from(std::process::id() % 64).unwrap_or(0) * 50;
    let _ = NEXT.compare_exchange(0, FEW.start + spread, Ordering::Relaxed, Ordering::Relaxed);
    let again = AtomicU16::new(MANY.start);
    let (next, range) = if count > 100 { (&again, MANY) } else { (&NEXT, FEW) };
    loop {
        let first = next.fetch_add(count, Ordering::Relaxed);
        if first.checked_add(count).is_none_or(|end| end > range.end) {
            return Err(format!("no {count} free ports in a row in {range:?}"));
        }
        if (first..first + count).all(|p| TcpListener::bind((Ipv4Addr::UNSPECIFIED, p)).is_ok()) {
            return Ok(first);
        }
    }
}

/// Makes an Ed25519 key in OpenSSH's format, and gives its public line.
pub fn make_key(path: &Path) -> Res<String> {
    use ssh_key::{Algorithm, LineEnding, PrivateKey};
    use std::os::unix::fs::PermissionsExt;
    let mut rng = ssh_key::rand_core::UnwrapErr(ssh_key::getrandom::SysRng);
    let key = PrivateKey::random(&mut rng, Algorithm::Ed25519).map_err(at("key"))?;
    let text = key.to_openssh(LineEnding::LF).map_err(at("key"))?;
    std::fs::write(path, text.as_bytes()).map_err(at("key"))?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).map_err(at("key"))?;
    key.public_key().to_openssh().map_err(at("key"))
}

/// Runs a program to its end and gives what it printed on both streams; empty when it cannot be run.
pub fn said(program: &str, args: &[&str]) -> String {
    let out = Command::new(program).args(args).stdin(Stdio::null()).output();
    out.map(|o| format!("{}{}", String::from_utf8_lossy(&o.stdout), String::from_utf8_lossy(&o.stderr)))
        .unwrap_or_default()
        .trim()
        .to_owned()
}

/// A child process that is killed when dropped.
pub struct Guard(pub Child);

impl Guard {
    /// Its process id.
    pub fn id(&self) -> u32 {
        self.0.id()
    }
    /// SIGKILL, and its status taken.
    pub fn kill(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
    /// SIGTERM, and SIGKILL when it is still there after a while.
    pub fn term(&mut self) {
        if let Ok(pid) = i32::try_from(self.0.id()) {
            let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGTERM);
        }
        let _ = eventually("the end of a child", Duration::from_secs(5), || !matches!(self.0.try_wait(), Ok(None)));
        self.kill();
    }
    /// Whether it still runs.
    pub fn runs(&mut self) -> bool {
        matches!(self.0.try_wait(), Ok(None))
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.kill();
    }
}

/// The last lines of a file.
pub fn tail(path: &Path) -> String {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(8)..].join("\n")
}
