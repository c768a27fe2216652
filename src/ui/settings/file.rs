//! The file of the settings: changed one value at a time, so that comments, order and what this version does not know
//! stay as they are.

use super::{Kind, spec};
use crate::ui::words::{Lang, tr};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use toml_edit::{Array, DocumentMut, Item, Table, Value};

/// Largest file read, bytes: over SSH it lies on the daemon's disk.
const MAX: u64 = 256 * 1024;

/// One change: a setting's name, and its value, or none for the default again.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Edit {
    pub(crate) name: String,
    pub(crate) words: Option<Vec<String>>,
}

/// The value as the file writes it.
fn value(kind: Kind, words: &[String], lang: Lang) -> Result<Value, String> {
    let one = || match words {
        [word] => Ok(word.as_str()),
        _ => Err(tr!(lang, problem.one_word).to_owned()),
    };
    Ok(match kind {
        Kind::Word => one()?.into(),
        Kind::Switch => match one()? {
            "true" | "on" | "yes" => true.into(),
            "false" | "off" | "no" => false.into(),
            other => return Err(tr!(lang, problem.on_or_off, value = format!("{other:?}"))),
        },
        Kind::Lists => match words {
            [none] if none == "none" => Array::new().into(),
            [word] => word.as_str().into(),
            words => words.iter().map(String::as_str).collect::<Array>().into(),
        },
    })
}

/// The text with one value changed.
///
/// # Errors
/// A sentence: the text is not TOML, the name is no setting, or the words do not make a value of its kind.
pub(crate) fn edited(text: &str, edit: &Edit, lang: Lang) -> Result<String, String> {
    let mut doc: DocumentMut =
        text.parse().map_err(|e: toml_edit::TomlError| tr!(lang, problem.mend_toml, why = e.message().trim()))?;
    let spec = spec(&edit.name).ok_or_else(|| tr!(lang, problem.no_setting, name = edit.name))?;
    let value = edit.words.as_ref().map(|w| value(spec.kind, w, lang)).transpose()?;
    let mut path = edit.name.splitn(2, '.');
    let (Some(first), rest) = (path.next(), path.next()) else { return Ok(text.to_owned()) };
    match (rest, value) {
        (None, Some(v)) => set(doc.as_table_mut(), first, v),
        (None, None) => {
            doc.remove(first);
        }
        (Some(name), Some(v)) => {
            let table = doc.entry(first).or_insert_with(|| Item::Table(Table::new()));
            match table.as_table_like_mut() {
                Some(t) => match t.get_mut(name) {
                    Some(Item::Value(old)) => keep_decor(old, v),
                    _ => {
                        t.insert(name, Item::Value(v));
                    }
                },
                None => return Err(tr!(lang, problem.mend_table, name = first)),
            }
        }
        (Some(name), None) => {
            if let Some(t) = doc.get_mut(first).and_then(Item::as_table_like_mut) {
                t.remove(name);
            }
        }
    }
    Ok(doc.to_string())
}

fn set(table: &mut Table, name: &str, v: Value) {
    match table.get_mut(name) {
        Some(Item::Value(old)) => keep_decor(old, v),
        _ => {
            table.insert(name, Item::Value(v));
        }
    }
}

/// A comment behind the value stays there.
fn keep_decor(old: &mut Value, mut new: Value) {
    *new.decor_mut() = old.decor().clone();
    *old = new;
}

/// Why the file could not be read.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Unread {
    file: String,
    /// None when it is too large.
    why: Option<String>,
}

impl Unread {
    pub(crate) fn new(file: &Path, why: &impl ToString) -> Self {
        Self { file: file.display().to_string(), why: Some(why.to_string()) }
    }

    /// A sentence that names the file.
    pub(crate) fn said(&self, lang: Lang) -> String {
        let Self { file, why } = self;
        match why {
            Some(why) => tr!(lang, problem.unreadable, file, why),
            None => tr!(lang, problem.too_large, file, kib = MAX / 1024),
        }
    }
}

/// What the file says; nothing when there is none.
///
/// # Errors
/// Why not.
pub(crate) fn load(path: &Path) -> Result<String, Unread> {
    let fail = |e: std::io::Error| Unread::new(path, &e);
    match std::fs::metadata(path) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(String::new()),
        Err(e) => return Err(fail(e)),
        Ok(m) if m.len() > MAX => {
            return Err(Unread { why: None, ..Unread::new(path, &"") });
        }
        Ok(_) => {}
    }
    std::fs::read_to_string(path).map_err(fail)
}

/// Makes the change in the file as it is now: another console may have changed another value meanwhile. The new file
/// takes the old one's place at once or not at all.
///
/// # Errors
/// A sentence: what could not be written, and why.
pub(crate) fn save(path: &Path, edit: &Edit, lang: Lang) -> Result<PathBuf, String> {
    let fail = |e: std::io::Error| tr!(lang, problem.unwritable, file = path.display(), why = e);
    // A link (as people keep their dotfiles) stays one.
    let target = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let folder = target.parent().unwrap_or(Path::new("."));
    if !folder.exists() {
        use std::os::unix::fs::DirBuilderExt as _;
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(fail)?;
    }
    let text = edited(&load(&target).map_err(|u| u.said(lang))?, edit, lang)?;
    if u64::try_from(text.len()).unwrap_or(u64::MAX) > MAX {
        return Err(tr!(lang, problem.would_be_too_large, file = path.display(), kib = MAX / 1024));
    }
    let mut new = tempfile::NamedTempFile::new_in(folder).map_err(fail)?;
    new.write_all(text.as_bytes()).and_then(|()| new.as_file().sync_all()).map_err(fail)?;
    if let Ok(old) = std::fs::metadata(&target) {
        new.as_file().set_permissions(old.permissions()).map_err(fail)?;
    }
    new.persist(&target).map_err(|e| fail(e.error))?;
    Ok(path.to_owned())
}
