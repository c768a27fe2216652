//! The screens in Korean: read as somebody on call would.

use super::show;
use crate::control::protocol::Reply;
use crate::ui::Lang;
use crate::ui::fixtures::*;
use crate::ui::link::LinkEvent;
use crate::ui::state::{Screen, State};
use crate::ui::{text, update};
use insta::assert_snapshot;

fn korean(mut s: State) -> State {
    s.own.lang = Lang::Ko;
    s.message = None;
    s
}

#[test]
fn triage_80x24() {
    assert_snapshot!(show(&korean(home((80, 24), incidents()))));
    assert_snapshot!("nothing_wrong_80x24", show(&korean(home((80, 24), vec![]))));
}

#[test]
fn triage_140x40() {
    let mut s = korean(home((140, 40), incidents()));
    keys(&mut s, "jj");
    assert_snapshot!(show(&s));
}

#[test]
fn triage_40x10() {
    assert_snapshot!(show(&korean(home((40, 10), incidents()))));
}

#[test]
fn tunnels_80x24() {
    let mut s = korean(console((80, 24)));
    assert_snapshot!(show(&s));
    keys(&mut s, " *");
    assert!(show(&s).contains("7건 표시, Esc 해제"), "{}", show(&s));
}

#[test]
fn tunnels_140x40() {
    let mut s = korean(console((140, 40)));
    keys(&mut s, "j");
    assert_snapshot!(show(&s));
}

#[test]
fn detail_80x24() {
    let mut s = korean(console((80, 24)));
    keys(&mut s, "/iot-77\r\r");
    assert_snapshot!(show(&s));
}

#[test]
fn detail_with_slow_visitors_80x24() {
    let mut s = korean(behind((80, 24)));
    let effects = keys(&mut s, "\r");
    let [update::Effect::Send(id, _)] = effects[..] else { panic!("{effects:?}") };
    update::link(&mut s, LinkEvent::Reply(id, Ok(Reply::Visitors { visitors: laggards() })));
    assert_snapshot!(show(&s));
    keys(&mut s, "l");
    assert_snapshot!("visitors_80x24", show(&s));
}

#[test]
fn what_is_read_in_korean_is_found_in_korean() {
    let mut s = korean(console((80, 24)));
    keys(&mut s, "/끊김\r");
    assert_eq!(s.tunnel_rows, [port(20201)]);
    let mut s = korean(home((80, 24), incidents()));
    keys(&mut s, "/경로\r");
    assert_eq!(s.incident_rows, [1]);
}

#[test]
fn ports_80x24() {
    let mut s = korean(console((80, 24)));
    keys(&mut s, "3");
    assert_snapshot!(show(&s));
}

#[test]
fn health_80x24() {
    let mut s = korean(console((80, 24)));
    keys(&mut s, "4");
    assert_snapshot!(show(&s));
    keys(&mut s, "j\r");
    assert_snapshot!("health_of_one_80x24", show(&s));
}

#[test]
fn audit_80x24() {
    let mut s = korean(console((80, 24)));
    keys(&mut s, "5");
    assert_snapshot!(show(&s));
    keys(&mut s, "F");
    assert_snapshot!("failures_80x24", show(&s));
}

#[test]
fn sessions_80x24() {
    let mut s = korean(console((80, 24)));
    keys(&mut s, "6");
    assert_snapshot!(show(&s));
}

#[test]
fn changes_80x24() {
    let mut s = korean(console((80, 24)));
    keys(&mut s, "7");
    assert_snapshot!(show(&s));
}

#[test]
fn help_80x24() {
    let mut s = korean(console((80, 24)));
    keys(&mut s, "?");
    assert_snapshot!(show(&s));
    keys(&mut s, "G");
    s = drawn(s);
    assert_snapshot!("help_end_80x24", show(&s));
}

/// After a frame, which says how far a window can be scrolled.
fn drawn(mut s: State) -> State {
    let d = super::draw(&s);
    update::drawn(&mut s, d.scroll_max, d.spots);
    s
}

#[test]
fn revoke_asks_80x24() {
    let mut s = korean(writable((80, 24)));
    keys(&mut s, "x");
    assert_snapshot!(show(&s));
    keys(&mut s, "\r");
    assert!(show(&s).contains("확인하려면 pay-db 입력"), "{}", show(&s));
    keys(&mut s, "\x1bc");
    assert_snapshot!("reconnect_asks_80x24", show(&s));
}

#[test]
fn approve_asks_80x24() {
    let mut s = korean(deciding((80, 24)));
    keys(&mut s, ":approve SHA\tpay-db\r");
    assert_snapshot!(show(&s));
    keys(&mut s, "\x1b:pending\r");
    assert_snapshot!("pending_80x24", show(&s));
}

#[test]
fn settings_and_palette_80x24() {
    let mut s = korean(console((80, 24)));
    keys(&mut s, ":set\r");
    assert_snapshot!(show(&s));
    keys(&mut s, "\x1b:re");
    assert_snapshot!("palette_80x24", show(&s));
}

#[test]
fn what_needs_write_mode_says_so_and_the_language_can_be_changed_at_once() {
    let mut s = korean(console((80, 24)));
    keys(&mut s, "c");
    assert!(show(&s).contains("읽기 전용: W (또는 :write)"), "{}", show(&s));
    keys(&mut s, ":lang en\r");
    assert!(show(&s).contains("language en;") && show(&s).contains("2 tunnels"), "{}", show(&s));
    keys(&mut s, ":set language ko\r");
    assert!(show(&s).contains("language: ko"), "{}", show(&s));
}

/// Nothing is cut off without its ellipsis: every line ends within the screen, and the frame's last line has whole hints.
#[test]
fn every_screen_of_every_size_is_whole() {
    for size in [(80, 24), (140, 40), (60, 15), (40, 10), (20, 5)] {
        for mut s in [korean(home(size, incidents())), korean(writable(size)), korean(behind(size))] {
            for screen in Screen::ALL.iter().enumerate().map(|(n, _)| (n + 1).to_string()) {
                keys(&mut s, &screen);
                for typed in ["", "j", "\r", "]", "]", "]", "]", "]", "\x1b", "?", "\x1b"] {
                    keys(&mut s, typed);
                    for line in show(&s).lines().filter(|l| !l.starts_with("cursor ")) {
                        assert!(text::width(line) <= usize::from(size.0), "{size:?} {screen}{typed:?}: {line}");
                    }
                }
            }
        }
    }
}
