use super::super::*;
use super::filled;
use std::path::Path;

/// One mistake and what its author is told.
struct Case {
    /// The file.
    text: &'static str,
    /// Line and column.
    at: (usize, usize),
    /// Part of what is said to be wrong.
    what: &'static str,
    /// Part of what is said to be done.
    remedy: &'static str,
}

const fn case(text: &'static str, at: (usize, usize), what: &'static str, remedy: &'static str) -> Case {
    Case { text, at, what, remedy }
}

/// Asserts that each text has this one problem, and no other in its wake.
fn check(cases: &[Case]) {
    for c in cases {
        let text = filled(c.text);
        let Err(e) = Config::parse(&text, Path::new("portreeve.toml")) else { panic!("accepted:\n{}", c.text) };
        let [p] = e.problems.as_slice() else { panic!("more than one problem in\n{}\n{e}", c.text) };
        let told = e.to_string();
        assert_eq!((p.line, p.column), c.at, "{}\n{told}", c.text);
        assert!(p.what.contains(c.what), "{:?} not in\n{told}", c.what);
        assert!(p.remedy.contains(c.remedy), "{:?} not in\n{told}", c.remedy);
        assert!(told.starts_with(&format!("portreeve.toml:{}:{}: ", p.line, p.column)), "{told}");
        assert!(told.ends_with(&format!("\n    {}", p.remedy)), "{told}");
    }
}

const TEAM: &str = "[teams.pay]\nports = \"20100-20199\"\n";

#[test]
fn unknown_keys_come_with_the_key_that_was_meant() {
    check(&[
        case("[shs]\nlisten = \"127.0.0.1:1\"", (1, 2), "`shs` is not a section", "did you mean `ssh`?"),
        case("listen = \"127.0.0.1:1\"", (1, 1), "`listen` is not a section", "`listen` belongs in [ssh]"),
        case("ssh = 22", (1, 1), "`ssh` must be a section, not a number", "write [ssh]"),
        case(
            "[ssh]\n\nkeepalive-interval = \"15s\"",
            (3, 1),
            "is not a key of [ssh]",
            "did you mean `keepalive_interval`?",
        ),
        case("[relay]\nquux = 1", (2, 1), "`quux` is not a key of [relay]", "visitor_memory, visitor_spill"),
        case(
            "[teams.pay]\nports = \"1-2\"\nvisitor = []",
            (3, 1),
            "is not a key of [teams.pay]",
            "did you mean `visitors`?",
        ),
        case(
            "[teams.pay]\nports = \"20100-20199\"\n[hosts.db]\nteam = \"pay\"\nkey = \"x\"\nkeys = \"@PAY_DB\"",
            (5, 1),
            "`key` is not a key of [hosts.db]",
            "did you mean `keys`?",
        ),
        case(
            "[teams.pay]\nports = \"1-2\"\n[hosts.db]\nteam = \"pay\"\nkeys = \"@PAY_DB\"\nports = { web = { port = 1, chek = \"http\" } }",
            (6, 29),
            "`chek` is not a key of [hosts.db.ports.web]",
            "did you mean `check`?",
        ),
        case(
            "[operators.al]\nunix_user = \"al\"\nrole = \"admni\"",
            (3, 8),
            "cannot be \"admni\"",
            "did you mean \"admin\"? write one of \"viewer\"",
        ),
    ]);
}

#[test]
fn a_dotted_name_without_quotes_is_explained() {
    let text = filled("[teams.pay]\nports = \"1-2\"\n[hosts.pay.db]\nteam = \"pay\"\nkeys = \"@PAY_DB\"");
    let told = Config::parse(&text, Path::new("portreeve.toml")).unwrap_err().to_string();
    assert!(told.contains("a name with a dot needs quotes: [hosts.\"pay.db\"]"), "{told}");
}

#[test]
fn what_is_not_toml_is_shown_with_its_line() {
    check(&[
        case("[ssh]\nlisten = 127.0.0.1:2222", (2, 15), "this is not TOML", "text in double quotes"),
        case("[ssh]\nlisten = \"127.0.0.1:2222", (2, 25), "this is not TOML", "closed on its own line"),
        case("[ssh]\ndrain = \"1s\"\ndrain = \"2s\"", (3, 1), "duplicate key", "already set above"),
        case("[hosts.x]\n[hosts.x]\n", (2, 8), "duplicate key", "already set above"),
    ]);
    let told = Config::parse("[ssh]\n  drain 5\n", Path::new("portreeve.toml")).unwrap_err().to_string();
    assert!(told.contains("\n    |   drain 5\n    | "), "{told}");
}

