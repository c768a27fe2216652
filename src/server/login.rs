//! Who may sign in.

use super::certificate;
use super::client::Client;
use crate::audit::{Actor, Context, Event, What};
use crate::config::{Config, Fido, Principal, RSA_MIN_BITS};
use crate::model::{PendingKey, clean, now};
use crate::tunnels::Credential;
use russh::keys::ssh_key::public::KeyData;
use russh::keys::{Algorithm, Certificate, HashAlg, PublicKey};
use sha1::Digest;

/// A refusal: the rule, and what the audit is told.
type Refusal = Box<(String, Context)>;

/// The rule against tokens.
const TOKEN: &str =
    "keys of FIDO tokens are refused: the SSH library does not show whether the token was touched (trust.fido)";

/// The longest key that is kept to be approved, characters: an RSA key of 16384 bits has some 2,750.
const KEY_MAX: usize = 4_096;

/// Unknown keys that a connection may prove: whoever has many in an agent has attempts left for the right one.
const UNKNOWN_KEYS: u8 = 3;

/// Somebody who has proved what they signed in with.
pub(super) struct Admitted {
    pub(super) holder: Principal,
    pub(super) credential: Box<Credential>,
}

/// Whether a key is of a kind and length that may sign anybody in.
pub(super) fn acceptable(key: &KeyData, fido: Fido) -> Result<(), String> {
    match key {
        KeyData::SkEd25519(_) | KeyData::SkEcdsaSha2NistP256(_) if fido == Fido::AcceptUnverified => Ok(()),
        KeyData::SkEd25519(_) | KeyData::SkEcdsaSha2NistP256(_) => Err(TOKEN.to_owned()),
        KeyData::Ed25519(_) | KeyData::Ecdsa(_) => Ok(()),
        KeyData::Rsa(rsa) if rsa.key_size() >= RSA_MIN_BITS => Ok(()),
        KeyData::Rsa(rsa) => {
            Err(format!("an RSA key of {} bits is too short (at least {RSA_MIN_BITS})", rsa.key_size()))
        }
        other => Err(format!("keys of type {} are not accepted", other.algorithm().as_str())),
    }
}

fn no_sha1(algorithm: &Algorithm) -> Result<(), String> {
    if matches!(algorithm, Algorithm::Rsa { hash: None }) {
        return Err("ssh-rsa signatures (SHA-1) are not accepted; use rsa-sha2-256 or better".to_owned());
    }
    Ok(())
}

fn sha1(key: &KeyData) -> [u8; 20] {
    use russh::keys::ssh_encoding::Encode;
    let mut blob = Vec::new();
    // Writing into memory does not fail.
    let _ = key.encode(&mut blob);
    sha1::Sha1::digest(&blob).into()
}

/// What a plain key proves.
fn credential(key: &PublicKey) -> Credential {
    let fingerprint = key.fingerprint(HashAlg::Sha256).to_string();
    Credential { sha1: sha1(key.key_data()), fingerprint, ..Credential::default() }
}

impl Client {
    /// Whether an offered key is worth its signature. The library does not tell whether it comes in a certificate: where
    /// certificates are good, what is not known is judged when it is proved.
    pub(super) fn offer(&self, user: &str, key: &PublicKey, algorithm: &Algorithm) -> Result<String, Refusal> {
        let fingerprint = key.fingerprint(HashAlg::Sha256).to_string();
        let certificates = !self.shared.registry.config().trust.authorities.is_empty();
        if certificates && no_sha1(algorithm).is_ok() {
            return Ok(fingerprint);
        }
        match self.judge(user, key, algorithm) {
            // One that nobody has may be kept to be approved, and that only if it is proved.
            Err(_) if self.may_be_pending(key, algorithm) => Ok(fingerprint),
            judged => judged.map(|_| fingerprint),
        }
    }

    /// Whether an unknown key may be kept to be approved. Never one of a token: nobody could tell whether it was touched,
    /// and whoever approves it would think so.
    fn may_be_pending(&self, key: &PublicKey, algorithm: &Algorithm) -> bool {
        let data = key.key_data();
        let token = matches!(data, KeyData::SkEd25519(_) | KeyData::SkEcdsaSha2NistP256(_));
        if self.unknown_keys >= UNKNOWN_KEYS
            || token
            || no_sha1(algorithm).and_then(|()| acceptable(data, Fido::Refuse)).is_err()
        {
            return false;
        }
        self.shared.registry.may_be_pending(&credential(key), self.peer, self.network_is_known())
    }

    fn network_is_known(&self) -> bool {
        self.shared.gate.knows(&self.shared.registry.config(), self.peer.ip())
    }

