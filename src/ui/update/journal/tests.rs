//! What keys and news do on the audit screen.

use super::*;
use crate::audit::{Outcome, Progress, Record};
use crate::model::Seq;
use crate::ui::fixtures::*;
use crate::ui::link::LinkEvent;
use crate::ui::update;

/// The search asked for, and its number among the requests.
fn asked(effects: &[Effect]) -> (u64, crate::audit::AuditQuery) {
    let found = effects.iter().find_map(|e| match e {
        Effect::Send(id, Request::Search { query, .. }) => Some((*id, (**query).clone())),
        _ => None,
    });
    found.unwrap_or_else(|| panic!("no search: {effects:?}"))
}

fn piece_of(records: Vec<Record>, next: Option<u64>, done: u64) -> Reply {
    let progress = Progress { files_done: 1, files: 3, bytes_done: done << 20, bytes: 1024 << 20 };
    Reply::Found(Found { records, next: next.map(Seq), progress })
}

fn old(seq: u64) -> Record {
    record(seq, ago(90_000), granted(20101), Outcome::Success, of("pay-db", 20101))
}

#[test]
fn a_filter_searches_back_by_itself_piece_by_piece_until_all_is_searched() {
    let mut s = console((80, 24));
    keys(&mut s, "5");
    let effects = keys(&mut s, "/host=pay-db\r");
    let (id, query) = asked(&effects);
    assert_eq!(query.before, Some(Seq(101)), "before what is at hand");
    assert_eq!(query.words, ["pay-db"], "names are found in any case, so as words");
    assert_eq!(s.audit_rows.len(), 3, "what is at hand is shown at once");
    let effects = update::link(&mut s, LinkEvent::Reply(id, Ok(piece_of(vec![old(41), old(55)], Some(40), 300))));
    let (id, query) = asked(&effects);
    assert_eq!((query.before, s.audit_rows.len()), (Some(Seq(40)), 5));
    assert_eq!(s.audit_ids, [41, 55, 101, 102, 104].map(Seq));
    let effects = update::link(&mut s, LinkEvent::Reply(id, Ok(piece_of(vec![old(7)], None, 1024))));
    assert!(effects.is_empty() && s.audit_ids[0] == Seq(7));
    assert_eq!(s.journal.hunt.as_ref().unwrap().phase, Phase::Done);
    assert!(keys(&mut s, "gg").is_empty(), "there is no more");
    // What comes is added at the end.
    let mut d = delta();
    d.events = vec![record(200, t0(), granted(20101), Outcome::Success, of("pay-db", 20101))];
    push(&mut s, d);
    assert_eq!((s.audit_rows.len(), s.audit_ids.last()), (7, Some(&Seq(200))));
    keys(&mut s, "\x1b\x1b");
    assert!(s.journal.hunt.is_none() && s.audit_rows.len() == 7, "without the filter there is what is at hand");
}

#[test]
fn escape_stops_a_search_the_first_row_goes_on_and_another_screen_ends_it() {
    let mut s = console((80, 24));
    let (id, _) = asked(&keys(&mut s, "5/pay-db\r"));
    keys(&mut s, "\x1b");
    assert_eq!(s.journal.hunt.as_ref().unwrap().phase, Phase::Stopped);
    assert!(s.filter().is_some(), "the filter stays");
    let effects = update::link(&mut s, LinkEvent::Reply(id, Ok(piece_of(vec![old(50)], Some(45), 10))));
    assert!(effects.is_empty(), "nothing more is asked");
    assert_eq!(s.audit_ids[0], Seq(50), "what was found is kept");
    let (id, query) = asked(&keys(&mut s, "gg"));
    assert_eq!(query.before, Some(Seq(45)));
    keys(&mut s, "2");
    assert!(update::link(&mut s, LinkEvent::Reply(id, Ok(piece_of(vec![], Some(30), 20)))).is_empty());
    assert!(!s.journal.hunt.as_ref().unwrap().runs());
    // Another filter is another search, and what still comes for the old one is passed over.
    let (stale, _) = asked(&keys(&mut s, "5gg"));
    let (id, query) = asked(&keys(&mut s, "/iot\r"));
    assert_eq!((query.words, query.before), (vec!["pay-dbiot".to_owned()], Some(Seq(101))));
    assert!(update::link(&mut s, LinkEvent::Reply(stale, Ok(piece_of(vec![old(3)], None, 20)))).is_empty());
    assert!(s.audit_ids.is_empty() && id > stale);
}

#[test]
fn a_page_is_enough_and_the_daemon_may_find_more_than_the_filter_shows() {
    let mut s = console((80, 24));
    let (id, query) = asked(&keys(&mut s, "5/host=pay-* outcome!=refused source=203.0.113.0/24 since=2days\r"));
    assert_eq!(query.source.map(|s| s.to_string()).as_deref(), Some("203.0.113.0/24"));
    assert_eq!(query.since, Some(ago(2 * 86_400)));
    let mut other = old(30);
    other.event.context.host = "iot-77".parse().ok();
    let page: Vec<Record> = (1..=99).map(old).chain([other]).collect();
    let effects = update::link(&mut s, LinkEvent::Reply(id, Ok(piece_of(page, Some(1), 10))));
    let hunt = s.journal.hunt.as_ref().unwrap();
    assert_eq!(hunt.found.len(), 99, "the other host is none of them");
    let (_, query) = asked(&effects);
    assert_eq!(query.limit, Some(401), "as many as are still wanted");
}

