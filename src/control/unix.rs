//! The control socket: who may connect (file mode and group), who connects (peer credentials), how many at a time.

use super::protocol::{ApiError, ErrorCode, Identity};
use super::server::{Api, refuse, serve};
use crate::model::AcceptTrouble;
use std::fs::{File, OpenOptions, Permissions, TryLockError};
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::os::unix::net::UnixListener as StdListener;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use thiserror::Error;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

/// Control connections served at a time; more are told so and closed.
pub const MAX_CONNECTIONS: usize = 256;
/// Mode of the socket: its owner and its group.
pub const MODE: u32 = 0o660;
/// Connections that may wait for the accept loop.
const BACKLOG: i32 = 128;

/// Why the control socket could not be opened.
#[derive(Debug, Error)]
pub enum BindError {
    /// Somebody answers on it.
    #[error(
        "another portreeve daemon already answers on {0}: stop it first, or give this one its own [control] socket"
    )]
    Live(PathBuf),
    /// Something else has the name.
    #[error("{0} exists and is not a socket: move it away, or set another [control] socket")]
    NotASocket(PathBuf),
    /// The configured group does not exist.
    #[error("the group {0:?} of [control] group does not exist: create it (groupadd {0}) or name another")]
    NoGroup(String),
    /// The system said no.
    #[error("the control socket {path} cannot be opened: {what}: {source}")]
    Io {
        /// The socket.
        path: PathBuf,
        /// What was tried.
        what: &'static str,
        /// The system's word.
        source: io::Error,
    },
}

/// Who is at the other end of a Unix socket, as the kernel says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PeerCred {
    /// User id.
    pub uid: u32,
    /// Group id.
    pub gid: u32,
    /// Process id, where the system tells.
    pub pid: Option<i32>,
}

/// The listening control socket. It is removed when this is dropped.
#[derive(Debug)]
pub struct UnixServer {
    listener: UnixListener,
    path: PathBuf,
    /// Device and inode, so that only our own socket is removed.
    inode: Option<(u64, u64)>,
    /// Held while we live: two daemons that start at once cannot both find a stale socket and remove each other's.
    _lock: File,
}

impl UnixServer {
    /// Opens the socket with this mode and group. A socket left behind by a dead daemon is replaced.
    ///
    /// Mode and group are set between bind and listen, when nobody can connect yet, so there is no moment in which a
    /// stranger could. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// [`BindError`], above all when another daemon answers.
    pub fn bind(path: &Path, mode: u32, group: Option<&str>) -> Result<Self, BindError> {
        let io = |what| move |source| BindError::Io { path: path.to_owned(), what, source };
        let lock = lock(path)?;
        match std::fs::symlink_metadata(path) {
            Ok(m) if !m.file_type().is_socket() => return Err(BindError::NotASocket(path.to_owned())),
            Ok(_) => match std::os::unix::net::UnixStream::connect(path) {
                Ok(_) => return Err(BindError::Live(path.to_owned())),
                Err(e) if e.kind() == io::ErrorKind::ConnectionRefused => {
                    std::fs::remove_file(path).map_err(io("removing the stale socket"))?;
                }
                Err(e) => return Err(io("asking who answers on it")(e)),
            },
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            Err(e) => return Err(io("looking at it")(e)),
        }
        let socket = socket2::Socket::new(socket2::Domain::UNIX, socket2::Type::STREAM, None).map_err(io("socket"))?;
        let address = socket2::SockAddr::unix(path).map_err(io("its path (at most 107 bytes)"))?;
        socket.bind(&address).map_err(io("bind"))?;
        if let Some(name) = group {
            let found = nix::unistd::Group::from_name(name).map_err(|e| io("looking up its group")(e.into()))?;
            let gid = found.ok_or_else(|| BindError::NoGroup(name.to_owned()))?.gid.as_raw();
            std::os::unix::fs::chown(path, None, Some(gid)).map_err(io("giving it to its group"))?;
        }
        std::fs::set_permissions(path, Permissions::from_mode(mode)).map_err(io("setting its mode"))?;
        socket.listen(BACKLOG).map_err(io("listen"))?;
        socket.set_nonblocking(true).map_err(io("listen"))?;
        let listener = UnixListener::from_std(StdListener::from(socket)).map_err(io("listen"))?;
        Ok(Self { listener, path: path.to_owned(), inode: inode(path), _lock: lock })
    }

