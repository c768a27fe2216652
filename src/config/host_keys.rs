//! Private keys in files: made where they are missing, refused where others could have read them.

use super::public_key::RSA_MIN_BITS;
use super::shell::quote;
use ssh_key::getrandom::SysRng;
use ssh_key::private::{KeypairData, RsaKeypair};
use ssh_key::rand_core::UnwrapErr;
use ssh_key::{Algorithm, LineEnding, PrivateKey};
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use thiserror::Error;
use zeroize::Zeroizing;

/// Size of RSA keys made here, in bits: what `ssh-keygen` makes too.
const RSA_BITS: usize = 3072;

/// A private key and its file.
#[derive(Debug, Clone)]
pub struct KeyFile {
    /// The file.
    pub path: PathBuf,
    /// The key.
    pub key: PrivateKey,
    /// Whether it was made just now.
    pub created: bool,
}

impl KeyFile {
    /// The public half as a line of `authorized_keys` or of a `.pub` file, without line end.
    #[must_use]
    pub fn public_line(&self) -> String {
        self.key.public_key().to_openssh().unwrap_or_default()
    }
}

/// Why a private key cannot be used.
#[derive(Debug, Error)]
pub enum HostKeyError {
    /// Reading failed.
    #[error("the private key {path} cannot be read: {error}\n    let the account portreeve runs as own it, with mode 0600", path = path.display())]
    Read {
        /// Which file.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// Writing failed.
    #[error("the private key {path} cannot be written: {error}\n    let the account portreeve runs as write its folder, or make it by hand: ssh-keygen -t {kind} -N '' -f {quoted}", path = path.display(), quoted = quote(&path.to_string_lossy()))]
    Write {
        /// Which file.
        path: PathBuf,
        /// Its type.
        kind: &'static str,
        /// Why.
        error: io::Error,
    },
    /// Somebody else could have read it.
    #[error("the private key {path} can be read by others (mode {mode:04o}), so it is refused, as sshd would\n    chmod 600 {quoted}; and if others did read it, make a new one", path = path.display(), quoted = quote(&path.to_string_lossy()))]
    Exposed {
        /// Which file.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// It is not a private key in OpenSSH's format.
    #[error("{path} is not a private key in OpenSSH's format: {error}\n    an older PEM file is converted by: ssh-keygen -p -f {quoted}", path = path.display(), quoted = quote(&path.to_string_lossy()))]
    Format {
        /// Which file.
        path: PathBuf,
        /// Why.
        error: ssh_key::Error,
    },
    /// It has a passphrase, and nobody is there to type it.
    #[error("the private key {path} has a passphrase, which a daemon cannot be asked for\n    take it off: ssh-keygen -p -N '' -f {quoted}", path = path.display(), quoted = quote(&path.to_string_lossy()))]
    Encrypted {
        /// Which file.
        path: PathBuf,
    },
    /// Its type or length is not fit.
    #[error("the private key {path} is of type {kind}, which portreeve does not use\n    use ed25519, or rsa of at least {RSA_MIN_BITS} bits", path = path.display())]
    Kind {
        /// Which file.
        path: PathBuf,
        /// Its type.
        kind: String,
    },
    /// The key could not be made.
    #[error("a key of type {kind} could not be made: {error}\n    make it by hand: ssh-keygen -t {kind}")]
    Generate {
        /// Its type.
        kind: &'static str,
        /// Why.
        error: ssh_key::Error,
    },
}

/// What kind of key to make.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyKind {
    /// The default.
    Ed25519,
    /// 3072 bits; for clients that know nothing newer. Takes about a second to make.
    Rsa,
}

impl KeyKind {
    /// From a file's name: `ssh_host_rsa_key` is to hold an RSA key; everything else Ed25519.
    fn of_file(path: &Path) -> Self {
        let name = path.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
        if name.contains("rsa") { Self::Rsa } else { Self::Ed25519 }
    }
    fn word(self) -> &'static str {
        match self {
            Self::Ed25519 => "ed25519",
            Self::Rsa => "rsa",
        }
    }
}

