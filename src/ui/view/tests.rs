//! What the screens look like.

mod anything;
mod granted;
mod korean;
mod moved;
mod sizes;
mod styled;

use super::draw;
use crate::control::protocol::{Push, Reply};
use crate::model::{AuditStatus, Mute, Role, Seq, TunnelState};
use crate::ui::caps::Depth;
use crate::ui::fixtures::*;
use crate::ui::link::LinkEvent;
use crate::ui::state::State;
use crate::ui::{text, update};
use chrono::TimeDelta;
use insta::assert_snapshot;
use ratatui::buffer::Buffer;

/// The frame as text, a line each; the second half of a wide character is left out.
pub(crate) fn show(s: &State) -> String {
    let d = draw(s);
    let mut out = lines(&d.buffer).join("\n");
    if let Some((x, y)) = d.cursor {
        out.push_str(&format!("\ncursor {x},{y}"));
    }
    out
}

fn lines(b: &Buffer) -> Vec<String> {
    (0..b.area.height)
        .map(|y| {
            let mut line = String::new();
            let mut x = 0;
            while x < b.area.width {
                let symbol = b.cell((x, y)).unwrap().symbol();
                line.push_str(symbol);
                x += u16::try_from(text::width(symbol)).unwrap().max(1);
            }
            line.trim_end().to_owned()
        })
        .collect()
}

#[test]
fn triage_80x24_has_the_evidence_and_what_to_do_below() {
    assert_snapshot!(show(&home((80, 24), incidents())));
}

#[test]
fn a_muted_incident_says_until_when_and_why() {
    let mut all = incidents();
    let mut one = all.remove(0);
    one.muted = Some(Mute {
        incident: one.id.clone(),
        by: "alice".into(),
        since: one.since,
        until: one.since + TimeDelta::hours(2),
        reason: "provider works on the line".into(),
        teams: None,
    });
    let mut s = home((80, 24), vec![one]);
    assert_snapshot!(show(&s));
    keys(&mut s, "W");
    s.write_until = Some(s.now + TimeDelta::minutes(10));
    keys(&mut s, "m");
    assert_snapshot!("muting_asks_for_how_long_and_why", show(&s));
}

#[test]
fn triage_140x40_has_them_beside_the_list() {
    let mut s = home((140, 40), incidents());
    keys(&mut s, "jj");
    assert_snapshot!(show(&s));
}

#[test]
fn triage_40x10_is_a_list_and_the_evidence() {
    assert_snapshot!(show(&home((40, 10), incidents())));
}

#[test]
fn triage_with_nothing_wrong_says_so() {
    let mut s = home((80, 24), vec![]);
    assert_snapshot!(show(&s));
    for size in [(40, 10), (20, 5), (140, 40)] {
        update::resize(&mut s, size);
        assert!(show(&s).contains("✓ all well"), "{size:?}: {}", show(&s));
    }
    // But not of what is not known, nor of what was once.
    update::link(&mut s, LinkEvent::Down("gone".into()));
    assert!(!show(&s).contains("✓ all well") && show(&s).contains("when the daemon was last heard"));
    let mut snap = snapshot();
    snap.incidents = None;
    update::link(&mut s, LinkEvent::Push(Push::Snapshot(snap)));
    assert!(show(&s).contains("too old for triage"), "{}", show(&s));
}

#[test]
fn triage_is_complete_without_colours_and_in_ascii() {
    let mut s = blank((80, 24), Depth::Mono, false);
    let mut all = incidents();
    // Names are the hosts' own; the painter replaces them.
    all[2].what = "host".into();
    update::link(&mut s, LinkEvent::Up(alice(Role::Viewer)));
    update::link(
        &mut s,
        LinkEvent::Push(Push::Snapshot(crate::control::protocol::Snapshot { incidents: Some(all), ..snapshot() })),
    );
    let shown = show(&s);
    assert!(shown.is_ascii(), "{shown}");
    for word in ["x down", "! warning", ". note"] {
        assert!(shown.contains(word), "{word}: {shown}");
    }
}

