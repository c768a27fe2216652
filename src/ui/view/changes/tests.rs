//! What the timeline of changes looks like.

use crate::ui::fixtures::*;
use crate::ui::state::State;
use crate::ui::update;
use crate::ui::view::tests::show;
use insta::assert_snapshot;

fn busy(size: (u16, u16)) -> State {
    let mut s = console(size);
    let mut d = delta();
    d.events = (0..12).map(|n| auth_failure(200 + n, ago(19 - i64::try_from(n).unwrap()))).collect();
    push(&mut s, d);
    s
}

#[test]
fn changes_80x24_newest_first_and_runs_folded() {
    let mut s = busy((80, 24));
    keys(&mut s, "7");
    assert_snapshot!(show(&s));
}

#[test]
fn changes_140x40_of_a_tunnel() {
    let mut s = busy((140, 40));
    keys(&mut s, "jw");
    assert_snapshot!(show(&s));
}

#[test]
fn changes_40x10() {
    let mut s = busy((40, 10));
    keys(&mut s, "7");
    assert_snapshot!(show(&s));
}

#[test]
fn changes_say_when_there_are_none_and_are_complete_in_ascii() {
    let mut s = busy((80, 24));
    keys(&mut s, "7/nothing-like-it\r");
    assert!(show(&s).contains("the filter hides every change"));
    keys(&mut s, "\x1b");
    s.caps.unicode = false;
    let shown = show(&s);
    assert!(shown.is_ascii(), "{shown}");
    update::tick(&mut s, t0() + chrono::TimeDelta::days(2));
    assert!(show(&s).contains("nothing changed in this time"), "{}", show(&s));
}
