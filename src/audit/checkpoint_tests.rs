//! What a signed journal shows that a chain alone cannot.

use super::journal_tests::{event, quick};
use super::*;
use crate::model::Seq;
use ssh_key::getrandom::SysRng;
use ssh_key::rand_core::UnwrapErr;
use ssh_key::{Algorithm, PrivateKey};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

fn key() -> PrivateKey {
    PrivateKey::random(&mut UnwrapErr(SysRng), Algorithm::Ed25519).unwrap()
}

/// A journal of some days, its key, and the checkpoint that was kept elsewhere at its end.
fn signed(days: &[&str]) -> (tempfile::TempDir, Trust) {
    let dir = tempfile::tempdir().unwrap();
    let key = Arc::new(key());
    let settings = Settings { key: Some(key.clone()), ..quick() };
    let journal = Journal::open_with(dir.path(), settings).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    for day in days {
        for n in 0..3 {
            journal.record_at(event(&format!("결제 {n}")), format!("{day}T10:00:0{n}Z").parse().unwrap());
        }
        // A checkpoint's own time is now, so it goes to the file of this day whatever the day is.
        runtime.block_on(journal.flush()).unwrap();
    }
    let kept = runtime.block_on(journal.checkpoint()).unwrap();
    journal.close().unwrap();
    (dir, Trust { keys: vec![key.public_key().clone()], checkpoints: vec![kept] })
}

const DAYS: [&str; 2] = ["2026-01-01", "2026-01-02"];

fn files(dir: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut v: Vec<_> = fs::read_dir(dir).unwrap().map(|e| e.unwrap().path()).collect();
    v.retain(|p| p.extension().is_some_and(|e| e == "jsonl"));
    v.sort();
    v.into_iter().map(|p| (p.clone(), fs::read(p).unwrap())).collect()
}

fn put_back(files: &[(PathBuf, Vec<u8>)]) {
    for (path, bytes) in files {
        fs::write(path, bytes).unwrap();
    }
}

fn found(dir: &Path, trust: &Trust) -> Option<String> {
    let report = verify_by(dir, trust.clone()).unwrap();
    report.broken.map(|b| b.what).or_else(|| report.torn.map(|_| "torn".to_owned()))
}

#[test]
fn a_signed_journal_holds_and_says_how_far_it_is_signed() {
    let (dir, trust) = signed(&DAYS);
    trust.checkpoints[0].prove(&trust.keys).unwrap();
    let report = verify_by(dir.path(), trust.clone()).unwrap();
    assert!(report.is_ok(), "{report}");
    let s = report.signed.clone().unwrap();
    assert_eq!((s.upto, s.checkpoints, s.unsigned), (Seq(7), 1, 0));
    assert!(
        report.to_string().contains(&format!("; signed up to seq 7 ({} by SHA256:", s.made.format("%F %TZ)"))),
        "{report}"
    );
    // Nothing is signed twice, and a journal without a key says nothing of signatures.
    let again = Journal::open(dir.path()).unwrap();
    again.record(event("later"));
    again.close().unwrap();
    let report = verify_by(dir.path(), trust).unwrap();
    assert_eq!(report.signed.unwrap().unsigned, 1);
}

#[test]
fn the_end_of_a_run_is_signed_without_being_asked_and_so_is_what_has_waited() {
    let dir = tempfile::tempdir().unwrap();
    let settings = Settings { key: Some(Arc::new(key())), checkpoint: std::time::Duration::from_millis(1), ..quick() };
    let journal = Journal::open_with(dir.path(), settings.clone()).unwrap();
    let mut live = journal.subscribe();
    journal.record(event("a"));
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    while !matches!(runtime.block_on(live.recv()).unwrap().event.what, What::Checkpoint(_)) {}
    drop(live);
    journal.close().unwrap();
    let journal = Journal::open_with(dir.path(), Settings { checkpoint: SYNC_MAX * 3600, ..settings }).unwrap();
    journal.record(event("b"));
    journal.close().unwrap();
    let s = verify(dir.path()).unwrap().signed.unwrap();
    assert_eq!((s.checkpoints, s.unsigned, s.upto), (2, 0, Seq(4)));
}

