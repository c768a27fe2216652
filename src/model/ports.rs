//! TCP ports and ranges of them.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::num::NonZeroU16;
use std::str::FromStr;
use thiserror::Error;

/// A TCP port, 1 to 65535. "Any port" (0) is not a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Port(NonZeroU16);

/// Why a number or text is not a port or a range.
#[derive(Debug, Error, Clone, PartialEq, Eq)]
pub enum PortError {
    /// Outside 1 to 65535. SSH carries ports as 32 bits, so 65536+22 must not pass as 22.
    #[error("{0} is not a TCP port (1 to 65535)")]
    OutOfRange(u64),
    /// Not a number, or not `LOW-HIGH`.
    #[error("{0:?} is not a port or a range of ports: write 20100 or 20100-20199")]
    Syntax(String),
    /// The first port is above the last.
    #[error("the range {0}-{1} runs backwards: write the lower port first")]
    Backwards(Port, Port),
}

impl Port {
    /// The number.
    #[must_use]
    pub fn get(self) -> u16 {
        self.0.get()
    }
}

impl TryFrom<u32> for Port {
    type Error = PortError;
    /// From the 32-bit field of RFC 4254 §7.1. Zero and everything past 65535 is an error.
    fn try_from(n: u32) -> Result<Self, PortError> {
        u16::try_from(n).ok().and_then(NonZeroU16::new).map(Port).ok_or(PortError::OutOfRange(n.into()))
    }
}

impl TryFrom<u16> for Port {
    type Error = PortError;
    fn try_from(n: u16) -> Result<Self, PortError> {
        Self::try_from(u32::from(n))
    }
}

impl FromStr for Port {
    type Err = PortError;
    fn from_str(s: &str) -> Result<Self, PortError> {
        let n: u32 = s.trim().trim_start_matches(':').parse().map_err(|_| PortError::Syntax(s.to_owned()))?;
        Self::try_from(n)
    }
}

impl fmt::Display for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Ports from the first to the last, both included. Written `20100-20199`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PortRange {
    first: Port,
    last: Port,
}

impl PortRange {
    /// A range from `first` to `last`, both included.
    ///
    /// # Errors
    /// [`PortError::Backwards`] when `first` is above `last`.
    pub fn new(first: Port, last: Port) -> Result<Self, PortError> {
        if first > last { Err(PortError::Backwards(first, last)) } else { Ok(Self { first, last }) }
    }
    /// The lowest port.
    #[must_use]
    pub fn first(self) -> Port {
        self.first
    }
    /// The highest port.
    #[must_use]
    pub fn last(self) -> Port {
        self.last
    }
    /// Whether the port is one of these.
    #[must_use]
    pub fn contains(self, port: Port) -> bool {
        self.first <= port && port <= self.last
    }
    /// Whether any port is in both.
    #[must_use]
    pub fn overlaps(self, other: Self) -> bool {
        self.first <= other.last && other.first <= self.last
    }
    /// How many ports.
    #[must_use]
    pub fn size(self) -> usize {
        usize::from(self.last.get() - self.first.get()) + 1
    }
    /// The ports in rising order.
    pub fn iter(self) -> impl Iterator<Item = Port> {
        (self.first.get()..=self.last.get()).filter_map(NonZeroU16::new).map(Port)
    }
}

impl FromStr for PortRange {
    type Err = PortError;
    fn from_str(s: &str) -> Result<Self, PortError> {
        match s.split_once('-') {
            Some((a, b)) => Self::new(a.parse()?, b.parse()?),
            None => s.parse().map(|p| Self { first: p, last: p }),
        }
    }
}
impl TryFrom<String> for PortRange {
    type Error = PortError;
    fn try_from(s: String) -> Result<Self, PortError> {
        s.parse()
    }
}
impl From<PortRange> for String {
    fn from(r: PortRange) -> String {
        r.to_string()
    }
}
impl fmt::Display for PortRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.first == self.last { write!(f, "{}", self.first) } else { write!(f, "{}-{}", self.first, self.last) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_past_16_bits_never_wraps() {
        assert_eq!(Port::try_from(65536_u32 + 22), Err(PortError::OutOfRange(65558)));
        assert_eq!(Port::try_from(0_u32), Err(PortError::OutOfRange(0)));
        assert_eq!(Port::try_from(65535_u32).unwrap().get(), 65535);
    }

    #[test]
    fn ranges_read_write_and_meet() {
        let r: PortRange = "20100-20199".parse().unwrap();
        assert_eq!(r.size(), 100);
        assert_eq!(r.to_string(), "20100-20199");
        assert!(r.overlaps("20199-20200".parse().unwrap()));
        assert!(!r.overlaps("20200-20300".parse().unwrap()));
        assert!("20199-20100".parse::<PortRange>().is_err());
        assert!("1-99999".parse::<PortRange>().is_err());
        assert_eq!("65534-65535".parse::<PortRange>().unwrap().iter().count(), 2);
    }
}
