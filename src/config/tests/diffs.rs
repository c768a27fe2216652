use super::super::*;
use super::good;

const BEFORE: &str = r#"
[teams.iot]
ports = "20200-20299"
[teams.pay]
ports = "20100-20199"
bind = "gateway"
visitors = ["10.0.0.0/8", "192.168.0.0/16"]
[hosts.db]
team = "pay"
keys = ["@PAY_DB", "@ECDSA"]
ports = { ssh = 20122, sql = 20132 }
[hosts.gw]
team = "iot"
keys = ["@PAY_WEB"]
[operators.alice]
keys = ["@ALICE"]
role = "operator"
teams = ["pay"]
"#;

/// The diff that replacing parts of the text makes.
fn diff(changes: &[(&str, &str)]) -> Diff {
    let mut text = BEFORE.to_owned();
    for (from, to) in changes {
        assert!(text.contains(from), "{from}");
        text = text.replacen(from, to, 1);
    }
    Diff::between(&good(BEFORE), &good(&text))
}

#[test]
fn the_same_file_read_again_is_no_difference() {
    let d = diff(&[]);
    assert!(d.is_empty() && d.sentences().is_empty() && d.needs_restart().is_empty(), "{d:?}");
    // Nor is another order of keys, visitors or services, or another comment.
    let d = diff(&[
        ("\"@PAY_DB\", \"@ECDSA\"", "\"@ECDSA\", \"@PAY_DB\""),
        ("\"10.0.0.0/8\", \"192.168.0.0/16\"", "\"192.168.0.0/16\", \"10.0.0.0/8\""),
        ("ssh = 20122, sql = 20132", "sql = 20132, ssh = 20122"),
        ("@ALICE", "@ALICE at home"),
    ]);
    assert!(d.is_empty(), "{d:?}");
}

#[test]
fn a_key_taken_away_is_the_only_thing_touched() {
    let d = diff(&[("\"@PAY_DB\", \"@ECDSA\"", "\"@ECDSA\"")]);
    let gone = good(BEFORE).hosts.get("db").unwrap().keys.first().unwrap().fingerprint.clone();
    let [db] = d.hosts_changed.as_slice() else { panic!("{d:?}") };
    assert_eq!(db.keys_removed, std::slice::from_ref(&gone));
    assert!(db.keys_added.is_empty() && db.team.is_none() && db.ports_removed.is_empty());
    assert_eq!(d.sentences(), [format!("host db: key {gone} removed")]);
}

#[test]
fn ports_checks_and_team_of_a_host() {
    let d = diff(&[(
        "{ ssh = 20122, sql = 20132 }",
        "{ ssh = { port = 20122, rise = 5 }, sql = 20133 }\ncheck = \"none\"",
    )]);
    assert_eq!(
        d.sentences(),
        [
            "host db: port 20132 (sql) removed",
            "host db: port 20133 (sql) added",
            "host db: name or check of port 20122 changed",
            "host db: check of its other ports changed",
        ]
    );
    let d = diff(&[("team = \"iot\"", "team = \"pay\"")]);
    assert_eq!(d.sentences(), ["host gw moved from team iot to team pay"]);
}

#[test]
fn policy_of_a_team() {
    let d = diff(&[
        ("\"gateway\"", "\"loopback\""),
        ("\"192.168.0.0/16\"", "\"172.16.0.0/12\""),
        ("\"20100-20199\"", "[\"20100-20150\", \"20300\"]"),
    ]);
    assert_eq!(
        d.sentences(),
        [
            "team pay: bind gateway → loopback",
            "team pay: visitors from 192.168.0.0/16 no longer let in",
            "team pay: visitors from 172.16.0.0/12 let in",
            "team pay: ports 20100-20199 → 20100-20150, 20300",
        ]
    );
    assert!(d.hosts_changed.is_empty());
}

#[test]
fn operators_come_go_and_change() {
    let d = diff(&[("role = \"operator\"\nteams = [\"pay\"]", "role = \"viewer\"\nunix_user = \"alice\"")]);
    assert_eq!(
        d.sentences(),
        [
            "operator alice: role operator → viewer",
            "operator alice: teams pay → all",
            "operator alice: unix_user none → alice",
        ]
    );
    let d = diff(&[("[operators.alice]", "[operators.bob]")]);
    assert_eq!((d.operators_added.len(), d.operators_removed.len(), d.operators_changed.len()), (1, 1, 0));
    assert_eq!(d.sentences(), ["operator bob added", "operator alice removed"]);
}

#[test]
fn hosts_and_teams_come_and_go() {
    let d =
        diff(&[("[hosts.gw]", "[hosts.gw2]"), ("[teams.iot]", "[teams.iot2]"), ("team = \"iot\"", "team = \"iot2\"")]);
    assert_eq!(d.sentences(), ["team iot2 added", "team iot removed", "host gw2 added", "host gw removed"]);
}

#[test]
fn settings_say_whether_they_wait_for_a_restart() {
    let after = format!(
        "[ssh]\nlisten = [\"0.0.0.0:22\", \"[::]:22\"]\ndrain = \"1m 30s\"\n[audit]\ndir = \"/srv/audit\"\n[bastion]\nname = \"b\"\n[relay]\nvisitor_memory = \"1MiB\"\n{BEFORE}"
    );
    let (old, new) = (good(&format!("[bastion]\nname = \"a\"\n{BEFORE}")), good(&after));
    let d = Diff::between(&old, &new);
    let restart = [
        "ssh.listen: 127.0.0.1:2222 → 0.0.0.0:22, [::]:22, at the next start",
        "audit.dir: /etc/portreeve/audit → /srv/audit, at the next start",
    ];
    assert_eq!(d.needs_restart(), restart);
    let at_once = ["bastion.name: a → b", "ssh.drain: 5s → 1m 30s", "relay.visitor_memory: 256KiB → 1MiB"];
    assert_eq!(d.sentences(), [at_once.as_slice(), restart.as_slice()].concat());

    // What runs on keeps its old listeners, and the next reload tells again what waits.
    let kept = new.clone().with_running(&old);
    assert_eq!(kept.ssh.listen, old.ssh.listen);
    assert_eq!(kept.ssh.drain, new.ssh.drain);
    assert_eq!(Diff::between(&kept, &new).sentences(), restart);
}

#[test]
fn rules_of_actions_and_times_without_a_key_hold_at_once() {
    let rules =
        "[actions.revoke]\nrole = \"admin\"\ntwo_person = [\"team\", \"ca\"]\n[actions.reload]\ntwo_person = true\n";
    let text = format!("[control]\nidle_lock = \"10m\"\nidle_logout = \"8h\"\n{rules}{BEFORE}");
    let (old, new) = (good(BEFORE), good(&text));
    let changes = [
        "action revoke: role operator → admin",
        "action revoke: two_person false → ca, team",
        "action reload: two_person false → true",
        "control.idle_lock: off → 10m",
        "control.idle_logout: off → 8h",
    ];
    assert_eq!(Diff::between(&old, &new).sentences(), changes);
    assert!(Diff::between(&new.clone().with_running(&old), &new).is_empty(), "none of it waits for a restart");
    assert!(new.two_person("revoke", Some("team")) && !new.two_person("revoke", Some("host")));
    assert!(new.two_person("reload", None) && !new.two_person("assign", None));
    let off = good(&format!("[control]\nidle_lock = \"off\"\n{BEFORE}"));
    assert!(Diff::between(&old, &off).is_empty());
}