/// Every byte to every other value, one at a time.
#[test]
fn every_edit_of_a_single_byte_to_any_value_is_found() {
    let (dir, _) = signed(&DAYS);
    for (_, bytes) in files(dir.path()) {
        for line in bytes.split(|b| *b == b'\n').filter(|l| !l.is_empty()) {
            assert!(chain::holds(line));
            let mut bad = line.to_vec();
            for i in 0..line.len() {
                for new in (0..=255).filter(|new| *new != line[i]) {
                    bad[i] = new;
                    assert!(!chain::holds(&bad), "byte {i} from {} to {new}", line[i]);
                }
                bad[i] = line[i];
            }
        }
    }
}

/// The same through the files, where a byte may also end or join lines.
#[test]
fn every_edit_of_a_single_byte_of_the_files_is_found() {
    let (dir, trust) = signed(&DAYS);
    for (path, good) in files(dir.path()) {
        for i in 0..good.len() {
            let mut bad = good.clone();
            for new in [good[i] ^ 1, good[i] ^ 0x20, b'\n', b'0'] {
                bad[i] = new;
                fs::write(&path, &bad).unwrap();
                assert!(bad == good || found(dir.path(), &trust).is_some(), "byte {i} from {} to {new}", good[i]);
            }
        }
        fs::write(&path, &good).unwrap();
    }
    assert_eq!(found(dir.path(), &trust), None);
}

/// At every length, newest file and older ones, and whole files.
#[test]
fn every_truncation_is_found_by_the_checkpoint_kept_elsewhere() {
    let (dir, trust) = signed(&DAYS);
    let all = files(dir.path());
    let mut unseen = 0;
    for (n, (path, good)) in all.iter().enumerate() {
        for len in 0..good.len() {
            fs::write(path, &good[..len]).unwrap();
            assert!(found(dir.path(), &trust).is_some(), "file {n} cut to {len}");
            // Of the newest file, what the files alone do not show at a line's end.
            unseen += usize::from(found(dir.path(), &Trust::default()).is_none());
        }
        put_back(&all);
        fs::remove_file(path).unwrap();
        assert!(found(dir.path(), &trust).is_some(), "file {n} removed");
        put_back(&all);
    }
    assert!(unseen > 0, "else the checkpoint would prove nothing here");
    for (path, _) in &all {
        fs::remove_file(path).unwrap();
    }
    assert!(found(dir.path(), &trust).is_some(), "all files removed");
}

#[test]
fn every_deletion_doubling_and_swap_of_lines_is_found() {
    let (dir, trust) = signed(&DAYS);
    let all = files(dir.path());
    let lines: Vec<(usize, Vec<u8>)> = all
        .iter()
        .enumerate()
        .flat_map(|(f, (_, bytes))| bytes.split_inclusive(|b| *b == b'\n').map(move |l| (f, l.to_vec())))
        .collect();
    let tried = |lines: &[(usize, Vec<u8>)], what: &str| {
        for (f, (path, _)) in all.iter().enumerate() {
            let bytes: Vec<u8> = lines.iter().filter(|(g, _)| *g == f).flat_map(|(_, l)| l.clone()).collect();
            fs::write(path, bytes).unwrap();
        }
        assert!(found(dir.path(), &trust).is_some(), "{what} was not found");
    };
    for i in 0..lines.len() {
        for n in 1..=lines.len() - i {
            let mut less = lines.clone();
            less.drain(i..i + n);
            tried(&less, &format!("{n} lines less from {i}"));
        }
        let mut more = lines.clone();
        more.insert(i, lines[i].clone());
        tried(&more, &format!("line {i} twice"));
        for j in 0..i {
            let mut swapped = lines.clone();
            let (a, b) = (swapped[i].1.clone(), swapped[j].1.clone());
            (swapped[i].1, swapped[j].1) = (b, a);
            tried(&swapped, &format!("lines {i} and {j} swapped"));
        }
    }
}

