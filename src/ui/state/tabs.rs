//! The tabs of a tunnel's detail: which is open, where its cursor is, and what was asked of the daemon for it.

use super::live::{Live, Row};
use super::nav::Nav;
use crate::audit::{About, AuditQuery, Found, Progress, Record};
use crate::control::howto::{Format, HowTo};
use crate::model::{HostName, Port, Seq, Time, VisitorId};
use crate::ui::words::{Lang, tr};
use chrono::TimeDelta;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Events asked for at a time.
const PAGE: usize = 200;
/// Days looked back at first, and then, when somebody goes on: a whole journal is not read for a glance.
const REACH_DAYS: [Option<i64>; 3] = [Some(1), Some(30), None];
/// Events that say who came and who was turned away.
const SIGN_INS: &str = "auth,key,connection,session,forward.refused,request.refused";

/// The tabs, in their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Tab {
    #[default]
    Overview,
    Visitors,
    Health,
    Auth,
    Audit,
    Fix,
}

impl Tab {
    pub(crate) const ALL: [Self; 6] =
        [Self::Overview, Self::Visitors, Self::Health, Self::Auth, Self::Audit, Self::Fix];

    pub(crate) fn name(self, lang: Lang) -> &'static str {
        match self {
            Self::Overview => tr!(lang, screen.tab_overview),
            Self::Visitors => tr!(lang, screen.tab_visitors),
            Self::Health => tr!(lang, screen.tab_health),
            Self::Auth => tr!(lang, screen.tab_auth),
            Self::Audit => tr!(lang, screen.tab_audit),
            Self::Fix => tr!(lang, screen.tab_fix),
        }
    }

    /// For where there is little room.
    pub(crate) fn short(self, lang: Lang) -> &'static str {
        match self {
            Self::Overview => tr!(lang, screen.tab_overview_short),
            Self::Visitors => tr!(lang, screen.tab_visitors_short),
            Self::Health => tr!(lang, screen.tab_health_short),
            Self::Auth => tr!(lang, screen.tab_auth_short),
            Self::Audit => tr!(lang, screen.tab_audit_short),
            Self::Fix => tr!(lang, screen.tab_fix_short),
        }
    }

    /// The one after or before it, round and round.
    pub(crate) fn beside(self, forward: bool) -> Self {
        let at = Self::ALL.iter().position(|t| *t == self).unwrap_or(0);
        let to = if forward { at + 1 } else { at + Self::ALL.len() - 1 };
        Self::ALL.get(to % Self::ALL.len()).copied().unwrap_or_default()
    }

    /// Whether it shows events of the journal.
    pub(crate) fn is_journal(self) -> bool {
        matches!(self, Self::Auth | Self::Audit)
    }
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Tabs {
    pub(crate) tab: Tab,
    pub(crate) visitor: Nav<VisitorId>,
    pub(crate) event: Nav<Seq>,
    pub(crate) history: Option<History>,
    /// How the host dials in, or why that is not known.
    pub(crate) howto: Option<(HostName, Result<HowTo, String>)>,
    /// Which form of it is shown.
    pub(crate) form: usize,
}

impl Tabs {
    pub(crate) fn form(&self) -> Format {
        Format::ALL.get(self.form).copied().unwrap_or_default()
    }
}

/// Events of one tunnel for one tab: what the console has, and before that what the journal has.
#[derive(Debug)]
pub(crate) struct History {
    pub(crate) port: Port,
    pub(crate) tab: Tab,
    query: AuditQuery,
    records: BTreeMap<Seq, Arc<Record>>,
    /// Newest first.
    pub(crate) ids: Vec<Seq>,
    /// The newest event of the console that was looked at.
    upto: Seq,
    /// How many of [`REACH_DAYS`] have been asked for, and whether the last of them has more.
    asked: usize,
    more: bool,
    /// What is being searched for, and how many have come of the page.
    piece: Option<AuditQuery>,
    come: usize,
    /// Everything from this one on has been searched.
    from: Option<Seq>,
    /// How far the search has come; nothing of it before the first answer.
    pub(crate) progress: Option<Progress>,
    pub(crate) problem: Option<String>,
}

