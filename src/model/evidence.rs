//! What a rule of triage has seen: facts, and the sentence that is made of them for the journal and the command line. A
//! console in another language makes its own.

use super::{CheckKind, LeaseKind, Obituary, ObituaryCause, Port, Time};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::net::IpAddr;

/// What is left is said in hours below this, seconds.
pub const TWO_DAYS: i64 = 2 * 86_400;

/// See the module.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Evidence {
    /// The journal cannot be written.
    JournalFailed {
        /// What the system says.
        why: String,
    },
    /// The bastion does not keep up.
    Overloaded {
        /// How often its threads ran late.
        late: usize,
        /// By how much at worst, milliseconds.
        worst_ms: u64,
        /// Accepts that failed.
        unaccepted: u64,
    },
    /// A key expires soon, or has expired.
    KeyExpires {
        /// Its fingerprint.
        key: String,
        /// When.
        at: Time,
        /// Seconds left; zero or less when it has expired.
        left_s: i64,
    },
    /// A key that nobody has is offered in a host's name.
    UnknownKey {
        /// How often.
        count: u64,
        /// Where from.
        source: IpAddr,
        /// Where the host was last.
        was: Option<IpAddr>,
        /// The user name given.
        user: String,
        /// The key's fingerprint.
        key: String,
    },
    /// A host is refused.
    Refused {
        /// How often.
        count: u64,
        /// The rule that decided.
        rule: String,
    },
    /// Several hosts of one network fell silent together.
    NetworkLost {
        /// How many.
        lost: usize,
        /// Of how many known there.
        known: usize,
        /// The network.
        network: String,
        /// Seconds between the first and the last.
        seconds: i64,
    },
    /// A host's sessions end again and again.
    Restarts {
        /// How often.
        count: u32,
        /// Since when.
        since: Time,
        /// Seconds between two ends.
        every: i64,
        /// How the last one ended.
        last: ObituaryCause,
    },
    /// A host went silent.
    Silent {
        /// How its session ended.
        end: Obituary,
        /// When the last byte came.
        heard: Option<Time>,
        /// The last round trip, milliseconds.
        rtt_ms: Option<u64>,
    },
    /// A host's session ended, and it is not back.
    Gone {
        /// How it ended.
        end: Obituary,
    },
    /// A service does not answer its checks.
    Service {
        /// The port on the bastion.
        port: Port,
        /// The service's name.
        service: Option<String>,
        /// How it is checked.
        check: CheckKind,
        /// What the check said.
        error: Option<String>,
    },
    /// A host is connected and did not ask for a port of its own.
    NotRequested {
        /// Connected since.
        since: Time,
        /// The port.
        port: Port,
        /// Where its lease comes from.
        lease: LeaseKind,
    },
    /// A team's ranges are full.
    Exhausted {
        /// Ports leased and reserved.
        ports: usize,
        /// The ranges.
        ranges: String,
        /// Whether some are reserved.
        reserved: bool,
        /// How many are leased and not up.
        down: usize,
    },
    /// The bastion was restarted.
    Restarted {
        /// When.
        at: Time,
        /// Tunnels that are not back.
        missing: usize,
        /// Tunnels in all.
        total: usize,
    },
    /// A host has not dialled in since the start.
    Absent,
    /// The first of several things seen.
    First {
        /// It.
        first: Box<Evidence>,
        /// How many more.
        more: usize,
    },
    /// Many hosts taken together, as the table of rules words it.
    Many {
        /// How many hosts.
        hosts: usize,
        /// How many ports.
        ports: usize,
        /// Some of their names.
        names: Vec<String>,
    },
    /// What a newer daemon sees.
    #[serde(other)]
    Unknown,
}

