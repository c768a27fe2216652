//! What the sessions look like, and what their keys do.

use crate::control::protocol::{Action, Request};
use crate::model::{Role, SessionKind};
use crate::ui::fixtures::*;
use crate::ui::state::State;
use crate::ui::update::Effect;
use crate::ui::view::tests::show;
use insta::assert_snapshot;

/// With an operator's session besides those of the hosts.
fn sessions(size: (u16, u16)) -> State {
    let mut s = console(size);
    let mut d = delta();
    let mut bob = session(&snapshot().tunnels[0]);
    (bob.id, bob.kind, bob.name, bob.team) = (session_id(9), SessionKind::Operator, "bob".into(), None);
    (bob.role, bob.ports, bob.since, bob.rtt_ms) = (Some(Role::Operator), vec![], ago(7), Some(180.0));
    d.sessions = vec![bob];
    push(&mut s, d);
    keys(&mut s, "6");
    s
}

fn names(s: &State) -> Vec<&str> {
    s.session_rows.iter().filter_map(|id| s.live.sessions.get(id)).map(|x| x.name.as_str()).collect()
}

#[test]
fn sessions_80x24_have_all_of_the_selected_one_below() {
    assert_snapshot!(show(&sessions((80, 24))));
}

#[test]
fn sessions_40x10_have_what_there_is_room_for() {
    let shown = show(&sessions((40, 10)));
    assert!(shown.contains("NAME") && shown.contains("SINCE"), "{shown}");
}

#[test]
fn s_goes_through_the_columns_and_the_filter_knows_them() {
    let mut s = sessions((80, 24));
    assert_eq!(names(&s).last(), Some(&"bob"), "the oldest first");
    keys(&mut s, "S");
    assert_eq!(names(&s).first(), Some(&"bob"));
    keys(&mut s, "Ss");
    assert_eq!(names(&s).first(), Some(&"bob"), "by name");
    keys(&mut s, "sss");
    assert_eq!(names(&s).first(), Some(&"bob"), "the slowest first");
    keys(&mut s, "/kind=host rtt<5ms algorithms=*gcm*\r");
    assert!(names(&s).iter().all(|n| *n != "bob") && !names(&s).is_empty(), "{:?}", names(&s));
}

#[test]
fn one_is_disconnected_by_key_after_its_blast_radius_was_shown() {
    let mut s = sessions((80, 24));
    keys(&mut s, "D");
    assert!(s.dialog.is_none() && s.message.as_ref().unwrap().text.contains("write"), "read-only");
    s.write_until = Some(s.write_end());
    let id = s.selected_session().unwrap().id;
    keys(&mut s, "D");
    let shown = show(&s);
    assert!(shown.contains("live tunnel") && shown.contains("signed in with SHA256:"), "{shown}");
    let effects = keys(&mut s, "y");
    let [Effect::Send(_, Request::Act(Action::Disconnect { session }))] = &effects[..] else { panic!("{effects:?}") };
    assert_eq!(*session, id);
}