#[test]
fn settings_out_of_sense() {
    check(&[
        case(
            "[ssh]\nlisten = \"localhost:22\"",
            (2, 10),
            "host names are not looked up",
            "write the IP address itself",
        ),
        case("[ssh]\nlisten = [\"0.0.0.0:22\", \"[::]\"]", (2, 25), "has no port", "\"[::]:2222\""),
        case("[ssh]\nlisten = []", (2, 10), "`ssh.listen` is empty", "0.0.0.0:2222"),
        case("[ssh]\nlisten = [\"[::]:22\", \"[::]:22\"]", (2, 22), "[::]:22 twice", "keep one"),
        case("[ssh]\nkeepalive_interval = \"0s\"", (2, 22), "zero", "1ms"),
        case("[ssh]\nkeepalive_interval = \"100ms\"", (2, 22), "below a second", "\"15s\" suits"),
        case("[ssh]\nkeepalive_interval = 15", (2, 22), "must be a string in quotes, not a number", "\"15s\""),
        case("[ssh]\nkeepalive_interval = \"15\"", (2, 22), "is not a duration", "a number and a unit"),
        case("[ssh]\nkeepalive_count = 0", (2, 19), "is 0, outside 1 to 100", "whole number"),
        case("[ssh]\nmax_unauthenticated = -5", (2, 23), "is -5, outside 1", "whole number"),
        case("[ssh]\nmax_startups = \"10:30\"", (2, 16), "one number or three", "\"100:30:400\""),
        case("[ssh]\nmax_startups = \"60:30:10\"", (2, 16), "first is more than the last", "100:30:400"),
        case("[ssh]\nmax_startups = \"10\"\nmax_unauthenticated = 5", (3, 23), "two things", "the older way"),
        case("[sources]\nallow = []", (2, 9), "nobody could connect", "leave the key out"),
        case("[sources]\npenalty_max = \"5s\"", (2, 15), "less than `sources.penalty_min`", "penalties = false"),
        case("[sources]\npenalties = \"no\"", (2, 13), "must be true or false", "without quotes"),
        case("[sources]\nipv6_prefix = 129", (2, 15), "outside 1 to 128", "whole number"),
        case("[ssh]\nmax_auth_attempts = \"6\"", (2, 21), "must be a number, not a string", "whole number"),
        case("[ssh]\nhost_keys = []", (2, 13), "`ssh.host_keys` is empty", "made at the first start"),
        case("[ssh]\nhost_keys = [\"a\", \"./a\"]", (2, 19), "twice", "keep one"),
        case("[ssh]\nhost_keys = \"~/key\"", (2, 13), "is not expanded", "write the whole path"),
        case("[ssh]\ndrain = \"2days\"", (2, 9), "longer than a day", "24h"),
        case("[bastion]\nname = \"a\\u001bb\"", (2, 8), "characters that can be seen", "short name"),
        case("[bastion]\nstate = \"\"", (2, 9), "the path is empty", "leave the key out"),
        case("[control]\ngroup = \"\"", (2, 9), "is empty", "leave the key out"),
        case(
            "[control]\nsocket = \"/0123456789/0123456789/0123456789/0123456789/0123456789/0123456789/0123456789/0123456789/0123456789/012345678\"",
            (2, 10),
            "at most 107",
            "/run/portreeve/control.sock",
        ),
        case("[log]\nlevel = \"loud\"", (2, 9), "\"loud\" is not a level", "warn, info"),
        case("[log]\nlevel = \"info,portreeve=loud\"", (2, 9), "cannot be", "info,portreeve=debug"),
        case("[relay]\nvisitor_memory = \"256KB\"", (2, 18), "\"kb\" is not a unit", "\"256KiB\""),
        case("[relay]\nvisitor_memory = 262144", (2, 18), "must be a string", "\"256KiB\""),
        case("[relay]\nvisitor_spill = \"0B\"", (2, 17), "zero", "whole number"),
        case("[relay]\ntotal_spill = \"1MiB\"", (2, 15), "less than `relay.visitor_spill`", "raise total_spill"),
        case("[health]\ninterval = \"3s\"", (2, 12), "may take 5s but the next one begins after 3s", "at most as long"),
        case("[health]\nrise = 0", (2, 8), "outside 1 to 100", "whole number"),
    ]);
}

