//! Revocation of a key, a certificate, a CA, a host, a team and an operator, each while visitors are there: all of it is
//! cut within a second, stays out until it is restored, and is in the journal.

use crate::common::bastion::{Bastion, Builder};
use crate::common::ca::Paper;
use crate::common::load::{Download, endless};
use crate::common::services::{echo, hear, says};
use crate::common::ssh::{Ssh, SshCommand};
use crate::common::{SOON, eventually};
use serde_json::Value;
use std::fs::Permissions;
use std::net::{Ipv4Addr, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// From the block to the last byte.
const CUT: Duration = Duration::from_secs(1);
/// From before the command was started, or the file was changed, to the last byte: on a machine that has much else to do,
/// a process takes its time to start.
const ALL: Duration = Duration::from_secs(4);

fn bastion() -> Builder {
    Bastion::builder()
        .team("pay", 8)
        .team("iot", 4)
        .team_line("pay", "principals = [\"team:pay\"]")
        .host("pay-01", "pay")
        .host("cam", "iot")
        .text("[hosts.pay-02]\nteam = \"pay\"\n\n")
        .authority("ca", "vouches_for = [\"hosts\", \"operators\"]\nmax_role = \"operator\"")
        .operator("boss", "admin", &[])
        .operator("alice", "operator", &["pay"])
        .text("[operators.bob]\nrole = \"operator\"\nprincipals = [\"bob\"]\n\n")
}

fn closed(port: u16) -> bool {
    TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err()
}

/// What is wrong with a list, and how it comes to be.
type Way<'a> = (&'a str, Box<dyn Fn() + 'a>);

/// A tunnel with a visitor who downloads without end.
struct Busy {
    ssh: Ssh,
    port: u16,
    visitor: Download,
}

impl Busy {
    #[track_caller]
    fn start(ssh: SshCommand, port: u16) -> Self {
        let ssh = ssh.forward(port, endless()).start().wait_forward();
        let visitor = Download::start(port);
        visitor.wait_bytes(1_000_000);
        Self { ssh, port, visitor }
    }

    /// That visitor, listener and session are gone within a second of the event that is newest of its name.
    #[track_caller]
    fn cut_by(mut self, b: &Bastion, event: &str, began: Instant, what: &str) {
        let now = chrono::Utc::now() - began.elapsed();
        let took = self.visitor.cut_after(began);
        assert!(took < ALL, "{what}: the visitor was cut after {took:?}");
        let cut = now + took;
        eventually(&format!("{what}: the listener is gone"), ALL, || closed(self.port));
        self.ssh.wait_exit();
        let journal = b.audit();
        let at = |name: &str| {
            let e = journal.iter().rfind(|e| e["event"] == name).unwrap();
            e["at"].as_str().unwrap().parse::<chrono::DateTime<chrono::Utc>>().unwrap()
        };
        let within = |end: chrono::DateTime<chrono::Utc>| (end - at(event)).to_std().unwrap_or_default();
        for (whose, took) in
            [("visitor", within(cut)), ("listener", within(at("forward.end"))), ("session", within(at("session.end")))]
        {
            assert!(took < CUT, "{what}: the {whose} was gone {took:?} after {event}");
        }
    }
}

/// Revokes, and gives the moment it began.
#[track_caller]
fn revoke(b: &Bastion, target: &str) -> Instant {
    let began = Instant::now();
    let out = b.cli(&["revoke", target, "--reason", "test", "--yes"]);
    assert!(out.status.success(), "{target}: {}", String::from_utf8_lossy(&out.stderr));
    began
}

#[track_caller]
fn revoked(b: &Bastion, kind: &str, visitors: u64) -> Value {
    let said = b.wait_audit(&format!("operator.revoked of {kind}"), |e| {
        e["event"] == "operator.revoked" && e["target"]["kind"] == kind
    });
    assert_eq!((&said["visitors"], &said["reason"]), (&visitors.into(), &"test".into()), "{said}");
    said
}

/// That it gets in no more, by this rule, and does again once that is restored.
#[track_caller]
fn out_until_restored(b: &Bastion, target: &str, rule: &str, ssh: impl Fn() -> SshCommand) {
    let mut refused = ssh().start();
    assert!(!refused.wait_exit().success(), "{target}");
    b.wait_refusal("auth.failure", rule);
    let out = b.cli(&["restore", target, "--yes"]);
    assert!(out.status.success(), "{target}: {}", String::from_utf8_lossy(&out.stderr));
    let again = ssh().start();
    again.log.wait("Authenticated to ", SOON);
}

#[test]
fn key_host_and_team_are_cut_within_a_second_with_their_visitors() {
    let b = bastion().start();
    let (pay, cam) = (b.port("pay", 0), b.port("iot", 0));
    let bystander = b.ssh("cam").forward(cam, says("cam")).start().wait_forward();
    let key = b.fingerprint("pay-01");
    for (target, kind, rule) in [
        (key.as_str(), "key", "was revoked by"),
        ("pay-01", "host", "host pay-01 was revoked"),
        ("team:pay", "team", "team pay was revoked"),
    ] {
        let busy = Busy::start(b.ssh("pay-01"), pay);
        let began = revoke(&b, target);
        busy.cut_by(&b, "operator.revoke", began, target);
        let said = revoked(&b, kind, 1);
        assert_eq!((&said["sessions"], &said["tunnels"]), (&1.into(), &1.into()));
        if kind == "team" {
            assert_eq!((&said["team"], &b.tunnel(pay).unwrap()["state"]), (&"pay".into(), &"revoked".into()));
        }
        out_until_restored(&b, target, rule, || b.ssh("pay-01"));
    }
    assert_eq!(hear(cam), "cam");
    drop(bystander);
}

#[test]
fn certificates_are_cut_by_number_by_key_id_and_by_ca() {
    let b = bastion().start();
    let port = b.port("pay", 1);
    let paper = b.paper("ca", "pay-02", &["-n", "team:pay", "-z", "41"]);
    let other = b.paper("ca", "pay-01", &["-n", "team:pay", "-z", "42"]);
    let bystander = b.ssh_with("x", &other).forward(b.port("pay", 2), says("42")).start().wait_forward();
    let ca = b.fingerprint("ca");
    let subject = {
        let out = Command::new("ssh-keygen").arg("-lf").arg(&paper.key).output().unwrap();
        String::from_utf8(out.stdout).unwrap().split_whitespace().nth(1).unwrap().to_owned()
    };
    let by_number = format!("serial:41@{ca}");
    for (target, kind, rule) in [
        ("serial:41@ca", "serial", "serial 41@SHA256:"),
        ("id:pay-02", "id", "id pay-02 was revoked"),
        (by_number.as_str(), "serial", "serial 41@SHA256:"),
        (subject.as_str(), "key", "was revoked by"),
    ] {
        let busy = Busy::start(b.ssh_with("x", &paper), port);
        let began = revoke(&b, target);
        busy.cut_by(&b, "operator.revoke", began, target);
        let said = revoked(&b, kind, 1);
        assert!(kind != "serial" || said["target"]["value"] == format!("41@{ca}"), "{said}");
        out_until_restored(&b, target, rule, || b.ssh_with("x", &paper));
        assert_eq!(hear(b.port("pay", 2)), "42", "another certificate of the same CA is not touched");
    }
    // The CA takes all that it signed with it, by whatever name it is called.
    for target in ["ca:ca", ca.as_str()] {
        let busy = Busy::start(b.ssh_with("x", &paper), port);
        let began = revoke(&b, target);
        busy.cut_by(&b, "operator.revoke", began, target);
        let said = b.audit().into_iter().rfind(|e| e["event"] == "operator.revoked").unwrap();
        assert_eq!(said["target"], serde_json::json!({"kind": "ca", "value": ca}), "{said}");
        eventually("its other certificates are cut too", SOON, || closed(b.port("pay", 2)));
        out_until_restored(&b, target, "ca SHA256:", || b.ssh_with("x", &paper));
    }
    drop(bystander);
}

#[test]
fn an_operator_is_cut_with_the_tunnels_they_visit_and_the_console_they_have() {
    let account = nix::unistd::User::from_uid(nix::unistd::geteuid()).unwrap().unwrap().name;
    let b = bastion().text(&format!("[operators.desk]\nrole = \"operator\"\nunix_user = \"{account}\"\n\n")).start();
    let port = b.port("pay", 0);
    let _host = b.ssh("pay-01").forward(port, endless()).start().wait_forward();
    let boss = |words: &[&str]| {
        let out = b.ssh("boss").run(words);
        assert!(out.status.success(), "{words:?}: {}", String::from_utf8_lossy(&out.stderr));
    };
    let paper = b.paper("ca", "bob@laptop", &["-n", "bob"]);
    for (name, by_key) in [("alice", true), ("bob", false)] {
        let ssh = || if by_key { b.ssh("alice") } else { b.ssh_with("x", &paper) };
        let mut visit = ssh().args(&["-W", &format!("localhost:{port}")]).spawn_unread(&[]);
        b.wait_audit(name, |e| e["event"] == "visitor.open" && e["actor"]["name"] == name);
        let began = Instant::now();
        boss(&["revoke", &format!("operator:{name}"), "--reason", "test", "--yes"]);
        visit.wait_exit();
        assert!(began.elapsed() < ALL, "{name}: {:?}", began.elapsed());
        let end = b.wait_audit(name, |e| e["event"] == "session.end" && e["actor"]["name"] == name);
        assert_eq!(end["obituary"]["cause"], "revoke");
        b.wait_audit(name, |e| e["event"] == "visitor.close" && e["actor"]["name"] == name);
        let said = b.wait_audit(name, |e| e["event"] == "operator.revoked" && e["target"]["value"] == name);
        assert_eq!((&said["actor"]["name"], &said["sessions"]), (&"boss".into(), &1.into()));
        assert!(!ssh().start().wait_exit().success());
        b.wait_refusal("auth.failure", &format!("operator {name} was revoked by boss"));
        boss(&["restore", &format!("operator:{name}"), "--yes"]);
    }
    // Over the control socket: what is open is closed, and nothing new is served.
    let mut follower =
        b.command(&["audit", "-f", "--json"]).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let lines = crate::common::lines::Lines::of(follower.stdout.take().unwrap());
    lines.wait("daemon.start", SOON);
    let began = Instant::now();
    boss(&["revoke", "operator:desk", "--reason", "test", "--yes"]);
    crate::common::wait_exit(&mut follower, "the follower", SOON);
    assert!(began.elapsed() < ALL, "{:?}", began.elapsed());
    let out = b.cli(&["tunnels"]);
    assert!(String::from_utf8_lossy(&out.stderr).contains("operator desk was revoked by boss"), "{out:?}");
    boss(&["restore", "operator:desk", "--yes"]);
    assert!(b.cli(&["tunnels"]).status.success());
}

#[test]
fn operators_and_authorities_are_an_admins_to_revoke() {
    let b = bastion().start();
    let ca = b.fingerprint("ca");
    for (target, rule) in [
        ("operator:boss", "revoke needs the role admin"),
        ("ca:ca", "revoke needs the role admin"),
        // The CA's key, told as a key.
        (ca.as_str(), "revoke needs the role admin"),
        ("serial:1@ca", "revoke needs the role admin"),
        ("id:pay-01", "revoke needs the role admin"),
        ("team:iot", "revoke is not allowed on team iot"),
    ] {
        let out = b.ssh("alice").run(&["revoke", target, "--yes"]);
        let told = String::from_utf8_lossy(&out.stderr).into_owned();
        assert_eq!(out.status.code(), Some(4), "{target}: {told}");
        assert!(told.contains(rule), "{target}: {told}");
    }
    assert_eq!(b.audit().iter().filter(|e| e["event"] == "operator.refused").count(), 6);
    let out = b.ssh("boss").run(&["revoke", "operator:boss", "--yes"]);
    assert!(String::from_utf8_lossy(&out.stderr).contains("another admin can revoke boss"), "{out:?}");
    for (target, why) in [
        ("team:pya", "there is no team pya"),
        ("operator:nobody", "there is no operator nobody"),
        ("ca:nobody", "there is no authority nobody"),
        ("serial:0@ca", "0 is not a certificate's number"),
        ("moon:x", "not a kind of block"),
    ] {
        let out = b.cli(&["revoke", target, "--yes"]);
        let told = String::from_utf8_lossy(&out.stderr).into_owned();
        assert!(!out.status.success() && told.contains(why), "{target}: {told}");
    }
}

/// Puts a revocation list in its place as careful people do: whole, and at once.
fn put(b: &Bastion, content: &[u8]) -> Instant {
    let draft = b.dir().join("draft");
    std::fs::write(&draft, content).unwrap();
    std::fs::set_permissions(&draft, Permissions::from_mode(0o644)).unwrap();
    std::fs::rename(draft, b.dir().join("revoked")).unwrap();
    Instant::now()
}

/// A key revocation list made by ssh-keygen of this specification.
fn krl(b: &Bastion, spec: &str) -> Vec<u8> {
    let (from, to) = (b.dir().join("spec"), b.dir().join("krl"));
    std::fs::write(&from, spec).unwrap();
    let mut c = Command::new("ssh-keygen");
    c.args(["-q", "-k", "-s"]).arg(b.dir().join("ca.pub")).arg("-f").arg(&to).arg(&from);
    let out = c.output().unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    std::fs::read(to).unwrap()
}

#[test]
fn a_list_that_changes_cuts_what_it_names_and_one_that_breaks_lets_nobody_in() {
    let b = bastion().set("trust", "revoked_keys = [\"revoked\"]");
    std::fs::write(b.dir().join("revoked"), "# nobody yet\n").unwrap();
    let b = b.start();
    let said = b.wait_audit("the list", |e| e["event"] == "trust.list");
    assert_eq!((&said["outcome"], &said["keys"]), (&"success".into(), &0.into()));
    let (pay, cam) = (b.port("pay", 1), b.port("iot", 0));
    let bystander = b.ssh("cam").forward(cam, says("cam")).start().wait_forward();
    let paper = b.paper("ca", "pay-02", &["-n", "team:pay", "-z", "41"]);
    let line = |path: std::path::PathBuf| std::fs::read_to_string(path).unwrap();
    let public = line(paper.key.with_extension("pub"));
    let lists: Vec<(&str, Vec<u8>, &str)> = vec![
        ("the key in a plain list", public.clone().into_bytes(), "the key SHA256:"),
        ("the certificate in a plain list", line(paper.certificate()).into_bytes(), "the key SHA256:"),
        ("the key of the CA in a plain list", line(b.dir().join("ca.pub")).into_bytes(), "the CA SHA256:"),
        ("its number in a KRL", krl(&b, "serial: 41\n"), "the certificate \"pay-02\" (serial 41, CA SHA256:"),
        ("a range of numbers in a KRL", krl(&b, "serial: 40-50\n"), "the certificate \"pay-02\" (serial 41"),
        ("its key id in a KRL", krl(&b, "id: pay-02\n"), "the certificate \"pay-02\" (serial 41"),
        ("the key in a KRL", krl(&b, &format!("key: {public}")), "the key SHA256:"),
        ("the SHA-256 of the key in a KRL", krl(&b, &format!("sha256: {public}")), "the key SHA256:"),
        ("the SHA-1 of the key in a KRL", krl(&b, &format!("sha1: {public}")), "the key SHA256:"),
    ];
    for (what, list, rule) in lists {
        let busy = Busy::start(b.ssh_with("x", &paper), pay);
        let last = b.audit().last().unwrap()["seq"].as_u64();
        let began = put(&b, &list);
        busy.cut_by(&b, "trust.list", began, what);
        let end = b.wait_audit(what, |e| e["event"] == "session.end" && e["seq"].as_u64() > last);
        assert_eq!((&end["obituary"]["cause"], &end["host"]), (&"revoked-by-list".into(), &"pay-02".into()), "{what}");
        assert!(end["obituary"]["detail"].as_str().unwrap().contains(rule), "{what}: {end}");
        let mut again = b.ssh_with("x", &paper).start();
        assert!(!again.wait_exit().success(), "{what}");
        b.wait_audit(what, |e| {
            e["event"] == "auth.failure" && e["seq"].as_u64() > last && e["rule"].as_str().unwrap().contains(rule)
        });
        let last = b.audit().last().unwrap()["seq"].as_u64();
        put(&b, b"# nobody\n");
        b.wait_audit("nobody is revoked", |e| e["event"] == "trust.list" && e["seq"].as_u64() > last);
    }
    assert_eq!(hear(cam), "cam", "nobody else was touched");

    // A broken list, a missing one, one that others may write: nobody gets in, who is in stays, and it is said.
    let torn = krl(&b, "serial: 41\n");
    let ways: Vec<Way<'_>> = vec![
        (
            "it is cut short",
            Box::new(|| {
                put(&b, &torn[..torn.len() - 3]);
            }),
        ),
        (
            "line 1: this is neither",
            Box::new(|| {
                put(&b, b"what is this\n");
            }),
        ),
        ("there is no such file", Box::new(|| std::fs::remove_file(b.dir().join("revoked")).unwrap())),
        (
            "others than its owner can write it",
            Box::new(|| {
                put(&b, b"# nobody\n");
                std::fs::set_permissions(b.dir().join("revoked"), Permissions::from_mode(0o666)).unwrap();
            }),
        ),
    ];
    for (why, break_it) in ways {
        let last = b.audit().last().unwrap()["seq"].as_u64();
        break_it();
        b.wait_audit(why, |e| {
            e["event"] == "trust.list"
                && e["seq"].as_u64() > last
                && e["outcome"] == "failure"
                && e["reason"].as_str().unwrap().contains(why)
        });
        let mut refused = b.ssh("pay-01").start();
        assert!(!refused.wait_exit().success(), "{why}");
        b.wait_audit(why, |e| {
            e["event"] == "auth.failure" && e["host"] == "pay-01" && e["rule"].as_str().unwrap().contains(why)
        });
        let findings = b.cli(&["check"]);
        assert!(String::from_utf8_lossy(&findings.stdout).contains("nobody can sign in"), "{findings:?}");
        assert_eq!(hear(cam), "cam", "{why}: who is in stays");
    }
    put(&b, b"# nobody\n");
    eventually("they get in again", SOON, || {
        b.ssh("pay-01")
            .forward(b.port("pay", 0), echo())
            .start()
            .log
            .find(Duration::from_secs(2), |l| l.contains("remote forward success").then_some(()))
            .is_some()
    });
    drop(bystander);
}

#[test]
fn a_revocation_survives_a_restart() {
    let mut b = bastion().start();
    for target in ["team:pay", "operator:alice", "serial:41@ca", "id:x y", "ca:ca"] {
        revoke(&b, target);
    }
    b.restart();
    let paper = Paper::signed(b.dir(), &b.key("ca"), "pay-02", &["-n", "team:pay"]);
    for ssh in [b.ssh("pay-01"), b.ssh("alice"), b.ssh_with("x", &paper)] {
        assert!(!ssh.start().wait_exit().success());
    }
    for target in ["team:pay", "operator:alice", "serial:41@ca", "id:x y", "ca:ca"] {
        let out = b.cli(&["restore", target, "--yes"]);
        assert!(out.status.success(), "{target}: {}", String::from_utf8_lossy(&out.stderr));
    }
    b.ssh("pay-01").start().log.wait("Authenticated to ", SOON);
}
