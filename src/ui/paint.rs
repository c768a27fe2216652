//! What has changed on a screen, as bytes for its terminal.
//!
//! Not ratatui's `Terminal`: that writes cursor commands for frames in which nothing changed, may ask this process's
//! own tty for its size, and its crossterm backend obeys this process's `NO_COLOR`. A console over SSH has a terminal
//! of its own in all three respects.

use super::text;
use ratatui::buffer::{Buffer, Cell};
use ratatui::layout::Rect;
use ratatui::style::{Color, Modifier};
use std::fmt::Write as _;

/// Largest screen drawn; a client may claim any size.
const MAX: (u16, u16) = (500, 200);

/// Alternate screen, hidden cursor, bracketed paste.
pub(crate) const ENTER: &str = "\x1b[?1049h\x1b[?25l\x1b[?2004h\x1b[0m\x1b[2J";
/// The mouse is ours: buttons and wheel, with places beyond column 223.
pub(crate) const MOUSE_ON: &str = "\x1b[?1000h\x1b[?1006h";
pub(crate) const MOUSE_OFF: &str = "\x1b[?1006l\x1b[?1000l";
/// Back to how the terminal was, its title too.
pub(crate) const LEAVE: &str = "\x1b[?1006l\x1b[?1000l\x1b[23;2t\x1b[?2004l\x1b[0m\x1b[?25h\x1b[?1049l";

/// A size within bounds.
pub(crate) fn clamp((w, h): (u16, u16)) -> (u16, u16) {
    (w.clamp(1, MAX.0), h.clamp(1, MAX.1))
}

/// What the terminal shows now, and how to change it.
#[derive(Debug)]
pub(crate) struct Painter {
    shown: Buffer,
    cursor: Option<(u16, u16)>,
    unicode: bool,
    repaint: bool,
}

impl Painter {
    pub(crate) fn new(size: (u16, u16), unicode: bool) -> Self {
        Self { shown: blank(size), cursor: None, unicode, repaint: true }
    }

    /// The next frame is drawn in full, whatever is thought to be shown (after a resize, or for ^L).
    pub(crate) fn invalidate(&mut self) {
        self.repaint = true;
    }

    /// The bytes that turn what is shown into this; empty when it is that already.
    pub(crate) fn paint(&mut self, frame: Buffer, cursor: Option<(u16, u16)>) -> String {
        let mut out = String::new();
        if self.repaint || frame.area != self.shown.area {
            out.push_str("\x1b[0m\x1b[2J");
            // In place: a second screen beside this one would be megabytes for a moment.
            self.shown.resize(frame.area);
            self.shown.reset();
            self.repaint = false;
            self.cursor = None;
        }
        let changes = self.shown.diff(&frame);
        if changes.is_empty() && out.is_empty() && cursor == self.cursor {
            self.shown = frame;
            return out;
        }
        let mut pen = Pen { out, at: None, fg: Color::Reset, bg: Color::Reset, modifier: Modifier::empty() };
        if self.cursor.is_some() {
            pen.out.push_str("\x1b[?25l");
        }
        let mut tail: Option<(u16, u16)> = None; // the row whose blank end is being looked at, and where that begins
        let mut erased: Option<u16> = None;
        for (x, y, cell) in changes {
            if tail.is_none_or(|(row, _)| row != y) {
                tail = Some((y, blank_tail(&frame, y)));
            }
            if erased == Some(y) {
                continue;
            }
            if tail.is_some_and(|(_, start)| x >= start) {
                pen.erase_line_from(x, y);
                erased = Some(y);
            } else {
                pen.cell(x, y, cell, self.unicode);
            }
        }
        pen.plain();
        if let Some((x, y)) = cursor {
            let _ = write!(pen.out, "\x1b[{};{}H\x1b[?25h", y + 1, x + 1);
        }
        self.cursor = cursor;
        self.shown = frame;
        // Synchronised update: terminals that know it show the frame at once, the others ignore it.
        format!("\x1b[?2026h{}\x1b[?2026l", pen.out)
    }
}

/// An empty screen of a size within bounds.
pub(crate) fn blank(size: (u16, u16)) -> Buffer {
    let (w, h) = clamp(size);
    Buffer::empty(Rect::new(0, 0, w, h))
}

/// Where the row's end begins that is blank and plain. Erased rather than written, so that it is not part of a
/// selection with the mouse and costs no bytes.
fn blank_tail(frame: &Buffer, y: u16) -> u16 {
    let plain = |c: &Cell| c.symbol() == " " && c.bg == Color::Reset && c.modifier.is_empty();
    (0..frame.area.width).rev().find(|x| !frame.cell((*x, y)).is_some_and(plain)).map_or(0, |x| {
        let wide = frame.cell((x, y)).map_or(1, |c| text::width(c.symbol()).max(1));
        x.saturating_add(u16::try_from(wide).unwrap_or(1))
    })
}

