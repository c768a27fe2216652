//! What keys and news do.

use super::*;
use crate::control::protocol::{Push, Reply};
use crate::model::{BlockTarget, Seq, TunnelState};
use crate::ui::fixtures::*;
use crate::ui::link::LinkEvent;
use chrono::TimeDelta;

/// What was said last.
pub(super) fn message(s: &State) -> &str {
    s.message.as_ref().map_or("", |m| m.text.as_str())
}

#[test]
fn enter_on_an_incident_goes_to_its_first_tunnel_and_esc_comes_back() {
    let mut s = home((80, 24), incidents());
    assert_eq!(s.screen, Screen::Triage, "home");
    keys(&mut s, "j\r");
    assert_eq!((s.screen, s.tunnels.selected, s.detail), (Screen::Tunnels, Some(port(20101)), true));
    keys(&mut s, "\x1b");
    assert_eq!((s.screen, s.triage.selected, s.detail), (Screen::Triage, Some(1), false));
    keys(&mut s, "\rq");
    assert_eq!(s.screen, Screen::Triage, "q as well");
    // From the list itself Esc does not lead there.
    keys(&mut s, "2\r\x1b");
    assert_eq!(s.screen, Screen::Tunnels);
}

#[test]
fn the_selection_stays_on_its_incident_when_others_come_and_go() {
    let mut s = home((80, 24), incidents());
    keys(&mut s, "jj");
    let what = |s: &State| s.selected_incident().map(|i| i.cause.clone());
    assert_eq!(what(&s).as_deref(), Some("host-restarts"));
    let mut d = delta();
    d.incidents = Some(incidents().split_off(2));
    push(&mut s, d.clone());
    assert_eq!((what(&s).as_deref(), s.triage.selected), (Some("host-restarts"), Some(0)));
    push(&mut s, delta());
    assert_eq!(what(&s).as_deref(), Some("host-restarts"), "a delta without them changes nothing");
    d.incidents = Some(vec![]);
    push(&mut s, d);
    assert_eq!(what(&s), None);
    assert!(keys(&mut s, "\rjkG").is_empty(), "nothing there to open");
}

#[test]
fn incidents_are_filtered_by_cause_and_words_and_their_command_is_copied() {
    let mut s = home((80, 24), incidents());
    keys(&mut s, "/cause=host-*\r");
    assert_eq!((s.incident_rows.len(), s.hidden()), (2, 2));
    keys(&mut s, "\x1b/path lost\r");
    assert_eq!(s.incident_rows.len(), 1);
    keys(&mut s, "\x1b");
    let [Effect::Copy(run)] = &keys(&mut s, "ggY")[..] else { panic!() };
    assert!(run.starts_with("portreeve audit --host"), "{run}");
}

#[test]
fn a_revoke_from_triage_is_of_the_incidents_first_host_by_name() {
    let mut s = home((80, 24), incidents());
    s.write_until = Some(s.write_end());
    let effects = keys(&mut s, "xiot-77\r");
    let [Effect::Send(_, Request::Act(Action::Revoke { target, .. }))] = &effects[..] else { panic!("{effects:?}") };
    assert_eq!(*target, BlockTarget::Host("iot-77".parse().unwrap()));
}

#[test]
fn the_selection_follows_its_port_when_rows_come_above_it() {
    let mut s = console((80, 24));
    keys(&mut s, "jj");
    assert_eq!(s.tunnels.selected, Some(port(20103)));
    let mut d = delta();
    d.tunnels = (20090..20100).map(|n| tunnel(n, "new", "pay", "ssh", TunnelState::Up)).collect();
    let before = s.tunnels.index(&s.tunnel_rows).unwrap() - s.tunnels.offset;
    push(&mut s, d);
    assert_eq!(s.tunnels.selected, Some(port(20103)));
    let after = s.tunnels.index(&s.tunnel_rows).unwrap();
    assert_eq!(after, 12);
    assert!(before <= after - s.tunnels.offset);
}

/// As the loop does: draws, and gives back what can be clicked.
fn frame(s: &mut State) {
    let d = crate::ui::view::draw(s);
    drawn(s, d.scroll_max, d.spots);
}

