use super::*;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

fn ssh_keygen(args: &[&str], path: &Path) -> String {
    let out = Command::new("ssh-keygen").args(args).arg("-f").arg(path).output().unwrap();
    assert!(out.status.success(), "ssh-keygen {args:?}: {}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8(out.stdout).unwrap()
}

/// A folder that only its owner can write, whatever the umask.
fn folder() -> tempfile::TempDir {
    tempfile::Builder::new().permissions(fs::Permissions::from_mode(0o700)).tempdir().unwrap()
}

#[test]
fn nothing_is_written_into_a_folder_where_the_configuration_would_be_refused() {
    let dir = folder();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o770)).unwrap();
    let told = ensure_for(dir.path(), None, "alice").unwrap_err().to_string();
    assert!(told.contains(&format!("chmod go-w {}", dir.path().display())), "{told}");
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
}

#[test]
fn a_fresh_folder_has_all_a_bastion_needs_and_openssh_reads_it() {
    let dir = folder();
    let data = dir.path().join("deep/portreeve-data");
    let s = ensure_for(&data, None, "alice").unwrap();
    assert!(s.created);
    let mode = |p: &Path| fs::metadata(p).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&data), 0o700);
    assert_eq!(mode(&s.config), 0o600);

    let config = Config::load(&s.config).unwrap();
    assert_eq!(config.ssh.listen, vec![SocketAddr::from((Ipv4Addr::LOCALHOST, s.ssh_port))]);
    let (alice, operator) = config.operators.iter().next().unwrap();
    assert_eq!((alice.as_str(), operator.unix_user.as_deref()), ("alice", Some("alice")));
    assert_eq!(operator.role, crate::model::Role::Admin);

    // Both identities are the ones the configuration lets in, by OpenSSH's own reading of the private halves.
    for (path, owner) in [(&s.operator_identity, "operator alice"), (&s.host_identity, "host first-host")] {
        assert_eq!(mode(path), 0o600);
        let listed = ssh_keygen(&["-l"], path);
        let fingerprint = listed.split_whitespace().nth(1).unwrap();
        assert_eq!(config.principal(fingerprint).unwrap().to_string(), owner);
        let derived = ssh_keygen(&["-y"], path);
        assert_eq!(derived, fs::read_to_string(path.with_extension("pub")).unwrap());
    }
    // ssh finds both host keys in known_hosts for the address it will dial.
    let found = ssh_keygen(&["-F", &format!("[127.0.0.1]:{}", s.ssh_port)], &s.known_hosts);
    for path in &config.ssh.host_keys {
        let public = ssh_keygen(&["-y"], path);
        let body = public.split_whitespace().nth(1).unwrap();
        assert!(found.contains(body), "{found}");
    }
}

#[test]
fn a_second_run_changes_nothing_and_gives_the_same_paths() {
    let dir = folder();
    let first = ensure_for(dir.path(), None, "alice").unwrap();
    let before: std::collections::BTreeMap<PathBuf, Vec<u8>> = fs::read_dir(dir.path())
        .unwrap()
        .map(|e| e.unwrap().path())
        .map(|p| (p.clone(), fs::read(p).unwrap()))
        .collect();
    let second = ensure_for(dir.path(), None, "bob").unwrap();
    assert_eq!(second, Scaffold { created: false, operator: None, ..first });
    for (path, content) in &before {
        assert_eq!(&fs::read(path).unwrap(), content, "{}", path.display());
    }
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), before.len());
}

#[test]
fn an_own_configuration_is_kept_and_its_problems_are_told() {
    let dir = folder();
    let config = dir.path().join("portreeve.toml");
    fs::write(&config, "[ssh]\nlisten = \"127.0.0.1:3022\"\n").unwrap();
    fs::set_permissions(&config, fs::Permissions::from_mode(0o600)).unwrap(); // whatever the umask
    let s = ensure_for(dir.path(), None, "alice").unwrap();
    assert_eq!(s.ssh_port, 3022);
    assert_eq!(s.first_tunnel("127.0.0.1:3022".parse().unwrap()), None, "no first host is configured");
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);

    fs::write(&config, "[ssh]\nlisten = 22\n").unwrap();
    let told = ensure_for(dir.path(), None, "alice").unwrap_err().to_string();
    assert!(told.contains("portreeve.toml:2:10: `ssh.listen` must be a string"), "{told}");
}

