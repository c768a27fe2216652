//! Signs of life: OpenSSH answers `keepalive@openssh.com`, and others refuse a request that they do not know, which is as good.

use super::libraries::Library;
use super::programs::{dbclient, plink};
use crate::common::bastion::Bastion;
use crate::common::services::{hear, says};
use crate::common::{SOON, eventually};

#[test]
fn every_client_that_idles_stays_and_one_that_is_stopped_does_not() {
    let b = Bastion::builder().set("ssh", "keepalive_interval = \"1s\"\nkeepalive_count = 4").team("pay", 8);
    let b = b.unchecked_host("pay-01", "pay").unchecked_host("stuck", "pay").start();
    let service = says("here");
    let _dropbear = dbclient(&b, "pay-01", &[b.port("pay", 0)], service);
    let _putty = plink(&b, "pay-01", &[b.port("pay", 1)], service);
    let scripts = [
        ("paramiko_client.py", "python3-paramiko"),
        ("asyncssh_client.py", "python3-asyncssh"),
        ("libssh2_client.py", "libssh2-1-dev"),
    ];
    let mut libraries = Vec::new();
    for (n, (script, package)) in (2..).zip(scripts) {
        let mut host = Library::to(&b, script, "pay-01", package, service);
        host.hears("ready");
        host.asked(&format!("forward {}", b.port("pay", n)), "forwarded");
        libraries.push(host);
    }
    for n in 0..5 {
        b.wait_tunnel(b.port("pay", n), "is up", |t| t["state"] == "up");
    }
    // It begins to be silent when the others have begun to idle, so all their time is over when its is.
    let stuck = b.ssh("stuck").forward(b.port("pay", 7), service).start().wait_forward();
    stuck.stop();
    let end = b.wait_event("session.end", "stuck");
    assert_eq!(end["obituary"]["cause"], "keepalive-timeout");
    eventually("its port is free", SOON, || crate::common::ports::is_free(b.port("pay", 7)));
    for n in 0..5 {
        assert_eq!(hear(b.port("pay", n)), "here", "port {n} of {:?}", b.json(&["sessions"]));
    }
    assert!(!b.audit().iter().any(|e| e["event"] == "session.end" && e["host"] == "pay-01"));
}
