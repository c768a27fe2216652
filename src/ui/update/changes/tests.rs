//! What changed: what it is opened for, where its rows lead, and the way back.

use super::*;
use crate::audit::{Outcome, What};
use crate::model::{Blast, Seq, Severity};
use crate::ui::fixtures::*;
use crate::ui::link::LinkEvent;
use crate::ui::update;

fn scope_of(s: &State) -> &Scope {
    s.changes.scope.as_ref().unwrap()
}

#[test]
fn of_a_tunnel_it_is_its_host_its_port_and_strangers_at_its_address() {
    let mut s = console((80, 24));
    let asked = keys(&mut s, "w");
    assert_eq!((s.screen, s.changes.minutes), (Screen::Changes, 15));
    assert_eq!(scope_of(&s).words, "pay-db and port 20101");
    assert!(s.changes.ids.contains(&Seq(104)), "health of its other port: {:?}", s.changes.ids);
    assert!(!s.changes.ids.contains(&Seq(105)), "not of iot-77");
    // Its snapshot reaches back an hour, so there is nothing to ask for.
    assert!(asked.is_empty(), "{asked:?}");
    keys(&mut s, "\x1b");
    assert_eq!((s.screen, s.tunnels.selected), (Screen::Tunnels, Some(port(20101))));
    keys(&mut s, "7");
    assert!(s.changes.scope.is_none() && s.changes.ids.contains(&Seq(105)));
}

#[test]
fn a_network_that_is_lost_is_looked_at_as_a_network_with_its_hosts() {
    let mut s = home((80, 24), incidents());
    keys(&mut s, "jw");
    let about = &scope_of(&s).about;
    assert!(about.contains(&About::Net("203.0.113.0/24".parse().unwrap())), "{about:?}");
    assert!(about.contains(&About::Host("pay-spare".parse().unwrap())) && about.contains(&About::Bastion));
    // Four hosts, three are named: their team stands for the fourth.
    assert!(about.contains(&About::Team("pay".parse().unwrap())));
    keys(&mut s, "\x1b");
    assert_eq!((s.screen, s.triage.selected), (Screen::Triage, Some(1)));
}

#[test]
fn an_incident_without_hosts_is_its_teams_affair_or_the_bastions() {
    let mut full = incidents().remove(0);
    full.what = "team pay".into();
    full.severity = Severity::Warning;
    full.blast = Blast { teams: vec!["pay".parse().unwrap()], ..Blast::default() };
    let mut s = home((80, 24), vec![full]);
    keys(&mut s, "w");
    assert_eq!(scope_of(&s).about, [About::Team("pay".parse().unwrap()), About::Bastion]);
}

#[test]
fn enter_goes_to_the_tunnel_and_esc_comes_back_to_the_row_and_then_to_the_start() {
    let mut s = home((80, 24), incidents());
    keys(&mut s, "7");
    s.changes.nav.select_id(Seq(104), &s.changes.ids.clone(), 10);
    keys(&mut s, "\r");
    assert_eq!((s.screen, s.tunnels.selected, s.detail), (Screen::Tunnels, Some(port(20102)), true));
    keys(&mut s, "w");
    assert_eq!(scope_of(&s).words, "pay-db and port 20102", "narrower, from there");
    keys(&mut s, "\x1b");
    assert_eq!((s.screen, s.detail), (Screen::Tunnels, true));
    keys(&mut s, "\x1b");
    assert_eq!((s.screen, s.changes.nav.selected), (Screen::Changes, Some(Seq(104))));
    assert!(s.changes.scope.is_none(), "of everything, as it was");
}

#[test]
fn what_is_no_tunnels_leads_to_the_port_the_session_or_the_journal() {
    let mut s = console((80, 24));
    let mut d = delta();
    let mut signed = of("pay-db", 20101);
    signed.port = None;
    signed.session = Some(session_id(20101));
    let signed_in = What::AuthSuccess { role: None, client: "OpenSSH_9.2p1".into() };
    d.events = vec![
        record(201, ago(3), signed_in, Outcome::Success, signed),
        record(202, ago(2), What::LeaseReleased {}, Outcome::Success, of("nobody", 20150)),
        record(203, ago(1), What::ConfigReload { changes: vec![] }, Outcome::Success, crate::audit::Context::default()),
    ];
    push(&mut s, d);
    for (row, screen) in [("7gg\r", Screen::Audit), ("\x1bj\r", Screen::Ports), ("\x1bj\r", Screen::Sessions)] {
        keys(&mut s, row);
        assert_eq!(s.screen, screen, "{row:?}");
    }
    assert_eq!(s.sessions.selected, Some(session_id(20101)));
    keys(&mut s, "\x1b");
    assert_eq!((s.screen, s.changes.nav.selected), (Screen::Changes, Some(Seq(201))));
}

#[test]
fn the_journal_fills_what_the_console_has_not_heard() {
    let mut s = console((80, 24));
    keys(&mut s, "7");
    // An hour is heard (the first event is older), three are not.
    assert!(keys(&mut s, "++").is_empty());
    let asked = keys(&mut s, "+");
    let [Effect::Send(id, Request::Audit(q))] = &asked[..] else { panic!("{asked:?}") };
    assert_eq!((q.before, s.changes.minutes), (Some(Seq(101)), 180));
    let old = record(50, ago(9_000), granted(20240), Outcome::Success, of("iot-old", 20240));
    let reply = Reply::Records { records: vec![old], more: false };
    assert!(update::link(&mut s, LinkEvent::Reply(*id, Ok(reply))).is_empty());
    assert_eq!(s.changes.ids.last(), Some(&Seq(50)));
    // Less far back it is out of sight, and then there again without being asked for.
    keys(&mut s, "-");
    assert!(!s.changes.ids.contains(&Seq(50)));
    // What grows too old goes by itself.
    keys(&mut s, "--");
    let leaves = s.deadline().unwrap();
    assert_eq!(leaves, ago(600) + chrono::TimeDelta::minutes(15));
    update::tick(&mut s, leaves);
    assert!(!s.changes.ids.contains(&Seq(103)), "{:?}", s.changes.ids);
}
