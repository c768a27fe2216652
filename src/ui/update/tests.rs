//! What keys and news do.

use super::*;
use crate::control::protocol::{Outcome, Push, Reply};
use crate::model::{BlockTarget, Role, Seq, TunnelState};
use crate::ui::fixtures::*;
use crate::ui::link::LinkEvent;
use chrono::TimeDelta;

fn message(s: &State) -> &str {
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

/// The daemon has done what these effects ask for.
fn done(s: &mut State, effects: &[Effect], seq: u64, lease: Option<crate::model::LeaseView>) -> Action {
    // A rehearsal may have been asked for before.
    let Some(Effect::Send(id, Request::Act(action))) = effects.last() else { panic!("{effects:?}") };
    let o = Outcome { seq: Seq(seq), summary: format!("outcome {seq}"), ok: true, lease, revocation: None };
    link(s, LinkEvent::Reply(*id, Ok(Reply::Done(o))));
    action.clone()
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

#[test]
fn a_theme_is_shown_while_it_is_looked_at_and_esc_takes_the_one_before() {
    let mut s = console((80, 24));
    let dark = s.palette.accent;
    keys(&mut s, ":theme\r");
    keys(&mut s, "jj");
    assert_eq!(s.own.theme, "light");
    assert_ne!(s.palette.accent, dark);
    keys(&mut s, "\x1b");
    assert_eq!((s.own.theme.as_str(), s.palette.accent), ("dark", dark));
    keys(&mut s, ":theme\rjj\r");
    assert_eq!(s.own.theme, "light");
    s.own.file = Some("f".into());
    assert!(matches!(&keys(&mut s, ":theme\rs")[..], [Effect::Save(e)] if e.name == "theme"));
}

#[test]
fn set_changes_a_value_at_once_and_keeps_it_and_refuses_what_would_not_do() {
    let mut s = writable((80, 24));
    s.own.file = Some("~/console.toml".into());
    let effects = keys(&mut s, ":set keys.reconnect C\r");
    let [Effect::Save(edit)] = &effects[..] else { panic!("{effects:?}") };
    saved(&mut s, edit, Ok(()));
    assert_eq!(message(&s), "keys.reconnect is C, kept in ~/console.toml");
    keys(&mut s, "c");
    assert!(s.dialog.is_none(), "the old key does nothing");
    keys(&mut s, "C");
    assert!(matches!(s.dialog, Some(Dialog::Ask(_))));
    keys(&mut s, "n");
    assert!(keys(&mut s, ":set keys.revoke ^x\r").is_empty());
    assert!(message(&s).contains("never on Ctrl"), "{}", message(&s));
    assert!(keys(&mut s, ":set keys.assign C\r").is_empty());
    assert!(message(&s).contains("`reconnect` already"), "{}", message(&s));
    keys(&mut s, ":set sort.tunnels -since\r");
    assert_eq!(s.sort, (super::super::state::rows::SortBy::Since, true));
    keys(&mut s, ":set nothing\r");
    assert!(message(&s).contains("no setting nothing"));
    keys(&mut s, ":set keys.reconnect default\r");
    keys(&mut s, "c");
    assert!(matches!(s.dialog, Some(Dialog::Ask(_))));
}

#[test]
fn a_file_with_mistakes_is_said_and_the_defaults_stay() {
    let mut s = console((80, 24));
    s.own.file = Some("~/console.toml".into());
    loaded(&mut s, Ok("theme = \"light\"\nzone = \"mars\"\n[keys]\nquit = \"x\"\n".into()));
    assert!(message(&s).starts_with("~/console.toml line 2: `zone` cannot be \"mars\""), "{}", message(&s));
    assert!(message(&s).ends_with("(1 more: :set)"), "{}", message(&s));
    assert_eq!((s.own.theme.as_str(), s.zone), ("light", Zone::Utc));
    // What this session has changed by hand is its own, until the file says something else.
    keys(&mut s, ":theme dark\r");
    loaded(&mut s, Ok("theme = \"light\"\n".into()));
    assert_eq!(s.own.theme, "dark");
    loaded(&mut s, Err("/x: permission denied".into()));
    assert!(message(&s).contains("permission denied"));
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
    let done = Outcome { seq: Seq(1), summary: String::new(), ok: true, lease: None, revocation: None };
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
fn assign_move_and_release_say_what_they_mean() {
    let mut s = writable((80, 24));
    let act = |e: Vec<Effect>| match e.into_iter().rfind(|e| !matches!(e, Effect::Send(_, Request::Rehearse(_)))) {
        Some(Effect::Send(_, Request::Act(a))) => a,
        e => panic!("{e:?}"),
    };
    let a = act(keys(&mut s, "3faiot-l\t\tssh\tnew site\r"));
    let assigned = Action::Assign {
        host: "iot-lost".parse().unwrap(),
        port: Some(port(20203)),
        service: Some("ssh".into()),
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

#[test]
fn the_loss_of_the_daemon_ends_write_mode_and_open_questions_and_tells_what_was_under_way() {
    let mut s = writable((80, 24));
    keys(&mut s, "cy");
    keys(&mut s, "x");
    link(&mut s, LinkEvent::Down("gone".into()));
    assert!(s.dialog.is_none() && !s.writable() && s.pending.is_empty());
    assert!(message(&s).contains("outcome unknown"), "{}", message(&s));
    link(&mut s, LinkEvent::Push(Push::Snapshot(snapshot())));
    assert!(s.is_live());
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
