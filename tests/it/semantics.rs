//! What a visit means: ends and resets as they travel, slow visitors beyond the cap, listeners, and their memory.
//!
//! What SSH can carry of a reset is what OpenSSH's client makes of it, so some tests ask sshd the same questions.

use crate::common::bastion::Bastion;
use crate::common::load::endless;
use crate::common::services::{Sshd, echo, hear, says, serve, source, visit};
use crate::common::ssh::{Ssh, SshCommand};
use crate::common::{SOON, eventually, ports, stream};
use socket2::SockRef;
use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

const KIB: u64 = 1024;
const MIB: u64 = 1024 * KIB;

#[allow(clippy::needless_pass_by_value)] // It ends with this call.
fn reset(conn: TcpStream) {
    SockRef::from(&conn).set_linger(Some(Duration::ZERO)).unwrap();
}

/// Reads to the end or an error: how many bytes came, and the error.
fn read_out(conn: &mut TcpStream) -> (u64, Option<ErrorKind>) {
    let mut buf = vec![0; 65_536];
    let mut got = 0;
    loop {
        match conn.read(&mut buf) {
            Ok(0) => return (got, None),
            Ok(n) => got += n as u64,
            Err(e) => return (got, Some(e.kind())),
        }
    }
}

/// Writes until it fails.
fn write_out(conn: &mut TcpStream) -> bool {
    let began = Instant::now();
    while began.elapsed() < SOON {
        if conn.write_all(b"more").is_err() {
            return true;
        }
        std::thread::park_timeout(Duration::from_millis(5));
    }
    false
}

/// A service told by its visitor's first byte how to behave; what it saw is sent back.
fn moody() -> (SocketAddr, mpsc::Receiver<String>) {
    let (tx, rx) = mpsc::channel();
    let address = serve(move |mut conn| {
        let mut mood = [0];
        if conn.read_exact(&mut mood).is_err() {
            return;
        }
        let say = |what: String| drop(tx.send(what));
        match mood[0] {
            // Says something and breaks.
            b'r' => {
                conn.write_all(&[7; 1000]).unwrap();
                // The bytes are on their way when the answer has come.
                conn.read_exact(&mut mood).unwrap();
                reset(conn);
            }
            // Reads to the end, and goes on talking.
            b'l' => {
                let (n, error) = read_out(&mut conn);
                say(format!("read {n} {error:?}"));
                say(format!("writing failed: {}", write_out(&mut conn)));
            }
            // Talks without an end.
            b's' => {
                let block = [7; 65_536];
                while conn.write_all(&block).is_ok() {}
                say("could not go on".to_owned());
            }
            _ => {}
        }
    });
    (address, rx)
}

/// What both sides see of resets through a tunnel on this port.
fn resets(port: u16, seen: &mpsc::Receiver<String>) -> Vec<String> {
    let mut out = Vec::new();
    let next = || seen.recv_timeout(SOON).unwrap();

    let mut v = visit(port);
    v.write_all(b"r").unwrap();
    v.read_exact(&mut [0; 1000]).unwrap();
    v.write_all(b"!").unwrap();
    let end = v.read(&mut [0]).map_err(|e| e.kind());
    out.push(format!("service resets, visitor reads: {end:?}"));
    out.push(format!("then writing fails: {}", write_out(&mut v)));

    let mut v = visit(port);
    v.write_all(b"lab").unwrap();
    // Half a word, so that the bytes are there before the reset throws away what is not.
    std::thread::park_timeout(Duration::from_millis(200));
    reset(v);
    out.push(format!("visitor resets, service: {}", next()));
    out.push(format!("then {}", next()));

    let mut v = visit(port);
    v.write_all(b"s").unwrap();
    v.read_exact(&mut [0; 100_000]).unwrap();
    reset(v);
    out.push(format!("visitor resets a download, service: {}", next()));
    out
}

