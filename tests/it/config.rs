//! The configuration: what is refused and how, and what a reload touches.

use crate::common::bastion::{BINARY, Bastion};
use crate::common::load::{Download, endless};
use crate::common::services::{echo, hear, says};
use crate::common::{SOON, eventually};
use nix::sys::signal::Signal;
use std::net::{Ipv4Addr, TcpStream};
use std::process::{Command, Output, Stdio};
use std::time::Instant;

fn text(out: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr))
}

/// Waits for the reload that the signal asked for, after what was there before.
#[track_caller]
fn hup(b: &Bastion) -> serde_json::Value {
    let last = b.audit().last().unwrap()["seq"].as_u64();
    b.signal(Signal::SIGHUP);
    b.wait_audit("reload", |e| e["event"] == "config.reload" && e["seq"].as_u64() > last)
}

#[test]
fn a_wrong_configuration_is_refused_with_its_place_and_its_remedy_at_the_start_and_on_reload() {
    let b = Bastion::builder()
        .team("pay", 8)
        .gateway_team("iot", 4, &["10.0.0.0/8"])
        .host_with("pay-01", "pay", &[("web", 0)])
        .host("pay-02", "pay")
        .start();
    let port = b.port("pay", 0);
    let _ssh = b.ssh("pay-01").forward(port, says("up all the time")).start().wait_forward();
    let session = b.tunnel(port).unwrap()["session"].clone();
    let good = std::fs::read_to_string(b.config()).unwrap();
    let key = |host: &str| std::fs::read_to_string(b.key(host).with_extension("pub")).unwrap().trim().to_owned();
    let pay = format!("\"{}-{}\"", port, b.port("pay", 7));
    let both = format!("[{pay}, \"{0}-{0}\"]", b.port("iot", 0));
    let outside = b.port_outside("pay");
    // What is changed into what; the line it is on is found by this text.
    let cases: Vec<(&str, String, String, &str, &str)> = vec![
        ("unknown key", "bind = \"gateway\"".into(), "bindd = \"gateway\"".into(), "bindd", "did you mean `bind`?"),
        ("overlapping ranges", pay, both, "of team iot", "no two ranges may share a port"),
        (
            "port outside the range",
            format!("web = {port}"),
            format!("web = {outside}"),
            "outside the ports of team pay",
            "choose a port of the team",
        ),
        ("duplicate key", key("pay-02"), key("pay-01"), "is also host pay-01's", "make a key for each"),
        (
            "bad CIDR",
            "10.0.0.0/8".into(),
            "10.0.0.0/33".into(),
            "is not a network",
            "write an address and a prefix length",
        ),
    ];
    for (n, (name, from, to, what, remedy)) in cases.into_iter().enumerate() {
        assert!(good.contains(&from), "{name}: {from}");
        let bad = good.replacen(&from, &to, 1);
        let lines: Vec<usize> =
            bad.lines().zip(good.lines()).enumerate().filter(|(_, (x, y))| x != y).map(|(at, _)| at + 1).collect();
        let [line] = lines[..] else { panic!("{name} changes one line: {lines:?}") };
        std::fs::write(b.config(), &bad).unwrap();
        let told = |said: &str| {
            let place = format!("{}:{line}:", b.config().display());
            assert!(said.contains(&place), "{name}: no {place} in\n{said}");
            assert!(said.contains(what) && said.contains(remedy), "{name}: {what}, {remedy}:\n{said}");
        };
        let start = Command::new(BINARY).args(["serve", "--config"]).arg(b.config()).stdin(Stdio::null()).output();
        let start = start.unwrap();
        assert_eq!(start.status.code(), Some(78), "{name}: {}", text(&start));
        assert!(start.stdout.is_empty());
        told(&text(&start));

        let reload = b.cli(&["reload"]);
        assert_eq!(reload.status.code(), Some(2), "{name}: {}", text(&reload));
        told(&text(&reload));
        assert!(text(&reload).contains("the running configuration stays"));
        let failed = hup(&b);
        assert_eq!((&failed["outcome"], &failed["via"]), (&"failure".into(), &"SIGHUP".into()));
        // The journal has the beginning, the log all of it.
        assert!(failed["reason"].as_str().unwrap().contains(&format!("portreeve.toml:{line}:")), "{name}: {failed}");
        eventually("the log has it", SOON, || b.log().text().matches("configuration not reloaded").count() == n + 1);
        b.log().wait(remedy, SOON);

        let check = b.cli(&["check"]);
        assert_eq!(check.status.code(), Some(1), "{name}: {}", text(&check));
        told(&text(&check));
        let alone = Command::new(BINARY).args(["check", "--config"]).arg(b.config()).output().unwrap();
        assert_eq!(alone.status.code(), Some(1), "{name}: {}", text(&alone));
        told(&text(&alone));
        assert_eq!((&b.tunnel(port).unwrap()["session"], hear(port).as_str()), (&session, "up all the time"));
    }
    std::fs::write(b.config(), good).unwrap();
    assert!(b.cli(&["check"]).status.success());
    assert!(text(&b.cli(&["reload"])).contains("nothing has changed"));
}

