//! The filter of `portreeve tunnels`: words, and small comparisons such as `team=pay state!=up port=201*`.

use crate::model::{TunnelView, glob};

/// Every term must hold.
#[derive(Debug, Default)]
pub struct Filter(Vec<Term>);

#[derive(Debug)]
enum Term {
    /// Occurs anywhere in the row, case ignored.
    Word(String),
    /// The field is (or is not) this; `*` stands for any text.
    Text { key: Key, equal: bool, pattern: String },
    /// The field is more (or less) than this.
    Number { key: Key, more: bool, than: u64 },
}

#[derive(Debug, Clone, Copy)]
enum Key {
    Port,
    Host,
    Team,
    Service,
    State,
    Kind,
    Source,
    Session,
    Health,
    Visitors,
    Bytes,
    Behind,
    Waiting,
}

/// Names of the fields, as typed.
const KEYS: &[(&str, Key)] = &[
    ("port", Key::Port),
    ("host", Key::Host),
    ("team", Key::Team),
    ("service", Key::Service),
    ("state", Key::State),
    ("kind", Key::Kind),
    ("source", Key::Source),
    ("session", Key::Session),
    ("health", Key::Health),
    ("visitors", Key::Visitors),
    ("bytes", Key::Bytes),
    ("behind", Key::Behind),
    ("waiting", Key::Waiting),
];

impl Filter {
    /// Reads the terms.
    ///
    /// # Errors
    /// A sentence that names the term and what is possible.
    pub fn parse(terms: &[String]) -> Result<Self, String> {
        terms.iter().flat_map(|t| t.split_whitespace()).map(term).collect::<Result<_, _>>().map(Self)
    }

    /// Whether the row is to be shown.
    #[must_use]
    pub fn matches(&self, row: &TunnelView) -> bool {
        self.0.iter().all(|t| match t {
            Term::Word(w) => KEYS.iter().any(|(_, k)| text(*k, row).to_lowercase().contains(w)),
            Term::Text { key, equal, pattern } => glob(pattern, &text(*key, row).to_lowercase()) == *equal,
            Term::Number { key, more, than } => {
                number(*key, row).is_some_and(|n| if *more { n > *than } else { n < *than })
            }
        })
    }
}

fn term(t: &str) -> Result<Term, String> {
    let Some(at) = t.find(['=', '!', '<', '>']).filter(|at| *at > 0) else { return Ok(Term::Word(t.to_lowercase())) };
    let (name, rest) = t.split_at(at);
    let key = KEYS.iter().find(|(n, _)| *n == name).map(|(_, k)| *k).ok_or_else(|| {
        let names: Vec<&str> = KEYS.iter().map(|(n, _)| *n).collect();
        format!("{t:?}: there is no field {name:?} to filter by; there are {}", names.join(", "))
    })?;
    let than = |digits: &str| {
        digits.parse().map_err(|_| format!("{t:?}: {digits:?} is not a whole number to compare {name} with"))
    };
    match key {
        Key::Port | Key::Visitors | Key::Bytes | Key::Behind | Key::Waiting => {
            if let Some(n) = rest.strip_prefix('>') {
                return Ok(Term::Number { key, more: true, than: than(n)? });
            }
            if let Some(n) = rest.strip_prefix('<') {
                return Ok(Term::Number { key, more: false, than: than(n)? });
            }
        }
        _ => {}
    }
    let (equal, value) = match (rest.strip_prefix("!="), rest.strip_prefix('=')) {
        (Some(v), _) => (false, v),
        (None, Some(v)) => (true, v),
        (None, None) => return Err(format!("{t:?}: write {name}=VALUE or {name}!=VALUE")),
    };
    Ok(Term::Text { key, equal, pattern: value.to_lowercase() })
}

fn text(key: Key, row: &TunnelView) -> String {
    let l = &row.lease;
    match key {
        Key::Port => l.port.to_string(),
        Key::Host => l.host.to_string(),
        Key::Team => l.team.to_string(),
        Key::Service => l.service.clone().unwrap_or_default(),
        Key::State => row.state.to_string(),
        Key::Kind => l.kind.to_string(),
        Key::Source => row.source.map(|s| s.to_string()).unwrap_or_default(),
        Key::Session => row.session.map(|s| s.to_string()).unwrap_or_default(),
        Key::Health => row.health.verdict.to_string(),
        Key::Visitors | Key::Bytes | Key::Behind | Key::Waiting => {
            number(key, row).map(|n| n.to_string()).unwrap_or_default()
        }
    }
}

fn number(key: Key, row: &TunnelView) -> Option<u64> {
    match key {
        Key::Port => Some(row.lease.port.get().into()),
        Key::Visitors => Some(row.visitors_now.into()),
        Key::Bytes => Some(row.bytes_to_host.saturating_add(row.bytes_to_visitors)),
        Key::Behind => Some(row.behind.visitors.into()),
        Key::Waiting => Some(row.behind.buffered),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::fake::tunnel;
    use crate::model::TunnelState;

    fn shows(terms: &str) -> bool {
        Filter::parse(&[terms.to_owned()]).unwrap().matches(&tunnel(20100, "pay-db", "pay", TunnelState::Degraded))
    }

    #[test]
    fn words_and_comparisons_must_all_hold() {
        for yes in [
            "",
            "DB",
            "pay degr",
            "team=pay state!=up",
            "port=201*",
            "port>20000 visitors<3",
            "host=*-d*",
            "source=203.*",
            "behind=0 waiting<1",
        ] {
            assert!(shows(yes), "{yes}");
        }
        for no in ["iot", "team=pa", "state=up", "state!=degraded", "port=2*1", "visitors>2", "host=*x", "bytes<10"] {
            assert!(!shows(no), "{no}");
        }
    }

    #[test]
    fn an_unknown_field_is_named_with_those_there_are() {
        let e = Filter::parse(&["colour=red".to_owned()]).unwrap_err();
        assert!(e.contains("colour") && e.contains("team"), "{e}");
        assert!(Filter::parse(&["port>x".to_owned()]).is_err());
        assert!(Filter::parse(&["team>3".to_owned()]).is_err());
    }
}
