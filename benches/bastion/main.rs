//! Benchmarks of one bastion beside sshd: throughput, CPU, latency, visitors, handshakes. `benches/run` starts it.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::print_stderr,
    missing_docs,
    reason = "a driver at a terminal, not the daemon: it prints, and a wrong assumption may end it"
)]

#[path = "../common/mod.rs"]
mod common;

mod bulk;
mod handshakes;
mod light;
mod others;
mod peer;
mod ping;
mod plot;
mod profile;
mod rows;
mod runs;
mod visits;

use clap::Parser;
use common::machine::Machine;
use common::ours::Ours;
use common::report::{Report, figure, fill_region};
use common::sshd::Sshd;
use common::{Res, Size, measure};
use peer::{Peer, Way};
use runs::{Plan, Stage};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

/// Measures portreeve beside sshd.
#[derive(Parser)]
#[command(name = "benches/run")]
struct Args {
    /// Fewer and shorter runs: a look in two minutes
    #[arg(long)]
    quick: bool,
    /// Only rows whose id has one of these words, e.g. "up-8|ping"
    #[arg(long, value_name = "WORDS")]
    rows: Option<String>,
    /// Where the JSON goes
    #[arg(long, value_name = "FILE.json", default_value = "target/benches/bastion.json")]
    out: PathBuf,
    /// Put rathole and bore into the table too (benches/run builds them, into target/peers)
    #[arg(long)]
    peers: bool,
    /// Fill docs/performance.md with what is measured, the table or the plot
    #[arg(long)]
    write_docs: bool,
    /// Not the table: measure and draw how cost grows with visitors and sessions
    #[arg(long, value_name = "FILE.svg", num_args = 0..=1, default_missing_value = "docs/pictures/cost.svg")]
    plot: Option<PathBuf>,
    /// Not the table: a transfer under perf record (benches/flame)
    #[arg(long, value_name = "FILE", hide = true)]
    perf: Option<PathBuf>,
    /// With --perf: from hosts to visitors
    #[arg(long, hide = true)]
    down: bool,
    /// With --perf: streams
    #[arg(long, hide = true, default_value_t = 1)]
    streams: usize,
    /// What cargo bench adds
    #[arg(long, hide = true)]
    bench: bool,
}

/// All that a row asks for: on a machine with AES instructions, chacha20 is not offered otherwise.
const CIPHERS: (&str, &str) =
    ("ssh", r#"ciphers = ["aes128-gcm@openssh.com", "aes256-gcm@openssh.com", "chacha20-poly1305@openssh.com"]"#);

fn main() -> ExitCode {
    common::end(run(&Args::parse()))
}

fn run(args: &Args) -> Res<()> {
    if let Some(to) = &args.perf {
        return profile::record(to, if args.down { Way::Down } else { Way::Up }, args.streams);
    }
    let size = Size { hosts: handshakes::AT_ONCE, ports_each: handshakes::PORTS };
    let sshd = Sshd::start(size, &[])?;
    let ours = Ours::start(size, &[CIPHERS])?;
    let stage = Stage { sshd: &sshd, ours: &ours, plan: if args.quick { Plan::QUICK } else { Plan::FULL } };
    match &args.plot {
        Some(to) => plot(args, &stage, to),
        None => table(args, &stage),
    }
}

fn table(args: &Args, stage: &Stage<'_>) -> Res<()> {
    let began = Instant::now();
    let words: Vec<&str> = args.rows.iter().flat_map(|r| r.split('|')).collect();
    let wanted = |id: &str| words.is_empty() || words.iter().any(|w| id.contains(w));
    let (others, versions) = if args.peers { others::installed() } else { Default::default() };
    let others: Vec<&dyn Peer> = others.iter().map(AsRef::as_ref).collect();
    let mut rows = Vec::new();
    rows::measure(stage, &others, &wanted, &mut |row| {
        let ratio = row.ratio.map_or("–".to_owned(), figure);
        let middle = |samples| figure(measure::median(samples));
        let (ours, peer) = (middle(&row.ours), middle(&row.peer));
        eprintln!("{:6.1} s  {:14} {ours:>8} {peer:>8}  ratio {ratio}", began.elapsed().as_secs_f64(), row.id);
        rows.push(row);
    });
    let mut method = method(&stage.plan);
    if !versions.is_empty() {
        method.push(format!("other tunnels, which are not SSH: {}; not encrypted but for Noise", versions.join(", ")));
    }
    let report = Report { machine: Machine::look(), method, quick: args.quick, rows };
    println!("{}\n{}", report.head(), report.table());
    report.save(&args.out)?;
    eprintln!("{:6.1} s in all; the figures of each run: {}", began.elapsed().as_secs_f64(), args.out.display());
    if args.write_docs {
        fill_region(&page(), "bastion", &format!("{}\n{}", report.head(), report.table()))?;
    }
    Ok(())
}

fn plot(args: &Args, stage: &Stage<'_>, to: &Path) -> Res<()> {
    let panels = plot::measure(stage)?;
    println!("{}", plot::table(&panels));
    plot::draw(&panels, to)?;
    eprintln!("drawn: {}", to.display());
    if args.write_docs {
        let picture = "![CPU seconds for each gigabyte, over visitors and sessions](pictures/cost.svg)";
        fill_region(&page(), "cost", &format!("{picture}\n\n{}", plot::table(&panels)))
    } else {
        Ok(())
    }
}

fn page() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/performance.md")
}

fn method(plan: &Plan) -> Vec<String> {
    vec![
        format!(
            "stock `ssh -N -R` over loopback; the peers take turns, one run each that is not counted, then {} that are; \
             figures are medians, ± is the run farthest from it",
            plan.rounds
        ),
        format!(
            "throughput: bytes that arrived in {:.1} s of steady transfer, after a ramp of 0.3 s; visitors and services are \
             threads of the driver with plain blocking sockets, the same for every peer",
            plan.bulk.as_secs_f64()
        ),
        "server CPU: user and kernel time of the daemon, or of sshd's session processes, over the same bytes (GB = 10⁹)".to_owned(),
    ]
}
