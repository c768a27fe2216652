//! A host asks for a port: the decision, the lease, the takeover, and the tunnel's beginning.

use super::bind::bind_addresses;
use super::ledger::Decision;
use super::live::{Order, Session, Tunnel};
use super::registry::Registry;
use crate::audit::{Actor, Context, Event, What};
use crate::model::{BindPolicy, BlockTarget, HostName, LeaseView, Obituary, ObituaryCause, Port};
use crate::store::{Change, Saving};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;
use tokio::sync::oneshot;

/// A permission to listen, not yet used. Dropping it unused gives the port back.
#[derive(Debug)]
pub struct Grant {
    /// The lease it stands on.
    pub lease: LeaseView,
    /// Addresses to listen on.
    pub bind: Vec<IpAddr>,
    /// The rule that allowed it.
    pub rule: String,
    /// The lease was made for it.
    pub fresh: bool,
    registry: Arc<Registry>,
    used: bool,
}

impl Drop for Grant {
    fn drop(&mut self) {
        if !self.used {
            self.registry.state().pending.remove(&self.lease.port);
        }
    }
}

enum Attempt {
    /// And the lease made for it, on its way to the disk.
    Granted(Box<Grant>, Option<Saving>),
    /// By that session, and which port: the client may have asked for any.
    Held(Arc<Session>, Port),
}

impl Registry {
    /// Decides on a `tcpip-forward` and holds the port for the caller, who then listens and calls [`Registry::tunnel_begins`].
    /// Waits when an older session of the same host has to be probed.
    ///
    /// # Errors
    /// The deciding rule, as a sentence.
    pub async fn request_forward(
        self: &Arc<Self>,
        session: &Arc<Session>,
        asked_address: &str,
        asked_port: u32,
    ) -> Result<Grant, String> {
        self.open_for_business()?;
        let host = session.host.as_ref().ok_or("only hosts may forward ports to the bastion")?;
        // The second round is for the port of an older session of the same host that has just been evicted.
        for round in 0..2 {
            let (older, port) = match self.try_forward(session, host, asked_address, asked_port)? {
                Attempt::Granted(grant, fresh) => {
                    return match fresh {
                        None => Ok(*grant),
                        Some(saving) => self.write_lease(session, *grant, saving).await,
                    };
                }
                Attempt::Held(older, port) => (older, port),
            };
            if round == 1 {
                break;
            }
            self.take_over(&older, port).await?;
        }
        Err(format!("port {asked_port} could not be taken over from an older session of the same host; try again"))
    }

    fn try_forward(
        self: &Arc<Self>,
        session: &Arc<Session>,
        host: &HostName,
        asked_address: &str,
        asked_port: u32,
    ) -> Result<Attempt, String> {
        let mut state = self.state();
        // Under the lock, as in `session_begins`.
        let config = self.config();
        if !state.sessions.contains_key(&session.id) {
            return Err("this session is ending".to_owned());
        }
        let max = session.team.as_ref().map_or(&config.limits, |t| config.limits_of(t)).tunnels_per_session;
        if state.carried.get(&session.id).is_some_and(|all| all.len() >= max) {
            return Err(format!("this session carries {max} tunnels already (limits.tunnels_per_session)"));
        }
        let decision = state.ledger.decide(
            &config,
            host,
            Some(&session.credential.fingerprint),
            asked_port,
            &|p| state.in_use(p),
            &|p| state.holder(p) == Some(session.id),
        );
        let (port, fresh, rule) = match decision {
            Decision::Grant { port, fresh, rule } => (port, fresh, rule),
            Decision::Refuse { rule } => return Err(rule),
        };
        if let Some(holder) = state.holder(port) {
            if holder == session.id {
                return Err(format!("this session already carries port {port}"));
            }
            return match state.sessions.get(&holder) {
                Some(s) if s.host == session.host => Ok(Attempt::Held(Arc::clone(s), port)),
                // The port changed hands a moment ago and its old tunnel is being closed.
                Some(s) => {
                    Err(format!("port {port} is still held by host {}, which is being closed; try again", s.name))
                }
                None => Err(format!("port {port} is being released by session {holder}; try again")),
            };
        }
        let lease = match fresh.clone().or_else(|| state.ledger.lease(&config, port)) {
            Some(l) => l,
            None => return Err(format!("port {port} has lost its lease; try again")),
        };
        let policy = config.teams.get(&lease.team).map(|t| t.bind).unwrap_or_default();
        let bind = bind_addresses(policy, asked_address)?;
        state.pending.insert(port, session.id);
        let saving = fresh.map(|lease| {
            // In memory first, so that nobody else is given the port while it is written to disk.
            let change = Change::PutLease(lease);
            state.ledger.apply(&change);
            self.store.apply(vec![change])
        });
        drop(state);
        let grant = Grant { lease, bind, rule, fresh: saving.is_some(), registry: Arc::clone(self), used: false };
        Ok(Attempt::Granted(Box::new(grant), saving))
    }

    async fn write_lease(&self, session: &Session, grant: Grant, saving: Saving) -> Result<Grant, String> {
        let (port, kind) = (grant.lease.port, grant.lease.kind);
        if let Err(e) = saving.await {
            self.state().ledger.take_back(port, Some(&grant.lease), None);
            return Err(format!("the lease of port {port} could not be saved: {e}"));
        }
        let context = Context { port: Some(port), rule: Some(grant.rule.clone()), ..session.context() };
        self.journal.record(Event::success(
            Actor::Host(session.name.clone()),
            What::LeaseGranted { kind, until: None },
            context,
        ));
        Ok(grant)
    }

