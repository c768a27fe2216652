//! How much hosts and visitors may take: sessions, tunnels, visitors, bytes, and open files.

use crate::common::bastion::Bastion;
use crate::common::services::{echo, says, silent, source, visit};
use crate::common::{SOON, eventually, stream};
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

/// Whether the tunnel carries bytes for this visitor.
fn carries(conn: &mut TcpStream) -> bool {
    conn.write_all(b"x").is_ok() && conn.read_exact(&mut [0]).is_ok()
}

#[test]
fn a_host_has_so_many_sessions_and_a_session_so_many_tunnels() {
    let b = Bastion::builder()
        .team("pay", 8)
        .host("pay-01", "pay")
        .set("limits", "sessions_per_host = 2\ntunnels_per_session = 2")
        .start();
    let port = |n| b.port("pay", n);
    let _one = b.ssh("pay-01").forward(port(0), echo()).forward(port(1), echo()).start().wait_forwards(2);
    let _two = b.ssh("pay-01").forward(port(2), echo()).start().wait_forward();
    let mut three = b.ssh("pay-01").forward(port(3), echo()).start();
    assert_ne!(three.wait_exit().code(), Some(0));
    b.wait_refusal("auth.failure", "host pay-01 has 2 sessions already (limits.sessions_per_host)");
    drop(_two);
    b.wait_event("session.end", "pay-01");
    let mut greedy = b.ssh("pay-01").forward(port(4), echo()).forward(port(5), echo()).forward(port(6), echo()).start();
    assert_ne!(greedy.wait_exit().code(), Some(0));
    b.wait_refusal("forward.refused", "this session carries 2 tunnels already (limits.tunnels_per_session)");
    assert!(carries(&mut visit(port(0))));
}

#[test]
fn new_visitors_come_at_a_rate_and_a_team_has_so_many() {
    let b = Bastion::builder()
        .team("pay", 4)
        .team("iot", 4)
        .host("pay-01", "pay")
        .host("iot-01", "iot")
        .operator("ops", "operator", &[])
        .set("limits", "team_visitors = 6")
        .start();
    // The other team has limits of its own.
    b.rewrite(|text| {
        text.replace("[teams.iot]\n", "[teams.iot]\nlimits = { visitors_per_second = 2, team_visitors = 100 }\n")
    });
    assert!(b.cli(&["reload"]).status.success());
    let (pay, iot) = (b.port("pay", 0), b.port("iot", 0));
    let _pay = b.ssh("pay-01").forward(pay, echo()).forward(b.port("pay", 1), echo()).start().wait_forwards(2);
    let _iot = b.ssh("iot-01").forward(iot, echo()).start().wait_forward();

    // Four at once are two seconds' worth; the health check is no visitor of the port.
    let mut all: Vec<_> = (0..20).map(|_| visit(iot)).collect();
    let in_time = all.iter_mut().filter_map(|c| carries(c).then_some(())).count();
    assert!((4..=6).contains(&in_time), "{in_time}");
    b.wait_refusal("visitor.refused", "more than 2 new visitors a second (limits.visitors_per_second)");
    eventually("the next comes in time", SOON, || carries(&mut visit(iot)));

    let mut held: Vec<_> = (0..6).map(|n| visit(b.port("pay", n % 2))).collect();
    assert!(held.iter_mut().all(carries));
    assert!(!carries(&mut visit(pay)), "the seventh of the team");
    b.wait_refusal("visitor.refused", "team pay has 6 visitors already (limits.team_visitors)");
    // An operator gets through all the same.
    let mut through = b.ssh("ops").args(&["-W", &format!("localhost:{pay}")]).spawn(&[]);
    through.stdin().write_all(b"hello\n").unwrap();
    through.out.wait("hello", SOON);
    held.clear();
    eventually("there is room again", SOON, || carries(&mut visit(pay)));
}

#[test]
fn bytes_of_a_tunnel_go_at_its_rate_and_all_arrive() {
    const LEN: u64 = 1024 * 1024;
    let b = Bastion::builder()
        .team("pay", 4)
        .unchecked_host("pay-01", "pay")
        .set("limits", "bytes_per_second = \"512KiB\"")
        .start();
    let port = b.port("pay", 0);
    let _host = b.ssh("pay-01").forward(port, source(1, LEN)).start().wait_forward();
    let began = Instant::now();
    assert_eq!(stream::read(&mut visit(port)).unwrap(), stream::sum(1, LEN));
    // 2 s, less what is saved up.
    assert!(began.elapsed() > Duration::from_millis(1_700), "{:?}", began.elapsed());
}

#[test]
fn a_bastion_without_open_files_lets_an_operator_in() {
    let b = Bastion::builder()
        .team("pay", 4)
        .host("pay-01", "pay")
        .host("pay-02", "pay")
        .operator("ops", "operator", &[])
        .files(160)
        .start();
    let port = b.port("pay", 0);
    let _host = b.ssh("pay-01").forward(port, silent()).start().wait_forward();
    // Visitors until they are turned away.
    let mut held = Vec::new();
    let deadline = Instant::now() + SOON;
    loop {
        assert!(Instant::now() < deadline, "{} visitors and none is turned away", held.len());
        let mut conn = visit(port);
        conn.set_read_timeout(Some(Duration::from_millis(30))).unwrap();
        match conn.read(&mut [0]).map_err(|e| e.kind()) {
            Err(ErrorKind::WouldBlock) => held.push(conn),
            _ => break,
        }
    }
    b.wait_refusal("visitor.refused", "the open files that are left are kept for operators");
    assert!(held.len() > 20, "{}", held.len());
    let out = b.ssh("ops").run(&["status"]);
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    assert!(b.cli(&["status"]).status.success());
    // Hosts have to wait.
    let mut late = b.ssh("pay-02").forward(b.port("pay", 1), says("x")).start();
    assert_ne!(late.wait_exit().code(), Some(0));
    let no = b.wait_refusal("auth.failure", "the open files that are left are kept for operators");
    assert_eq!(no["host"], "pay-02");
    drop(held);
    b.wait_tunnel(port, "is left", |t| t["visitors_now"] == 0);
    let _late = b.ssh("pay-02").forward(b.port("pay", 1), says("x")).start().wait_forward();
}
