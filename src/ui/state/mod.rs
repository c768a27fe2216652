//! The console's model: what is known, what is selected, what is being asked. Changed by `update`, shown by `view`.

pub(crate) mod acts;
pub(crate) mod bulk;
pub(crate) mod changes;
pub(crate) mod dialog;
pub(crate) mod failures;
pub(crate) mod filter;
pub(crate) mod grid;
pub(crate) mod incidents;
pub(crate) mod journal;
pub(crate) mod live;
pub(crate) mod nav;
pub(crate) mod own;
pub(crate) mod place;
pub(crate) mod rows;
pub(crate) mod spark;
pub(crate) mod spots;
pub(crate) mod tabs;
pub(crate) mod views;

use super::caps::Caps;
use super::theme::Palette;
use crate::audit::Record;
use crate::control::protocol::{Action, Identity};
use crate::model::{Port, Role, Seq, SessionId, Time, VisitorView};
use chrono::TimeDelta;
use dialog::{Dialog, Prompt};
use filter::Filter;
use grid::GridLine;
use live::{Live, Row};
use nav::Nav;
use own::Own;
use rows::{SortBy, TunnelRow};
use std::collections::BTreeMap;
use std::sync::Arc;

/// How long write mode lasts.
pub(crate) const WRITE_MINUTES: i64 = 10;

/// The screens, in the order of their digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Screen {
    Triage,
    Tunnels,
    Ports,
    Health,
    Audit,
    Sessions,
    Changes,
}

impl Screen {
    pub(crate) const ALL: [Self; 7] =
        [Self::Triage, Self::Tunnels, Self::Ports, Self::Health, Self::Audit, Self::Sessions, Self::Changes];

    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Triage => "triage",
            Self::Tunnels => "tunnels",
            Self::Ports => "ports",
            Self::Health => "health",
            Self::Audit => "audit",
            Self::Sessions => "sessions",
            Self::Changes => "changes",
        }
    }

    /// For a row of tabs on eighty columns.
    pub(crate) fn short(self) -> &'static str {
        match self {
            Self::Sessions => "sess",
            Self::Changes => "chgs",
            other => other.word(),
        }
    }
}

/// How times are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Zone {
    /// In this machine's zone.
    #[default]
    Local,
    /// In UTC.
    Utc,
    /// As ages.
    Relative,
}

/// How it stands with the daemon.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Link {
    /// Never connected yet; why not, if it was tried.
    Connecting(Option<String>),
    /// Connected; the snapshot may still be on its way.
    Live,
    /// What is shown is from before this time.
    Stale { since: Time, why: String },
}

/// What the message line says.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Message {
    pub(crate) tone: Tone,
    pub(crate) text: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tone {
    Info,
    Ok,
    Bad,
}

/// A request on its way.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Pending {
    Action {
        action: Action,
        asked: Time,
    },
    Older,
    Missed,
    Visitors(Port),
    /// Events of a tunnel for a tab of its detail.
    History {
        port: Port,
        tab: tabs::Tab,
    },
    HowTo(crate::model::HostName),
    /// One act of several.
    Batch(Action),
    /// What changed, of this.
    Changes(Option<changes::Scope>),
    /// A piece of the search of this number.
    Hunt(u64),
    Chain,
    /// The dry run of this.
    Rehearse(Action),
}

/// Columns and lines of the parts of a screen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Plan {
    /// Too small for anything but a note.
    pub(crate) tiny: bool,
    /// A list and a status line only.
    pub(crate) small: bool,
    /// Room for a detail pane beside the list.
    pub(crate) wide: bool,
    pub(crate) notices: u16,
    pub(crate) filter: u16,
    pub(crate) message: u16,
    pub(crate) body: u16,
}

