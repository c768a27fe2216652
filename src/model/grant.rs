//! What is given beside the configuration, until a time: a role to an operator, or a way in to a network of visitors.

use super::{GrantId, OperatorName, Port, Role, TeamName, Time};
use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use std::fmt;

/// What is given.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Granted {
    /// A role, beside what the configuration gives.
    Role {
        /// To whom.
        operator: OperatorName,
        /// Which.
        role: Role,
        /// On these teams; on all when absent.
        teams: Option<Vec<TeamName>>,
    },
    /// Visits to `gateway` tunnels.
    Visitors {
        /// Whose tunnels; the daemon knows it by the port.
        team: Option<TeamName>,
        /// Of this port alone.
        port: Option<Port>,
        /// From where.
        network: IpNet,
    },
}

/// Whose `gateway` tunnels, as an operator types it: a port, or else a team's name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TunnelsOf {
    /// All of a team.
    pub team: Option<TeamName>,
    /// One.
    pub port: Option<Port>,
}

impl std::str::FromStr for TunnelsOf {
    type Err = String;
    fn from_str(s: &str) -> Result<Self, String> {
        if !s.is_empty() && s.bytes().all(|b| b.is_ascii_digit()) {
            let port = s.parse().map_err(|e: super::PortError| e.to_string())?;
            return Ok(Self { team: None, port: Some(port) });
        }
        let team = s.parse().map_err(|e| format!("{s:?} is neither a port nor a team's name ({e})"))?;
        Ok(Self { team: Some(team), port: None })
    }
}

impl fmt::Display for Granted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Role { operator, role, teams: None } => write!(f, "the role {role} to operator {operator}"),
            Self::Role { operator, role, teams: Some(teams) } => {
                write!(f, "the role {role} to operator {operator} on {}", names(teams))
            }
            Self::Visitors { port: Some(port), network, .. } => write!(f, "visits to port {port} from {network}"),
            Self::Visitors { team: Some(team), network, .. } => write!(f, "visits to team {team} from {network}"),
            Self::Visitors { network, .. } => write!(f, "visits from {network}"),
        }
    }
}

fn names(teams: &[TeamName]) -> String {
    let all = teams.iter().map(TeamName::as_str).collect::<Vec<_>>().join(", ");
    if teams.len() == 1 { format!("team {all}") } else { format!("the teams {all}") }
}

/// Something given, by whom and until when.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GrantView {
    /// Its id.
    pub id: GrantId,
    /// What.
    #[serde(flatten)]
    pub what: Granted,
    /// Who gave it.
    pub by: String,
    /// Since when.
    pub since: Time,
    /// Until when.
    pub until: Time,
    /// Why.
    pub reason: String,
}

impl GrantView {
    /// As the deciding rule of what it allows.
    #[must_use]
    pub fn rule(&self) -> String {
        let until = self.until.format("%Y-%m-%d %H:%M:%SZ");
        format!("grant {} of {} gives {}, until {until} ({})", self.id, self.by, self.what, self.reason)
    }
}

/// A role that was given, as far as it holds for somebody.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GrantedRole {
    /// By which grant.
    pub grant: GrantId,
    /// Which role.
    pub role: Role,
    /// On these teams; on all when absent.
    pub teams: Option<Vec<TeamName>>,
    /// Until when.
    pub until: Time,
}

/// What somebody may do now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Powers {
    /// The role of the configuration.
    pub role: Role,
    /// The teams it is limited to; none means all.
    pub teams: Option<Vec<TeamName>>,
    /// What was granted besides.
    pub granted: Vec<GrantedRole>,
}

impl Powers {
    /// To be asked.
    #[must_use]
    pub fn rights(&self) -> Rights<'_> {
        Rights { role: self.role, teams: self.teams.as_deref(), granted: &self.granted }
    }
}

/// See [`Powers`]. What is granted adds to the configuration and never takes away.
#[derive(Debug, Clone, Copy)]
pub struct Rights<'a> {
    /// The role of the configuration.
    pub role: Role,
    /// The teams it is limited to; none means all.
    pub teams: Option<&'a [TeamName]>,
    /// What was granted besides.
    pub granted: &'a [GrantedRole],
}