/// The server's keys from their files, in their order. A missing file is made: RSA when its name says so, else Ed25519.
///
/// # Errors
/// The first key that cannot be read, is not fit, or can be read by others than its owner.
pub fn ensure(paths: &[PathBuf]) -> Result<Vec<KeyFile>, HostKeyError> {
    paths.iter().map(|path| ensure_one(path, KeyKind::of_file(path), "portreeve host key")).collect()
}

/// One key from its file, made when the file is missing (with a `.pub` beside it).
pub fn ensure_one(path: &Path, kind: KeyKind, comment: &str) -> Result<KeyFile, HostKeyError> {
    match fs::metadata(path) {
        Ok(_) => read(path),
        Err(e) if e.kind() == io::ErrorKind::NotFound => {
            let key = generate(kind, comment)?;
            write(path, &key).map_err(|error| HostKeyError::Write {
                path: path.to_owned(),
                kind: kind.word(),
                error,
            })?;
            Ok(KeyFile { path: path.to_owned(), key, created: true })
        }
        Err(error) => Err(HostKeyError::Read { path: path.to_owned(), error }),
    }
}

fn read(path: &Path) -> Result<KeyFile, HostKeyError> {
    let failed = |error| HostKeyError::Read { path: path.to_owned(), error };
    let mode = fs::metadata(path).map_err(failed)?.permissions().mode() & 0o7777;
    if mode & 0o077 != 0 {
        return Err(HostKeyError::Exposed { path: path.to_owned(), mode });
    }
    // Wiped when dropped, as is what the key's own types hold.
    let text = Zeroizing::new(fs::read(path).map_err(failed)?);
    let key = PrivateKey::from_openssh(&text).map_err(|error| HostKeyError::Format { path: path.to_owned(), error })?;
    if key.is_encrypted() {
        return Err(HostKeyError::Encrypted { path: path.to_owned() });
    }
    match key.key_data() {
        KeypairData::Ed25519(_) | KeypairData::Ecdsa(_) => {}
        KeypairData::Rsa(rsa) if rsa.key_size() >= RSA_MIN_BITS => {}
        KeypairData::Rsa(rsa) => {
            return Err(HostKeyError::Kind {
                path: path.to_owned(),
                kind: format!("rsa with {} bits", rsa.key_size()),
            });
        }
        _ => return Err(HostKeyError::Kind { path: path.to_owned(), kind: key.algorithm().as_str().to_owned() }),
    }
    Ok(KeyFile { path: path.to_owned(), key, created: false })
}

fn generate(kind: KeyKind, comment: &str) -> Result<PrivateKey, HostKeyError> {
    let failed = |error| HostKeyError::Generate { kind: kind.word(), error };
    let mut rng = UnwrapErr(SysRng);
    match kind {
        KeyKind::Ed25519 => {
            let mut key = PrivateKey::random(&mut rng, Algorithm::Ed25519).map_err(failed)?;
            key.set_comment(comment);
            Ok(key)
        }
        KeyKind::Rsa => {
            let pair = RsaKeypair::random(&mut rng, RSA_BITS).map_err(failed)?;
            PrivateKey::new(KeypairData::from(pair), comment).map_err(failed)
        }
    }
}

/// Writes both halves. The private one is complete and private from the moment it has its name, and an existing file
/// is never replaced.
fn write(path: &Path, key: &PrivateKey) -> io::Result<()> {
    let private = key.to_openssh(LineEnding::LF).map_err(io::Error::other)?;
    let public = key.public_key().to_openssh().map_err(io::Error::other)?;
    new_file(path, 0o600, private.as_bytes())?;
    let mut pub_path = path.as_os_str().to_owned();
    pub_path.push(".pub");
    match new_file(Path::new(&pub_path), 0o644, format!("{public}\n").as_bytes()) {
        // The public half of an earlier key: harmless, and not ours to replace.
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        other => other,
    }
}

