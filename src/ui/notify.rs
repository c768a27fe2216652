//! Telling somebody who looks elsewhere: a bell or a notification of the terminal, and its title.

use super::caps::Caps;
use super::state::State;
use super::words::tr;

/// How news is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Notify {
    #[default]
    None,
    /// BEL.
    Bell,
    /// `OSC 9`: iTerm2, kitty, ghostty, Windows Terminal, foot.
    Osc9,
    /// `OSC 777`: urxvt, foot, ghostty, VTE.
    Osc777,
}

impl Notify {
    pub(crate) const ALL: [Self; 4] = [Self::None, Self::Bell, Self::Osc9, Self::Osc777];

    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Bell => "bell",
            Self::Osc9 => "osc9",
            Self::Osc777 => "osc777",
        }
    }

    /// The bytes that tell it to this terminal.
    pub(crate) fn bytes(self, caps: Caps, title: &str, text: &str) -> String {
        // What ends or divides the sequence cannot stand in it.
        let clean = |s: &str| -> String { s.chars().filter(|c| !c.is_control() && *c != ';').take(200).collect() };
        let (title, text) = (clean(title), clean(text));
        match self {
            Self::None => String::new(),
            Self::Bell => "\x07".to_owned(),
            Self::Osc9 => caps.through.wrap(&format!("\x1b]9;{title}: {text}\x07")),
            Self::Osc777 => caps.through.wrap(&format!("\x1b]777;notify;{title};{text}\x07")),
        }
    }
}

/// A multiplexer between us and the terminal, which keeps to itself what it does not know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Through {
    #[default]
    Nothing,
    Tmux,
    Screen,
}

impl Through {
    /// A sequence, wrapped so that it is passed on. (tmux: `set -g allow-passthrough on`.)
    fn wrap(self, sequence: &str) -> String {
        match self {
            Self::Nothing => sequence.to_owned(),
            Self::Tmux => format!("\x1bPtmux;{}\x1b\\", sequence.replace('\x1b', "\x1b\x1b")),
            Self::Screen => format!("\x1bP{sequence}\x1b\\"),
        }
    }
}

/// Keeps the terminal's own title for later; gives it back and keeps it once more.
pub(crate) const KEEP_TITLE: &str = "\x1b[22;2t";
pub(crate) const OWN_TITLE: &str = "\x1b[23;2t\x1b[22;2t";

/// What the title says: how many incidents are more than notes.
pub(crate) fn headline(state: &State) -> String {
    if state.locked {
        return tr!(state.lang(), frame.locked_title).to_owned();
    }
    let Some(daemon) = &state.live.daemon else { return "portreeve".into() };
    let (name, l) = (&daemon.name, state.lang());
    match crate::triage::alarms(state.live.incidents()) {
        _ if !state.is_live() => tr!(l, link.title_off, name),
        0 => tr!(l, link.title_calm, name),
        n => tr!(l, link.title_incidents, name, n),
    }
}

/// The bytes that set the title.
pub(crate) fn title(text: &str) -> String {
    let clean: String = text.chars().filter(|c| !c.is_control()).take(120).collect();
    format!("\x1b]2;{clean}\x07")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ui::caps::Depth;

    #[test]
    fn a_notification_passes_through_a_multiplexer_and_its_text_cannot_end_it() {
        let caps = |through| Caps { depth: Depth::Mono, unicode: true, through, titled: true };
        let text = "pay-db\x07\x1b;down";
        assert_eq!(Notify::Osc9.bytes(caps(Through::Nothing), "b", text), "\x1b]9;b: pay-dbdown\x07");
        assert_eq!(
            Notify::Osc777.bytes(caps(Through::Tmux), "b", text),
            "\x1bPtmux;\x1b\x1b]777;notify;b;pay-dbdown\x07\x1b\\"
        );
        assert_eq!(Notify::Osc9.bytes(caps(Through::Screen), "b", "x"), "\x1bP\x1b]9;b: x\x07\x1b\\");
        assert_eq!(Notify::Bell.bytes(caps(Through::Tmux), "b", text), "\x07");
        assert_eq!(title("a\x1b]2;b\x07"), "\x1b]2;a]2;b\x07");
    }
}
