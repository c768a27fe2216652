//! The rows of the table: what many hosts cost, and how fast they come back.

use super::common::measure::{Cpu, pss};
use super::common::ours::Ours;
use super::common::report::{Goal, Row};
use super::common::sshd::Sshd;
use super::common::swarm::{Swarm, hosts};
use super::common::{Res, Server, Size};
use nix::sys::resource::{Resource, getrlimit};
use std::time::{Duration, Instant};

/// Threads of the swarm: one for each core of the machine this was made for.
pub const THREADS: usize = 2;
/// Time for all hosts to be up.
pub const LIMIT: Duration = Duration::from_secs(120);
/// Time in which what sign-ins took is given back.
const SETTLE: Duration = Duration::from_secs(25);
/// A whole round of keepalives and checks: after a restart they are not spread evenly over it.
const MINUTE: Duration = Duration::from_secs(60);
/// Descriptors that are no session's and no tunnel's, and those that are kept for operators.
const OWN: usize = 662;

pub const KEEPALIVE: (&str, &str) = ("ssh", "keepalive_interval = \"60s\"");
pub const CHECKED: (&str, &str) = ("health", "interval = \"60s\"");
/// All sign in at the same moment, which would be taken for an attack.
pub const CROWD: (&str, &str) = ("ssh", "max_unauthenticated = 50000");
const UNCHECKED: (&str, &str) = ("hosts", "check = \"none\"");
const GREETED: (&str, &str) = ("hosts", "check = \"ssh\"");

/// How much.
pub struct Plan {
    /// Hosts of which the memory is measured, and which sign in again.
    some: usize,
    /// Hosts of which sshd's memory is measured: 300 are half a GiB.
    of_sshd: usize,
    /// Times that ours is killed.
    rounds: usize,
    /// Many hosts.
    many: usize,
    /// For how long idleness is looked at.
    idle: Duration,
}

impl Plan {
    /// For the record.
    pub const FULL: Self = Self { some: 2_000, of_sshd: 300, rounds: 3, many: 10_000, idle: MINUTE };
    /// For a look.
    pub const QUICK: Self = Self { some: 200, of_sshd: 50, rounds: 1, many: 1_000, idle: MINUTE };
}

/// In words.
pub fn method(plan: &Plan) -> Vec<String> {
    vec![
        "hosts are one process beside the server: an SSH client each (russh, curve25519, aes128-gcm), which shares the \
         two cores with the server, dials again 20-120 ms after it was cut, and answers what it is asked"
            .to_owned(),
        format!(
            "memory: PSS of the server's processes with all hosts up and nothing happening for {} s, less that of the server \
             without hosts, of {} hosts at portreeve and {} at sshd",
            SETTLE.as_secs(),
            plan.some,
            plan.of_sshd
        ),
        "signed in again: from `kill -9` of all of the server's processes, and its restart, until the last host's \
         forward is up"
            .to_owned(),
        format!("idle: CPU time of the server in {} s, in per cent of one core", plan.idle.as_secs()),
    ]
}

