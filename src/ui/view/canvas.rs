//! Drawing that cannot fall off the screen, glyphs with their ASCII twins, and times that know when they change.

use crate::model::{Time, TunnelState, Verdict};
use crate::ui::state::grid::PortKind;
use crate::ui::state::spark::Spark;
use crate::ui::state::spots::{Spot, Target};
use crate::ui::state::{State, Zone};
use crate::ui::text;
use crate::ui::theme::Palette;
use crate::ui::words::{Lang, tr};
use chrono::{Local, TimeDelta};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use std::cell::Cell;

/// Bytes of a step below which a tunnel's traffic is drawn as little, whatever the others are.
const QUIET: u64 = 4_096;

/// A piece of text and its style.
pub(crate) type Span = (String, Style);

/// A frame in the making.
pub(crate) struct Canvas<'a> {
    pub(crate) state: &'a State,
    pub(crate) pal: Palette,
    pub(crate) buf: Buffer,
    /// Where the cursor stands, while something is typed.
    pub(crate) cursor: Option<(u16, u16)>,
    /// When something shown changes by itself.
    pub(crate) wake: Cell<Option<Time>>,
    /// Rows of lists drawn, to prove that the others are not.
    pub(crate) rows_drawn: usize,
    pub(crate) scroll_max: usize,
    /// What can be clicked.
    pub(crate) spots: Vec<Spot>,
}

