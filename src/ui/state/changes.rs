//! What changed lately: the journal's events of the last minutes, of what one came from or of everything, newest first.
//! What happens again and again on one object, by itself or in turn with a few other things, is one row of each.

use super::filter::{Fields, Filter};
use super::live::Live;
use super::nav::Nav;
use crate::audit::{About, AuditQuery, Record, What};
use crate::model::{HostName, Port, Seq, Time};
use chrono::TimeDelta;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::net::IpAddr;
use std::sync::Arc;

/// How far back one can look, minutes.
const MINUTES: [i64; 8] = [1, 5, 15, 30, 60, 180, 720, 1440];
/// At first.
const AT_FIRST: i64 = 15;
/// Kinds of events that may take turns on one object and are still one row each: who redials and is refused signs in, asks
/// and leaves, again and again.
const IN_TURN: usize = 3;
/// Events asked for at most. Of more, the newest.
const LIMIT: usize = 5_000;
/// All events but visitors' comings and goings: on a busy bastion there would be nothing else.
const EVENTS: &str = "daemon,audit,config,incident,auth,key,connection,refusals,session,request,forward,visitor.refused,\
                      visitor.slows,health,lease,port,trust,operator";

/// What it is limited to, and how that is called.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Scope {
    pub(crate) about: Vec<About>,
    pub(crate) words: String,
}

/// One row: an event, or several of one kind on one object.
#[derive(Debug, Clone)]
pub(crate) struct Change {
    pub(crate) newest: Arc<Record>,
    pub(crate) first: Time,
    /// All of them, newest first.
    seqs: Vec<Seq>,
}

impl Change {
    pub(crate) fn count(&self) -> usize {
        self.seqs.len()
    }
}

impl Fields for Change {
    fn field(&self, name: &str) -> Option<String> {
        match name {
            "count" => Some(self.count().to_string()),
            "area" => Some(area(&self.newest).to_owned()),
            _ => self.newest.field(name),
        }
    }
    fn words(&self) -> String {
        format!("{} {}", area(&self.newest), self.newest.words())
    }
}

/// What part of the bastion an event is of.
pub(crate) fn area(r: &Record) -> &'static str {
    match r.event.name().split('.').next().unwrap_or_default() {
        "daemon" => "bastion",
        "audit" => "audit",
        "config" => "config",
        "health" => "health",
        "incident" => "triage",
        "forward" | "lease" | "port" => "tunnel",
        "visitor" => "visitor",
        "operator" => "action",
        "session" => "session",
        _ => "auth",
    }
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Changes {
    pub(crate) minutes: i64,
    pub(crate) scope: Option<Scope>,
    pub(crate) rows: Vec<Change>,
    pub(crate) ids: Vec<Seq>,
    pub(crate) nav: Nav<Seq>,
    /// Rows hidden by the filter.
    pub(crate) hidden: usize,
    /// The journal has more of this time than was asked for.
    pub(crate) more: bool,
    pub(crate) problem: Option<String>,
    records: BTreeMap<Seq, Arc<Record>>,
    /// The newest event of the console that was looked at.
    upto: Seq,
    /// Since when the journal has been asked for what the console has not heard.
    asked: Option<Time>,
}

impl Default for Changes {
    fn default() -> Self {
        Self {
            minutes: AT_FIRST,
            scope: None,
            rows: vec![],
            ids: vec![],
            nav: Nav::default(),
            hidden: 0,
            more: false,
            problem: None,
            records: BTreeMap::new(),
            upto: Seq(0),
            asked: None,
        }
    }
}

impl Changes {
    /// Anew, of this.
    pub(crate) fn begin(&mut self, scope: Option<Scope>) {
        *self = Self { minutes: self.minutes, scope, ..Self::default() };
    }

    /// Looks further back, or less far.
    pub(crate) fn reach(&mut self, further: bool) {
        let at = MINUTES.iter().position(|m| *m == self.minutes).unwrap_or(2);
        let to = if further { at + 1 } else { at.saturating_sub(1) };
        self.minutes = MINUTES.get(to).copied().unwrap_or(self.minutes);
        self.rescan();
    }

    /// Looks at all that the console has, the next time: events came in between, or older ones are wanted.
    pub(crate) fn rescan(&mut self) {
        self.upto = Seq(0);
    }

    fn start(&self, now: Time) -> Time {
        now - TimeDelta::minutes(self.minutes)
    }

    fn wanted(&self, r: &Record, start: Time) -> bool {
        let visit = matches!(r.event.what, What::VisitorOpen {} | What::VisitorClose { .. });
        let within = |s: &Scope| s.about.iter().any(|a| a.matches(r));
        r.at > start && !visit && self.scope.as_ref().is_none_or(within)
    }

