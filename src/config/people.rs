//! Teams, hosts and operators, as written, each with its place; [`super::rules`] holds them against each other.

use super::keys;
use super::limits::Limits;
use super::problem::{Complaint, Report, Span};
use super::public_key;
use super::reader::{Item, Table};
use super::schema::{HealthConfig, Host, HostKey, Operator, Service, Team};
use super::sections::health_keys;
use super::trust;
use super::values;
use crate::model::{
    BindPolicy, CheckKind, HostName, NameError, OperatorName, Port, PortError, PortRange, Role, TeamName,
};
use std::collections::BTreeMap;
use std::str::FromStr;

/// A thing and where it stands.
pub(super) struct Placed<T> {
    pub at: Span,
    pub value: T,
}

pub(super) struct TeamEntry {
    pub ranges: Vec<Placed<PortRange>>,
    pub principals: Vec<Placed<String>>,
    pub team: Team,
}

pub(super) struct HostEntry {
    pub team: Option<Placed<TeamName>>,
    /// Where it stands, or its keys do.
    pub at: Span,
    /// No key is written, not even one that cannot be read.
    pub keyless: bool,
    pub keys: Vec<Placed<HostKey>>,
    pub principals: Vec<Placed<String>>,
    pub services: Vec<(Placed<Port>, String, Service)>,
    pub check: CheckKind,
}

pub(super) struct OperatorEntry {
    pub keys: Vec<Placed<HostKey>>,
    pub principals: Vec<Placed<String>>,
    pub teams: Option<Vec<Placed<TeamName>>>,
    pub role: Role,
    pub unix_user: Option<Placed<String>>,
}

pub(super) const ROLES: &[(&str, Role)] =
    &[("viewer", Role::Viewer), ("operator", Role::Operator), ("admin", Role::Admin)];

const CHECKS: &[(&str, CheckKind)] =
    &[("tcp", CheckKind::Tcp), ("ssh", CheckKind::Ssh), ("http", CheckKind::Http), ("none", CheckKind::None)];

fn name<T: FromStr<Err = NameError>>(report: &Report<'_>, kind: &str, text: &str, at: &Span) -> Option<T> {
    let shown = crate::model::clean(text, 64);
    text.parse()
        .map_err(|e| report.add(at, format!("{shown:?} cannot be a {kind}'s name: {e}"), "choose another name"))
        .ok()
}

/// The named tables of `[teams]`, `[hosts]` or `[operators]`, in the order of the file.
pub(super) fn named<'a, N: FromStr<Err = NameError>>(
    item: Option<&Item<'a>>,
    kind: &str,
    keys: &'static keys::SectionKeys,
) -> Vec<(N, Table<'a>)> {
    let Some(section) = item else { return Vec::new() };
    let mut found: Vec<_> = section.entries("write a section for each").into_iter().collect();
    found.sort_by_key(|(_, at, _)| at.start);
    let one = |(text, at, item): (&'a str, Span, Item<'a>)| {
        if item.as_table().is_none() {
            item.wrong("a section", &format!("write [{}] on a line of its own, and its keys below", item.label));
            return None;
        }
        let table = Table::new(section.report, &item.label, at.clone(), Some(&item), keys);
        Some((name::<N>(section.report, kind, text, &at)?, table))
    };
    found.into_iter().filter_map(one).collect()
}

fn port(item: &Item<'_>) -> Option<Placed<Port>> {
    let number = item.number(1, 65_535)?;
    Port::try_from(number).ok().map(|value| Placed { at: item.at.clone(), value })
}

fn range(text: &str) -> Result<PortRange, Complaint> {
    text.parse().map_err(|e: PortError| {
        Complaint::new(e.to_string(), "write the ports as \"20100-20199\", or one as \"20100\"")
    })
}

