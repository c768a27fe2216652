//! What is on the screen as a file: every row that the filter leaves, not only those there is room for.

use super::{Effect, answer, say};
use crate::ui::input::Key;
use crate::ui::state::dialog::Dialog;
use crate::ui::state::filter::Fields;
use crate::ui::state::grid::PortKind;
use crate::ui::state::rows::TunnelRow;
use crate::ui::state::{Screen, State, Tone};
use crate::ui::text;
use crate::ui::words::tr;
use serde::Serialize;

/// How it is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    Json,
    Csv,
}

/// Columns of the files, which are the fields of filters.
const TUNNELS: &[&str] = &[
    "port", "host", "team", "service", "state", "health", "check", "kind", "source", "client", "visitors", "bytes",
    "rate", "rtt", "latency", "age", "by",
];
const INCIDENTS: &[&str] = &["severity", "cause", "what", "likely", "evidence", "since", "tunnels", "hosts", "port"];
const SESSIONS: &[&str] = &["kind", "name", "team", "role", "user", "source", "key", "client", "rtt", "port"];
const EVENTS: &[&str] =
    &["seq", "at", "event", "outcome", "actor", "host", "team", "port", "source", "user", "key", "said"];
const PORTS: &[&str] = &["port", "team", "state", "host", "service", "kind", "by", "reason"];

/// `^s`, `:export` and `:export FILE`.
pub(super) fn export(state: &mut State, file: Option<&str>, out: &mut Vec<Effect>) {
    let named = file.map(|f| (f.to_owned(), form(f)));
    let (name, form) = match named {
        Some((name, Some(form))) => (name, form),
        Some((name, None)) => {
            return say(state, Tone::Bad, tr!(state.lang(), export.form, file = name));
        }
        None => {
            let at = state.now.format("%Y%m%dT%H%M%SZ");
            (format!("portreeve-{}-{at}.json", state.screen.word()), Form::Json)
        }
    };
    let (rows, text) = match form {
        Form::Json => json(state),
        Form::Csv => csv(state),
    };
    if rows == 0 {
        return say(state, Tone::Info, tr!(state.lang(), export.no_row));
    }
    if state.own.files {
        out.push(Effect::Export { name, text, rows });
    } else {
        state.dialog = Some(Dialog::Offer { rows, text });
    }
}

fn form(file: &str) -> Option<Form> {
    let end = file.rsplit_once('.').filter(|(name, _)| !name.is_empty()).map(|(_, e)| e.to_ascii_lowercase());
    match end.as_deref() {
        Some("json") => Some(Form::Json),
        Some("csv") => Some(Form::Csv),
        _ => None,
    }
}

/// What came of it.
pub(crate) fn exported(state: &mut State, rows: usize, result: Result<String, String>) {
    match result {
        Ok(file) => say(state, Tone::Ok, tr!(state.lang(), export.written, n = rows, file)),
        Err(why) => say(state, Tone::Bad, tr!(state.lang(), export.not_written, why)),
    }
}

/// Largest text that common terminals take in one OSC 52, bytes.
const CLIPBOARD: usize = 74_000;

/// The answer where no file can be written.
pub(super) fn offered(state: &mut State, key: Key, out: &mut Vec<Effect>) {
    match answer(key) {
        Some(true) => {
            let Some(Dialog::Offer { rows, text: file }) = state.dialog.take() else { return };
            if file.len() > CLIPBOARD {
                let verb = state.screen.word();
                let (bytes, room) = (text::bytes(file.len() as u64), text::bytes(CLIPBOARD as u64));
                let said = tr!(state.lang(), export.too_much, n = rows, bytes, room, verb);
                return say(state, Tone::Bad, said);
            }
            say(state, Tone::Info, tr!(state.lang(), export.copied_rows, n = rows));
            out.push(Effect::Copy(file));
        }
        Some(false) => state.dialog = None,
        None => {}
    }
}

fn list<T: Serialize>(rows: &[T]) -> (usize, String) {
    let text = serde_json::to_string_pretty(rows).unwrap_or_else(|_| "[]".into());
    (rows.len(), text + "\n")
}