#[test]
fn the_mouse_selects_opens_and_scrolls_once_it_is_asked_for() {
    use crate::ui::input::Mouse;
    let mut s = console((80, 24));
    frame(&mut s);
    assert!(s.spots.is_empty(), "nothing is kept while nobody asks");
    assert_eq!(keys(&mut s, ":mouse\r"), [Effect::Mouse(true)]);
    let do_ = |s: &mut State, m| {
        frame(s);
        typed(s, Typed::Mouse(m))
    };
    // Header, tabs, titles, then the rows.
    do_(&mut s, Mouse::Click(20, 5));
    assert_eq!(s.tunnels.selected, Some(port(20103)));
    do_(&mut s, Mouse::Click(20, 5));
    assert!(s.detail, "a click on what is selected opens it");
    keys(&mut s, "q");
    do_(&mut s, Mouse::WheelUp);
    assert_eq!(s.tunnels.selected, Some(port(20101)));
    do_(&mut s, Mouse::WheelDown);
    assert_eq!(s.tunnels.selected, Some(port(20104)));
    do_(&mut s, Mouse::Click(79, 23));
    assert_eq!(s.tunnels.selected, Some(port(20104)), "nothing stands there");
    let tabs = crate::ui::view::draw(&s);
    let at = (0..80).find(|x| tabs.buffer.cell((*x, 1)).unwrap().symbol() == "3").unwrap();
    do_(&mut s, Mouse::Click(at, 1));
    assert_eq!(s.screen, Screen::Ports);
    do_(&mut s, Mouse::Click(8, 3));
    assert_eq!(s.port_cursor, Some(port(20201)));
    keys(&mut s, "?");
    do_(&mut s, Mouse::WheelDown);
    assert!(matches!(s.dialog, Some(Dialog::Help { scroll: 3, .. })));
    keys(&mut s, "\x1b");
    assert_eq!(keys(&mut s, ":mouse off\r"), [Effect::Mouse(false)]);
}

#[test]
fn what_is_newly_down_is_told_once_and_what_was_so_before_is_not() {
    let mut s = home((80, 24), incidents());
    let with = |n: usize| {
        let mut d = delta();
        let mut all = incidents();
        all[0].id.push('2');
        d.incidents = Some(all.split_off(n));
        d
    };
    assert_eq!(push(&mut s, with(0)), [], "nobody asked for it");
    keys(&mut s, ":set notify bell\r");
    assert_eq!(push(&mut s, with(1)), []);
    let told = push(&mut s, with(0));
    assert_eq!(told, [Effect::Tell("iot-77: redials, key unknown".into())]);
    assert_eq!(push(&mut s, with(0)), [], "once");
    assert_eq!(push(&mut s, delta()), []);
    // A daemon that is back and still has it.
    link(&mut s, LinkEvent::Down("gone".into()));
    let mut snap = snapshot();
    snap.incidents = with(0).incidents;
    assert_eq!(link(&mut s, LinkEvent::Push(Push::Snapshot(snap))), []);
}

#[test]
fn the_palette_takes_letters_and_runs_only_what_is_written_out() {
    let mut s = writable((80, 24));
    keys(&mut s, ":rvk\r");
    let Some(Prompt::Command { input }) = &s.prompt else { panic!("still open") };
    assert_eq!(input.value(), "revoke ");
    keys(&mut s, "iot-7");
    keys(&mut s, "\t\r");
    assert!(matches!(&s.dialog, Some(Dialog::Ask(a)) if a.title == "revoke host iot-77"), "{:?}", s.dialog);
    keys(&mut s, "\x1b:\x1b[B\x1b[B");
    assert_eq!(s.pick, 2);
    keys(&mut s, "\r");
    assert!(matches!(&s.prompt, Some(Prompt::Command { input }) if input.value() == "restore "), "{:?}", s.prompt);
    keys(&mut s, "\x1b:write\r");
    assert!(s.prompt.is_none());
}

#[test]
fn the_filter_narrows_as_it_is_typed_and_esc_brings_the_old_one_back() {
    let mut s = console((80, 24));
    keys(&mut s, "/결제");
    assert_eq!(s.tunnel_rows, [port(20103)]);
    assert_eq!(s.hidden(), 6);
    keys(&mut s, "\x1b");
    assert_eq!(s.hidden(), 0);
    keys(&mut s, "/team=iot\r");
    assert_eq!(s.tunnel_rows.len(), 3);
    keys(&mut s, "/x\x1b");
    assert_eq!(s.tunnel_rows.len(), 3, "the filter before is kept");
    keys(&mut s, "\x1b\x1b");
    assert_eq!(s.hidden(), 0, "Esc clears it");
}