    /// A key was proved that signs nobody in: where policy says so it is kept to be approved.
    pub(super) fn note_pending(&mut self, user: &str, key: &PublicKey, algorithm: &Algorithm) {
        let text = key.to_openssh().unwrap_or_default();
        let text = text.split_whitespace().take(2).collect::<Vec<_>>().join(" ");
        if text.len() > KEY_MAX || !self.may_be_pending(key, algorithm) {
            return;
        }
        self.unknown_keys += 1;
        let credential = credential(key);
        let at = now();
        let pending = PendingKey {
            fingerprint: credential.fingerprint.clone(),
            key: text,
            user: clean(user, 60),
            source: self.peer,
            client: self.ident.software(),
            first: at,
            last: at,
            count: 1,
            known: self.network_is_known(),
        };
        self.shared.registry.note_pending(&credential, pending, self.id);
    }

    /// Whose key this is, if it may sign in now.
    pub(super) fn judge(&self, user: &str, key: &PublicKey, algorithm: &Algorithm) -> Result<Admitted, Refusal> {
        let fingerprint = key.fingerprint(HashAlg::Sha256).to_string();
        let mut context = Context { fingerprint: Some(fingerprint.clone()), ..Context::default() };
        let config = self.shared.registry.config();
        if let Err(rule) = no_sha1(algorithm).and_then(|()| acceptable(key.key_data(), config.trust.fido)) {
            return Err(Box::new((rule, context)));
        }
        about(&mut context, &config, config.keys.get(&fingerprint));
        self.admit(&config, user, credential(key), context)
    }

    /// Whom this certificate signs in, if it does. The library has checked its signature and its time, and the proof of
    /// its key; the algorithm of that proof was seen when it was offered.
    pub(super) fn judge_certificate(&self, user: &str, c: &Certificate) -> Result<Admitted, Refusal> {
        let fingerprint = c.public_key().fingerprint(HashAlg::Sha256).to_string();
        let mark = Some(Box::new(certificate::mark(c)));
        let mut context = Context { fingerprint: Some(fingerprint.clone()), certificate: mark, ..Context::default() };
        let config = self.shared.registry.config();
        let certified = match certificate::read(c, config.trust.fido) {
            Ok(certified) => certified,
            Err(rule) => return Err(Box::new((rule, context))),
        };
        about(&mut context, &config, config.vouched(&certified, &clean(user, 60)).ok().as_ref());
        let credential = Credential {
            fingerprint,
            sha1: sha1(c.public_key()),
            certified: Some(certified),
            ca_sha1: sha1(c.signature_key()),
        };
        self.admit(&config, user, credential, context)
    }

    fn admit(&self, config: &Config, user: &str, c: Credential, context: Context) -> Result<Admitted, Refusal> {
        let registry = &self.shared.registry;
        let judged = c.holder(config, &clean(user, 60), self.peer.ip(), now()).and_then(|holder| {
            let rule = registry.blocked(&c, &holder).or_else(|| match c.certified {
                // A certificate has a time of its own.
                Some(_) => None,
                None => config.expired(&c.fingerprint, now()),
            });
            rule.map_or(Ok(()), Err)?;
            registry.not_listed(&c)?;
            registry.open_for_business()?;
            Ok(holder)
        });
        match judged {
            Ok(holder) => Ok(Admitted { holder, credential: Box::new(c) }),
            Err(rule) => Err(Box::new((rule, context))),
        }
    }

    pub(super) fn auth_failed(&self, method: &str, user: &str, rule: &str, context: Context) {
        // What is our fault is held against nobody.
        let registry = &self.shared.registry;
        if registry.open_for_business().is_ok() && registry.list_problems().is_empty() {
            self.ident.failed();
        }
        self.sign_in_refused(method, user, rule, context);
    }

    /// The same where nothing was wrong with the key: no penalty follows from it.
    pub(super) fn sign_in_refused(&self, method: &str, user: &str, rule: &str, context: Context) {
        let context =
            Context { source: Some(self.peer), user: Some(clean(user, 60)), session: Some(self.id), ..context };
        let registry = &self.shared.registry;
        match (&context.host, &context.fingerprint) {
            (Some(host), _) => registry.note_refusal(host, rule, None),
            (None, Some(key)) => registry.note_key(self.peer, &clean(user, 60), key, rule),
            (None, None) => {}
        }
        let what = What::AuthFailure { method: method.to_owned(), client: self.ident.software() };
        // Nobody has proved anything yet: the host is whom it concerns, not who it was.
        registry.record_sign_in(self.peer.ip(), Event::refused(Actor::Unknown, what, rule, context));
    }
}

/// Notes whom a sign-in concerns.
fn about(context: &mut Context, config: &Config, whose: Option<&Principal>) {
    if let Some(Principal::Host(h)) = whose {
        context.host = Some(h.clone());
        context.team = config.hosts.get(h).map(|x| x.team.clone());
    }
}
