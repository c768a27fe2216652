//! Keys, sizes and news in any order: none of them breaks a screen.

use super::super::draw;
use crate::control::protocol::Push;
use crate::model::{Role, TunnelState};
use crate::ui::fixtures::*;
use crate::ui::link::LinkEvent;
use crate::ui::update;
use proptest::prelude::*;

fn any_key() -> impl Strategy<Value = String> {
    prop_oneof![
        8 => "[1-6jkhlgGnNsSttyYpfWxcumar/:? ]",
        2 => "[a-z가-힣=!>*0-9]{1,3}",
        2 => prop::sample::select(vec![
            "\r", "\x1b", "\t", "\x7f", "\x1b[A", "\x1b[B", "\x1b[C", "\x1b[D", "\x1b[5~", "\x1b[6~", "\x1b[H", "\x1b[F",
            "\x04", "\x15", "\x0c", ":write\r", ":revoke pay-db\r", ":assign x 20105\r", "\x1b[200~paste\x1b[201~",
        ]).prop_map(str::to_owned),
    ]
}

#[derive(Debug, Clone)]
enum Step {
    Key(String),
    Size(u16, u16),
    Gone(u16),
    New(u16),
    Down,
    Up,
    Agree,
    /// So many incidents.
    Wrong(usize),
}

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        20 => any_key().prop_map(Step::Key),
        3 => (10..=500_u16, 3..=200_u16).prop_map(|(w, h)| Step::Size(w, h)),
        2 => (10..=130_u16, 3..=40_u16).prop_map(|(w, h)| Step::Size(w, h)),
        1 => (20101..20110_u16).prop_map(Step::Gone),
        1 => (20090..20260_u16).prop_map(Step::New),
        1 => Just(Step::Down),
        1 => Just(Step::Up),
        1 => Just(Step::Agree),
        1 => (0..5_usize).prop_map(Step::Wrong),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]
    #[test]
    fn nothing_that_happens_breaks_the_screen(steps in prop::collection::vec(any_step(), 1..60)) {
        let mut s = writable((80, 24));
        for step in steps {
            match step {
                Step::Key(k) => { keys(&mut s, &k); }
                Step::Size(w, h) => update::resize(&mut s, (w, h)),
                Step::Gone(p) => {
                    let mut d = delta();
                    d.tunnels_gone = vec![port(p)];
                    push(&mut s, d);
                }
                Step::New(p) => {
                    let mut d = delta();
                    d.tunnels = vec![tunnel(p, "새-호스트", "pay", "ssh", TunnelState::Up)];
                    push(&mut s, d);
                }
                Step::Down => { update::link(&mut s, LinkEvent::Down("gone".into())); }
                Step::Up => {
                    update::link(&mut s, LinkEvent::Up(alice(Role::Admin)));
                    update::link(&mut s, LinkEvent::Push(Push::Snapshot(snapshot())));
                }
                Step::Wrong(n) => {
                    let mut d = delta();
                    d.incidents = Some(incidents().into_iter().rev().take(n).collect());
                    push(&mut s, d);
                }
                Step::Agree => s.write_until = Some(s.write_end()),
            }
            let d = draw(&s);
            prop_assert_eq!((d.buffer.area.width, d.buffer.area.height), s.size);
            if let Some((x, y)) = d.cursor {
                prop_assert!(x < s.size.0 && y < s.size.1, "cursor {},{} on {:?}", x, y, s.size);
            }
            // The selected row is on the screen.
            if let Some(i) = s.tunnels.index(&s.tunnel_rows).filter(|_| s.screen == crate::ui::state::Screen::Tunnels) {
                let height = s.list_height();
                prop_assert!(s.tunnels.offset <= i && i < s.tunnels.offset + height);
            }
        }
    }
}
