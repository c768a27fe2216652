//! The keys, declared once: what they do, and the words that help and hints use for them.

use super::input::Key;
use super::state::Screen;
use super::words::{Lang, tr};
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

/// A text, in the language that is asked for.
pub(crate) type Words = fn(Lang) -> &'static str;

/// One line of the table.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Binding {
    pub(crate) keys: &'static [Key],
    /// How help writes the keys.
    pub(crate) shown: &'static str,
    pub(crate) cmd: Cmd,
    pub(crate) help: Words,
    /// The word for the hints at the bottom, if it is worth one.
    pub(crate) hint: Option<Words>,
    /// On these screens only; on all when empty.
    pub(crate) on: &'static [Screen],
}

use Key::{Char, Ctrl};
use Screen::{Audit, Changes, Health, Ports, Sessions, Triage, Tunnels};

const fn b(keys: &'static [Key], shown: &'static str, cmd: Cmd, help: Words) -> Binding {
    Binding { keys, shown, cmd, help, hint: None, on: &[] }
}
const fn hinted(mut binding: Binding, hint: Words) -> Binding {
    binding.hint = Some(hint);
    binding
}
const fn on(mut binding: Binding, screens: &'static [Screen]) -> Binding {
    binding.on = screens;
    binding
}

/// Every key but those of actions, which [`ACTIONS`] declares.
pub(crate) const KEYS: &[Binding] = &[
    b(&[Char('1')], "1", Cmd::Go(Triage), |l| tr!(l, key.go_triage)),
    b(&[Char('2')], "2", Cmd::Go(Tunnels), |l| tr!(l, key.go_tunnels)),
    b(&[Char('3')], "3", Cmd::Go(Ports), |l| tr!(l, key.go_ports)),
    b(&[Char('4')], "4", Cmd::Go(Health), |l| tr!(l, key.go_health)),
    b(&[Char('5')], "5", Cmd::Go(Audit), |l| tr!(l, key.go_audit)),
    b(&[Char('6')], "6", Cmd::Go(Sessions), |l| tr!(l, key.go_sessions)),
    b(&[Char('7')], "7", Cmd::Go(Changes), |l| tr!(l, key.go_changes)),
    hinted(b(&[Char('w')], "w", Cmd::Changes, |l| tr!(l, key.changes)), |l| tr!(l, hint.changes)),
    hinted(b(&[Char('/')], "/", Cmd::Filter, |l| tr!(l, key.filter)), |l| tr!(l, hint.filter)),
    hinted(b(&[Char(':')], ":", Cmd::Palette, |l| tr!(l, key.palette)), |l| tr!(l, hint.palette)),
    b(&[Char('?')], "?", Cmd::Help, |l| tr!(l, key.help)),
    b(&[Char('j'), Key::Down], "j ↓", Cmd::Down, |l| tr!(l, key.down)),
    b(&[Char('k'), Key::Up], "k ↑", Cmd::Up, |l| tr!(l, key.up)),
    b(&[Char('h'), Key::Left], "h ←", Cmd::Left, |l| tr!(l, key.left)),
    b(&[Char('l'), Key::Right], "l →", Cmd::Right, |l| tr!(l, key.right)),
    b(&[Char('g')], "gg", Cmd::G, |l| tr!(l, key.top)),
    b(&[Key::Home], "Home", Cmd::Top, |l| tr!(l, key.top)),
    b(&[Char('G'), Key::End], "G End", Cmd::Bottom, |l| tr!(l, key.bottom)),
    b(&[Ctrl('d')], "^d", Cmd::HalfDown, |l| tr!(l, key.half_down)),
    b(&[Ctrl('u')], "^u", Cmd::HalfUp, |l| tr!(l, key.half_up)),
    b(&[Key::PageDown, Ctrl('f')], "PgDn", Cmd::PageDown, |l| tr!(l, key.page_down)),
    b(&[Key::PageUp, Ctrl('b')], "PgUp", Cmd::PageUp, |l| tr!(l, key.page_up)),
    hinted(b(&[Key::Enter], "Enter", Cmd::Open, |l| tr!(l, key.open)), |l| tr!(l, hint.open)),
    b(&[Key::Esc], "Esc", Cmd::Back, |l| tr!(l, key.back)),
    b(&[Key::Tab, Key::BackTab], "Tab", Cmd::Pane, |l| tr!(l, key.pane)),
    on(b(&[Char('[')], "[", Cmd::TabBack, |l| tr!(l, key.tab_back)), &[Tunnels, Health]),
    on(b(&[Char(']')], "]", Cmd::TabOn, |l| tr!(l, key.tab_on)), &[Tunnels, Health]),
    b(&[Char('n')], "n", Cmd::Next, |l| tr!(l, key.next)),
    b(&[Char('N')], "N", Cmd::Previous, |l| tr!(l, key.previous)),
    on(hinted(b(&[Char('s')], "s", Cmd::Sort, |l| tr!(l, key.sort)), |l| tr!(l, hint.sort)), &[Tunnels, Sessions]),
    on(b(&[Char('S')], "S", Cmd::Reverse, |l| tr!(l, key.reverse)), &[Tunnels, Sessions]),
    on(b(&[Char(' ')], "Space", Cmd::Mark, |l| tr!(l, key.mark)), &[Tunnels]),
    on(b(&[Char('*')], "*", Cmd::MarkAll, |l| tr!(l, key.mark_all)), &[Tunnels]),
    on(hinted(b(&[Char('p'), Char(' ')], "p", Cmd::Pause, |l| tr!(l, key.pause)), |l| tr!(l, hint.pause)), &[Audit]),
    on(hinted(b(&[Char('e')], "e", Cmd::Kind, |l| tr!(l, key.kind)), |l| tr!(l, hint.kind)), &[Audit]),
    on(hinted(b(&[Char('[')], "[", Cmd::DayBack, |l| tr!(l, key.day_back)), |l| tr!(l, hint.day_back)), &[Audit]),
    on(b(&[Char(']')], "]", Cmd::DayOn, |l| tr!(l, key.day_on)), &[Audit]),
    on(hinted(b(&[Char('F')], "F", Cmd::Failures, |l| tr!(l, key.failures)), |l| tr!(l, hint.failures)), &[Audit]),
    on(hinted(b(&[Char('f')], "f", Cmd::NextFree, |l| tr!(l, key.next_free)), |l| tr!(l, hint.next_free)), &[Ports]),
    on(
        hinted(b(&[Char('+'), Char('=')], "+", Cmd::Longer, |l| tr!(l, key.longer)), |l| tr!(l, hint.longer)),
        &[Changes],
    ),
    on(hinted(b(&[Char('-')], "-", Cmd::Shorter, |l| tr!(l, key.shorter)), |l| tr!(l, hint.shorter)), &[Changes]),
    b(&[Char('t')], "t", Cmd::Zone, |l| tr!(l, key.zone)),
    b(&[Char('y')], "y", Cmd::CopyValue, |l| tr!(l, key.copy_value)),
    b(&[Char('Y')], "Y", Cmd::CopyCommand, |l| tr!(l, key.copy_command)),
    b(&[Char('W')], "W", Cmd::Write, |l| tr!(l, key.write)),
    b(&[Char('L')], "L", Cmd::Log, |l| tr!(l, key.log)),
    b(&[Char('U')], "U", Cmd::Undo, |l| tr!(l, key.undo)),
    b(&[Ctrl('s')], "^s", Cmd::Export, |l| tr!(l, key.export)),
    b(&[Ctrl('l')], "^l", Cmd::Redraw, |l| tr!(l, key.redraw)),
    b(&[Ctrl('c')], "^c ^c", Cmd::Interrupt, |l| tr!(l, key.interrupt)),
    hinted(b(&[Char('q')], "q", Cmd::Quit, |l| tr!(l, key.quit)), |l| tr!(l, hint.quit)),
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
        Scope::Bastion | Scope::Key => false,
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
pub(crate) const COMMANDS: &[(&str, &str, Words)] = &[
    ("write", "", |l| tr!(l, command.write)),
    ("read", "", |l| tr!(l, command.read)),
    ("theme", "[NAME]", |l| tr!(l, command.theme)),
    ("tz", "local|utc|relative", |l| tr!(l, command.tz)),
    ("lang", "en|ko", |l| tr!(l, command.lang)),
    ("triage", "", |l| tr!(l, command.triage)),
    ("tunnels", "", |l| tr!(l, command.tunnels)),
    ("ports", "", |l| tr!(l, command.ports)),
    ("health", "", |l| tr!(l, command.health)),
    ("audit", "", |l| tr!(l, command.audit)),
    ("sessions", "", |l| tr!(l, command.sessions)),
    ("changes", "", |l| tr!(l, command.changes)),
    ("save", "NAME", |l| tr!(l, command.save)),
    ("view", "[NAME]", |l| tr!(l, command.view)),
    ("log", "", |l| tr!(l, command.log)),
    ("pending", "", |l| tr!(l, command.pending)),
    ("undo", "[SEQ]", |l| tr!(l, command.undo)),
    ("export", "[FILE.json|FILE.csv]", |l| tr!(l, command.export)),
    ("set", "[NAME [VALUE]]", |l| tr!(l, command.set)),
    ("mouse", "on|off", |l| tr!(l, command.mouse)),
    ("messages", "", |l| tr!(l, command.messages)),
    ("help", "", |l| tr!(l, command.help)),
    ("quit", "", |l| tr!(l, command.quit)),
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
                        let verb = command.trim_start_matches(':');
                        ACTIONS.iter().any(|a| a.verb == verb) || COMMANDS.iter().any(|c| c.0 == verb)
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
