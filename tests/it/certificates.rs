//! Hosts and operators that sign in by OpenSSH certificates.

use crate::common::SOON;
use crate::common::bastion::{Bastion, Builder};
use crate::common::ca::Paper;
use crate::common::services::{echo, hear, says};
use serde_json::Value;
use std::fmt::Write as _;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Two teams, one of which takes in hosts by its own principal; an authority for hosts, one for operators of a team.
fn trusting() -> Builder {
    Bastion::builder()
        .team("pay", 8)
        .team("iot", 8)
        .team_line("pay", "principals = [\"team:pay\"]")
        .authority("hosts", "vouches_for = [\"hosts\"]")
        .authority("people", "vouches_for = [\"operators\"]\nteams = [\"pay\"]\nmax_role = \"operator\"")
        .text("[hosts.pay-01]\nteam = \"pay\"\n\n[hosts.pay-02]\nteam = \"pay\"\n\n")
        .text("[hosts.cam]\nteam = \"iot\"\nprincipals = [\"cam.example.net\"]\n\n")
        .text("[operators.alice]\nrole = \"operator\"\nteams = [\"pay\"]\nprincipals = [\"alice\"]\n\n")
        .text("[operators.root]\nrole = \"admin\"\nprincipals = [\"root\"]\n\n")
}

/// The refusal that the journal has of a sign-in with this paper.
#[track_caller]
fn refused(b: &Bastion, user: &str, paper: &Paper) -> Value {
    let last = b.audit().last().unwrap()["seq"].as_u64();
    let mut ssh = b.ssh_with(user, paper).start();
    assert!(!ssh.wait_exit().success());
    assert!(ssh.log.contains("Permission denied (publickey)"), "{}", ssh.log.text());
    b.wait_audit("refused sign-in", |e| {
        e["event"] == "auth.failure" && e["seq"].as_u64() > last && !e["certificate"].is_null()
    })
}

#[test]
fn principals_say_who_signs_in_and_the_journal_says_by_which_certificate() {
    let b = trusting().start();
    let ca = b.fingerprint("hosts");
    // A host by a principal of its own.
    let paper = b.paper("hosts", "camera on the roof", &["-n", "cam.example.net", "-z", "7", "-V", "+1h"]);
    let cam = b.port("iot", 0);
    let _ssh = b.ssh_with("whoever", &paper).forward(cam, says("cam")).start().wait_forward();
    assert_eq!(hear(cam), "cam");
    let said = b.wait_event("auth.success", "cam");
    assert_eq!(
        said["certificate"],
        serde_json::json!({"key_id": "camera on the roof", "serial": 7, "ca": ca}),
        "{said}"
    );
    assert_eq!(said["fingerprint"], fingerprint(&paper));
    // A host by its team's principal, named by the key id.
    let paper = b.paper("hosts", "pay-02", &["-n", "team:pay"]);
    let port = b.port("pay", 0);
    let _pay = b.ssh_with("x", &paper).forward(port, says("pay-02")).start().wait_forward();
    assert_eq!(hear(port), "pay-02");
    assert_eq!(b.tunnel(port).unwrap()["host"], "pay-02");
    // An operator, who reaches tunnels of their team by -W and no others.
    let paper = b.paper("people", "alice@laptop", &["-n", "alice"]);
    let out = b.ssh_with("x", &paper).run(&["whoami", "--json"]);
    let text = String::from_utf8_lossy(&out.stderr).into_owned();
    assert_eq!(out.status.code(), Some(2), "there is no such verb, which a signed-in operator is told: {text}");
    let said = b.wait_audit("alice", |e| e["event"] == "auth.success" && e["actor"]["name"] == "alice");
    assert_eq!(said["certificate"]["key_id"], "alice@laptop");
    let reach = |port: u16| {
        let out = b.ssh_with("x", &paper).args(&["-W", &format!("localhost:{port}")]).run(&[]);
        String::from_utf8_lossy(&out.stdout).trim().to_owned()
    };
    assert_eq!(reach(port), "pay-02");
    assert_eq!(reach(cam), "");
}

fn fingerprint(paper: &Paper) -> String {
    let out = Command::new("ssh-keygen").arg("-lf").arg(paper.key.with_extension("pub")).output().unwrap();
    String::from_utf8(out.stdout).unwrap().split_whitespace().nth(1).unwrap().to_owned()
}

