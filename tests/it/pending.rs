//! Pending keys: an unknown key that is proved can be approved, and until then is refused like any other.

use crate::common::SOON;
use crate::common::bastion::{Bastion, Builder, keygen};
use crate::common::eventually;
use crate::common::services::{hear, says};
use crate::common::ssh::{Ssh, SshCommand};
use crate::common::wire::{Identity, Wire, msg};
use serde_json::Value;
use std::process::Output;

fn bastion() -> Builder {
    Bastion::builder()
        .team("pay", 4)
        .host("pay-01", "pay")
        .host("pay-02", "pay")
        .operator("alice", "admin", &[])
        .operator("oscar", "operator", &[])
        .operator("vera", "viewer", &["pay"])
        .set("trust", "pending = true")
}

/// A client with a key of its own, which it makes at the first call.
fn stranger(b: &Bastion, name: &str, user: &str) -> SshCommand {
    if !b.key(name).exists() {
        keygen(&b.key(name), "");
    }
    SshCommand::new(user, &b.key(name), b.address())
}

/// Dials, and is refused.
#[track_caller]
fn refused(mut ssh: Ssh) {
    assert!(!ssh.wait_exit().success());
    ssh.log.wait("Permission denied (publickey)", SOON);
}

fn pending(b: &Bastion) -> Vec<Value> {
    b.json(&["pending"]).as_array().unwrap().clone()
}

fn prints(b: &Bastion) -> Vec<String> {
    let mut all: Vec<String> = pending(b).iter().map(|k| k["fingerprint"].as_str().unwrap().to_owned()).collect();
    all.sort();
    all
}

#[track_caller]
fn done(out: &Output) -> String {
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8_lossy(&out.stdout).into_owned()
}

fn errors(out: &Output) -> String {
    String::from_utf8_lossy(&out.stderr).into_owned()
}

fn events(b: &Bastion, name: &str) -> Vec<Value> {
    b.audit().into_iter().filter(|e| e["event"] == name).collect()
}

#[test]
fn an_approved_key_brings_up_its_hosts_tunnel_until_it_is_taken_back() {
    let mut b = bastion().start();
    let port = b.port("pay", 0);
    let service = says("approved");
    let dial = |b: &Bastion| stranger(b, "new", "pay-01").forward(port, service).start();
    refused(dial(&b));
    refused(dial(&b));
    let key = b.fingerprint("new");
    let all = pending(&b);
    let [k] = all.as_slice() else { panic!("{all:?}") };
    assert_eq!((&k["fingerprint"], &k["user"], &k["count"]), (&key.clone().into(), &"pay-01".into(), &2.into()));
    assert!(k["client"].as_str().unwrap().starts_with("OpenSSH_") && k["first"] != k["last"], "{k}");
    let line = std::fs::read_to_string(b.key("new").with_extension("pub")).unwrap();
    assert_eq!(k["key"].as_str().unwrap(), line.trim());
    // Once in the journal, and each refusal as ever.
    let noted = b.wait_audit("the key", |e| e["event"] == "key.pending");
    assert_eq!((&noted["fingerprint"], &noted["user"]), (&key.clone().into(), &"pay-01".into()));
    eventually("both refusals", SOON, || events(&b, "auth.failure").len() == 2);
    assert_eq!(events(&b, "key.pending").len(), 1);
    let told = String::from_utf8(b.cli(&["explain", &key]).stdout).unwrap();
    assert!(told.contains("is unknown") && told.contains("it is pending: proved ×2 as user pay-01"), "{told}");

    // It is asked for, and there is nobody to ask.
    let out = b.cli(&["approve", &key, "pay-01"]);
    assert!(!out.status.success() && errors(&out).contains("lets somebody in"), "{}", errors(&out));
    let said = done(&b.cli(&["approve", &key, "pay-01", "--reason", "new disk", "--yes"]));
    assert!(said.contains(&format!("add \"{} pay-01\" to `keys` in [hosts.pay-01]", line.trim())), "{said}");
    let told = b.wait_event("key.approved", "pay-01");
    assert_eq!((&told["fingerprint"], &told["reason"]), (&key.clone().into(), &"new disk".into()));
    assert_eq!((&told["team"], &told["actor"]["type"]), (&"pay".into(), &"operator".into()));
    assert!(pending(&b).is_empty());
    let ssh = dial(&b).wait_forward();
    assert_eq!(hear(port), "approved");
    assert_eq!(b.wait_event("auth.success", "pay-01")["fingerprint"], key);
    let of_key = |b: &Bastion| {
        let all = b.json(&["keys", "pay-01"]);
        all.as_array().unwrap().iter().find(|k| k["fingerprint"] == key).cloned()
    };
    let listed = of_key(&b).unwrap();
    assert_eq!((&listed["approved"]["reason"], &listed["sessions"]), (&"new disk".into(), &1.into()), "{listed}");
    assert!(done(&b.cli(&["keys"])).contains("approved by "));
    assert_eq!(b.json(&["explain", &key])["allowed"], true);
    assert!(b.cli(&["check"]).status.success());

    // It is in the ledger.
    drop(ssh);
    b.restart();
    let mut ssh = dial(&b).wait_forward();
    assert_eq!(of_key(&b).unwrap()["uses"], 2);
    let began = std::time::Instant::now();
    let said = done(&b.cli(&["unapprove", &key, "--reason", "wrong machine", "--yes"]));
    assert!(said.contains("closed 1 session, 1 tunnel"), "{said}");
    assert!(began.elapsed().as_millis() < 1_000, "{:?}", began.elapsed());
    ssh.wait_exit();
    let told = b.wait_event("key.unapproved", "pay-01");
    assert_eq!(
        (&told["fingerprint"], &told["sessions"], &told["reason"]),
        (&key.clone().into(), &1.into(), &"wrong machine".into())
    );
    assert_eq!(of_key(&b), None);
    assert!(!b.cli(&["unapprove", &key, "--yes"]).status.success());
    // Refused again, and pending again.
    refused(dial(&b));
    assert_eq!(prints(&b), [key]);
}

