//! Rules of actions: the role that one asks for, and what two operators must agree on.

use crate::common::bastion::{Bastion, Builder};
use crate::common::ca::Paper;
use crate::common::load::{Download, endless};
use crate::common::{SOON, eventually};
use crate::console::remote_of as console;
use serde_json::Value;
use std::process::Output;

/// What is told, how a right is lost, and how it is had again.
type Way<'a> = (&'a str, &'a dyn Fn(), &'a dyn Fn());

fn bastion() -> Builder {
    Bastion::builder()
        .team("pay", 8)
        .team("iot", 4)
        .host("pay-01", "pay")
        .operator("alice", "operator", &["pay"])
        .operator("bob", "operator", &[])
        .operator("cam", "operator", &["iot"])
        .operator("boss", "admin", &[])
        .operator("eyes", "viewer", &[])
        .text("[actions.revoke]\ntwo_person = [\"team\", \"operator\"]\n\n")
}

/// What an operator's command says, and its exit code.
#[track_caller]
fn said(out: &Output, code: i32) -> String {
    let text = format!("{}{}", String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr));
    assert_eq!(out.status.code(), Some(code), "{text}");
    text
}

fn ask(b: &Bastion, who: &str, words: &[&str]) -> Output {
    b.ssh(who).run(words)
}

/// Proposes, and gives the proposal's id.
#[track_caller]
fn propose(b: &Bastion, who: &str, words: &[&str]) -> String {
    let out = ask(b, who, &[words, &["--yes", "--json"]].concat());
    said(&out, 1);
    let answer: Value = serde_json::from_slice(&out.stdout).unwrap();
    assert_eq!(answer["ok"], false);
    answer["proposal"]["id"].as_str().unwrap().to_owned()
}

#[test]
fn a_whole_team_is_revoked_by_two_operators_and_by_nobody_alone() {
    let b = bastion().start();
    let port = b.port("pay", 0);
    let _host = b.ssh("pay-01").forward(port, endless()).start().wait_forward();
    let download = Download::start(port);
    download.wait_bytes(100_000);

    // What would come of it is told before anybody asks for it.
    let dry = said(&ask(&b, "alice", &["revoke", "team:pay", "--dry-run"]), 0);
    assert!(dry.contains("another operator must confirm it") && dry.contains("closes 1 session, 1 tunnel"), "{dry}");
    assert!(b.json(&["proposals"]).as_array().unwrap().is_empty(), "a dry run proposes nothing");

    let id = propose(&b, "alice", &["revoke", "team:pay", "--reason", "leaked"]);
    let asked = b.wait_audit("the proposal", |e| e["event"] == "operator.propose");
    assert_eq!(
        (&asked["actor"]["name"], &asked["proposal"], &asked["team"], &asked["reason"]),
        (&"alice".into(), &id.as_str().into(), &"pay".into(), &"leaked".into())
    );
    assert_eq!(asked["what"], "revoke team:pay --reason leaked");
    assert!(download.is_running(), "nothing is done yet");
    // Nor can it be asked for twice.
    assert!(
        said(&ask(&b, "bob", &["revoke", "team:pay", "--reason", "leaked", "--yes"]), 6).contains("alice has proposed")
    );

    // Whoever proposed it cannot confirm it: not in another session, nor does whoever sits at the socket as root.
    for (out, why) in [
        (ask(&b, "alice", &["confirm", &id, "--yes"]), "alice proposed it, and another operator must confirm it"),
        (b.cli(&["confirm", &id, "--yes"]), "is nobody by name"),
        (ask(&b, "cam", &["confirm", &id, "--yes"]), "is not allowed on team pay"),
        (ask(&b, "eyes", &["confirm", &id, "--yes"]), "needs the role operator"),
    ] {
        let told = said(&out, 4);
        assert!(told.contains(why), "{why}: {told}");
    }
    b.wait_audit("the refusal", |e| {
        e["event"] == "operator.refused" && e["action"] == "confirm" && e["actor"]["name"] == "alice"
    });
    assert!(download.is_running());

    // Each sees what they may do about it.
    let of = |who: &str| {
        let out = ask(&b, who, &["proposals", "--json"]);
        serde_json::from_slice::<Value>(&out.stdout).unwrap()
    };
    let (hers, his) = (of("alice"), of("bob"));
    assert_eq!((&hers[0]["yours"], &hers[0]["may_confirm"]), (&true.into(), &false.into()));
    assert_eq!((&his[0]["by"], &his[0]["may_confirm"]), (&"alice".into(), &true.into()));
    assert!(of("cam").as_array().unwrap().is_empty(), "another team's");

    let done = said(&ask(&b, "bob", &["confirm", &id, "--yes"]), 0);
    assert!(done.contains("revoked team pay: closed 1 session, 1 tunnel, 1 visitor (proposed by alice)"), "{done}");
    eventually("the visitor is cut", SOON, || !download.is_running());
    for event in ["operator.confirm", "operator.revoke", "operator.revoked"] {
        let e = b.wait_audit(event, |e| e["event"] == event);
        assert_eq!((&e["actor"]["name"], &e["proposed_by"]), (&"bob".into(), &"alice".into()), "{e}");
    }
    let row = b.tunnel(port).unwrap();
    assert_eq!(row["revoked"]["by"], "alice and bob");
    // Both find it under their name.
    for who in ["alice", "bob"] {
        let out = b.cli(&["audit", "--actor", who, "--event", "operator.revoked", "--json"]);
        assert!(String::from_utf8_lossy(&out.stdout).contains("\"proposed_by\":\"alice\""), "{who}");
    }
    // It cannot be done again.
    said(&ask(&b, "bob", &["confirm", &id, "--yes"]), 5);
    // What the rule does not name is done at once.
    said(&ask(&b, "bob", &["restore", "team:pay"]), 0);
    said(&ask(&b, "bob", &["revoke", "pay-01", "--yes"]), 0);
    assert!(b.cli(&["audit", "verify"]).status.success());
}

