//! What the command line starts: `serve`, `up`, and the console.

use super::dial::{Dialer, Socket};
use super::{Daemon, FirstTunnel, Options, StartError, log};
use crate::audit::{Checkpoint, Trust, verify_by};
use crate::cli::args::{ServeArgs, UpArgs};
use crate::cli::{ConsoleArgs, Exit, Hooks, JournalFiles};
use crate::config::{Config, scaffold};
use crate::control::client::Client;
use crate::ui;
use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

/// Ends with this when the daemon could not start (`sysexits.h`: EX_CONFIG), so that systemd can be told not to retry.
const EX_CONFIG: u8 = 78;
/// Ends with this when something of the machine was missing.
const EX_UNAVAILABLE: u8 = 7;

/// The program's hooks.
#[must_use]
pub fn hooks() -> Hooks {
    Hooks { serve, up, console, check_config, verify_journal }
}

fn say(line: &str) {
    // Nobody there to read it is no reason to fail.
    let _ = writeln!(std::io::stderr().lock(), "{line}");
}

fn failed(e: &StartError) -> ExitCode {
    say(&format!("portreeve: {e}"));
    ExitCode::from(if matches!(e, StartError::Config(_)) { EX_CONFIG } else { EX_UNAVAILABLE })
}

fn announce(daemon: &Daemon) {
    if let Ok(line) = serde_json::to_string(daemon.ready()) {
        let mut out = std::io::stdout().lock();
        // A closed pipe does not stop a daemon.
        let _ = writeln!(out, "{line}").and_then(|()| out.flush());
    }
}

fn serve(args: &ServeArgs) -> ExitCode {
    match Daemon::start(&args.config, Options::default()) {
        Ok(daemon) => {
            announce(&daemon);
            daemon.run();
            ExitCode::SUCCESS
        }
        Err(e) => failed(&e),
    }
}

fn up(args: &UpArgs) -> ExitCode {
    let data = match (&args.data, args.demo) {
        (Some(data), _) => data.clone(),
        // The demo's hosts do not belong among real ones.
        (None, true) => PathBuf::from("portreeve-demo"),
        (None, false) => PathBuf::from("portreeve-data"),
    };
    let made = match scaffold::ensure(&data, args.listen) {
        Ok(made) => made,
        Err(e) => {
            say(&format!("portreeve: {e}"));
            return ExitCode::from(EX_UNAVAILABLE);
        }
    };
    if args.demo
        && let Err(e) = crate::demo::prepare(&made.config, made.created)
    {
        say(&format!("portreeve: {e}"));
        return ExitCode::from(EX_UNAVAILABLE);
    }
    let console = !args.no_console;
    if console && !std::io::stdout().is_terminal() {
        say("portreeve: the console needs a terminal; use --no-console to run without it");
        return ExitCode::from(2);
    }
    let config = made.config.clone();
    if console && let Some(socket) = running(&config) {
        say("portreeve: a daemon runs in this folder already; this is its console");
        return open_console(socket, args.mouse, args.lang);
    }
    let options = Options {
        quiet: console.then(|| data.join("log")),
        first_tunnel: Some(FirstTunnel(Box::new(move |ssh| made.first_tunnel(ssh)))),
    };
    let daemon = match Daemon::start(&config, options) {
        Ok(d) => d,
        Err(e) => return failed(&e),
    };
    if args.demo
        && let Some(ssh) = daemon.ready().ssh.first()
        && let Err(e) = crate::demo::play(*ssh, config.parent().unwrap_or(Path::new(".")))
    {
        say(&format!("portreeve: {e}"));
    }
    if !console {
        announce(&daemon);
        daemon.run();
        return ExitCode::SUCCESS;
    }
    let socket = daemon.ready().control.clone();
    let stop = daemon.stopper();
    let running = std::thread::spawn(move || daemon.run());
    let code = open_console(socket, args.mouse, args.lang);
    stop.ask("the console was left");
    if running.join().is_err() {
        say("portreeve: the daemon did not stop in order; see its log");
        return ExitCode::from(EX_UNAVAILABLE);
    }
    say(&format!(
        "portreeve: the bastion stopped with its console; to keep it running: portreeve serve --config {}",
        config.display()
    ));
    code
}

