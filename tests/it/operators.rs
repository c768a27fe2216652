//! Operators who pass through the bastion to tunnels.

use crate::common::bastion::Bastion;
use crate::common::load::endless;
use crate::common::services::{Sshd, hear, says, silent};
use crate::common::ssh::SshCommand;
use crate::common::{SOON, wait_exit};
use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr};
use std::process::Stdio;

fn two_teams() -> Bastion {
    Bastion::builder()
        .team("pay", 4)
        .team("web", 4)
        .host("pay-01", "pay")
        .host("web-01", "web")
        .operator("ops", "operator", &["pay"])
        .operator("eyes", "viewer", &[])
        .start()
}

#[test]
fn an_operator_reaches_a_tunnel_of_the_own_team_with_w() {
    let b = two_teams();
    let port = b.port("pay", 0);
    let _host = b.ssh("pay-01").forward(port, says("pay's service")).start().wait_forward();
    let ssh = b.ssh("ops").args(&["-W", &format!("localhost:{port}")]).spawn(&[]);
    assert_eq!(ssh.out.to_end(crate::common::SOON), "pay's service");
    let visit = b.wait_audit("visit", |e| e["event"] == "visitor.close" && e["port"] == port);
    assert_eq!((&visit["actor"]["type"], &visit["actor"]["name"]), (&"operator".into(), &"ops".into()));
    assert_eq!((&visit["host"], &visit["bytes_to_visitor"]), (&"pay-01".into(), &"pay's service".len().into()));
    assert_eq!(visit["fingerprint"], b.fingerprint("ops"));
    assert!(visit["seconds"].as_f64().is_some());
}

#[test]
fn an_operator_jumps_to_a_host() {
    let sshd = Sshd::start();
    let b = Bastion::builder()
        .team("pay", 4)
        .host_with("pay-01", "pay", &[("ssh", 0)])
        .operator("ops", "operator", &[])
        .start();
    let _host = b.ssh("pay-01").forward(b.port("pay", 0), sshd.address).start().wait_forward();
    // What `-J` does, spelt out because the two hops have keys of their own: the host by its name and ssh's own port.
    let proxy = format!(
        "ssh -F none -i {} -o IdentitiesOnly=yes -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -p {} \
         -W pay-01:22 ops@127.0.0.1",
        b.key("ops").display(),
        b.address().port()
    );
    let nowhere = SocketAddr::from((Ipv4Addr::LOCALHOST, 1));
    let out = SshCommand::new(&sshd.user(), &sshd.key(), nowhere)
        .option(&format!("ProxyCommand={proxy}"))
        .run(&["echo", "hop-$((40+2))"]);
    assert_eq!(String::from_utf8_lossy(&out.stdout), "hop-42\n", "{}", String::from_utf8_lossy(&out.stderr));
}

#[test]
fn an_operator_reaches_nothing_else() {
    let b = two_teams();
    let (mine, other) = (b.port("pay", 0), b.port("web", 0));
    let _pay = b.ssh("pay-01").forward(mine, says("pay's")).start().wait_forward();
    let _web = b.ssh("web-01").forward(other, says("web's")).start().wait_forward();
    let outside = says("not a tunnel");
    let try_one = |who: &str, target: &str, rule: &str| {
        let out = b.ssh(who).args(&["-W", target]).run(&[]);
        assert!(!out.status.success() && out.stdout.is_empty(), "{who} reached {target}");
        let no = b.wait_audit(&format!("{who} refused {target}"), |e| {
            e["event"] == "request.refused" && e["actor"]["name"] == *who && e["rule"].to_string().contains(target)
        });
        assert!(no["rule"].as_str().unwrap().contains(rule), "{no}");
        assert_eq!((&no["request"], &no["actor"]["type"]), (&"direct-tcpip".into(), &"operator".into()));
    };
    try_one("ops", &outside.to_string(), "is not a live tunnel");
    try_one("ops", &format!("127.0.0.1:{}", b.address().port()), "is not a live tunnel");
    try_one("ops", &format!("192.0.2.9:{mine}"), "is not a live tunnel");
    try_one("ops", &format!("localhost:{other}"), "is team web's, which is not yours");
    try_one("eyes", &format!("localhost:{mine}"), "a viewer may not connect to tunnels");
    assert_eq!((hear(mine).as_str(), hear(other).as_str()), ("pay's", "web's"));
}

#[test]
fn an_operator_may_not_offer_tunnels() {
    let b = two_teams();
    let mut ssh = b.ssh("ops").forward(b.port("pay", 0), says("mine")).start();
    assert_eq!(ssh.wait_exit().code(), Some(255));
    let no = b.wait_refusal("forward.refused", "only hosts may forward ports");
    assert_eq!((&no["actor"]["type"], &no["actor"]["name"]), (&"operator".into(), &"ops".into()));
}

/// A channel has no reset, and OpenSSH's `-W` ends with success either way (docs/limits.md); but it ends, and the audit
/// tells.
#[test]
fn an_operators_transfer_ends_with_the_hosts_session() {
    let b = two_teams();
    let port = b.port("pay", 0);
    for round in 0..6 {
        let service = if round % 2 == 0 { endless() } else { silent() };
        let mut host = b.ssh("pay-01").forward(port, service).start().wait_forward();
        let mut through = b.ssh("ops").args(&["-W", &format!("localhost:{port}")]).command();
        let mut through = through.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let (mut input, mut output) = (through.stdin.take().unwrap(), through.stdout.take().unwrap());
        // Bytes are under way both ways, or up only, when the host's client is killed.
        let writer = std::thread::spawn(move || while input.write_all(&[7; 32 * 1024]).is_ok() {});
        let reader = std::thread::spawn(move || std::io::copy(&mut output, &mut std::io::sink()));
        b.wait_tunnel(port, "is visited", |t| t["bytes_to_host"].as_u64() > Some(100_000));
        host.kill9();
        wait_exit(&mut through, "the operator's ssh -W", SOON);
        writer.join().unwrap();
        reader.join().unwrap().unwrap();
        b.wait_tunnel(port, "is down", |t| t["state"] != "up");
    }
    let ends: Vec<_> = b.audit().into_iter().filter(|e| e["event"] == "visitor.close").collect();
    assert_eq!(ends.len(), 6);
    assert!(ends.iter().all(|e| e["reason"].is_string()), "an end that looks orderly: {ends:?}");
}