#[test]
fn a_proposal_is_withdrawn_and_ends_with_its_proposers_right() {
    let b = bastion().start();
    // Root proposes nothing either.
    let told = said(&b.cli(&["revoke", "team:pay", "--yes"]), 4);
    assert!(told.contains("act of two operators"), "{told}");
    // What cannot be done cannot be proposed.
    assert!(said(&ask(&b, "bob", &["revoke", "team:nobody", "--yes"]), 6).contains("there is no team nobody"));

    let id = propose(&b, "alice", &["revoke", "team:pay"]);
    said(&ask(&b, "cam", &["withdraw", &id]), 4);
    said(&ask(&b, "alice", &["withdraw", &id]), 0);
    let e = b.wait_audit("the end", |e| e["event"] == "operator.withdraw" && e["proposal"] == *id);
    assert_eq!((&e["actor"]["name"], &e["proposed_by"]), (&"alice".into(), &"alice".into()));
    said(&ask(&b, "bob", &["confirm", &id, "--yes"]), 5);

    // It ends at once when the one who wanted it may not do it any more: the role, the key, the operator.
    let role = |from: &str, to: &str| {
        b.rewrite(|t| {
            t.replacen(
                &format!("[operators.alice]\nrole = \"{from}\""),
                &format!("[operators.alice]\nrole = \"{to}\""),
                1,
            )
        });
        assert!(b.cli(&["reload"]).status.success());
    };
    let key = b.fingerprint("alice");
    let ways: [Way<'_>; 2] = [
        ("needs the role operator", &|| role("operator", "viewer"), &|| role("viewer", "operator")),
        ("was revoked by", &|| assert!(b.cli(&["revoke", &key, "--yes"]).status.success()), &|| {
            assert!(b.cli(&["restore", &key]).status.success())
        }),
    ];
    for (why, lose, regain) in ways {
        let id = propose(&b, "alice", &["revoke", "team:pay"]);
        lose();
        let told = said(&ask(&b, "bob", &["confirm", &id, "--yes"]), 5);
        assert!(told.contains("there is no proposal"), "{told}");
        let e = b.wait_audit(why, |e| e["event"] == "operator.withdraw" && e["proposal"] == *id);
        assert_eq!(e["actor"]["type"], "daemon");
        assert!(e["reason"].as_str().unwrap().contains(why), "{e}");
        regain();
    }
    assert!(!b.audit().iter().any(|e| e["event"] == "operator.confirm"));
    // After a restart nothing waits.
    let mut b = b;
    let id = propose(&b, "alice", &["revoke", "team:pay"]);
    b.restart();
    said(&ask(&b, "bob", &["confirm", &id, "--yes"]), 5);
}