    /// Where it listens.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Accepts and serves until it is dropped; the connections end with it, actions under way do not.
    ///
    /// `identify` says who a peer is, or in a sentence why it is refused.
    pub async fn run<F>(&self, api: Arc<dyn Api>, identify: F)
    where
        F: Fn(PeerCred) -> Result<Identity, String> + Send + Sync,
    {
        let slots = Arc::new(Semaphore::new(MAX_CONNECTIONS));
        let mut connections = JoinSet::new();
        let mut trouble = AcceptTrouble::default();
        loop {
            let stream = match self.listener.accept().await {
                Ok((stream, _)) => stream,
                Err(e) if AcceptTrouble::is_of_one_connection(&e) => continue,
                Err(error) => {
                    let wait = trouble.failed();
                    if wait.first {
                        tracing::warn!(%error, socket = %self.path.display(), "cannot accept control connections; they wait");
                    }
                    tokio::time::sleep(wait.pause).await;
                    continue;
                }
            };
            if let Some(over) = trouble.over() {
                let seconds = over.lasted.as_secs_f64();
                tracing::info!(failures = over.failures, seconds, "control connections are accepted again");
            }
            while connections.try_join_next().is_some() {}
            let who = peer(&stream).and_then(|cred| {
                identify(cred).map_err(|why| {
                    tracing::warn!(uid = cred.uid, gid = cred.gid, pid = cred.pid, %why, "control connection refused");
                    ApiError::new(ErrorCode::Forbidden, why)
                })
            });
            match (who, Arc::clone(&slots).try_acquire_owned()) {
                (Ok(who), Ok(slot)) => {
                    let api = Arc::clone(&api);
                    connections.spawn(async move {
                        serve(stream, who, api).await;
                        drop(slot);
                    });
                }
                (Err(error), Ok(slot)) => {
                    connections.spawn(async move {
                        refuse(stream, error).await;
                        drop(slot);
                    });
                }
                // A task for each of these would be unbounded; the line fits an empty socket buffer.
                (_, Err(_)) => {
                    let full =
                        format!("{MAX_CONNECTIONS} control connections are open, the most there may be: close some");
                    refuse(stream, ApiError::new(ErrorCode::Unavailable, full)).await;
                }
            }
        }
    }
}

impl Drop for UnixServer {
    fn drop(&mut self) {
        if self.inode.is_some() && inode(&self.path) == self.inode {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

fn inode(path: &Path) -> Option<(u64, u64)> {
    std::fs::symlink_metadata(path).ok().map(|m| (m.dev(), m.ino()))
}

/// Takes `SOCKET.lock`. The kernel releases it when its holder dies, however it dies.
fn lock(path: &Path) -> Result<File, BindError> {
    let io = |source| BindError::Io { path: path.to_owned(), what: "locking its .lock file", source };
    let mut name = path.as_os_str().to_owned();
    name.push(".lock");
    let file = OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(name).map_err(io)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(BindError::Live(path.to_owned())),
        Err(TryLockError::Error(e)) => Err(io(e)),
    }
}

fn peer(stream: &UnixStream) -> Result<PeerCred, ApiError> {
    let cred = stream.peer_cred().map_err(|e| {
        ApiError::new(ErrorCode::Forbidden, format!("the kernel does not say who you are (peer credentials): {e}"))
    })?;
    Ok(PeerCred { uid: cred.uid(), gid: cred.gid(), pid: cred.pid() })
}
