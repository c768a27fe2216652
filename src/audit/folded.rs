//! A text whose case does not matter, looked for by the few bytes of it that a journal has least of.

use aho_corasick::packed::{Config, Searcher};
use regex::bytes::{Regex, RegexBuilder};

/// Bytes that are looked for: with letters only that makes eight spellings, as many as are compared at a time.
const WINDOW: usize = 3;
/// A character is no longer in UTF-8, in whatever case.
const CHAR_MAX: usize = 4;

/// See the module.
#[derive(Debug)]
pub(super) struct Folded {
    /// What decides.
    regex: Regex,
    /// None when no part of the text will do, or the machine has no vector instructions.
    window: Option<Window>,
}

#[derive(Debug)]
struct Window {
    spellings: Searcher,
    /// How far from the window a match begins and ends at most, in bytes.
    before: usize,
    after: usize,
}

impl Folded {
    /// None when the text is too long for a regular expression.
    pub(super) fn new(text: &str) -> Option<Self> {
        let regex = RegexBuilder::new(&regex::escape(text)).case_insensitive(true).build().ok()?;
        Some(Self { regex, window: Window::new(text) })
    }

    /// Where it first occurs.
    pub(super) fn find(&self, bytes: &[u8]) -> Option<usize> {
        let Some(window) = &self.window else { return self.regex.find(bytes).map(|m| m.start()) };
        let mut from = 0;
        loop {
            let seen = from + window.spellings.find(bytes.get(from..)?)?.start();
            let begin = seen.saturating_sub(window.before);
            let end = bytes.len().min(seen + window.after);
            // Every match has the window in it, so the first match is beside the first window that has one.
            if let Some(found) = bytes.get(begin..end).and_then(|near| self.regex.find(near)) {
                return Some(begin + found.start());
            }
            from = seen + 1;
        }
    }
}

impl Window {
    fn new(text: &str) -> Option<Self> {
        let bytes = text.as_bytes();
        let windows = bytes.windows(WINDOW).enumerate().filter(|(_, w)| w.iter().all(|b| has_ascii_cases(*b)));
        let (at, rarest) = windows.min_by_key(|(_, w)| w.iter().map(|b| commonness(*b)).sum::<u32>())?;
        let mut spellings = vec![vec![]];
        for b in rarest {
            let mut cases = vec![b.to_ascii_lowercase(), b.to_ascii_uppercase()];
            cases.dedup();
            let with = |s: &Vec<u8>, case: &u8| [s.as_slice(), &[*case]].concat();
            spellings = spellings.iter().flat_map(|s| cases.iter().map(move |c| with(s, c))).collect();
        }
        let spellings = Config::new().builder().extend(spellings).build()?;
        let chars = |part: Option<&[u8]>| part.map_or(0, |p| String::from_utf8_lossy(p).chars().count() * CHAR_MAX);
        Some(Self { spellings, before: chars(bytes.get(..at)), after: chars(bytes.get(at..)) })
    }
}

/// Whether it is ASCII, and so in any case: k has the Kelvin sign too, s has the long s.
fn has_ascii_cases(b: u8) -> bool {
    b.is_ascii() && !matches!(b, b'k' | b'K' | b's' | b'S')
}

/// How much of a journal is this letter, digit or sign, roughly: hashes and times are half of it.
fn commonness(b: u8) -> u32 {
    match b.to_ascii_lowercase() {
        b'0'..=b'9' | b'a'..=b'f' | b'"' => 6,
        b':' | b',' | b'i' | b'n' | b'o' | b'r' | b't' => 4,
        b'-' | b'.' | b'{' | b'}' | b'g' | b'h' | b'l' | b'm' | b'p' | b'u' | b'v' => 3,
        b'j' | b'q' | b'w' | b'x' | b'y' | b'z' => 1,
        _ => 2,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]
        #[test]
        fn it_finds_what_the_regular_expression_finds(
            text in "[abxyKks.\"가İſ-]{1,9}", around in "[abxyXYkKs\u{212a}ſ.\"가-]{0,200}", upper in any::<bool>(), at in 0..200_usize
        ) {
            let folded = Folded::new(&text).unwrap();
            let mut hay: Vec<char> = around.chars().collect();
            for b in [false, true] {
                let bytes = hay.iter().collect::<String>().into_bytes();
                prop_assert_eq!(folded.find(&bytes), folded.regex.find(&bytes).map(|m| m.start()), "{}", b);
                let shown = if upper { text.to_uppercase() } else { text.replace('k', "\u{212a}") };
                let at = at.min(hay.len());
                hay.splice(at..at, shown.chars());
            }
        }
    }

    #[test]
    fn a_long_text_has_a_window_where_the_machine_can_and_one_of_other_letters_has_none() {
        assert!(Folded::new("Haystack-Needle").unwrap().window.is_some() || cfg!(not(target_arch = "x86_64")));
        assert!(Folded::new("가나다라").unwrap().window.is_none());
        assert!(Folded::new("kiss").unwrap().window.is_none());
        assert!(Folded::new("ab").unwrap().window.is_none());
    }
}