#[test]
fn ports_and_ranges() {
    check(&[
        case("[teams.pay]", (1, 8), "[teams.pay] has no `ports`", "ports = \"20100-20199\""),
        case("[teams.pay]\nports = []", (2, 9), "is empty", "ports = \"20100-20199\""),
        case("[teams.pay]\nports = 20100", (2, 9), "must be a string in quotes", "ports = \"20100-20199\""),
        case("[teams.pay]\nports = \"20199-20100\"", (2, 9), "runs backwards", "20100-20199"),
        case("[teams.pay]\nports = \"20100-99999\"", (2, 9), "99999 is not a TCP port", "20100-20199"),
        case("[teams.pay]\nports = [\"a\"]", (2, 10), "is not a port or a range", "20100-20199"),
        case(
            "[teams.pay]\nports = [\"100-200\", \"150-250\"]",
            (2, 21),
            "ports 150-250 of team pay overlap its own 100-200 (line 2)",
            "take 150-200 out",
        ),
        // In the order of the file, whatever the names: the later one is told, the earlier one named.
        case(
            "[teams.z]\nports = \"100-200\"\n[teams.a]\nports = \"200-300\"",
            (4, 9),
            "ports 200-300 of team a overlap 100-200 of team z (line 2)",
            "take 200 out",
        ),
        case(
            "[ssh]\nlisten = \"0.0.0.0:2222\"\n[teams.pay]\nports = \"2200-2300\"",
            (4, 9),
            "include 2222, where the SSH server itself listens",
            "take 2222 out",
        ),
    ]);
    let host = |ports: &str| format!("{TEAM}[hosts.db]\nteam = \"pay\"\nkeys = \"@PAY_DB\"\nports = {ports}\n");
    let told = |text: &str| Config::parse(&filled(text), Path::new("p.toml")).unwrap_err();
    for (ports, what, remedy) in [
        ("{ ssh = 30000 }", "port 30000 of host db's ssh is outside the ports of team pay (20100-20199)", "widen"),
        ("{ ssh = 65658 }", "is 65658, outside 1 to 65535", "1 to 65535"),
        ("{ ssh = 0 }", "is 0, outside", "1 to 65535"),
        ("{ ssh = \"20100\" }", "`hosts.db.ports.ssh` must be a number, not a string", "1 to 65535"),
        ("{ ssh = { check = \"ssh\" } }", "[hosts.db.ports.ssh] has no `port`", "port = 20122"),
        ("{ ssh = { port = 20100, check = \"shh\" } }", "cannot be \"shh\"", "did you mean \"ssh\"?"),
        ("{ web = { port = 20100, timeout = \"1m\" } }", "may take 1m but the next one begins after 30s", "at most"),
        ("{ \"a b\" = 20100 }", "cannot be a service's name", "another name"),
        ("{ ssh = 20100, web = 20100 }", "port 20100 of host db's web is already its ssh (line 6)", "its own"),
        ("[20100]", "must be a table, not a list", "name each port"),
    ] {
        let e = told(&host(ports));
        assert_eq!(e.problems.len(), 1, "{e}");
        let p = e.problems.first().unwrap();
        assert!(p.line == 6 && p.what.contains(what) && p.remedy.contains(remedy), "{e}");
    }
    let two = format!(
        "{}[hosts.web]\nteam = \"pay\"\nkeys = \"@PAY_WEB\"\nports = {{ http = 20122 }}",
        host("{ ssh = 20122 }")
    );
    let e = told(&two);
    assert_eq!(e.problems.len(), 1, "{e}");
    let p = e.problems.first().unwrap();
    assert_eq!((p.line, p.column), (10, 18));
    assert_eq!(p.what, "port 20122 of host web's http is already host db's ssh (line 6)");
}

