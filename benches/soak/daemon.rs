//! The daemon: its configuration, its starts and ends, its figures.

use super::common::bastion::keygen;
use super::ports::Ports;
use super::process::{Child, output, spawn};
use super::tally::Tally;
use serde_json::Value;
use std::fmt::Write as _;
use std::fs::File;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, BufReader};

/// The binary under test.
pub const BINARY: &str = env!("CARGO_BIN_EXE_portreeve");

/// How long a start or an orderly stop may take on a busy machine.
const SOON: Duration = Duration::from_secs(40);

/// See the module.
pub struct Daemon {
    out: PathBuf,
    socket: PathBuf,
    child: Option<Child>,
    tally: Arc<Tally>,
}

/// What a daemon costs at a moment.
#[derive(Debug, Clone, Copy, Default)]
pub struct Figures {
    /// Resident, KiB.
    pub rss: u64,
    /// Its share of what is resident, KiB.
    pub pss: u64,
    /// Open descriptors.
    pub fds: u64,
    /// Threads.
    pub threads: u64,
    /// CPU seconds so far.
    pub cpu: f64,
}

/// Of one process; none when it is not there.
pub fn figures(pid: u32) -> Option<Figures> {
    let field = |text: &str, name: &str| -> u64 {
        let line = text.lines().find(|l| l.starts_with(name)).unwrap_or_default();
        line.split_whitespace().nth(1).and_then(|n| n.parse().ok()).unwrap_or_default()
    };
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let rollup = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap_or_default();
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let ticks =
        stat.rsplit(") ").next()?.split(' ').skip(11).take(2).filter_map(|t| t.parse::<u64>().ok()).sum::<u64>();
    Some(Figures {
        rss: field(&status, "VmRSS:"),
        pss: field(&rollup, "Pss:"),
        fds: std::fs::read_dir(format!("/proc/{pid}/fd")).ok()?.count() as u64,
        threads: field(&status, "Threads:"),
        // USER_HZ is 100 on every Linux that Rust runs on.
        cpu: ticks as f64 / 100.0,
    })
}

/// A host's name and its ports.
pub type HostPorts = (String, Vec<u16>);

/// What a configuration is made of.
pub struct Plan<'a> {
    /// Keys, state and journal go here.
    pub out: &'a Path,
    /// Of the SSH server.
    pub ssh_port: u16,
    /// Each with hosts, and each of those with ports.
    pub teams: Vec<(&'a Ports, Vec<HostPorts>)>,
    /// `relay.stall_timeout`.
    pub stall: Duration,
}

/// Writes keys and configuration.
pub fn configure(plan: &Plan<'_>, socket: &Path) {
    keygen(&plan.out.join("bastion_key"), "bastion");
    let mut text = format!(
        "[bastion]\nname = \"soak\"\n[ssh]\nlisten = \"127.0.0.1:{}\"\nhost_keys = [\"bastion_key\"]\n\
         keepalive_interval = \"3s\"\nkeepalive_count = 4\nreconnect_wait = \"40s\"\ndrain = \"2s\"\n\
         [control]\nsocket = {socket:?}\n[relay]\nstall_timeout = \"{}s\"\n[health]\ninterval = \"10s\"\n",
        plan.ssh_port,
        plan.stall.as_secs(),
    );
    for (n, (ports, hosts)) in plan.teams.iter().enumerate() {
        let last = super::ports::BLOCK - 1;
        writeln!(text, "[teams.team-{n}]\nports = \"{}-{}\"\ncontact = \"#0\"", ports.get(0), ports.get(last)).unwrap();
        for (host, fixed) in hosts {
            let key = keygen(&plan.out.join(host), host);
            let fixed: Vec<String> = fixed.iter().enumerate().map(|(n, p)| format!("s{n} = {p}")).collect();
            let fixed = fixed.join(", ");
            writeln!(text, "[hosts.{host}]\nteam = \"team-{n}\"\nkeys = [\"{key}\"]\nports = {{ {fixed} }}").unwrap();
        }
    }
    let key = keygen(&plan.out.join("operator"), "operator");
    writeln!(text, "[operators.operator]\nrole = \"admin\"\nkeys = [\"{key}\"]").unwrap();
    std::fs::write(plan.out.join("portreeve.toml"), text).unwrap();
}

