//! Signed checkpoints: what the chain was at a moment, under the daemon's audit key.
//!
//! A hash chain has no secret: who can write the folder can write all of it anew. A checkpoint cannot be made without the
//! key, and one that is kept on another machine shows that nothing before it was changed, and that nothing was cut off
//! after it was made. The signature is OpenSSH's (`ssh-keygen -Y verify` reads it, namespace `portreeve-audit`).

use crate::model::{Seq, Time};
use serde::{Deserialize, Serialize};
use ssh_key::{HashAlg, LineEnding, PrivateKey, PublicKey, SshSig};
use std::fmt;
use std::str::FromStr;
use thiserror::Error;

/// Namespace of the signatures, so that one cannot be passed off for anything else.
pub const NAMESPACE: &str = "portreeve-audit";
/// First line of a statement.
const TITLE: &str = "portreeve audit checkpoint";
/// First line of an armoured signature.
const ARMOUR: &str = "-----BEGIN SSH SIGNATURE-----";

/// The chain at a moment, and the signature under it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checkpoint {
    /// The last record before it.
    pub upto: Seq,
    /// Hash of that record.
    pub head: String,
    /// When it was made, by the daemon's clock.
    pub made: Time,
    /// Fingerprint of the key (`SHA256:…`).
    pub key: String,
    /// OpenSSH's armoured signature of [`Checkpoint::statement`].
    pub signature: String,
}

/// Why a checkpoint proves nothing.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum CheckpointError {
    /// Not the text that `portreeve audit checkpoint` prints.
    #[error("this is not a checkpoint: {0}\n    give the whole text that `portreeve audit checkpoint` printed")]
    Text(String),
    /// The signature does not belong to the statement.
    #[error("its signature does not hold: it was changed, or was not made for this")]
    Signature,
    /// Somebody else's signature.
    #[error("it is signed by {by}, which is not the key given")]
    Stranger {
        /// Fingerprint of the key that signed.
        by: String,
    },
}

fn statement(upto: Seq, head: &str, made: Time) -> String {
    format!("{TITLE}\nseq {}\nhash {head}\nat {}\n", upto.0, made.to_rfc3339_opts(chrono::SecondsFormat::Millis, true))
}

impl Checkpoint {
    /// Signs the chain up to a record.
    pub(super) fn sign(key: &PrivateKey, upto: Seq, head: &str, made: Time) -> Result<Self, ssh_key::Error> {
        let signature = key.sign(NAMESPACE, HashAlg::Sha512, statement(upto, head, made).as_bytes())?;
        Ok(Self {
            upto,
            head: head.to_owned(),
            made,
            key: key.public_key().fingerprint(HashAlg::Sha256).to_string(),
            signature: signature.to_pem(LineEnding::LF)?,
        })
    }

    /// What is signed: four lines, which `ssh-keygen -Y verify` takes on its standard input.
    #[must_use]
    pub fn statement(&self) -> String {
        statement(self.upto, &self.head, self.made)
    }

    /// Proves the signature by one of these keys, or, when none are given, by the key in it. The key that signed.
    ///
    /// # Errors
    /// [`CheckpointError`] when it does not hold.
    pub fn prove(&self, keys: &[PublicKey]) -> Result<PublicKey, CheckpointError> {
        let signature = SshSig::from_pem(&self.signature).map_err(|_| CheckpointError::Signature)?;
        let signer = PublicKey::new(signature.public_key().clone(), "");
        // One text for one signature: the armour is not signed, and two spellings of it must not pass.
        let same = signature.to_pem(LineEnding::LF).is_ok_and(|pem| pem == self.signature);
        if !same || signer.fingerprint(HashAlg::Sha256).to_string() != self.key {
            return Err(CheckpointError::Signature);
        }
        signer.verify(NAMESPACE, self.statement().as_bytes(), &signature).map_err(|_| CheckpointError::Signature)?;
        if !keys.is_empty() && !keys.iter().any(|k| k.key_data() == signer.key_data()) {
            return Err(CheckpointError::Stranger { by: self.key.clone() });
        }
        Ok(signer)
    }
}

/// As it is kept on another machine: the statement, and the signature below it.
impl fmt::Display for Checkpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.statement(), self.signature)
    }
}

impl FromStr for Checkpoint {
    type Err = CheckpointError;