pub(super) fn teams(item: Option<&Item<'_>>, limits: &Limits) -> Vec<(TeamName, TeamEntry)> {
    let each = |(name, t): (TeamName, Table<'_>)| {
        let remedy = "give the team its ports: ports = \"20100-20199\", or a list of ranges";
        let ranges: Vec<_> = t
            .required("ports", remedy)
            .map(|i| {
                let items = i.list();
                if items.is_empty() {
                    t.report.add(&i.at, format!("`{}` is empty", i.label), remedy);
                }
                let read = |i: &Item<'_>| i.parsed(remedy, range).map(|value| Placed { at: i.at.clone(), value });
                items.iter().filter_map(read).collect()
            })
            .unwrap_or_default();
        let bind = t
            .item("bind")
            .and_then(|i| i.word(&[("loopback", BindPolicy::Loopback), ("gateway", BindPolicy::Gateway)]))
            .unwrap_or_default();
        let visitors_item = t.item("visitors");
        let read = |i: &Item<'_>| i.parsed("write networks in quotes, such as \"10.1.0.0/16\"", values::network);
        let visitors: Vec<_> = visitors_item.iter().flat_map(|i| i.list()).filter_map(|i| read(&i)).collect();
        let none_given = visitors_item.as_ref().is_none_or(|i| i.list().is_empty());
        if bind == BindPolicy::Gateway && none_given {
            let at = t.item("bind").map_or_else(|| t.at.clone(), |i| i.at);
            t.report.add(
                &at,
                format!("[{}] has bind = \"gateway\" but no visitors: its ports would be open and let nobody in", t.label),
                "write visitors = [\"0.0.0.0/0\", \"::/0\"] to let anyone in, name the networks, or write bind = \"loopback\"",
            );
        }
        let contact = t.text("contact", "write whom to call, in quotes").map(|c| crate::model::clean_line(&c));
        let stall_timeout =
            t.item("stall_timeout").and_then(|i| i.parsed("write a duration, such as \"60s\"", values::duration));
        let ports = ranges.iter().map(|r| r.value).collect();
        let limits = super::limits::of_team(&t, limits);
        let principals = trust::principals(&t);
        let own = principals.iter().map(|p| p.value.clone()).collect();
        let team = Team { ports, bind, visitors, contact, stall_timeout, limits, principals: own };
        (name, TeamEntry { ranges, principals, team })
    };
    named::<TeamName>(item, "team", &keys::TEAM).into_iter().map(each).collect()
}

pub(super) fn public_keys(item: &Item<'_>) -> Vec<Placed<HostKey>> {
    let read = |i: Item<'_>| {
        let value = i.parsed("write each key as one line in quotes", public_key::read)?;
        Some(Placed { at: i.at, value })
    };
    item.list().into_iter().filter_map(read).collect()
}

pub(super) fn hosts(item: Option<&Item<'_>>, health: &HealthConfig) -> Vec<(HostName, HostEntry)> {
    let each = |(host, t): (HostName, Table<'_>)| {
        let team = t.required("team", "name the team that owns the host: team = \"…\"").and_then(|i| team_name(&i));
        let keys = t.item("keys").iter().flat_map(public_keys).collect();
        let principals = trust::principals(&t);
        let check = t.item("check").and_then(|i| i.word(CHECKS)).unwrap_or_default();
        let services = t.item("ports").map(|i| services(&i, check, health)).unwrap_or_default();
        let keyless = t.item("keys").is_none_or(|i| i.list().is_empty());
        let at = t.item("keys").map_or_else(|| t.at.clone(), |i| i.at);
        (host, HostEntry { team, at, keyless, keys, principals, services, check })
    };
    named::<HostName>(item, "host", &keys::HOST).into_iter().map(each).collect()
}

pub(super) fn team_name(i: &Item<'_>) -> Option<Placed<TeamName>> {
    let text = i.text("write the team's name in quotes")?;
    Some(Placed { at: i.at.clone(), value: name(i.report, "team", text, &i.at)? })
}

