//! What is known of the bastion: the last snapshot with all deltas since applied, and rates made from their counters.

use super::spark::Spark;
use crate::audit::{Record, What};
use crate::control::protocol::{Delta, Rows, Snapshot};
use crate::model::{
    DaemonView, Forecast, GrantId, GrantView, HostName, Incident, LeaseKind, LeaseView, Port, ReservationView, Seq,
    SessionId, SessionView, StateCounts, TeamName, TeamView, Time, TunnelState, TunnelView, forecast,
};
use crate::ui::words::{Lang, model};
use chrono::TimeDelta;
use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};

/// Events kept; older ones are asked for again when somebody scrolls there.
const EVENTS_MAX: usize = 20_000;
/// A rate is of the last second or so; without news for this long it is zero.
const RATE_FRESH_MS: i64 = 3_000;
/// Least time between two samples of a rate.
const RATE_STEP_MS: i64 = 900;

/// A tunnel and its rates.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    pub(crate) view: TunnelView,
    /// Bytes of the last minutes.
    pub(crate) spark: Spark,
    rate: Rate,
    /// What plain words of a filter are looked for in, made when one is first looked for.
    words: OnceLock<Box<str>>,
}

/// What of a tunnel can be looked for by a word.
#[derive(PartialEq)]
struct Said<'a> {
    lease: &'a LeaseView,
    state: TunnelState,
    source: Option<SocketAddr>,
    warning: Option<&'a str>,
    error: Option<&'a str>,
}

impl<'a> Said<'a> {
    fn of(v: &'a TunnelView) -> Self {
        let (warning, error) = (v.warning.as_deref(), v.health.last_error.as_deref());
        Self { lease: &v.lease, state: v.state, source: v.source, warning, error }
    }
}

#[derive(Debug, Clone, Copy)]
struct Rate {
    at: Time,
    seen: (u64, u64),
    per_s: (u64, u64),
}

impl Row {
    fn new(view: TunnelView, at: Time) -> Self {
        let seen = (view.bytes_to_host, view.bytes_to_visitors);
        Self {
            view,
            spark: Spark::default(),
            rate: Rate { at: at - TimeDelta::milliseconds(RATE_STEP_MS), seen, per_s: (0, 0) },
            words: OnceLock::new(),
        }
    }

    fn update(&mut self, view: TunnelView, at: Time) {
        let seen = (view.bytes_to_host, view.bytes_to_visitors);
        if view.session != self.view.session || seen.0 < self.rate.seen.0 || seen.1 < self.rate.seen.1 {
            *self = Self { spark: self.spark, ..Self::new(view, at) };
            return;
        }
        let ms = (at - self.rate.at).num_milliseconds();
        if ms >= RATE_STEP_MS {
            // After a silence the bytes are those of the last moment, not of the whole silence.
            let ms = u64::try_from(if ms > RATE_FRESH_MS { 1000 } else { ms }).unwrap_or(1000);
            let per_s = |now: u64, before: u64| (now - before).saturating_mul(1000) / ms;
            let per_s = (per_s(seen.0, self.rate.seen.0), per_s(seen.1, self.rate.seen.1));
            self.rate = Rate { at, seen, per_s };
        }
        // Most news is of counters, and nobody looks for those by a word.
        if Said::of(&view) != Said::of(&self.view) {
            self.words.take();
        }
        self.view = view;
    }

    /// As [`Self::update`], with the bytes since as those of this moment.
    fn went_on(&mut self, view: TunnelView, at: Time) {
        let before = if self.view.session == view.session { self.bytes() } else { 0 };
        self.update(view, at);
        self.spark.add(self.bytes().saturating_sub(before), at);
    }

