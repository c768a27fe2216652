//! Rows of a screen, each with the revision at which it last changed, and the memory of those that are gone.

use crate::model::{Revision, SessionView, TunnelView};
use std::collections::{BTreeMap, BTreeSet};

/// Rows by key, and the order in which they changed, so that what is new since a moment is found without a search.
#[derive(Debug)]
pub(super) struct Rows<K, V> {
    pub(super) rows: BTreeMap<K, V>,
    changed: BTreeSet<(u64, K)>,
    pub(super) gone: BTreeMap<K, u64>,
    gone_at: BTreeSet<(u64, K)>,
}

impl<K, V> Default for Rows<K, V> {
    fn default() -> Self {
        Self { rows: BTreeMap::new(), changed: BTreeSet::new(), gone: BTreeMap::new(), gone_at: BTreeSet::new() }
    }
}

/// A row that knows when it last changed.
pub(super) trait Row: PartialEq {
    fn revision(&mut self) -> &mut Revision;
}

impl Row for TunnelView {
    fn revision(&mut self) -> &mut Revision {
        &mut self.revision
    }
}

impl Row for SessionView {
    fn revision(&mut self) -> &mut Revision {
        &mut self.revision
    }
}

impl<K: Ord + Copy, V: Row> Rows<K, V> {
    /// Puts a row; one that is the same otherwise keeps its old revision. Returns whether it changed.
    pub(super) fn put(&mut self, key: K, mut row: V, next: u64) -> bool {
        if let Some(before) = self.rows.get_mut(&key) {
            let was = *before.revision();
            *row.revision() = was;
            if *before == row {
                return false;
            }
            self.changed.remove(&(was.0, key));
        }
        *row.revision() = Revision(next);
        self.rows.insert(key, row);
        self.changed.insert((next, key));
        if let Some(at) = self.gone.remove(&key) {
            self.gone_at.remove(&(at, key));
        }
        true
    }

    /// Takes a row away, and remembers that it went.
    pub(super) fn remove(&mut self, key: K, next: u64) -> Option<V> {
        let mut row = self.rows.remove(&key)?;
        self.changed.remove(&(row.revision().0, key));
        self.gone.insert(key, next);
        self.gone_at.insert((next, key));
        Some(row)
    }

    /// Forgets the one that went longest ago.
    pub(super) fn forget_oldest(&mut self) {
        if let Some((_, key)) = self.gone_at.pop_first() {
            self.gone.remove(&key);
        }
    }

    /// Rows that changed after `since`; all of them, in order, after 0.
    pub(super) fn since(&self, since: Revision) -> impl Iterator<Item = &V> {
        let all = (since.0 == 0).then(|| self.rows.values());
        let some = (since.0 > 0).then(|| after(&self.changed, since).filter_map(|k| self.rows.get(&k)));
        all.into_iter().flatten().chain(some.into_iter().flatten())
    }

    /// Keys that went after `since`.
    pub(super) fn gone_since(&self, since: Revision) -> impl Iterator<Item = K> {
        after(&self.gone_at, since)
    }
}

/// The keys noted after this revision, the newest first.
fn after<K: Ord + Copy>(noted: &BTreeSet<(u64, K)>, since: Revision) -> impl Iterator<Item = K> {
    // Revisions rise, so those after `since` are the set's end.
    noted.iter().rev().take_while(move |(at, _)| *at > since.0).map(|(_, k)| *k)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq)]
    struct Word(&'static str, Revision);

    impl Row for Word {
        fn revision(&mut self) -> &mut Revision {
            &mut self.1
        }
    }

    fn word(w: &'static str) -> Word {
        Word(w, Revision::default())
    }

    fn since(rows: &Rows<u8, Word>, at: u64) -> Vec<&'static str> {
        let mut all: Vec<_> = rows.since(Revision(at)).map(|w| w.0).collect();
        all.sort_unstable();
        all
    }

    #[test]
    fn what_is_the_same_keeps_its_revision_and_what_is_gone_is_told_until_it_is_back() {
        let mut rows = Rows::default();
        assert!(rows.put(1, word("a"), 1) && rows.put(2, word("b"), 1));
        assert!(!rows.put(1, word("a"), 2), "nothing changed");
        assert!(rows.put(2, word("c"), 2));
        assert_eq!(since(&rows, 0), ["a", "c"]);
        assert_eq!(since(&rows, 1), ["c"]);
        assert!(since(&rows, 2).is_empty());

        assert!(rows.remove(1, 3).is_some() && rows.remove(1, 3).is_none());
        assert_eq!(rows.gone_since(Revision(2)).collect::<Vec<_>>(), [1]);
        assert!(rows.gone_since(Revision(3)).next().is_none());
        assert!(rows.put(1, word("a"), 4));
        assert!(rows.gone_since(Revision(2)).next().is_none(), "it is back");
        assert_eq!(since(&rows, 2), ["a"]);

        rows.remove(2, 5);
        rows.remove(1, 6);
        rows.forget_oldest();
        assert_eq!(rows.gone_since(Revision(0)).collect::<Vec<_>>(), [1]);
    }
}
