//! What the system says to the daemon, and the daemon to the system.

use super::reload::Reload;
use crate::audit::Actor;
use crate::control::desk::Reloader;
use crate::tunnels::By;
use sd_notify::NotifyState;
use std::sync::Arc;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

/// A request to stop; the first cause given stands.
#[derive(Debug, Clone)]
pub struct Stop(Arc<watch::Sender<Option<String>>>);

impl Stop {
    pub(super) fn new() -> Self {
        Self(Arc::new(watch::Sender::new(None)))
    }

    /// Asks for it.
    pub fn ask(&self, cause: &str) {
        self.0.send_if_modified(|c| {
            let first = c.is_none();
            c.get_or_insert_with(|| cause.to_owned());
            first
        });
    }

    pub(super) async fn asked(&self) -> String {
        let mut rx = self.0.subscribe();
        match rx.wait_for(Option::is_some).await {
            Ok(cause) => cause.clone().unwrap_or_default(),
            Err(_) => "the end of the process".to_owned(),
        }
    }
}

/// The signals the daemon minds. Taken before it says that it is ready: from then on somebody may send them.
pub(super) struct Signals {
    term: Signal,
    int: Signal,
    hup: Signal,
}

impl Signals {
    /// Takes them. Needs a runtime's context.
    pub(super) fn take() -> std::io::Result<Self> {
        Ok(Self {
            term: signal(SignalKind::terminate())?,
            int: signal(SignalKind::interrupt())?,
            hup: signal(SignalKind::hangup())?,
        })
    }
}

/// SIGTERM and SIGINT stop, SIGHUP reloads.
pub(super) async fn listen(signals: Signals, stop: Stop, reload: Arc<Reload>) {
    let Signals { mut term, mut int, mut hup } = signals;
    loop {
        tokio::select! {
            _ = term.recv() => stop.ask("SIGTERM"),
            _ = int.recv() => stop.ask("SIGINT"),
            // Apart, so that a stop does not wait behind a reload.
            _ = hup.recv() => {
                tokio::spawn(hang_up(Arc::clone(&reload)));
            }
        }
    }
}

async fn hang_up(reload: Arc<Reload>) {
    notify(&[NotifyState::Reloading, monotonic()]);
    let by = By { actor: Actor::Daemon, via: Some("SIGHUP".to_owned()), proposed_by: None };
    match reload.reload(by).await {
        Ok((_, changes)) => tracing::info!(?changes, "configuration reloaded"),
        Err(e) => tracing::error!("configuration not reloaded, the running one stays:\n{e}"),
    }
    notify(&[NotifyState::Ready]);
}

pub(super) fn notify_ready() {
    notify(&[NotifyState::Ready]);
}

pub(super) fn notify_stopping() {
    notify(&[NotifyState::Stopping]);
}

fn monotonic() -> NotifyState<'static> {
    NotifyState::monotonic_usec_now().unwrap_or(NotifyState::Status("reloading"))
}

fn notify(state: &[NotifyState<'_>]) {
    // Without systemd there is nobody to tell.
    if let Err(e) = sd_notify::notify(state) {
        tracing::debug!(error = %e, "systemd was not told");
    }
}