#[test]
fn tunnels_80x24() {
    assert_snapshot!(show(&console((80, 24))));
}

#[test]
fn tunnels_140x40_has_the_detail_beside_the_list() {
    let mut s = console((140, 40));
    keys(&mut s, "j");
    assert_snapshot!(show(&s));
}

#[test]
fn tunnels_40x10_is_a_list_and_a_status_line() {
    assert_snapshot!(show(&console((40, 10))));
}

#[test]
fn below_20x5_is_a_polite_note() {
    assert_snapshot!(show(&console((19, 5))));
}

#[test]
fn slow_visitors_80x24_are_marked_and_the_selected_row_says_who() {
    assert_snapshot!(show(&behind((80, 24))));
}

#[test]
fn slow_visitors_in_the_detail_80x24_with_age_and_what_waits() {
    let mut s = behind((80, 24));
    let effects = keys(&mut s, "\r");
    let [update::Effect::Send(id, _)] = effects[..] else { panic!("{effects:?}") };
    update::link(&mut s, LinkEvent::Reply(id, Ok(Reply::Visitors { visitors: laggards() })));
    assert_snapshot!(show(&s));
    // The other tunnel of the session says why it is slow too.
    keys(&mut s, "qj\r");
    let shown = show(&s);
    assert!(shown.contains("its session is slowed by visitor 10.0.0.7:51234 of port 20101"), "{shown}");
    // And says once what its check says.
    assert_eq!(shown.matches("connection refused by").count(), 1, "{shown}");
}

#[test]
fn slow_visitors_140x40_stand_beside_the_list() {
    let mut s = behind((140, 40));
    let mut d = delta();
    d.tunnels = vec![slow_tunnel()];
    let effects = push(&mut s, d.clone());
    let [update::Effect::Send(id, _)] = effects[..] else { panic!("{effects:?}") };
    update::link(&mut s, LinkEvent::Reply(id, Ok(Reply::Visitors { visitors: laggards() })));
    assert_snapshot!(show(&s));
    // What changes at once is asked for again, but not before two seconds have gone.
    assert_eq!(push(&mut s, d), []);
    let due = s.deadline().unwrap();
    assert_eq!(update::tick(&mut s, due).len(), 1);
    assert_eq!(s.visitors_due, None);
}

#[test]
fn a_message_that_is_cut_is_whole_in_messages() {
    let mut s = console((80, 24));
    let long = format!("{} the end", "word ".repeat(60).trim_end());
    update::link(&mut s, LinkEvent::Reply(0, Ok(Reply::Subscribed)));
    s.pending.insert(9, crate::ui::state::Pending::Visitors(port(20101)));
    let why = crate::control::protocol::ApiError::new(crate::control::protocol::ErrorCode::Unavailable, long);
    update::link(&mut s, LinkEvent::Reply(9, Err(why)));
    assert!(show(&s).contains("word… (:messages)") || show(&s).contains("… (:messages)"), "{}", show(&s));
    assert_eq!(lines(&draw(&s).buffer).iter().filter(|l| l.contains("word word")).count(), 3);
    keys(&mut s, ":messages\r");
    let shown = show(&s);
    assert!(shown.contains("14:02:11Z visitors: word") && shown.contains("the end"), "{shown}");
    keys(&mut s, "\x1b");
    assert!(s.dialog.is_none());
}

#[test]
fn a_key_that_acts_on_another_screen_says_which() {
    let mut s = writable((80, 24));
    keys(&mut s, "v");
    assert!(show(&s).contains("reserve is done on the ports screen (3), or with :reserve"), "{}", show(&s));
}

#[test]
fn the_next_free_port_is_assigned_from_anywhere_in_a_few_keys() {
    let mut s = writable((80, 24));
    keys(&mut s, "a");
    assert!(show(&s).contains("assign the next free port of its team"), "{}", show(&s));
    let name = s.live.host_names()[0].clone();
    keys(&mut s, &format!("{}\t", &name[..1]));
    let shown = show(&s);
    assert!(shown.lines().any(|l| l.contains("host") && l.contains(&name)), "{name}: {shown}");
}

