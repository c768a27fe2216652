//! Public keys of hosts and operators, one line each, as in `~/.ssh/id_ed25519.pub`.

use super::problem::Complaint;
use super::schema::HostKey;
use ssh_key::{Algorithm, HashAlg, PublicKey};

/// Shortest RSA modulus accepted, in bits. OpenSSH has a floor of 1024, NIST SP 800-131A of 2048.
pub const RSA_MIN_BITS: u32 = 2048;

const WANTED: &str = "put the one line of a .pub file here, such as \"ssh-ed25519 AAAA… pay-db\"";
const MAKE_ONE: &str = "make an ed25519 key (ssh-keygen -t ed25519) and put its .pub line here";

fn looks_like_algorithm(word: &str) -> bool {
    ["ssh-", "ecdsa-sha2-", "sk-ssh-", "sk-ecdsa-", "rsa-sha2-"].iter().any(|p| word.starts_with(p))
}

/// Reads a line, or says why it is not a key that may sign in.
pub(super) fn read(line: &str) -> Result<HostKey, Complaint> {
    if line.contains("PRIVATE KEY") {
        return Err(Complaint::new("this is a private key", format!("take it out of this file at once; {WANTED}")));
    }
    if line.trim().contains(['\n', '\r']) {
        return Err(Complaint::new("more than one line", "write one string for each key: keys = [\"…\", \"…\"]"));
    }
    let (super::options::Options { expires, networks }, line) = super::options::split(line)?;
    let words: Vec<&str> = line.split_whitespace().collect();
    let Some(algorithm) = words.first().copied() else {
        return Err(Complaint::new("an empty string is not a key", WANTED));
    };
    if !looks_like_algorithm(algorithm) {
        if words.iter().skip(1).any(|w| looks_like_algorithm(w)) {
            return Err(Complaint::new(
                format!("options before a key ({algorithm:?}) are not supported"),
                "write the key alone, from its type on, with nothing but expiry-time and from before it; what the key may do is set by team, ports and role",
            ));
        }
        return Err(Complaint::new("this is not an OpenSSH public key", WANTED));
    }
    if algorithm.contains("-cert-v01@") {
        return Err(Complaint::new(
            "this is a certificate, not a key",
            "put the line of the .pub file without `-cert` here",
        ));
    }
    if algorithm == "ssh-dss" {
        return Err(Complaint::new("DSA keys are broken and OpenSSH dropped them", MAKE_ONE));
    }
    let Some(body) = words.get(1) else {
        return Err(Complaint::new(format!("nothing follows {algorithm:?}"), WANTED));
    };
    let comment = words.get(2..).unwrap_or_default().join(" ");
    let key = PublicKey::from_openssh(&format!("{algorithm} {body}")).map_err(|e| {
        Complaint::new(
            format!("this {algorithm} key cannot be read ({e})"),
            format!("it may be cut short or split: {WANTED}"),
        )
    })?;
    match key.algorithm() {
        // Those of tokens are for [trust] to judge.
        Algorithm::Ed25519 | Algorithm::Ecdsa { .. } | Algorithm::SkEd25519 | Algorithm::SkEcdsaSha2NistP256 => {}
        Algorithm::Rsa { .. } => {
            let bits = key.key_data().rsa().map_or(0, ssh_key::public::RsaPublicKey::key_size);
            if bits < RSA_MIN_BITS {
                return Err(Complaint::new(
                    format!("an RSA key of {bits} bits is too short (at least {RSA_MIN_BITS})"),
                    MAKE_ONE,
                ));
            }
        }
        other => return Err(Complaint::new(format!("keys of type {} are not supported", other.as_str()), MAKE_ONE)),
    }
    Ok(HostKey {
        fingerprint: key.fingerprint(HashAlg::Sha256).to_string(),
        algorithm: algorithm.to_owned(),
        comment: crate::model::clean_line(&comment),
        expires,
        networks,
    })
}
