//! The patterns of reverse forwarding, with stock clients and real services.

use crate::common::bastion::Bastion;
use crate::common::services::{Nginx, Sshd, curl, hear, own_address, says, visit};
use crate::common::ssh::SshCommand;
use crate::common::{ports, stream};
use std::io::{ErrorKind, Read};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};

#[test]
fn ssh_through_a_tunnel_runs_a_command_on_the_host() {
    let sshd = Sshd::start();
    let b = Bastion::builder().team("pay", 4).host_with("pay-01", "pay", &[("ssh", 0)]).start();
    let port = b.port("pay", 0);
    let _host = b.ssh("pay-01").forward(port, sshd.address).start().wait_forward();

    let at = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let out = SshCommand::new(&sshd.user(), &sshd.key(), at).run(&["echo", "marker-$((6*7))"]);
    assert_eq!(String::from_utf8_lossy(&out.stdout), "marker-42\n", "{}", String::from_utf8_lossy(&out.stderr));

    let row = b.wait_tunnel(port, "is found healthy", |t| t["health"]["verdict"] == "passing");
    assert_eq!((&row["state"], &row["health"]["check"], &row["kind"]), (&"up".into(), &"ssh".into(), &"fixed".into()));
}

#[test]
fn two_forwards_of_one_session_carry_http_and_https() {
    let page = stream::bytes(1, 3_000_000);
    let nginx = Nginx::start(&[("page", &page)]);
    let b = Bastion::builder().team("web", 4).host_with("web-01", "web", &[("http", 0), ("https", 1)]).start();
    let (http, https) = (b.port("web", 0), b.port("web", 1));
    let _host = b.ssh("web-01").forward(http, nginx.http).forward(https, nginx.https).start().wait_forwards(2);

    let want = stream::sum(1, 3_000_000);
    let got = curl(&[&format!("http://localhost:{http}/page")]);
    assert_eq!(stream::read(&mut got.as_slice()).unwrap(), want);
    let ca = nginx.certificate();
    let got = curl(&["--cacert", ca.to_str().unwrap(), &format!("https://localhost:{https}/page")]);
    assert_eq!(stream::read(&mut got.as_slice()).unwrap(), want);

    let sessions = b.json(&["sessions"]);
    let ports: Vec<u64> = sessions[0]["ports"].as_array().unwrap().iter().map(|p| p.as_u64().unwrap()).collect();
    assert_eq!((sessions.as_array().unwrap().len(), ports), (1, vec![http.into(), https.into()]));
}

#[test]
fn three_hosts_of_a_team_have_three_ports() {
    let b = Bastion::builder().team("pay", 8).host("a", "pay").host("b", "pay").host("c", "pay").start();
    let ports = [b.port("pay", 0), b.port("pay", 1), b.port("pay", 2)];
    let _hosts = [("a", ports[0], says("I am a")), ("b", ports[1], says("I am b")), ("c", ports[2], says("I am c"))]
        .map(|(name, port, service)| b.ssh(name).forward(port, service).start().wait_forward());
    assert_eq!(ports.map(hear), ["I am a", "I am b", "I am c"]);
    let rows = b.json(&["tunnels", "state=up"]);
    let rows: Vec<_> = rows.as_array().unwrap().iter().map(|t| (t["port"].clone(), t["host"].clone())).collect();
    assert_eq!(rows, [(ports[0].into(), "a".into()), (ports[1].into(), "b".into()), (ports[2].into(), "c".into())]);
}

#[test]
fn a_single_service_has_its_fixed_port_and_no_other_host_gets_it() {
    let b = Bastion::builder().team("db", 4).host_with("db-01", "db", &[("postgres", 2)]).host("db-02", "db").start();
    let port = b.port("db", 2);
    // Fixed for db-01 even while it is away.
    let mut thief = b.ssh("db-02").forward(port, says("stolen")).start();
    assert_eq!(thief.wait_exit().code(), Some(255));
    let no = b.wait_refusal("forward.refused", "held by host db-01");
    assert_eq!((&no["host"], &no["port"]), (&"db-02".into(), &port.into()));

    let _host = b.ssh("db-01").forward(port, says("postgres here")).start().wait_forward();
    assert_eq!(hear(port), "postgres here");
    let row = b.tunnel(port).unwrap();
    assert_eq!((&row["service"], &row["kind"]), (&"postgres".into(), &"fixed".into()));
}

/// Whatever of the usual spellings the client asks for.
#[test]
fn under_loopback_policy_nothing_listens_elsewhere() {
    let b = Bastion::builder().team("pay", 8).host("pay-01", "pay").start();
    let service = says("inside");
    let asked = ["", "*:", "0.0.0.0:", "[::]:", "localhost:", "192.0.2.9:"];
    let mut command = b.ssh("pay-01");
    for (n, bind) in (0..).zip(asked) {
        command = command.args(&["-R", &format!("{bind}{}:{service}", b.port("pay", n))]);
    }
    let _host = command.start().wait_forwards(asked.len());
    let elsewhere = [Some(IpAddr::from(Ipv4Addr::new(127, 0, 0, 2))), own_address()];
    for (n, bind) in (0..).zip(asked) {
        let port = b.port("pay", n);
        for ip in [IpAddr::from(Ipv4Addr::LOCALHOST), Ipv6Addr::LOCALHOST.into()] {
            let mut said = String::new();
            TcpStream::connect((ip, port)).unwrap().read_to_string(&mut said).unwrap();
            assert_eq!(said, "inside", "{bind} on {ip}");
        }
        for ip in elsewhere.into_iter().flatten() {
            let refused = TcpStream::connect((ip, port)).map_err(|e| e.kind());
            assert_eq!(refused.err(), Some(ErrorKind::ConnectionRefused), "{bind} on {ip}");
        }
    }
}

