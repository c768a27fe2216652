//! Questions that policy asks of a configuration.

use super::limits::Limits;
use super::schema::{Config, HealthConfig, Operator, Principal, Service, Team};
use crate::model::{CheckKind, HostName, OperatorName, Port, TeamName};
use std::time::Duration;

impl Config {
    /// The team that owns a host.
    #[must_use]
    pub fn team_of(&self, host: &HostName) -> Option<(&TeamName, &Team)> {
        self.teams.get_key_value(&self.hosts.get(host)?.team)
    }

    /// The team whose ranges have the port.
    #[must_use]
    pub fn owner_of_port(&self, port: Port) -> Option<&TeamName> {
        self.teams.iter().find(|(_, t)| t.ports.iter().any(|r| r.contains(port))).map(|(name, _)| name)
    }

    /// The host a port is fixed to, with the service's name.
    #[must_use]
    pub fn fixed(&self, port: Port) -> Option<(&HostName, &str, &Service)> {
        let (host, service) = self.fixed_ports.get(&port)?;
        self.hosts.get(host)?.services.get(service).map(|s| (host, service.as_str(), s))
    }

    /// How a port of a host is checked, and how often: as its fixed service says, else as the host says.
    #[must_use]
    pub fn check_for(&self, host: &HostName, port: Port) -> (CheckKind, HealthConfig) {
        let Some(h) = self.hosts.get(host) else {
            return (CheckKind::default(), self.health.clone());
        };
        match h.services.values().find(|s| s.port == port) {
            Some(s) => (s.check, s.health.clone().unwrap_or_else(|| self.health.clone())),
            None => (h.check, self.health.clone()),
        }
    }

    /// How long a visitor of the team's tunnels may take nothing while bytes wait for it.
    #[must_use]
    pub fn stall_timeout(&self, team: &TeamName) -> Duration {
        self.teams.get(team).and_then(|t| t.stall_timeout).unwrap_or(self.relay.stall_timeout)
    }

    /// The limits that hold for a team.
    #[must_use]
    pub fn limits_of(&self, team: &TeamName) -> &Limits {
        self.teams.get(team).map_or(&self.limits, |t| &t.limits)
    }

    /// Whose a key is, by its fingerprint (`SHA256:…`).
    #[must_use]
    pub fn principal(&self, fingerprint: &str) -> Option<&Principal> {
        self.keys.get(fingerprint)
    }

    /// The operator an account of this machine stands for: by its name, or by its number where it has no name.
    #[must_use]
    pub fn operator_of_uid(&self, uid: u32) -> Option<(&OperatorName, &Operator)> {
        let account = account_of(uid);
        self.operators.iter().find(|(_, o)| o.unix_user.as_deref() == Some(account.as_str()))
    }
}

/// The name of an account, or its number when it has none (containers often run such).
#[must_use]
pub fn account_of(uid: u32) -> String {
    let user = nix::unistd::User::from_uid(nix::unistd::Uid::from_raw(uid)).ok().flatten();
    user.map_or_else(|| uid.to_string(), |u| u.name)
}
