//! The client's side: console, CLI and SSH exec ask the daemon through this.

use super::codec::{self, CodecError, LineReader, MAX_REQUEST};
use super::protocol::{
    ApiError, ClientFrame, ErrorCode, Identity, MAX_LINE, Push, Reply, Request, ServerFrame, Snapshot, VERSION,
};
use crate::model::{Seq, clean_line};
use std::collections::HashMap;
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::sync::{mpsc, oneshot};
use tokio::task::AbortHandle;

/// Pushes that wait for a subscriber.
const PUSH_QUEUE: usize = 4;
/// Requests that wait for the writer.
const REQUEST_QUEUE: usize = 16;

/// Why there is no answer.
#[derive(Debug, Error)]
pub enum ClientError {
    /// No such file.
    #[error(
        "there is no control socket at {0}: is the daemon running? Start it with `portreeve serve --config FILE`, or \
         name its socket with --socket"
    )]
    NoSocket(PathBuf),
    /// A file, and nobody behind it.
    #[error(
        "nobody answers on the control socket {0}: the daemon is not running. Start it with `portreeve serve --config \
         FILE`, or name its socket with --socket"
    )]
    NotAnswering(PathBuf),
    /// Not in the group.
    #[error("you may not use the control socket {path}: {remedy}")]
    Denied {
        /// The socket.
        path: PathBuf,
        /// Which group to be in.
        remedy: String,
    },
    /// Something else.
    #[error("the control socket {path} cannot be used: {source}")]
    Connect {
        /// The socket.
        path: PathBuf,
        /// The system's word.
        source: io::Error,
    },
    /// The other side speaks another version, or something else entirely.
    #[error("this portreeve ({ours}) and the daemon do not understand each other: {0}", ours = env!("CARGO_PKG_VERSION"))]
    Version(String),
    /// The daemon says no.
    #[error(transparent)]
    Api(#[from] ApiError),
    /// The connection ended before the answer came.
    #[error(
        "the daemon closed the connection before it answered{0}. What was asked may have been done: `portreeve audit` \
         tells"
    )]
    Closed(String),
}

impl ClientError {
    /// Whether there is no daemon to talk to (rather than one that says no).
    #[must_use]
    pub fn is_unreachable(&self) -> bool {
        !matches!(self, Self::Api(_) | Self::Denied { .. })
    }
}

/// A connection to the daemon. Clones share it; it closes when the last one is dropped, and subscriptions with it.
#[derive(Debug, Clone)]
pub struct Client(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    identity: Identity,
    portreeve: String,
    requests: mpsc::Sender<Vec<u8>>,
    waiting: Arc<Mutex<Waiting>>,
    last_id: AtomicU64,
    tasks: [AbortHandle; 2],
}

impl Drop for Inner {
    fn drop(&mut self) {
        for t in &self.tasks {
            t.abort();
        }
    }
}

/// How long a daemon has to answer the first request.
const HELLO_WAIT: std::time::Duration = std::time::Duration::from_secs(10);

/// Who waits for what.
#[derive(Debug, Default)]
struct Waiting {
    replies: HashMap<u64, oneshot::Sender<Result<Reply, ApiError>>>,
    pushes: Option<mpsc::Sender<Push>>,
    /// The subscription has not begun: deltas that still come belong to an earlier one.
    awaits_snapshot: bool,
    /// The connection has ended, with what is known of the reason.
    closed: Option<String>,
}

