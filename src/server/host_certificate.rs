//! Host certificates of the bastion itself: clients that trust its CA (`@cert-authority` in `known_hosts`) need no key of it.

use russh::keys::ssh_key::certificate::CertType;
use russh::keys::{Algorithm, Certificate, HashAlg, PrivateKey};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};
use thiserror::Error;

/// Why a host certificate cannot be shown to clients.
#[derive(Debug, Error)]
#[error("the host certificate {path} cannot be used (ssh.host_certificates): {why}")]
pub struct HostCertificateError {
    path: String,
    why: String,
}

/// Reads the certificates, each of which must be of one of the keys.
///
/// # Errors
/// The first that cannot be used, and why.
pub(super) fn read_all(paths: &[PathBuf], keys: &[PrivateKey]) -> Result<Vec<Certificate>, HostCertificateError> {
    paths.iter().map(|p| read(p, keys)).collect()
}

fn read(path: &Path, keys: &[PrivateKey]) -> Result<Certificate, HostCertificateError> {
    let fail = |why: &str| HostCertificateError { path: path.display().to_string(), why: why.to_owned() };
    let text = std::fs::read_to_string(path).map_err(|e| fail(&e.to_string()))?;
    let c = Certificate::from_openssh(text.trim()).map_err(|e| fail(&format!("it is no certificate ({e})")))?;
    if c.cert_type() != CertType::Host {
        return Err(fail("it is made out for a user; sign the key with ssh-keygen -h"));
    }
    if !keys.iter().any(|k| k.public_key().key_data() == c.public_key()) {
        return Err(fail("it is of none of the keys of ssh.host_keys"));
    }
    if matches!(c.signature().algorithm(), Algorithm::Rsa { hash: None }) {
        return Err(fail("it is signed with SHA-1 (ssh-rsa), which clients refuse"));
    }
    if c.valid_principals().is_empty() {
        return Err(fail("it names no principals: sign it with -n and the names that clients connect to"));
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs());
    if now >= c.valid_before() || now < c.valid_after() {
        // Not refused: clients fall back to the key, and a bastion that does not start helps nobody.
        tracing::warn!(path = %path.display(), "a host certificate is not valid now; clients will not accept it");
    }
    let ca = [c.signature_key().fingerprint(HashAlg::Sha256)];
    // At a moment at which it is valid: whether its signature is good is asked.
    c.validate_at(c.valid_after(), &ca).map_err(|_| fail("its signature is wrong"))?;
    Ok(c)
}
