//! What operators do to the ledger: assign, move, release; and what time does to it.

use super::ledger::Ledger;
use super::lifecycle::{ActError, By, Done, END_WAIT};
use super::live::Tunnel;
use super::registry::Registry;
use crate::audit::{Actor, Context, Event, What};
use crate::model::{HostName, LeaseView, Obituary, ObituaryCause, Port, Time, now};
use crate::store::{Change, Saving};
use chrono::TimeDelta;
use std::sync::Arc;

/// The longest lease until a time, days: what is to last longer is given for ever, and released.
pub const LEASE_DAYS: i64 = 366;

impl Registry {
    /// Gives a host a port, for ever or until a time.
    ///
    /// # Errors
    /// [`ActError`] with the rule that forbids it.
    pub async fn assign(
        &self,
        by: By,
        host: &HostName,
        port: Option<Port>,
        service: Option<String>,
        until: Option<Time>,
        reason: Option<String>,
    ) -> Result<Done, ActError> {
        let from = now();
        if until.is_some_and(|t| t <= from || t - from > TimeDelta::days(LEASE_DAYS)) {
            return Err(ActError::Conflict(format!(
                "a lease is given until a time within {LEASE_DAYS} days from now, or for ever"
            )));
        }
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
            let lease = LeaseView { until, ..lease };
            let change = Change::PutLease(lease.clone());
            state.ledger.apply(&change);
            (lease, self.store.apply(vec![change]))
        };
        self.saved_or(saving, lease.port, |ledger| ledger.take_back(lease.port, Some(&lease), None)).await?;
        let what = What::LeaseGranted { kind: lease.kind, until };
        let (seq, warning) = self.prove(by.success(what, lease_context(&lease))).await;
        self.touch();
        let until = until.map(|t| format!(", until {}", t.format("%Y-%m-%d %H:%M:%SZ"))).unwrap_or_default();
        let summary = format!("port {} is host {host}'s now{until}", lease.port);
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

    /// Ends the leases whose time is over: nobody has them any more, their tunnels are closed, and it is written down.
    ///
    /// It waits for no disk: what the disk does not take is over again at the next start.
    pub async fn leases_over(&self, at: Time) {
        let over: Vec<_> = {
            let mut state = self.state();
            let config = self.config();
            let mut over = Vec::new();
            for lease in state.ledger.over(at) {
                let change = Change::DropLease(lease.port);
                state.ledger.apply(&change);
                let saving = self.store.apply(vec![change]);
                // The configuration may have fixed the port for the same host meanwhile.
                let left = state.ledger.lease(&config, lease.port);
                let kept = |t: &&Arc<Tunnel>| left.as_ref().is_some_and(|l| l.host == t.lease.host);
                let tunnel = state.tunnels.get(&lease.port).filter(|t| !kept(t)).cloned();
                if left.is_none() && tunnel.is_none() {
                    state.past.remove(&lease.port);
                }
                over.push((lease, saving, tunnel));
            }
            over
        };
        if over.is_empty() {
            return;
        }
        self.announce();
        for (lease, _, tunnel) in &over {
            let said = format!("the time set by {} is over", lease.by);
            if let Some(t) = tunnel {
                t.close(&Obituary::with(ObituaryCause::LeaseOver, &format!("set by {}", lease.by)));
            }
            let reason = lease.reason.as_ref().map_or_else(|| said.clone(), |why| format!("{said} ({why})"));
            let context = Context { reason: Some(reason), ..lease_context(lease) };
            self.journal.record(Event::success(Actor::Daemon, What::LeaseReleased {}, context));
        }
        let deadline = tokio::time::Instant::now() + END_WAIT;
        for (lease, saving, tunnel) in over {
            let port = lease.port;
            tokio::spawn(async move {
                if let Err(error) = saving.await {
                    tracing::warn!(%error, %port, "a lease that is over could not be forgotten; the next start does it");
                }
            });
            if let Some(t) = tunnel {
                let _ = tokio::time::timeout_at(deadline, t.closed()).await;
                if self.lease(port).is_none() {
                    self.forget(port);
                }
            }
        }
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
