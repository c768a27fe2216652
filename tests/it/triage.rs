//! Triage: each fault is made to happen with a real client, and its cause is read from the command line and from the
//! screen of a console (`wait_cause` does both). Faults of the bastion itself are in `triage_bastion`.

use crate::common::bastion::{BINARY, Bastion, Builder, keygen};
use crate::common::incidents::{console, evidence, triage, wait_cause, wait_well, well_on_screen};
use crate::common::ports::Ports;
use crate::common::services::{echo, says, silent, visit};
use crate::common::ssh::Ssh;
use crate::common::terminal::Terminal;
use crate::common::{SOON, eventually};
use std::net::SocketAddr;
use std::process::Command;

fn two_hosts() -> Builder {
    Bastion::builder().team("pay", 8).host("pay-01", "pay").host("pay-02", "pay")
}

/// Silence and failing checks are noticed within a few seconds.
fn impatient(b: Builder) -> Builder {
    b.set("ssh", "keepalive_interval = \"1s\"\nkeepalive_count = 3")
        .set("health", "interval = \"1s\"\ntimeout = \"1s\"\nrise = 1\nfall = 2")
}

/// A client that dials again and again, whatever it is told.
#[track_caller]
fn redial(times: usize, mut dial: impl FnMut() -> Ssh) {
    for _ in 0..times {
        assert!(!dial().wait_exit().success());
    }
}

#[test]
fn a_stopped_client_is_a_silent_host_on_the_screen_and_leaves_when_it_is_back() {
    let b = impatient(two_hosts()).start();
    let port = b.port("pay", 0);
    let ssh = b.ssh("pay-01").forward(port, echo()).start().wait_forward();
    let mut c = console(&b);
    c.until_text("all well");
    let _visitor = visit(port);
    b.wait_tunnel(port, "has its visitor", |t| t["visitors_now"] == 1);
    ssh.stop();
    c.until_line(&["down", "pay-01", "keepalive lost, silent"]);
    c.until_text("keepalive timeout: the host went silent");
    c.until_text("1 visitor cut");
    let i = wait_cause(&b, "host-silent", |_| true);
    assert_eq!((&i["severity"], &i["what"]), (&"down".into(), &"pay-01".into()));
    assert_eq!((&i["tunnels"], &i["hosts"], &i["blast"]["visitors_cut"]), (&1.into(), &1.into(), &1.into()));
    assert_eq!((&i["blast"]["ports"][0], &i["blast"]["teams"][0]), (&port.into(), &"pay".into()));
    assert_eq!(triage(&b, &[]).1, 1, "scripts are told");
    // To the tunnel and back.
    c.keys("\r");
    c.until("its detail", |s| s.contents().contains("last end") && s.contents().contains(&port.to_string()));
    c.keys("\x1b");
    c.until_text("[1 triage");
    // Back: it leaves by itself, on the screen too.
    let _again = b.ssh("pay-01").forward(port, echo()).start().wait_forward();
    well_on_screen(&b, c);
}

#[test]
fn a_client_whose_key_was_swapped_is_refused_for_its_key_on_the_screen() {
    let b = two_hosts().start();
    let port = b.port("pay", 0);
    let mut ssh = b.ssh("pay-01").forward(port, echo()).start().wait_forward();
    let mut c = console(&b);
    c.until_text("all well");
    ssh.kill9();
    let i = wait_cause(&b, "host-gone", |_| true);
    assert_eq!((&i["what"], &i["tunnels"]), (&"pay-01".into(), &1.into()));
    // Its key is another now.
    let key = b.key("pay-01");
    let old = key.with_extension("old");
    std::fs::rename(&key, &old).unwrap();
    std::fs::remove_file(key.with_extension("pub")).unwrap();
    keygen(&key, "new");
    redial(2, || b.ssh("pay-01").forward(port, echo()).start());
    let i = wait_cause(&b, "refused-unknown-key", |i| evidence(i).contains("×2"));
    assert!(evidence(&i).contains(&b.fingerprint("pay-01")) && evidence(&i).contains("where it was last"), "{i}");
    c.until_line(&["down", "pay-01", "redials, key unknown"]);
    c.until_text("a key that nobody here has");
    // The old key again.
    std::fs::rename(&old, &key).unwrap();
    std::fs::remove_file(key.with_extension("pub")).unwrap();
    let _again = b.ssh("pay-01").forward(port, echo()).start().wait_forward();
    well_on_screen(&b, c);
}

