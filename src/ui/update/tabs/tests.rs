//! What keys do in the tabs of a detail.

use super::*;
use crate::audit::{About, Outcome, What};
use crate::control::protocol::Action;
use crate::model::Seq;
use crate::ui::fixtures::*;
use crate::ui::link::LinkEvent;
use crate::ui::update;

fn answer(s: &mut State, effects: &[Effect], reply: Reply) -> Vec<Effect> {
    let id = effects.iter().find_map(|e| if let Effect::Send(id, _) = e { Some(*id) } else { None }).unwrap();
    update::link(s, LinkEvent::Reply(id, Ok(reply)))
}

#[test]
fn tabs_switch_by_brackets_arrows_and_letters_and_digits_stay_the_screens() {
    let mut s = console((80, 24));
    keys(&mut s, "l]");
    assert_eq!(s.tabs.tab, Tab::Overview, "no detail is open");
    for (key, tab) in
        [("\r", Tab::Overview), ("l", Tab::Visitors), ("]", Tab::Health), ("\x1b[C", Tab::Auth), ("h", Tab::Health)]
    {
        keys(&mut s, key);
        assert_eq!(s.tabs.tab, tab, "{key:?}");
    }
    keys(&mut s, "[[\x1b[D[");
    assert_eq!(s.tabs.tab, Tab::Audit, "round and round");
    keys(&mut s, "3");
    assert_eq!(s.screen, Screen::Ports);
    keys(&mut s, "2\r");
    assert_eq!(s.tabs.tab, Tab::Overview, "a detail opens with its overview");
    keys(&mut s, "4\r");
    assert_eq!(s.tabs.tab, Tab::Health, "from the checks with the checks");
}

#[test]
fn the_selected_visitor_is_cut_by_one_key_after_a_question() {
    let mut s = behind((80, 24));
    s.write_until = Some(s.write_end());
    keys(&mut s, "X");
    assert!(s.dialog.is_none() && s.message.as_ref().unwrap().text.contains("select a visitor first"));
    let asked = keys(&mut s, "\rl");
    answer(&mut s, &asked, Reply::Visitors { visitors: laggards() });
    // Those furthest behind stand first.
    assert_eq!(s.selected_visitor().unwrap().id, "v2".parse().unwrap());
    keys(&mut s, "j");
    assert_eq!(s.selected_visitor().unwrap().id, "v3".parse().unwrap());
    assert!(keys(&mut s, "X").is_empty(), "asked before");
    let effects = keys(&mut s, "y");
    let [Effect::Send(_, Request::Act(Action::CutVisitor { visitor }))] = &effects[..] else { panic!("{effects:?}") };
    assert_eq!(*visitor, "v3".parse().unwrap());
    let [Effect::Copy(value), Effect::Copy(command)] = &keys(&mut s, "yY")[..] else { panic!() };
    assert_eq!((value.as_str(), command.as_str()), ("198.51.100.4:40100", "portreeve cut v3"));
}

#[test]
fn a_visitor_is_not_cut_in_read_only_mode() {
    let mut s = behind((80, 24));
    let asked = keys(&mut s, "\rl");
    answer(&mut s, &asked, Reply::Visitors { visitors: laggards() });
    assert!(keys(&mut s, "Xy").iter().all(|e| !matches!(e, Effect::Send(_, Request::Act(_)))));
    assert!(s.dialog.is_none());
}

fn piece(records: Vec<crate::audit::Record>, next: Option<u64>) -> Reply {
    let progress = crate::audit::Progress { files_done: 1, files: 9, bytes_done: 300 << 20, bytes: 1 << 30 };
    Reply::Found(crate::audit::Found { records, next: next.map(Seq), progress })
}

#[test]
fn a_search_of_the_journal_goes_on_by_pieces_says_how_far_it_is_and_stops_when_nobody_looks() {
    let mut s = console((80, 24));
    let asked = keys(&mut s, "\rhh");
    let asked = answer(&mut s, &asked[asked.len() - 1..], piece(vec![], Some(70)));
    let [Effect::Send(_, Request::Search { query, .. })] = &asked[..] else { panic!("{asked:?}") };
    assert_eq!((query.before, query.limit), (Some(Seq(70)), Some(200)));
    let shown = crate::ui::view::tests::show(&s);
    assert!(shown.contains("searching the journal for older ones: 300M of 1.0G"), "{shown}");
    let granted = |seq| record(seq, ago(9_000), granted(20101), Outcome::Success, of("pay-db", 20101));
    let asked = answer(&mut s, &asked, piece(vec![granted(61)], Some(60)));
    let [Effect::Send(_, Request::Search { query, .. })] = &asked[..] else { panic!("{asked:?}") };
    assert_eq!((query.before, query.limit), (Some(Seq(60)), Some(199)), "one of the page has come");
    // The detail is left, and what is on its way is the last.
    keys(&mut s, "\x1b");
    assert_eq!(answer(&mut s, &asked, piece(vec![granted(51)], Some(50))), []);
    assert!(keys(&mut s, "\r").iter().all(|e| !matches!(e, Effect::Send(_, Request::Search { .. }))));
    keys(&mut s, "h");
    keys(&mut s, "h");
    assert!(s.tabs.history.as_ref().unwrap().ids.ends_with(&[Seq(61), Seq(51)]));
    // On it goes where it was, not from the beginning.
    let asked = keys(&mut s, "G");
    let [Effect::Send(_, Request::Search { query, .. })] = &asked[..] else { panic!("{asked:?}") };
    assert_eq!(query.before, Some(Seq(50)));
}

