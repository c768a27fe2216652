//! On what it ran.

use super::said;
use serde::{Deserialize, Serialize};
use std::fs;

/// Machine and versions, for the head of the table.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Machine {
    /// Model name of the CPU.
    pub cpu: String,
    /// How many of them this process may use.
    pub cores: usize,
    /// Memory in GiB.
    pub memory_gib: u64,
    /// Release of the kernel.
    pub kernel: String,
    /// How its TCP avoids congestion, on loopback too.
    #[serde(default)]
    pub congestion: String,
    /// The client and server compared with.
    pub openssh: String,
    /// The program's version and the commit it was built from.
    pub portreeve: String,
    /// Day and time (UTC).
    pub when: String,
}

impl Machine {
    /// This one, now.
    pub fn look() -> Self {
        let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
        let field = |text: &str, key: &str| {
            let line = text.lines().find(|l| l.starts_with(key)).unwrap_or_default();
            line.split(':').nth(1).unwrap_or_default().trim().to_owned()
        };
        let memory = field(&read("/proc/meminfo"), "MemTotal");
        let kib: u64 = memory.split(' ').next().and_then(|n| n.parse().ok()).unwrap_or(0);
        Self {
            cpu: field(&read("/proc/cpuinfo"), "model name"),
            cores: std::thread::available_parallelism().map_or(0, usize::from),
            memory_gib: (kib + (1 << 19)) >> 20,
            kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
            congestion: read("/proc/sys/net/ipv4/tcp_congestion_control").trim().to_owned(),
            openssh: said("ssh", &["-V"]),
            portreeve: format!("{} ({})", said(super::ours::BINARY, &["--version"]), commit()),
            when: chrono::Utc::now().format("%Y-%m-%d %H:%M UTC").to_string(),
        }
    }
}

fn commit() -> String {
    let root = env!("CARGO_MANIFEST_DIR");
    let git = |args: &[&str]| said("git", &[&["-C", root], args].concat());
    let hash = git(&["rev-parse", "--short", "HEAD"]);
    // Only what the daemon is built from: notes and figures beside it change nothing.
    let changed = git(&["status", "--porcelain", "--", "src", "Cargo.toml", "Cargo.lock"]);
    if hash.is_empty() || hash.contains(' ') {
        "no commit".to_owned()
    } else if changed.is_empty() {
        format!("commit {hash}")
    } else {
        format!("commit {hash} and changes")
    }
}
