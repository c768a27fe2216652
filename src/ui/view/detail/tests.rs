//! What the tabs of a detail look like.

use crate::control::protocol::Reply;
use crate::model::Seq;
use crate::ui::fixtures::*;
use crate::ui::link::LinkEvent;
use crate::ui::state::State;
use crate::ui::update::{self, Effect};
use crate::ui::view::tests::show;
use insta::assert_snapshot;

/// Types, and answers what is asked: visitors, events and how the host dials in.
fn typed(s: &mut State, bytes: &str) {
    let mut effects = keys(s, bytes);
    while let Some(Effect::Send(id, request)) = effects.pop() {
        use crate::control::protocol::Request;
        let reply = match request {
            Request::Visitors { .. } => Reply::Visitors { visitors: laggards() },
            Request::HowTo { .. } => Reply::HowTo(Box::new(crate::control::howto::tests::sample())),
            Request::Search { .. } => {
                let refused = auth_failure(40, ago(86_400 * 3));
                let mut granted =
                    record(41, ago(86_400 * 2), granted(20101), crate::audit::Outcome::Success, of("pay-db", 20101));
                granted.event.context.fingerprint = Some("SHA256:abc".into());
                let records = vec![refused, granted];
                Reply::Found(crate::audit::Found { records, next: Some(Seq(40)), progress: Default::default() })
            }
            other => panic!("{other:?}"),
        };
        effects.extend(update::link(s, LinkEvent::Reply(id, Ok(reply))));
    }
}

#[test]
fn visitors_80x24_one_is_selected_and_the_foot_says_what_its_mark_means() {
    let mut s = behind((80, 24));
    typed(&mut s, "\rl");
    assert_snapshot!(show(&s));
}

#[test]
fn visitors_40x10_have_what_there_is_room_for() {
    let mut s = behind((40, 10));
    typed(&mut s, "\rl");
    assert_snapshot!(show(&s));
}

#[test]
fn health_80x24() {
    let mut s = behind((80, 24));
    typed(&mut s, "j\rll");
    assert_snapshot!(show(&s));
}

#[test]
fn overview_40x10() {
    let mut s = behind((40, 10));
    typed(&mut s, "\r");
    assert_snapshot!(show(&s));
}

#[test]
fn audit_80x24_says_how_far_back_it_reaches() {
    let mut s = behind((80, 24));
    typed(&mut s, "\rllll");
    assert_snapshot!(show(&s));
}

#[test]
fn fix_80x24_is_the_ssh_line() {
    let mut s = console((80, 24));
    typed(&mut s, "\rh");
    assert_snapshot!(show(&s));
}

#[test]
fn fix_140x40_is_the_unit_beside_the_list() {
    let mut s = console((140, 40));
    typed(&mut s, "\rhjj");
    assert_snapshot!(show(&s));
}

#[test]
fn fix_40x10_is_readable() {
    let mut s = console((40, 10));
    typed(&mut s, "\rhj");
    assert_snapshot!(show(&s));
}

#[test]
fn every_tab_says_something_at_every_size_and_in_ascii() {
    for size in [(80, 24), (140, 40), (60, 15), (40, 10), (20, 5)] {
        let mut s = behind(size);
        typed(&mut s, "\r");
        for tab in crate::ui::state::tabs::Tab::ALL {
            assert_eq!(s.tabs.tab, tab);
            let shown = show(&s);
            assert!(size.1 < 10 || shown.contains(&format!("[{}]", tab.name(s.lang()))), "{size:?} {tab:?}\n{shown}");
            s.caps.unicode = false;
            let ascii = show(&s).replace(|c: char| !c.is_ascii() && c.is_alphanumeric(), "");
            assert!(ascii.is_ascii(), "{tab:?}\n{ascii}");
            s.caps.unicode = true;
            typed(&mut s, "l");
        }
    }
}
