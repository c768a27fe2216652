//! What must hold of whatever lies in the journal's folder.

use super::chain::{self, Tip};
use super::recover::recover;
use super::walk::Walk;
use super::{AuditQuery, Checkpoint, Event, Record, Trust, VerifyReport, What, search_dir, verify, verify_by};
use crate::fuzzing::NEXT;
use crate::model::{Seq, Time};
use serde::Deserialize;
use sha2::{Digest, Sha256};
use ssh_key::private::{Ed25519Keypair, KeypairData};
use std::fs;
use std::path::Path;
use std::sync::LazyLock;
use tempfile::TempDir;

const DAYS: [&str; 3] = ["audit-2026-01-01.jsonl", "audit-2026-01-02.jsonl", "audit-2026-01-03.jsonl"];
/// Noon of the first of them.
const NOON: i64 = 1_767_268_800;

/// Calls with a folder that has these files and nothing else.
fn folder(files: &[Vec<u8>], f: impl FnOnce(&Path)) {
    thread_local! {
        // In memory where there is such a place: this is done thousands of times a second.
        static DIR: Option<TempDir> = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).ok();
    }
    DIR.with(|dir| {
        let Some(dir) = dir.as_ref().map(TempDir::path) else { return };
        for old in fs::read_dir(dir).into_iter().flatten().flatten() {
            let _ = fs::remove_file(old.path());
        }
        for (name, bytes) in DAYS.iter().zip(files) {
            assert!(fs::write(dir.join(name), bytes).is_ok(), "no room for a file");
        }
        f(dir);
    });
}

fn parts(data: &[u8]) -> Vec<Vec<u8>> {
    let mut out = Vec::new();
    let mut rest = data;
    while let Some(at) = memchr::memmem::find(rest, NEXT.as_bytes()).filter(|_| out.len() + 1 < DAYS.len()) {
        // The first newline is still the line's own.
        out.push(rest.get(..=at).unwrap_or_default().to_vec());
        rest = rest.get(at + NEXT.len()..).unwrap_or_default();
    }
    out.push(rest.to_vec());
    out
}

fn report(dir: &Path) -> VerifyReport {
    let report = verify(dir).unwrap_or_default();
    assert!(report.files > 0, "the files cannot be read");
    report
}

/// Up to three files of anybody's making.
pub fn journal(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    if let Ok(c) = text.parse::<Checkpoint>() {
        assert_eq!(c.to_string().parse().as_ref(), Ok(&c), "a checkpoint reads back as it was");
    }
    let files = parts(data);
    folder(&files, |dir| {
        let before = report(dir);
        assert!(!before.to_string().is_empty());
        assert_eq!(report(dir), before, "proved alike twice");
        let whole = files.iter().flatten().filter(|b| **b == b'\n').count() as u64;
        assert!(before.records <= whole, "{} records in {whole} lines", before.records);
        let mut walk = Walk::from_first();
        assert!(walk.go_on(dir, |_| false).is_ok_and(|end| end) && walk.stands(dir).is_ok_and(|s| s));
        let found = search_dir(dir, &AuditQuery::default(), |_| true, |_| false).unwrap_or_default();
        assert!(found.records.len() as u64 <= whole && found.next.is_none());
        for r in &found.records {
            sent_on(r);
        }
        // What a crash leaves is set aside once, and then the end is whole.
        let tip = recover(dir, 5).ok().map(|f| f.tip);
        assert!(tip.is_some(), "the files cannot be recovered");
        let again = recover(dir, 5);
        assert!(again.as_ref().is_ok_and(|f| f.events.iter().all(|e| !matches!(e.what, What::AuditRecovered { .. }))));
        assert_eq!(again.ok().map(|f| f.tip), tip, "the same end twice");
        assert!(report(dir).torn.is_none(), "its end is still torn");
    });
}

/// A message for a receiver is one line, whatever the record says.
fn sent_on(r: &Record) {
    for line in super::ship::lines(r) {
        assert!(line.starts_with('<') && !line.contains(['\n', '\r', '\0']), "{line:?}");
    }
}

