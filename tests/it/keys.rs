//! The bastion's own certificates, networks of keys, and when keys were last used.

use crate::common::SOON;
use crate::common::bastion::{Bastion, keygen};
use crate::common::ca::Paper;
use crate::common::eventually;
use serde_json::Value;

#[test]
fn a_client_that_trusts_the_ca_needs_no_key_of_the_bastion() {
    let builder = Bastion::builder().team("pay", 2).host("pay-01", "pay");
    let dir = builder.dir().to_owned();
    let ca = keygen(&dir.join("host_ca"), "host CA");
    let key = dir.join("ssh_host_ed25519_key");
    Paper::of(key.clone(), &dir.join("host_ca"), "bastion", &["-h", "-n", "127.0.0.1,bastion"]);
    let b = builder.set("ssh", "host_certificates = [\"ssh_host_ed25519_key-cert.pub\"]").start();
    let known = dir.join("known_hosts");
    std::fs::write(&known, format!("@cert-authority * {ca}\n")).unwrap();
    let dial = || {
        // The first word of each option holds: the harness's own come later here.
        let mut c = std::process::Command::new("ssh");
        c.args(["-F", "none", "-v", "-N", "-T", "-o", "StrictHostKeyChecking=yes", "-o", "BatchMode=yes"]);
        c.args(["-o", &format!("UserKnownHostsFile={}", known.display()), "-o", "IdentitiesOnly=yes"]);
        c.args(["-o", "GlobalKnownHostsFile=/dev/null", "-o", "ExitOnForwardFailure=yes"]);
        c.args(["-p", &b.address().port().to_string(), "-i"]).arg(b.key("pay-01"));
        // A forward that is refused ends it, once it has signed in.
        c.args(["-R", "1:localhost:1", "x@127.0.0.1"]);
        String::from_utf8_lossy(&c.stdin(std::process::Stdio::null()).output().unwrap().stderr).into_owned()
    };
    let told = dial();
    assert!(told.contains("Authenticated to 127.0.0.1"), "{told}");
    assert!(told.contains("Server host certificate: ssh-ed25519-cert-v01@openssh.com"), "{told}");

    // A new certificate is put in force by a reload. This one is for another name, so the client refuses it.
    Paper::of(key.clone(), &dir.join("host_ca"), "bastion", &["-h", "-n", "elsewhere"]);
    assert!(b.cli(&["reload", "--yes"]).status.success());
    let told = dial();
    assert!(told.contains("name is not a listed principal") && !told.contains("Authenticated"), "{told}");
    // One that cannot be used leaves the old one in force, and is told of.
    Paper::of(key, &dir.join("host_ca"), "bastion", &["-n", "127.0.0.1"]);
    assert!(b.cli(&["reload", "--yes"]).status.success());
    b.log().wait("the host certificates stay as they were", SOON);
    assert!(dial().contains("name is not a listed principal"));
    // A client that knows the key and not the CA goes on as ever.
    std::fs::write(&known, "").unwrap();
    b.ssh("pay-01").start().log.wait("Authenticated to ", SOON);
}

#[test]
fn a_key_is_good_from_its_networks_only() {
    let b = Bastion::builder().team("pay", 2).host("pay-01", "pay").host("pay-02", "pay").start();
    let ssh = b.ssh("pay-01").start();
    ssh.log.wait("Authenticated to ", SOON);
    let limit = |nets: &str| {
        b.rewrite(|t| {
            let plain = t.replace(&format!("from=\\\"{}\\\" ", "127.0.0.0/8,::1"), "");
            plain.replacen("\nkeys = [\"ssh-ed", &format!("\nkeys = [\"from=\\\"{nets}\\\" ssh-ed"), 1)
        });
        b.cli(&["reload", "--yes"])
    };
    let out = limit("127.0.0.0/8,::1");
    assert!(String::from_utf8_lossy(&out.stdout).contains("may be used from 127.0.0.0/8,::1/128"), "{out:?}");
    let mut ssh = ssh;
    assert!(ssh.is_running(), "it comes from there");
    let out = limit("127.0.0.0/8,!127.0.0.1");
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    // A session that stands and comes from elsewhere ends, and the next is refused by the rule.
    ssh.wait_exit();
    let mut again = b.ssh("pay-01").start();
    assert!(!again.wait_exit().success());
    let said = b.wait_refusal("auth.failure", "may be used from 127.0.0.0/8,!127.0.0.1/32 only (from)");
    assert_eq!(said["host"], "pay-01");
    b.ssh("pay-02").start().log.wait("Authenticated to ", SOON);
}

#[test]
fn each_use_of_a_key_is_known_across_restarts_and_an_unused_one_is_shown() {
    let mut b = Bastion::builder().team("pay", 2).host("pay-01", "pay").operator("alice", "admin", &[]).start();
    // A second key, for the change from one to the next.
    let next = keygen(&b.dir().join("next"), "the next one");
    let old = std::fs::read_to_string(b.key("pay-01").with_extension("pub")).unwrap().trim().to_owned();
    b.rewrite(|t| t.replace(&format!("[\"{old}\"]"), &format!("[\"{old}\", \"{next}\"]")));
    assert!(b.cli(&["reload", "--yes"]).status.success());
    let keys = |b: &Bastion| b.json(&["keys", "pay-01"]).as_array().unwrap().clone();
    let of = |b: &Bastion, print: &str| keys(b).into_iter().find(|k| k["fingerprint"] == print).unwrap();
    let (first, second) = (b.fingerprint("pay-01"), b.fingerprint("next"));
    let ssh = b.ssh("pay-01").start();
    ssh.log.wait("Authenticated to ", SOON);
    let used = of(&b, &first);
    assert_eq!((&used["uses"], &used["sessions"], &used["host"]), (&1.into(), &1.into(), &"pay-01".into()), "{used}");
    assert!(used["source"].as_str().unwrap().starts_with("127.0.0.1:"), "{used}");
    let unused = of(&b, &second);
    assert_eq!(
        (&unused["uses"], &unused["last"], &unused["comment"]),
        (&0.into(), &Value::Null, &"the next one".into())
    );
    let listed = String::from_utf8(b.cli(&["keys", "--unused", "0s"]).stdout).unwrap();
    assert!(listed.contains(&second) && !listed.contains(&first) && listed.contains("never, in "), "{listed}");
    drop(ssh);
    b.restart();
    eventually("the session is gone", SOON, || of(&b, &first)["sessions"] == 0);
    let kept = of(&b, &first);
    assert_eq!((&kept["uses"], &kept["last"]), (&used["uses"], &used["last"]));
    assert_eq!(of(&b, &second)["since"], unused["since"]);
    // Over SSH, as the operator sees it; a revoked key says so.
    assert!(b.cli(&["revoke", &second, "--yes"]).status.success());
    let out = b.ssh("alice").run(&["keys", "pay-01"]);
    let text = String::from_utf8_lossy(&out.stdout).into_owned();
    assert!(text.contains("was revoked by"), "{text}");
}
