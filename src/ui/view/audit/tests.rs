//! What the audit screen looks like.

use crate::audit::{ChainStatus, Found, Outcome, Progress};
use crate::control::protocol::{Reply, Request};
use crate::model::Seq;
use crate::ui::caps::Depth;
use crate::ui::fixtures::*;
use crate::ui::link::LinkEvent;
use crate::ui::state::State;
use crate::ui::update::{self, Effect};
use crate::ui::view::tests::show;
use insta::assert_snapshot;

/// Types, and answers once: the chain holds, and a third of the journal has two more events.
fn typed(s: &mut State, bytes: &str) {
    for effect in keys(s, bytes) {
        let Effect::Send(id, request) = effect else { continue };
        let reply = match request {
            Request::Chain => Reply::Chain(ChainStatus {
                first: Some(Seq(1)),
                upto: Some((Seq(106), t0())),
                complete: true,
                bytes: (9, 9),
                broken: None,
                at: Some(t0()),
            }),
            Request::Search { .. } => Reply::Found(Found {
                records: vec![
                    auth_failure(11, ago(90_000)),
                    record(12, ago(89_000), granted(20101), Outcome::Success, of("pay-db", 20101)),
                ],
                next: Some(Seq(9)),
                progress: Progress { files_done: 3, files: 8, bytes_done: 345 << 20, bytes: 1 << 30 },
            }),
            other => panic!("{other:?}"),
        };
        update::link(s, LinkEvent::Reply(id, Ok(reply)));
    }
}

#[test]
fn search_80x24_says_how_far_it_is_and_where_each_event_came_from() {
    let mut s = console((80, 24));
    typed(&mut s, "5/source=203.0.113.0/24\r");
    assert_snapshot!(show(&s));
}

#[test]
fn search_140x40() {
    let mut s = console((140, 40));
    typed(&mut s, "5/203.0\r");
    typed(&mut s, "\x1b");
    assert_snapshot!(show(&s));
}

#[test]
fn search_40x10_has_what_there_is_room_for() {
    let mut s = console((40, 10));
    typed(&mut s, "5/pay\r");
    assert_snapshot!(show(&s));
}

#[test]
fn a_broken_chain_is_said_in_the_header() {
    let mut s = console((80, 24));
    typed(&mut s, "5");
    if let Some(chain) = &mut s.journal.chain {
        let (file, what) = ("audit-2026-03-01.jsonl".into(), "the line was changed after it was written".into());
        chain.broken = Some(crate::audit::Break { file, line: 7, seq: Some(Seq(7)), what });
    }
    let shown = show(&s);
    assert!(shown.lines().nth(2).unwrap().ends_with("✗ chain BROKEN at seq 7"), "{shown}");
}

fn attacked(s: &mut State) {
    let mut d = delta();
    d.events = (0..40_u64)
        .map(|n| {
            let mut r = auth_failure(110 + n, ago(50));
            let users = ["root", "admin", "pay-db"];
            r.event.context.source = format!("198.51.100.{}:99", n % 4).parse().ok();
            r.event.context.user = Some(users[usize::try_from(n % 3).unwrap()].into());
            r.event.context.fingerprint = Some(format!("SHA256:{}", n % 5));
            r
        })
        .collect();
    push(s, d);
}

#[test]
fn failures_80x24_by_source_with_the_probable_host() {
    let mut s = console((80, 24));
    typed(&mut s, "5");
    attacked(&mut s);
    typed(&mut s, "F");
    assert_snapshot!(show(&s));
}

#[test]
fn failures_are_complete_without_colours_and_in_ascii() {
    let mut s = blank((80, 24), Depth::Mono, false);
    update::link(&mut s, LinkEvent::Up(alice(crate::model::Role::Viewer)));
    let push = crate::control::protocol::Push::Snapshot(snapshot());
    update::link(&mut s, LinkEvent::Push(push));
    typed(&mut s, "5");
    attacked(&mut s);
    typed(&mut s, "F");
    let shown = show(&s);
    assert!(shown.contains("198.51.100.0/24") && shown.contains("pay-db (its name)"), "{shown}");
    assert!(shown.lines().skip(1).all(str::is_ascii), "{shown}");
}
