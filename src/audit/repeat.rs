//! Refusals that anybody can cause as often as they like: the first are written as they are, the rest counted and told once
//! an interval. So a flood cannot fill the journal, and nothing is lost but the particulars.

use super::{Context, Event, Journal, Outcome, What};
use crate::model::{Port, SessionId};
use ipnet::IpNet;
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// Kinds of refusals kept apart in an interval. What is beyond is counted by event only.
const KEYS: usize = 500;
/// Lines written as they come in an interval, of all kinds together.
const LINES: usize = 1_000;

/// On whose account refusals are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Whom {
    /// A network, before anybody has signed in.
    Net(IpNet),
    /// A session.
    Session(SessionId),
    /// Visitors of a port.
    Port(Port),
}

/// What is counted together.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Kind {
    /// On whose account.
    pub whom: Whom,
    /// A word that tells rules of one event apart. Not the rule itself, which may have what a client chose.
    pub word: &'static str,
    /// How many are written as they come, in an interval.
    pub first: usize,
}

#[derive(Debug)]
struct Entry {
    told: usize,
    more: u64,
    last: Option<Event>,
}

#[derive(Debug)]
struct State {
    since: Instant,
    lines: usize,
    entries: HashMap<(Kind, &'static str), Entry>,
    /// Those for which there was no entry, by event.
    others: HashMap<&'static str, u64>,
}

/// See the module.
#[derive(Debug)]
pub struct Repeats(Mutex<State>);

impl Default for Repeats {
    fn default() -> Self {
        Self(Mutex::new(State { since: Instant::now(), lines: 0, entries: HashMap::new(), others: HashMap::new() }))
    }
}

impl Repeats {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes it, or counts it.
    pub fn record(&self, journal: &Journal, kind: Kind, event: Event) {
        let mut state = self.state();
        let State { lines, entries, others, .. } = &mut *state;
        let first = kind.first;
        let key = (kind, event.name());
        if entries.len() >= KEYS && !entries.contains_key(&key) {
            *others.entry(event.name()).or_insert(0) += 1;
            return;
        }
        let entry = entries.entry(key).or_insert(Entry { told: 0, more: 0, last: None });
        if entry.told < first && *lines < LINES {
            entry.told += 1;
            *lines += 1;
            drop(state);
            journal.record(event);
        } else {
            entry.more += 1;
            entry.last = Some(event);
        }
    }

    /// Begins a new interval, and gives what was only counted in the last one: a line for each kind.
    #[must_use]
    pub fn turn(&self) -> Vec<Event> {
        let (old, seconds) = {
            let mut state = self.state();
            let now = Instant::now();
            let fresh = State { since: now, lines: 0, entries: HashMap::new(), others: HashMap::new() };
            let old = std::mem::replace(&mut *state, fresh);
            let seconds = now.saturating_duration_since(old.since).as_secs_f64();
            (old, seconds)
        };
        let mut lines = Vec::new();
        for ((kind, name), entry) in old.entries {
            let Some(last) = entry.last else { continue };
            let from = match kind.whom {
                Whom::Net(net) => net.to_string(),
                Whom::Session(id) => id.to_string(),
                Whom::Port(port) => port.to_string(),
            };
            let what = What::RefusalsCounted { of: name.to_owned(), from: Some(from), count: entry.more, seconds };
            // Of the last of them: who, the rule, and the address it came from.
            lines.push(Event { what, ..last });
        }
        for (name, count) in old.others {
            let what = What::RefusalsCounted { of: name.to_owned(), from: None, count, seconds };
            let context = Context {
                reason: Some(format!("more than {KEYS} sources; those beyond are counted together")),
                ..Context::default()
            };
            lines.push(Event { what, outcome: Outcome::Refused, actor: super::Actor::Unknown, context });
        }
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::Actor;

    fn event(n: u32) -> Event {
        Event::refused(Actor::Unknown, What::ConnectionRefused {}, &format!("rule {n}"), Context::default())
    }
    fn kind(n: u32) -> Kind {
        Kind { whom: Whom::Net(IpNet::from(std::net::IpAddr::V4(n.into()))), word: "penalty", first: 2 }
    }
    fn counts(events: &[Event]) -> (u64, usize) {
        let of = |e: &Event| match &e.what {
            What::RefusalsCounted { count, .. } => *count,
            other => panic!("{other:?}"),
        };
        (events.iter().map(of).sum(), events.len())
    }

    /// Lines in the journal so far.
    async fn written(journal: &Journal) -> u64 {
        journal.flush().await.unwrap().0
    }

    #[tokio::test]
    async fn the_first_are_written_the_rest_counted_and_none_lost() {
        let dir = tempfile::tempdir().unwrap();
        let journal = Journal::open(dir.path()).unwrap();
        let r = Repeats::default();
        (0..100).for_each(|n| r.record(&journal, kind(1), event(n)));
        r.record(&journal, kind(2), event(0));
        assert_eq!(written(&journal).await, 3);
        let told = r.turn();
        assert_eq!(counts(&told), (98, 1));
        assert_eq!(told[0].context.rule.as_deref(), Some("rule 99"));
        assert!(matches!(&told[0].what, What::RefusalsCounted { of, .. } if of == "connection.refused"));
        assert!(r.turn().is_empty());
        // A new interval tells its first again.
        (0..5).for_each(|n| r.record(&journal, kind(1), event(n)));
        assert_eq!((written(&journal).await, counts(&r.turn())), (5, (3, 1)));
    }

    #[tokio::test]
    async fn a_flood_from_everywhere_is_a_bounded_number_of_lines_and_counted_whole() {
        let dir = tempfile::tempdir().unwrap();
        let journal = Journal::open(dir.path()).unwrap();
        let r = Repeats::default();
        for n in 0..30_000_u32 {
            r.record(&journal, kind(n % 10_000), event(n));
        }
        let written = written(&journal).await;
        assert!(written <= LINES as u64, "{written}");
        let told = r.turn();
        let (counted, lines) = counts(&told);
        assert_eq!(written + counted, 30_000);
        assert!(lines <= KEYS + 1, "{lines}");
    }
}
