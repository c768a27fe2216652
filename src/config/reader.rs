//! Reads tables of the file key by key. A value that cannot be read is noted and replaced by its default, so that one
//! pass finds every problem; a configuration with problems never leaves `config`.

use super::keys::{self, SectionKeys, nearest};
use super::problem::{Complaint, Report, Span};
use super::values;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// A value with its place.
#[derive(Clone)]
pub(super) struct Item<'a> {
    pub report: &'a Report<'a>,
    /// Where it stands, in words of the file: `hosts.pay-db.ports.ssh`.
    pub label: String,
    /// Place of the value.
    pub at: Span,
    value: &'a DeValue<'a>,
}

/// One table and the keys it may have.
pub(super) struct Table<'a> {
    pub report: &'a Report<'a>,
    /// Its path in the file: `hosts.pay-db`.
    pub label: String,
    /// Place of its name.
    pub at: Span,
    table: Option<&'a DeTable<'a>>,
    keys: &'static SectionKeys,
}

fn article(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) => "a number",
        DeValue::Float(_) => "a fraction",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}

impl<'a> Item<'a> {
    fn at(&self, value: &'a Spanned<DeValue<'a>>) -> Self {
        Self { report: self.report, label: self.label.clone(), at: value.span(), value: value.get_ref() }
    }

    /// Notes that the value is of the wrong kind.
    pub fn wrong(&self, wanted: &str, remedy: &str) {
        self.report.add(&self.at, format!("`{}` must be {wanted}, not {}", self.label, article(self.value)), remedy);
    }

    /// The text of a string.
    pub fn text(&self, remedy: &str) -> Option<&'a str> {
        if let DeValue::String(s) = self.value {
            return Some(s);
        }
        self.wrong("a string in quotes", remedy);
        None
    }

    /// What a parser makes of the string.
    pub fn parsed<T>(&self, remedy: &str, parse: impl Fn(&str) -> Result<T, Complaint>) -> Option<T> {
        match parse(self.text(remedy)?) {
            Ok(v) => Some(v),
            Err(mut complaint) => {
                complaint.what = format!("`{}`: {}", self.label, complaint.what);
                self.report.complain(&self.at, &complaint);
                None
            }
        }
    }

    /// A whole number from `low` to `high`.
    pub fn number(&self, low: u32, high: u32) -> Option<u32> {
        let remedy = format!("write a whole number from {low} to {high}");
        let DeValue::Integer(n) = self.value else {
            self.wrong("a number", &remedy);
            return None;
        };
        let parsed = i128::from_str_radix(n.as_str(), n.radix()).ok().and_then(|n| u32::try_from(n).ok());
        if parsed.is_none_or(|n| n < low || n > high) {
            self.report.add(&self.at, format!("`{}` is {n}, outside {low} to {high}", self.label), remedy);
            return None;
        }
        parsed
    }

    /// `true` or `false`.
    pub fn yes_or_no(&self) -> Option<bool> {
        if let DeValue::Boolean(b) = self.value {
            return Some(*b);
        }
        self.wrong("true or false", "write true or false, without quotes");
        None
    }

    /// Whether it is written as a list, or as one text that stands for a list.
    pub fn is_list_of_texts(&self) -> bool {
        matches!(self.value, DeValue::Array(_) | DeValue::String(_))
    }

    /// One of a few words.
    pub fn word<T: Copy>(&self, choices: &[(&'static str, T)]) -> Option<T> {
        let all = choices.iter().map(|(w, _)| format!("{w:?}")).collect::<Vec<_>>().join(", ");
        let remedy = format!("write one of {all}");
        let text = self.text(&remedy)?;
        let found = choices.iter().find(|(w, _)| *w == text).map(|(_, v)| *v);
        if found.is_none() {
            let near = nearest(text, choices.iter().map(|(w, _)| *w));
            let remedy = near.map_or(remedy.clone(), |w| format!("did you mean {w:?}? {remedy}"));
            self.report.add(&self.at, format!("`{}` cannot be {text:?}", self.label), remedy);
        }
        found
    }

    /// A list, or a single value standing for a list of one.
    pub fn list(&self) -> Vec<Item<'a>> {
        match self.value {
            DeValue::Array(array) => array.iter().map(|v| self.at(v)).collect(),
            _ => vec![self.clone()],
        }
    }

    /// The table, if it is one.
    pub fn as_table(&self) -> Option<&'a DeTable<'a>> {
        self.value.as_table()
    }

    /// The entries of a table whose keys the file's author chooses, with the place of each key.
    pub fn entries(&self, remedy: &str) -> Vec<(&'a str, Span, Item<'a>)> {
        let Some(table) = self.as_table() else {
            self.wrong("a table", remedy);
            return Vec::new();
        };
        let item = |(k, v): (&'a Spanned<_>, &'a Spanned<DeValue<'a>>)| {
            let name: &'a std::borrow::Cow<'a, str> = k.get_ref();
            let label = format!("{}.{name}", self.label);
            (name.as_ref(), k.span(), Item { report: self.report, label, at: v.span(), value: v.get_ref() })
        };
        table.iter().map(item).collect()
    }
}