#[test]
fn a_key_that_waits_to_be_approved_is_approved_from_the_screen_that_tells_of_it() {
    let b = two_hosts().set("trust", "pending = true").start();
    let port = b.port("pay", 0);
    let mut ssh = b.ssh("pay-01").forward(port, echo()).start().wait_forward();
    ssh.kill9();
    let key = b.key("pay-01");
    std::fs::remove_file(&key).unwrap();
    std::fs::remove_file(key.with_extension("pub")).unwrap();
    keygen(&key, "new");
    redial(2, || b.ssh("pay-01").forward(port, echo()).start());
    let print = b.fingerprint("pay-01");
    let i = wait_cause(&b, "refused-key-pending", |i| evidence(i).contains("×2"));
    assert!(evidence(&i).contains(&print), "{i}");
    let run = format!("portreeve approve {print} pay-01");
    assert!(i["next"].as_array().unwrap().iter().any(|n| n["run"] == run), "{i}");
    let mut c = console(&b);
    c.until_line(&["down", "pay-01", "redials, key pending"]);
    c.keys(":pending\r");
    c.until_text(&print);
    c.keys("\x1bW");
    c.until_text("write mode for ten minutes");
    c.keys(":approve\r");
    // To be compared: all of it, on one line.
    c.until_text("let this key sign in pay-01");
    c.until_line(&[&print]);
    c.keys("pay-0\t\r");
    c.until_text("approved SHA256:");
    let _again = b.ssh("pay-01").forward(port, echo()).start().wait_forward();
    well_on_screen(&b, c);
}

#[test]
fn a_revoked_host_that_redials() {
    let b = two_hosts().start();
    let port = b.port("pay", 0);
    let mut ssh = b.ssh("pay-01").forward(port, echo()).start().wait_forward();
    assert!(b.cli(&["revoke", "pay-01", "--reason", "lost laptop", "-y"]).status.success());
    ssh.wait_exit();
    redial(2, || b.ssh("pay-01").forward(port, echo()).start());
    let i = wait_cause(&b, "refused-revoked", |_| true);
    assert!(evidence(&i).contains("lost laptop"), "{i}");
    assert!(i["next"].as_array().unwrap().iter().any(|n| n["run"] == "portreeve restore pay-01"), "{i}");
    assert!(b.cli(&["restore", "pay-01", "-y"]).status.success());
    let _again = b.ssh("pay-01").forward(port, echo()).start().wait_forward();
    wait_well(&b);
}

#[test]
fn a_host_that_asks_for_anothers_port() {
    let b = two_hosts().start();
    let port = b.port("pay", 0);
    let _holder = b.ssh("pay-01").forward(port, echo()).start().wait_forward();
    redial(3, || b.ssh("pay-02").forward(port, echo()).start());
    let i = wait_cause(&b, "refused-port-held", |i| evidence(i).contains("×3"));
    assert_eq!(i["what"], "pay-02");
    assert!(evidence(&i).contains(&format!("port {port} is held by host pay-01 of team pay")), "{i}");
    assert_eq!(i["blast"]["ports"][0], port, "there is something to go to");
    let mut korean = Command::new(BINARY);
    korean.args(["--lang", "ko", "--socket"]).arg(b.socket());
    Terminal::run(&korean).until_text(&format!("거부 3회: 포트 {port}: 호스트 pay-01 사용 중"));
    assert_eq!(triage(&b, &[]).0.len(), 1, "its sessions ended thrice, and that is not another matter");
    let _other = b.ssh("pay-02").forward(b.port("pay", 1), echo()).start().wait_forward();
    wait_well(&b);
}