impl<'a> Rights<'a> {
    /// Each role with its teams and, where it was granted, by what; the configuration's first.
    fn each(self) -> impl Iterator<Item = (Role, Option<&'a [TeamName]>, Option<GrantId>)> {
        let granted = self.granted.iter().map(|g| (g.role, g.teams.as_deref(), Some(g.grant)));
        // An admin acts on every team.
        let all = |(role, teams, grant)| (role, if role == Role::Admin { None } else { teams }, grant);
        std::iter::once((self.role, self.teams, None)).chain(granted).map(all)
    }

    /// The highest role, wherever it holds.
    #[must_use]
    pub fn best(self) -> Role {
        self.each().map(|(role, ..)| role).max().unwrap_or(self.role)
    }

    /// Whether this role, or a higher one, holds on this team; without a team, whether it holds beyond teams. By which
    /// grant, where it is not by the configuration.
    #[must_use]
    pub fn may(self, need: Role, team: Option<&TeamName>) -> Option<Option<GrantId>> {
        let on = |teams: Option<&[TeamName]>| teams.is_none_or(|ts| team.is_some_and(|t| ts.contains(t)));
        self.each().find(|(role, teams, _)| *role >= need && on(*teams)).map(|(.., grant)| grant)
    }

    /// The teams on which this role, or a higher one, holds; none means all.
    #[must_use]
    pub fn teams_as(self, need: Role) -> Option<Vec<TeamName>> {
        let mut all = Vec::new();
        for (_, teams, _) in self.each().filter(|(role, ..)| *role >= need) {
            all.extend_from_slice(teams?);
        }
        all.sort();
        all.dedup();
        Some(all)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn team(name: &str) -> TeamName {
        name.parse().unwrap()
    }

    #[test]
    fn what_is_granted_adds_to_the_configuration_and_takes_nothing_away() {
        let until = crate::model::now();
        let mut p = Powers { role: Role::Viewer, teams: Some(vec![team("pay"), team("web")]), granted: vec![] };
        assert_eq!((p.rights().best(), p.rights().may(Role::Operator, Some(&team("pay")))), (Role::Viewer, None));
        let grant = GrantId::new();
        let of = |role, teams: Option<&str>| GrantedRole { grant, role, teams: teams.map(|t| vec![team(t)]), until };
        p.granted = vec![of(Role::Operator, Some("pay"))];
        let r = p.rights();
        assert_eq!(r.best(), Role::Operator);
        assert_eq!(r.may(Role::Operator, Some(&team("pay"))), Some(Some(grant)));
        // Nowhere else, and nothing that belongs to no team.
        assert_eq!(r.may(Role::Operator, Some(&team("web"))), None);
        assert_eq!(r.may(Role::Operator, None), None);
        assert_eq!(r.may(Role::Viewer, Some(&team("web"))), Some(None), "as the configuration has it");
        assert_eq!(r.teams_as(Role::Operator), Some(vec![team("pay")]));
        assert_eq!(r.teams_as(Role::Viewer), Some(vec![team("pay"), team("web")]));
        // A role on a team of which nothing could be seen before.
        p.granted = vec![of(Role::Viewer, Some("iot"))];
        assert_eq!(p.rights().may(Role::Viewer, Some(&team("iot"))), Some(Some(grant)));
        p.granted = vec![of(Role::Admin, None)];
        assert_eq!(p.rights().may(Role::Admin, None), Some(Some(grant)));
        assert_eq!((p.rights().teams_as(Role::Operator), p.rights().teams_as(Role::Viewer)), (None, None));
        // A role over all teams lifts no limit of a lower need than it has.
        p.granted = vec![of(Role::Viewer, None)];
        assert_eq!(p.rights().may(Role::Operator, Some(&team("pay"))), None);
    }

    #[test]
    fn a_grant_is_written_in_one_flat_object() {
        let g = GrantView {
            id: "g1".parse().unwrap(),
            what: Granted::Visitors { team: Some(team("pay")), port: None, network: "203.0.113.0/24".parse().unwrap() },
            by: "alice".into(),
            since: crate::model::now(),
            until: crate::model::now(),
            reason: "audit".into(),
        };
        let text = serde_json::to_value(&g).unwrap();
        assert_eq!((&text["kind"], &text["network"]), (&"visitors".into(), &"203.0.113.0/24".into()));
        assert_eq!(serde_json::from_value::<GrantView>(text).unwrap(), g);
    }
}
