//! What is wrong, as the command line and the screen say it.

use super::bastion::{BINARY, Bastion};
use super::terminal::Terminal;
use super::{SOON, eventually};
use serde_json::Value;
use std::process::Command;
use std::time::Instant;

/// What `triage --json` says, and its exit code.
pub fn triage(b: &Bastion, args: &[&str]) -> (Vec<Value>, i32) {
    let out = b.command(&["triage", "--json"]).args(args).output().unwrap();
    let answer: Value =
        serde_json::from_slice(&out.stdout).unwrap_or_else(|e| panic!("{e}: {}", String::from_utf8_lossy(&out.stderr)));
    (answer["incidents"].as_array().unwrap().clone(), out.status.code().unwrap())
}

/// Waits until there is an incident of this cause, reads it from the screen of a console, and gives it.
#[track_caller]
pub fn wait_cause(b: &Bastion, cause: &str, wanted: impl Fn(&Value) -> bool) -> Value {
    let began = Instant::now();
    let found = loop {
        let all = triage(b, &[]).0;
        if let Some(found) = all.iter().find(|i| i["cause"] == cause && wanted(i)) {
            break found.clone();
        }
        assert!(began.elapsed() < SOON, "no incident {cause} within {SOON:?}, but {all:#?}");
    };
    for part in ["id", "what", "likely", "evidence"] {
        assert!(found[part].as_str().is_some_and(|s| !s.is_empty()), "{part}: {found}");
    }
    assert!(found["since"].is_string() && !found["next"].as_array().unwrap().is_empty(), "{found}");
    read_on_screen(b, &found);
    found
}

/// Reads an incident as somebody does who has just opened a console of 80 × 24: how bad, whom it concerns and the cause
/// from home's list, then the evidence and the first thing to do below it.
#[track_caller]
fn read_on_screen(b: &Bastion, i: &Value) {
    let text = |v: &Value| v.as_str().unwrap().to_owned();
    let (what, likely) = (text(&i["what"]), text(&i["likely"]));
    let mut c = console(b);
    c.until_line(&[&text(&i["severity"]), &what, &likely]);
    c.keys(&format!("/cause={} {what}\r", text(&i["cause"])));
    c.until_text(&format!("── {what}: {likely}"));
    // How often and how long may have changed meanwhile: what it begins with has not.
    let begins: Vec<String> = text(&i["evidence"]).split(' ').take(3).map(str::to_owned).collect();
    c.until_text(&begins.join(" "));
    let step = text(&i["next"][0]["what"]);
    c.until_text(step.get(..24).unwrap_or(&step));
    c.keys("q");
    assert_eq!(c.wait_exit(), 0);
}

/// Waits until nothing is wrong any more.
#[track_caller]
pub fn wait_well(b: &Bastion) {
    let mut last = (Vec::new(), 0);
    eventually("all is well", SOON, || {
        last = triage(b, &[]);
        last.0.is_empty()
    });
    assert_eq!(last.1, 0);
}

/// Nothing is wrong any more, and the console says so.
#[track_caller]
pub fn well_on_screen(b: &Bastion, mut c: Terminal) {
    wait_well(b);
    c.until_text("all well");
    c.keys("q");
    assert_eq!(c.wait_exit(), 0);
}

/// Its sentence.
pub fn evidence(i: &Value) -> &str {
    i["evidence"].as_str().unwrap()
}

/// A console over the control socket.
pub fn console(b: &Bastion) -> Terminal {
    let mut c = Command::new(BINARY);
    c.arg("--socket").arg(b.socket());
    Terminal::run(&c)
}
