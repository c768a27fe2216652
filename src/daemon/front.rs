//! Consoles and commands of operators who come by SSH. They speak the control protocol over a pipe inside the process:
//! the very same as over the Unix socket, with the same rights and the same audit.

use super::dial::{Dialer, Pipe};
use crate::audit::{Actor, Context, Event, What};
use crate::cli::verbs::run_exec;
use crate::control::client::Client;
use crate::control::desk::Desk;
use crate::control::protocol::Identity;
use crate::control::seats::{idle_event, idle_sentence};
use crate::control::server::{Api, serve};
use crate::model::{OperatorName, Powers, Role, clean_line};
use crate::server::{self, OperatorChannel, Output};
use crate::tunnels::{Registry, Session};
use crate::ui::{Lang, Options, RESTORE, TermEnv, TermIo, UiError};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, DuplexStream};
use tokio::runtime::Handle;
use tokio::sync::{mpsc, watch};

/// Bytes in flight between a console and the desk, each way.
const PIPE: usize = 256 * 1024;
/// How often it is looked whether anybody still sits at a console.
const LOOK: Duration = Duration::from_secs(1);
/// Time a terminal has to take the last words.
const FAREWELL: Duration = Duration::from_secs(1);

pub(super) struct Front {
    registry: Arc<Registry>,
    runtime: Handle,
    desk: OnceLock<Arc<Desk>>,
}

impl Front {
    pub(super) fn new(registry: Arc<Registry>, runtime: Handle) -> Arc<Self> {
        Arc::new(Self { registry, runtime, desk: OnceLock::new() })
    }

    /// From now on operators are let in.
    pub(super) fn open(&self, desk: Arc<Desk>) {
        let _ = self.desk.set(desk);
    }

    /// Who this session's operator is, as the configuration has it now.
    fn identity(&self, s: &Session) -> Identity {
        let powers = s.name.parse::<OperatorName>().ok().and_then(|n| self.registry.powers(&n, Some(&s.credential)));
        // Somebody who is no longer in the configuration sees nothing; the session is being closed.
        let nobody = || Powers { role: Role::Viewer, teams: Some(Vec::new()), granted: Vec::new() };
        let Powers { role, teams, granted } = powers.unwrap_or_else(nobody);
        Identity {
            name: s.name.clone(),
            role,
            teams,
            granted,
            via: "ssh".to_owned(),
            source: Some(s.source),
            fingerprint: Some(s.credential.fingerprint.clone()),
            session: Some(s.id),
            uid: None,
        }
    }

    fn note(&self, s: &Session, stage: &str) {
        let what = What::Console { stage: clean_line(stage) };
        let context = Context { via: Some("ssh".to_owned()), ..s.context() };
        self.registry.journal.record(Event::success(Actor::Operator(s.name.clone()), what, context));
    }
}

/// The language asked for, when a command line is that of the console: `console --lang ko`. None for all others.
fn console_line(line: &str) -> Option<Option<Lang>> {
    let words = shlex::split(line)?;
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let words = words.strip_prefix(&["portreeve"]).unwrap_or(&words);
    match words.strip_prefix(&["console"]).unwrap_or(words) {
        [] if !words.is_empty() => Some(None),
        ["--lang", lang] => Lang::parse(lang).map(Some),
        [one] => one.strip_prefix("--lang=").and_then(Lang::parse).map(Some),
        _ => None,
    }
}

impl Front {
    fn open_console(&self, operator: Arc<Session>, lang: Option<Lang>, channel: OperatorChannel) {
        let Some(desk) = self.desk.get().cloned() else { return };
        let who = self.identity(&operator);
        self.note(&operator, "open");
        // An operator has no folder here, so each has a file in the daemon's. Names are such that they can be files'.
        let registry = Arc::clone(&self.registry);
        let settings = self.registry.config().state_dir.join("console").join(format!("{}.toml", operator.name));
        let end = ConsoleEnd { registry: Arc::clone(&self.registry), operator: Arc::clone(&operator) };
        // A task of its own: when it panics, one console is gone and the panic is in the log.
        self.runtime.spawn(async move {
            let _end = end;
            tokio::select! {
                () = show(desk, who, (settings, lang), channel, (&registry, &operator)) => {}
                () = operator.ended() => {}
            }
        });
    }
}

