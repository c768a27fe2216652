//! A swarm of hosts in this process: SSH clients that sign in, ask for their forwards, answer keepalives and visitors,
//! and dial again when they are cut.
//!
//! It shares the machine with the daemon that it loads, so it is made to be cheap: russh's client on one current-thread
//! runtime per thread, small buffers, one small task per host beside the library's own. The key exchange is
//! curve25519-sha256 and the cipher aes128-gcm@openssh.com, which every peer knows, so that peers do the same work.

#![allow(clippy::expect_used, reason = "what cannot fail here, or may end the driver")]

use super::{Res, Server, at};
use russh::client::{self, ChannelOpenHandle, Handle, Msg, Session};
use russh::keys::{Algorithm, PrivateKey, PrivateKeyWithHashAlg, PublicKeyOrCertificate};
use russh::{Channel, ChannelOpenFailure, Limits, Preferred, cipher, compression, kex, mac};
use std::borrow::Cow;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tokio::net::{TcpListener, TcpSocket, TcpStream};

/// Addresses of 127.0.0.0/8 that hosts dial from: ten thousand connections, and those of the life before in TIME_WAIT,
/// are more than one address has ephemeral ports.
const SOURCES: usize = 8;

/// Dials of one thread that are under way at a time. More would only wait for the same processor, and hold memory.
const DIALLING: usize = 64;

/// A dial that takes longer than this is given up and begun anew.
const DIAL_TIME: Duration = Duration::from_secs(30);

/// One host.
#[derive(Clone)]
pub struct Host {
    /// The user name it gives.
    pub user: String,
    /// Its key.
    pub key: Arc<PrivateKey>,
    /// The ports it asks for.
    pub ports: Vec<u16>,
    /// The address it asks for: `localhost` for both loopbacks, as `ssh -R` does, `127.0.0.1` for one.
    pub address: &'static str,
}

/// The first `n` hosts that this server knows, with `each` ports.
///
/// # Errors
/// A key cannot be read.
pub fn hosts(of: &dyn Server, n: usize, each: u16, address: &'static str) -> Res<Vec<Host>> {
    (0..n)
        .map(|i| {
            let key = PrivateKey::read_openssh_file(of.key(i)).map_err(at("a host's key"))?;
            let ports = (0..each).map(|p| of.port(i, p)).collect();
            Ok(Host { user: of.user(i), key: Arc::new(key), ports, address })
        })
        .collect()
}

/// What all hosts share.
struct Shared {
    target: SocketAddr,
    service: SocketAddr,
    client: Arc<client::Config>,
    began: Instant,
    /// Rises with every [`Swarm::mark`]: a host counts as up only if it dialled after the last one.
    epoch: AtomicU64,
    up: AtomicUsize,
    /// Microseconds after `began` at which the last host came up.
    last_up: AtomicU64,
    dials: AtomicU64,
    lost: AtomicU64,
    visits: AtomicU64,
    trouble: Mutex<Option<String>>,
    stop: AtomicBool,
}

impl Shared {
    fn complain(&self, what: String) {
        *self.trouble.lock().expect("not poisoned") = Some(what);
    }
}

/// Hosts that dial, until it is dropped.
pub struct Swarm {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
    stop: tokio::sync::watch::Sender<bool>,
    n: usize,
}

/// What became of the swarm so far.
#[derive(Debug, Clone)]
pub struct Tally {
    /// Hosts up now.
    pub up: usize,
    /// Dials so far.
    pub dials: u64,
    /// Sessions lost so far.
    pub lost: u64,
    /// Visitors (or checks) served so far.
    pub visits: u64,
    /// The last thing that went wrong.
    pub trouble: Option<String>,
}

impl Swarm {
    /// Lets the hosts loose on `target`, on `threads` threads.
    pub fn start(target: SocketAddr, hosts: Vec<Host>, threads: usize) -> Self {
        raise_file_limit();
        let n = hosts.len();
        let (stop, stopped) = tokio::sync::watch::channel(false);
        let service = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        service.set_nonblocking(true).expect("nonblocking");
        let shared = Arc::new(Shared {
            target,
            service: service.local_addr().expect("bound"),
            client: Arc::new(client_config()),
            began: Instant::now(),
            epoch: AtomicU64::new(0),
            up: AtomicUsize::new(0),
            last_up: AtomicU64::new(0),
            dials: AtomicU64::new(0),
            lost: AtomicU64::new(0),
            visits: AtomicU64::new(0),
            trouble: Mutex::new(None),
            stop: AtomicBool::new(false),
        });
        let mut service = Some(service);
        let mut shares: Vec<Vec<(usize, Host)>> = (0..threads.max(1)).map(|_| Vec::new()).collect();
        for (i, h) in hosts.into_iter().enumerate() {
            let slot = i % shares.len();
            shares[slot].push((i, h));
        }
        let threads = shares
            .into_iter()
            .enumerate()
            .map(|(t, share)| {
                let shared = Arc::clone(&shared);
                let stopped = stopped.clone();
                let service = service.take();
                std::thread::Builder::new()
                    .name(format!("swarm-{t}"))
                    .spawn(move || run(&shared, share, service, stopped))
                    .expect("a thread")
            })
            .collect();
        Self { shared, threads, stop, n }
    }

