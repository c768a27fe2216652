//! The keys in force: those of the tables in [`super::keys`], with what the settings have moved elsewhere.

use super::input::Key;
use super::keys::{self, Binding, Cmd, KEYS};
use super::state::Screen;
use super::words::{Lang, tr};
use crate::control::actions::{ACTIONS, Scope};
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// What a command is called in the settings (`[keys]`) and in the documentation. An action is called by its verb.
pub(crate) fn name(cmd: Cmd) -> &'static str {
    match cmd {
        Cmd::Go(screen) => screen.word(),
        Cmd::Down => "down",
        Cmd::Up => "up",
        Cmd::Left => "left",
        Cmd::Right => "right",
        Cmd::G | Cmd::Top => "top",
        Cmd::Bottom => "bottom",
        Cmd::HalfDown => "half-down",
        Cmd::HalfUp => "half-up",
        Cmd::PageDown => "page-down",
        Cmd::PageUp => "page-up",
        Cmd::Open => "open",
        Cmd::Back => "back",
        Cmd::Pane => "pane",
        Cmd::TabBack => "tab-back",
        Cmd::TabOn => "tab-on",
        Cmd::Filter => "filter",
        Cmd::Next => "next",
        Cmd::Previous => "previous",
        Cmd::Palette => "command",
        Cmd::Sort => "sort",
        Cmd::Reverse => "reverse",
        Cmd::Zone => "zone",
        Cmd::CopyValue => "copy",
        Cmd::CopyCommand => "copy-command",
        Cmd::Write => "write",
        Cmd::Help => "help",
        Cmd::Quit => "quit",
        Cmd::Interrupt => "interrupt",
        Cmd::Redraw => "redraw",
        Cmd::Pause => "pause",
        Cmd::Kind => "kind",
        Cmd::DayBack => "day-back",
        Cmd::DayOn => "day-on",
        Cmd::Failures => "failures",
        Cmd::NextFree => "next-free",
        Cmd::Mark => "mark",
        Cmd::MarkAll => "mark-all",
        Cmd::Changes => "what-changed",
        Cmd::Longer => "longer",
        Cmd::Shorter => "shorter",
        Cmd::Log => "log",
        Cmd::Undo => "undo",
        Cmd::Export => "export",
        Cmd::Act(spec) | Cmd::Elsewhere(spec) => spec.verb,
    }
}

/// All names that a key can be given to, in the order of the tables.
pub(crate) fn names() -> Vec<&'static str> {
    let mut all: Vec<&'static str> = vec![];
    for n in KEYS.iter().map(|b| name(b.cmd)).chain(ACTIONS.iter().map(|a| a.verb)) {
        if !all.contains(&n) {
            all.push(n);
        }
    }
    all
}

/// Keys that are not a single character.
const NAMED: [(&str, Key); 16] = [
    ("Enter", Key::Enter),
    ("Esc", Key::Esc),
    ("Tab", Key::Tab),
    ("S-Tab", Key::BackTab),
    ("Backspace", Key::Backspace),
    ("Delete", Key::Delete),
    ("Space", Key::Char(' ')),
    ("↑", Key::Up),
    ("↓", Key::Down),
    ("←", Key::Left),
    ("→", Key::Right),
    ("Home", Key::Home),
    ("End", Key::End),
    ("PgUp", Key::PageUp),
    ("PgDn", Key::PageDown),
    // As the settings may write it too.
    ("Escape", Key::Esc),
];

/// A key as the settings write it: `C`, `^r`, `Enter`, `Up`.
pub(crate) fn parse(text: &str, lang: Lang) -> Result<Key, String> {
    let mut letters = text.chars();
    match (letters.next(), letters.next(), letters.next()) {
        (Some(c), None, _) if !c.is_control() && c != ' ' && !"↑↓←→".contains(c) => return Ok(Key::Char(c)),
        (Some('^'), Some(c), None) if c.is_ascii_alphabetic() => {
            let c = c.to_ascii_lowercase();
            // Terminals send the same bytes for these.
            return match c {
                'h' | 'i' | 'j' | 'm' => Err(tr!(lang, problem.key_twin, letter = c)),
                c => Ok(Key::Ctrl(c)),
            };
        }
        _ => {}
    }
    let arrow = match text.to_ascii_lowercase().as_str() {
        "up" => Some(Key::Up),
        "down" => Some(Key::Down),
        "left" => Some(Key::Left),
        "right" => Some(Key::Right),
        _ => None,
    };
    let named = || NAMED.iter().find(|(n, _)| n.eq_ignore_ascii_case(text)).map(|(_, k)| *k);
    arrow.or_else(named).ok_or_else(|| tr!(lang, problem.key_unknown, text = format!("{text:?}")))
}

/// The key as help writes it.
pub(crate) fn spell(key: Key) -> String {
    match NAMED.iter().find(|(_, k)| *k == key) {
        Some((name, _)) => (*name).to_owned(),
        None => match key {
            Key::Ctrl(c) => format!("^{c}"),
            Key::Char(c) => c.to_string(),
            _ => String::new(),
        },
    }
}

