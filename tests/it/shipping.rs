//! The journal sent on: to syslog over a Unix socket, TCP and TLS, through outages of the receiver and of the daemon.

use crate::common::bastion::Bastion;
use crate::common::services::{hear, says};
use crate::common::{SOON, eventually};
use serde_json::Value;
use std::collections::BTreeSet;
use std::io::Read;
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::UnixDatagram;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// The records of counted messages, as many as have come whole.
fn records(stream: &mut TcpStream, pending: &mut Vec<u8>) -> Vec<Value> {
    let mut block = [0; 4096];
    stream.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
    while let Ok(n @ 1..) = stream.read(&mut block) {
        pending.extend_from_slice(&block[..n]);
    }
    let mut found = Vec::new();
    while let Some(space) = pending.iter().position(|b| *b == b' ') {
        let n: usize = std::str::from_utf8(&pending[..space]).unwrap().parse().unwrap();
        if pending.len() < space + 1 + n {
            break;
        }
        let message: Vec<u8> = pending.drain(..space + 1 + n).skip(space + 1).collect();
        let text = String::from_utf8(message).unwrap();
        assert!(text.starts_with('<') && text.contains(" portreeve "), "{text}");
        found.push(serde_json::from_str(&text[text.find(" {").unwrap()..]).unwrap());
    }
    found
}

/// A bastion and the syslog of its machine, which has each event within a moment.
fn local(format: &str) -> (tempfile::TempDir, UnixDatagram, Bastion) {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("log");
    let syslog = UnixDatagram::bind(&socket).unwrap();
    syslog.set_read_timeout(Some(SOON)).unwrap();
    let to = format!("to = \"unix:{}\"\nformat = {format:?}", socket.display());
    let b = Bastion::builder().team("pay", 2).host("pay-01", "pay").set("shipping.local", &to).start();
    (dir, syslog, b)
}

#[test]
fn a_syslog_of_this_machine_has_each_event_as_it_happens() {
    let (_dir, syslog, b) = local("ocsf");
    let _ssh = b.ssh("pay-01").forward(b.port("pay", 0), says("hello")).start().wait_forward();
    let mut block = vec![0; 64 << 10];
    loop {
        let n = syslog.recv(&mut block).expect("an event of the forward");
        let text = String::from_utf8_lossy(&block[..n]);
        let (head, event) = text.split_once("] ").unwrap();
        let event: Value = serde_json::from_str(event).unwrap();
        if event["metadata"]["event_code"] != "forward.granted" {
            continue;
        }
        assert!(head.contains(" forward.granted [meta sequenceId="), "{head}");
        assert_eq!((event["class_uid"].as_u64(), event["activity_name"].as_str()), (Some(4007), Some("Listen")));
        assert_eq!(event["dst_endpoint"]["hostname"], "pay-01");
        let raw: Value = serde_json::from_str(event["raw_data"].as_str().unwrap()).unwrap();
        assert_eq!(raw["event"], "forward.granted");
        break;
    }
}

#[test]
fn a_record_too_long_for_a_datagram_goes_without_its_end_and_holds_nobody_up() {
    let (_dir, syslog, b) = local("journal");
    // A reload that changes very much: its record says all of it.
    let many: String = (0..6_000)
        .map(|n| format!("[teams.a-team-with-a-rather-long-name-{n}]\nports = \"{n}\"\n", n = 40_000 + n))
        .collect();
    b.rewrite(|text| text + &many);
    let reload = b.cli(&["reload"]);
    assert!(reload.status.success(), "{}", String::from_utf8_lossy(&reload.stderr));
    let mut block = vec![0; 1 << 20];
    let mut heard = |event: &str| loop {
        let n = syslog.recv(&mut block).expect(event);
        let text = String::from_utf8_lossy(&block[..n]).into_owned();
        if text.contains(&format!(" {event} [meta")) {
            break text;
        }
    };
    let long = heard("config.reload");
    assert!(long.ends_with('…') && long.len() < 10_000, "{} bytes", long.len());
    let _ssh = b.ssh("pay-01").forward(b.port("pay", 0), says("hello")).start().wait_forward();
    heard("auth.success");
}