    /// What plain words of a filter are looked for in, in lower case: for ten thousand rows a key stroke.
    pub(crate) fn words(&self) -> &str {
        self.words.get_or_init(|| {
            let Said { lease, state, source, warning, error } = Said::of(&self.view);
            let source = source.map(|a| a.to_string()).unwrap_or_default();
            let (warning, error) = (warning.unwrap_or(""), error.unwrap_or(""));
            let (reason, service) = (lease.reason.as_deref().unwrap_or(""), self.service());
            // Whoever reads the state in another language looks for it in that.
            let states = Lang::ALL.map(|l| model::state(l, state)).join(" ");
            let (port, host, team) = (lease.port, &lease.host, &lease.team);
            let words = format!("{port} {host} {team} {service} {states} {source} {warning} {reason} {error}");
            words.to_lowercase().into()
        })
    }

    /// Bytes a second to the host and to the visitors.
    pub(crate) fn rates(&self, now: Time) -> (u64, u64) {
        if (now - self.rate.at).num_milliseconds() < RATE_FRESH_MS { self.rate.per_s } else { (0, 0) }
    }

    /// When the rates fall to zero without news.
    fn rates_end(&self, now: Time) -> Option<Time> {
        (self.rates(now) != (0, 0)).then(|| self.rate.at + TimeDelta::milliseconds(RATE_FRESH_MS))
    }

    pub(crate) fn port(&self) -> Port {
        self.view.lease.port
    }
    pub(crate) fn host(&self) -> &HostName {
        &self.view.lease.host
    }
    pub(crate) fn team(&self) -> &TeamName {
        &self.view.lease.team
    }
    pub(crate) fn service(&self) -> &str {
        self.view.lease.service.as_deref().unwrap_or("-")
    }
    pub(crate) fn bytes(&self) -> u64 {
        self.view.bytes_to_host.saturating_add(self.view.bytes_to_visitors)
    }
}

/// Everything known.
#[derive(Debug, Default)]
pub(crate) struct Live {
    pub(crate) daemon: Option<DaemonView>,
    pub(crate) teams: Vec<TeamView>,
    pub(crate) tunnels: BTreeMap<Port, Row>,
    pub(crate) sessions: BTreeMap<SessionId, SessionView>,
    /// What is wrong, the worst first; none when the daemon does not say.
    incidents: Option<Vec<Incident>>,
    /// Oldest first, without gaps as far as is known.
    pub(crate) events: VecDeque<Arc<Record>>,
    /// No older events are in the journal.
    pub(crate) beginning: bool,
    /// Of the first snapshot: rows are on their way, and how many there will be.
    follow: Option<(StateCounts, Time)>,
    /// A later one whose rows are on their way.
    coming: Option<Box<Snapshot>>,
    /// Tunnels by state, counted once a change rather than many times a frame.
    counts: [usize; 5],
    /// Events were added among the others, not after them.
    inserted: bool,
}

impl Live {
    /// Makes ready what a filter looks in, of so many rows: the first letter of one should not wait for all of them.
    pub(crate) fn look_ahead(&self, rows: usize) {
        self.tunnels.values().filter(|r| r.words.get().is_none()).take(rows).for_each(|r| _ = r.words());
    }

    /// Takes a snapshot in. Whether it is shown now: where its rows follow and there are older ones to see meanwhile, those
    /// stay until all have come.
    pub(crate) fn snapshot(&mut self, s: Snapshot) -> bool {
        self.coming = None;
        if s.follow.is_some() && self.daemon.is_some() {
            self.coming = Some(Box::new(s));
            return false;
        }
        self.follow = s.follow.map(|counts| (counts, s.at));
        self.put(s);
        true
    }

    /// More of a snapshot. Whether it is shown with that.
    pub(crate) fn rows(&mut self, rows: Rows) -> bool {
        if let Some(s) = &mut self.coming {
            s.add(rows);
            if s.follow.is_none()
                && let Some(s) = self.coming.take()
            {
                self.put(*s);
                return true;
            }
            return false;
        }
        let Some((_, at)) = self.follow else { return false };
        self.follow = self.follow.filter(|_| !rows.last);
        self.tunnels.extend(rows.tunnels.into_iter().map(|v| (v.lease.port, Row::new(v, at))));
        self.sessions.extend(rows.sessions.into_iter().map(|v| (v.id, v)));
        self.recount();
        true
    }

