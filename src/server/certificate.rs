//! An OpenSSH certificate as it comes from the library, which has checked its signature and its time (and tells nobody
//! when they are not good), to what policy asks of it.

use super::login::acceptable;
use crate::config::Fido;
use crate::model::{CertMark, Certified, Networks};
use russh::keys::ssh_key::certificate::CertType;
use russh::keys::{Algorithm, Certificate, HashAlg};

/// The extensions that allow something here. All others allow what is not offered, or are unknown and so ignored, as
/// PROTOCOL.certkeys has it.
const FORWARDING: &str = "permit-port-forwarding";
const TERMINAL: &str = "permit-pty";

/// What its CA calls it.
pub(super) fn mark(c: &Certificate) -> CertMark {
    CertMark::new(c.key_id(), c.serial(), c.signature_key().fingerprint(HashAlg::Sha256).to_string())
}

/// What a certificate says.
///
/// # Errors
/// The rule that makes it worth nothing, whoever signed it.
pub(super) fn read(c: &Certificate, fido: Fido) -> Result<Certified, String> {
    let mark = mark(c);
    if c.cert_type() != CertType::User {
        return Err(format!("the {mark} is made out for a server (ssh-keygen -h), not for signing in"));
    }
    if matches!(c.signature().algorithm(), Algorithm::Rsa { hash: None }) {
        return Err(format!("the {mark} is signed with SHA-1 (ssh-rsa); sign it with ssh-keygen -t rsa-sha2-512"));
    }
    acceptable(c.public_key(), fido).map_err(|why| format!("the {mark}: {why}"))?;
    let mut networks = None;
    let mut command = None;
    for (name, value) in c.critical_options().iter() {
        match name.as_str() {
            "source-address" => {
                let list = Networks::of_certificate(value);
                networks = Some(list.map_err(|e| format!("source-address of the {mark} cannot be read: {e}"))?);
            }
            "force-command" => command = Some(value.clone()),
            // `verify-required` among them: the library does not show what a token says of its user.
            other => {
                let shown = crate::model::clean(other, 60);
                return Err(format!("the {mark} has a critical option that is not known here: {shown}"));
            }
        }
    }
    Ok(Certified {
        key_id: c.key_id().to_owned(),
        principals: c.valid_principals().to_vec(),
        from: c.valid_after(),
        until: c.valid_before(),
        networks,
        command,
        forwarding: c.extensions().contains_key(FORWARDING),
        terminal: c.extensions().contains_key(TERMINAL),
        mark,
    })
}
