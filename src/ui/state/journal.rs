//! What the audit screen knows beyond the events at hand: a search back through the files, the chain, and failures by source.

use super::failures::Failures;
use super::filter::{Asked, Fields, Filter};
use super::rows::EventRow;
use super::{Screen, State, Zone};
use crate::audit::{AuditQuery, ChainStatus, Clock, Outcome, Progress, Record, moment};
use crate::model::{Seq, Time};
use std::collections::VecDeque;
use std::sync::Arc;

/// Events that a search looks for before it waits to be told to go on.
pub(crate) const HUNT_PAGE: usize = 500;
/// Events that are kept of a search.
const HUNT_MAX: usize = 20_000;

/// How it stands with a search.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Phase {
    Running,
    /// Enough is found; there may be more.
    Enough,
    /// Stopped by hand, or because its screen was left or the connection lost.
    Stopped,
    /// All is searched.
    Done,
    Failed(String),
}

/// A search back through the journal's files for what the filter shows.
#[derive(Debug, Clone)]
pub(crate) struct Hunt {
    pub(crate) number: u64,
    /// The filter it is of.
    pub(crate) filter: Filter,
    /// Oldest first.
    pub(crate) found: VecDeque<Arc<Record>>,
    /// Go on before this.
    pub(crate) next: Option<Seq>,
    pub(crate) progress: Progress,
    pub(crate) phase: Phase,
    /// As many are looked for.
    pub(crate) wanted: usize,
}

impl Hunt {
    pub(crate) fn new(number: u64, filter: Filter, before: Option<Seq>) -> Self {
        let found = VecDeque::new();
        let progress = Progress::default();
        Self { number, filter, found, next: before, progress, phase: Phase::Running, wanted: HUNT_PAGE }
    }

    /// What the next piece asks for; the daemon finds all that match and maybe more.
    pub(crate) fn query(&self, asked: &Window) -> AuditQuery {
        let before = self.next;
        let limit = Some(self.wanted.saturating_sub(self.found.len()).max(1));
        AuditQuery { before, limit, ..asked.query(&self.filter) }
    }

    /// Takes in a piece.
    pub(crate) fn add(&mut self, found: crate::audit::Found, asked: &Window) {
        for r in found.records.into_iter().rev() {
            // Words are the daemon's to find: a line of the journal has more of them than a row of the screen.
            if self.filter.matches_fields(&EventRow { record: &r, asked }) {
                self.found.push_front(Arc::new(r));
            }
        }
        self.progress = found.progress;
        self.next = found.next;
        if self.phase != Phase::Running {
            return;
        }
        if self.next.is_none() {
            self.phase = Phase::Done;
        } else if self.found.len() >= self.wanted {
            self.phase = Phase::Enough;
        }
    }

    /// Goes on, for a page more.
    pub(crate) fn go_on(&mut self) -> bool {
        let can = self.next.is_some() && self.phase != Phase::Running && self.found.len() < HUNT_MAX;
        if can {
            self.phase = Phase::Running;
            self.wanted = self.found.len() + HUNT_PAGE;
        }
        can
    }

    pub(crate) fn stop(&mut self) {
        if self.phase == Phase::Running {
            self.phase = Phase::Stopped;
        }
    }

    pub(crate) fn runs(&self) -> bool {
        self.phase == Phase::Running
    }
}

/// As of when, and in whose days, times in a filter are meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Window {
    pub(crate) now: Time,
    pub(crate) clock: Clock,
}

impl Window {
    pub(crate) fn moment(&self, text: &str) -> Option<Time> {
        moment(text, self.now, self.clock)
    }

    /// What of a filter the daemon can be asked; the rest is looked at here.
    fn query(&self, filter: &Filter) -> AuditQuery {
        let mut q = AuditQuery::default();
        for asked in filter.asked() {
            match asked {
                Asked::Word(word) => q.words.push(word.to_owned()),
                Asked::Is(name, value) if !value.is_empty() && !value.contains('*') => self.term(&mut q, name, value),
                Asked::Is(..) => {}
            }
        }
        q
    }

    /// The same on the command line, as far as that knows the terms.
    pub(crate) fn command(&self, filter: &Filter) -> String {
        let mut line = "portreeve audit".to_owned();
        let mut text = None;
        for asked in filter.asked() {
            match asked {
                Asked::Word(word) => text = text.or(Some(word)),
                Asked::Is(name @ ("since" | "until"), value) => {
                    let at = self.moment(value).map(|t| t.to_rfc3339_opts(chrono::SecondsFormat::Secs, true));
                    line.extend(at.map(|at| format!(" --{name} {at}")));
                }
                Asked::Is(
                    name @ ("event" | "outcome" | "actor" | "host" | "team" | "port" | "source" | "user" | "key"
                    | "session"),
                    value,
                ) if !value.contains('*') => line.push_str(&format!(" --{name} {}", crate::ui::sentence::quote(value))),
                Asked::Is(..) => {}
            }
        }
        line.extend(text.map(|t| format!(" -- {}", crate::ui::sentence::quote(t))));
        line
    }

