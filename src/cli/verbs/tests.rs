//! The verbs against a fake daemon, as `ssh ops@bastion VERB` runs them.

use super::*;
use crate::control::client::Client;
use crate::control::fake::{Fake, identity, snapshot};
use crate::control::protocol::{Action, ApiError, ErrorCode, Request};
use crate::control::server::{Api, serve};
use crate::model::Role;
use serde_json::Value;
use std::sync::Arc;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use unicode_width::UnicodeWidthStr;

async fn client(api: &Arc<Fake>) -> Client {
    let (ours, theirs) = tokio::io::duplex(1 << 16);
    let api: Arc<dyn Api> = Arc::clone(api) as Arc<dyn Api>;
    tokio::spawn(serve(theirs, identity("alice", Role::Operator), api));
    Client::connect(ours, "test").await.unwrap()
}

struct Ran {
    code: u8,
    out: String,
    err: String,
}

async fn ran(api: &Arc<Fake>, line: &str) -> Ran {
    let client = client(api).await;
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let code = run_exec(line, &client, &mut out, &mut err).await;
    Ran { code, out: String::from_utf8(out).unwrap(), err: String::from_utf8(err).unwrap() }
}

async fn good(line: &str) -> Ran {
    ran(&Arc::new(Fake::default()), line).await
}

/// Each verb that is answered with something, once.
const ALL: &[&str] = &[
    "status",
    "triage",
    "tunnels",
    "ports",
    "health",
    "sessions",
    "visitors",
    "metrics",
    "metrics --no-tunnels",
    "audit",
    "audit verify",
    "explain pay-db 20100",
    "howto pay-db",
    "howto 20100 --format systemd",
    "check",
    "reconnect pay-db --wait 1500ms -y",
    "revoke pay-db --reason lost -y",
    "restore 20100",
    "assign pay-db",
    "move 20100 20102 -y",
    "release 20100 -y",
    "cut v1 -y",
    "disconnect s1 --yes",
    "reload",
];

#[tokio::test]
async fn every_verb_answers_in_words_without_escape_sequences() {
    for line in ALL {
        let r = good(line).await;
        assert_eq!((r.code, r.err.contains("portreeve:")), (0, false), "{line}: {}", r.err);
        assert!(!r.out.is_empty() && !r.out.contains('\x1b'), "{line}: {}", r.out);
    }
}

#[tokio::test]
async fn every_verb_answers_in_json() {
    for line in ALL {
        let r = good(&format!("{line} --json")).await;
        assert_eq!((r.code, r.err.as_str()), (0, ""), "{line}");
        let values: Vec<Value> = r.out.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
        let list = ["tunnels", "ports", "health", "sessions", "visitors", "check"].contains(line);
        if *line == "audit" {
            assert_eq!(values.iter().map(|v| v["seq"].as_u64().unwrap()).collect::<Vec<_>>(), [2, 3]);
        } else {
            assert_eq!((values.len(), values[0].is_array()), (1, list), "{line}: {}", r.out);
        }
    }
    let ports: Value = serde_json::from_str(&good("ports iot --json").await.out).unwrap();
    assert_eq!((ports[0]["size"].as_u64(), ports[0]["free"].as_u64()), (Some(2), Some(1)));
    assert_eq!(ports[0]["next_free"], 20201);
    assert_eq!(ports[0]["leases"][0]["state"], "down");
    let status: Value = serde_json::from_str(&good("status --json").await.out).unwrap();
    assert_eq!((&status["tunnels"]["up"], &status["visitors"]), (&Value::from(1), &Value::from(6)));
}

#[tokio::test]
async fn tables_align_with_korean_names() {
    let r = good("tunnels").await;
    let column = |word: &str, line: &str| line.split_at(line.find(word).unwrap()).0.width();
    let lines: Vec<&str> = r.out.lines().collect();
    assert!(lines[2].contains("결제-서버"), "{}", r.out);
    let at = column("STATE", lines[0]);
    assert_eq!([column("✓ up", lines[1]), column("! degraded", lines[2]), column("✗ down", lines[3])], [at; 3]);
    assert!(lines[3].ends_with("keepalive timeout: the host went silent"), "{}", lines[3]);
}

#[tokio::test]
async fn a_filter_shows_fewer_rows_and_says_how_many_are_hidden() {
    let r = good("tunnels team=pay 'state!=up'").await;
    assert_eq!(r.out.lines().count(), 2, "{}", r.out);
    assert!(r.err.contains("2 of 3 not shown"), "{}", r.err);
    assert_eq!(good("tunnels colour=red").await.code, 2);
}

