//! The keys, declared once: what they do, and the words that help and hints use for them.

use super::input::Key;
use super::state::Screen;
use crate::control::actions::{ACTIONS, ActionSpec, Scope};

/// What a key asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cmd {
    Go(Screen),
    Down,
    Up,
    Left,
    Right,
    /// `g`: twice is the top.
    G,
    Top,
    Bottom,
    HalfDown,
    HalfUp,
    PageDown,
    PageUp,
    Open,
    Back,
    Pane,
    TabBack,
    TabOn,
    Filter,
    Next,
    Previous,
    Palette,
    Sort,
    Reverse,
    Zone,
    CopyValue,
    CopyCommand,
    Write,
    Help,
    Quit,
    Interrupt,
    Redraw,
    Pause,
    /// The audit of the day before, or after.
    DayBack,
    DayOn,
    /// The next kind of events.
    Kind,
    Failures,
    NextFree,
    /// What changed of the selection.
    Changes,
    Mark,
    MarkAll,
    Longer,
    Shorter,
    Log,
    Undo,
    Export,
    Act(&'static ActionSpec),
    /// An action's key on a screen where it has nothing to act on.
    Elsewhere(&'static ActionSpec),
}

/// One line of the table.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Binding {
    pub(crate) keys: &'static [Key],
    /// How help writes the keys.
    pub(crate) shown: &'static str,
    pub(crate) cmd: Cmd,
    pub(crate) help: &'static str,
    /// The word for the hints at the bottom, if it is worth one.
    pub(crate) hint: Option<&'static str>,
    /// On these screens only; on all when empty.
    pub(crate) on: &'static [Screen],
}

use Key::{Char, Ctrl};
use Screen::{Audit, Changes, Health, Ports, Sessions, Triage, Tunnels};

const fn b(keys: &'static [Key], shown: &'static str, cmd: Cmd, help: &'static str) -> Binding {
    Binding { keys, shown, cmd, help, hint: None, on: &[] }
}
const fn hinted(mut binding: Binding, hint: &'static str) -> Binding {
    binding.hint = Some(hint);
    binding
}
const fn on(mut binding: Binding, screens: &'static [Screen]) -> Binding {
    binding.on = screens;
    binding
}

