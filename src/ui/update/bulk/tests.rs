//! Marks, and acts on all of them.

use super::*;
use crate::control::protocol::{ErrorCode, Outcome};
use crate::model::{Seq, TunnelState};
use crate::ui::fixtures::*;
use crate::ui::link::LinkEvent;
use crate::ui::update;

fn acts(effects: &[Effect]) -> Vec<(u64, Action)> {
    let act = |e: &Effect| match e {
        Effect::Send(id, Request::Act(a)) => Some((*id, a.clone())),
        _ => None,
    };
    effects.iter().filter_map(act).collect()
}

fn answer(s: &mut State, id: u64, ok: Result<bool, &str>) -> Vec<Effect> {
    let result = match ok {
        Ok(ok) => Ok(Reply::Done(Outcome {
            seq: Seq(9),
            summary: "so".into(),
            ok,
            lease: None,
            revocation: None,
            grant: None,
            proposal: None,
        })),
        Err(why) => Err(ApiError::new(ErrorCode::Forbidden, why)),
    };
    update::link(s, LinkEvent::Reply(id, result))
}

fn message(s: &State) -> &str {
    s.message.as_ref().map_or("", |m| m.text.as_str())
}

#[test]
fn space_marks_and_goes_on_star_marks_what_the_filter_shows_and_esc_clears() {
    let mut s = writable((80, 24));
    keys(&mut s, "  ");
    assert_eq!(s.marks, [20101, 20102].map(port).into());
    assert_eq!(s.tunnels.selected, Some(port(20103)));
    keys(&mut s, "k ");
    assert_eq!(s.marks, [port(20101)].into(), "once more takes it away");
    keys(&mut s, "/team=iot\r*");
    assert_eq!(s.marks, [20101, 20201, 20202, 20210].map(port).into());
    keys(&mut s, "*");
    assert_eq!(s.marks, [port(20101)].into());
    keys(&mut s, "\x1b");
    assert!(s.marks.is_empty() && s.filter().is_some(), "marks first");
    keys(&mut s, "\x1b");
    assert!(s.filter().is_none());
    // A lease that is gone is not marked any more.
    keys(&mut s, "gg ");
    let mut d = delta();
    d.tunnels_gone = vec![port(20101)];
    push(&mut s, d);
    assert!(s.marks.is_empty());
}

#[test]
fn a_revoke_of_all_hosts_is_asked_once_and_done_singly() {
    let mut s = writable((80, 24));
    keys(&mut s, "gg  G x");
    let Some(crate::ui::state::dialog::Dialog::Ask(ask)) = &s.dialog else { panic!("{}", message(&s)) };
    assert_eq!(ask.title, "revoke 2 hosts");
    assert!(ask.facts.iter().any(|f| f.contains("pay-db") && f.contains("센서")), "{:?}", ask.facts);
    // The number is typed, not just Enter.
    assert!(keys(&mut s, "\r3\r").is_empty());
    let sent = acts(&keys(&mut s, "\x152\tkeys leaked\r"));
    let [(a, Action::Revoke { target, reason }), (b, _)] = &sent[..] else { panic!("{sent:?}") };
    assert_eq!((target.to_string(), reason.as_deref()), ("host pay-db".to_owned(), Some("keys leaked")));
    assert!(s.marks.is_empty());
    answer(&mut s, *a, Ok(true));
    assert_eq!(s.batch.as_ref().unwrap().progress(crate::ui::Lang::En), "revoke: 1 of 2 done");
    answer(&mut s, *b, Err("not yours"));
    assert!(s.batch.is_none());
    assert!(message(&s).starts_with("revoke: 1 of 2 done, 1 not. First: $ portreeve revoke"), "{}", message(&s));
    assert_eq!(s.said.len(), 3, "each outcome is kept");
}