#[test]
fn resets_travel_as_far_as_with_sshd() {
    let b = Bastion::builder().team("pay", 4).host("pay-01", "pay").set("health", "interval = \"1h\"").start();
    let port = b.port("pay", 0);
    let (service, seen) = moody();
    let _host = b.ssh("pay-01").forward(port, service).start().wait_forward();
    let ours = resets(port, &seen);

    let sshd = Sshd::start();
    let block = ports::Ports::take();
    let port = block.get(0);
    let (service, seen) = moody();
    let client = SshCommand::new(&sshd.user(), &sshd.key(), sshd.address);
    let _host = client.forward(port, service).start().wait_forward();
    assert_eq!(ours, resets(port, &seen));
    assert_eq!(
        ours,
        [
            // OpenSSH's client says of a broken connection what it says of a closed one: EOF.
            "service resets, visitor reads: Ok(0)",
            "then writing fails: true",
            "visitor resets, service: read 2 None",
            "then writing failed: true",
            "visitor resets a download, service: could not go on",
        ]
    );
}

/// A socket of this port of loopback, which others of this user may have as well. It does not listen.
fn shared_port(port: u16) -> socket2::Socket {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket.set_reuse_port(true).unwrap();
    socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, port)).into()).unwrap();
    socket
}

/// sshd gives the visitor an orderly end, as if the service had had nothing to say.
#[test]
fn a_refused_service_is_a_reset_at_once_and_a_fact_of_health() {
    let b =
        Bastion::builder().team("pay", 4).host("pay-01", "pay").set("health", "interval = \"1h\"\nfall = 100").start();
    let port = b.port("pay", 0);
    // Takes connections into its backlog, which is all that the check asks for. The port stays taken when it is gone: else
    // some other test may listen there.
    let taken = shared_port(0);
    let address = taken.local_addr().unwrap().as_socket().unwrap();
    let service = shared_port(address.port());
    service.listen(8).unwrap();
    let _host = b.ssh("pay-01").forward(port, address).start().wait_forward();
    b.wait_tunnel(port, "is healthy", |t| t["health"]["verdict"] == "passing");
    drop(service);
    let mut fastest = Duration::MAX;
    for n in 0..10 {
        let began = Instant::now();
        let mut v = visit(port);
        // Also one that has spoken first: nothing is left for the kernel to send in order.
        if n % 2 == 1 {
            let _ = v.write_all(b"hello?");
        }
        assert_eq!(v.read(&mut [0]).map_err(|e| e.kind()), Err(ErrorKind::ConnectionReset));
        fastest = fastest.min(began.elapsed());
        if n == 0 {
            let health = &b.tunnel(port).unwrap()["health"];
            assert_eq!(health["layer"], "channel", "{health}");
            assert!(health["last_error"].as_str().unwrap().contains("could not connect to its service"), "{health}");
        }
    }
    assert!(fastest < Duration::from_millis(100), "{fastest:?}");
    let no = b.wait_audit("the refusal", |e| e["event"] == "visitor.refused");
    assert_eq!(no["outcome"], "failure");
}

#[test]
fn a_visitor_that_has_said_all_learns_that_the_service_broke() {
    let b = Bastion::builder().team("pay", 4).host("pay-01", "pay").start();
    let port = b.port("pay", 0);
    let service = serve(|mut conn| {
        let _ = read_out(&mut conn);
        reset(conn);
    });
    let _host = b.ssh("pay-01").forward(port, service).start().wait_forward();
    let mut v = visit(port);
    v.write_all(b"question").unwrap();
    v.shutdown(Shutdown::Write).unwrap();
    assert_eq!(read_out(&mut v).0, 0);
    b.wait_tunnel(port, "is left", |t| t["visitors_now"] == 0);
    b.wait_audit("its end", |e| e["event"] == "visitor.close" && e["bytes_to_host"] == 8);
}