impl server::Front for Front {
    fn console(&self, operator: Arc<Session>, channel: OperatorChannel) {
        self.open_console(operator, None, channel);
    }

    fn exec(&self, operator: Arc<Session>, line: String, channel: OperatorChannel) {
        if let Some(lang) = console_line(&line).filter(|_| channel.screen.is_some()) {
            return self.open_console(operator, lang, channel);
        }
        let Some(desk) = self.desk.get().cloned() else { return };
        let who = self.identity(&operator);
        self.note(&operator, &line);
        self.runtime.spawn(async move {
            tokio::select! {
                () = run(desk, who, line, channel) => {}
                () = operator.ended() => {}
            }
        });
    }
}

/// Writes the end of a console down, however it comes.
struct ConsoleEnd {
    registry: Arc<Registry>,
    operator: Arc<Session>,
}

impl Drop for ConsoleEnd {
    fn drop(&mut self) {
        let what = What::Console { stage: "close".to_owned() };
        let actor = Actor::Operator(self.operator.name.clone());
        self.registry.journal.record(Event::success(actor, what, self.operator.context()));
    }
}

/// A pipe to the desk, with the desk at its other end.
fn to_desk(desk: &Arc<Desk>, who: &Identity) -> DuplexStream {
    let (near, far) = tokio::io::duplex(PIPE);
    tokio::spawn(serve(far, who.clone(), Arc::clone(desk) as Arc<dyn Api>));
    near
}

async fn show(
    desk: Arc<Desk>,
    who: Identity,
    (settings, lang): (PathBuf, Option<Lang>),
    channel: OperatorChannel,
    (registry, operator): (&Registry, &Session),
) {
    let OperatorChannel { mut input, size, screen, env, output } = channel;
    let Some(screen) = screen else { return };
    let var = |name: &str| env.get(name).filter(|v| !v.is_empty()).cloned();
    let env = TermEnv {
        term: screen.term,
        colorterm: var("COLORTERM"),
        no_color: var("NO_COLOR"),
        // Terminals are UTF-8 today; sshd would send nothing either, and the client's locale is UTF-8 nearly always.
        locale: var("LC_ALL")
            .or_else(|| var("LC_CTYPE"))
            .or_else(|| var("LANG"))
            .or_else(|| Some("C.UTF-8".to_owned())),
        lang: Lang::of_env(var),
        // Not sent by ssh; TERM says it where it is set as tmux sets it.
        tmux: var("TMUX").is_some(),
    };
    let (keys, input_rx) = mpsc::channel(16);
    let (frames, mut frames_rx) = mpsc::channel::<Vec<u8>>(1);
    let (resized, resize) = watch::channel(*size.borrow());
    let io = TermIo { input: input_rx, resize, output: frames, env };
    let pipes = Pipe::new(move || to_desk(&desk, &who));
    let options = Options { settings: Some(settings), lang, ..Options::ssh() };
    let console = crate::ui::run(io, Arc::new(Dialer::new(pipes)), options);
    let pressed = &Mutex::new(Instant::now());
    let typing = async move {
        while let Some(chunk) = input.recv().await {
            *pressed.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
            if keys.send(chunk.to_vec()).await.is_err() {
                break;
            }
        }
    };
    let resizing = async move {
        let mut size = size;
        while size.changed().await.is_ok() {
            resized.send_replace(*size.borrow_and_update());
        }
        // The console still watches the last size.
        resized.closed().await;
    };
    let screen = &output;
    let painting = async move {
        while let Some(frame) = frames_rx.recv().await {
            if screen.write(frame).await.is_err() {
                return;
            }
        }
    };
    let end = {
        let idle = idle(registry, pressed);
        tokio::pin!(typing, resizing, painting, idle);
        // Boxed so that it, and its end of the frames, can be dropped before the last frame is waited for.
        let mut console = Box::pin(console);
        let (mut typed, mut sized, mut painted) = (false, false, false);
        let end = loop {
            tokio::select! {
                end = &mut console => break End::Left(end),
                limit = &mut idle => break End::Idle(limit),
                () = &mut typing, if !typed => typed = true,
                () = &mut resizing, if !sized => sized = true,
                () = &mut painting, if !painted => {
                    painted = true;
                    break End::Hangup;
                }
            }
        };
        drop(console);
        if !painted {
            // Whoever is not there may not read either.
            let patience = if matches!(end, End::Idle(_)) { FAREWELL } else { Duration::MAX };
            let _ = tokio::time::timeout(patience, painting).await;
        }
        end
    };
    match end {
        End::Left(end) => finish(output, end).await,
        End::Hangup => {}
        End::Idle(limit) => {
            let context = Context { via: Some("ssh".to_owned()), ..operator.context() };
            registry.journal.record(idle_event(&operator.name, limit, context));
            let said = async {
                output.write(RESTORE.as_bytes().to_vec()).await?;
                output.error(format!("portreeve: {}\r\n", idle_sentence(limit)).into_bytes()).await
            };
            let _ = tokio::time::timeout(FAREWELL, said).await;
            output.exit(1).await;
        }
    }
}

