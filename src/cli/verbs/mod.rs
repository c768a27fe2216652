//! The verbs: each asks the daemon and writes the answer to a sink, here and in `ssh ops@bastion VERB`.

mod act;
mod audit;
mod enroll;
mod grants;
mod howto;
mod judge;
mod keys;
mod pending;
mod ports;
mod proposals;
mod show;
mod triage;

pub(super) use judge::{show_findings, show_verified};

use super::args::{AuditCommand, Line, Verb};
use super::exit::Exit;
use super::out::{Fail, Out, Reader, Sink};
use crate::control::client::Client;
use clap::{CommandFactory, FromArgMatches};

/// Runs an exec request's command line, split as a shell would, and gives the exit code. For the SSH side.
///
/// `audit -f` runs until the sink is closed or the future is dropped; drop it when the channel closes.
pub async fn run_exec(line: &str, client: &Client, out: &mut Sink, err: &mut Sink) -> u8 {
    match shlex::split(line) {
        Some(words) => run_line(&words, client, out, err, Reader::default()).await,
        None => {
            let why = "the command line has a quote that is not closed".to_owned();
            Out::new(out, err, false, Reader::default()).fail(Fail::Usage(why)).await.code()
        }
    }
}

/// Runs the words of a command line over this client and gives the exit code (see [`super::exit::EXIT_CODES`]).
///
/// A leading `portreeve` is allowed, so that a command copied from a shell works over SSH too.
pub async fn run_line(words: &[String], client: &Client, out: &mut Sink, err: &mut Sink, reader: Reader) -> u8 {
    let words = match words.split_first() {
        Some((first, rest)) if first == "portreeve" => rest,
        _ => words,
    };
    let mut command = Line::command();
    if let Some(width) = reader.width {
        command = command.term_width(width);
    }
    match command.try_get_matches_from(words).and_then(|m| Line::from_arg_matches(&m)) {
        Ok(line) => {
            let mut out = Out::new(out, err, line.json, reader);
            match machine_only(&line.verb) {
                Some(why) => out.fail(Fail::Usage(why)).await.code(),
                None => run(&line.verb, client, &mut out).await.code(),
            }
        }
        Err(e) => {
            let text = e.render().to_string();
            let mut out = Out::new(out, err, false, reader);
            // Help was asked for, or the line is wrong.
            let (said, exit) = if e.use_stderr() {
                (out.remark(&text).await, Exit::Usage)
            } else {
                (out.text(&text).await, Exit::Done)
            };
            drop(said);
            exit.code()
        }
    }
}

/// What reads files of the machine one sits at cannot be done over SSH.
fn machine_only(verb: &Verb) -> Option<String> {
    match verb {
        Verb::Check { config: Some(_) } => {
            Some("--config reads a file of the machine it runs on: run `portreeve check --config` there".to_owned())
        }
        Verb::Audit(a) if matches!(a.command, Some(AuditCommand::Verify { dir: Some(_), .. })) => {
            Some("--dir reads a folder of the machine it runs on: run `portreeve audit verify --dir` there".to_owned())
        }
        _ => None,
    }
}

/// Runs one verb; what fails is said on the error side.
pub async fn run(verb: &Verb, client: &Client, out: &mut Out<'_>) -> Exit {
    // On the heap: the verbs' futures together are large, and this one is held by every caller.
    match Box::pin(dispatch(verb, client, out)).await {
        Ok(exit) => exit,
        Err(fail) => out.fail(fail).await,
    }
}

async fn dispatch(verb: &Verb, client: &Client, out: &mut Out<'_>) -> Result<Exit, Fail> {
    match verb {
        Verb::Status => show::status(client, out).await,
        Verb::Triage => triage::triage(client, out).await,
        Verb::Tunnels { filter } => show::tunnels(client, out, filter).await,
        Verb::Ports { team } => ports::ports(client, out, team.as_ref()).await,
        Verb::Health => show::health(client, out).await,
        Verb::Sessions => show::sessions(client, out).await,
        Verb::Visitors { port } => show::visitors(client, out, *port).await,
        Verb::Metrics { no_tunnels } => show::metrics(client, out, !no_tunnels).await,
        Verb::Audit(args) => audit::audit(client, out, args).await,
        Verb::Grants => grants::grants(client, out).await,
        Verb::Explain { who, port } => judge::explain(client, out, who, *port).await,
        Verb::HowTo { of, format } => howto::howto(client, out, of, *format).await,
        Verb::Enroll { host, port, service, reason } => {
            let wanted = enroll::Wanted { host, port: *port, service: service.as_ref(), reason: reason.as_ref() };
            enroll::enroll(client, out, wanted).await
        }
        Verb::Keys { name, unused } => keys::keys(client, out, name.as_deref(), *unused).await,
        Verb::Pending => pending::pending(client, out).await,
        Verb::Proposals => proposals::proposals(client, out).await,
        Verb::Check { .. } => judge::check(client, out).await,
        Verb::Reconnect { .. }
        | Verb::Revoke { .. }
        | Verb::Restore { .. }
        | Verb::Assign { .. }
        | Verb::Move { .. }
        | Verb::Release { .. }
        | Verb::Reserve { .. }
        | Verb::Grant { .. }
        | Verb::Ungrant { .. }
        | Verb::Cut { .. }
        | Verb::Disconnect { .. }
        | Verb::Logout { .. }
        | Verb::Confirm { .. }
        | Verb::Withdraw { .. }
        | Verb::Mute { .. }
        | Verb::Unmute { .. }
        | Verb::Approve { .. }
        | Verb::Unapprove { .. }
        | Verb::Dismiss { .. }
        | Verb::Reload { .. } => act::act(client, out, verb).await,
    }
}

#[cfg(test)]
mod tests;