/// Measures the wanted rows; each is handed over as soon as it stands.
pub fn measure(plan: &Plan, wanted: &dyn Fn(&str) -> bool, done: &mut dyn FnMut(Row)) {
    if wanted("memory") {
        let row = Row::new(
            "memory",
            "memory of an idle session with one tunnel",
            "KiB",
            Some(if plan.some < 2_000 { Goal::ratio_at_most(1.0 / 40.0) } else { Goal::ours_at_most(45.0) }),
        );
        done(or_why(row, |r| {
            let ours = with_ours(plan.some, |ours, empty| memory(ours, empty, plan.some))?;
            let sshd = with_sshd(plan.of_sshd, |sshd, empty| memory(sshd, empty, plan.of_sshd))?;
            Ok(r.fill(vec![ours], vec![sshd]).note(&format!("the ratio's goal: 1/40; it is 1/{:.0}", sshd / ours)))
        }));
    }
    if wanted("redial") {
        let title = format!("{} hosts signed in again after kill -9 and restart", plan.some);
        let row = Row::new("redial", &title, "s", Some(Goal::ratio_at_most(1.0 / 18.0)));
        done(or_why(row, |r| {
            let mut ours = Ours::start(one_each(plan.some), &[KEEPALIVE, UNCHECKED])?;
            let swarm = all_up(&ours, plan.some)?;
            let samples = (0..plan.rounds)
                .map(|_| {
                    let began = swarm.mark();
                    ours.kill9();
                    ours.run()?;
                    Ok((swarm.wait_all(LIMIT)? - began).as_secs_f64())
                })
                .collect::<Res<Vec<_>>>()?;
            drop((swarm, ours));
            let mut sshd = Sshd::start(one_each(plan.some), &[])?;
            let swarm = all_up(&sshd, plan.some)?;
            let began = swarm.mark();
            sshd.kill9();
            sshd.run()?;
            let theirs = (swarm.wait_all(LIMIT)? - began).as_secs_f64();
            Ok(r.fill(samples, vec![theirs]).note("sshd once"))
        }));
    }
    if ["many-up", "many-memory", "many-idle", "many-checks"].iter().any(|id| wanted(id)) {
        many(plan, wanted, done);
    }
    if wanted("tunnels") {
        tunnels(plan, done);
    }
}

fn or_why(row: Row, measured: impl FnOnce(Row) -> Res<Row>) -> Row {
    let empty = row.clone();
    measured(row).unwrap_or_else(|why| empty.note(&format!("left out: {why}")))
}

fn one_each(hosts: usize) -> Size {
    Size { hosts, ports_each: 1 }
}

/// sshd reads its list of keys from the top at every sign-in, which with thousands of hosts is no fault of the server's: all
/// hosts sign in with the first.
fn all_up(server: &dyn Server, n: usize) -> Res<Swarm> {
    let mut all = hosts(server, n, 1, "localhost")?;
    if server.name() == "sshd" {
        let first = all[0].key.clone();
        all.iter_mut().for_each(|h| h.key = first.clone());
    }
    let swarm = Swarm::start(server.address(), all, THREADS);
    swarm.wait_all(LIMIT)?;
    Ok(swarm)
}

fn memory(server: &dyn Server, empty: u64, n: usize) -> Res<f64> {
    let swarm = all_up(server, n)?;
    std::thread::sleep(SETTLE);
    let full: u64 = server.workers().into_iter().filter_map(pss).sum();
    drop(swarm);
    Ok(full.saturating_sub(empty) as f64 / 1024.0 / n as f64)
}

fn with_ours(n: usize, work: impl FnOnce(&dyn Server, u64) -> Res<f64>) -> Res<f64> {
    let ours = Ours::start(one_each(n), &[KEEPALIVE, CROWD, UNCHECKED])?;
    std::thread::sleep(Duration::from_secs(1));
    let empty = pss(ours.pid()).unwrap_or(0);
    work(&ours, empty)
}

fn with_sshd(n: usize, work: impl FnOnce(&dyn Server, u64) -> Res<f64>) -> Res<f64> {
    work(&Sshd::start(one_each(n), &[])?, 0)
}

/// So many of `wanted` as the limit of open files allows, with this many descriptors for each, and what to say about it.
fn fits(wanted: usize, each: usize) -> (usize, String) {
    let hard = getrlimit(Resource::RLIMIT_NOFILE).map_or(u64::MAX, |(_, hard)| hard);
    let most = usize::try_from(hard).unwrap_or(usize::MAX).saturating_sub(OWN) / each;
    if most >= wanted {
        return (wanted, String::new());
    }
    (most, format!("{most} rather than {wanted} hosts: this machine allows a process {hard} open files"))
}