#[tokio::test]
async fn exit_codes_tell_scripts_what_happened() {
    let bad = || Arc::new(Fake { good: false, outcome: std::sync::Mutex::new(Ok(false)), ..Fake::default() });
    for line in ["reconnect pay-db -y", "explain pay-db", "check", "triage", "audit verify"] {
        assert_eq!(ran(&bad(), line).await.code, 1, "{line}");
    }
    for line in [
        "",
        "fly",
        "reconnect",
        "move 0",
        "revoke 'unclosed",
        "serve -c x",
        "up",
        "man",
        "ports --port",
        "audit -n 5 verify",
    ] {
        let r = good(line).await;
        assert_eq!((r.code, r.out.as_str()), (2, ""), "{line}");
        assert!(!r.err.is_empty());
    }
    for (code, exit) in [
        (ErrorCode::Invalid, 2),
        (ErrorCode::Forbidden, 4),
        (ErrorCode::NotFound, 5),
        (ErrorCode::Conflict, 6),
        (ErrorCode::Unavailable, 7),
    ] {
        let api = Arc::new(Fake { outcome: std::sync::Mutex::new(Err(ApiError::new(code, "no"))), ..Fake::default() });
        let r = ran(&api, "reload").await;
        assert_eq!((r.code, r.err.as_str()), (exit, "portreeve: no\n"));
        let e: ApiError = serde_json::from_str(&ran(&api, "reload --json").await.err).unwrap();
        assert_eq!(e, ApiError::new(code, "no"));
    }
    assert_eq!(good("ports nobody").await.code, 5);
    let help = good("--help").await;
    assert!(help.code == 0 && help.out.contains("Exit codes") && help.out.contains("reconnect"), "{}", help.out);
    assert_eq!(good("portreeve status").await.code, 0);
}

#[tokio::test]
async fn a_daemon_that_is_gone_is_exit_3() {
    let (ours, theirs) = tokio::io::duplex(1 << 16);
    let api: Arc<dyn Api> = Arc::new(Fake::default());
    let served = tokio::spawn(serve(theirs, identity("alice", Role::Operator), api));
    let client = Client::connect(ours, "test").await.unwrap();
    served.abort();
    let (mut out, mut err) = (Vec::new(), Vec::new());
    assert_eq!(run_exec("status", &client, &mut out, &mut err).await, 3);
    assert!(String::from_utf8(err).unwrap().contains("closed the connection"));
}

#[tokio::test]
async fn what_cuts_needs_yes_where_nobody_can_be_asked() {
    let api = Arc::new(Fake::default());
    for line in ["reconnect pay-db", "revoke 20100", "move 20100", "release 20100", "cut v1", "disconnect s1"] {
        let r = ran(&api, line).await;
        assert_eq!(r.code, 2, "{line}");
        assert!(r.err.contains("--yes"), "{}", r.err);
    }
    assert!(api.asked.lock().unwrap().is_empty(), "nothing has reached the daemon");
    ran(&api, "revoke 20100 --reason 'key lost' --yes").await;
    let asked = api.asked.lock().unwrap().clone();
    assert!(
        matches!(&asked[..], [Request::Act(Action::Revoke { reason: Some(r), .. })] if r == "key lost"),
        "{asked:?}"
    );
}

#[tokio::test]
async fn files_of_the_bastion_are_not_read_over_ssh() {
    for line in ["check --config /etc/passwd", "audit verify --dir /etc"] {
        let r = good(line).await;
        assert_eq!(r.code, 2, "{line}");
    }
}

#[tokio::test]
async fn a_search_goes_on_in_pieces_until_all_is_searched_or_enough_is_found() {
    let r = good("audit -n 2").await;
    assert_eq!((r.out.lines().count(), r.err.as_str()), (2, ""), "nothing is older: {}", r.err);
    assert!(r.out.contains("operator alice: reconnect: asked  host=pay-db"), "{}", r.out);
    // One is enough, and there is more to search.
    let r = good("audit -n 1").await;
    assert_eq!(r.out.lines().count(), 1);
    assert!(r.err.contains("page back with --before 3"), "{}", r.err);
}