#[test]
fn sign_ins_reach_back_beyond_what_the_console_has() {
    let mut s = console((80, 24));
    let asked = keys(&mut s, "\rlll");
    let query = |effects: &[Effect]| match effects.last() {
        Some(Effect::Send(_, Request::Search { query, .. })) => query.clone(),
        other => panic!("{other:?}"),
    };
    let first = query(&asked);
    assert_eq!(first.about[0], About::Host("pay-db".parse().unwrap()));
    assert!(matches!(first.about[1], About::Stranger(_)), "{:?}", first.about);
    assert!(first.since.is_some(), "not the whole journal for a glance");
    // Nothing in a day: it looks further by itself, and then it has something.
    let id = |e: &[Effect]| if let Some(Effect::Send(id, _)) = e.last() { *id } else { panic!("{e:?}") };
    let none = piece(vec![], None);
    let asked = update::link(&mut s, LinkEvent::Reply(id(&asked), Ok(none)));
    assert!(query(&asked).since.unwrap() < first.since.unwrap());
    let signed = What::AuthSuccess { role: None, client: "OpenSSH_9.2p1".into() };
    let old = record(7, ago(86_400 * 20), signed.clone(), Outcome::Success, of("pay-db", 20101));
    let reply = piece(vec![old], None);
    assert!(update::link(&mut s, LinkEvent::Reply(id(&asked), Ok(reply))).is_empty());
    assert_eq!(s.tabs.history.as_ref().unwrap().ids, [Seq(7)]);
    // What comes is added on top, what is of others is not.
    let mut d = delta();
    d.events = vec![
        record(200, t0(), signed.clone(), Outcome::Success, of("pay-db", 20101)),
        record(201, t0(), signed, Outcome::Success, of("iot-77", 20201)),
    ];
    push(&mut s, d);
    assert_eq!(s.tabs.history.as_ref().unwrap().ids, [Seq(200), Seq(7)]);
    // At the end what is before it is asked for.
    let asked = keys(&mut s, "G");
    assert_eq!((query(&asked).before, query(&asked).since), (Some(Seq(7)), None), "now all of it");
    let none = piece(vec![], None);
    assert!(update::link(&mut s, LinkEvent::Reply(id(&asked), Ok(none))).is_empty());
    assert!(keys(&mut s, "GG").is_empty(), "there is no more");
}

#[test]
fn the_fix_is_asked_for_once_and_each_form_is_copied() {
    let mut s = console((80, 24));
    let asked = keys(&mut s, "\rh");
    assert_eq!(s.tabs.tab, Tab::Fix);
    let howto = crate::control::howto::tests::sample();
    answer(&mut s, &asked.split_off_howto(), Reply::HowTo(Box::new(howto.clone())));
    for (typed, format) in [("y", Format::Ssh), ("jy", Format::Config), ("jy", Format::Systemd)] {
        let [Effect::Copy(text)] = &keys(&mut s, typed)[..] else { panic!("{typed}") };
        assert_eq!(*text, howto.text(format));
    }
    let [Effect::Copy(command)] = &keys(&mut s, "Y")[..] else { panic!() };
    assert_eq!(command, "portreeve howto pay-db --format systemd");
    let again = keys(&mut s, "hl");
    assert!(again.split_off_howto().is_empty(), "known by now");
}

trait HowToOf {
    fn split_off_howto(self) -> Vec<Effect>;
}

impl HowToOf for Vec<Effect> {
    /// The request for it, among those for what the overview shows.
    fn split_off_howto(self) -> Vec<Effect> {
        self.into_iter().filter(|e| matches!(e, Effect::Send(_, Request::HowTo { .. }))).collect()
    }
}

#[test]
fn browsing_beside_the_list_asks_for_nothing_but_visitors() {
    let mut s = console((140, 40));
    let effects = keys(&mut s, "]]]jjj]jj");
    assert!(effects.iter().all(|e| matches!(e, Effect::Send(_, Request::Visitors { .. }))), "{effects:?}");
    assert_eq!(s.tabs.tab, Tab::Audit);
}

#[test]
fn esc_leads_back_through_everything_one_came_by() {
    let mut s = home((80, 24), incidents());
    keys(&mut s, "5k\r");
    assert_eq!((s.screen, s.detail), (Screen::Tunnels, true));
    keys(&mut s, "\x1b");
    assert_eq!(s.screen, Screen::Audit, "not only to triage");
    keys(&mut s, "1\r\x1b");
    assert_eq!(s.screen, Screen::Triage);
}
