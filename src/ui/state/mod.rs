//! The console's model: what is known, what is selected, what is being asked. Changed by `update`, shown by `view`.

pub(crate) mod acts;
mod arrange;
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
mod plan;
pub(crate) mod rows;
pub(crate) mod spark;
pub(crate) mod spots;
pub(crate) mod tabs;
pub(crate) mod views;

use super::caps::Caps;
use super::theme::Palette;
use super::words::{Lang, tr};
use crate::audit::Record;
use crate::control::actions::ActionSpec;
use crate::control::protocol::{Action, Identity};
use crate::model::{ActionRuleView, Port, ProposalView, Role, Seq, SessionId, Time, VisitorView};
use chrono::TimeDelta;
use dialog::{Dialog, Prompt};
use filter::Filter;
use grid::GridLine;
use live::{Live, Row};
use nav::Nav;
use own::Own;
pub(crate) use plan::Plan;
use rows::SortBy;
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

    /// What commands, settings and files call it.
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

    /// The name on the screen.
    pub(crate) fn name(self, lang: Lang) -> &'static str {
        match self {
            Self::Triage => tr!(lang, screen.triage),
            Self::Tunnels => tr!(lang, screen.tunnels),
            Self::Ports => tr!(lang, screen.ports),
            Self::Health => tr!(lang, screen.health),
            Self::Audit => tr!(lang, screen.audit),
            Self::Sessions => tr!(lang, screen.sessions),
            Self::Changes => tr!(lang, screen.changes),
        }
    }

    /// For a row of tabs on eighty columns.
    pub(crate) fn short(self, lang: Lang) -> &'static str {
        match self {
            Self::Sessions => tr!(lang, screen.sessions_short),
            Self::Changes => tr!(lang, screen.changes_short),
            other => other.name(lang),
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
    /// That somebody sits here.
    Active,
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
    /// From when on the next key puts it away; nothing for what came of an act, which stays until something else is said.
    pub(crate) message_until: Option<Time>,
    /// A key is being seen to: what is said now is an answer to it.
    pub(crate) keyed: bool,
    /// What it has said, oldest first.
    pub(crate) said: std::collections::VecDeque<(Time, Message)>,
    pub(crate) write_until: Option<Time>,
    /// When a key was last pressed.
    pub(crate) last_key: Time,
    /// Nobody has pressed one for too long: nothing is shown until somebody does.
    pub(crate) locked: bool,
    /// When the daemon was last told that somebody sits here.
    pub(crate) told_active: Option<Time>,
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
            message_until: None,
            keyed: false,
            said: std::collections::VecDeque::new(),
            write_until: None,
            last_key: now,
            locked: false,
            told_active: None,
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

    /// The language in force.
    pub(crate) fn lang(&self) -> Lang {
        self.own.lang
    }

    /// The key of a command as it is now, for texts that say what to press.
    pub(crate) fn key(&self, name: &str) -> String {
        self.own.set.keys.say(name)
    }

    pub(crate) fn role(&self) -> Role {
        self.who.as_ref().map_or(Role::Viewer, |w| w.rights().best())
    }

    /// The least role for an action, as the daemon has it.
    pub(crate) fn role_for(&self, spec: &ActionSpec) -> Role {
        self.rule_of(spec).map_or(spec.role, |r| r.role.max(spec.role))
    }

    /// Whether another operator must confirm an action; `kind`: of what it is about, for revoke and restore.
    pub(crate) fn needs_second(&self, spec: &ActionSpec, kind: Option<&str>) -> bool {
        self.rule_of(spec).is_some_and(|r| r.needs_second(kind))
    }

    /// For what of an action another operator must say yes.
    pub(crate) fn two_operators(&self, spec: &ActionSpec) -> &[String] {
        self.rule_of(spec).map_or(&[], |r| &r.two_person)
    }

    fn rule_of(&self, spec: &ActionSpec) -> Option<&ActionRuleView> {
        self.live.daemon.as_ref()?.rules.iter().find(|r| r.verb == spec.verb)
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
        let failure = d.audit.failure.iter().map(|why| tr!(self.lang(), frame.journal_fails, why));
        let found = d.audit.notice.iter().map(|notice| tr!(self.lang(), frame.journal_notice, notice));
        // What can be answered stands before what can only be known.
        let mut waiting: Vec<_> = d.proposals.iter().collect();
        waiting.sort_by_key(|p| (!p.may_confirm, p.id));
        let waiting = waiting.into_iter().map(|p| self.proposal_notice(p));
        failure.chain(waiting).chain(found).chain(d.notices.iter().cloned()).collect()
    }

    fn proposal_notice(&self, p: &ProposalView) -> String {
        let l = self.lang();
        let (by, what, id, until) = (&p.by, &p.what, p.id, p.until.format("%H:%M:%SZ"));
        // The reason is in the command already.
        match (p.yours, p.may_confirm) {
            (true, _) => tr!(l, frame.proposal_yours, what, until, id),
            (false, true) => tr!(l, frame.proposal_confirm, by, what, until, id, write = self.key("write")),
            (false, false) => tr!(l, frame.proposal_other, by, what, until),
        }
    }

    /// After how long without a key nothing is shown, and when that is.
    pub(crate) fn locks_at(&self) -> Option<(TimeDelta, Time)> {
        let seconds = self.live.daemon.as_ref()?.idle_lock_s.and_then(|s| i64::try_from(s).ok())?;
        let after = TimeDelta::try_seconds(seconds)?;
        (!self.locked).then(|| (after, self.last_key + after))
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

    /// When something must happen by itself, whatever is on the screen.
    pub(crate) fn deadline(&self) -> Option<Time> {
        let rates = self.live.rates_end(self.now);
        let leaves = (self.screen == Screen::Changes).then(|| self.changes.leaves()).flatten();
        let locks = self.locks_at().map(|(_, at)| at);
        [self.write_until, self.interrupt_until, self.visitors_due, self.journal.chain_due, rates, leaves, locks]
            .into_iter()
            .flatten()
            .min()
    }

    /// When write mode would end, were it entered now.
    pub(crate) fn write_end(&self) -> Time {
        self.now + TimeDelta::minutes(WRITE_MINUTES)
    }
}
