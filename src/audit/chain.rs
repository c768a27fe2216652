//! The hash chain: how a line is sealed, and how a line is checked against the one before.
//!
//! A line is the record's JSON with `"prev"` and `"hash"` as its last two fields. The hash is SHA-256 over the bytes of
//! the line as written, without the hash field (`,"hash":"…"` taken out, the closing `}` left). Checking works on those
//! bytes, never on JSON written anew, so a change of a single byte shows, be it only a space.

use super::{Event, Record};
use crate::model::{Seq, Time};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// `prev` of the first record of all.
pub(super) const GENESIS: &str = "0000000000000000000000000000000000000000000000000000000000000000";

const HASH_KEY: &[u8] = b",\"hash\":\"";
const HASH_END: &[u8] = b"\"}";
const HASH_FIELD: usize = HASH_KEY.len() + GENESIS.len() + HASH_END.len();
/// How much of a line's end is its place in the chain: `,"prev":"…"` and the hash.
pub(super) const TAIL: usize = b",\"prev\":\"\"".len() + GENESIS.len() + HASH_FIELD;

/// The end of the chain: what the next record follows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Tip {
    pub(super) seq: Seq,
    pub(super) hash: String,
}

impl Tip {
    /// Before the first record.
    pub(super) fn genesis() -> Self {
        Self { seq: Seq(0), hash: GENESIS.to_owned() }
    }
    fn next_seq(&self) -> Seq {
        Seq(self.seq.0.saturating_add(1))
    }
}

/// A record without its hash, in the order written.
#[derive(Serialize)]
struct Unsealed<'a> {
    seq: Seq,
    at: Time,
    #[serde(flatten)]
    event: &'a Event,
    prev: &'a str,
}

/// An event's place in the chain.
#[derive(Debug)]
pub(super) struct Seal {
    seq: Seq,
    prev: String,
    hash: String,
}

impl Seal {
    /// The record, once its line is on the disk.
    pub(super) fn record(self, at: Time, event: Event) -> Record {
        Record { seq: self.seq, at, event, prev: self.prev, hash: self.hash }
    }
}

/// Gives the event its number and place in the chain, and appends its line (with newline) to `out`.
pub(super) fn seal(tip: &mut Tip, at: Time, event: &Event, out: &mut Vec<u8>) -> serde_json::Result<Seal> {
    let seq = tip.next_seq();
    let mut line = serde_json::to_vec(&Unsealed { seq, at, event, prev: &tip.hash })?;
    let hash = hex(&Sha256::digest(&line));
    line.pop();
    out.extend_from_slice(&line);
    out.extend_from_slice(HASH_KEY);
    out.extend_from_slice(hash.as_bytes());
    out.extend_from_slice(HASH_END);
    out.push(b'\n');
    let prev = std::mem::replace(tip, Tip { seq, hash: hash.clone() }).hash;
    Ok(Seal { seq, prev, hash })
}

/// The fields of a line that make the chain. Read alone, so that a journal with events of a newer version can be verified.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Link {
    pub(super) seq: Seq,
    pub(super) at: Time,
    pub(super) prev: String,
    pub(super) hash: String,
}

impl Link {
    /// `None` when the line is no record at all: torn, or overwritten.
    pub(super) fn read(line: &[u8]) -> Option<Self> {
        serde_json::from_slice(line).ok()
    }
    pub(super) fn tip(&self) -> Tip {
        Tip { seq: self.seq, hash: self.hash.clone() }
    }
}

/// Whether the line's bytes are those its hash was made of, and the hash is where it belongs.
pub(super) fn holds(line: &[u8]) -> bool {
    let Some((body, field)) = line.len().checked_sub(HASH_FIELD).and_then(|at| line.split_at_checked(at)) else {
        return false;
    };
    let Some(stated) = field.strip_prefix(HASH_KEY).and_then(|f| f.strip_suffix(HASH_END)) else { return false };
    let digest = Sha256::new().chain_update(body).chain_update(b"}").finalize();
    hex(&digest).as_bytes() == stated
}

/// What is wrong with a line.
#[derive(Debug)]
pub(super) struct Flaw {
    /// The record's number, as far as the line tells.
    pub(super) seq: Option<Seq>,
    /// A sentence.
    pub(super) what: String,
}

/// Walks the chain, line by line.
#[derive(Debug)]
pub(super) struct Checker {
    /// The record before; none when the walk begins in the middle.
    tip: Option<Tip>,
}

impl Checker {
    /// From the first record of all.
    pub(super) fn from_genesis() -> Self {
        Self { tip: Some(Tip::genesis()) }
    }
    /// From somewhere in the middle: the first line is taken at its word about the one before.
    pub(super) fn from_anywhere() -> Self {
        Self { tip: None }
    }

    /// Checks the next line (without its newline). Returns its link, as far as it can be read, and what is wrong with it.
    /// The walk goes on from what the line says of itself.
    pub(super) fn check(&mut self, line: &[u8]) -> (Option<Link>, Option<Flaw>) {
        let Some(link) = Link::read(line) else {
            return (None, Some(Flaw { seq: None, what: "the line is not a record".to_owned() }));
        };
        let what = self.flaw(line, &link);
        self.tip = Some(link.tip());
        let flaw = what.map(|what| Flaw { seq: Some(link.seq), what });
        (Some(link), flaw)
    }

    fn flaw(&self, line: &[u8], link: &Link) -> Option<String> {
        if !holds(line) {
            return Some("the line was changed after it was written: it does not match its hash".to_owned());
        }
        let tip = self.tip.as_ref()?;
        let expected = tip.next_seq();
        if link.seq != expected {
            return Some(match link.seq.0.checked_sub(expected.0) {
                Some(n) => format!(
                    "records are missing before it: seq {expected} was expected, this is {} ({n} missing)",
                    link.seq
                ),
                None => format!("it is out of order: seq {expected} was expected, this is {}", link.seq),
            });
        }
        (link.prev != tip.hash)
            .then(|| format!("it does not follow the record before: its prev is not the hash of seq {}", tip.seq))
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().flat_map(|b| [b >> 4, b & 15]).filter_map(|d| char::from_digit(d.into(), 16)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::{Actor, Context, What};

    #[test]
    fn a_sealed_line_has_its_hash_last_and_the_hash_is_sha256_of_the_rest() {
        let mut tip = Tip::genesis();
        let mut out = Vec::new();
        let event = Event::success(Actor::Daemon, What::VisitorOpen {}, Context::default());
        let at = Time::from_timestamp_millis(1_700_000_000_123).unwrap();
        let record = seal(&mut tip, at, &event, &mut out).unwrap().record(at, event);
        let line = String::from_utf8(out).unwrap();
        // Taken from `printf '%s' '{…}' | sha256sum` of the same bytes.
        let body = format!(
            r#"{{"seq":1,"at":"2023-11-14T22:13:20.123Z","event":"visitor.open","outcome":"success","actor":{{"type":"daemon"}},"prev":"{GENESIS}"}}"#
        );
        assert_eq!(line, format!("{},\"hash\":\"{}\"}}\n", body.strip_suffix('}').unwrap(), record.hash));
        assert_eq!(record.hash, hex(&Sha256::digest(body.as_bytes())));
        assert_eq!(tip, Tip { seq: Seq(1), hash: record.hash.clone() });
        assert_eq!(serde_json::from_str::<Record>(&line).unwrap(), record);
        assert_eq!(hex(&[0x00, 0x1f, 0xff]), "001fff");
    }
}
