//! Reads the settings. What cannot be used is said, with its line, and the default stays in force for it alone.

use super::{Problem, SETTINGS, Settings};
use crate::ui::keymap::{self, Keymap};
use crate::ui::notify::Notify;
use crate::ui::state::rows::SortBy;
use crate::ui::state::views::{View, is_name};
use crate::ui::state::{Screen, Zone};
use crate::ui::view;
use crate::ui::words::{Lang, tr};
use std::ops::Range;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// What values are judged by that is known only at run time.
#[derive(Debug, Clone, Default)]
pub(crate) struct Known {
    pub(crate) themes: Vec<String>,
    /// The language that problems are told in.
    pub(crate) lang: Lang,
}

/// One value and where it stands.
struct Item<'a> {
    name: String,
    at: Range<usize>,
    value: &'a DeValue<'a>,
}

struct Reader<'a> {
    text: &'a str,
    problems: Vec<Problem>,
    lang: Lang,
}

impl Reader<'_> {
    fn line(&self, at: usize) -> usize {
        self.text.bytes().take(at).filter(|b| *b == b'\n').count() + 1
    }

    fn wrong(&mut self, name: &str, at: &Range<usize>, what: impl AsRef<str>) {
        let what = crate::model::clean(what.as_ref(), 500);
        self.problems.push(Problem { line: self.line(at.start), name: name.to_owned(), what });
    }

    fn text_of<'a>(&mut self, item: &Item<'a>) -> Option<&'a str> {
        if let DeValue::String(s) = item.value {
            return Some(s);
        }
        self.wrong(&item.name, &item.at, tr!(self.lang, problem.text, name = item.name));
        None
    }

    fn switch(&mut self, item: &Item<'_>) -> Option<bool> {
        if let DeValue::Boolean(b) = item.value {
            return Some(*b);
        }
        self.wrong(&item.name, &item.at, tr!(self.lang, problem.switch, name = item.name));
        None
    }

    /// One of some words.
    fn one_of<T: Copy>(&mut self, item: &Item<'_>, choices: &[(&str, T)]) -> Option<T> {
        let text = self.text_of(item)?;
        let found = choices.iter().find(|(w, _)| *w == text).map(|(_, v)| *v);
        if found.is_none() {
            let words: Vec<&str> = choices.iter().map(|(w, _)| *w).collect();
            self.wrong(&item.name, &item.at, unknown(self.lang, &item.name, text, &words));
        }
        found
    }

    /// A list of texts; one text stands for a list of one.
    fn list(&mut self, item: &Item<'_>) -> Option<Vec<String>> {
        let texts: Option<Vec<String>> = match item.value {
            DeValue::String(s) => Some(s.split_whitespace().map(str::to_owned).collect()),
            DeValue::Array(all) => all.iter().map(|v| v.get_ref().as_str().map(str::to_owned)).collect(),
            _ => None,
        };
        if texts.is_none() {
            self.wrong(&item.name, &item.at, tr!(self.lang, problem.list, name = item.name));
        }
        texts
    }

    /// The entries of a table.
    fn entries<'a>(&mut self, item: &Item<'a>) -> Vec<(&'a str, Item<'a>)> {
        let DeValue::Table(table) = item.value else {
            self.wrong(&item.name, &item.at, tr!(self.lang, problem.table, name = item.name));
            return vec![];
        };
        items(table)
            .into_iter()
            .map(|(key, entry)| (key, Item { name: format!("{}.{key}", item.name), ..entry }))
            .collect()
    }

    fn columns(&mut self, screen: Screen, item: &Item<'_>) -> Option<Vec<String>> {
        let names = self.list(item)?;
        let known: Vec<String> = view::columns(screen).iter().map(|c| c.name.to_owned()).collect();
        let words: Vec<&str> = known.iter().map(String::as_str).collect();
        if let Some(odd) = names.iter().find(|n| !known.contains(n)) {
            self.wrong(&item.name, &item.at, unknown(self.lang, &item.name, odd, &words));
            return None;
        }
        let twice = names.iter().enumerate().find(|(i, n)| names.iter().take(*i).any(|m| m == *n));
        if let Some((_, n)) = twice {
            self.wrong(&item.name, &item.at, tr!(self.lang, problem.twice, name = item.name, column = n));
            return None;
        }
        if names.is_empty() {
            let said = tr!(self.lang, problem.no_column, name = item.name, words = words.join(", "));
            self.wrong(&item.name, &item.at, said);
            return None;
        }
        Some(names)
    }
}

fn unknown(lang: Lang, name: &str, value: &str, words: &[&str]) -> String {
    let near = words.iter().map(|w| (strsim::damerau_levenshtein(w, value), w)).min().filter(|(d, _)| *d <= 2);
    let (value, words) = (format!("{value:?}"), words.join(", "));
    match near {
        Some((_, near)) => tr!(lang, problem.unknown_near, name, value, near, words),
        None => tr!(lang, problem.unknown, name, value, words),
    }
}

fn items<'a>(table: &'a DeTable<'a>) -> Vec<(&'a str, Item<'a>)> {
    let mut all: Vec<_> = table
        .iter()
        .map(|(k, v): (&'a Spanned<_>, &'a Spanned<DeValue<'a>>)| {
            let key: &'a std::borrow::Cow<'a, str> = k.get_ref();
            (key.as_ref(), Item { name: key.to_string(), at: k.span(), value: v.get_ref() })
        })
        .collect();
    // In the order of the file.
    all.sort_by_key(|(_, i)| i.at.start);
    all
}

