//! Where somebody came from, as a search names it: an address, an address with its port, or a network.

use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

/// An address, with or without its port, or a network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Origin {
    /// Every address of a network; of one address too.
    Net(IpNet),
    /// One connection.
    Peer(SocketAddr),
}

impl Origin {
    /// Whether this peer is meant.
    #[must_use]
    pub fn contains(&self, peer: SocketAddr) -> bool {
        match self {
            Self::Net(net) => net.contains(&peer.ip().to_canonical()),
            Self::Peer(p) => *p == peer,
        }
    }

    /// How a line of the journal that matches must have it, as far as one text says it.
    pub(super) fn needle(&self) -> Option<String> {
        match self {
            Self::Peer(p) => Some(format!("\"source\":\"{p}\"")),
            Self::Net(IpNet::V4(net)) => {
                let whole = usize::from(net.prefix_len() / 8);
                let octets = net.network().octets().map(|o| o.to_string());
                let known = octets.get(..whole).unwrap_or_default().join(".");
                let end = match whole {
                    0 => return None,
                    4 => ":",
                    _ => ".",
                };
                Some(format!("\"source\":\"{known}{end}"))
            }
            Self::Net(IpNet::V6(net)) if net.prefix_len() == 128 => Some(format!("\"source\":\"[{}]:", net.addr())),
            Self::Net(IpNet::V6(_)) => None,
        }
    }
}

impl FromStr for Origin {
    type Err = String;
    fn from_str(s: &str) -> Result<Self, String> {
        if let Ok(peer) = s.parse::<SocketAddr>() {
            return Ok(Self::Peer(peer));
        }
        if let Ok(net) = s.parse::<IpNet>() {
            return Ok(Self::Net(net.trunc()));
        }
        s.parse::<IpAddr>().map(|ip| Self::Net(ip.into())).map_err(|_| {
            format!("{s:?} is no address: write 203.0.113.9, 203.0.113.9:50022, 203.0.113.0/24 or 2001:db8::/64")
        })
    }
}

impl TryFrom<String> for Origin {
    type Error = String;
    fn try_from(s: String) -> Result<Self, String> {
        s.parse()
    }
}

impl From<Origin> for String {
    fn from(o: Origin) -> Self {
        o.to_string()
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Peer(p) => p.fmt(f),
            Self::Net(net) if net.prefix_len() == net.max_prefix_len() => net.addr().fmt(f),
            Self::Net(net) => net.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_a_connection_or_a_network() {
        for (text, inside, outside, needle) in [
            ("203.0.113.9", "203.0.113.9:1", "203.0.113.90:1", Some("\"source\":\"203.0.113.9:")),
            ("203.0.113.9:22", "203.0.113.9:22", "203.0.113.9:23", Some("\"source\":\"203.0.113.9:22\"")),
            ("203.0.113.0/24", "203.0.113.200:5", "203.0.114.1:5", Some("\"source\":\"203.0.113.")),
            ("10.8.0.0/14", "10.11.0.1:5", "10.12.0.1:5", Some("\"source\":\"10.")),
            ("2001:db8::/64", "[2001:db8::7]:5", "[2001:db8:0:1::7]:5", None),
            ("2001:db8::7", "[2001:db8::7]:5", "[2001:db8::8]:5", Some("\"source\":\"[2001:db8::7]:")),
        ] {
            let o: Origin = text.parse().unwrap();
            assert!(o.contains(inside.parse().unwrap()) && !o.contains(outside.parse().unwrap()), "{text}");
            assert_eq!(o.needle().as_deref(), needle, "{text}");
            assert_eq!(o.to_string(), text);
        }
        // As a reader writes a network: with an address of it.
        assert_eq!("203.0.113.9/24".parse::<Origin>().unwrap().to_string(), "203.0.113.0/24");
        assert!("nonsense".parse::<Origin>().is_err());
    }
}
