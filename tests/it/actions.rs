//! What operators do to hosts, leases and sessions, and what it does to those who are connected.

use crate::common::bastion::{Bastion, Builder};
use crate::common::load::{Download, endless};
use crate::common::services::{echo, hear, says, visit};
use crate::common::supervised::{Group, eager};
use crate::common::{SOON, eventually};
use serde_json::Value;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

/// A revoke acts within this, whatever state the session is in.
const CUT: Duration = Duration::from_secs(2);

fn pay() -> Builder {
    Bastion::builder().team("pay", 8).host("pay-01", "pay")
}

#[track_caller]
fn code(out: &Output, wanted: i32) -> String {
    let text = format!("{}{}", String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr));
    assert_eq!(out.status.code(), Some(wanted), "{text}");
    text
}

#[track_caller]
fn act(b: &Bastion, args: &[&str]) -> String {
    code(&b.cli(&[args, &["--yes"]].concat()), 0)
}

fn nobody_listens(port: u16) -> bool {
    TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err()
}

/// Signs in, or rather does not, and gives what the journal says of it.
#[track_caller]
fn refused_login(b: &Bastion, host: &str) -> Value {
    let last = b.audit().last().unwrap()["seq"].as_u64();
    let mut ssh = b.ssh(host).forward(b.port("pay", 0), echo()).start();
    assert!(!ssh.wait_exit().success());
    assert!(ssh.log.contains("Permission denied (publickey)"), "{}", ssh.log.text());
    b.wait_audit("refused sign-in", |e| e["event"] == "auth.failure" && e["seq"].as_u64() > last && e["host"] == host)
}

/// `explain --json` and its exit code.
fn explain(b: &Bastion, who: &str, port: u16) -> (Option<i32>, Value) {
    let out = b.cli(&["explain", who, &port.to_string(), "--json"]);
    (out.status.code(), serde_json::from_slice(&out.stdout).unwrap_or(Value::Null))
}

#[test]
fn revoking_a_host_cuts_its_visitors_and_keeps_it_out_through_every_restart_until_it_is_restored() {
    let mut b = pay().start();
    let port = b.port("pay", 0);
    let mut ssh = b.ssh("pay-01").forward(port, endless()).start().wait_forward();
    let download = Download::start(port);
    download.wait_bytes(1_000_000);

    let began = Instant::now();
    let out = b.cli(&["revoke", "pay-01", "--reason", "lost laptop", "--yes", "--json"]);
    assert!(began.elapsed() < CUT, "{:?}", began.elapsed());
    let done: Value = serde_json::from_slice(&out.stdout).unwrap();
    assert_eq!(done["summary"], "revoked host pay-01: closed 1 session, 1 tunnel, 1 visitor");
    assert!(nobody_listens(port), "the listener is gone when the answer is there");
    let took = download.cut_after(began);
    assert!(took < CUT, "the visitor was cut after {took:?}");
    ssh.wait_exit();
    let said = b.wait_event("operator.revoked", "pay-01");
    assert_eq!(
        (&said["seq"], &said["visitors"], &said["actor"]["type"]),
        (&done["seq"], &1.into(), &"operator".into())
    );

    let row = b.tunnel(port).unwrap();
    assert_eq!((&row["state"], &row["revoked"]["reason"]), (&"revoked".into(), &"lost laptop".into()));
    let held_out = |b: &Bastion| {
        let refusal = refused_login(b, "pay-01");
        let rule = refusal["rule"].as_str().unwrap();
        assert!(rule.contains("host pay-01 was revoked by") && rule.contains("lost laptop"), "{rule}");
        assert_eq!(refusal["outcome"], "refused");
        // A lease that was asked for goes on as a row, and says why nobody answers on it.
        assert_eq!(b.tunnel(port).unwrap()["state"], "revoked");
    };
    held_out(&b);
    b.restart();
    held_out(&b);
    b.kill9();
    b.start();
    held_out(&b);

    act(&b, &["restore", "pay-01"]);
    let _ssh = b.ssh("pay-01").forward(port, says("here again")).start().wait_forward();
    assert_eq!(hear(port), "here again");
    assert!(b.cli(&["audit", "verify"]).status.success());
}

