//! How a tunnel reaches its host, without knowing that SSH does it.

use bytes::Bytes;
use std::future::Future;
use std::net::SocketAddr;
use thiserror::Error;

/// Something that can open byte streams to a host: an SSH session here, a peer of a fleet later.
pub trait Carrier: Clone + Send + Sync + 'static {
    /// Bytes from the host.
    type Reader: HostReader;
    /// Bytes to the host.
    type Writer: HostWriter;

    /// Opens a stream to the service behind the tunnel, as `forwarded-tcpip` does (RFC 4254 §7.2). `originator` is
    /// the visitor's address, which the host may log. May take for ever: the caller sets the time.
    fn open(
        &self,
        originator: SocketAddr,
    ) -> impl Future<Output = Result<(Self::Reader, Self::Writer), OpenError>> + Send;
}

/// What comes from the host.
#[derive(Debug)]
pub enum FromHost {
    /// Bytes.
    Data(Bytes),
    /// No more bytes will come; the host may still take some.
    Eof,
    /// The host closed the stream for good.
    Closed,
    /// The session under the stream has ended. What the service still had to say is lost.
    Gone,
}

impl FromHost {
    /// Whether nothing comes after it, and nothing can be sent.
    #[must_use]
    pub fn is_over(&self) -> bool {
        matches!(self, Self::Closed | Self::Gone)
    }
}

/// The host's end of a stream, reading. Whoever holds one must keep reading: a full queue here would freeze every
/// other stream of the same session, its keepalive and its disconnect (DESIGN.md, trap 1).
pub trait HostReader: Send {
    /// The next thing from the host. Cancel safe. After `Closed` or `Gone` it says one of them again.
    fn next(&mut self) -> impl Future<Output = FromHost> + Send;
}

/// The host's end of a stream, writing.
pub trait HostWriter: Send + Sync {
    /// Sends bytes; waits while the host takes none.
    fn write(&self, data: Bytes) -> impl Future<Output = Result<(), LinkGone>> + Send;
    /// Says that no more will come.
    fn eof(&self) -> impl Future<Output = Result<(), LinkGone>> + Send;
    /// Closes both directions at once.
    fn close(&self) -> impl Future<Output = Result<(), LinkGone>> + Send;
}

/// The session under the stream has ended.
#[derive(Debug, Error, Clone, Copy, PartialEq, Eq)]
#[error("the host's session has ended")]
pub struct LinkGone;

/// Why a stream could not be opened.
#[derive(Debug, Error, Clone, PartialEq, Eq)]
pub enum OpenError {
    /// The host said no; its service refused the connection or could not be reached.
    #[error("the host could not connect to its service ({0})")]
    Refused(String),
    /// The host does not allow the stream.
    #[error("the host's client does not allow it ({0})")]
    Prohibited(String),
    /// The host did not answer in time.
    #[error("the host did not answer within {0} s")]
    TimedOut(u64),
    /// The session ended.
    #[error("the host's session has ended")]
    Gone,
}
