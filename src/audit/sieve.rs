//! What a line that matches must have in it, looked for in its bytes: most lines are passed over without being parsed.

use super::chain::TAIL;
use super::folded::Folded;
use super::query::is_hash;
use super::{About, AuditQuery};
use crate::model::Time;
use memchr::memmem::Finder;
use regex::bytes::Regex;

/// One text, to be found in bytes.
#[derive(Debug)]
enum Needle {
    /// As it is.
    Exact(Box<Finder<'static>>),
    /// In any case.
    Folded(Box<Folded>),
    /// Any of several texts.
    Any(Regex),
    /// As it is, when it can be no regular expression (too long): lines are compared one by one.
    Slow(String),
}

impl Needle {
    fn exact(text: &str) -> Self {
        Self::Exact(Box::new(Finder::new(text.as_bytes()).into_owned()))
    }

    /// A text whose case does not matter.
    fn folded(text: &str) -> Self {
        if text.chars().all(|c| c.to_lowercase().eq([c]) && c.to_uppercase().eq([c])) {
            return Self::exact(text);
        }
        Folded::new(text).map_or_else(|| Self::Slow(text.to_lowercase()), |f| Self::Folded(Box::new(f)))
    }

    /// One of several texts; none if that cannot be.
    fn any(texts: &[String]) -> Option<Self> {
        match texts {
            [] => None,
            [one] => Some(Self::exact(one)),
            several => {
                let all: Vec<String> = several.iter().map(|t| regex::escape(t)).collect();
                Regex::new(&all.join("|")).ok().map(Self::Any)
            }
        }
    }

    fn find(&self, bytes: &[u8]) -> Option<usize> {
        match self {
            Self::Exact(f) => f.find(bytes),
            Self::Folded(f) => f.find(bytes),
            Self::Any(r) => r.find(bytes).map(|m| m.start()),
            Self::Slow(t) => std::str::from_utf8(bytes).is_ok_and(|s| s.to_lowercase().contains(t)).then_some(0),
        }
    }

    fn is_slow(&self) -> bool {
        matches!(self, Self::Slow(_))
    }
}

/// See the module.
#[derive(Debug)]
pub(super) struct Sieve {
    /// The rarest first. With each, whether it may be in the hashes at the end of a line.
    needles: Vec<(Needle, bool)>,
    since: Option<String>,
    until: Option<String>,
}

impl Sieve {
    pub(super) fn new(query: &AuditQuery) -> Self {
        let mut needles = Vec::new();
        let mut texts: Vec<&str> = query.texts().filter(|t| !t.is_empty()).collect();
        texts.sort_by_key(|t| std::cmp::Reverse(t.len()));
        needles.extend(texts.into_iter().map(|t| (Needle::folded(t), is_hash(t))));
        let mut exact = |text: Option<String>| needles.extend(text.map(|t| (Needle::exact(&t), false)));
        // From what few lines have to what many have. Names have no character that JSON escapes.
        exact(query.session.map(|s| format!("\"session\":\"{s}\"")));
        exact(query.key.as_ref().filter(|k| plain(k)).map(|k| format!("\"fingerprint\":\"{k}")));
        exact(query.user.as_ref().filter(|u| plain(u)).map(|u| format!("\"user\":\"{u}\"")));
        exact(query.port.map(|p| format!("\"port\":{p},")));
        exact(query.host.as_ref().map(|h| format!("\"host\":\"{h}\"")));
        exact(query.source.and_then(|s| s.needle()));
        let actor = query.actor.as_ref().filter(|a| plain(a)).and_then(|a| {
            let actor = match a.as_str() {
                // A host may have such a name too.
                "visitor" | "unknown" | "daemon" => format!("\"{a}\"}}"),
                a => format!("\"name\":\"{a}\"}}"),
            };
            Needle::any(&[actor, format!("\"proposed_by\":\"{a}\"")])
        });
        needles.extend(actor.map(|n| (n, false)));
        let traces: Option<Vec<Vec<String>>> = query.about.iter().map(About::traces).collect();
        needles.extend(traces.and_then(|t| Needle::any(&t.concat())).map(|n| (n, false)));
        let events = query.event.as_deref().filter(|e| plain(e)).unwrap_or_default();
        let events = events.split(',').map(|e| e.trim().trim_end_matches('.')).filter(|e| !e.is_empty());
        let events: Vec<String> = events.map(|e| format!("\"event\":\"{e}")).collect();
        needles.extend(Needle::any(&events).map(|n| (n, false)));
        let mut exact = |text: Option<String>| needles.extend(text.map(|t| (Needle::exact(&t), false)));
        exact(query.team.as_ref().map(|t| format!("\"team\":\"{t}\"")));
        exact(query.outcome.map(|o| {
            let word = match o {
                super::Outcome::Success => "success",
                super::Outcome::Refused => "refused",
                super::Outcome::Failure => "failure",
            };
            format!("\"outcome\":\"{word}\"")
        }));
        // Whole seconds only: text of RFC 3339 sorts like time as long as no fraction is compared.
        let second = |t: Time| t.format("%Y-%m-%dT%H:%M:%S").to_string();
        Self { needles, since: query.since.map(second), until: query.until.map(second) }
    }

    /// The lines of a block that may match, where they begin and end, in the order of the block. None when nothing narrows
    /// them: then every line may.
    pub(super) fn candidates(&self, block: &[u8], out: &mut Vec<(usize, usize)>) -> bool {
        out.clear();
        let Some((first, _)) = self.needles.first().filter(|(n, _)| !n.is_slow()) else { return false };
        let mut from = 0;
        while let Some(at) = block.get(from..).and_then(|rest| first.find(rest)) {
            let hit = from + at;
            let begin = block.get(..hit).and_then(|b| memchr::memrchr(b'\n', b)).map_or(0, |at| at + 1);
            let end = block.get(hit..).and_then(|b| memchr::memchr(b'\n', b)).map_or(block.len(), |at| hit + at);
            out.push((begin, end));
            from = end + 1;
        }
        true
    }

    /// Whether the line has all that a match must have.
    pub(super) fn may_match(&self, line: &[u8]) -> bool {
        let said = line.len().checked_sub(TAIL).and_then(|n| line.get(..n)).unwrap_or(line);
        self.in_time(line)
            && self.needles.iter().all(|(n, anywhere)| n.find(if *anywhere { line } else { said }).is_some())
    }

    fn in_time(&self, line: &[u8]) -> bool {
        if self.since.is_none() && self.until.is_none() {
            return true;
        }
        // The time stands right behind the number.
        let head = line.get(..64).unwrap_or(line);
        let at = memchr::memmem::find(head, b"\"at\":\"").and_then(|n| head.get(n + 6..n + 25));
        at.is_some_and(|s| {
            self.since.as_deref().is_none_or(|since| s >= since.as_bytes())
                && self.until.as_deref().is_none_or(|until| s <= until.as_bytes())
        })
    }
}

/// Whether JSON writes it as it is.
fn plain(text: &str) -> bool {
    text.chars().all(|c| !c.is_control() && c != '"' && c != '\\')
}