#[test]
fn revoking_a_key_keeps_out_that_key_and_lets_the_hosts_other_key_in() {
    let b = pay().host("spare", "pay").start();
    // The spare's key becomes the first host's second one.
    b.rewrite(|text| {
        let (kept, spare) = text.split_once("[hosts.spare]").unwrap();
        let key = spare.split('"').find(|w| w.starts_with("ssh-")).unwrap().to_owned();
        kept.replacen("\nkeys = [", &format!("\nkeys = [\"{key}\", "), 1)
    });
    act(&b, &["reload"]);
    let port = b.port("pay", 0);
    let mut ssh = b.ssh("pay-01").forward(port, endless()).start().wait_forward();
    let download = Download::start(port);
    let key = b.fingerprint("pay-01");
    let began = Instant::now();
    let said = act(&b, &["revoke", &key]);
    assert!(said.contains("closed 1 session, 1 tunnel, 1 visitor"), "{said}");
    assert!(download.cut_after(began) < CUT);
    ssh.wait_exit();
    let refusal = refused_login(&b, "pay-01");
    assert_eq!(refusal["fingerprint"], *key);
    assert!(refusal["rule"].as_str().unwrap().contains(&format!("key {key} was revoked")), "{refusal}");
    let _spare = b.ssh("spare").forward(port, says("by the other key")).start().wait_forward();
    assert_eq!(hear(port), "by the other key");
}

#[test]
fn revoking_a_port_closes_that_tunnel_and_leaves_the_session_its_others() {
    let b = pay().start();
    let (one, two) = (b.port("pay", 0), b.port("pay", 1));
    let mut ssh = b.ssh("pay-01").forward(one, endless()).forward(two, echo()).start().wait_forwards(2);
    let session = b.tunnel(two).unwrap()["session"].clone();
    let download = Download::start(one);
    download.wait_bytes(1);
    let mut other = visit(two);
    let began = Instant::now();
    let said = act(&b, &["revoke", &one.to_string()]);
    assert!(said.contains("closed 0 sessions, 1 tunnel, 1 visitor"), "{said}");
    assert!(download.cut_after(began) < CUT);
    assert!(nobody_listens(one));
    assert_eq!(b.tunnel(one).unwrap()["state"], "revoked");
    other.write_all(b"still here").unwrap();
    let mut back = [0; 10];
    other.read_exact(&mut back).unwrap();
    assert_eq!(&back, b"still here");
    assert!(ssh.is_running());
    assert_eq!(b.tunnel(two).unwrap()["session"], session);
    let mut again = b.ssh("pay-01").forward(one, echo()).start();
    again.wait_exit();
    let refused = b.wait_event("forward.refused", "pay-01");
    assert!(refused["rule"].as_str().unwrap().contains(&format!("port {one} was revoked")), "{refused}");
}

#[test]
fn a_revoke_acts_at_once_on_a_client_that_is_stopped_in_the_middle_of_busy_downloads() {
    let b = pay().start();
    let port = b.port("pay", 0);
    let ssh = b.ssh("pay-01").forward(port, endless()).start().wait_forward();
    let downloads = Download::many(port, 8);
    downloads.iter().for_each(|d| d.wait_bytes(1_000_000));
    ssh.stop();
    let began = Instant::now();
    let said = act(&b, &["revoke", "pay-01"]);
    assert!(began.elapsed() < CUT, "the answer took {:?}", began.elapsed());
    assert!(said.contains("closed 1 session, 1 tunnel, 8 visitors"), "{said}");
    assert!(nobody_listens(port));
    for d in downloads {
        let took = d.cut_after(began);
        assert!(took < CUT, "a visitor was cut after {took:?}");
    }
    assert_eq!(b.json(&["sessions"]).as_array().map(Vec::len), Some(0));
}