impl Canvas<'_> {
    /// The language of this console.
    pub(crate) fn lang(&self) -> Lang {
        self.state.lang()
    }

    /// The key of a command as it is now, for texts that say what to press.
    pub(crate) fn key(&self, name: &str) -> String {
        self.state.key(name)
    }

    /// Writes on one line from `x`, at most to the area's right edge; the column after it.
    pub(crate) fn put(&mut self, area: Rect, x: u16, y: u16, s: &str, style: Style) -> u16 {
        let right = area.right().min(self.buf.area.right());
        if x >= right || y >= area.bottom() || y >= self.buf.area.bottom() || y < area.top() {
            return x;
        }
        let s = if self.state.caps.unicode { std::borrow::Cow::Borrowed(s) } else { ascii(s).into() };
        self.buf.set_stringn(x, y, s, usize::from(right - x), style).0
    }

    /// This can be clicked.
    pub(crate) fn spot(&mut self, area: Rect, target: Target) {
        if self.state.own.mouse {
            self.spots.push((area, target));
        }
    }

    /// Writes pieces one after the other.
    pub(crate) fn line(&mut self, area: Rect, y: u16, spans: &[Span]) -> u16 {
        let mut x = area.x;
        for (s, style) in spans {
            x = self.put(area, x, y, s, *style);
        }
        x
    }

    /// Patches the style of a whole area.
    pub(crate) fn tint(&mut self, area: Rect, style: Style) {
        let area = area.intersection(self.buf.area);
        self.buf.set_style(area, style);
    }

    pub(crate) fn clear(&mut self, area: Rect) {
        for y in area.top()..area.bottom() {
            // A wide character that reaches into the area would be drawn over its first column.
            let before = area.left().checked_sub(1).and_then(|x| self.buf.cell_mut((x, y)));
            if let Some(c) = before.filter(|c| text::width(c.symbol()) > 1) {
                c.set_symbol(" ");
            }
            for x in area.left()..area.right() {
                if let Some(c) = self.buf.cell_mut((x, y)) {
                    c.reset();
                }
            }
        }
        let text = self.pal.text;
        self.tint(area, text);
    }

    pub(crate) fn wake_at(&self, at: Time) {
        self.wake.set(Some(self.wake.get().map_or(at, |w| w.min(at))));
    }

    /// The time since, and it is drawn anew when it reads differently.
    pub(crate) fn age(&self, since: Time) -> String {
        let ms = (self.state.now - since).num_milliseconds().max(0);
        let (s, _) = text::age(ms / 1000);
        let (_, until) = text::age(ms / 1000);
        self.wake_at(self.state.now + TimeDelta::milliseconds(until * 1000 - ms % 1000));
        s
    }

    /// The time left until then.
    pub(crate) fn left(&self, until: Time) -> String {
        let s = (until - self.state.now).num_seconds().max(0);
        if s > 60 {
            // Counted up to the next minute, so that ten minutes begin as 10m.
            self.wake_at(self.state.now + TimeDelta::seconds((s - 1) % 60 + 1));
            format!("{}m", (s + 59) / 60)
        } else {
            self.wake_at(self.state.now + TimeDelta::seconds(1));
            format!("{s}s")
        }
    }

    /// A point in time as the reader wants it: the time of day, with the date when it is another day.
    pub(crate) fn time(&self, at: Time) -> String {
        match self.state.zone {
            Zone::Relative => tr!(self.lang(), frame.ago, age = self.age(at)),
            Zone::Utc => {
                let today = at.date_naive() == self.state.now.date_naive();
                at.format(if today { "%H:%M:%SZ" } else { "%m-%d %H:%MZ" }).to_string()
            }
            Zone::Local => {
                let (at, now) = (at.with_timezone(&Local), self.state.now.with_timezone(&Local));
                let today = at.date_naive() == now.date_naive();
                at.format(if today { "%H:%M:%S" } else { "%m-%d %H:%M" }).to_string()
            }
        }
    }

    /// A sentence of the daemon, its times as the others on this screen.
    pub(crate) fn here(&self, sentence: &str) -> String {
        if self.state.zone == Zone::Utc {
            return sentence.to_owned();
        }
        text::in_words(sentence, |at| at.with_timezone(&Local).format("%Y-%m-%d %H:%M:%S").to_string())
    }

    /// A time to come, with its day.
    pub(crate) fn moment(&self, at: Time) -> String {
        match self.state.zone {
            Zone::Utc => at.format("%Y-%m-%d %H:%MZ").to_string(),
            Zone::Local | Zone::Relative => at.with_timezone(&Local).format("%Y-%m-%d %H:%M").to_string(),
        }
    }

    /// Glyph for this terminal.
    pub(crate) fn glyph(&self, unicode: &'static str, ascii: &'static str) -> &'static str {
        if self.state.caps.unicode { unicode } else { ascii }
    }

    /// Glyph and colour of a state; the word comes from the state itself.
    pub(crate) fn state_look(&self, s: TunnelState) -> (&'static str, Style) {
        match s {
            TunnelState::Up => (self.glyph("✓", "+"), self.pal.ok),
            TunnelState::Degraded => ("!", self.pal.warn),
            TunnelState::Down => (self.glyph("✗", "x"), self.pal.bad),
            TunnelState::Awaiting => (self.glyph("○", "o"), self.pal.info),
            TunnelState::Revoked => (self.glyph("⊘", "#"), self.pal.dim),
        }
    }

    pub(crate) fn verdict_look(&self, v: Verdict) -> (&'static str, Style) {
        match v {
            Verdict::Passing => (self.glyph("✓", "+"), self.pal.ok),
            Verdict::Failing => (self.glyph("✗", "x"), self.pal.bad),
            Verdict::Unknown => ("?", self.pal.dim),
        }
    }

    pub(crate) fn port_look(&self, k: PortKind) -> (&'static str, Style) {
        match k {
            PortKind::Free => (self.glyph("·", "."), self.pal.dim),
            PortKind::Live => (self.glyph("●", "@"), self.pal.ok),
            PortKind::Silent => (self.glyph("○", "o"), self.pal.warn),
            PortKind::Reserved => (self.glyph("◇", "r"), self.pal.info),
            PortKind::Revoked => (self.glyph("⊘", "#"), self.pal.bad),
            PortKind::Foreign => (self.glyph("✗", "x"), self.pal.bad),
        }
    }

    /// The checks of a tunnel as blocks: the slower the higher, a failure as a gap with a mark.
    pub(crate) fn strip(&self, history: &[Option<f32>], columns: usize) -> Vec<Span> {
        let tail = history.get(history.len().saturating_sub(columns)..).unwrap_or(history);
        let most = tail.iter().flatten().fold(1.0_f32, |a, b| a.max(*b));
        let bars: [&str; 7] = if self.state.caps.unicode {
            ["▁", "▂", "▃", "▄", "▅", "▆", "▇"]
        } else {
            [".", ".", "-", "-", "=", "=", "#"]
        };
        let mark = self.glyph("×", "x");
        tail.iter()
            .map(|r| match r {
                None => (mark.to_owned(), self.pal.bad),
                Some(ms) => {
                    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
                    let i = ((ms / most) * 6.0).clamp(0.0, 6.0) as usize;
                    (bars.get(i).copied().unwrap_or("?").to_owned(), self.pal.ok)
                }
            })
            .collect()
    }

    /// Bytes of the last minutes as blocks, oldest first, beside the most of them.
    pub(crate) fn spark(&self, spark: &Spark) -> String {
        if let Some(at) = spark.moves(self.state.now) {
            self.wake_at(at);
        }
        let bars: [&str; 8] = if self.state.caps.unicode {
            ["▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"]
        } else {
            [".", ".", "-", "-", "=", "=", "#", "#"]
        };
        let values = spark.bars(self.state.now);
        // A few bytes of a quiet tunnel are no mountain.
        let most = values.iter().copied().max().unwrap_or(0).max(QUIET);
        let bar = |v: u64| match v {
            0 => " ",
            v => {
                let i = usize::try_from(u128::from(v) * 7 / u128::from(most)).unwrap_or(0);
                bars.get(i).copied().unwrap_or("?")
            }
        };
        values.into_iter().map(bar).collect()
    }

    /// A line across, with a title in it.
    pub(crate) fn rule(&mut self, area: Rect, y: u16, title: &str, focus: bool) {
        let dash = self.glyph("─", "-");
        let style = if focus { self.pal.accent } else { self.pal.border };
        self.put(area, area.x, y, &dash.repeat(usize::from(area.width)), style);
        if !title.is_empty() {
            let style = if focus { self.pal.accent } else { self.pal.title };
            let title = text::cut(title, usize::from(area.width.saturating_sub(6)));
            self.put(area, area.x + 2, y, &format!(" {title} "), style);
        }
    }
}

/// What the console itself writes, for terminals without Unicode. What comes from outside and is not ASCII is left to
/// the painter, which keeps its width.
fn ascii(s: &str) -> String {
    s.chars()
        .map(|c| match c {
            '…' => '~',
            '│' => '|',
            '─' => '-',
            '↑' => '^',
            '↓' => 'v',
            '→' => '>',
            '←' => '<',
            '·' => '.',
            '×' => 'x',
            '●' => '*',
            '▸' => '>',
            '▲' => '!',
            '▼' => 'v',
            c => c,
        })
        .collect()
}