/// A new file with this content, or an error and no file: written beside its place and linked there, which fails when
/// something stands there already.
pub(super) fn new_file(path: &Path, mode: u32, content: &[u8]) -> io::Result<()> {
    let create = |place: &Path| {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(place)?;
        file.write_all(content)?;
        file.sync_all()
    };
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.new", std::process::id()));
    let draft = path.with_file_name(name);
    let _ = fs::remove_file(&draft);
    let result = create(&draft).and_then(|()| match fs::hard_link(&draft, path) {
        Err(e) if e.kind() != io::ErrorKind::AlreadyExists => create(path), // a file system without links
        other => other,
    });
    let _ = fs::remove_file(&draft);
    result
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    /// What `ssh-keygen` prints about a file.
    fn ssh_keygen(args: &[&str], path: &Path) -> String {
        let out = Command::new("ssh-keygen").args(args).arg("-f").arg(path).output().unwrap();
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
        String::from_utf8(out.stdout).unwrap()
    }

    fn fingerprint(key: &KeyFile) -> String {
        key.key.fingerprint(ssh_key::HashAlg::Sha256).to_string()
    }

    #[test]
    fn missing_keys_are_made_as_openssh_reads_them_and_kept_from_then_on() {
        let dir = tempfile::tempdir().unwrap();
        let paths = [dir.path().join("ssh_host_ed25519_key"), dir.path().join("ssh_host_rsa_key")];
        let made = ensure(&paths).unwrap();
        let [ed, rsa] = made.as_slice() else { panic!("{made:?}") };
        assert!(ed.created && rsa.created);
        for (key, bits, kind) in [(ed, "256", "(ED25519)"), (rsa, "3072", "(RSA)")] {
            let listed = ssh_keygen(&["-l"], &key.path);
            assert!(listed.starts_with(&format!("{bits} {} ", fingerprint(key))), "{listed}");
            assert!(listed.trim_end().ends_with(kind), "{listed}");
            // The private half gives the same public half that was written beside it.
            let derived = ssh_keygen(&["-y"], &key.path);
            let beside = fs::read_to_string(key.path.with_extension("pub")).unwrap();
            assert_eq!(derived.trim_end(), beside.trim_end());
            assert_eq!(fs::metadata(&key.path).unwrap().permissions().mode() & 0o777, 0o600);
        }
        let again = ensure(&paths).unwrap();
        assert!(again.iter().all(|k| !k.created));
        assert_eq!(again.iter().map(fingerprint).collect::<Vec<_>>(), made.iter().map(fingerprint).collect::<Vec<_>>());
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 4, "two keys, two public halves, no drafts");
    }

    #[test]
    fn keys_that_a_daemon_must_not_use_are_refused_with_the_command_that_helps() {
        let dir = tempfile::tempdir().unwrap();
        let make = |name: &str, args: &[&str]| {
            let path = dir.path().join(name);
            let out = Command::new("ssh-keygen").args(["-q", "-f"]).arg(&path).args(args).output().unwrap();
            assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
            path
        };
        let said = |path: &Path| ensure(&[path.to_owned()]).unwrap_err().to_string();

        let good = make("good", &["-t", "ed25519", "-N", ""]);
        assert!(ensure(std::slice::from_ref(&good)).is_ok());
        fs::set_permissions(&good, fs::Permissions::from_mode(0o640)).unwrap();
        assert!(said(&good).contains("mode 0640") && said(&good).contains("chmod 600 "), "{}", said(&good));

        let locked = make("locked", &["-t", "ed25519", "-N", "secret"]);
        assert!(said(&locked).contains("passphrase") && said(&locked).contains("ssh-keygen -p"), "{}", said(&locked));

        let short = make("short", &["-t", "rsa", "-b", "1024", "-N", ""]);
        assert!(said(&short).contains("1024 bits"), "{}", said(&short));

        let pem = make("old", &["-t", "rsa", "-b", "2048", "-m", "PEM", "-N", ""]);
        assert!(said(&pem).contains("ssh-keygen -p -f"), "{}", said(&pem));

        let nowhere = dir.path().join("no/such/folder/key");
        assert!(said(&nowhere).contains("cannot be written") && said(&nowhere).contains("ssh-keygen -t ed25519"));
    }

    #[test]
    fn an_existing_file_is_never_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("f");
        new_file(&path, 0o600, b"first").unwrap();
        assert_eq!(new_file(&path, 0o600, b"second").unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(fs::read(&path).unwrap(), b"first");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }
}