#[test]
fn a_visitor_that_leaves_takes_what_waited_for_it_along() {
    let b = Bastion::builder().team("pay", 4).host("pay-01", "pay").start();
    let port = b.port("pay", 0);
    let _host = b.ssh("pay-01").forward(port, source(1, 64 * MIB)).start().wait_forward();
    let late = visit(port);
    eventually("nearly all of it waits in the bastion", 3 * SOON, || {
        b.json(&["visitors"])[0]["buffered"].as_u64().is_some_and(|n| n > 56 * MIB)
    });
    // An unlinked file shows among the descriptors.
    let spilled = || {
        let files = std::fs::read_dir(format!("/proc/{}/fd", b.pid())).unwrap().flatten();
        files
            .filter_map(|f| std::fs::read_link(f.path()).ok())
            .filter(|l| l.to_string_lossy().ends_with("(deleted)"))
            .count()
    };
    assert_eq!(spilled(), 1);
    drop(late);
    b.wait_tunnel(port, "is left", |t| t["visitors_now"] == 0);
    eventually("the file is gone", SOON, || spilled() == 0);
    assert_eq!(stream::read(&mut visit(port)).unwrap(), stream::sum(1, 64 * MIB));
}

#[test]
fn stalled_visitors_cost_less_than_four_mebibytes_each() {
    const N: u64 = 12;
    let b = Bastion::builder().team("pay", 4).host("pay-01", "pay").start();
    let port = b.port("pay", 0);
    let _host = b.ssh("pay-01").forward(port, source(1, 24 * MIB)).start().wait_forward();
    assert_eq!(stream::read(&mut visit(port)).unwrap().len, 24 * MIB);
    let resident = || {
        let status = std::fs::read_to_string(format!("/proc/{}/status", b.pid())).unwrap();
        let kib = |key: &str| {
            let line = status.lines().find_map(|l| l.strip_prefix(key)).unwrap();
            line.trim().trim_end_matches(" kB").parse::<u64>().unwrap()
        };
        (kib("VmRSS:"), kib("VmHWM:"))
    };
    let (before, _) = resident();
    let stalled: Vec<_> = (0..N).map(|_| visit(port)).collect();
    eventually("all of them wait", 3 * SOON, || {
        let rows = b.json(&["visitors"]);
        let rows = rows.as_array().unwrap();
        rows.len() as u64 == N && rows.iter().all(|v| v["buffered"].as_u64() > Some(16 * MIB))
    });
    let (_, peak) = resident();
    assert!(peak - before < N * 4 * 1024, "{} KiB for {N} visitors", peak - before);
    drop(stalled);
    b.wait_tunnel(port, "is left", |t| t["visitors_now"] == 0);
}

/// Reads so many bytes a second, and tells the sum and the end.
struct Sipper {
    rate: Arc<AtomicU64>,
    end: mpsc::Receiver<(Result<stream::Sum, ErrorKind>, Instant)>,
    address: SocketAddr,
}

impl Sipper {
    fn start(port: u16, rate: u64) -> Self {
        let mut conn = visit(port);
        let address = conn.local_addr().unwrap();
        let rate = Arc::new(AtomicU64::new(rate));
        let (tx, end) = mpsc::channel();
        let speed = Arc::clone(&rate);
        std::thread::spawn(move || {
            let mut summer = stream::Summer::default();
            let mut buf = vec![0; 16 * 1024];
            let mut credit = 0.0;
            let mut last = Instant::now();
            let end = loop {
                std::thread::park_timeout(Duration::from_millis(10));
                credit += last.elapsed().as_secs_f64() * speed.load(Ordering::Relaxed) as f64;
                last = Instant::now();
                let mut over = None;
                while credit > 0.0 && over.is_none() {
                    match conn.read(&mut buf) {
                        Ok(0) => over = Some(Ok(())),
                        Ok(n) => {
                            summer.update(&buf[..n]);
                            credit -= n as f64;
                        }
                        Err(e) => over = Some(Err(e.kind())),
                    }
                }
                if let Some(over) = over {
                    break over;
                }
            };
            let _ = tx.send((end.map(|()| summer.sum()), Instant::now()));
        });
        Self { rate, end, address }
    }
    fn at(&self, rate: u64) {
        self.rate.store(rate, Ordering::Relaxed);
    }
    fn end(&self, within: Duration) -> (Result<stream::Sum, ErrorKind>, Instant) {
        self.end.recv_timeout(within).unwrap()
    }
}

