//! Triage for operators who are limited to teams: what they see, and what they may mute.

use crate::common::bastion::Bastion;
use crate::common::incidents::{triage, wait_cause};
use crate::common::services::echo;
use serde_json::Value;

/// A tunnel of each team is lost; one operator is limited to the second team.
fn two_teams(role: &str) -> Bastion {
    let b = Bastion::builder()
        .team("pay", 4)
        .team("iot", 4)
        .host("pay-01", "pay")
        .host("iot-01", "iot")
        .operator("ops", role, &["iot"])
        .start();
    drop(b.ssh("pay-01").forward(b.port("pay", 0), echo()).start().wait_forward());
    drop(b.ssh("iot-01").forward(b.port("iot", 0), echo()).start().wait_forward());
    wait_cause(&b, "host-gone", |i| i["what"] == "pay-01");
    wait_cause(&b, "host-gone", |i| i["what"] == "iot-01");
    b
}

#[test]
fn one_sees_the_incidents_of_ones_own_teams() {
    let b = two_teams("viewer");
    let out = b.ssh("ops").run(&["triage", "--json"]);
    assert_eq!(out.status.code(), Some(1), "{}", String::from_utf8_lossy(&out.stderr));
    let answer: Value = serde_json::from_slice(&out.stdout).unwrap();
    let whom: Vec<&Value> = answer["incidents"].as_array().unwrap().iter().map(|i| &i["what"]).collect();
    assert_eq!(whom, ["iot-01"]);
}

#[test]
fn one_mutes_the_incidents_of_ones_own_teams_alone() {
    let b = two_teams("operator");
    let ops = |args: &[&str]| {
        let out = b.ssh("ops").run(args);
        // Beside what ssh itself has to say.
        let all = String::from_utf8_lossy(&out.stderr).into_owned();
        let said = all.lines().find(|l| l.starts_with("portreeve: ")).unwrap_or_default();
        (out.status.code().unwrap(), said.to_owned())
    };
    let mute = |id: &str| ops(&["mute", id, "--for", "1h", "--reason", "known"]);
    let muted = |host: &str| {
        let all = triage(&b, &[]).0;
        all.iter().find(|i| i["what"] == host).unwrap()["muted"].is_object()
    };
    // Another team's, of which it is not even said that it is there; and a made-up one is answered alike.
    let (code, said) = mute("host-gone:pay-01");
    let (same, made_up) = mute("host-gone:nobody");
    assert!(code != 0 && code == same, "{code} {same}: {said}");
    assert_eq!(said.replace("pay-01", "X"), made_up.replace("nobody", "X"));
    assert!(!muted("pay-01") && !b.audit().iter().any(|e| e["event"] == "operator.mute"));
    // One's own.
    assert_eq!(mute("host-gone:iot-01").0, 0);
    assert!(muted("iot-01") && !muted("pay-01"));
    let e = b.wait_audit("the mute", |e| e["event"] == "operator.mute");
    assert_eq!((&e["actor"]["name"], &e["incident"]), (&"ops".into(), &"host-gone:iot-01".into()));
    // What somebody with more rights has muted is not theirs to lift.
    let args = ["mute", "host-gone:pay-01", "--for", "1h", "--reason", "a move"];
    assert!(b.cli(&args).status.success());
    assert_ne!(ops(&["unmute", "host-gone:pay-01"]).0, 0);
    assert!(muted("pay-01"));
    let refused =
        |e: &Value| e["event"] == "operator.refused" && e["actor"]["name"] == "ops" && e["action"] == "unmute";
    b.wait_audit("the refusal", refused);
    assert_eq!(ops(&["unmute", "host-gone:iot-01"]).0, 0);
    assert!(!muted("iot-01"));
}
