//! What a console does that nobody touches.

use super::super::tests::message;
use super::super::*;
use crate::control::protocol::Push;
use crate::ui::fixtures::*;
use crate::ui::link::LinkEvent;
use crate::ui::state::State;
use crate::ui::view::tests::show;

/// The daemon's facts as they are, with these times.
fn with(s: &mut State, lock: Option<u64>, logout: Option<u64>) {
    let mut daemon = s.live.daemon.clone().unwrap();
    (daemon.idle_lock_s, daemon.idle_logout_s) = (lock, logout);
    let mut d = delta();
    d.daemon = Some(daemon);
    push(s, d);
}

fn later(s: &mut State, seconds: i64) -> Vec<Effect> {
    let now = s.now + TimeDelta::seconds(seconds);
    tick(s, now)
}

#[test]
fn it_locks_leaves_write_mode_and_shows_again_what_was_there_for_one_key() {
    let mut s = writable((80, 24));
    with(&mut s, Some(60), None);
    keys(&mut s, "x");
    assert!(s.dialog.is_some());
    assert!(later(&mut s, 59).is_empty() && !s.locked);
    assert_eq!(s.deadline(), Some(s.now + TimeDelta::seconds(1)), "it wakes by itself");
    let effects = later(&mut s, 1);
    assert!(s.locked && s.dialog.is_none() && !s.writable());
    assert!(matches!(effects[..], [Effect::Send(_, Request::Act(Action::WriteMode { on: false }))]), "{effects:?}");
    let text = show(&s);
    assert!(text.contains("locked: no key was pressed for 1m") && !text.contains("pay-db"), "{text}");
    assert!(keys(&mut s, "q").is_empty(), "the key that wakes it does nothing else");
    assert!(!s.locked && show(&s).contains("pay-db"));
    assert!(later(&mut s, 59).is_empty() && !s.locked, "it counts from that key");
    with(&mut s, None, None);
    later(&mut s, 100_000);
    assert!(!s.locked, "off by a reload");
}

#[test]
fn it_tells_the_daemon_of_keys_at_most_once_a_second_where_that_matters() {
    let mut s = console((80, 24));
    let told = |e: &[Effect]| e.iter().filter(|e| matches!(e, Effect::Send(_, Request::Active))).count();
    assert_eq!(told(&keys(&mut s, "jk")), 0, "nobody wants to know");
    with(&mut s, None, Some(60));
    s.who.as_mut().unwrap().via = "unix".to_owned();
    assert_eq!(told(&keys(&mut s, "jkj")), 1);
    later(&mut s, 1);
    assert_eq!(told(&keys(&mut s, "j")), 1);
    s.who.as_mut().unwrap().via = "ssh".to_owned();
    later(&mut s, 5);
    assert_eq!(told(&keys(&mut s, "j")), 0, "over SSH the daemon sees them itself");
}

#[test]
fn it_leaves_when_the_daemon_says_goodbye() {
    let mut s = console((80, 24));
    let effects = update_link(&mut s, "boss has logged you out");
    assert_eq!(effects, [Effect::Leave("boss has logged you out".to_owned())]);
    assert!(message(&s).is_empty());
}

fn update_link(s: &mut State, why: &str) -> Vec<Effect> {
    link(s, LinkEvent::Push(Push::Goodbye(why.to_owned())))
}
