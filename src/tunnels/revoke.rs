//! Revoke and restore: block first, then cut, then say what was closed.

use super::lifecycle::{ActError, By, Done, END_WAIT, count};
use super::live::{Session, Tunnel};
use super::registry::Registry;
use crate::audit::{Context, Event, What};
use crate::config::Config;
use crate::model::{BlockTarget, HostName, Obituary, ObituaryCause, RevocationView, now};
use crate::store::Change;
use std::sync::Arc;
use std::time::Duration;

/// How long a revocation waits for the disk before it cuts.
const DISK_WAIT: Duration = Duration::from_millis(500);

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
        {
            let mut state = self.state();
            // One that could not be saved may be asked for again, until it is.
            if let Some(b) = state.ledger.block(&target)
                && !state.unsaved.contains(&target)
            {
                let (by, since) = (&b.by, b.since.format("%Y-%m-%d %H:%M:%SZ"));
                return Err(ActError::Conflict(format!("{target} is revoked already, by {by} since {since}")));
            }
            // From here on nobody gets in.
            state.ledger.apply(&Change::PutRevocation(block.clone()));
            state.unsaved.insert(target.clone());
        }
        self.touch();
        let context = Context { reason, ..self.target_context(&config, &target) };
        let asked = by.success(What::Revoke { target: target.clone() }, context.clone());
        let mut warnings = self.persist_block(&block, asked).await;

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

    /// Saves a block and writes it down. A disk that hangs must not keep the door open: after a moment what is held is
    /// cut all the same. Returns what went wrong, a sentence each.
    async fn persist_block(&self, block: &RevocationView, asked: Event) -> Vec<String> {
        let mut warnings = Vec::new();
        let saving = self.store.apply(vec![Change::PutRevocation(block.clone())]);
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
        if self.state().ledger.block(&target).is_none() {
            return Err(ActError::NotFound(format!("{target} is not revoked")));
        }
        let context = self.target_context(&config, &target);
        self.auditable()?;
        let change = Change::DropRevocation(target.clone());
        self.store.apply(vec![change.clone()]).await?;
        {
            let mut state = self.state();
            state.ledger.apply(&change);
            state.unsaved.remove(&target);
        }
        self.touch();
        let what = What::Restore { target: target.clone() };
        let (seq, warning) = self.prove(by.success(what, context)).await;
        Ok(Done::warned(seq, format!("restored {target}; it may connect again"), warning))
    }

    fn held_by(&self, target: &BlockTarget) -> (Vec<Arc<Session>>, Vec<Arc<Tunnel>>) {
        match target {
            BlockTarget::Port(p) => (Vec::new(), self.tunnel(*p).into_iter().collect()),
            BlockTarget::Host(h) => self.with_tunnels(self.sessions_of(h)),
            BlockTarget::Key(f) => {
                self.with_tunnels(self.sessions().into_iter().filter(|s| &s.fingerprint == f).collect())
            }
        }
    }

    fn with_tunnels(&self, sessions: Vec<Arc<Session>>) -> (Vec<Arc<Session>>, Vec<Arc<Tunnel>>) {
        let tunnels = sessions.iter().flat_map(|s| self.tunnels_of(s.id)).collect();
        (sessions, tunnels)
    }

    fn exists(&self, config: &Config, target: &BlockTarget) -> Result<(), ActError> {
        let known = match target {
            BlockTarget::Host(h) => config.hosts.contains_key(h),
            BlockTarget::Key(f) => config.keys.contains_key(f),
            BlockTarget::Port(p) => config.teams.values().any(|t| t.ports.iter().any(|r| r.contains(*p))),
        };
        if known {
            return Ok(());
        }
        Err(ActError::NotFound(match target {
            BlockTarget::Host(h) => format!("there is no host {h} in {}", config.path.display()),
            BlockTarget::Key(f) => format!("no host or operator of {} has the key {f}", config.path.display()),
            BlockTarget::Port(p) => format!("port {p} is in no team's range"),
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
