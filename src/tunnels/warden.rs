//! The warden: ends sessions whose papers are good no longer, without anybody asking.

use super::credential::Credential;
use super::live::Session;
use super::registry::Registry;
use crate::audit::{Actor, Context, Event, What};
use crate::config::{Config, ListNews};
use crate::model::{Obituary, ObituaryCause, now};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

/// How often it looks. What is to end ends within a second, the client's farewell included.
const LOOK: Duration = Duration::from_millis(250);

/// After so many looks, what keys were used is written down.
const SAVE_EVERY: u64 = 8;

/// Looks for ever.
pub async fn watch(registry: Arc<Registry>) {
    let mut looks: u64 = 0;
    let mut every = tokio::time::interval(LOOK);
    every.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        every.tick().await;
        registry.end_expired();
        looks += 1;
        if looks.is_multiple_of(SAVE_EVERY) {
            registry.save_key_uses().await;
        }
        if !registry.config().trust.revoked_keys.is_empty() {
            let registry = Arc::clone(&registry);
            let look = move || registry.look_at_lists(None);
            if tokio::task::spawn_blocking(look).await.is_err() {
                tracing::error!("the revocation lists could not be looked at");
            }
        }
    }
}

impl Registry {
    /// Reads the revocation lists whose files have changed, and ends what they revoke now.
    ///
    /// `ahead`: the lists of a configuration that is about to be in force, rather than of the one that is.
    pub fn look_at_lists(&self, ahead: Option<&Config>) {
        let _turn = self.looking.lock().unwrap_or_else(PoisonError::into_inner);
        let current = self.config();
        let paths = &ahead.unwrap_or(&current).trust.revoked_keys;
        let Some((lists, news)) = self.revoked.load().look(paths) else { return };
        self.revoked.store(Arc::new(lists));
        for ListNews { path, read } in news {
            let file = path.display().to_string();
            let event = match read {
                Ok((keys, certificates)) => {
                    tracing::info!(file, keys, certificates, "revocation list read");
                    let what = What::RevocationList { file, keys, certificates };
                    Event::success(Actor::Daemon, what, Context::default())
                }
                Err(why) => {
                    tracing::error!(file, why, "a revocation list cannot be used: nobody can sign in until it can");
                    let what = What::RevocationList { file, keys: 0, certificates: 0 };
                    Event::failure(Actor::Daemon, what, &why, Context::default())
                }
            };
            self.journal.record(event);
        }
        self.end_listed();
        self.announce();
    }

    /// Whether the lists let this credential in.
    ///
    /// # Errors
    /// The rule that does not; also when a list cannot be used.
    pub fn not_listed(&self, credential: &Credential) -> Result<(), String> {
        let lists = self.revoked.load();
        lists.usable()?;
        lists.revoked(credential.suspect()).map_or(Ok(()), Err)
    }

    /// Whether what somebody once signed in with would sign in the same operator now.
    ///
    /// # Errors
    /// The rule that would not let them in.
    pub fn still_good(&self, session: &Session) -> Result<(), String> {
        let (config, at) = (self.config(), now());
        let c = &session.credential;
        let holder = c.holder(&config, &session.user, session.source.ip(), at)?;
        if session.holder().as_ref() != Some(&holder) {
            return Err("what they signed in with is somebody else's".to_owned());
        }
        let blocked = c.blocked(&self.state().ledger, &config, &holder);
        let listed = || self.revoked.load().revoked(c.suspect());
        blocked.or_else(|| config.expired(&c.fingerprint, at)).or_else(listed).map_or(Ok(()), Err)
    }

    /// The lists that cannot be used, a sentence each.
    #[must_use]
    pub fn list_problems(&self) -> Vec<String> {
        self.revoked.load().problems().collect()
    }

    /// Ends sessions that the lists revoke.
    fn end_listed(&self) {
        let lists = self.revoked.load();
        for session in self.sessions() {
            if let Some(rule) = lists.revoked(session.credential.suspect())
                && session.vital.cause().is_none()
            {
                tracing::info!(session = %session.id, name = %session.name, rule, "a session is revoked");
                session.end(Obituary::with(ObituaryCause::RevokedByList, &rule));
            }
        }
    }

    /// Ends sessions whose certificate has expired.
    fn end_expired(&self) {
        let at = now();
        let due: Vec<_> = {
            let state = self.state();
            let due = state.expiring.iter().take_while(|(end, _)| *end <= at);
            due.filter_map(|(_, id)| state.sessions.get(id).cloned()).collect()
        };
        for session in due.iter().filter(|s| s.vital.cause().is_none()) {
            let detail = session.credential.mark().map(ToString::to_string).unwrap_or_default();
            tracing::info!(session = %session.id, name = %session.name, detail, "a certificate has expired");
            session.end(Obituary::with(ObituaryCause::CertificateExpired, &detail));
        }
    }
}