    fn from_str(text: &str) -> Result<Self, CheckpointError> {
        let text = text.replace("\r\n", "\n");
        let bad = |what: &str| CheckpointError::Text(what.to_owned());
        let at = text.find(ARMOUR).ok_or_else(|| bad("there is no signature in it"))?;
        let (said, signature) = text.split_at(at);
        let mut lines = said.lines();
        if lines.next() != Some(TITLE) {
            return Err(bad("its first line is not ours"));
        }
        let mut field = |name: &str| {
            let value = lines.next().and_then(|l| l.strip_prefix(name)?.strip_prefix(' '));
            value.map(str::to_owned).ok_or_else(|| bad(&format!("the line `{name} …` is missing")))
        };
        let upto = Seq(field("seq")?.parse().map_err(|_| bad("seq is not a number"))?);
        let head = field("hash")?;
        let made = field("at")?.parse().map_err(|_| bad("at is not a time"))?;
        let pem = format!("{}\n", signature.trim_end());
        let key = SshSig::from_pem(&pem).map_err(|_| bad("the signature cannot be read"))?;
        let key = PublicKey::new(key.public_key().clone(), "").fingerprint(HashAlg::Sha256).to_string();
        let read = Self { upto, head, made, key, signature: pem };
        if read.statement() != said {
            return Err(bad("there is more in it than a statement and a signature"));
        }
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ssh_key::getrandom::SysRng;
    use ssh_key::rand_core::UnwrapErr;
    use std::process::{Command, Stdio};

    fn key() -> PrivateKey {
        PrivateKey::random(&mut UnwrapErr(SysRng), ssh_key::Algorithm::Ed25519).unwrap()
    }

    fn sample(key: &PrivateKey) -> Checkpoint {
        Checkpoint::sign(key, Seq(4812), &"ab".repeat(32), "2026-11-21T05:02:11.204Z".parse().unwrap()).unwrap()
    }

    #[test]
    fn the_text_that_is_kept_elsewhere_reads_back_as_it_was() {
        let (key, other) = (key(), key());
        let c = sample(&key);
        let back: Checkpoint = c.to_string().parse().unwrap();
        assert_eq!(back, c);
        assert_eq!(c.to_string().replace('\n', "\r\n").parse::<Checkpoint>().unwrap(), c, "through a mail");
        assert!(back.prove(&[]).is_ok());
        assert!(back.prove(&[other.public_key().clone(), key.public_key().clone()]).is_ok());
        let stranger = back.prove(&[other.public_key().clone()]).unwrap_err();
        assert_eq!(stranger, CheckpointError::Stranger { by: c.key.clone() });
    }

    #[test]
    fn a_change_of_any_byte_of_the_text_is_found() {
        let key = key();
        let text = sample(&key).to_string();
        for i in 0..text.len() {
            for new in [b'0', b'1', b'a', b'Z', b' ', b'\n'] {
                let mut bad = text.clone().into_bytes();
                if bad[i] == new {
                    continue;
                }
                bad[i] = new;
                let read = String::from_utf8(bad).unwrap().parse::<Checkpoint>();
                let holds = read.is_ok_and(|c| c.prove(&[key.public_key().clone()]).is_ok());
                // White space about the end of the text is nobody's.
                assert!(!holds || i + 1 == text.len(), "byte {i} to {:?}", char::from(new));
            }
        }
    }

    #[test]
    fn ssh_keygen_proves_it_too() {
        let dir = tempfile::tempdir().unwrap();
        let key = key();
        let c = sample(&key);
        let (signers, signature) = (dir.path().join("signers"), dir.path().join("sig"));
        std::fs::write(&signers, format!("bastion {}\n", key.public_key().to_openssh().unwrap())).unwrap();
        std::fs::write(&signature, &c.signature).unwrap();
        let verify = |said: &str| {
            let mut child = Command::new("ssh-keygen")
                .args(["-Y", "verify", "-I", "bastion", "-n", NAMESPACE, "-f"])
                .arg(&signers)
                .arg("-s")
                .arg(&signature)
                .stdin(Stdio::piped())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .unwrap();
            std::io::Write::write_all(&mut child.stdin.take().unwrap(), said.as_bytes()).unwrap();
            child.wait().unwrap().success()
        };
        assert!(verify(&c.statement()));
        assert!(!verify(&c.statement().replace("4812", "4813")));
    }
}
