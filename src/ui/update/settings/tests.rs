//! Settings changed while the console runs, by hand and by its file.

use super::super::tests::message;
use super::super::*;
use crate::ui::fixtures::*;

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
    assert_eq!(s.sort, (crate::ui::state::rows::SortBy::Since, true));
    keys(&mut s, ":set nothing\r");
    assert!(message(&s).contains("no setting `nothing`"));
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
    loaded(&mut s, Err(crate::ui::settings::file::Unread::new(std::path::Path::new("/x"), &"permission denied")));
    assert!(message(&s).contains("permission denied"));
}