#[test]
fn everything_a_certificate_may_lack_is_refused_by_the_rule_that_says_so() {
    let b = trusting().start();
    let stranger = b.dir().join("stranger");
    crate::common::bastion::keygen(&stranger, "stranger");
    let foreign = Paper::signed(b.dir(), &stranger, "cam", &["-n", "cam.example.net"]);
    let by = |ca: &str, id: &str, args: &[&str]| b.paper(ca, id, args);
    let cases: Vec<(Paper, &str, &str)> = vec![
        (foreign, "x", "is signed by a CA that no authority of"),
        (by("hosts", "cam", &[]), "x", "names no principals: it would stand for anybody"),
        (
            by("hosts", "cam", &["-n", "dam.example.net"]),
            "x",
            "has no principal of a host, operator or team: \"dam.example.net\"",
        ),
        // The team's principal, and a host of another team, or none.
        (by("hosts", "cam", &["-n", "team:pay"]), "x", "has no principal of a host"),
        (by("hosts", "nobody", &["-n", "team:pay"]), "x", "has no principal of a host"),
        (by("hosts", "x", &["-n", "alice"]), "x", "authority hosts does not vouch for operators"),
        (by("people", "x", &["-n", "cam.example.net"]), "x", "authority people does not vouch for hosts"),
        (
            by("people", "x", &["-n", "root"]),
            "x",
            "operator root has the role admin, and authority people vouches up to operator",
        ),
        (
            by("hosts", "pay-01", &["-n", "team:pay,cam.example.net"]),
            "x",
            "stands for host pay-01, host cam: sign in by the name of one",
        ),
        (
            by("hosts", "x", &["-n", "cam.example.net", "-O", "source-address=192.0.2.0/24,2001:db8::1"]),
            "x",
            "good from 192.0.2.0/24,2001:db8::1/128 only (source-address)",
        ),
        (
            by("hosts", "x", &["-n", "cam.example.net", "-O", "critical:tea@example.net=two"]),
            "x",
            "has a critical option that is not known here: tea@example.net",
        ),
        (
            by("hosts", "x", &["-n", "cam.example.net", "-O", "verify-required"]),
            "x",
            "has a critical option that is not known here: verify-required",
        ),
    ];
    let mut wrong = String::new();
    for (paper, user, rule) in cases {
        let said = refused(&b, user, &paper);
        if !said["rule"].as_str().unwrap().contains(rule)
            || !said["certificate"]["ca"].as_str().unwrap().starts_with("SHA256:")
        {
            writeln!(wrong, "{rule:?} is not in {said}").unwrap();
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
    // With the right name the one that stands for two is good.
    let paper = by("hosts", "pay-01", &["-n", "team:pay,cam.example.net"]);
    let _ssh = b.ssh_with("cam", &paper).forward(b.port("iot", 0), echo()).start().wait_forward();
}

#[test]
fn a_certificate_whose_time_is_not_now_lets_nobody_in() {
    let b = trusting().start();
    for validity in ["20200101:20200102", "+1d:+2d"] {
        let paper = b.paper("hosts", "cam", &["-n", "cam.example.net", "-V", validity]);
        let last = b.audit().last().unwrap()["seq"].as_u64();
        let mut ssh = b.ssh_with("x", &paper).start();
        assert!(!ssh.wait_exit().success());
        assert!(ssh.log.contains("Permission denied (publickey)"), "{}", ssh.log.text());
        b.wait_audit("the reason", |e| {
            e["event"] == "auth.failure"
                && e["seq"].as_u64() > last
                && e["rule"] == "the certificate has expired, or is not valid yet"
        });
        b.wait_audit("nobody came in", |e| e["event"] == "connection.refused" && e["seq"].as_u64() > last);
    }
    // Nor one that was tampered with: a bit of its key id.
    let paper = b.paper("hosts", "cam", &["-n", "cam.example.net"]);
    let text = std::fs::read_to_string(paper.certificate()).unwrap();
    let mut words = text.split_whitespace();
    let body = words.nth(1).unwrap();
    let mut bytes = base64::Engine::decode(&base64::engine::general_purpose::STANDARD, body).unwrap();
    let at = bytes.windows(7).position(|w| w == b"\0\0\0\x03cam").unwrap() + 4;
    bytes[at] = b'h';
    // A stock client looks at the signature itself, so this is another one.
    let tampered = russh::keys::Certificate::from_bytes(&bytes).unwrap();
    let key = Arc::new(russh::keys::PrivateKey::read_openssh_file(&paper.key).unwrap());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let signed_in = runtime.block_on(async {
        let config = Arc::new(russh::client::Config::default());
        let mut session = russh::client::connect(config, b.address(), super::fido::Anybody).await.unwrap();
        session.authenticate_openssh_cert("x", key, tampered).await.unwrap()
    });
    assert_ne!(signed_in, russh::client::AuthResult::Success);
    drop(runtime);
    b.wait_refusal("auth.failure", "the signature of the certificate is wrong");
    assert!(!b.audit().iter().any(|e| e["event"] == "auth.success"));
}

#[test]
fn what_a_certificate_does_not_permit_is_not_done() {
    let b = trusting().start();
    let port = b.port("iot", 0);
    let paper = b.paper("hosts", "x", &["-n", "cam.example.net", "-O", "no-port-forwarding"]);
    let mut ssh = b.ssh_with("x", &paper).forward(port, echo()).start();
    assert!(!ssh.wait_exit().success());
    let said = b.wait_refusal("forward.refused", "has no permit-port-forwarding");
    assert_eq!((&said["host"], &said["certificate"]["key_id"]), (&"cam".into(), &"x".into()));

    let up = b.port("pay", 0);
    let paper = b.paper("hosts", "pay-01", &["-n", "team:pay"]);
    let _up = b.ssh_with("x", &paper).forward(up, says("pay")).start().wait_forward();
    let paper = b.paper("people", "x", &["-n", "alice", "-O", "no-port-forwarding", "-O", "no-pty"]);
    let out = b.ssh_with("x", &paper).args(&["-W", &format!("localhost:{up}")]).run(&[]);
    assert_eq!((out.status.code(), out.stdout.as_slice()), (Some(255), &b""[..]));
    b.wait_refusal("request.refused", "has no permit-port-forwarding (asked for localhost");
    let out = b.ssh_with("x", &paper).args(&["-tt"]).run(&[]);
    assert_eq!(out.status.code(), Some(255), "{}", String::from_utf8_lossy(&out.stderr));
    b.wait_refusal("request.refused", "has no permit-pty");

    // Whatever is asked for, the command of the certificate is run, and the journal has that one.
    let paper = b.paper("people", "x", &["-n", "alice", "-O", "force-command=tunnels --json"]);
    for words in [&["revoke", "pay-01", "--yes"][..], &[]] {
        let out = b.ssh_with("x", &paper).run(words);
        let rows: Value = serde_json::from_slice(&out.stdout).unwrap();
        assert_eq!(rows[0]["port"], up, "{words:?}");
    }
    assert_eq!(b.tunnel(up).unwrap()["state"], "up");
    b.wait_audit("the forced command", |e| e["event"] == "operator.console" && e["stage"] == "tunnels --json");
}

#[test]
fn a_session_ends_when_its_certificate_does_and_when_its_ca_is_trusted_no_more() {
    let b = trusting().start();
    let (cam, pay) = (b.port("iot", 0), b.port("pay", 0));
    let until = chrono::Utc::now() + chrono::Duration::seconds(6);
    let validity = format!("20200101:{}Z", until.format("%Y%m%d%H%M%S"));
    let short = b.paper("hosts", "short", &["-n", "cam.example.net", "-V", &validity]);
    let mut ssh = b.ssh_with("x", &short).forward(cam, echo()).start().wait_forward();
    let visitor = crate::common::services::visit(cam);
    let paper = b.paper("hosts", "pay-01", &["-n", "team:pay"]);
    let mut pay_ssh = b.ssh_with("x", &paper).forward(pay, echo()).start().wait_forward();

    let end = b.wait_event("session.end", "cam");
    let late = end["at"].as_str().unwrap().parse::<chrono::DateTime<chrono::Utc>>().unwrap() - until;
    assert_eq!(end["obituary"]["cause"], "certificate-expired", "{end}");
    assert!(end["obituary"]["detail"].as_str().unwrap().contains("certificate \"short\""), "{end}");
    // To the second: certificates know no parts of one.
    assert!(late.num_milliseconds() > -1_000 && late.num_milliseconds() < 1_500, "{late}");
    ssh.wait_exit_for(SOON);
    drop(visitor);

    b.rewrite(|t| t.replace("[authorities.hosts]", "[authorities.others]"));
    assert!(pay_ssh.is_running(), "a new name for the same authority changes nothing");
    assert!(b.cli(&["reload", "--yes"]).status.success());
    assert!(pay_ssh.is_running());
    b.rewrite(|t| {
        let at = t.find("[authorities.others]").unwrap();
        let end = at + t[at..].find("\n\n").unwrap();
        format!("{}{}", &t[..at], &t[end..])
    });
    let began = Instant::now();
    let out = b.cli(&["reload", "--yes"]);
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    pay_ssh.wait_exit_for(SOON);
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
    let end = b.wait_event("session.end", "pay-01");
    assert_eq!(end["obituary"]["cause"], "config-change");
}
