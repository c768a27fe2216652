//! How fast the journal is searched, beside ripgrep on the same files in the same minute. `benches/run --search` starts it.

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

mod journal;

use clap::Parser;
use common::machine::Machine;
use common::ours::{BINARY, Ours};
use common::report::{Goal, Report, Row, figure, fill_region};
use common::{Res, Size, at, measure, said};
use portreeve::audit::{AuditQuery, search_dir};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::Instant;

/// Measures searches of the audit journal, beside ripgrep.
#[derive(Parser)]
#[command(name = "benches/run --search")]
struct Args {
    /// A quarter of the journal, and fewer runs
    #[arg(long)]
    quick: bool,
    /// Where the JSON goes
    #[arg(long, value_name = "FILE.json", default_value = "target/benches/search.json")]
    out: PathBuf,
    /// Fill docs/performance.md with the table
    #[arg(long)]
    write_docs: bool,
    /// What cargo bench adds
    #[arg(long, hide = true)]
    bench: bool,
}

/// In one record of the oldest file, in this case.
const RARE: &str = "Haystack-Needle";
/// Its twin without letters, whose case need not be thought of.
const RARE_DIGITS: &str = "73001-44209";

fn main() -> ExitCode {
    common::end(table(&Args::parse()))
}

fn table(args: &Args) -> Res<()> {
    let began = Instant::now();
    let say = |what: &str| eprintln!("{:6.1} s  {what}", began.elapsed().as_secs_f64());
    let (size, runs): (u64, usize) = if args.quick { (1 << 28, 3) } else { (1 << 30, 7) };
    let dir = tempfile::Builder::new().prefix("portreeve-journal-").tempdir().map_err(at("folder"))?;
    let made = journal::write(dir.path(), size, RARE, RARE_DIGITS)?;
    say(&format!("{} records in {} files, {} MiB", made.records, made.files, made.bytes >> 20));
    let daemon = Ours::start(Size { hosts: 1, ports_each: 1 }, &[("audit", &format!("dir = {:?}", dir.path()))])?;
    let rg = said("rg", &["--version"]);
    let rg = rg.lines().next().map(str::to_owned);
    if rg.is_none() {
        say("!!! rg is not here (Debian package ripgrep): its column stays empty and no ratio can be told");
    }
    let mb = made.bytes as f64 / 1e6;
    let mut rows = vec![];
    for (id, title, text, folds) in [
        ("letters", "search for a rare text with letters, case ignored", RARE, true),
        ("digits", "search for a rare text without letters", RARE_DIGITS, false),
    ] {
        let (mut ours, mut alone, mut peer, mut folded) = (vec![], vec![], vec![], vec![]);
        // The first run fills the page cache and is not counted.
        for run in 0..=runs {
            let mut took = [0.0; 4];
            took[0] = timed(|| through_the_daemon(&daemon, text))?;
            took[1] = timed(|| in_this_process(dir.path(), text))?;
            if rg.is_some() {
                took[2] = timed(|| ripgrep(dir.path(), text, &[]))?;
                took[3] = timed(|| ripgrep(dir.path(), text, &["-i"]))?;
            }
            if run > 0 {
                for (samples, s) in [&mut ours, &mut alone, &mut peer, &mut folded].into_iter().zip(took) {
                    if s > 0.0 {
                        samples.push(mb / s);
                    }
                }
            }
        }
        // Where there are letters, both ignore their case: we always do.
        let (peer, name, other, other_name) =
            if folds { (folded, "rg -F -i", peer, "rg -F") } else { (peer, "rg -F", folded, "rg -F -i") };
        let row = Row::new(id, title, "MB/s", Some(Goal::ratio_at_least(0.5))).against(name).fill(ours, peer);
        let row = row.other(other_name, other).other("our search alone, one thread, without daemon:", alone);
        say(&format!("{id}: {} {}", figure(measure::median(&row.ours)), figure(measure::median(&row.peer))));
        rows.push(row);
    }
    let method = vec![
        format!(
            "{} records of the usual kinds, {} MiB in {} files, in the page cache",
            made.records,
            made.bytes >> 20,
            made.files
        ),
        format!(
            "`portreeve audit TEXT` against a daemon that searches at the lowest priority on one thread, in pieces of a \
             quarter of a second or so; beside it `rg -F TEXT` ({}) with as many threads as it likes; the one record \
             that matches is in the oldest file, and both read all of them",
            rg.as_deref().unwrap_or("not here")
        ),
        format!("medians of {runs} runs, taking turns"),
    ];
    let report = Report { machine: Machine::look(), method, quick: args.quick, rows };
    println!("{}\n{}", report.head(), report.table());
    report.save(&args.out)?;
    if args.write_docs {
        let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/performance.md");
        fill_region(&page, "search", &format!("{}\n{}", report.head(), report.table()))?;
    }
    Ok(())
}

fn timed(mut run: impl FnMut() -> Res<usize>) -> Res<f64> {
    let began = Instant::now();
    match run()? {
        1 => Ok(began.elapsed().as_secs_f64()),
        n => Err(format!("{n} records were found where one was written")),
    }
}

fn through_the_daemon(daemon: &Ours, text: &str) -> Res<usize> {
    let mut c = Command::new(BINARY);
    c.arg("--socket").arg(daemon.socket()).args(["audit", text]);
    lines(c)
}

fn in_this_process(dir: &Path, text: &str) -> Res<usize> {
    let query = AuditQuery { text: Some(text.to_owned()), ..AuditQuery::default() };
    let found = search_dir(dir, &query, |_| true, |_| false).map_err(at("search"))?;
    Ok(found.records.len())
}

fn ripgrep(dir: &Path, text: &str, more: &[&str]) -> Res<usize> {
    let mut c = Command::new("rg");
    c.args(["--no-config", "-F"]).args(more).args(["-e", text]).arg(dir);
    lines(c)
}

fn lines(mut c: Command) -> Res<usize> {
    let out = c.stdin(Stdio::null()).stderr(Stdio::inherit()).output().map_err(at("cannot be run"))?;
    Ok(String::from_utf8_lossy(&out.stdout).lines().count())
}