/// Somebody who can write the folder makes a new journal that is whole in itself.
#[test]
fn a_journal_written_anew_holds_as_a_chain_and_is_found_by_the_key_and_by_the_checkpoint() {
    let (dir, trust) = signed(&DAYS);
    let by_key = Trust { keys: trust.keys.clone(), checkpoints: vec![] };
    let by_checkpoint = Trust { keys: vec![], checkpoints: trust.checkpoints.clone() };
    let forged = |key: Option<PrivateKey>| {
        for (path, _) in files(dir.path()) {
            fs::remove_file(path).unwrap();
        }
        let journal = Journal::open_with(dir.path(), Settings { key: key.map(Arc::new), ..quick() }).unwrap();
        for n in 0..9 {
            journal.record_at(event(&format!("nothing happened {n}")), "2026-01-02T10:00:00Z".parse().unwrap());
        }
        journal.close().unwrap();
    };
    forged(None);
    assert_eq!(found(dir.path(), &Trust::default()), None, "as a chain it holds");
    assert_eq!(found(dir.path(), &by_key).unwrap(), "there is not one signed checkpoint in it");
    assert!(found(dir.path(), &by_checkpoint).unwrap().contains("written anew"));
    forged(Some(key()));
    assert_eq!(found(dir.path(), &Trust::default()), None);
    assert!(found(dir.path(), &by_key).unwrap().contains("which is not the key given"));
    assert!(found(dir.path(), &by_checkpoint).unwrap().contains("written anew"));
}

/// Nothing signs the record of the last checkpoint but the copy that is kept elsewhere.
#[test]
fn the_record_of_the_checkpoint_kept_elsewhere_cannot_be_another_one() {
    let (dir, trust) = signed(&DAYS);
    let (path, good) = files(dir.path()).pop().unwrap();
    let lines: Vec<_> = good.split_inclusive(|b| *b == b'\n').collect();
    let (last, rest) = lines.split_last().unwrap();
    let link = chain::Link::read(last.trim_ascii_end()).unwrap();
    let mut tip = chain::Tip { seq: Seq(link.seq.0 - 1), hash: link.prev };
    let mut forged = rest.concat();
    chain::seal(&mut tip, link.at, &event("nothing was signed here"), &mut forged).unwrap();
    fs::write(&path, forged).unwrap();
    assert_eq!(found(dir.path(), &Trust::default()), None, "as a chain it holds");
    let by_checkpoint = Trust { keys: vec![], checkpoints: trust.checkpoints };
    assert!(found(dir.path(), &by_checkpoint).unwrap().contains("it is not the checkpoint kept elsewhere"));
}

#[test]
fn a_forged_checkpoint_is_found_before_anything_is_read() {
    let (_dir, trust) = signed(&DAYS);
    let mut forged = trust.clone();
    forged.checkpoints[0].head = "0".repeat(64);
    assert_eq!(forged.checkpoints[0].prove(&forged.keys).unwrap_err(), CheckpointError::Signature);
}