/// A bastion that keeps very little for a visitor, a host on it with a download and an echo.
fn little(service: SocketAddr) -> (Bastion, Ssh, [u16; 2]) {
    let b = Bastion::builder()
        .team("pay", 4)
        .host("pay-01", "pay")
        .set("relay", "visitor_spill = \"2MiB\"")
        .set("ssh", "keepalive_interval = \"1s\"\nkeepalive_count = 2")
        .set("health", "interval = \"1h\"")
        .start();
    let ports = [b.port("pay", 0), b.port("pay", 1)];
    let host = b.ssh("pay-01").option("ServerAliveInterval=2").option("ServerAliveCountMax=3");
    let host = host.forward(ports[0], service).forward(ports[1], echo()).start().wait_forwards(2);
    (b, host, ports)
}

fn slows(b: &Bastion, who: SocketAddr) -> serde_json::Value {
    b.wait_audit("a visitor slows its session", |e| e["event"] == "visitor.slows" && e["source"] == who.to_string())
}

fn ping(conn: &mut TcpStream) {
    conn.write_all(b"?").unwrap();
    conn.read_exact(&mut [0]).unwrap();
}

#[test]
fn beyond_the_cap_a_slow_reader_slows_its_session_and_gets_every_byte() {
    const LEN: u64 = 24 * MIB;
    let (b, mut host, [port, other]) = little(source(1, LEN));
    let session = b.tunnel(port).unwrap()["session"].clone();
    let mut neighbour = visit(other);
    ping(&mut neighbour);
    let slow = Sipper::start(port, 2 * MIB);
    let event = slows(&b, slow.address);
    assert!(event["waiting"].as_u64() > Some(2 * MIB), "{event}");
    assert!(event["reason"].as_str().unwrap().contains("the session of host pay-01 is slowed"), "{event}");
    // The session is slow, and alive; both sides' watchdogs leave it alone.
    ping(&mut neighbour);
    let (sum, _) = slow.end(3 * SOON);
    assert_eq!(sum.unwrap(), stream::sum(1, LEN));
    ping(&mut neighbour);
    assert!(host.is_running());
    assert_eq!(b.tunnel(other).unwrap()["session"], session);
    let told = b.audit().iter().filter(|e| e["event"] == "visitor.slows").count();
    assert_eq!(told, 1, "once for each visitor");
    assert!(b.log().contains("a visitor slows its session"));
}

#[test]
fn a_visitor_that_stops_beyond_the_cap_is_cut_and_the_session_goes_on() {
    let (b, mut host, [port, other]) = little(endless());
    let mut neighbour = visit(other);
    let slow = Sipper::start(port, 4 * MIB);
    slows(&b, slow.address);
    slow.at(0);
    let stopped = Instant::now();
    let close = b.wait_audit("it is cut", |e| e["event"] == "visitor.close" && e["source"] == slow.address.to_string());
    let reason = close["reason"].as_str().unwrap();
    assert!(reason.contains("bytes waited for the visitor, more than may be kept"), "{reason}");
    assert!(stopped.elapsed() < Duration::from_secs(8), "{:?}", stopped.elapsed());
    ping(&mut neighbour);
    slow.at(64 * MIB);
    assert_eq!(slow.end(SOON).0, Err(ErrorKind::ConnectionReset));
    assert!(host.is_running());
}