/// Everything.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) now: Time,
    pub(crate) size: (u16, u16),
    pub(crate) caps: Caps,
    pub(crate) own: Own,
    pub(crate) palette: Palette,
    pub(crate) zone: Zone,
    pub(crate) link: Link,
    pub(crate) who: Option<Identity>,
    pub(crate) live: Live,
    pub(crate) screen: Screen,
    /// The detail pane has the keys.
    pub(crate) detail: bool,
    pub(crate) detail_scroll: usize,
    /// Where back leads from what was gone to from elsewhere, the last place last.
    pub(crate) trail: Vec<place::Place>,
    pub(crate) tabs: tabs::Tabs,
    pub(crate) changes: changes::Changes,
    pub(crate) marks: bulk::Marks,
    /// What is being done to all that was marked.
    pub(crate) batch: Option<bulk::Batch>,
    pub(crate) sort: (SortBy, bool),
    pub(crate) session_sort: (rows::SessionSort, bool),
    filters: BTreeMap<Screen, Filter>,
    pub(crate) last_search: String,
    pub(crate) triage: incidents::Cursor,
    pub(crate) tunnels: Nav<Port>,
    pub(crate) health: Nav<Port>,
    pub(crate) sessions: Nav<SessionId>,
    pub(crate) audit: Nav<Seq>,
    /// In the audit: the newest event is selected as it comes.
    pub(crate) follow: bool,
    /// In the audit, while not following: the newest event when it was paused.
    pub(crate) paused_at: Seq,
    pub(crate) port_cursor: Option<Port>,
    pub(crate) port_offset: usize,
    pub(crate) dialog: Option<Dialog>,
    pub(crate) prompt: Option<Prompt>,
    pub(crate) message: Option<Message>,
    /// What it has said, oldest first.
    pub(crate) said: std::collections::VecDeque<(Time, Message)>,
    pub(crate) write_until: Option<Time>,
    pub(crate) pending: BTreeMap<u64, Pending>,
    pub(crate) next_request: u64,
    /// `g` was typed; another makes `gg`.
    pub(crate) g_typed: bool,
    /// ^C was typed; another before this time quits.
    pub(crate) interrupt_until: Option<Time>,
    /// Incidents that the filter shows, by their place among all.
    pub(crate) incident_rows: Vec<usize>,
    /// Rows of the lists after filter and sort.
    pub(crate) tunnel_rows: Vec<Port>,
    pub(crate) health_rows: Vec<Port>,
    pub(crate) session_rows: Vec<SessionId>,
    pub(crate) audit_rows: Vec<Arc<Record>>,
    pub(crate) audit_ids: Vec<Seq>,
    /// What of the events the audit's rows were made from: the oldest, the newest, and the filter.
    audit_from: (Option<Seq>, Option<Seq>, Filter),
    /// Beyond the events at hand.
    pub(crate) journal: journal::Journal,
    /// Who visits a tunnel, as of when.
    pub(crate) visitors: Option<(Port, Time, Vec<VisitorView>)>,
    /// When to ask again: the tunnel changed after they were last asked for.
    pub(crate) visitors_due: Option<Time>,
    pub(crate) grid: Vec<GridLine>,
    pub(crate) spots: Vec<spots::Spot>,
    /// What this console has done.
    pub(crate) acts: acts::Acts,
    /// In the palette: which of what could follow is taken by Tab.
    pub(crate) pick: usize,
    /// In the help: what is looked for, and whether it is being typed.
    pub(crate) help: (tui_input::Input, bool),
    /// A term of the filter that no row has.
    pub(crate) filter_problem: Option<String>,
}

