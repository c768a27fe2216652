//! What is wrong with a configuration: every problem found, each with its place and what to do about it.

use std::cell::RefCell;
use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};

/// One thing wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The file, as it was named.
    pub file: PathBuf,
    /// The line, from 1; 0 when it is about the file as a whole.
    pub line: usize,
    /// The column in characters, from 1; 0 when it is about the file as a whole.
    pub column: usize,
    /// What is wrong.
    pub what: String,
    /// What to do.
    pub remedy: String,
    /// The line itself, where seeing it helps (when it is not TOML).
    pub excerpt: Option<String>,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.file.display())?;
        if self.line > 0 {
            write!(f, "{}:{}:", self.line, self.column)?;
        }
        write!(f, " {}", self.what)?;
        if let Some(line) = &self.excerpt {
            write!(f, "\n    | {line}\n    | {:>width$}", "^", width = self.column)?;
        }
        write!(f, "\n    {}", self.remedy)
    }
}

/// A configuration that cannot be used, and all that is wrong with it, in the order of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    /// At least one.
    pub problems: Vec<Problem>,
}

impl ConfigError {
    /// An error about the file as a whole.
    #[must_use]
    pub fn about_file(file: &Path, what: String, remedy: String) -> Self {
        let problem = Problem { file: file.to_owned(), line: 0, column: 0, what, remedy, excerpt: None };
        Self { problems: vec![problem] }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, p) in self.problems.iter().enumerate() {
            if n > 0 {
                f.write_str("\n")?;
            }
            p.fmt(f)?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigError {}

/// A byte range of the file.
pub(super) type Span = Range<usize>;

/// What is wrong with a value and what to do, before it has a place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Complaint {
    pub what: String,
    pub remedy: String,
}

impl Complaint {
    pub fn new(what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { what: what.into(), remedy: remedy.into() }
    }
}

/// Collects problems while the file is read. Shared by all readers, so that one mistake does not hide the next.
pub(super) struct Report<'a> {
    file: &'a Path,
    text: &'a str,
    problems: RefCell<Vec<(usize, Problem)>>,
}

impl<'a> Report<'a> {
    pub fn new(file: &'a Path, text: &'a str) -> Self {
        Self { file, text, problems: RefCell::new(Vec::new()) }
    }

    /// Notes a problem at a place.
    pub fn add(&self, at: &Span, what: impl Into<String>, remedy: impl Into<String>) {
        self.push(at, &Complaint::new(what, remedy), None);
    }

    /// Notes a complaint at a place.
    pub fn complain(&self, at: &Span, complaint: &Complaint) {
        self.push(at, complaint, None);
    }

    /// Notes a problem and shows the line.
    pub fn add_with_line(&self, at: &Span, complaint: &Complaint) {
        let (line, _) = self.position(at);
        let shown = self.text.lines().nth(line.saturating_sub(1)).map(|l| crate::model::clean(l, 120));
        self.push(at, complaint, shown);
    }

    fn push(&self, at: &Span, complaint: &Complaint, excerpt: Option<String>) {
        let (line, column) = self.position(at);
        let what = crate::model::clean(&complaint.what, 500);
        let remedy = crate::model::clean(&complaint.remedy, 500);
        let problem = Problem { file: self.file.to_owned(), line, column, what, remedy, excerpt };
        self.problems.borrow_mut().push((at.start, problem));
    }

    /// Line and column of a place, both from 1.
    pub fn position(&self, at: &Span) -> (usize, usize) {
        let end = (0..=at.start.min(self.text.len())).rev().find(|n| self.text.is_char_boundary(*n)).unwrap_or(0);
        let before = self.text.get(..end).unwrap_or_default();
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        (line, column)
    }

    /// `line 12`, to name the other place of a clash.
    pub fn line(&self, at: &Span) -> String {
        format!("line {}", self.position(at).0)
    }

    /// All that was noted, in the order of the file; nothing when the file is good.
    pub fn finish(self) -> Result<(), ConfigError> {
        let mut problems = self.problems.into_inner();
        if problems.is_empty() {
            return Ok(());
        }
        problems.sort_by_key(|(at, _)| *at);
        Err(ConfigError { problems: problems.into_iter().map(|(_, p)| p).collect() })
    }
}