#[test]
fn days_and_kinds_are_a_key_each() {
    let mut s = console((80, 24));
    keys(&mut s, "5");
    let (_, query) = asked(&keys(&mut s, "["));
    let day = |t: &str| Some(t.parse::<crate::model::Time>().unwrap());
    assert_eq!((query.since, query.until), (day("2026-03-03T00:00:00Z"), day("2026-03-04T00:00:00Z")));
    assert!(!s.follow);
    let (_, query) = asked(&keys(&mut s, "[e"));
    assert_eq!(query.since, day("2026-03-02T00:00:00Z"));
    let query = s.journal.hunt.as_ref().unwrap().filter.text.clone();
    assert_eq!(query, "since=2026-03-02 until=2026-03-03 event=auth,connection,key");
    keys(&mut s, "]]]");
    assert!(s.filter().unwrap().text.contains("since=2026-03-04"), "not beyond today");
    keys(&mut s, "eeeeee");
    assert!(!s.filter().unwrap().text.contains("event="), "round to all of them");
    let [Effect::Copy(command)] = &keys(&mut s, "eY")[1..] else { panic!() };
    assert_eq!(
        command,
        "portreeve audit --since 2026-03-04T00:00:00Z --until 2026-03-05T00:00:00Z --event 'auth,connection,key'"
    );
}

#[test]
fn failures_are_summed_up_by_source_and_enter_shows_those_of_one() {
    let mut s = console((80, 24));
    keys(&mut s, "5");
    let mut d = delta();
    let from = |seq: u64, source: &str, user: &str| {
        let mut r = auth_failure(seq, ago(60));
        r.event.context.source = Some(source.parse().unwrap());
        r.event.context.user = Some(user.into());
        r
    };
    d.events = vec![
        from(110, "198.51.100.1:1", "root"),
        from(111, "198.51.100.2:1", "admin"),
        from(112, "198.51.100.3:1", "root"),
        from(113, "203.0.113.101:9", "pay-db"),
    ];
    push(&mut s, d);
    keys(&mut s, "F");
    let f = s.journal.failures.as_ref().unwrap();
    let rows: Vec<(&str, usize, usize)> = f.rows.iter().map(|r| (r.name.as_str(), r.count, r.addresses)).collect();
    assert_eq!(rows, [("198.51.100.0/24", 3, 3), ("203.0.113.9", 1, 1), ("203.0.113.101", 1, 1)]);
    assert_eq!(f.rows[0].users.iter().map(String::as_str).collect::<Vec<_>>(), ["admin", "root"]);
    assert_eq!(f.rows[2].host.as_ref().map(|(h, _)| h.as_str()), Some("pay-db"));
    let effects = keys(&mut s, "jj\r");
    assert!(!s.summing());
    assert_eq!(asked(&effects).1.source.map(|s| s.to_string()).as_deref(), Some("203.0.113.101"));
    assert_eq!(s.audit_ids, [Seq(113)]);
    keys(&mut s, "F\x1b");
    assert!(s.summing(), "first the search ends");
    keys(&mut s, "\x1b");
    assert!(!s.summing());
}

#[test]
fn the_chain_is_looked_at_when_the_screen_is_opened_and_when_events_have_come() {
    let mut s = console((80, 24));
    let is_chain = |e: &Effect| matches!(e, Effect::Send(_, Request::Chain));
    let effects = keys(&mut s, "5");
    let Some(Effect::Send(id, _)) = effects.iter().find(|e| is_chain(e)) else { panic!("{effects:?}") };
    let status = |upto: u64, complete: bool| ChainStatus {
        first: Some(Seq(1)),
        upto: Some((Seq(upto), t0())),
        complete,
        bytes: (upto, 106),
        broken: None,
        at: Some(t0()),
    };
    let effects = update::link(&mut s, LinkEvent::Reply(*id, Ok(Reply::Chain(status(50, false)))));
    let [Effect::Send(id, Request::Chain)] = &effects[..] else { panic!("the rest is asked for: {effects:?}") };
    assert!(update::link(&mut s, LinkEvent::Reply(*id, Ok(Reply::Chain(status(106, true))))).is_empty());
    assert_eq!(s.journal.chain_due, None, "nothing is new");
    let mut d = delta();
    d.events = vec![auth_failure(107, t0())];
    assert!(push(&mut s, d).is_empty(), "not for each event");
    let due = s.journal.chain_due.unwrap();
    let effects = update::tick(&mut s, due);
    assert!(effects.iter().any(is_chain), "{effects:?}");
}
