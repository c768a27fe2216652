//! The console on terminals of every kind and size: what it refuses, what it shows, and that no resize breaks it.

use crate::common::bastion::{BINARY, Bastion};
use crate::common::services::echo;
use crate::common::terminal::Terminal;
use std::process::Command;

fn console(b: &Bastion) -> Command {
    let mut c = Command::new(BINARY);
    c.arg("--socket").arg(b.socket());
    c
}

#[test]
fn a_storm_of_resizes_ends_with_a_right_screen() {
    let b = Bastion::builder().team("pay", 8).host("pay-01", "pay").operator("ops", "operator", &[]).start();
    let port = b.port("pay", 0);
    let _host = b.ssh("pay-01").forward(port, echo()).start().wait_forward();
    let mut c = Terminal::run(&console(&b));
    c.keys("2");
    c.until_line(&["up", &port.to_string(), "pay-01"]);
    // Every screen, with something over it and without, at sizes that have nothing in common.
    let sizes =
        [(500, 200), (10, 3), (140, 40), (1, 1), (40, 10), (20, 5), (500, 3), (10, 200), (80, 24), (59, 15), (120, 20)];
    for round in ["1", "2", "3", "4", "5", "6", "7", "2\r", "]]]]", "\x1b?", "\x1b:re", "\x1b/pay", "\x1bL", "\x1b2"] {
        c.keys(round);
        for (columns, rows) in sizes {
            c.resize(columns, rows);
        }
    }
    c.resize(10, 3);
    c.until("the note of a terminal too small", |s| s.contents().contains("please en"));
    c.resize(80, 24);
    c.keys("\x1b");
    c.until("the list, whole", |s| {
        let lines: Vec<String> = s.rows(0, 80).collect();
        let has = |words: &[&str]| lines.iter().any(|l| words.iter().all(|w| l.contains(w)));
        has(&["live"])
            && has(&["[2 tunnels]"])
            && has(&["up", &port.to_string(), "pay-01"])
            && lines[23].contains("? help")
    });
    c.resize(500, 200);
    c.until("the detail beside the list", |s| s.rows(0, 500).any(|l| l.contains("lease") && l.contains("requested")));
    c.keys("q");
    assert_eq!(c.wait_exit(), 0);
    assert!(c.is_restored());
}

#[test]
fn every_common_terminal_gets_its_screen_back_as_it_was() {
    let b = Bastion::builder().team("pay", 8).host("pay-01", "pay").operator("ops", "operator", &[]).start();
    let port = b.port("pay", 0).to_string();
    let _host = b.ssh("pay-01").forward(b.port("pay", 0), echo()).start().wait_forward();
    for term in ["xterm-256color", "screen", "screen-256color", "tmux", "tmux-256color", "linux", "vt220"] {
        let mut c = Terminal::run_as(&console(&b), Some(term));
        c.until_text("all well");
        c.until_text("live");
        c.keys("2");
        c.until_line(&["up", &port, "pay-01"]);
        // No more colours than it has: what it does not know it would show as something else.
        let colours = c.colours();
        match term {
            "vt220" => assert!(colours.is_empty(), "{term}: {colours:?}"),
            "linux" | "screen" | "tmux" => {
                assert!(colours.iter().all(|n| n.is_some_and(|n| n < 16)), "{term}: {colours:?}")
            }
            _ => assert!(colours.iter().any(|n| n.is_some_and(|n| n >= 16)), "{term}: {colours:?}"),
        }
        c.keys("q");
        assert_eq!(c.wait_exit(), 0, "{term}");
        assert!(c.is_restored(), "{term}");
    }
}

#[test]
fn a_terminal_that_cannot_move_its_cursor_is_refused_with_what_to_use_instead() {
    let b = Bastion::builder().team("pay", 8).host("pay-01", "pay").operator("ops", "operator", &[]).start();
    for (term, said) in [(Some("dumb"), "TERM is \"dumb\""), (Some(""), "TERM is not set"), (None, "TERM is not set")] {
        let mut c = Terminal::run_as(&console(&b), term);
        assert_eq!(c.wait_exit(), 2, "{term:?}");
        let shown: String = c.contents().split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(shown.contains("portreeve triage") || shown.contains("`portreeve triage`"), "{term:?}: {shown}");
        let flat: String = c.contents().split('\n').collect();
        assert!(flat.contains(said), "{term:?}: {flat}");
        assert!(c.is_restored());
    }
}

#[test]
fn what_is_listed_is_written_to_a_file_here_and_offered_to_the_clipboard_over_ssh() {
    let b = Bastion::builder().team("pay", 8).host("pay-01", "pay").operator("ops", "operator", &[]).start();
    let port = b.port("pay", 0);
    let _host = b.ssh("pay-01").forward(port, echo()).start().wait_forward();
    let dir = tempfile::tempdir().unwrap();
    let mut command = console(&b);
    command.current_dir(dir.path());
    let mut c = Terminal::run(&command);
    c.keys("2");
    c.until_line(&["up", &port.to_string()]);
    c.keys(":export rows.csv\r");
    c.until_text("1 row written to");
    let written = std::fs::read_to_string(dir.path().join("rows.csv")).unwrap();
    assert!(written.contains(&format!("\n{port},pay-01,pay,")), "{written}");
    c.keys(":export rows.csv\r");
    c.until_text("is there already");
    assert_eq!(std::fs::read_to_string(dir.path().join("rows.csv")).unwrap(), written);
    c.keys("\x13");
    c.until_text("portreeve-tunnels-");
    c.keys("q");
    assert_eq!(c.wait_exit(), 0);

    let mut c = super::console::remote(&b);
    c.keys("2");
    c.until_line(&["up", &port.to_string()]);
    c.keys("\x13");
    c.until_text("This console runs on the bastion");
    c.keys("y");
    c.until_text("copied: 1 row");
    // Its settings are kept at the bastion, in a file of the operator's own.
    c.keys(":set zone utc\r");
    c.until_text("zone is utc, kept in");
    c.keys("q");
    assert_eq!(c.wait_exit(), 0);
    let mut c = super::console::remote(&b);
    c.until("times in UTC", |s| s.rows(0, 80).next().is_some_and(|l| l.trim_end().ends_with('Z')));
    c.keys("q");
    assert_eq!(c.wait_exit(), 0);
}

#[test]
fn a_revoke_is_taken_back_with_one_key_and_recorded_as_its_own_act() {
    let b = Bastion::builder().team("pay", 8).host("pay-01", "pay").operator("ops", "operator", &[]).start();
    let port = b.port("pay", 0);
    let _host = b.ssh("pay-01").forward(port, echo()).start().wait_forward();
    let mut c = super::console::remote(&b);
    c.keys("2");
    c.until_line(&["up", &port.to_string()]);
    c.keys("W");
    c.until_text("RW");
    c.keys("xpay-01\r");
    c.until_line(&["revoked", &port.to_string()]);
    c.keys("U");
    c.until_text("takes back: portreeve revoke pay-01");
    c.keys("y");
    b.wait_audit("the restore", |e| e["event"] == "operator.restore" && e["actor"]["name"] == "ops");
    c.until_text("portreeve restore pay-01");
    c.keys("L");
    c.until_line(&["portreeve revoke pay-01"]);
    c.until_text("undone");
    c.keys("qq");
    assert_eq!(c.wait_exit(), 0);
}
