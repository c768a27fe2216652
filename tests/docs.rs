//! The documentation is true of the code, as far as that can be checked by a program.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use portreeve::control::actions::{ACTIONS, Danger};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|e| panic!("{path}: {e}"))
}

fn pages() -> Vec<String> {
    let mut found = vec!["README.md".to_owned(), "CHANGELOG.md".to_owned()];
    for entry in std::fs::read_dir(root().join("docs")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        if name.ends_with(".md") {
            found.push(format!("docs/{name}"));
        }
    }
    found
}

/// As GitHub makes them of headings.
fn anchors(text: &str) -> Vec<String> {
    let anchor = |line: &str| {
        let title = line.trim_start_matches('#').trim().to_lowercase();
        title
            .chars()
            .filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'))
            .collect::<String>()
            .replace(' ', "-")
    };
    text.lines().filter(|l| l.starts_with('#')).map(anchor).collect()
}

#[test]
fn every_link_within_the_repository_leads_somewhere() {
    let mut dead = String::new();
    for page in pages() {
        let text = read(&page);
        for target in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            if target.contains("://") {
                continue;
            }
            let (file, anchor) = target.split_once('#').map_or((target, None), |(f, a)| (f, Some(a)));
            let path = if file.is_empty() {
                root().join(&page)
            } else {
                root().join(Path::new(&page).parent().unwrap()).join(file)
            };
            let there = path.exists()
                && anchor.is_none_or(|a| anchors(&std::fs::read_to_string(&path).unwrap()).iter().any(|h| h == a));
            if !there {
                writeln!(dead, "{page}: {target}").unwrap();
            }
        }
    }
    assert!(dead.is_empty(), "links to nowhere:\n{dead}");
}

#[test]
fn every_dependency_has_its_reason() {
    let manifest: toml::Table = read("Cargo.toml").parse().unwrap();
    let page = read("docs/dependencies.md");
    for section in ["dependencies", "dev-dependencies", "build-dependencies"] {
        for name in manifest.get(section).and_then(toml::Value::as_table).unwrap().keys() {
            assert!(page.contains(&format!("| `{name}` |")), "docs/dependencies.md does not say why {name} is there");
        }
    }
    let fuzz: toml::Table = read("fuzz/Cargo.toml").parse().unwrap();
    let named = page.lines().filter_map(|l| l.strip_prefix("| `")?.split('`').next());
    for name in named {
        let there =
            ["dependencies", "dev-dependencies"].iter().any(|s| manifest[*s].as_table().unwrap().contains_key(name));
        let there = there || fuzz["dependencies"].as_table().unwrap().contains_key(name);
        assert!(there, "docs/dependencies.md explains {name}, which Cargo.toml does not have");
    }
}

#[test]
fn every_event_of_the_journal_is_described() {
    let source = read("src/audit/event.rs");
    let page = read("docs/audit.md");
    let names: Vec<_> = source
        .split("rename = \"")
        .skip(1)
        .filter_map(|rest| rest.split('"').next())
        .filter(|n| n.contains('.'))
        .collect();
    assert!(names.len() > 20, "{names:?}");
    for name in names {
        assert!(page.contains(&format!("| `{name}` |")), "docs/audit.md does not describe {name}");
    }
}

#[test]
fn the_exit_codes_are_those_of_the_program() {
    let page = read("docs/operations.md");
    for line in portreeve::cli::EXIT_CODES.lines().skip(1) {
        let code = line.split_whitespace().next().unwrap();
        assert!(page.contains(&format!("| {code} |")), "docs/operations.md has no exit code {code}");
    }
}

/// The part of a page between two marks is what `want` says. With UPDATE_DOCS it is made so.
fn part(page: &str, name: &str, want: &str) {
    let text = read(page);
    let begin = text.find(&format!("<!-- {name}:")).and_then(|at| Some(at + text[at..].find("-->\n")? + 4)).unwrap();
    let end = text.find(&format!("<!-- end of {name} -->")).unwrap();
    let want = format!("\n{want}\n");
    if text[begin..end] == want {
        return;
    }
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(root().join(page), format!("{}{want}{}", &text[..begin], &text[end..])).unwrap();
        return;
    }
    panic!("{page} is behind the code; run UPDATE_DOCS=1 cargo nextest run docs. It should say:\n{want}");
}

/// A section of the console's texts in English.
fn texts(section: &str) -> toml::Table {
    read(&format!("locales/en/{section}.toml")).parse().unwrap()
}

/// The texts in quotes of a line of Rust.
fn quoted(line: &str) -> Vec<&str> {
    line.split('"').skip(1).step_by(2).collect()
}

