//! `portreeve enroll`: from a host in the configuration to a tunnel that is up, by what it prints alone.

use crate::common::bastion::Bastion;
use crate::common::services::{hear, says};
use crate::common::supervised::Group;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};

/// Runs the script with its folder and its unit elsewhere, and without the commands that change a machine.
fn run(script: &str, root: &Path) -> Output {
    let bin = root.join("bin");
    std::fs::create_dir_all(&bin).unwrap();
    for name in ["useradd", "chown", "systemctl", "id"] {
        let stub = bin.join(name);
        std::fs::write(&stub, format!("#!/bin/sh\necho \"{name} $*\" >>{}\n", root.join("done").display())).unwrap();
        std::fs::set_permissions(&stub, std::fs::Permissions::from_mode(0o755)).unwrap();
    }
    let script = script
        .replace("/etc/systemd/system/", &format!("{}/", root.display()))
        .replace("/etc/portreeve-tunnel", &root.join("tunnel").display().to_string());
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
    Command::new("sh").args(["-c", &script]).env("PATH", path).output().unwrap()
}

#[test]
fn the_script_makes_a_host_dial_and_says_which_key_is_missing() {
    let b = Bastion::builder().team("pay", 4).host("pay-01", "pay").operator("vera", "viewer", &["pay"]).start();
    let enroll = || {
        let out = b.cli(&["enroll", "pay-01", "--service", "ssh", "--reason", "new machine"]);
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
        (String::from_utf8(out.stdout).unwrap(), String::from_utf8(out.stderr).unwrap())
    };
    let (script, said) = enroll();
    let port = b.port("pay", 0);
    assert!(said.contains(&port.to_string()), "{said}");
    let lease = b.wait_event("lease.granted", "pay-01");
    assert_eq!(
        (&lease["port"], &lease["kind"], &lease["reason"]),
        (&port.into(), &"assigned".into(), &"new machine".into())
    );
    // Once more: the same port, and nothing new.
    assert_eq!(enroll().0, script);
    assert_eq!(b.audit().iter().filter(|e| e["event"] == "lease.granted").count(), 1);

    // A machine without a key makes one, and is told where it belongs; nothing is started.
    let fresh = b.dir().join("fresh");
    let out = run(&script, &fresh);
    let (key, told) = (String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr));
    assert!(!out.status.success() && told.contains("put this key into [hosts.pay-01]"), "{told}");
    assert!(key.starts_with("ssh-ed25519 ") && key.trim().ends_with(" pay-01"), "{key}");
    let done = std::fs::read_to_string(fresh.join("done")).unwrap();
    assert!(!done.contains("systemctl"), "{done}");
    b.rewrite(|t| t.replacen("\nkeys = [\"", &format!("\nkeys = [\"{}\", \"", key.trim()), 1));
    assert!(b.cli(&["reload", "--yes"]).status.success());
    let out = run(&enroll().0, &fresh);
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    let done = std::fs::read_to_string(fresh.join("done")).unwrap();
    assert!(done.contains("systemctl enable --now portreeve-tunnel"), "{done}");

    // What it wrote brings the tunnel up, as it is but for the port of the service.
    let config = fresh.join("tunnel/ssh_config");
    let text = std::fs::read_to_string(&config).unwrap();
    let service = says("enrolled");
    std::fs::write(&config, text.replace("localhost:22", &service.to_string())).unwrap();
    let mut ssh = Command::new("ssh");
    ssh.args(["-N", "-F"]).arg(&config).arg("bastion");
    let _ssh = Group::start("the host", ssh);
    b.wait_tunnel(port, "up", |t| !t["session"].is_null());
    assert_eq!(hear(port), "enrolled");

    let out = b.ssh("vera").run(&["enroll", "pay-01", "--service", "web"]);
    assert_eq!(out.status.code(), Some(4), "{}", String::from_utf8_lossy(&out.stderr));
    assert!(!b.cli(&["enroll", "nobody"]).status.success());
}