/// A sound journal's query and events, or else, when they are none, a signed one's spoiling.
pub fn tamper(data: &[u8]) {
    match std::str::from_utf8(data).ok().filter(|t| t.starts_with('{')).map(search) {
        Some(()) => {}
        None => spoil(data),
    }
}

/// A query as JSON on the first line, and an event on each other: found is what matches, in whatever pieces.
fn search(text: &str) {
    let mut lines = text.lines();
    let Some(query) = lines.next().and_then(|l| serde_json::from_str::<AuditQuery>(l).ok()) else { return };
    let events: Vec<Event> = lines.take(64).filter_map(|l| serde_json::from_str(l).ok()).collect();
    let (files, records) = sealed(events);
    folder(&files, |dir| {
        let proof = report(dir);
        assert!(proof.is_ok() && proof.torn.is_none() && proof.records == records.len() as u64, "{proof}");
        let want: Vec<Seq> = records.iter().filter(|r| query.matches(r)).map(|r| r.seq).collect();
        let limit = query.limit.unwrap_or(1_000).max(1);
        let found = |q: &AuditQuery| {
            let found = search_dir(dir, q, |_| true, |_| false).unwrap_or_default();
            (found.records.iter().map(|r| r.seq).collect::<Vec<Seq>>(), found.next)
        };
        assert_eq!(found(&query).0, want.get(want.len().saturating_sub(limit)..).unwrap_or_default());
        let mut paged = Vec::new();
        let mut page = AuditQuery { limit: Some(3), ..query };
        loop {
            let (mut seqs, next) = found(&page);
            seqs.append(&mut paged);
            paged = seqs;
            let Some(next) = next else { break };
            assert!(page.before.is_none_or(|b| next < b), "a page does not lead on");
            page.before = Some(next);
        }
        assert_eq!(paged, want, "page by page");
    });
    for r in &records {
        sent_on(r);
    }
}

/// The events as two days of a journal, and as its records.
fn sealed(events: Vec<Event>) -> (Vec<Vec<u8>>, Vec<Record>) {
    let (mut tip, mut files, mut records) = (Tip::genesis(), vec![Vec::new(), Vec::new()], Vec::new());
    let first = events.len() / 2;
    for (n, event) in events.into_iter().enumerate() {
        // Those say something of the chain, and it is not so.
        if matches!(event.what, What::Checkpoint(_) | What::AuditExpired { .. }) {
            continue;
        }
        let at = moment(i64::from(n >= first) * 86_400 + n as i64);
        let Some(file) = files.get_mut(usize::from(n >= first)) else { continue };
        if let Ok(seal) = chain::seal(&mut tip, at, &event, file) {
            records.push(seal.record(at, event));
        }
    }
    (files, records)
}

fn moment(seconds: i64) -> Time {
    Time::from_timestamp(NOON + seconds, 0).unwrap_or_default()
}

/// A signed journal of two days, and what was kept elsewhere: the daemon's key and its last checkpoint.
struct Signed {
    files: Vec<Vec<u8>>,
    trust: Trust,
}

static SIGNED: LazyLock<Option<Signed>> = LazyLock::new(|| {
    let key = KeypairData::Ed25519(Ed25519Keypair::from_seed(&[7; 32]));
    let key = ssh_key::PrivateKey::new(key, "").ok()?;
    let (mut tip, mut files, mut kept) = (Tip::genesis(), vec![Vec::new(), Vec::new()], None);
    for n in 0..8 {
        let file = files.get_mut(usize::from(n >= 4))?;
        let at = moment(i64::from(n >= 4) * 86_400 + n);
        let event = if n % 4 == 3 {
            let c = Checkpoint::sign(&key, tip.seq, &tip.hash, at).ok()?;
            kept = Some(c.clone());
            What::Checkpoint(c)
        } else {
            What::AuthFailure { method: "publickey".to_owned(), client: format!("결제 {n}") }
        };
        let event = Event::success(super::Actor::Daemon, event, super::Context::default());
        chain::seal(&mut tip, at, &event, file).ok()?;
    }
    let trust = Trust { keys: vec![key.public_key().clone()], checkpoints: vec![kept?] };
    Some(Signed { files, trust })
});

