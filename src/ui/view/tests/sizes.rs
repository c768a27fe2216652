//! Every screen at every size that is promised, and at what lies between: whole lines, nothing beside the frame.

use super::{draw, lines, show};
use crate::ui::caps::Depth;
use crate::ui::fixtures::*;
use crate::ui::state::State;
use crate::ui::update;
use insta::assert_snapshot;

/// Each screen, with something selected.
const SCREENS: [(&str, &str); 8] = [
    ("triage", "1j"),
    ("tunnels", "2j"),
    ("detail", "2j\r"),
    ("ports", "3jjll"),
    ("health", "4j"),
    ("audit", "5"),
    ("sessions", "6j"),
    ("changes", "7"),
];

fn at(size: (u16, u16), typed: &str) -> State {
    let mut s = home(size, incidents());
    keys(&mut s, typed);
    s
}

#[test]
fn ports_40x10() {
    assert_snapshot!(show(&at((40, 10), "3jjll")));
}

#[test]
fn health_40x10() {
    assert_snapshot!(show(&at((40, 10), "4j")));
}

#[test]
fn sessions_40x10() {
    assert_snapshot!(show(&at((40, 10), "6j")));
}

#[test]
fn audit_140x40() {
    assert_snapshot!(show(&at((140, 40), "5")));
}

#[test]
fn counts_are_whole_or_left_out() {
    let mut s = at((80, 24), "6");
    let mut snap = snapshot();
    snap.incidents = Some(incidents());
    let states = [(400, crate::model::TunnelState::Up), (120, crate::model::TunnelState::Awaiting)];
    let mut next = 10_000;
    for (n, state) in states {
        snap.tunnels.extend((next..next + n).map(|p| tunnel(p, "many", "pay", "ssh", state)));
        next += n;
    }
    update::link(&mut s, crate::ui::link::LinkEvent::Push(crate::control::protocol::Push::Snapshot(snap)));
    let line = show(&s).lines().nth(1).unwrap().to_owned();
    assert!(line.ends_with("✓403 !1 ✗1"), "{line}");
    keys(&mut s, "1");
    let line = show(&s).lines().nth(1).unwrap().to_owned();
    assert!(line.ends_with("✓403 !1 ✗1 ○121"), "{line}");
}

/// What is asked fits where it is asked, and what it cuts is seen.
#[test]
fn a_question_40x10() {
    let mut s = at((40, 10), "2");
    s.write_until = Some(s.write_end());
    keys(&mut s, "c");
    assert_snapshot!(show(&s));
    assert!(show(&s).contains("cuts 2 live tunnels"));
    keys(&mut s, "nx");
    assert_snapshot!("a_revoke_40x10", show(&s));
}

#[test]
fn no_screen_is_without_its_name_or_its_state_at_any_size() {
    for (name, typed) in SCREENS {
        for size in [(80, 24), (140, 40), (60, 15), (100, 30), (500, 200), (40, 10), (20, 5), (59, 14), (81, 200)] {
            let s = at(size, typed);
            let all = lines(&draw(&s).buffer);
            assert_eq!(all.len(), usize::from(size.1), "{name} {size:?}");
            assert!(all.iter().all(|l| crate::ui::text::width(l) <= usize::from(size.0)), "{name} {size:?}");
            let (shown, whole) = (all.join("\n"), size.0 >= 60 && size.1 >= 15);
            assert!(!whole || shown.contains("● live"), "{name} {size:?}: {shown}");
            assert!(size.0 < 40 || shown.contains('●'), "{name} {size:?}: {shown}");
            // The way on is always on the screen.
            assert!(!whole || all.last().is_some_and(|l| l.contains("? help")), "{name} {size:?}: {shown}");
        }
    }
}

#[test]
fn every_screen_is_complete_without_colours() {
    use ratatui::style::{Color, Modifier};
    for (name, typed) in SCREENS {
        let mut s = blank((80, 24), Depth::Mono, true);
        update::link(&mut s, crate::ui::link::LinkEvent::Up(alice(crate::model::Role::Operator)));
        let snap = crate::control::protocol::Snapshot { incidents: Some(incidents()), ..snapshot() };
        update::link(&mut s, crate::ui::link::LinkEvent::Push(crate::control::protocol::Push::Snapshot(snap)));
        keys(&mut s, typed);
        let drawn = draw(&s);
        assert!(drawn.buffer.content().iter().all(|c| c.fg == Color::Reset && c.bg == Color::Reset), "{name}");
        let coloured = show(&at((80, 24), typed));
        assert_eq!(show(&s), coloured, "{name}: nothing is said by colour alone");
        let reversed = |c: &ratatui::buffer::Cell| c.modifier.contains(Modifier::REVERSED);
        assert!(drawn.buffer.content().iter().any(reversed), "{name}: what is selected is seen");
    }
}