    fn term(&self, q: &mut AuditQuery, name: &str, value: &str) {
        match name {
            "since" => q.since = self.moment(value),
            "until" => q.until = self.moment(value),
            "event" => q.event = Some(value.to_owned()),
            "port" => q.port = value.parse().ok(),
            "source" => q.source = value.parse().ok(),
            "session" => q.session = value.parse().ok(),
            "outcome" => {
                q.outcome = [Outcome::Success, Outcome::Refused, Outcome::Failure]
                    .into_iter()
                    .find(|o| crate::ui::sentence::outcome_word(*o) == value);
            }
            // Names, users and keys are compared with their case there and without it here: their text narrows it.
            "host" | "team" | "actor" | "user" | "key" => q.words.push(value.to_owned()),
            _ => {}
        }
    }
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Journal {
    pub(crate) hunt: Option<Hunt>,
    pub(crate) hunts: u64,
    /// As of when the filter's times are meant: when it was typed.
    pub(crate) asked: Window,
    pub(crate) chain: Option<ChainStatus>,
    /// When to look at the chain again.
    pub(crate) chain_due: Option<Time>,
    /// Failures by source, while they are shown.
    pub(crate) failures: Option<Failures>,
}

impl Journal {
    pub(crate) fn new(now: Time) -> Self {
        let asked = Window { now, clock: Clock::Local };
        Self { hunt: None, hunts: 0, asked, chain: None, chain_due: None, failures: None }
    }
}

impl State {
    /// What the audit's rows are made of beyond the events at hand.
    pub(crate) fn hunted(&self) -> impl Iterator<Item = &Arc<Record>> {
        let oldest = self.live.events.front().map(|r| r.seq);
        let found = self.journal.hunt.iter().flat_map(|h| &h.found);
        found.filter(move |r| oldest.is_none_or(|o| r.seq < o))
    }

    /// Whose days and hours are meant by what is typed now.
    pub(crate) fn window(&self) -> Window {
        let clock = if self.zone == Zone::Utc { Clock::Utc } else { Clock::Local };
        Window { now: self.now, clock }
    }

    /// Events that left the console's memory and are between those of the search and those at hand.
    pub(crate) fn keep_for_hunt(&mut self) {
        let oldest = self.live.events.front().map(|r| r.seq);
        let Some(hunt) = &mut self.journal.hunt else { return };
        let newest = hunt.found.back().map(|r| r.seq);
        let between = |r: &&Arc<Record>| newest.is_none_or(|n| r.seq > n) && oldest.is_some_and(|o| r.seq < o);
        let kept: Vec<Arc<Record>> = self.audit_rows.iter().filter(between).cloned().collect();
        hunt.found.extend(kept);
    }

    /// Whether failures by source are on the screen.
    pub(crate) fn summing(&self) -> bool {
        self.screen == Screen::Audit && self.journal.failures.is_some()
    }
}

/// Whether a row is to be shown: all terms hold.
pub(crate) fn shows(filter: &Filter, record: &Record, asked: &Window) -> bool {
    let row = EventRow { record, asked };
    filter.is_empty() || filter.matches(&row)
}

/// A field that no event has.
pub(crate) fn unknown_field(filter: &Filter, record: &Record, asked: &Window) -> Option<String> {
    filter.unknown_field(&EventRow { record, asked }).map(ToOwned::to_owned)
}

/// The filter's text with one term put in the place of those of the same fields; none takes them out.
pub(crate) fn with_terms(text: &str, fields: &[&str], terms: &[String]) -> String {
    let is = |w: &&str| w.split_once('=').is_some_and(|(n, _)| fields.contains(&n));
    let kept = text.split_whitespace().filter(|w| !is(w)).map(str::to_owned);
    kept.chain(terms.iter().cloned()).collect::<Vec<_>>().join(" ")
}

/// The value of a field's term in a filter's text.
pub(crate) fn term_of<'a>(text: &'a str, field: &str) -> Option<&'a str> {
    text.split_whitespace().find_map(|w| w.split_once('=').filter(|(n, _)| *n == field).map(|(_, v)| v))
}

/// Kinds of events that a key goes through.
pub(crate) const KINDS: [&str; 6] =
    ["auth,connection,key", "session,forward", "visitor", "operator,lease,config", "health", "daemon,audit"];

impl Fields for EventRow<'_> {
    fn field(&self, name: &str) -> Option<String> {
        match name {
            "since" | "until" => Some(String::new()),
            _ => self.record.field(name),
        }
    }
    fn words(&self) -> String {
        self.record.words()
    }
    fn holds(&self, name: &str, value: &str) -> Option<bool> {
        let r = self.record;
        match name {
            // While it is still being typed, nothing is hidden.
            "since" => Some(self.asked.moment(value).is_none_or(|t| r.at >= t)),
            "until" => Some(self.asked.moment(value).is_none_or(|t| r.at < t)),
            "event" if !value.contains('*') => Some(crate::audit::event_matches(value, r.event.name())),
            "source" => {
                let origin = value.parse::<crate::audit::Origin>().ok()?;
                Some(r.event.context.source.is_some_and(|s| origin.contains(s)))
            }
            "key" if !value.contains('*') => {
                let key = r.event.context.fingerprint.as_deref().unwrap_or_default().to_lowercase();
                Some(key.starts_with(value))
            }
            _ => None,
        }
    }
}
