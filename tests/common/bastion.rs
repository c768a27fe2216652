//! The daemon under test.

use super::lines::Lines;
use super::ports::Ports;
use super::ssh::SshCommand;
use super::{SOON, end, eventually, signal, wait_exit};
use nix::sys::signal::Signal;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::Mutex;
use std::time::Duration;
use tempfile::TempDir;

/// The binary under test.
pub const BINARY: &str = env!("CARGO_BIN_EXE_portreeve");

/// Makes a key, and gives its public line.
pub fn keygen(path: &Path, comment: &str) -> String {
    let made =
        Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-C", comment, "-f"]).arg(path).status();
    assert!(made.unwrap().success());
    std::fs::read_to_string(path.with_extension("pub")).unwrap().trim().to_owned()
}

struct Team {
    ports: Ports,
    count: u16,
    bind: String,
}

/// What a bastion has.
pub struct Builder {
    dir: TempDir,
    listen: Ports,
    teams: BTreeMap<String, Team>,
    hosts: String,
    operators: String,
    sections: BTreeMap<&'static str, String>,
    files: Option<u32>,
}

impl Builder {
    fn new() -> Self {
        let dir = tempfile::Builder::new().prefix("pr-").tempdir().unwrap();
        keygen(&dir.path().join("ssh_host_ed25519_key"), "bastion");
        let mut sections = BTreeMap::new();
        sections.insert("log", "level = \"info,portreeve=debug\"\n".to_owned());
        Self {
            dir,
            listen: Ports::take(),
            teams: BTreeMap::new(),
            hosts: String::new(),
            operators: String::new(),
            sections,
            files: None,
        }
    }

    /// So many open files are all that the daemon may have.
    pub fn files(mut self, limit: u32) -> Self {
        self.files = Some(limit);
        self
    }

    /// A team with this many ports (at most [`super::ports::BLOCK`]), bound to loopback.
    pub fn team(mut self, name: &str, count: u16) -> Self {
        self.teams.insert(name.to_owned(), Team { ports: Ports::take(), count, bind: String::new() });
        self
    }

    /// A team whose tunnels may listen on any address, for visitors from these networks.
    pub fn gateway_team(self, name: &str, count: u16, visitors: &[&str]) -> Self {
        let mut me = self.team(name, count);
        if let Some(t) = me.teams.get_mut(name) {
            t.bind = format!("bind = \"gateway\"\nvisitors = {visitors:?}\n");
        }
        me
    }

    /// A host without fixed ports.
    pub fn host(self, name: &str, team: &str) -> Self {
        self.host_with(name, team, &[])
    }

    /// A host with fixed ports: services, each with a number in the team's range.
    pub fn host_with(mut self, name: &str, team: &str, services: &[(&str, u16)]) -> Self {
        let key = keygen(&self.dir.path().join(name), name);
        let ports = &self.teams[team].ports;
        let fixed: Vec<String> = services.iter().map(|(s, n)| format!("{s} = {}", ports.get(*n))).collect();
        writeln!(
            self.hosts,
            "[hosts.{name}]\nteam = \"{team}\"\nkeys = [\"{key}\"]\nports = {{ {} }}\n",
            fixed.join(", ")
        )
        .unwrap();
        self
    }

    /// A host whose services nobody checks: where what a service sends and gets is measured, a check is one visitor more.
    pub fn unchecked_host(self, name: &str, team: &str) -> Self {
        let mut me = self.host(name, team);
        // The host's table is the last of them.
        me.hosts.truncate(me.hosts.trim_end().len());
        me.hosts.push_str("\ncheck = \"none\"\n\n");
        me
    }

    /// An operator of all teams (`teams` empty) or some.
    pub fn operator(mut self, name: &str, role: &str, teams: &[&str]) -> Self {
        let key = keygen(&self.dir.path().join(name), name);
        let teams = if teams.is_empty() { String::new() } else { format!("teams = {teams:?}\n") };
        writeln!(self.operators, "[operators.{name}]\nrole = \"{role}\"\nkeys = [\"{key}\"]\n{teams}").unwrap();
        self
    }

    /// Sections as they are, at the end of the file.
    pub fn text(mut self, text: &str) -> Self {
        self.operators.push_str(text);
        self
    }

    /// A line of a team's section.
    pub fn team_line(mut self, name: &str, line: &str) -> Self {
        let team = self.teams.get_mut(name).unwrap();
        team.bind.push_str(line);
        team.bind.push('\n');
        self
    }

    /// Where everything will be.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// A line of a section: `set("ssh", "keepalive_interval = \"1s\"")`.
    pub fn set(mut self, section: &'static str, line: &str) -> Self {
        let text = self.sections.entry(section).or_default();
        text.push_str(line);
        text.push('\n');
        self
    }