#[test]
fn keys_that_are_there_are_used_when_the_configuration_is_missing() {
    let dir = folder();
    ensure_for(dir.path(), None, "alice").unwrap();
    let identity = fs::read(dir.path().join("operator_ed25519")).unwrap();
    fs::remove_file(dir.path().join("portreeve.toml")).unwrap();
    let again = ensure_for(dir.path(), None, "alice").unwrap();
    assert!(again.created);
    assert_eq!(fs::read(&again.operator_identity).unwrap(), identity);
}

#[test]
fn an_account_that_is_no_name_still_makes_an_operator() {
    let dir = folder();
    let s = ensure_for(dir.path(), None, "DOMAIN\\al ice").unwrap();
    let config = Config::load(&s.config).unwrap();
    let (name, operator) = config.operators.iter().next().unwrap();
    assert_eq!((name.as_str(), operator.unix_user.as_deref()), ("operator", Some("DOMAIN\\al ice")));
}

#[test]
fn the_port_of_another_service_is_left_alone() {
    // Whatever holds the first ports (this test, or another program), the port written is one that can be bound.
    let _held = TcpListener::bind((Ipv4Addr::LOCALHOST, FIRST_SSH_PORT));
    let port = free_port();
    assert_ne!(port, FIRST_SSH_PORT);
}

/// How ssh understands a line, without connecting (and without a file of this machine's user).
fn understood(line: &str) -> String {
    let out = Command::new("sh").args(["-c", &line.replacen("ssh ", "ssh -G -F /dev/null ", 1)]).output().unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8(out.stdout).unwrap()
}

#[test]
fn the_first_tunnels_line_is_read_by_a_shell_and_by_ssh_as_it_was_meant() {
    let dir = folder();
    for folder in ["plain", "it's my data", "100%hers, too"] {
        let s = ensure_for(&dir.path().join(folder), None, "alice").unwrap();
        let line = s.first_tunnel(format!("127.0.0.1:{}", s.ssh_port).parse().unwrap()).unwrap();
        assert!(line.starts_with(&format!("ssh -N -p {} -", s.ssh_port)), "{line}");
        let ends = [22, s.ssh_port, 2222].map(|p| format!("-R 20100:localhost:{p} first-host@127.0.0.1"));
        assert!(ends.iter().any(|e| line.ends_with(e)), "{line}");
        let read = understood(&line);
        // `-G` prints an option's path as written and a path of `-i` as found.
        let identity = s.host_identity.display().to_string().replace('%', "%%");
        let known = s.known_hosts.display().to_string().replace('%', "%%");
        for wanted in [
            format!("port {}", s.ssh_port),
            "user first-host".to_owned(),
            "hostname 127.0.0.1".to_owned(),
            format!("identityfile {identity}"),
            "identitiesonly yes".to_owned(),
            "stricthostkeychecking true".to_owned(),
            "exitonforwardfailure yes".to_owned(),
        ] {
            assert!(read.lines().any(|l| l == wanted), "{wanted:?} not in\n{read}");
        }
        assert!(read.lines().any(|l| l.starts_with("remoteforward 20100 [localhost]:")), "{read}");
        let known_line = read.lines().find(|l| l.starts_with("userknownhostsfile ")).unwrap().replace('%', "%%");
        assert_eq!(known_line.replace("%%%%", "%%"), format!("userknownhostsfile {known}"));
    }
}

#[test]
fn paths_under_the_current_folder_are_shown_relative() {
    let here = Path::new("/srv/work");
    assert_eq!(shown_from(here, Path::new("/srv/work/portreeve-data/key")), "portreeve-data/key");
    assert_eq!(shown_from(here, Path::new("/etc/portreeve/key")), "/etc/portreeve/key");
}
