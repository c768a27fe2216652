//! What a session's terminal can show, from what it says of itself. Never from this process's own environment: over
//! SSH that is the daemon's (`NO_COLOR` and colour depth belong to the session).

use super::UiError;
use super::notify::Through;
use super::words::Lang;

/// What the terminal says of itself. Locally from the environment; over SSH from the pty request and its `env` requests.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TermEnv {
    /// `$TERM`.
    pub term: String,
    /// `$COLORTERM`.
    pub colorterm: Option<String>,
    /// `$NO_COLOR`: any text that is not empty asks for no colour.
    pub no_color: Option<String>,
    /// The first of `$LC_ALL`, `$LC_CTYPE`, `$LANG` that is set and not empty.
    pub locale: Option<String>,
    /// The language of its locale, by [`Lang::of_env`].
    pub lang: Lang,
    /// Whether `$TMUX` is set: it may call itself `screen`.
    pub tmux: bool,
}

/// How many colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Depth {
    /// None; states are told apart by glyph, word and weight.
    Mono,
    /// The sixteen of ECMA-48 and aixterm.
    Ansi16,
    /// xterm's palette.
    Ansi256,
    /// 24 bits.
    True,
}

/// What can be shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Caps {
    /// Colours.
    pub(crate) depth: Depth,
    /// Whether characters outside ASCII can be shown.
    pub(crate) unicode: bool,
    /// What stands between.
    pub(crate) through: Through,
    /// Whether it has a title that can be set and given back.
    pub(crate) titled: bool,
}

impl Caps {
    /// Reads the terminal's own words.
    ///
    /// # Errors
    /// [`UiError::Terminal`] for a terminal that cannot move its cursor.
    pub(crate) fn detect(env: &TermEnv) -> Result<Self, UiError> {
        let term = env.term.trim();
        if term.is_empty() || term == "dumb" || term == "unknown" {
            let why = if term.is_empty() { "TERM is not set".to_owned() } else { format!("TERM is {term:?}") };
            return Err(UiError::Terminal(why));
        }
        Ok(Self {
            depth: depth(term, env),
            unicode: unicode(term, env.locale.as_deref()),
            through: through(term, env.tmux),
            titled: titled(term),
        })
    }
}

fn through(term: &str, tmux: bool) -> Through {
    match term {
        _ if tmux || term.starts_with("tmux") => Through::Tmux,
        _ if term.starts_with("screen") => Through::Screen,
        _ => Through::Nothing,
    }
}

/// The kernel's console and old terminals have none, and might show the bytes instead.
fn titled(term: &str) -> bool {
    !["linux", "vt", "ansi", "cons", "cygwin", "sun", "eterm"].iter().any(|t| term.starts_with(t))
}

fn depth(term: &str, env: &TermEnv) -> Depth {
    const TRUE: [&str; 6] = ["kitty", "ghostty", "alacritty", "wezterm", "foot", "-direct"];
    let says_true = env.colorterm.as_deref().is_some_and(|c| c == "truecolor" || c == "24bit");
    let asked = env.no_color.as_deref().is_some_and(|v| !v.is_empty());
    let grey = ["vt100", "vt102", "vt220", "vt320"].iter().any(|t| term.starts_with(t));
    if asked || grey || term.ends_with("-m") || term.ends_with("-mono") {
        Depth::Mono
    } else if says_true || TRUE.iter().any(|t| term.contains(t)) {
        Depth::True
    } else if term.contains("256color") {
        Depth::Ansi256
    } else {
        Depth::Ansi16
    }
}

/// A locale that is given decides; one that is not (plain `ssh` sends none) is taken for UTF-8, as nearly all are.
fn unicode(term: &str, locale: Option<&str>) -> bool {
    if term.starts_with("vt") || term == "ansi" {
        return false;
    }
    locale.filter(|l| !l.is_empty()).is_none_or(|l| {
        let l = l.to_ascii_lowercase();
        l.contains("utf-8") || l.contains("utf8")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn env(term: &str) -> TermEnv {
        TermEnv { term: term.into(), ..TermEnv::default() }
    }

    #[test]
    fn each_session_gets_the_colours_its_own_terminal_has() {
        let depth = |e: &TermEnv| Caps::detect(e).unwrap().depth;
        assert_eq!(depth(&env("xterm-256color")), Depth::Ansi256);
        assert_eq!(depth(&env("linux")), Depth::Ansi16);
        assert_eq!(depth(&env("vt220")), Depth::Mono);
        assert_eq!(depth(&env("xterm-kitty")), Depth::True);
        assert_eq!(depth(&env("screen")), Depth::Ansi16);
        assert_eq!(depth(&env("tmux-256color")), Depth::Ansi256);
        let mut e = env("xterm-256color");
        e.colorterm = Some("truecolor".into());
        assert_eq!(depth(&e), Depth::True);
        e.no_color = Some(String::new());
        assert_eq!(depth(&e), Depth::True, "an empty NO_COLOR asks for nothing");
        e.no_color = Some("1".into());
        assert_eq!(depth(&e), Depth::Mono);
    }

    #[test]
    fn multiplexers_and_terminals_without_a_title_are_known_by_name() {
        let caps = |e: &TermEnv| Caps::detect(e).unwrap();
        let through = |term: &str| caps(&env(term)).through;
        assert_eq!(through("tmux-256color"), Through::Tmux);
        assert_eq!(through("screen.xterm-256color"), Through::Screen);
        assert_eq!(caps(&TermEnv { tmux: true, ..env("screen-256color") }).through, Through::Tmux);
        assert_eq!(through("xterm-256color"), Through::Nothing);
        assert!(!caps(&env("linux")).titled && !caps(&env("vt220")).titled);
        assert!(caps(&env("xterm")).titled && caps(&env("screen")).titled);
    }

    #[test]
    fn a_locale_without_utf8_gets_ascii_and_a_missing_one_does_not() {
        let unicode = |locale: Option<&str>| {
            Caps::detect(&TermEnv { locale: locale.map(Into::into), ..env("linux") }).unwrap().unicode
        };
        assert!(unicode(None));
        assert!(unicode(Some("ko_KR.UTF-8")));
        assert!(!unicode(Some("C")));
        assert!(!Caps::detect(&env("vt100")).unwrap().unicode);
    }

    #[test]
    fn a_terminal_that_cannot_move_its_cursor_is_refused_by_name() {
        assert!(Caps::detect(&env("dumb")).unwrap_err().to_string().contains("dumb"));
        assert!(Caps::detect(&env("")).is_err());
    }
}