#[test]
fn teams_hosts_and_operators() {
    check(&[
        case("[teams.\"a b\"]\nports = \"1-2\"", (1, 8), "\"a b\" cannot be a team's name", "another name"),
        case("[hosts]\ndb = 5", (2, 6), "`hosts.db` must be a section", "write [hosts.db]"),
        case(
            "[teams.pay]\nports = \"1-2\"\n[hosts.db]\nteam = \"pya\"\nkeys = \"@PAY_DB\"",
            (4, 8),
            "host db names the team \"pya\", which does not exist",
            "did you mean \"pay\"?",
        ),
        case(
            "[operators.al]\nunix_user = \"al\"\nteams = [\"iot\"]",
            (3, 10),
            "operator al names the team \"iot\"",
            "add [teams.iot]",
        ),
        case("[teams.pay]\nports = \"1\"\n[hosts.db]\nkeys = \"@PAY_DB\"", (3, 8), "has no `team`", "team = "),
        case(
            "[teams.pay]\nports = \"1\"\n[hosts.db]\nteam = \"pay\"",
            (3, 8),
            "has neither keys nor principals",
            "keys = [",
        ),
        case(
            "[teams.pay]\nports = \"1\"\n[hosts.db]\nteam = \"pay\"\nkeys = []",
            (5, 8),
            "could not sign in",
            "keys = [",
        ),
        case("[operators.al]", (1, 12), "neither keys nor principals nor unix_user", "unix_user"),
        case("[operators.al]\nunix_user = \"al\"\nteams = []", (3, 9), "would see nothing", "leave the key out"),
        case(
            "[teams.pay]\nports = \"1\"\n[operators.al]\nunix_user = \"al\"\nrole = \"admin\"\nteams = \"pay\"",
            (6, 9),
            "an admin, who acts on every team",
            "role = \"operator\"",
        ),
        case(
            "[operators.zoe]\nunix_user = \"ops\"\n[operators.al]\nunix_user = \"ops\"",
            (4, 13),
            "operators zoe (line 2) and al have the same unix_user \"ops\"",
            "one operator",
        ),
        case(
            "[teams.pay]\nports = \"1\"\nbind = \"gateway\"",
            (3, 8),
            "would be open and let nobody in",
            "\"0.0.0.0/0\"",
        ),
        case(
            "[teams.pay]\nports = \"1\"\nbind = \"gateway\"\nvisitors = [\"10.1.2.3/16\"]",
            (4, 13),
            "bits set beyond its prefix",
            "\"10.1.0.0/16\"",
        ),
        case("[teams.pay]\nports = \"1\"\nvisitors = \"10.0.0.0/99\"", (3, 12), "is not a network", "\"10.1.0.0/16\""),
        case("[teams.pay]\nports = \"1\"\nvisitors = [\"10.1.2.3\"]", (3, 13), "is an address", "\"10.1.2.3/32\""),
    ]);
}

const TOKEN: &str = "sk-ssh-ed25519@openssh.com AAAAGnNrLXNzaC1lZDI1NTE5QG9wZW5zc2guY29tAAAAIO5Ii7KVi6U8TEV+fCgsoDeHx5tnIPQrV2zzCTZVAoYtAAAABHNzaDo= token";

#[test]
fn keys_of_tokens_are_accepted_where_policy_says_so() {
    let text = |fido: &str| filled(&format!("[trust]\nfido = \"{fido}\"\n[operators.al]\nkeys = \"{TOKEN}\""));
    super::good(&text("accept-unverified"));
    assert!(Config::parse(&text("refuse"), Path::new("p.toml")).is_err());
    let ca = format!("[authorities.ca]\nkeys = \"{TOKEN}\"\nvouches_for = \"hosts\"");
    let e = Config::parse(&filled(&ca), Path::new("p.toml")).unwrap_err();
    assert!(e.to_string().contains("is not accepted as a CA's"), "{e}");
}

