//! What news from the daemon do.

use super::super::tests::message;
use super::super::*;
use crate::control::protocol::Push;
use crate::model::{Role, Seq};
use crate::ui::fixtures::*;
use crate::ui::link::LinkEvent;

#[test]
fn the_loss_of_the_daemon_ends_write_mode_and_open_questions_and_tells_what_was_under_way() {
    let mut s = writable((80, 24));
    keys(&mut s, "cy");
    keys(&mut s, "x");
    link(&mut s, LinkEvent::Down("gone".into()));
    assert!(s.dialog.is_none() && !s.writable() && s.pending.is_empty());
    assert!(message(&s).contains("outcome unknown"), "{}", message(&s));
    let act = s.acts.log.back().unwrap();
    let line = crate::ui::sentence::command(&act.action);
    assert_eq!((line.as_str(), act.ok, act.seq), ("portreeve reconnect pay-db", false, None), "it is in the log");
    assert!(act.outcome.contains("outcome unknown"));
    link(&mut s, LinkEvent::Push(Push::Snapshot(snapshot())));
    assert!(s.is_live());
}

#[test]
fn events_left_out_of_a_delta_are_fetched() {
    let mut s = console((80, 24));
    let mut d = delta();
    d.events = vec![auth_failure(200, t0())];
    d.events_missed = 93;
    let effects = push(&mut s, d);
    let [Effect::Send(_, Request::Audit(q))] = &effects[..] else { panic!("{effects:?}") };
    assert_eq!((q.after, q.before), (Some(Seq(106)), Some(Seq(200))));
}

#[test]
fn a_snapshot_in_pieces_is_counted_at_once_and_a_later_one_is_shown_when_it_is_whole() {
    let whole = {
        let mut s = snapshot();
        let one = s.tunnels[0].clone();
        s.tunnels = (20_000_u16..21_200)
            .map(|n| {
                let mut t = one.clone();
                t.lease.port = n.try_into().unwrap();
                t
            })
            .collect();
        s
    };
    let (head, pieces) = whole.clone().in_pieces();
    assert!(head.tunnels.is_empty() && head.sessions.is_empty() && pieces.len() == 3);
    let mut joined = head.clone();
    pieces.iter().cloned().for_each(|p| joined.add(p));
    assert_eq!(joined, whole);

    // The first: what there is stands at once, and the rows come.
    let mut s = blank((80, 24), crate::ui::caps::Depth::True, true);
    link(&mut s, LinkEvent::Up(alice(Role::Operator)));
    update_link(&mut s, Push::Snapshot(head.clone()));
    assert!(s.is_live() && s.live.filling());
    assert_eq!((s.live.count(one_state(&whole)), s.live.total(), s.live.tunnels.len()), (1_200, 1_200, 0));
    for (n, piece) in pieces.iter().enumerate() {
        update_link(&mut s, Push::Rows(piece.clone()));
        assert_eq!(s.live.filling(), n + 1 < pieces.len());
    }
    assert_eq!((s.live.tunnels.len(), s.live.total(), s.live.sessions.len()), (1_200, 1_200, whole.sessions.len()));

    // After a loss: what is old stays, and is shown as old, until all of the new is there.
    link(&mut s, LinkEvent::Down("gone".into()));
    link(&mut s, LinkEvent::Up(alice(Role::Operator)));
    update_link(&mut s, Push::Snapshot(head));
    for piece in &pieces {
        assert!(!s.is_live(), "half of it is not what is so");
        assert_eq!(s.live.tunnels.len(), 1_200);
        update_link(&mut s, Push::Rows(piece.clone()));
    }
    assert!(s.is_live());
    assert_eq!(s.live.tunnels.len(), 1_200);
}

fn update_link(s: &mut State, push: Push) {
    link(s, LinkEvent::Push(push));
}

fn one_state(s: &crate::control::protocol::Snapshot) -> crate::model::TunnelState {
    s.tunnels[0].state
}