    /// From now on only hosts count as up that dial after this. Call it just before the daemon is killed.
    pub fn mark(&self) -> Instant {
        self.shared.epoch.fetch_add(1, Ordering::SeqCst);
        self.shared.up.store(0, Ordering::SeqCst);
        Instant::now()
    }

    /// Waits until every host is up; the moment at which the last one came up.
    ///
    /// # Errors
    /// How many are up after `limit`, and what went wrong last.
    pub fn wait_all(&self, limit: Duration) -> Result<Instant, String> {
        let deadline = Instant::now() + limit;
        loop {
            let now = self.tally();
            if now.up >= self.n {
                return Ok(self.shared.began + Duration::from_micros(self.shared.last_up.load(Ordering::SeqCst)));
            }
            if Instant::now() > deadline {
                return Err(format!(
                    "{} of {} hosts are up after {:.0} s ({} dials, {} lost); last trouble: {}",
                    now.up,
                    self.n,
                    limit.as_secs_f64(),
                    now.dials,
                    now.lost,
                    now.trouble.unwrap_or_else(|| "none".to_owned())
                ));
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Where it stands.
    pub fn tally(&self) -> Tally {
        Tally {
            up: self.shared.up.load(Ordering::SeqCst),
            dials: self.shared.dials.load(Ordering::Relaxed),
            lost: self.shared.lost.load(Ordering::Relaxed),
            visits: self.shared.visits.load(Ordering::Relaxed),
            trouble: self.shared.trouble.lock().expect("not poisoned").clone(),
        }
    }
}

impl Drop for Swarm {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::SeqCst);
        self.stop.send_replace(true);
        for t in self.threads.drain(..) {
            let _ = t.join();
        }
    }
}

/// Two descriptors a host in the driver, three in the daemon: the usual 1024 do not do. Root may raise the hard limit
/// too; children inherit it.
pub fn raise_file_limit() {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    const WANTED: u64 = 100_000;
    if let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE)
        && soft < WANTED
        && setrlimit(Resource::RLIMIT_NOFILE, WANTED, hard.max(WANTED)).is_err()
    {
        let _ = setrlimit(Resource::RLIMIT_NOFILE, hard, hard);
    }
}

fn client_config() -> client::Config {
    client::Config {
        limits: Limits { rekey_time_limit: Duration::from_secs(1 << 30), ..Limits::default() },
        window_size: 64 * 1024,
        channel_buffer_size: 4,
        preferred: Preferred {
            kex: Cow::Borrowed(&[
                kex::CURVE25519,
                kex::EXTENSION_SUPPORT_AS_CLIENT,
                kex::EXTENSION_OPENSSH_STRICT_KEX_AS_CLIENT,
            ]),
            key: Cow::Borrowed(&[Algorithm::Ed25519]),
            cipher: Cow::Borrowed(&[cipher::AES_128_GCM]),
            mac: Cow::Borrowed(&[mac::HMAC_SHA256_ETM]),
            compression: Cow::Borrowed(&[compression::NONE]),
            ..Preferred::DEFAULT
        },
        nodelay: true,
        ..client::Config::default()
    }
}

fn run(
    shared: &Arc<Shared>,
    hosts: Vec<(usize, Host)>,
    service: Option<std::net::TcpListener>,
    mut stop: tokio::sync::watch::Receiver<bool>,
) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        if let Some(listener) = service {
            let listener = TcpListener::from_std(listener).expect("a listener");
            tokio::spawn(serve(listener));
        }
        let dialling = Arc::new(tokio::sync::Semaphore::new(DIALLING));
        for (i, h) in hosts {
            tokio::spawn(host(Arc::clone(shared), Arc::clone(&dialling), i, h));
        }
        let _ = stop.wait_for(|s| *s).await;
    });
    runtime.shutdown_background();
}

