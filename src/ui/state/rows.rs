//! Rows of the lists: what filters can ask of them, and how they sort.

use super::filter::Fields;
use super::live::{Live, Row};
use crate::audit::{Actor, Record};
use crate::model::{SessionView, Time, TunnelState};
use crate::ui::sentence;
use crate::ui::words::{Lang, tr};
use std::borrow::Cow;

/// A tunnel with what else is known of it.
pub(crate) struct TunnelRow<'a> {
    pub(crate) row: &'a Row,
    pub(crate) live: &'a Live,
    pub(crate) now: Time,
}

impl Fields for TunnelRow<'_> {
    fn field(&self, name: &str) -> Option<String> {
        let v = &self.row.view;
        // Looked up only where it is asked for: a filter asks ten thousand rows.
        let session = || self.live.session_of(self.row);
        let rates = || self.row.rates(self.now);
        let ms = |m: Option<f64>| m.map(|m| format!("{m:.3}")).unwrap_or_default();
        Some(match name {
            "port" => self.row.port().to_string(),
            "host" => self.row.host().to_string(),
            "team" => self.row.team().to_string(),
            "service" => self.row.service().to_owned(),
            "state" => v.state.to_string(),
            "health" => v.health.verdict.to_string(),
            "check" => v.health.check.to_string(),
            "kind" => v.lease.kind.to_string(),
            "source" => v.source.map(|a| a.to_string()).unwrap_or_default(),
            "client" => session().map(|s| s.client.clone()).unwrap_or_default(),
            "visitors" => v.visitors_now.to_string(),
            "bytes" => self.row.bytes().to_string(),
            "behind" => v.behind.visitors.to_string(),
            "waiting" => v.behind.buffered.to_string(),
            "rate" => rates().0.saturating_add(rates().1).to_string(),
            "rtt" => ms(session().and_then(|s| s.rtt_ms)),
            "latency" => ms(v.health.latency_ms),
            "age" => (self.now - v.state_since).num_milliseconds().to_string(),
            "by" => v.lease.by.clone(),
            _ => return None,
        })
    }
    fn text(&self, name: &str) -> Option<&str> {
        Some(match name {
            "host" => self.row.host().as_str(),
            "team" => self.row.team().as_str(),
            "service" => self.row.service(),
            "by" => &self.row.view.lease.by,
            _ => return None,
        })
    }
    fn words(&self) -> String {
        self.row.words().to_owned()
    }
    fn lower(&self) -> Cow<'_, str> {
        Cow::Borrowed(self.row.words())
    }
}

impl Fields for SessionView {
    fn field(&self, name: &str) -> Option<String> {
        Some(match name {
            "name" | "host" => self.name.clone(),
            "team" => self.team.as_ref().map(ToString::to_string).unwrap_or_default(),
            "role" => self.role.map(|r| r.to_string()).unwrap_or_default(),
            "kind" => if self.team.is_some() { "host" } else { "operator" }.to_owned(),
            "user" => self.user.clone(),
            "source" => self.source.to_string(),
            "key" => self.fingerprint.clone(),
            "client" => self.client.clone(),
            "algorithms" => self.algorithms.clone().unwrap_or_default(),
            "session" => self.id.to_string(),
            "bytes" => self.bytes_in.saturating_add(self.bytes_out).to_string(),
            "rtt" => self.rtt_ms.map(|m| format!("{m:.3}")).unwrap_or_default(),
            "port" => self.ports.iter().map(ToString::to_string).collect::<Vec<_>>().join(","),
            _ => return None,
        })
    }
    fn words(&self) -> String {
        format!("{} {} {} {} {} {}", self.name, self.user, self.source, self.fingerprint, self.client, self.id)
    }
}

/// An event, and as of when times in a filter are meant.
pub(crate) struct EventRow<'a> {
    pub(crate) record: &'a Record,
    pub(crate) asked: &'a super::journal::Window,
}

impl Fields for Record {
    fn field(&self, name: &str) -> Option<String> {
        let c = &self.event.context;
        let text = |o: Option<String>| o.unwrap_or_default();
        Some(match name {
            "event" => self.event.name().to_owned(),
            "outcome" => sentence::outcome_word(self.event.outcome).to_owned(),
            "actor" => match &self.event.actor {
                Actor::Operator(n) | Actor::Host(n) => n.clone(),
                Actor::Visitor => "visitor".into(),
                Actor::Unknown => "unknown".into(),
                Actor::Daemon => "daemon".into(),
            },
            "host" => text(c.host.as_ref().map(ToString::to_string)),
            "team" => text(c.team.as_ref().map(ToString::to_string)),
            "port" => text(c.port.map(|p| p.to_string())),
            "source" => text(c.source.map(|s| s.to_string())),
            "key" => text(c.fingerprint.clone()),
            "user" => text(c.user.clone()),
            "session" => text(c.session.map(|s| s.to_string())),
            "seq" => self.seq.to_string(),
            _ => return None,
        })
    }
    fn words(&self) -> String {
        let c = &self.event.context;
        let key = c.fingerprint.as_deref().unwrap_or("");
        let source = c.source.map(|s| s.to_string()).unwrap_or_default();
        let (user, who) = (c.user.as_deref().unwrap_or(""), sentence::actor(Lang::En, &self.event.actor));
        let ids = [c.session.map(|s| s.to_string()), c.visitor.map(|v| v.to_string()), c.via.clone()];
        let ids: Vec<String> = ids.into_iter().flatten().collect();
        format!(
            "{} {} {who} {} {user} {source} {key} {}",
            self.event.name(),
            sentence::subject(Lang::En, self),
            sentence::event(Lang::En, self),
            ids.join(" ")
        )
    }
}

