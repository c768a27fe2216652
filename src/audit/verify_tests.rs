//! Every way of tampering with a small journal, and whether verify names it.

use super::chain::{self, Tip};
use super::{Actor, Context, Event, VerifyReport, What, verify};
use crate::model::{Seq, Time};
use std::fs;
use std::path::{Path, PathBuf};

const DAYS: [&str; 2] = ["audit-2026-11-20.jsonl", "audit-2026-11-21.jsonl"];

/// Two files of four and three lines.
fn small_journal() -> (tempfile::TempDir, [Vec<u8>; 2]) {
    let mut tip = Tip::genesis();
    let mut files = [Vec::new(), Vec::new()];
    for n in 0..7 {
        let context = Context {
            source: Some("203.0.113.9:40000".parse().unwrap()),
            user: Some(format!("결제 \"{n}\"")),
            port: Some("20122".parse().unwrap()),
            ..Context::default()
        };
        let what = What::AuthFailure { method: "publickey".to_owned(), client: "OpenSSH_9.2".to_owned() };
        let at = Time::from_timestamp_millis(1_795_219_190_000 + n * 5_000).unwrap();
        let event = Event::refused(Actor::Unknown, what, "unknown key", context);
        chain::seal(&mut tip, at, &event, &mut files[usize::from(n >= 4)]).unwrap();
    }
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), &files);
    (dir, files)
}

fn write(dir: &Path, files: &[Vec<u8>; 2]) {
    for (name, bytes) in DAYS.iter().zip(files) {
        fs::write(dir.join(name), bytes).unwrap();
    }
}

fn lines(file: &[u8]) -> Vec<Vec<u8>> {
    file.split_inclusive(|b| *b == b'\n').map(<[u8]>::to_vec).collect()
}

fn broken_at(report: &VerifyReport) -> Option<(&str, u64)> {
    report.broken.as_ref().map(|b| (b.file.as_str(), b.line))
}

#[test]
fn an_untouched_journal_holds_and_the_report_says_what_was_read() {
    let (dir, _) = small_journal();
    let report = verify(dir.path()).unwrap();
    assert!(report.is_ok() && report.torn.is_none(), "{report}");
    assert_eq!((report.records, report.files), (7, 2));
    assert_eq!((report.first.unwrap().0, report.last.unwrap().0), (Seq(1), Seq(7)));
    let text = report.to_string();
    assert!(text.starts_with("the chain holds: 7 records in 2 files, seq 1 (2026-11-20 "), "{text}");
    assert!(text.ends_with(report.last_hash.as_deref().unwrap()), "{text}");
}

#[test]
fn an_empty_journal_is_said_to_be_empty() {
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(verify(dir.path()).unwrap().to_string(), "the journal is empty");
    assert!(verify(&dir.path().join("nowhere")).is_err());
}

#[test]
fn every_edit_of_a_single_byte_is_found_at_its_line() {
    let (dir, good) = small_journal();
    for f in 0..2 {
        for i in 0..good[f].len() {
            let old = good[f][i];
            for new in [old ^ 1, old ^ 0x20, b'0', b' ', b'\n', 0, 0xff] {
                if new == old {
                    continue;
                }
                let mut bad = good.clone();
                bad[f][i] = new;
                fs::write(dir.path().join(DAYS[f]), &bad[f]).unwrap();
                let report = verify(dir.path()).unwrap();
                let line = 1 + good[f][..i].iter().filter(|b| **b == b'\n').count() as u64;
                let at = broken_at(&report).or(report.torn.as_ref().map(|t| (t.file.as_str(), t.line)));
                assert_eq!(at, Some((DAYS[f], line)), "byte {i} of file {f}: {old} to {new}: {report}");
                // Only the loss of the very last newline looks as a crash does.
                assert_eq!(report.torn.is_some(), f == 1 && i + 1 == good[1].len(), "{report}");
            }
        }
        fs::write(dir.path().join(DAYS[f]), &good[f]).unwrap();
    }
}