#[test]
fn n_goes_to_the_next_match_when_the_filter_is_lifted() {
    let mut s = console((80, 24));
    keys(&mut s, "/team=iot\r\x1bgg");
    assert_eq!(s.tunnels.selected, Some(port(20101)));
    keys(&mut s, "n");
    assert_eq!(s.tunnels.selected, Some(port(20201)));
    keys(&mut s, "N");
    assert_eq!(s.tunnels.selected, Some(port(20210)), "backwards past the top comes the last one");
}

#[test]
fn rates_come_from_what_was_counted_between_two_pictures() {
    let mut s = console((80, 24));
    let mut d = delta();
    d.at = t0() + TimeDelta::seconds(1);
    s.now = d.at;
    let mut t = tunnel(20101, "pay-db", "pay", "ssh", TunnelState::Up);
    t.bytes_to_host += 1900;
    d.tunnels = vec![t];
    push(&mut s, d);
    // The first picture counts as 0.9 s old when it comes.
    assert_eq!(s.row(port(20101)).unwrap().rates(s.now), (1000, 0));
    let end = s.deadline().unwrap();
    assert_eq!(end, t0() + TimeDelta::seconds(4));
    assert_eq!(s.row(port(20101)).unwrap().rates(end), (0, 0), "without news it is zero");
}

#[test]
fn scrolling_past_the_oldest_event_asks_for_older_ones_once() {
    let mut s = console((80, 24));
    let effects = keys(&mut s, "5gg");
    let [Effect::Send(_, Request::Chain), Effect::Send(id, Request::Audit(q))] = &effects[..] else {
        panic!("{effects:?}")
    };
    assert_eq!(q.before, Some(Seq(101)));
    let id = *id;
    assert!(keys(&mut s, "gg").is_empty(), "one at a time");
    let records = (1..=100).map(|n| auth_failure(n, ago(9000))).collect();
    link(&mut s, LinkEvent::Reply(id, Ok(Reply::Records { records, more: false })));
    assert_eq!(s.audit_ids.len(), 106);
    assert_eq!(s.audit.selected, Some(Seq(101)), "the cursor stays on its event");
    keys(&mut s, "gg");
    assert_eq!(s.audit.selected, Some(Seq(1)));
    assert!(keys(&mut s, "k").is_empty(), "that was the beginning");
}

#[test]
fn enter_in_the_audit_goes_to_the_tunnel_past_a_filter_that_hides_it() {
    let mut s = console((80, 24));
    keys(&mut s, "/team=pay\r5kk");
    keys(&mut s, "/seq=105\r\r");
    assert_eq!((s.screen, s.tunnels.selected, s.detail), (Screen::Tunnels, Some(port(20201)), true));
}

#[test]
fn the_cursor_of_the_grid_goes_by_port_across_lines_and_teams() {
    let mut s = console((80, 24));
    keys(&mut s, "3");
    assert_eq!(s.port_cursor, Some(port(20200)));
    keys(&mut s, "l");
    assert_eq!(s.port_cursor, Some(port(20201)));
    keys(&mut s, "jj");
    assert_eq!(s.port_cursor, Some(port(20151)), "a column down, into the next team");
    keys(&mut s, "kkh");
    assert_eq!(s.port_cursor, Some(port(20200)));
    keys(&mut s, "f");
    assert_eq!(s.port_cursor, Some(port(20203)), "the next free one");
    keys(&mut s, "G");
    assert_eq!(s.port_cursor, Some(port(20199)));
}

#[test]
fn q_and_ctrl_c_quit_only_where_they_should() {
    let mut s = writable((80, 24));
    assert!(keys(&mut s, "xq").is_empty(), "typed, in a question");
    keys(&mut s, "\x1b");
    assert!(!keys(&mut s, "\rq").contains(&Effect::Quit), "back, in a detail");
    assert!(!s.detail);
    assert!(keys(&mut s, "\x03").is_empty(), "asks first");
    assert_eq!(keys(&mut s, "\x03"), [Effect::Quit]);
    assert_eq!(keys(&mut s, "q"), [Effect::Quit]);
}

