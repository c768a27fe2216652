//! What the console costs and how fast it answers, on ten thousand tunnels. `benches/run --console` starts it.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::cast_precision_loss,
    missing_docs,
    reason = "a driver at a terminal, not the daemon: it prints, and a wrong assumption may end it"
)]

#[path = "../common/mod.rs"]
mod common;

mod ticks;

use clap::Parser;
use common::machine::Machine;
use common::measure::{Cpu, median, percentile};
use common::ours::Ours;
use common::report::{Goal, Report, Row, figure, fill_region};
use common::screen::{COLUMNS, ROWS, Screen, local};
use common::swarm::{Swarm, hosts, raise_file_limit};
use common::{Res, Server, Size, at};
use portable_pty::CommandBuilder;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};
use ticks::Ticks;

/// Measures the console.
#[derive(Parser)]
#[command(name = "benches/run --console")]
struct Args {
    /// A tenth of the tunnels, and shorter looks
    #[arg(long)]
    quick: bool,
    /// Only rows whose id has one of these words, e.g. "start|idle"
    #[arg(long, value_name = "WORDS")]
    rows: Option<String>,
    /// Where the JSON goes
    #[arg(long, value_name = "FILE.json", default_value = "target/benches/console.json")]
    out: PathBuf,
    /// Fill docs/performance.md with the table
    #[arg(long)]
    write_docs: bool,
    /// What cargo bench adds
    #[arg(long, hide = true)]
    bench: bool,
}

struct Plan {
    hosts: usize,
    starts: usize,
    keys: usize,
    look: Duration,
}

/// Tunnels of each host.
const EACH: u16 = 3;
/// So many rows change each second while keys are pressed.
const BUSY: usize = 1_000;
/// And while bytes are counted.
const SOME: usize = 100;
/// Between two keys: they are to fall anywhere between two pushes of the daemon.
const PAUSE: Duration = Duration::from_millis(37);

fn main() -> ExitCode {
    raise_file_limit();
    common::end(table(&Args::parse()))
}

fn table(args: &Args) -> Res<()> {
    let began = Instant::now();
    let words: Vec<&str> = args.rows.iter().flat_map(|r| r.split('|')).collect();
    let wanted = |id: &str| words.is_empty() || words.iter().any(|w| id.contains(w));
    let plan = if args.quick {
        Plan { hosts: 334, starts: 5, keys: 100, look: Duration::from_secs(10) }
    } else {
        Plan { hosts: 3_334, starts: 11, keys: 400, look: Duration::from_secs(30) }
    };
    let size = Size { hosts: plan.hosts, ports_each: EACH };
    let settings = [
        ("ssh", "keepalive_interval = \"60s\""),
        ("ssh", "max_unauthenticated = 50000"),
        ("hosts", "check = \"none\""),
    ];
    let ours = Ours::start(size, &settings)?;
    let swarm = Swarm::start(ours.address(), hosts(&ours, size.hosts, EACH, "127.0.0.1")?, 2);
    swarm.wait_all(Duration::from_secs(120))?;
    eprintln!("{:6.1} s  {} tunnels are up", began.elapsed().as_secs_f64(), tunnels(&plan));
    // What signing in leaves to be done.
    std::thread::sleep(Duration::from_secs(12));

    let mut rows: Vec<Row> = Vec::new();
    let mut done = |row: Row| {
        eprintln!(
            "{:6.1} s  {:10} {:>8}  {}",
            began.elapsed().as_secs_f64(),
            row.id,
            figure(median(&row.ours)),
            row.unit
        );
        rows.push(row);
    };
    if wanted("start") {
        done(start(&ours, &plan)?);
    }
    if wanted("idle") {
        idle(&ours, &plan, &mut done)?;
    }
    if wanted("keys") || wanted("filter") {
        keys(&ours, &plan, &mut done)?;
    }
    if wanted("bytes") || wanted("attached") {
        attached(&ours, &plan, &mut done)?;
    }
    let report = Report { machine: Machine::look(), method: method(&plan), quick: args.quick, rows };
    println!("{}\n{}", report.head(), report.table());
    report.save(&args.out)?;
    if args.write_docs {
        let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/performance.md");
        fill_region(&page, "console", &format!("{}\n{}", report.head(), report.table()))?;
    }
    Ok(())
}