#[test]
fn whoever_has_certificates_of_two_operators_is_one() {
    let b = Bastion::builder()
        .team("pay", 8)
        .operator("alice", "operator", &["pay"])
        .text("principals = [\"alice\"]\n\n")
        .operator("bob", "operator", &[])
        .text("principals = [\"bob\"]\n\n[actions.revoke]\ntwo_person = [\"team\"]\n\n")
        .authority("sso", "vouches_for = [\"operators\"]\nmax_role = \"operator\"")
        .start();
    let ask = |who: &str, paper: &Paper, words: &[&str]| b.ssh_with(who, paper).run(words);
    let propose = |who: &str, paper: &Paper| {
        let out = ask(who, paper, &["revoke", "team:pay", "--yes", "--json"]);
        said(&out, 1);
        let answer: Value = serde_json::from_slice(&out.stdout).unwrap();
        answer["proposal"]["id"].as_str().unwrap().to_owned()
    };
    // Each login has a key and a certificate of its own.
    let paper = |id: &str, principals: &str| b.paper("sso", id, &["-n", principals]);
    let (alices, bobs) = (paper("alice@corp", "alice"), paper("bob@corp", "bob"));
    let (both, again) = (paper("mallory-1", "alice,bob"), paper("mallory-2", "alice,bob"));
    let (hers, his) = (paper("mallory", "alice"), paper("mallory", "bob"));
    for (proposer, confirmer) in [(&both, &again), (&both, &bobs), (&alices, &again), (&hers, &his)] {
        let id = propose("alice", proposer);
        let told = said(&ask("bob", confirmer, &["confirm", &id, "--yes"]), 4);
        assert!(told.contains("a certificate of one of you is good for both names"), "{told}");
        let seen: Value = serde_json::from_slice(&ask("bob", confirmer, &["proposals", "--json"]).stdout).unwrap();
        assert_eq!(seen[0]["may_confirm"], false);
        said(&ask("alice", &alices, &["withdraw", &id]), 0);
    }
    // Nor does an operator's own key make another of whom the certificate is good for both.
    let id = propose("alice", &both);
    said(&b.ssh("bob").run(&["confirm", &id, "--yes"]), 4);
    said(&ask("alice", &alices, &["withdraw", &id]), 0);
    assert!(!b.audit().iter().any(|e| e["event"] == "operator.confirm"));
    // Two persons with a certificate each are two.
    let id = propose("alice", &alices);
    said(&ask("bob", &bobs, &["confirm", &id, "--yes"]), 0);
}

