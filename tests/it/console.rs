//! The console in a terminal: over the control socket, and over real `ssh -t`.

use crate::common::bastion::{BINARY, Bastion, Builder};
use crate::common::lines::Lines;
use crate::common::load::{Download, endless};
use crate::common::ports::Ports;
use crate::common::services::echo;
use crate::common::supervised::Group;
use crate::common::terminal::Terminal;
use crate::common::{SOON, end, eventually};
use serde_json::Value;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

fn bastion() -> Builder {
    Bastion::builder().team("pay", 8).host("pay-01", "pay").host("pay-02", "pay").operator("ops", "operator", &[])
}

/// The console over the control socket.
pub(crate) fn local(b: &Bastion) -> Terminal {
    let mut c = Command::new(BINARY);
    c.arg("--socket").arg(b.socket());
    Terminal::run(&c)
}

/// The console over SSH.
pub(crate) fn remote(b: &Bastion) -> Terminal {
    remote_of(b, "ops")
}

/// The console over SSH, of this operator.
pub(crate) fn remote_of(b: &Bastion, who: &str) -> Terminal {
    let mut c = Command::new("ssh");
    c.args(["-tt", "-F", "none", "-q", "-p", &b.address().port().to_string(), "-i"]).arg(b.key(who));
    for o in ["IdentitiesOnly=yes", "IdentityAgent=none", "StrictHostKeyChecking=no", "UserKnownHostsFile=/dev/null"] {
        c.args(["-o", o]);
    }
    c.arg(format!("{who}@127.0.0.1"));
    Terminal::run(&c)
}

/// The console over SSH, with the client's locale sent as Debian's ssh_config has it (`SendEnv LANG LC_*`).
fn remote_in(b: &Bastion, locale: &[(&str, &str)], line: &str) -> Terminal {
    let mut c = Command::new("ssh");
    c.args(["-tt", "-F", "none", "-q", "-p", &b.address().port().to_string(), "-i"]).arg(b.key("ops"));
    for o in ["IdentitiesOnly=yes", "IdentityAgent=none", "StrictHostKeyChecking=no", "UserKnownHostsFile=/dev/null"] {
        c.args(["-o", o]);
    }
    c.args(["-o", "SendEnv=LANG LC_*"]).arg("ops@127.0.0.1").args(line.split_whitespace());
    c.env_remove("LC_ALL").envs(locale.iter().copied());
    Terminal::run(&c)
}

#[test]
fn a_console_over_ssh_speaks_the_language_of_the_clients_locale() {
    let b = bastion().start();
    let mut korean = remote_in(&b, &[("LANG", "ko_KR.UTF-8")], "");
    korean.until_text("이상 없음");
    korean.until_text("● 연결됨");
    // What tells messages from the rest goes before LANG, and what is asked for before all.
    let mut english = remote_in(&b, &[("LANG", "ko_KR.UTF-8"), ("LC_MESSAGES", "en_US.UTF-8")], "");
    english.until_text("all well");
    let mut asked = remote_in(&b, &[("LANG", "en_US.UTF-8")], "console --lang ko");
    asked.until_text("이상 없음");
    // Kept, it is the operator's language wherever they come from; what is asked for still goes before.
    asked.keys(":set language ko\r");
    asked.until_text("language: ko, 저장 위치");
    let mut kept = remote_in(&b, &[("LANG", "en_US.UTF-8")], "");
    kept.until_text("이상 없음");
    let mut asked = remote_in(&b, &[("LANG", "ko_KR.UTF-8")], "console --lang en");
    asked.until_text("all well");
    // Locally the same.
    let mut c = Command::new(BINARY);
    c.args(["--lang", "ko", "--socket"]).arg(b.socket());
    Terminal::run(&c).until_text("이상 없음");
}