/// Reads a file's text. With an error in its TOML nothing of it is used.
pub(crate) fn read(text: &str, known: &Known) -> (Settings, Vec<Problem>) {
    let mut r = Reader { text, problems: vec![], lang: known.lang };
    let mut out = Settings::default();
    let document = match DeTable::parse(text) {
        Ok(d) => d,
        Err(e) => {
            let at = e.span().unwrap_or(0..0);
            r.wrong("", &at, tr!(known.lang, problem.not_toml, why = e.message()));
            return (out, r.problems);
        }
    };
    for (key, item) in items(document.get_ref()) {
        match key {
            "theme" => {
                let themes: Vec<(&str, &str)> = known.themes.iter().map(|t| (t.as_str(), t.as_str())).collect();
                out.theme = r.one_of(&item, &themes).map(str::to_owned);
            }
            "zone" => {
                let zones = [("local", Zone::Local), ("utc", Zone::Utc), ("relative", Zone::Relative)];
                out.zone = r.one_of(&item, &zones);
            }
            "language" => out.language = r.one_of(&item, &Lang::ALL.map(|l| (l.word(), l))),
            "mouse" => out.mouse = r.switch(&item),
            "title" => out.title = r.switch(&item),
            "notify" => out.notify = r.one_of(&item, &Notify::ALL.map(|n| (n.word(), n))).unwrap_or_default(),
            "sort" => {
                for (name, entry) in r.entries(&item) {
                    if name != "tunnels" {
                        r.wrong(&entry.name, &entry.at, unknown(known.lang, "sort", name, &["tunnels"]));
                        continue;
                    }
                    let forms: Vec<(String, (SortBy, bool))> = SortBy::ALL
                        .iter()
                        .flat_map(|by| [(by.name().to_owned(), (*by, false)), (format!("-{}", by.name()), (*by, true))])
                        .collect();
                    let forms: Vec<(&str, (SortBy, bool))> = forms.iter().map(|(w, v)| (w.as_str(), *v)).collect();
                    out.sort = r.one_of(&entry, &forms);
                }
            }
            "columns" => {
                for (name, entry) in r.entries(&item) {
                    let screens: Vec<&str> = super::LISTS.iter().map(|s| s.word()).collect();
                    match super::LISTS.into_iter().find(|s| s.word() == name) {
                        Some(screen) => {
                            if let Some(names) = r.columns(screen, &entry) {
                                out.columns.insert(screen, names);
                            }
                        }
                        None => r.wrong(&entry.name, &entry.at, unknown(known.lang, "columns", name, &screens)),
                    }
                }
            }
            "views" => {
                for (name, entry) in r.entries(&item) {
                    let Some(line) = r.text_of(&entry) else { continue };
                    match View::parse(line, known.lang) {
                        Ok(view) if is_name(name) => drop(out.views.insert(name.to_owned(), view)),
                        Ok(_) => r.wrong(&entry.name, &entry.at, tr!(known.lang, problem.view_name)),
                        Err(why) => r.wrong(&entry.name, &entry.at, why),
                    }
                }
            }
            "keys" => out.keys = keys(&mut r, &item),
            _ => {
                let tops: Vec<&str> = SETTINGS.iter().map(|s| s.name.split('.').next().unwrap_or(s.name)).collect();
                let near = tops.iter().map(|t| (strsim::damerau_levenshtein(t, key), t)).min().filter(|(d, _)| *d <= 2);
                let said = match near {
                    Some((_, near)) => tr!(known.lang, problem.no_setting_near, name = key, near),
                    None => tr!(known.lang, problem.no_setting, name = key),
                };
                r.wrong(key, &item.at, said);
            }
        }
    }
    r.problems.sort_by_key(|p| p.line);
    (out, r.problems)
}

fn keys(r: &mut Reader<'_>, item: &Item<'_>) -> Keymap {
    let known = keymap::names();
    let mut wanted = vec![];
    let mut places = vec![];
    for (name, entry) in r.entries(item) {
        let Some(command) = known.iter().find(|n| **n == name) else {
            let near = known.iter().map(|t| (strsim::damerau_levenshtein(t, name), t)).min().filter(|(d, _)| *d <= 2);
            let said = match near {
                Some((_, near)) => tr!(r.lang, problem.no_command_near, name, near),
                None => tr!(r.lang, problem.no_command, name),
            };
            r.wrong(&entry.name, &entry.at, said);
            continue;
        };
        let Some(texts) = r.list(&entry) else { continue };
        match texts.iter().map(|t| keymap::parse(t, r.lang)).collect::<Result<Vec<_>, _>>() {
            Ok(keys) => {
                wanted.push((*command, keys));
                places.push((*command, entry));
            }
            Err(why) => r.wrong(&entry.name, &entry.at, tr!(r.lang, problem.of_key, name = entry.name, why)),
        }
    }
    let (map, problems) = Keymap::new(&wanted, r.lang);
    for (name, why) in problems {
        if let Some((_, entry)) = places.iter().find(|(n, _)| *n == name) {
            r.wrong(&entry.name, &entry.at, tr!(r.lang, problem.of_key, name = entry.name, why));
        }
    }
    map
}