#[tokio::test]
async fn follow_shows_what_was_then_what_comes_each_once() {
    let api = Arc::new(Fake::default());
    let client = client(&api).await;
    let (read, mut out) = tokio::io::duplex(1 << 16);
    let following = tokio::spawn(async move {
        let mut err = Vec::new();
        run_exec("audit -f --json --event operator.reconnect", &client, &mut out, &mut err).await
    });
    let mut lines = BufReader::new(read).lines();
    let mut seen = vec![];
    while seen.len() < 2 {
        let v: Value = serde_json::from_str(&lines.next_line().await.unwrap().unwrap()).unwrap();
        seen.push(v["seq"].as_u64().unwrap());
    }
    // The snapshot of the fake ends with event 3; each change brings the next.
    for _ in 0..3 {
        api.changed.send_modify(|n| *n += 1);
        let v: Value = serde_json::from_str(&lines.next_line().await.unwrap().unwrap()).unwrap();
        seen.push(v["seq"].as_u64().unwrap());
    }
    assert_eq!(seen, [2, 3, 4, 5, 6]);
    // Nobody reads any more: the next event ends it.
    drop(lines);
    api.changed.send_modify(|n| *n += 1);
    assert_eq!(following.await.unwrap(), 0);
}

#[tokio::test]
async fn a_closed_sink_ends_a_verb_quietly() {
    let client = client(&Arc::new(Fake::default())).await;
    let (read, mut out) = tokio::io::duplex(16);
    drop(read);
    let mut err = Vec::new();
    assert_eq!(run_exec("tunnels", &client, &mut out, &mut err).await, 0);
    assert!(err.is_empty());
}

#[tokio::test]
async fn narrow_terminals_and_colours_are_served() {
    let client = client(&Arc::new(Fake::default())).await;
    let (mut read, mut out) = tokio::io::duplex(1 << 16);
    let mut err = Vec::new();
    let reader = Reader { width: Some(100), colour: true };
    let words = ["tunnels".to_owned()];
    assert_eq!(run_line(&words, &client, &mut out, &mut err, reader).await, 0);
    drop(out);
    let mut text = String::new();
    read.read_to_string(&mut text).await.unwrap();
    assert!(text.contains("\x1b[31m✗ down\x1b[0m"), "{text}");
    assert_eq!(text.lines().count(), 1 + snapshot().tunnels.len());
}

#[tokio::test]
async fn on_a_terminal_what_cuts_is_asked_for_and_the_session_seen_is_frozen() {
    use clap::Parser;
    for (answer, code, acts) in
        [("y\n", 0, true), ("YES\n", 0, true), ("n\n", 1, false), ("", 1, false), ("yup\n", 1, false)]
    {
        let api = Arc::new(Fake::default());
        let client = client(&api).await;
        let verb = Line::try_parse_from(["reconnect", "pay-db"]).unwrap().verb;
        let (mut out, mut err, mut answers) = (Vec::new(), Vec::new(), answer.as_bytes());
        let mut o = Out::new(&mut out, &mut err, false, Reader::default()).asking(&mut answers);
        assert_eq!(run(&verb, &client, &mut o).await.code(), code, "{answer:?}");
        let asked = String::from_utf8(err).unwrap();
        assert!(
            asked.starts_with("Reconnect pay-db: closes 1 tunnel (20100) with 2 visitors. Go on? [y/N] "),
            "{asked}"
        );
        let done = api.asked.lock().unwrap().clone();
        assert_eq!(done.len(), usize::from(acts), "{answer:?}");
        assert!(done.iter().all(|r| matches!(r, Request::Act(Action::Reconnect { session: Some(_), .. }))));
    }
}

#[tokio::test]
async fn triage_says_what_is_wrong_why_and_what_to_do() {
    let bad = Arc::new(Fake { good: false, ..Fake::default() });
    let r = ran(&bad, "triage").await;
    for line in [
        "✗ down  iot-77: keepalive lost, silent, ",
        "    keepalive timeout: the host went silent; it has not dialled again\n",
        "    hits: 1 tunnel, 1 host, team iot, ports 20200, 2 visitors cut\n",
        "    next: portreeve audit --host iot-77 -n 20  # sign-ins\n",
    ] {
        assert!(r.out.contains(line), "{line}: {}", r.out);
    }
    let json: Value = serde_json::from_str(&ran(&bad, "triage --json").await.out).unwrap();
    assert_eq!(json["incidents"][0]["cause"], "host-silent");
    assert_eq!(json["incidents"][0]["blast"]["ports"][0], 20200);
    let r = good("triage").await;
    assert_eq!((r.code, r.out.as_str()), (0, "✓ all well\n"));
}
