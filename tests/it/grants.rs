//! What is given until a time, and ends by itself: leases, roles, and networks of visitors.

use crate::common::bastion::{Bastion, Builder};
use crate::common::load::{Download, endless};
use crate::common::services::{echo, hear, own_address, says};
use crate::common::terminal::Terminal;
use crate::common::{SOON, end, eventually};
use serde_json::Value;
use std::io::Read;
use std::net::{IpAddr, Ipv4Addr, TcpStream};
use std::process::{Child, Command, Output, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

fn said(out: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr))
}

fn done(out: &Output) -> String {
    assert!(out.status.success(), "{}", said(out));
    said(out)
}

fn closed(port: u16) -> bool {
    TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err()
}

#[test]
fn a_lease_until_a_time_ends_by_itself_with_its_tunnel_and_leaves_the_session_its_others() {
    let b = Bastion::builder().team("pay", 4).host("pay-01", "pay").host("pay-02", "pay").start();
    let (lent, own) = (b.port("pay", 0), b.port("pay", 1));
    let port = lent.to_string();
    let past = b.cli(&["assign", "pay-01", &port, "--until", "2020-01-01"]);
    assert_eq!(past.status.code(), Some(2), "{past:?}");
    let long = b.cli(&["assign", "pay-01", &port, "--until", "400days"]);
    assert!(said(&long).contains("within 366 days"), "{long:?}");
    let given = b.json(&["assign", "pay-01", &port, "--until", "5s", "--reason", "ticket 7"]);
    let until = given["lease"]["until"].as_str().unwrap().to_owned();
    let event = b.wait_event("lease.granted", "pay-01");
    assert_eq!((&event["until"], &event["reason"]), (&until.clone().into(), &"ticket 7".into()));

    let mut ssh = b.ssh("pay-01").forward(lent, endless()).forward(own, says("mine")).start().wait_forwards(2);
    let download = Download::start(lent);
    download.wait_bytes(100_000);
    assert_eq!(b.tunnel(lent).unwrap()["until"], until.as_str());
    assert!(done(&b.cli(&["ports"])).contains("assigned until "));
    let lease = &b.json(&["grants"])[0];
    assert_eq!((&lease["kind"], &lease["port"], &lease["host"]), (&"lease".into(), &lent.into(), &"pay-01".into()));
    let why = done(&b.cli(&["explain", "pay-01", &port]));
    assert!(why.contains(", until ") && why.contains(" by "), "{why}");
    let other = b.cli(&["explain", "pay-02", &port]);
    assert_eq!(other.status.code(), Some(1));

    let over = b.wait_event("lease.released", "pay-01");
    assert_eq!((&over["actor"]["type"], &over["port"]), (&"daemon".into(), &lent.into()));
    let reason = over["reason"].as_str().unwrap();
    assert!(reason.starts_with("the time set by ") && reason.ends_with("is over (ticket 7)"), "{reason}");
    let end = b.wait_audit("the tunnel's end", |e| e["event"] == "forward.end" && e["port"] == lent);
    assert_eq!(end["obituary"]["cause"], "lease-over");
    // Not before it, and soon after.
    let at = |v: &Value| v.as_str().unwrap().parse::<chrono::DateTime<chrono::Utc>>().unwrap();
    let late = (at(&over["at"]) - at(&until.into())).num_milliseconds();
    assert!((0..2_000).contains(&late), "{late} ms after its time");
    eventually("the visitor is cut", SOON, || !download.is_running());
    eventually("the port is free", SOON, || closed(lent));
    assert!(b.tunnel(lent).is_none(), "the lease is no row any more");
    assert!(ssh.is_running());
    assert_eq!(hear(own), "mine");
    // And another may have it.
    done(&b.cli(&["assign", "pay-02", &port]));
}