#[test]
fn detail_80x24_of_a_tunnel_that_was_lost() {
    let mut s = console((80, 24));
    keys(&mut s, "/iot-77\r\r");
    assert_snapshot!(show(&s));
}

#[test]
fn the_filter_and_the_number_of_hidden_rows_stay_visible() {
    let mut s = console((80, 24));
    keys(&mut s, "/team=pay state!=up\r");
    assert_snapshot!(show(&s));
}

#[test]
fn ports_80x24() {
    let mut s = console((80, 24));
    keys(&mut s, "3jjll");
    assert_snapshot!(show(&s));
}

#[test]
fn health_80x24() {
    let mut s = console((80, 24));
    keys(&mut s, "4");
    assert_snapshot!(show(&s));
}

#[test]
fn health_140x40() {
    let mut s = console((140, 40));
    keys(&mut s, "4j");
    assert_snapshot!(show(&s));
}

#[test]
fn audit_80x24_follows_and_marks_failed_sign_ins() {
    let mut s = console((80, 24));
    keys(&mut s, "5");
    assert_snapshot!(show(&s));
}

#[test]
fn audit_paused_says_how_many_are_new() {
    let mut s = console((80, 24));
    keys(&mut s, "5k");
    push(&mut s, {
        let mut d = delta();
        d.events = vec![auth_failure(107, t0()), auth_failure(108, t0())];
        d
    });
    let shown = show(&s);
    assert!(shown.contains("paused, 2 new below: G"), "{shown}");
    keys(&mut s, "G");
    assert!(show(&s).contains("● follow"));
}

#[test]
fn sessions_140x40() {
    let mut s = console((140, 40));
    keys(&mut s, "6");
    assert_snapshot!(show(&s));
}

#[test]
fn help_80x24() {
    let mut s = console((80, 24));
    keys(&mut s, "?");
    assert_snapshot!(show(&s));
}

#[test]
fn help_is_searched() {
    let mut s = console((80, 24));
    keys(&mut s, "?/block");
    let shown = show(&s);
    assert!(
        shown.contains("help: /block_") && shown.contains("lift a block") && !shown.contains("half a page"),
        "{shown}"
    );
    keys(&mut s, "\r");
    assert!(s.dialog.is_some());
    keys(&mut s, "\x1b");
    assert!(show(&s).contains("triage: what is wrong"), "all of it again");
    keys(&mut s, "/nothing like it\r");
    assert!(show(&s).contains("nothing here has"));
    keys(&mut s, "\x1b");
    keys(&mut s, "\x1b");
    assert!(s.dialog.is_none());
}

#[test]
fn settings_80x24() {
    let mut s = console((80, 24));
    s.own.file = Some("~/.config/portreeve/console.toml".into());
    let text =
        "theme = \"light\"\nzone = \"mars\"\n[columns]\ntunnels = [\"host\", \"port\"]\n[keys]\nreconnect = \"C\"\n";
    update::loaded(&mut s, Ok(text.into()));
    keys(&mut s, ":set\r");
    assert_snapshot!(show(&s));
}

#[test]
fn log_80x24() {
    let mut s = writable((80, 24));
    for (seq, typed) in (112..).zip(["xpay-db\tkey leaked\r", ":release 20104\r\r", "cy"]) {
        let effects = keys(&mut s, typed);
        let Some(update::Effect::Send(id, _)) = effects.last() else { panic!("{effects:?}") };
        let o = crate::control::protocol::Outcome {
            seq: Seq(seq),
            summary: "closed 1 session, 2 tunnels, 5 visitors".into(),
            ok: seq != 114,
            lease: None,
            revocation: None,
            grant: None,
            proposal: None,
        };
        update::link(&mut s, LinkEvent::Reply(*id, Ok(Reply::Done(o))));
    }
    keys(&mut s, "L");
    assert_snapshot!(show(&s));
}