#[test]
fn a_cut_and_a_revoke_act_at_once_while_a_session_is_held() {
    let (b, _host, [port, other]) = little(endless());
    let mut neighbour = visit(other);
    let first = Sipper::start(port, 2 * MIB);
    let id = slows(&b, first.address)["visitor"].as_str().unwrap().to_owned();
    let asked = Instant::now();
    let out = b.cli(&["cut", &id, "--yes"]);
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    let (end, at) = first.end(SOON);
    assert_eq!(end, Err(ErrorKind::ConnectionReset));
    assert!(at - asked < Duration::from_secs(2), "{:?}", at - asked);
    ping(&mut neighbour);

    let second = Sipper::start(port, 2 * MIB);
    slows(&b, second.address);
    let asked = Instant::now();
    let out = b.cli(&["revoke", "pay-01", "--yes"]);
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    let done = asked.elapsed();
    let (end, at) = second.end(SOON);
    assert_eq!(end, Err(ErrorKind::ConnectionReset));
    assert!(at.saturating_duration_since(asked) < Duration::from_secs(2), "{:?}", at - asked);
    assert!(done < Duration::from_secs(3), "{done:?}");
    eventually("the ports are free", Duration::from_secs(2), || ports::is_free(port) && ports::is_free(other));
}

#[test]
fn what_is_on_its_way_to_visitors_that_are_cut_does_not_end_the_session() {
    let (b, mut host, [port, other]) = little(endless());
    let session = b.tunnel(port).unwrap()["session"].clone();
    let mut neighbour = visit(other);
    for _ in 0..8 {
        let visitors = [(); 4].map(|()| visit(port));
        // Whichever is the first: the others get nothing from then on, and need not come that far.
        let them = visitors.each_ref().map(|v| v.local_addr().unwrap().to_string());
        let one_of_them = |e: &serde_json::Value| them.iter().any(|v| e["source"] == v.as_str());
        b.wait_audit("one of them slows the session", |e| e["event"] == "visitor.slows" && one_of_them(e));
        let cuts = b.json(&["visitors", &port.to_string()]);
        let ids = cuts.as_array().unwrap().iter().map(|v| v["id"].as_str().unwrap().to_owned());
        let cuts: Vec<_> = ids.map(|id| b.command(&["cut", &id, "--yes"]).spawn().unwrap()).collect();
        assert!(cuts.into_iter().all(|mut c| c.wait().unwrap().success()));
        ping(&mut neighbour);
    }
    assert!(host.is_running());
    assert_eq!(b.tunnel(other).unwrap()["session"], session);
}

#[test]
fn a_team_has_a_stall_time_of_its_own_also_after_a_reload() {
    let b = Bastion::builder().team("pay", 4).host("pay-01", "pay").start();
    let port = b.port("pay", 0);
    let _host = b.ssh("pay-01").forward(port, source(1, 64 * MIB)).start().wait_forward();
    let early = visit(port);
    let who = early.local_addr().unwrap().to_string();
    b.wait_audit("it is open", |e| e["event"] == "visitor.open" && e["source"] == who);
    b.rewrite(|t| t.replace("[teams.pay]\n", "[teams.pay]\nstall_timeout = \"1s\"\n"));
    let out = b.cli(&["reload"]);
    let said = String::from_utf8_lossy(&out.stdout).into_owned();
    assert!(out.status.success() && said.contains("team pay: stall_timeout as in [relay] → 1s"), "{said}");
    let late = visit(port);
    let who = late.local_addr().unwrap().to_string();
    let close = b.wait_audit("it is cut", |e| e["event"] == "visitor.close" && e["source"] == who);
    let reason = close["reason"].as_str().unwrap();
    assert!(reason.contains("took no data for the stall time of 1s, with "), "{reason}");
    let waiting = reason.split("with ").nth(1).and_then(|r| r.split(' ').next()).unwrap();
    assert!(waiting.parse::<u64>().unwrap() > 64 * KIB, "{reason}");
    // The one that came before the reload has the old time.
    assert_eq!(b.tunnel(port).unwrap()["visitors_now"], 1);
}

