//! What an event can be about.

use super::{Actor, Record};
use crate::model::{HostName, Port, TeamName};
use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use std::net::IpAddr;

/// Events of the bastion as a whole, by their beginning.
const BASTION: [&str; 3] = ["daemon", "audit", "config"];

/// What an event can be about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum About {
    /// A host, also where somebody not known gave its name.
    Host(HostName),
    /// A port.
    Port(Port),
    /// A tunnel: its port, and its host as far as the event is of no other port.
    Tunnel {
        /// Its host.
        host: HostName,
        /// Its port.
        port: Port,
    },
    /// A team.
    Team(TeamName),
    /// Whatever an operator or host of this name did.
    Actor(String),
    /// The bastion as a whole: its start and stop, its configuration, its journal.
    Bastion,
    /// Whatever comes from this network.
    Net(IpNet),
    /// Somebody not known, at this address.
    Stranger(IpAddr),
}

impl About {
    /// Whether the record is.
    #[must_use]
    pub fn matches(&self, r: &Record) -> bool {
        let c = &r.event.context;
        match self {
            Self::Host(h) => {
                let named = || c.user.as_deref() == Some(h.as_str()) && matches!(r.event.actor, Actor::Unknown);
                c.host.as_ref() == Some(h) || (c.host.is_none() && named())
            }
            Self::Port(p) => c.port == Some(*p),
            Self::Tunnel { host, port } => match c.port {
                Some(p) => p == *port,
                None => c.host.as_ref() == Some(host),
            },
            Self::Team(team) => c.team.as_ref() == Some(team),
            Self::Actor(name) => {
                matches!(&r.event.actor, Actor::Operator(n) | Actor::Host(n) if n == name)
                    || c.proposed_by.as_ref() == Some(name)
            }
            Self::Bastion => r.event.name().split('.').next().is_some_and(|area| BASTION.contains(&area)),
            Self::Net(net) => c.source.is_some_and(|s| net.contains(&s.ip().to_canonical())),
            Self::Stranger(ip) => {
                c.host.is_none()
                    && matches!(r.event.actor, Actor::Unknown)
                    && c.source.is_some_and(|s| s.ip().to_canonical() == ip.to_canonical())
            }
        }
    }

    /// Texts of which a line has one when it matches; none when nothing so simple can be said.
    pub(super) fn traces(&self) -> Option<Vec<String>> {
        // Names have no character that JSON escapes.
        Some(match self {
            Self::Host(h) => vec![format!("\"{h}\"")],
            Self::Port(p) => vec![format!("\"port\":{p}")],
            Self::Tunnel { host, port } => vec![format!("\"host\":\"{host}\""), format!("\"port\":{port}")],
            Self::Team(t) => vec![format!("\"team\":\"{t}\"")],
            Self::Bastion => BASTION.iter().map(|area| format!("\"event\":\"{area}.")).collect(),
            // Names of accounts are free text, and a network has no text of its own.
            Self::Actor(_) | Self::Net(_) => return None,
            Self::Stranger(ip) => vec![ip.to_canonical().to_string()],
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::{AuditQuery, Context, Event, What};
    use super::*;
    use crate::model::Seq;

    fn record(actor: Actor, context: Context) -> Record {
        let what = What::AuthFailure { method: "publickey".to_owned(), client: "OpenSSH_9.2p1".to_owned() };
        let (prev, hash) = ("0".repeat(64), "1".repeat(64));
        Record { seq: Seq(1), at: crate::model::now(), event: Event::refused(actor, what, "no", context), prev, hash }
    }

    #[test]
    fn what_an_event_is_about_and_the_trace_of_it_in_its_line() {
        let host = |h: &str| h.parse::<HostName>().ok();
        let port = |p: u16| Port::try_from(p).ok();
        let from = |s: &str| s.parse().ok();
        let team = "pay".parse().ok();
        let of_host = Context { host: host("pay-db"), port: port(20101), team, ..Context::default() };
        let stranger = Context { user: Some("pay-db".into()), source: from("203.0.113.9:50022"), ..Context::default() };
        let mapped = Context { source: from("[::ffff:203.0.113.9]:50022"), ..Context::default() };
        let other = Context { host: host("iot-77"), source: from("203.0.113.9:50022"), ..Context::default() };
        let all = [
            record(Actor::Host("pay-db".into()), of_host),
            record(Actor::Unknown, stranger),
            record(Actor::Unknown, mapped),
            record(Actor::Host("iot-77".into()), other),
        ];
        let (pay, ip) = (host("pay-db").unwrap(), "203.0.113.9".parse().unwrap());
        for (about, wanted) in [
            (About::Host(pay.clone()), [true, true, false, false]),
            (About::Port(port(20101).unwrap()), [true, false, false, false]),
            (About::Tunnel { host: pay.clone(), port: port(20101).unwrap() }, [true, false, false, false]),
            (About::Tunnel { host: pay, port: port(20102).unwrap() }, [false; 4]),
            (About::Stranger(ip), [false, true, true, false]),
            (About::Team("pay".parse().unwrap()), [true, false, false, false]),
            (About::Actor("iot-77".into()), [false, false, false, true]),
            (About::Bastion, [false; 4]),
            (About::Net("203.0.113.0/24".parse().unwrap()), [false, true, true, true]),
        ] {
            for (r, wanted) in all.iter().zip(wanted) {
                assert_eq!(about.matches(r), wanted, "{about:?} {r:?}");
                let line = serde_json::to_string(r).unwrap();
                let traced = about.traces().is_none_or(|t| t.iter().any(|t| line.contains(t.as_str())));
                assert!(!wanted || traced, "{about:?} would be passed over in {line}");
            }
        }
    }

    #[test]
    fn any_of_several_events() {
        let r = record(Actor::Unknown, Context::default());
        for (event, wanted) in
            [("auth", true), ("session,auth", true), ("session, auth.failure", true), ("session,aut", false)]
        {
            let q = AuditQuery { event: Some(event.to_owned()), ..AuditQuery::default() };
            assert_eq!(q.matches(&r), wanted, "{event}");
        }
    }
}
