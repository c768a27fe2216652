//! The embedded SSH server: accept loops, the handshake's limits, authentication, forwarding requests, and the channels
//! of operators. The only folder that knows the SSH library.

mod ahead;
mod algorithms;
mod carrier;
mod certificate;
mod client;
mod ear;
mod flight;
mod forward;
mod front;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;
mod gate;
mod greeting;
mod host_certificate;
mod kexinit;
mod login;
mod noise;
mod owner;
mod path;
mod pulse;
mod stream;
mod visit;

pub use algorithms::{HostKeyError, read_host_key};
pub use ear::Ear;
pub use front::{Front, Hangup, OperatorChannel, Output, Screen};
pub use gate::Gate;
pub use host_certificate::HostCertificateError;

use algorithms::Offers;

use crate::audit::{Actor, Context, Event, RepeatKind, What, Whom};
use crate::config::Config;
use crate::model::AcceptTrouble;
use crate::tunnels::{Registry, keep_time};
use arc_swap::ArcSwap;
use russh::keys::PrivateKey;
use socket2::{Domain, Protocol, Socket, Type};
use std::io;
use std::net::SocketAddr;
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use thiserror::Error;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// Connections the kernel holds until they are accepted.
const BACKLOG: i32 = 1024;
/// Said to those who are not let in, whatever the reason.
const NOT_NOW: &[u8] = b"Not allowed at this time\r\n";

