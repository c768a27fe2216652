//! Names and numbers that identify things. Each is its own type, so that one cannot pass for another.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;
use std::sync::atomic::{AtomicU64, Ordering};
use thiserror::Error;

/// Longest name of a team, host or operator, in characters.
const NAME_MAX: usize = 64;

/// Why a text is not a name.
#[derive(Debug, Error, Clone, PartialEq, Eq)]
pub enum NameError {
    /// Nothing between the quotes.
    #[error("a name must not be empty")]
    Empty,
    /// More than 64 characters.
    #[error("a name has at most {NAME_MAX} characters, this one has {0}")]
    TooLong(usize),
    /// A character outside letters, digits, `.`, `_` and `-`.
    #[error("{0:?} is not allowed in a name: use letters, digits, '.', '_' and '-'")]
    Char(char),
    /// A leading `-` or `.` would read as an option or a hidden file.
    #[error("a name must begin with a letter or a digit, not {0:?}")]
    Start(char),
}

fn check_name(s: &str) -> Result<(), NameError> {
    let first = s.chars().next().ok_or(NameError::Empty)?;
    let n = s.chars().count();
    if n > NAME_MAX {
        return Err(NameError::TooLong(n));
    }
    if let Some(c) = s.chars().find(|c| !(c.is_alphanumeric() || matches!(c, '.' | '_' | '-'))) {
        return Err(NameError::Char(c));
    }
    if !first.is_alphanumeric() {
        return Err(NameError::Start(first));
    }
    Ok(())
}

macro_rules! name_type {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(std::sync::Arc<str>);

        impl $name {
            /// The name as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }
        impl FromStr for $name {
            type Err = NameError;
            fn from_str(s: &str) -> Result<Self, NameError> {
                check_name(s)?;
                Ok(Self(s.into()))
            }
        }
        impl TryFrom<String> for $name {
            type Error = NameError;
            fn try_from(s: String) -> Result<Self, NameError> {
                s.parse()
            }
        }
        impl From<$name> for String {
            fn from(n: $name) -> String {
                n.0.as_ref().to_owned()
            }
        }
        impl std::borrow::Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }
    };
}

name_type!(
    /// A team: owns hosts, operators' scope and port ranges.
    TeamName
);
name_type!(
    /// A host: a machine behind NAT that dials in.
    HostName
);
name_type!(
    /// An operator: a person with a role.
    OperatorName
);
name_type!(
    /// A certificate authority that vouches for hosts or operators.
    AuthorityName
);

/// Number of an event in the audit journal. It rises by one with every event of this bastion, across restarts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Seq(pub u64);

impl fmt::Display for Seq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Version of the daemon's live state; each change of any row raises it. Starts anew with the daemon.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Revision(pub u64);

/// One SSH connection. Unique across restarts, and rising: the later session of a host has the higher id, so the id
/// is also the session's generation (a late close of the old one never removes the new one).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SessionId(u64);

/// One TCP connection of a visitor to a tunnel. Unique across restarts, and rising.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct VisitorId(u64);

/// One grant until a time. Unique across restarts, and rising.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct GrantId(u64);

/// An act that waits for a second operator. Unique across restarts, so that nobody confirms another one by an old id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ProposalId(u64);

/// Microseconds since 2020, or one more than the last one given, whichever is larger.
fn next_id() -> u64 {
    static LAST: AtomicU64 = AtomicU64::new(0);
    const EPOCH_2020: i64 = 1_577_836_800_000_000;
    let now = u64::try_from(chrono::Utc::now().timestamp_micros() - EPOCH_2020).unwrap_or(0);
    let prev = LAST.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |last| Some(now.max(last + 1))).unwrap_or(0);
    now.max(prev + 1)
}

/// Text form: a letter that tells the kind, then base 36.
fn write_id(f: &mut fmt::Formatter<'_>, kind: char, mut n: u64) -> fmt::Result {
    let mut digits = Vec::with_capacity(13);
    loop {
        let d = u32::try_from(n % 36).unwrap_or(0);
        digits.push(char::from_digit(d, 36).unwrap_or('0'));
        n /= 36;
        if n == 0 {
            break;
        }
    }
    let s: String = std::iter::once(kind).chain(digits.into_iter().rev()).collect();
    f.pad(&s)
}

macro_rules! id_type {
    ($name:ident, $kind:literal, $what:literal) => {
        impl $name {
            /// A new one, larger than every one before.
            #[must_use]
            #[allow(clippy::new_without_default)]
            pub fn new() -> Self {
                Self(next_id())
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write_id(f, $kind, self.0)
            }
        }
        impl FromStr for $name {
            type Err = String;
            fn from_str(s: &str) -> Result<Self, String> {
                s.strip_prefix($kind).and_then(|rest| u64::from_str_radix(rest, 36).ok()).map(Self).ok_or_else(|| {
                    format!(concat!("{:?} is not a ", $what, " id (they look like ", $kind, "1k2x9…)"), s)
                })
            }
        }
        impl TryFrom<String> for $name {
            type Error = String;
            fn try_from(s: String) -> Result<Self, String> {
                s.parse()
            }
        }
        impl From<$name> for String {
            fn from(id: $name) -> String {
                id.to_string()
            }
        }
    };
}
id_type!(SessionId, 's', "session");
id_type!(VisitorId, 'v', "visitor");
id_type!(GrantId, 'g', "grant");
id_type!(ProposalId, 'p', "proposal");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_take_words_of_any_script_and_refuse_what_a_terminal_or_shell_would_misread() {
        assert!("pay-db.1".parse::<HostName>().is_ok());
        assert!("결제-서버".parse::<HostName>().is_ok());
        for bad in ["", "a b", "-x", ".x", "a/b", "a\u{1b}[31m", "a\u{202e}b", &"x".repeat(65)] {
            assert!(bad.parse::<HostName>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn ids_rise_and_survive_text() {
        let a = SessionId::new();
        let b = SessionId::new();
        assert!(b > a);
        assert_eq!(a.to_string().parse::<SessionId>().unwrap(), a);
        assert!("v1".parse::<SessionId>().is_err());
    }
}
