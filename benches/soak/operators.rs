//! Operators beside it all: verbs on the command line and over SSH, consoles.

use super::daemon::{json, verb};
use super::hosts::{ssh, target};
use super::ledger::Ticket;
use super::process::{output, spawn};
use super::stream::Rng;
use super::world::World;
use portreeve::control::client::Client;
use portreeve::control::protocol::Push;
use std::os::unix::process::CommandExt;
use std::process::Stdio;
use std::time::Duration;
use tokio::io::AsyncWriteExt;

const SHORTLY: Duration = Duration::from_millis(500);

/// Asks one thing after another; each must be answered.
pub async fn verbs(world: &World, mut rng: Rng) {
    loop {
        world.pause(Duration::from_millis(500 + rng.below(3000))).await;
        let Some(_busy) = world.go().await else { return };
        let ticket = Ticket::new([&world.bastion; 3]);
        let asked: &[&str] = match rng.below(7) {
            0 => &["tunnels", "--json"],
            1 => &["audit", "-n", "200", "--json"],
            2 => &["sessions", "--json"],
            3 => &["status"],
            4 => &["ports", "--json"],
            5 => &["health", "--json"],
            _ => &["visitors", "--json"],
        };
        let out = if rng.percent(25) {
            let mut command = ssh(world, "operator");
            command.arg(target("operator")).args(asked).stdin(Stdio::null());
            output(command).await
        } else {
            verb(&world.socket, asked).await
        };
        match out {
            Some(out) if out.status.success() && !out.stdout.is_empty() => world.tally.add("operators", "verbs", 1),
            _ if ticket.excused() => world.tally.add("operators", "verbs that met a restart", 1),
            Some(out) => {
                let said = String::from_utf8_lossy(&out.stderr).into_owned();
                world.tally.error(&format!("{asked:?}: {}, {said}", out.status));
            }
            None => world.tally.error(&format!("{asked:?}: no answer within a minute")),
        }
    }
}

/// A console's subscription over the control socket: a snapshot, then deltas whose revisions never fall.
pub async fn subscriber(world: &World) {
    loop {
        let ticket = Ticket::new([&world.bastion; 3]);
        match Client::connect_unix(&world.socket, "console").await {
            Err(_) if ticket.excused() => {}
            Err(e) => world.tally.error(&format!("a console cannot connect: {e}")),
            Ok(client) => match client.subscribe(None).await {
                Err(_) if ticket.excused() => {}
                Err(e) => world.tally.error(&format!("a console cannot subscribe: {e}")),
                Ok(mut pushes) => {
                    let mut last = None;
                    while let Some(push) = pushes.recv().await {
                        let revision = match &push {
                            Push::Snapshot(s) => s.revision,
                            Push::Delta(d) => d.revision,
                            Push::Rows(_) | Push::Goodbye(_) => continue,
                        };
                        if last.is_some_and(|l| revision < l) {
                            world.tally.error(&format!("a console's revision went from {last:?} to {revision:?}"));
                        }
                        last = Some(revision);
                        world.tally.add("operators", "updates of a console", 1);
                    }
                    if !ticket.excused() {
                        world.tally.error("a console's subscription ended without a fault");
                    }
                }
            },
        }
        tokio::time::sleep(SHORTLY).await;
    }
}

/// The console over SSH, with somebody who presses keys.
pub async fn console(world: &World, mut rng: Rng) {
    // What only looks around.
    const KEYS: &[&[u8]] = &[b"j", b"k", b"1", b"2", b"3", b"4", b"5", b"\t", b"G", b"g"];
    loop {
        let ticket = Ticket::new([&world.bastion; 3]);
        let mut command = ssh(world, "operator");
        command.arg("-tt").arg(target("operator")).env("TERM", "xterm-256color");
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).process_group(0);
        let mut child = spawn(&mut command);
        let mut keys = child.stdin();
        let status = loop {
            tokio::select! {
                status = child.wait() => break status,
                () = tokio::time::sleep(Duration::from_millis(800)) => {
                    if world.runs() && keys.write_all(KEYS[rng.below(KEYS.len() as u64) as usize]).await.is_ok() {
                        world.tally.add("operators", "keys pressed in a console over SSH", 1);
                    }
                }
            }
        };
        if !ticket.excused() {
            world.tally.error(&format!("a console over SSH ended without a fault: {status:?}"));
        }
        tokio::time::sleep(SHORTLY).await;
    }
}

/// Everything is idle: each host has its one session, and nobody visits.
pub async fn idle(world: &World) -> bool {
    let (Some(tunnels), Some(sessions), Some(visitors)) = (
        json(&world.socket, &["tunnels"]).await,
        json(&world.socket, &["sessions"]).await,
        json(&world.socket, &["visitors"]).await,
    ) else {
        return false;
    };
    let len = |v: &serde_json::Value| v.as_array().map_or(usize::MAX, Vec::len);
    let up =
        tunnels.as_array().is_some_and(|ts| ts.iter().filter(|t| t["state"] == "up").count() == world.tunnels.len());
    // And the operator's, with the console.
    up && len(&sessions) == world.hosts.len() + 1 && len(&visitors) == 0
}
