//! The filter's small language: words, and terms such as `team=pay state!=up port=201* rtt>200ms`. All must hold.

use crate::model::glob;
use std::borrow::Cow;

/// What a row offers to a filter.
pub(crate) trait Fields {
    /// The field of this name; `None` when there is no such field, an empty text when it has no value.
    fn field(&self, name: &str) -> Option<String>;
    /// The same where it is at hand as it is.
    fn text(&self, _name: &str) -> Option<&str> {
        None
    }
    /// What plain words are looked for in.
    fn words(&self) -> String;
    /// The same in lower case.
    fn lower(&self) -> Cow<'_, str> {
        Cow::Owned(self.words().to_lowercase())
    }
    /// Whether `name=value` holds, where that is not a comparison of texts. The value is in lower case.
    fn holds(&self, _name: &str, _value: &str) -> Option<bool> {
        None
    }
}

/// What a filter asks for, as far as somebody else can look for it.
pub(crate) enum Asked<'a> {
    /// This word, whatever its case.
    Word(&'a str),
    /// A field that is this.
    Is(&'a str, &'a str),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Op {
    Is,
    Not,
    Above,
    Below,
}

#[derive(Debug, Clone, PartialEq)]
enum Term {
    Word { text: String, not: bool },
    Field { name: String, op: Op, value: String },
}

/// A filter as typed and as understood.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Filter {
    pub(crate) text: String,
    terms: Vec<Term>,
}

impl Filter {
    pub(crate) fn parse(text: &str) -> Self {
        let terms = text.split_whitespace().map(term).collect();
        Self { text: text.trim().to_owned(), terms }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.terms.is_empty()
    }

    pub(crate) fn matches(&self, row: &impl Fields) -> bool {
        let mut words: Option<Cow<'_, str>> = None;
        self.terms.iter().all(|t| match t {
            Term::Word { text, not } => words.get_or_insert_with(|| row.lower()).contains(text) != *not,
            Term::Field { name, op, value } => field_holds(row, name, *op, value),
        })
    }

    /// Whether all terms but the words hold.
    pub(crate) fn matches_fields(&self, row: &impl Fields) -> bool {
        self.terms.iter().all(|t| match t {
            Term::Word { not: false, .. } => true,
            Term::Word { text, not: true } => !row.lower().contains(text),
            Term::Field { name, op, value } => field_holds(row, name, *op, value),
        })
    }

    /// What must be there: words, and fields that are something.
    pub(crate) fn asked(&self) -> impl Iterator<Item = Asked<'_>> {
        self.terms.iter().filter_map(|t| match t {
            Term::Word { text, not: false } => Some(Asked::Word(text)),
            Term::Field { name, op: Op::Is, value } => Some(Asked::Is(name, value)),
            _ => None,
        })
    }

    /// A term whose field this kind of row does not have; the filter would hide everything without saying why.
    pub(crate) fn unknown_field(&self, row: &impl Fields) -> Option<&str> {
        self.terms.iter().find_map(|t| match t {
            Term::Field { name, .. } if row.field(name).is_none() => Some(name.as_str()),
            _ => None,
        })
    }
}

fn term(s: &str) -> Term {
    for (sign, op) in [("!=", Op::Not), (">", Op::Above), ("<", Op::Below), ("=", Op::Is)] {
        if let Some((name, value)) = s.split_once(sign).filter(|(n, _)| !n.is_empty()) {
            let value = value.trim_start_matches('=').to_lowercase();
            return Term::Field { name: name.to_lowercase(), op, value };
        }
    }
    match s.strip_prefix('!').filter(|rest| !rest.is_empty()) {
        Some(rest) => Term::Word { text: rest.to_lowercase(), not: true },
        None => Term::Word { text: s.to_lowercase(), not: false },
    }
}

fn field_holds(row: &impl Fields, name: &str, op: Op, value: &str) -> bool {
    let own = match op {
        // While the value is still being typed, nothing is hidden.
        _ if value.is_empty() => None,
        Op::Is => row.holds(name, value),
        Op::Not => row.holds(name, value).map(|held| !held),
        Op::Above | Op::Below => None,
    };
    own.unwrap_or_else(|| match row.text(name) {
        Some(v) => holds(v, op, value),
        None => row.field(name).is_some_and(|v| holds(&v, op, value)),
    })
}

fn holds(have: &str, op: Op, want: &str) -> bool {
    if want.is_empty() {
        // While the value is still being typed, nothing is hidden.
        return true;
    }
    let low = |c: u8| c.is_ascii() && !c.is_ascii_uppercase();
    let have = if have.bytes().all(low) { Cow::Borrowed(have) } else { Cow::Owned(have.to_lowercase()) };
    match op {
        Op::Is => glob(want, &have),
        Op::Not => !glob(want, &have),
        Op::Above => number(&have).zip(number(want)).is_some_and(|(a, b)| a > b),
        Op::Below => number(&have).zip(number(want)).is_some_and(|(a, b)| a < b),
    }
}

/// A number with its unit: times in milliseconds, sizes in bytes.
fn number(s: &str) -> Option<f64> {
    let end = s.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(s.len());
    let (n, unit) = s.split_at(end);
    let factor = match unit {
        "" | "ms" | "b" => 1.0,
        "s" => 1e3,
        "m" | "min" => 6e4,
        "h" => 3.6e6,
        "d" => 8.64e7,
        "k" | "kb" | "kib" => 1024.0,
        "mb" | "mib" => 1_048_576.0,
        "g" | "gb" | "gib" => 1_073_741_824.0,
        _ => return None,
    };
    n.parse::<f64>().ok().map(|n| n * factor)
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Row;
    impl Fields for Row {
        fn field(&self, name: &str) -> Option<String> {
            Some(match name {
                "team" => "pay".into(),
                "state" => "degraded".into(),
                "port" => "20122".into(),
                "rtt" => "250".into(),
                "bytes" => "4096".into(),
                "health" => String::new(),
                _ => return None,
            })
        }
        fn words(&self) -> String {
            "20122 결제-DB ssh pay".into()
        }
    }

    #[test]
    fn words_and_terms_must_all_hold() {
        for (query, holds) in [
            ("", true),
            ("db", true),
            ("결제", true),
            ("db nothing", false),
            ("!nothing", true),
            ("!db", false),
            ("team=pay state!=up port=201* rtt>200ms", true),
            ("rtt>0.3s", false),
            ("rtt<=1s", true),
            ("bytes>3k", true),
            ("port=*22", true),
            ("port=2*2*2", true),
            ("port=2*3", false),
            ("health=failing", false),
            ("state!=degraded", false),
            ("state=", true),
        ] {
            assert_eq!(Filter::parse(query).matches(&Row), holds, "{query}");
        }
    }

    #[test]
    fn a_field_that_does_not_exist_is_named() {
        assert_eq!(Filter::parse("team=pay colour=red").unknown_field(&Row), Some("colour"));
        assert_eq!(Filter::parse("team=pay").unknown_field(&Row), None);
    }
}