#[test]
fn keys_that_may_not_sign_in() {
    const RSA_1024: &str = "ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAAAgQDfmWjnUVtzjgcuuMSnYBSnXhSVbgap2u7V4oKzMInA0aNUiG5dr0EdFYwUFpaf5cAEZGqvEpMqLK/a77XcZaf9XJLYs+PnahbDvjD6JEhxCt6Jd78VRnqCTSHdiGUkzzXmg5SmC12b52v7UPCB1aIp55On6m9B+yTPrAAuyHME8Q== short";
    for (key, what, remedy) in [
        (RSA_1024, "an RSA key of 1024 bits is too short", "ssh-keygen -t ed25519"),
        ("ssh-dss AAAAB3NzaC1kc3M= old", "DSA keys are broken", "ssh-keygen -t ed25519"),
        (TOKEN, "does not show whether it was touched", "ssh-keygen -t ed25519"),
        ("ssh-ed25519-cert-v01@openssh.com AAAA x", "a certificate", ".pub"),
        ("restrict,from=\\\"10.0.0.1\\\" @PAY_DB", "options before a key", "write the key alone"),
        ("from=\\\"10.0.0.0/8, x\\\" @PAY_DB", "\"x\" is neither an address nor a network", "!10.1.9.0/24"),
        ("from=\\\"10.1.2.3/8\\\" @PAY_DB", "has bits set beyond its prefix", "!10.1.9.0/24"),
        ("expiry-time=\\\"soon\\\" @PAY_DB", "no time for expiry-time", "YYYYMMDD"),
        ("expiry-time=\\\"20270101\\\",restrict @PAY_DB", "options beside expiry-time", "by team, ports and role"),
        ("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIO5Ii7KVi6U8TEV", "cannot be read", "cut short"),
        ("ssh-rsa AAAAC3NzaC1lZDI1NTE5AAAAIO5Ii7KVi6U8TEV+fCgsoDeHx5tnIPQrV2zzCTZVAoYt", "cannot be read", "cut short"),
        ("ssh-ed25519", "nothing follows", ".pub"),
        ("hello", "not an OpenSSH public key", ".pub"),
        ("", "an empty string", ".pub"),
        ("@PAY_DB\\n@PAY_WEB", "more than one line", "one string for each key"),
        ("-----BEGIN OPENSSH PRIVATE KEY-----", "this is a private key", "take it out of this file"),
    ] {
        let text = filled(&format!("[operators.al]\nkeys = [\"@ALICE\",\n  \"{key}\"]"));
        let e = Config::parse(&text, Path::new("p.toml")).unwrap_err();
        let [p] = e.problems.as_slice() else { panic!("{e}") };
        assert_eq!((p.line, p.column), (3, 3), "{e}");
        assert!(p.what.contains(what) && p.remedy.contains(remedy), "{e}");
    }
}

#[test]
fn a_key_has_one_owner() {
    let host = "[hosts.db]\nteam = \"pay\"\nkeys = [\"@PAY_DB\"]\n";
    for (rest, at, what) in [
        (
            "[hosts.web]\nteam = \"pay\"\nkeys = \"@PAY_DB other comment\"",
            (8, 8),
            "of host web is also host db's (line 5)",
        ),
        ("[operators.al]\nkeys = [\"@ALICE\", \"@PAY_DB\"]", (7, 101), "of operator al is also host db's (line 5)"),
        ("[operators.al]\nkeys = [\"@ALICE\",\n\"@ALICE\"]", (8, 1), "stands twice in operator al (also line 7)"),
    ] {
        let e = Config::parse(&filled(&format!("{TEAM}{host}{rest}")), Path::new("p.toml")).unwrap_err();
        let [p] = e.problems.as_slice() else { panic!("{e}") };
        assert!(p.what.contains("SHA256:") && p.what.contains(what), "{e}");
        assert_eq!((p.line, p.column.min(at.1)), (at.0, at.1.min(p.column)), "{e}");
    }
}

#[test]
fn every_problem_is_told_in_the_order_of_the_file() {
    let text = "[teams.pay]\nports = \"20100\"\nbind = \"open\"\n[ssh]\nlisten = \"x\"\ndrian = \"1s\"\n[hosts.db]\nteam = \"iot\"\nkeys = \"k\"\n";
    let e = Config::parse(text, Path::new("portreeve.toml")).unwrap_err();
    assert_eq!(e.problems.iter().map(|p| p.line).collect::<Vec<_>>(), [3, 5, 6, 8, 9], "{e}");
    assert_eq!(e.to_string().lines().filter(|l| l.starts_with("portreeve.toml:")).count(), 5);
}

#[test]
fn text_of_the_file_cannot_steer_the_terminal_it_is_told_on() {
    let e = Config::parse("[hosts.\"a\\u001b[2Jb\"]\n[\"x\\u001b[31m\"]\n", Path::new("p.toml")).unwrap_err();
    assert!(!e.to_string().contains('\u{1b}'), "{e:?}");
}

proptest::proptest! {
    /// Whatever is cut out of a good file or put into it, the answer is a configuration or problems with places in it.
    #[test]
    fn a_damaged_file_is_never_a_panic(at in 0_usize..4000, cut in 0_usize..80, put in "[\\[\\]{}\"'=#\n a-z0-9:.가\u{1b}-]{0,8}") {
        let good: Vec<char> = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/contrib/portreeve.toml")).chars().collect();
        let at = at.min(good.len());
        let rest = good.iter().skip((at + cut).min(good.len()));
        let text: String = good.iter().take(at).copied().chain(put.chars()).chain(rest.copied()).collect();
        if let Err(e) = Config::parse(&text, Path::new("p.toml")) {
            proptest::prop_assert!(!e.problems.is_empty());
            for p in &e.problems {
                proptest::prop_assert!(p.line >= 1 && p.line <= text.lines().count() + 1 && p.column >= 1, "{e}");
                proptest::prop_assert!(!p.what.is_empty() && !p.remedy.is_empty());
            }
        }
    }
}