#[test]
fn a_lease_that_ended_while_the_daemon_was_away_is_over_when_it_is_back() {
    let mut b = Bastion::builder().team("pay", 4).host("pay-01", "pay").host("pay-02", "pay").start();
    let (short, long) = (b.port("pay", 0), b.port("pay", 1));
    done(&b.cli(&["assign", "pay-01", &short.to_string(), "--until", "2s"]));
    done(&b.cli(&["assign", "pay-01", &long.to_string(), "--until", "1h"]));
    let granted = b.wait_audit("the lease", |e| e["event"] == "lease.granted" && e["port"] == short);
    b.kill9();
    let until = granted["until"].as_str().unwrap().parse::<chrono::DateTime<chrono::Utc>>().unwrap();
    eventually("its time is over", SOON, || chrono::Utc::now() > until);
    b.start();
    let over = b.wait_audit("its end", |e| e["event"] == "lease.released" && e["port"] == short);
    assert_eq!(over["actor"]["type"], "daemon");
    // The other has come through it.
    let held = b.cli(&["assign", "pay-02", &long.to_string()]);
    assert!(said(&held).contains("already held") || said(&held).contains("is held by host pay-01"), "{held:?}");
    assert!(b.tunnel(long).unwrap()["until"].is_string());
    let _ssh = b.ssh("pay-02").forward(short, echo()).start().wait_forward();
}

/// An operator's download through `ssh -W`.
fn through(b: &Bastion, operator: &str, port: u16) -> (Child, Arc<AtomicBool>) {
    let mut through = b.ssh(operator).args(&["-W", &format!("localhost:{port}")]).command();
    let mut child = through.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut out = child.stdout.take().unwrap();
    out.read_exact(&mut [0; 100_000]).unwrap();
    let over = Arc::new(AtomicBool::new(false));
    let told = Arc::clone(&over);
    std::thread::spawn(move || {
        let _ = std::io::copy(&mut out, &mut std::io::sink());
        told.store(true, Ordering::Relaxed);
    });
    (child, over)
}

/// The console of an operator, over SSH.
fn console(b: &Bastion, operator: &str) -> Terminal {
    let ssh = b.ssh(operator).arg("-tt").option("LogLevel=QUIET").command();
    let mut c = Command::new(ssh.get_program());
    c.args(ssh.get_args().filter(|a| *a != "-N" && *a != "-T" && *a != "-v"));
    Terminal::run(&c)
}

fn town() -> Builder {
    Bastion::builder()
        .team("pay", 4)
        .team("iot", 4)
        .host("pay-01", "pay")
        .host("cam", "iot")
        .operator("boss", "admin", &[])
        .operator("chief", "admin", &[])
        .operator("bob", "viewer", &["pay"])
        .operator("ann", "operator", &["pay"])
}

fn code(out: &Output, wanted: i32) -> String {
    assert_eq!(out.status.code(), Some(wanted), "{}", said(out));
    said(out)
}

