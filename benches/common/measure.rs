//! Numbers out of samples and out of `/proc`.

use std::collections::HashMap;
use std::fs;

/// The middle of them; NaN of none.
pub fn median(samples: &[f64]) -> f64 {
    percentile(samples, 50.0)
}

/// The value that this per cent of them do not exceed, between neighbours where it falls there; NaN of none.
pub fn percentile(samples: &[f64], p: f64) -> f64 {
    let mut sorted: Vec<f64> = samples.iter().copied().filter(|s| s.is_finite()).collect();
    sorted.sort_by(f64::total_cmp);
    let Some(last) = sorted.len().checked_sub(1) else { return f64::NAN };
    let place = last as f64 * p / 100.0;
    let (low, part) = (place.floor(), place.fract());
    let (a, b) = (sorted[low as usize], sorted[(low as usize + 1).min(last)]);
    a + (b - a) * part
}

/// CPU time of some processes, each by its own, so that one that comes or goes does no harm.
#[derive(Debug, Clone, Default)]
pub struct Cpu(HashMap<u32, f64>);

impl Cpu {
    /// What these have used so far, in user and kernel mode, all their threads.
    pub fn now(pids: &[u32]) -> Self {
        Self(pids.iter().map(|pid| (*pid, cpu_seconds(*pid))).collect())
    }
    /// Seconds used since an earlier look.
    pub fn since(&self, earlier: &Self) -> f64 {
        self.0.iter().map(|(pid, now)| (now - earlier.0.get(pid).unwrap_or(&0.0)).max(0.0)).sum()
    }
}

/// CPU seconds of a living process. The scheduler's own account (ns) where the kernel shows it, since that of `stat`
/// counts ticks of 10 ms.
pub fn cpu_seconds(pid: u32) -> f64 {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let ns: u64 = tasks
        .filter_map(|t| fs::read_to_string(t.path().join("schedstat")).ok())
        .filter_map(|s| s.split(' ').next().and_then(|n| n.parse::<u64>().ok()))
        .sum();
    if ns > 0 { ns as f64 / 1e9 } else { ticks(pid).map_or(0.0, |(own, _)| own) }
}

/// CPU seconds of a process and of those descendants that have ended and were waited for (sshd's children of past sessions).
pub fn cpu_seconds_with_reaped(pid: u32) -> f64 {
    ticks(pid).map_or(0.0, |(own, reaped)| own + reaped)
}

/// CPU seconds of a process and all its descendants, living or ended.
pub fn cpu_seconds_of_tree(pid: u32) -> f64 {
    std::iter::once(pid).chain(descendants(pid)).map(cpu_seconds_with_reaped).sum()
}

// proc(5): utime, stime, cutime, cstime are the fields 14 to 17; USER_HZ is 100 on Linux, whatever the kernel's own rate.
fn ticks(pid: u32) -> Option<(f64, f64)> {
    let fields = stat(pid)?;
    let field = |n: usize| fields.get(n - 3).and_then(|f| f.parse::<f64>().ok()).unwrap_or(0.0) / 100.0;
    Some((field(14) + field(15), field(16) + field(17)))
}

/// The fields of `/proc/PID/stat` from the third on: those after the name, which may hold anything.
fn stat(pid: u32) -> Option<Vec<String>> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, rest) = text.rsplit_once(')')?;
    Some(rest.split_whitespace().map(str::to_owned).collect())
}

/// All processes below this one.
pub fn descendants(pid: u32) -> Vec<u32> {
    let mut children: HashMap<u32, Vec<u32>> = HashMap::new();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(child) = entry.file_name().to_str().and_then(|n| n.parse::<u32>().ok()) else { continue };
        let parent = stat(child).and_then(|f| f.get(1)?.parse().ok());
        if let Some(parent) = parent {
            children.entry(parent).or_default().push(child);
        }
    }
    let mut found = children.remove(&pid).unwrap_or_default();
    let mut looked = 0;
    while let Some(next) = found.get(looked) {
        found.extend(children.remove(next).unwrap_or_default());
        looked += 1;
    }
    found
}

/// Memory of a process in bytes, pages shared with others counted by its share (PSS).
pub fn pss(pid: u32) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()?;
    kib(&text, "Pss:")
}

/// Memory of a process in bytes, shared pages counted whole (RSS).
pub fn rss(pid: u32) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    kib(&text, "VmRSS:")
}

fn kib(text: &str, key: &str) -> Option<u64> {
    let line = text.lines().find(|l| l.starts_with(key))?;
    line.split_whitespace().nth(1)?.parse::<u64>().ok().map(|n| n * 1024)
}

/// Open file descriptors of a process.
pub fn descriptors(pid: u32) -> usize {
    fs::read_dir(format!("/proc/{pid}/fd")).map_or(0, Iterator::count)
}
