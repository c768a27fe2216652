//! An operator's `ssh -J`, `-W` or `-L` to a tunnel: their channel on one side, the tunnel's task on the other.

use super::carrier::halves;
use super::client::Client;
use crate::model::{Port, clean};
use crate::tunnels::{
    Caller, End, Registry, Session, Tally, Terms, Tunnel, TunnelOrder, VisitOrder, close, pipe, relay, settle_within,
};
use russh::server::{ChannelOpenHandle, Msg};
use russh::{Channel, ChannelOpenFailure};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;

/// Bytes in flight between the operator's thread and the host's, each way.
const PIPE: usize = 256 * 1024;
/// How long a visit may go on after its operator has closed the channel.
const LINGER: Duration = Duration::from_secs(2);
/// How long an operator's client has to close a channel on which both sides are done. Clients of `-L` do so at once;
/// `ssh -W`, and with it `-J`, leaves the close to the server, as sshd does it, and would hang about until then.
const CLOSE_WAIT: Duration = Duration::from_millis(100);

/// Carries one visit. Audited and counted by the tunnel, as every visit is.
pub(super) async fn visit(
    registry: Arc<Registry>,
    operator: Arc<Session>,
    tunnel: Arc<Tunnel>,
    channel: Channel<Msg>,
    reply: ChannelOpenHandle,
) {
    let limits = registry.limits();
    let stall = registry.config().stall_timeout(&tunnel.lease.team);
    let (mut near, stream) = pipe(PIPE);
    let caller = Caller {
        source: operator.source,
        operator: Some((operator.name.clone(), operator.id, operator.credential.fingerprint.clone())),
    };
    let (opened, answer) = oneshot::channel();
    let cut = near.watch();
    let order = TunnelOrder::Visit(Box::new(VisitOrder { stream, caller, opened }));
    if tunnel.orders.send(order).is_err() {
        return reply.reject(ChannelOpenFailure::ConnectFailed).await;
    }
    let id = match answer.await {
        Ok(Ok(id)) => id,
        Ok(Err(_)) | Err(_) => return reply.reject(ChannelOpenFailure::ConnectFailed).await,
    };
    // A grant may have ended while the host opened the stream: whoever cuts what stood on it sees this visit only from
    // here on.
    if let Err(rule) = registry.may_visit(&operator, &tunnel) {
        tunnel.cut(id, &rule);
        return reply.reject(ChannelOpenFailure::AdministrativelyProhibited).await;
    }
    reply.accept().await;
    let (mut reader, writer) = halves(channel, Arc::clone(&operator.vital), None);
    // The tunnel counts the bytes; here nobody reads the counters.
    let tallies = [Tally::default(), Tally::default()];
    let [a, b] = &tallies;
    // This way round it is the tunnel that may be slow to take, and the operator's session that waits for it.
    let slows = |waiting| {
        let (port, session) = (tunnel.port(), operator.id);
        tracing::warn!(visitor = %id, %port, %session, waiting, "a tunnel slows its operator's session");
    };
    let terms = Terms { limits: &limits, stall, vital: &operator.vital, slows: &slows };
    let end = tokio::select! {
        end = relay(&mut near, &mut reader, &writer, [a, b], &terms) => Some(end),
        () = cut.told() => None,
    };
    // Before the tunnel hears of it in another way: to it a pipe that is dropped looks like an orderly end.
    if let Some(end @ (End::Stalled { .. } | End::TooFarBehind { .. } | End::SpillFailed)) = &end {
        tunnel.cut(id, &end.sentence().unwrap_or_default());
    }
    drop(near);
    // To the relay a visit that was cut may look like one whose visitor has gone.
    let end = match end {
        Some(end @ (End::Stalled { .. } | End::TooFarBehind { .. } | End::SpillFailed)) => end,
        Some(end) if !cut.is() => end,
        _ => {
            // At once: a channel that only ended would leave `ssh -W` waiting, and its user with half a file.
            return close(reader, writer).await;
        }
    };
    if end == End::LinkGone {
        // The operator's session is over, by revoke perhaps.
        let _ = tunnel.orders.send(TunnelOrder::Cut(id));
    } else if end == End::HostClosed {
        // To the tunnel a dropped pipe looks like a half-close, and a service that does not care for it would be
        // visited for ever. A visit that has ended in the meantime is not cut.
        tokio::time::sleep(LINGER).await;
        let _ = tunnel.orders.send(TunnelOrder::Cut(id));
    }
    settle_within(CLOSE_WAIT, reader, writer, end).await;
}

impl Client {
    /// The live tunnel an operator means by `host:port` of a `direct-tcpip`: the bastion's own port, or a host's name
    /// with the tunnel's port or the port its service has by custom.
    pub(super) fn target(&self, operator: &Session, host: &str, port: u32) -> Result<Arc<Tunnel>, String> {
        let registry = &self.shared.registry;
        registry.not_stopping()?;
        let config = registry.config();
        let asked = format!("{}:{port}", clean(host, 80));
        let port = Port::try_from(port).map_err(|e| e.to_string())?;
        let own = matches!(host, "localhost" | "127.0.0.1" | "::1") || host == config.name;
        let tunnel = if own {
            registry.tunnel(port)
        } else {
            let tunnels: Vec<_> =
                registry.tunnels().into_iter().filter(|t| t.lease.host.as_str().eq_ignore_ascii_case(host)).collect();
            let wanted = match port.get() {
                22 => "ssh",
                80 => "http",
                443 => "https",
                _ => "",
            };
            let by_service = |t: &&Arc<Tunnel>| t.lease.service.as_deref() == Some(wanted);
            let only = (wanted == "ssh" && tunnels.len() == 1).then(|| tunnels.first()).flatten();
            tunnels.iter().find(|t| t.port() == port).or_else(|| tunnels.iter().find(by_service)).or(only).cloned()
        };
        let Some(tunnel) = tunnel else {
            return Err(format!("{asked} is not a live tunnel; operators reach tunnels and nothing else"));
        };
        registry.may_visit(operator, &tunnel)?;
        Ok(tunnel)
    }
}