#[test]
fn old_files_expire_with_a_record_that_lets_the_proof_begin_after_them() {
    let (dir, mut trust) = signed(&["2026-01-01", "2026-01-02", "2026-01-03"]);
    let before = files(dir.path());
    let keep = Keep { bytes: Some(1), days: None };
    let signing = Arc::new(key());
    let settings = Settings { keep, key: Some(signing.clone()), ..quick() };
    let journal = Journal::open_with(dir.path(), settings).unwrap();
    journal.record(event("a new day"));
    journal.close().unwrap();
    let left = files(dir.path());
    assert_eq!(left.len(), 1, "all but the newest: {left:?}");
    let records = query_dir(dir.path(), &AuditQuery::default()).unwrap().0;
    let gone: Vec<_> = records
        .iter()
        .filter_map(|r| match &r.event.what {
            What::AuditExpired { file, upto, .. } => Some((file.clone(), upto.0)),
            _ => None,
        })
        .collect();
    let names: Vec<_> = before.iter().map(|(p, _)| p.file_name().unwrap().to_str().unwrap().to_owned()).collect();
    assert_eq!(gone, [(names[0].clone(), 3), (names[1].clone(), 6), (names[2].clone(), 9)]);
    trust.checkpoints.clear();
    trust.keys.push(signing.public_key().clone());
    assert_eq!(found(dir.path(), &trust), None);
    // The same files without that word: somebody took the beginning away.
    let (dir, mut trust) = signed(&["2026-01-01", "2026-01-02"]);
    fs::remove_file(&files(dir.path())[0].0).unwrap();
    trust.checkpoints.clear();
    assert!(found(dir.path(), &trust).unwrap().contains("no record says that the 3 before it have expired"));
}

/// Who can write the folder, and has no key, cannot have old files expire.
#[test]
fn an_unsigned_word_that_old_files_have_expired_convinces_no_key() {
    let (dir, mut trust) = signed(&["2026-01-01", "2026-01-02"]);
    trust.checkpoints.clear();
    let keep = Keep { bytes: Some(1), days: None };
    let journal = Journal::open_with(dir.path(), Settings { keep, ..quick() }).unwrap();
    journal.record(event("a new day"));
    journal.close().unwrap();
    assert_eq!(found(dir.path(), &Trust::default()), None, "as a chain it holds");
    assert!(found(dir.path(), &trust).unwrap().contains("the record that says that the 6 before it have expired"));
}

/// The daemon does not wait for its next checkpoint to delete what is then missed.
#[test]
fn old_files_are_deleted_once_it_is_signed_that_they_have_expired() {
    let (dir, mut trust) = signed(&["2026-01-01", "2026-01-02"]);
    let (keep, signing) = (Keep { bytes: Some(1), days: None }, Arc::new(key()));
    let settings = Settings { keep, key: Some(signing.clone()), checkpoint: SYNC_MAX * 3600, ..quick() };
    let journal = Journal::open_with(dir.path(), settings).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    journal.record(event("a new day"));
    while files(dir.path()).len() > 1 {
        runtime.block_on(journal.flush()).unwrap();
    }
    trust.checkpoints.clear();
    trust.keys.push(signing.public_key().clone());
    assert_eq!(found(dir.path(), &trust), None, "with an hour to go until the next checkpoint");
    journal.close().unwrap();
}

#[test]
fn files_expire_by_their_day_too_and_never_by_default() {
    for (keep, left) in [(Keep::default(), 3), (Keep { days: Some(30), bytes: None }, 1)] {
        let (dir, _) = signed(&DAYS);
        let journal = Journal::open_with(dir.path(), Settings { keep, ..quick() }).unwrap();
        journal.record(event("a"));
        journal.close().unwrap();
        assert_eq!(files(dir.path()).len(), left, "{keep:?}");
        assert_eq!(found(dir.path(), &Trust::default()), None);
    }
}

/// While the writer has nothing to do but to sign in an hour, what comes is written as soon as ever.
#[test]
fn a_checkpoint_to_come_keeps_no_record_waiting() {
    let dir = tempfile::tempdir().unwrap();
    let settings = Settings { key: Some(Arc::new(key())), checkpoint: SYNC_MAX * 3600, ..quick() };
    let journal = Journal::open_with(dir.path(), settings).unwrap();
    let mut live = journal.subscribe();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    for n in 0..3 {
        journal.record(event(&n.to_string()));
        let soon = async { tokio::time::timeout(SYNC_MAX * 20, live.recv()).await };
        assert!(runtime.block_on(soon).is_ok(), "record {n}");
    }
}