    /// Takes what the console has heard since, and lets go what is too long ago.
    pub(crate) fn absorb(&mut self, live: &Live, now: Time) {
        let start = self.start(now);
        let known = live.events.partition_point(|r| r.seq <= self.upto);
        for r in live.events.iter().skip(known) {
            if self.wanted(r, start) {
                self.records.insert(r.seq, Arc::clone(r));
            }
        }
        self.upto = live.events.back().map_or(self.upto, |r| r.seq);
        self.records.retain(|_, r| r.at > start);
    }

    /// What the journal has to be asked for: what is before all that the console has heard.
    pub(crate) fn gap(&mut self, live: &Live, now: Time) -> Option<AuditQuery> {
        let start = self.start(now);
        let oldest = live.events.front();
        let heard = live.beginning || oldest.is_some_and(|r| r.at < start);
        if heard || self.asked.is_some_and(|a| a <= start) {
            return None;
        }
        self.asked = Some(start);
        Some(AuditQuery {
            before: oldest.map(|r| r.seq),
            since: Some(start),
            event: Some(EVENTS.to_owned()),
            about: self.scope.as_ref().map(|s| s.about.clone()).unwrap_or_default(),
            limit: Some(LIMIT),
            ..AuditQuery::default()
        })
    }

    /// What the journal gave.
    pub(crate) fn add(&mut self, records: Vec<Record>, more: bool, now: Time) {
        let start = self.start(now);
        for r in records {
            if self.wanted(&r, start) {
                self.records.insert(r.seq, Arc::new(r));
            }
        }
        self.more = more;
    }

    /// Makes the rows: runs folded, then filtered. The cursor stays on its event.
    pub(crate) fn arrange(&mut self, filter: &Filter) {
        let mut rows: Vec<Change> = vec![];
        let mut last: HashMap<Object, VecDeque<usize>> = HashMap::new();
        for r in self.records.values().rev() {
            let near = last.entry(Object::of(r)).or_default();
            let run = near.iter().copied().find(|i| rows.get(*i).is_some_and(|c| same(&c.newest, r)));
            match run.and_then(|i| rows.get_mut(i)) {
                Some(c) => {
                    c.seqs.push(r.seq);
                    c.first = c.first.min(r.at);
                }
                None => {
                    near.push_front(rows.len());
                    near.truncate(IN_TURN);
                    rows.push(Change { newest: Arc::clone(r), first: r.at, seqs: vec![r.seq] });
                }
            }
        }
        let all = rows.len();
        if !filter.is_empty() {
            rows.retain(|c| filter.matches(c));
        }
        self.hidden = all - rows.len();
        // A run that has grown is known by another event now.
        if let Some(seq) = self.nav.selected
            && let Some(c) = rows.iter().find(|c| c.newest.seq != seq && c.seqs.contains(&seq))
        {
            self.nav.selected = Some(c.newest.seq);
        }
        self.ids = rows.iter().map(|c| c.newest.seq).collect();
        self.rows = rows;
    }

    pub(crate) fn selected(&self) -> Option<&Change> {
        self.rows.get(self.nav.index(&self.ids)?)
    }

    /// When the oldest event is too long ago to be shown.
    pub(crate) fn leaves(&self) -> Option<Time> {
        // Numbers tell the order better than times, but it is a time that leaves.
        let oldest = self.records.values().map(|r| r.at).min()?;
        Some(oldest + TimeDelta::minutes(self.minutes))
    }
}

/// What an event happened to.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Object {
    host: Option<HostName>,
    port: Option<Port>,
    /// Of whom nobody knows.
    stranger: Option<(Option<IpAddr>, Option<String>)>,
}

impl Object {
    fn of(r: &Record) -> Self {
        let c = &r.event.context;
        let stranger = c.host.is_none().then(|| (c.source.map(|s| s.ip()), c.user.clone()));
        Self { host: c.host.clone(), port: c.port, stranger }
    }
}