#[test]
fn a_new_host_comes_in_after_a_reload_and_nobody_else_notices() {
    let b = Bastion::builder().team("pay", 8).host("pay-01", "pay").host("new", "pay").start();
    let (port, fresh) = (b.port("pay", 0), b.port("pay", 1));
    // The new host is taken out first: what follows puts it in.
    let whole = std::fs::read_to_string(b.config()).unwrap();
    let (without, new) = whole.split_at(whole.find("[hosts.new]").unwrap());
    std::fs::write(b.config(), without).unwrap();
    hup(&b);
    let mut ssh = b.ssh("pay-01").forward(port, endless()).start().wait_forward();
    let download = Download::start(port);
    download.wait_bytes(100_000);
    let before = b.tunnel(port).unwrap();
    assert!(!b.ssh("new").forward(fresh, echo()).start().wait_exit().success());

    b.rewrite(|text| text + new);
    let done = hup(&b);
    assert_eq!(done["outcome"], "success");
    assert!(done["changes"].to_string().contains("new"), "{done}");
    let _new = b.ssh("new").forward(fresh, says("hello")).start().wait_forward();
    assert_eq!(hear(fresh), "hello");
    let after = b.tunnel(port).unwrap();
    assert_eq!((&after["session"], &after["state_since"]), (&before["session"], &before["state_since"]));
    let so_far = download.bytes();
    download.wait_bytes(so_far + 100_000);
    assert!(ssh.is_running());
}

#[test]
fn a_host_whose_key_is_taken_out_loses_its_session_and_the_others_stay() {
    let b = Bastion::builder().team("pay", 8).host("pay-01", "pay").host("pay-02", "pay").start();
    let (one, two) = (b.port("pay", 0), b.port("pay", 1));
    let _stays = b.ssh("pay-01").forward(one, says("stays")).start().wait_forward();
    let mut goes = b.ssh("pay-02").forward(two, endless()).start().wait_forward();
    let download = Download::start(two);
    download.wait_bytes(1);
    b.rewrite(|text| text[..text.find("[hosts.pay-02]").unwrap()].to_owned());
    let began = Instant::now();
    let reload = b.cli(&["reload"]);
    assert!(reload.status.success(), "{}", text(&reload));
    assert!(text(&reload).contains("its key is no longer in the configuration"), "{}", text(&reload));
    download.cut_after(began);
    goes.wait_exit();
    assert!(TcpStream::connect((Ipv4Addr::LOCALHOST, two)).is_err());
    let ended = b.wait_event("session.end", "pay-02");
    assert_eq!(ended["obituary"]["cause"], "config-change");
    assert_eq!(hear(one), "stays");
    // The ledger still has its lease: said, not hidden.
    let check = b.cli(&["check"]);
    assert_eq!(check.status.code(), Some(1));
    let said = text(&check);
    assert!(
        said.contains(&format!("port {two}: the ledger leases it to host pay-02, which is not in the configuration")),
        "{said}"
    );
    b.wait_audit("the conflict", |e| e["event"] == "config.conflict" && e["conflict"].to_string().contains("pay-02"));
    assert!(b.cli(&["release", &two.to_string(), "--yes"]).status.success());
    assert!(b.cli(&["check"]).status.success());
}