#[test]
fn both_are_judged_by_the_team_that_it_concerns_when_it_is_confirmed() {
    let b = Bastion::builder()
        .team("pay", 8)
        .team("iot", 4)
        .host("pay-01", "pay")
        .operator("alice", "operator", &["pay"])
        .operator("bob", "operator", &[])
        .operator("cam", "operator", &["iot"])
        .operator("dan", "operator", &["pay"])
        .text("[actions.revoke]\ntwo_person = [\"host\"]\n\n")
        .start();
    let moves = |from: &str, to: &str| {
        b.rewrite(|t| {
            let (head, host) = t.split_once("[hosts.pay-01]").unwrap();
            let host = host.replacen(&format!("team = \"{from}\""), &format!("team = \"{to}\""), 1);
            format!("{head}[hosts.pay-01]{host}")
        });
        said(&b.cli(&["reload"]), 0);
    };
    let words = ["revoke", "pay-01"];
    // Of whom it is not any more, they cannot confirm it; whose it is, can, and the journal says so.
    let id = propose(&b, "bob", &words);
    moves("pay", "iot");
    let told = said(&ask(&b, "dan", &["confirm", &id, "--yes"]), 4);
    assert!(told.contains("is not allowed on team iot"), "{told}");
    said(&ask(&b, "cam", &["confirm", &id, "--yes"]), 0);
    let e = b.wait_audit("the act", |e| e["event"] == "operator.confirm");
    assert_eq!((&e["actor"]["name"], &e["team"]), (&"cam".into(), &"iot".into()), "{e}");
    said(&b.cli(&["restore", "pay-01"]), 0);
    moves("iot", "pay");
    // Nor is done what its proposer could not propose now.
    let id = propose(&b, "alice", &words);
    moves("pay", "iot");
    let told = said(&ask(&b, "bob", &["confirm", &id, "--yes"]), 6);
    assert!(told.contains("nothing was done: alice may not do it any more"), "{told}");
    let e = b.wait_audit("the end", |e| e["event"] == "operator.withdraw" && e["proposal"] == *id);
    assert_eq!((&e["actor"]["type"], &e["team"]), (&"daemon".into(), &"iot".into()), "{e}");
    b.wait_audit("the refusal", |e| e["event"] == "operator.refused" && e["actor"]["name"] == "bob");
    assert_eq!(b.audit().iter().filter(|e| e["event"] == "operator.revoke").count(), 1);
}

#[test]
fn a_confirmation_by_a_grant_reads_so_in_the_journal() {
    let b = bastion().start();
    let id = propose(&b, "boss", &["revoke", "operator:eyes"]);
    said(&ask(&b, "bob", &["confirm", &id, "--yes"]), 4);
    let given = b.cli(&["grant", "role", "bob", "admin", "--until", "1h", "--reason", "oncall", "--json"]);
    said(&given, 0);
    let given: Value = serde_json::from_slice(&given.stdout).unwrap();
    let by = format!(" by grant {}", given["grant"]["id"].as_str().unwrap());
    said(&ask(&b, "bob", &["confirm", &id, "--yes"]), 0);
    for event in ["operator.confirm", "operator.revoke"] {
        let e = b.wait_audit(event, |e| e["event"] == event);
        assert!(e["via"].as_str().unwrap().ends_with(&by), "{e}");
    }
}

#[test]
fn a_proposal_that_nobody_confirms_in_time_is_over() {
    let b = bastion().set("control", "confirm_within = \"2s\"").start();
    let id = propose(&b, "alice", &["revoke", "team:pay"]);
    let e = b.wait_audit("the end", |e| e["event"] == "operator.withdraw" && e["proposal"] == *id);
    assert_eq!((&e["actor"]["type"], &e["reason"]), (&"daemon".into(), &"nobody confirmed it in time".into()));
    said(&ask(&b, "bob", &["confirm", &id, "--yes"]), 5);
    assert!(b.json(&["proposals"]).as_array().unwrap().is_empty());
    assert!(!b.audit().iter().any(|e| e["event"] == "operator.revoke"));
}

