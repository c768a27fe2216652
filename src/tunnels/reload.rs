//! A new configuration in force: what it no longer allows ends, all else stays up.

use super::lifecycle::{END_WAIT, count};
use super::live::{Session, Tunnel, TunnelOrder};
use super::registry::Registry;
use crate::config::Config;
use crate::model::{Obituary, ObituaryCause, VisitorId};
use std::sync::Arc;

impl Registry {
    /// Puts a new configuration in force and ends what it no longer allows: sessions of hosts and operators that are
    /// gone, whose key is gone or whose team changed, tunnels whose lease is now somebody else's or whose team may no
    /// longer listen where they do. All else stays up. Returns what was ended, a sentence each.
    pub async fn apply_config(&self, new: Arc<Config>) -> Vec<String> {
        let old = self.config();
        self.swap_config(&new);
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
        ended
    }

    /// Cuts the visitors of a tunnel whom the team's `visitors` no longer lets in.
    async fn cut_unwelcome_visitors(&self, config: &Config, t: &Tunnel) -> usize {
        let unwelcome: Vec<VisitorId> = t
            .visitor_views()
            .iter()
            .filter(|v| v.operator.is_none() && super::dock::welcome(config, t, v.source.ip()).is_err())
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
    use crate::config::Principal;
    match (new.keys.get(&s.fingerprint), &s.host) {
        (None, _) => Some("its key is no longer in the configuration".to_owned()),
        (Some(Principal::Host(h)), Some(host)) if h == host => {
            let team = |c: &Config| c.hosts.get(host).map(|x| x.team.clone());
            (team(old) != team(new)).then(|| "its host is in another team now".to_owned())
        }
        (Some(Principal::Operator(o)), None) if o.as_str() == s.name => {
            let rights = |c: &Config| c.operators.get(o).map(|x| (x.role, x.teams.clone()));
            (rights(old) != rights(new)).then(|| "the operator's rights have changed".to_owned())
        }
        (Some(_), _) => Some("its key belongs to somebody else now".to_owned()),
    }
}
