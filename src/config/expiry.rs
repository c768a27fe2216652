//! `expiry-time` before a key, as in OpenSSH's `authorized_keys`: after that time the key signs nobody in.

use super::problem::Complaint;
use super::schema::Config;
use crate::model::Time;
use chrono::{Local, NaiveDate, NaiveDateTime, TimeZone, Utc};

/// The option's name.
pub(super) const OPTION: &str = "expiry-time";

const HOW: &str = "write expiry-time=\\\"YYYYMMDD\\\" or \\\"YYYYMMDDHHMM[SS]\\\", with a Z behind it for UTC";

/// Splits a line into the time before which its key may be used, and the key. Lines without options are left as they are.
pub(super) fn split(line: &str) -> Result<(Option<Time>, &str), Complaint> {
    let line = line.trim();
    let Some(rest) = line.strip_prefix(OPTION) else { return Ok((None, line)) };
    let wrong = |what: String| Complaint::new(what, HOW);
    let quoted = rest.trim_start().strip_prefix('=').map(str::trim_start).and_then(|r| r.strip_prefix('"'));
    let (value, rest) =
        quoted.and_then(|r| r.split_once('"')).ok_or_else(|| wrong(format!("{OPTION} has no value in quotes")))?;
    let at = read(value).ok_or_else(|| wrong(format!("{value:?} is no time for {OPTION}")))?;
    if rest.trim_start().starts_with(',') {
        return Err(Complaint::new(
            format!("options beside {OPTION} before a key are not supported"),
            "what the key may do is set by team, ports and role",
        ));
    }
    Ok((Some(at), rest.trim_start()))
}

/// OpenSSH's time, see sshd(8): a date, or a date and a time; of this machine's zone unless a Z follows.
fn read(text: &str) -> Option<Time> {
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

    #[test]
    fn a_line_is_split_at_the_option() {
        let (at, key) = split(r#"expiry-time="20270131Z" ssh-ed25519 AAAA pay"#).unwrap();
        assert_eq!((at.map(shown).as_deref(), key), (Some("2027-01-31 00:00:00Z"), "ssh-ed25519 AAAA pay"));
        assert_eq!(split(" ssh-ed25519 AAAA pay ").unwrap(), (None, "ssh-ed25519 AAAA pay"));
        for (line, what) in [
            (r#"expiry-time=20270131 ssh-ed25519 A"#, "no value in quotes"),
            (r#"expiry-time="soon" ssh-ed25519 A"#, "\"soon\" is no time"),
            (r#"expiry-time="20270131Z",restrict ssh-ed25519 A"#, "options beside expiry-time"),
        ] {
            let e = split(line).unwrap_err();
            assert!(format!("{e:?}").contains(&what.replace('"', "\\\"")) || format!("{e:?}").contains(what), "{e:?}");
        }
    }
}