/// The service behind every tunnel: greets as an SSH server does, and echoes.
async fn serve(listener: TcpListener) {
    loop {
        match listener.accept().await {
            Ok((mut socket, _)) => {
                tokio::spawn(async move {
                    use tokio::io::AsyncWriteExt;
                    let (mut r, mut w) = socket.split();
                    if w.write_all(b"SSH-2.0-swarm\r\n").await.is_ok() {
                        let _ = tokio::io::copy(&mut r, &mut w).await;
                    }
                });
            }
            Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
        }
    }
}

/// One host: dials, holds, dials again.
async fn host(shared: Arc<Shared>, dialling: Arc<tokio::sync::Semaphore>, i: usize, me: Host) {
    let mut round: u64 = i as u64;
    loop {
        let permit = dialling.acquire().await;
        let epoch = shared.epoch.load(Ordering::SeqCst);
        shared.dials.fetch_add(1, Ordering::Relaxed);
        let dialled = tokio::time::timeout(DIAL_TIME, Box::pin(dial(&shared, i, &me))).await;
        drop(permit);
        match dialled {
            Ok(Ok(handle)) => {
                let at = u64::try_from(shared.began.elapsed().as_micros()).unwrap_or(u64::MAX);
                let counted = shared.epoch.load(Ordering::SeqCst) == epoch;
                if counted {
                    shared.last_up.fetch_max(at, Ordering::SeqCst);
                    shared.up.fetch_add(1, Ordering::SeqCst);
                }
                let _ = handle.await;
                if counted && shared.epoch.load(Ordering::SeqCst) == epoch {
                    shared.up.fetch_sub(1, Ordering::SeqCst);
                }
                shared.lost.fetch_add(1, Ordering::Relaxed);
            }
            Ok(Err(e)) => shared.complain(e.to_string()),
            Err(_) => shared.complain(format!("a dial took longer than {} s", DIAL_TIME.as_secs())),
        }
        // 20 to 120 ms, different for every host and round.
        round = round.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        tokio::time::sleep(Duration::from_millis(20 + (round >> 33) % 100)).await;
    }
}

type DialError = Box<dyn std::error::Error + Send + Sync>;

async fn dial(shared: &Arc<Shared>, i: usize, me: &Host) -> Result<Handle<Client>, DialError> {
    let stream = connect(shared.target, i).await?;
    stream.set_nodelay(true)?;
    let client = Client { shared: Arc::clone(shared) };
    let mut handle = client::connect_stream(Arc::clone(&shared.client), stream, client).await?;
    let key = PrivateKeyWithHashAlg::new(Arc::clone(&me.key), None);
    if !handle.authenticate_publickey(me.user.as_str(), key).await?.success() {
        return Err("the key was not accepted".into());
    }
    for port in &me.ports {
        handle.tcpip_forward(me.address, u32::from(*port)).await?;
    }
    Ok(handle)
}

/// From an address of its own share, so that ephemeral ports suffice.
async fn connect(target: SocketAddr, i: usize) -> io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    if target.ip().is_loopback() {
        let source = Ipv4Addr::new(127, 0, 0, 1 + u8::try_from(i % SOURCES).unwrap_or(0));
        socket.bind(SocketAddrV4::new(source, 0).into())?;
    }
    socket.connect(target).await
}

struct Client {
    shared: Arc<Shared>,
}

impl client::Handler for Client {
    type Error = russh::Error;

    async fn check_server_key(&mut self, _key: &PublicKeyOrCertificate) -> Result<bool, russh::Error> {
        Ok(true)
    }

    async fn server_channel_open_forwarded_tcpip(
        &mut self,
        channel: Channel<Msg>,
        _connected_address: &str,
        _connected_port: u32,
        _originator_address: &str,
        _originator_port: u32,
        reply: ChannelOpenHandle,
        _session: &mut Session,
    ) -> Result<(), russh::Error> {
        let shared = Arc::clone(&self.shared);
        tokio::spawn(async move {
            match TcpStream::connect(shared.service).await {
                Ok(mut service) => {
                    shared.visits.fetch_add(1, Ordering::Relaxed);
                    reply.accept().await;
                    let mut channel = channel.into_stream();
                    let _ = tokio::io::copy_bidirectional_with_sizes(&mut channel, &mut service, 2048, 2048).await;
                }
                Err(_) => reply.reject(ChannelOpenFailure::ConnectFailed).await,
            }
        });
        Ok(())
    }
}