/// A panic elsewhere leaves nothing half written here.
fn lock(m: &Mutex<Waiting>) -> MutexGuard<'_, Waiting> {
    m.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Client {
    /// Connects to the daemon's control socket and says hello. `name` tells the daemon what we are: `cli`, `console`.
    ///
    /// # Errors
    /// [`ClientError`] that says what to do: no socket, nobody behind it, not allowed, another version.
    pub async fn connect_unix(path: &Path, name: &str) -> Result<Self, ClientError> {
        let stream = UnixStream::connect(path).await.map_err(|e| connect_error(path, e))?;
        // A daemon that hangs, or was stopped, still has its socket.
        match tokio::time::timeout(HELLO_WAIT, Self::connect(stream, name)).await {
            Ok(client) => client,
            Err(_) => Err(ClientError::Closed(format!(": it said nothing for {} s", HELLO_WAIT.as_secs()))),
        }
    }

    /// Says hello over a stream that is already there.
    ///
    /// # Errors
    /// [`ClientError`] when the daemon refuses or speaks another version.
    pub async fn connect<S>(stream: S, name: &str) -> Result<Self, ClientError>
    where
        S: AsyncRead + AsyncWrite + Send + 'static,
    {
        let (read, mut write) = tokio::io::split(stream);
        let hello = Request::Hello { version: VERSION, client: name.to_owned() };
        let line = request_line(1, hello)?;
        // A daemon that refuses closes at once; its reason can be read all the same.
        let sent = async { write.write_all(&line).await.and(write.flush().await) }.await;
        let mut lines = LineReader::new(read, MAX_LINE);
        let (portreeve, identity) = welcome(&mut lines, sent).await?;
        let waiting = Arc::new(Mutex::new(Waiting::default()));
        let (requests, queue) = mpsc::channel(REQUEST_QUEUE);
        let reader = tokio::spawn(read_loop(lines, Arc::clone(&waiting))).abort_handle();
        let writer = tokio::spawn(write_loop(write, queue, Arc::clone(&waiting))).abort_handle();
        let tasks = [reader, writer];
        Ok(Self(Arc::new(Inner { identity, portreeve, requests, waiting, last_id: AtomicU64::new(1), tasks })))
    }

    /// Who we are to the daemon.
    #[must_use]
    pub fn identity(&self) -> &Identity {
        &self.0.identity
    }

    /// The daemon's version of portreeve.
    #[must_use]
    pub fn daemon_version(&self) -> &str {
        &self.0.portreeve
    }

    /// Asks and waits for the answer. Many may be asked at once.
    ///
    /// # Errors
    /// [`ClientError::Api`] when the daemon says no, [`ClientError::Closed`] when it is gone.
    pub async fn request(&self, request: Request) -> Result<Reply, ClientError> {
        let id = self.0.last_id.fetch_add(1, Ordering::Relaxed) + 1;
        let line = request_line(id, request)?;
        let (tell, told) = oneshot::channel();
        {
            let mut waiting = lock(&self.0.waiting);
            if let Some(why) = &waiting.closed {
                return Err(ClientError::Closed(why.clone()));
            }
            waiting.replies.insert(id, tell);
        }
        // Fails only when the connection is closed, and then nobody answers.
        let _ = self.0.requests.send(line).await;
        match told.await {
            Ok(result) => result.map_err(ClientError::Api),
            Err(_) => Err(ClientError::Closed(lock(&self.0.waiting).closed.clone().unwrap_or_default())),
        }
    }

    /// The whole live state, once.
    ///
    /// # Errors
    /// As [`Client::request`].
    pub async fn snapshot(&self) -> Result<Snapshot, ClientError> {
        match self.request(Request::Snapshot).await? {
            Reply::Snapshot(s) => Ok(*s),
            other => Err(unexpected(&other)),
        }
    }

    /// Subscribes: first comes a snapshot, then deltas. A later subscription replaces an earlier one. The receiver ends
    /// when the connection does.
    ///
    /// At most four pushes wait here. When they are not taken nothing more is read, replies included, so that the daemon
    /// is slowed and sends fewer, larger ones: keep taking pushes while waiting for a [`Client::request`].
    ///
    /// # Errors
    /// As [`Client::request`].
    pub async fn subscribe(&self, since: Option<Seq>) -> Result<mpsc::Receiver<Push>, ClientError> {
        let (tx, rx) = mpsc::channel(PUSH_QUEUE);
        {
            let mut waiting = lock(&self.0.waiting);
            waiting.pushes = Some(tx);
            waiting.awaits_snapshot = true;
        }
        match self.request(Request::Subscribe { since }).await? {
            Reply::Subscribed => Ok(rx),
            other => Err(unexpected(&other)),
        }
    }
}

/// An answer of the wrong kind: the daemon is not of our version after all.
#[must_use]
pub fn unexpected(reply: &Reply) -> ClientError {
    let text = serde_json::to_string(reply).unwrap_or_default();
    ClientError::Version(format!("it gave an answer of another kind than asked for: {}", clean_line(&text)))
}

fn request_line(id: u64, request: Request) -> Result<Vec<u8>, ClientError> {
    codec::encode(&ClientFrame { id, request }, MAX_REQUEST)
        .map_err(|e| ClientError::Api(ApiError::new(ErrorCode::Invalid, format!("the request cannot be sent: {e}"))))
}

fn connect_error(path: &Path, e: io::Error) -> ClientError {
    let path = path.to_owned();
    match e.kind() {
        io::ErrorKind::NotFound => ClientError::NoSocket(path),
        io::ErrorKind::ConnectionRefused => ClientError::NotAnswering(path),
        io::ErrorKind::PermissionDenied => {
            let remedy = denied_remedy(&path);
            ClientError::Denied { path, remedy }
        }
        _ => ClientError::Connect { path, source: e },
    }
}

