//! What an operator would do to the ledger, and what would come of it: nothing is done.

use super::registry::Registry;
use crate::model::{HostName, Port};

/// An act as far as the ledger decides on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wish {
    /// Give the host a port; the next free one unless named.
    Assign(HostName, Option<Port>),
    /// Move a lease; to the next free port unless named.
    Move(Port, Option<Port>),
    /// End a lease or a reservation.
    Release(Port),
    /// Keep a port free.
    Reserve(Port),
    /// The ledger has no say in it.
    Other,
}

impl Registry {
    /// The port concerned and the rule that allows it.
    ///
    /// # Errors
    /// The rule that forbids it.
    pub fn would_do(&self, wish: Wish) -> Result<(Option<Port>, String), String> {
        let config = self.config();
        let state = self.state();
        let (ledger, in_use) = (&state.ledger, |p: Port| state.tunnels.contains_key(&p));
        match wish {
            Wish::Assign(host, port) => {
                let lease = ledger.assign(&config, &host, port, "", None, None, &in_use)?;
                let rule =
                    format!("port {} is free in team {}'s range; it would be host {host}'s", lease.port, lease.team);
                Ok((Some(lease.port), rule))
            }
            Wish::Move(from, to) => {
                let lease = ledger.moved(&config, from, to, "", None, &in_use)?;
                let rule = format!(
                    "port {} is free in team {}'s range; host {} must ask for it instead of {from}",
                    lease.port, lease.team, lease.host
                );
                Ok((Some(lease.port), rule))
            }
            Wish::Release(port) => match ledger.reservation(port).filter(|_| ledger.lease(&config, port).is_none()) {
                Some(r) => Ok((Some(port), format!("port {port} is reserved by {}; that ends", r.by))),
                None => {
                    let lease = ledger.releasable(&config, port)?;
                    Ok((
                        Some(port),
                        format!("port {port} is host {}'s ({} lease); it would be free", lease.host, lease.kind),
                    ))
                }
            },
            Wish::Reserve(port) => {
                let team = ledger.reservable(&config, port)?;
                if in_use(port) {
                    return Err(format!("port {port} is listened on now"));
                }
                let again = ledger.reservation(port).map(|r| format!(" (now by {}, anew)", r.by)).unwrap_or_default();
                Ok((Some(port), format!("port {port} is free in team {team}'s range; nobody would get it{again}")))
            }
            Wish::Other => Ok((None, "your role allows it".to_owned())),
        }
    }
}