/// As the command line's `--json` has them.
fn json(state: &State) -> (usize, String) {
    let tunnels = |ports: &[crate::model::Port]| {
        let rows: Vec<_> = ports.iter().filter_map(|p| state.row(*p)).map(|r| &r.view).collect();
        list(&rows)
    };
    match state.screen {
        Screen::Tunnels => tunnels(&state.tunnel_rows),
        Screen::Health => tunnels(&state.health_rows),
        Screen::Triage => {
            let all = state.live.incidents();
            list(&state.incident_rows.iter().filter_map(|n| all.get(*n)).collect::<Vec<_>>())
        }
        Screen::Sessions => {
            list(&state.session_rows.iter().filter_map(|i| state.live.sessions.get(i)).collect::<Vec<_>>())
        }
        Screen::Audit => list(&state.audit_rows.iter().map(|r| &**r).collect::<Vec<_>>()),
        // Of events that followed each other the newest stands for all.
        Screen::Changes => list(&state.changes.rows.iter().map(|c| &*c.newest).collect::<Vec<_>>()),
        Screen::Ports => {
            let rows: Vec<_> = ports(state)
                .into_iter()
                .map(|cells| PORTS.iter().copied().zip(cells).collect::<std::collections::BTreeMap<_, _>>())
                .collect();
            list(&rows)
        }
    }
}