#[test]
fn an_operator_by_account_and_by_key_is_one_and_the_consoles_say_what_waits() {
    let account = nix::unistd::User::from_uid(nix::unistd::geteuid()).unwrap().unwrap().name;
    // The account of this machine is bob's: at the socket he is bob by name.
    let b = bastion().start();
    b.rewrite(|t| t.replacen("[operators.bob]\n", &format!("[operators.bob]\nunix_user = \"{account}\"\n"), 1));
    // With the old rights, for the last time: bob is no admin.
    assert!(b.cli(&["reload"]).status.success());
    let id = propose(&b, "bob", &["revoke", "team:pay"]);
    let told = said(&b.cli(&["confirm", &id, "--yes"]), 4);
    assert!(told.contains("bob proposed it"), "{told}");

    let mut alice = console(&b, "alice");
    alice.until_text("bob proposes revoke team:pay");
    alice.until_text(&format!("W, then :confirm {id} (until"));
    let mut bob = console(&b, "bob");
    bob.until_text("your proposal waits until");
    alice.keys("W");
    alice.until_text("RW");
    alice.keys(&format!(":confirm {id}\r"));
    alice.until_text("confirm revoke team:pay");
    alice.until_text("proposed by bob");
    alice.keys("y");
    alice.until_text("revoked team pay: closed");
    bob.until("nothing waits any more", |s| !s.contents().contains("your proposal"));
    let e = b.wait_audit("the act", |e| e["event"] == "operator.revoke");
    assert_eq!((&e["actor"]["name"], &e["proposed_by"]), (&"alice".into(), &"bob".into()));

    // The console that proposes is told so before, and can take it back.
    said(&b.cli(&["restore", "team:pay"]), 0);
    alice.keys(":revoke team:pay\r");
    alice.until_text("this needs two");
    alice.keys("pay\r");
    alice.until_text("nothing is done yet: revoke team:pay waits");
    alice.until_text("your proposal waits until");
    alice.keys("U");
    alice.until_text("withdraw revoke team:pay");
    alice.keys("y");
    alice.until_text("nothing was done");
    b.wait_audit("the end", |e| e["event"] == "operator.withdraw" && e["actor"]["name"] == "alice");
}

#[test]
fn the_least_role_of_an_action_is_raised_by_a_reload_and_explained() {
    let b = bastion().start();
    said(&ask(&b, "bob", &["assign", "pay-01"]), 0);
    b.rewrite(|t| format!("{t}\n[actions.assign]\nrole = \"admin\"\n"));
    let reload = said(&b.cli(&["reload"]), 0);
    assert!(reload.contains("action assign: role operator → admin"), "{reload}");
    let told = said(&ask(&b, "bob", &["assign", "pay-01"]), 4);
    assert!(told.contains("assign needs the role admin ([actions.assign] of"), "{told}");
    b.wait_refusal("operator.refused", "assign needs the role admin ([actions.assign]");
    let told = said(&ask(&b, "bob", &["assign", "pay-01", "--dry-run"]), 1);
    assert!(told.contains("refused") && told.contains("[actions.assign]"), "{told}");
    let told = said(&ask(&b, "boss", &["assign", "pay-01", "--dry-run"]), 0);
    assert!(told.contains("assign needs the role admin") && told.contains("boss has the role admin"), "{told}");
    said(&ask(&b, "boss", &["assign", "pay-01"]), 0);
    // The console of whoever may not says why, before it asks.
    let mut c = console(&b, "bob");
    c.until_text("● live");
    c.keys(":assign pay-01\r");
    c.until_text("assign needs the role admin; yours is operator");

    // A rule cannot give rights away, nor be about what is no action.
    for (text, why) in [
        ("[actions.reload]\nrole = \"operator\"\n", "less than what reload needs anyhow (admin)"),
        ("[actions.revok]\nrole = \"admin\"\n", "did you mean `revoke`?"),
        ("[actions.assign]\ntwo_person = [\"team\"]\n", "must be true or false"),
        ("[actions.revoke]\ntwo_person = [\"teams\"]\n", "did you mean \"team\"?"),
        ("[actions.confirm]\ntwo_person = true\n", "is not an action that can have rules"),
    ] {
        let good = std::fs::read_to_string(b.config()).unwrap();
        b.rewrite(|t| {
            let base = t.split("[actions.").next().unwrap().to_owned();
            format!("{base}{text}")
        });
        let told = said(&b.cli(&["reload"]), 2);
        assert!(told.contains(why), "{why}: {told}");
        std::fs::write(b.config(), good).unwrap();
    }
    // Two who may do it must exist, or nobody ever can: `check` says so.
    b.rewrite(|t| format!("{t}\n[actions.reload]\ntwo_person = true\n"));
    assert!(b.cli(&["reload"]).status.success());
    let findings = said(&b.cli(&["check"]), 1);
    assert!(findings.contains("[actions.reload] asks for two operators, and only 1"), "{findings}");
}
