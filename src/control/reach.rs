//! "Would they reach this tunnel, and by which rule?": of an operator, and of a visitor at an address.

use super::desk::Desk;
use super::protocol::{ApiError, ErrorCode, Explanation, Identity};
use super::sight::unlimited;
use crate::config::Principal;
use crate::model::{HostName, OperatorName, Port, Role, now};
use crate::tunnels::{Credential, Tunnel};
use std::net::IpAddr;
use std::sync::Arc;

/// What is allowed, or not, by which rule.
type Verdict<T = String> = Result<T, String>;

impl Desk {
    /// Where the question is whether somebody reaches a tunnel: `operator:NAME` or an operator's key with a port, or an
    /// address with a port. None for all other questions.
    pub(super) fn explain_visit(
        &self,
        who: &Identity,
        asked: &str,
        port: Option<u32>,
    ) -> Option<Result<Explanation, ApiError>> {
        let config = self.registry.config();
        let key = config.keys.get(asked).filter(|_| port.is_some());
        if let Some(name) = asked.strip_prefix("operator:") {
            // Before anything is said of whether there is such an operator.
            if let Err(e) = may_ask_of(who, name) {
                return Some(Err(e));
            }
            let known = name.parse::<OperatorName>().ok().filter(|n| config.operators.contains_key(n));
            let Some(name) = known else {
                let (name, path) = (crate::model::clean(name, 60), config.path.display());
                let why = format!("there is no operator {name:?} in {path}");
                return Some(Err(ApiError::new(ErrorCode::NotFound, why)));
            };
            return Some(self.tunnel_asked(who, port).and_then(|t| self.operator_reaches(who, &name, &t)));
        }
        if let Some(Principal::Operator(name)) = key {
            let good = self.good_by_itself(asked, name);
            let reaches = |t: Arc<Tunnel>| {
                may_ask_of(who, name.as_str())?;
                match good {
                    Ok(()) => self.operator_reaches(who, name, &t),
                    Err(rule) => Ok(explained(&t, format!("operator {name} connects to it with that key"), Err(rule))),
                }
            };
            return Some(self.tunnel_asked(who, port).and_then(reaches));
        }
        // A host may be called as an address is written.
        if asked.parse::<HostName>().is_ok_and(|h| config.hosts.contains_key(&h)) {
            return None;
        }
        let ip = asked.parse::<IpAddr>().ok()?;
        let visit =
            |t: Arc<Tunnel>| explained(&t, format!("somebody at {ip} comes to it"), self.visitor_reaches(ip, &t));
        Some(self.tunnel_asked(who, port).map(visit))
    }

    /// The live tunnel that is meant, if this person may know of it.
    fn tunnel_asked(&self, who: &Identity, port: Option<u32>) -> Result<Arc<Tunnel>, ApiError> {
        let invalid = |why: String| ApiError::new(ErrorCode::Invalid, why);
        let port = port.ok_or_else(|| invalid("name the port of the tunnel too".to_owned()))?;
        let port = Port::try_from(port).map_err(|e| invalid(e.to_string()))?;
        let tunnel = self.registry.tunnel(port);
        let team = tunnel.as_ref().map(|t| t.lease.team.clone());
        // Whose it is comes first: else the answer would tell whether another team's tunnel is up.
        if team.or_else(|| self.registry.config().owner_of_port(port).cloned()).is_some_and(|t| !who.sees(&t)) {
            return Err(ApiError::new(ErrorCode::Forbidden, format!("port {port} is of a team that is not yours")));
        }
        tunnel.ok_or_else(|| ApiError::new(ErrorCode::NotFound, format!("there is no live tunnel on port {port}")))
    }

    /// Whether an operator's key is neither blocked nor over.
    fn good_by_itself(&self, fingerprint: &str, name: &OperatorName) -> Verdict<()> {
        let credential = Credential { fingerprint: fingerprint.to_owned(), ..Credential::default() };
        let blocked = self.registry.blocked(&credential, &Principal::Operator(name.clone()));
        blocked.or_else(|| self.registry.config().expired(fingerprint, now())).map_or(Ok(()), Err)
    }

    fn operator_reaches(&self, who: &Identity, name: &OperatorName, t: &Tunnel) -> Result<Explanation, ApiError> {
        may_ask_of(who, name.as_str())?;
        let team = &t.lease.team;
        let verdict = match (self.registry.dismissed(name), self.registry.powers(name, None)) {
            (Some(rule), _) => Err(rule),
            (None, None) => Err(format!("operator {name} is not in the configuration any more")),
            (None, Some(p)) => match p.rights().may(Role::Operator, Some(team)) {
                Some(None) => {
                    Ok(format!("operator {name} has the role {} on team {team} by the configuration", p.role))
                }
                Some(Some(id)) => {
                    let grants = self.registry.grants();
                    Ok(grants.iter().find(|g| g.id == id).map_or_else(|| format!("grant {id}"), |g| g.rule()))
                }
                None => Err(format!("operator {name} has not the role operator on team {team}")),
            },
        };
        Ok(explained(t, format!("operator {name} connects to it by ssh -J, -W or -L"), verdict))
    }

    fn visitor_reaches(&self, ip: IpAddr, t: &Tunnel) -> Verdict {
        let ip = ip.to_canonical();
        if ip.is_loopback() {
            return Ok("loopback may always visit".to_owned());
        }
        let (config, team, port) = (self.registry.config(), &t.lease.team, t.port());
        if t.listen.iter().all(|a| a.ip().is_loopback()) {
            return Err(format!("port {port} listens on loopback only"));
        }
        let visitors = config.teams.get(team).map(|x| x.visitors.as_slice()).unwrap_or_default();
        if let Some(net) = visitors.iter().find(|net| net.contains(&ip)) {
            return Ok(format!("{ip} is in team {team}'s `visitors` ({net})"));
        }
        let granted = self.registry.lets_in(t, ip);
        granted.map(|g| g.rule()).ok_or_else(|| format!("{ip} is not in team {team}'s `visitors`"))
    }
}

/// What an operator may do is theirs to ask, and of those who are not limited to teams.
fn may_ask_of(who: &Identity, name: &str) -> Result<(), ApiError> {
    if unlimited(who) || who.name == name {
        return Ok(());
    }
    let name = crate::model::clean(name, 60);
    let why = format!("what operator {name} may do is for those to know who are not limited to teams");
    Err(ApiError::new(ErrorCode::Forbidden, why))
}

fn explained(t: &Tunnel, asks: String, verdict: Verdict) -> Explanation {
    let (port, host, team) = (t.port(), &t.lease.host, &t.lease.team);
    let steps = vec![format!("port {port} is a tunnel to host {host} of team {team}"), asks];
    let allowed = verdict.is_ok();
    let rule = verdict.unwrap_or_else(|rule| rule);
    Explanation { allowed, port: Some(port), rule, steps }
}
