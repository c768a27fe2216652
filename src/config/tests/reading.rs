use super::super::*;
use super::good;
use crate::model::{BindPolicy, CheckKind, Port, Role};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

const SMALL: &str = r#"
[teams.pay]
ports = "20100-20199"
[hosts.pay-db]
team = "pay"
keys = "@PAY_DB"
[operators.alice]
keys = ["@ALICE"]
role = "operator"
"#;

fn port(n: u16) -> Port {
    Port::try_from(n).unwrap()
}

#[test]
fn teams_hosts_and_operators_alone_are_enough() {
    let c = good(SMALL);
    assert_eq!(c.state_dir, PathBuf::from("/etc/portreeve/state"));
    assert_eq!(c.control.socket, PathBuf::from("/etc/portreeve/state/control.sock"));
    assert_eq!(c.audit.dir, PathBuf::from("/etc/portreeve/audit"));
    assert_eq!(c.ssh.listen, vec!["127.0.0.1:2222".parse().unwrap()]);
    let keys = ["/etc/portreeve/ssh_host_ed25519_key", "/etc/portreeve/ssh_host_rsa_key"];
    assert_eq!(c.ssh.host_keys, keys.map(PathBuf::from));
    assert_eq!(c.ssh.keepalive_interval, Duration::from_secs(15));
    assert!(!c.name.is_empty());
    let pay = c.teams.get("pay").unwrap();
    assert_eq!((pay.bind, pay.visitors.len()), (BindPolicy::Loopback, 0));
    assert_eq!(c.hosts.get("pay-db").unwrap().keys.first().unwrap().comment, "pay-db");
    assert_eq!(c.operators.get("alice").unwrap().teams, None);
}

#[test]
fn an_empty_file_is_a_bastion_that_lets_nobody_in() {
    let c = good("");
    assert!(c.teams.is_empty() && c.hosts.is_empty() && c.operators.is_empty() && c.keys.is_empty());
}

#[test]
fn a_state_folder_elsewhere_takes_the_socket_along() {
    let c = good("[bastion]\nstate = \"/var/lib/portreeve\"\nname = \"한글 bastion\"");
    assert_eq!(c.control.socket, PathBuf::from("/var/lib/portreeve/control.sock"));
    assert_eq!(c.name, "한글 bastion");
}

#[test]
fn checks_come_from_the_service_then_its_name_then_the_host() {
    let c = good(
        r#"
[health]
interval = "20s"
[teams.pay]
ports = ["20100-20199", "20300"]
[hosts.pay-db]
team = "pay"
keys = ["@PAY_DB", "@ECDSA"]
check = "none"
ports = { ssh = 20122, web = { port = 20180, interval = "1m 30s" }, sql = 20132, old = { port = 20300, check = "tcp" } }
"#,
    );
    let host = "pay-db".parse().unwrap();
    let check = |n| c.check_for(&host, port(n));
    assert_eq!(check(20122).0, CheckKind::Ssh);
    assert_eq!(check(20180).0, CheckKind::Http);
    assert_eq!(check(20132).0, CheckKind::None);
    assert_eq!(check(20300).0, CheckKind::Tcp);
    assert_eq!(check(20150).0, CheckKind::None, "a port that is not fixed");
    assert_eq!(check(20122).1.interval, Duration::from_secs(20));
    assert_eq!(check(20180).1.interval, Duration::from_secs(90));
    assert_eq!(check(20180).1.fall, 3, "what a service leaves out comes from [health]");
    assert_eq!(c.fixed(port(20180)).map(|(h, s, _)| (h.as_str(), s)), Some(("pay-db", "web")));
    assert_eq!(c.fixed(port(20181)), None);
    assert_eq!(c.owner_of_port(port(20300)).map(|t| t.as_str()), Some("pay"));
    assert_eq!(c.owner_of_port(port(20200)), None);
    assert_eq!(c.team_of(&host).map(|(t, _)| t.as_str()), Some("pay"));
    let ecdsa = c.hosts.get("pay-db").unwrap().keys.get(1).unwrap();
    assert_eq!(ecdsa.algorithm, "ecdsa-sha2-nistp256");
    assert_eq!(c.principal(&ecdsa.fingerprint), Some(&Principal::Host(host)));
    assert_eq!(c.principal("SHA256:other"), None);
}

