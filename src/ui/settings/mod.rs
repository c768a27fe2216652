//! What a console's user has set: keys, theme, times, columns. Read from one file, and changed in it by `:set`.

pub(crate) mod file;
mod read;

use super::keymap::Keymap;
use super::keys::Words;
use super::notify::Notify;
use super::state::rows::SortBy;
use super::state::views::View;
use super::state::{Screen, Zone};
use super::words::{Lang, tr};
use std::collections::BTreeMap;

pub(crate) use read::{Known, read};

/// Screens whose lists have columns.
pub(crate) const LISTS: [Screen; 5] =
    [Screen::Triage, Screen::Tunnels, Screen::Health, Screen::Audit, Screen::Sessions];

/// Everything that can be set. A default stands for what the file does not say.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Settings {
    pub(crate) keys: Keymap,
    pub(crate) theme: Option<String>,
    pub(crate) zone: Option<Zone>,
    pub(crate) language: Option<Lang>,
    pub(crate) mouse: Option<bool>,
    pub(crate) title: Option<bool>,
    pub(crate) notify: Notify,
    /// Which columns a list has, and in which order.
    pub(crate) columns: BTreeMap<Screen, Vec<String>>,
    /// How the tunnels are sorted at first, and whether the other way round.
    pub(crate) sort: Option<(SortBy, bool)>,
    /// By name.
    pub(crate) views: BTreeMap<String, View>,
}

/// What kind of value a setting has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// One word.
    Word,
    /// True or false.
    Switch,
    /// A table whose names have lists of words.
    Lists,
}

/// One setting: its name in the file, its values as help shows them, and what it is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Spec {
    pub(crate) name: &'static str,
    pub(crate) values: Words,
    pub(crate) help: Words,
    pub(crate) kind: Kind,
}

const fn s(name: &'static str, kind: Kind, values: Words, help: Words) -> Spec {
    Spec { name, values, help, kind }
}

/// All of them. The documentation has this table.
pub(crate) const SETTINGS: &[Spec] = &[
    s("theme", Kind::Word, |l| tr!(l, setting.theme_values), |l| tr!(l, setting.theme)),
    s("zone", Kind::Word, |l| tr!(l, setting.zone_values), |l| tr!(l, setting.zone)),
    s("language", Kind::Word, |l| tr!(l, setting.language_values), |l| tr!(l, setting.language)),
    s("mouse", Kind::Switch, |l| tr!(l, setting.switch_values), |l| tr!(l, setting.mouse)),
    s("title", Kind::Switch, |l| tr!(l, setting.switch_values), |l| tr!(l, setting.title)),
    s("notify", Kind::Word, |l| tr!(l, setting.notify_values), |l| tr!(l, setting.notify)),
    s("sort.tunnels", Kind::Word, |l| tr!(l, setting.sort_values), |l| tr!(l, setting.sort)),
    s("columns.SCREEN", Kind::Lists, |l| tr!(l, setting.columns_values), |l| tr!(l, setting.columns)),
    s("views.NAME", Kind::Word, |l| tr!(l, setting.views_values), |l| tr!(l, setting.views)),
    s("keys.COMMAND", Kind::Lists, |l| tr!(l, setting.keys_values), |l| tr!(l, setting.keys)),
];

/// The setting that a name belongs to: `keys.reconnect` to `keys.COMMAND`.
pub(crate) fn spec(name: &str) -> Option<&'static Spec> {
    SETTINGS.iter().find(|s| {
        s.name == name
            || s.name.split_once('.').is_some_and(|(table, rest)| {
                rest.starts_with(char::is_uppercase)
                    && name.split_once('.').is_some_and(|(t, n)| t == table && !n.is_empty())
            })
    })
}

/// Something in the file that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Problem {
    /// From 1.
    pub(crate) line: usize,
    /// The setting it is about, or as much of it as is known.
    pub(crate) name: String,
    /// What is wrong and what to do.
    pub(crate) what: String,
}

impl Settings {
    /// Each setting that has a value of its own, as the file has it.
    pub(crate) fn own(&self) -> Vec<(String, String)> {
        let mut out: Vec<(String, String)> = vec![];
        let mut word = |name: &str, value: Option<String>| out.extend(value.map(|v| (name.to_owned(), v)));
        word("theme", self.theme.clone());
        word("zone", self.zone.map(|z| zone_word(z).to_owned()));
        word("language", self.language.map(|l| l.word().to_owned()));
        word("mouse", self.mouse.map(|b| b.to_string()));
        word("title", self.title.map(|b| b.to_string()));
        word("notify", (self.notify != Notify::None).then(|| self.notify.word().to_owned()));
        word("sort.tunnels", self.sort.map(|(by, back)| format!("{}{}", if back { "-" } else { "" }, by.name())));
        for (screen, names) in &self.columns {
            word(&format!("columns.{}", screen.word()), Some(names.join(" ")));
        }
        for (name, view) in &self.views {
            word(&format!("views.{name}"), Some(view.line()));
        }
        for (name, keys) in self.keys.moved() {
            word(&format!("keys.{name}"), Some(if keys.is_empty() { "none".into() } else { keys }));
        }
        out
    }
}

/// The word for how times are shown.
pub(crate) fn zone_word(zone: Zone) -> &'static str {
    match zone {
        Zone::Local => "local",
        Zone::Utc => "utc",
        Zone::Relative => "relative",
    }
}

#[cfg(test)]
mod tests;
