//! A new configuration in force: what it no longer allows ends, all else stays up.

use super::lifecycle::{END_WAIT, count};
use super::live::{Session, Tunnel, TunnelOrder};
use super::registry::Registry;
use crate::config::{Config, Principal};
use crate::model::{Obituary, ObituaryCause, VisitorId, now};
use std::sync::Arc;

impl Registry {
    /// Puts a new configuration in force and ends what it no longer allows: sessions of hosts and operators that are
    /// gone, whose key is gone or whose team changed, tunnels whose lease is now somebody else's or whose team may no
    /// longer listen where they do. All else stays up. Returns what was ended, a sentence each.
    pub async fn apply_config(&self, new: Arc<Config>) -> Vec<String> {
        let old = self.config();
        // Before anybody is judged by the new configuration.
        self.look_at_lists(Some(&new));
        let new = self.swap_config(&new);
        self.look_at_lists(None);
        let obituary = Obituary::of(ObituaryCause::ConfigChange);
        let mut ended = Vec::new();
        let mut sessions = Vec::new();
        for s in self.sessions() {
            if let Some(why) = no_longer_welcome(&old, &new, &s) {
                ended.push(format!("closed session {} of {}: {why}", s.id, s.name));
                sessions.push(s);
            }
        }
        self.cut(&sessions, &obituary).await;
        for t in self.tunnels() {
            if let Some(why) = self.no_longer_leased(&old, &new, &t) {
                ended.push(format!("closed the tunnel on port {}: {why}", t.port()));
                t.close(&obituary);
                let _ = tokio::time::timeout(END_WAIT, t.closed()).await;
                continue;
            }
            let cut = self.cut_unwelcome_visitors(&new, &t).await;
            if cut > 0 {
                ended.push(format!("cut {} of port {}", count(cut, "visitor"), t.port()));
            }
        }
        self.approvals_over(now()).await;
        ended
    }

    /// Cuts the visitors of a tunnel whom the team's `visitors` no longer lets in.
    async fn cut_unwelcome_visitors(&self, config: &Config, t: &Tunnel) -> usize {
        let unwelcome: Vec<VisitorId> = t
            .visitor_views()
            .iter()
            .filter(|v| v.operator.is_none() && super::dock::welcome(self, config, t, v.source.ip()).is_err())
            .map(|v| v.id)
            .collect();
        for id in &unwelcome {
            // A tunnel that has ended meanwhile has no visitors.
            let _ = t.orders.send(TunnelOrder::Cut(*id));
        }
        unwelcome.len()
    }

    fn no_longer_leased(&self, old: &Config, new: &Config, t: &Tunnel) -> Option<String> {
        let lease = self.state().ledger.lease(new, t.port());
        match lease {
            None => return Some("its lease is gone".to_owned()),
            Some(l) if l.host != t.lease.host => return Some(format!("the port is host {}'s now", l.host)),
            Some(l) => {
                if let Some(why) = super::ledger::stale(new, &l) {
                    return Some(why);
                }
            }
        }
        let bind = |c: &Config| c.teams.get(&t.lease.team).map(|t| t.bind);
        let outside = t.listen.iter().any(|a| !a.ip().is_loopback());
        (bind(old) != bind(new) && outside).then(|| "its team may no longer listen on public addresses".to_owned())
    }
}

fn no_longer_welcome(old: &Config, new: &Config, s: &Session) -> Option<String> {
    let by_key = s.credential.certified.is_none();
    let holder = match s.credential.holder(new, &s.user, s.source.ip(), now()) {
        Ok(holder) => holder,
        Err(_) if by_key && !new.keys.contains_key(&s.credential.fingerprint) => {
            return Some("its key is no longer in the configuration".to_owned());
        }
        Err(why) => return Some(why),
    };
    if s.holder().as_ref() != Some(&holder) {
        return Some(format!("its {} belongs to somebody else now", if by_key { "key" } else { "certificate" }));
    }
    match holder {
        Principal::Host(host) => {
            let team = |c: &Config| c.hosts.get(&host).map(|x| x.team.clone());
            (team(old) != team(new)).then(|| "its host is in another team now".to_owned())
        }
        Principal::Operator(o) => {
            let rights = |c: &Config| c.operators.get(&o).map(|x| (x.role, x.teams.clone()));
            (rights(old) != rights(new)).then(|| "the operator's rights have changed".to_owned())
        }
    }
}