#[test]
fn without_the_policy_no_unknown_key_is_asked_to_be_proved() {
    let b = Bastion::builder().team("pay", 2).host("pay-01", "pay").start();
    let mut ssh = stranger(&b, "new", "pay-01").start();
    assert!(!ssh.wait_exit().success());
    assert!(!ssh.log.text().contains("Server accepts key"), "{}", ssh.log.text());
    b.wait_refusal("auth.failure", "unknown key");
    assert!(pending(&b).is_empty() && events(&b, "key.pending").is_empty());
    assert!(errors(&b.cli(&["pending"])).contains("pending = false"));
    let out = b.cli(&["approve", &b.fingerprint("new"), "pay-01", "--yes"]);
    assert!(!out.status.success() && errors(&out).contains("is not pending"), "{}", errors(&out));

    // Turned on by a reload, and off again: what was noted is forgotten.
    b.rewrite(|t| format!("[trust]\npending = true\n{t}"));
    assert!(done(&b.cli(&["reload", "--yes"])).contains("trust.pending: false → true"));
    refused(stranger(&b, "new", "pay-01").start());
    assert_eq!(pending(&b).len(), 1);
    b.rewrite(|t| t.replace("pending = true", "pending = false"));
    assert!(b.cli(&["reload", "--yes"]).status.success());
    assert!(pending(&b).is_empty());
}

#[test]
fn a_key_that_is_offered_and_not_proved_is_not_pending() {
    let b = bastion().start();
    keygen(&b.key("new"), "");
    // Somebody else's public key.
    let only = b.dir().join("offered");
    std::fs::rename(b.key("new").with_extension("pub"), &only).unwrap();
    let mut ssh = SshCommand::new("pay-01", &only, b.address()).start();
    assert!(!ssh.wait_exit().success());
    ssh.log.wait("Server accepts key", SOON);
    // And one that signs something else.
    let mut w = Wire::open(b.address(), None).unwrap();
    w.exchange(&mut |_| {}).unwrap();
    let spoil = &mut |m: &mut Vec<u8>| {
        if m[0] == msg::USERAUTH_REQUEST {
            *m.last_mut().unwrap() ^= 1;
        }
    };
    assert!(!w.sign_in("pay-01", &Identity::read(&b.key("new")), spoil).unwrap_or(false));
    b.wait_audit("the offer", |e| e["event"] == "connection.refused" && e["fingerprint"].is_string());
    assert!(pending(&b).is_empty() && events(&b, "key.pending").is_empty());
    // The very same key, proved.
    refused(SshCommand::new("pay-01", &b.key("new"), b.address()).start());
    assert_eq!(pending(&b).len(), 1);
}