    /// Whether a later snapshot is on its way.
    pub(crate) fn refilling(&self) -> bool {
        self.coming.is_some()
    }

    /// Whether rows of the first snapshot are still on their way.
    pub(crate) fn filling(&self) -> bool {
        self.follow.is_some()
    }

    /// Tunnels and leases there are, also those on their way.
    pub(crate) fn total(&self) -> usize {
        self.counts.iter().sum()
    }

    fn put(&mut self, s: Snapshot) {
        let mut old = std::mem::take(&mut self.tunnels);
        for view in s.tunnels {
            let port = view.lease.port;
            let row = match old.remove(&port) {
                Some(mut row) => {
                    row.update(view, s.at);
                    row
                }
                None => Row::new(view, s.at),
            };
            self.tunnels.insert(port, row);
        }
        self.daemon = Some(s.daemon);
        self.teams = s.teams;
        self.sessions = s.sessions.into_iter().map(|v| (v.id, v)).collect();
        self.incidents = s.incidents;
        self.recount();
        self.add_events(s.events);
    }

    pub(crate) fn delta(&mut self, d: Delta) {
        for view in d.tunnels {
            let port = view.lease.port;
            match self.tunnels.get_mut(&port) {
                Some(row) => row.went_on(view, d.at),
                None => {
                    self.tunnels.insert(port, Row::new(view, d.at));
                }
            }
        }
        for port in d.tunnels_gone {
            self.tunnels.remove(&port);
        }
        self.recount();
        self.sessions.extend(d.sessions.into_iter().map(|v| (v.id, v)));
        for id in d.sessions_gone {
            self.sessions.remove(&id);
        }
        self.daemon = d.daemon.or(self.daemon.take());
        self.teams = d.teams.unwrap_or(std::mem::take(&mut self.teams));
        self.incidents = d.incidents.or(self.incidents.take());
        self.add_events(d.events);
    }

    /// What is wrong, the worst first.
    pub(crate) fn incidents(&self) -> &[Incident] {
        self.incidents.as_deref().unwrap_or_default()
    }

    /// The incident of a host that restarts again and again.
    pub(crate) fn restarts(&self, host: &HostName) -> Option<&Incident> {
        self.incidents().iter().find(|i| i.cause == "host-restarts" && i.blast.hosts.contains(host))
    }

    /// Whether the daemon says what is wrong.
    pub(crate) fn triaged(&self) -> bool {
        self.incidents.is_some()
    }

    fn recount(&mut self) {
        if let Some((f, _)) = self.follow {
            let all = [f.up, f.degraded, f.down, f.awaiting, f.revoked];
            self.counts = all.map(|n| usize::try_from(n).unwrap_or(usize::MAX));
            return;
        }
        self.counts = [0; 5];
        for row in self.tunnels.values() {
            if let Some(n) = self.counts.get_mut(row.view.state as usize) {
                *n += 1;
            }
        }
    }

    /// Adds records wherever they belong; those already there are ignored.
    pub(crate) fn add_events(&mut self, records: Vec<Record>) {
        let newest = self.events.back().map(|r| r.seq);
        if records.first().is_some_and(|r| newest.is_none_or(|n| r.seq > n)) {
            self.events.extend(records.into_iter().map(Arc::new));
        } else if !records.is_empty() {
            self.inserted = true;
            let mut all: BTreeMap<Seq, Arc<Record>> = self.events.drain(..).map(|r| (r.seq, r)).collect();
            all.extend(records.into_iter().map(|r| (r.seq, Arc::new(r))));
            self.events = all.into_values().collect();
        }
        if self.events.len() > EVENTS_MAX {
            self.events.drain(..self.events.len() - EVENTS_MAX);
            self.beginning = false;
        }
    }

    /// Whether events were added elsewhere than at the end since this was last asked.
    pub(crate) fn filled_in(&mut self) -> bool {
        std::mem::take(&mut self.inserted)
    }

    pub(crate) fn count(&self, state: TunnelState) -> usize {
        self.counts.get(state as usize).copied().unwrap_or(0)
    }