/// The control socket, if a daemon of this configuration answers on it.
fn running(config: &Path) -> Option<PathBuf> {
    let socket = Config::load(config).ok()?.control.socket;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().ok()?;
    runtime.block_on(Client::connect_unix(&socket, "up")).is_ok().then_some(socket)
}

fn console(args: &ConsoleArgs) -> ExitCode {
    open_console(args.socket.clone(), args.mouse, args.lang)
}

/// The folder of this user's own files for portreeve, by the XDG base directories.
fn own_folder() -> Option<PathBuf> {
    let absolute = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|p| p.is_absolute());
    let base = absolute("XDG_CONFIG_HOME").or_else(|| Some(absolute("HOME")?.join(".config")));
    Some(base?.join("portreeve"))
}

fn console_options(mouse: bool, lang: Option<ui::Lang>) -> ui::Options {
    let own = own_folder();
    ui::Options {
        mouse,
        lang,
        exports: std::env::current_dir().ok(),
        settings: own.as_ref().map(|f| f.join("console.toml")),
        theme_dir: own.map(|f| f.join("themes")),
        ..ui::Options::local()
    }
}

fn open_console(socket: PathBuf, mouse: bool, lang: Option<ui::Lang>) -> ExitCode {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(r) => r,
        Err(e) => {
            say(&format!("portreeve: the console cannot start: {e}"));
            return ExitCode::from(EX_UNAVAILABLE);
        }
    };
    let shown = runtime.block_on(async {
        // A daemon that is not there is said before the screen is taken; one that goes away later is waited for.
        let first = Client::connect_unix(&socket, "console").await.map_err(|e| (Exit::from(&e), e.to_string()))?;
        drop(first);
        let shown = ui::local::run(Arc::new(Dialer::new(Socket(socket))), console_options(mouse, lang)).await;
        shown.map_err(|e| (Exit::Usage, e.to_string()))
    });
    // The thread that reads keys may still wait for one.
    runtime.shutdown_background();
    match shown {
        Ok(ui::Exit::Dismissed(why)) => {
            say(&format!("portreeve: {why}"));
            ExitCode::from(Exit::NotOk.code())
        }
        Ok(_) => ExitCode::SUCCESS,
        Err((exit, why)) => {
            say(&format!("portreeve: {why}"));
            ExitCode::from(exit.code())
        }
    }
}

fn check_config(path: &Path) -> Vec<String> {
    let config = match Config::load(path) {
        Ok(c) => c,
        Err(e) => return e.problems.iter().map(ToString::to_string).collect(),
    };
    log::check_level(&config.log.level).err().map(|e| e.to_string()).into_iter().collect()
}

fn verify_journal(files: &JournalFiles) -> Result<(bool, String), String> {
    let mut trust = Trust::default();
    let read =
        |path: &Path| std::fs::read_to_string(path).map_err(|e| format!("{} cannot be read: {e}", path.display()));
    for path in &files.keys {
        for line in read(path)?.lines().map(str::trim).filter(|l| !l.is_empty() && !l.starts_with('#')) {
            let key = ssh_key::PublicKey::from_openssh(line).map_err(|e| {
                format!(
                    "{} is not a public key: {e}\n    give the .pub file of the daemon's [audit] key",
                    path.display()
                )
            })?;
            trust.keys.push(key);
        }
    }
    for path in &files.checkpoints {
        let checkpoint: Checkpoint = read(path)?.parse().map_err(|e| format!("{}: {e}", path.display()))?;
        checkpoint.prove(&trust.keys).map_err(|e| format!("the checkpoint {}: {e}", path.display()))?;
        trust.checkpoints.push(checkpoint);
    }
    let report = verify_by(&files.dir, trust).map_err(|e| e.to_string())?;
    Ok((report.is_ok(), report.to_string()))
}
