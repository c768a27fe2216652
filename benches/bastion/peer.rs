//! Who is measured, seen as what brings tunnels.

use crate::common::client::Client;
use crate::common::service::Kind;
use crate::common::{Guard, Res, Server};
use std::net::SocketAddr;

/// Somebody that carries tunnels.
pub trait Peer: Sync {
    /// As the table calls it.
    fn name(&self) -> &'static str;
    /// Starts the client of this host, with a tunnel to each of the services.
    fn tunnel(&self, host: usize, cipher: &str, services: &[SocketAddr]) -> Res<Tunnel>;
    /// The server's processes whose CPU time counts.
    fn workers(&self) -> Vec<u32>;
}

/// Tunnels that are up, until dropped.
pub struct Tunnel {
    /// The processes that bring them.
    pub _processes: Vec<Guard>,
    /// Where visitors connect, a port for each service.
    pub ports: Vec<u16>,
}

/// Any server that stock `ssh -R` signs in to.
pub struct OverSsh<'a>(pub &'a dyn Server);

impl Peer for OverSsh<'_> {
    fn name(&self) -> &'static str {
        self.0.name()
    }
    fn tunnel(&self, host: usize, cipher: &str, services: &[SocketAddr]) -> Res<Tunnel> {
        let start = || {
            let mut client = Client::new(self.0, host).cipher(cipher);
            for (n, service) in (0..).zip(services) {
                client = client.forward(n, *service);
            }
            client.start()
        };
        // The port may still be held by the session of the last run, whose client has only just ended.
        let refused = |why: &String| why.contains("forward");
        let client = start().or_else(|why| {
            if refused(&why) {
                std::thread::sleep(std::time::Duration::from_millis(500));
                start()
            } else {
                Err(why)
            }
        })?;
        let ports = (0..).zip(services).map(|(n, _)| self.0.port(host, n)).collect();
        Ok(Tunnel { _processes: vec![client], ports })
    }
    fn workers(&self) -> Vec<u32> {
        self.0.workers()
    }
}

/// No tunnel at all: visitors connect to the service itself.
pub struct Direct;

impl Peer for Direct {
    fn name(&self) -> &'static str {
        "direct TCP"
    }
    fn tunnel(&self, _host: usize, _cipher: &str, services: &[SocketAddr]) -> Res<Tunnel> {
        Ok(Tunnel { _processes: Vec::new(), ports: services.iter().map(SocketAddr::port).collect() })
    }
    fn workers(&self) -> Vec<u32> {
        Vec::new()
    }
}

/// Which way the bytes of a transfer go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// Visitor → host.
    Up,
    /// Host → visitor.
    Down,
}

impl Way {
    /// The service at the host's end.
    pub fn service(self) -> Kind {
        match self {
            Self::Up => Kind::Sink,
            Self::Down => Kind::Source,
        }
    }
    /// For titles.
    pub fn arrow(self) -> &'static str {
        match self {
            Self::Up => "visitor→host",
            Self::Down => "host→visitor",
        }
    }
}
