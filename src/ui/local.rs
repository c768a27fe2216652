//! The console on this process's own terminal. The only part of the console that touches it.

use super::run::{self as console, Exit, Options, RESTORE, TermIo};
use super::{Connector, Lang, TermEnv, UiError};
use std::io::{IsTerminal, Read, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Once};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, watch};

tokio::task_local! {
    /// Set while the console itself runs, so that its panics are told from those of a daemon in the same process.
    static IN_CONSOLE: ();
}

/// Whether the terminal is ours now, and must be given back.
static RAW: AtomicBool = AtomicBool::new(false);

/// Runs the console on this process's terminal until its user quits, the terminal goes, or SIGTERM, SIGINT or SIGHUP
/// comes. The terminal is restored whichever way this ends: by return, by drop, by panic.
///
/// # Errors
/// [`UiError`] when standard input or output is no terminal, or the terminal or the theme will not do.
pub async fn run(connector: Arc<dyn Connector>, options: Options) -> Result<Exit, UiError> {
    let env = environment();
    if !std::io::stdin().is_terminal() || !std::io::stdout().is_terminal() {
        return Err(UiError::Terminal("this is none".into()));
    }
    // Refused before the terminal is touched, so that the reason can be read.
    super::caps::Caps::detect(&env)?;
    let mut resized = signal(SignalKind::window_change())?;
    let mut term = signal(SignalKind::terminate())?;
    let mut int = signal(SignalKind::interrupt())?;
    let mut hup = signal(SignalKind::hangup())?;
    let size = || crossterm::terminal::size().unwrap_or((80, 24));
    let (size_tx, resize) = watch::channel(size());
    let (output, frames) = mpsc::channel(1);
    let guard = Guard::enter()?;
    let input = read_stdin();
    let writer = write_stdout(frames);
    let running = IN_CONSOLE.scope((), console::run(TermIo { input, resize, output, env }, connector, options));
    let mut running = Box::pin(running);
    let end = loop {
        tokio::select! {
            end = &mut running => break end,
            _ = resized.recv() => {
                size_tx.send_replace(size());
            }
            _ = term.recv() => break Ok(Exit::Signal),
            _ = int.recv() => break Ok(Exit::Signal),
            _ = hup.recv() => break Ok(Exit::Signal),
        }
    };
    // The last frame may still be on its way; what restores the terminal comes after it.
    drop(running);
    let _ = tokio::time::timeout(std::time::Duration::from_secs(1), writer).await;
    drop(guard);
    end
}

fn environment() -> TermEnv {
    let var = |name: &str| std::env::var(name).ok();
    let locale = ["LC_ALL", "LC_CTYPE", "LANG"].iter().filter_map(|n| var(n)).find(|v| !v.is_empty());
    TermEnv {
        term: var("TERM").unwrap_or_default(),
        colorterm: var("COLORTERM"),
        no_color: var("NO_COLOR"),
        // A program with no locale at all runs in the C locale.
        locale: locale.or_else(|| Some("C".into())),
        lang: Lang::of_env(var),
        tmux: var("TMUX").is_some_and(|v| !v.is_empty()),
    }
}

/// Holds the terminal in raw mode; gives it back when dropped.
#[derive(Debug)]
struct Guard;

impl Guard {
    fn enter() -> Result<Self, UiError> {
        static HOOK: Once = Once::new();
        HOOK.call_once(|| {
            let before = std::panic::take_hook();
            std::panic::set_hook(Box::new(move |info| {
                // A panic elsewhere in this process (the daemon's, under `up`) leaves the console running.
                if IN_CONSOLE.try_with(|()| ()).is_ok() {
                    restore();
                }
                before(info);
            }));
        });
        crossterm::terminal::enable_raw_mode()?;
        RAW.store(true, Ordering::SeqCst);
        Ok(Self)
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        restore();
    }
}

fn restore() {
    if RAW.swap(false, Ordering::SeqCst) {
        let mut out = std::io::stdout().lock();
        let _ = out.write_all(RESTORE.as_bytes()).and_then(|()| out.flush());
        let _ = crossterm::terminal::disable_raw_mode();
    }
}

/// Reads on a thread of its own: a read of a terminal cannot be cancelled. The thread ends with the first byte after
/// the console has, or with the process.
fn read_stdin() -> mpsc::Receiver<Vec<u8>> {
    let (tx, rx) = mpsc::channel(16);
    std::thread::spawn(move || {
        let mut buf = [0_u8; 4096];
        let mut stdin = std::io::stdin().lock();
        loop {
            match stdin.read(&mut buf) {
                Ok(0) => return,
                Ok(n) => {
                    let bytes = buf.get(..n).unwrap_or_default().to_vec();
                    if tx.blocking_send(bytes).is_err() {
                        return;
                    }
                }
                Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
                Err(_) => return,
            }
        }
    });
    rx
}

/// Writes on a thread that may block: a terminal stopped with ^S must not stop the daemon under `up`.
fn write_stdout(mut frames: mpsc::Receiver<Vec<u8>>) -> tokio::task::JoinHandle<()> {
    tokio::task::spawn_blocking(move || {
        while let Some(bytes) = frames.blocking_recv() {
            let mut out = std::io::stdout().lock();
            if out.write_all(&bytes).and_then(|()| out.flush()).is_err() {
                return;
            }
        }
    })
}