impl State {
    pub(crate) fn new(now: Time, size: (u16, u16), caps: Caps, own: Own) -> Self {
        Self {
            now,
            size,
            caps,
            palette: own.palette(),
            zone: own.first_zone,
            own,
            link: Link::Connecting(None),
            who: None,
            live: Live::default(),
            screen: Screen::Triage,
            detail: false,
            detail_scroll: 0,
            trail: vec![],
            tabs: tabs::Tabs::default(),
            changes: changes::Changes::default(),
            marks: bulk::Marks::new(),
            batch: None,
            session_sort: (rows::SessionSort::Since, false),
            sort: (SortBy::default(), false),
            filters: BTreeMap::new(),
            last_search: String::new(),
            triage: incidents::Cursor::default(),
            tunnels: Nav::default(),
            health: Nav::default(),
            sessions: Nav::default(),
            audit: Nav::default(),
            follow: true,
            paused_at: Seq(0),
            port_cursor: None,
            port_offset: 0,
            dialog: None,
            prompt: None,
            message: None,
            said: std::collections::VecDeque::new(),
            write_until: None,
            pending: BTreeMap::new(),
            next_request: 1,
            g_typed: false,
            interrupt_until: None,
            incident_rows: vec![],
            tunnel_rows: vec![],
            health_rows: vec![],
            session_rows: vec![],
            audit_rows: vec![],
            audit_ids: vec![],
            audit_from: (None, None, Filter::default()),
            journal: journal::Journal::new(now),
            visitors: None,
            visitors_due: None,
            grid: vec![],
            spots: vec![],
            acts: acts::Acts::default(),
            pick: 0,
            help: (tui_input::Input::default(), false),
            filter_problem: None,
        }
    }

    pub(crate) fn filter(&self) -> Option<&Filter> {
        self.filters.get(&self.screen).filter(|f| !f.is_empty())
    }

    pub(crate) fn set_filter(&mut self, text: &str) {
        let filter = Filter::parse(text);
        self.journal.hunt.take_if(|h| self.screen == Screen::Audit && h.filter != filter);
        self.filters.insert(self.screen, filter);
        self.journal.asked = self.window();
        self.resort();
    }

    /// Connected, with something to show.
    pub(crate) fn is_live(&self) -> bool {
        self.link == Link::Live && self.live.daemon.is_some()
    }

    pub(crate) fn writable(&self) -> bool {
        self.write_until.is_some_and(|t| t > self.now)
    }

    pub(crate) fn role(&self) -> Role {
        self.who.as_ref().map_or(Role::Viewer, |w| w.role)
    }

    /// No tunnel is or was live here, none is blocked, and the daemon knows the line that makes a first one.
    pub(crate) fn first_tunnel(&self) -> Option<&str> {
        let line = self.live.daemon.as_ref()?.first_tunnel.as_deref()?;
        let fresh = self.live.all_awaiting();
        (fresh && matches!(self.screen, Screen::Triage | Screen::Tunnels) && !self.detail).then_some(line)
    }

    /// Lines that must not be overlooked.
    pub(crate) fn notices(&self) -> Vec<String> {
        let Some(d) = &self.live.daemon else { return vec![] };
        let failure = d.audit.failure.iter().map(|f| {
            format!("AUDIT cannot be written: {f}. New logins and grants are refused; tunnels and revoke work")
        });
        let found = d.audit.notice.iter().map(|n| format!("audit: {n}"));
        failure.chain(found).chain(d.notices.iter().cloned()).collect()
    }

    /// Lines of the first-tunnel block above the list.
    pub(crate) fn intro_lines(&self) -> Vec<String> {
        self.first_tunnel().map(|l| super::text::wrap_shell(l, usize::from(self.size.0))).unwrap_or_default()
    }

    pub(crate) fn plan(&self) -> Plan {
        let (w, h) = self.size;
        let tiny = w < 20 || h < 5;
        let small = w < 60 || h < 15;
        let notices = if small { 0 } else { u16::try_from(self.notices().len().min(2)).unwrap_or(2) };
        let filtering = self.filter().is_some() || matches!(self.prompt, Some(Prompt::Filter { .. }));
        let filter = u16::from(filtering);
        let said = u16::try_from(self.said_lines().len()).unwrap_or(1).max(1);
        let message = if small { 0 } else { said };
        // Header and tabs above, hints below; when small one status line is all.
        let frame = if small { said } else { 3 };
        let body = h.saturating_sub(frame + notices + filter + message);
        Plan { tiny, small, wide: w >= 120 && h >= 20, notices, filter, message, body }
    }

