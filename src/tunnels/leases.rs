//! What operators do to the ledger: assign, move, release.

use super::ledger::Ledger;
use super::lifecycle::{ActError, By, Done, END_WAIT};
use super::live::Tunnel;
use super::registry::Registry;
use crate::audit::{Context, What};
use crate::model::{HostName, LeaseView, Obituary, ObituaryCause, Port};
use crate::store::{Change, Saving};
use std::sync::Arc;

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
        self.auditable()?;
        let giver = by.name();
        let (lease, saving) = {
            let mut state = self.state();
            // Under the lock: a reload puts its configuration in force first and then looks at what there is.
            let config = self.config();
            if !config.hosts.contains_key(host) {
                return Err(ActError::NotFound(format!("there is no host {host} in {}", config.path.display())));
            }
            let lease = state
                .ledger
                .assign(&config, host, port, &giver, service, reason, &|p| state.tunnels.contains_key(&p))
                .map_err(ActError::Conflict)?;
            let change = Change::PutLease(lease.clone());
            state.ledger.apply(&change);
            (lease, self.store.apply(vec![change]))
        };
        self.saved_or(saving, lease.port, |ledger| ledger.take_back(lease.port, Some(&lease), None)).await?;
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
        self.auditable()?;
        let giver = by.name();
        let (old, new, saving) = {
            let mut state = self.state();
            let config = self.config();
            let old = state.ledger.releasable(&config, from).map_err(ActError::Conflict)?;
            let new = state
                .ledger
                .moved(&config, from, to, &giver, reason, &|p| state.tunnels.contains_key(&p))
                .map_err(ActError::Conflict)?;
            let changes = vec![Change::DropLease(from), Change::PutLease(new.clone())];
            changes.iter().for_each(|c| state.ledger.apply(c));
            (old, new, self.store.apply(changes))
        };
        let undo = |ledger: &mut Ledger| {
            ledger.take_back(new.port, Some(&new), None);
            ledger.take_back(from, None, Some(old));
        };
        self.saved_or(saving, from, undo).await?;
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
        let reserved = self.state().ledger.reservation(port).cloned();
        if let Some(reserved) = reserved.filter(|_| self.lease(port).is_none()) {
            return self.unreserve(by, reserved, reason).await;
        }
        let (lease, saving) = {
            let mut state = self.state();
            let lease = state.ledger.releasable(&self.config(), port).map_err(ActError::Conflict)?;
            state.ledger.apply(&Change::DropLease(port));
            (lease, self.store.apply(vec![Change::DropLease(port)]))
        };
        self.saved_or(saving, port, |ledger| ledger.take_back(port, None, Some(lease.clone()))).await?;
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

    /// What could not be saved is undone in memory too. Where that cannot be because somebody else was given the port
    /// meanwhile, a tunnel of its old host does not stay.
    async fn saved_or(&self, saving: Saving, port: Port, undo: impl FnOnce(&mut Ledger)) -> Result<(), ActError> {
        if let Err(e) = saving.await {
            let lost = {
                let mut state = self.state();
                undo(&mut state.ledger);
                let lease = state.ledger.lease(&self.config(), port);
                let kept = |t: &Arc<Tunnel>| lease.as_ref().is_some_and(|l| l.host == t.lease.host);
                state.tunnels.get(&port).is_some_and(|t| !kept(t))
            };
            if lost {
                self.close_tunnel(port).await;
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
