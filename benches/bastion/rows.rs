//! The rows of the table: what each measures, its goal, and how its figures come about.

use crate::bulk::{self, Load, Speed};
use crate::common::report::{Goal, Row};
use crate::common::{Res, Server};
use crate::peer::{Direct, OverSsh, Peer, Way};
use crate::runs::{Plan, Run, Stage, alternate};
use crate::{handshakes, light, ping, visits};

/// The cipher of all rows that do not say another.
pub const CIPHER: &str = "aes128-gcm@openssh.com";

struct Transfer {
    id: &'static str,
    load: Load,
    /// Of throughput, ours ÷ sshd.
    goal: f64,
    /// Of CPU seconds per GB, where that is a row too.
    cpu: Option<Option<f64>>,
}

const fn transfer(
    id: &'static str,
    cipher: &'static str,
    clients: usize,
    streams: usize,
    way: Way,
    goal: f64,
) -> Transfer {
    Transfer { id, load: Load { cipher, clients, streams, way }, goal, cpu: None }
}

impl Transfer {
    const fn with_cpu(mut self, goal: Option<f64>) -> Self {
        self.cpu = Some(goal);
        self
    }

    fn what(&self) -> String {
        let Load { cipher, clients, streams, way } = self.load;
        let cipher = cipher.trim_end_matches("@openssh.com");
        let streams = match (clients, streams) {
            (1, 1) => "1 stream".to_owned(),
            (1, n) => format!("{n} streams"),
            (n, _) => format!("{n} clients at once"),
        };
        format!("{}, {cipher}, {streams}", way.arrow())
    }
}

const TRANSFERS: &[Transfer] = &[
    transfer("up-1", CIPHER, 1, 1, Way::Up, 1.35).with_cpu(Some(0.52)),
    transfer("up-8", CIPHER, 1, 8, Way::Up, 1.4).with_cpu(None),
    transfer("down-1", CIPHER, 1, 1, Way::Down, 1.08).with_cpu(Some(0.78)),
    transfer("down-8", CIPHER, 1, 8, Way::Down, 1.2).with_cpu(None),
    transfer("four-up", CIPHER, 4, 1, Way::Up, 1.2),
    transfer("four-down", CIPHER, 4, 1, Way::Down, 1.05),
    transfer("aes256-up", "aes256-gcm@openssh.com", 1, 1, Way::Up, 1.2),
    transfer("aes256-down", "aes256-gcm@openssh.com", 1, 1, Way::Down, 1.05),
    transfer("chacha-up", "chacha20-poly1305@openssh.com", 1, 1, Way::Up, 1.2),
    transfer("chacha-down", "chacha20-poly1305@openssh.com", 1, 1, Way::Down, 1.05),
];

/// Measures the wanted rows in order, and hands each over as soon as it stands.
pub fn measure(stage: &Stage<'_>, others: &[&dyn Peer], wanted: &dyn Fn(&str) -> bool, done: &mut dyn FnMut(Row)) {
    let mut late = Vec::new();
    for case in TRANSFERS {
        let cpu_id = format!("cpu-{}", case.id);
        let wants_cpu = case.cpu.is_some() && wanted(&cpu_id);
        if !wanted(case.id) && !wants_cpu {
            continue;
        }
        let (speed, cpu) = transfers(stage, others, case);
        if wanted(case.id) {
            done(speed);
        }
        if wants_cpu {
            late.extend(cpu);
        }
    }
    late.into_iter().for_each(&mut *done);
    if wanted("ping-p50") || wanted("ping-p99") {
        let [p50, p99] = pings(stage, others, None);
        [p50, p99].into_iter().filter(|r| wanted(&r.id)).for_each(&mut *done);
    }
    if wanted("ping-busy-p50") || wanted("ping-busy-p99") {
        let [p50, p99] = pings(stage, &[], Some(Way::Up));
        [p50, p99].into_iter().filter(|r| wanted(&r.id)).for_each(&mut *done);
    }
    if wanted("visits") {
        done(new_visitors(stage, others));
    }
    if wanted("handshakes") {
        done(light_sign_ins(stage));
    }
    if wanted("handshakes-ssh") {
        done(sign_ins(stage));
    }
}

