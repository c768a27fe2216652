//! A host of the demo: what `ssh -N -R` does.

use super::cast::Part;
use crate::wait::or_never;
use russh::client::{self, ChannelOpenHandle, Msg, Session};
use russh::keys::{PrivateKeyWithHashAlg, PublicKeyOrCertificate};
use russh::{Channel, ChannelOpenFailure, Disconnect};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;

/// How an attempt went.
pub(super) enum Outcome {
    /// It was connected, and is no more.
    Ended,
    /// The bastion said no.
    Refused,
}

struct Host {
    service: SocketAddr,
}

impl client::Handler for Host {
    type Error = russh::Error;

    async fn check_server_key(&mut self, _key: &PublicKeyOrCertificate) -> Result<bool, russh::Error> {
        // The server is in this very process.
        Ok(true)
    }

    async fn server_channel_open_forwarded_tcpip(
        &mut self,
        channel: Channel<Msg>,
        _address: &str,
        _port: u32,
        _originator: &str,
        _originator_port: u32,
        reply: ChannelOpenHandle,
        _session: &mut Session,
    ) -> Result<(), russh::Error> {
        let service = self.service;
        tokio::spawn(async move {
            match TcpStream::connect(service).await {
                Ok(mut socket) => {
                    reply.accept().await;
                    let mut stream = channel.into_stream();
                    // Either side may break off; that is what visitors do.
                    let _ = tokio::io::copy_bidirectional(&mut stream, &mut socket).await;
                }
                Err(_) => reply.reject(ChannelOpenFailure::ConnectFailed).await,
            }
        });
        Ok(())
    }
}

/// Connects, asks for the port, and stays (for a time, or until the bastion ends it).
pub(super) async fn dial(server: SocketAddr, part: &Part, service: SocketAddr, stay: Option<Duration>) -> Outcome {
    match session(server, part, service, stay).await {
        Ok(outcome) => outcome,
        Err(e) => {
            tracing::debug!(host = part.name, error = %e, "a host of the demo lost its session");
            Outcome::Ended
        }
    }
}

async fn session(
    server: SocketAddr,
    part: &Part,
    service: SocketAddr,
    stay: Option<Duration>,
) -> Result<Outcome, russh::Error> {
    let config =
        client::Config { keepalive_interval: Some(Duration::from_secs(15)), nodelay: true, ..Default::default() };
    let mut ssh = client::connect(Arc::new(config), server, Host { service }).await?;
    let key = PrivateKeyWithHashAlg::new(Arc::new(part.key.clone()), None);
    if !ssh.authenticate_publickey(part.name, key).await?.success() {
        return Ok(Outcome::Refused);
    }
    if ssh.tcpip_forward("localhost", part.port.into()).await.is_err() {
        ssh.disconnect(Disconnect::ByApplication, "forward refused", "en").await?;
        return Ok(Outcome::Refused);
    }
    tokio::select! {
        ended = &mut ssh => ended.map(|()| Outcome::Ended),
        () = or_never(stay.map(tokio::time::sleep)) => {
            ssh.disconnect(Disconnect::ByApplication, "the demo's flapping host", "en").await?;
            Ok(Outcome::Ended)
        }
    }
}
