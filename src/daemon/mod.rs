//! Wiring: what starts, in which order, and what stops, in which order.

mod dial;
mod files;
mod front;
mod harden;
mod log;
mod memory;
mod program;
mod reload;
mod signals;

pub use log::LogError;
pub use program::hooks;
pub use signals::Stop;

use crate::audit::{Actor, AuditError, Context, Event, Journal, Settings, Ship, Shipping, What};
use crate::config::Config;
use crate::config::host_keys::{self, KeyKind};
use crate::control::desk::{Desk, Facts};
use crate::control::sight::identify;
use crate::control::unix::{BindError, UnixServer};
use crate::health;
use crate::server::{Gate, Server, ServerError};
use crate::store::{SqliteStore, StoreError, StoreHandle};
use crate::tunnels::{By, Registry, end_in_time, keep_time, watch_credentials};
use serde::Serialize;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use thiserror::Error;
use tokio::runtime::Runtime;
use tokio::sync::mpsc;

/// Threads of the runtime for control, health and consoles. Bytes of tunnels never run here.
const CONTROL_THREADS: usize = 2;

/// Why the daemon could not start.
#[derive(Debug, Error)]
pub enum StartError {
    /// The configuration is wrong.
    #[error(transparent)]
    Config(#[from] crate::config::ConfigError),
    /// A host key cannot be made or read.
    #[error(transparent)]
    HostKeys(#[from] host_keys::HostKeyError),
    /// Logs cannot be written.
    #[error(transparent)]
    Log(#[from] LogError),
    /// The journal cannot be opened.
    #[error(transparent)]
    Audit(#[from] AuditError),
    /// The ledger cannot be opened.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The SSH server cannot start.
    #[error(transparent)]
    Server(#[from] ServerError),
    /// The control socket cannot be made.
    #[error(transparent)]
    Control(#[from] BindError),
    /// A folder cannot be made.
    #[error("cannot make the folder {path}: {source}")]
    Folder {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A runtime cannot be made.
    #[error("cannot start the control runtime: {0}")]
    Runtime(io::Error),
}

/// What scripts wait for: printed as one line of JSON when the daemon is ready.
#[derive(Debug, Clone, Serialize)]
pub struct Ready {
    /// Always `ready`.
    pub event: &'static str,
    /// Addresses of the SSH server.
    pub ssh: Vec<SocketAddr>,
    /// The control socket.
    pub control: PathBuf,
    /// The configuration file.
    pub config: PathBuf,
    /// The command that brings up a first tunnel, where one was scaffolded.
    pub first_tunnel: Option<String>,
    /// The daemon's process.
    pub pid: u32,
}

/// How to start.
#[derive(Debug, Default)]
pub struct Options {
    /// Makes the first tunnel's command out of the address the server got.
    pub first_tunnel: Option<FirstTunnel>,
    /// Keep the terminal clean: logs go to a folder even where the configuration names none.
    pub quiet: Option<PathBuf>,
}

/// See [`Options::first_tunnel`].
pub struct FirstTunnel(pub Box<dyn Fn(SocketAddr) -> Option<String> + Send>);

impl std::fmt::Debug for FirstTunnel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("FirstTunnel")
    }
}

/// A running daemon.
pub struct Daemon {
    registry: Arc<Registry>,
    server: Arc<OnceLock<Server>>,
    store: StoreHandle,
    runtime: Runtime,
    ready: Ready,
    stop: Stop,
    /// Those to whom the journal is sent on.
    ships: Vec<Ship>,
    _log: Option<log::Guard>,
}

impl Daemon {
    /// Starts everything; when it returns, hosts can connect.
    ///
    /// # Errors
    /// [`StartError`] with what is wrong and what to do.
    pub fn start(config_path: &Path, options: Options) -> Result<Self, StartError> {
        memory::keep_what_is_freed();
        harden::keep_files_private();
        let config = Arc::new(Config::load(config_path)?);
        let log = log::start(&config, options.quiet.as_deref())?;
        harden::forbid_dumps();
        files::raise_limit(&config);
        folder(&config.state_dir)?;
        host_keys::ensure(&config.ssh.host_keys)?;

        let journal = open_journal(&config)?;
        let (store, saved) = StoreHandle::start(SqliteStore::open(&config.state_dir.join("ledger.sqlite"))?)?;
        let (tunnel_up, tunnels) = mpsc::unbounded_channel();
        let registry = Registry::new(Arc::clone(&config), journal, store.clone(), saved, tunnel_up);

        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(CONTROL_THREADS)
            .thread_name("control")
            .enable_all()
            .build()
            .map_err(StartError::Runtime)?;
        let socket = runtime.block_on(async { bind_control(&config) })?;

        // From here on hosts can sign in: the journal begins before them, and signals are minded.
        started(&registry);
        let ships = send_on(&registry, &config)?;
        registry.look_at_lists(None);
        let signals = {
            let _context = runtime.enter();
            signals::Signals::take().map_err(StartError::Runtime)?
        };
        let server = Arc::new(OnceLock::new());
        let front = front::Front::new(Arc::clone(&registry), runtime.handle().clone());
        let threads = std::thread::available_parallelism().map_or(2, usize::from);
        let running = Server::start(Arc::clone(&registry), Arc::clone(&front) as Arc<_>, threads)?;
        let ssh = running.addresses().to_vec();
        let gate = running.gate();
        // Set once, here.
        let _ = server.set(running);

        let first_tunnel = options.first_tunnel.zip(ssh.first()).and_then(|(f, a)| (f.0)(*a));
        // Made by now where they were missing; the server has read them.
        let host_keys = crate::config::host_keys::ensure(&config.ssh.host_keys).unwrap_or_default();
        let host_keys = host_keys.iter().map(crate::config::host_keys::KeyFile::public_line).collect();
        let facts = Facts { ssh: ssh.clone(), first_tunnel: first_tunnel.clone(), host_keys, gate: Arc::clone(&gate) };
        let reloader = Arc::new(reload::Reload::new(Arc::clone(&registry), Arc::clone(&server)));
        let desk = Desk::new(Arc::clone(&registry), facts, Arc::clone(&reloader) as Arc<_>);
        front.open(Arc::clone(&desk));

        let stop = Stop::new();
        runtime.spawn(health::watch(Arc::clone(&registry), tunnels));
        runtime.spawn(Arc::clone(&desk).sample());
        runtime.spawn(Arc::clone(&desk).attend());
        runtime.spawn(keep_time(Arc::clone(&registry)));
        runtime.spawn(watch_credentials(Arc::clone(&registry)));
        runtime.spawn(end_in_time(Arc::clone(&registry)));
        runtime.spawn(serve_control(socket, desk, Arc::clone(&registry)));
        runtime.spawn(signals::listen(signals, stop.clone(), reloader));
        runtime.spawn(announce_events(Arc::clone(&registry)));
        runtime.spawn(keep_count(Arc::clone(&registry), gate));
        runtime.spawn(memory::give_back_when_calm());

        tracing::info!(config = %config.path.display(), "ready");
        let ready = Ready {
            event: "ready",
            ssh,
            control: config.control.socket.clone(),
            config: config.path.clone(),
            first_tunnel,
            pid: std::process::id(),
        };
        signals::notify_ready();
        Ok(Self { registry, server, store, runtime, ready, stop, ships, _log: log })
    }

    /// What to tell those who wait for it.
    #[must_use]
    pub fn ready(&self) -> &Ready {
        &self.ready
    }

    /// A way to ask it to stop.
    #[must_use]
    pub fn stopper(&self) -> Stop {
        self.stop.clone()
    }

    /// Waits until it is asked to stop (SIGTERM, SIGINT, or a [`Stop`]), and stops it in order: no new sessions and
    /// visitors, a moment for those there are, then the sessions, then the journal's last line.
    pub fn run(self) {
        let cause = self.runtime.block_on(self.stop.asked());
        tracing::info!(cause, "stopping");
        signals::notify_stopping();
        self.registry.drain();
        let server = self.server.get();
        if let Some(s) = server {
            s.drain();
        }
        let drain = self.registry.config().ssh.drain;
        self.runtime.block_on(async {
            let quiet = tokio::time::timeout(drain, visitors_gone(&self.registry)).await;
            if quiet.is_err() {
                tracing::info!("visitors are still connected after {} s; cutting them", drain.as_secs());
            }
            self.registry.shut_down().await;
            self.registry.save_key_uses().await;
        });
        self.registry.tell_repeats();
        if let Some(s) = server {
            s.gate().save(&self.registry.config(), std::iter::empty());
        }
        let last = Event::success(Actor::Daemon, What::DaemonStop { cause: cause.clone() }, Context::default());
        if let Err(e) = self.registry.journal.commit_blocking(last) {
            tracing::error!(error = %e, "the journal's last line could not be written");
        }
        if !self.ships.is_empty() {
            // So that what they have ends with a signature too.
            let _ = self.runtime.block_on(self.registry.journal.checkpoint());
        }
        for ship in self.ships {
            ship.stop();
        }
        if let Err(e) = self.registry.journal.close() {
            tracing::error!(error = %e, "the journal could not be closed in order");
        }
        self.store.close();
        self.runtime.shutdown_timeout(Duration::from_secs(1));
        // The carrier threads hold nothing that is worth waiting for any more; the process ends them.
        tracing::info!("stopped");
    }
}

fn open_journal(config: &Config) -> Result<Journal, StartError> {
    let key = host_keys::ensure_one(&config.audit.key, KeyKind::Ed25519, "portreeve audit key")?;
    let settings = Settings {
        sync: config.audit.sync.clone(),
        key: Some(Arc::new(key.key)),
        checkpoint: config.audit.checkpoint,
        keep: config.audit.keep,
        ..Settings::default()
    };
    Ok(Journal::open_with(&config.audit.dir, settings)?)
}

/// The journal to those who are to have it too.
fn send_on(registry: &Registry, config: &Config) -> Result<Vec<Ship>, StartError> {
    let start =
        |s: &Shipping| Ship::start(&registry.journal, s.clone(), &config.state_dir).map_err(StartError::Runtime);
    config.audit.ships.iter().map(start).collect()
}

fn bind_control(config: &Config) -> Result<UnixServer, StartError> {
    if let Some(dir) = config.control.socket.parent() {
        folder(dir)?;
    }
    Ok(UnixServer::bind(&config.control.socket, 0o660, config.control.group.as_deref())?)
}

async fn serve_control(socket: UnixServer, desk: Arc<Desk>, registry: Arc<Registry>) {
    socket
        .run(desk, move |peer| {
            let who = identify(&registry.config(), peer.uid);
            let operator = registry.config().operator_of_uid(peer.uid).map(|(name, _)| name.clone());
            let who = who.and_then(|who| match operator.and_then(|n| registry.dismissed(&n)) {
                Some(rule) => Err(rule),
                None => Ok(who),
            });
            who.inspect_err(|why| {
                let what = What::AuthFailure {
                    method: "control-socket".to_owned(),
                    client: peer.pid.map_or_else(String::new, |p| format!("pid {p}")),
                };
                let context = Context { user: Some(crate::config::account_of(peer.uid)), ..Context::default() };
                registry.journal.record(Event::refused(Actor::Unknown, what, why, context));
            })
        })
        .await;
}

/// The first lines of a run in the journal.
fn started(registry: &Registry) {
    let what = What::DaemonStart { version: env!("CARGO_PKG_VERSION").to_owned() };
    registry.journal.record(Event::success(Actor::Daemon, what, Context::default()));
    let by = By { actor: Actor::Daemon, via: None, proposed_by: None };
    for conflict in reload::record_conflicts(registry, &by) {
        tracing::warn!(conflict, "configuration and ledger disagree");
    }
}

/// Tells consoles of new events as soon as they are written.
async fn announce_events(registry: Arc<Registry>) {
    use tokio::sync::broadcast::error::RecvError;
    let mut events = registry.journal.subscribe();
    loop {
        match events.recv().await {
            Ok(_) | Err(RecvError::Lagged(_)) => registry.announce(),
            Err(RecvError::Closed) => return,
        }
    }
}

/// Tells once an interval what was refused and only counted, and keeps the known networks.
async fn keep_count(registry: Arc<Registry>, gate: Arc<Gate>) {
    loop {
        let config = registry.config();
        tokio::time::sleep(config.sources.report_interval).await;
        registry.tell_repeats();
        let (gate, sources) = (Arc::clone(&gate), registry.sources());
        // The journal has its own thread; this is a small file. Its loss costs a little time at the next restart.
        let _ = tokio::task::spawn_blocking(move || gate.save(&config, sources.into_iter())).await;
    }
}

async fn visitors_gone(registry: &Registry) {
    let mut changes = registry.changes();
    loop {
        changes.mark_unchanged();
        if registry.tunnels().iter().all(|t| t.visitors_now() == 0) || changes.changed().await.is_err() {
            return;
        }
    }
}

fn folder(path: &Path) -> Result<(), StartError> {
    use std::os::unix::fs::DirBuilderExt;
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(|source| StartError::Folder { path: path.to_owned(), source })
}
