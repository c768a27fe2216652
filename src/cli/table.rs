//! Tables that align whatever the script: columns are as wide as their text is shown, not as it is long.

use crate::model::clean_line;
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// What a text means, for those who see colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Tone {
    /// Nothing in particular.
    #[default]
    Plain,
    /// As it should be.
    Good,
    /// Look at it.
    Warn,
    /// Wrong.
    Bad,
    /// Of less interest.
    Dim,
    /// A heading.
    Head,
}

impl Tone {
    /// The text in this tone, or as it is.
    #[must_use]
    pub fn paint(self, text: &str, colour: bool) -> String {
        // The sixteen colours of the terminal's own palette: readable on light and dark grounds alike.
        let code = match self {
            _ if !colour || text.is_empty() => return text.to_owned(),
            Self::Plain => return text.to_owned(),
            Self::Good => "32",
            Self::Warn => "33",
            Self::Bad => "31",
            Self::Dim => "2",
            Self::Head => "1",
        };
        format!("\x1b[{code}m{text}\x1b[0m")
    }
}

/// One field.
#[derive(Debug, Clone, Default)]
pub struct Cell {
    text: String,
    tone: Tone,
    right: bool,
}

impl Cell {
    /// A text, made safe to print.
    #[must_use]
    pub fn new(text: impl std::fmt::Display) -> Self {
        Self { text: clean_line(&text.to_string()), ..Self::default() }
    }
    /// A text, or a dash for none.
    #[must_use]
    pub fn or_dash<T: std::fmt::Display>(text: Option<T>) -> Self {
        text.map_or_else(|| Self::new("-").tone(Tone::Dim), Self::new)
    }
    /// A number: set to the right.
    #[must_use]
    pub fn number(text: impl std::fmt::Display) -> Self {
        Self { right: true, ..Self::new(text) }
    }
    /// With a tone.
    #[must_use]
    pub fn tone(self, tone: Tone) -> Self {
        Self { tone, ..self }
    }
}

/// Rows under headings.
#[derive(Debug)]
pub struct Table {
    head: Vec<&'static str>,
    rows: Vec<Vec<Cell>>,
}

impl Table {
    /// An empty one.
    #[must_use]
    pub fn new(head: &[&'static str]) -> Self {
        Self { head: head.to_vec(), rows: Vec::new() }
    }
    /// Adds a row.
    pub fn row(&mut self, cells: Vec<Cell>) {
        self.rows.push(cells);
    }

    /// The lines, headings first. When they would not fit into `width` the last column is cut.
    #[must_use]
    pub fn render(&self, width: Option<usize>, colour: bool) -> String {
        const GAP: usize = 2;
        /// The last column is never cut shorter than this; a narrower terminal wraps.
        const LAST_MIN: usize = 8;
        let last = self.head.len().saturating_sub(1);
        let mut widths: Vec<usize> = self.head.iter().map(|h| h.width()).collect();
        for row in &self.rows {
            for (w, cell) in widths.iter_mut().zip(row) {
                *w = (*w).max(cell.text.width());
            }
        }
        let before: usize = widths.iter().take(last).map(|w| w + GAP).sum();
        let room = width.map_or(usize::MAX, |w| w.saturating_sub(before).max(LAST_MIN));
        let head = self.head.iter().enumerate().map(|(i, h)| Cell {
            text: (*h).to_owned(),
            tone: Tone::Head,
            right: self.rows.first().and_then(|r| r.get(i)).is_some_and(|c| c.right),
        });
        let head: Vec<Cell> = head.collect();
        let mut out = String::new();
        for row in std::iter::once(&head).chain(&self.rows) {
            for (i, (cell, w)) in row.iter().zip(&widths).enumerate() {
                let text = if i == last { cut(&cell.text, room) } else { cell.text.clone() };
                let pad = " ".repeat(w.saturating_sub(text.width()));
                let painted = cell.tone.paint(&text, colour);
                match (cell.right, i == last) {
                    (true, _) => out.extend([pad.as_str(), &painted]),
                    (false, false) => out.extend([painted.as_str(), &pad]),
                    (false, true) => out.push_str(&painted),
                }
                if i != last {
                    out.push_str("  ");
                }
            }
            // Empty last cells leave no blanks behind.
            out.truncate(out.trim_end_matches(' ').len());
            out.push('\n');
        }
        out
    }
}

/// The text in at most `room` columns, with an ellipsis where it was cut.
#[must_use]
pub fn cut(text: &str, room: usize) -> String {
    if text.width() <= room {
        return text.to_owned();
    }
    let mut used = 1;
    let mut out = String::new();
    for c in text.chars() {
        used += c.width().unwrap_or(0);
        if used > room {
            break;
        }
        out.push(c);
    }
    out.push('…');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table {
        let mut t = Table::new(&["HOST", "PORT", "NOTE"]);
        t.row(vec![Cell::new("pay-db"), Cell::number(22), Cell::new("keepalive lost and much more")]);
        t.row(vec![Cell::new("결제-서버"), Cell::number(20101), Cell::new("")]);
        t
    }

    #[test]
    fn columns_align_with_wide_letters() {
        let text = table().render(None, false);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], "HOST        PORT  NOTE");
        assert_eq!(lines[1], "pay-db        22  keepalive lost and much more");
        assert_eq!(lines[2], "결제-서버  20101");
        // The end of the second column stands at the same place on every line.
        let ends =
            ["PORT", "22", "20101"].iter().zip(&lines).map(|(w, l)| l.split_at(l.find(w).unwrap() + w.len()).0.width());
        assert_eq!(ends.collect::<Vec<_>>(), [16, 16, 16]);
    }

    #[test]
    fn the_last_column_gives_way_on_a_narrow_terminal() {
        for line in table().render(Some(30), false).lines() {
            assert!(line.width() <= 30, "{line:?}");
        }
        assert!(
            table().render(Some(30), false).contains("keepalive…") || table().render(Some(30), false).contains('…')
        );
        assert_eq!(cut("가나다", 5), "가나…");
        assert_eq!(cut("가나다", 4), "가…");
    }

    #[test]
    fn colours_do_not_move_columns_and_hostile_text_does_not_pass() {
        let mut t = Table::new(&["A", "B"]);
        t.row(vec![Cell::new("x\u{1b}[2J").tone(Tone::Bad), Cell::new("y")]);
        let text = t.render(None, true);
        assert!(text.contains("\x1b[31mx·[2J\x1b[0m  y"), "{text:?}");
        assert!(!t.render(None, false).contains('\x1b'));
    }
}
