//! The soak itself: hours of everything at once, between two moments of rest that are compared.

use super::Options;
use super::daemon::{self, Daemon, Figures};
use super::hosts::{self, Host};
use super::ledger::Place;
use super::ports::Ports;
use super::service::{Desk, Service};
use super::stream::Rng;
use super::tally::Tally;
use super::world::{Phase, Tunnel, World};
use super::{chaos, operators, visit};
use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::{RwLock, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;

const HOSTS: usize = 12;
const TUNNELS: usize = 3;
/// Two of the daemon's looks at how busy it is.
const GIVES_BACK: Duration = Duration::from_secs(22);
/// What may have been added between the two moments of rest: this, and a tenth of what it was.
const MARGIN_KIB: u64 = 8 * 1024;

/// Runs it; whether all was well.
pub async fn run(options: &Options, minutes: f64, out: &Path) -> bool {
    let tally = Arc::new(Tally::new(out));
    let total = Duration::from_secs_f64(minutes * 60.0);
    tally.say(&format!("seed {}, {minutes} minutes, load {}, output in {}", options.seed, options.load, out.display()));
    let sockets = tempfile::tempdir().unwrap();
    let blocks = [Ports::take(), Ports::take(), Ports::take(), Ports::take(), Ports::take()];
    let world: &'static World = Box::leak(Box::new(build(out, sockets.path(), &blocks, &tally, total)));

    let mut life = JoinSet::new();
    for t in &world.tunnels {
        t.service.up().await;
    }
    if !world.daemon.write().await.start().await {
        return false;
    }
    for n in 0..HOSTS {
        life.spawn(hosts::supervise(world, n));
    }
    chaos::all_back(world).await;
    life.spawn(operators::subscriber(world));
    life.spawn(operators::console(world, Rng::new(options.seed, 1_000)));
    life.spawn(watch_it(world));

    let mut work = JoinSet::new();
    let workers = ((16.0 * options.load).ceil() as u64).max(1);
    for n in 0..workers {
        work.spawn(visitor(world, Rng::new(options.seed, n)));
    }
    work.spawn(operators::verbs(world, Rng::new(options.seed, 2_000)));
    for n in 0..2 {
        work.spawn(chaos::hosts(world, Rng::new(options.seed, 3_000 + n)));
    }

    let began = Instant::now();
    let mut rest = [None, None];
    let script = async {
        restarts(world, began, total, Rng::new(options.seed, 4_000)).await;
        tokio::time::sleep_until(began + total.mul_f64(0.4)).await;
        rest[0] = calm(world).await;
        world.phase.send_replace(Phase::Run);
        tokio::time::sleep_until(began + total).await;
    };
    tokio::select! {
        () = script => {}
        _ = tokio::signal::ctrl_c() => world.tally.say("interrupted: to the end"),
    }
    rest[1] = calm(world).await;
    world.phase.send_replace(Phase::Stop);
    while work.join_next().await.is_some() {}
    judge(world, rest);
    // First those who would be alarmed by the daemon's end.
    life.shutdown().await;
    world.hosts.iter().for_each(Host::end);
    world.daemon.write().await.stop(true).await;
    tally.print();
    tally.errors() == 0
}

fn build(out: &Path, sockets: &Path, blocks: &[Ports; 5], tally: &Arc<Tally>, total: Duration) -> World {
    // The last is the SSH server's, the two before it the services'.
    let [team_a, team_b, services_a, services_b, own] = blocks;
    let half = HOSTS * TUNNELS / 2;
    let number = |n: usize| u16::try_from(n % half).unwrap();
    let desk = Arc::new(Desk::default());
    let hosts: Vec<Host> = (0..HOSTS).map(Host::new).collect();
    let tunnels: Vec<Tunnel> = (0..HOSTS * TUNNELS)
        .map(|n| {
            let (team, services) = if n < half { (team_a, services_a) } else { (team_b, services_b) };
            let service = Service::new(services.get(number(n)), Arc::clone(&desk), Arc::clone(tally));
            Tunnel { port: team.get(number(n)), host: n / TUNNELS, service, place: Place::default() }
        })
        .collect();
    let longest = total.div_f64(12.0).clamp(Duration::from_secs(6), Duration::from_secs(24));
    let stall = longest / 2;
    let of = |h: &Host| {
        let mine = tunnels.iter().filter(|t| hosts[t.host].name == h.name).map(|t| t.port).collect();
        (h.name.clone(), mine)
    };
    let teams = vec![
        (team_a, hosts[..HOSTS / 2].iter().map(of).collect()),
        (team_b, hosts[HOSTS / 2..].iter().map(of).collect()),
    ];
    let socket = sockets.join("control.sock");
    daemon::configure(&daemon::Plan { out, ssh_port: own.get(0), teams, stall }, &socket);
    World {
        tally: Arc::clone(tally),
        out: out.to_owned(),
        daemon: RwLock::new(Daemon::new(out, &socket, Arc::clone(tally))),
        address: SocketAddr::from((Ipv4Addr::LOCALHOST, own.get(0))),
        socket,
        bastion: Place::default(),
        hosts,
        tunnels,
        desk,
        phase: watch::Sender::new(Phase::Run),
        busy: AtomicU64::new(0),
        longest,
        stall,
        visits: AtomicU64::new(0),
    }
}

async fn visitor(world: &'static World, mut rng: Rng) {
    while let Some(_busy) = world.go().await {
        let plan = visit::plan(&mut rng, world);
        if plan.is_short() {
            // These come in numbers.
            for _ in 0..10 + rng.below(30) {
                let mut few = JoinSet::new();
                (0..4).for_each(|_| drop(few.spawn(one(world, plan.again(world)))));
                while few.join_next().await.is_some() {}
                world.pause(Duration::from_millis(20)).await;
                if !world.runs() {
                    break;
                }
            }
        } else {
            visit::make(world, &plan).await;
        }
        world.pause(Duration::from_millis(20 + rng.below(500))).await;
    }
}

async fn one(world: &'static World, plan: visit::Plan) {
    visit::make(world, &plan).await;
}

/// Restarts of the daemon, all in the first third: what comes after is one life, long enough to show growth.
async fn restarts(world: &World, began: Instant, total: Duration, mut rng: Rng) {
    let last = began + total.mul_f64(0.3);
    let mut next = began + total.mul_f64(0.08);
    let mut orderly = false;
    loop {
        tokio::time::sleep_until(next).await;
        chaos::restart(world, orderly).await;
        orderly = !orderly;
        let gap = total.mul_f64(0.08).clamp(Duration::from_secs(10), Duration::from_secs(150 + rng.below(60)));
        next = Instant::now() + gap;
        if next > last {
            return;
        }
    }
}

/// Lets everybody finish, waits until nothing moves, and takes the figures. None when something goes on and on.
async fn calm(world: &World) -> Option<Figures> {
    world.phase.send_replace(Phase::Rest);
    let until = Instant::now() + world.longest * 6 + Duration::from_secs(180);
    while world.busy.load(Ordering::SeqCst) > 0 {
        if Instant::now() > until {
            world.tally.error(&format!("{} do not come to an end", world.busy.load(Ordering::SeqCst)));
            return None;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let until = Instant::now() + Duration::from_secs(60);
    while !operators::idle(world).await {
        if Instant::now() > until {
            world.tally.error("not idle within a minute after everybody had finished (tunnels, sessions, visitors)");
            return None;
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    // The daemon gives memory back when it has been calm for a while.
    tokio::time::sleep(GIVES_BACK).await;
    // Descriptors and memory of what has just ended; checks come and go, so the least of some looks counts.
    let mut least: Option<Figures> = None;
    for _ in 0..20 {
        tokio::time::sleep(Duration::from_millis(400)).await;
        let now = world.daemon.read().await.figures()?;
        let best = least.get_or_insert(now);
        best.fds = best.fds.min(now.fds);
        best.threads = best.threads.min(now.threads);
        (best.rss, best.pss) = (best.rss.min(now.rss), best.pss.min(now.pss));
    }
    let f = least?;
    world
        .tally
        .say(&format!("at rest: RSS {} KiB, PSS {} KiB, {} descriptors, {} threads", f.rss, f.pss, f.fds, f.threads));
    Some(f)
}

fn judge(world: &World, rest: [Option<Figures>; 2]) {
    let tally = &world.tally;
    let [Some(before), Some(after)] = rest else {
        return tally.say("no two moments of rest: growth is not judged");
    };
    let most = before.rss + before.rss / 10 + MARGIN_KIB;
    println!("\n{:<28} {:>12} {:>12} {:>12}", "the daemon at rest", "before", "after", "allowed");
    println!("{:<28} {:>12} {:>12} {:>12}", "RSS, KiB", before.rss, after.rss, most);
    println!("{:<28} {:>12} {:>12}", "PSS, KiB", before.pss, after.pss);
    println!("{:<28} {:>12} {:>12} {:>12}", "descriptors", before.fds, after.fds, before.fds);
    println!("{:<28} {:>12} {:>12}\n", "threads", before.threads, after.threads);
    if after.rss > most {
        tally.error(&format!("memory grew from {} to {} KiB at rest, {most} are allowed", before.rss, after.rss));
    }
    if after.fds != before.fds {
        tally.error(&format!("descriptors at rest were {} and are {}", before.fds, after.fds));
    }
}

/// Writes a line of figures every ten seconds.
async fn watch_it(world: &World) {
    let mut file = std::fs::File::create(world.out.join("samples.csv")).unwrap();
    writeln!(file, "seconds,pid,rss_kib,pss_kib,fds,threads,cpu_seconds,bytes_checked,visits,tunnels_up,errors")
        .unwrap();
    let (mut every, mut n) = (tokio::time::interval(Duration::from_secs(10)), 0_u64);
    loop {
        every.tick().await;
        let Ok(mut daemon) = world.daemon.try_write() else {
            // A fault of a host goes on. Its figures can be read all the same.
            if let Ok(daemon) = world.daemon.try_read() {
                line(world, &mut file, &daemon, &mut n).await;
            }
            continue;
        };
        daemon.look();
        let daemon = daemon.downgrade();
        line(world, &mut file, &daemon, &mut n).await;
    }
}

async fn line(world: &World, file: &mut std::fs::File, daemon: &Daemon, n: &mut u64) {
    let (Some(pid), Some(f)) = (daemon.pid(), daemon.figures()) else { return };
    let tunnels = daemon::json(daemon.socket(), &["tunnels"]).await.unwrap_or_default();
    let up = tunnels.as_array().map_or(0, |ts| ts.iter().filter(|t| t["state"] == "up").count());
    let tally = &world.tally;
    let (bytes, visits) = (tally.total("bytes checked"), tally.total("visits"));
    let (s, errors) = (tally.seconds(), tally.errors());
    let _ = writeln!(
        file,
        "{s:.0},{pid},{},{},{},{},{:.2},{bytes},{visits},{up},{errors}",
        f.rss, f.pss, f.fds, f.threads, f.cpu
    );
    if (*n).is_multiple_of(6) {
        tally.say(&format!(
            "{} MiB checked, {visits} visits, {} faults, {up} tunnels up, RSS {} KiB, {} descriptors, CPU {:.1} s, {errors} errors",
            bytes >> 20,
            tally.total("faults"),
            f.rss,
            f.fds,
            f.cpu
        ));
    }
    *n += 1;
}