#[test]
fn an_export_over_ssh_offers_the_clipboard() {
    let mut s = console((80, 24));
    keys(&mut s, "\x13");
    assert_snapshot!(show(&s));
}

#[test]
fn mono_and_ascii_are_complete() {
    let mut s = blank((80, 24), Depth::Mono, false);
    update::link(&mut s, LinkEvent::Up(alice(Role::Viewer)));
    let mut snap = snapshot();
    // Names are the hosts' own; the painter replaces them. What the console itself writes must be ASCII.
    for t in &mut snap.tunnels {
        t.lease.host = "host".parse().unwrap();
    }
    for s in &mut snap.sessions {
        s.name = "host".into();
    }
    update::link(&mut s, LinkEvent::Push(Push::Snapshot(snap)));
    for screen in ["1", "2", "3", "4", "5", "6", "?", "\x1b2\r"] {
        keys(&mut s, screen);
        let shown = show(&s);
        assert!(shown.is_ascii(), "{screen}: {shown}");
    }
    keys(&mut s, "\x1b");
    assert_snapshot!(show(&s));
    // No colour anywhere, and the selection is seen nevertheless.
    let d = draw(&s);
    use ratatui::style::{Color, Modifier};
    assert!(d.buffer.content().iter().all(|c| c.fg == Color::Reset && c.bg == Color::Reset));
    assert!(d.buffer.content().iter().any(|c| c.modifier.contains(Modifier::REVERSED)));
}

#[test]
fn an_empty_bastion_shows_the_line_to_copy_whole() {
    let line = "ssh -N -i ./portreeve-data/first_host_key -p 41022 -o StrictHostKeyChecking=accept-new -R 20100:localhost:22 first@127.0.0.1";
    let mut s = console((80, 24));
    let mut snap = snapshot();
    snap.tunnels.clear();
    snap.sessions.clear();
    snap.daemon.first_tunnel = Some(line.into());
    update::link(&mut s, LinkEvent::Push(Push::Snapshot(snap.clone())));
    assert_snapshot!(show(&s));
    // What a terminal's selection copies is the line again, and nothing else stands on those lines.
    let shown = lines(&draw(&s).buffer);
    let from = shown.iter().position(|l| l.starts_with("ssh")).unwrap();
    let to = from + shown[from..].iter().position(|l| !l.ends_with('\\')).unwrap();
    assert_eq!(shown[from..=to].join("\n").replace("\\\n", ""), line);
    assert_eq!(keys(&mut s, "y"), [update::Effect::Copy(line.into())]);
    let mut wide = console((200, 24));
    update::link(&mut wide, LinkEvent::Push(Push::Snapshot(snap)));
    assert!(lines(&draw(&wide).buffer).contains(&line.to_owned()), "whole where there is room");
}

#[test]
fn what_is_old_is_never_shown_as_live() {
    let mut s = console((80, 24));
    update::link(&mut s, LinkEvent::Down("the daemon closed the connection".into()));
    update::tick(&mut s, t0() + chrono::TimeDelta::seconds(37));
    assert_snapshot!(show(&s));
    let stale = s.palette.stale.fg;
    let d = draw(&s);
    let row = d.buffer.content().iter().skip(80 * 4).take(80);
    assert!(row.clone().all(|c| Some(c.fg) == stale), "the list is grey");
    // And nothing can be done.
    keys(&mut s, "Wx");
    assert!(s.dialog.is_none());
}

#[test]
fn never_connected_says_why_and_that_it_tries_again() {
    let mut s = blank((80, 24), Depth::Ansi256, true);
    update::link(&mut s, LinkEvent::Down("/run/portreeve.sock: connection refused".into()));
    let shown = show(&s);
    assert!(shown.contains("NO CONNECTION") && shown.contains("connection refused; trying again"), "{shown}");
}

