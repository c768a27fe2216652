//! What is asked before an act, what is sent, and how it is taken back.

use super::super::tests::message;
use super::super::*;
use crate::control::protocol::{Outcome, Reply};
use crate::model::{BlockTarget, Role, Seq, TunnelState};
use crate::ui::fixtures::*;
use crate::ui::link::LinkEvent;
use chrono::TimeDelta;

#[test]
fn a_revoke_acts_on_what_was_asked_though_the_rows_have_moved() {
    let mut s = writable((80, 24));
    keys(&mut s, "x");
    let mut d = delta();
    d.tunnels = vec![tunnel(20001, "other", "pay", "ssh", TunnelState::Up)];
    push(&mut s, d);
    assert!(keys(&mut s, "wrong\r").is_empty(), "the name must be right");
    assert!(s.dialog.is_some());
    let effects = keys(&mut s, "\x15pay-db\tkey leaked\r");
    let [Effect::Send(_, Request::Act(Action::Revoke { target, reason }))] = &effects[..] else {
        panic!("{effects:?}")
    };
    assert_eq!(*target, BlockTarget::Host("pay-db".parse().unwrap()));
    assert_eq!(reason.as_deref(), Some("key leaked"));
}

#[test]
fn a_confirmation_is_void_when_another_session_has_the_port() {
    let mut s = writable((80, 24));
    keys(&mut s, "c");
    let mut d = delta();
    let mut t = tunnel(20101, "pay-db", "pay", "ssh", TunnelState::Up);
    t.session = Some(session_id(99));
    d.tunnels = vec![t];
    push(&mut s, d);
    assert!(keys(&mut s, "y").is_empty());
    assert!(message(&s).contains("nothing done: 20101 has changed"), "{}", message(&s));
}

#[test]
fn the_reconnect_carries_the_session_that_was_seen() {
    let mut s = writable((80, 24));
    let effects = keys(&mut s, "cy");
    let [Effect::Send(_, Request::Act(Action::Reconnect { host, session, .. }))] = &effects[..] else {
        panic!("{effects:?}")
    };
    assert_eq!((host.as_str(), *session), ("pay-db", Some(session_id(20101))));
}

#[test]
fn a_revoke_can_be_of_the_port_or_the_key_instead() {
    let mut s = writable((80, 24));
    let effects = keys(&mut s, "x\x1b[A\x1b[C\t20101\r");
    let [Effect::Send(_, Request::Act(Action::Revoke { target, .. }))] = &effects[..] else { panic!("{effects:?}") };
    assert_eq!(*target, BlockTarget::Port(port(20101)));
}

#[test]
fn nothing_is_done_read_only_or_without_the_role() {
    let mut s = console((80, 24));
    keys(&mut s, "x");
    assert!(s.dialog.is_none() && message(&s).contains("read-only"), "{}", message(&s));
    let mut s = writable((80, 24));
    s.who = Some(alice(Role::Viewer));
    keys(&mut s, "x");
    assert!(s.dialog.is_none() && message(&s).contains("needs the role operator"), "{}", message(&s));
    keys(&mut s, ":reload\r");
    assert!(message(&s).contains("needs the role admin"), "{}", message(&s));
}

#[test]
fn write_mode_begins_when_the_daemon_agrees_and_ends_after_ten_minutes() {
    let mut s = console((80, 24));
    let effects = keys(&mut s, ":write\r");
    let [Effect::Send(id, Request::Act(Action::WriteMode { on: true }))] = effects[..] else { panic!("{effects:?}") };
    assert!(!s.writable());
    let done = Outcome {
        seq: Seq(1),
        summary: String::new(),
        ok: true,
        lease: None,
        revocation: None,
        grant: None,
        proposal: None,
    };
    link(&mut s, LinkEvent::Reply(id, Ok(Reply::Done(done))));
    assert!(s.writable());
    keys(&mut s, "x");
    assert!(s.dialog.is_some());
    assert!(tick(&mut s, t0() + TimeDelta::seconds(599)).is_empty());
    let effects = tick(&mut s, t0() + TimeDelta::seconds(600));
    assert!(matches!(effects[..], [Effect::Send(_, Request::Act(Action::WriteMode { on: false }))]));
    assert!(!s.writable());
    assert!(s.dialog.is_none(), "a question of write mode does not outlive it");
}

