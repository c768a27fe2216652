//! Revoke and restore: block first, then cut, then say what was closed.

use super::lifecycle::{ActError, By, Done, END_WAIT, count};
use super::live::{Session, Tunnel};
use super::registry::{Registry, State};
use crate::audit::{Context, Event, What};
use crate::config::Config;
use crate::model::{BlockTarget, CaSerial, HostName, Obituary, ObituaryCause, RevocationView, now};
use crate::store::{Change, Saving};
use std::sync::Arc;
use std::time::Duration;

/// How long a revocation waits for the disk before it cuts.
pub const DISK_WAIT: Duration = Duration::from_millis(500);

impl Registry {
    /// Blocks first, then cuts, then reports what was closed.
    ///
    /// # Errors
    /// [`ActError`] when the target does not exist or is blocked already. Never because of a full disk: the block holds
    /// in memory at least, and the report says so.
    pub async fn revoke(&self, by: By, target: BlockTarget, reason: Option<String>) -> Result<Done, ActError> {
        let config = self.config();
        self.exists(&config, &target)?;
        let block = RevocationView { target: target.clone(), by: by.name(), since: now(), reason: reason.clone() };
        let saving = {
            let mut state = self.state();
            // One that could not be saved may be asked for again, until it is.
            state.not_revoked(&target)?;
            // From here on nobody gets in.
            state.ledger.apply(&Change::PutRevocation(block.clone()));
            state.unsaved.insert(target.clone());
            self.store.apply(vec![Change::PutRevocation(block.clone())])
        };
        self.touch();
        let context = Context { reason, ..self.target_context(&config, &target) };
        let asked = by.success(What::Revoke { target: target.clone() }, context.clone());
        let mut warnings = self.persist_block(&block, saving, asked).await;

        let obituary = Obituary::of(ObituaryCause::Revoke);
        let (sessions, tunnels) = self.held_by(&target);
        let visitors: usize = tunnels.iter().map(|t| t.visitors_now()).sum();
        for t in &tunnels {
            t.close(&obituary);
        }
        self.cut(&sessions, &obituary).await;
        for t in &tunnels {
            // A tunnel's end does not depend on its session; this is a matter of milliseconds.
            let _ = tokio::time::timeout(END_WAIT, t.closed()).await;
        }
        let mut summary = format!(
            "revoked {target}: closed {}, {}, {}",
            count(sessions.len(), "session"),
            count(tunnels.len(), "tunnel"),
            count(visitors, "visitor")
        );
        let what = What::Revoked { target, sessions: sessions.len(), tunnels: tunnels.len(), visitors };
        let (seq, warning) = self.prove(by.success(what, context)).await;
        warnings.extend(warning);
        for w in &warnings {
            summary.push_str(&format!("; {w}"));
        }
        Ok(Done { ok: warnings.is_empty(), revocation: Some(block), ..Done::new(seq, summary) })
    }

    /// Whether the target exists and can be revoked now.
    ///
    /// # Errors
    /// [`ActError`] when it does not exist or is blocked already.
    pub fn revocable(&self, target: &BlockTarget) -> Result<(), ActError> {
        self.exists(&self.config(), target)?;
        self.state().not_revoked(target)
    }

    /// Saves a block and writes it down. A disk that hangs must not keep the door open: after a moment what is held is
    /// cut all the same. Returns what went wrong, a sentence each.
    async fn persist_block(&self, block: &RevocationView, saving: Saving, asked: Event) -> Vec<String> {
        let mut warnings = Vec::new();
        match tokio::time::timeout(DISK_WAIT, saving).await {
            Ok(Ok(())) => {
                self.state().unsaved.remove(&block.target);
            }
            late => {
                tracing::error!(?late, target = %block.target, "a revocation could not be saved");
                let again = "it holds until the daemon restarts; revoke again when the ledger can be written";
                warnings.push(format!("NOT SAVED: {again}"));
            }
        }
        match tokio::time::timeout(DISK_WAIT, self.prove(asked)).await {
            Ok((_, warning)) => warnings.extend(warning),
            // It is in the journal's queue, in its place.
            Err(_) => warnings.push("the journal's disk does not answer".to_owned()),
        }
        warnings
    }

    /// Lifts a block.
    ///
    /// # Errors
    /// [`ActError`] when there is none, or when it could not be saved.
    pub async fn restore(&self, by: By, target: BlockTarget) -> Result<Done, ActError> {
        let config = self.config();
        let context = self.target_context(&config, &target);
        self.auditable()?;
        let change = Change::DropRevocation(target.clone());
        let (seen, saving) = {
            let state = self.state();
            let seen = state.ledger.block(&target).cloned();
            let seen = seen.ok_or_else(|| ActError::NotFound(format!("{target} is not revoked")))?;
            (seen, self.store.apply(vec![change.clone()]))
        };
        saving.await?;
        {
            let mut state = self.state();
            // One that was not saved may have been asked for again, and is saved by now.
            if state.ledger.block(&target).is_some_and(|b| *b != seen) {
                return Err(ActError::Conflict(format!("{target} was revoked anew meanwhile")));
            }
            state.ledger.apply(&change);
            state.unsaved.remove(&target);
        }
        self.touch();
        let what = What::Restore { target: target.clone() };
        let (seq, warning) = self.prove(by.success(what, context)).await;
        Ok(Done::warned(seq, format!("restored {target}; it may connect again"), warning))
    }

