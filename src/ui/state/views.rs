//! Saved views: a screen with its filter, and the order of the tunnels, under a name of the user's own.

use super::Screen;
use super::rows::SortBy;
use crate::ui::words::{Lang, tr};

/// One of them. The settings have it as a line: `tunnels sort=-rate state!=up team=pay`.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct View {
    pub(crate) screen: Screen,
    /// Of the tunnels.
    pub(crate) sort: Option<(SortBy, bool)>,
    pub(crate) filter: String,
}

impl View {
    /// Reads the line.
    ///
    /// # Errors
    /// A sentence that says what was expected.
    pub(crate) fn parse(line: &str, lang: Lang) -> Result<Self, String> {
        let (first, rest) = line.trim().split_once(char::is_whitespace).unwrap_or((line.trim(), ""));
        let words: Vec<&str> = Screen::ALL.iter().map(|s| s.word()).collect();
        let screen = Screen::ALL.into_iter().find(|s| s.word() == first);
        let screen = screen
            .ok_or_else(|| tr!(lang, problem.view_screen, word = format!("{first:?}"), words = words.join(", ")))?;
        let (word, after) = rest.trim().split_once(char::is_whitespace).unwrap_or((rest.trim(), ""));
        let Some(by) = word.strip_prefix("sort=") else {
            return Ok(Self { screen, sort: None, filter: rest.trim().to_owned() });
        };
        let (name, reverse) = by.strip_prefix('-').map_or((by, false), |name| (name, true));
        let names: Vec<&str> = SortBy::ALL.iter().map(|s| s.name()).collect();
        let by = SortBy::ALL.into_iter().find(|s| s.name() == name);
        let by =
            by.ok_or_else(|| tr!(lang, problem.view_sort, word = format!("{name:?}"), words = names.join(", ")))?;
        Ok(Self { screen, sort: Some((by, reverse)), filter: after.trim().to_owned() })
    }

    /// The line.
    pub(crate) fn line(&self) -> String {
        let sort = self.sort.map(|(by, back)| format!("sort={}{}", if back { "-" } else { "" }, by.name()));
        let parts = [Some(self.screen.word().to_owned()), sort, Some(self.filter.clone())];
        parts.into_iter().flatten().filter(|p| !p.is_empty()).collect::<Vec<_>>().join(" ")
    }
}

/// Whether a view can have this name.
pub(crate) fn is_name(name: &str) -> bool {
    let plain = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_');
    (1..=32).contains(&name.chars().count()) && name.chars().all(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_view_is_the_same_after_it_was_written_and_read() {
        for line in [
            "tunnels sort=-rate state!=up team=pay",
            "tunnels sort=port",
            "audit outcome=refused 결제",
            "triage",
            "changes area=health",
        ] {
            assert_eq!(View::parse(line, Lang::En).unwrap().line(), line);
        }
        assert_eq!(View::parse("  health   failing ", Lang::En).unwrap().line(), "health failing");
        assert!(
            View::parse("", Lang::En).is_err()
                && View::parse("nowhere x", Lang::En).unwrap_err().contains("none of triage")
        );
        assert!(View::parse("tunnels sort=colour", Lang::En).unwrap_err().contains("by one of port"));
    }

    #[test]
    fn names_are_words() {
        for (name, good) in [("night", true), ("결제-밤", true), ("a b", false), ("", false), ("a.b", false)] {
            assert_eq!(is_name(name), good, "{name:?}");
        }
    }
}
