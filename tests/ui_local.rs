//! The console on a real terminal: a pty, in which this test program runs itself as the console.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)] // helpers are outside #[test] functions

use portable_pty::{Child, CommandBuilder, MasterPty, PtySize, native_pty_system};
use portreeve::control::protocol::{Identity, Push, Reply, Request, Snapshot};
use portreeve::model::{AuditStatus, DaemonView, Revision, Role, Seq, SpillView, now};
use portreeve::ui::{BoxFuture, Connection, Connector, Options, local};
use std::io::{Read, Write};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};
use tokio::sync::mpsc;

struct Daemon;

impl Connector for Daemon {
    fn connect(&self) -> BoxFuture<'_, Result<Connection, String>> {
        Box::pin(async {
            let (requests, mut asked) = mpsc::channel::<portreeve::ui::Ask>(8);
            let (push, pushes) = mpsc::channel(8);
            tokio::spawn(async move {
                while let Some((request, reply)) = asked.recv().await {
                    if matches!(request, Request::Subscribe { .. }) {
                        let _ = push.send(Push::Snapshot(snapshot())).await;
                    }
                    let _ = reply.send(Ok(Reply::Subscribed));
                }
            });
            let identity = Identity {
                name: "alice".into(),
                role: Role::Operator,
                teams: None,
                granted: vec![],
                via: "unix".into(),
                source: None,
                fingerprint: None,
                session: None,
                uid: None,
            };
            Ok(Connection { identity, requests, pushes })
        })
    }
}

fn snapshot() -> Snapshot {
    let daemon = DaemonView {
        name: "bastion-1".into(),
        version: "0".into(),
        started: now(),
        ssh: vec![],
        config: "portreeve.toml".into(),
        config_read: now(),
        first_tunnel: Some("ssh -N -R 20100:localhost:22 first@bastion".into()),
        audit: AuditStatus { seq: Seq(1), ..AuditStatus::default() },
        spill: SpillView::default(),
        notices: vec![],
        revocations: vec![],
        grants: vec![],
        pending: vec![],
        approved: vec![],
        proposals: vec![],
        rules: vec![],
        idle_lock_s: None,
        idle_logout_s: None,
    };
    Snapshot {
        revision: Revision(1),
        at: now(),
        daemon,
        you: None,
        teams: vec![],
        tunnels: vec![],
        sessions: vec![],
        incidents: Some(vec![]),
        events: vec![],
        follow: None,
    }
}

/// Not a test: what the tests below run inside their pty.
#[test]
#[ignore = "run by the other tests, inside a pty"]
fn the_console_itself() {
    if std::env::var("PORTREEVE_TEST_CONSOLE").is_err() {
        return;
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let mut options = Options::local();
    if let Ok(file) = std::env::var("PORTREEVE_TEST_PANIC") {
        options.clock = Arc::new(move || {
            assert!(!std::path::Path::new(&file).exists(), "the clock has stopped");
            now()
        });
    }
    let exit = runtime.block_on(local::run(Arc::new(Daemon), options));
    let mut out = std::io::stdout();
    writeln!(out, "ended: {exit:?}").unwrap();
    out.flush().unwrap();
    // The thread that reads the terminal still waits for a key.
    std::process::exit(0);
}

struct Console {
    child: Box<dyn Child + Send + Sync>,
    master: Box<dyn MasterPty + Send>,
    keys: Box<dyn Write + Send>,
    bytes: Receiver<Vec<u8>>,
    screen: vt100::Parser,
}

impl Console {
    fn start(term: &str) -> Self {
        Self::start_with(term, "PORTREEVE_TEST_NOTHING", "")
    }

    fn start_with(term: &str, name: &str, value: &str) -> Self {
        let size = PtySize { rows: 24, cols: 80, pixel_width: 0, pixel_height: 0 };
        let pty = native_pty_system().openpty(size).unwrap();
        let mut command = CommandBuilder::new(std::env::current_exe().unwrap());
        command.args(["--exact", "the_console_itself", "--ignored", "--nocapture"]);
        command.env("PORTREEVE_TEST_CONSOLE", "1");
        command.env("TERM", term);
        command.env(name, value);
        command.env("LC_ALL", "C.UTF-8");
        let child = pty.slave.spawn_command(command).unwrap();
        drop(pty.slave);
        let mut reader = pty.master.try_clone_reader().unwrap();
        let (tx, bytes) = channel();
        std::thread::spawn(move || {
            let mut buf = [0; 4096];
            while let Ok(n) = reader.read(&mut buf) {
                if n == 0 || tx.send(buf[..n].to_vec()).is_err() {
                    return;
                }
            }
        });
        let keys = pty.master.take_writer().unwrap();
        let screen = vt100::Parser::new(24.try_into().unwrap(), 80.try_into().unwrap(), 0);
        Self { child, master: pty.master, keys, bytes, screen }
    }

    fn until(&mut self, text: &str) {
        let end = Instant::now() + Duration::from_secs(20);
        while !self.screen.screen().contents().contains(text) {
            let wait = end.saturating_duration_since(Instant::now());
            match self.bytes.recv_timeout(wait) {
                Ok(bytes) => self.screen.process(&bytes),
                Err(_) => panic!("no {text:?} in:\n{}", self.screen.screen().contents()),
            }
        }
    }

    /// Main screen, cursor, and the driver echoes and makes lines again.
    fn is_restored(&self) -> bool {
        let (s, modes) = (self.screen.screen(), self.master.get_termios().unwrap().local_flags);
        let cooked = format!("{modes:?}");
        !s.alternate_screen()
            && !s.hide_cursor()
            && !s.bracketed_paste()
            && cooked.contains("ICANON")
            && cooked.contains("ECHO")
    }
}

#[test]
fn a_user_looks_around_resizes_and_quits_and_the_terminal_is_as_before() {
    let mut c = Console::start("xterm-256color");
    c.until("ssh -N -R 20100:localhost:22 first@bastion");
    c.until("● live");
    assert!(c.screen.screen().alternate_screen() && !c.is_restored());
    c.keys.write_all(b"6").unwrap();
    c.until("[6 sessions]");
    c.master.resize(PtySize { rows: 10, cols: 40, pixel_width: 0, pixel_height: 0 }).unwrap();
    c.screen.screen_mut().set_size(10.try_into().unwrap(), 40.try_into().unwrap());
    c.until("● live RO");
    c.keys.write_all(b"q").unwrap();
    c.until("ended: Ok(Quit)");
    assert!(c.is_restored());
    assert!(c.child.wait().unwrap().success());
}

#[test]
fn sigterm_gives_the_terminal_back() {
    let mut c = Console::start("xterm-256color");
    c.until("● live");
    let pid = nix::unistd::Pid::from_raw(c.child.process_id().unwrap().try_into().unwrap());
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).unwrap();
    c.until("ended: Ok(Signal)");
    assert!(c.is_restored());
}

#[test]
fn a_panic_of_the_console_gives_the_terminal_back_and_can_be_read() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("panic");
    let mut c = Console::start_with("xterm-256color", "PORTREEVE_TEST_PANIC", file.to_str().unwrap());
    c.until("● live");
    std::fs::write(&file, "").unwrap();
    c.keys.write_all(b"j").unwrap();
    c.until("the clock has stopped");
    assert!(c.is_restored());
}

#[test]
fn a_dumb_terminal_is_told_why_and_left_alone() {
    let mut c = Console::start("dumb");
    c.until("ended: Err(Terminal(\"TERM is");
    assert!(c.is_restored());
}