#[test]
fn a_role_until_a_time_adds_to_the_configuration_and_all_that_stood_on_it_falls_back_when_it_ends() {
    let b = town().start();
    let (pay, iot) = (b.port("pay", 0), b.port("iot", 0));
    let _pay = b.ssh("pay-01").forward(pay, echo()).start().wait_forward();
    let _cam = b.ssh("cam").forward(iot, endless()).start().wait_forward();
    let bob = |words: &[&str]| b.ssh("bob").run(words);
    let free = b.port("iot", 2).to_string();
    let reserve = ["reserve", &free, "--until", "1h", "--reason", "mine"];
    code(&bob(&reserve), 4);
    assert!(!said(&bob(&["tunnels"])).contains("cam"));
    let mut screen = console(&b, "bob");
    screen.keys("2");
    screen.until_line(&["up", &pay.to_string(), "pay-01"]);

    let given = b
        .ssh("boss")
        .run(&["grant", "role", "bob", "operator", "--team", "iot", "--until", "20s", "--reason", "oncall", "--json"]);
    let given: Value = serde_json::from_slice(&given.stdout).unwrap_or_else(|_| panic!("{}", said(&given)));
    let id = given["grant"]["id"].as_str().unwrap().to_owned();
    let event = b.wait_audit("the grant", |e| e["event"] == "operator.grant");
    assert_eq!(
        (&event["seq"], &event["id"], &event["actor"]["name"]),
        (&given["seq"], &id.clone().into(), &"boss".into())
    );
    assert_eq!((&event["granted"]["operator"], &event["reason"]), (&"bob".into(), &"oncall".into()));

    // What is open sees it at once, and what is not granted stays as it was.
    screen.until_line(&["up", &iot.to_string(), "cam"]);
    screen.until_text("bob@operator");
    let (mut visit, over) = through(&b, "bob", iot);
    code(&bob(&reserve), 0);
    let act = b.wait_audit("the act", |e| e["event"] == "port.reserved");
    assert!(act["via"].as_str().unwrap().ends_with(&format!("by grant {id}")), "{act}");
    code(&bob(&["release", &b.port("pay", 0).to_string(), "--yes"]), 4);
    let why = b.cli(&["explain", "operator:bob", &iot.to_string()]);
    assert!(code(&why, 0).contains(&format!("grant {id} of boss gives the role operator")), "{why:?}");
    code(&b.cli(&["explain", "operator:bob", &pay.to_string()]), 1);
    assert_eq!(b.json(&["grants"])[0]["id"], id.as_str());
    assert!(done(&b.cli(&["sessions"])).contains("viewer, operator until "));
    assert!(said(&bob(&["grants"])).contains(&id) && !said(&b.ssh("ann").run(&["grants"])).contains(&id));

    let ended = b.wait_audit_for("its end", SOON * 2, |e| e["event"] == "operator.ungrant");
    assert_eq!((&ended["actor"]["type"], &ended["visitors"]), (&"daemon".into(), &1.into()));
    assert_eq!(ended["reason"], "the time set by boss is over (oncall)");
    eventually("the visit is cut", SOON, || over.load(Ordering::Relaxed));
    let close = b.wait_audit("the visit's end", |e| e["event"] == "visitor.close" && e["port"] == iot);
    assert_eq!(close["reason"], format!("cut: the time of grant {id}, set by boss, is over"));
    screen.until("the row is gone", |s| !s.contents().contains("cam"));
    screen.until_text("bob@viewer");
    code(&bob(&reserve), 4);
    let again = b.ssh("bob").args(&["-W", &format!("localhost:{iot}")]).run(&[]);
    assert!(!again.status.success());
    assert!(b.json(&["grants"]).as_array().unwrap().is_empty());
    // The session itself stays: it is good for what the configuration gives.
    screen.until_line(&["up", &pay.to_string(), "pay-01"]);
    screen.keys("q");
    assert_eq!(screen.wait_exit(), 0);
    end(&mut visit);
}

#[test]
fn who_may_grant_and_to_whom() {
    let b = town().start();
    let role = |by: &str, words: &[&str]| {
        let rest = ["--until", "1h", "--reason", "x"];
        b.ssh(by).run(&[["grant", "role"].as_slice(), words, &rest].concat())
    };
    let refused = |what: &str, words: &str| {
        b.wait_audit(what, |e| {
            e["event"] == "operator.refused" && format!("{}{}", e["rule"], e["reason"]).contains(words)
        })
    };
    assert!(code(&role("boss", &["boss", "admin"]), 4).contains("nobody grants to themselves"));
    refused("to themselves", "nobody grants to themselves");
    assert!(code(&role("ann", &["bob", "operator", "--team", "pay"]), 4).contains("needs the role admin"));
    code(&role("boss", &["nobody", "operator"]), 5);
    code(&role("boss", &["bob", "operator", "--team", "none"]), 5);
    assert!(code(&role("boss", &["bob", "viewer", "--team", "pay"]), 6).contains("by the configuration already"));
    assert!(code(&role("boss", &["bob", "admin", "--team", "pay"]), 6).contains("leave the teams out"));
    let long = b.ssh("boss").run(&["grant", "role", "bob", "admin", "--until", "40days", "--reason", "x"]);
    assert!(code(&long, 6).contains("within 30 days"));
    let why = b.ssh("boss").run(&["grant", "role", "bob", "admin", "--until", "1h", "--reason", "''"]);
    assert!(code(&why, 6).contains("say why"));

    // One who is admin for a time is admin, but hands nothing on.
    code(&role("boss", &["ann", "admin"]), 0);
    assert!(code(&role("ann", &["bob", "admin"]), 4).contains("is not granted on"));
    refused("handed on", "is not granted on");
    code(&b.ssh("ann").run(&["revoke", "operator:bob", "--yes"]), 0);
    assert!(code(&role("boss", &["bob", "operator"]), 6).contains("operator bob was revoked by ann"));
    code(&b.ssh("ann").run(&["restore", "operator:bob"]), 0);
    code(&role("chief", &["bob", "operator", "--team", "pay"]), 0);
    // What is granted by a granted role is over when that is. The team has no gateway, which is what is said of the rest.
    let network = |by: &str, until: &str| {
        b.ssh(by).run(&["grant", "visitors", "pay", "203.0.113.7/32", "--until", until, "--reason", "x"])
    };
    assert!(code(&network("bob", "2h"), 4).contains("gives no more than itself"));
    code(&network("bob", "30min"), 6);
    code(&network("boss", "2h"), 6);
    let id = |n: usize| b.json(&["grants"])[n]["id"].as_str().unwrap().to_owned();
    code(&b.ssh("bob").run(&["ungrant", &id(1), "--yes"]), 4);
    // A key that signs in no better than before: blocked, the grant is of no use.
    code(&b.ssh("boss").run(&["revoke", "operator:ann", "--yes"]), 0);
    assert!(!b.ssh("ann").run(&["status"]).status.success());
    code(&b.ssh("boss").run(&["ungrant", "g1", "--yes"]), 5);
}