#[test]
fn the_keys_and_actions_of_the_console_are_those_of_its_tables() {
    let source = read("src/ui/keys.rs");
    let help = texts("key");
    let table = source.split("pub(crate) const KEYS").nth(1).unwrap().split("\n];").next().unwrap();
    let names = read("src/ui/keymap.rs");
    let names = names.split("fn name(cmd: Cmd)").nth(1).unwrap().split("\n}").next().unwrap();
    let name_of = |line: &str| -> String {
        let cmd = line.split("Cmd::").nth(1).unwrap();
        let (cmd, rest) = cmd.split_at(cmd.find(|c: char| !c.is_alphanumeric()).unwrap());
        if cmd == "Go" {
            return rest[1..rest.find(')').unwrap()].to_lowercase();
        }
        let arm = |l: &&str| l.split("=>").next().unwrap().split('|').any(|p| p.trim() == format!("Cmd::{cmd}"));
        let arm = names.lines().find(arm).unwrap_or_else(|| panic!("keymap::name has no {cmd}"));
        quoted(arm)[0].to_owned()
    };
    let mut want = "| key | | name |\n|---|---|---|\n".to_owned();
    let entries: Vec<&str> = table.split(" b(&[").flat_map(|e| e.split("(b(&[")).collect();
    for (before, entry) in entries.iter().zip(entries.iter().skip(1)) {
        let keys = quoted(entry)[0];
        let help = &help[entry.split("key.").nth(1).unwrap().split(')').next().unwrap()].as_str().unwrap();
        let limited = before.trim_end().trim_end_matches("hinted").trim_end().trim_end_matches('(').ends_with(" on");
        let on = entry.rsplit_once("&[").filter(|_| limited);
        let on = on.map(|(_, s)| s.split(']').next().unwrap().to_lowercase());
        let note = on.map_or(String::new(), |s| format!(" ({s})"));
        writeln!(want, "| `{keys}` | {help}{note} | `{}` |", name_of(entry)).unwrap();
    }
    part("docs/console.md", "keys", want.trim_end());

    let mut want = "| key | command | | role | asked |\n|---|---|---|---|---|\n".to_owned();
    for a in ACTIONS {
        let key = a.key.map_or(String::new(), |k| format!("`{k}`"));
        let asked = match a.danger {
            Danger::None => "no",
            Danger::Confirm => "y or n",
            Danger::TypeName => "its name typed",
        };
        let command = format!(":{} {}", a.verb, a.args).trim_end().replace('|', "\\|");
        writeln!(want, "| {key} | `{command}` | {} | {} | {asked} |", a.help, a.role).unwrap();
    }
    part("docs/console.md", "actions", want.trim_end());
}

#[test]
fn the_settings_of_the_console_are_those_of_its_table() {
    let source = read("src/ui/settings/mod.rs");
    let table = source.split("pub(crate) const SETTINGS").nth(1).unwrap().split("\n];").next().unwrap();
    let mut want = "| name | value | |\n|---|---|---|\n".to_owned();
    let said = texts("setting");
    for entry in table.split(" s(").skip(1) {
        let name = quoted(entry)[0];
        let keys: Vec<&str> = entry.split("setting.").skip(1).map(|k| k.split(')').next().unwrap()).collect();
        let [values, help] = [0, 1].map(|n| said[keys[n]].as_str().unwrap());
        writeln!(want, "| `{name}` | {values} | {help} |").unwrap();
    }
    part("docs/console.md", "settings", want.trim_end());
}

#[test]
fn the_table_of_ocsf_is_the_one_that_is_sent() {
    let mut want = "| event | class | activity |\n|---|---|---|\n".to_owned();
    for o in portreeve::audit::OCSF {
        writeln!(want, "| `{}` | {} {} | {} {} |", o.event, o.class, o.class_name, o.activity, o.activity_name)
            .unwrap();
    }
    part("docs/audit.md", "ocsf", want.trim_end());
}

#[test]
fn the_causes_of_triage_are_those_of_its_table() {
    let mut want = "| cause | | | what to do first |\n|---|---|---|---|\n".to_owned();
    for r in portreeve::triage::RULES {
        let next = r.next.iter().find(|n| n.key != "Enter").unwrap();
        let run = next.run.map_or_else(|| next.what.replace('`', ""), |run| format!("`{run}`"));
        let name = |run: String, name: &str| run.replace(&format!("{{{name}}}"), &name.to_uppercase());
        let run = ["host", "port", "team", "target"].into_iter().fold(run, name);
        writeln!(want, "| `{}` | {} | {} | {run} |", r.cause, r.severity, r.likely).unwrap();
    }
    part("docs/console.md", "causes", want.trim_end());
}

