//! What somebody signed in with, and whether it still lets them in.

use super::ledger::{Ledger, Who, block_rule};
use super::live::Session;
use crate::config::{Config, Principal, Suspect};
use crate::model::{CertMark, Certified, OperatorName, SessionKind, TeamName, Time};
use std::net::IpAddr;

/// What was proved at sign-in.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Credential {
    /// SHA-256 fingerprint of the key, `SHA256:…`.
    pub fingerprint: String,
    /// SHA-1 of the key: old revocation lists name keys by it.
    pub sha1: [u8; 20],
    /// The certificate, where the key alone was not what signed in.
    pub certified: Option<Certified>,
    /// SHA-1 of the key of the certificate's CA.
    pub ca_sha1: [u8; 20],
}

impl Credential {
    /// Key id, number and CA of the certificate.
    #[must_use]
    pub fn mark(&self) -> Option<&CertMark> {
        self.certified.as_ref().map(|c| &c.mark)
    }

    /// As revocation lists look for it.
    #[must_use]
    pub fn suspect(&self) -> Suspect<'_> {
        let certificate = self.certified.as_ref().map(|c| (&c.mark, c.key_id.as_str(), &self.ca_sha1));
        Suspect { fingerprint: &self.fingerprint, sha1: &self.sha1, certificate }
    }

    /// Whose it is by the configuration, and that it may be used now and from there. Whether it is revoked is another
    /// question. `user` is the name given at login.
    ///
    /// # Errors
    /// The rule that refuses it.
    pub fn holder(&self, config: &Config, user: &str, source: IpAddr, now: Time) -> Result<Principal, String> {
        if let Some(c) = &self.certified {
            let who = config.vouched(c, user)?;
            c.good(now, source)?;
            return Ok(who);
        }
        let Some(who) = config.keys.get(&self.fingerprint) else {
            return Err("unknown key: no host or operator has it".to_owned());
        };
        match config.networks.get(&self.fingerprint) {
            Some(nets) if !nets.admit(source) => {
                Err(format!("the key {} of {who} may be used from {nets} only (from)", self.fingerprint))
            }
            _ => Ok(who.clone()),
        }
    }

    /// The block that keeps its holder out, as a sentence.
    #[must_use]
    pub fn blocked(&self, ledger: &Ledger, config: &Config, holder: &Principal) -> Option<String> {
        let mut who = Who { fingerprint: Some(&self.fingerprint), mark: self.mark(), ..Who::default() };
        match holder {
            Principal::Host(h) => {
                who.host = Some(h);
                who.team = config.hosts.get(h).map(|x| &x.team);
            }
            Principal::Operator(o) => who.operator = Some(o),
        }
        ledger.barred(&who).map(block_rule)
    }
}

impl Session {
    /// Whose session it is; none when its name is no name, which cannot be.
    #[must_use]
    pub fn holder(&self) -> Option<Principal> {
        match (&self.host, self.kind) {
            (Some(h), _) => Some(Principal::Host(h.clone())),
            (None, SessionKind::Operator) => self.name.parse::<OperatorName>().ok().map(Principal::Operator),
            (None, SessionKind::Host) => None,
        }
    }

    /// Whether a block of this target means it.
    #[must_use]
    pub fn meets(&self, target: &crate::model::BlockTarget) -> bool {
        use crate::model::BlockTarget as T;
        let mark = || self.credential.mark();
        match target {
            T::Host(h) => self.host.as_ref() == Some(h),
            T::Team(t) => self.host.is_some() && self.team.as_ref() == Some::<&TeamName>(t),
            T::Operator(o) => self.kind == SessionKind::Operator && self.name == o.as_str(),
            T::Key(f) => self.credential.fingerprint == *f || mark().is_some_and(|m| m.ca == *f),
            T::Ca(ca) => mark().is_some_and(|m| m.ca == *ca),
            T::Serial(s) => mark().is_some_and(|m| m.serial == s.serial && m.ca == s.ca),
            T::Id(id) => mark().is_some_and(|m| m.key_id == *id),
            T::Port(_) => false,
        }
    }
}
