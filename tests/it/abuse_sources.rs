//! Networks that misbehave before anybody has signed in. Addresses of 127.0.0.0/8 stand for networks; none is exempt.

use crate::common::bastion::{Bastion, keygen};
use crate::common::services::echo;
use crate::common::{SOON, eventually};
use serde_json::Value;
use std::io::Read;
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};

/// Connects from an address of this machine.
fn from(b: &Bastion, ip: &str) -> TcpStream {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket.bind(&format!("{ip}:0").parse::<SocketAddr>().unwrap().into()).unwrap();
    socket.connect(&b.address().into()).unwrap();
    let stream: TcpStream = socket.into();
    stream.set_read_timeout(Some(SOON)).unwrap();
    stream
}

/// What the server says first.
fn greeting(mut stream: &TcpStream) -> String {
    let mut buf = [0; 64];
    let n = stream.read(&mut buf).unwrap_or(0);
    String::from_utf8_lossy(&buf[..n]).into_owned()
}

/// One sign-in with stock ssh; whether it worked.
fn signs_in(b: &Bastion, name: &str, ip: &str) -> bool {
    let out = b.ssh(name).args(&["-b", ip]).run(&["status"]);
    // Hosts have no commands: they are refused in words, by exit status 4.
    out.status.code() == Some(4) || out.status.success()
}

fn is_kind(e: &Value, event: &str, rule: &str) -> bool {
    e["event"] == event && e["rule"].as_str().is_some_and(|r| r.contains(rule))
}

#[test]
fn a_stranger_with_wrong_keys_is_refused_before_the_handshake_and_a_site_is_not() {
    let mut b = Bastion::builder()
        .team("pay", 4)
        .host("pay-01", "pay")
        .set("sources", "exempt = []\nreport_interval = \"1s\"\npenalty_min = \"2s\"\npenalty_auth = \"5s\"")
        .start();
    // A key that is in no configuration, under the name the harness looks for.
    keygen(&b.dir().join("nobody"), "nobody");
    assert!(!signs_in(&b, "nobody", "127.0.0.7"));
    b.wait_audit("penalty", |e| {
        e["reason"].as_str().is_some_and(|r| r.contains("127.0.0.7/32 is refused from now on"))
    });
    let tries = 50;
    for _ in 0..tries {
        assert_eq!(greeting(&from(&b, "127.0.0.7")), "Not allowed at this time\r\n");
    }
    // A good key does not help there, and helps next door.
    assert!(!signs_in(&b, "pay-01", "127.0.0.7"));
    assert!(signs_in(&b, "pay-01", "127.0.0.8"));
    // The neighbour is known now, and one wrong key there shuts nobody out.
    for _ in 0..5 {
        assert!(!signs_in(&b, "nobody", "127.0.0.8"));
    }
    b.wait_audit("slowed down", |e| e["reason"].as_str().is_some_and(|r| r.contains("127.0.0.8/32 is slowed down")));
    assert!(signs_in(&b, "pay-01", "127.0.0.8"));
    let port = b.port("pay", 0);
    let _tunnel = b.ssh("pay-01").args(&["-b", "127.0.0.8"]).forward(port, echo()).start().wait_forward();
    // The first is written, the others are counted, and none is lost.
    let refused = |e: &Value| is_kind(e, "connection.refused", "sources.penalties");
    let counted = |b: &Bastion| -> u64 {
        let all = b.audit();
        let one_by_one = all.iter().filter(|e| refused(e)).count() as u64;
        let more: u64 = all
            .iter()
            .filter(|e| is_kind(e, "refusals.counted", "sources.penalties"))
            .map(|e| e["count"].as_u64().unwrap())
            .sum();
        one_by_one + more
    };
    // Those above, and the ssh that tried from there.
    eventually("all are accounted for", SOON, || counted(&b) == tries + 1);
    let metrics = String::from_utf8(b.cli(&["metrics"]).stdout).unwrap();
    let line = format!("portreeve_connections_refused_total{{reason=\"penalty\"}} {}", tries + 1);
    assert!(metrics.contains(&line), "{metrics}");
    assert!(metrics.contains("portreeve_known_networks 1\n"), "{metrics}");

    // Known is known after a restart.
    b.restart();
    let metrics = String::from_utf8(b.cli(&["metrics"]).stdout).unwrap();
    assert!(metrics.contains("portreeve_known_networks 1\n"), "{metrics}");
    assert!(b.cli(&["audit", "verify"]).status.success());
}

