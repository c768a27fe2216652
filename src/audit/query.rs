//! What can be asked of the journal.

use super::{About, Actor, Origin, Outcome, Record};
use crate::model::{HostName, Port, Seq, SessionId, TeamName, Time};
use chrono::{Days, Local, NaiveDate, NaiveDateTime, NaiveTime, TimeZone};
use serde::{Deserialize, Serialize};

/// Which records. Every field given must match; an empty query matches all.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct AuditQuery {
    /// Only after this number.
    pub after: Option<Seq>,
    /// Only before this number.
    pub before: Option<Seq>,
    /// Only at or after this time.
    pub since: Option<Time>,
    /// Only before this time.
    pub until: Option<Time>,
    /// Event name, or its beginning up to a dot: `auth.failure`, `auth`. Of several, with commas between them, any.
    pub event: Option<String>,
    /// How it went.
    pub outcome: Option<Outcome>,
    /// Name of the operator or host on whose account it happened, or of the operator who proposed it.
    pub actor: Option<String>,
    /// Host concerned.
    pub host: Option<HostName>,
    /// Team concerned.
    pub team: Option<TeamName>,
    /// Port concerned.
    pub port: Option<Port>,
    /// Concerning any of these; anything when empty.
    pub about: Vec<About>,
    /// Where the peer came from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<Origin>,
    /// User name given at login.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// Fingerprint of the key used, or its beginning.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// SSH session concerned.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session: Option<SessionId>,
    /// A text that occurs anywhere in the line (hashes aside, unless it looks like one), case ignored.
    pub text: Option<String>,
    /// Texts that occur in the line as well.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub words: Vec<String>,
    /// At most this many, the newest ones; 1,000 when absent, 100,000 at most.
    pub limit: Option<usize>,
}

impl AuditQuery {
    /// Whether the record matches, `limit` aside.
    #[must_use]
    pub fn matches(&self, r: &Record) -> bool {
        self.matches_fields(r) && {
            let mut texts = self.texts().peekable();
            texts.peek().is_none() || {
                let line = serde_json::to_string(r).unwrap_or_default().to_lowercase();
                let said = line.rfind(",\"prev\":\"").and_then(|at| line.get(..at)).unwrap_or(&line);
                texts.all(|t| (if is_hash(t) { &line } else { said }).contains(&t.to_lowercase()))
            }
        }
    }

    /// The texts that must occur.
    pub(super) fn texts(&self) -> impl Iterator<Item = &str> {
        self.text.iter().chain(&self.words).map(String::as_str)
    }

    /// Whether everything but the texts matches.
    pub(super) fn matches_fields(&self, r: &Record) -> bool {
        let c = &r.event.context;
        self.after.is_none_or(|s| r.seq > s)
            && self.before.is_none_or(|s| r.seq < s)
            && self.since.is_none_or(|t| r.at >= t)
            && self.until.is_none_or(|t| r.at < t)
            && self.event.as_deref().is_none_or(|e| event_matches(e, r.event.name()))
            && (self.about.is_empty() || self.about.iter().any(|a| a.matches(r)))
            && self.outcome.is_none_or(|o| o == r.event.outcome)
            && self.actor.as_deref().is_none_or(|a| match &r.event.actor {
                Actor::Operator(n) | Actor::Host(n) if n == a => true,
                Actor::Visitor if a == "visitor" => true,
                Actor::Unknown if a == "unknown" => true,
                Actor::Daemon if a == "daemon" => true,
                _ => c.proposed_by.as_deref() == Some(a),
            })
            && self.host.as_ref().is_none_or(|h| c.host.as_ref() == Some(h))
            && self.team.as_ref().is_none_or(|t| c.team.as_ref() == Some(t))
            && self.port.is_none_or(|p| c.port == Some(p))
            && self.source.is_none_or(|o| c.source.is_some_and(|s| o.contains(s)))
            && self.user.as_ref().is_none_or(|u| c.user.as_ref() == Some(u))
            && self.key.as_deref().is_none_or(|k| c.fingerprint.as_deref().is_some_and(|f| f.starts_with(k)))
            && self.session.is_none_or(|s| c.session == Some(s))
    }
}

/// Whether an event of this name is meant: its name, or the beginning of it up to a dot; of several, with commas between
/// them, any.
#[must_use]
pub fn event_matches(wanted: &str, name: &str) -> bool {
    wanted
        .split(',')
        .map(|w| w.trim().trim_end_matches('.'))
        .any(|wanted| name == wanted || name.strip_prefix(wanted).is_some_and(|rest| rest.starts_with('.')))
}

/// Whether somebody who looks for this looks for a hash. Else the digits of hashes would match every few lines.
pub(super) fn is_hash(text: &str) -> bool {
    text.len() >= 16 && text.bytes().all(|b| b.is_ascii_hexdigit())
        || text.contains("\"prev\"")
        || text.contains("\"hash\"")
}

/// Whose days and hours are meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Clock {
    /// Those of this machine's zone.
    Local,
    /// Those of UTC.
    Utc,
}

/// Times of day as people write them.
const TIMES: [&str; 2] = ["%H:%M", "%H:%M:%S"];

