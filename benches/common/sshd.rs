//! Debian's sshd under test: as the invoking user, with a configuration of its own.

use super::measure::descendants;
use super::{Guard, Res, SOON, Server, Size, at, eventually, free_ports, make_key, tail};
use std::fs::File;
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;
use tempfile::TempDir;

/// Where Debian puts it; sshd wants to be called by its whole path.
pub const BINARY: &str = "/usr/sbin/sshd";

/// A running sshd.
pub struct Sshd {
    dir: TempDir,
    size: Size,
    user: String,
    ssh_port: u16,
    first_port: u16,
    daemon: Option<Guard>,
}

impl Sshd {
    /// Makes keys and configuration and starts it. `lines` are added to its configuration. What is set here keeps other
    /// things than SSH out of the figures (PAM, name look-ups) and takes off limits that the load would meet; ciphers and
    /// everything else that could slow it down or speed it up is as delivered.
    pub fn start(size: Size, lines: &[&str]) -> Res<Self> {
        let uid = nix::unistd::geteuid();
        let user = nix::unistd::User::from_uid(uid).ok().flatten().ok_or("this account has no name")?.name;
        if uid.is_root() {
            // Its privilege separation folder, which systemd or init makes where sshd runs as a service.
            std::fs::create_dir_all("/run/sshd").map_err(at("/run/sshd"))?;
        }
        let dir = tempfile::Builder::new().prefix("sshd-bench-").tempdir().map_err(at("folder"))?;
        let hosts = u16::try_from(size.hosts).map_err(at("hosts"))?;
        let ssh_port = free_ports(1)?;
        let first_port = free_ports(hosts.checked_mul(size.ports_each).ok_or("too many ports")?)?;
        make_key(&dir.path().join("host_key"))?;
        let mut me = Self { dir, size, user, ssh_port, first_port, daemon: None };
        let mut keys = String::new();
        for host in 0..size.hosts {
            keys.push_str(&make_key(&me.key(host))?);
            keys.push('\n');
        }
        let authorized = me.dir.path().join("authorized_keys");
        std::fs::write(&authorized, keys).map_err(at("authorized_keys"))?;
        let text = format!(
            "ListenAddress 127.0.0.1:{ssh_port}\nHostKey {}\nAuthorizedKeysFile {}\nPidFile none\nUsePAM no\n\
             StrictModes no\nPasswordAuthentication no\nKbdInteractiveAuthentication no\n\
             PermitRootLogin prohibit-password\nMaxStartups 100000\nMaxSessions 100000\nAllowTcpForwarding yes\n\
             X11Forwarding no\nUseDNS no\nPrintLastLog no\nPrintMotd no\nLogLevel ERROR\n{}\n",
            me.dir.path().join("host_key").display(),
            authorized.display(),
            lines.join("\n"),
        );
        std::fs::write(me.config(), text).map_err(at("sshd_config"))?;
        me.run()?;
        Ok(me)
    }

    /// Starts the daemon (again), and waits until it listens. Gives how long that took.
    pub fn run(&mut self) -> Res<Duration> {
        let err = self.dir.path().join("stderr");
        let child = Command::new(BINARY)
            .args(["-D", "-e", "-f"])
            .arg(self.config())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::create(&err).map_err(at("log"))?)
            .spawn()
            .map_err(at(BINARY))?;
        let mut daemon = Guard(child);
        let mut runs = true;
        let took = eventually("sshd listens", SOON, || {
            runs = daemon.runs();
            !runs || TcpStream::connect(self.address()).is_ok()
        });
        if !runs || took.is_err() {
            return Err(format!("sshd does not start: {}", tail(&err)));
        }
        self.daemon = Some(daemon);
        took
    }

    /// Kills the listening process and every session of it, as a crash of the machine would.
    pub fn kill9(&mut self) {
        let Some(mut daemon) = self.daemon.take() else { return };
        let sessions = descendants(daemon.id());
        daemon.kill();
        for pid in sessions.iter().filter_map(|p| i32::try_from(*p).ok()) {
            let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGKILL);
        }
    }

    /// The listening process; 0 when it does not run.
    pub fn pid(&self) -> u32 {
        self.daemon.as_ref().map_or(0, Guard::id)
    }

    /// Its folder.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Its configuration.
    pub fn config(&self) -> PathBuf {
        self.dir.path().join("sshd_config")
    }
}

impl Server for Sshd {
    fn name(&self) -> &'static str {
        "sshd"
    }
    fn address(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.ssh_port))
    }
    fn user(&self, _host: usize) -> String {
        self.user.clone()
    }
    fn key(&self, host: usize) -> PathBuf {
        self.dir.path().join(format!("h{host}"))
    }
    fn port(&self, host: usize, n: u16) -> u16 {
        self.first_port + u16::try_from(host).unwrap_or(0) * self.size.ports_each + n
    }
    // The listening process does nothing for a session once it has forked.
    fn workers(&self) -> Vec<u32> {
        self.daemon.as_ref().map(|d| descendants(d.id())).unwrap_or_default()
    }
    fn log(&self) -> String {
        tail(&self.dir.path().join("stderr"))
    }
}

impl Drop for Sshd {
    fn drop(&mut self) {
        self.kill9();
    }
}