#[test]
fn a_port_that_another_program_has() {
    let b = two_hosts().start();
    let port = b.port("pay", 0);
    let _thief = std::net::TcpListener::bind(("127.0.0.1", port)).unwrap();
    redial(1, || b.ssh("pay-01").forward(port, echo()).start());
    let i = wait_cause(&b, "refused-port-held", |_| true);
    assert!(evidence(&i).contains(&format!("port {port} is in use on 127.0.0.1 by another program")), "{i}");
}

#[test]
fn a_port_out_of_its_range_is_against_the_rules() {
    let b = two_hosts().start();
    redial(1, || b.ssh("pay-01").forward(b.port_outside("pay"), echo()).start());
    let i = wait_cause(&b, "refused-policy", |_| true);
    assert!(evidence(&i).contains("is outside team pay's ranges"), "{i}");
}

#[test]
fn a_range_that_is_full_before_and_after_somebody_is_refused_for_it() {
    let b = Bastion::builder().team("pay", 2).host("pay-01", "pay").host("pay-02", "pay").host("pay-03", "pay").start();
    let any = |host: &str| b.ssh(host).args(&["-R", &format!("0:{}", echo())]).start();
    let one = any("pay-01");
    one.allocated();
    assert!(triage(&b, &[]).0.is_empty());
    let two = any("pay-02");
    let last = two.allocated();
    let i = wait_cause(&b, "range-exhausted", |_| true);
    assert_eq!((&i["severity"], &i["what"]), (&"warning".into(), &"team pay".into()));
    assert!(evidence(&i).starts_with("all 2 ports of "), "{i}");
    redial(1, || any("pay-03"));
    let i = wait_cause(&b, "refused-range-full", |_| true);
    assert_eq!((&i["what"], &i["severity"]), (&"pay-03".into(), &"down".into()));
    assert!(triage(&b, &[]).0.iter().all(|i| i["cause"] != "range-exhausted"), "told once");
    drop(two);
    assert!(b.cli(&["release", &last.to_string(), "-y"]).status.success());
    let three = any("pay-03");
    three.allocated();
    wait_cause(&b, "range-exhausted", |_| true);
}

#[test]
fn a_service_that_is_stopped_and_one_that_does_not_speak() {
    let ports = Ports::take();
    let dead = SocketAddr::from(([127, 0, 0, 1], ports.get(0)));
    let b = impatient(two_hosts()).start();
    b.rewrite(|t| t.replace("[hosts.pay-02]", "[hosts.pay-02]\ncheck = \"ssh\""));
    assert!(b.cli(&["reload", "-y"]).status.success());
    let (one, two) = (b.port("pay", 0), b.port("pay", 1));
    let service = std::net::TcpListener::bind(dead).unwrap();
    let _refused = b.ssh("pay-01").forward(one, dead).start().wait_forward();
    let _silent = b.ssh("pay-02").forward(two, silent()).start().wait_forward();
    b.wait_tunnel(one, "passes", |t| t["health"]["verdict"] == "passing");
    drop(service);
    let i = wait_cause(&b, "service-refused", |_| true);
    assert_eq!((&i["what"], &i["blast"]["ports"][0]), (&"pay-01".into(), &one.into()));
    assert!(evidence(&i).contains(&format!("port {one}")) && evidence(&i).contains("the host's session is up"), "{i}");
    let i = wait_cause(&b, "service-silent", |_| true);
    assert_eq!((&i["what"], &i["blast"]["ports"][0]), (&"pay-02".into(), &two.into()));
    assert!(evidence(&i).contains("ssh check"), "{i}");
    // The service comes back.
    let _service = std::net::TcpListener::bind(dead).unwrap();
    eventually("only the silent one is left", SOON, || {
        let left = triage(&b, &[]).0;
        left.len() == 1 && left[0]["cause"] == "service-silent"
    });
}

