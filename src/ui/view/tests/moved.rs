//! Texts that say what to press, where keys have been moved.

use super::show;
use crate::ui::fixtures::*;
use crate::ui::state::State;
use crate::ui::update;

fn moved(mut s: State, keys: &str) -> State {
    let _ = update::loaded(&mut s, Ok(format!("[keys]\n{keys}\n")));
    assert!(s.own.problems.is_empty(), "{:?}", s.own.problems);
    s.message = None;
    s
}

fn says(s: &State, part: &str) {
    let shown = show(s);
    assert!(shown.contains(part), "{part}: {shown}");
}

#[test]
fn hints_and_answers_name_the_keys_in_force() {
    let mut s = moved(
        writable((80, 24)),
        "next-free = \"Q\"\nback = \"Z\"\nopen = \"O\"\nright = \"K\"\nwrite = \"B\"\nassign = \"A\"\nreserve = \"V\"\nports = \"P\"\ncut = \"C\"",
    );
    keys(&mut s, "C");
    says(&s, "O opens the detail, K goes to its visitors");
    keys(&mut s, "V");
    says(&s, "reserve is done on the ports screen (P)");
    keys(&mut s, "/pay\r");
    says(&s, "hidden, Z clears");
    keys(&mut s, "Z");
    // The tabs say which key leads to them.
    says(&s, "P ports");
    keys(&mut s, "P");
    keys(&mut s, "KV");
    says(&s, "Q finds a free one");
    keys(&mut s, "Q");
    says(&s, "A assigns it to a host, V reserves it until a date");
    s.write_until = None;
    says(&s, "B, then A assigns it to a host, V reserves it");
    keys(&mut s, "A");
    says(&s, "press B (or :write)");
}

#[test]
fn the_log_takes_back_by_the_key_it_names() {
    let mut s = moved(writable((80, 24)), "undo = \"Z\"");
    keys(&mut s, "L");
    says(&s, "log: Z undoes the last");
    keys(&mut s, "U");
    assert!(s.dialog.is_some(), "not by the old one");
    keys(&mut s, "Z");
    assert!(s.dialog.is_none());
    says(&s, "there is nothing to undo");
}
