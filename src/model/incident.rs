//! Incidents: what is wrong, grouped by probable cause, as triage shows it.

use super::{Evidence, HostName, Port, TeamName, Time};
use serde::{Deserialize, Serialize};
use std::fmt;

/// How bad an incident is. In the order in which they are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Something that was there, or ought to be, cannot be reached.
    Down,
    /// It works in part, or will not for long.
    Warning,
    /// Worth knowing before one looks further. Also what a newer daemon may call otherwise.
    #[serde(other)]
    Note,
}

impl Severity {
    /// The word shown and sent.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Down => "down",
            Self::Warning => "warning",
            Self::Note => "note",
        }
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
    }
}

/// One incident: a probable cause, its evidence, whom it concerns and what to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Incident {
    /// The same for as long as it lasts: the cause and whom it concerns.
    pub id: String,
    /// The cause, from the table in docs/console.md. A text, so that an older client can show what a newer daemon finds.
    pub cause: String,
    /// How bad.
    pub severity: Severity,
    /// Whom it concerns: a host, a network, a team, the bastion.
    pub what: String,
    /// The cause in a few words.
    pub likely: String,
    /// The evidence, one sentence.
    pub evidence: String,
    /// What that sentence was made of, for who says it in another language.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seen: Option<Evidence>,
    /// Since when.
    pub since: Time,
    /// Tunnels concerned.
    pub tunnels: usize,
    /// Hosts concerned.
    pub hosts: usize,
    /// What it hits.
    pub blast: Blast,
    /// What to do next, the likeliest first.
    pub next: Vec<NextStep>,
    /// Somebody has it in hand and wants no alarm for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub muted: Option<Mute>,
}

impl Incident {
    /// Whether it is to alarm anybody: notes and what is muted are not.
    #[must_use]
    pub fn alarms(&self) -> bool {
        self.severity < Severity::Note && self.muted.is_none()
    }
}

/// That an incident is to alarm nobody for a time.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Mute {
    /// The incident's id.
    pub incident: String,
    /// Who muted it.
    pub by: String,
    /// Since when.
    pub since: Time,
    /// Until when.
    pub until: Time,
    /// Why.
    pub reason: String,
    /// The teams its maker is limited to: it covers incidents that concern these teams alone. None covers all.
    pub teams: Option<Vec<TeamName>>,
}

impl Mute {
    /// Whether it holds for an incident of these teams at this time.
    #[must_use]
    pub fn covers(&self, incident: &str, teams: &[TeamName], now: Time) -> bool {
        let theirs = |own: &Vec<TeamName>| !teams.is_empty() && teams.iter().all(|t| own.contains(t));
        self.incident == incident && now < self.until && self.teams.as_ref().is_none_or(theirs)
    }
}

/// What an incident hits. Long lists are cut; the counts in the incident are not.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Blast {
    /// Teams.
    pub teams: Vec<TeamName>,
    /// Hosts, by name.
    pub hosts: Vec<HostName>,
    /// Ports, lowest first.
    pub ports: Vec<Port>,
    /// Visitors that were cut when the tunnels ended.
    pub visitors_cut: u64,
    /// Visitors connected now.
    pub visitors_now: u64,
}

/// One thing to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NextStep {
    /// The key in the console.
    pub key: String,
    /// What it does, or what to do.
    pub what: String,
    /// The same as a command line, where there is one.
    pub run: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mute_covers_its_incident_for_its_time_and_the_teams_of_its_maker() {
        let at = |s: i64| Time::from_timestamp(1_800_000_000 + s, 0).unwrap();
        let team = |t: &str| t.parse::<TeamName>().unwrap();
        let (id, by, reason) = ("host-gone:pay-01".to_owned(), "alice".to_owned(), "moved".to_owned());
        let all = Mute { incident: id.clone(), by, since: at(0), until: at(60), reason, teams: None };
        assert!(all.covers(&id, &[], at(59)) && all.covers(&id, &[team("pay")], at(0)));
        assert!(!all.covers(&id, &[], at(60)), "its time is over");
        assert!(!all.covers("host-gone:pay-02", &[], at(0)));
        let pay = Mute { teams: Some(vec![team("pay")]), ..all };
        assert!(pay.covers(&id, &[team("pay")], at(0)));
        assert!(!pay.covers(&id, &[team("pay"), team("iot")], at(0)), "it concerns others too");
        assert!(!pay.covers(&id, &[], at(0)), "the bastion's is nobody's");
    }

    #[test]
    fn a_severity_of_a_newer_daemon_is_a_note() {
        let read = |s: &str| serde_json::from_str::<Severity>(s).unwrap();
        assert_eq!(read("\"down\""), Severity::Down);
        assert_eq!(read("\"warning\""), Severity::Warning);
        assert_eq!(read("\"catastrophe\""), Severity::Note);
    }
}