#[test]
fn a_client_that_is_restarted_in_a_loop() {
    let b = two_hosts().start();
    let port = b.port("pay", 0);
    for _ in 0..3 {
        let mut ssh = b.ssh("pay-01").forward(port, says("here")).start().wait_forward();
        assert!(triage(&b, &[]).0.iter().all(|i| i["cause"] != "host-restarts"));
        ssh.term();
        ssh.wait_exit();
        b.wait_tunnel(port, "is down", |t| t["state"] == "down");
    }
    let i = wait_cause(&b, "host-restarts", |_| true);
    assert_eq!((&i["what"], &i["severity"]), (&"pay-01".into(), &"warning".into()));
    assert!(evidence(&i).contains("its session ended ×3"), "{i}");
    // Up for now, and still told.
    let _up = b.ssh("pay-01").forward(port, says("here")).start().wait_forward();
    let i = wait_cause(&b, "host-restarts", |_| true);
    assert_eq!(i["blast"]["ports"][0], port, "{i}");
    assert_eq!(triage(&b, &[]).0.len(), 1);
}

#[test]
fn a_session_that_did_not_ask_for_its_leased_port() {
    let b = Bastion::builder().team("pay", 8).host_with("pay-01", "pay", &[("ssh", 0), ("http", 1)]).start();
    let i = wait_cause(&b, "host-absent", |_| true);
    assert_eq!((&i["severity"], &i["tunnels"]), (&"note".into(), &2.into()));
    assert_eq!(triage(&b, &[]).1, 0, "a note is no alarm");
    let _ssh = b.ssh("pay-01").forward(b.port("pay", 0), echo()).start().wait_forward();
    let missing = b.port("pay", 1);
    let i = wait_cause(&b, "port-not-requested", |_| true);
    assert_eq!((&i["what"], &i["blast"]["ports"], &i["tunnels"]), (&"pay-01".into(), &vec![missing].into(), &1.into()));
    assert!(evidence(&i).contains(&format!("did not ask for port {missing}")), "{i}");
}

#[test]
fn all_hosts_of_a_network_that_fall_silent_together() {
    let b = impatient(Bastion::builder().team("pay", 8).host("a", "pay").host("b", "pay").host("c", "pay")).start();
    let start = |(n, host): (u16, &&str)| b.ssh(host).forward(b.port("pay", n), echo()).start().wait_forward();
    let clients: Vec<Ssh> = (0..).zip(&["a", "b", "c"]).map(start).collect();
    assert!(triage(&b, &[]).0.is_empty());
    clients.iter().for_each(Ssh::stop);
    let i = wait_cause(&b, "network-lost", |i| i["hosts"] == 3);
    assert_eq!((&i["what"], &i["tunnels"]), (&"127.0.0.1".into(), &3.into()));
    assert!(evidence(&i).starts_with("3 of 3 hosts of 127.0.0.1 fell silent within"), "{i}");
    assert_eq!(triage(&b, &[]).0.len(), 1, "one incident, not three");
}

#[test]
fn an_incident_is_muted_on_the_screen_with_a_reason_and_leaves_its_lines_in_the_journal() {
    let mut b = two_hosts().start();
    let port = b.port("pay", 0);
    let mut ssh = b.ssh("pay-01").forward(port, echo()).start().wait_forward();
    let mut c = console(&b);
    c.until_text("all well");
    ssh.kill9();
    let i = wait_cause(&b, "host-gone", |_| true);
    let id = i["id"].as_str().unwrap();
    c.until_line(&["down", "pay-01", "session ended, not back"]);
    // What lasts is written down, with its evidence, where the host's own events are.
    let opened = b.wait_audit("the incident's line", |e| e["event"] == "incident.open");
    assert_eq!(
        (&opened["cause"], &opened["host"], &opened["port"]),
        (&"host-gone".into(), &"pay-01".into(), &port.into())
    );
    assert!(opened["reason"].as_str().unwrap().contains("has not dialled again"), "{opened}");
    assert_eq!(triage(&b, &[]).1, 1);
    c.keys("W");
    c.until_text("RW");
    c.keys("m");
    c.until_text("mute host-gone:pay-01?");
    c.keys("new disk goes in\r");
    c.until_line(&["muted", "pay-01", "session ended, not back"]);
    let muted = b.wait_audit("the mute", |e| e["event"] == "operator.mute");
    assert_eq!((&muted["incident"], &muted["reason"]), (&id.into(), &"new disk goes in".into()));
    let (all, exit) = triage(&b, &[]);
    assert_eq!(exit, 0, "no alarm");
    assert_eq!(all[0]["muted"]["reason"], "new disk goes in");
    // Nor without a reason, nor what there is not, nor for ever.
    let refused = |b: &Bastion, args: &[&str], why: &str| {
        let o = b.cli(args);
        let said = String::from_utf8_lossy(&o.stderr).into_owned();
        assert!(!o.status.success() && said.contains(why), "{said}");
    };
    refused(&b, &["mute", "host-gone:pay-02", "--for", "1h", "--reason", "x"], "there is no incident");
    refused(&b, &["mute", id, "--for", "1h", "--reason", " "], "say why");
    refused(&b, &["mute", id, "--for", "1year", "--reason", "x"], "30 days");
    // It outlives the daemon, and is lifted by hand.
    b.restart();
    assert!(b.cli(&["unmute", id]).status.success(), "it was kept over the restart");
    b.wait_audit("the end of the mute", |e| e["event"] == "operator.unmute");
    refused(&b, &["unmute", id], "is not muted");
    c.keys("q");
    assert_eq!(c.wait_exit(), 0);
}

