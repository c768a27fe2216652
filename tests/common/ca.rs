//! Certificate authorities and what they sign: all of it made by the real ssh-keygen.

use super::bastion::{Bastion, Builder, keygen};
use super::ssh::SshCommand;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};

static NEXT: AtomicUsize = AtomicUsize::new(0);

impl Builder {
    /// An authority with a CA key of its own, and these lines in its section.
    pub fn authority(self, name: &str, lines: &str) -> Self {
        let key = keygen(&self.dir().join(name), name);
        self.text(&format!("[authorities.{name}]\nkeys = [\"{key}\"]\n{lines}\n\n"))
    }
}

/// A key and its certificate.
pub struct Paper {
    /// The private key; its certificate stands beside it.
    pub key: PathBuf,
}

impl Paper {
    /// A new key, certified by the CA whose private key is `ca`: `ssh-keygen -s CA -I ID ARGS KEY.pub`.
    #[track_caller]
    pub fn signed(dir: &Path, ca: &Path, id: &str, args: &[&str]) -> Self {
        let key = dir.join(format!("paper-{}", NEXT.fetch_add(1, Ordering::Relaxed)));
        keygen(&key, id);
        Self::of(key, ca, id, args)
    }

    /// An existing key, certified.
    #[track_caller]
    pub fn of(key: PathBuf, ca: &Path, id: &str, args: &[&str]) -> Self {
        let mut c = Command::new("ssh-keygen");
        c.args(["-q", "-s"]).arg(ca).args(["-I", id]).args(args).arg(key.with_extension("pub"));
        let out = c.output().unwrap();
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
        Self { key }
    }

    /// The certificate's file.
    pub fn certificate(&self) -> PathBuf {
        PathBuf::from(format!("{}-cert.pub", self.key.display()))
    }
}

impl Bastion {
    /// A new key, certified by an authority of [`Builder::authority`].
    #[track_caller]
    pub fn paper(&self, authority: &str, id: &str, args: &[&str]) -> Paper {
        Paper::signed(self.dir(), &self.key(authority), id, args)
    }

    /// A client that signs in with a certificate, and nothing else.
    pub fn ssh_with(&self, user: &str, paper: &Paper) -> SshCommand {
        SshCommand::new(user, &paper.key, self.address())
            .option(&format!("CertificateFile={}", paper.certificate().display()))
    }
}
