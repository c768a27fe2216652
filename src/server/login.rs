//! Who may sign in.

use super::client::Client;
use crate::audit::{Actor, Context, Event, What};
use crate::config::Principal;
use crate::model::{clean, now};
use russh::keys::{Algorithm, HashAlg};

impl Client {
    /// Whose key this is, if it may sign in now.
    pub(super) fn judge(
        &self,
        key: &russh::keys::PublicKey,
        algorithm: &Algorithm,
    ) -> Result<(Principal, String), Box<(String, Context)>> {
        let fingerprint = key.fingerprint(HashAlg::Sha256).to_string();
        let mut context = Context { fingerprint: Some(fingerprint.clone()), ..Context::default() };
        if matches!(algorithm, Algorithm::Rsa { hash: None }) {
            let rule = "ssh-rsa signatures (SHA-1) are not accepted; use rsa-sha2-256 or better";
            return Err(Box::new((rule.to_owned(), context)));
        }
        let config = self.shared.registry.config();
        let Some(principal) = config.keys.get(&fingerprint).cloned() else {
            return Err(Box::new(("unknown key: no host or operator has it".to_owned(), context)));
        };
        let block = match &principal {
            Principal::Host(h) => {
                context.host = Some(h.clone());
                context.team = config.hosts.get(h).map(|x| x.team.clone());
                self.shared.registry.blocked(h, &fingerprint)
            }
            Principal::Operator(_) => self.shared.registry.blocked_key(&fingerprint),
        };
        if let Some(rule) = block.or_else(|| config.expired(&fingerprint, now())) {
            return Err(Box::new((rule, context)));
        }
        self.shared.registry.open_for_business().map_err(|rule| Box::new((rule, context)))?;
        Ok((principal, fingerprint))
    }

    pub(super) fn auth_failed(&self, method: &str, user: &str, rule: &str, context: Context) {
        if self.shared.registry.open_for_business().is_ok() {
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
