//! Which port a host gets, keeps and loses.

use crate::common::bastion::Bastion;
use crate::common::ports::is_free;
use crate::common::services::{hear, says};
use crate::common::{SOON, eventually};
use russh::client;
use russh::keys::{PrivateKey, PrivateKeyWithHashAlg, PublicKeyOrCertificate};
use std::process::Command;
use std::sync::Arc;

#[test]
fn any_port_is_the_same_port_after_a_reconnect_and_after_a_restart() {
    let mut b = Bastion::builder().team("pay", 8).host("first", "pay").host("second", "pay").start();
    let service = says("sticky");
    let dial = |b: &Bastion, name: &str| b.ssh(name).args(&["-R", &format!("0:{service}")]).start();

    let mut ssh = dial(&b, "first");
    let port = ssh.allocated();
    assert!((b.port("pay", 0)..=b.port("pay", 7)).contains(&port));
    assert_eq!(hear(port), "sticky");
    assert_eq!(b.tunnel(port).unwrap()["kind"], "sticky");
    ssh.kill9();
    b.wait_event("forward.end", "first");

    // Another host that comes while the first is away is given another port.
    let other = dial(&b, "second");
    assert_ne!(other.allocated(), port);

    let again = dial(&b, "first");
    assert_eq!(again.allocated(), port);
    assert_eq!(hear(port), "sticky");

    b.restart();
    let (first, second) = (dial(&b, "first"), dial(&b, "second"));
    assert_eq!((first.allocated(), second.allocated()), (port, other.allocated()));
    assert_eq!(hear(port), "sticky");
}

#[test]
fn a_cancelled_forward_frees_its_port_and_leaves_the_session() {
    let b = Bastion::builder().team("pay", 4).host("pay-01", "pay").start();
    let (port, kept) = (b.port("pay", 0), b.port("pay", 1));
    let service = says("here");
    let control = b.dir().join("master");
    let mut ssh = b
        .ssh("pay-01")
        .args(&["-M", "-S", control.to_str().unwrap()])
        .forward(port, service)
        .forward(kept, service)
        .start()
        .wait_forwards(2);
    assert_eq!(hear(port), "here");

    let forward = format!("{port}:{service}");
    let cancelled = Command::new("ssh")
        .args(["-F", "none", "-S", control.to_str().unwrap(), "-O", "cancel", "-R", &forward, "x"])
        .output()
        .unwrap();
    assert!(cancelled.status.success(), "{}", String::from_utf8_lossy(&cancelled.stderr));

    let end = b.wait_audit("end of the forward", |e| e["event"] == "forward.end" && e["port"] == port);
    assert_eq!(end["obituary"]["cause"], "client-cancel");
    eventually("the port is free", SOON, || is_free(port));
    assert!(ssh.is_running());
    assert_eq!(hear(kept), "here");
}

#[test]
fn a_clash_names_the_holder_to_the_client_and_in_the_journal() {
    let b = Bastion::builder().team("pay", 4).host("holder", "pay").host("other", "pay").start();
    let port = b.port("pay", 0);
    let service = says("holder");
    let _holder = b.ssh("holder").forward(port, service).start().wait_forward();

    let mut other = b.ssh("other").forward(port, says("other")).start();
    assert_eq!(other.wait_exit().code(), Some(255));
    let told = other.log.wait("Remote: ", SOON);
    assert!(told.contains(&format!("port {port} is held by host holder of team pay")), "{told}");
    let no = b.wait_refusal("forward.refused", "is held by host holder of team pay (requested lease");
    assert_eq!((&no["host"], &no["port"], &no["asked_port"]), (&"other".into(), &port.into(), &port.into()));
    assert_eq!((&no["actor"]["type"], &no["actor"]["name"]), (&"host".into(), &"other".into()));
    assert_eq!(no["fingerprint"], b.fingerprint("other"));
    assert_eq!(hear(port), "holder");

    let said = b.cli(&["explain", "other", &port.to_string()]);
    assert_eq!(said.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&said.stdout).contains("held by host holder"), "{said:?}");
}