    /// Writes the configuration and starts the daemon.
    #[track_caller]
    pub fn start(mut self) -> Bastion {
        let ssh_port = self.listen.get(0);
        let ssh = format!(
            "listen = \"127.0.0.1:{ssh_port}\"\nhost_keys = [\"ssh_host_ed25519_key\"]\n{}",
            self.sections.remove("ssh").unwrap_or_default()
        );
        self.sections.insert("ssh", ssh);
        let mut text = String::new();
        for (name, lines) in &self.sections {
            writeln!(text, "[{name}]\n{lines}").unwrap();
        }
        for (name, t) in &self.teams {
            let ports = format!("{}-{}", t.ports.get(0), t.ports.get(t.count - 1));
            writeln!(text, "[teams.{name}]\nports = \"{ports}\"\n{}", t.bind).unwrap();
        }
        text.push_str(&self.hosts);
        text.push_str(&self.operators);
        std::fs::write(self.dir.path().join("portreeve.toml"), text).unwrap();
        let mut bastion = Bastion {
            dir: self.dir,
            _listen: self.listen,
            teams: self.teams,
            ssh_port,
            socket: PathBuf::new(),
            daemon: None,
            ready: Value::Null,
            log: Vec::new(),
            follower: Mutex::new(None),
            files: self.files,
        };
        bastion.start();
        bastion
    }
}

struct Follower {
    child: Child,
    lines: Lines,
}

/// A running daemon. It is killed when dropped, and shows its log when the test has failed.
pub struct Bastion {
    dir: TempDir,
    _listen: Ports,
    teams: BTreeMap<String, Team>,
    ssh_port: u16,
    socket: PathBuf,
    daemon: Option<Child>,
    ready: Value,
    log: Vec<Lines>,
    follower: Mutex<Option<Follower>>,
    files: Option<u32>,
}

impl Bastion {
    /// Begins one.
    pub fn builder() -> Builder {
        Builder::new()
    }

    /// Starts the daemon (again) and waits until it is ready.
    #[track_caller]
    pub fn start(&mut self) {
        assert!(self.daemon.is_none(), "the daemon runs already");
        let mut daemon = match self.files {
            None => Command::new(BINARY),
            Some(n) => {
                let mut shell = Command::new("sh");
                shell.args(["-c", &format!("ulimit -n {n} && exec \"$@\""), "sh", BINARY]);
                shell
            }
        };
        let mut daemon = daemon
            .args(["serve", "--config"])
            .arg(self.config())
            .env("NO_COLOR", "1")
            // Its descriptors and memory are looked at.
            .env("PORTREEVE_DUMPABLE", "1")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let out = Lines::of(daemon.stdout.take().unwrap());
        let log = Lines::of(daemon.stderr.take().unwrap());
        self.log.push(log.clone());
        self.daemon = Some(daemon);
        let Some(ready) = out.find(SOON, |l| serde_json::from_str::<Value>(l).ok()) else {
            panic!("the daemon is not ready within {SOON:?}:\n{}", log.text());
        };
        assert_eq!(ready["event"], "ready", "{ready}");
        self.socket = PathBuf::from(ready["control"].as_str().unwrap());
        self.ready = ready;
    }

