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
}

impl Terminal {
    async fn until(&mut self, text: &str) {
        let seen = async {
            while !self.screen.screen().contents().contains(text) {
                let Some(bytes) = self.output.recv().await else { break };
                self.take(&bytes);
            }
        };
        let seen = tokio::time::timeout(Duration::from_secs(120), seen).await;
        let contents = self.screen.screen().contents();
        assert!(seen.is_ok() && contents.contains(text), "no {text:?} in:\n{contents}");
    }
    fn take(&mut self, bytes: &[u8]) {
        self.bytes += bytes.len();
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
    (Terminal { input, size, output, screen: vt(24, 80), bytes: 0 }, console)
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