#[test]
fn assign_move_and_release_say_what_they_mean() {
    let mut s = writable((80, 24));
    let act = |e: Vec<Effect>| match e.into_iter().rfind(|e| !matches!(e, Effect::Send(_, Request::Rehearse(_)))) {
        Some(Effect::Send(_, Request::Act(a))) => a,
        e => panic!("{e:?}"),
    };
    let a = act(keys(&mut s, "3faiot-l\t\tssh\t2h\tnew site\r"));
    let assigned = Action::Assign {
        host: "iot-lost".parse().unwrap(),
        port: Some(port(20203)),
        service: Some("ssh".into()),
        until: Some(t0() + TimeDelta::hours(2)),
        reason: Some("new site".into()),
    };
    assert_eq!(a, assigned);
    let a = act(keys(&mut s, ":move 20104 20120\r\r"));
    assert_eq!(a, Action::Move { from: port(20104), to: Some(port(20120)), reason: None });
    let a = act(keys(&mut s, ":release 20104\r\r"));
    assert_eq!(a, Action::Release { port: port(20104), reason: None });
    keys(&mut s, ":release 20105\r");
    assert!(message(&s).contains("no lease has the port 20105"));
}

/// The daemon has done what these effects ask for.
fn done(s: &mut State, effects: &[Effect], seq: u64, lease: Option<crate::model::LeaseView>) -> Action {
    // A rehearsal may have been asked for before.
    let Some(Effect::Send(id, Request::Act(action))) = effects.last() else { panic!("{effects:?}") };
    let o = Outcome {
        seq: Seq(seq),
        summary: format!("outcome {seq}"),
        ok: true,
        lease,
        revocation: None,
        grant: None,
        proposal: None,
    };
    link(s, LinkEvent::Reply(*id, Ok(Reply::Done(o))));
    action.clone()
}

#[test]
fn acts_are_logged_and_taken_back_each_by_its_own_question() {
    let mut s = writable((80, 24));
    keys(&mut s, "U");
    assert!(message(&s).contains("nothing to undo"));
    let e = keys(&mut s, "xpay-db\tkey leaked\r");
    done(&mut s, &e, 201, None);
    let e = keys(&mut s, ":release 20104\rdone with it\r");
    done(&mut s, &e, 202, None);
    let mut d = delta();
    d.tunnels_gone = vec![port(20104)];
    push(&mut s, d);
    // The newest first: the lease as it was.
    keys(&mut s, "U");
    let Some(Dialog::Ask(ask)) = &s.dialog else { panic!("{:?}", s.message) };
    assert!(ask.facts[0].contains("portreeve release 20104 --reason 'done with it' (seq 202)"), "{:?}", ask.facts);
    let e = keys(&mut s, "\r");
    let Action::Assign { host, port: p, service, .. } = done(&mut s, &e, 203, None) else { panic!() };
    assert_eq!((host.as_str(), p, service.as_deref()), ("pay-spare", Some(port(20104)), Some("ssh")));
    // Then what was before it; the undo itself is not undone.
    keys(&mut s, "U");
    let e = keys(&mut s, "y");
    assert!(matches!(done(&mut s, &e, 204, None), Action::Restore { .. }));
    keys(&mut s, "U");
    assert!(message(&s).contains("nothing to undo"), "{}", message(&s));
    // What cannot be says so, and what can be before it.
    let e = keys(&mut s, ":move 20104 20120\r");
    assert!(e.is_empty() && message(&s).contains("no lease"), "{}", message(&s));
    let e = keys(&mut s, ":move 20103 20120\r\r");
    let mut lease = snapshot().tunnels[2].lease.clone();
    lease.port = port(20120);
    done(&mut s, &e, 205, Some(lease));
    let e = keys(&mut s, "cy");
    done(&mut s, &e, 206, None);
    keys(&mut s, "U");
    assert!(message(&s).contains("cannot be undone") && message(&s).contains("(:undo 205)"), "{}", message(&s));
    keys(&mut s, ":undo 999\r");
    assert!(message(&s).contains("nothing with the number 999"));
    keys(&mut s, ":log\r");
    assert!(matches!(s.dialog, Some(Dialog::Log { .. })));
    assert_eq!(s.acts.log.len(), 6);
    // A refused act is in the log and nothing to undo.
    keys(&mut s, "q");
    let e = keys(&mut s, ":release 20103\r\r");
    let Some(Effect::Send(id, _)) = e.last() else { panic!("{e:?}") };
    let why = crate::control::protocol::ApiError::new(crate::control::protocol::ErrorCode::Conflict, "it is fixed");
    link(&mut s, LinkEvent::Reply(*id, Err(why)));
    assert_eq!(s.acts.log.back().unwrap().undo, crate::ui::state::acts::Undo::Nothing);
}