/// A moment as people write it: `1h` or `2days` (so long ago), `14:05` (the last time it was so late), `today`, `yesterday`,
/// `2026-01-31`, `2026-01-31T14:00`, or RFC 3339. None when it is none of these.
#[must_use]
pub fn moment(text: &str, now: Time, clock: Clock) -> Option<Time> {
    let at = |naive: NaiveDateTime| match clock {
        Clock::Utc => Some(naive.and_utc()),
        Clock::Local => Local.from_local_datetime(&naive).earliest().map(|t| t.to_utc()),
    };
    let here = match clock {
        Clock::Utc => now.naive_utc(),
        Clock::Local => now.with_timezone(&Local).naive_local(),
    };
    if let Ok(ago) = humantime::parse_duration(text) {
        return now.checked_sub_signed(chrono::TimeDelta::from_std(ago).ok()?);
    }
    if let Ok(t) = chrono::DateTime::parse_from_rfc3339(&text.to_uppercase()) {
        return Some(t.to_utc());
    }
    let day = match text {
        "today" => Some(here.date()),
        "yesterday" => here.date().checked_sub_days(Days::new(1)),
        _ => text.parse::<NaiveDate>().ok(),
    };
    if let Some(day) = day {
        return at(day.and_time(NaiveTime::MIN));
    }
    if let Some(time) = TIMES.iter().find_map(|f| NaiveTime::parse_from_str(text, f).ok()) {
        let today = here.date().and_time(time);
        return at(if today > here { today.checked_sub_days(Days::new(1))? } else { today });
    }
    let spelt = text.to_uppercase();
    ["%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S"]
        .iter()
        .find_map(|f| NaiveDateTime::parse_from_str(&spelt, f).ok())
        .and_then(at)
}

/// A moment to come: `2days` (from now on), `18:00` (the next time it is so late), `tomorrow`, or what [`moment`] knows that
/// is not past.
#[must_use]
pub fn moment_ahead(text: &str, now: Time, clock: Clock) -> Option<Time> {
    if let Ok(time) = humantime::parse_duration(text) {
        return now.checked_add_signed(chrono::TimeDelta::from_std(time).ok()?);
    }
    if TIMES.iter().any(|f| NaiveTime::parse_from_str(text, f).is_ok()) {
        let of = |day: NaiveDate| moment(&format!("{day}T{text}"), now, clock);
        let today = day_of(now, clock);
        return of(today).filter(|t| *t > now).or_else(|| of(today.checked_add_days(Days::new(1))?));
    }
    let at = match text {
        "tomorrow" => {
            let today = moment("today", now, clock)?;
            // Past the end of the day, however long it is, and then its beginning.
            moment(&day_of(today + chrono::TimeDelta::hours(36), clock).to_string(), now, clock)
        }
        _ => moment(text, now, clock),
    };
    at.filter(|t| *t > now)
}

fn day_of(t: Time, clock: Clock) -> NaiveDate {
    match clock {
        Clock::Utc => t.date_naive(),
        Clock::Local => t.with_timezone(&Local).date_naive(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_as_people_write_them() {
        let now: Time = "2026-11-21T14:02:11Z".parse().unwrap();
        for (text, want) in [
            ("1h", "2026-11-21T13:02:11Z"),
            ("2days", "2026-11-19T14:02:11Z"),
            ("2026-11-20", "2026-11-20T00:00:00Z"),
            ("today", "2026-11-21T00:00:00Z"),
            ("yesterday", "2026-11-20T00:00:00Z"),
            ("14:00", "2026-11-21T14:00:00Z"),
            ("14:30", "2026-11-20T14:30:00Z"),
            ("2026-11-20T07:30", "2026-11-20T07:30:00Z"),
            ("2026-11-20t07:30:05", "2026-11-20T07:30:05Z"),
            ("2026-11-20T16:00:00+09:00", "2026-11-20T07:00:00Z"),
        ] {
            assert_eq!(moment(text, now, Clock::Utc), Some(want.parse().unwrap()), "{text}");
        }
        assert_eq!(moment("whenever", now, Clock::Utc), None);
        assert_eq!(moment("9999999999999days", now, Clock::Utc), None);
        for (text, want) in [
            ("2days", Some("2026-11-23T14:02:11Z")),
            ("tomorrow", Some("2026-11-22T00:00:00Z")),
            ("2026-12-01", Some("2026-12-01T00:00:00Z")),
            ("2026-11-20", None),
            ("18:00", Some("2026-11-21T18:00:00Z")),
            ("14:02", Some("2026-11-22T14:02:00Z")),
            ("14:02:12", Some("2026-11-21T14:02:12Z")),
            ("25:00", None),
        ] {
            assert_eq!(moment_ahead(text, now, Clock::Utc), want.map(|w| w.parse().unwrap()), "{text}");
        }
        let today = moment("today", now, Clock::Local).unwrap().with_timezone(&Local);
        assert_eq!(today.time(), NaiveTime::MIN, "days of this machine's zone");
    }

    #[test]
    fn hashes_are_searched_only_for_what_looks_like_one() {
        for yes in ["00ff00ff00ff00ff", "\"prev\":\"00"] {
            assert!(is_hash(yes), "{yes}");
        }
        for no in ["20122", "dead", "00ff00ff00ff00fg"] {
            assert!(!is_hash(no), "{no}");
        }
    }
}