struct Pen {
    out: String,
    at: Option<(u16, u16)>,
    fg: Color,
    bg: Color,
    modifier: Modifier,
}

impl Pen {
    fn go(&mut self, x: u16, y: u16) {
        if self.at != Some((x, y)) {
            let _ = write!(self.out, "\x1b[{};{}H", y + 1, x + 1);
        }
    }

    fn plain(&mut self) {
        if self.fg != Color::Reset || self.bg != Color::Reset || !self.modifier.is_empty() {
            self.out.push_str("\x1b[0m");
            (self.fg, self.bg, self.modifier) = (Color::Reset, Color::Reset, Modifier::empty());
        }
    }

    fn erase_line_from(&mut self, x: u16, y: u16) {
        self.go(x, y);
        self.plain();
        self.out.push_str("\x1b[K");
        self.at = Some((x, y));
    }

    fn cell(&mut self, x: u16, y: u16, cell: &Cell, unicode: bool) {
        self.go(x, y);
        if cell.modifier != self.modifier {
            self.plain();
            for (bit, code) in [
                (Modifier::BOLD, 1),
                (Modifier::DIM, 2),
                (Modifier::ITALIC, 3),
                (Modifier::UNDERLINED, 4),
                (Modifier::REVERSED, 7),
            ] {
                if cell.modifier.contains(bit) {
                    let _ = write!(self.out, "\x1b[{code}m");
                }
            }
            self.modifier = cell.modifier;
        }
        if cell.fg != self.fg {
            self.colour(cell.fg, 30);
            self.fg = cell.fg;
        }
        if cell.bg != self.bg {
            self.colour(cell.bg, 40);
            self.bg = cell.bg;
        }
        let width = text::width(cell.symbol()).max(1);
        if unicode || cell.symbol().is_ascii() {
            self.out.push_str(cell.symbol());
        } else {
            self.out.extend(std::iter::repeat_n('?', width));
        }
        self.at = Some((x.saturating_add(u16::try_from(width).unwrap_or(1)), y));
    }

    fn colour(&mut self, c: Color, base: u8) {
        let n = match c {
            Color::Reset => base + 9,
            Color::Rgb(r, g, b) => {
                let _ = write!(self.out, "\x1b[{};2;{r};{g};{b}m", base + 8);
                return;
            }
            Color::Indexed(i) => {
                let _ = write!(self.out, "\x1b[{};5;{i}m", base + 8);
                return;
            }
            Color::Black => base,
            Color::Red => base + 1,
            Color::Green => base + 2,
            Color::Yellow => base + 3,
            Color::Blue => base + 4,
            Color::Magenta => base + 5,
            Color::Cyan => base + 6,
            Color::Gray => base + 7,
            Color::DarkGray => base + 60,
            Color::LightRed => base + 61,
            Color::LightGreen => base + 62,
            Color::LightYellow => base + 63,
            Color::LightBlue => base + 64,
            Color::LightMagenta => base + 65,
            Color::LightCyan => base + 66,
            Color::White => base + 67,
        };
        let _ = write!(self.out, "\x1b[{n}m");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ratatui::style::Style;

    fn frame(lines: &[&str]) -> Buffer {
        let mut b = blank((20, 3));
        for (y, line) in lines.iter().enumerate() {
            b.set_string(0, u16::try_from(y).unwrap(), line, Style::default());
        }
        b
    }

    #[test]
    fn a_terminal_that_gets_the_bytes_shows_the_frame() {
        let mut painter = Painter::new((20, 3), true);
        let mut terminal = crate::ui::fixtures::vt(3, 20);
        for lines in [["hello world", "한글 이름", ""], ["hello", "한 글이름x", "z"], ["", "a한글", ""]] {
            terminal.process(painter.paint(frame(&lines), None).as_bytes());
            assert_eq!(terminal.screen().contents().lines().map(str::trim_end).collect::<Vec<_>>().join("|"), {
                let mut want = lines.to_vec();
                while want.last() == Some(&"") {
                    want.pop();
                }
                want.join("|")
            });
        }
    }

    #[test]
    fn the_same_frame_again_is_no_bytes() {
        let mut painter = Painter::new((20, 3), true);
        assert!(!painter.paint(frame(&["a", "b"]), Some((1, 1))).is_empty());
        assert_eq!(painter.paint(frame(&["a", "b"]), Some((1, 1))), "");
        painter.invalidate();
        assert!(!painter.paint(frame(&["a", "b"]), Some((1, 1))).is_empty());
    }

    #[test]
    fn ascii_terminals_get_ascii_of_the_same_width() {
        let mut painter = Painter::new((20, 3), false);
        let bytes = painter.paint(frame(&["한x"]), None);
        assert!(bytes.is_ascii());
        assert!(bytes.contains("??x"), "{bytes:?}");
    }
}
