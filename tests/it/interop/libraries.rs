//! SSH libraries, each by a program in tests/interop that does what it is told (see steps.py there).

use super::{Client, MIB, bastion, ended_by_itself, is_any_port_of_the_team, is_cancelled, session};
use crate::common::bastion::Bastion;
use crate::common::services::{echo, serve, visit};
use crate::common::{SOON, eventually, wait_exit};
use crate::transfer::there_and_back;
use socket2::SockRef;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr};
use std::path::Path;
use std::process::Command;
use std::sync::{Mutex, mpsc};
use std::time::Duration;

/// Key exchanges to be begun while bytes flow.
const EXCHANGES: usize = 8;

pub(super) struct Library {
    pub(super) client: Client,
    package: &'static str,
    heard: usize,
}

impl Library {
    /// The program, with that host's key; behind it a service that sends back what it gets.
    #[track_caller]
    pub(super) fn start(b: &Bastion, script: &str, host: &str, package: &'static str) -> Self {
        Self::to(b, script, host, package, echo())
    }

    /// The same with another service.
    #[track_caller]
    pub(super) fn to(b: &Bastion, script: &str, host: &str, package: &'static str, service: SocketAddr) -> Self {
        // Debian's own Python has the packages; another may come first on the PATH.
        let python = Path::new("/usr/bin/python3");
        let mut command = Command::new(if python.exists() { python } else { Path::new("python3") });
        command.env("PYTHONDONTWRITEBYTECODE", "1");
        command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/interop").join(script));
        command.arg(host).arg(b.key(host));
        command.args([b.address().port().to_string(), service.port().to_string()]);
        Self { client: Client::start(command, package), package, heard: 0 }
    }

    /// Its next line, which begins so; the rest of it.
    #[track_caller]
    pub(super) fn hears(&mut self, begin: &str) -> String {
        let mut n = 0;
        let heard = self.heard;
        let line = self.client.out.find(Duration::from_secs(60), |l| {
            n += 1;
            (n > heard).then(|| l.to_owned())
        });
        self.heard += 1;
        let Some(line) = line else {
            let log = self.client.log.text();
            let missing = log.contains("No module named") || log.contains("cannot open shared object");
            assert!(!missing, "tests/run installs what is missing, or apt-get install {}:\n{log}", self.package);
            panic!("it says nothing, and should say {begin:?}:\n{log}");
        };
        let rest = line.strip_prefix(begin).unwrap_or_else(|| panic!("it says {line:?} rather than {begin:?}"));
        rest.trim().to_owned()
    }

    fn tell(&mut self, step: &str) {
        writeln!(self.client.stdin.as_mut().unwrap(), "{step}").unwrap();
    }

    #[track_caller]
    pub(super) fn asked(&mut self, step: &str, answer: &str) -> String {
        self.tell(step);
        self.hears(answer)
    }

    #[track_caller]
    fn exchanges(&mut self) -> usize {
        self.asked("exchanges", "exchanges").parse().unwrap()
    }

    /// Has it begin a key exchange, and waits until it is done, or all is over.
    #[track_caller]
    fn rekeys(&mut self, over: impl Fn() -> bool) {
        let before = self.exchanges();
        self.asked("rekey", "rekeying");
        eventually("the keys are new", SOON, || self.exchanges() > before || over());
    }
}

