//! What stands beside the chain when it is proved: signed checkpoints within it and from elsewhere, and where it begins.

use super::Checkpoint;
use super::chain::{GENESIS, Link};
use super::verify::{Break, Signed, Trust};
use crate::model::Seq;
use serde::Deserialize;

/// The only records that a proof reads beyond their place in the chain.
#[derive(Deserialize)]
#[serde(tag = "event")]
enum Word {
    #[serde(rename = "audit.checkpoint")]
    Checkpoint(Checkpoint),
    #[serde(rename = "audit.expired")]
    Expired { upto: Seq, head: String },
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Witness {
    trust: Trust,
    /// Records read that are no checkpoints, since the last checkpoint.
    unsigned: u64,
    signed: Option<Signed>,
    /// The record before the first there is, when that is not the first of all.
    begins: Option<(Seq, String)>,
    /// The first record of an expired file that names that place.
    expired: Option<Seq>,
    /// Checkpoints from elsewhere that have not been met, oldest first.
    missing: Vec<Checkpoint>,
    /// File and number of the first line.
    first: Option<(String, u64)>,
    /// The same of the last line, and its record.
    last: Option<(String, u64, Seq)>,
}

impl Witness {
    pub(super) fn new(trust: Trust) -> Self {
        let mut missing = trust.checkpoints.clone();
        missing.sort_by_key(|c| c.upto);
        Self { trust, missing, ..Self::default() }
    }

    /// Hears the next line; what it says that cannot be true.
    pub(super) fn hear(&mut self, file: &str, number: u64, link: &Link, line: &[u8]) -> Option<String> {
        let before = Seq(link.seq.0.saturating_sub(1));
        if self.first.is_none() {
            self.first = Some((file.to_owned(), number));
            if link.prev != GENESIS {
                self.begins = Some((before, link.prev.clone()));
            } else if before != Seq(0) {
                return Some(format!("it says that it is the first record of all, and is number {}", link.seq));
            }
        }
        match &mut self.last {
            // Nothing is copied for each of millions of lines.
            Some((known, line, seq)) if known == file => (*line, *seq) = (number, link.seq),
            last => *last = Some((file.to_owned(), number, link.seq)),
        }
        self.unsigned += 1;
        // Names of events come early in a line, and no text of others can hold this without its quotes escaped.
        let word =
            memchr::memmem::find(line, b"\"event\":\"audit.").and_then(|_| serde_json::from_slice::<Word>(line).ok());
        let flaw = self.kept(link, word.as_ref());
        let wrong = match word {
            Some(Word::Checkpoint(c)) => self.checkpoint(link, c),
            Some(Word::Expired { upto, head }) => {
                if self.begins.as_ref().is_some_and(|(s, h)| *s == upto && *h == head) {
                    self.expired.get_or_insert(link.seq);
                }
                None
            }
            None => None,
        };
        flaw.or(wrong)
    }

    /// Whether a checkpoint from elsewhere knows this record as another one: by its hash, or as the checkpoint itself.
    fn kept(&mut self, link: &Link, word: Option<&Word>) -> Option<String> {
        let other = self.missing.iter().find(|c| c.upto == link.seq && c.head != link.hash);
        let hash = other.map(|c| {
            let made = c.made.format("%F %TZ");
            format!("it is not the record that the checkpoint kept elsewhere ({made}) was made of: it or one before it was written anew")
        });
        // It was written down itself, next, before anybody could keep it: without that record it is not met.
        let mut next = self.missing.iter().filter(|c| c.upto.0.checked_add(1) == Some(link.seq.0));
        let own = next.find(|c| !matches!(word, Some(Word::Checkpoint(w)) if w == *c)).map(|c| {
            format!("it is not the checkpoint kept elsewhere ({}), which was written here", c.made.format("%F %TZ"))
        });
        self.missing.retain(|c| c.upto >= link.seq);
        hash.or(own)
    }

    fn checkpoint(&mut self, link: &Link, c: Checkpoint) -> Option<String> {
        if c.upto.0.checked_add(1) != Some(link.seq.0) || c.head != link.prev {
            return Some("the checkpoint is of another place than where it stands".to_owned());
        }
        if let Err(e) = c.prove(&self.trust.keys) {
            return Some(format!("the checkpoint proves nothing: {e}"));
        }
        let checkpoints = self.signed.as_ref().map_or(0, |s| s.checkpoints) + 1;
        let mut keys = self.signed.take().map(|s| s.keys).unwrap_or_default();
        if !keys.contains(&c.key) {
            keys.push(c.key);
        }
        self.unsigned = 0;
        self.signed = Some(Signed { upto: link.seq, made: c.made, keys, checkpoints, unsigned: 0 });
        None
    }

    /// How far the signatures reach.
    pub(super) fn signed(&self) -> Option<Signed> {
        self.signed.clone().map(|s| Signed { unsigned: self.unsigned, ..s })
    }

    /// Whether anything was kept elsewhere to prove by.
    fn trusts(&self) -> bool {
        !self.trust.keys.is_empty() || !self.trust.checkpoints.is_empty()
    }

    /// What is wrong with where the journal begins, known once it was read to its end.
    pub(super) fn beginning(&self) -> Option<Break> {
        let (before, _) = self.begins.as_ref()?;
        let (file, line) = self.first.clone()?;
        let why = match self.expired {
            None => format!("no record says that the {before} before it have expired"),
            // Whoever can write the folder can add a record to its end. They cannot sign it.
            Some(at) if self.trusts() && self.signed.as_ref().is_none_or(|s| s.upto < at) => {
                format!("the record that says that the {before} before it have expired (seq {at}) is not signed")
            }
            Some(_) => return None,
        };
        let what = format!(
            "records are missing before it: it is the first there is, and {why}. If older files were moved away, \
             verify them together"
        );
        Some(Break { file, line, seq: Some(Seq(before.0 + 1)), what })
    }

    /// What is wrong with the journal as a whole once it was read to its end.
    pub(super) fn judge(&self) -> Option<Break> {
        let nowhere = || ("an empty folder".to_owned(), 0, Seq(0));
        let (file, line, seq) = self.last.clone().unwrap_or_else(nowhere);
        let at = |seq: Seq, what: String| Some(Break { file, line, seq: Some(seq), what });
        if let Some(c) = self.missing.last() {
            let made = c.made.format("%F %TZ");
            let what = if c.upto == seq {
                format!("the end is cut off: the record of the checkpoint kept elsewhere ({made}) itself is gone")
            } else {
                let upto = c.upto;
                format!(
                    "the end is cut off: the checkpoint kept elsewhere ({made}) knows seq {upto}, the last record is {seq}"
                )
            };
            return at(seq, what);
        }
        if !self.trust.keys.is_empty() && self.signed.is_none() {
            return at(seq, "there is not one signed checkpoint in it".to_owned());
        }
        None
    }
}