#[test]
fn a_receiver_that_was_away_and_a_daemon_that_was_stopped_lose_nothing() {
    let receiver = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = receiver.local_addr().unwrap();
    let mut b = Bastion::builder()
        .team("pay", 2)
        .host("pay-01", "pay")
        .set("shipping.siem", &format!("to = \"tcp:{address}\""))
        .start();
    let port = b.port("pay", 0);
    let mut seen = BTreeSet::new();
    let mut pending = Vec::new();
    let (mut stream, _) = receiver.accept().unwrap();
    eventually("the first events", SOON, || {
        seen.extend(records(&mut stream, &mut pending).iter().map(|r| r["seq"].as_u64().unwrap()));
        !seen.is_empty()
    });
    // The receiver goes, and what happens meanwhile is kept.
    drop((stream, receiver));
    let ssh = b.ssh("pay-01").forward(port, says("hello")).start().wait_forward();
    assert_eq!(hear(port), "hello");
    b.wait_audit("it is known that nobody takes it", |e| e["event"] == "audit.shipping" && e["up"] == false);
    drop(ssh);
    b.wait_event("session.end", "pay-01");
    // So does the daemon.
    b.term();
    b.start();
    b.wait_audit("still away", |e| e["event"] == "daemon.start");
    let receiver = TcpListener::bind(address).unwrap();
    let (mut stream, _) = receiver.accept().unwrap();
    pending.clear();
    let last = b.wait_audit("again", |e| e["event"] == "audit.shipping" && e["up"] == true)["seq"].as_u64().unwrap();
    eventually("all there is", SOON, || {
        seen.extend(records(&mut stream, &mut pending).iter().map(|r| r["seq"].as_u64().unwrap()));
        seen.contains(&last)
    });
    let first = *seen.first().unwrap();
    let missing: Vec<u64> = (first..=last).filter(|seq| !seen.contains(seq)).collect();
    assert!(missing.is_empty(), "{missing:?} of {first} to {last}");
}

#[test]
fn by_tls_it_goes_to_whom_the_certificate_names_and_to_nobody_else() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name).display().to_string();
    let openssl = |name: &str, more: &[&str]| {
        let out = Command::new("openssl")
            .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"])
            .args(["-keyout", &at(&format!("{name}.key")), "-out", &at(&format!("{name}.pem"))])
            .args(more)
            .output()
            .unwrap();
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    };
    openssl("ca", &["-subj", "/CN=ours"]);
    openssl("other", &["-subj", "/CN=theirs"]);
    let named = ["-addext", "subjectAltName=DNS:localhost", "-addext", "basicConstraints=critical,CA:FALSE"];
    let by = ["-subj", "/CN=localhost", "-CA", &at("ca.pem"), "-CAkey", &at("ca.key")];
    openssl("siem", &[&by[..], &named[..]].concat());
    // It serves one at a time, so each receiver has its own.
    let serve = || {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let server = Command::new("openssl")
            .args(["s_server", "-quiet", "-naccept", "9", "-accept", &format!("127.0.0.1:{port}")])
            .args(["-cert", &at("siem.pem"), "-key", &at("siem.key")])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        (format!("to = \"tls:localhost:{port}\"\nca = "), server)
    };
    let ((to, mut server), (to_other, mut other)) = (serve(), serve());
    let mut stdout = server.stdout.take().unwrap();
    let received = Arc::new(Mutex::new(String::new()));
    let into = received.clone();
    let reader = std::thread::spawn(move || {
        let mut block = [0; 4096];
        while let Ok(n @ 1..) = stdout.read(&mut block) {
            into.lock().unwrap().push_str(&String::from_utf8_lossy(&block[..n]));
        }
    });
    let b = Bastion::builder()
        .team("pay", 2)
        .host("pay-01", "pay")
        .set("shipping.siem", &format!("{to}{:?}", at("ca.pem")))
        .set("shipping.wrong", &format!("{to_other}{:?}", at("other.pem")))
        .start();
    b.wait_audit("the stranger", |e| {
        let why = e["reason"].as_str().unwrap_or_default();
        e["event"] == "audit.shipping" && e["name"] == "wrong" && why.contains("certificate")
    });
    let _ssh = b.ssh("pay-01").forward(b.port("pay", 0), says("hello")).start().wait_forward();
    let has = |event: &str| received.lock().unwrap().contains(&format!("\"event\":\"{event}\""));
    eventually("the sign-in, by TLS", SOON, || has("auth.success"));
    // A run ends with its goodbye and a signature, there too.
    let mut b = b;
    b.term();
    eventually("the goodbye, by TLS", SOON, || has("daemon.stop") && has("audit.checkpoint"));
    for server in [&mut server, &mut other] {
        let _ = server.kill();
        let _ = server.wait();
    }
    reader.join().unwrap();
}
