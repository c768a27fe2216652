//! What `ssh-audit` says of the bastion. It comes as Debian's (2.5, which knows less) or as PyPI's.

use super::run;
use crate::common::bastion::Bastion;
use std::process::Command;

/// What it warns of and is well: an algorithm, the words, and why.
const TOLERATED: &[(&str, &str, &str)] = &[
    ("mlkem768x25519-sha256", "unknown algorithm", "it is newer than ssh-audit 2.5"),
    ("kex-strict-s-v00@openssh.com", "unknown algorithm", "no algorithm, and newer than ssh-audit 2.5"),
    // ML-KEM is offered first; these are for clients that do not know it (OpenSSH before 9.9, and all others tested).
    ("curve25519-sha256", "post-quantum", "for clients without ML-KEM"),
    ("curve25519-sha256@libssh.org", "post-quantum", "the same by its older name, for clients before 2018"),
    ("diffie-hellman-group16-sha512", "post-quantum", "for clients without curves"),
    ("diffie-hellman-group18-sha512", "post-quantum", "for clients without curves"),
];

/// Every warning and failure: of what, and the line.
fn findings(text: &str) -> Vec<(String, String)> {
    let mut about = String::new();
    let mut found = Vec::new();
    for line in text.lines() {
        // "(kex) NAME   -- [warn] TEXT"; more about the same follows as "`- [warn] TEXT".
        if let Some((_, name)) = line.strip_prefix('(').and_then(|l| l.split_once(") ")) {
            name.split_whitespace().next().unwrap_or_default().clone_into(&mut about);
        }
        if line.contains("[warn]") || line.contains("[fail]") {
            found.push((about.clone(), line.to_owned()));
        }
    }
    found
}

#[track_caller]
fn is_clean(b: &Bastion, offered: &[&str]) {
    let mut audit = Command::new("ssh-audit");
    audit.args(["-n", "-p", &b.address().port().to_string(), "127.0.0.1"]);
    let out = run(audit, "ssh-audit");
    let text = String::from_utf8_lossy(&out.stdout);
    for name in offered {
        assert!(
            text.contains(name),
            "ssh-audit does not speak of {name}:\n{text}{}",
            String::from_utf8_lossy(&out.stderr)
        );
    }
    let bad: Vec<_> = findings(&text)
        .into_iter()
        .filter(|(of, line)| {
            let known = |(name, words, _): &(&str, &str, &str)| of == name && line.contains(words);
            line.contains("[fail]") || !TOLERATED.iter().any(known)
        })
        .collect();
    assert!(bad.is_empty(), "ssh-audit finds {bad:#?} in\n{text}");
}

#[test]
fn ssh_audit_finds_nothing_in_what_is_offered_by_default() {
    let b = Bastion::builder().team("pay", 1).start();
    is_clean(&b, &["mlkem768x25519-sha256", "ssh-ed25519", "hmac-sha2-256-etm@openssh.com", "aes128-gcm@openssh.com"]);
}

/// With a host key of each kind, and every cipher that can be named.
#[test]
fn ssh_audit_finds_nothing_in_all_that_can_be_offered() {
    let mut b = Bastion::builder().team("pay", 1).start();
    let rsa = b.dir().join("ssh_host_rsa_key");
    let made = Command::new("ssh-keygen").args(["-q", "-t", "rsa", "-b", "3072", "-N", "", "-f"]).arg(&rsa).status();
    assert!(made.unwrap().success());
    b.rewrite(|text| {
        let ciphers = "[\"chacha20-poly1305@openssh.com\", \"aes128-gcm@openssh.com\", \"aes256-gcm@openssh.com\", \
                       \"aes128-ctr\", \"aes192-ctr\", \"aes256-ctr\"]";
        let keys = "host_keys = [\"ssh_host_ed25519_key\", \"ssh_host_rsa_key\"]";
        text.replace("host_keys = [\"ssh_host_ed25519_key\"]", &format!("{keys}\nciphers = {ciphers}"))
    });
    b.restart();
    is_clean(&b, &["rsa-sha2-512", "rsa-sha2-256", "ssh-ed25519", "chacha20-poly1305@openssh.com", "aes256-ctr"]);
}

#[test]
fn what_it_finds_is_found_here() {
    let text = "(kex) good -- [info] fine\n(mac) hmac-sha1 -- [fail] weak\n              `- [warn] old\n";
    let found: Vec<_> = findings(text).into_iter().map(|(of, _)| of).collect();
    assert_eq!(found, ["hmac-sha1", "hmac-sha1"]);
}