fn idle(ours: &Ours, time: Duration) -> f64 {
    let (began, before) = (Instant::now(), Cpu::now(&[ours.pid()]));
    std::thread::sleep(time);
    Cpu::now(&[ours.pid()]).since(&before) / began.elapsed().as_secs_f64() * 100.0
}

/// Ten thousand hosts with a tunnel each.
fn many(plan: &Plan, wanted: &dyn Fn(&str) -> bool, done: &mut dyn FnMut(Row)) {
    let (n, note) = fits(plan.many, 2);
    let row = |id: &str, what: &str, unit: &str, goal: f64| {
        let title = format!("{n} hosts with a tunnel each: {what}");
        Row::new(id, &title, unit, Some(Goal::ours_at_most(goal))).note(&note)
    };
    let up = row("many-up", "all up after kill -9 and restart", "s", 10.0);
    let size = row("many-memory", "memory of the daemon", "MiB", 600.0);
    let quiet = row("many-idle", "idle, keepalive at 60 s", "% of a core", 1.0);
    let checked = row("many-checks", "and health checks at 60 s", "% of a core", 10.0);
    let came = Ours::start(one_each(n), &[KEEPALIVE, CROWD, CHECKED, UNCHECKED]).and_then(|mut ours| {
        let all = hosts(&ours, n, 1, "127.0.0.1")?;
        let swarm = Swarm::start(ours.address(), all, THREADS);
        swarm.wait_all(LIMIT)?;
        let began = swarm.mark();
        ours.kill9();
        ours.run()?;
        let took = (swarm.wait_all(LIMIT)? - began).as_secs_f64();
        Ok((ours, swarm, took))
    });
    let (ours, swarm, took) = match came {
        Ok(all) => all,
        Err(why) => return done(up.note(&format!("left out, as are its fellows: {why}"))),
    };
    done(up.fill(vec![took], Vec::new()));
    std::thread::sleep(SETTLE);
    if wanted("many-memory") {
        done(size.fill(vec![pss(ours.pid()).unwrap_or(0) as f64 / f64::from(1 << 20)], Vec::new()));
    }
    if wanted("many-idle") {
        done(quiet.fill(vec![idle(&ours, plan.idle)], Vec::new()));
    }
    if wanted("many-checks") {
        done(or_why(checked, |r| {
            ours.configure(&[KEEPALIVE, CROWD, CHECKED, GREETED])?;
            ours.reload()?;
            // Within a minute, each begins.
            std::thread::sleep(Duration::from_secs(65));
            let visits = swarm.tally().visits;
            let used = idle(&ours, plan.idle);
            let checks = swarm.tally().visits - visits;
            Ok(r.fill(vec![used], Vec::new()).note(&format!("{checks} checks meanwhile")))
        }));
    }
}

/// Ten thousand tunnels, three for each host.
fn tunnels(plan: &Plan, done: &mut dyn FnMut(Row)) {
    const EACH: u16 = 3;
    let size = Size { hosts: plan.many.div_ceil(EACH.into()), ports_each: EACH };
    let (n, all) = (size.hosts, size.hosts * usize::from(EACH));
    let title = format!("{all} tunnels of {n} hosts: all up after kill -9 and restart");
    let row = Row::new("tunnels", &title, "s", Some(Goal::ours_at_most(10.0)));
    done(or_why(row, |r| {
        let mut ours = Ours::start(size, &[KEEPALIVE, CROWD, UNCHECKED])?;
        let swarm = Swarm::start(ours.address(), hosts(&ours, n, EACH, "127.0.0.1")?, THREADS);
        swarm.wait_all(LIMIT)?;
        let began = swarm.mark();
        ours.kill9();
        ours.run()?;
        let took = (swarm.wait_all(LIMIT)? - began).as_secs_f64();
        std::thread::sleep(SETTLE);
        let mib = pss(ours.pid()).unwrap_or(0) as f64 / f64::from(1 << 20);
        Ok(r.fill(vec![took], Vec::new()).note(&format!("{mib:.0} MiB")))
    }));
}
