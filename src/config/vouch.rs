//! Whom a certificate signs in.

use super::schema::{Config, Principal};
use super::trust::Authority;
use crate::model::{AuthorityName, Certified, HostName, Role, TeamName};

impl Config {
    /// Whom this certificate stands for. `user` is the name given at login: it decides where the certificate's
    /// principals stand for several, and never else.
    ///
    /// # Errors
    /// The rule that refuses it.
    pub fn vouched(&self, c: &Certified, user: &str) -> Result<Principal, String> {
        let mark = &c.mark;
        let Some((name, authority)) = self.authority(&mark.ca) else {
            return Err(format!("the {mark} is signed by a CA that no authority of {} has", self.path.display()));
        };
        if c.principals.is_empty() {
            return Err(format!("the {mark} names no principals: it would stand for anybody"));
        }
        let mut found: Vec<Principal> = Vec::new();
        let mut beyond = None;
        for who in c.principals.iter().filter_map(|p| self.of_principal(p, &c.key_id)) {
            match self.may_vouch(name, authority, &who) {
                Ok(()) if !found.contains(&who) => found.push(who),
                Ok(()) => {}
                Err(why) => beyond = beyond.or(Some(why)),
            }
        }
        match found.as_slice() {
            [] => Err(beyond.map_or_else(
                || format!("the {mark} has no principal of a host, operator or team: {}", names(&c.principals)),
                |why| format!("the {mark} is not enough: {why}"),
            )),
            [one] => Ok(one.clone()),
            several => several.iter().find(|p| p.name() == user).cloned().ok_or_else(|| {
                let all = several.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
                format!("the {mark} stands for {all}: sign in by the name of one of them")
            }),
        }
    }

    /// The authority that has this CA's key.
    #[must_use]
    pub fn authority(&self, ca: &str) -> Option<(&AuthorityName, &Authority)> {
        self.trust.authorities.get_key_value(self.trust.cas.get(ca)?)
    }

    /// Whose a principal is. A team's lets in the host of that team that the key id names.
    fn of_principal(&self, principal: &str, key_id: &str) -> Option<Principal> {
        if let Some(who) = self.trust.principals.get(principal) {
            return Some(who.clone());
        }
        let team = self.trust.teams.get(principal)?;
        let host: HostName = key_id.parse().ok()?;
        (self.hosts.get(&host)?.team == *team).then_some(Principal::Host(host))
    }

    /// Whether the authority with this CA's key vouches for this role on these teams (none means all): what was granted
    /// to somebody holds for their certificate only as far as it does.
    #[must_use]
    pub fn vouches_role(&self, ca: &str, role: Role, teams: Option<&[TeamName]>) -> bool {
        self.authority(ca).is_some_and(|(_, a)| a.operators && role <= a.max_role && a.covers(teams))
    }

    fn may_vouch(&self, name: &AuthorityName, authority: &Authority, who: &Principal) -> Result<(), String> {
        let covers = |team: &TeamName| authority.teams.as_ref().is_none_or(|ts| ts.contains(team));
        match who {
            Principal::Host(_) if !authority.hosts => Err(format!("authority {name} does not vouch for hosts")),
            Principal::Host(h) => match self.hosts.get(h).map(|x| &x.team) {
                Some(team) if covers(team) => Ok(()),
                team => Err(format!(
                    "authority {name} does not vouch for hosts of team {}",
                    team.map_or("?", |t| t.as_str())
                )),
            },
            Principal::Operator(_) if !authority.operators => {
                Err(format!("authority {name} does not vouch for operators"))
            }
            Principal::Operator(o) => {
                let Some(operator) = self.operators.get(o) else { return Err(format!("there is no operator {o}")) };
                if operator.role > authority.max_role {
                    return Err(format!(
                        "operator {o} has the role {}, and authority {name} vouches up to {} (max_role)",
                        operator.role, authority.max_role
                    ));
                }
                if authority.covers(operator.teams.as_deref()) {
                    return Ok(());
                }
                Err(format!("operator {o} has teams that authority {name} does not vouch for"))
            }
        }
    }
}

impl Authority {
    /// Whether it vouches for somebody of these teams. Somebody not limited to teams is beyond an authority that is.
    fn covers(&self, teams: Option<&[TeamName]>) -> bool {
        let Some(own) = &self.teams else { return true };
        teams.is_some_and(|ts| ts.iter().all(|t| own.contains(t)))
    }
}

impl Principal {
    /// The host's or operator's name.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Host(n) => n.as_str(),
            Self::Operator(n) => n.as_str(),
        }
    }
}

fn names(principals: &[String]) -> String {
    const SHOWN: usize = 8;
    let mut all: Vec<String> =
        principals.iter().take(SHOWN).map(|p| format!("{:?}", crate::model::clean(p, 60))).collect();
    if principals.len() > SHOWN {
        all.push(format!("and {} more", principals.len() - SHOWN));
    }
    all.join(", ")
}