    /// What was last said, over as many lines as it takes: at most three, two where there is little room. It has the
    /// line to itself until it is cleared, so it is whole where that is possible.
    pub(crate) fn said_lines(&self) -> Vec<String> {
        use super::text;
        let (w, h) = self.size;
        let (Some(m), None) = (&self.message, &self.prompt) else { return vec![] };
        if self.pending.values().any(|p| matches!(p, Pending::Action { .. })) || h < 8 {
            return vec![];
        }
        let (most, room) = (if h < 20 { 2 } else { 3 }, usize::from(w.saturating_sub(4)).max(8));
        let mut lines = text::wrap(&m.text, room);
        if lines.len() > most {
            lines.truncate(most);
            if let Some(last) = lines.last_mut() {
                const MORE: &str = "… (:messages)";
                *last =
                    format!("{}{MORE}", text::cut(last, room.saturating_sub(text::width(MORE))).trim_end_matches('…'));
            }
        }
        lines
    }

    /// Rows a list can show.
    pub(crate) fn list_height(&self) -> usize {
        let plan = self.plan();
        // The audit says above its titles what it is doing.
        let titles = if self.screen == Screen::Audit && !plan.small { 2 } else { 1 };
        let intro = self.intro_lines().len();
        let intro = if intro > 0 { intro + 4 } else { 0 };
        usize::from(plan.body).saturating_sub(titles + intro + self.footer()).max(1)
    }

    /// Lines below a list about its selected row.
    pub(crate) fn footer(&self) -> usize {
        match (self.screen, self.plan().body) {
            (Screen::Triage, _) if self.plan().wide => 0,
            (Screen::Triage, 15..) => 9,
            (Screen::Triage, 8..) => 3,
            (Screen::Tunnels, 7..) if !self.plan().wide => 1,
            (Screen::Sessions, 15..) => 5,
            (Screen::Sessions, 7..) => 1,
            (Screen::Audit, 13..) => 4,
            (Screen::Changes, 13..) => 5,
            (Screen::Changes, _) => 1,
            _ => 0,
        }
    }

    /// Lines of ports the grid can show: legend and the line about the port are below.
    pub(crate) fn grid_height(&self) -> usize {
        usize::from(self.plan().body).saturating_sub(if self.plan().small { 1 } else { 5 }).max(1)
    }

    pub(crate) fn row(&self, port: Port) -> Option<&Row> {
        self.live.tunnels.get(&port)
    }

    /// The tunnel or lease that the cursor of this screen is on.
    pub(crate) fn selected_port(&self) -> Option<Port> {
        match self.screen {
            Screen::Triage => self.selected_incident().and_then(|i| i.blast.ports.first().copied()),
            Screen::Tunnels => self.tunnels.selected,
            Screen::Health => self.health.selected,
            Screen::Ports => self.port_cursor,
            Screen::Audit => self.selected_event().and_then(|r| r.event.context.port),
            Screen::Sessions => self.selected_session().and_then(|s| s.ports.first().copied()),
            Screen::Changes => self.changes.selected().and_then(|c| c.newest.event.context.port),
        }
    }

    pub(crate) fn selected_incident(&self) -> Option<&crate::model::Incident> {
        self.live.incidents().get(*self.incident_rows.get(self.triage.selected?)?)
    }

    pub(crate) fn selected_session(&self) -> Option<&crate::model::SessionView> {
        self.live.sessions.get(&self.sessions.selected?)
    }

    pub(crate) fn selected_event(&self) -> Option<&Arc<Record>> {
        let i = self.audit.index(&self.audit_ids)?;
        self.audit_rows.get(i)
    }

    /// Who visits this tunnel, as the daemon last said, those furthest behind first. None while it has not been said.
    pub(crate) fn visitors_of(&self, port: Port) -> Option<&[VisitorView]> {
        let there = self.row(port).is_some_and(|r| r.view.visitors_now > 0);
        self.visitors.as_ref().filter(|(p, _, _)| there && *p == port).map(|(_, _, list)| list.as_slice())
    }

    pub(crate) fn visitor_ids(&self) -> Vec<crate::model::VisitorId> {
        let list = self.selected_port().and_then(|p| self.visitors_of(p));
        list.unwrap_or_default().iter().map(|v| v.id).collect()
    }

