//! RSA keys: no SHA-1, whatever a client calls its signature (RFC 8332); what a client can is told to it (RFC 8308).

use super::libraries::Library;
use super::programs::{dbclient, plink};
use crate::common::SOON;
use crate::common::bastion::Bastion;
use crate::common::services::echo;
use std::process::Command;

/// A bastion with a host whose key is of RSA.
fn bastion() -> Bastion {
    let b = Bastion::builder().team("pay", 8);
    let key = b.dir().join("old-01");
    let mut keygen = Command::new("ssh-keygen");
    keygen.args(["-q", "-t", "rsa", "-b", "3072", "-m", "PEM", "-N", "", "-f"]).arg(&key);
    assert!(keygen.status().unwrap().success());
    let public = std::fs::read_to_string(key.with_extension("pub")).unwrap();
    b.text(&format!("[hosts.old-01]\nteam = \"pay\"\nkeys = [\"{}\"]\n", public.trim())).start()
}

#[test]
fn rsa_keys_sign_in_with_every_client_that_knows_sha2() {
    let b = bastion();
    let up = |n: u16| b.wait_tunnel(b.port("pay", n), "is up", |t| t["state"] == "up");
    let _openssh = b.ssh("old-01").forward(b.port("pay", 0), echo()).start().wait_forward();
    let _dropbear = dbclient(&b, "old-01", &[b.port("pay", 1)], echo());
    let _putty = plink(&b, "old-01", &[b.port("pay", 2)], echo());
    let mut libraries = Vec::new();
    for (n, script, package) in
        [(3, "paramiko_client.py", "python3-paramiko"), (4, "asyncssh_client.py", "python3-asyncssh")]
    {
        let mut host = Library::start(&b, script, "old-01", package);
        host.hears("ready");
        host.asked(&format!("forward {}", b.port("pay", n)), "forwarded");
        libraries.push(host);
    }
    for n in 0..5 {
        up(n);
    }
}

/// libssh2 before 1.11 signs with SHA-1 and nothing else.
#[test]
fn an_rsa_key_that_signs_with_sha1_is_refused_with_the_reason() {
    let b = bastion();
    let host = Library::start(&b, "libssh2_client.py", "old-01", "libssh2-1-dev");
    if host.client.out.find(SOON, |l| l.starts_with("ready").then_some(())).is_none() {
        b.wait_refusal("auth.failure", "ssh-rsa signatures (SHA-1) are not accepted");
    }
}