/// What holds for both ways.
fn works_a_shift(console: impl Fn(&Bastion) -> Terminal) {
    let b = bastion().start();
    let (one, two) = (b.port("pay", 0).to_string(), b.port("pay", 1).to_string());
    let _first = b.ssh("pay-01").forward(b.port("pay", 0), endless()).start().wait_forward();
    let mut c = console(&b);
    c.until_text("all well");
    c.keys("2");
    c.until_line(&["up", &one, "pay-01"]);
    c.until_text("● live");

    // Without a key pressed.
    let _second = b.ssh("pay-02").forward(b.port("pay", 1), echo()).start().wait_forward();
    let took = c.until_line(&["up", &two, "pay-02"]);
    assert!(took < Duration::from_secs(1), "it was shown after {took:?}");

    c.keys("/pay-01\r");
    c.until("only the first", |s| s.contents().contains("1 hidden") && !s.contents().contains(&two));

    let download = Download::start(b.port("pay", 0));
    download.wait_bytes(100_000);
    // Read-only until asked.
    c.keys("x");
    c.until_text("read-only: press W");
    assert!(download.is_running());
    c.keys("W");
    c.until_text("RW");
    c.keys("x");
    c.until_text("revoke host pay-01?");
    c.keys("pay-0\r");
    c.until_text("type pay-01 to confirm");
    assert!(download.is_running(), "a half-typed name does nothing");
    c.keys("1");
    c.until_text("pay-01");
    let began = Instant::now();
    c.keys("\r");
    let took = download.cut_after(began);
    assert!(took < Duration::from_secs(2), "the visitor was cut after {took:?}");
    c.until_text("revoked host pay-01: closed 1 session");
    c.until_line(&["revoked", &one, "pay-01"]);
    let e = b.wait_event("operator.revoked", "pay-01");
    assert_eq!((&e["actor"]["type"], &e["visitors"]), (&"operator".into(), &1.into()));
    b.wait_audit("write mode", |e| e["event"] == "operator.console" && e["stage"] == "write");

    // The next login of that key is refused, and shown.
    let mut again = b.ssh("pay-01").forward(b.port("pay", 0), echo()).start();
    assert!(!again.wait_exit().success());
    c.keys("5");
    c.until_text("REFUSED sign-in");

    c.keys("q");
    assert_eq!(c.wait_exit(), 0);
    assert!(c.is_restored(), "{}", c.contents());
}

#[test]
fn an_operator_works_a_shift_at_the_local_console() {
    works_a_shift(local);
}

#[test]
fn an_operator_works_a_shift_at_the_console_over_ssh() {
    works_a_shift(remote);
}

#[test]
fn a_window_that_changes_its_size_over_ssh_is_drawn_anew() {
    let b = bastion().start();
    let port = b.port("pay", 0);
    let _host = b.ssh("pay-01").forward(port, echo()).start().wait_forward();
    let mut c = remote(&b);
    c.keys("2");
    c.until_line(&["up", &port.to_string(), "pay-01"]);
    c.until_text("? help");
    c.resize(40, 10);
    c.until("the list, and the status on the last of ten lines", |s| {
        let lines: Vec<String> = s.rows(0, 40).collect();
        lines.iter().any(|l| l.contains(&port.to_string())) && lines.last().is_some_and(|l| l.contains("live RO"))
    });
    c.resize(140, 40);
    c.until("the detail beside the list", |s| s.rows(0, 140).any(|l| l.contains("lease") && l.contains("requested")));
    c.keys("q");
    assert_eq!(c.wait_exit(), 0);
    assert!(c.is_restored());
}

#[test]
fn a_console_whose_daemon_dies_says_so_and_is_live_again_when_it_is_back() {
    let mut b = bastion().start();
    let port = b.port("pay", 0).to_string();
    drop(b.ssh("pay-01").forward(b.port("pay", 0), echo()).start().wait_forward());
    let mut c = local(&b);
    c.until_text("● live");
    c.keys("2");
    c.until_line(&["down", &port]);
    b.kill9();
    c.until_text("STALE");
    assert!(!c.contents().contains("● live"));
    c.until_line(&["down", &port]);
    c.keys("W");
    c.until_text("not connected to the daemon");
    b.start();
    c.until_text("● live");
    // What the new daemon knows: the lease, and nothing of a life before.
    c.until_line(&["awaiting", &port]);
    c.keys("q");
    assert_eq!(c.wait_exit(), 0);
}