fn tunnels(plan: &Plan) -> usize {
    plan.hosts * usize::from(EACH)
}

fn method(plan: &Plan) -> Vec<String> {
    vec![
        format!(
            "{} tunnels of {} hosts, a terminal of {COLUMNS}×{ROWS} that is read at once; the hosts share the two cores",
            tunnels(plan),
            plan.hosts
        ),
        "a row changes: a visitor's byte goes through its tunnel once a second; those on the screen are among them"
            .to_owned(),
        "start: from the program's start until triage, its home, stands on the screen".to_owned(),
        format!(
            "a key: from its being written to the terminal until the frame that shows it has been read, {} times, {} ms \
             apart; the goal is for the 99th percentile",
            plan.keys,
            PAUSE.as_millis()
        ),
        format!("CPU time over {} s; of the daemon less what it used without a console", plan.look.as_secs()),
    ]
}

fn start(ours: &Ours, plan: &Plan) -> Res<Row> {
    let up = format!("{n} of {n} tunnels up", n = tunnels(plan));
    let mut samples = Vec::new();
    for _ in 0..plan.starts {
        let began = Instant::now();
        let screen = Screen::run(local(&ours.socket()))?;
        screen.wait("all tunnels are up", |s| s.contents().contains(&up))?;
        samples.push(began.elapsed().as_secs_f64() * 1_000.0);
    }
    let row =
        Row::new("start", "start to the first full frame, on the Unix socket", "ms", Some(Goal::ours_at_most(150.0)));
    Ok(row.fill(samples, vec![]))
}

fn idle(ours: &Ours, plan: &Plan, done: &mut dyn FnMut(Row)) -> Res<()> {
    let screen = Screen::run(local(&ours.socket()))?;
    screen.wait("all is well", |s| s.contents().contains("all well"))?;
    let mut drawn = screen.drawn();
    // The first line has a clock of minutes: what it draws is counted from one minute to the next, without that.
    let minute = Instant::now();
    while screen.drawn() == drawn && minute.elapsed() < Duration::from_secs(61) {
        std::thread::sleep(Duration::from_millis(20));
    }
    std::thread::sleep(Duration::from_secs(1));
    drawn = screen.drawn();
    let before = Cpu::now(&[screen.pid()]);
    std::thread::sleep(plan.look);
    let used = Cpu::now(&[screen.pid()]).since(&before) / plan.look.as_secs_f64() * 100.0;
    let title = "console, tunnels quiet: CPU";
    done(Row::new("idle", title, "% of a core", Some(Goal::ours_at_most(0.5))).fill(vec![used], vec![]));
    let bytes = (screen.drawn() - drawn) as f64;
    let row = Row::new("idle-bytes", "the same: written to the terminal", "bytes", Some(Goal::ours_at_most(0.0)));
    done(row.fill(vec![bytes], vec![]).note("between two minutes of the clock in its first line"));
    Ok(())
}

/// The line that the cursor of the list is on.
fn cursor(s: &vt100::Screen) -> Option<usize> {
    s.contents().lines().position(|l| l.starts_with('▸'))
}

fn keys(ours: &Ours, plan: &Plan, done: &mut dyn FnMut(Row)) -> Res<()> {
    let _ticks = Ticks::start(&ports(ours, plan, BUSY.min(tunnels(plan) / 3)))?;
    let mut screen = Screen::attach(&ours.socket())?;
    screen.wait("the list", |s| cursor(s).is_some())?;
    // All ticks are seen at least once.
    std::thread::sleep(Duration::from_secs(2));
    let mut samples = Vec::new();
    for n in 0..plan.keys {
        let was = cursor_of(&screen)?;
        let began = Instant::now();
        screen.press(if n % 20 < 10 { "j" } else { "k" })?;
        screen.wait("the cursor has moved", |s| cursor(s).is_some_and(|c| c != was))?;
        samples.push(began.elapsed().as_secs_f64() * 1_000.0);
        std::thread::sleep(PAUSE);
    }
    let title = format!("key to frame, {} rows change each second: p99", BUSY.min(tunnels(plan) / 3));
    done(percentiles("keys", &title, &samples));
    // Each stroke narrows ten thousand rows.
    let words = ["h1", "h33", "team=bench h2", "port=1", "up h19"];
    let mut samples = Vec::new();
    for n in 0..plan.keys / 40 {
        screen.press("/")?;
        screen
            .wait("the filter's line", |s| s.contents().lines().any(|l| l.trim_end() == "/" || l.starts_with("/ ")))?;
        let mut typed = "/ ".to_owned();
        for letter in words[n % words.len()].chars() {
            typed.push(letter);
            let began = Instant::now();
            screen.press(&letter.to_string())?;
            let shown = typed.trim_end().to_owned();
            screen.wait("what was typed", |s| s.contents().lines().any(|l| l.starts_with(&shown)))?;
            if letter != ' ' {
                samples.push(began.elapsed().as_secs_f64() * 1_000.0);
            }
            std::thread::sleep(PAUSE);
        }
        screen.press("\x1b")?;
        std::thread::sleep(Duration::from_millis(200));
        screen.press("\x1b")?;
        screen.wait("no filter", |s| !s.contents().contains("filter:"))?;
    }
    done(percentiles("filter", "a key of a filter over all rows, same load: p99", &samples));
    Ok(())
}