#[test]
fn hosts_and_visitors_come_over_ipv6_too() {
    if TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).is_err() {
        return;
    }
    let mut b = Bastion::builder().team("pay", 4).host("pay-01", "pay").start();
    let (v4, port) = (b.address(), b.port("pay", 0));
    let v6 = SocketAddr::from((Ipv6Addr::LOCALHOST, v4.port()));
    b.rewrite(|t| t.replace(&format!("listen = \"{v4}\""), &format!("listen = [\"{v4}\", \"{v6}\"]")));
    b.restart();
    let host = SshCommand::new("pay-01", &b.key("pay-01"), v6);
    let _host = host.forward(port, says("over six")).start().wait_forward();
    let signed_in = b.wait_event("auth.success", "pay-01");
    assert!(signed_in["source"].as_str().unwrap().starts_with("[::1]:"), "{signed_in}");
    assert_eq!(hear(port), "over six");
    for address in ["::1", "::ffff:127.0.0.1"] {
        let mut v = TcpStream::connect((address.parse::<Ipv6Addr>().unwrap(), port)).unwrap();
        let mut said = String::new();
        v.read_to_string(&mut said).unwrap();
        assert_eq!(said, "over six", "{address}");
    }
    let from = |ip: &str| {
        let ip = ip.to_owned();
        b.wait_audit(&format!("a visitor from {ip}"), move |e| {
            e["event"] == "visitor.open" && e["source"].as_str().is_some_and(|s| s.starts_with(&ip))
        })
    };
    from("[::1]:");
    from("127.0.0.1:");
}

/// Ticks of the processor, a hundredth of a second each on Linux.
fn ticks(pid: u32) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let fields: Vec<_> = stat.rsplit_once(") ").unwrap().1.split(' ').collect();
    fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
}

fn limit_files(pid: u32, soft: u64) {
    let limit = format!("--nofile={soft}:");
    assert!(Command::new("prlimit").args(["--pid", &pid.to_string(), &limit]).status().unwrap().success());
}

#[test]
fn out_of_descriptors_visitors_wait_and_are_taken_when_there_are_some_again() {
    let b = Bastion::builder().team("pay", 4).host("pay-01", "pay").set("health", "interval = \"1h\"").start();
    let port = b.port("pay", 0);
    let _host = b.ssh("pay-01").forward(port, echo()).start().wait_forward();
    let mut old = visit(port);
    ping(&mut old);
    b.wait_tunnel(port, "has one visitor", |t| t["visitors_now"] == 1);
    let files = || std::fs::read_dir(format!("/proc/{}/fd", b.pid())).unwrap().count() as u64;
    eventually("the command's own connection is gone", SOON, || {
        let n = files();
        std::thread::park_timeout(Duration::from_millis(200));
        n == files()
    });
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", b.pid())).unwrap();
    let line = limits.lines().find(|l| l.starts_with("Max open files")).unwrap();
    let before: u64 = line.split_whitespace().nth(3).unwrap().parse().unwrap();
    limit_files(b.pid(), files());
    let mut waiting: Vec<_> = (0..32).map(|_| visit(port)).collect();
    b.log().wait("cannot accept visitors; they wait", SOON);
    let spent = ticks(b.pid());
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(2) {
        ping(&mut old);
        std::thread::park_timeout(Duration::from_millis(50));
    }
    let spent = ticks(b.pid()) - spent;
    assert!(spent < 60, "{spent} ticks in two seconds: it spins");
    limit_files(b.pid(), before);
    for v in &mut waiting {
        ping(v);
    }
    ping(&mut old);
    b.log().wait("visitors are accepted again", SOON);
    let lines = b.log().all();
    let told = lines.iter().filter(|l| l.contains("cannot accept visitors")).count();
    assert!(told <= 2, "once for each listener and episode, not {told} times");
}
