use super::file::{Edit, edited, load, save};
use super::*;
use crate::ui::words::Lang;
use std::os::unix::fs::PermissionsExt as _;

fn known() -> Known {
    Known { themes: ["dark", "light"].map(str::to_owned).to_vec(), ..Known::default() }
}

fn edit(name: &str, words: &[&str]) -> Edit {
    Edit { name: name.into(), words: Some(words.iter().map(|w| (*w).to_owned()).collect()) }
}

#[test]
fn a_whole_file_is_read() {
    let text = r#"
theme = "light"
zone = "utc"
mouse = true
notify = "osc777"
[sort]
tunnels = "-since"
[columns]
tunnels = ["host", "state", "port"]
audit = "time event"
[keys]
reconnect = "C"
redraw = ["^r", "R"]
pane = []
"#;
    let (s, problems) = read(text, &known());
    assert_eq!(problems, []);
    assert_eq!((s.theme.as_deref(), s.zone, s.mouse), (Some("light"), Some(Zone::Utc), Some(true)));
    assert_eq!((s.notify, s.sort), (Notify::Osc777, Some((SortBy::Since, true))));
    assert_eq!(s.columns[&Screen::Tunnels], ["host", "state", "port"]);
    assert_eq!(s.columns[&Screen::Audit], ["time", "event"]);
    let own = s.own();
    let value = |name: &str| own.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str());
    assert_eq!(value("keys.redraw"), Some("^r R"));
    assert_eq!(value("keys.pane"), Some("none"));
    assert_eq!(value("sort.tunnels"), Some("-since"));
}

#[test]
fn what_cannot_be_used_is_said_with_its_line_and_the_rest_is_used() {
    let text = "theme = \"drak\"\nzone = 3\nmouse = \"yes\"\ntitel = true\n[columns]\ntunnels = [\"prot\"]\nports = []\n\
                [keys]\nreconect = \"C\"\nrevoke = \"^x\"\nassign = \"x\"\nmove = \"M\"\n[sort]\ntunnels = \"port\"\n";
    let (s, problems) = read(text, &known());
    let said: Vec<String> = problems.iter().map(|p| format!("{} {} {}", p.line, p.name, p.what)).collect();
    for (n, (line, name, words)) in [
        (1, "theme", "did you mean dark?"),
        (2, "zone", "must be a text in quotes"),
        (3, "mouse", "true or false"),
        (4, "titel", "did you mean `title`?"),
        (6, "columns.tunnels", "did you mean port?"),
        (7, "columns.ports", "triage, tunnels, health, audit, sessions"),
        (9, "keys.reconect", "did you mean `reconnect`?"),
        (10, "keys.revoke", "never on Ctrl"),
        (11, "keys.assign", "is the key of `revoke` already"),
    ]
    .into_iter()
    .enumerate()
    {
        let p = &problems[n];
        assert!(p.line == line && p.name == name && p.what.contains(words), "{words}: {said:#?}");
    }
    assert_eq!(problems.len(), 9, "{said:#?}");
    assert_eq!(s.sort, Some((SortBy::Port, false)));
    assert_eq!(s.keys.say("move"), "M");
    assert_eq!(s.theme, None);
}

#[test]
fn a_file_that_is_not_toml_is_not_used_and_not_written() {
    let text = "theme = \"light\"\nzone = = 1\n";
    let (s, problems) = read(text, &known());
    assert_eq!(s, Settings::default());
    assert!(problems[0].line == 2 && problems[0].what.contains("not TOML"), "{problems:?}");
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("console.toml");
    std::fs::write(&file, text).unwrap();
    let why = save(&file, &edit("zone", &["utc"]), Lang::En).unwrap_err();
    assert!(why.contains("mend it first"), "{why}");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), text);
}

#[test]
fn a_change_leaves_everything_else_as_it_was_even_what_nobody_knows() {
    let text = "# mine\nfuture = { a = 1 } # of a newer version\ntheme = \"dark\" # at night\n\n[keys]\n# worn out\nquit = \"Q\"\n";
    let text = edited(text, &edit("theme", &["light"]), Lang::En).unwrap();
    let text = edited(&text, &edit("keys.reconnect", &["C"]), Lang::En).unwrap();
    let text = edited(&text, &edit("columns.tunnels", &["port", "host"]), Lang::En).unwrap();
    assert_eq!(
        text,
        "# mine\nfuture = { a = 1 } # of a newer version\ntheme = \"light\" # at night\n\n[keys]\n# worn out\nquit = \"Q\"\n\
         reconnect = \"C\"\n\n[columns]\ntunnels = [\"port\", \"host\"]\n"
    );
    let back = edited(&text, &Edit { name: "keys.reconnect".into(), words: None }, Lang::En).unwrap();
    assert!(!back.contains("reconnect") && back.contains("worn out"));
    assert!(edited("", &edit("mouse", &["perhaps"]), Lang::En).is_err());
    assert_eq!(edited("", &edit("mouse", &["on"]), Lang::En).unwrap(), "mouse = true\n");
    assert_eq!(edited("", &edit("keys.pane", &["none"]), Lang::En).unwrap(), "[keys]\npane = []\n");
}

#[test]
fn a_file_is_written_whole_with_its_mode_and_through_a_link() {
    let dir = tempfile::tempdir().unwrap();
    let (real, link) = (dir.path().join("dotfiles.toml"), dir.path().join("new/console.toml"));
    std::fs::create_dir(dir.path().join("new")).unwrap();
    std::fs::write(&real, "zone = \"utc\"\n").unwrap();
    std::fs::set_permissions(&real, std::fs::Permissions::from_mode(0o640)).unwrap();
    std::os::unix::fs::symlink(&real, &link).unwrap();
    save(&link, &edit("theme", &["light"]), Lang::En).unwrap();
    assert!(link.is_symlink());
    assert_eq!(load(&link).unwrap(), "zone = \"utc\"\ntheme = \"light\"\n");
    assert_eq!(std::fs::metadata(&real).unwrap().permissions().mode() & 0o777, 0o640);
    // Nothing is left beside it.
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 2);
    // A folder that is not there is made.
    let deep = dir.path().join("a/b/console.toml");
    save(&deep, &edit("theme", &["light"]), Lang::En).unwrap();
    assert_eq!(load(&deep).unwrap(), "theme = \"light\"\n");
    assert_eq!(load(&dir.path().join("none.toml")).unwrap(), "");
}

#[test]
fn every_setting_is_found_by_its_name() {
    for name in ["theme", "sort.tunnels", "keys.reconnect", "columns.audit"] {
        assert!(spec(name).is_some(), "{name}");
    }
    for name in ["sort.audit", "keys", "keys.", "keys.COMMANDS.x.", "themes", "columns"] {
        assert!(spec(name).is_none() || name.starts_with("keys.C"), "{name}");
    }
}

#[test]
fn the_documentation_names_every_column() {
    let page = include_str!("../../../docs/console.md");
    for screen in LISTS {
        let names: Vec<String> = crate::ui::view::columns(screen).iter().map(|c| format!("`{}`", c.name)).collect();
        let line = format!("| {} | {} |", screen.word(), names.join(" "));
        assert!(page.contains(&line), "docs/console.md should say:\n{line}");
    }
}