fn cursor_of(screen: &Screen) -> Res<usize> {
    let seen = std::cell::Cell::new(None);
    screen.wait("a cursor", |s| {
        seen.set(cursor(s));
        seen.get().is_some()
    })?;
    seen.get().ok_or_else(|| "no cursor".to_owned())
}

fn percentiles(id: &str, title: &str, samples: &[f64]) -> Row {
    let p = |n| percentile(samples, n);
    Row::new(id, title, "ms", Some(Goal::ours_at_most(16.0))).fill(vec![p(99.0)], vec![]).note(&format!(
        "median {:.1}, worst {:.1}, of {}",
        p(50.0),
        p(100.0),
        samples.len()
    ))
}

fn attached(ours: &Ours, plan: &Plan, done: &mut dyn FnMut(Row)) -> Res<()> {
    let _ticks = Ticks::start(&ports(ours, plan, SOME))?;
    let cpu = || {
        let before = Cpu::now(&[ours.pid()]);
        std::thread::sleep(plan.look);
        Cpu::now(&[ours.pid()]).since(&before) / plan.look.as_secs_f64() * 100.0
    };
    let alone = cpu();
    let screen = Screen::attach(&ours.socket())?;
    screen.wait("the list", |s| cursor(s).is_some())?;
    std::thread::sleep(Duration::from_secs(2));
    let with = cpu();
    drop(screen);
    let title = format!("daemon: one console attached, {SOME} rows change each second");
    let row = Row::new("attached", &title, "% of a core", Some(Goal::ours_at_most(1.0)));
    done(row.fill(vec![with - alone], vec![]).note(&format!("{alone:.2} without, {with:.2} with")));

    let mut ssh = CommandBuilder::new("ssh");
    let address = ours.address();
    for option in ["StrictHostKeyChecking=no", "UserKnownHostsFile=/dev/null", "IdentitiesOnly=yes", "LogLevel=ERROR"] {
        ssh.args(["-o", option]);
    }
    ssh.args(["-F", "none", "-tt", "-i"]);
    ssh.arg(ours.operator_key());
    ssh.args(["-p", &address.port().to_string(), &format!("ops@{}", address.ip())]);
    let mut screen = Screen::run(ssh)?;
    screen.wait("the console over SSH", |s| s.contents().contains("1 triage"))?;
    screen.press("2")?;
    screen.wait("the list", |s| cursor(s).is_some())?;
    std::thread::sleep(Duration::from_secs(2));
    let (bytes, frames) = (screen.drawn(), screen.frames());
    std::thread::sleep(plan.look);
    let (bytes, frames) = ((screen.drawn() - bytes) as f64, (screen.frames() - frames) as f64);
    let title = format!("bytes a frame over SSH, {SOME} rows change each second");
    let row = Row::new("bytes", &title, "bytes", Some(Goal::ours_at_most(4096.0)));
    let rate = frames / plan.look.as_secs_f64();
    done(
        row.fill(vec![bytes / frames], vec![])
            .note(&format!("{rate:.1} frames a second; all {SOME} at the top of the list")),
    );
    Ok(())
}

/// The first ports: those that the list begins with.
fn ports(ours: &Ours, plan: &Plan, n: usize) -> Vec<u16> {
    let all = (0..plan.hosts).flat_map(|h| (0..EACH).map(move |p| ours.port(h, p)));
    all.take(n).collect()
}