/// A file that grows beyond this is not spoilt further: a last line without its end, doubled again and again, would fill
/// the memory. Bytes.
const SPOILT_MAX: usize = 64 * 1024;

/// Somebody who may write the files, and knows how hashes are made, but has not the key: whatever they do to what is
/// signed is found.
fn spoil(data: &[u8]) {
    let Some(signed) = SIGNED.as_ref() else { unreachable!("the journal cannot be signed") };
    let mut files = signed.files.clone();
    let mut data = data.iter().copied();
    while let Some(act) = data.next() {
        let mut next = || usize::from(data.next().unwrap_or_default());
        let n = next() % files.len();
        let (at, what) = (next() << 8 | next(), next());
        let Some(file) = files.get_mut(n).filter(|f| f.len() < SPOILT_MAX) else { break };
        let place = at % file.len().max(1);
        match act % 9 {
            0 => file.iter_mut().skip(place).take(1).for_each(|b| *b = u8::try_from(what).unwrap_or_default()),
            1 => drop(file.drain(place..(place + what).min(file.len()))),
            2 => file
                .splice(place..place, std::iter::repeat_n(u8::try_from(at & 0xff).unwrap_or_default(), what))
                .for_each(drop),
            3 => file.truncate(place),
            // Whole lines: one away, two swapped, one twice.
            4..=6 => {
                let mut lines: Vec<Vec<u8>> = file.split_inclusive(|b| *b == b'\n').map(<[u8]>::to_vec).collect();
                if lines.is_empty() {
                    continue;
                }
                let (a, b) = (at % lines.len(), what % lines.len());
                match act % 9 {
                    4 => drop(lines.remove(a)),
                    5 => lines.swap(a, b),
                    _ => lines.insert(b, lines.get(a).cloned().unwrap_or_default()),
                }
                *file = lines.concat();
            }
            7 => files.swap(0, 1),
            _ => seal_anew(&mut files),
        }
    }
    let (good, bad) = (signed.files.concat(), files.concat());
    folder(&files, |dir| {
        let report = verify_by(dir, signed.trust.clone()).unwrap_or_default();
        let intact = report.is_ok() && report.torn.is_none();
        if good == bad {
            assert!(intact, "{report}");
        } else if intact {
            // Nobody can sign for what comes after the last checkpoint; the report says how much that is.
            let unsigned = report.signed.as_ref().map_or(0, |s| s.unsigned);
            assert!(bad.starts_with(&good) && unsigned > 0, "{report}");
        }
    });
}

/// Gives every line that looks like one its number, and hashes that fit.
fn seal_anew(files: &mut [Vec<u8>]) {
    #[derive(Deserialize)]
    struct Numbered {
        seq: u64,
    }
    let (mut seq, mut prev) = (0, chain::GENESIS.to_owned());
    for file in files {
        let mut out = Vec::new();
        for line in file.split_inclusive(|b| *b == b'\n') {
            let numbered = serde_json::from_slice::<Numbered>(line).ok();
            let body = numbered.and_then(|n| {
                let rest = line.strip_prefix(format!("{{\"seq\":{}", n.seq).as_bytes())?;
                rest.get(..memchr::memmem::rfind(rest, b",\"prev\":\"")?)
            });
            let Some(body) = body else {
                out.extend_from_slice(line);
                continue;
            };
            seq += 1;
            let said =
                [format!("{{\"seq\":{seq}").as_bytes(), body, format!(",\"prev\":\"{prev}\"").as_bytes()].concat();
            let hash = Sha256::new().chain_update(&said).chain_update(b"}").finalize();
            prev = hash.iter().map(|b| format!("{b:02x}")).collect();
            out.extend_from_slice(&said);
            out.extend_from_slice(format!(",\"hash\":\"{prev}\"}}\n").as_bytes());
        }
        *file = out;
    }
}