#[test]
fn an_idle_console_over_ssh_writes_nothing() {
    let b = bastion().start();
    let port = b.port("pay", 0);
    let _host = b.ssh("pay-01").forward(port, echo()).start().wait_forward();
    b.wait_tunnel(port, "is checked", |t| t["health"]["last_at"].is_string());
    let mut c = remote(&b);
    c.keys("2");
    c.until_line(&["up", &port.to_string()]);
    // Times of day stand still, ages do not.
    c.keys("5");
    // Everything that happens by itself has happened.
    for last in ["the bastion started", "health: unknown", "console: open"] {
        c.until_text(last);
    }
    while !c.bytes_within(Duration::from_millis(300)).is_empty() {}
    // The clock in the corner may change its minute once.
    let windows: Vec<Vec<u8>> = (0..2).map(|_| c.bytes_within(Duration::from_secs(3))).collect();
    let shown: Vec<String> = windows.iter().map(|w| String::from_utf8_lossy(w).into_owned()).collect();
    assert!(windows.iter().any(Vec::is_empty), "{shown:?}");
    assert!(windows.iter().all(|w| w.len() < 200), "{shown:?}");
    c.keys("q");
    assert_eq!(c.wait_exit(), 0);
}

/// A daemon as a newcomer starts it.
struct Up {
    child: std::process::Child,
    ready: Value,
    log: Lines,
}

impl Up {
    fn start(dir: &std::path::Path, listen: &str) -> Self {
        let mut child = Command::new(BINARY)
            .args(["up", "--no-console", "--listen", listen])
            .current_dir(dir)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let out = Lines::of(child.stdout.take().unwrap());
        let log = Lines::of(child.stderr.take().unwrap());
        let ready = out.find(SOON, |l| serde_json::from_str::<Value>(l).ok());
        let ready = ready.unwrap_or_else(|| panic!("not ready:\n{}", log.text()));
        Self { child, ready, log }
    }
}

impl Drop for Up {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("---- portreeve up\n{}", self.log.text());
        }
        end(&mut self.child);
    }
}

#[test]
fn the_first_tunnels_command_works_as_printed() {
    let dir = tempfile::Builder::new().prefix("pr up ").tempdir().unwrap();
    let ports = Ports::take();
    let listen = format!("127.0.0.1:{}", ports.get(0));
    drop(Up::start(dir.path(), &listen));
    // The scaffolded range is the same everywhere; other tests may be using it.
    let config = dir.path().join("portreeve-data/portreeve.toml");
    let text = std::fs::read_to_string(&config).unwrap();
    let range = format!("\"{}-{}\"", ports.get(1), ports.get(9));
    assert!(text.contains("ports = \"20100-20199\""));
    std::fs::write(&config, text.replace("\"20100-20199\"", &range)).unwrap();

    let up = Up::start(dir.path(), &listen);
    assert_eq!(up.ready["ssh"][0], *listen);
    let line = up.ready["first_tunnel"].as_str().unwrap();
    let port = ports.get(1);
    assert!(line.contains(&format!("-R {port}:")), "{line}");
    let socket = up.ready["control"].as_str().unwrap();
    let console = {
        let mut c = Command::new(BINARY);
        c.args(["--socket", socket]);
        c
    };
    let mut c = Terminal::run(&console);
    c.until("the command, whole", |s| {
        // Broken lines end as a shell wants it.
        let shown: String = s.contents().split_whitespace().filter(|w| *w != "\\").collect();
        shown.contains(&line.split_whitespace().collect::<String>())
    });
    let mut command = Command::new("sh");
    command.args(["-c", line]).current_dir(dir.path());
    let began = Instant::now();
    let _ssh = Group::start("the first tunnel", command);
    c.keys("2");
    c.until_line(&["up", &port.to_string(), "first-host"]);
    assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
    let rows = || {
        let out = Command::new(BINARY).args(["--socket", socket, "tunnels", "--json"]).output().unwrap();
        serde_json::from_slice::<Value>(&out.stdout).unwrap()
    };
    eventually("it is listed and its service answers", SOON, || {
        let rows = rows();
        rows[0]["port"] == port && rows[0]["state"] == "up" && rows[0]["health"]["last_at"].is_string()
    });
    assert_eq!(rows()[0]["health"]["last_error"], Value::Null);
}