/// The sections of the file; unknown ones are noted.
pub(super) fn top<'a>(report: &'a Report<'a>, document: &'a DeTable<'a>) -> impl Fn(&str) -> Option<Item<'a>> {
    for key in document.keys().filter(|k| !keys::TOP.contains(&k.get_ref().as_ref())) {
        let name = key.get_ref();
        let mut remedy = String::new();
        if let Some(near) = nearest(name, keys::TOP.iter().copied()) {
            let _ = write!(remedy, "did you mean `{near}`? ");
        } else if let Some(home) = keys::SECTIONS.iter().find(|s| s.has(name)) {
            let _ = write!(remedy, "`{name}` belongs in [{}]. ", home.title);
        }
        let _ = write!(remedy, "The file has the sections {}", keys::TOP.join(", "));
        report.add(&key.span(), format!("`{name}` is not a section of this file"), remedy);
    }
    move |name| {
        let (key, value) = document.get_key_value(name)?;
        let item = Item { report, label: name.to_owned(), at: value.span(), value: value.get_ref() };
        if item.as_table().is_none() {
            report.add(
                &key.span(),
                format!("`{name}` must be a section, not {}", article(item.value)),
                format!("write [{name}] on a line of its own, and its keys below"),
            );
            return None;
        }
        Some(item)
    }
}

impl<'a> Table<'a> {
    /// The table of an item, at the place of its name; unknown keys are noted. An absent item is an empty table.
    pub fn new(
        report: &'a Report<'a>,
        label: &str,
        at: Span,
        item: Option<&Item<'a>>,
        keys: &'static SectionKeys,
    ) -> Self {
        let table = item.and_then(Item::as_table);
        let this = Self { report, label: label.to_owned(), at, table, keys };
        this.note_unknown();
        this
    }

    fn note_unknown(&self) {
        for (key, value) in self.table.iter().flat_map(|t| t.iter()).filter(|(k, _)| !self.keys.has(k.get_ref())) {
            let name = key.get_ref();
            let known = || self.keys.keys.iter().map(|k| k.name);
            let mut remedy = String::new();
            if let Some(near) = nearest(name, known()) {
                let _ = write!(remedy, "did you mean `{near}`? ");
            } else if self.keys.title.ends_with("NAME") && value.get_ref().is_table() {
                // [hosts.pay.db] is a table `db` inside `pay` to TOML.
                let parent = self.label.split_once('.').unwrap_or_default();
                let _ = write!(remedy, "a name with a dot needs quotes: [{}.\"{}.{name}\"]. ", parent.0, parent.1);
            }
            let _ = write!(remedy, "[{}] has the keys {}", self.keys.title, known().collect::<Vec<_>>().join(", "));
            self.report.add(&key.span(), format!("`{name}` is not a key of [{}]", self.label), remedy);
        }
    }

    /// Whether a key of this name may stand here.
    pub fn has(&self, key: &str) -> bool {
        self.keys.has(key)
    }

    /// The value of a key.
    pub fn item(&self, key: &str) -> Option<Item<'a>> {
        debug_assert!(self.keys.has(key), "{key} is missing from config::keys");
        let value = self.table?.get(key)?;
        Some(Item {
            report: self.report,
            label: format!("{}.{key}", self.label),
            at: value.span(),
            value: value.get_ref(),
        })
    }

    /// The value of a key that must be there.
    pub fn required(&self, key: &str, remedy: &str) -> Option<Item<'a>> {
        let item = self.item(key);
        if item.is_none() {
            self.report.add(&self.at, format!("[{}] has no `{key}`", self.label), remedy);
        }
        item
    }

    pub fn text(&self, key: &str, remedy: &str) -> Option<String> {
        self.item(key)?.text(remedy).map(str::to_owned)
    }

    pub fn duration(&self, key: &str, default: Duration) -> Duration {
        self.item(key).and_then(|i| i.parsed("write a duration, such as \"15s\"", values::duration)).unwrap_or(default)
    }

    pub fn size(&self, key: &str, default: u64) -> u64 {
        self.item(key).and_then(|i| i.parsed("write a size, such as \"256KiB\"", values::size)).unwrap_or(default)
    }

    /// A count of at least one.
    pub fn count(&self, key: &str, high: u32, default: u32) -> u32 {
        self.item(key).and_then(|i| i.number(1, high)).unwrap_or(default)
    }

    /// A path; relative ones start at the file's folder.
    pub fn path(&self, key: &str, base: &Path) -> Option<PathBuf> {
        self.item(key)?.parsed("write a path, such as \"state\" or \"/var/lib/portreeve\"", |s| path(s, base))
    }

    /// One path or a list of them.
    pub fn paths(&self, key: &str, base: &Path) -> Option<Vec<PathBuf>> {
        let items = self.item(key)?.list();
        Some(items.iter().filter_map(|i| i.parsed("write a path in quotes", |s| path(s, base))).collect())
    }
}

fn path(text: &str, base: &Path) -> Result<PathBuf, Complaint> {
    if text.is_empty() {
        return Err(Complaint::new("the path is empty", "write a path, or leave the key out for its default"));
    }
    if text.contains('\0') {
        return Err(Complaint::new("a path cannot have a zero byte", "take it out"));
    }
    if text.starts_with('~') {
        return Err(Complaint::new(
            format!("{text:?}: `~` is a shell's word and is not expanded here"),
            format!("write the whole path, or one relative to {}", base.display()),
        ));
    }
    // Component by component, so that `./state` and `state` are the same to a later comparison.
    Ok(base.join(text).components().collect())
}
