//! The arguments of `grant`.

use super::ahead;
use crate::model::{Granted, OperatorName, Role, TeamName, Time, TunnelsOf, network};
use clap::Subcommand;
use ipnet::IpNet;

/// What can be given until a time.
#[derive(Debug, Clone, Subcommand)]
pub enum GrantWhat {
    /// A role for an operator, beside what the configuration gives; needs the role admin
    Role {
        /// Whom
        operator: OperatorName,
        /// viewer, operator or admin
        role: Role,
        /// On this team only; may be given several times. Without it on all teams
        #[arg(long = "team", value_name = "TEAM")]
        teams: Vec<TeamName>,
        /// Until then, within 30 days: 2h, 18:00, 2026-12-01, 2026-12-01T18:00:00Z (days and hours of UTC)
        #[arg(long, value_name = "WHEN", value_parser = ahead)]
        until: Time,
        /// Why: who reads the list of grants will want to know
        #[arg(long)]
        reason: String,
    },
    /// Visits to `gateway` tunnels from a network, beside the team's `visitors`
    Visitors {
        /// A team's tunnels, or that of one port
        #[arg(value_name = "TEAM|PORT")]
        to: TunnelsOf,
        /// From there: a network such as 203.0.113.0/24, or one address
        #[arg(value_parser = network)]
        network: IpNet,
        /// Until then, within 90 days: 2h, 18:00, 2026-12-01, 2026-12-01T18:00:00Z (days and hours of UTC)
        #[arg(long, value_name = "WHEN", value_parser = ahead)]
        until: Time,
        /// Why: who reads the list of grants will want to know
        #[arg(long)]
        reason: String,
    },
}

impl GrantWhat {
    /// What, until when and why.
    #[must_use]
    pub fn granted(&self) -> (Granted, Time, String) {
        match self {
            Self::Role { operator, role, teams, until, reason } => {
                let teams = (!teams.is_empty()).then(|| teams.clone());
                (Granted::Role { operator: operator.clone(), role: *role, teams }, *until, reason.clone())
            }
            Self::Visitors { to: TunnelsOf { team, port }, network, until, reason } => {
                let what = Granted::Visitors { team: team.clone(), port: *port, network: *network };
                (what, *until, reason.clone())
            }
        }
    }
}