    /// The target as blocks are kept: authorities by the fingerprint of their key, and the key of an authority as a CA.
    ///
    /// # Errors
    /// [`ActError`] when a name stands for no key, or for several.
    pub fn canonical(&self, target: BlockTarget) -> Result<BlockTarget, ActError> {
        let config = self.config();
        Ok(match target {
            BlockTarget::Key(f) if config.trust.cas.contains_key(&f) => BlockTarget::Ca(f),
            BlockTarget::Ca(ca) => BlockTarget::Ca(ca_key(&config, ca)?),
            BlockTarget::Serial(s) => BlockTarget::Serial(CaSerial { serial: s.serial, ca: ca_key(&config, s.ca)? }),
            other => other,
        })
    }

    pub(super) fn held_by(&self, target: &BlockTarget) -> (Vec<Arc<Session>>, Vec<Arc<Tunnel>>) {
        match target {
            BlockTarget::Port(p) => (Vec::new(), self.tunnel(*p).into_iter().collect()),
            BlockTarget::Host(h) => self.with_tunnels(self.sessions_of(h)),
            other => self.with_tunnels(self.sessions().into_iter().filter(|s| s.meets(other)).collect()),
        }
    }

    pub(super) fn with_tunnels(&self, sessions: Vec<Arc<Session>>) -> (Vec<Arc<Session>>, Vec<Arc<Tunnel>>) {
        let tunnels = sessions.iter().flat_map(|s| self.tunnels_of(s.id)).collect();
        (sessions, tunnels)
    }

    fn exists(&self, config: &Config, target: &BlockTarget) -> Result<(), ActError> {
        let known = match target {
            BlockTarget::Host(h) => config.hosts.contains_key(h),
            // Where certificates are good, keys sign in that no file names.
            BlockTarget::Key(f) => config.keys.contains_key(f) || !config.trust.cas.is_empty(),
            BlockTarget::Port(p) => config.teams.values().any(|t| t.ports.iter().any(|r| r.contains(*p))),
            BlockTarget::Team(t) => config.teams.contains_key(t),
            BlockTarget::Operator(o) => config.operators.contains_key(o),
            BlockTarget::Ca(ca) => config.trust.cas.contains_key(ca),
            BlockTarget::Serial(s) => config.trust.cas.contains_key(&s.ca),
            BlockTarget::Id(_) => !config.trust.cas.is_empty(),
        };
        if known {
            return Ok(());
        }
        Err(ActError::NotFound(match target {
            BlockTarget::Host(h) => format!("there is no host {h} in {}", config.path.display()),
            BlockTarget::Key(f) => format!("no host or operator of {} has the key {f}", config.path.display()),
            BlockTarget::Port(p) => format!("port {p} is in no team's range"),
            BlockTarget::Team(t) => format!("there is no team {t} in {}", config.path.display()),
            BlockTarget::Operator(o) => format!("there is no operator {o} in {}", config.path.display()),
            BlockTarget::Ca(ca) => format!("no authority of {} has the key {ca}", config.path.display()),
            BlockTarget::Serial(s) => format!("no authority of {} has the key {}", config.path.display(), s.ca),
            BlockTarget::Id(_) => format!("{} trusts no certificates", config.path.display()),
        }))
    }

    /// The audit's fields for what a block is about.
    #[must_use]
    pub fn target_context(&self, config: &Config, target: &BlockTarget) -> Context {
        let host_context = |h: &HostName| Context {
            host: Some(h.clone()),
            team: config.hosts.get(h).map(|x| x.team.clone()),
            ..Context::default()
        };
        match target {
            BlockTarget::Host(h) => host_context(h),
            BlockTarget::Key(f) => {
                let base = match config.keys.get(f) {
                    Some(crate::config::Principal::Host(h)) => host_context(h),
                    _ => Context::default(),
                };
                Context { fingerprint: Some(f.clone()), ..base }
            }
            BlockTarget::Team(t) => Context { team: Some(t.clone()), ..Context::default() },
            BlockTarget::Operator(_) | BlockTarget::Ca(_) | BlockTarget::Serial(_) | BlockTarget::Id(_) => {
                Context::default()
            }
            BlockTarget::Port(p) => {
                let lease = self.state().ledger.lease(config, *p);
                let team = config.teams.iter().find(|(_, t)| t.ports.iter().any(|r| r.contains(*p)));
                Context {
                    port: Some(*p),
                    host: lease.map(|l| l.host),
                    team: team.map(|(n, _)| n.clone()),
                    ..Context::default()
                }
            }
        }
    }
}

impl State {
    fn not_revoked(&self, target: &BlockTarget) -> Result<(), ActError> {
        match self.ledger.block(target) {
            Some(b) if !self.unsaved.contains(target) => {
                let (by, since) = (&b.by, b.since.format("%Y-%m-%d %H:%M:%SZ"));
                Err(ActError::Conflict(format!("{target} is revoked already, by {by} since {since}")))
            }
            _ => Ok(()),
        }
    }
}

/// The fingerprint of a CA that is named by it or by its authority.
fn ca_key(config: &Config, named: String) -> Result<String, ActError> {
    if named.starts_with("SHA256:") {
        return Ok(named);
    }
    let authority = config.trust.authorities.iter().find(|(n, _)| n.as_str() == named).map(|(_, a)| a);
    match authority.map(|a| a.keys.as_slice()) {
        Some([one]) => Ok(one.fingerprint.clone()),
        Some(keys) => {
            let all = keys.iter().map(|k| k.fingerprint.as_str()).collect::<Vec<_>>().join(", ");
            Err(ActError::Conflict(format!("authority {named} has several keys; name one of them: {all}")))
        }
        None => Err(ActError::NotFound(format!("there is no authority {named} in {}", config.path.display()))),
    }
}