#[test]
fn under_gateway_policy_the_visitors_list_decides_at_accept() {
    let Some(own) = own_address() else {
        eprintln!("skipped: this machine has no address but loopback");
        return;
    };
    let b = Bastion::builder()
        .gateway_team("open", 4, &[&format!("{own}/32")])
        .gateway_team("shut", 4, &["198.51.100.0/24"])
        .host("open-01", "open")
        .host("shut-01", "shut")
        .start();
    let (open, shut, inner) = (b.port("open", 0), b.port("shut", 0), b.port("open", 1));
    let service = says("welcome");
    let _open = b
        .ssh("open-01")
        .args(&["-R", &format!("*:{open}:{service}"), "-R", &format!("{inner}:{service}")])
        .start()
        .wait_forwards(2);
    let _shut = b.ssh("shut-01").args(&["-R", &format!("*:{shut}:{service}")]).start().wait_forward();
    let hear_at = |ip: IpAddr, port: u16| {
        let mut said = String::new();
        TcpStream::connect((ip, port)).and_then(|mut c| c.read_to_string(&mut said)).map(|_| said)
    };

    assert_eq!(hear_at(own, open).unwrap(), "welcome");
    let visit = b.wait_audit("visitor from outside", |e| {
        e["event"] == "visitor.open" && e["source"].as_str().is_some_and(|s| s.starts_with(&own.to_string()))
    });
    assert_eq!((&visit["port"], &visit["host"], &visit["team"]), (&open.into(), &"open-01".into(), &"open".into()));

    // The kernel accepts before anybody can decide, so the visitor is reset rather than refused.
    assert_eq!(hear_at(own, shut).map_err(|e| e.kind()), Err(ErrorKind::ConnectionReset));
    let no = b.wait_refusal("visitor.refused", &format!("{own} is not in team shut's `visitors`"));
    assert_eq!((&no["port"], &no["actor"]["type"]), (&shut.into(), &"visitor".into()));
    b.wait_tunnel(shut, "counts the refusal", |t| t["visitors_refused"] == 1 && t["visitors_total"] == 0);

    // Loopback is always let in; a forward that did not ask for more stays there.
    assert_eq!(hear(shut), "welcome");
    assert_eq!(hear(inner), "welcome");
    assert_eq!(hear_at(own, inner).map_err(|e| e.kind()), Err(ErrorKind::ConnectionRefused));
}

/// Inner machine ─ -L ─▶ host ─ -R ─▶ bastion ◀─ -L ─ operator.
#[test]
fn local_and_remote_forwards_chain() {
    let inner = Sshd::start();
    let secret = says("from the inside");
    let block = ports::Ports::take();
    let (at_host, at_operator) = (block.get(0), block.get(1));
    let b = Bastion::builder().team("pay", 4).host("pay-01", "pay").operator("ops", "operator", &["pay"]).start();
    let port = b.port("pay", 0);

    let to_inner = SshCommand::new(&inner.user(), &inner.key(), inner.address)
        .args(&["-L", &format!("127.0.0.1:{at_host}:{secret}")])
        .start();
    to_inner.log.wait("Entering interactive session", crate::common::SOON);
    let _host = b.ssh("pay-01").forward(port, SocketAddr::from((Ipv4Addr::LOCALHOST, at_host))).start().wait_forward();
    assert_eq!(hear(port), "from the inside");

    let operator = b.ssh("ops").args(&["-L", &format!("127.0.0.1:{at_operator}:localhost:{port}")]).start();
    operator.log.wait("Entering interactive session", crate::common::SOON);
    assert_eq!(hear(at_operator), "from the inside");
    let visit = b.wait_audit("visit of the operator", |e| e["event"] == "visitor.close" && e["actor"]["name"] == "ops");
    assert_eq!((&visit["port"], &visit["bytes_to_visitor"]), (&port.into(), &"from the inside".len().into()));
}

#[test]
fn a_dead_service_is_seen_by_the_visitor_and_in_the_list() {
    let b = Bastion::builder().team("pay", 4).host("pay-01", "pay").set("health", "fall = 1").start();
    let port = b.port("pay", 0);
    let free = ports::Ports::take();
    let dead = SocketAddr::from((Ipv4Addr::LOCALHOST, free.get(0)));
    let _host = b.ssh("pay-01").forward(port, dead).start().wait_forward();
    let row = b.wait_tunnel(port, "is degraded", |t| t["state"] == "degraded");
    assert_eq!(row["health"]["layer"], "channel");
    let mut said = Vec::new();
    let end = visit(port).read_to_end(&mut said);
    assert!(said.is_empty() && end.is_err(), "{end:?}");
}