    /// The visitor under the cursor of the tab.
    pub(crate) fn selected_visitor(&self) -> Option<&VisitorView> {
        let list = self.visitors_of(self.selected_port()?)?;
        list.iter().find(|v| Some(v.id) == self.tabs.visitor.selected)
    }

    /// Events that came since the audit was paused.
    pub(crate) fn new_below(&self) -> usize {
        if self.follow { 0 } else { self.audit_ids.len() - self.audit_ids.partition_point(|s| *s <= self.paused_at) }
    }

    /// Rows hidden by the filter of this screen.
    pub(crate) fn hidden(&self) -> usize {
        match self.screen {
            Screen::Triage => self.live.incidents().len().saturating_sub(self.incident_rows.len()),
            Screen::Tunnels => self.live.tunnels.len().saturating_sub(self.tunnel_rows.len()),
            Screen::Health => self.live.tunnels.len().saturating_sub(self.health_rows.len()),
            Screen::Sessions => self.live.sessions.len().saturating_sub(self.session_rows.len()),
            Screen::Audit => {
                let all = self.live.events.len() + self.hunted().count();
                all.saturating_sub(self.audit_rows.len())
            }
            Screen::Changes => self.changes.hidden,
            Screen::Ports => 0,
        }
    }

    /// Filters and sorts the rows of the current screen anew, and keeps every cursor on its row.
    pub(crate) fn resort(&mut self) {
        let filter = self.filters.get(&self.screen).cloned().unwrap_or_default();
        self.filter_problem = None;
        match self.screen {
            Screen::Triage => {
                let all = self.live.incidents();
                let shown = |i: &crate::model::Incident| filter.is_empty() || filter.matches(i);
                let rows = all.iter().enumerate().filter(|(_, i)| shown(i)).map(|(n, _)| n).collect();
                self.filter_problem = all.first().and_then(|i| filter.unknown_field(i).map(ToOwned::to_owned));
                self.incident_rows = rows;
            }
            Screen::Tunnels | Screen::Health => {
                let by_port = (SortBy::Port, false);
                let (by, reverse) = if self.screen == Screen::Tunnels { self.sort } else { by_port };
                let now = self.now;
                let with = |row| TunnelRow { row, live: &self.live, now };
                let mut rows: Vec<&Row> =
                    self.live.tunnels.values().filter(|r| filter.is_empty() || filter.matches(&with(r))).collect();
                rows::sort(&mut rows, by, reverse, now);
                self.filter_problem = self
                    .live
                    .tunnels
                    .values()
                    .next()
                    .and_then(|r| filter.unknown_field(&with(r)).map(ToOwned::to_owned));
                let ids: Vec<Port> = rows.iter().map(|r| r.port()).collect();
                if !self.marks.is_empty() {
                    self.marks.retain(|p| self.live.tunnels.contains_key(p));
                }
                if self.screen == Screen::Tunnels { self.tunnel_rows = ids } else { self.health_rows = ids }
            }
            Screen::Sessions => {
                let mut rows: Vec<_> = self.live.sessions.values().filter(|s| filter.matches(*s)).collect();
                rows::sort_sessions(&mut rows, self.session_sort);
                self.session_rows = rows.iter().map(|s| s.id).collect();
                let first = self.live.sessions.values().next();
                self.filter_problem = first.and_then(|s| filter.unknown_field(s).map(ToOwned::to_owned));
            }
            Screen::Audit => {
                self.keep_for_hunt();
                let asked = self.journal.asked;
                let shown = |r: &&Arc<Record>| journal::shows(&filter, r, &asked);
                let hunted: Vec<Arc<Record>> = self.hunted().cloned().collect();
                let (oldest, newest) =
                    (self.live.events.front().map(|r| r.seq), self.live.events.back().map(|r| r.seq));
                let (from, upto, by) = &self.audit_from;
                let same = *from == hunted.first().map(|r| r.seq).or(oldest) && *by == filter;
                if !self.live.filled_in() && same {
                    // Only newer ones have come: a busy journal is not filtered anew ten times a second.
                    let known = self.live.events.partition_point(|r| Some(r.seq) <= *upto);
                    self.audit_rows.extend(self.live.events.iter().skip(known).filter(shown).cloned());
                } else {
                    self.audit_rows = hunted.iter().chain(self.live.events.iter().filter(shown)).cloned().collect();
                }
                self.audit_ids.truncate(0);
                self.audit_ids.extend(self.audit_rows.iter().map(|r| r.seq));
                self.audit_from = (hunted.first().map(|r| r.seq).or(oldest), newest, filter.clone());
                let first = self.live.events.front();
                self.filter_problem = first.and_then(|r| journal::unknown_field(&filter, r, &asked));
                if let Some(before) = self.journal.failures.take() {
                    let found = failures::Failures::of(&self.audit_rows, &self.live, Some(&before));
                    self.journal.failures = Some(found);
                }
            }
            Screen::Changes => {
                self.changes.absorb(&self.live, self.now);
                self.changes.arrange(&filter);
                let first = self.changes.rows.first();
                self.filter_problem = first.and_then(|c| filter.unknown_field(c).map(ToOwned::to_owned));
            }
            Screen::Ports => {
                self.grid = grid::lines(&self.live, self.size.0);
            }
        }
        self.settle();
    }

