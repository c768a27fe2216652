//! Numbers for monitoring.

use super::desk::Desk;
use super::protocol::Identity;
use super::sight::{sees_session, sees_tunnel};
use crate::model::{
    Metrics, ProcessMetrics, Revision, SessionCounts, SessionId, SessionKind, TeamMetrics, Time, Traffic,
    TunnelMetrics, TunnelView, now,
};
use std::collections::HashSet;
use std::time::Duration;

impl Desk {
    /// What this person may see. The counters of live tunnels are read now, not taken from the board, which is brought
    /// up to date for those who watch.
    pub(super) async fn metrics(&self, who: &Identity, each_tunnel: bool) -> Metrics {
        let started = self.registry.started;
        let process = tokio::task::spawn_blocking(move || process(started)).await.unwrap_or_default();
        let config = self.registry.config();
        let (carried, live) = self.registry.traffic();
        let mut sessions = SessionCounts::default();
        let (rows, teams) = self.with_board(|b| {
            for s in b.sessions_since(Revision(0)).filter(|s| sees_session(who, s)) {
                match s.kind {
                    SessionKind::Host => sessions.hosts += 1,
                    SessionKind::Operator => sessions.operators += 1,
                }
            }
            let rows: Vec<TunnelMetrics> =
                b.tunnels_since(Revision(0)).filter(|t| sees_tunnel(who, t)).map(of_row).collect();
            let teams: Vec<TeamMetrics> = b
                .teams()
                .iter()
                .filter(|t| who.sees(&t.name))
                .map(|t| TeamMetrics {
                    team: t.name.clone(),
                    ports: t.ranges.iter().map(|r| r.iter().count() as u64).sum(),
                    leased: t.leased as u64,
                    tunnels: Default::default(),
                    visitors_now: 0,
                    visitors_behind: 0,
                    buffered: 0,
                    traffic: carried.get(&t.name).copied().unwrap_or_default(),
                })
                .collect();
            (rows, teams)
        });
        let (mut rows, mut teams) = (rows, teams);
        let mut held: HashSet<SessionId> = HashSet::new();
        for row in &mut rows {
            if let Some(t) = live.get(&row.port).filter(|t| t.lease.host == row.host) {
                row.visitors_now = t.visitors_now() as u64;
                row.behind = t.behind();
                row.traffic = t.traffic();
                if row.behind.holding > 0 {
                    held.insert(t.session.id);
                }
            }
            if let Some(team) = teams.iter_mut().find(|t| t.team == row.team) {
                team.tunnels.count(row.state);
                team.visitors_now += row.visitors_now;
                team.visitors_behind += u64::from(row.behind.visitors);
                team.buffered += row.behind.buffered;
            }
        }
        sessions.held = held.len() as u64;
        Metrics {
            at: now(),
            name: config.name.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            process,
            sessions,
            unauthenticated: self.facts.gate.unauthenticated() as u64,
            gate: self.facts.gate.view(),
            spill: self.registry.limits().budget.view(),
            audit: self.registry.journal.status(),
            ledger_writable: self.registry.ledger_writable(),
            unsaved_blocks: self.registry.unsaved_blocks() as u64,
            blocks: self.registry.blocks().len() as u64,
            teams,
            tunnels: if each_tunnel { rows } else { Vec::new() },
        }
    }
}

fn of_row(t: &TunnelView) -> TunnelMetrics {
    TunnelMetrics {
        port: t.lease.port,
        host: t.lease.host.clone(),
        team: t.lease.team.clone(),
        state: t.state,
        state_since: t.state_since,
        health: t.health.verdict,
        latency_ms: t.health.latency_ms,
        visitors_now: u64::from(t.visitors_now),
        behind: t.behind.clone(),
        traffic: Traffic {
            bytes_to_host: t.bytes_to_host,
            bytes_to_visitors: t.bytes_to_visitors,
            visitors: t.visitors_total,
            refused: t.visitors_refused,
            held_ms: t.behind.held_ms,
        },
    }
}

/// Read from `/proc`, which is there under the unit's `ProcSubset=pid` too.
fn process(started: Time) -> ProcessMetrics {
    let read = |name: &str| std::fs::read_to_string(format!("/proc/self/{name}")).unwrap_or_default();
    let status = read("status");
    let field = |name: &str| {
        let line = status.lines().find_map(|l| l.strip_prefix(name)?.strip_prefix(':'));
        line.and_then(|l| l.split_whitespace().next()).and_then(|n| n.parse::<u64>().ok()).unwrap_or(0)
    };
    let (soft, _) = nix::sys::resource::getrlimit(nix::sys::resource::Resource::RLIMIT_NOFILE).unwrap_or((0, 0));
    // The descriptor that reads the folder is among those it counts.
    let open = std::fs::read_dir("/proc/self/fd").map_or(0, |d| d.count().saturating_sub(1));
    ProcessMetrics {
        pid: std::process::id(),
        started,
        resident_bytes: field("VmRSS") * 1024,
        open_fds: open as u64,
        max_fds: soft,
        threads: field("Threads"),
        cpu_seconds: cpu_time().as_secs_f64(),
    }
}

/// Processor time of this process so far, user and system; zero where the kernel does not tell.
pub(crate) fn cpu_time() -> Duration {
    use nix::sys::resource::{UsageWho, getrusage};
    use nix::sys::time::TimeValLike;
    getrusage(UsageWho::RUSAGE_SELF).map_or(Duration::ZERO, |u| {
        let us = (u.user_time() + u.system_time()).num_microseconds();
        Duration::from_micros(u64::try_from(us).unwrap_or(0))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_process_can_be_read() {
        let p = process(now());
        assert_eq!(p.pid, std::process::id());
        assert!(p.resident_bytes > 1 << 20 && p.open_fds >= 3 && p.max_fds >= p.open_fds && p.threads >= 1, "{p:?}");
    }
}
