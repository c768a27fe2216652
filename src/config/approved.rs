//! Keys that were approved beside the file, laid over it: whoever asks the configuration whose a key is need not know where
//! that was decided.

use super::schema::{Config, Principal};
use crate::model::{Approval, Time};

impl Config {
    /// This configuration with these approvals in force, and no others. The file stands above them: what it says of a key
    /// holds, and a host that it does not have is not signed in.
    #[must_use]
    pub fn with_approved<'a>(&self, approvals: impl IntoIterator<Item = &'a Approval>) -> Self {
        let mut new = self.clone();
        for fingerprint in std::mem::take(&mut new.approved).into_keys() {
            new.keys.remove(&fingerprint);
        }
        for a in approvals {
            let taken = new.keys.contains_key(&a.fingerprint) || new.trust.cas.contains_key(&a.fingerprint);
            if taken || !new.hosts.contains_key(&a.host) {
                continue;
            }
            new.keys.insert(a.fingerprint.clone(), Principal::Host(a.host.clone()));
            new.approved.insert(a.fingerprint.clone(), a.clone());
        }
        new
    }

    /// Whose a key is by the file alone.
    #[must_use]
    pub fn written(&self, fingerprint: &str) -> Option<&Principal> {
        self.keys.get(fingerprint).filter(|_| !self.approved.contains_key(fingerprint))
    }

    /// Why an approved key may not be used any more; none while it may.
    pub(super) fn lapsed(&self, fingerprint: &str, now: Time) -> Option<String> {
        let a = self.approved.get(fingerprint)?;
        let at = a.until.filter(|at| *at <= now)?;
        let at = at.format("%Y-%m-%d %H:%M:%SZ");
        Some(format!("the approval of the key {fingerprint} for host {} expired at {at}", a.host))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Diff;
    use std::path::Path;

    fn config(hosts: &[(&str, u8)]) -> Config {
        let key = |n: u8| {
            let pair = ssh_key::private::Ed25519Keypair::from_seed(&[n; 32]);
            let key = ssh_key::PrivateKey::new(ssh_key::private::KeypairData::Ed25519(pair), "").unwrap();
            key.public_key().to_openssh().unwrap()
        };
        let host = |(name, n): &(&str, u8)| format!("[hosts.{name}]\nteam = \"pay\"\nkeys = [\"{}\"]\n", key(*n));
        let hosts: String = hosts.iter().map(host).collect();
        let text = format!("[teams.pay]\nports = \"20100-20103\"\n{hosts}");
        Config::parse(&text, Path::new("/etc/portreeve/portreeve.toml")).unwrap()
    }

    fn approval(of: &Config, host: &str, until: Option<i64>) -> Approval {
        Approval {
            fingerprint: of.keys.keys().next().unwrap().clone(),
            key: "ssh-ed25519 AAAA".to_owned(),
            host: host.parse().unwrap(),
            by: "alice".to_owned(),
            since: at(0),
            until: until.map(at),
            reason: None,
        }
    }

    fn at(s: i64) -> Time {
        Time::from_timestamp(1_800_000_000 + s, 0).unwrap()
    }

    #[test]
    fn an_approved_key_is_the_hosts_until_it_is_taken_back_or_its_time_is_over() {
        let file = config(&[("db", 1), ("web", 2)]);
        let a = approval(&config(&[("x", 3)]), "db", Some(60));
        let with = file.with_approved([&a]);
        let db = Principal::Host("db".parse().unwrap());
        assert_eq!((with.principal(&a.fingerprint), with.written(&a.fingerprint)), (Some(&db), None));
        assert!(Diff::between(&with, &file).is_empty(), "the file has not changed");
        assert_eq!(with.expired(&a.fingerprint, at(59)), None);
        assert!(with.expired(&a.fingerprint, at(60)).unwrap().contains("for host db expired at"));
        assert_eq!(with.with_approved([]), file);
    }

    #[test]
    fn the_file_stands_above_an_approval() {
        let a = approval(&config(&[("x", 3)]), "db", None);
        let web = Principal::Host("web".parse().unwrap());
        let given = config(&[("db", 1), ("web", 3)]).with_approved([&a]);
        assert_eq!(given.principal(&a.fingerprint), Some(&web), "the file gives it to somebody else");
        let gone = config(&[("web", 2)]).with_approved([&a]);
        assert_eq!((gone.principal(&a.fingerprint), gone.approved.len()), (None, 0), "its host is not in the file");
    }
}
