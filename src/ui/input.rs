//! Bytes of a terminal into keys. They come split and coalesced at will, so the stream is parsed, never the chunk.

use termina::event::{KeyCode, KeyEventKind, Modifiers, MouseButton, MouseEventKind};
use termina::{Event, Parser};
use tokio::time::{Duration, Instant};

/// An Esc that stands alone this long was the key, and not the beginning of a sequence.
const ESC_ALONE: Duration = Duration::from_millis(30);
/// What may be pending without ever becoming a key (an endless paste) before it is thrown away, bytes.
const PENDING_MAX: usize = 64 * 1024;

/// A key as the console knows them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Key {
    Char(char),
    Ctrl(char),
    Enter,
    Esc,
    Tab,
    BackTab,
    Backspace,
    Delete,
    Up,
    Down,
    Left,
    Right,
    Home,
    End,
    PageUp,
    PageDown,
}

/// What the mouse did, where it is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mouse {
    /// Column and row.
    Click(u16, u16),
    WheelUp,
    WheelDown,
}

/// Something typed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Typed {
    Mouse(Mouse),
    Key(Key),
    Paste(String),
}

/// The stream's state between chunks.
#[derive(Debug, Default)]
pub(crate) struct Input {
    parser: Parser,
    pending: usize,
    deadline: Option<Instant>,
}

impl Input {
    /// What these bytes complete.
    pub(crate) fn feed(&mut self, bytes: &[u8]) -> Vec<Typed> {
        let mut out = vec![];
        for chunk in bytes.chunks(1024) {
            self.parser.parse(chunk, true);
            self.pending += chunk.len();
            self.drain(&mut out);
            if self.pending > PENDING_MAX {
                *self = Self::default();
            }
        }
        // The parser keeps its buffer to itself: a nudge after the wait frees a lone Esc and is harmless otherwise.
        self.deadline = bytes.contains(&0x1b).then(|| Instant::now() + ESC_ALONE).or(self.deadline);
        out
    }

    /// When to call [`Self::timeout`].
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// The wait is over: a lone Esc is a key.
    pub(crate) fn timeout(&mut self) -> Vec<Typed> {
        self.deadline = None;
        let mut out = vec![];
        self.parser.parse(&[], false);
        self.drain(&mut out);
        out
    }

    fn drain(&mut self, out: &mut Vec<Typed>) {
        while let Some(event) = self.parser.pop() {
            self.pending = 0;
            translate(event, out);
        }
    }
}

fn translate(event: Event, out: &mut Vec<Typed>) {
    let key = match event {
        Event::Mouse(m) => {
            let mouse = match m.kind {
                MouseEventKind::Down(MouseButton::Left) => Mouse::Click(m.column, m.row),
                MouseEventKind::ScrollUp => Mouse::WheelUp,
                MouseEventKind::ScrollDown => Mouse::WheelDown,
                _ => return,
            };
            return out.push(Typed::Mouse(mouse));
        }
        Event::Paste(text) => return out.push(Typed::Paste(text)),
        Event::Key(k) if k.kind != KeyEventKind::Release => k,
        _ => return,
    };
    // Esc and the next key, sent together by a slow line, look like Alt. Nothing here is on Alt, so they are taken for two.
    if key.modifiers.contains(Modifiers::ALT) {
        out.push(Typed::Key(Key::Esc));
    }
    let ctrl = key.modifiers.contains(Modifiers::CONTROL);
    let shift = key.modifiers.contains(Modifiers::SHIFT);
    out.push(Typed::Key(match key.code {
        // ^H is what some terminals send for Backspace, ^J for Enter.
        KeyCode::Char('h') if ctrl => Key::Backspace,
        KeyCode::Char('j') if ctrl => Key::Enter,
        KeyCode::Char(c) if ctrl => Key::Ctrl(c.to_ascii_lowercase()),
        KeyCode::Char(c) => Key::Char(c),
        KeyCode::Enter => Key::Enter,
        KeyCode::Escape => Key::Esc,
        KeyCode::Tab if shift => Key::BackTab,
        KeyCode::Tab => Key::Tab,
        KeyCode::BackTab => Key::BackTab,
        KeyCode::Backspace => Key::Backspace,
        KeyCode::Delete => Key::Delete,
        KeyCode::Up => Key::Up,
        KeyCode::Down => Key::Down,
        KeyCode::Left => Key::Left,
        KeyCode::Right => Key::Right,
        KeyCode::Home => Key::Home,
        KeyCode::End => Key::End,
        KeyCode::PageUp => Key::PageUp,
        KeyCode::PageDown => Key::PageDown,
        _ => return,
    }));
}

#[cfg(test)]
mod tests {
    use super::*;
    use Key::{Char, Down, Enter, Esc};

    fn keys(typed: Vec<Typed>) -> Vec<Key> {
        typed.into_iter().filter_map(|t| if let Typed::Key(k) = t { Some(k) } else { None }).collect()
    }

    #[test]
    fn keys_are_the_same_however_the_bytes_are_cut() {
        let stream = "jj\x1b[B\x1bOB한g\r".as_bytes();
        let whole = keys(Input::default().feed(stream));
        assert_eq!(whole, [Char('j'), Char('j'), Down, Down, Char('한'), Char('g'), Enter]);
        for cut in 1..stream.len() {
            let mut input = Input::default();
            let mut got = input.feed(&stream[..cut]);
            got.extend(input.feed(&stream[cut..]));
            assert_eq!(keys(got), whole, "cut at {cut}");
        }
    }

    #[test]
    fn a_lone_esc_is_given_after_the_wait_and_not_before() {
        let mut input = Input::default();
        assert!(input.feed(b"\x1b").is_empty());
        assert!(input.deadline().is_some());
        assert_eq!(keys(input.timeout()), [Esc]);
        assert!(input.deadline().is_none());
        assert_eq!(keys(input.feed(b"\x1bj")), [Esc, Char('j')], "coalesced by a slow line");
    }

    #[test]
    fn a_paste_is_one_thing_and_an_endless_one_is_thrown_away() {
        let mut input = Input::default();
        assert_eq!(input.feed(b"\x1b[200~a\nb\x1b[201~x").len(), 2);
        input.feed(b"\x1b[200~");
        for _ in 0..100 {
            input.feed(&[b'a'; 1024]);
        }
        assert!(input.pending <= PENDING_MAX);
        input.feed(&[b'q'; 8]);
        assert!(!input.feed(b"j").is_empty());
    }

    #[test]
    fn clicks_and_the_wheel_are_known_and_releases_are_not() {
        let mut input = Input::default();
        let got = input.feed(b"\x1b[<0;5;3M\x1b[<0;5;3m\x1b[<64;1;1M\x1b[<65;1;1M");
        let want = [Mouse::Click(4, 2), Mouse::WheelUp, Mouse::WheelDown].map(Typed::Mouse);
        assert_eq!(got, want);
    }

    #[test]
    fn noise_never_panics() {
        let mut input = Input::default();
        for n in 0..=255_u8 {
            for m in 0..=255_u8 {
                input.feed(&[0x1b, n, m]);
                input.feed(&[n, m]);
                input.timeout();
            }
        }
    }
}