#[test]
fn a_role_outlives_a_restart_and_ends_early_by_ungrant() {
    let mut b = town().start();
    let iot = b.port("iot", 0);
    let grant = ["grant", "role", "bob", "operator", "--team", "iot", "--until", "1h", "--reason", "oncall"];
    done(&b.cli(&grant));
    let short = ["grant", "role", "bob", "operator", "--team", "pay", "--until", "2s", "--reason", "short"];
    done(&b.cli(&short));
    let event = b.wait_audit("the short one", |e| e["event"] == "operator.grant" && e["reason"] == "short");
    b.kill9();
    let until = event["until"].as_str().unwrap().parse::<chrono::DateTime<chrono::Utc>>().unwrap();
    eventually("its time is over", SOON, || chrono::Utc::now() > until);
    b.start();
    // It ended while the daemon was away, unless the daemon was quicker than its time.
    b.wait_audit("its end", |e| e["event"] == "operator.ungrant" && e["actor"]["type"] == "daemon");
    let _cam = b.ssh("cam").forward(iot, endless()).start().wait_forward();
    let (mut visit, over) = through(&b, "bob", iot);
    let all = b.json(&["grants"]);
    assert_eq!(all.as_array().map(Vec::len), Some(1), "{all}");
    let id = all[0]["id"].as_str().unwrap();
    let summary = done(&b.cli(&["ungrant", id, "--reason", "all well", "--yes"]));
    assert!(summary.contains("the role operator to operator bob on team iot; cut 1 visitor"), "{summary}");
    eventually("the visit is cut", SOON, || over.load(Ordering::Relaxed));
    let ended = b.wait_audit("its end", |e| e["event"] == "operator.ungrant" && e["reason"] == "all well");
    assert_eq!((&ended["actor"]["type"], &ended["id"]), (&"operator".into(), &id.into()));
    let cut = b.wait_audit("the visit", |e| e["event"] == "visitor.close" && e["port"] == iot);
    assert!(cut["reason"].as_str().unwrap().starts_with(&format!("cut: grant {id} was ended by ")), "{cut}");
    b.restart();
    assert!(b.json(&["grants"]).as_array().unwrap().is_empty(), "it stays ended");
    end(&mut visit);
}

/// A CA that vouches for less than was granted could make admins for as long as the grant lasts.
#[test]
fn a_certificate_brings_no_more_of_a_grant_than_its_authority_vouches_for() {
    let b = town()
        .authority("ca", "vouches_for = [\"operators\"]\nmax_role = \"operator\"")
        .text("[operators.dora]\nrole = \"viewer\"\nprincipals = [\"dora\"]\n\n")
        .start();
    let paper = b.paper("ca", "dora@laptop", &["-n", "dora"]);
    let dora = |words: &[&str]| b.ssh_with("dora", &paper).run(words);
    let reserve = ["reserve", &b.port("pay", 2).to_string(), "--until", "1h", "--reason", "mine"];
    code(&dora(&reserve), 4);
    let admin = ["grant", "role", "dora", "admin", "--until", "1h", "--reason", "oncall"];
    done(&b.cli(&admin));
    code(&dora(&reserve), 4);
    code(&dora(&["reload"]), 4);
    done(&b.cli(&["grant", "role", "dora", "operator", "--until", "1h", "--reason", "oncall"]));
    code(&dora(&reserve), 0);
    code(&dora(&["reload"]), 4);
}