#[test]
fn the_choice_is_of_hosts_or_of_the_marked_ports_alone() {
    let mut s = writable((80, 24));
    keys(&mut s, "gg  x\x1b[A");
    // Up to the choice, right to the ports.
    keys(&mut s, "\x1b[C");
    let Some(crate::ui::state::dialog::Dialog::Ask(ask)) = &s.dialog else { panic!() };
    assert_eq!(ask.title, "revoke 2 ports");
    let sent = acts(&keys(&mut s, "\t2\r"));
    assert!(matches!(&sent[0].1, Action::Revoke { target: BlockTarget::Port(p), .. } if *p == port(20101)), "{sent:?}");
}

#[test]
fn a_reconnect_is_of_sessions_as_they_were_and_leaves_out_who_has_none() {
    let mut s = writable((80, 24));
    keys(&mut s, "*c");
    let Some(crate::ui::state::dialog::Dialog::Ask(ask)) = &s.dialog else { panic!() };
    assert_eq!(ask.title, "reconnect 4 hosts");
    assert!(ask.facts.iter().any(|f| f.contains("no session to drop: 20104 20201 20202")), "{:?}", ask.facts);
    let sent = acts(&keys(&mut s, "4\r"));
    assert_eq!(sent.len(), 4);
    assert!(sent.iter().all(|(_, a)| matches!(a, Action::Reconnect { session: Some(_), .. })));
}

#[test]
fn a_restore_is_of_what_is_blocked_and_a_release_of_leases() {
    let mut s = writable((80, 24));
    keys(&mut s, "*u");
    let sent = acts(&keys(&mut s, "1\r"));
    assert!(matches!(&sent[..], [(_, Action::Restore { target })] if target.value() == "iot-lost"), "{sent:?}");
    answer(&mut s, sent[0].0, Ok(true));
    keys(&mut s, "gg r");
    assert_eq!(acts(&keys(&mut s, "1\tgone\r")).len(), 1);
    keys(&mut s, "gg u");
    assert!(s.dialog.is_none() && message(&s).contains("nothing blocks any"), "{}", message(&s));
    keys(&mut s, ":move\r");
    assert!(message(&s).contains("one at a time"), "{}", message(&s));
}

#[test]
fn nothing_is_done_when_a_port_has_another_owner_or_without_write_mode() {
    let mut s = writable((80, 24));
    keys(&mut s, "gg  r");
    let mut d = delta();
    d.tunnels = vec![tunnel(20102, "somebody-else", "pay", "ssh", TunnelState::Up)];
    push(&mut s, d);
    assert!(keys(&mut s, "2\r").is_empty());
    assert!(message(&s).contains("20102 is no longer pay-db's"), "{}", message(&s));
    let mut s = console((80, 24));
    keys(&mut s, "*x");
    assert!(s.dialog.is_none() && message(&s).contains("read-only"), "{}", message(&s));
}

#[test]
fn many_are_on_their_way_a_few_at_a_time_and_can_be_stopped() {
    let mut s = writable((80, 24));
    let mut d = delta();
    d.tunnels = (0..40).map(|n| tunnel(21000 + n, &format!("h{n}"), "pay", "ssh", TunnelState::Up)).collect();
    push(&mut s, d);
    keys(&mut s, "/port=21*\r*x");
    let sent = acts(&keys(&mut s, "40\r"));
    assert_eq!(sent.len(), 16);
    let more = acts(&answer(&mut s, sent[0].0, Ok(true)));
    assert_eq!(more.len(), 1, "one for one");
    keys(&mut s, "\x1b");
    for (id, _) in sent.iter().skip(1).chain(&more) {
        assert!(acts(&answer(&mut s, *id, Ok(true))).is_empty());
    }
    assert!(message(&s).contains("17 of 40 done, 1 not. First: 23 were not asked for"), "{}", message(&s));
}

#[test]
fn a_lost_connection_says_what_is_not_known() {
    let mut s = writable((80, 24));
    keys(&mut s, "gg  x");
    assert_eq!(acts(&keys(&mut s, "1\r")).len(), 1, "two ports of one host");
    update::link(&mut s, LinkEvent::Down("gone".into()));
    assert!(message(&s).contains("the outcome of 1 is unknown"), "{}", message(&s));
    assert!(s.batch.is_none());
}
