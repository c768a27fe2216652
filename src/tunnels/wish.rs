//! What an operator would do to the ledger, and what would come of it: nothing is done.

use super::lifecycle::count;
use super::live::{Session, Tunnel};
use super::registry::Registry;
use crate::model::{BlockTarget, HostName, OperatorName, Port, SessionId};
use std::sync::Arc;

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
    /// Block it, and cut what it holds.
    Revoke(BlockTarget),
    /// Lift its block.
    Restore(BlockTarget),
    /// Drop a host's sessions.
    Reconnect(HostName),
    /// Close a session.
    Disconnect(SessionId),
    /// Close all that an operator has open.
    LogOut(OperatorName),
    /// The ledger has no say in it.
    Other,
}

impl Registry {
    /// The port concerned and the rule that allows it.
    ///
    /// # Errors
    /// The rule that forbids it.
    pub fn would_do(&self, wish: Wish) -> Result<(Option<Port>, String), String> {
        let wish = match self.would_cut(wish) {
            Ok(decided) => return decided.map(|rule| (None, rule)),
            Err(wish) => wish,
        };
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
            _ => Ok((None, "your role allows it".to_owned())),
        }
    }

    /// Of what is about sessions: the rule that allows it, with what it would close, or the one that forbids it. All else
    /// is given back.
    fn would_cut(&self, wish: Wish) -> Result<Result<String, String>, Wish> {
        Ok(match wish {
            Wish::Revoke(target) => self.revocable(&target).map_err(|e| e.to_string()).map(|()| {
                let held = self.held_by(&target);
                format!("{target} is not revoked; it would be until it is restored: {}", radius(&held))
            }),
            Wish::Restore(target) => match self.state().ledger.block(&target) {
                Some(b) => Ok(format!("{target} was revoked by {}; that would end", b.by)),
                None => Err(format!("{target} is not revoked")),
            },
            Wish::Reconnect(host) => match self.sessions_of(&host) {
                sessions if sessions.is_empty() => {
                    Err(format!("host {host} has no session to drop; it is not connected"))
                }
                sessions => Ok(format!("host {host} is connected: {}", radius(&self.with_tunnels(sessions)))),
            },
            Wish::Disconnect(id) => match self.session(id) {
                Some(s) => {
                    let name = s.name.clone();
                    Ok(format!("session {id} is {name}'s: {}", radius(&self.with_tunnels(vec![s]))))
                }
                None => Err(format!("there is no session {id} (any more)")),
            },
            Wish::LogOut(operator) => {
                let open = self.sessions().iter().filter(|s| s.meets(&BlockTarget::Operator(operator.clone()))).count();
                Ok(format!(
                    "{operator} has {} open, with what goes through; all of it is closed",
                    count(open, "session")
                ))
            }
            other => return Err(other),
        })
    }
}

/// What would be closed, in words.
pub(super) fn radius((sessions, tunnels): &(Vec<Arc<Session>>, Vec<Arc<Tunnel>>)) -> String {
    let visitors = tunnels.iter().map(|t| t.visitors_now()).sum();
    let (sessions, tunnels) = (count(sessions.len(), "session"), count(tunnels.len(), "tunnel"));
    format!("closes {sessions}, {tunnels}, {}", count(visitors, "visitor"))
}