#[test]
fn an_incident_that_ends_says_how_long_it_lasted() {
    let b = two_hosts().start();
    let port = b.port("pay", 0);
    let mut ssh = b.ssh("pay-01").forward(port, echo()).start().wait_forward();
    ssh.kill9();
    b.wait_audit("the incident's line", |e| e["event"] == "incident.open");
    let _again = b.ssh("pay-01").forward(port, echo()).start().wait_forward();
    let over = b.wait_audit("its end", |e| e["event"] == "incident.close");
    assert_eq!((&over["cause"], &over["host"]), (&"host-gone".into(), &"pay-01".into()));
    assert!(over["seconds"].as_f64().unwrap() >= 5.0, "{over}");
}

#[test]
fn a_key_that_expires_is_told_before_and_a_host_that_comes_with_it_after_is_refused_for_it() {
    let b = two_hosts().start();
    let port = b.port("pay", 0);
    let mut ssh = b.ssh("pay-01").forward(port, echo()).start().wait_forward();
    let mut c = console(&b);
    c.until_text("all well");
    let host = |key: &str| format!("[hosts.pay-01]\nteam = \"pay\"\nkeys = [\"{key}");
    let in_days = |days: i64| {
        let at = chrono::Utc::now() + chrono::TimeDelta::days(days);
        host(&format!("expiry-time=\\\"{}\\\" ssh-ed25519", at.format("%Y%m%d%H%M%SZ")))
    };
    let reload = || assert!(b.cli(&["reload", "-y"]).status.success());
    // Soon.
    let soon = in_days(9);
    b.rewrite(|t| t.replace(&host("ssh-ed25519"), &soon));
    reload();
    let i = wait_cause(&b, "key-expires", |i| i["what"] == "pay-01");
    assert!(evidence(&i).contains(&b.fingerprint("pay-01")) && evidence(&i).contains("in 8 days"), "{i}");
    c.until_line(&["warning", "pay-01", "key expires soon"]);
    assert!(b.tunnel(port).is_some_and(|t| t["state"] == "up"), "what stands stays");
    // Over: what stands stays, what comes is refused.
    b.rewrite(|t| t.replace(&soon, &in_days(-1)));
    reload();
    wait_cause(&b, "key-expires", |i| evidence(i).contains("signs in no more"));
    assert!(b.tunnel(port).is_some_and(|t| t["state"] == "up"));
    let explained = b.cli(&["explain", &b.fingerprint("pay-01")]);
    assert!(!explained.status.success() && String::from_utf8_lossy(&explained.stdout).contains("expired at"));
    ssh.kill9();
    redial(2, || b.ssh("pay-01").forward(port, echo()).start());
    let i = wait_cause(&b, "refused-key-expired", |i| evidence(i).contains("×2"));
    assert!(evidence(&i).contains("expired at"), "{i}");
    c.until_line(&["down", "pay-01", "redials, key expired"]);
    c.keys("q");
    assert_eq!(c.wait_exit(), 0);
}