#[test]
fn a_host_under_autossh_is_back_after_a_reconnect_on_the_same_ports() {
    let b = pay().start();
    let (one, two) = (b.port("pay", 0), b.port("pay", 1));
    let command = eager(b.autossh("pay-01")).forward(one, says("one")).forward(two, says("two")).command();
    let _client = Group::start("autossh", command);
    let before = b.wait_tunnel(two, "is up", |t| t["state"] == "up")["session"].clone();
    let began = Instant::now();
    let said = act(&b, &["reconnect", "pay-01", "--wait", "15s"]);
    assert!(
        said.contains("pay-01 is back in") && said.contains(&format!("on the same ports ({one}, {two})")),
        "{said}"
    );
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    let after = b.tunnel(two).unwrap();
    assert_eq!(after["state"], "up");
    assert_ne!(after["session"], before);
    assert_eq!((hear(one).as_str(), hear(two).as_str()), ("one", "two"));
    let stages: Vec<_> = b
        .audit()
        .iter()
        .filter(|e| e["event"] == "operator.reconnect")
        .map(|e| e["stage"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(stages, ["asked", "back"]);
}

#[test]
fn a_host_in_a_shells_loop_is_back_after_a_reconnect() {
    let b = pay().start();
    let port = b.port("pay", 0);
    let ssh = b.ssh("pay-01").forward(port, says("one")).command();
    let mut command = Command::new("sh");
    command.args(["-c", "while true; do \"$@\"; done", "sh"]).arg(ssh.get_program()).args(ssh.get_args());
    let _client = Group::start("the loop", command);
    b.wait_tunnel(port, "is up", |t| t["state"] == "up");
    let said = act(&b, &["reconnect", "pay-01", "--wait", "15s"]);
    assert!(said.contains("is back in"), "{said}");
}

#[test]
fn a_host_without_a_supervisor_is_not_back_and_the_answer_says_why() {
    let b = pay().start();
    let port = b.port("pay", 0);
    let mut ssh = b.ssh("pay-01").forward(port, echo()).start().wait_forward();
    let began = Instant::now();
    let said = code(&b.cli(&["reconnect", "pay-01", "--wait", "2s", "--yes"]), 1);
    assert!(began.elapsed() >= Duration::from_secs(2));
    assert!(said.contains("not back after 2 s") && said.contains("autossh"), "{said}");
    ssh.wait_exit();
    assert_eq!(b.tunnel(port).unwrap()["obituary"]["cause"], "reconnect");
    let last = b.wait_audit("the result", |e| e["event"] == "operator.reconnect" && e["stage"] == "not back");
    assert_eq!(last["outcome"], "failure");
    // And there is nobody left to reconnect.
    code(&b.cli(&["reconnect", "pay-01", "--yes"]), 5);
}

#[test]
fn leases_are_assigned_moved_and_released_and_outlive_a_crash() {
    let mut b = pay().host("pay-02", "pay").team("iot", 4).start();
    let port = |n| b.port("pay", n);
    let (p0, p1, p5, p6) = (port(0), port(1), port(5), port(6));
    let foreign = b.port("iot", 0);

    let next = b.json(&["assign", "pay-01", "--service", "web", "--reason", "ticket 7"]);
    assert_eq!((&next["lease"]["port"], &next["lease"]["kind"]), (&p0.into(), &"assigned".into()));
    assert!(act(&b, &["assign", "pay-02", &p5.to_string()]).contains(&format!("port {p5} is host pay-02's now")));
    let clash = code(&b.cli(&["assign", "pay-01", &p5.to_string()]), 6);
    assert!(clash.contains("held by host pay-02"), "{clash}");
    code(&b.cli(&["assign", "pay-01", &foreign.to_string()]), 6);
    code(&b.cli(&["assign", "nobody"]), 5);
    // Whose it is not gets told by whom it is held.
    let mut other = b.ssh("pay-01").forward(p5, echo()).start();
    other.wait_exit();
    assert!(b.wait_event("forward.refused", "pay-01")["rule"].as_str().unwrap().contains("held by host pay-02"));

    b.kill9();
    b.start();
    let row = b.tunnel(p0).unwrap();
    let kept = [&row["host"], &row["kind"], &row["service"], &row["reason"], &row["state"]];
    assert_eq!(kept, ["pay-01", "assigned", "web", "ticket 7", "awaiting"].map(Value::from).each_ref());

    let mut ssh = b.ssh("pay-02").forward(p5, endless()).forward(p1, echo()).start().wait_forwards(2);
    let download = Download::start(p5);
    let began = Instant::now();
    let said = act(&b, &["move", &p5.to_string(), &p6.to_string()]);
    assert!(said.contains(&format!("moved from port {p5} to {p6}")), "{said}");
    assert!(download.cut_after(began) < CUT, "a moved lease closes its tunnel");
    assert!(nobody_listens(p5) && ssh.is_running());
    assert!(b.tunnel(p5).is_none(), "the old port is nobody's");
    assert_eq!(b.tunnel(p1).unwrap()["state"], "up", "the session's other tunnel stays");
    let _new = b.ssh("pay-02").forward(p6, says("moved")).start().wait_forward();
    assert_eq!(hear(p6), "moved");

    act(&b, &["release", &p6.to_string()]);
    assert!(nobody_listens(p6) && b.tunnel(p6).is_none());
    code(&b.cli(&["release", &p6.to_string(), "--yes"]), 6);
    b.kill9();
    b.start();
    let held: Vec<u64> = b.json(&["tunnels"]).as_array().unwrap().iter().map(|t| t["port"].as_u64().unwrap()).collect();
    assert_eq!(held, [u64::from(p0), u64::from(p1)]);
}

#[test]
fn explain_answers_as_the_server_would_and_with_the_rule() {
    let b = pay().host("pay-02", "pay").start();
    let (p0, p1) = (b.port("pay", 0), b.port("pay", 1));
    act(&b, &["assign", "pay-02", &p1.to_string()]);
    let rule = |(code, said): (Option<i32>, Value)| (code, said["rule"].as_str().unwrap_or_default().to_owned());

    let (ok, why) = rule(explain(&b, "pay-01", p0));
    assert_eq!(ok, Some(0));
    assert!(why.contains("is free in team pay's range"), "{why}");
    let (no, why) = rule(explain(&b, "pay-01", p1));
    assert_eq!(no, Some(1));
    assert!(why.contains("is held by host pay-02"), "{why}");
    let (no, why) = rule(explain(&b, "pay-01", b.port_outside("pay")));
    assert_eq!(no, Some(1));
    assert!(why.contains("outside team pay's ranges"), "{why}");
    let (ok, said) = explain(&b, &b.fingerprint("pay-02"), 0);
    assert_eq!((ok, &said["port"]), (Some(0), &p0.into()));
    code(&b.cli(&["explain", "nobody"]), 5);

    act(&b, &["revoke", "pay-01"]);
    for who in ["pay-01", &b.fingerprint("pay-01")] {
        let (no, why) = rule(explain(&b, who, p0));
        assert_eq!(no, Some(1));
        assert!(why.contains("host pay-01 was revoked"), "{why}");
    }
}

#[test]
fn a_viewer_looks_and_may_not_touch_and_the_attempt_is_on_record() {
    let b = pay().operator("vera", "viewer", &[]).start();
    let port = b.port("pay", 0);
    let mut ssh = b.ssh("pay-01").forward(port, echo()).start().wait_forward();
    let rows = b.ssh("vera").run(&["tunnels", "--json"]);
    assert!(code(&rows, 0).contains(&port.to_string()));
    for (action, words) in [
        ("revoke", vec!["revoke", "pay-01", "--yes"]),
        ("reconnect", vec!["reconnect", "pay-01", "--yes"]),
        ("assign", vec!["assign", "pay-01"]),
        ("reload", vec!["reload"]),
    ] {
        code(&b.ssh("vera").run(&words), 4);
        let e = b.wait_audit(action, |e| e["event"] == "operator.refused" && e["action"] == action);
        assert_eq!((&e["actor"]["type"], &e["actor"]["name"]), (&"operator".into(), &"vera".into()));
        assert!(e["rule"].as_str().unwrap().contains("needs the role"), "{e}");
        assert!(e["via"].as_str().unwrap().starts_with("ssh 127.0.0.1:"), "{e}");
    }
    assert!(ssh.is_running() && !nobody_listens(port));
    // To visit a tunnel is to act, too.
    let visit = b.ssh("vera").args(&["-W", &format!("localhost:{port}")]).run(&[]);
    assert!(!visit.status.success());
    let e = b.wait_audit("the visit", |e| e["event"] == "request.refused" && e["actor"]["name"] == "vera");
    assert!(e["rule"].as_str().unwrap().contains("viewer"), "{e}");
}

#[test]
fn an_operator_of_one_team_sees_and_commands_that_team_only() {
    let b = pay().team("iot", 4).host("iot-77", "iot").operator("ann", "operator", &["pay"]).start();
    let (own, other) = (b.port("pay", 0), b.port("iot", 0));
    let _pay = b.ssh("pay-01").forward(own, echo()).start().wait_forward();
    let _iot = b.ssh("iot-77").forward(other, echo()).start().wait_forward();
    let ann = |words: &[&str]| b.ssh("ann").run(words);

    for verb in ["tunnels", "ports", "health", "sessions", "visitors", "status", "audit"] {
        let out = ann(&[verb, "--json"]);
        let said = String::from_utf8(out.stdout).unwrap();
        assert!(out.status.success(), "{verb}");
        assert!(!said.contains("iot"), "{verb} tells of another team:\n{said}");
    }
    let rows: Value = serde_json::from_slice(&ann(&["tunnels", "--json"]).stdout).unwrap();
    assert_eq!(rows.as_array().unwrap().iter().map(|t| &t["port"]).collect::<Vec<_>>(), [&Value::from(own)]);

    let number = other.to_string();
    for words in [["revoke", "iot-77"], ["revoke", &number], ["release", &number], ["reconnect", "iot-77"]] {
        code(&ann(&[words[0], words[1], "--yes"]), 4);
        b.wait_audit(words[0], |e| {
            e["event"] == "operator.refused" && e["action"] == words[0] && e["actor"]["name"] == "ann"
        });
    }
    code(&ann(&["explain", "iot-77"]), 4);
    assert_eq!(b.tunnel(other).unwrap()["state"], "up");

    code(&ann(&["revoke", "pay-01", "--yes"]), 0);
    eventually("the own team's tunnel is revoked", SOON, || b.tunnel(own).unwrap()["state"] == "revoked");
    assert_eq!(b.wait_event("operator.revoked", "pay-01")["actor"]["name"], "ann");
    code(&ann(&["restore", "pay-01"]), 0);
}
