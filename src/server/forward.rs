//! A granted `tcpip-forward` becomes a tunnel on this thread.

use super::carrier::SshCarrier;
use super::client::Client;
use crate::audit::{Context, Event, What};
use crate::model::{Port, clean};
use crate::tunnels::{Session, Tunnel, dock};
use russh::server::Handle;
use std::net::SocketAddr;
use std::sync::Arc;

impl Client {
    pub(super) async fn forward(
        &self,
        session: &Arc<Session>,
        address: &str,
        port: u32,
        handle: Handle,
    ) -> Result<Port, String> {
        let registry = &self.shared.registry;
        let mut tries = 0;
        let (grant, listeners) = loop {
            let grant = registry.request_forward(session, address, port).await?;
            match dock::listen(&grant, self.shared.registry.config().ssh.send_timeout) {
                Ok(listeners) => break (grant, listeners),
                Err(why) => {
                    registry.abandon(grant).await;
                    tries += 1;
                    // Who asked for any port is given another.
                    if port != 0 || tries == 3 {
                        return Err(why);
                    }
                }
            }
        };
        let listen: Vec<SocketAddr> = listeners.iter().filter_map(|l| l.local_addr().ok()).collect();
        let lease = grant.lease.clone();
        let rule = grant.rule.clone();
        let tunnel = Arc::new(Tunnel::new(lease.clone(), Arc::clone(session), listen.clone()));
        registry.tunnel_begins(grant, Arc::clone(&tunnel))?;
        let what = What::ForwardGranted { listen, asked: clean(address, 100), asked_port: port };
        let context = Context { rule: Some(rule), ..tunnel.context() };
        registry.journal.record(Event::success(self.actor(), what, context));
        let carrier = SshCarrier {
            handle,
            address: address.into(),
            port: lease.port.get(),
            vital: Arc::clone(&session.vital),
            openssh: session.client.starts_with("OpenSSH"),
            unanswered: Arc::default(),
        };
        tokio::spawn(dock::run(Arc::clone(registry), tunnel, listeners, carrier));
        Ok(lease.port)
    }
}