    /// The granted port cannot be listened on. A lease that was made for it is taken back, or the host would be given
    /// the same unusable port for ever.
    pub async fn abandon(&self, grant: Grant) {
        let port = grant.lease.port;
        let saving = {
            let mut state = self.state();
            state.foreign.insert(port, Instant::now());
            // Not one that an operator has given to somebody else meanwhile.
            let mine = grant.fresh && state.ledger.stored(port) == Some(&grant.lease);
            mine.then(|| {
                state.ledger.apply(&Change::DropLease(port));
                self.store.apply(vec![Change::DropLease(port)])
            })
        };
        if let Some(saving) = saving {
            if let Err(e) = saving.await {
                tracing::warn!(%port, error = %e, "a lease that cannot be used could not be taken back");
            }
            let context = Context {
                port: Some(port),
                host: Some(grant.lease.host.clone()),
                team: Some(grant.lease.team.clone()),
                reason: Some("another program of the bastion listens on the port".to_owned()),
                ..Context::default()
            };
            self.journal.record(Event::success(Actor::Daemon, What::LeaseReleased {}, context));
        }
    }

    /// The older session answers within the probe time, and keeps the port; or it does not, and is evicted.
    async fn take_over(&self, older: &Arc<Session>, port: Port) -> Result<(), String> {
        let probe = self.config().ssh.takeover_probe;
        let (tx, rx) = oneshot::channel();
        let alive = match older.orders.send(Order::Ping(tx)) {
            Ok(()) => match tokio::time::timeout(probe, rx).await {
                Ok(Ok(_)) => true,
                // It ended meanwhile.
                Ok(Err(_)) => false,
                // The answer of a busy host may wait behind megabytes. What was on its way when a host fell silent also
                // comes in after that, but not for the whole time.
                Err(_) => older.vital.silence() < probe / 2,
            },
            Err(_) => false,
        };
        if alive {
            return Err(format!(
                "port {port} is held by this host's own session {} (since {}), which still answers",
                older.id,
                older.since.format("%Y-%m-%d %H:%M:%SZ")
            ));
        }
        let obituary =
            Obituary::with(ObituaryCause::Takeover, &format!("it did not answer within {:.1} s", probe.as_secs_f64()));
        older.vital.ends(obituary.clone());
        let tunnels = self.tunnels_of(older.id);
        for t in &tunnels {
            t.close(&obituary);
        }
        // It has proven deaf: no farewell.
        older.vital.poison();
        for t in &tunnels {
            t.closed().await;
        }
        Ok(())
    }

    /// The caller listens. Returns what must be shown of the tunnel from now on.
    ///
    /// # Errors
    /// When the session ended or a block fell meanwhile.
    pub fn tunnel_begins(&self, mut grant: Grant, tunnel: Arc<Tunnel>) -> Result<(), String> {
        let port = grant.lease.port;
        {
            let mut state = self.state();
            grant.used = true;
            state.pending.remove(&port);
            if let Some(b) = state.ledger.block(&BlockTarget::Port(port)) {
                return Err(super::ledger::block_rule(b));
            }
            if !state.sessions.contains_key(&tunnel.session.id) || tunnel.session.vital.cause().is_some() {
                return Err("the session is ending".to_owned());
            }
            // Under the lock, as in `session_begins`.
            let config = self.config();
            let lease = state.ledger.lease(&config, port);
            let same = |l: &LeaseView| l.host == tunnel.lease.host && l.team == tunnel.lease.team;
            let Some(lease) = lease.filter(same) else {
                return Err(format!("the lease of port {port} ended just now"));
            };
            if let Some(rule) = super::ledger::stale(&config, &lease) {
                return Err(rule);
            }
            let public = tunnel.listen.iter().any(|a| !a.ip().is_loopback());
            if public && config.teams.get(&tunnel.lease.team).is_none_or(|t| t.bind != BindPolicy::Gateway) {
                return Err(format!("team {} may no longer listen on public addresses", tunnel.lease.team));
            }
            state.tunnels.insert(port, Arc::clone(&tunnel));
            state.carried.entry(tunnel.session.id).or_default().insert(port, Arc::clone(&tunnel));
            state.troubles.granted(&tunnel.lease.host);
            state.dirty.port(port);
            state.dirty.session(&tunnel.session);
        }
        // The receiver is gone only when the daemon is stopping.
        let _ = self.tunnel_up.send(tunnel);
        self.announce();
        Ok(())
    }

    /// Decides as [`Registry::request_forward`] would, without doing anything. For `explain`.
    #[must_use]
    pub fn would_grant(&self, host: &HostName, fingerprint: Option<&str>, port: u32) -> Decision {
        let config = self.config();
        let state = self.state();
        state.ledger.decide(&config, host, fingerprint, port, &|p| state.in_use(p), &|_| false)
    }

    /// Frees the port of a withdrawn forward.
    pub fn cancel_forward(&self, session: &Session, port: Port) -> Option<Arc<Tunnel>> {
        let tunnel = self.tunnel(port).filter(|t| t.session.id == session.id)?;
        tunnel.close(&Obituary::of(ObituaryCause::ClientCancel));
        Some(tunnel)
    }
}