#[test]
fn a_flood_fills_no_more_than_its_share_and_a_known_network_keeps_its_place() {
    let b = bastion()
        .set("trust", "max_pending = 4\nmax_pending_network = 2")
        .set("sources", "exempt = []\npenalties = false")
        .start();
    let dial =
        |name: &str, from: &str| refused(stranger(&b, name, "root").option(&format!("BindAddress={from}")).start());
    for name in ["a1", "a2", "a3"] {
        dial(name, "127.0.0.2");
    }
    assert_eq!(pending(&b).len(), 2, "one network's share");
    for (name, from) in [("b", "127.0.0.3"), ("c", "127.0.0.4"), ("d", "127.0.0.5"), ("e", "127.0.0.6")] {
        dial(name, from);
    }
    let strangers = prints(&b);
    assert_eq!(strangers.len(), 4, "all there is room for");
    eventually("each of them", SOON, || events(&b, "key.pending").len() == 4);
    // A host signs in from somewhere; whoever comes from there next is not kept out by strangers.
    let ssh = b.ssh("pay-01").option("BindAddress=127.0.0.9").start();
    ssh.log.wait("Authenticated to ", SOON);
    eventually("the network is known", SOON, || {
        dial("site", "127.0.0.9");
        prints(&b).contains(&b.fingerprint("site"))
    });
    let now = prints(&b);
    assert_eq!(now.len(), 4);
    assert_eq!(now.iter().filter(|k| strangers.contains(k)).count(), 3);
    assert!(!now.contains(&b.fingerprint("a1")), "the one that was seen least lately went");
    let of_site = pending(&b).into_iter().find(|k| k["fingerprint"] == b.fingerprint("site")).unwrap();
    assert_eq!(of_site["known"], true);
    // And no stranger pushes it out.
    dial("f", "127.0.0.7");
    assert!(prints(&b).contains(&b.fingerprint("site")) && !prints(&b).contains(&b.fingerprint("f")));
}

#[test]
fn a_blocked_key_is_not_pending_and_a_dismissed_one_is_not_noted_again() {
    let b = bastion().start();
    // A key that was revoked, and then left the configuration.
    let old = b.fingerprint("pay-02");
    assert!(b.cli(&["revoke", &old, "--yes"]).status.success());
    let line = |name: &str| std::fs::read_to_string(b.key(name).with_extension("pub")).unwrap().trim().to_owned();
    keygen(&b.key("next"), "");
    b.rewrite(|t| t.replace(&line("pay-02"), &line("next")));
    assert!(b.cli(&["reload", "--yes"]).status.success());
    refused(b.ssh("pay-02").start());
    b.wait_refusal("auth.failure", "unknown key");
    assert!(pending(&b).is_empty());
    // One that belongs to somebody and is blocked.
    let of_host = b.fingerprint("pay-01");
    assert!(b.cli(&["revoke", &of_host, "--yes"]).status.success());
    refused(b.ssh("pay-01").start());
    assert!(pending(&b).is_empty());

    refused(stranger(&b, "noise", "root").start());
    let noise = b.fingerprint("noise");
    assert_eq!(prints(&b), std::slice::from_ref(&noise));
    done(&b.cli(&["dismiss", &noise]));
    assert_eq!(b.wait_audit("it", |e| e["event"] == "key.dismissed")["fingerprint"], noise);
    refused(stranger(&b, "noise", "root").start());
    assert!(pending(&b).is_empty());
    assert!(!b.cli(&["approve", &noise, "pay-01", "--yes"]).status.success());
    // What is approved and then blocked stays out.
    refused(stranger(&b, "new", "pay-02").start());
    let new = b.fingerprint("new");
    done(&b.cli(&["approve", &new, "pay-02", "--yes"]));
    let mut ssh = stranger(&b, "new", "pay-02").start();
    ssh.log.wait("Authenticated to ", SOON);
    assert!(done(&b.cli(&["revoke", &new, "--yes"])).contains("closed 1 session"));
    ssh.wait_exit();
    refused(stranger(&b, "new", "pay-02").start());
    let no = b.wait_audit("its refusal", |e| e["event"] == "auth.failure" && e["host"] == "pay-02");
    assert!(no["rule"].as_str().unwrap().contains("was revoked by"), "{no}");
}