#[test]
fn the_table_of_metrics_is_what_is_printed() {
    use portreeve::model::*;
    let at = now();
    let traffic = Traffic::default();
    let page = portreeve::cli::metrics::text(&Metrics {
        at,
        name: "bastion".to_owned(),
        version: "0".to_owned(),
        process: ProcessMetrics::default(),
        sessions: SessionCounts::default(),
        unauthenticated: 0,
        gate: GateView { refused: vec![("startups".to_owned(), 0)], ..GateView::default() },
        spill: SpillView::default(),
        audit: AuditStatus::default(),
        ledger_writable: true,
        unsaved_blocks: 0,
        blocks: 0,
        teams: vec![TeamMetrics {
            team: "pay".parse().unwrap(),
            ports: 1,
            leased: 1,
            tunnels: StateCounts::default(),
            visitors_now: 0,
            visitors_behind: 0,
            buffered: 0,
            traffic,
        }],
        tunnels: vec![TunnelMetrics {
            port: 20100_u16.try_into().unwrap(),
            host: "pay-db".parse().unwrap(),
            team: "pay".parse().unwrap(),
            state: TunnelState::Up,
            state_since: at,
            health: Verdict::Passing,
            latency_ms: Some(1.0),
            visitors_now: 0,
            behind: BehindView::default(),
            traffic,
        }],
    });
    let mut want = "| name | labels | type | |\n|---|---|---|---|\n".to_owned();
    let lines: Vec<&str> = page.lines().collect();
    for (n, line) in lines.iter().enumerate() {
        let Some((name, help)) = line.strip_prefix("# HELP ").and_then(|l| l.split_once(' ')) else { continue };
        let kind = lines[n + 1].rsplit(' ').next().unwrap();
        let sample = lines[n + 2].strip_prefix(name).unwrap();
        let labels: Vec<&str> = quoted_labels(sample);
        writeln!(want, "| `{name}` | {} | {kind} | {help} |", labels.join(", ")).unwrap();
    }
    part("docs/metrics.md", "metrics", want.trim_end());
}

/// The names of a sample's labels.
fn quoted_labels(sample: &str) -> Vec<&str> {
    sample.split(['{', ',']).filter_map(|l| l.split_once("=\"")).map(|(name, _)| name).collect()
}

mod journal {
    use super::{Command, read, root};
    use portreeve::audit::{Actor, Context, Event, Journal, What};
    use std::path::Path;

    fn verifier() -> String {
        let page = read("docs/audit.md");
        page.split("```python\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap().to_owned()
    }

    fn verify(dir: &Path) -> (bool, String) {
        let out = Command::new("python3").arg("-c").arg(verifier()).arg(dir).current_dir(root()).output().unwrap();
        let said = [out.stdout, out.stderr].concat();
        (out.status.success(), String::from_utf8(said).unwrap())
    }

    fn written(events: usize) -> (tempfile::TempDir, std::path::PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let journal = Journal::open(dir.path()).unwrap();
        for n in 0..events {
            let reason = Some(format!("결제 \"{n}\" \\ ,\"hash\":\""));
            let context = Context { reason, ..Context::default() };
            journal.record(Event::success(Actor::Daemon, What::VisitorOpen {}, context));
        }
        journal.close().unwrap();
        let file = std::fs::read_dir(dir.path()).unwrap().map(|e| e.unwrap().path());
        let file = file.filter(|p| p.extension().is_some_and(|e| e == "jsonl")).max().unwrap();
        (dir, file)
    }

    #[test]
    fn the_documented_verifier_passes_a_journal_and_names_its_last_hash() {
        let (dir, _) = written(100);
        let report = portreeve::audit::verify(dir.path()).unwrap();
        let (ok, said) = verify(dir.path());
        assert!(ok, "{said}");
        assert_eq!(said.trim(), format!("the chain holds: 100 records, last hash {}", report.last_hash.unwrap()));
    }

    #[test]
    fn the_documented_verifier_finds_a_changed_and_a_missing_line() {
        let (dir, file) = written(20);
        let good = std::fs::read_to_string(&file).unwrap();
        std::fs::write(&file, good.replacen("visitor.open", "visitor.OPEN", 1)).unwrap();
        let (ok, said) = verify(dir.path());
        assert!(!ok && said.contains("line 1: changed"), "{said}");

        let without_7: String =
            good.split_inclusive('\n').enumerate().filter(|(n, _)| *n != 6).map(|(_, l)| l).collect();
        std::fs::write(&file, without_7).unwrap();
        let (ok, said) = verify(dir.path());
        assert!(!ok && said.contains("line 7: does not follow"), "{said}");
    }

    #[test]
    fn the_documented_line_of_shell_gives_the_hash_of_a_line() {
        let (_dir, file) = written(9);
        let page = read("docs/audit.md");
        let line = page.lines().find(|l| l.starts_with("sed -n 5p")).unwrap();
        let line = line.replace("audit-2026-11-21.jsonl", file.to_str().unwrap());
        let out = Command::new("sh").arg("-c").arg(line).output().unwrap();
        let fifth = std::fs::read_to_string(&file).unwrap().lines().nth(4).unwrap().to_owned();
        let record: serde_json::Value = serde_json::from_str(&fifth).unwrap();
        let said = String::from_utf8(out.stdout).unwrap();
        assert_eq!(said.split_whitespace().next(), record["hash"].as_str());
    }
}
