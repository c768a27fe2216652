//! What is refused, and the line of the journal that says so.

use crate::common::bastion::{Bastion, keygen};
use crate::common::lines::Lines;
use crate::common::services::says;
use crate::common::ssh::SshCommand;
use crate::common::{SOON, end};
use russh::client;
use russh::keys::PublicKeyOrCertificate;
use serde_json::Value;
use std::process::{Child, Command, Output, Stdio};
use std::sync::Arc;

fn bastion() -> Bastion {
    Bastion::builder().team("pay", 4).host("pay-01", "pay").start()
}

fn errors(out: &Output) -> String {
    String::from_utf8_lossy(&out.stderr).into_owned()
}

/// The refusal of a request of pay-01's, with everything that such a line must have.
#[track_caller]
fn request_refused(b: &Bastion, request: &str, rule: &str) -> Value {
    let no =
        b.wait_audit(&format!("refusal of {request}"), |e| e["event"] == "request.refused" && e["request"] == request);
    assert!(no["rule"].as_str().unwrap().contains(rule), "{no}");
    assert_eq!(no["outcome"], "refused");
    assert_eq!((&no["actor"]["type"], &no["actor"]["name"]), (&"host".into(), &"pay-01".into()));
    assert_eq!((&no["host"], &no["team"]), (&"pay-01".into(), &"pay".into()));
    assert_eq!(no["fingerprint"], b.fingerprint("pay-01"));
    assert!(no["source"].as_str().unwrap().starts_with("127.0.0.1:"), "{no}");
    let login = b.wait_event("auth.success", "pay-01");
    assert_eq!(no["session"], login["session"]);
    no
}

#[test]
fn a_shell_is_refused_to_a_host() {
    let b = bastion();
    let out = b.ssh("pay-01").arg("-T").run(&[]);
    assert!(!out.status.success());
    assert!(errors(&out).contains("hosts have no shell here; use ssh -N"), "{}", errors(&out));
    request_refused(&b, "shell", "hosts have no shell here");
}

#[test]
fn a_terminal_is_refused_to_a_host() {
    let b = bastion();
    let out = b.ssh("pay-01").arg("-tt").run(&[]);
    assert!(!out.status.success());
    request_refused(&b, "pty-req", "hosts have no terminal here");
    request_refused(&b, "shell", "hosts have no shell here");
}

#[test]
fn a_command_is_refused_to_a_host() {
    let b = bastion();
    let out = b.ssh("pay-01").run(&["status"]);
    assert!(!out.status.success() && out.stdout.is_empty());
    assert!(errors(&out).contains("hosts may not run commands here"), "{}", errors(&out));
    request_refused(&b, "exec", "hosts may not run commands here");
}

#[test]
fn a_subsystem_is_refused_to_a_host() {
    let b = bastion();
    let out = b.ssh("pay-01").arg("-s").run(&["sftp"]);
    assert!(!out.status.success() && out.stdout.is_empty());
    request_refused(&b, "subsystem", "there is no subsystem sftp");
}

/// An agent of the test's own, for ssh has nothing to forward without one.
struct Agent(Child);
impl Drop for Agent {
    fn drop(&mut self) {
        end(&mut self.0);
    }
}

#[test]
fn agent_forwarding_is_refused() {
    let b = bastion();
    let socket = b.dir().join("agent");
    let mut agent = Command::new("ssh-agent").arg("-D").arg("-a").arg(&socket).stdout(Stdio::piped()).spawn().unwrap();
    // It prints its socket when that is there.
    let said = Lines::of(agent.stdout.take().unwrap());
    let _agent = Agent(agent);
    said.wait("SSH_AUTH_SOCK", SOON);
    let out = b.ssh("pay-01").arg("-A").env("SSH_AUTH_SOCK", &socket).run(&["true"]);
    assert!(!out.status.success());
    request_refused(&b, "auth-agent-req@openssh.com", "agent forwarding is not offered");
}

#[test]
fn x11_forwarding_is_refused() {
    let b = bastion();
    // Trusted, so that no X server is needed to make a cookie.
    let out = b.ssh("pay-01").arg("-Y").env("DISPLAY", "127.0.0.1:99").run(&["true"]);
    assert!(!out.status.success());
    assert!(errors(&out).contains("X11 forwarding request failed"), "{}", errors(&out));
    request_refused(&b, "x11-req", "X11 is not offered");
}

