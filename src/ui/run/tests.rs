//! The loop, with a daemon made of channels and a terminal made of bytes.

use super::*;
use crate::control::protocol::{ApiError, ErrorCode, Push, Reply};
use crate::model::Role;
use crate::ui::fixtures::*;
use crate::ui::link::{Ask, BoxFuture, Connection};
use chrono::TimeDelta;
use std::sync::Mutex;

/// Hands out the connections prepared for it, then refuses.
#[derive(Default)]
struct Daemon {
    connections: Mutex<Vec<Connection>>,
}

struct Server {
    requests: mpsc::Receiver<Ask>,
    pushes: mpsc::Sender<Push>,
}

impl Daemon {
    fn expect_console(&self) -> Server {
        let (tx, requests) = mpsc::channel(8);
        let (pushes, rx) = mpsc::channel(8);
        let connection = Connection { identity: alice(Role::Operator), requests: tx, pushes: rx };
        self.connections.lock().unwrap().insert(0, connection);
        Server { requests, pushes }
    }
}

impl Connector for Daemon {
    fn connect(&self) -> BoxFuture<'_, Result<Connection, String>> {
        let next = self.connections.lock().unwrap().pop();
        Box::pin(async move { next.ok_or_else(|| "nobody listens".to_owned()) })
    }
}

impl Server {
    /// Answers the subscription, gives the snapshot, and then answers heartbeats for ever.
    fn start(mut self, snapshot: crate::control::protocol::Snapshot) -> mpsc::Sender<Push> {
        let pushes = self.pushes.clone();
        tokio::spawn(async move {
            while let Some((request, reply)) = self.requests.recv().await {
                let answer = match request {
                    Request::Subscribe { .. } => {
                        self.pushes.send(Push::Snapshot(snapshot.clone())).await.unwrap();
                        Ok(Reply::Subscribed)
                    }
                    Request::Visitors { .. } => Ok(Reply::Visitors { visitors: vec![] }),
                    _ => Err(ApiError::new(ErrorCode::Invalid, "not in this test")),
                };
                let _ = reply.send(answer);
            }
        });
        pushes
    }
}

struct Terminal {
    input: mpsc::Sender<Vec<u8>>,
    size: watch::Sender<(u16, u16)>,
    output: mpsc::Receiver<Vec<u8>>,
    screen: vt100::Parser,
    bytes: usize,
    raw: Vec<u8>,
}

impl Terminal {
    async fn until(&mut self, text: &str) {
        // However it is broken into lines.
        let flat = |s: &vt100::Screen| s.contents().split_whitespace().collect::<Vec<_>>().join(" ");
        self.until_screen(text, |s| s.contents().contains(text) || flat(s).contains(text)).await;
    }
    async fn until_screen(&mut self, what: &str, wanted: impl Fn(&vt100::Screen) -> bool) {
        let seen = async {
            while !wanted(self.screen.screen()) {
                let Some(bytes) = self.output.recv().await else { break };
                self.take(&bytes);
            }
        };
        let seen = tokio::time::timeout(Duration::from_secs(40), seen).await;
        let screen = self.screen.screen();
        assert!(seen.is_ok() && wanted(screen), "no {what:?} in:\n{}", screen.contents());
    }
    /// Whether these bytes were among those written.
    fn wrote(&self, text: &str) -> bool {
        String::from_utf8_lossy(&self.raw).contains(text)
    }
    fn take(&mut self, bytes: &[u8]) {
        self.bytes += bytes.len();
        self.raw.extend(bytes);
        self.screen.process(bytes);
    }
    /// What comes in this long.
    async fn bytes_within(&mut self, time: Duration) -> usize {
        let before = self.bytes;
        let end = Instant::now() + time;
        while let Ok(Some(bytes)) = tokio::time::timeout_at(end, self.output.recv()).await {
            self.take(&bytes);
        }
        self.bytes - before
    }
}

