//! Attacks on the daemon, from before the version string to after the sign-in, while a stock client signs in every second and
//! a transfer of 50 MB/s goes on; and mutated handshakes and messages by the hundred thousand. `benches/run --abuse`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::cast_precision_loss,
    missing_docs,
    reason = "a driver at a terminal, not the daemon: it prints, and a wrong assumption may end it"
)]

#[path = "../common/mod.rs"]
mod common;
#[path = "../../tests/common/mutate.rs"]
mod spoilt;
#[path = "../../tests/common/wire.rs"]
mod wire;

mod after;
mod before;
mod mutate;
mod watch;
mod world;

use clap::Parser;
use common::machine::Machine;
use common::{Res, swarm};
use std::process::ExitCode;
use std::time::Duration;

/// Attacks portreeve, and prints what became of it.
#[derive(Parser)]
#[command(name = "benches/run --abuse")]
struct Args {
    /// Seconds for each attack
    #[arg(long, default_value_t = 10)]
    seconds: u64,
    /// Only attacks whose name has one of these words, e.g. "rekey|flood"
    #[arg(long, value_name = "WORDS")]
    rows: Option<String>,
    /// Instead: so many mutated handshakes and messages
    #[arg(long, value_name = "N")]
    mutate: Option<u64>,
    /// Repeats a run of --mutate
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Two seconds for each attack
    #[arg(long)]
    quick: bool,
    /// What cargo bench adds
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> ExitCode {
    swarm::raise_file_limit();
    let args = Args::parse();
    common::end(match args.mutate {
        Some(n) => mutate::run(n, args.seed),
        None => attacks(&args),
    })
}

fn attacks(args: &Args) -> Res<()> {
    let time = Duration::from_secs(if args.quick { 2 } else { args.seconds });
    let wanted = |name: &str| args.rows.as_ref().is_none_or(|r| r.split('|').any(|w| name.contains(w)));
    let machine = Machine::look();
    println!("{} · {} · {} · {}", machine.cpu, machine.kernel, machine.portreeve, machine.when);
    println!(
        "\n| attack | tried | what happened | memory at the peak, MiB (before) | CPU at the peak, % of a core | sign-ins of stock ssh, slowest | transfer, least MB/s | in the audit |"
    );
    println!("|---|---|---|---|---|---|---|---|");
    let mut bad = Vec::new();
    let all = before::ATTACKS.iter().chain(after::ATTACKS);
    for (name, attack) in all.filter(|(name, _)| wanted(name)) {
        // A bastion of its own for each, so that none inherits what the one before has left.
        let world = world::World::start()?;
        let watch = watch::Watch::start(&world)?;
        let told = attack(&world, time);
        let seen = watch.stop();
        let audit = world.audit();
        let told = told.unwrap_or_else(|why| world::Told { tried: 0, what: format!("FAILED: {why}") });
        let row = format!(
            "| {name} | {} | {} | {:.0} ({:.0}) | {:.0} | {} of {}, {:.0} ms | {:.0} | {audit} |",
            told.tried,
            told.what,
            seen.rss,
            seen.rss_before,
            seen.cpu,
            seen.logins_good,
            seen.logins,
            seen.slowest,
            seen.least
        );
        println!("{row}");
        if seen.logins_good < seen.logins || told.what.starts_with("FAILED") || world.panicked() {
            bad.push(*name);
        }
    }
    if bad.is_empty() { Ok(()) } else { Err(format!("not held: {}", bad.join(", "))) }
}