impl fmt::Display for Evidence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::JournalFailed { why } => {
                write!(f, "{why}; new logins and grants are refused, tunnels that stand stay and revoke works")
            }
            Self::Overloaded { late, worst_ms, unaccepted } => {
                let worst = Seconds(*worst_ms);
                match late {
                    0 => {}
                    1 => write!(f, "one of its threads ran {worst} s late")?,
                    n => write!(f, "its threads ran late ×{n}, by up to {worst} s")?,
                }
                if *late > 0 {
                    f.write_str(": the machine is short of processor time, or stood still")?;
                }
                if *unaccepted > 0 {
                    let gap = if *late > 0 { "; " } else { "" };
                    write!(f, "{gap}connections could not be accepted ×{unaccepted}: no descriptors or memory left")?;
                }
                Ok(())
            }
            Self::KeyExpires { key, at, left_s } => {
                let at = at.format("%Y-%m-%d %H:%M:%SZ");
                match left_s {
                    ..=0 => {
                        write!(f, "its key {key} expired at {at}: it signs in no more, a session that stands stays")
                    }
                    1..TWO_DAYS => write!(f, "its key {key} expires at {at}, in {} hours", left_s / 3600),
                    _ => write!(f, "its key {key} expires at {at}, in {} days", left_s / 86_400),
                }
            }
            Self::UnknownKey { count, source, was, user, key } => {
                write!(f, "a key that nobody here has is offered ×{count} from {source} (")?;
                match was {
                    Some(ip) if ip == source => f.write_str("where it was last")?,
                    Some(ip) => write!(f, "it was at {ip} last")?,
                    None => f.write_str("it was not seen before")?,
                }
                write!(f, ") as user {user}: {key}")
            }
            Self::Refused { count, rule } => write!(f, "refused ×{count}: {rule}"),
            Self::NetworkLost { lost, known, network, seconds } => {
                write!(f, "{lost} of {known} hosts of {network} fell silent within ")?;
                match seconds {
                    ..1 => f.write_str("a second")?,
                    s => write!(f, "{s} s")?,
                }
                f.write_str("; no other path to them is known")
            }
            Self::Restarts { count, since, every, last } => {
                let since = since.format("%H:%M:%SZ");
                write!(f, "its session ended ×{count} since {since}, about every {every} s; last: {}", last.sentence())
            }
            Self::Silent { end, heard, rtt_ms } => {
                write!(f, "{end}")?;
                if let Some(heard) = heard {
                    write!(f, ", last heard of at {}", heard.format("%H:%M:%SZ"))?;
                }
                if let Some(ms) = rtt_ms {
                    write!(f, ", its last round trip took {ms} ms")?;
                }
                f.write_str("; it has not dialled again")
            }
            Self::Gone { end } => write!(f, "{end}; it has not dialled again"),
            Self::Service { port, service, check, error } => {
                let service = service.as_deref().map(|s| format!(" ({s})")).unwrap_or_default();
                let error = error.as_deref().unwrap_or("the check fails");
                write!(f, "port {port}{service}, {check} check: {error}; the host's session is up")
            }
            Self::NotRequested { since, port, lease } => {
                let since = since.format("%Y-%m-%d %H:%M:%SZ");
                write!(f, "it is connected since {since} and did not ask for port {port} ({lease} lease)")
            }
            Self::Exhausted { ports, ranges, reserved, down } => {
                let reserved = if *reserved { " or reserved" } else { "" };
                write!(f, "all {ports} ports of {ranges} are leased{reserved}, {down} of them not up; ")?;
                f.write_str("the next host that asks for one is refused")
            }
            Self::Restarted { at, missing, total } => {
                write!(f, "it started at {}, and cut every session before that; ", at.format("%H:%M:%SZ"))?;
                match missing {
                    0 => f.write_str("everybody is back"),
                    n => write!(f, "{n} of {total} tunnels are not back yet"),
                }
            }
            Self::Absent => f.write_str("it has not dialled in since the bastion started"),
            Self::First { first, more } => write!(f, "{first} (and {more} more)"),
            // Its words are in the table of rules.
            Self::Many { names, .. } => f.write_str(&names.join(", ")),
            Self::Unknown => Ok(()),
        }
    }
}

/// Milliseconds, as seconds with a tenth.
struct Seconds(u64);

impl fmt::Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tenths = (self.0 + 50) / 100;
        write!(f, "{}.{}", tenths / 10, tenths % 10)
    }
}