#[test]
fn revoke_asks_for_the_name_and_shows_what_it_cuts() {
    let mut s = writable((80, 24));
    keys(&mut s, "xpay");
    assert_snapshot!(show(&s));
}

#[test]
fn approve_asks_for_the_hosts_name_and_shows_the_whole_fingerprint() {
    let mut s = deciding((80, 24));
    keys(&mut s, ":approve SHA\tpay-db\r");
    assert_snapshot!(show(&s));
}

#[test]
fn pending_80x24_has_all_that_is_needed_to_decide() {
    let mut s = deciding((80, 24));
    keys(&mut s, ":pending\r");
    assert_snapshot!(show(&s));
}

#[test]
fn reconnect_asks_yes_or_no() {
    let mut s = writable((80, 24));
    keys(&mut s, "c");
    assert_snapshot!(show(&s));
}

#[test]
fn assign_completes_known_hosts() {
    let mut s = writable((80, 24));
    keys(&mut s, "3fapay");
    assert_snapshot!(show(&s));
}

#[test]
fn the_palette_shows_what_can_follow() {
    let mut s = writable((80, 24));
    keys(&mut s, ":re");
    assert_snapshot!(show(&s).lines().skip(22).collect::<Vec<_>>().join("\n"));
}

#[test]
fn an_action_is_watched_and_then_told_with_its_number() {
    let mut s = writable((100, 24));
    let effects = keys(&mut s, "cy");
    let [update::Effect::Send(id, _)] = effects[..] else { panic!("{effects:?}") };
    update::tick(&mut s, t0() + chrono::TimeDelta::seconds(3));
    assert!(show(&s).contains("$ portreeve reconnect pay-db  dropped, watching for its redial 3s"), "{}", show(&s));
    let outcome = crate::control::protocol::Outcome {
        seq: Seq(120),
        summary: "back in 3.2 s on the same ports".into(),
        ok: true,
        lease: None,
        revocation: None,
        grant: None,
        proposal: None,
    };
    update::link(&mut s, LinkEvent::Reply(id, Ok(Reply::Done(outcome))));
    assert!(show(&s).contains("✓ $ portreeve reconnect pay-db  seq 120: back in 3.2 s on the same ports"));
}

#[test]
fn a_journal_that_cannot_be_written_is_said_aloud() {
    let mut s = console((80, 24));
    let mut snap = snapshot();
    snap.daemon.audit = AuditStatus { seq: Seq(106), failure: Some("no space left on device".into()), notice: None };
    snap.daemon.notices = vec!["one".into(), "two".into()];
    update::link(&mut s, LinkEvent::Push(Push::Snapshot(snap)));
    assert_snapshot!(show(&s).lines().take(6).collect::<Vec<_>>().join("\n"));
    s.size = (40, 10);
    assert!(show(&s).contains("! AUDIT cannot be written"));
}

#[test]
fn wide_names_keep_the_columns_in_line() {
    let s = console((80, 24));
    let d = draw(&s);
    let column = |y: u16| (0..80).find(|x| d.buffer.cell((*x, y)).unwrap().symbol() == "s");
    // Services of the rows of `pay-db` and of `결제-서버` begin in the same column.
    let services: Vec<_> = [3, 5].map(column).to_vec();
    assert_eq!(services[0], services[1]);
    assert!(services[0].is_some());
}

#[test]
fn of_ten_thousand_rows_only_those_on_the_screen_are_made() {
    let mut s = console((80, 24));
    let mut snap = snapshot();
    snap.tunnels = (10_000..20_000).map(|n| tunnel(n, &format!("host-{n}"), "pay", "ssh", TunnelState::Up)).collect();
    update::link(&mut s, LinkEvent::Push(Push::Snapshot(snap)));
    for screen in ["2", "G", "4", "G"] {
        keys(&mut s, screen);
        assert!(draw(&s).rows <= 24, "{screen}");
    }
    assert_eq!(s.health.selected, Some(port(19_999)));
    assert!(show(&s).contains("19999"));
}
