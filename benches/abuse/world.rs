//! The bastion under attack: a site that is known, an operator, and hosts that turn against it.

use super::common::ours::{BINARY, Ours};
use super::common::{Guard, Res, SOON, Server, Size, at, eventually};
use super::wire::{Identity, Wire};
use serde_json::Value;
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::process::Command;

/// Where the site is from which operators and honest hosts come.
pub const SITE: &str = "127.0.0.2";
/// The honest host.
pub const HONEST: usize = 0;
/// The host that attacks.
pub const EVIL: usize = 1;

/// What an attack tells of itself.
pub struct Told {
    pub tried: u64,
    pub what: String,
}

pub struct World {
    pub ours: Ours,
    /// Of the honest host, kept for its forward.
    _host: Guard,
}

/// An address of the attackers': there are 65,000 networks of them.
pub fn stranger(n: u64) -> IpAddr {
    let n = n % 60_000;
    IpAddr::V4(Ipv4Addr::new(127, 1, (n / 250) as u8, (n % 250 + 1) as u8))
}

impl World {
    pub fn start() -> Res<Self> {
        let size = Size { hosts: 4, ports_each: 4 };
        let settings = [
            ("hosts", "check = \"none\""),
            // Every address of 127.0.0.0/8 is a network with rules.
            ("audit", "[sources]\nexempt = []\nreport_interval = \"1s\""),
        ];
        let ours = Ours::start(size, &settings)?;
        let service = super::watch::paced_source()?;
        let host = super::common::client::Client::new(&ours, HONEST)
            .forward(0, service)
            .option(&format!("BindAddress={SITE}"))
            .start()?;
        let me = Self { ours, _host: host };
        me.login()?;
        Ok(me)
    }

    pub fn address(&self) -> SocketAddr {
        self.ours.address()
    }

    /// One sign-in of a stock client, with a command.
    pub fn login(&self) -> Res<()> {
        self.login_command()()
    }

    /// The same for a thread.
    pub fn login_command(&self) -> impl Fn() -> Res<()> + Send + 'static {
        let (port, key) = (self.address().port().to_string(), self.ours.operator_key());
        move || {
            let out = Command::new("ssh")
                .args(["-F", "none", "-b", SITE, "-p", &port, "-i"])
                .arg(&key)
                .args(["-o", "IdentitiesOnly=yes", "-o", "IdentityAgent=none", "-o", "StrictHostKeyChecking=no"])
                .args(["-o", "UserKnownHostsFile=/dev/null", "-o", "BatchMode=yes", "-o", "ConnectTimeout=10"])
                .args(["ops@127.0.0.1", "status"])
                .stdin(std::process::Stdio::null())
                .output()
                .map_err(at("ssh"))?;
            if out.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&out.stderr).trim().to_owned()) }
        }
    }

    pub fn identity(&self, host: usize) -> Identity {
        Identity::read(&self.ours.key(host))
    }

    /// A session of a host, with the raw client, from the attacker's own known network.
    pub fn session(&self, host: usize) -> std::io::Result<Wire> {
        let from = Some(IpAddr::V4(Ipv4Addr::new(127, 0, 0, 3)));
        Wire::session(self.address(), from, &self.ours.user(host), &self.identity(host))
    }

    pub fn metric(&self, name: &str) -> Option<f64> {
        let out = Command::new(BINARY).arg("--socket").arg(self.ours.socket()).arg("metrics").output().ok()?;
        let text = String::from_utf8(out.stdout).ok()?;
        let line = text.lines().find_map(|l| l.strip_prefix(name)?.strip_prefix(' ').map(str::to_owned));
        line?.trim().parse().ok()
    }

    /// What the journal has, by event and rule, shortened.
    pub fn audit(&self) -> String {
        // So that what was counted is told.
        std::thread::sleep(std::time::Duration::from_millis(1_300));
        let out = Command::new(BINARY)
            .arg("--socket")
            .arg(self.ours.socket())
            .args(["audit", "-n", "1000000", "--json"])
            .output();
        let text = out.map(|o| String::from_utf8_lossy(&o.stdout).into_owned()).unwrap_or_default();
        let mut kinds: BTreeMap<String, (u64, u64)> = BTreeMap::new();
        let events = text.lines().filter_map(|l| serde_json::from_str::<Value>(l).ok());
        for e in events {
            let name = e["event"].as_str().unwrap_or_default();
            let ended_badly =
                name == "session.end" && e["obituary"]["cause"].as_str().is_some_and(|c| c == "protocol-error");
            if e["outcome"] == "refused" && name != "refusals.counted" {
                kinds.entry(name.to_owned()).or_default().0 += 1;
            } else if name == "refusals.counted" {
                let of = e["of"].as_str().unwrap_or_default();
                kinds.entry(of.to_owned()).or_default().1 += e["count"].as_u64().unwrap_or(0);
            } else if ended_badly {
                kinds.entry("session.end (protocol error)".to_owned()).or_default().0 += 1;
            }
        }
        let told = kinds.iter().map(|(k, (lines, more))| {
            if *more > 0 { format!("{lines} `{k}` and {more} counted") } else { format!("{lines} `{k}`") }
        });
        let told = told.collect::<Vec<_>>().join(", ");
        if told.is_empty() { "nothing".to_owned() } else { told }
    }

    /// Whether the daemon's log tells of a panic.
    pub fn panicked(&self) -> bool {
        let log = std::fs::read_to_string(self.ours.dir().join("stderr")).unwrap_or_default();
        log.contains("panicked")
    }

    /// Waits until nobody is left whom we brought.
    pub fn settle(&self) -> Res<()> {
        eventually("all that came has gone", SOON * 3, || {
            self.metric("portreeve_unauthenticated_connections") == Some(0.0)
                && self.metric("portreeve_sessions{kind=\"host\"}") == Some(1.0)
        })
        .map(|_| ())
    }
}
