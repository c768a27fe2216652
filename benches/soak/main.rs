//! The soak: the real daemon with stock OpenSSH clients, everything at once, every byte checked, for as long as one
//! likes; and the leak check: very many short visits on one session. `tests/soak` runs it; docs/architecture.md tells more.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)] // As in tests.
#![allow(clippy::print_stdout, clippy::print_stderr)] // Its screen is its user's.
#![allow(missing_docs)]

#[path = "../../tests/common/mod.rs"]
mod common;

mod chaos;
mod daemon;
mod hosts;
mod leak;
mod ledger;
mod mixed;
mod operators;
mod process;
mod service;
mod stream;
mod tally;
mod visit;
mod world;

use clap::Parser;
use common::ports;
use std::path::PathBuf;

/// Soaks portreeve: everything at once, with faults, every byte checked.
#[derive(Debug, Parser)]
#[command(name = "tests/soak")]
pub struct Options {
    /// How long; fractions are fine
    #[arg(required_unless_present = "visitors")]
    pub minutes: Option<f64>,
    /// Repeats the choices of a run
    #[arg(long, default_value_t = u64::from(std::process::id()))]
    pub seed: u64,
    /// How much of everything; 1 is some 40 % of one core, clients and services included
    #[arg(long, default_value_t = 1.0)]
    pub load: f64,
    /// Folder for configuration, journal, logs and samples; emptied first
    #[arg(long, default_value = "target/soak")]
    pub out: PathBuf,
    /// Instead: the leak check, with so many short visitors on one session
    #[arg(long, value_name = "N", conflicts_with = "minutes")]
    pub visitors: Option<u64>,
    /// With --visitors: their kinds
    #[arg(long, value_delimiter = ',', default_value = "echo,echo,echo,reset,host-first", requires = "visitors")]
    pub kinds: Vec<leak::Kind>,
    /// With --visitors: Debian's sshd instead of portreeve, for comparison
    #[arg(long, requires = "visitors")]
    pub sshd: bool,
    /// Given by cargo
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> std::process::ExitCode {
    let options = Options::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let well = runtime.block_on(async {
        match (options.visitors, options.minutes) {
            (Some(n), _) => leak::run(&options, n).await,
            (None, Some(minutes)) => {
                // Only what a run of it has left.
                if options.out.join("events.log").exists() {
                    std::fs::remove_dir_all(&options.out).unwrap();
                }
                std::fs::create_dir_all(&options.out).unwrap();
                mixed::run(&options, minutes, &options.out.canonicalize().unwrap()).await
            }
            (None, None) => false,
        }
    });
    println!("{}", if well { "all well" } else { "NOT WELL" });
    std::process::ExitCode::from(u8::from(!well))
}