/// Every key but those of actions, which [`ACTIONS`] declares.
pub(crate) const KEYS: &[Binding] = &[
    b(&[Char('1')], "1", Cmd::Go(Triage), "triage: what is wrong, by probable cause, and what to do"),
    b(&[Char('2')], "2", Cmd::Go(Tunnels), "tunnels: the live list"),
    b(&[Char('3')], "3", Cmd::Go(Ports), "ports: every team's range"),
    b(&[Char('4')], "4", Cmd::Go(Health), "health: the checks of every tunnel"),
    b(&[Char('5')], "5", Cmd::Go(Audit), "audit and sign-ins, as they come and back in time"),
    b(&[Char('6')], "6", Cmd::Go(Sessions), "sessions: hosts and operators now connected"),
    b(&[Char('7')], "7", Cmd::Go(Changes), "changes: what changed in the last minutes, of everything"),
    hinted(b(&[Char('w')], "w", Cmd::Changes, "what changed lately of what is selected"), "changed"),
    hinted(b(&[Char('/')], "/", Cmd::Filter, "filter: words, team=pay state!=up port=201* rtt>200ms"), "filter"),
    hinted(b(&[Char(':')], ":", Cmd::Palette, "command; some letters of it do, Tab completes"), "command"),
    b(&[Char('?')], "?", Cmd::Help, "this help; / in it searches"),
    b(&[Char('j'), Key::Down], "j ↓", Cmd::Down, "down"),
    b(&[Char('k'), Key::Up], "k ↑", Cmd::Up, "up"),
    b(&[Char('h'), Key::Left], "h ←", Cmd::Left, "left in the grid; the tab before in a detail"),
    b(&[Char('l'), Key::Right], "l →", Cmd::Right, "right in the grid; the next tab in a detail"),
    b(&[Char('g')], "gg", Cmd::G, "first"),
    b(&[Key::Home], "Home", Cmd::Top, "first"),
    b(&[Char('G'), Key::End], "G End", Cmd::Bottom, "last; in the audit: follow"),
    b(&[Ctrl('d')], "^d", Cmd::HalfDown, "half a page down"),
    b(&[Ctrl('u')], "^u", Cmd::HalfUp, "half a page up"),
    b(&[Key::PageDown, Ctrl('f')], "PgDn", Cmd::PageDown, "a page down"),
    b(&[Key::PageUp, Ctrl('b')], "PgUp", Cmd::PageUp, "a page up"),
    hinted(
        b(&[Key::Enter], "Enter", Cmd::Open, "open the detail; elsewhere: go to the tunnel, port or session"),
        "open",
    ),
    b(&[Key::Esc], "Esc", Cmd::Back, "back; then clear the filter"),
    b(&[Key::Tab, Key::BackTab], "Tab", Cmd::Pane, "to the other pane"),
    on(b(&[Char('[')], "[", Cmd::TabBack, "the tab before, in a tunnel's detail"), &[Tunnels, Health]),
    on(b(&[Char(']')], "]", Cmd::TabOn, "the next tab, in a tunnel's detail"), &[Tunnels, Health]),
    b(&[Char('n')], "n", Cmd::Next, "next row that matches the last filter"),
    b(&[Char('N')], "N", Cmd::Previous, "previous row that matches"),
    on(hinted(b(&[Char('s')], "s", Cmd::Sort, "sort by the next column"), "sort"), &[Tunnels, Sessions]),
    on(b(&[Char('S')], "S", Cmd::Reverse, "sort the other way round"), &[Tunnels, Sessions]),
    on(b(&[Char(' ')], "Space", Cmd::Mark, "mark; actions are then of all that is marked"), &[Tunnels]),
    on(b(&[Char('*')], "*", Cmd::MarkAll, "mark all that the filter shows, or none of them"), &[Tunnels]),
    on(hinted(b(&[Char('p'), Char(' ')], "p", Cmd::Pause, "pause or follow"), "pause"), &[Audit]),
    on(hinted(b(&[Char('e')], "e", Cmd::Kind, "sign-ins only, then other kinds, then all"), "kind"), &[Audit]),
    on(hinted(b(&[Char('[')], "[", Cmd::DayBack, "events of yesterday, then earlier days"), "yesterday"), &[Audit]),
    on(b(&[Char(']')], "]", Cmd::DayOn, "events of the day after"), &[Audit]),
    on(hinted(b(&[Char('F')], "F", Cmd::Failures, "failures by source; Enter: those of one"), "failures"), &[Audit]),
    on(hinted(b(&[Char('f')], "f", Cmd::NextFree, "next free port"), "next free"), &[Ports]),
    on(hinted(b(&[Char('+'), Char('=')], "+", Cmd::Longer, "look further back"), "longer"), &[Changes]),
    on(hinted(b(&[Char('-')], "-", Cmd::Shorter, "look less far back"), "shorter"), &[Changes]),
    b(&[Char('t')], "t", Cmd::Zone, "times local, UTC or as ages"),
    b(&[Char('y')], "y", Cmd::CopyValue, "copy the value (OSC 52)"),
    b(&[Char('Y')], "Y", Cmd::CopyCommand, "copy the shell command for it"),
    b(&[Char('W')], "W", Cmd::Write, "write mode for ten minutes, or leave it"),
    b(&[Char('L')], "L", Cmd::Log, "what this console has done, each act as its command"),
    b(&[Char('U')], "U", Cmd::Undo, "undo the last act, where it can be"),
    b(&[Ctrl('s')], "^s", Cmd::Export, "write what is listed to a file (:export FILE.csv)"),
    b(&[Ctrl('l')], "^l", Cmd::Redraw, "draw the screen anew"),
    b(&[Ctrl('c')], "^c ^c", Cmd::Interrupt, "quit"),
    hinted(b(&[Char('q')], "q", Cmd::Quit, "quit; back from a detail"), "quit"),
];