#[test]
fn moving_a_fixed_port_closes_that_tunnel_alone() {
    let b = Bastion::builder()
        .team("pay", 8)
        .host_with("pay-01", "pay", &[("web", 0), ("ssh", 1)])
        .host("pay-02", "pay")
        .start();
    let port = |n| b.port("pay", n);
    let (web, ssh_port, other, new) = (port(0), port(1), port(2), port(3));
    let mut ssh = b.ssh("pay-01").forward(web, endless()).forward(ssh_port, says("ssh")).start().wait_forwards(2);
    let _other = b.ssh("pay-02").forward(other, says("other")).start().wait_forward();
    let session = b.tunnel(ssh_port).unwrap()["session"].clone();
    let download = Download::start(web);
    download.wait_bytes(1);
    b.rewrite(|text| text.replace(&format!("web = {web}"), &format!("web = {new}")));
    let began = Instant::now();
    let done = hup(&b);
    assert!(done["changes"].to_string().contains(&format!("closed the tunnel on port {web}")), "{done}");
    download.cut_after(began);
    eventually("the old port is closed", SOON, || TcpStream::connect((Ipv4Addr::LOCALHOST, web)).is_err());
    assert!(ssh.is_running());
    assert_eq!((hear(ssh_port).as_str(), hear(other).as_str()), ("ssh", "other"));
    assert_eq!(b.tunnel(ssh_port).unwrap()["session"], session);
    assert_eq!(b.tunnel(new).unwrap()["state"], "awaiting");
}

#[test]
fn check_tells_where_configuration_and_ledger_disagree() {
    let b = Bastion::builder().team("pay", 8).host("pay-01", "pay").host("pay-02", "pay").start();
    let port = b.port("pay", 3);
    assert!(b.cli(&["assign", "pay-01", &port.to_string()]).status.success());
    assert!(b.cli(&["check"]).status.success());
    // The same port, fixed for somebody else.
    b.rewrite(|text| {
        let at = text.find("[hosts.pay-02]").unwrap();
        let (a, b) = text.split_at(at);
        format!("{a}{}", b.replacen("ports = {  }", &format!("ports = {{ web = {port} }}"), 1))
    });
    let changed = b.cli(&["check"]);
    assert_eq!(changed.status.code(), Some(1));
    assert!(text(&changed).contains("has changed since it was read"), "{}", text(&changed));
    let reload = b.cli(&["reload"]);
    assert!(reload.status.success(), "{}", text(&reload));
    let check = b.cli(&["check", "--json"]);
    assert_eq!(check.status.code(), Some(1));
    let said = text(&check);
    let wanted =
        format!("port {port}: the configuration fixes it for host pay-02 (web), the ledger leases it to host pay-01");
    assert!(said.contains(&wanted) && said.contains("The configuration wins"), "{said}");
    assert!(b.json(&["status"])["daemon"]["notices"].to_string().contains(&wanted));
    let _wins = b.ssh("pay-02").forward(port, says("two")).start().wait_forward();
    let mut loses = b.ssh("pay-01").forward(port, echo()).start();
    loses.wait_exit();
    assert!(b.wait_event("forward.refused", "pay-01")["rule"].as_str().unwrap().contains("held by host pay-02"));
    assert_eq!(hear(port), "two");
}

#[test]
fn a_check_that_a_reload_turns_on_begins_at_once_however_long_its_interval() {
    let b =
        Bastion::builder().team("pay", 4).unchecked_host("pay-01", "pay").set("health", "interval = \"1h\"").start();
    let port = b.port("pay", 0);
    let _ssh = b.ssh("pay-01").forward(port, says("SSH-2.0-like")).start().wait_forward();
    let row = b.wait_tunnel(port, "is up", |t| t["state"] == "up");
    assert_eq!((&row["health"]["check"], &row["health"]["last_at"]), (&"none".into(), &serde_json::Value::Null));
    b.rewrite(|text| text.replace("check = \"none\"", "check = \"ssh\""));
    hup(&b);
    let row = b.wait_tunnel(port, "is found healthy", |t| t["health"]["verdict"] == "passing");
    assert_eq!(row["health"]["check"], "ssh");
}