/// Whether two events on one object say the same, numbers aside.
fn same(a: &Record, b: &Record) -> bool {
    let (x, y) = (&a.event, &b.event);
    let particulars = match (&x.what, &y.what) {
        (What::HealthChange { to: p, .. }, What::HealthChange { to: q, .. }) => p == q,
        (What::Reconnect { stage: p, .. }, What::Reconnect { stage: q, .. }) => p == q,
        (What::Console { stage: p }, What::Console { stage: q }) => p == q && x.actor == y.actor,
        (What::ConfigReload { changes: p }, What::ConfigReload { changes: q }) => p == q,
        (What::ConfigConflict { conflict: p }, What::ConfigConflict { conflict: q }) => p == q,
        (What::ForwardEnd { obituary: p, .. }, What::ForwardEnd { obituary: q, .. })
        | (What::SessionEnd { obituary: p, .. }, What::SessionEnd { obituary: q, .. }) => p.cause == q.cause,
        (What::IncidentOpen { cause: p, what: x, .. }, What::IncidentOpen { cause: q, what: y, .. })
        | (What::IncidentClose { cause: p, what: x, .. }, What::IncidentClose { cause: q, what: y, .. }) => {
            (p, x) == (q, y)
        }
        (p, q) => std::mem::discriminant(p) == std::mem::discriminant(q),
    };
    particulars && x.outcome == y.outcome && x.context.rule == y.context.rule
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::{Outcome, What};
    use crate::model::Verdict;
    use crate::ui::fixtures::*;

    fn of_records(records: Vec<Record>) -> Changes {
        let mut live = Live::default();
        live.add_events(records);
        let mut c = Changes::default();
        c.begin(None);
        c.absorb(&live, t0());
        c.arrange(&Filter::default());
        c
    }

    fn counts(c: &Changes) -> Vec<(u64, usize)> {
        c.rows.iter().map(|c| (c.newest.seq.0, c.count())).collect()
    }

    #[test]
    fn what_happens_again_on_one_object_is_one_row_also_in_turn_with_something_else() {
        let up = |seq, age, host: &str, p| record(seq, ago(age), granted(p), Outcome::Success, of(host, p));
        let health = |seq, age, to| {
            let what = What::HealthChange { from: Verdict::Unknown, to, layer: None };
            record(seq, ago(age), what, Outcome::Success, of("pay-db", 20102))
        };
        let c = of_records(vec![
            record(1, ago(16 * 60), granted(20101), Outcome::Success, of("too-old", 20101)),
            auth_failure(2, ago(300)),
            up(3, 290, "pay-db", 20101),
            auth_failure(4, ago(280)),
            auth_failure(5, ago(270)),
            health(6, 200, Verdict::Failing),
            health(7, 190, Verdict::Passing),
            health(8, 180, Verdict::Failing),
            record(9, ago(5), What::VisitorOpen {}, Outcome::Success, of("pay-db", 20101)),
        ]);
        assert_eq!(counts(&c), [(8, 2), (7, 1), (5, 3), (3, 1)], "newest first, by number");
        assert_eq!(c.rows[2].first, ago(300));
    }

    #[test]
    fn what_comes_again_after_much_else_is_a_row_of_its_own() {
        let forward =
            |seq, what| record(seq, ago(300 - i64::try_from(seq).unwrap()), what, Outcome::Success, of("a", 20101));
        let health = |to| What::HealthChange { from: Verdict::Unknown, to, layer: None };
        let c = of_records(vec![
            forward(1, granted(20101)),
            forward(2, health(Verdict::Passing)),
            forward(3, health(Verdict::Failing)),
            forward(4, What::VisitorRefused {}),
            forward(5, granted(20101)),
        ]);
        assert_eq!(counts(&c), [(5, 1), (4, 1), (3, 1), (2, 1), (1, 1)]);
    }

    #[test]
    fn every_event_but_a_visit_is_asked_for() {
        let source = include_str!("../../audit/event.rs");
        let names = source.split("rename = \"").skip(1).filter_map(|rest| rest.split('"').next());
        for name in names.filter(|n| n.contains('.')) {
            let asked = EVENTS.split(',').any(|e| e == name || name.starts_with(&format!("{e}.")));
            assert_eq!(asked, !["visitor.open", "visitor.close"].contains(&name), "{name}");
        }
    }

    #[test]
    fn the_cursor_stays_on_a_run_that_grows() {
        let mut live = Live::default();
        live.add_events(vec![
            auth_failure(1, ago(60)),
            record(2, ago(50), granted(20101), Outcome::Success, of("a", 20101)),
        ]);
        let mut c = Changes::default();
        c.begin(None);
        c.absorb(&live, t0());
        c.arrange(&Filter::default());
        c.nav.select_id(Seq(1), &c.ids.clone(), 10);
        live.add_events(vec![auth_failure(3, ago(1))]);
        c.absorb(&live, t0());
        c.arrange(&Filter::default());
        assert_eq!(counts(&c), [(3, 2), (2, 1)]);
        assert_eq!(c.nav.selected, Some(Seq(3)));
    }

    #[test]
    fn the_journal_is_asked_for_what_the_console_has_not_heard_and_only_once() {
        let mut live = Live::default();
        live.add_events(vec![auth_failure(50, ago(60))]);
        let mut c = Changes::default();
        let q = c.gap(&live, t0()).unwrap();
        assert_eq!((q.before, q.since), (Some(Seq(50)), Some(ago(15 * 60))));
        assert_eq!(c.gap(&live, t0()), None);
        c.reach(true);
        assert_eq!((c.minutes, c.gap(&live, t0()).unwrap().since), (30, Some(ago(30 * 60))));
        c.reach(false);
        assert_eq!(c.gap(&live, t0()), None, "less is known already");
        live.beginning = true;
        c.begin(None);
        assert_eq!(c.gap(&live, t0()), None, "there is nothing older");
    }
}
