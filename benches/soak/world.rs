//! What everybody shares: the bastion, its hosts, their tunnels, and what may be broken at the moment.

use super::daemon::Daemon;
use super::hosts::Host;
use super::ledger::{Place, Ticket};
use super::service::{Desk, Service};
use super::tally::Tally;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::{RwLock, watch};

/// What everybody should do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Go on.
    Run,
    /// Finish what you do and begin nothing.
    Rest,
    /// Finish, and return.
    Stop,
}

/// One tunnel.
pub struct Tunnel {
    /// On the bastion.
    pub port: u16,
    /// Its number among the hosts.
    pub host: usize,
    /// Behind it.
    pub service: Service,
    /// Its own faults.
    pub place: Place,
}

/// See the module.
pub struct World {
    /// What happened.
    pub tally: Arc<Tally>,
    /// Output.
    pub out: PathBuf,
    /// The daemon, when it is up. Faults of hosts hold it for reading, so that they do not meet its restart.
    pub daemon: RwLock<Daemon>,
    /// Where it listens for SSH.
    pub address: SocketAddr,
    /// Its control socket.
    pub socket: PathBuf,
    /// Its faults.
    pub bastion: Place,
    /// Its hosts.
    pub hosts: Vec<Host>,
    /// Their tunnels.
    pub tunnels: Vec<Tunnel>,
    /// What services saw.
    pub desk: Arc<Desk>,
    /// Who should do what.
    pub phase: watch::Sender<Phase>,
    /// Visitors and operators at work.
    pub busy: AtomicU64,
    /// The longest a transfer is planned to take.
    pub longest: Duration,
    /// `relay.stall_timeout`.
    pub stall: Duration,
    /// Visits so far, for their numbers.
    pub visits: AtomicU64,
}

/// Counts one who is at work.
pub struct Busy<'a>(&'a AtomicU64);

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl World {
    /// For a transfer through a tunnel.
    pub fn ticket(&self, tunnel: usize) -> Ticket<'_> {
        let t = &self.tunnels[tunnel];
        Ticket::new([&self.bastion, &self.hosts[t.host].place, &t.place])
    }

    /// Waits while there is rest; none at the end of all.
    pub async fn go(&self) -> Option<Busy<'_>> {
        let mut phase = self.phase.subscribe();
        loop {
            let now = *phase.wait_for(|p| *p != Phase::Rest).await.ok()?;
            if now == Phase::Stop {
                return None;
            }
            self.busy.fetch_add(1, Ordering::SeqCst);
            let busy = Busy(&self.busy);
            // Counted before it is looked at again, so that nobody begins unseen when rest begins.
            if *self.phase.borrow() == Phase::Run {
                return Some(busy);
            }
        }
    }

    /// Waits for a time, or until there is something else to do than to go on.
    pub async fn pause(&self, time: Duration) {
        let mut phase = self.phase.subscribe();
        let _ = tokio::time::timeout(time, phase.wait_for(|p| *p != Phase::Run)).await;
    }

    /// Whether everybody should go on.
    pub fn runs(&self) -> bool {
        *self.phase.borrow() == Phase::Run
    }
}
