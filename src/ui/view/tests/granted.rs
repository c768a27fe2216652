//! What is given until a time: how it is asked for, taken back and seen.

use super::show;
use crate::control::protocol::{Action, Identity, Outcome, Push, Reply, Request, Snapshot};
use crate::model::{GrantView, Granted, GrantedRole, Role, Seq, SessionKind};
use crate::ui::fixtures::*;
use crate::ui::link::LinkEvent;
use crate::ui::state::State;
use crate::ui::update::{Effect, link};
use chrono::TimeDelta;

#[test]
fn what_is_given_until_a_time_is_asked_for_from_the_palette_and_taken_back() {
    let mut s = writable((80, 24));
    let act = |e: &[Effect]| match e.last() {
        Some(Effect::Send(_, Request::Act(a))) => a.clone(),
        e => panic!("{e:?}"),
    };
    keys(&mut s, ":grant role bob operator pay iot\r\t\r");
    assert!(show(&s).contains("until when?"), "{}", show(&s));
    keys(&mut s, "\u{1b}");
    let effects = keys(&mut s, ":grant role bob operator pay iot\r2h\ton call\r");
    let teams = Some(vec!["pay".parse().unwrap(), "iot".parse().unwrap()]);
    let what = Granted::Role { operator: "bob".parse().unwrap(), role: Role::Operator, teams };
    let until = t0() + TimeDelta::hours(2);
    let action = Action::Grant { what: what.clone(), until, reason: "on call".into() };
    assert_eq!(act(&effects), action);
    assert_eq!(
        crate::ui::sentence::command(&action),
        format!(
            "portreeve grant role bob operator --team pay --team iot --until {} --reason 'on call'",
            until.format("%FT%TZ")
        )
    );
    let grant =
        GrantView { id: "g1".parse().unwrap(), what, by: "alice".into(), since: t0(), until, reason: "on call".into() };
    let Some(Effect::Send(id, _)) = effects.last() else { panic!() };
    let o = Outcome {
        seq: Seq(300),
        summary: String::new(),
        ok: true,
        lease: None,
        revocation: None,
        grant: Some(grant.clone()),
        proposal: None,
    };
    link(&mut s, LinkEvent::Reply(*id, Ok(Reply::Done(o.clone()))));

    // It is known by now; `U` ends it, and what was ended can be given again.
    s.live.daemon.as_mut().unwrap().grants.push(grant.clone());
    keys(&mut s, "U");
    assert!(show(&s).contains("the role operator to operator bob on pay, iot"), "{}", show(&s));
    let effects = keys(&mut s, "y");
    assert_eq!(act(&effects), Action::Ungrant { grant: grant.id, reason: None });
    let Some(Effect::Send(id, _)) = effects.last() else { panic!() };
    link(&mut s, LinkEvent::Reply(*id, Ok(Reply::Done(o.clone()))));
    s.live.daemon.as_mut().unwrap().grants.clear();
    keys(&mut s, ":ungrant g1\r");
    assert!(show(&s).contains("there is no grant g1 here"), "{}", show(&s));

    let visitors = keys(&mut s, ":grant visitors 20101 203.0.113.7\r30m\tvendor\r");
    let Action::Grant { what: Granted::Visitors { team: None, port: p, network }, .. } = act(&visitors) else {
        panic!()
    };
    assert_eq!((p, network.to_string().as_str()), (Some(port(20101)), "203.0.113.7/32"));
    let Some(Effect::Send(id, _)) = visitors.last() else { panic!() };
    link(&mut s, LinkEvent::Reply(*id, Ok(Reply::Done(o))));
    for bad in [":grant\r", ":grant role bob king\r", ":grant visitors pay 10.1.2.3/16\r", ":grant visitors pay\r"] {
        s.dialog = None;
        keys(&mut s, bad);
        assert!(s.dialog.is_none(), "{bad}");
    }
}

#[test]
fn what_the_daemon_says_of_whoever_sits_here_holds_at_once() {
    let mut s = console((80, 24));
    let mut who = alice(Role::Viewer);
    let push =
        |who: &Identity| LinkEvent::Push(Push::Snapshot(Snapshot { you: Some(Box::new(who.clone())), ..snapshot() }));
    link(&mut s, push(&who));
    assert_eq!(s.role(), Role::Viewer);
    who.granted = vec![GrantedRole { grant: "g1".parse().unwrap(), role: Role::Operator, teams: None, until: t0() }];
    link(&mut s, push(&who));
    assert_eq!(s.role(), Role::Operator);
    assert!(show(&s).contains("alice@operator"), "{}", show(&s));
    s.write_until = Some(t0() + TimeDelta::minutes(10));
    who.granted.clear();
    link(&mut s, push(&who));
    assert!(s.write_until.is_none() && s.role() == Role::Viewer, "write mode ends with the role");
}

#[test]
fn a_grant_is_seen_where_it_counts() {
    let mut s = console((140, 40));
    let grant = |id: &str, what| GrantView {
        id: id.parse().unwrap(),
        what,
        by: "boss".into(),
        since: t0(),
        until: t0() + TimeDelta::hours(4),
        reason: "vendor".into(),
    };
    let network = "203.0.113.0/24".parse().unwrap();
    let role = Granted::Role { operator: "bob".parse().unwrap(), role: Role::Operator, teams: None };
    let daemon = s.live.daemon.as_mut().unwrap();
    daemon.grants.push(grant("g1", Granted::Visitors { team: "pay".parse().ok(), port: None, network }));
    daemon.grants.push(grant("g2", role));
    let mut bob = s.live.sessions.values().next().unwrap().clone();
    (bob.kind, bob.name, bob.team) = (SessionKind::Operator, "bob".into(), None);
    s.live.sessions = [(bob.id, bob)].into_iter().collect();
    s.resort();
    let shown = |s: &State| show(s).split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(shown(&s).contains("203.0.113.0/24 may visit until"), "{}", show(&s));
    keys(&mut s, "6");
    assert!(shown(&s).contains("(g2 by boss)"), "{}", show(&s));
}