fn services(item: &Item<'_>, check: CheckKind, health: &HealthConfig) -> Vec<(Placed<Port>, String, Service)> {
    let remedy = "name each port: ports = { ssh = 20122, web = { port = 20180, check = \"http\" } }";
    let mut found = Vec::new();
    let mut entries = item.entries(remedy);
    entries.sort_by_key(|(_, at, _)| at.start);
    for (service, at, value) in entries {
        // The same rule as for names of hosts: they stand in the same screens and commands.
        if name::<HostName>(item.report, "service", service, &at).is_none() {
            continue;
        }
        let by_name = match service {
            "ssh" => CheckKind::Ssh,
            "http" | "web" => CheckKind::Http,
            _ => check,
        };
        if value.as_table().is_none() {
            if let Some(placed) = port(&value) {
                let one = Service { port: placed.value, check: by_name, health: None };
                found.push((placed, service.to_owned(), one));
            }
            continue;
        }
        let t = Table::new(item.report, &value.label, at, Some(&value), &keys::SERVICE);
        let check = t.item("check").and_then(|i| i.word(CHECKS)).unwrap_or(by_name);
        let own_health = ["interval", "timeout", "rise", "fall"].iter().any(|k| t.item(k).is_some());
        let health = own_health.then(|| health_keys(&t, health));
        if let Some(placed) = t.required("port", "write the port: port = 20122").and_then(|i| port(&i)) {
            let one = Service { port: placed.value, check, health };
            found.push((placed, service.to_owned(), one));
        }
    }
    found
}

pub(super) fn operators(item: Option<&Item<'_>>) -> Vec<(OperatorName, OperatorEntry)> {
    let each = |(operator, t): (OperatorName, Table<'_>)| {
        let keys_item = t.item("keys");
        let keys: Vec<_> = keys_item.iter().flat_map(public_keys).collect();
        let role = t.item("role").and_then(|i| i.word(ROLES)).unwrap_or(Role::Viewer);
        let teams_item = t.item("teams");
        if let Some(i) = teams_item.as_ref().filter(|i| i.list().is_empty()) {
            t.report.add(
                &i.at,
                format!("`{}` is empty: the operator would see nothing", i.label),
                "name teams, or leave the key out for all teams",
            );
        }
        if let Some(i) = teams_item.as_ref().filter(|_| role == Role::Admin) {
            t.report.add(
                &i.at,
                format!("[{}] is an admin, who acts on every team, and is limited to some", t.label),
                "leave `teams` out, or write role = \"operator\"",
            );
        }
        let teams = teams_item.map(|i| i.list().iter().filter_map(team_name).collect());
        let unix_user = t.item("unix_user").and_then(|i| {
            let value = i.text("write the account's name in quotes")?.to_owned();
            if value.is_empty() {
                t.report.add(&i.at, format!("`{}` is empty", i.label), "write an account's name, or leave the key out");
                return None;
            }
            Some(Placed { at: i.at, value })
        });
        let principals = trust::principals(&t);
        let none = |key: &str| t.item(key).is_none_or(|i| i.list().is_empty());
        if none("keys") && none("principals") && t.item("unix_user").is_none() {
            t.report.add(
                &t.at,
                format!(
                    "[{}] has neither keys nor principals nor unix_user: the operator could never be recognised",
                    t.label
                ),
                "give `keys` or `principals` for access by SSH, or `unix_user` for the console on this machine",
            );
        }
        (operator, OperatorEntry { keys, principals, teams, role, unix_user })
    };
    named::<OperatorName>(item, "operator", &keys::OPERATOR).into_iter().map(each).collect()
}

impl HostEntry {
    /// Without places. `None` when its team could not be read.
    pub fn finish(self) -> Option<Host> {
        Some(Host {
            team: self.team?.value,
            keys: self.keys.into_iter().map(|k| k.value).collect(),
            principals: self.principals.into_iter().map(|p| p.value).collect(),
            services: self.services.into_iter().map(|(_, name, s)| (name, s)).collect::<BTreeMap<_, _>>(),
            check: self.check,
        })
    }
}

impl OperatorEntry {
    /// Without places.
    pub fn finish(self) -> Operator {
        Operator {
            keys: self.keys.into_iter().map(|k| k.value).collect(),
            principals: self.principals.into_iter().map(|p| p.value).collect(),
            role: self.role,
            teams: self.teams.map(|teams| teams.into_iter().map(|t| t.value).collect()),
            unix_user: self.unix_user.map(|u| u.value),
        }
    }
}