fn start(daemon: Arc<Daemon>, env: TermEnv) -> (Terminal, tokio::task::JoinHandle<Result<Exit, UiError>>) {
    let (input, input_rx) = mpsc::channel(8);
    let (size, resize) = watch::channel((80, 24));
    let (output_tx, output) = mpsc::channel(1);
    let begin = Instant::now();
    let clock = Arc::new(move || t0() + TimeDelta::from_std(begin.elapsed()).unwrap());
    let options = Options { clock, zone: Zone::Utc, ..Options::ssh() };
    let io = TermIo { input: input_rx, resize, output: output_tx, env };
    let console = tokio::spawn(run(io, daemon, options));
    // The list of tunnels.
    input.try_send(b"2".to_vec()).unwrap();
    (Terminal { input, size, output, screen: vt(24, 80), bytes: 0, raw: vec![] }, console)
}

fn xterm() -> TermEnv {
    TermEnv { term: "xterm-256color".into(), ..TermEnv::default() }
}

#[tokio::test(start_paused = true)]
async fn an_idle_screen_writes_nothing_until_the_clock_changes() {
    let daemon = Arc::new(Daemon::default());
    let mut snap = snapshot();
    snap.tunnels.clear();
    snap.sessions.clear();
    let _pushes = daemon.expect_console().start(snap);
    let (mut terminal, console) = start(daemon, xterm());
    terminal.until("no tunnels and no leases yet").await;
    // It is 14:02:11; with no tunnels nothing but the clock can change.
    assert_eq!(terminal.bytes_within(Duration::from_secs(45)).await, 0);
    let minute = terminal.bytes_within(Duration::from_secs(10)).await;
    assert!((1..120).contains(&minute), "{minute} bytes for a minute of the clock");
    assert!(terminal.screen.screen().contents().contains("14:03Z"));
    terminal.input.send(b"q".to_vec()).await.unwrap();
    terminal.bytes_within(Duration::from_secs(2)).await;
    assert_eq!(console.await.unwrap().unwrap(), Exit::Quit);
    assert!(!terminal.screen.screen().alternate_screen() && !terminal.screen.screen().hide_cursor());
}

#[tokio::test(start_paused = true)]
async fn the_title_says_how_many_incidents_there_are_and_is_given_back() {
    let daemon = Arc::new(Daemon::default());
    let mut snap = snapshot();
    snap.incidents = Some(incidents());
    let pushes = daemon.expect_console().start(snap);
    let (mut terminal, console) = start(daemon, xterm());
    terminal.until("pay-db").await;
    assert!(terminal.wrote("\x1b[22;2t\x1b[?1049h"), "the old one is kept first");
    assert!(terminal.wrote("\x1b]2;portreeve bastion-1: 3 incidents\x07"));
    let mut d = delta();
    d.incidents = Some(vec![]);
    pushes.send(Push::Delta(d)).await.unwrap();
    terminal.bytes_within(Duration::from_secs(1)).await;
    assert!(terminal.wrote("\x1b]2;portreeve bastion-1\x07"));
    terminal.input.send(b"q".to_vec()).await.unwrap();
    terminal.bytes_within(Duration::from_secs(2)).await;
    assert!(terminal.wrote("\x1b[23;2t"));
    assert_eq!(console.await.unwrap().unwrap(), Exit::Quit);
    // The kernel's console has none.
    let daemon = Arc::new(Daemon::default());
    let _pushes = daemon.expect_console().start(snapshot());
    let (mut terminal, _console) = start(daemon, TermEnv { term: "linux".into(), ..TermEnv::default() });
    terminal.until("pay-db").await;
    assert!(!terminal.wrote("\x1b]2;") && !terminal.wrote("\x1b[22;2t"));
}

