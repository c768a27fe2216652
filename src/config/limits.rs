//! `[limits]`, and a team's own `limits`: how much hosts and visitors may take.

use super::keys;
use super::problem::Report;
use super::reader::{Item, Table};
use super::values;

/// Slowest rate that can be set, bytes a second. Below it visitors would be cut for having stalled.
const SLOWEST: u64 = 64 * 1024;

/// What holds for a team's hosts, tunnels and visitors.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// `sessions_per_host`, default 32: sessions of one host at a time.
    pub sessions_per_host: usize,
    /// `tunnels_per_session`, default 1024.
    pub tunnels_per_session: usize,
    /// `max_visitors` of `[relay]`, or the team's own: visitors of one tunnel at a time.
    pub max_visitors: usize,
    /// `team_visitors`: visitors of all tunnels of the team at a time.
    pub team_visitors: Option<usize>,
    /// `visitors_per_second`: new visitors of one tunnel. As many may come at once as come in two seconds.
    pub visitors_per_second: Option<u32>,
    /// `bytes_per_second`: of one tunnel, in each direction.
    pub bytes_per_second: Option<u64>,
}

impl Limits {
    /// The keys of this table over what holds without them.
    fn over(t: &Table<'_>, defaults: &Self) -> Self {
        let count = |key, default: usize| {
            let n = t.item(key).and_then(|i| i.number(1, 10_000_000));
            n.map_or(default, |n| n as usize)
        };
        let bytes = t.item("bytes_per_second").and_then(|i| {
            let n = i.parsed("write a size, such as \"10MiB\"", values::size)?;
            if n < SLOWEST {
                t.report.add(
                    &i.at,
                    format!("`{}` is below 64KiB: visitors would be taken for stalled", i.label),
                    "write \"64KiB\" or more",
                );
            }
            Some(n)
        });
        let max_visitors =
            if t.has("max_visitors") { count("max_visitors", defaults.max_visitors) } else { defaults.max_visitors };
        Self {
            sessions_per_host: count("sessions_per_host", defaults.sessions_per_host),
            tunnels_per_session: count("tunnels_per_session", defaults.tunnels_per_session),
            max_visitors,
            team_visitors: t
                .item("team_visitors")
                .and_then(|i| i.number(1, 10_000_000))
                .map(|n| n as usize)
                .or(defaults.team_visitors),
            visitors_per_second: t
                .item("visitors_per_second")
                .and_then(|i| i.number(1, 1_000_000))
                .or(defaults.visitors_per_second),
            bytes_per_second: bytes.or(defaults.bytes_per_second),
        }
    }

    /// Each by its key, for the difference between two.
    pub(super) fn settings(&self) -> Vec<(&'static str, String)> {
        // That of visitors of one tunnel is told as `relay.max_visitors`.
        let Self {
            sessions_per_host,
            tunnels_per_session,
            max_visitors: _,
            team_visitors,
            visitors_per_second,
            bytes_per_second,
        } = self;
        let or_none = |n: Option<String>| n.unwrap_or_else(|| "none".to_owned());
        vec![
            ("limits.sessions_per_host", sessions_per_host.to_string()),
            ("limits.tunnels_per_session", tunnels_per_session.to_string()),
            ("limits.team_visitors", or_none(team_visitors.map(|n| n.to_string()))),
            ("limits.visitors_per_second", or_none(visitors_per_second.map(|n| n.to_string()))),
            ("limits.bytes_per_second", or_none(bytes_per_second.map(super::diff::bytes))),
        ]
    }
}

/// `[limits]`.
pub(super) fn read<'a>(report: &'a Report<'a>, item: Option<&Item<'a>>, max_visitors: usize) -> Limits {
    let t = Table::new(report, "limits", item.map_or(0..0, |i| i.at.clone()), item, &keys::LIMITS);
    let defaults = Limits {
        sessions_per_host: 32,
        tunnels_per_session: 1024,
        max_visitors,
        team_visitors: None,
        visitors_per_second: None,
        bytes_per_second: None,
    };
    Limits::over(&t, &defaults)
}

/// `limits` of a team.
pub(super) fn of_team<'a>(team: &Table<'a>, defaults: &Limits) -> Limits {
    let Some(item) = team.item("limits") else { return defaults.clone() };
    if item.as_table().is_none() {
        item.wrong("a table", "write limits = { visitors_per_second = 50 }");
        return defaults.clone();
    }
    let t = Table::new(item.report, &item.label, item.at.clone(), Some(&item), &keys::TEAM_LIMITS);
    Limits::over(&t, defaults)
}
