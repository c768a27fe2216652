//! Many hosts: how much memory a session costs, how fast all come back after a crash, what they cost while nothing
//! happens, and whether they hold. `benches/run --hosts` starts it, and `benches/run hold MINUTES`.

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

mod hold;
mod rows;

use clap::{Parser, Subcommand};
use common::machine::Machine;
use common::report::{Report, figure, fill_region};
use common::{Res, measure, swarm};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

/// Measures portreeve with many hosts, beside sshd.
#[derive(Parser)]
#[command(name = "benches/run --hosts")]
struct Args {
    #[command(subcommand)]
    what: Option<What>,
    /// A tenth of the hosts, and shorter looks
    #[arg(long)]
    quick: bool,
    /// Only rows whose id has one of these words, e.g. "memory|redial"
    #[arg(long, value_name = "WORDS")]
    rows: Option<String>,
    /// Where the JSON goes
    #[arg(long, value_name = "FILE.json", default_value = "target/benches/hosts.json")]
    out: PathBuf,
    /// Fill docs/performance.md with the table
    #[arg(long)]
    write_docs: bool,
    /// What cargo bench adds
    #[arg(long, hide = true, global = true)]
    bench: bool,
}

#[derive(Subcommand)]
enum What {
    /// Holds tunnels for some minutes, with a console on them
    Hold(hold::Args),
}

fn main() -> ExitCode {
    swarm::raise_file_limit();
    let args = Args::parse();
    let done = match &args.what {
        Some(What::Hold(hold)) => hold::hold(hold),
        None => table(&args),
    };
    common::end(done)
}

fn table(args: &Args) -> Res<()> {
    let began = Instant::now();
    let words: Vec<&str> = args.rows.iter().flat_map(|r| r.split('|')).collect();
    let wanted = |id: &str| words.is_empty() || words.iter().any(|w| id.contains(w));
    let plan = if args.quick { rows::Plan::QUICK } else { rows::Plan::FULL };
    let mut rows = Vec::new();
    rows::measure(&plan, &wanted, &mut |row| {
        let middle = |samples| figure(measure::median(samples));
        let (ours, peer) = (middle(&row.ours), middle(&row.peer));
        eprintln!("{:6.1} s  {:16} {ours:>8} {peer:>8}  {}", began.elapsed().as_secs_f64(), row.id, row.unit);
        rows.push(row);
    });
    let report = Report { machine: Machine::look(), method: rows::method(&plan), quick: args.quick, rows };
    println!("{}\n{}", report.head(), report.table());
    report.save(&args.out)?;
    eprintln!("{:6.1} s in all; the figures of each run: {}", began.elapsed().as_secs_f64(), args.out.display());
    if args.write_docs {
        let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/performance.md");
        fill_region(&page, "hosts", &format!("{}\n{}", report.head(), report.table()))?;
    }
    Ok(())
}