/// Which group opens the door; where even looking is not allowed, the folder is what bars it.
fn denied_remedy(path: &Path) -> String {
    match std::fs::symlink_metadata(path) {
        Ok(m) if m.permissions().mode() & 0o020 != 0 => {
            let found = nix::unistd::Group::from_gid(nix::unistd::Gid::from_raw(m.gid())).ok().flatten();
            let group = found.map_or_else(|| m.gid().to_string(), |g| g.name);
            format!("it is for the group {group}. Join it (usermod -aG {group} USER, then sign in anew) or use sudo")
        }
        Ok(_) => "only its owner may. Set [control] group in portreeve.toml, or use sudo".to_owned(),
        Err(_) => "the folder it is in is closed to you. Ask for its group, or use sudo".to_owned(),
    }
}

/// Reads the answer to hello.
async fn welcome<R: AsyncRead + Unpin>(
    lines: &mut LineReader<R>,
    sent: io::Result<()>,
) -> Result<(String, Identity), ClientError> {
    let line = match lines.next().await {
        Ok(Some(line)) => line,
        Ok(None) => return Err(ClientError::Closed(sent.err().map(|e| format!(" ({e})")).unwrap_or_default())),
        Err(e) => return Err(ClientError::Closed(format!(" ({e})"))),
    };
    let frame: ServerFrame = serde_json::from_slice(&line)
        .map_err(|e| ClientError::Version(format!("its greeting is not ours: {}", clean_line(&e.to_string()))))?;
    match frame {
        ServerFrame::Reply { result: Ok(Reply::Welcome { version: VERSION, portreeve, you }), .. } => {
            Ok((portreeve, you))
        }
        ServerFrame::Reply { result: Ok(Reply::Welcome { version, portreeve, .. }), .. } => Err(ClientError::Version(
            format!("we speak version {VERSION} of the control protocol, the daemon (portreeve {portreeve}) {version}"),
        )),
        // Nothing but the version makes a hello invalid.
        ServerFrame::Reply { result: Err(e), .. } if e.code == ErrorCode::Invalid => {
            Err(ClientError::Version(e.message))
        }
        ServerFrame::Reply { result: Err(e), .. } => Err(ClientError::Api(e)),
        other => Err(ClientError::Version(format!("it did not answer hello but sent {}", kind(&other)))),
    }
}

fn kind(frame: &ServerFrame) -> &'static str {
    match frame {
        ServerFrame::Reply { .. } => "another reply",
        ServerFrame::Push(_) => "an update",
    }
}

async fn read_loop<R: AsyncRead + Unpin>(mut lines: LineReader<R>, waiting: Arc<Mutex<Waiting>>) {
    let mut why = String::new();
    loop {
        let line = match lines.next().await {
            Ok(Some(line)) => line,
            Ok(None) => break,
            Err(CodecError::Io(_)) => break,
            Err(e) => {
                why = format!(" ({e})");
                break;
            }
        };
        match serde_json::from_slice(&line) {
            // Number 0 is nobody's: the daemon says why it is about to close.
            Ok(ServerFrame::Reply { id: 0, result: Err(e) }) => why = format!(" ({})", e.message),
            Ok(ServerFrame::Reply { id, result }) => {
                let told = lock(&waiting).replies.remove(&id);
                if let Some(tell) = told {
                    let _ = tell.send(result);
                }
            }
            Ok(ServerFrame::Push(push)) => {
                let subscriber = {
                    let mut waiting = lock(&waiting);
                    waiting.awaits_snapshot &= !matches!(*push, Push::Snapshot(_));
                    if waiting.awaits_snapshot { None } else { waiting.pushes.clone() }
                };
                if let Some(tx) = subscriber
                    && tx.send(*push).await.is_err()
                {
                    let mut waiting = lock(&waiting);
                    // Unless it has been replaced meanwhile.
                    if waiting.pushes.as_ref().is_some_and(|p| p.same_channel(&tx)) {
                        waiting.pushes = None;
                    }
                }
            }
            Err(e) => {
                why = format!(" (a line that is not ours came: {})", clean_line(&e.to_string()));
                break;
            }
        }
    }
    close(&waiting, why);
}

/// Tells everyone who waits that nothing more will come.
fn close(waiting: &Mutex<Waiting>, why: String) {
    let mut waiting = lock(waiting);
    waiting.closed.get_or_insert(why);
    waiting.replies.clear();
    waiting.pushes = None;
}

async fn write_loop<W: AsyncWrite + Unpin>(
    mut write: W,
    mut queue: mpsc::Receiver<Vec<u8>>,
    waiting: Arc<Mutex<Waiting>>,
) {
    while let Some(line) = queue.recv().await {
        let sent = async { write.write_all(&line).await.and(write.flush().await) }.await;
        if let Err(e) = sent {
            return close(&waiting, format!(" ({e})"));
        }
    }
}
