//! Searches find what looking at every record finds, in one go and in pieces, and say how far they came.

use super::*;
use crate::model::{Seq, Time};
use std::fs;
use std::path::Path;
use std::time::Duration;

/// Three days of events of a few kinds, larger than a block.
fn journal(dir: &Path) -> Vec<Record> {
    let j = Journal::open(dir).unwrap();
    for n in 0..3_000_u16 {
        let host = ["pay-db", "iot-77", "결제-서버"][usize::from(n % 3)];
        let context = Context {
            source: Some(format!("203.0.{}.{}:40000", n % 4, n % 250).parse().unwrap()),
            user: (n % 2 == 0).then(|| format!("User{}", n % 10)),
            fingerprint: Some(format!("SHA256:{n:04}abc")),
            host: Some(host.parse().unwrap()),
            team: Some(if n % 3 == 0 { "pay" } else { "iot" }.parse().unwrap()),
            port: Some((20_000 + n % 100).try_into().unwrap()),
            session: Some(format!("s{}", n / 4).parse().unwrap()),
            reason: Some("x".repeat(usize::from(n % 7) * 60)),
            ..Context::default()
        };
        let event = match n % 5 {
            0 => Event::success(Actor::Host(host.to_owned()), What::VisitorOpen {}, context),
            1 => {
                Event::refused(Actor::Unknown, What::VisitorRefused {}, "the visitor's network is not allowed", context)
            }
            2 => Event::failure(Actor::Daemon, What::Disconnect {}, "Needle IN a haystack", context),
            3 => Event::success(Actor::Operator("alice".to_owned()), What::CutVisitor {}, context),
            _ => Event::success(Actor::Visitor, What::ConnectionRefused {}, context),
        };
        let day: Time = "2026-01-01T10:00:00Z".parse().unwrap();
        j.record_at(event, day + chrono::TimeDelta::hours(i64::from(n) / 60));
    }
    j.close().unwrap();
    let mut all = vec![];
    let mut files: Vec<_> = fs::read_dir(dir).unwrap().map(|e| e.unwrap().path()).collect();
    files.sort();
    for f in files.iter().filter(|f| f.extension().is_some_and(|x| x == "jsonl")) {
        all.extend(fs::read_to_string(f).unwrap().lines().map(|l| serde_json::from_str::<Record>(l).unwrap()));
    }
    all
}

fn queries() -> Vec<AuditQuery> {
    let q = AuditQuery::default;
    vec![
        q(),
        AuditQuery { text: Some("needle in A".into()), ..q() },
        AuditQuery { text: Some("nowhere".into()), ..q() },
        AuditQuery { text: Some("결제".into()), words: vec!["haystack".into()], ..q() },
        AuditQuery { text: Some("user4".into()), port: Some("20014".parse().unwrap()), ..q() },
        AuditQuery { host: Some("iot-77".parse().unwrap()), outcome: Some(Outcome::Refused), ..q() },
        AuditQuery { team: Some("pay".parse().unwrap()), event: Some("operator".into()), ..q() },
        AuditQuery { actor: Some("alice".into()), source: Some("203.0.2.0/24".parse().unwrap()), ..q() },
        AuditQuery { actor: Some("visitor".into()), ..q() },
        AuditQuery { source: Some("203.0.0.0/23".parse().unwrap()), user: Some("User4".into()), ..q() },
        AuditQuery { key: Some("SHA256:0123".into()), ..q() },
        AuditQuery { session: Some("s77".parse().unwrap()), ..q() },
        AuditQuery {
            since: Some("2026-01-01T20:00:00.5Z".parse().unwrap()),
            until: Some("2026-01-02T03:00:00Z".parse().unwrap()),
            ..q()
        },
        AuditQuery { event: Some("operator,visitor.open".into()), team: Some("pay".parse().unwrap()), ..q() },
        AuditQuery {
            about: vec![About::Host("iot-77".parse().unwrap()), About::Port("20014".parse().unwrap())],
            outcome: Some(Outcome::Failure),
            ..q()
        },
        AuditQuery { about: vec![About::Net("203.0.1.0/24".parse().unwrap())], ..q() },
        AuditQuery { after: Some(Seq(1234)), before: Some(Seq(2345)), ..q() },
        AuditQuery { text: Some("needle".into()), after: Some(Seq(5)), before: Some(Seq(777)), ..q() },
    ]
}