/// Whether an action can be asked for by key on a screen.
pub(crate) fn offered(spec: &ActionSpec, screen: Screen) -> bool {
    match spec.scope {
        Scope::Tunnel => matches!(screen, Triage | Tunnels | Health | Ports | Sessions),
        Scope::Visitor => matches!(screen, Tunnels | Health),
        // A lease can be acted on wherever its tunnel is selected; a free port is selected in the grid only.
        Scope::Port => screen == Ports || (matches!(spec.id, "move" | "release") && matches!(screen, Tunnels | Health)),
        Scope::Incident => screen == Triage,
        Scope::Session => screen == Sessions,
        Scope::Bastion => false,
    }
}

/// Whether the hints of a screen name an action: where it is offered besides, there is more to say.
pub(crate) fn at_home(spec: &ActionSpec, screen: Screen) -> bool {
    spec.scope != Scope::Port || screen == Ports
}

/// What a key asks for on a screen.
pub(crate) fn find(key: Key, screen: Screen) -> Option<Cmd> {
    let bound = KEYS.iter().find(|b| b.keys.contains(&key) && (b.on.is_empty() || b.on.contains(&screen)));
    bound.map(|b| b.cmd).or_else(|| {
        let Char(c) = key else { return None };
        // Two screens may use one key for an action each.
        let mut specs = ACTIONS.iter().filter(|a| a.key == Some(c)).peekable();
        let first = specs.peek().copied()?;
        let spec = specs.find(|a| offered(a, screen)).unwrap_or(first);
        Some(if offered(spec, screen) { Cmd::Act(spec) } else { Cmd::Elsewhere(spec) })
    })
}

/// Commands of the palette that are no actions: name, arguments, help.
pub(crate) const COMMANDS: &[(&str, &str, &str)] = &[
    ("write", "", "write mode for ten minutes"),
    ("read", "", "back to read-only"),
    ("theme", "[NAME]", "another theme; without a name: choose, and see each"),
    ("tz", "local|utc|relative", "how times are shown"),
    ("triage", "", "screen 1"),
    ("tunnels", "", "screen 2"),
    ("ports", "", "screen 3"),
    ("health", "", "screen 4"),
    ("audit", "", "screen 5"),
    ("sessions", "", "screen 6"),
    ("changes", "", "screen 7"),
    ("save", "NAME", "keep this screen's filter, and how the tunnels are sorted, as a view"),
    ("view", "[NAME]", "go to a view that was kept, or say which there are"),
    ("log", "", "what this console has done, each act as its command"),
    ("undo", "[SEQ]", "undo the last act, or that of a number of the log"),
    ("export", "[FILE.json|FILE.csv]", "write what is listed to a file"),
    ("set", "[NAME [VALUE]]", "what is set, and change it: keys, theme, columns, …"),
    ("mouse", "on|off", "click to select, wheel to scroll"),
    ("messages", "", "what the line at the bottom has said, in full, newest first"),
    ("help", "", "keys and commands"),
    ("quit", "", "leave the console"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_key_means_two_things_on_a_screen_and_nothing_destructive_is_on_ctrl() {
        for screen in Screen::ALL {
            let mut seen = std::collections::HashSet::new();
            for b in KEYS.iter().filter(|b| b.on.is_empty() || b.on.contains(&screen)) {
                for k in b.keys {
                    assert!(seen.insert(*k), "{k:?} twice on {screen:?}");
                }
            }
            for a in ACTIONS.iter().filter(|a| offered(a, screen)) {
                let Some(c) = a.key else { continue };
                assert!(seen.insert(Char(c)), "{c:?} of {} twice on {screen:?}", a.id);
                assert_eq!(find(Char(c), screen), Some(Cmd::Act(a)));
            }
        }
        assert!(KEYS.iter().all(|b| !matches!(b.cmd, Cmd::Act(_))));
    }

    #[test]
    fn every_key_that_triage_names_does_something_there() {
        for rule in crate::triage::RULES {
            for n in rule.next {
                let there = match n.key {
                    "" => true,
                    "Enter" => find(Key::Enter, Triage).is_some(),
                    command if command.starts_with(':') => {
                        ACTIONS.iter().any(|a| a.verb == command.trim_start_matches(':'))
                    }
                    key => {
                        matches!(find(Char(key.chars().next().unwrap()), Triage), Some(c) if !matches!(c, Cmd::Elsewhere(_)))
                    }
                };
                assert!(there, "{} of {}", n.key, rule.cause);
            }
        }
    }
}
