//! What operators reach by SSH: the tunnels of their teams, the verbs, and nothing else.

use crate::common::bastion::{Bastion, keygen};
use crate::common::load::endless;
use crate::common::ports::Ports;
use crate::common::services::{Nginx, Sshd, echo};
use crate::common::ssh::Ssh;
use crate::common::{SOON, eventually};
use serde_json::Value;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

fn text(out: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr))
}

/// A bastion with an operator of all teams, and an ssh_config as such an operator has it.
fn bastion() -> (Bastion, PathBuf) {
    let b = Bastion::builder()
        .team("pay", 8)
        .host_with("pay-01", "pay", &[("ssh", 0)])
        .team("iot", 4)
        .host("iot-77", "iot")
        .operator("ops", "operator", &[])
        .operator("ann", "operator", &["pay"])
        .start();
    let config = b.dir().join("ssh_config");
    let text = format!(
        "Host bastion\nHostName 127.0.0.1\nPort {}\nUser ops\nIdentityFile {}\nHost *\nIdentitiesOnly yes\n\
         IdentityAgent none\nStrictHostKeyChecking no\nUserKnownHostsFile /dev/null\nBatchMode yes\nLogLevel ERROR\n",
        b.address().port(),
        b.key("ops").display()
    );
    std::fs::write(&config, text).unwrap();
    (b, config)
}

fn ssh(config: &PathBuf) -> Command {
    let mut c = Command::new("ssh");
    c.arg("-F").arg(config).env_remove("SSH_AUTH_SOCK").stdin(Stdio::null());
    c
}

/// A host's tunnel to a service.
fn tunnel(b: &Bastion, host: &str, port: u16, to: std::net::SocketAddr) -> Ssh {
    b.ssh(host).forward(port, to).start().wait_forward()
}

/// The journal's two events of the first visit of an operator to a port.
#[track_caller]
fn visit_of(b: &Bastion, operator: &str, port: u16) -> (Value, Value) {
    let of = |name: &'static str| {
        b.wait_audit(&format!("{name} of {operator} on {port}"), |e| {
            e["event"] == name
                && e["port"] == port
                && e["actor"]["type"] == "operator"
                && e["actor"]["name"] == operator
        })
    };
    (of("visitor.open"), of("visitor.close"))
}

#[test]
fn an_operator_jumps_to_a_host_by_port_and_by_name() {
    let (b, config) = bastion();
    let sshd = Sshd::start();
    let port = b.port("pay", 0);
    let _host = tunnel(&b, "pay-01", port, sshd.address);
    let target = [("localhost", port.to_string()), ("pay-01", port.to_string()), ("pay-01", "22".to_owned())];
    for (n, (host, at)) in target.iter().enumerate() {
        let out = ssh(&config)
            .args(["-J", "bastion", "-p", at, "-i"])
            .arg(sshd.key())
            .arg(format!("{}@{host}", sshd.user()))
            .arg("echo through $((6*7))")
            .output()
            .unwrap();
        assert!(out.status.success(), "{host}:{at}: {}", text(&out));
        assert_eq!(String::from_utf8_lossy(&out.stdout), "through 42\n");
        eventually("each visit is closed in the journal", SOON, || {
            b.audit().iter().filter(|e| e["event"] == "visitor.close" && e["actor"]["name"] == "ops").count() == n + 1
        });
    }
    let (open, close) = visit_of(&b, "ops", port);
    assert_eq!(open["visitor"], close["visitor"]);
    assert_eq!(open["fingerprint"], *b.fingerprint("ops"));
    assert_eq!((&close["host"], &close["team"]), (&"pay-01".into(), &"pay".into()));
    for field in ["bytes_to_host", "bytes_to_visitor"] {
        assert!(close[field].as_u64() > Some(1_000), "an SSH handshake is more than that: {close}");
    }
    assert!(close["seconds"].as_f64() > Some(0.0), "{close}");
}

