//! Where configuration and ledger disagree.

use super::{Ledger, team_ranges};
use crate::config::Config;
use crate::model::{BlockTarget, TeamName};

/// A disagreement of configuration and ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conflict {
    /// Whom it concerns, and who may therefore read it; all who are not limited to teams when absent.
    pub team: Option<TeamName>,
    /// What, and what to do.
    pub sentence: String,
}

#[derive(Default)]
struct Conflicts(Vec<Conflict>);

impl Conflicts {
    fn add(&mut self, team: &TeamName, sentence: String) {
        self.0.push(Conflict { team: Some(team.clone()), sentence });
    }
}

impl Ledger {
    /// Where configuration and ledger disagree, a sentence each, with what to do.
    #[must_use]
    pub fn conflicts(&self, config: &Config) -> Vec<Conflict> {
        let mut out = Conflicts::default();
        for l in self.leases.values() {
            let p = l.port;
            if let Some((host, service, _)) = config.fixed(p)
                && host != &l.host
            {
                out.add(&l.team, format!(
                    "port {p}: the configuration fixes it for host {host} ({service}), the ledger leases it to host {}. \
                     The configuration wins; end the lease with `portreeve release {p}` after removing the fixed port, or \
                     give {} another port",
                    l.host, l.host
                ));
            }
            match config.hosts.get(&l.host) {
                None => out.add(
                    &l.team,
                    format!(
                        "port {p}: the ledger leases it to host {}, which is not in the configuration. Free it with \
                     `portreeve release {p}`, or add [hosts.{}]",
                        l.host, l.host
                    ),
                ),
                Some(h) => {
                    if h.team != l.team {
                        out.add(&l.team, format!(
                            "port {p}: leased to host {} as of team {}, but the configuration puts the host into team {}. \
                             Release it with `portreeve release {p}`; the host gets one of its new team's ports",
                            l.host, l.team, h.team
                        ));
                    } else if !team_ranges(config, &l.team).iter().any(|r| r.contains(p)) {
                        out.add(&l.team, format!(
                            "port {p}: leased to host {}, but outside team {}'s ranges. Move it with `portreeve move {p}`",
                            l.host, l.team
                        ));
                    }
                }
            }
        }
        for b in self.blocks.values() {
            if let BlockTarget::Host(h) = &b.target
                && !config.hosts.contains_key(h)
            {
                let sentence = format!(
                    "host {h} is revoked but not in the configuration; lift the block with `portreeve restore {h}` if it is \
                     not coming back"
                );
                out.0.push(Conflict { team: None, sentence });
            }
        }
        out.0
    }
}