#[test]
fn only_an_admin_approves_and_only_for_a_host_there_is() {
    // A host without a key may stand in the file: it is to come.
    let b = bastion().text("[hosts.fresh]\nteam = \"pay\"\n").start();
    refused(stranger(&b, "new", "pay-01").start());
    refused(stranger(&b, "other", "root").start());
    let (new, other) = (b.fingerprint("new"), b.fingerprint("other"));
    let say = |who: &str, words: &[&str]| b.ssh(who).run(words);
    let out = say("oscar", &["approve", &new, "pay-01", "--yes"]);
    assert_eq!(out.status.code(), Some(4), "{}", errors(&out));
    let no = b.wait_refusal("operator.refused", "approve needs the role admin");
    assert_eq!(
        (&no["fingerprint"], &no["host"], &no["actor"]["name"]),
        (&new.clone().into(), &"pay-01".into(), &"oscar".into())
    );
    // Nor who has that role for a time only.
    let rest = ["--until", "1h", "--reason", "oncall"];
    done(&b.cli(&[["grant", "role", "oscar", "admin"].as_slice(), &rest].concat()));
    let out = say("oscar", &["approve", &new, "pay-01", "--yes"]);
    assert_eq!(out.status.code(), Some(4), "{}", errors(&out));
    assert!(errors(&out).contains("approves no keys"), "{}", errors(&out));
    // Who is limited to a team sees what came with a name of its hosts, and may not even dismiss that.
    let seen = String::from_utf8(say("vera", &["pending"]).stdout).unwrap();
    assert!(seen.contains(&new) && !seen.contains(&other), "{seen}");
    assert_eq!(say("vera", &["dismiss", &new]).status.code(), Some(4));
    for (host, why) in [("nobody", "there is no host nobody"), ("pay-02", "")] {
        let out = say("alice", &["approve", &new, host, "--yes"]);
        assert_eq!(out.status.success(), why.is_empty(), "{}", errors(&out));
        assert!(errors(&out).contains(why), "{}", errors(&out));
    }
    // A second time it is not pending any more, whoever asks.
    assert!(!say("alice", &["approve", &new, "pay-01", "--yes"]).status.success());
    assert!(say("oscar", &["dismiss", &other]).status.success());
    assert!(say("oscar", &["unapprove", &new, "--yes"]).status.success(), "what takes access away is an operator's");
    assert!(!b.cli(&["approve", "pay-01", "pay-01", "--yes"]).status.success(), "that is no key");
    refused(stranger(&b, "first", "fresh").start());
    assert!(say("alice", &["approve", &b.fingerprint("first"), "fresh", "--yes"]).status.success());
    stranger(&b, "first", "fresh").start().log.wait("Authenticated to ", SOON);
}

