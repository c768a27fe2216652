//! `expiry-time` before a key, as in OpenSSH's `authorized_keys`: after that time the key signs nobody in.

use super::schema::Config;
use crate::model::Time;
use chrono::{Local, NaiveDate, NaiveDateTime, TimeZone, Utc};

/// The option's name.
pub(super) const OPTION: &str = "expiry-time";

pub(super) const HOW: &str =
    "write expiry-time=\\\"YYYYMMDD\\\" or \\\"YYYYMMDDHHMM[SS]\\\", with a Z behind it for UTC";

/// OpenSSH's time, see sshd(8): a date, or a date and a time; of this machine's zone unless a Z follows.
pub(super) fn read(text: &str) -> Option<Time> {
    let (digits, utc) = match text.strip_suffix(['Z', 'z']) {
        Some(d) => (d, true),
        None => (text, false),
    };
    if !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let naive = match digits.len() {
        8 => NaiveDate::parse_from_str(digits, "%Y%m%d").ok()?.and_hms_opt(0, 0, 0)?,
        12 => NaiveDateTime::parse_from_str(digits, "%Y%m%d%H%M").ok()?,
        14 => NaiveDateTime::parse_from_str(digits, "%Y%m%d%H%M%S").ok()?,
        _ => return None,
    };
    if utc { Some(Utc.from_utc_datetime(&naive)) } else { Some(Local.from_local_datetime(&naive).earliest()?.to_utc()) }
}

/// A time as people read it.
fn shown(at: Time) -> String {
    at.format("%Y-%m-%d %H:%M:%SZ").to_string()
}

impl Config {
    /// Why a key may not be used any more; none while it may.
    #[must_use]
    pub fn expired(&self, fingerprint: &str, now: Time) -> Option<String> {
        if let Some(rule) = self.lapsed(fingerprint, now) {
            return Some(rule);
        }
        let at = self.expiries.get(fingerprint).filter(|at| **at <= now)?;
        let whose = self.keys.get(fingerprint).map_or_else(|| "nobody".to_owned(), ToString::to_string);
        Some(format!(
            "the key {fingerprint} of {whose} expired at {} ({OPTION} in {})",
            shown(*at),
            self.path.display()
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_times_of_openssh_are_read_and_others_are_not() {
        let utc = |s: &str| Some(s.parse::<Time>().unwrap());
        assert_eq!(read("20270131Z"), utc("2027-01-31T00:00:00Z"));
        assert_eq!(read("202701311530Z"), utc("2027-01-31T15:30:00Z"));
        assert_eq!(read("20270131153059z"), utc("2027-01-31T15:30:59Z"));
        let local = Local.with_ymd_and_hms(2027, 1, 31, 15, 30, 0).unwrap();
        assert_eq!(read("202701311530"), Some(local.to_utc()));
        for no in ["", "2027", "20270231Z", "20271301Z", "2027-01-31", "202701312530Z", "+1d", "2027013115305", "Z"] {
            assert_eq!(read(no), None, "{no}");
        }
    }
}
