//! Verbs at this machine: which socket, which terminal, and what needs no daemon.

use super::args::{AuditCommand, Verb};
use super::exit::Exit;
use super::out::{Out, Reader};
use super::{Hooks, JournalFiles, say_and_exit, verbs};
use crate::control::client::Client;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Where `portreeve up` puts the socket, under the folder it is run in.
pub(super) const TRIAL_SOCKET: &str = "portreeve-data/state/control.sock";
/// Where `portreeve up --demo` puts it.
const DEMO_SOCKET: &str = "portreeve-demo/state/control.sock";
/// Where the service has it.
pub(super) const SYSTEM_SOCKET: &str = "/run/portreeve/control.sock";

/// The socket that was named, or the trial's of this folder if there is one, or the service's.
pub(super) fn socket(named: Option<&Path>, here: &Path) -> PathBuf {
    if let Some(path) = named {
        return path.to_owned();
    }
    let tried = [TRIAL_SOCKET, DEMO_SOCKET].map(|s| here.join(s));
    tried.into_iter().find(|s| s.exists()).unwrap_or_else(|| PathBuf::from(SYSTEM_SOCKET))
}

/// Runs one verb with standard output and error as its sinks.
pub(super) fn run(verb: &Verb, socket: &Path, json: bool, hooks: &Hooks) -> ExitCode {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(e) => return say_and_exit(&format!("cannot start: {e}"), Exit::Unavailable),
    };
    let exit = runtime.block_on(async {
        let (mut stdout, mut stderr) = (tokio::io::stdout(), tokio::io::stderr());
        let mut stdin = tokio::io::stdin();
        let mut out = Out::new(&mut stdout, &mut stderr, json, reader());
        if std::io::stdin().is_terminal() && std::io::stderr().is_terminal() {
            out = out.asking(&mut stdin);
        }
        if let Some(exit) = Box::pin(without_daemon(verb, &mut out, hooks)).await {
            return exit;
        }
        match Client::connect_unix(socket, "cli").await {
            Ok(client) => verbs::run(verb, &client, &mut out).await,
            Err(e) => out.fail(e.into()).await,
        }
    });
    // A read of standard input that nobody will answer must not hold us.
    runtime.shutdown_background();
    ExitCode::from(exit.code())
}

/// What is known of our own terminal.
fn reader() -> Reader {
    let terminal = std::io::stdout().is_terminal();
    let width = if terminal { crossterm::terminal::size().ok().map(|(w, _)| usize::from(w)) } else { None };
    // https://no-color.org: set and not empty, whatever its value.
    let plain = std::env::var_os("NO_COLOR").is_some_and(|v| !v.is_empty())
        || std::env::var_os("TERM").is_some_and(|t| t == "dumb");
    Reader { width: width.filter(|w| *w > 0), colour: terminal && !plain }
}

/// What reads files of this machine and asks nobody.
async fn without_daemon(verb: &Verb, out: &mut Out<'_>, hooks: &Hooks) -> Option<Exit> {
    let done = match verb {
        Verb::Check { config: Some(file) } => verbs::show_findings(out, &(hooks.check_config)(file)).await,
        Verb::Audit(args) => match &args.command {
            Some(AuditCommand::Verify { dir: Some(dir), key, checkpoint }) => {
                let files = JournalFiles { dir: dir.clone(), keys: key.clone(), checkpoints: checkpoint.clone() };
                match (hooks.verify_journal)(&files) {
                    Ok((ok, summary)) => verbs::show_verified(out, ok, &summary).await,
                    Err(why) => {
                        let error = crate::control::protocol::ApiError::new(
                            crate::control::protocol::ErrorCode::Unavailable,
                            why,
                        );
                        return Some(out.fail(crate::control::client::ClientError::Api(error).into()).await);
                    }
                }
            }
            _ => return None,
        },
        _ => return None,
    };
    Some(match done {
        Ok(exit) => exit,
        Err(fail) => out.fail(fail).await,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_socket_is_the_named_one_or_the_trials_or_the_services() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(socket(None, dir.path()), Path::new(SYSTEM_SOCKET));
        let trial = dir.path().join(TRIAL_SOCKET);
        std::fs::create_dir_all(trial.parent().unwrap()).unwrap();
        std::fs::write(&trial, "").unwrap();
        assert_eq!(socket(None, dir.path()), trial);
        assert_eq!(socket(Some(Path::new("/x")), dir.path()), Path::new("/x"));
    }
}