/// To take back is to act: it shows what it cuts, and the daemon is asked what it would say, as for any other act.
#[test]
fn an_undo_shows_what_it_cuts_and_is_rehearsed() {
    let mut s = writable((80, 24));
    let lease = tunnel(20103, "결제-서버", "pay", "ssh", TunnelState::Up).lease;
    for (typed, by_number) in [("U", false), (":undo 310\r", true)] {
        let action = Action::Assign {
            host: lease.host.clone(),
            port: Some(lease.port),
            service: None,
            until: None,
            reason: None,
        };
        let done = Outcome {
            seq: Seq(310),
            summary: String::new(),
            ok: true,
            lease: Some(lease.clone()),
            revocation: None,
            grant: None,
            proposal: None,
        };
        s.acts = Default::default();
        s.acts.begin(&action, Default::default());
        s.acts.end(s.now, action, Ok(&done));
        let effects = keys(&mut s, typed);
        let [Effect::Send(id, Request::Rehearse(Action::Release { port, .. }))] = &effects[..] else {
            panic!("{by_number}: {effects:?}")
        };
        assert_eq!(*port, lease.port);
        let rule = "port 20103 is leased to host 결제-서버; that ends".to_owned();
        let said = crate::control::protocol::Explanation { allowed: true, port: Some(*port), rule, steps: vec![] };
        link(&mut s, LinkEvent::Reply(*id, Ok(Reply::Explained(said))));
        let shown = crate::ui::view::tests::show(&s);
        for part in ["takes back: portreeve assign", "cuts 1 live tunnel and 3 visitors", "would be done: port 20103"] {
            assert!(shown.contains(part), "{part}: {shown}");
        }
        keys(&mut s, "\x1b");
        assert!(s.dialog.is_none());
    }
}

#[test]
fn an_approval_is_of_the_incidents_key_and_host_and_its_undo_takes_it_back() {
    let mut s = deciding((80, 24));
    let key = pending("iot-77", true).fingerprint;
    s.who.as_mut().unwrap().role = Role::Operator;
    keys(&mut s, &format!(":approve {key} iot-77\r"));
    assert!(s.dialog.is_none() && message(&s).contains("needs the role admin"), "{}", message(&s));
    s.who.as_mut().unwrap().role = Role::Admin;
    // Nothing is selected that has a key to decide on.
    keys(&mut s, ":approve\r");
    assert!(s.dialog.is_none() && message(&s).contains(":approve KEY HOST"), "{}", message(&s));
    let seen = crate::model::Evidence::UnknownKey {
        count: 12,
        source: "203.0.113.9".parse().unwrap(),
        was: None,
        user: "iot-77".into(),
        key: key.clone(),
    };
    let mut d = delta();
    let mut i = incidents().remove(0);
    (i.cause, i.seen, i.hosts) = ("refused-key-pending".into(), Some(seen), 1);
    i.blast.hosts = vec!["iot-77".parse().unwrap()];
    d.incidents = Some(vec![i]);
    push(&mut s, d);
    keys(&mut s, "1:approve\r");
    assert!(keys(&mut s, "pay-db\r").is_empty(), "another host's name");
    let e = keys(&mut s, "\x15iot-77\t2days\tnew disk\r");
    let Action::Approve { fingerprint, host, until, reason } = done(&mut s, &e, 301, None) else { panic!("{e:?}") };
    assert_eq!((&fingerprint, host.as_str(), reason.as_deref()), (&key, "iot-77", Some("new disk")));
    assert_eq!(until, Some(t0() + TimeDelta::days(2)));
    keys(&mut s, "U");
    let e = keys(&mut s, "y");
    assert_eq!(done(&mut s, &e, 302, None), Action::Unapprove { fingerprint: key.clone(), reason: None });
    let e = keys(&mut s, ":dismiss SHA\t\ry");
    assert_eq!(done(&mut s, &e, 303, None), Action::Dismiss { fingerprint: key });
    keys(&mut s, "U");
    assert!(message(&s).contains("cannot be undone"), "{}", message(&s));
}