/// What is to be done when a piece of the search has come.
#[derive(Debug, PartialEq)]
pub(crate) enum Then {
    /// There is more of this page to look for.
    GoOn(Box<AuditQuery>),
    /// There was nothing: look further back.
    Further,
    /// That is enough for now.
    Enough,
}

impl History {
    /// Of what the console has.
    pub(crate) fn of(row: &Row, tab: Tab, live: &Live) -> Self {
        let (host, port) = (row.host().clone(), row.port());
        let query = if tab == Tab::Auth {
            let stranger = row.view.source.map(|s| About::Stranger(s.ip()));
            let about = std::iter::once(About::Host(host)).chain(stranger).collect();
            AuditQuery { about, event: Some(SIGN_INS.to_owned()), ..AuditQuery::default() }
        } else {
            AuditQuery { about: vec![About::Tunnel { host, port }], ..AuditQuery::default() }
        };
        let mut new = Self {
            port,
            tab,
            query,
            records: BTreeMap::new(),
            ids: vec![],
            upto: Seq(0),
            asked: 0,
            more: false,
            piece: None,
            come: 0,
            from: None,
            progress: None,
            problem: None,
        };
        new.absorb(live);
        new
    }

    /// Takes what the console has heard since.
    pub(crate) fn absorb(&mut self, live: &Live) {
        let known = live.events.partition_point(|r| r.seq <= self.upto);
        let before = self.records.len();
        for r in live.events.iter().skip(known) {
            if self.query.matches(r) {
                self.records.insert(r.seq, Arc::clone(r));
            }
        }
        self.upto = live.events.back().map_or(self.upto, |r| r.seq);
        if self.records.len() != before || self.ids.is_empty() {
            self.order();
        }
    }

    /// Takes a piece of what the journal has, and says how to go on.
    pub(crate) fn add(&mut self, found: Found) -> Then {
        self.come += found.records.len();
        self.records.extend(found.records.into_iter().map(|r| (r.seq, Arc::new(r))));
        self.from = found.next.or(self.from);
        self.more = found.next.is_some();
        self.progress = Some(found.progress);
        self.problem = None;
        self.order();
        match self.piece.take() {
            Some(piece) if self.more && self.come < PAGE => {
                let rest = AuditQuery { before: self.from, limit: Some(PAGE - self.come), ..piece };
                self.piece = Some(rest.clone());
                Then::GoOn(Box::new(rest))
            }
            Some(_) if self.come == 0 && !self.whole() => Then::Further,
            _ => Then::Enough,
        }
    }

    /// Nobody looks any more: what has been asked for is the last of it for now.
    pub(crate) fn stop(&mut self) {
        self.piece = None;
    }

    fn order(&mut self) {
        self.ids = self.records.keys().rev().copied().collect();
    }

    pub(crate) fn get(&self, index: usize) -> Option<&Arc<Record>> {
        self.records.get(self.ids.get(index)?)
    }

    /// What to ask for next: the page before what is known, and further back in time when there is no more page.
    pub(crate) fn next(&mut self, now: Time) -> Option<AuditQuery> {
        if self.whole() {
            return None;
        }
        if !self.more || self.asked == 0 {
            self.asked += 1;
        }
        let days = self.asked.checked_sub(1).and_then(|n| REACH_DAYS.get(n)).copied().flatten();
        let query = AuditQuery {
            before: self.records.keys().next().copied().into_iter().chain(self.from).min(),
            since: days.map(|d| now - TimeDelta::days(d)),
            limit: Some(PAGE),
            ..self.query.clone()
        };
        (self.come, self.progress) = (0, None);
        self.piece = Some(query.clone());
        Some(query)
    }

    /// The journal has nothing older.
    pub(crate) fn whole(&self) -> bool {
        self.asked >= REACH_DAYS.len() && !self.more
    }

    /// How many days back it has been asked for; none for all of them.
    pub(crate) fn reach(&self) -> Option<i64> {
        self.asked.checked_sub(1).and_then(|n| REACH_DAYS.get(n)).copied().unwrap_or(Some(0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tabs_go_round() {
        let mut t = Tab::Overview;
        for _ in Tab::ALL {
            t = t.beside(true);
        }
        assert_eq!(t, Tab::Overview);
        assert_eq!(t.beside(false), Tab::Fix);
    }
}