/// How a console came to its end.
enum End {
    Left(Result<crate::ui::Exit, UiError>),
    /// Nobody takes what is written.
    Hangup,
    /// No key was pressed for so long.
    Idle(Duration),
}

/// Waits until no key has been pressed for longer than may be, and gives how long that is.
async fn idle(registry: &Registry, pressed: &Mutex<Instant>) -> Duration {
    loop {
        tokio::time::sleep(LOOK).await;
        let since = pressed.lock().unwrap_or_else(PoisonError::into_inner).elapsed();
        if let Some(limit) = registry.config().control.idle_logout.filter(|limit| since >= *limit) {
            return limit;
        }
    }
}

async fn finish(output: Output, end: Result<crate::ui::Exit, UiError>) {
    match end {
        Ok(_) => output.exit(0).await,
        Err(e) => {
            let _ = output.error(format!("portreeve: {e}\r\n").into_bytes()).await;
            output.exit(1).await;
        }
    }
}

async fn run(desk: Arc<Desk>, who: Identity, line: String, channel: OperatorChannel) {
    let output = channel.output;
    let (mut out, out_end) = tokio::io::duplex(PIPE);
    let (mut err, err_end) = tokio::io::duplex(PIPE);
    let words = async {
        let code = match Client::connect(to_desk(&desk, &who), "ssh").await {
            Ok(client) => run_exec(&line, &client, &mut out, &mut err).await,
            Err(_) => 3,
        };
        drop((out, err));
        code
    };
    let copying = async {
        tokio::join!(copy(out_end, &output, false), copy(err_end, &output, true));
    };
    let (code, ()) = tokio::join!(words, copying);
    output.exit(code.into()).await;
}

async fn copy(mut from: DuplexStream, to: &Output, error: bool) {
    let mut buf = vec![0; 32 * 1024];
    while let Ok(n) = from.read(&mut buf).await {
        let chunk = buf.get(..n).unwrap_or_default().to_vec();
        if n == 0 {
            return;
        }
        let written = if error { to.error(chunk).await } else { to.write(chunk).await };
        if written.is_err() {
            // Nobody reads; closing the pipe tells the verb.
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_line_that_is_the_consoles_names_its_language() {
        for (line, lang) in [
            ("console", Some(None)),
            ("portreeve console --lang ko", Some(Some(Lang::Ko))),
            ("--lang=ko", Some(Some(Lang::Ko))),
            ("--lang en", Some(Some(Lang::En))),
            ("console --lang tlh", None),
            ("", None),
            ("tunnels", None),
            ("portreeve", None),
            ("console 'open", None),
        ] {
            assert_eq!(console_line(line), lang, "{line}");
        }
    }
}