/// Why the server could not start.
#[derive(Debug, Error)]
pub enum ServerError {
    /// A host key cannot be used.
    #[error(transparent)]
    HostKey(#[from] HostKeyError),
    /// A host certificate cannot be used.
    #[error(transparent)]
    HostCertificate(#[from] HostCertificateError),
    /// No host key at all.
    #[error("ssh.host_keys names no key; the server needs one")]
    NoHostKey,
    /// An address cannot be listened on.
    #[error("cannot listen on {address} (ssh.listen): {source}")]
    Listen {
        /// Which.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// A thread cannot be started.
    #[error("cannot start a carrier thread: {0}")]
    Thread(io::Error),
}

/// What all connections share.
pub(crate) struct Shared {
    pub(crate) registry: Arc<Registry>,
    pub(crate) offers: ArcSwap<Offers>,
    pub(crate) front: Arc<dyn Front>,
    keys: Vec<PrivateKey>,
    gate: Arc<Gate>,
}

/// The running server: carrier threads, each with its own runtime and its own accept sockets.
pub struct Server {
    shared: Arc<Shared>,
    addresses: Vec<SocketAddr>,
    stop: watch::Sender<Stage>,
    threads: Vec<JoinHandle<()>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Running,
    /// No new connections; those there are go on.
    Draining,
    /// The threads end.
    Stopped,
}

impl Server {
    /// Listens and serves on `threads` threads.
    ///
    /// # Errors
    /// [`ServerError`] when a host key cannot be used or an address cannot be listened on.
    pub fn start(registry: Arc<Registry>, front: Arc<dyn Front>, threads: usize) -> Result<Self, ServerError> {
        let config = registry.config();
        let keys = config.ssh.host_keys.iter().map(|p| read_host_key(p)).collect::<Result<Vec<_>, _>>()?;
        if keys.is_empty() {
            return Err(ServerError::NoHostKey);
        }
        let certificates = host_certificate::read_all(&config.ssh.host_certificates, &keys)?;
        let shared = Arc::new(Shared {
            offers: ArcSwap::from_pointee(Offers::new(&config, &keys, &certificates)),
            registry,
            front,
            keys,
            gate: Gate::new(&config.state_dir),
        });
        let threads = threads.max(1);
        let mut addresses = Vec::new();
        let mut per_thread: Vec<Vec<std::net::TcpListener>> = (0..threads).map(|_| Vec::new()).collect();
        for address in &config.ssh.listen {
            let fail = |source| ServerError::Listen { address: *address, source };
            ensure_free(*address).map_err(fail)?;
            // The first listener may choose the port; the others share it.
            let mut bound = *address;
            for slot in &mut per_thread {
                let listener = bind(bound).map_err(fail)?;
                bound = listener.local_addr().map_err(fail)?;
                slot.push(listener);
            }
            addresses.push(bound);
        }
        let stop = watch::Sender::new(Stage::Running);
        let mut handles = Vec::new();
        for (n, listeners) in per_thread.into_iter().enumerate() {
            let shared = Arc::clone(&shared);
            let stop = stop.subscribe();
            let handle = std::thread::Builder::new()
                .name(format!("carrier-{n}"))
                .spawn(move || carry(&shared, listeners, stop))
                .map_err(ServerError::Thread)?;
            handles.push(handle);
        }
        Ok(Self { shared, addresses, stop, threads: handles })
    }

    /// Addresses it listens on.
    #[must_use]
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Where connections are let in or not.
    #[must_use]
    pub fn gate(&self) -> Arc<Gate> {
        Arc::clone(&self.shared.gate)
    }

    /// Takes over the settings of a new configuration for connections to come.
    pub fn reconfigure(&self, config: &Config) {
        let shared = &self.shared;
        let certificates = host_certificate::read_all(&config.ssh.host_certificates, &shared.keys);
        let certificates = certificates.unwrap_or_else(|error| {
            tracing::error!(%error, "the host certificates stay as they were");
            shared.offers.load().to("").certificates.clone()
        });
        shared.offers.store(Arc::new(Offers::new(config, &shared.keys, &certificates)));
    }

    /// Accepts no more connections.
    pub fn drain(&self) {
        self.stop.send_replace(Stage::Draining);
    }

    /// Ends the threads, and with them whatever still runs on them.
    pub fn stop(self) {
        self.stop.send_replace(Stage::Stopped);
        for t in self.threads {
            if t.join().is_err() {
                tracing::error!("a carrier thread had panicked");
            }
        }
    }
}

/// `SO_REUSEPORT` would let a second daemon of the same user share the port in silence, and take half the connections.
fn ensure_free(address: SocketAddr) -> io::Result<()> {
    if address.port() == 0 {
        return Ok(());
    }
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.bind(&address.into())?;
    socket.listen(1)
}

fn bind(address: SocketAddr) -> io::Result<std::net::TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM.nonblocking(), Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// One carrier thread.
fn carry(shared: &Arc<Shared>, listeners: Vec<std::net::TcpListener>, mut stop: watch::Receiver<Stage>) {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(r) => r,
        Err(e) => return tracing::error!(error = %e, "a carrier thread has no runtime"),
    };
    runtime.block_on(async {
        let mut loops = tokio::task::JoinSet::new();
        loops.spawn(keep_time(Arc::clone(&shared.registry)));
        for l in listeners {
            match TcpListener::from_std(l) {
                Ok(l) => {
                    loops.spawn(accept(Arc::clone(shared), l));
                }
                Err(e) => tracing::error!(error = %e, "a listener is lost"),
            }
        }
        // The sender lives as long as the server; its loss means the same as being stopped.
        let _ = stop.wait_for(|s| *s != Stage::Running).await;
        loops.shutdown().await;
        let _ = stop.wait_for(|s| *s == Stage::Stopped).await;
    });
    runtime.shutdown_timeout(Duration::from_secs(1));
}

/// Accepts until dropped. Errors such as "too many open files" make it wait, never end.
async fn accept(shared: Arc<Shared>, listener: TcpListener) {
    let mut trouble = AcceptTrouble::default();
    loop {
        match listener.accept().await {
            Ok((socket, peer)) => {
                if let Some(over) = trouble.over() {
                    let seconds = over.lasted.as_secs_f64();
                    tracing::info!(failures = over.failures, seconds, "connections are accepted again");
                }
                let peer = SocketAddr::new(peer.ip().to_canonical(), peer.port());
                admit(&shared, socket, peer);
            }
            Err(e) if AcceptTrouble::is_of_one_connection(&e) => {}
            Err(e) => {
                let wait = trouble.failed();
                if wait.first {
                    tracing::warn!(error = %e, "cannot accept connections; they wait");
                }
                tokio::time::sleep(wait.pause).await;
            }
        }
    }
}

fn admit(shared: &Arc<Shared>, socket: TcpStream, peer: SocketAddr) {
    let config = shared.registry.config();
    match shared.gate.admit(&config, peer.ip(), socket.as_raw_fd(), Instant::now()) {
        Ok(pass) => {
            tokio::spawn(owner::own(Arc::clone(shared), socket, peer, pass));
        }
        Err(no) => {
            // A line before the identification (RFC 4253 §4.2), which OpenSSH shows. If it cannot be taken at once, or what
            // the client has sent unread makes the kernel throw it away, so be it.
            let _ = socket.try_write(NOT_NOW);
            let kind = RepeatKind { whom: Whom::Net(config.sources.network(peer.ip())), word: no.kind, first: 1 };
            let context = Context { source: Some(peer), ..Context::default() };
            let event = Event::refused(Actor::Unknown, What::ConnectionRefused {}, &no.rule, context);
            shared.registry.record_some(kind, event);
        }
    }
}
