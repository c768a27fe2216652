//! The other end: a socket and its framing.

use super::ShipTo;
use super::syslog::Message;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use std::io::{self, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// For a connection, a write, and for the other end's kernel to say that it has what was sent.
const PATIENCE: Duration = Duration::from_secs(5);

/// See the module.
pub(super) enum Sink {
    Datagram(UnixDatagram),
    Stream(UnixStream),
    Tcp(TcpStream),
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
    Journald(UnixDatagram),
}

impl Sink {
    pub(super) fn open(to: &ShipTo) -> io::Result<Self> {
        match to {
            ShipTo::Unix(path) => unix(path),
            ShipTo::Journald(path) => datagram(path).map(Self::Journald),
            ShipTo::Tcp(to) => tcp(to).map(Self::Tcp),
            ShipTo::Tls { to, ca } => tls(to, ca).map(|s| Self::Tls(Box::new(s))),
        }
    }

    /// Until when something sent may not have arrived, although nothing has gone wrong.
    pub(super) fn settles(&self) -> Duration {
        match self {
            // In the other process's queue when the call returns.
            Self::Datagram(_) | Self::Stream(_) | Self::Journald(_) => Duration::ZERO,
            // What is not acknowledged after the user timeout breaks the connection.
            Self::Tcp(_) | Self::Tls(_) => PATIENCE + Duration::from_secs(1),
        }
    }

    pub(super) fn send(&mut self, message: &Message) -> io::Result<()> {
        match self {
            Self::Datagram(s) => whole_or_short(message, |m| s.send(m.line().as_bytes())),
            Self::Journald(s) => whole_or_short(message, |m| s.send(m.fields().as_bytes())),
            Self::Stream(s) => s.write_all(format!("{}\n", message.line()).as_bytes()),
            Self::Tcp(s) => s.write_all(counted(message).as_bytes()),
            Self::Tls(s) => s.write_all(counted(message).as_bytes()),
        }
    }

    /// All that was sent is with the kernel.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Tls(s) => s.flush(),
            _ => Ok(()),
        }
    }

    /// An error when the other end has closed the connection. It has nothing to say to us.
    pub(super) fn alive(&self) -> io::Result<()> {
        let tcp = match self {
            Self::Tcp(s) => s,
            Self::Tls(s) => &s.sock,
            _ => return Ok(()),
        };
        tcp.set_nonblocking(true)?;
        let peeked = tcp.peek(&mut [0]);
        tcp.set_nonblocking(false)?;
        match peeked {
            Ok(0) => Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the other end closed the connection")),
            Err(e) if e.kind() != io::ErrorKind::WouldBlock => Err(e),
            _ => Ok(()),
        }
    }
}

/// A datagram has a largest size. A record beyond it (a reload that changed thousands of hosts) goes without its end
/// rather than never, and does not hold up those after it.
fn whole_or_short(message: &Message, send: impl Fn(&Message) -> io::Result<usize>) -> io::Result<()> {
    match send(message) {
        Err(e) if e.raw_os_error() == Some(libc::EMSGSIZE) => send(&message.short()).map(drop),
        sent => sent.map(drop),
    }
}

/// Octet counting, RFC 6587 3.4.1 and RFC 5425 4.3.
fn counted(message: &Message) -> String {
    let line = message.line();
    format!("{} {line}", line.len())
}

fn datagram(path: &Path) -> io::Result<UnixDatagram> {
    let s = UnixDatagram::unbound()?;
    s.set_write_timeout(Some(PATIENCE))?;
    s.connect(path)?;
    Ok(s)
}

/// A datagram socket, or else a stream: `/dev/log` is either.
fn unix(path: &Path) -> io::Result<Sink> {
    match datagram(path) {
        Err(e) if e.raw_os_error() == Some(libc::EPROTOTYPE) => {
            let s = UnixStream::connect(path)?;
            s.set_write_timeout(Some(PATIENCE))?;
            Ok(Sink::Stream(s))
        }
        other => other.map(Sink::Datagram),
    }
}

fn tcp(to: &str) -> io::Result<TcpStream> {
    let mut last = io::Error::new(io::ErrorKind::NotFound, format!("{to} has no address"));
    for address in to.to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, PATIENCE) {
            Ok(s) => {
                s.set_nodelay(true)?;
                s.set_write_timeout(Some(PATIENCE))?;
                s.set_read_timeout(Some(PATIENCE))?;
                let socket = socket2::SockRef::from(&s);
                socket.set_tcp_user_timeout(Some(PATIENCE))?;
                socket.set_keepalive(true)?;
                return Ok(s);
            }
            Err(e) => last = e,
        }
    }
    Err(last)
}

fn tls(to: &str, ca: &Path) -> io::Result<StreamOwned<ClientConnection, TcpStream>> {
    let bad = |what: String| io::Error::new(io::ErrorKind::InvalidData, what);
    let unread = |e: &dyn std::fmt::Display| bad(format!("{}: {e}", ca.display()));
    let mut roots = RootCertStore::empty();
    for cert in CertificateDer::pem_file_iter(ca).map_err(|e| unread(&e))? {
        roots.add(cert.map_err(|e| unread(&e))?).map_err(|e| unread(&e))?;
    }
    if roots.is_empty() {
        return Err(bad(format!("{} has no certificate in it", ca.display())));
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = to.rsplit_once(':').map_or(to, |(host, _)| host).trim_matches(['[', ']']);
    let name = ServerName::try_from(name.to_owned()).map_err(|e| bad(format!("{name}: {e}")))?;
    let mut tcp = tcp(to)?;
    let mut connection = ClientConnection::new(Arc::new(config), name).map_err(io::Error::other)?;
    // The handshake now, so that a wrong certificate is told before anything is taken for sent.
    while connection.is_handshaking() {
        connection.complete_io(&mut tcp)?;
    }
    Ok(StreamOwned::new(connection, tcp))
}