/// Four clients of the site come again as soon as they are answered, hundreds of times a second.
#[test]
fn a_flood_out_of_a_known_site_lets_its_hosts_sign_in() {
    let b = Bastion::builder()
        .team("pay", 4)
        .host("pay-01", "pay")
        .set("sources", "exempt = []\npenalty_min = \"2s\"\npenalty_no_auth = \"2s\"")
        .start();
    assert!(signs_in(&b, "pay-01", "127.0.0.8"));
    let over = AtomicBool::new(false);
    std::thread::scope(|s| {
        for _ in 0..4 {
            s.spawn(|| {
                while !over.load(Ordering::Relaxed) {
                    // Gone again once there is an answer, whichever it is.
                    greeting(&from(&b, "127.0.0.8"));
                }
            });
        }
        let slowed = |e: &Value| e["reason"].as_str().is_some_and(|r| r.contains("127.0.0.8/32 is slowed down"));
        b.wait_audit("slowed down", slowed);
        let signed: Vec<bool> = (0..5).map(|_| signs_in(&b, "pay-01", "127.0.0.8")).collect();
        over.store(true, Ordering::Relaxed);
        assert_eq!(signed, [true; 5]);
    });
}

#[test]
fn strangers_who_hold_every_place_keep_no_known_network_out() {
    let b = Bastion::builder()
        .team("pay", 4)
        .host("pay-01", "pay")
        .set("ssh", "max_startups = \"10:50:20\"\nlogin_grace_time = \"60s\"")
        .set("sources", "exempt = []\nmax_startups = 5\npenalties = false")
        .start();
    assert!(signs_in(&b, "pay-01", "127.0.0.8"));
    // Slow-loris: connections that say nothing, of many networks, until there is no place.
    let mut held = Vec::new();
    let mut n = 0_u32;
    while held.len() < 20 {
        n += 1;
        assert!(n < 2_000, "{} places are taken", held.len());
        let stream = from(&b, &format!("127.0.{}.{}", 1 + n / 250, 1 + n % 250));
        if greeting(&stream).starts_with("SSH-2.0-") {
            held.push(stream);
        }
    }
    assert_eq!(greeting(&from(&b, "127.0.200.1")), "Not allowed at this time\r\n");
    b.wait_refusal("connection.refused", "ssh.max_startups");
    assert!(signs_in(&b, "pay-01", "127.0.0.8"), "the known site gets in");
    assert!(!signs_in(&b, "pay-01", "127.0.0.9"), "a new one does not");
    drop(held);
    eventually("places are free again", SOON, || signs_in(&b, "pay-01", "127.0.0.9"));
}

#[test]
fn one_network_has_so_many_places() {
    let b = Bastion::builder()
        .team("pay", 4)
        .host("pay-01", "pay")
        .set("sources", "exempt = []\nmax_startups = 3\ndeny = \"127.0.0.66/32\"")
        .start();
    let held: Vec<_> = (0..3).map(|_| from(&b, "127.0.0.7")).collect();
    assert!(held.iter().all(|s| greeting(s).starts_with("SSH-2.0-")));
    assert_eq!(greeting(&from(&b, "127.0.0.7")), "Not allowed at this time\r\n");
    b.wait_refusal("connection.refused", "sources.max_startups");
    assert!(signs_in(&b, "pay-01", "127.0.0.8"));
    assert_eq!(greeting(&from(&b, "127.0.0.66")), "Not allowed at this time\r\n");
    b.wait_refusal("connection.refused", "sources.deny");
}

#[test]
fn what_a_host_asks_for_in_vain_a_thousand_times_is_a_few_lines() {
    let b = Bastion::builder().team("pay", 4).host("pay-01", "pay").set("sources", "report_interval = \"1s\"").start();
    // 200 forwards of a port that is not the team's: one session, refused each.
    let mut ssh = b.ssh("pay-01");
    for n in 0..200 {
        ssh = ssh.args(&["-R", &format!("127.0.0.1:{}:127.0.0.1:9", 1024 + n)]);
    }
    let _session = ssh.args(&["-N", "-o", "ExitOnForwardFailure=no"]).spawn(&[]);
    let sum = |b: &Bastion| {
        let all = b.audit();
        let lines = all.iter().filter(|e| e["event"] == "forward.refused").count() as u64;
        let counted = all.iter().filter(|e| e["event"] == "refusals.counted" && e["of"] == "forward.refused");
        (lines, lines + counted.map(|e| e["count"].as_u64().unwrap()).sum::<u64>())
    };
    eventually("all are accounted for", SOON, || sum(&b).1 == 200);
    assert!(sum(&b).0 < 200, "none was only counted");
}
