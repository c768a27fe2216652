//! A view outlives its console.

use crate::common::bastion::{BINARY, Bastion};
use crate::common::services::echo;
use crate::common::terminal::Terminal;
use std::process::Command;

#[test]
fn a_view_that_was_kept_is_there_for_the_next_console() {
    let b = Bastion::builder().team("pay", 8).host("pay-01", "pay").host("pay-02", "pay").start();
    let _one = b.ssh("pay-01").forward(b.port("pay", 0), echo()).start().wait_forward();
    let _two = b.ssh("pay-02").forward(b.port("pay", 1), echo()).start().wait_forward();
    let home = b.dir().join("config");
    let console = || {
        let mut c = Command::new(BINARY);
        c.env("XDG_CONFIG_HOME", &home).arg("--socket").arg(b.socket());
        let mut c = Terminal::run(&c);
        c.until_text("● live");
        c
    };
    let mut c = console();
    c.keys("2");
    c.until_line(&["up", "pay-02"]);
    c.keys("/pay-02\r");
    c.until_text("1 hidden");
    c.keys(":save mine\r");
    c.until_text("kept in");
    c.keys("q");
    assert_eq!(c.wait_exit(), 0);
    let file = std::fs::read_to_string(home.join("portreeve/console.toml")).unwrap();
    assert!(file.contains("mine = \"tunnels sort=port pay-02\""), "{file}");

    let mut c = console();
    c.keys(":view m\t\r");
    c.until("the view", |s| s.contents().contains("1 hidden") && !s.contents().contains("pay-01"));
}
