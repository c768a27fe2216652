//! Traffic, checks and marks in the rows.

use crate::ui::fixtures::*;
use crate::ui::state::State;
use crate::ui::update;
use crate::ui::view::draw;
use crate::ui::view::tests::show;
use chrono::TimeDelta;
use insta::assert_snapshot;

/// A console that has heard of some traffic.
fn busy(size: (u16, u16)) -> State {
    let mut s = writable(size);
    for (age, port, bytes) in [(170, 20101, 1_000), (100, 20101, 900_000), (40, 20101, 300_000), (5, 20103, 10)] {
        let mut d = delta();
        d.at = ago(age);
        let mut t = s.row(crate::ui::fixtures::port(port)).unwrap().view.clone();
        t.bytes_to_visitors += bytes;
        d.tunnels = vec![t];
        push(&mut s, d);
    }
    s
}

#[test]
fn traffic_80x24_stands_in_the_rows() {
    assert_snapshot!(show(&busy((80, 24))));
}

#[test]
fn traffic_and_checks_110x24() {
    assert_snapshot!(show(&busy((110, 24))));
}

#[test]
fn marks_80x24_and_how_many() {
    let mut s = busy((80, 24));
    keys(&mut s, " jj ");
    assert_snapshot!(show(&s));
    keys(&mut s, "/port=20101\r");
    assert!(show(&s).contains("2 marked, 1 hidden"), "{}", show(&s));
    s.caps.unicode = false;
    assert!(show(&s).lines().any(|l| l.starts_with("#+ up")), "{}", show(&s));
}

#[test]
fn a_bulk_revoke_shows_all_that_it_hits() {
    let mut s = busy((80, 24));
    keys(&mut s, "*x");
    assert_snapshot!(show(&s));
}

#[test]
fn traffic_moves_by_itself_while_there_is_any_and_then_the_screen_is_still() {
    let mut s = busy((80, 24));
    // The clock of the frame's corner comes later than the next step of half a minute.
    let wake = draw(&s).wake.unwrap();
    assert!(wake <= t0() + TimeDelta::seconds(19), "{wake}");
    update::tick(&mut s, t0() + TimeDelta::minutes(10));
    let row = |s: &State| show(s).lines().find(|l| l.contains("20101")).unwrap().to_owned();
    assert!(!row(&s).contains('█'), "{}", row(&s));
}
