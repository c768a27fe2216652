use super::*;
use std::path::Path;
use std::process::Command;

fn keygen(dir: &Path, args: &[&str]) {
    let out = Command::new("ssh-keygen").current_dir(dir).args(args).output().unwrap();
    assert!(out.status.success(), "ssh-keygen {args:?}: {}", String::from_utf8_lossy(&out.stderr));
}

fn print(dir: &Path, file: &str) -> String {
    let out = Command::new("ssh-keygen").current_dir(dir).args(["-lf", file]).output().unwrap();
    String::from_utf8(out.stdout).unwrap().split_whitespace().nth(1).unwrap().to_owned()
}

/// A list of everything that ssh-keygen can put into one, and the folder with its keys.
fn full() -> (tempfile::TempDir, Vec<u8>) {
    let dir = tempfile::tempdir().unwrap();
    for name in ["ca", "plain", "byhash", "bysha1"] {
        keygen(dir.path(), &["-q", "-t", "ed25519", "-N", "", "-f", name, "-C", name]);
    }
    let line = |name: &str| std::fs::read_to_string(dir.path().join(format!("{name}.pub"))).unwrap();
    // Numbers near each other become a bitmap, some a list, some a range.
    let numbers: String = (1_000..1_400).step_by(3).map(|n| format!("serial: {n}\n")).collect();
    let spec = format!(
        "serial: 17\nserial: 5000-9000\n{numbers}serial: 18446744073709551615\nid: alice the first\nid: bob\n\
         key: {}sha256: {}sha1: {}",
        line("plain"),
        line("byhash"),
        line("bysha1"),
    );
    std::fs::write(dir.path().join("spec"), spec).unwrap();
    keygen(dir.path(), &["-q", "-k", "-f", "krl", "-s", "ca.pub", "-z", "42", "spec"]);
    let bytes = std::fs::read(dir.path().join("krl")).unwrap();
    (dir, bytes)
}

#[test]
fn what_ssh_keygen_writes_is_read() {
    let (dir, bytes) = full();
    let content = read(&bytes).unwrap();
    let ca = print(dir.path(), "ca.pub");
    let names = |serial: u64, id: &str| content.certificates.iter().any(|c| c.names(&ca, serial, id));
    for revoked in [17, 1_000, 1_003, 1_396, 1_399, 5_000, 7_123, 9_000, u64::MAX] {
        assert!(names(revoked, "x"), "{revoked}");
    }
    for good in [0, 1, 16, 18, 999, 1_001, 1_398, 1_400, 4_999, 9_001, u64::MAX - 1] {
        assert!(!names(good, "x"), "{good}");
    }
    assert!(names(1, "alice the first") && names(0, "bob") && !names(1, "alice"));
    assert!(!content.certificates.iter().any(|c| c.names("SHA256:another", 17, "bob")), "another CA's");
    assert!(content.keys.contains(&print(dir.path(), "plain.pub")));
    assert!(content.keys.contains(&print(dir.path(), "byhash.pub")));
    assert_eq!((content.keys.len(), content.keys_sha1.len()), (2, 1));
    assert!(content.certificates.iter().map(OfCa::len).sum::<usize>() > 130);
}

#[test]
fn certificates_may_be_revoked_of_any_ca() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("spec"), "id: bob\nserial: 3\n").unwrap();
    keygen(dir.path(), &["-q", "-k", "-f", "krl", "-s", "none", "spec"]);
    let content = read(&std::fs::read(dir.path().join("krl")).unwrap()).unwrap();
    assert!(content.certificates.iter().any(|c| c.names("SHA256:whichever", 3, "")));
    assert!(content.certificates.iter().any(|c| c.names("SHA256:whichever", 0, "bob")));
}

/// However it is cut or changed, it is read or refused: never a panic, and a cut list is never good.
#[test]
fn a_damaged_list_is_refused_or_read_and_never_worse() {
    let (_dir, bytes) = full();
    let whole = read(&bytes).unwrap();
    let ends: Vec<usize> = (0..bytes.len()).filter(|n| read(&bytes[..*n]).is_ok()).collect();
    // Cut just behind a section it reads like a shorter list: nothing in the format says how long it is.
    assert!(ends.len() <= 5, "{ends:?}");
    let mut refused = 0;
    for at in 0..bytes.len() {
        for bit in 0..8 {
            let mut broken = bytes.clone();
            broken[at] ^= 1 << bit;
            refused += usize::from(read(&broken).is_err());
        }
    }
    assert!(refused > 500, "{refused}");
    let mut longer = bytes.clone();
    longer.push(0);
    assert!(read(&longer).is_err());
    assert_eq!(read(&bytes).unwrap(), whole);
}

#[test]
fn what_is_not_understood_is_refused() {
    let head = |rest: &[u8]| [MAGIC, &1_u32.to_be_bytes(), &[0; 24], &[0; 8], rest].concat();
    assert_eq!(read(&head(&[])).unwrap(), Content::default());
    let section = |kind: u8, body: &[u8]| {
        let n = u32::try_from(body.len()).unwrap().to_be_bytes();
        [&[kind][..], &n, body].concat()
    };
    let string = |s: &[u8]| [&u32::try_from(s.len()).unwrap().to_be_bytes()[..], s].concat();
    let extension = |critical: u8| [string(b"x@y"), vec![critical], string(b"")].concat();
    let of_ca = |inner: &[u8]| section(1, &[string(b""), string(b""), inner.to_vec()].concat());
    for (bad, why) in [
        (section(9, b""), "unknown type 9"),
        (section(3, &string(&[0; 19])), "SHA-1 fingerprint of another length"),
        (section(5, &string(&[0; 31])), "SHA-256 fingerprint of another length"),
        (section(255, &extension(1)), "critical extension x@y"),
        (of_ca(&section(0x39, &extension(1))), "critical extension x@y"),
        (of_ca(&section(0x30, b"")), "unknown type 48"),
        (of_ca(&section(0x21, &[[0; 7].as_slice(), &[9], &[0; 7], &[8]].concat())), "ends before it begins (9-8)"),
        (of_ca(&section(0x21, &[0; 17])), "bytes too many"),
        (of_ca(&section(0x20, &[0; 9])), "cut short"),
    ] {
        let told = read(&head(&bad)).unwrap_err();
        assert!(told.contains(why), "{why}: {told}");
    }
    for good in [section(255, &extension(0)), of_ca(&section(0x39, &extension(0))), section(4, b"anything")] {
        assert!(read(&head(&good)).is_ok());
    }
    let told = read(&[MAGIC, &2_u32.to_be_bytes(), &[0; 32]].concat()).unwrap_err();
    assert!(told.contains("format 2"), "{told}");
}