#[test]
fn the_configuration_stands_above_an_approval() {
    let b = bastion().start();
    let port = b.port("pay", 0);
    let service = says("it");
    let approve = |name: &str, host: &str| {
        refused(stranger(&b, name, host).start());
        done(&b.cli(&["approve", &b.fingerprint(name), host, "--yes"]));
    };
    let line = |name: &str| std::fs::read_to_string(b.key(name).with_extension("pub")).unwrap().trim().to_owned();
    let reload = || done(&b.cli(&["reload", "--yes"]));
    let approved = |name: &str| {
        let keys = b.json(&["keys"]);
        keys.as_array().unwrap().iter().any(|k| k["fingerprint"] == b.fingerprint(name) && k["approved"].is_object())
    };
    for name in ["same", "others", "gone"] {
        approve(name, "pay-01");
    }
    let mut same = stranger(&b, "same", "pay-01").forward(port, service).start().wait_forward();
    let mut others = stranger(&b, "others", "pay-01").start();
    others.log.wait("Authenticated to ", SOON);
    // The file gives one to the same host, and another to another.
    let (one, two) = (line("pay-01"), line("pay-02"));
    b.rewrite(|t| {
        t.replace(&format!("\"{one}\""), &format!("\"{one}\", \"{}\"", line("same")))
            .replace(&format!("\"{two}\""), &format!("\"{two}\", \"{}\"", line("others")))
    });
    reload();
    let over = b.wait_audit("its end", |e| e["event"] == "key.unapproved" && e["fingerprint"] == b.fingerprint("same"));
    assert_eq!((&over["reason"], &over["sessions"]), (&"the configuration has the key now".into(), &0.into()));
    assert!(!approved("same") && !approved("others") && approved("gone"));
    assert!(same.is_running() && hear(port) == "it", "nothing has changed for it");
    others.wait_exit();
    let told = String::from_utf8(b.cli(&["check"]).stdout).unwrap();
    let other = b.fingerprint("others");
    assert!(told.contains(&format!("key {other}")) && told.contains("gives it to host pay-02"), "{told}");
    let mut again = stranger(&b, "others", "pay-01").start();
    again.log.wait("Authenticated to ", SOON);
    assert_eq!(
        b.wait_audit("it", |e| e["event"] == "auth.success" && e["fingerprint"] == other && e["host"] == "pay-02")["host"],
        "pay-02"
    );
    assert!(again.is_running());
    done(&b.cli(&["unapprove", &other, "--yes"]));
    assert!(again.is_running(), "it lives by the configuration");
    assert!(b.cli(&["check"]).status.success());

    // A host that leaves loses what was approved for it, for good.
    drop((same, again));
    let mut gone = stranger(&b, "gone", "pay-01").start();
    gone.log.wait("Authenticated to ", SOON);
    let whole = std::fs::read_to_string(b.config()).unwrap();
    let start = whole.find("[hosts.pay-01]").unwrap();
    let end = whole[start + 1..].find("\n[").map_or(whole.len(), |n| start + 1 + n);
    b.rewrite(|t| format!("{}{}", &t[..start], &t[end..]));
    reload();
    gone.wait_exit();
    let over = b.wait_audit("its end", |e| e["event"] == "key.unapproved" && e["fingerprint"] == b.fingerprint("gone"));
    assert_eq!(over["reason"], "host pay-01 is not in the configuration any more");
    b.rewrite(|_| whole.clone());
    reload();
    assert!(!approved("gone"));
    refused(stranger(&b, "gone", "pay-01").start());
}

#[test]
fn an_approval_for_a_time_ends_by_itself_and_cuts_what_lives_by_it() {
    let b = bastion().start();
    refused(stranger(&b, "new", "pay-01").start());
    let key = b.fingerprint("new");
    assert!(!b.cli(&["approve", &key, "pay-01", "--until", "2020-01-01", "--yes"]).status.success());
    assert!(done(&b.cli(&["approve", &key, "pay-01", "--until", "6s", "--yes"])).contains(" until "));
    let mut ssh = stranger(&b, "new", "pay-01").start();
    ssh.log.wait("Authenticated to ", SOON);
    ssh.wait_exit();
    let over = b.wait_event("key.unapproved", "pay-01");
    assert!(over["reason"].as_str().unwrap().starts_with("the time set by "), "{over}");
    assert_eq!((&over["actor"]["type"], &over["sessions"]), (&"daemon".into(), &1.into()));
    refused(stranger(&b, "new", "pay-01").start());
}
