//! The ciphers a bastion may offer, by the names of OpenSSH.

use super::problem::Complaint;
use std::fmt;

/// A cipher of an SSH connection. Nothing with CBC, nothing without authentication.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cipher {
    /// `chacha20-poly1305@openssh.com`: the fastest where the processor has no AES instructions.
    ChaCha20Poly1305,
    /// `aes128-gcm@openssh.com` (RFC 5647): the fastest where it has them.
    Aes128Gcm,
    /// `aes256-gcm@openssh.com`.
    Aes256Gcm,
    /// `aes128-ctr` (RFC 4344), for clients without GCM.
    Aes128Ctr,
    /// `aes192-ctr`.
    Aes192Ctr,
    /// `aes256-ctr`.
    Aes256Ctr,
}

impl Cipher {
    /// All, best first on a machine with AES instructions.
    pub const ALL: [Self; 6] =
        [Self::Aes128Gcm, Self::Aes256Gcm, Self::ChaCha20Poly1305, Self::Aes128Ctr, Self::Aes192Ctr, Self::Aes256Ctr];

    /// Its name on the wire.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::ChaCha20Poly1305 => "chacha20-poly1305@openssh.com",
            Self::Aes128Gcm => "aes128-gcm@openssh.com",
            Self::Aes256Gcm => "aes256-gcm@openssh.com",
            Self::Aes128Ctr => "aes128-ctr",
            Self::Aes192Ctr => "aes192-ctr",
            Self::Aes256Ctr => "aes256-ctr",
        }
    }
}

impl fmt::Display for Cipher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// By its name, with or without `@openssh.com`.
pub(super) fn cipher(text: &str) -> Result<Cipher, Complaint> {
    let bare = |name: &str| name.trim().trim_end_matches("@openssh.com").to_owned();
    Cipher::ALL.into_iter().find(|c| bare(c.name()) == bare(text)).ok_or_else(|| {
        let names: Vec<_> = Cipher::ALL.iter().map(|c| c.name()).collect();
        Complaint::new(
            format!("{text:?} is not a cipher that this server has"),
            format!("write some of: {}", names.join(", ")),
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ciphers_go_by_the_names_of_openssh() {
        for c in Cipher::ALL {
            assert_eq!(cipher(c.name()), Ok(c));
        }
        assert_eq!(cipher("aes128-gcm"), Ok(Cipher::Aes128Gcm));
        for bad in ["", "aes128-cbc", "3des-cbc", "none", "AES128-GCM"] {
            assert!(cipher(bad).unwrap_err().remedy.contains("aes128-gcm@openssh.com"), "{bad:?}");
        }
    }
}