#[test]
fn every_byte_put_in_or_taken_out_is_found() {
    let (dir, good) = small_journal();
    for f in 0..2 {
        for i in 0..good[f].len() {
            let (mut less, mut more) = (good[f].clone(), good[f].clone());
            less.remove(i);
            more.insert(i, b' ');
            for bad in [less, more] {
                fs::write(dir.path().join(DAYS[f]), &bad).unwrap();
                let report = verify(dir.path()).unwrap();
                assert!(report.broken.is_some() || report.torn.is_some(), "byte {i} of file {f}");
            }
        }
        fs::write(dir.path().join(DAYS[f]), &good[f]).unwrap();
    }
}

#[test]
fn every_line_taken_out_doubled_or_swapped_is_found() {
    let (dir, good) = small_journal();
    let found = |files: [Vec<Vec<u8>>; 2], what: &str| {
        write(dir.path(), &files.map(|f| f.concat()));
        let report = verify(dir.path()).unwrap();
        assert!(report.broken.is_some(), "{what} was not found");
        report
    };
    let all = || [lines(&good[0]), lines(&good[1])];
    for f in 0..2 {
        for i in 0..all()[f].len() {
            // The last line of all is the one whose loss the chain cannot show.
            if (f, i) != (1, 2) {
                let mut less = all();
                less[f].remove(i);
                found(less, &format!("line {i} of file {f} taken out"));
            }
            let mut twice = all();
            let line = twice[f][i].clone();
            twice[f].insert(i, line);
            found(twice, &format!("line {i} of file {f} doubled"));
            for j in 0..i {
                let mut swapped = all();
                swapped[f].swap(i, j);
                found(swapped, &format!("lines {i} and {j} of file {f} swapped"));
            }
        }
    }
    let [a, b] = all();
    let report = found([b, a], "files swapped");
    assert_eq!(broken_at(&report), Some((DAYS[0], 1)));
    let report = found([all()[0].clone(), lines(&good[1])[1..].to_vec()], "first line of the second file taken out");
    assert!(report.to_string().contains("seq 5 was expected, this is 6 (1 missing)"), "{report}");
}

#[test]
fn a_file_taken_away_is_found_unless_it_is_the_newest() {
    let (dir, _) = small_journal();
    let path = |n: usize| -> PathBuf { dir.path().join(DAYS[n]) };
    let away = dir.path().join("away");
    fs::rename(path(0), &away).unwrap();
    assert_eq!(broken_at(&verify(dir.path()).unwrap()), Some((DAYS[1], 1)));
    fs::rename(&away, path(0)).unwrap();
    // The known limit: the end can be cut off at a line. Only the last seq and hash, kept elsewhere, show it.
    let before = verify(dir.path()).unwrap();
    fs::remove_file(path(1)).unwrap();
    let after = verify(dir.path()).unwrap();
    assert!(after.is_ok());
    assert_ne!(before.last_hash, after.last_hash);
}

#[test]
fn a_torn_last_line_is_told_from_a_break() {
    let (dir, good) = small_journal();
    let last = lines(&good[1])[2].len();
    for keep in 1..last {
        let cut = good[1].len() - keep;
        fs::write(dir.path().join(DAYS[1]), &good[1][..cut]).unwrap();
        let report = verify(dir.path()).unwrap();
        assert!(report.is_ok(), "{report}");
        let torn = report.torn.clone().unwrap();
        assert_eq!((torn.file.as_str(), torn.line, torn.bytes), (DAYS[1], 3, (last - keep) as u64));
        assert_eq!(report.last.unwrap().0, Seq(6));
        assert!(report.to_string().contains("torn by a crash"), "{report}");
    }
    // The same piece in the older file is a break: something was written after it.
    let cut = good[0].len() - 5;
    write(dir.path(), &[good[0][..cut].to_vec(), good[1].clone()]);
    assert_eq!(broken_at(&verify(dir.path()).unwrap()), Some((DAYS[0], 4)));
}
