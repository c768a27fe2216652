//! Networks from which somebody has signed in with a key of the configuration.
//!
//! What sshd does with a network that misbehaves - nobody there gets in any more - would take a whole site from the air
//! for one machine of it with a wrong key: behind one address of a translating router there may be a thousand hosts. So a
//! known network is never refused for the others in it; see [`super`]. The list outlives the daemon, or else all of a site
//! would be strangers at the very moment when all of it dials at once.

use crate::model::{Time, now};
use chrono::TimeDelta;
use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::io::Write;
use std::path::Path;

/// How long a network is known after the last sign-in.
const KNOWN_FOR: TimeDelta = TimeDelta::days(30);
/// The most that are kept. Each takes a key of the configuration to make, so this is for the memory's sake only.
const MOST: usize = 65_536;
/// Signed in again within this, a network need not be written again.
const FRESH: TimeDelta = TimeDelta::hours(1);

#[derive(Debug, Serialize, Deserialize)]
struct Entry {
    network: IpNet,
    seen: Time,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Known {
    seen: HashMap<IpNet, Time>,
    changed: bool,
}

impl Known {
    /// As saved; nothing when there is no such file. Who can write it can write the ledger beside it.
    pub(super) fn read(path: &Path) -> Self {
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => String::new(),
            Err(error) => {
                tracing::warn!(path = %path.display(), %error, "the known networks cannot be read; they are learnt anew");
                String::new()
            }
        };
        let entries = text.lines().filter_map(|l| serde_json::from_str::<Entry>(l).ok());
        let mut known = Self::default();
        for e in entries.take(MOST) {
            known.seen.insert(e.network, e.seen);
        }
        known.forget(now());
        known
    }

    pub(super) fn len(&self) -> usize {
        self.seen.len()
    }

    pub(super) fn has(&self, net: &IpNet) -> bool {
        self.seen.contains_key(net)
    }

    /// Somebody has signed in from there, or still is.
    pub(super) fn note(&mut self, net: IpNet, at: Time) {
        let fresh = self.seen.get(&net).is_some_and(|seen| at - *seen < FRESH);
        if fresh {
            return;
        }
        if self.seen.len() >= MOST && !self.seen.contains_key(&net) {
            let oldest = self.seen.iter().min_by_key(|(_, at)| **at).map(|(n, _)| *n);
            oldest.map(|n| self.seen.remove(&n));
        }
        self.seen.insert(net, at);
        self.changed = true;
    }

    fn forget(&mut self, at: Time) {
        let before = self.seen.len();
        self.seen.retain(|_, seen| at - *seen < KNOWN_FOR);
        self.changed |= self.seen.len() != before;
    }

    /// The file's text, if it would be another than the last one.
    pub(super) fn unsaved(&mut self, at: Time) -> Option<String> {
        self.forget(at);
        if !std::mem::take(&mut self.changed) {
            return None;
        }
        let mut all: Vec<_> = self.seen.iter().map(|(n, at)| Entry { network: *n, seen: *at }).collect();
        all.sort_by_key(|e| e.network);
        let lines = all.iter().filter_map(|e| serde_json::to_string(e).ok());
        Some(lines.fold(String::new(), |text, line| text + &line + "\n"))
    }
}

/// Writes it beside and renames it, so that there is always a whole one.
pub(super) fn write(path: &Path, text: &str) -> std::io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("/"));
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    file.write_all(text.as_bytes())?;
    file.persist(path)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_known_outlives_the_daemon_and_ends_after_a_month() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("known");
        let (a, b): (IpNet, IpNet) = ("203.0.113.7/32".parse().unwrap(), "2001:db8::/64".parse().unwrap());
        let mut k = Known::read(&path);
        assert_eq!(k.unsaved(now()), None);
        k.note(a, now() - TimeDelta::days(29));
        k.note(b, now() - TimeDelta::days(31));
        write(&path, &k.unsaved(now()).unwrap()).unwrap();
        assert_eq!(k.unsaved(now()), None, "nothing new");
        let mut k = Known::read(&path);
        assert!(k.has(&a) && !k.has(&b));
        k.note(a, now());
        assert!(k.unsaved(now()).is_some());
        k.note(a, now());
        assert_eq!(k.unsaved(now()), None, "a sign-in more within the hour is not worth a write");
        std::fs::write(&path, "rubbish\n{\"network\":1}\n").unwrap();
        assert!(Known::read(&path).seen.is_empty());
    }

    #[test]
    fn the_list_is_bounded() {
        let mut k = Known::default();
        let net = |n: u32| IpNet::from(std::net::IpAddr::V4(n.into()));
        let begin = now() - TimeDelta::days(1);
        for n in 0..u32::try_from(MOST).unwrap() + 3 {
            k.note(net(n), begin + TimeDelta::milliseconds(n.into()));
        }
        assert!(k.seen.len() == MOST && !k.has(&net(0)) && k.has(&net(3)));
    }
}
