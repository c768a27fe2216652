//! Faults. Each is opened in the ledger before it is made, and closed when the tunnels it struck carry bytes again.

use super::daemon::{json, verb};
use super::stream::Rng;
use super::visit::probe;
use super::world::World;
use nix::sys::signal::Signal;
use std::time::Duration;
use tokio::time::Instant;

/// How long a host may take to be back; its client notices a dead session only after its own keepalive.
const BACK: Duration = Duration::from_secs(60);

/// Strikes one host after another.
pub async fn hosts(world: &World, mut rng: Rng) {
    loop {
        world.pause(Duration::from_millis(1500 + rng.below(6000))).await;
        let Some(_busy) = world.go().await else { return };
        // Not while the daemon is being restarted.
        let daemon = world.daemon.read().await;
        let number = rng.below(world.hosts.len() as u64) as usize;
        let choice = rng.below(100);
        let Ok(_turn) = world.hosts[number].turn.try_lock() else { continue };
        strike(world, number, choice, &mut rng, daemon.pid()).await;
    }
}

async fn strike(world: &World, number: usize, choice: u64, rng: &mut Rng, daemon: Option<u32>) {
    let host = &world.hosts[number];
    let name = host.name.as_str();
    let did = |what: &'static str| {
        world.tally.add("faults", what, 1);
        world.tally.note(&format!("{what}: {name}"));
    };
    match choice {
        0..20 => {
            let _fault = host.place.fault();
            did("kill -9 of a client");
            host.signal(Signal::SIGKILL);
            back(world, number).await;
        }
        20..28 => {
            let _fault = host.place.fault();
            did("a client asked to end");
            host.signal(Signal::SIGTERM);
            back(world, number).await;
        }
        28..46 => {
            // Shorter than any patience: nothing may break.
            did("a client stopped for a moment");
            halt(world, number, Duration::from_millis(300 + rng.below(2200))).await;
        }
        46..50 if world.longest > Duration::from_secs(12) => {
            let _fault = host.place.fault();
            did("a client stopped until it counts as dead");
            halt(world, number, Duration::from_secs(18)).await;
            back(world, number).await;
        }
        46..68 => {
            let mine: Vec<usize> = (0..world.tunnels.len()).filter(|t| world.tunnels[*t].host == number).collect();
            let tunnel = &world.tunnels[mine[rng.below(mine.len() as u64) as usize]];
            let _fault = tunnel.place.blunt_fault();
            did("a service down and up again");
            tunnel.service.down().await;
            world.pause(Duration::from_millis(200 + rng.below(3000))).await;
            tunnel.service.up().await;
            back(world, number).await;
        }
        68..78 => {
            let _fault = host.place.fault();
            did("revoke and restore of a host");
            act(world, &["revoke", name, "--yes", "--reason", "soak"]).await;
            if world
                .tunnels
                .iter()
                .any(|t| t.host == number && std::net::TcpStream::connect(("127.0.0.1", t.port)).is_ok())
            {
                world.tally.error(&format!("{name} is revoked, and a port of it still takes visitors"));
            }
            world.pause(Duration::from_millis(500 + rng.below(3000))).await;
            act(world, &["restore", name, "--yes"]).await;
            back(world, number).await;
        }
        78..88 => {
            let _fault = host.place.fault();
            did("reconnect of a host");
            act(world, &["reconnect", name, "--yes"]).await;
            back(world, number).await;
        }
        88..92 => {
            let _fault = host.place.fault();
            did("a session disconnected");
            let sessions = json(&world.socket, &["sessions"]).await.unwrap_or_default();
            let id = sessions.as_array().and_then(|all| all.iter().find(|s| s["name"] == name)?.get("id").cloned());
            match id {
                Some(id) => act(world, &["disconnect", id.to_string().trim_matches('"'), "--yes"]).await,
                None => world.tally.error(&format!("{name} has no session in the list")),
            }
            back(world, number).await;
        }
        _ => {
            // Something that touches no tunnel; nothing may break.
            did("a reload of a changed configuration");
            let path = world.out.join("portreeve.toml");
            let text = std::fs::read_to_string(&path).unwrap();
            let (head, tail) = text.split_once("contact = \"#").unwrap();
            let tail = tail.split_once('"').unwrap().1;
            std::fs::write(&path, format!("{head}contact = \"#{}\"{tail}", rng.below(1000))).unwrap();
            if let Some(pid) = daemon {
                let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid as i32), Signal::SIGHUP);
            }
        }
    }
}

async fn act(world: &World, words: &[&str]) {
    match verb(&world.socket, words).await {
        Some(out) if out.status.success() => {}
        Some(out) => {
            let said = format!("{}{}", String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr));
            world.tally.error(&format!("{words:?}: {}, {said}", out.status));
        }
        None => world.tally.error(&format!("{words:?}: no answer within a minute")),
    }
}

async fn halt(world: &World, number: usize, time: Duration) {
    // The same process for both signals, whatever happens in between.
    let Some(pid) = world.hosts[number].ssh_pid() else { return };
    let _ = nix::sys::signal::kill(pid, Signal::SIGSTOP);
    tokio::time::sleep(time).await;
    let _ = nix::sys::signal::kill(pid, Signal::SIGCONT);
}

/// Waits until every tunnel of a host carries bytes.
pub async fn back(world: &World, number: usize) -> bool {
    let began = Instant::now();
    for t in (0..world.tunnels.len()).filter(|t| world.tunnels[*t].host == number) {
        while !probe(world, t).await {
            if began.elapsed() > BACK {
                let (host, port) = (&world.hosts[number].name, world.tunnels[t].port);
                world.tally.error(&format!("port {port} of {host} is not back within {BACK:?}"));
                return false;
            }
            tokio::time::sleep(Duration::from_millis(150)).await;
        }
    }
    true
}

/// Waits until all are there.
pub async fn all_back(world: &World) -> Duration {
    let began = Instant::now();
    for n in 0..world.hosts.len() {
        back(world, n).await;
    }
    began.elapsed()
}

/// Ends the daemon, starts it again, and waits until all are back.
pub async fn restart(world: &World, orderly: bool) {
    // Faults of hosts end first; what visits is met in the middle.
    let mut daemon = world.daemon.write().await;
    let _fault = if orderly { world.bastion.fault() } else { world.bastion.blunt_fault() };
    let what = if orderly { "the daemon asked to stop, and started" } else { "kill -9 of the daemon, and a start" };
    world.tally.add("faults", what, 1);
    daemon.stop(orderly).await;
    if daemon.start().await {
        let took = all_back(world).await;
        world.tally.say(&format!("{what}: all hosts back {:.1} s after it was ready", took.as_secs_f64()));
    }
}