#[test]
fn an_operators_stdio_forward_carries_bytes_exactly_and_is_on_record() {
    let (b, config) = bastion();
    let port = b.port("pay", 1);
    let _host = tunnel(&b, "pay-01", port, echo());
    let mut client = ssh(&config)
        .args(["-W", &format!("localhost:{port}"), "bastion"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = client.stdin.take().unwrap();
    stdin.write_all(&[b'x'; 100_000]).unwrap();
    let began = Instant::now();
    drop(stdin);
    let out = client.wait_with_output().unwrap();
    assert!(out.status.success(), "{}", text(&out));
    assert_eq!(out.stdout, [b'x'; 100_000]);
    assert!(began.elapsed() < Duration::from_secs(5), "it ends when both sides are done: {:?}", began.elapsed());
    let (_, close) = visit_of(&b, "ops", port);
    assert_eq!((&close["bytes_to_host"], &close["bytes_to_visitor"]), (&100_000.into(), &100_000.into()));
    let row = b.wait_tunnel(port, "counts the visit", |t| t["visitors_now"] == 0);
    assert_eq!((&row["visitors_total"], &row["bytes_to_host"]), (&1.into(), &100_000.into()));
}

#[test]
fn an_operators_local_forward_reaches_a_web_server() {
    let (b, config) = bastion();
    let nginx = Nginx::start(&[("page", b"from behind the tunnel")]);
    let port = b.port("pay", 1);
    let _host = tunnel(&b, "pay-01", port, nginx.http);
    let local = Ports::take();
    let here = local.get(0);
    let forward = b.ssh("ops").args(&["-L", &format!("127.0.0.1:{here}:localhost:{port}")]).start();
    eventually("the local end listens", SOON, || TcpStream::connect((Ipv4Addr::LOCALHOST, here)).is_ok());
    let out =
        Command::new("curl").args(["-sS", "--max-time", "20"]).arg(format!("http://127.0.0.1:{here}/page")).output();
    let out = out.unwrap();
    assert_eq!(String::from_utf8_lossy(&out.stdout), "from behind the tunnel", "{}", text(&out));
    let asked = b.wait_audit("a visit with an answer", |e| {
        e["event"] == "visitor.close" && e["actor"]["name"] == "ops" && e["bytes_to_visitor"].as_u64() > Some(200)
    });
    assert_eq!(asked["port"], port);
    drop(forward);
    // The operator's config file is for the other tests.
    assert!(config.exists());
}

#[test]
fn an_operator_reaches_own_tunnels_and_nothing_else() {
    let (b, _) = bastion();
    let (own, other) = (b.port("pay", 1), b.port("iot", 0));
    let _pay = tunnel(&b, "pay-01", own, echo());
    let _iot = tunnel(&b, "iot-77", other, echo());
    let nginx = Nginx::start(&[]);
    let refused = |target: String, rule: &str| {
        let out = b.ssh("ann").args(&["-W", &target]).run(&[]);
        assert!(!out.status.success(), "{target}");
        assert!(text(&out).contains("administratively prohibited"), "{target}: {}", text(&out));
        let e = b.wait_audit(&target, |e| {
            e["event"] == "request.refused"
                && e["rule"].as_str().is_some_and(|r| r.contains(&format!("asked for {target}")))
        });
        assert!(e["rule"].as_str().unwrap().contains(rule), "{e}");
        let who = [&e["actor"]["type"], &e["actor"]["name"], &e["request"], &e["outcome"]];
        assert_eq!(who, ["operator", "ann", "direct-tcpip", "refused"].map(Value::from).each_ref());
    };
    refused(format!("localhost:{other}"), "is team iot's, which is not yours");
    refused(format!("iot-77:{other}"), "is team iot's, which is not yours");
    // A service of the bastion's own, the bastion itself, another machine, a number beyond the ports.
    refused(format!("localhost:{}", nginx.http.port()), "is not a live tunnel");
    refused(format!("127.0.0.1:{}", b.address().port()), "is not a live tunnel");
    refused("example.invalid:80".to_owned(), "is not a live tunnel");
    let ok = b.ssh("ann").args(&["-W", &format!("localhost:{own}")]).run(&[]);
    assert!(ok.status.success(), "{}", text(&ok));

    // Nor a socket file, nor a port of the bastion's for themselves.
    let local = Ports::take();
    let here = local.get(0);
    let _forward = b.ssh("ann").args(&["-L", &format!("127.0.0.1:{here}:/run/x.sock")]).start();
    eventually("the local end listens", SOON, || TcpStream::connect((Ipv4Addr::LOCALHOST, here)).is_ok());
    b.wait_audit("the socket", |e| {
        e["event"] == "request.refused"
            && e["request"] == "direct-streamlocal@openssh.com"
            && e["actor"]["name"] == "ann"
    });
    let mut remote = b.ssh("ann").forward(b.port("pay", 2), echo()).start();
    assert!(!remote.wait_exit().success());
    b.wait_audit("the operator's -R", |e| {
        e["event"] == "forward.refused"
            && e["actor"]["name"] == "ann"
            && e["rule"].as_str().is_some_and(|r| r.contains("only hosts"))
    });
}

#[test]
fn verbs_over_ssh_answer_as_here_and_with_the_same_exit_codes() {
    let (b, config) = bastion();
    let port = b.port("pay", 0);
    let _host = tunnel(&b, "pay-01", port, echo());
    let ops = |line: &str| ssh(&config).args(["bastion", line]).output().unwrap();
    let codes = [
        ("tunnels", 0),
        ("tunnels state=up port=2*", 0),
        ("status --json", 0),
        ("check", 0),
        ("audit verify", 0),
        ("audit -n 3 --json", 0),
        ("help", 0),
        ("explain pay-01", 0),
        ("explain iot-77 1", 1),
        ("frobnicate", 2),
        ("tunnels 'unbalanced", 2),
        ("revoke pay-01", 2),
        ("up", 2),
        ("serve --config /etc/passwd", 2),
        ("check --config /etc/passwd", 2),
        ("audit verify --dir /", 2),
        ("reload", 4),
        ("reconnect iot-77 --yes", 5),
        ("assign nobody", 5),
    ];
    for (line, code) in codes {
        let out = ops(line);
        assert_eq!(out.status.code(), Some(code), "{line}: {}", text(&out));
        let told = if code == 0 { !out.stdout.is_empty() } else { !text(&out).is_empty() };
        assert!(told, "{line} says nothing");
    }
    let clash = ops(&format!("assign iot-77 {port}"));
    assert_eq!(clash.status.code(), Some(6), "{}", text(&clash));
    let here: Value = b.json(&["ports"]);
    let there: Value = serde_json::from_slice(&ops("ports --json").stdout).unwrap();
    assert_eq!(here, there);
    let unknown = ops("frobnicate");
    assert!(text(&unknown).contains("unrecognized subcommand 'frobnicate'"), "{}", text(&unknown));
    let ran = b.wait_audit("the command", |e| e["event"] == "operator.console" && e["stage"] == "frobnicate");
    assert_eq!(ran["actor"]["name"], "ops");
}

#[test]
fn there_is_no_shell_no_file_transfer_and_no_agent() {
    let (b, config) = bastion();
    let shell = b.ssh("ops").arg("-T").run(&[]);
    assert!(!shell.status.success());
    assert!(text(&shell).contains("the console needs a terminal: use ssh -t"), "{}", text(&shell));
    let file = b.dir().join("file");
    std::fs::write(&file, "x").unwrap();
    let batch = b.dir().join("batch");
    std::fs::write(&batch, "ls\n").unwrap();
    let run = |c: &mut Command| c.env_remove("SSH_AUTH_SOCK").stdin(Stdio::null()).output().unwrap();
    let sftp = run(Command::new("sftp").arg("-F").arg(&config).arg("-b").arg(&batch).arg("bastion"));
    assert!(!sftp.status.success());
    assert!(text(&sftp).contains("there is no subsystem sftp"), "{}", text(&sftp));
    let new = run(Command::new("scp").arg("-F").arg(&config).arg(&file).arg("bastion:/tmp/x"));
    assert!(!new.status.success(), "{}", text(&new));
    let old = run(Command::new("scp").arg("-O").arg("-F").arg(&config).arg(&file).arg("bastion:/tmp/x"));
    assert!(!old.status.success(), "{}", text(&old));
    let subsystem = b.wait_audit("sftp", |e| e["event"] == "request.refused" && e["request"] == "subsystem");
    assert_eq!(subsystem["actor"]["name"], "ops");

    // No agent is lent, with one at hand.
    let socket = b.dir().join("agent");
    let agent = Command::new("ssh-agent").arg("-D").arg("-a").arg(&socket).stdout(Stdio::null()).spawn();
    let mut agent = agent.unwrap();
    eventually("the agent listens", SOON, || socket.exists());
    keygen(&b.dir().join("lent"), "lent");
    let lent =
        b.ssh("ops").arg("-A").env("SSH_AUTH_SOCK", &socket).option(&format!("IdentityAgent={}", socket.display()));
    let lent = lent.run(&["status"]);
    crate::common::end(&mut agent);
    assert!(lent.status.success(), "the verb goes on without: {}", text(&lent));
    b.wait_audit("agent", |e| e["event"] == "request.refused" && e["request"] == "auth-agent-req@openssh.com");
}

/// An operator's download through `-W`, with its standard input kept open.
fn download(config: &PathBuf, port: u16) -> (std::process::Child, std::sync::mpsc::Receiver<Instant>) {
    let mut client = ssh(config)
        .args(["-W", &format!("localhost:{port}"), "bastion"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut out = client.stdout.take().unwrap();
    out.read_exact(&mut [0; 100_000]).unwrap();
    let (tx, over) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let _ = std::io::copy(&mut out, &mut std::io::sink());
        let _ = tx.send(Instant::now());
    });
    (client, over)
}

#[test]
fn a_revoke_of_the_host_cuts_operators_visits_too() {
    let (b, config) = bastion();
    let port = b.port("pay", 1);
    let _host = tunnel(&b, "pay-01", port, endless());
    let (mut client, over) = download(&config, port);
    let began = Instant::now();
    assert!(b.cli(&["revoke", "pay-01", "--yes"]).status.success());
    let took = over.recv_timeout(SOON).unwrap() - began;
    assert!(took < Duration::from_secs(2), "{took:?}");
    let (_, close) = visit_of(&b, "ops", port);
    assert!(close["bytes_to_visitor"].as_u64() >= Some(100_000), "{close}");
    crate::common::end(&mut client);
}

#[test]
fn an_operator_whose_key_is_revoked_is_cut_off_and_stays_out() {
    let (b, config) = bastion();
    let port = b.port("pay", 1);
    let _host = tunnel(&b, "pay-01", port, endless());
    let (mut client, over) = download(&config, port);
    let key = b.fingerprint("ops");
    let began = Instant::now();
    let out = b.cli(&["revoke", &key, "--reason", "left", "--yes"]);
    assert!(text(&out).contains("closed 1 session"), "{}", text(&out));
    assert!(over.recv_timeout(SOON).unwrap() - began < Duration::from_secs(2));
    crate::common::wait_exit(&mut client, "the operator's ssh", SOON);
    visit_of(&b, "ops", port);
    assert_eq!(b.tunnel(port).unwrap()["state"], "up", "the tunnel is nobody's but the host's");
    let again = ssh(&config).args(["bastion", "status"]).output().unwrap();
    assert!(text(&again).contains("Permission denied"), "{}", text(&again));
    let refused = b.wait_audit("refused", |e| e["event"] == "auth.failure" && e["fingerprint"] == *key);
    assert!(refused["rule"].as_str().unwrap().contains("(left)"), "{refused}");
    assert!(b.cli(&["restore", &key]).status.success());
    assert!(ssh(&config).args(["bastion", "status"]).output().unwrap().status.success());
}

#[test]
fn an_operator_whose_rights_change_by_a_reload_signs_in_anew_with_the_new_ones() {
    let (b, config) = bastion();
    let port = b.port("iot", 0);
    let _host = tunnel(&b, "iot-77", port, endless());
    let (mut client, over) = download(&config, port);
    b.rewrite(|text| {
        let (before, ops) = text.split_once("[operators.ops]\n").unwrap();
        format!("{before}[operators.ops]\nteams = [\"pay\"]\n{ops}")
    });
    assert!(b.cli(&["reload"]).status.success());
    over.recv_timeout(SOON).unwrap();
    crate::common::wait_exit(&mut client, "the operator's ssh", SOON);
    let rows = ssh(&config).args(["bastion", "tunnels", "--json"]).output().unwrap();
    assert!(rows.status.success() && !text(&rows).contains("iot"), "{}", text(&rows));
    let visit = ssh(&config).args(["-W", &format!("localhost:{port}"), "bastion"]).output().unwrap();
    assert!(!visit.status.success());
    assert_eq!(b.tunnel(port).unwrap()["state"], "up");
}
