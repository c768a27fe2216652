//! portreeve under test: the release binary, its own folder, free ports, a generated configuration.

use super::{Guard, Res, SOON, Server, Size, at, eventually, free_ports, make_key, tail};
use std::fmt::Write as _;
use std::fs::File;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;
use tempfile::TempDir;

/// The binary under test.
pub const BINARY: &str = env!("CARGO_BIN_EXE_portreeve");

/// A running portreeve.
pub struct Ours {
    dir: TempDir,
    size: Size,
    ssh_port: u16,
    first_port: u16,
    /// Public lines of the hosts' keys.
    keys: Vec<String>,
    /// Public line of the operator ops.
    operator: String,
    daemon: Option<Guard>,
}

impl Ours {
    /// Makes keys and configuration and starts the daemon. `settings` are lines of sections beyond what is needed:
    /// `("ssh", "keepalive_interval = \"60s\"")`; those of `hosts` are every host's. Everything else has its default, the log's level and the health checks
    /// among it: what is measured is what is delivered.
    pub fn start(size: Size, settings: &[(&str, &str)]) -> Res<Self> {
        let dir = tempfile::Builder::new().prefix("portreeve-bench-").tempdir().map_err(at("folder"))?;
        let ssh_port = free_ports(1)?;
        let hosts = u16::try_from(size.hosts).map_err(at("hosts"))?;
        let count = hosts.checked_mul(size.ports_each).ok_or("too many ports")?;
        let first_port = free_ports(count)?;
        make_key(&dir.path().join("ssh_host_ed25519_key"))?;
        let mut me = Self { dir, size, ssh_port, first_port, keys: Vec::new(), operator: String::new(), daemon: None };
        me.operator = make_key(&me.operator_key())?;
        me.keys = (0..size.hosts).map(|host| make_key(&me.key(host))).collect::<Res<_>>()?;
        me.configure(settings)?;
        me.run()?;
        Ok(me)
    }

    /// Writes the configuration; [`Ours::reload`] puts it in force.
    pub fn configure(&self, settings: &[(&str, &str)]) -> Res<()> {
        std::fs::write(self.config(), self.configuration(settings)).map_err(at("portreeve.toml"))
    }

    /// Puts the configuration on disk in force.
    pub fn reload(&self) -> Res<()> {
        let socket = self.socket();
        let done = Command::new(BINARY).arg("--socket").arg(socket).arg("reload").output().map_err(at(BINARY))?;
        if done.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&done.stderr).into_owned()) }
    }

    fn configuration(&self, settings: &[(&str, &str)]) -> String {
        let mut text = String::new();
        let mut section = |name: &str, lines: &str| {
            let _ = writeln!(text, "[{name}]\n{lines}");
            for (_, line) in settings.iter().filter(|(s, _)| *s == name) {
                let _ = writeln!(text, "{line}");
            }
        };
        let ssh = format!("listen = \"127.0.0.1:{}\"\nhost_keys = [\"ssh_host_ed25519_key\"]", self.ssh_port);
        section("ssh", &ssh);
        for name in ["bastion", "log", "relay", "health", "audit"] {
            section(name, "");
        }
        // A range that is full would be an incident.
        let last = self.port(self.size.hosts - 1, self.size.ports_each - 1) + 8;
        section("teams.bench", &format!("ports = \"{}-{last}\"", self.first_port));
        let more: Vec<&str> = settings.iter().filter(|(s, _)| *s == "hosts").map(|(_, line)| *line).collect();
        for (host, key) in self.keys.iter().enumerate() {
            let ports: Vec<_> = (0..self.size.ports_each).map(|n| format!("s{n} = {}", self.port(host, n))).collect();
            let _ = writeln!(
                text,
                "[hosts.h{host}]\nteam = \"bench\"\nkeys = [\"{key}\"]\nports = {{ {} }}\n{}",
                ports.join(", "),
                more.join("\n")
            );
        }
        let _ = writeln!(text, "[operators.ops]\nrole = \"admin\"\nkeys = [\"{}\"]", self.operator);
        text
    }

    /// Starts the daemon (again), and waits until it listens. Gives how long that took.
    pub fn run(&mut self) -> Res<Duration> {
        let (out, err) = (self.dir.path().join("stdout"), self.dir.path().join("stderr"));
        let file = |path: &Path| File::create(path).map_err(at("log"));
        let child = Command::new(BINARY)
            .args(["serve", "--config"])
            .arg(self.config())
            .env("NO_COLOR", "1")
            // Its memory is looked at.
            .env("PORTREEVE_DUMPABLE", "1")
            .stdin(Stdio::null())
            .stdout(file(&out)?)
            .stderr(file(&err)?)
            .spawn()
            .map_err(at(BINARY))?;
        let mut daemon = Guard(child);
        let mut runs = true;
        let took = eventually("portreeve is ready", SOON.max(Duration::from_secs(60)), || {
            runs = daemon.runs();
            !runs || std::fs::read_to_string(&out).is_ok_and(|t| t.contains("\"ready\""))
        });
        if !runs || took.is_err() {
            return Err(format!("portreeve does not start: {}", tail(&err)));
        }
        self.daemon = Some(daemon);
        took
    }

    /// Kills the daemon as a crash would.
    pub fn kill9(&mut self) {
        self.daemon = None;
    }

    /// The daemon's process id; 0 when it does not run.
    pub fn pid(&self) -> u32 {
        self.daemon.as_ref().map_or(0, Guard::id)
    }

    /// The private key of the operator ops.
    pub fn operator_key(&self) -> PathBuf {
        self.dir.path().join("ops")
    }

    /// Its folder.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Its configuration.
    pub fn config(&self) -> PathBuf {
        self.dir.path().join("portreeve.toml")
    }

    /// Its control socket.
    pub fn socket(&self) -> PathBuf {
        self.dir.path().join("state/control.sock")
    }
}

impl Server for Ours {
    fn name(&self) -> &'static str {
        "portreeve"
    }
    fn address(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.ssh_port))
    }
    fn user(&self, host: usize) -> String {
        format!("h{host}")
    }
    fn key(&self, host: usize) -> PathBuf {
        self.dir.path().join(format!("h{host}"))
    }
    fn port(&self, host: usize, n: u16) -> u16 {
        self.first_port + u16::try_from(host).unwrap_or(0) * self.size.ports_each + n
    }
    fn workers(&self) -> Vec<u32> {
        self.daemon.iter().map(Guard::id).collect()
    }
    fn log(&self) -> String {
        tail(&self.dir.path().join("stderr"))
    }
}