    /// The ids of the incidents shown.
    fn incident_ids(&self) -> Vec<&str> {
        let all = self.live.incidents();
        self.incident_rows.iter().filter_map(|n| all.get(*n)).map(|i| i.id.as_str()).collect()
    }

    /// Cursors within their rows, and on the screen.
    pub(crate) fn settle(&mut self) {
        let height = self.list_height();
        if self.detail || self.plan().wide {
            let ids = self.visitor_ids();
            self.tabs.visitor.settle(&ids, usize::MAX);
            if let Some(history) = &mut self.tabs.history {
                history.absorb(&self.live);
                self.tabs.event.settle(&history.ids, usize::MAX);
            }
        }
        match self.screen {
            Screen::Triage => {
                let mut cursor = std::mem::take(&mut self.triage);
                cursor.settle(&self.incident_ids(), height);
                self.triage = cursor;
            }
            Screen::Tunnels => self.tunnels.settle(&self.tunnel_rows, height),
            Screen::Health => self.health.settle(&self.health_rows, height),
            Screen::Sessions => self.sessions.settle(&self.session_rows, height),
            Screen::Audit if self.journal.failures.is_some() => {
                if let Some(f) = &mut self.journal.failures {
                    f.settle(height);
                }
            }
            Screen::Audit if self.follow => self.audit.go(nav::Step::Bottom, &self.audit_ids, height),
            Screen::Audit => self.audit.settle(&self.audit_ids, height),
            Screen::Changes => self.changes.nav.settle(&self.changes.ids, height),
            Screen::Ports => {
                let at = |p| self.grid.iter().position(|l| l.contains(p));
                if self.port_cursor.and_then(at).is_none() {
                    self.port_cursor = grid::step(&self.grid, None, grid::Way::First, self.size.0);
                }
                let line = self.port_cursor.and_then(at).unwrap_or(0);
                let height = self.grid_height();
                // The team's title is kept in sight with its first line.
                let top = if line == 1 { 0 } else { line };
                self.port_offset = self.port_offset.min(top).max((line + 1).saturating_sub(height));
                self.port_offset = self.port_offset.min(self.grid.len().saturating_sub(height));
            }
        }
    }

    /// When something must happen by itself, whatever is on the screen.
    pub(crate) fn deadline(&self) -> Option<Time> {
        let rates = self.live.rates_end(self.now);
        let leaves = (self.screen == Screen::Changes).then(|| self.changes.leaves()).flatten();
        [self.write_until, self.interrupt_until, self.visitors_due, self.journal.chain_due, rates, leaves]
            .into_iter()
            .flatten()
            .min()
    }

    /// When write mode would end, were it entered now.
    pub(crate) fn write_end(&self) -> Time {
        self.now + TimeDelta::minutes(WRITE_MINUTES)
    }
}