/// sshd, ours, and whoever else: in this order in every round.
fn in_turn<T>(
    stage: &Stage<'_>,
    others: &[&dyn Peer],
    run: impl Fn(&dyn Peer, &Plan, bool) -> Res<T>,
) -> Vec<Res<Vec<T>>> {
    let (sshd, ours) = (OverSsh(stage.sshd), OverSsh(stage.ours));
    let peers: Vec<&dyn Peer> = [&sshd as &dyn Peer, &ours].into_iter().chain(others.iter().copied()).collect();
    let run = &run;
    let runs: Vec<Run<'_, T>> =
        peers.iter().map(|p| Box::new(move |warm| run(*p, &stage.plan, warm)) as Run<'_, T>).collect();
    alternate(stage.plan.rounds, &runs)
}

/// Puts the results of [`in_turn`] into a row, reasons of failures into its note.
fn filled<T>(mut row: Row, others: &[&dyn Peer], results: &[Res<Vec<T>>], pick: impl Fn(&T) -> f64) -> Row {
    let mut samples = Vec::new();
    for (name, result) in ["sshd", "portreeve"].into_iter().chain(others.iter().map(|o| o.name())).zip(results) {
        samples.push(match result {
            Ok(all) => all.iter().map(&pick).collect(),
            Err(why) => {
                row = row.note(&format!("{name} left out: {}", short(why)));
                Vec::new()
            }
        });
    }
    let mut samples = samples.into_iter();
    let (sshd, ours) = (samples.next().unwrap_or_default(), samples.next().unwrap_or_default());
    let row = row.fill(ours, sshd);
    others.iter().zip(samples).fold(row, |row, (other, samples)| row.other(other.name(), samples))
}

/// The part of a reason that fits a table.
fn short(why: &str) -> String {
    let first = why.lines().next().unwrap_or_default().replace('|', "/");
    match first.split_once("Their offer") {
        Some((refused, _)) => refused.trim_end_matches([' ', '.']).to_owned(),
        None => first.chars().take(160).collect(),
    }
}

fn transfers(stage: &Stage<'_>, others: &[&dyn Peer], case: &Transfer) -> (Row, Option<Row>) {
    // The others have one cipher or none, so they stand in the rows of one only.
    let others = if case.load.cipher == CIPHER { others } else { &[] };
    let results =
        in_turn(stage, others, |peer, plan, warm| bulk::run(peer, case.load, if warm { plan.warm } else { plan.bulk }));
    let what = case.what();
    let speed = Row::new(case.id, &format!("throughput {what}"), "MB/s", Some(Goal::ratio_at_least(case.goal)));
    let speed = filled(speed, others, &results, |s: &Speed| s.mb_s);
    let cpu = case.cpu.map(|goal| {
        let row = Row::new(
            &format!("cpu-{}", case.id),
            &format!("server CPU per GB {what}"),
            "s/GB",
            goal.map(Goal::ratio_at_most),
        );
        filled(row, others, &results, |s: &Speed| s.cpu_gb)
    });
    (speed, cpu)
}

fn pings(stage: &Stage<'_>, others: &[&dyn Peer], beside: Option<Way>) -> [Row; 2] {
    let results = in_turn(stage, others, |peer, plan, warm| {
        let mut stint = if beside.is_some() { plan.busy_ping } else { plan.ping };
        if warm {
            stint.count /= 10;
        }
        ping::run(peer, CIPHER, beside, stint)
    });
    let counts = results.iter().flatten().flatten().map(|t| t.count);
    let fewest = format!("at least {} round trips a run", counts.min().unwrap_or(0));
    let (id, what, goals) = match beside {
        None => ("ping", "1-byte ping-pong".to_owned(), [Some(0.93), Some(0.95)]),
        Some(way) => ("ping-busy", format!("the same beside a bulk {} stream", way.arrow()), [None, Some(1.0)]),
    };
    let row = |name: &str, goal: Option<f64>| {
        let goal = goal.map(Goal::ratio_at_most);
        Row::new(&format!("{id}-{name}"), &format!("{what}, {name}"), "µs", goal).note(&fewest)
    };
    [
        filled(row("p50", goals[0]), others, &results, |t: &ping::Times| t.p50),
        filled(row("p99", goals[1]), others, &results, |t: &ping::Times| t.p99),
    ]
}

fn new_visitors(stage: &Stage<'_>, others: &[&dyn Peer]) -> Row {
    let with_direct: Vec<&dyn Peer> = std::iter::once(&Direct as &dyn Peer).chain(others.iter().copied()).collect();
    let results = in_turn(stage, &with_direct, |peer, plan, warm| {
        visits::run(peer, CIPHER, if warm { plan.visits / 4 } else { plan.visits })
    });
    let title = format!("new visitors per second, {} at once", visits::AT_ONCE);
    let row =
        filled(Row::new("visits", &title, "1/s", Some(Goal::ratio_at_least(0.33))), &with_direct, &results, |n| *n);
    // The ratio of this row is to direct TCP; sshd stands beside it.
    let Some(direct) = row.others.iter().position(|o| o.name == Direct.name()) else { return row };
    let mut row = row.against(Direct.name());
    let direct = row.others.remove(direct).samples;
    let (ours, sshd) = (std::mem::take(&mut row.ours), std::mem::take(&mut row.peer));
    row.fill(ours, direct).other("sshd", sshd)
}

fn sign_ins(stage: &Stage<'_>) -> Row {
    let run = |server| {
        Box::new(move |warm| handshakes::run(server, if warm { handshakes::AT_ONCE } else { stage.plan.handshakes }))
            as Run<'_, f64>
    };
    let results = alternate(stage.plan.rounds, &[run(stage.sshd), run(stage.ours)]);
    let title = format!("handshakes per second, stock ssh -R until the forward is up, {} at once", handshakes::AT_ONCE);
    let row = Row::new("handshakes-ssh", &title, "1/s", None);
    filled(row, &[], &results, |n| *n).note("curve25519 for both; most of the time is the client's")
}

fn light_sign_ins(stage: &Stage<'_>) -> Row {
    let count = |server: &str, warm: bool| match (warm, server) {
        (true, _) => handshakes::AT_ONCE,
        (false, "sshd") => stage.plan.handshakes,
        // The faster one needs more for a run of the same length.
        (false, _) => stage.plan.handshakes * 8,
    };
    let count = &count;
    let run = |server| {
        let server: &dyn Server = server;
        Box::new(move |warm| light::run(server, count(server.name(), warm))) as Run<'_, f64>
    };
    let results = alternate(stage.plan.rounds, &[run(stage.sshd), run(stage.ours)]);
    let title =
        format!("handshakes per second, light client, until the forward is up, {} at once", handshakes::AT_ONCE);
    let row = Row::new("handshakes", &title, "1/s", Some(Goal::ratio_at_least(15.0)));
    filled(row, &[], &results, |n| *n).note("one client for both, russh's on one thread; curve25519")
}
