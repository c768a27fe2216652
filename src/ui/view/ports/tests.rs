//! What the grid and its questions look like.

use crate::control::protocol::{Action, Explanation, Reply, Request};
use crate::model::{LeaseKind, ReservationView, Role, TunnelState};
use crate::ui::fixtures::*;
use crate::ui::link::LinkEvent;
use crate::ui::state::State;
use crate::ui::update::{self, Effect};
use crate::ui::view::tests::show;
use insta::assert_snapshot;

/// A console in write mode on a bastion whose iot range fills up, with a reservation and a clash.
fn filling(size: (u16, u16)) -> State {
    let mut s = console(size);
    update::link(&mut s, LinkEvent::Up(alice(Role::Operator)));
    let mut snap = snapshot();
    for n in 0..12_u16 {
        let mut t = tunnel(20230 + n, "iot-88", "iot", "ssh", TunnelState::Up);
        t.lease.kind = LeaseKind::Sticky;
        t.lease.since = ago(i64::from(n) * 86_400 * 2 + 60);
        snap.tunnels.push(t);
    }
    snap.tunnels.sort_by_key(|t| t.lease.port);
    snap.teams = vec![team("iot", "20200-20249", 15), team("pay", "20100-20199", 4)];
    snap.teams[0].reserved.push(ReservationView {
        port: port(20203),
        team: "iot".parse().unwrap(),
        by: "bob".into(),
        since: ago(600),
        until: "2026-04-01T00:00:00Z".parse().unwrap(),
        reason: "the gateway in Busan".into(),
    });
    let mut refused = record(
        107,
        ago(30),
        crate::audit::What::ForwardRefused { asked: "localhost".into(), asked_port: 20203 },
        crate::audit::Outcome::Refused,
        of("iot-99", 20203),
    );
    refused.event.context.rule = Some("port 20203 is reserved until 2026-04-01 by bob".into());
    snap.events.push(refused);
    update::link(&mut s, LinkEvent::Push(crate::control::protocol::Push::Snapshot(snap)));
    s.write_until = Some(s.write_end());
    s
}

/// Types, and answers each dry run.
fn typed(s: &mut State, bytes: &str, allowed: bool, rule: &str) -> Vec<Effect> {
    let mut others = vec![];
    for effect in keys(s, bytes) {
        match effect {
            Effect::Send(id, Request::Rehearse(_)) => {
                let e = Explanation { allowed, port: None, rule: rule.into(), steps: vec![] };
                let more = update::link(s, LinkEvent::Reply(id, Ok(Reply::Explained(e.clone()))));
                for m in more {
                    let Effect::Send(id, Request::Rehearse(_)) = m else { panic!("{m:?}") };
                    update::link(s, LinkEvent::Reply(id, Ok(Reply::Explained(e.clone()))));
                }
            }
            other => others.push(other),
        }
    }
    others
}

#[test]
fn the_grid_80x24_has_use_forecast_next_free_reservation_and_clash() {
    let mut s = filling((80, 24));
    keys(&mut s, "3lll");
    assert_snapshot!(show(&s));
}

#[test]
fn the_grid_140x40() {
    let mut s = filling((140, 40));
    keys(&mut s, "3lll");
    assert_snapshot!(show(&s));
}

#[test]
fn an_assignment_says_before_it_is_done_what_would_come_of_it() {
    let mut s = filling((80, 24));
    let effects = keys(&mut s, "3faiot-88");
    let Some(Effect::Send(id, Request::Rehearse(first))) = effects.first() else { panic!("{effects:?}") };
    assert_eq!(effects.len(), 1, "one question at a time");
    assert!(matches!(first, Action::Assign { host, .. } if host.as_str() == "i"), "{first:?}");
    let e = Explanation { allowed: false, port: None, rule: "there is no host i".into(), steps: vec![] };
    let effects = update::link(&mut s, LinkEvent::Reply(*id, Ok(Reply::Explained(e))));
    let [Effect::Send(id, Request::Rehearse(Action::Assign { host, port: Some(p), .. }))] = &effects[..] else {
        panic!("{effects:?}")
    };
    assert_eq!((host.as_str(), *p), ("iot-88", port(20204)), "20200 is the first of the range, and held");
    let rule = "port 20204 is free in team iot's range; it would be host iot-88's".to_owned();
    let e = Explanation { allowed: true, port: Some(*p), rule, steps: vec![] };
    update::link(&mut s, LinkEvent::Reply(*id, Ok(Reply::Explained(e))));
    assert_snapshot!(show(&s));
    assert!(!show(&s).contains("pay-db"), "hosts of other teams are not offered");
}

#[test]
fn a_reservation_asks_until_when_and_why_and_release_ends_it() {
    let mut s = filling((80, 24));
    typed(&mut s, "3fv", true, "port 20204 is free in team iot's range; nobody would get it");
    assert_snapshot!(show(&s));
    assert!(typed(&mut s, "\r", true, "").is_empty() && show(&s).contains("until when?"), "{}", show(&s));
    let effects = typed(&mut s, "2026-05-01\tnew gateway\r", true, "");
    let [Effect::Send(_, Request::Act(Action::Reserve { port: p, until, reason }))] = &effects[..] else {
        panic!("{effects:?}")
    };
    assert_eq!(
        (*p, until.to_rfc3339().as_str(), reason.as_str()),
        (port(20204), "2026-05-01T00:00:00+00:00", "new gateway")
    );
    s.pending.clear();
    keys(&mut s, "gglll");
    let effects = typed(&mut s, "r\r", true, "port 20203 is reserved by bob; that ends");
    assert!(matches!(&effects[..], [Effect::Send(_, Request::Act(Action::Release { .. }))]), "{effects:?}");
}

#[test]
fn move_and_release_work_on_the_selected_tunnel_and_reserve_says_where_it_is_done() {
    let mut s = filling((80, 24));
    keys(&mut s, "2");
    typed(&mut s, "r", false, "port 20101 is fixed for host pay-db in portreeve.toml");
    assert!(show(&s).contains("would be REFUSED: port 20101 is fixed"), "{}", show(&s));
    keys(&mut s, "\x1bv");
    assert!(s.message.as_ref().unwrap().text.contains("ports screen"));
}
