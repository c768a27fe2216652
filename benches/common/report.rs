//! Rows, their verdicts, the table, the JSON.

use super::machine::Machine;
use super::measure::median;
use super::{Res, at};
use serde::{Deserialize, Serialize};
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

/// What a goal is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Of {
    /// Ours ÷ the peer's.
    Ratio,
    /// Our own figure, in the row's unit.
    Ours,
}

/// What a row should reach.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Goal {
    /// Of what.
    pub of: Of,
    /// Whether more is better.
    pub at_least: bool,
    /// The bound.
    pub value: f64,
}

impl Goal {
    /// Ours ÷ peer's is at least this.
    pub const fn ratio_at_least(value: f64) -> Self {
        Self { of: Of::Ratio, at_least: true, value }
    }
    /// Ours ÷ peer's is at most this.
    pub const fn ratio_at_most(value: f64) -> Self {
        Self { of: Of::Ratio, at_least: false, value }
    }
    /// Ours is at least this.
    pub const fn ours_at_least(value: f64) -> Self {
        Self { of: Of::Ours, at_least: true, value }
    }
    /// Ours is at most this.
    pub const fn ours_at_most(value: f64) -> Self {
        Self { of: Of::Ours, at_least: false, value }
    }

    fn met(self, row: &Row) -> Option<bool> {
        let reached = match self.of {
            Of::Ratio => row.ratio?,
            Of::Ours => Some(median(&row.ours)).filter(|m| m.is_finite())?,
        };
        Some(if self.at_least { reached >= self.value } else { reached <= self.value })
    }

    fn text(self, unit: &str) -> String {
        let sign = if self.at_least { "≥" } else { "≤" };
        match self.of {
            Of::Ratio => format!("{sign} {}", figure(self.value)),
            Of::Ours => format!("{sign} {} {unit}", figure(self.value)),
        }
    }
}

/// Somebody else in the same row: not what the ratio is of.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Other {
    /// Who.
    pub name: String,
    /// Its samples, one a run.
    pub samples: Vec<f64>,
}

/// One line of the table: a sample for each run, and what they come to.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Row {
    /// Short name, for `--rows`.
    pub id: String,
    /// What was measured.
    pub title: String,
    /// Unit of all samples.
    pub unit: String,
    /// Our samples.
    pub ours: Vec<f64>,
    /// Whom the ratio is of.
    pub peer_name: String,
    /// Its samples.
    pub peer: Vec<f64>,
    /// More of them.
    pub others: Vec<Other>,
    /// Median of ours ÷ median of the peer's.
    pub ratio: Option<f64>,
    /// What it should be.
    pub goal: Option<Goal>,
    /// Whether it is; none where there is no goal or no figure.
    pub met: Option<bool>,
    /// What a reader must know of it; of a row left out, why.
    pub note: String,
}

impl Row {
    /// A row without figures yet.
    pub fn new(id: &str, title: &str, unit: &str, goal: Option<Goal>) -> Self {
        Self {
            id: id.to_owned(),
            title: title.to_owned(),
            unit: unit.to_owned(),
            ours: Vec::new(),
            peer_name: "sshd".to_owned(),
            peer: Vec::new(),
            others: Vec::new(),
            ratio: None,
            goal,
            met: None,
            note: String::new(),
        }
    }

    /// With these samples; works out ratio and verdict.
    #[must_use]
    pub fn fill(mut self, ours: Vec<f64>, peer: Vec<f64>) -> Self {
        let ratio = median(&ours) / median(&peer);
        self.ratio = Some(ratio).filter(|r| r.is_finite());
        (self.ours, self.peer) = (ours, peer);
        self.met = self.goal.and_then(|g| g.met(&self));
        self
    }

    /// The peer of the ratio, where it is not sshd.
    #[must_use]
    pub fn against(mut self, peer: &str) -> Self {
        self.peer_name = peer.to_owned();
        self
    }

    /// One more in the same row.
    #[must_use]
    pub fn other(mut self, name: &str, samples: Vec<f64>) -> Self {
        if !samples.is_empty() {
            self.others.push(Other { name: name.to_owned(), samples });
        }
        self
    }

    /// Something to know of it; added to what is there.
    #[must_use]
    pub fn note(mut self, note: &str) -> Self {
        if !self.note.is_empty() && !note.is_empty() {
            self.note.push_str("; ");
        }
        self.note.push_str(note);
        self
    }

    fn cells(&self) -> [String; 8] {
        let middle = |samples: &[f64]| if samples.is_empty() { "–".to_owned() } else { figure(median(samples)) };
        let others: Vec<_> = self.others.iter().map(|o| format!("{} {}", o.name, figure(median(&o.samples)))).collect();
        let peer = middle(&self.peer);
        [
            self.title.clone(),
            self.unit.clone(),
            format!("{}{}", middle(&self.ours), spread(&self.ours)),
            if self.peer_name == "sshd" {
                format!("{peer}{}", spread(&self.peer))
            } else {
                format!("{} {peer}", self.peer_name)
            },
            self.ratio.map_or("–".to_owned(), figure),
            self.goal.map_or(String::new(), |g| g.text(&self.unit)),
            match self.met {
                Some(true) => "yes".to_owned(),
                Some(false) => "**no**".to_owned(),
                None => String::new(),
            },
            [others.join(", "), self.note.clone()]
                .iter()
                .filter(|s| !s.is_empty())
                .cloned()
                .collect::<Vec<_>>()
                .join("; "),
        ]
    }
}