#[tokio::test]
async fn settings_and_themes_are_read_at_the_start_and_when_they_change_and_set_writes_them() {
    let dir = tempfile::tempdir().unwrap();
    let (file, themes) = (dir.path().join("console.toml"), dir.path().join("themes"));
    std::fs::create_dir(&themes).unwrap();
    std::fs::write(&file, "# mine\n[columns]\ntunnels = [\"host\", \"port\"]\n").unwrap();
    let daemon = Arc::new(Daemon::default());
    let _pushes = daemon.expect_console().start(snapshot());
    let (input, input_rx) = mpsc::channel(8);
    let (size, resize) = watch::channel((80, 24));
    let (output_tx, output) = mpsc::channel(1);
    let options = Options {
        clock: Arc::new(t0),
        zone: Zone::Utc,
        settings: Some(file.clone()),
        theme_dir: Some(themes.clone()),
        ..Options::local()
    };
    let io = TermIo { input: input_rx, resize, output: output_tx, env: xterm() };
    let _console = tokio::spawn(run(io, daemon, options));
    input.send(b"2".to_vec()).await.unwrap();
    let mut terminal = Terminal { input, size, output, screen: vt(24, 80), bytes: 0, raw: vec![] };
    terminal.until(" HOST                       PORT").await;
    // A file that is written over.
    std::fs::write(&file, "# mine\n[columns]\ntunnels = [\"port\", \"team\"]\n").unwrap();
    terminal.until(" PORT↓ TEAM").await;
    // A new file in its place, as editors do it; with a mistake.
    std::fs::write(dir.path().join("new"), "them = \"light\"\n").unwrap();
    std::fs::rename(dir.path().join("new"), &file).unwrap();
    terminal.until("console.toml line 1: there is no setting `them`; did you mean `theme`?").await;
    terminal.input.send(b":set zone relative\r".to_vec()).await.unwrap();
    terminal.until("zone is relative, kept in").await;
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "them = \"light\"\nzone = \"relative\"\n");
    // A theme that comes, is used, and is changed on the disk.
    let dark = include_str!("../../../themes/dark.toml");
    std::fs::write(themes.join("mine.toml"), dark).unwrap();
    let known = async {
        loop {
            terminal.input.send(b":theme mine\r".to_vec()).await.unwrap();
            terminal.bytes_within(Duration::from_millis(100)).await;
            if terminal.screen.screen().contents().contains(":set theme mine keeps it") {
                break;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(20), known).await.unwrap();
    let text =
        dark.lines().map(|l| if l.starts_with("ok ") { "ok = { fg = \"#010203\", fg16 = \"green\" }" } else { l });
    std::fs::write(themes.join("mine.toml"), text.collect::<Vec<_>>().join("\n")).unwrap();
    let live = |s: &vt100::Screen| {
        let at = s.rows(0, 80).next().unwrap().chars().position(|c| c == '●').unwrap();
        s.cell(0, at.try_into().unwrap()).unwrap().fgcolor()
    };
    let was = live(terminal.screen.screen());
    terminal.until_screen("another green", |s| live(s) != was).await;
    // One that is broken meanwhile is said, and the colours stay.
    std::fs::write(themes.join("mine.toml"), "[roles]\n").unwrap();
    terminal.until("mine.toml").await;
    assert!(terminal.screen.screen().contents().contains("live"));
}

#[tokio::test(start_paused = true)]
async fn news_that_change_nothing_on_the_screen_are_no_bytes() {
    let daemon = Arc::new(Daemon::default());
    let pushes = daemon.expect_console().start(snapshot());
    let (mut terminal, _console) = start(daemon, xterm());
    terminal.until("pay-db").await;
    terminal.input.send(b"3".to_vec()).await.unwrap();
    terminal.until("20200").await;
    terminal.bytes_within(Duration::from_secs(1)).await;
    let mut d = delta();
    let mut t = snapshot().tunnels[0].clone();
    t.bytes_to_host += 5000;
    d.tunnels = vec![t];
    pushes.send(Push::Delta(d)).await.unwrap();
    assert_eq!(terminal.bytes_within(Duration::from_secs(10)).await, 0);
}

#[tokio::test(start_paused = true)]
async fn a_slow_terminal_gets_fewer_frames_and_the_newest_one() {
    let daemon = Arc::new(Daemon::default());
    let pushes = daemon.expect_console().start(snapshot());
    let (mut terminal, _console) = start(daemon, xterm());
    terminal.until("pay-db").await;
    // Nobody reads while a hundred changes come.
    for n in 0..100_u32 {
        let mut d = delta();
        d.at = t0() + TimeDelta::milliseconds(i64::from(n) * 100);
        let mut t = snapshot().tunnels[0].clone();
        t.visitors_now = n + 100;
        d.tunnels = vec![t];
        pushes.send(Push::Delta(d)).await.unwrap();
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let mut frames = 0;
    while !terminal.screen.screen().contents().contains(" 199 ") {
        let bytes = terminal.output.recv().await.unwrap();
        terminal.take(&bytes);
        frames += 1;
    }
    assert!(frames <= 3, "{frames} frames");
}

#[tokio::test(start_paused = true)]
async fn a_lost_daemon_is_shown_stale_and_found_again_by_itself() {
    let daemon = Arc::new(Daemon::default());
    let mut first = daemon.expect_console();
    let (mut terminal, console) = start(daemon.clone(), xterm());
    let (_, reply) = first.requests.recv().await.unwrap();
    reply.send(Ok(Reply::Subscribed)).unwrap();
    first.pushes.send(Push::Snapshot(snapshot())).await.unwrap();
    terminal.until("● live").await;
    drop(first);
    terminal.until("STALE 0s").await;
    terminal.until("STALE 37s").await;
    assert!(!console.is_finished());
    let _pushes = daemon.expect_console().start(snapshot());
    terminal.until("● live").await;
}

#[tokio::test(start_paused = true)]
async fn a_daemon_that_hangs_is_noticed_and_another_connection_tried_since_the_last_event() {
    let daemon = Arc::new(Daemon::default());
    let mut first = daemon.expect_console();
    let (mut terminal, console) = start(daemon.clone(), xterm());
    let (request, reply) = first.requests.recv().await.unwrap();
    assert_eq!(request, Request::Subscribe { since: None });
    reply.send(Ok(Reply::Subscribed)).unwrap();
    first.pushes.send(Push::Snapshot(snapshot())).await.unwrap();
    terminal.until("● live").await;
    // It keeps the line open and answers nothing any more.
    terminal.until("STALE").await;
    terminal.until("trying again").await;
    let mut second = daemon.expect_console();
    let asked = async {
        loop {
            tokio::select! {
                r = second.requests.recv() => break r.unwrap(),
                Some(b) = terminal.output.recv() => terminal.take(&b),
            }
        }
    };
    let (asked, reply) = asked.await;
    reply.send(Ok(Reply::Subscribed)).unwrap();
    assert_eq!(asked, Request::Subscribe { since: Some(crate::model::Seq(106)) });
    second.pushes.send(Push::Snapshot(snapshot())).await.unwrap();
    terminal.until("● live").await;
    assert!(!console.is_finished());
}

#[tokio::test(start_paused = true)]
async fn a_resize_draws_the_new_size_and_a_hangup_ends_it() {
    let daemon = Arc::new(Daemon::default());
    let _pushes = daemon.expect_console().start(snapshot());
    let (mut terminal, console) = start(daemon, xterm());
    terminal.until("pay-db").await;
    terminal.screen.screen_mut().set_size(10_u16.try_into().unwrap(), 40_u16.try_into().unwrap());
    terminal.size.send((40, 10)).unwrap();
    terminal.bytes_within(Duration::from_secs(1)).await;
    terminal.until("pay-db").await;
    // A size that no terminal has is cut, and costs no memory.
    terminal.size.send((u16::MAX, u16::MAX)).unwrap();
    terminal.bytes_within(Duration::from_secs(1)).await;
    drop(terminal.input);
    drop(terminal.output);
    assert_eq!(console.await.unwrap().unwrap(), Exit::Hangup);
}

#[tokio::test(start_paused = true)]
async fn a_dumb_terminal_is_refused_before_anything_is_written() {
    let (mut terminal, console) = start(Arc::new(Daemon::default()), TermEnv { term: "dumb".into(), ..xterm() });
    let e = console.await.unwrap().unwrap_err();
    assert!(e.to_string().contains("TERM is \"dumb\""), "{e}");
    assert!(terminal.output.recv().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn what_is_copied_goes_to_the_terminals_clipboard() {
    let daemon = Arc::new(Daemon::default());
    let _pushes = daemon.expect_console().start(snapshot());
    let (mut terminal, _console) = start(daemon, xterm());
    terminal.until("pay-db").await;
    terminal.bytes_within(Duration::from_secs(1)).await;
    terminal.input.send(b"y".to_vec()).await.unwrap();
    let bytes = terminal.output.recv().await.unwrap();
    let text = String::from_utf8(bytes).unwrap();
    assert!(text.starts_with("\x1b]52;c;MTI3LjAuMC4xOjIwMTAx\x07"), "{text:?}");
}
