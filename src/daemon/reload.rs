//! Reading the configuration anew: as a difference, so that what it does not touch stays up.

use crate::audit::{Context, Event, What};
use crate::config::{Config, Diff};
use crate::control::desk::Reloader;
use crate::control::server::BoxFuture;
use crate::model::Seq;
use crate::server::Server;
use crate::tunnels::{By, Registry};
use std::sync::{Arc, OnceLock};

pub(super) struct Reload {
    registry: Arc<Registry>,
    server: Arc<OnceLock<Server>>,
    /// One at a time.
    turn: Arc<tokio::sync::Mutex<()>>,
}

impl Reload {
    pub(super) fn new(registry: Arc<Registry>, server: Arc<OnceLock<Server>>) -> Self {
        Self { registry, server, turn: Arc::default() }
    }
}

impl Reloader for Reload {
    fn reload(&self, by: By) -> BoxFuture<'static, Result<(Seq, Vec<String>), String>> {
        let registry = Arc::clone(&self.registry);
        let server = Arc::clone(&self.server);
        let turn = Arc::clone(&self.turn);
        Box::pin(async move {
            let _turn = turn.lock().await;
            let old = registry.config();
            let context = || by.context(Context::default());
            let path = old.path.clone();
            let loaded = tokio::task::spawn_blocking(move || Config::load(&path)).await.map_err(|e| e.to_string())?;
            let new = match loaded {
                Ok(new) => new,
                Err(e) => {
                    let text = e.to_string();
                    let what = What::ConfigReload { changes: Vec::new() };
                    let mut failed = Event::failure(by.actor.clone(), what, "", context());
                    // With every problem and its remedy, on one line.
                    failed.context.reason = Some(crate::model::clean(&text.replace('\n', "; "), 4_000));
                    registry.journal.record(failed);
                    return Err(text);
                }
            };
            let diff = Diff::between(&old, &new);
            // What needs a restart keeps its running value, so that what is shown is what is.
            let new = Arc::new(new.with_running(&old));
            let mut changes = diff.sentences();
            changes.extend(registry.apply_config(Arc::clone(&new)).await);
            tokio::spawn(crate::health::reconsider(Arc::clone(&registry), old));
            if let Some(server) = server.get() {
                server.reconfigure(&new);
            }
            changes.extend(diff.needs_restart().into_iter().map(|k| format!("{k} needs a restart to take effect")));
            changes.extend(record_conflicts(&registry, &by));
            let what = What::ConfigReload { changes: changes.clone() };
            let seq = registry
                .journal
                .commit(Event::success(by.actor.clone(), what, context()))
                .await
                .map_err(|e| format!("the configuration is in force, but the journal cannot be written: {e}"))?;
            Ok((seq, changes))
        })
    }
}

/// Writes down where configuration and ledger disagree, and gives it back, a sentence each.
pub(super) fn record_conflicts(registry: &Registry, by: &By) -> Vec<String> {
    let conflicts: Vec<String> = registry.conflicts().iter().map(|c| c.sentence.clone()).collect();
    for conflict in &conflicts {
        let what = What::ConfigConflict { conflict: conflict.clone() };
        let context = by.context(Context::default());
        registry.journal.record(Event::failure(by.actor.clone(), what, conflict, context));
    }
    conflicts
}