#[test]
fn unknown_keys_are_not_kept_unless_it_is_said_and_then_a_host_may_wait_for_its_key() {
    let c = good("");
    let p = &c.trust.pending;
    assert_eq!((p.on, p.most, p.of_network, p.time), (false, 64, 4, Duration::from_secs(86_400)));
    let c = good(
        "[trust]\npending = true\nmax_pending = 9\nmax_pending_network = 2\npending_time = \"1h\"\n\
         [teams.pay]\nports = \"1\"\n[hosts.fresh]\nteam = \"pay\"\n",
    );
    let p = &c.trust.pending;
    assert_eq!((p.on, p.most, p.of_network, p.time), (true, 9, 2, Duration::from_secs(3_600)));
    assert!(c.hosts.values().all(|h| h.keys.is_empty()));
}

#[test]
fn an_account_of_this_machine_is_an_operator_by_name_or_number() {
    let uid = nix::unistd::geteuid().as_raw();
    let account = super::super::lookup::account_of(uid);
    let c = good(&format!(
        "[operators.me]\nunix_user = {account:?}\nrole = \"admin\"\n[operators.nobody-here]\nunix_user = \"4199999999\""
    ));
    assert_eq!(c.operator_of_uid(uid).map(|(n, o)| (n.as_str(), o.role)), Some(("me", Role::Admin)));
    assert_eq!(c.operator_of_uid(4_199_999_999).map(|(n, _)| n.as_str()), Some("nobody-here"));
    assert_eq!(c.operator_of_uid(4_199_999_998), None);
}

/// A folder with a configuration that only its owner can write.
fn folder() -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("portreeve.toml");
    fs::write(&path, super::filled(SMALL)).unwrap();
    mode(&path, 0o644);
    mode(dir.path(), 0o755);
    (dir, path)
}

fn mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn a_file_or_folder_that_others_can_write_is_refused_as_sshd_would() {
    let (dir, path) = folder();
    assert!(Config::load(&path).is_ok());
    for file_mode in [0o664, 0o646] {
        mode(&path, file_mode);
        let told = Config::load(&path).unwrap_err().to_string();
        assert!(told.contains(&format!("(mode {file_mode:04o})")), "{told}");
        assert!(told.contains(&format!("chmod go-w {}", path.display())), "{told}");
    }
    mode(&path, 0o644);
    mode(dir.path(), 0o775);
    let told = Config::load(&path).unwrap_err().to_string();
    assert!(told.contains("folder can be written by others"), "{told}");

    // A link in a safe folder to a file in an unsafe one is as unsafe.
    let safe = tempfile::tempdir().unwrap();
    mode(safe.path(), 0o700);
    let link = safe.path().join("portreeve.toml");
    std::os::unix::fs::symlink(&path, &link).unwrap();
    assert!(Config::load(&link).is_err());
}

#[test]
fn problems_of_file_and_text_are_told_together() {
    let (_dir, path) = folder();
    fs::write(&path, "[ssh]\nlisten = 22\n[teams.x]\nbind = \"gatway\"\n").unwrap();
    mode(&path, 0o666);
    let e = Config::load(&path).unwrap_err();
    assert_eq!(e.problems.len(), 4, "{e}");
    assert_eq!(e.problems.iter().map(|p| p.line).collect::<Vec<_>>(), [0, 2, 3, 4]);
}

#[test]
fn a_file_that_cannot_be_read_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("none.toml");
    let told = Config::load(&path).unwrap_err().to_string();
    assert!(told.starts_with(&format!("{}: the configuration cannot be read", path.display())), "{told}");
    assert!(told.contains("--config"), "{told}");
    let told = Config::load(dir.path()).unwrap_err().to_string();
    assert!(told.contains("cannot be read"), "{told}");
    fs::write(&path, b"[ssh]\nlisten = \"\xff\"\n").unwrap();
    let told = Config::load(&path).unwrap_err().to_string();
    assert!(told.contains("line 2 is not UTF-8"), "{told}");
}