/// What the tunnels list can be sorted by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum SortBy {
    #[default]
    Port,
    State,
    Host,
    Team,
    Visitors,
    Rate,
    Bytes,
    Since,
}

impl SortBy {
    pub(crate) const ALL: [Self; 8] =
        [Self::Port, Self::State, Self::Host, Self::Team, Self::Visitors, Self::Rate, Self::Bytes, Self::Since];

    pub(crate) fn next(self) -> Self {
        let at = Self::ALL.iter().position(|s| *s == self).unwrap_or(0);
        Self::ALL.get(at + 1).copied().unwrap_or_default()
    }

    /// What the settings call it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Port => "port",
            Self::State => "state",
            Self::Host => "host",
            Self::Team => "team",
            Self::Visitors => "visitors",
            Self::Rate => "rate",
            Self::Bytes => "bytes",
            Self::Since => "since",
        }
    }

    /// The word on the screen.
    pub(crate) fn said(self, lang: Lang) -> &'static str {
        match self {
            Self::Port => tr!(lang, sort.port),
            Self::State => tr!(lang, sort.state),
            Self::Host => tr!(lang, sort.host),
            Self::Team => tr!(lang, sort.team),
            Self::Visitors => tr!(lang, sort.visitors),
            Self::Rate => tr!(lang, sort.rate),
            Self::Bytes => tr!(lang, sort.bytes),
            Self::Since => tr!(lang, sort.since),
        }
    }

    /// The column it is seen in.
    pub(crate) fn column(self) -> &'static str {
        match self {
            Self::Rate => "out",
            Self::Bytes => "total",
            other => other.name(),
        }
    }
}

/// How bad: what needs somebody first.
pub(crate) fn severity(state: TunnelState) -> u8 {
    match state {
        TunnelState::Down => 0,
        TunnelState::Degraded => 1,
        TunnelState::Awaiting => 2,
        TunnelState::Revoked => 3,
        TunnelState::Up => 4,
    }
}

/// Sorts rows in place; ties by port, so that the order is always the same for the same rows.
pub(crate) fn sort(rows: &mut [&Row], by: SortBy, reverse: bool, now: Time) {
    let rate = |r: &Row| {
        let (a, b) = r.rates(now);
        std::cmp::Reverse(a.saturating_add(b))
    };
    match by {
        SortBy::Port => {}
        SortBy::State => rows.sort_by_key(|r| severity(r.view.state)),
        SortBy::Host => rows.sort_by(|a, b| a.host().cmp(b.host())),
        SortBy::Team => rows.sort_by(|a, b| a.team().cmp(b.team())),
        SortBy::Visitors => rows.sort_by_key(|r| std::cmp::Reverse(r.view.visitors_now)),
        SortBy::Rate => rows.sort_by_key(|r| rate(r)),
        SortBy::Bytes => rows.sort_by_key(|r| std::cmp::Reverse(r.bytes())),
        SortBy::Since => rows.sort_by_key(|r| std::cmp::Reverse(r.view.state_since)),
    }
    if reverse {
        rows.reverse();
    }
}

/// What the sessions can be sorted by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum SessionSort {
    #[default]
    Since,
    Name,
    Team,
    Source,
    Rtt,
    In,
    Out,
}

impl SessionSort {
    const ALL: [Self; 7] = [Self::Since, Self::Name, Self::Team, Self::Source, Self::Rtt, Self::In, Self::Out];

    pub(crate) fn next(self) -> Self {
        let at = Self::ALL.iter().position(|s| *s == self).unwrap_or(0);
        Self::ALL.get(at + 1).copied().unwrap_or_default()
    }

    /// The word on the screen.
    pub(crate) fn said(self, lang: Lang) -> &'static str {
        match self {
            Self::Since => tr!(lang, sort.since),
            Self::Name => tr!(lang, sort.name),
            Self::Team => tr!(lang, sort.team_or_role),
            Self::Source => tr!(lang, sort.source),
            Self::Rtt => tr!(lang, sort.rtt),
            Self::In => tr!(lang, sort.in_bytes),
            Self::Out => tr!(lang, sort.out_bytes),
        }
    }

    /// The column it is seen in.
    pub(crate) fn column(self) -> &'static str {
        match self {
            Self::Since => "since",
            Self::Name => "name",
            Self::Team => "team-role",
            Self::Source => "source",
            Self::Rtt => "rtt",
            Self::In => "in",
            Self::Out => "out",
        }
    }
}

/// Sorts sessions in place: the oldest, slowest and busiest first; ties by id.
pub(crate) fn sort_sessions(rows: &mut [&SessionView], (by, reverse): (SessionSort, bool)) {
    match by {
        SessionSort::Since => rows.sort_by_key(|s| s.since),
        SessionSort::Name => rows.sort_by(|a, b| a.name.cmp(&b.name)),
        SessionSort::Team => rows.sort_by(|a, b| (&a.team, a.role).cmp(&(&b.team, b.role))),
        SessionSort::Source => rows.sort_by_key(|s| s.source),
        SessionSort::Rtt => {
            rows.sort_by(|a, b| b.rtt_ms.unwrap_or(-1.0).total_cmp(&a.rtt_ms.unwrap_or(-1.0)));
        }
        SessionSort::In => rows.sort_by_key(|s| std::cmp::Reverse(s.bytes_in)),
        SessionSort::Out => rows.sort_by_key(|s| std::cmp::Reverse(s.bytes_out)),
    }
    if reverse {
        rows.reverse();
    }
}