/// How far the runs were apart: the larger distance from the median, in per cent of it.
fn spread(samples: &[f64]) -> String {
    let middle = median(samples);
    let far = samples.iter().map(|s| (s - middle).abs()).fold(0.0, f64::max);
    if samples.len() < 2 || middle == 0.0 { String::new() } else { format!(" ±{:.0}%", far / middle * 100.0) }
}

/// A number with three digits that count.
pub fn figure(value: f64) -> String {
    match value.abs() {
        v if !v.is_finite() => "–".to_owned(),
        v if v >= 100.0 => format!("{value:.0}"),
        v if v >= 10.0 => format!("{value:.1}"),
        v if v >= 0.1 => format!("{value:.2}"),
        0.0 => "0".to_owned(),
        _ => format!("{value:.4}"),
    }
}

/// All of one run of a driver.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Report {
    /// Where.
    pub machine: Machine,
    /// How, a sentence each.
    pub method: Vec<String>,
    /// Whether with fewer and shorter runs.
    pub quick: bool,
    /// The table.
    pub rows: Vec<Row>,
}

impl Report {
    /// Machine, versions and method, as lines of Markdown.
    pub fn head(&self) -> String {
        let m = &self.machine;
        let mut text = format!(
            "- machine: {}, {} cores, {} GiB, Linux {}, TCP congestion control {}\n- versions: {}, {}\n- measured: {}{}\n",
            m.cpu,
            m.cores,
            m.memory_gib,
            m.kernel,
            m.congestion,
            m.portreeve,
            m.openssh,
            m.when,
            if self.quick { " (quick: fewer and shorter runs)" } else { "" },
        );
        for line in &self.method {
            let _ = writeln!(text, "- {line}");
        }
        text
    }

    /// The table as Markdown, its columns aligned so that it reads well in a terminal too. Without a peer in any row it has
    /// no columns for one.
    pub fn table(&self) -> String {
        let measured = |row: &&Row| !row.peer.is_empty();
        let peer = if self.rows.iter().filter(measured).all(|row| row.peer_name != "sshd") { "peer" } else { "sshd" };
        let alone = !self.rows.iter().any(|row| measured(&row));
        let head = ["measure", "unit", "portreeve", peer, "ratio", "goal", "met", "notes"].map(str::to_owned);
        let rows: Vec<Vec<String>> = std::iter::once(head)
            .chain(self.rows.iter().map(Row::cells))
            .map(|cells| cells.into_iter().enumerate().filter(|(n, _)| !(alone && [3, 4].contains(n))))
            .map(|cells| cells.map(|(_, cell)| cell).collect())
            .collect();
        let columns = rows[0].len();
        let width = |column: usize| rows.iter().map(|r| r[column].chars().count()).max().unwrap_or(0);
        let mut text = String::new();
        for (n, row) in rows.iter().enumerate() {
            for (column, cell) in row.iter().enumerate() {
                // The last one is not padded: notes are long.
                let pad = if column + 1 == columns { 0 } else { width(column) - cell.chars().count() };
                let _ = write!(text, "| {cell}{} ", " ".repeat(pad));
            }
            text.push_str("|\n");
            if n == 0 {
                let _ = writeln!(text, "|{}", "---|".repeat(columns));
            }
        }
        text
    }

    /// Reads one that was saved.
    pub fn load(path: &Path) -> Res<Self> {
        let text = fs::read_to_string(path).map_err(at(&path.to_string_lossy()))?;
        serde_json::from_str(&text).map_err(at(&path.to_string_lossy()))
    }

    /// Saves it.
    pub fn save(&self, path: &Path) -> Res<()> {
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).map_err(at(&folder.to_string_lossy()))?;
        }
        let text = serde_json::to_string_pretty(self).map_err(at("JSON"))?;
        fs::write(path, text + "\n").map_err(at(&path.to_string_lossy()))
    }
}

/// Replaces what stands in a page between `<!-- NAME -->` and `<!-- /NAME -->`.
pub fn fill_region(page: &Path, name: &str, text: &str) -> Res<()> {
    let old = fs::read_to_string(page).map_err(at(&page.to_string_lossy()))?;
    let (open, close) = (format!("<!-- {name} -->"), format!("<!-- /{name} -->"));
    let parts = old.split_once(&open).and_then(|(before, rest)| Some((before, rest.split_once(&close)?.1)));
    let Some((before, after)) = parts else { return Err(format!("{} has no region {name}", page.display())) };
    fs::write(page, format!("{before}{open}\n\n{}\n\n{close}{after}", text.trim())).map_err(at(&page.to_string_lossy()))
}
