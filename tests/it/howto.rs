//! What `portreeve howto` gives out works on a host as it is.

use crate::common::bastion::Bastion;
use crate::common::supervised::Group;
use std::process::Command;

fn text(b: &Bastion, args: &[&str]) -> String {
    let out = b.cli(args);
    assert!(out.status.success(), "{args:?}: {}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8(out.stdout).unwrap()
}

#[test]
fn the_line_and_the_keys_bring_a_hosts_tunnels_up_and_say_whose_they_are() {
    let b = Bastion::builder()
        .team("pay", 8)
        .host_with("pay-01", "pay", &[("ssh", 0), ("backup", 1)])
        .host("pay-02", "pay")
        .operator("vera", "viewer", &["pay"])
        .start();
    let known = b.dir().join("known");
    std::fs::write(&known, text(&b, &["howto", "pay-01", "--format", "known_hosts"])).unwrap();
    let line = text(&b, &["howto", "pay-01"]);
    assert!(line.contains(&format!("-R {}:localhost:SERVICE_PORT", b.port("pay", 1))), "{line}");

    // What the remarks ask for, and which files this host has.
    let line = line.trim().replace("SERVICE_PORT", "9").replacen(
        "ssh ",
        &format!(
            "ssh -F none -i {} -o IdentitiesOnly=yes -o IdentityAgent=none -o UserKnownHostsFile={} -o StrictHostKeyChecking=yes ",
            b.key("pay-01").display(),
            known.display()
        ),
        1,
    );
    let mut sh = Command::new("sh");
    sh.args(["-c", &line]);
    let _ssh = Group::start("the line of howto", sh);
    b.wait_tunnel(b.port("pay", 0), "up", |t| !t["session"].is_null());
    b.wait_tunnel(b.port("pay", 1), "up", |t| !t["session"].is_null());

    // A port: this one alone. A host without any: one of the bastion's choice.
    let one = text(&b, &["howto", &b.port("pay", 1).to_string(), "--format", "config"]);
    assert_eq!((one.matches("RemoteForward").count(), one.contains("User pay-01\n")), (1, true), "{one}");
    let any = text(&b, &["howto", "pay-02"]);
    assert!(any.contains("-R 0:localhost:22 pay-02@127.0.0.1"), "{any}");
    // Whoever gives a port is told how it is asked for.
    let given = b.cli(&["assign", "pay-02", &b.port("pay", 2).to_string()]);
    let said = String::from_utf8(given.stderr).unwrap();
    assert!(said.contains(&format!("-R {}:localhost:22 pay-02@127.0.0.1", b.port("pay", 2))), "{said}");
    let all = b.json(&["howto", "pay-01"]);
    assert!(all["systemd"].as_str().unwrap().contains("Restart=always"), "{all}");
    assert!(!b.cli(&["howto", "nobody"]).status.success());
}

#[test]
fn a_host_of_another_team_is_not_told_of() {
    let b = Bastion::builder()
        .team("pay", 8)
        .team("iot", 8)
        .host_with("pay-01", "pay", &[("ssh", 0)])
        .operator("iona", "operator", &["iot"])
        .set("bastion", "address = \"bastion.example.net:443\"")
        .start();
    let ssh = |words: &str| {
        let mut c = Command::new("ssh");
        c.args(["-T", "-F", "none", "-q", "-p", &b.address().port().to_string(), "-i"]).arg(b.key("iona"));
        for o in
            ["IdentitiesOnly=yes", "IdentityAgent=none", "StrictHostKeyChecking=no", "UserKnownHostsFile=/dev/null"]
        {
            c.args(["-o", o]);
        }
        let out = c.args(["iona@127.0.0.1", words]).output().unwrap();
        (out.status.success(), String::from_utf8([out.stdout, out.stderr].concat()).unwrap())
    };
    let (ok, said) = ssh("howto pay-01");
    assert!(!ok && said.contains("of a team that is not yours"), "{said}");
    let (ok, said) = ssh(&format!("howto {}", b.port("pay", 0)));
    assert!(!ok && !said.contains("bastion.example.net"), "{said}");
    let line = text(&b, &["howto", "pay-01"]);
    assert!(line.contains("-p 443 ") && line.trim().ends_with("pay-01@bastion.example.net"), "{line}");
}