fn csv(state: &State) -> (usize, String) {
    let of = |names: &[&str], row: &dyn Fn(&str) -> Option<String>| -> Vec<String> {
        names.iter().map(|n| row(n).unwrap_or_default()).collect()
    };
    let now = state.now;
    let tunnels = |ports: &[crate::model::Port]| -> Vec<Vec<String>> {
        let rows = ports.iter().filter_map(|p| state.row(*p)).map(|row| TunnelRow { row, live: &state.live, now });
        rows.map(|r| of(TUNNELS, &|n| r.field(n))).collect()
    };
    let (names, rows) = match state.screen {
        Screen::Tunnels => (TUNNELS, tunnels(&state.tunnel_rows)),
        Screen::Health => (TUNNELS, tunnels(&state.health_rows)),
        Screen::Triage => {
            let all = state.incident_rows.iter().filter_map(|n| state.live.incidents().get(*n));
            let field = |i: &crate::model::Incident, n: &str| match n {
                "what" => Some(i.what.clone()),
                "likely" => Some(i.likely.clone()),
                "evidence" => Some(i.evidence.clone()),
                "since" => Some(i.since.to_rfc3339()),
                "port" => Some(i.blast.ports.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")),
                n => i.field(n),
            };
            (INCIDENTS, all.map(|i| of(INCIDENTS, &|n| field(i, n))).collect())
        }
        Screen::Sessions => {
            let all = state.session_rows.iter().filter_map(|i| state.live.sessions.get(i));
            (SESSIONS, all.map(|s| of(SESSIONS, &|n| s.field(n))).collect())
        }
        Screen::Audit | Screen::Changes => {
            let field = |r: &crate::audit::Record, n: &str| match n {
                "at" => Some(r.at.to_rfc3339()),
                "said" => Some(crate::ui::sentence::event(crate::ui::Lang::En, r)),
                n => r.field(n),
            };
            let records: Vec<_> = match state.screen {
                Screen::Changes => state.changes.rows.iter().map(|c| &c.newest).collect(),
                _ => state.audit_rows.iter().collect(),
            };
            (EVENTS, records.into_iter().map(|r| of(EVENTS, &|n| field(r, n))).collect())
        }
        Screen::Ports => (PORTS, ports(state)),
    };
    let line = |cells: &mut dyn Iterator<Item = String>| cells.collect::<Vec<_>>().join(",") + "\r\n";
    let mut text = line(&mut names.iter().map(|n| cell(n)));
    for row in &rows {
        text.push_str(&line(&mut row.iter().map(|c| cell(c))));
    }
    (rows.len(), text)
}

/// Every port of the grid.
fn ports(state: &State) -> Vec<Vec<String>> {
    let all = state.grid.iter().flat_map(crate::ui::state::grid::GridLine::ports);
    all.map(|p| {
        let lease = state.row(p).map(|r| &r.view.lease);
        let text = |f: fn(&crate::model::LeaseView) -> String| lease.map(f).unwrap_or_default();
        vec![
            p.to_string(),
            state.live.team_of(p).map(|t| t.name.to_string()).unwrap_or_default(),
            PortKind::of(&state.live, p).word().to_owned(),
            text(|l| l.host.to_string()),
            text(|l| l.service.clone().unwrap_or_default()),
            text(|l| l.kind.to_string()),
            text(|l| l.by.clone()),
            text(|l| l.reason.clone().unwrap_or_default()),
        ]
    })
    .collect()
}

/// One cell, by RFC 4180. What a spreadsheet would take for a formula gets an apostrophe before it: names of users and
/// hosts come from outside, and a file that is opened must not act (OWASP: CSV injection).
fn cell(text: &str) -> String {
    let number = text.parse::<f64>().is_ok_and(f64::is_finite);
    let begins = text
        .trim_start()
        .chars()
        .next()
        .is_some_and(|c| matches!(c, '=' | '+' | '-' | '@' | '＝' | '＋' | '－' | '＠'));
    let acts = begins || text.starts_with(['\t', '\r', '\n']);
    let text = if acts && !number { format!("'{text}") } else { text.to_owned() };
    if text.contains([',', '"', '\r', '\n', ';', '\t']) || text.starts_with('\'') {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::protocol::Push;
    use crate::ui::fixtures::*;
    use crate::ui::link::LinkEvent;

    fn file(effects: &[Effect]) -> &str {
        let [Effect::Export { text, .. }] = effects else { panic!("{effects:?}") };
        text
    }

    #[test]
    fn what_would_act_in_a_spreadsheet_does_not() {
        for (raw, written) in [
            ("pay-db", "pay-db"),
            ("=HYPERLINK(\"http://x\")", "\"'=HYPERLINK(\"\"http://x\"\")\""),
            ("+cmd|' /C calc'!A0", "\"'+cmd|' /C calc'!A0\""),
            ("@SUM(1)", "\"'@SUM(1)\""),
            ("  =1+1", "\"'  =1+1\""),
            ("\t=1", "\"'\t=1\""),
            ("-2+3", "\"'-2+3\""),
            ("-2.5", "-2.5"),
            ("a,b", "\"a,b\""),
            ("", ""),
        ] {
            assert_eq!(cell(raw), written, "{raw}");
        }
    }

    #[test]
    fn every_row_that_the_filter_leaves_is_written_as_json_or_csv() {
        let mut s = console((80, 10));
        s.own.files = true;
        keys(&mut s, "/team=pay\r");
        let effects = keys(&mut s, ":export pay.json\r");
        let rows: Vec<crate::model::TunnelView> = serde_json::from_str(file(&effects)).unwrap();
        assert_eq!(rows.len(), 4);
        let effects = keys(&mut s, ":export pay.csv\r");
        let written = file(&effects);
        assert!(written.starts_with("port,host,team,service,state,health"), "{written}");
        assert_eq!(written.lines().count(), 5);
        assert!(written.contains("20103,결제-서버,pay,ssh,up,passing"), "{written}");
        let effects = keys(&mut s, "\x13");
        assert!(
            matches!(&effects[..], [Effect::Export { name, .. }] if name == "portreeve-tunnels-20260304T140211Z.json")
        );
        for screen in ["3", "4", "5", "6"] {
            keys(&mut s, screen);
            for end in ["json", "csv"] {
                assert!(file(&keys(&mut s, &format!(":export x.{end}\r"))).lines().count() > 2, "{screen} {end}");
            }
        }
        assert!(keys(&mut s, ":export x.txt\r").is_empty());
        assert!(s.message.as_ref().unwrap().text.contains("neither .json nor .csv"));
    }

    #[test]
    fn triage_is_exported_with_its_evidence() {
        let mut s = home((80, 24), incidents());
        s.own.files = true;
        let effects = keys(&mut s, ":export x.csv\r");
        assert!(file(&effects).contains("fell silent within 12 s"), "{}", file(&effects));
    }

    #[test]
    fn without_files_of_its_own_a_console_offers_the_clipboard() {
        let mut s = console((80, 24));
        assert!(keys(&mut s, "\x13").is_empty());
        assert!(matches!(s.dialog, Some(Dialog::Offer { rows: 7, .. })));
        keys(&mut s, "n");
        assert!(s.dialog.is_none());
        let effects = keys(&mut s, "\x13y");
        let [Effect::Copy(text)] = &effects[..] else { panic!("{effects:?}") };
        assert_eq!(serde_json::from_str::<Vec<crate::model::TunnelView>>(text).unwrap().len(), 7);
        // More than a terminal takes in one piece is not begun.
        let mut snap = snapshot();
        snap.tunnels =
            (0..200).map(|n| tunnel(20000 + n, "pay-db", "pay", "ssh", crate::model::TunnelState::Up)).collect();
        crate::ui::update::link(&mut s, LinkEvent::Push(Push::Snapshot(snap)));
        assert!(keys(&mut s, "\x13y").is_empty());
        assert!(s.message.as_ref().unwrap().text.contains("too much for the clipboard"), "{:?}", s.message);
    }
}