#[test]
fn a_port_outside_the_range_is_refused() {
    let b = Bastion::builder().team("pay", 4).host("pay-01", "pay").start();
    let port = b.port_outside("pay");
    let mut ssh = b.ssh("pay-01").forward(port, says("outside")).start();
    assert_eq!(ssh.wait_exit().code(), Some(255));
    let no = b.wait_refusal("forward.refused", "is outside team pay's ranges");
    assert_eq!(no["port"], port);
    assert!(is_free(port));
}

#[test]
fn a_port_that_another_program_has_is_refused_with_that_reason() {
    let b = Bastion::builder().team("pay", 4).host("pay-01", "pay").start();
    let port = b.port("pay", 0);
    let _squatter = std::net::TcpListener::bind(("127.0.0.1", port)).unwrap();
    let mut ssh = b.ssh("pay-01").forward(port, says("late")).start();
    assert_eq!(ssh.wait_exit().code(), Some(255));
    b.wait_refusal("forward.refused", &format!("port {port} is in use on 127.0.0.1 by another program"));
}

struct Trusting;

impl client::Handler for Trusting {
    type Error = russh::Error;
    async fn check_server_key(&mut self, _key: &PublicKeyOrCertificate) -> Result<bool, russh::Error> {
        Ok(true)
    }
}

/// OpenSSH refuses such a number itself; on the wire it is 32 bits wide, and 65536 + N must not pass as N.
#[test]
fn a_port_above_65535_is_refused() {
    let b = Bastion::builder().team("pay", 4).host("pay-01", "pay").start();
    let port = b.port("pay", 0);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mut ssh = client::connect(Arc::default(), b.address(), Trusting).await.unwrap();
        let key = PrivateKey::read_openssh_file(b.key("pay-01")).unwrap();
        let key = PrivateKeyWithHashAlg::new(Arc::new(key), None);
        assert!(ssh.authenticate_publickey("pay-01", key).await.unwrap().success());
        assert!(ssh.tcpip_forward("localhost", 65_536 + u32::from(port)).await.is_err());
        assert!(ssh.tcpip_forward("localhost", u32::from(port)).await.is_ok());
    });
    let no = b.wait_audit("refusal", |e| e["event"] == "forward.refused");
    assert_eq!(no["asked_port"], 65_536 + u32::from(port));
    assert_eq!(no["port"], serde_json::Value::Null);
}

#[test]
fn a_reserved_port_is_nobodys_until_its_time_is_over_also_after_a_restart() {
    let mut b = Bastion::builder().team("pay", 3).host("first", "pay").host("second", "pay").start();
    let (short, long) = (b.port("pay", 0), b.port("pay", 1));
    let reserve = |b: &Bastion, port: u16, until: &str| {
        b.cli(&["reserve", &port.to_string(), "--until", until, "--reason", "the new database"])
    };
    assert!(reserve(&b, long, "1h").status.success());
    assert!(reserve(&b, short, "3s").status.success());
    let no_reason = b.cli(&["reserve", &long.to_string(), "--until", "1h", "--reason", " "]);
    assert!(String::from_utf8_lossy(&no_reason.stderr).contains("say why"));
    let event = b.wait_audit("the reservation", |e| e["event"] == "port.reserved" && e["port"] == long);
    assert_eq!((&event["team"], &event["reason"]), (&"pay".into(), &"the new database".into()));

    b.restart();
    let service = says("reserved");
    let mut refused = b.ssh("first").forward(long, service).start();
    refused.wait_exit();
    b.wait_refusal("forward.refused", "is reserved until");
    let assigned = b.cli(&["assign", "second", &long.to_string()]);
    assert!(String::from_utf8_lossy(&assigned.stderr).contains("is reserved until"), "{assigned:?}");

    // The short one ends by itself, and is given to whoever asks.
    let over = b.wait_audit("its end", |e| e["event"] == "port.unreserved" && e["port"] == short);
    assert_eq!(over["actor"]["type"], "daemon");
    let ssh = b.ssh("first").forward(short, service).start().wait_forward();
    assert_eq!(hear(short), "reserved");
    drop(ssh);
    let teams = b.json(&["ports"]);
    assert_eq!(teams[0]["reserved"][0]["port"], long);

    assert!(b.cli(&["release", &long.to_string(), "--yes"]).status.success());
    let _ssh = b.ssh("second").forward(long, service).start().wait_forward();
    assert_eq!(hear(long), "reserved");
}