impl Daemon {
    /// Not started yet.
    pub fn new(out: &Path, socket: &Path, tally: Arc<Tally>) -> Self {
        Self { out: out.to_owned(), socket: socket.to_owned(), child: None, tally }
    }
    /// Its process id, when it is up.
    pub fn pid(&self) -> Option<u32> {
        self.child.as_ref().map(Child::id)
    }
    /// What it costs now.
    pub fn figures(&self) -> Option<Figures> {
        self.pid().and_then(figures)
    }

    /// Starts it and waits until it is ready.
    pub async fn start(&mut self) -> bool {
        let log = File::options().create(true).append(true).open(self.out.join("daemon.log")).unwrap();
        let mut command = Command::new(BINARY);
        command.args(["serve", "--config"]).arg(self.out.join("portreeve.toml"));
        command.env("NO_COLOR", "1").env("RUST_BACKTRACE", "1").env("PORTREEVE_DUMPABLE", "1");
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log).process_group(0);
        let mut child = spawn(&mut command);
        let mut lines = BufReader::new(child.stdout()).lines();
        self.child = Some(child);
        let line = tokio::time::timeout(SOON, lines.next_line()).await;
        let ready = matches!(&line, Ok(Ok(Some(l))) if l.contains("\"ready\""));
        if !ready {
            self.tally.error(&format!("the daemon is not ready after {SOON:?}: {line:?}; see daemon.log"));
        }
        ready
    }

    /// Ends it, orderly or not, and looks at what it leaves.
    pub async fn stop(&mut self, orderly: bool) {
        let Some(mut child) = self.child.take() else { return };
        if orderly {
            let pid = nix::unistd::Pid::from_raw(child.id() as i32);
            let _ = nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM);
            match tokio::time::timeout(SOON, child.wait()).await {
                Ok(Ok(status)) if status.success() => {}
                Ok(other) => self.tally.error(&format!("the daemon, asked to stop, ended with {other:?}")),
                Err(_) => self.tally.error(&format!("the daemon, asked to stop, still runs after {SOON:?}")),
            }
        }
        child.kill();
        self.verify().await;
    }

    /// Whether the journal's chain holds and the log has no panic.
    pub async fn verify(&self) {
        let mut command = Command::new(BINARY);
        command.args(["audit", "verify", "--dir"]).arg(self.out.join("audit"));
        let Some(out) = output(command).await else {
            return self.tally.error("audit verify: no answer within a minute");
        };
        let said = String::from_utf8_lossy(&out.stdout).into_owned() + &String::from_utf8_lossy(&out.stderr);
        // After a kill the last line may be torn; the next start puts it aside and says so.
        if out.status.success() || said.contains("torn") {
            self.tally.add("journal", "audit verify: whole", 1);
        } else {
            self.tally.error(&format!("audit verify: {said}"));
        }
        let log = std::fs::read_to_string(self.out.join("daemon.log")).unwrap_or_default();
        for line in log.lines().filter(|l| l.contains("panicked")) {
            self.tally.error(&format!("the daemon's log: {line}"));
        }
    }

    /// Fails when the process has ended by itself.
    pub fn look(&mut self) {
        if let Some(child) = &mut self.child
            && let Ok(Some(status)) = child.try_wait()
        {
            self.tally.error(&format!("the daemon has ended by itself: {status}; see daemon.log"));
        }
    }

    /// The socket.
    pub fn socket(&self) -> &Path {
        &self.socket
    }
}

/// Runs a verb over the control socket, at most for a minute.
pub async fn verb(socket: &Path, args: &[&str]) -> Option<Output> {
    let mut command = Command::new(BINARY);
    command.arg("--socket").arg(socket).args(args).env("NO_COLOR", "1").stdin(Stdio::null());
    output(command).await
}

/// The same with `--json`; none when it fails.
pub async fn json(socket: &Path, args: &[&str]) -> Option<Value> {
    let mut all = args.to_vec();
    all.push("--json");
    let out = verb(socket, &all).await?;
    out.status.success().then(|| serde_json::from_slice(&out.stdout).ok())?
}