#[test]
fn palette_completes_verbs_and_names() {
    let mut s = writable((80, 24));
    assert_eq!(palette::complete(&s, "reco").as_deref(), Some("reconnect "));
    assert_eq!(palette::complete(&s, "re").as_deref(), Some("reconnect "), "the best, where nothing is certain");
    assert_eq!(palette::complete(&s, "rvk").as_deref(), Some("revoke "), "letters between may be missing");
    assert_eq!(palette::complete(&s, "reconnect iot-7").as_deref(), Some("reconnect iot-77 "));
    assert_eq!(palette::complete(&s, "restore ").as_deref(), Some("restore iot-lost "), "what is blocked");
    keys(&mut s, ":theme nothing\r");
    assert!(message(&s).contains("dark, high-contrast, light, mono"));
    keys(&mut s, ":nonsense\r");
    assert!(message(&s).contains("no such command"));
}

#[test]
fn values_and_commands_are_copied() {
    let mut s = console((80, 24));
    assert_eq!(keys(&mut s, "y"), [Effect::Copy("127.0.0.1:20101".into())]);
    assert_eq!(keys(&mut s, "Y"), [Effect::Copy("portreeve explain pay-db 20101".into())]);
}

#[test]
fn an_open_detail_knows_its_visitors_and_asks_again_only_when_something_moved() {
    let mut s = console((80, 24));
    let effects = keys(&mut s, "\r");
    let [Effect::Send(id, Request::Visitors { port: Some(p) })] = effects[..] else { panic!("{effects:?}") };
    assert_eq!(p, port(20101));
    let mut d = delta();
    d.tunnels = vec![snapshot().tunnels[0].clone()];
    assert!(push(&mut s, d.clone()).is_empty(), "one question at a time");
    link(&mut s, LinkEvent::Reply(id, Ok(Reply::Visitors { visitors: vec![] })));
    assert!(push(&mut s, d.clone()).is_empty(), "just asked");
    s.now += TimeDelta::seconds(3);
    assert_eq!(push(&mut s, d).len(), 1);
}

#[test]
fn the_audit_takes_new_events_in_without_filtering_the_old_ones_anew() {
    let mut s = console((80, 24));
    keys(&mut s, "5/event=auth.failure\r");
    assert_eq!(s.audit_ids, [Seq(106)]);
    let mut d = delta();
    d.events = vec![auth_failure(107, t0()), record_of_daemon(108)];
    push(&mut s, d);
    assert_eq!(s.audit_ids, [Seq(106), Seq(107)]);
    keys(&mut s, "\x1b");
    assert_eq!(s.audit_ids.len(), 2);
    keys(&mut s, "\x1b");
    assert_eq!(s.audit_ids.len(), 8, "first the search ends, then the filter");
}

fn record_of_daemon(seq: u64) -> crate::audit::Record {
    use crate::audit::{Context, Outcome, What};
    record(seq, t0(), What::DaemonStop { cause: "SIGTERM".into() }, Outcome::Success, Context::default())
}

#[test]
fn what_a_key_is_answered_with_goes_with_the_next_key_and_what_came_of_an_act_stays() {
    let mut s = writable((80, 24));
    keys(&mut s, "X");
    assert!(message(&s).contains("select a visitor first"), "{}", message(&s));
    keys(&mut s, "j");
    assert_eq!(message(&s), "", "one has moved on");
    // Esc puts it away and does nothing else.
    keys(&mut s, "/pay\r");
    keys(&mut s, "X\x1b");
    assert_eq!((message(&s), s.filter().is_some()), ("", true));
    // What nobody asked for is not missed by somebody who happens to type.
    say(&mut s, Tone::Bad, "the audit is not well");
    keys(&mut s, "j");
    assert_eq!(message(&s), "the audit is not well");
    let later = s.now + UNASKED;
    tick(&mut s, later);
    keys(&mut s, "j");
    assert_eq!(message(&s), "");
    // An outcome stands until something else is said, or it is put away.
    report(&mut s, Tone::Ok, "$ portreeve revoke pay-db");
    let later = s.now + TimeDelta::seconds(60);
    tick(&mut s, later);
    keys(&mut s, "jk2");
    assert!(message(&s).contains("revoke"));
    keys(&mut s, "\x1b");
    assert_eq!(message(&s), "");
}