#[test]
fn a_search_finds_what_looking_at_every_record_finds_in_one_go_and_in_pieces() {
    let dir = tempfile::tempdir().unwrap();
    let all = journal(dir.path());
    assert_eq!(all.len(), 3_000);
    for q in queries() {
        let want: Vec<Seq> = all.iter().filter(|r| q.matches(r)).map(|r| r.seq).collect();
        let q = AuditQuery { limit: Some(100_000), ..q };
        let seqs = |records: &[Record]| records.iter().map(|r| r.seq).collect::<Vec<_>>();
        let found = search_dir(dir.path(), &q, |_| true, |_| false).unwrap();
        assert_eq!(seqs(&found.records), want, "{q:?}");
        assert_eq!(found.next, None);
        let p = found.progress;
        assert_eq!((p.files_done, p.bytes_done), (p.files, p.bytes), "all of it is done");
        for limit in [7, 100_000] {
            let mut piece = AuditQuery { limit: Some(limit), ..q.clone() };
            let (mut got, mut pieces, mut done) = (vec![], 0, 0);
            loop {
                pieces += 1;
                let found = search_dir(dir.path(), &piece, |_| true, |_| true).unwrap();
                let mut records = seqs(&found.records);
                records.append(&mut got);
                got = records;
                assert!(found.progress.bytes_done >= done, "it never goes back");
                done = found.progress.bytes_done;
                match found.next {
                    Some(next) => {
                        assert!(piece.before.is_none_or(|b| next < b), "each piece goes further");
                        piece.before = Some(next);
                    }
                    None => break,
                }
            }
            assert_eq!(got, want, "in {pieces} pieces: {q:?}");
            assert!(want.len() < 50 || limit > 7 || pieces > 7);
        }
    }
}

#[test]
fn what_is_not_visible_does_not_count_and_short_words_are_not_found_in_hashes() {
    let dir = tempfile::tempdir().unwrap();
    let all = journal(dir.path());
    let q = AuditQuery { limit: Some(5), ..AuditQuery::default() };
    let found = search_dir(dir.path(), &q, |r| r.seq.0 % 100 == 0, |_| false).unwrap();
    assert_eq!(found.records.iter().map(|r| r.seq.0).collect::<Vec<_>>(), [2600, 2700, 2800, 2900, 3000]);
    // Two digits are in nearly every hash.
    let digits = AuditQuery { text: Some("e7".into()), ..AuditQuery::default() };
    assert!(search_dir(dir.path(), &digits, |_| true, |_| false).unwrap().records.is_empty());
    let hash = AuditQuery { text: Some(all[99].hash.clone()), ..AuditQuery::default() };
    let found = search_dir(dir.path(), &hash, |_| true, |_| false).unwrap().records;
    assert_eq!(found.iter().map(|r| r.seq.0).collect::<Vec<_>>(), [100, 101], "the record and the one that follows it");
}

#[tokio::test]
async fn one_piece_runs_at_a_time_and_ends_with_whoever_waits_for_it() {
    let dir = tempfile::tempdir().unwrap();
    journal(dir.path());
    let j = Journal::open(dir.path()).unwrap();
    let (entered, mut seen) = tokio::sync::mpsc::unbounded_channel();
    // It would never end by itself.
    let hold = move |_: &Record| {
        let _ = entered.send(());
        std::thread::sleep(Duration::from_millis(5));
        false
    };
    let first = tokio::spawn({
        let j = j.clone();
        async move { j.search(AuditQuery::default(), Duration::from_secs(3600), hold).await }
    });
    seen.recv().await.unwrap();
    let second = j.search(AuditQuery { limit: Some(1), ..AuditQuery::default() }, Duration::from_secs(60), |_| true);
    tokio::pin!(second);
    tokio::select! {
        biased;
        _ = &mut second => panic!("two at a time"),
        () = tokio::time::sleep(Duration::from_millis(20)) => {}
    }
    first.abort();
    let found = tokio::time::timeout(Duration::from_secs(60), second).await.unwrap().unwrap();
    assert_eq!(found.records.len(), 1);
    while seen.recv().await.is_some() {}
    j.close().unwrap();
}