/// A connection from the machine's own address that reads for as long as it may.
fn come(ip: IpAddr, port: u16) -> Option<Arc<AtomicBool>> {
    let mut conn = TcpStream::connect((ip, port)).ok()?;
    conn.read_exact(&mut [0; 10_000]).ok()?;
    let over = Arc::new(AtomicBool::new(false));
    let told = Arc::clone(&over);
    std::thread::spawn(move || {
        let _ = std::io::copy(&mut conn, &mut std::io::sink());
        told.store(true, Ordering::Relaxed);
    });
    Some(over)
}

#[test]
fn a_network_of_visitors_until_a_time_is_let_in_and_cut_when_that_is_over() {
    let Some(own) = own_address() else {
        eprintln!("skipped: this machine has no address but loopback");
        return;
    };
    let mut b = Bastion::builder()
        .gateway_team("web", 4, &["198.51.100.0/24"])
        .team("pay", 4)
        .host("web-01", "web")
        .operator("ann", "operator", &["web"])
        .operator("pat", "operator", &["pay"])
        .start();
    let (one, two) = (b.port("web", 0), b.port("web", 1));
    let listen = |port: u16| format!("*:{port}:{}", endless());
    let dial = |b: &Bastion| b.ssh("web-01").args(&["-R", &listen(one), "-R", &listen(two)]).start().wait_forwards(2);
    let web = dial(&b);
    let net = format!("{own}/{}", if own.is_ipv4() { 32 } else { 128 });
    let grant = |b: &Bastion, by: &str, to: &str, net: &str, until: &str| {
        b.ssh(by).run(&["grant", "visitors", to, net, "--until", until, "--reason", "vendor"])
    };
    assert!(come(own, one).is_none());
    assert!(code(&grant(&b, "pat", "web", &net, "1h"), 4).contains("is not allowed on team web"));
    assert!(code(&grant(&b, "pat", "pay", &net, "1h"), 6).contains("bind = \"gateway\""));
    assert!(code(&grant(&b, "ann", "web", "0.0.0.0/0", "1h"), 6).contains("is everybody"));
    assert!(code(&grant(&b, "ann", "web", "198.51.100.7", "1h"), 6).contains("already"));
    code(&grant(&b, "ann", "web", "198.51.100.7/24", "1h"), 2);

    // One port, for a moment.
    code(&grant(&b, "ann", &one.to_string(), &net, "8s"), 0);
    let event = b.wait_audit("the grant", |e| e["event"] == "operator.grant");
    assert_eq!((&event["team"], &event["port"], &event["reason"]), (&"web".into(), &one.into(), &"vendor".into()));
    let over = come(own, one).unwrap();
    assert!(come(own, two).is_none(), "the grant is of one port");
    let why = b.cli(&["explain", &own.to_string(), &one.to_string()]);
    assert!(code(&why, 0).contains("of ann gives visits to port"), "{why:?}");
    code(&b.cli(&["explain", &own.to_string(), &two.to_string()]), 1);
    let id = event["id"].as_str().unwrap();
    let ended = b.wait_audit_for("its end", SOON * 2, |e| e["event"] == "operator.ungrant");
    assert_eq!((&ended["actor"]["type"], &ended["visitors"], &ended["id"]), (&"daemon".into(), &1.into(), &id.into()));
    eventually("the visitor is cut", SOON, || over.load(Ordering::Relaxed));
    let close = b.wait_audit("the visitor's end", |e| e["event"] == "visitor.close" && e["port"] == one);
    assert_eq!(close["reason"], format!("cut: the time of grant {id}, set by ann, is over"));
    assert!(come(own, one).is_none());
    b.wait_refusal("visitor.refused", &format!("{own} is not in team web's `visitors`"));

    // The whole team, over a restart; and ended before its time.
    code(&grant(&b, "ann", "web", &net, "1h"), 0);
    drop(web);
    b.restart();
    let _web = dial(&b);
    let visits = [come(own, one).unwrap(), come(own, two).unwrap()];
    let id = b.json(&["grants"])[0]["id"].as_str().unwrap().to_owned();
    assert!(code(&b.ssh("ann").run(&["ungrant", &id, "--yes"]), 0).contains("cut 2 visitors"));
    eventually("both are cut", SOON, || visits.iter().all(|v| v.load(Ordering::Relaxed)));
    assert!(come(own, two).is_none());
}
