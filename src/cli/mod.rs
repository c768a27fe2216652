//! Subcommands: the command line, the verbs and what they write.

pub mod args;
mod exit;
pub(crate) mod filter;
pub mod human;
mod local;
mod man;
pub mod metrics;
pub mod out;
pub mod table;
pub mod verbs;

pub use exit::{EXIT_CODES, Exit};

use crate::ui::Lang;
use args::{Cli, Command, ServeArgs, UpArgs};
use clap::Parser;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// What the command line starts but does not contain: the daemon and the console, and what reads files without a daemon.
///
/// Each is called before any runtime or thread exists and makes its own.
#[derive(Debug, Clone, Copy)]
pub struct Hooks {
    /// `portreeve serve`
    pub serve: fn(&ServeArgs) -> ExitCode,
    /// `portreeve up`
    pub up: fn(&UpArgs) -> ExitCode,
    /// `portreeve`
    pub console: fn(&ConsoleArgs) -> ExitCode,
    /// `portreeve check --config FILE`: the findings, each with file, line and remedy; none when all is well.
    pub check_config: fn(&Path) -> Vec<String>,
    /// `portreeve audit verify --dir DIR`: whether the chain holds, and a summary or the first break; or why the
    /// journal, or a file to prove it by, cannot be read.
    pub verify_journal: fn(&JournalFiles) -> Result<(bool, String), String>,
}

/// A journal in a folder, and what it is to be proved by.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct JournalFiles {
    /// The folder.
    pub dir: PathBuf,
    /// Files with public keys of the daemon, one a line.
    pub keys: Vec<PathBuf>,
    /// Files with checkpoints that were kept elsewhere.
    pub checkpoints: Vec<PathBuf>,
}

/// What the console is started with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConsoleArgs {
    /// The daemon's control socket.
    pub socket: PathBuf,
    /// Begin with the mouse.
    pub mouse: bool,
    /// In this language.
    pub lang: Option<Lang>,
}

/// The whole program: reads the command line and does what it says.
#[must_use]
pub fn main(hooks: &Hooks) -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(e) => {
            let _ = e.print();
            return ExitCode::from(if e.use_stderr() { Exit::Usage.code() } else { Exit::Done.code() });
        }
    };
    let socket = local::socket(cli.global.socket.as_deref(), Path::new("."));
    match &cli.command {
        None => (hooks.console)(&ConsoleArgs { socket, mouse: cli.mouse, lang: cli.lang }),
        Some(Command::Serve(args)) => (hooks.serve)(args),
        Some(Command::Up(args)) => (hooks.up)(args),
        Some(Command::Man(args)) => match man::print(args) {
            Ok(()) => ExitCode::SUCCESS,
            Err(why) => say_and_exit(&why, Exit::Usage),
        },
        Some(Command::Verb(verb)) => local::run(verb, &socket, cli.global.json, hooks),
    }
}

/// Says why on standard error.
fn say_and_exit(why: &str, exit: Exit) -> ExitCode {
    let _ = writeln!(std::io::stderr().lock(), "portreeve: {why}");
    ExitCode::from(exit.code())
}

impl Default for Hooks {
    /// Nothing plugged in: each says so.
    fn default() -> Self {
        fn absent() -> ExitCode {
            say_and_exit(ABSENT, Exit::Unavailable)
        }
        const ABSENT: &str = "this is not built into this program";
        Self {
            serve: |_| absent(),
            up: |_| absent(),
            console: |_| absent(),
            check_config: |_| vec![ABSENT.to_owned()],
            verify_journal: |_| Err(ABSENT.to_owned()),
        }
    }
}