    /// Whether nothing has happened to any tunnel yet.
    pub(crate) fn all_awaiting(&self) -> bool {
        use TunnelState::{Degraded, Down, Revoked, Up};
        [Up, Degraded, Down, Revoked].into_iter().all(|s| self.count(s) == 0)
    }

    pub(crate) fn session_of(&self, row: &Row) -> Option<&SessionView> {
        self.sessions.get(&row.view.session?)
    }

    /// The team whose range has the port.
    pub(crate) fn team_of(&self, port: Port) -> Option<&TeamView> {
        self.teams.iter().find(|t| t.ranges.iter().any(|r| r.contains(port)))
    }

    /// The reservation of a port that nobody has.
    pub(crate) fn reservation(&self, port: Port) -> Option<&ReservationView> {
        self.teams.iter().flat_map(|t| &t.reserved).find(|r| r.port == port)
    }

    /// What is given until a time, besides leases.
    pub(crate) fn grants(&self) -> &[GrantView] {
        self.daemon.as_ref().map_or(&[], |d| &d.grants)
    }

    /// A grant by its id.
    pub(crate) fn grant(&self, id: GrantId) -> Option<&GrantView> {
        self.grants().iter().find(|g| g.id == id)
    }

    /// When a team's ranges are full, as far as its leases tell.
    pub(crate) fn forecast(&self, team: &TeamView, now: Time) -> Option<Forecast> {
        let leases = self.tunnels.values().map(|r| &r.view.lease).filter(|l| l.kind != LeaseKind::Fixed);
        let own = leases.filter(|l| team.ranges.iter().any(|r| r.contains(l.port)));
        forecast(own.map(|l| l.since), team.free(), now)
    }

    /// Who was refused a port that somebody else has, the last of them, and how often that was.
    pub(crate) fn clash(&self, port: Port) -> Option<(&Record, usize)> {
        let of_port = |r: &&Arc<Record>| match r.event.what {
            What::ForwardRefused { asked_port, .. } => {
                r.event.context.port == Some(port) || asked_port == u32::from(port.get())
            }
            _ => false,
        };
        let mut refused = self.events.iter().rev().filter(of_port).peekable();
        let last = refused.peek().map(|r| &***r)?;
        Some((last, refused.count()))
    }

    /// Names of the hosts of a team heard of.
    pub(crate) fn hosts_of(&self, team: &TeamName) -> Vec<String> {
        let leased = self.tunnels.values().filter(|r| r.team() == team).map(|r| r.host().to_string());
        let connected = self.sessions.values().filter(|s| s.team.as_ref() == Some(team)).map(|s| s.name.clone());
        let seen = self.events.iter().map(|r| &r.event.context).filter(|c| c.team.as_ref() == Some(team));
        let seen = seen.filter_map(|c| c.host.as_ref().map(ToString::to_string));
        let all: std::collections::BTreeSet<String> = leased.chain(connected).chain(seen).collect();
        all.into_iter().collect()
    }

    /// Other leases of the same host.
    pub(crate) fn others_of<'a>(&'a self, host: &'a HostName, port: Port) -> impl Iterator<Item = &'a Row> {
        self.tunnels.values().filter(move |r| r.host() == host && r.port() != port)
    }

    /// Names of all hosts heard of, for completion.
    pub(crate) fn host_names(&self) -> Vec<String> {
        let leased = self.tunnels.values().map(|r| r.host().to_string());
        let connected = self.sessions.values().filter(|s| s.team.is_some()).map(|s| s.name.clone());
        let seen = self.events.iter().filter_map(|r| r.event.context.host.as_ref().map(ToString::to_string));
        let all: std::collections::BTreeSet<String> = leased.chain(connected).chain(seen).collect();
        all.into_iter().collect()
    }

    /// The soonest moment a rate falls to zero by itself.
    pub(crate) fn rates_end(&self, now: Time) -> Option<Time> {
        self.tunnels.values().filter_map(|r| r.rates_end(now)).min()
    }
}