/// See the module.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Keymap {
    /// By the command's name: its keys instead of the table's. None at all takes its key away.
    moved: BTreeMap<&'static str, Vec<Key>>,
}

/// On which screens a name's keys do something.
fn screens(name: &str) -> Vec<Screen> {
    let bound = KEYS.iter().filter(|b| self::name(b.cmd) == name);
    let of_keys: Vec<Screen> =
        bound.flat_map(|b| if b.on.is_empty() { Screen::ALL.to_vec() } else { b.on.to_vec() }).collect();
    let action = ACTIONS.iter().find(|a| a.verb == name);
    let offered = |a: &crate::control::actions::ActionSpec| -> Vec<Screen> {
        Screen::ALL.into_iter().filter(|s| a.scope == Scope::Bastion || keys::offered(a, *s)).collect()
    };
    of_keys.into_iter().chain(action.map(offered).unwrap_or_default()).collect()
}

impl Keymap {
    /// The tables with these moved, in the order of the settings. What cannot be is left as it was, and said.
    pub(crate) fn new(wanted: &[(&'static str, Vec<Key>)], lang: Lang) -> (Self, Vec<(&'static str, String)>) {
        let mut problems = vec![];
        let mut map = Self::default();
        for (name, keys) in wanted {
            match refused(name, keys, lang) {
                Some(why) => problems.push((*name, why)),
                None => {
                    map.moved.insert(name, keys.clone());
                }
            }
        }
        // Judged together, so that two commands can change places. The later one gives way.
        while let Some((name, why)) = wanted.iter().rev().find_map(|(n, _)| Some((*n, map.clash(n, lang)?))) {
            map.moved.remove(name);
            problems.push((name, why));
        }
        (map, problems)
    }

    /// Which other command has one of this one's keys already.
    fn clash(&self, name: &'static str, lang: Lang) -> Option<String> {
        let own = screens(name);
        self.moved.get(name)?.iter().find_map(|key| {
            let taken = names().into_iter().filter(|n| *n != name && self.keys(n).contains(key));
            let taken = taken.into_iter().find(|n| screens(n).iter().any(|s| own.contains(s)))?;
            Some(tr!(lang, problem.key_taken, key = spell(*key), taken))
        })
    }

    fn keys(&self, name: &str) -> Vec<Key> {
        if let Some(moved) = self.moved.get(name) {
            return moved.clone();
        }
        let bound = KEYS.iter().filter(|b| self::name(b.cmd) == name).flat_map(|b| b.keys.iter().copied());
        let action = ACTIONS.iter().find(|a| a.verb == name).and_then(|a| a.key).map(Key::Char);
        bound.chain(action).collect()
    }

    /// What a key asks for on a screen.
    pub(crate) fn find(&self, key: Key, screen: Screen) -> Option<Cmd> {
        if self.moved.is_empty() {
            return keys::find(key, screen);
        }
        let here = |b: &&Binding| b.on.is_empty() || b.on.contains(&screen);
        for (name, _) in self.moved.iter().filter(|(_, keys)| keys.contains(&key)) {
            let bound = KEYS.iter().filter(|b| self::name(b.cmd) == *name).find(here).map(|b| b.cmd);
            let act = || {
                let spec = ACTIONS.iter().find(|a| a.verb == *name)?;
                Some(if keys::offered(spec, screen) { Cmd::Act(spec) } else { Cmd::Elsewhere(spec) })
            };
            if let Some(cmd) = bound.or_else(act) {
                // `gg` is two keys; another key in its place is one.
                return Some(if cmd == Cmd::G { Cmd::Top } else { cmd });
            }
        }
        keys::find(key, screen).filter(|cmd| !self.moved.contains_key(self::name(*cmd)))
    }

    /// How help writes a command's keys; nothing when it has none.
    pub(crate) fn shown(&self, binding: &Binding) -> String {
        match self.moved.get(name(binding.cmd)) {
            None => binding.shown.to_owned(),
            Some(keys) => keys.iter().map(|k| spell(*k)).collect::<Vec<_>>().join(" "),
        }
    }

    /// The key of an action, if it has one.
    pub(crate) fn of_action(&self, verb: &str) -> Option<String> {
        self.keys(verb).first().map(|k| spell(*k))
    }

    /// The first key of a command, or the command as a word where it has none: for texts that say what to press.
    pub(crate) fn say(&self, name: &str) -> String {
        let own = self.moved.get(name).map(|keys| keys.first().map(|k| spell(*k)));
        let table = || {
            let bound = KEYS.iter().find(|b| self::name(b.cmd) == name);
            bound.map(|b| b.shown.split(' ').next().unwrap_or(b.shown).to_owned()).or_else(|| self.of_action(name))
        };
        own.unwrap_or_else(table).unwrap_or_else(|| format!(":{name}"))
    }

    /// A key that somebody else has named as the table has it (triage's next steps), as it is here.
    pub(crate) fn translate(&self, table: &str) -> String {
        if self.moved.is_empty() {
            return table.to_owned();
        }
        let bound = KEYS.iter().find(|b| b.shown == table).map(|b| name(b.cmd));
        let action = || ACTIONS.iter().find(|a| a.key.is_some_and(|k| table == k.to_string())).map(|a| a.verb);
        bound.or_else(action).map_or_else(|| table.to_owned(), |n| self.say(n))
    }

    /// What has been moved, as the settings write it.
    pub(crate) fn moved(&self) -> impl Iterator<Item = (&'static str, String)> {
        self.moved.iter().map(|(name, keys)| {
            let mut text = String::new();
            for k in keys {
                let _ = write!(text, "{}{}", if text.is_empty() { "" } else { " " }, spell(*k));
            }
            (*name, text)
        })
    }
}

/// Why a command cannot have these keys, whatever the others have.
fn refused(name: &str, keys: &[Key], lang: Lang) -> Option<String> {
    if name == "interrupt" {
        return Some(tr!(lang, problem.key_interrupt).into());
    }
    let acts = ACTIONS.iter().any(|a| a.verb == name);
    let plain = keys.iter().find(|k| !matches!(k, Key::Char(_)));
    plain.filter(|_| acts).map(|key| tr!(lang, problem.key_action, key = spell(*key), name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use Key::{Char, Ctrl};

    fn map(wanted: &[(&'static str, Key)]) -> (Keymap, Vec<(&'static str, String)>) {
        let wanted: Vec<(&'static str, Vec<Key>)> = wanted.iter().map(|(n, k)| (*n, vec![*k])).collect();
        Keymap::new(&wanted, Lang::En)
    }

    #[test]
    fn every_command_has_a_name_of_its_own() {
        let mut seen: Vec<(&str, Cmd)> = vec![];
        for b in KEYS {
            let same = seen.iter().find(|(n, _)| *n == name(b.cmd));
            let known = same.is_none_or(|(_, c)| *c == b.cmd || (*c == Cmd::G && b.cmd == Cmd::Top));
            assert!(known, "{} is two commands", name(b.cmd));
            seen.push((name(b.cmd), b.cmd));
        }
        for a in ACTIONS {
            assert!(seen.iter().all(|(n, _)| *n != a.verb), "{} is a command and an action", a.verb);
        }
    }

    #[test]
    fn keys_are_read_as_they_are_spelled() {
        for key in [Char('C'), Char(' '), Char('한'), Ctrl('r'), Key::Up, Key::PageDown, Key::Enter, Key::Esc] {
            assert_eq!(parse(&spell(key), Lang::En), Ok(key));
        }
        assert_eq!(parse("up", Lang::En), Ok(Key::Up));
        assert!(parse("^j", Lang::En).is_err() && parse("Hyper-x", Lang::En).is_err() && parse("", Lang::En).is_err());
    }

    #[test]
    fn a_moved_command_is_on_its_new_key_and_no_longer_on_the_old_one() {
        let (m, problems) = map(&[("reconnect", Char('C')), ("top", Char('T'))]);
        assert!(problems.is_empty(), "{problems:?}");
        assert!(matches!(m.find(Char('C'), Screen::Tunnels), Some(Cmd::Act(a)) if a.verb == "reconnect"));
        assert_eq!(m.find(Char('c'), Screen::Tunnels), None);
        assert_eq!(m.find(Char('T'), Screen::Tunnels), Some(Cmd::Top));
        assert_eq!(m.find(Char('g'), Screen::Tunnels), None);
        assert_eq!(m.find(Key::Home, Screen::Tunnels), None);
        assert_eq!(
            (m.say("reconnect"), m.translate("c"), m.translate("Enter")),
            ("C".into(), "C".into(), "Enter".into())
        );
        assert_eq!(m.say("reload"), ":reload");
    }

    #[test]
    fn two_commands_can_change_places_and_what_is_taken_is_refused() {
        let (m, problems) = map(&[("reconnect", Char('x')), ("revoke", Char('c'))]);
        assert!(problems.is_empty(), "{problems:?}");
        assert!(matches!(m.find(Char('x'), Screen::Tunnels), Some(Cmd::Act(a)) if a.verb == "reconnect"));
        let (m, problems) = map(&[("reconnect", Char('x'))]);
        assert_eq!(problems.len(), 1);
        assert!(problems[0].1.contains("`revoke`"), "{problems:?}");
        assert_eq!(m, Keymap::default(), "nothing is half done");
        // On different screens they do not meet.
        assert!(map(&[("next-free", Char('p'))]).1.is_empty());
        assert_eq!(map(&[("next-free", Char('s')), ("pause", Char('s'))]).1, []);
    }

    #[test]
    fn nothing_that_acts_is_on_ctrl_and_the_way_out_stays() {
        let (m, problems) = map(&[("revoke", Ctrl('r')), ("interrupt", Char('z')), ("redraw", Ctrl('r'))]);
        assert_eq!(problems.iter().map(|(n, _)| *n).collect::<Vec<_>>(), ["revoke", "interrupt"]);
        assert_eq!(m.find(Ctrl('r'), Screen::Triage), Some(Cmd::Redraw));
        assert_eq!(m.find(Ctrl('c'), Screen::Triage), Some(Cmd::Interrupt));
        let (_, problems) = map(&[("help", Ctrl('c'))]);
        assert_eq!(problems.len(), 1);
    }
}