#[test]
fn authorities_and_principals() {
    let base = "[teams.pay]\nports = \"1-2\"\n[hosts.db]\nteam = \"pay\"\nprincipals = \"db\"\n";
    let ca = "[authorities.ca]\nkeys = \"@ALICE\"\nvouches_for = \"hosts\"\n";
    for (rest, at, what, remedy) in [
        ("[authorities.ca]\nkeys = \"@ALICE\"", (6, 14), "has no `vouches_for`", "[\"operators\"] or both"),
        ("[authorities.ca]\nvouches_for = \"hosts\"", (6, 14), "has no `keys`", "give the authority's public keys"),
        ("[authorities.ca]\nkeys = \"@ALICE\"\nvouches_for = []", (8, 15), "would let nobody in", "say what it may"),
        (
            "[authorities.ca]\nkeys = \"@ALICE\"\nvouches_for = \"host\"",
            (8, 15),
            "cannot be \"host\"",
            "did you mean \"hosts\"?",
        ),
        (&format!("{ca}teams = \"pya\""), (9, 9), "authority ca names the team \"pya\"", "did you mean \"pay\"?"),
        (&format!("{ca}teams = []"), (9, 9), "would let nobody in", "leave the key out"),
        (
            &format!("{ca}[operators.al]\nkeys = \"@ALICE\""),
            (7, 8),
            "is also operator al's",
            "signs certificates and nothing else",
        ),
        (
            &format!("{ca}[authorities.b]\nkeys = \"@ALICE\"\nvouches_for = \"hosts\""),
            (10, 8),
            "is also authority ca's",
            "once",
        ),
        (
            "[authorities.ca]\nkeys = \"from=\\\"10.0.0.0/8\\\" @ALICE\"\nvouches_for = \"hosts\"",
            (7, 8),
            "a CA's key has no options",
            "limits are in the certificates",
        ),
        (
            "[operators.al]\nprincipals = \"db\"",
            (7, 14),
            "the principal \"db\" of operator al is also host db's (line 5)",
            "take it out of one",
        ),
        ("[operators.al]\nprincipals = \"a,b\"", (7, 14), "not plain", "one string each"),
    ] {
        let e = Config::parse(&filled(&format!("{base}{rest}")), Path::new("p.toml")).unwrap_err();
        let [p] = e.problems.as_slice() else { panic!("{rest}: {e}") };
        assert_eq!((p.line, p.column), at, "{e}");
        assert!(p.what.contains(what) && p.remedy.contains(remedy), "{e}");
    }
    let team = base.replace("principals = \"db\"", "").replace("ports", "principals = \"team:pay\"\nports");
    super::good(&team);
}

#[test]
fn rules_of_actions_ask_for_more_and_are_of_actions_that_exist() {
    check(&[
        case(
            "[actions.revok]\nrole = \"admin\"",
            (1, 10),
            "not an action that can have rules",
            "did you mean `revoke`?",
        ),
        case(
            "[actions.confirm]\nrole = \"admin\"",
            (1, 10),
            "not an action that can have rules",
            "actions are reconnect",
        ),
        case("[actions]\nrevoke = \"admin\"", (2, 10), "must be a section", "write [actions.revoke]"),
        case("[actions.revoke]\nroles = \"admin\"", (2, 1), "is not a key of [actions.revoke]", "did you mean `role`?"),
        case(
            "[actions.reload]\nrole = \"operator\"",
            (2, 8),
            "is operator, less than what reload needs anyhow (admin)",
            "a rule can only ask for more",
        ),
        case("[actions.revoke]\nrole = \"viewer\"", (2, 8), "is viewer, less than", "write \"operator\" or higher"),
        case(
            "[actions.assign]\ntwo_person = [\"team\"]",
            (2, 14),
            "must be true or false, not a list",
            "write true or",
        ),
        case("[actions.revoke]\ntwo_person = [\"teams\"]", (2, 15), "cannot be \"teams\"", "did you mean \"team\"?"),
        case("[control]\nidle_lock = \"2s\"", (2, 13), "is below 5 seconds", "\"10m\" suits most"),
        case("[control]\nidle_logout = \"never\"", (2, 15), "is not a duration", "such as"),
    ]);
}
