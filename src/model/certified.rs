//! OpenSSH certificates (PROTOCOL.certkeys), as far as policy asks: what one says, and by what it is known.

use super::{Networks, Time, clean};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

/// By what a certificate is known in the audit.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct CertMark {
    /// The text its CA gave it for logs, cleaned.
    pub key_id: String,
    /// Its number; 0 where its CA does not number.
    pub serial: u64,
    /// Fingerprint of the CA's key that signed it.
    pub ca: String,
}

impl fmt::Display for CertMark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "certificate {:?} (serial {}, CA {})", self.key_id, self.serial, self.ca)
    }
}

/// One certificate of a CA, by its number: `17@SHA256:…`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct CaSerial {
    /// The number, never 0: that is no number.
    pub serial: u64,
    /// Fingerprint of the CA's key; a name of `[authorities]` as long as it is only asked for.
    pub ca: String,
}

impl FromStr for CaSerial {
    type Err = String;
    fn from_str(s: &str) -> Result<Self, String> {
        let wrong =
            || format!("{s:?} is not a certificate's number and its CA: write 17@SHA256:…, or 17@NAME of an authority");
        let (serial, ca) = s.split_once('@').ok_or_else(wrong)?;
        let serial = serial.parse().map_err(|_| wrong())?;
        if serial == 0 {
            return Err("0 is not a certificate's number: it stands for none; revoke the key id or the key".to_owned());
        }
        if ca.is_empty() {
            return Err(wrong());
        }
        Ok(Self { serial, ca: ca.to_owned() })
    }
}

impl TryFrom<String> for CaSerial {
    type Error = String;
    fn try_from(s: String) -> Result<Self, String> {
        s.parse()
    }
}

impl From<CaSerial> for String {
    fn from(s: CaSerial) -> Self {
        s.to_string()
    }
}

impl fmt::Display for CaSerial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.serial, self.ca)
    }
}

/// A certificate whose signature is good: what it says. Whether it lets anybody in is the configuration's to say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certified {
    /// Key id, number and CA.
    pub mark: CertMark,
    /// The key id as the CA wrote it.
    pub key_id: String,
    /// Names it was made out to.
    pub principals: Vec<String>,
    /// Good from then on, seconds since 1970.
    pub from: u64,
    /// Not good any more from then on, seconds since 1970; `u64::MAX` for ever.
    pub until: u64,
    /// `source-address`: where its holder may come from.
    pub networks: Option<Networks>,
    /// `force-command`: what its holder runs, whatever is asked for.
    pub command: Option<String>,
    /// `permit-port-forwarding`.
    pub forwarding: bool,
    /// `permit-pty`.
    pub terminal: bool,
}

impl Certified {
    /// Whether it is good at this moment for somebody at this address.
    ///
    /// # Errors
    /// Why not, in a sentence.
    pub fn good(&self, now: Time, address: IpAddr) -> Result<(), String> {
        // A clock before 1970 is no clock by which anything can be judged good.
        let at = u64::try_from(now.timestamp()).unwrap_or(u64::MAX);
        if at < self.from {
            return Err(format!("the {} is not good before {}", self.mark, stamp(self.from)));
        }
        if at >= self.until {
            return Err(format!("the {} expired at {}", self.mark, stamp(self.until)));
        }
        match &self.networks {
            Some(nets) if !nets.admit(address) => {
                Err(format!("the {} is good from {nets} only (source-address)", self.mark))
            }
            _ => Ok(()),
        }
    }

    /// When it ends; none when it never does.
    #[must_use]
    pub fn ends(&self) -> Option<Time> {
        i64::try_from(self.until).ok().and_then(|s| Time::from_timestamp(s, 0))
    }
}

fn stamp(seconds: u64) -> String {
    let at = i64::try_from(seconds).ok().and_then(|s| Time::from_timestamp(s, 0));
    at.map_or_else(|| "the end of time".to_owned(), |t| t.format("%Y-%m-%d %H:%M:%SZ").to_string())
}

impl CertMark {
    /// Of a certificate with this key id as the CA wrote it.
    #[must_use]
    pub fn new(key_id: &str, serial: u64, ca: String) -> Self {
        Self { key_id: clean(key_id, 200), serial, ca }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_second_is_the_one_before_its_end() {
        let c = Certified {
            mark: CertMark::new("pay-db\u{1b}", 17, "SHA256:ca".to_owned()),
            key_id: "pay-db\u{1b}".to_owned(),
            principals: vec![],
            from: 1_000,
            until: 2_000,
            networks: Some(Networks::of_certificate("10.0.0.0/8").unwrap()),
            command: None,
            forwarding: true,
            terminal: true,
        };
        assert_eq!(c.mark.key_id, "pay-db·");
        let inside: IpAddr = "10.1.1.1".parse().unwrap();
        let at = |s: i64| c.good(Time::from_timestamp(s, 999_000_000).unwrap(), inside);
        assert!(at(999).unwrap_err().contains("not good before 1970-01-01 00:16:40Z"));
        assert!(at(1_000).is_ok() && at(1_999).is_ok());
        assert!(at(2_000).unwrap_err().contains("expired at 1970-01-01 00:33:20Z"));
        assert!(at(-5).is_err(), "a clock before 1970");
        let outside = c.good(Time::from_timestamp(1_500, 0).unwrap(), "192.0.2.1".parse().unwrap()).unwrap_err();
        assert!(outside.contains("good from 10.0.0.0/8 only"), "{outside}");
        assert_eq!(Certified { until: u64::MAX, ..c }.ends(), None);
    }

    #[test]
    fn a_number_comes_with_its_ca() {
        assert_eq!("17@SHA256:x".parse::<CaSerial>().unwrap().to_string(), "17@SHA256:x");
        for bad in ["17", "@x", "17@", "0@x", "-1@x", "x@y", "18446744073709551616@x"] {
            assert!(bad.parse::<CaSerial>().is_err(), "{bad}");
        }
    }
}