#[test]
fn a_host_may_not_connect_through_the_bastion() {
    let b = Bastion::builder().team("pay", 4).host("pay-01", "pay").host("pay-02", "pay").start();
    let port = b.port("pay", 1);
    let _other = b.ssh("pay-02").forward(port, says("other's")).start().wait_forward();
    // Not even to a tunnel of its own team.
    let out = b.ssh("pay-01").args(&["-W", &format!("localhost:{port}")]).run(&[]);
    assert!(!out.status.success() && out.stdout.is_empty());
    assert!(errors(&out).contains("administratively prohibited"), "{}", errors(&out));
    let no = request_refused(&b, "direct-tcpip", "hosts may not connect through the bastion");
    assert!(no["rule"].as_str().unwrap().contains(&format!("localhost:{port}")), "{no}");
}

#[test]
fn a_host_may_not_forward_sockets_of_files() {
    let b = bastion();
    let socket = b.dir().join("forwarded");
    let mut ssh = b.ssh("pay-01").args(&["-R", &format!("{}:localhost:22", socket.display())]).start();
    assert_eq!(ssh.wait_exit().code(), Some(255));
    assert!(!socket.exists());
    request_refused(&b, "streamlocal-forward@openssh.com", "forwarding of sockets");
    // Nor reach one of the bastion: its own control socket, say.
    let out = b.ssh("pay-01").args(&["-W", "x:1"]).run(&[]);
    assert!(!out.status.success());
}

#[test]
fn an_unknown_key_is_refused() {
    let b = bastion();
    let stranger = b.dir().join("stranger");
    keygen(&stranger, "nobody knows me");
    let out = SshCommand::new("pay-01", &stranger, b.address()).option("BatchMode=yes").run(&["true"]);
    assert_eq!(out.status.code(), Some(255));
    assert!(errors(&out).contains("Permission denied (publickey)"), "{}", errors(&out));
    let no = b.wait_refusal("auth.failure", "unknown key");
    assert_eq!((&no["method"], &no["user"]), (&"publickey".into(), &"pay-01".into()));
    assert_eq!((&no["actor"]["type"], &no["fingerprint"]), (&"unknown".into(), &b.fingerprint("stranger").into()));
    assert!(no["client"].as_str().unwrap().starts_with("OpenSSH_"), "{no}");
    // A name given at login proves nothing.
    assert_eq!(no["host"], Value::Null);
    assert!(b.audit().iter().all(|e| e["event"] != "auth.success"));
}

#[test]
fn public_keys_are_the_only_method() {
    let b = bastion();
    let askpass = b.dir().join("askpass");
    std::fs::write(&askpass, "#!/bin/sh\necho secret\n").unwrap();
    std::fs::set_permissions(&askpass, std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
    let out = b
        .ssh("pay-01")
        .option("PreferredAuthentications=password,keyboard-interactive")
        .env("SSH_ASKPASS", &askpass)
        .env("SSH_ASKPASS_REQUIRE", "force")
        .run(&["true"]);
    assert_eq!(out.status.code(), Some(255));
    assert!(errors(&out).contains("Authentications that can continue: publickey"), "{}", errors(&out));
    assert!(b.audit().iter().all(|e| e["event"] != "auth.success"));
}

struct Trusting;

impl client::Handler for Trusting {
    type Error = russh::Error;
    async fn check_server_key(&mut self, _key: &PublicKeyOrCertificate) -> Result<bool, russh::Error> {
        Ok(true)
    }
}

/// A client that does not care which methods are offered. (OpenSSH does.)
#[test]
fn a_password_sent_all_the_same_is_refused_and_not_written_down() {
    let b = bastion();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mut ssh = client::connect(Arc::default(), b.address(), Trusting).await.unwrap();
        assert!(!ssh.authenticate_password("pay-01", "correct-horse").await.unwrap().success());
        let asked = ssh.authenticate_keyboard_interactive_start("pay-01", None).await.unwrap();
        assert!(matches!(asked, client::KeyboardInteractiveAuthResponse::Failure { .. }), "{asked:?}");
    });
    for method in ["password", "keyboard-interactive"] {
        let no = b.wait_audit(method, |e| e["event"] == "auth.failure" && e["method"] == method);
        assert_eq!((&no["rule"], &no["outcome"]), (&"only public keys are accepted".into(), &"refused".into()));
        assert_eq!((&no["actor"]["type"], &no["user"]), (&"unknown".into(), &"pay-01".into()));
    }
    assert!(!serde_json::to_string(&b.audit()).unwrap().contains("correct-horse"));
}

#[test]
fn a_connection_that_never_signs_in_is_written_down() {
    let b = Bastion::builder().team("pay", 4).host("pay-01", "pay").set("ssh", "login_grace_time = \"1s\"").start();
    let silent = std::net::TcpStream::connect(b.address()).unwrap();
    let no = b.wait_audit("refused connection", |e| e["event"] == "connection.refused");
    assert_eq!(no["source"], silent.local_addr().unwrap().to_string());
    assert_eq!(no["actor"]["type"], "unknown");
}
