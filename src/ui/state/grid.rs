//! The ports screen's grid: which ports stand on which line.

use super::live::{Live, Row};
use crate::model::{Port, TunnelState};
use crate::ui::words::{Lang, tr};

/// What a port is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum PortKind {
    Free,
    /// Leased, and its tunnel is up.
    Live,
    /// Leased, and silent.
    Silent,
    /// Kept free by an operator for a time.
    Reserved,
    Revoked,
    /// Leased to a host of another team than the range's.
    Foreign,
}

impl PortKind {
    pub(crate) const ALL: [Self; 6] =
        [Self::Free, Self::Live, Self::Silent, Self::Reserved, Self::Revoked, Self::Foreign];

    /// The word on the screen.
    pub(crate) fn name(self, lang: Lang) -> &'static str {
        match self {
            Self::Free => tr!(lang, state.port_free),
            Self::Live => tr!(lang, state.port_live),
            Self::Silent => tr!(lang, state.port_silent),
            Self::Reserved => tr!(lang, state.port_reserved),
            Self::Revoked => tr!(lang, state.port_revoked),
            Self::Foreign => tr!(lang, state.port_foreign),
        }
    }

    /// What files and filters call it.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Free => "free",
            Self::Live => "live",
            Self::Silent => "silent",
            Self::Reserved => "reserved",
            Self::Revoked => "revoked",
            Self::Foreign => "foreign",
        }
    }

    pub(crate) fn of(live: &Live, port: Port) -> Self {
        match live.tunnels.get(&port) {
            Some(row) => Self::of_row(live, row),
            None if blocked(live, port) => Self::Revoked,
            None if live.reservation(port).is_some() => Self::Reserved,
            None => Self::Free,
        }
    }

    fn of_row(live: &Live, row: &Row) -> Self {
        let v = &row.view;
        if v.state == TunnelState::Revoked {
            Self::Revoked
        } else if live.team_of(row.port()).is_some_and(|t| t.name != *row.team()) {
            Self::Foreign
        } else if v.state.is_live() {
            Self::Live
        } else {
            Self::Silent
        }
    }
}

fn blocked(live: &Live, port: Port) -> bool {
    live.daemon
        .as_ref()
        .is_some_and(|d| d.revocations.iter().any(|r| r.target == crate::model::BlockTarget::Port(port)))
}

/// One line of the screen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum GridLine {
    /// A team's title: index into the teams; none for leases outside every range.
    Team(Option<usize>),
    /// So many ports from this one on.
    Cells { first: u16, count: u16 },
}

impl GridLine {
    pub(crate) fn ports(&self) -> impl Iterator<Item = Port> + use<> {
        let (first, count) = if let Self::Cells { first, count } = self { (*first, *count) } else { (0, 0) };
        (0..count).filter_map(move |i| Port::try_from(u32::from(first) + u32::from(i)).ok())
    }
    pub(crate) fn contains(&self, port: Port) -> bool {
        matches!(self, Self::Cells { first, count }
            if port.get() >= *first && u32::from(port.get()) < u32::from(*first) + u32::from(*count))
    }
}

/// Ports on one line, for a body of this width: 7 columns of label, then one cell a port.
pub(crate) fn per_line(width: u16) -> u16 {
    match width.saturating_sub(8) {
        0..20 => 10,
        20..50 => 20,
        50..100 => 50,
        _ => 100,
    }
}

impl super::State {
    /// The lowest port of a team that is free.
    pub(crate) fn grid_next_free(&self, team: &crate::model::TeamView) -> Option<Port> {
        let free = |p: &Port| PortKind::of(&self.live, *p) == PortKind::Free;
        team.ranges.iter().flat_map(|r| r.iter()).find(free)
    }
}

/// All lines. A line begins at a multiple of its length, so that a port has the same place whatever its range begins with.
pub(crate) fn lines(live: &Live, width: u16) -> Vec<GridLine> {
    let n = per_line(width);
    let mut out = vec![];
    for (i, team) in live.teams.iter().enumerate() {
        out.push(GridLine::Team(Some(i)));
        for range in &team.ranges {
            let last = u32::from(range.last().get());
            let mut at = u32::from(range.first().get());
            while at <= last {
                let end = ((at / u32::from(n) + 1) * u32::from(n) - 1).min(last);
                if let (Ok(first), Ok(count)) = (u16::try_from(at), u16::try_from(end - at + 1)) {
                    out.push(GridLine::Cells { first, count });
                }
                at = end + 1;
            }
        }
    }
    let outside: Vec<Port> = live.tunnels.keys().copied().filter(|p| live.team_of(*p).is_none()).collect();
    if !outside.is_empty() {
        out.push(GridLine::Team(None));
        out.extend(outside.into_iter().map(|p| GridLine::Cells { first: p.get(), count: 1 }));
    }
    out
}

/// Which way the cursor goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    Left,
    Right,
    Up(usize),
    Down(usize),
    First,
    Last,
}

/// The port the cursor comes to.
pub(crate) fn step(lines: &[GridLine], at: Option<Port>, way: Way, width: u16) -> Option<Port> {
    let cells: Vec<&GridLine> = lines.iter().filter(|l| matches!(l, GridLine::Cells { .. })).collect();
    let first = cells.first().and_then(|l| l.ports().next());
    let Some(at) = at else { return first };
    let Some(row) = cells.iter().position(|l| l.contains(at)) else { return first };
    let to_row = |row: usize| {
        let n = per_line(width);
        let column = at.get() % n;
        let line = cells.get(row)?;
        line.ports().min_by_key(|p| (p.get() % n).abs_diff(column))
    };
    let here = cells.get(row)?;
    match way {
        Way::First => first,
        Way::Last => cells.last().and_then(|l| l.ports().last()),
        Way::Up(n) => to_row(row.saturating_sub(n)),
        Way::Down(n) => to_row(row.saturating_add(n).min(cells.len().saturating_sub(1))),
        Way::Left => here
            .ports()
            .take_while(|p| *p < at)
            .last()
            .or_else(|| row.checked_sub(1).and_then(|r| cells.get(r)).and_then(|l| l.ports().last()))
            .or(Some(at)),
        Way::Right => {
            here.ports().find(|p| *p > at).or_else(|| cells.get(row + 1).and_then(|l| l.ports().next())).or(Some(at))
        }
    }
}