/// All that there is to do; `rekeys` says when the library begins key exchanges, as far as is expected.
fn all(script: &str, package: &'static str, software: &str, rekeys: &[&str]) {
    let b = bastion();
    let mut host = Library::start(&b, script, "pay-01", package);
    let ready = host.hears("ready");
    let [cipher, mac, when] = ready.split(' ').collect::<Vec<_>>()[..] else { panic!("{ready}") };
    assert!(rekeys.contains(&when), "{ready}");
    let when = when.to_owned();

    let port = b.port("pay", 0);
    let given = host.asked(&format!("forward {port}"), "forwarded");
    assert_eq!(given, port.to_string());
    b.wait_tunnel(port, "is up", |t| t["state"] == "up");
    let session = session(&b);
    assert!(session["client"].as_str().unwrap().starts_with(software), "{session}");
    let algorithms = session["algorithms"].as_str().unwrap();
    assert!(
        algorithms.contains(cipher) && (algorithms.ends_with(mac) || cipher == mac),
        "{algorithms}, {cipher} {mac}"
    );

    if when == "idle" {
        host.rekeys(|| false);
    }
    let transfer = std::thread::spawn(move || there_and_back(port, 7, 64 * MIB));
    if when == "anytime" {
        // Paramiko answers whoever asks it in the middle of a key exchange, a visitor who comes for example, which RFC 4253 §7.1
        // forbids as well. Bytes it holds back.
        b.wait_tunnel(port, "carries bytes", |t| t["bytes_to_visitors"].as_u64() > Some(MIB));
        for _ in 0..EXCHANGES {
            host.rekeys(|| transfer.is_finished());
        }
    }
    let (sent, received) = transfer.join().unwrap();
    assert_eq!((sent.len, &received), (64 * MIB, &sent));
    match when.as_str() {
        "anytime" => assert!(host.exchanges() > 3, "only {} key exchanges", host.exchanges()),
        "idle" => assert!(host.exchanges() > 1),
        _ => {}
    }

    host.asked(&format!("cancel {port}"), "cancelled");
    is_cancelled(&b, port);
    let any = host.asked("forward 0", "forwarded").parse().unwrap();
    is_any_port_of_the_team(&b, any);
    host.tell("quit");
    assert!(wait_exit(&mut host.client.child, script, SOON).success());
    ended_by_itself(&b);
}

#[test]
fn paramiko() {
    all("paramiko_client.py", "python3-paramiko", "paramiko_", &["anytime"]);
}

/// 2.14.2, and 2.10.1 as in Debian 12, goes on sending after it has begun a key exchange, which RFC 4253 §7.1 forbids and our
/// SSH library does not forgive: there, keys are exchanged while nothing is sent. It was mended in 2.15.0.
#[test]
fn asyncssh() {
    all("asyncssh_client.py", "python3-asyncssh", "AsyncSSH_", &["anytime", "idle"]);
}

/// A second EOF on one channel is an error of the protocol to it, and the end of the session with all its tunnels.
#[test]
fn asyncssh_survives_a_visitor_that_has_ended_and_then_breaks() {
    let (tx, ended) = mpsc::channel();
    let (broken, rx) = mpsc::channel::<()>();
    let rx = Mutex::new(rx);
    let service = serve(move |mut conn| {
        let mut heard = Vec::new();
        let _ = conn.read_to_end(&mut heard);
        tx.send(heard).unwrap();
        rx.lock().unwrap().recv().unwrap();
        // Until the host's client has closed the stream.
        while conn.write_all(b"more").is_ok() {
            std::thread::park_timeout(Duration::from_millis(5));
        }
    });
    let b = bastion();
    let mut host = Library::to(&b, "asyncssh_client.py", "pay-01", "python3-asyncssh", service);
    host.hears("ready");
    let port = b.port("pay", 0);
    host.asked(&format!("forward {port}"), "forwarded");
    b.wait_tunnel(port, "is up", |t| t["state"] == "up");
    let before = session(&b)["id"].clone();
    for _ in 0..3 {
        let mut conn = visit(port);
        conn.write_all(b"all I have").unwrap();
        conn.shutdown(Shutdown::Write).unwrap();
        // What the health check sends is nothing.
        while ended.recv_timeout(SOON).expect("the end reaches the service") != b"all I have" {
            broken.send(()).unwrap();
        }
        SockRef::from(&conn).set_linger(Some(Duration::ZERO)).unwrap();
        drop(conn);
        broken.send(()).unwrap();
        b.wait_tunnel(port, "has no visitor", |t| t["visitors_now"] == 0);
    }
    assert_eq!(session(&b)["id"], before);
    host.asked(&format!("cancel {port}"), "cancelled");
}

/// It begins no key exchange, and before 1.11 it knows no encrypt-then-MAC.
#[test]
fn libssh2() {
    all("libssh2_client.py", "libssh2-1-dev", "libssh2_", &["never"]);
}
