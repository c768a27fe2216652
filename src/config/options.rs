//! Options before a key, as in OpenSSH's `authorized_keys`: `expiry-time` and `from`.

use super::expiry;
use super::problem::Complaint;
use crate::model::{Networks, Time};

const FROM: &str = "from";
const HOW_FROM: &str = "write from=\\\"10.1.0.0/16,!10.1.9.0/24\\\": addresses and networks, those with ! excepted; names are not looked up";

/// What stands before a key.
#[derive(Debug, Default)]
pub(super) struct Options {
    pub expires: Option<Time>,
    pub networks: Option<Networks>,
}

/// Splits a line into the options before its key, and the key. Lines without options are left as they are.
pub(super) fn split(line: &str) -> Result<(Options, &str), Complaint> {
    let mut rest = line.trim();
    let mut options = Options::default();
    loop {
        let Some(name) = [expiry::OPTION, FROM].into_iter().find(|name| begins(rest, name)) else {
            return Ok((options, rest));
        };
        let how = if name == FROM { HOW_FROM } else { expiry::HOW };
        let after = rest.get(name.len()..).unwrap_or_default().trim_start().strip_prefix('=').map(str::trim_start);
        let (value, behind) = after
            .and_then(|r| r.strip_prefix('"'))
            .and_then(|r| r.split_once('"'))
            .ok_or_else(|| Complaint::new(format!("{name} has no value in quotes"), how))?;
        let twice = if name == FROM {
            let networks = Networks::parse(value).map_err(|why| Complaint::new(format!("{FROM}: {why}"), how))?;
            options.networks.replace(networks).is_some()
        } else {
            let at =
                expiry::read(value).ok_or_else(|| Complaint::new(format!("{value:?} is no time for {name}"), how))?;
            options.expires.replace(at).is_some()
        };
        if twice {
            return Err(Complaint::new(format!("{name} stands twice before a key"), "keep one of them"));
        }
        let behind = behind.trim_start();
        let Some(next) = behind.strip_prefix(',') else { return Ok((options, behind)) };
        rest = next.trim_start();
        if ![expiry::OPTION, FROM].into_iter().any(|name| begins(rest, name)) {
            return Err(Complaint::new(
                format!("options beside {} and {FROM} before a key are not supported", expiry::OPTION),
                "what the key may do is set by team, ports and role",
            ));
        }
    }
}

fn begins(text: &str, name: &str) -> bool {
    text.strip_prefix(name).is_some_and(|r| !r.starts_with(|c: char| c.is_alphanumeric() || c == '-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_split_at_its_options() {
        let line = r#"from="10.1.0.0/16,!10.1.9.0/24" , expiry-time="20270131Z" ssh-ed25519 AAAA pay"#;
        let (options, key) = split(line).unwrap();
        assert_eq!(options.networks.unwrap().to_string(), "10.1.0.0/16,!10.1.9.0/24");
        assert_eq!(options.expires.unwrap().to_rfc3339(), "2027-01-31T00:00:00+00:00");
        assert_eq!(key, "ssh-ed25519 AAAA pay");
        let (options, key) = split(" ssh-ed25519 AAAA pay ").unwrap();
        assert!(options.expires.is_none() && options.networks.is_none());
        assert_eq!(key, "ssh-ed25519 AAAA pay");
        for (line, what) in [
            (r#"expiry-time=20270131 ssh-ed25519 A"#, "no value in quotes"),
            (r#"expiry-time="soon" ssh-ed25519 A"#, "\"soon\" is no time"),
            (r#"expiry-time="20270131Z",restrict ssh-ed25519 A"#, "options beside expiry-time and from"),
            (r#"from="10.0.0.0/8",from="10.0.0.0/8" ssh-ed25519 A"#, "stands twice"),
            (r#"from="*.example.net" ssh-ed25519 A"#, "neither an address nor a network"),
            (r#"from="!10.0.0.0/8" ssh-ed25519 A"#, "lets nobody in"),
            (r#"from="10.0.0.0/8 ssh-ed25519 A"#, "no value in quotes"),
        ] {
            let e = split(line).unwrap_err();
            assert!(e.what.contains(what), "{line}: {e:?}");
        }
        assert_eq!(split("from-x ssh-ed25519 A").unwrap().1, "from-x ssh-ed25519 A");
    }
}
