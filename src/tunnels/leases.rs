//! What operators do to the ledger: assign, move, release.

use super::lifecycle::{ActError, By, Done, END_WAIT};
use super::registry::Registry;
use crate::audit::{Context, What};
use crate::model::{HostName, LeaseView, Obituary, ObituaryCause, Port};
use crate::store::Change;

impl Registry {
    /// Gives a host a port.
    ///
    /// # Errors
    /// [`ActError`] with the rule that forbids it.
    pub async fn assign(
        &self,
        by: By,
        host: &HostName,
        port: Option<Port>,
        service: Option<String>,
        reason: Option<String>,
    ) -> Result<Done, ActError> {
        let config = self.config();
        if !config.hosts.contains_key(host) {
            return Err(ActError::NotFound(format!("there is no host {host} in {}", config.path.display())));
        }
        self.auditable()?;
        let giver = by.name();
        let lease = {
            let mut state = self.state();
            let lease = state
                .ledger
                .assign(&config, host, port, &giver, service, reason, &|p| state.tunnels.contains_key(&p))
                .map_err(ActError::Conflict)?;
            state.ledger.apply(&Change::PutLease(lease.clone()));
            lease
        };
        let undo = vec![Change::DropLease(lease.port)];
        self.save_or_undo(vec![Change::PutLease(lease.clone())], undo).await?;
        let what = What::LeaseGranted { kind: lease.kind };
        let (seq, warning) = self.prove(by.success(what, lease_context(&lease))).await;
        self.touch();
        let summary = format!("port {} is host {host}'s now", lease.port);
        Ok(Done { lease: Some(lease), ..Done::warned(seq, summary, warning) })
    }

    /// Moves a lease to another port. A live tunnel is closed; the host must ask for the new port.
    ///
    /// # Errors
    /// [`ActError`] with the rule that forbids it.
    pub async fn move_lease(
        &self,
        by: By,
        from: Port,
        to: Option<Port>,
        reason: Option<String>,
    ) -> Result<Done, ActError> {
        let config = self.config();
        self.auditable()?;
        let giver = by.name();
        let (old, new) = {
            let mut state = self.state();
            let old = state.ledger.releasable(&config, from).map_err(ActError::Conflict)?;
            let new = state
                .ledger
                .moved(&config, from, to, &giver, reason, &|p| state.tunnels.contains_key(&p))
                .map_err(ActError::Conflict)?;
            state.ledger.apply(&Change::DropLease(from));
            state.ledger.apply(&Change::PutLease(new.clone()));
            (old, new)
        };
        let undo = vec![Change::DropLease(new.port), Change::PutLease(old)];
        self.save_or_undo(vec![Change::DropLease(from), Change::PutLease(new.clone())], undo).await?;
        let what = What::LeaseMoved { from };
        let (seq, warning) = self.prove(by.success(what, lease_context(&new))).await;
        self.close_tunnel(from).await;
        self.forget(from);
        let summary = format!(
            "host {}'s lease moved from port {from} to {}; the host must ask for the new port",
            new.host, new.port
        );
        Ok(Done { lease: Some(new), ..Done::warned(seq, summary, warning) })
    }

    /// Ends a lease, or a reservation before its time. A live tunnel is closed.
    ///
    /// # Errors
    /// [`ActError`] with the rule that forbids it.
    pub async fn release(&self, by: By, port: Port, reason: Option<String>) -> Result<Done, ActError> {
        self.auditable()?;
        let config = self.config();
        let reserved = self.state().ledger.reservation(port).cloned();
        if let Some(reserved) = reserved.filter(|_| self.lease(port).is_none()) {
            return self.unreserve(by, reserved, reason).await;
        }
        let lease = {
            let mut state = self.state();
            let lease = state.ledger.releasable(&config, port).map_err(ActError::Conflict)?;
            state.ledger.apply(&Change::DropLease(port));
            lease
        };
        self.save_or_undo(vec![Change::DropLease(port)], vec![Change::PutLease(lease.clone())]).await?;
        let context = Context { reason, ..lease_context(&lease) };
        let (seq, warning) = self.prove(by.success(What::LeaseReleased {}, context)).await;
        self.close_tunnel(port).await;
        self.forget(port);
        let summary = format!("port {port} is free; it was host {}'s", lease.host);
        Ok(Done { lease: Some(lease), ..Done::warned(seq, summary, warning) })
    }

    async fn close_tunnel(&self, port: Port) {
        if let Some(t) = self.tunnel(port) {
            t.close(&Obituary::of(ObituaryCause::LeaseEnded));
            let _ = tokio::time::timeout(END_WAIT, t.closed()).await;
        }
    }

    fn forget(&self, port: Port) {
        {
            let mut state = self.state();
            state.past.remove(&port);
            state.dirty.port(port);
        }
        self.announce();
    }

    async fn save_or_undo(&self, changes: Vec<Change>, undo: Vec<Change>) -> Result<(), ActError> {
        if let Err(e) = self.store.apply(changes).await {
            let mut state = self.state();
            for c in &undo {
                state.ledger.apply(c);
            }
            return Err(e.into());
        }
        Ok(())
    }
}

fn lease_context(l: &LeaseView) -> Context {
    Context {
        port: Some(l.port),
        host: Some(l.host.clone()),
        team: Some(l.team.clone()),
        reason: l.reason.clone(),
        ..Context::default()
    }
}