    /// What the daemon printed when it was ready.
    pub fn ready(&self) -> &Value {
        &self.ready
    }
    /// Where everything is.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }
    /// The configuration file.
    pub fn config(&self) -> PathBuf {
        self.dir.path().join("portreeve.toml")
    }
    /// The control socket.
    pub fn socket(&self) -> &Path {
        &self.socket
    }
    /// Where hosts and operators sign in.
    pub fn address(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.ssh_port))
    }
    /// The private key of a host or operator.
    pub fn key(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }
    /// The fingerprint of a host's or operator's key.
    pub fn fingerprint(&self, name: &str) -> String {
        let out = Command::new("ssh-keygen").arg("-lf").arg(self.key(name)).output().unwrap();
        String::from_utf8(out.stdout).unwrap().split_whitespace().nth(1).unwrap().to_owned()
    }
    /// A port of a team's range, by number.
    #[track_caller]
    pub fn port(&self, team: &str, n: u16) -> u16 {
        assert!(n < self.teams[team].count);
        self.teams[team].ports.get(n)
    }
    /// A port beside the team's range, free and ours.
    pub fn port_outside(&self, team: &str) -> u16 {
        self.teams[team].ports.get(self.teams[team].count)
    }
    /// The daemon's process id.
    pub fn pid(&self) -> u32 {
        self.daemon.as_ref().unwrap().id()
    }
    /// The daemon's operational log of its last run.
    pub fn log(&self) -> &Lines {
        self.log.last().unwrap()
    }
    /// Rewrites the configuration file; reload or restart to put it in force.
    pub fn rewrite(&self, change: impl FnOnce(String) -> String) {
        let old = std::fs::read_to_string(self.config()).unwrap();
        std::fs::write(self.config(), change(old)).unwrap();
    }

    /// An OpenSSH client that signs in with this host's or operator's key.
    pub fn ssh(&self, name: &str) -> SshCommand {
        SshCommand::new(name, &self.key(name), self.address())
    }

    /// The same under autossh, which starts it again whenever it ends.
    pub fn autossh(&self, name: &str) -> SshCommand {
        SshCommand::through("autossh", name, &self.key(name), self.address())
            .env("AUTOSSH_GATETIME", "0")
            .env("AUTOSSH_PORT", "0")
    }

    /// A command line of the binary, over the control socket.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut c = Command::new(BINARY);
        c.arg("--socket").arg(&self.socket).args(args).env("NO_COLOR", "1").stdin(Stdio::null());
        c
    }
    /// Runs a verb.
    pub fn cli(&self, args: &[&str]) -> Output {
        self.command(args).output().unwrap()
    }
    /// Runs a verb with `--json` that must succeed, and reads what it says.
    #[track_caller]
    pub fn json(&self, args: &[&str]) -> Value {
        let out = self.command(args).arg("--json").output().unwrap();
        assert!(out.status.success(), "{args:?}: {}", String::from_utf8_lossy(&out.stderr));
        serde_json::from_slice(&out.stdout).unwrap()
    }
    /// The row of a port in `tunnels`.
    pub fn tunnel(&self, port: u16) -> Option<Value> {
        self.json(&["tunnels"]).as_array().unwrap().iter().find(|t| t["port"] == port).cloned()
    }
    /// Waits until the port's row is as wanted, and gives it.
    #[track_caller]
    pub fn wait_tunnel(&self, port: u16, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let mut last = None;
        eventually(&format!("port {port} {what}"), SOON, || {
            last = self.tunnel(port);
            last.as_ref().is_some_and(&wanted)
        });
        last.unwrap()
    }

    /// The whole journal so far.
    pub fn audit(&self) -> Vec<Value> {
        let out = self.command(&["audit", "-n", "100000", "--json"]).output().unwrap();
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
        String::from_utf8(out.stdout).unwrap().lines().map(|l| serde_json::from_str(l).unwrap()).collect()
    }

    /// The first event of the journal, past or to come, that is wanted.
    #[track_caller]
    pub fn wait_audit(&self, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        self.wait_audit_for(what, SOON, wanted)
    }

    /// The same with a time of one's own.
    #[track_caller]
    pub fn wait_audit_for(&self, what: &str, timeout: Duration, wanted: impl Fn(&Value) -> bool) -> Value {
        let found = self.followed().find(timeout, |l| serde_json::from_str::<Value>(l).ok().filter(&wanted));
        match found {
            Some(event) => event,
            None => panic!("no audit event ({what}) within {timeout:?}; the journal:\n{}", self.followed().text()),
        }
    }

    /// The first event of this name about this host, past or to come.
    #[track_caller]
    pub fn wait_event(&self, event: &str, host: &str) -> Value {
        self.wait_audit(&format!("{event} of {host}"), |e| e["event"] == event && e["host"] == host)
    }

    /// The first refusal of this name, past or to come, whose rule has the words.
    #[track_caller]
    pub fn wait_refusal(&self, event: &str, rule: &str) -> Value {
        self.wait_audit(&format!("{event} refused: {rule}"), |e| {
            e["event"] == event && e["outcome"] == "refused" && e["rule"].as_str().is_some_and(|r| r.contains(rule))
        })
    }

    fn followed(&self) -> Lines {
        let mut follower = self.follower.lock().unwrap();
        follower
            .get_or_insert_with(|| {
                let mut c = self.command(&["audit", "-f", "-n", "100000", "--json"]);
                let mut child = c.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
                let lines = Lines::of(child.stdout.take().unwrap());
                Follower { child, lines }
            })
            .lines
            .clone()
    }

    fn unfollow(&self) {
        if let Some(mut f) = self.follower.lock().unwrap().take() {
            end(&mut f.child);
        }
    }

    /// Asks the daemon to stop, and waits for it.
    #[track_caller]
    pub fn term(&mut self) -> ExitStatus {
        let mut daemon = self.daemon.take().unwrap();
        signal(&daemon, Signal::SIGTERM);
        let status = wait_exit(&mut daemon, "the daemon", SOON);
        self.unfollow();
        status
    }

    /// Kills the daemon.
    #[track_caller]
    pub fn kill9(&mut self) {
        end(&mut self.daemon.take().unwrap());
        self.unfollow();
    }

    /// Stops it in order and starts it again.
    #[track_caller]
    pub fn restart(&mut self) {
        assert!(self.term().success());
        self.start();
    }

    /// Sends the daemon a signal (SIGHUP: reload).
    #[track_caller]
    pub fn signal(&self, s: Signal) {
        signal(self.daemon.as_ref().unwrap(), s);
    }
}

impl Drop for Bastion {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("---- portreeve.toml\n{}", std::fs::read_to_string(self.config()).unwrap_or_default());
            for (n, log) in self.log.iter().enumerate() {
                eprintln!("---- the daemon's log, run {}\n{}", n + 1, log.text());
            }
        }
        self.unfollow();
        if let Some(mut d) = self.daemon.take() {
            end(&mut d);
        }
    }
}
