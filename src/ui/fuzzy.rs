//! Fuzzy matching for the palette: the letters typed, in their order, wherever they stand; the best first.

use nucleo_matcher::pattern::{AtomKind, CaseMatching, Normalization, Pattern};
use nucleo_matcher::{Config, Matcher, Utf32Str};

/// Those that match, the best first. Nothing typed matches all, in their own order.
pub(crate) fn matching(all: Vec<String>, typed: &str) -> Vec<String> {
    if typed.is_empty() {
        return all;
    }
    let mut config = Config::DEFAULT;
    config.prefer_prefix = true;
    let mut matcher = Matcher::new(config);
    let pattern = Pattern::new(typed, CaseMatching::Ignore, Normalization::Smart, AtomKind::Fuzzy);
    let mut buffer = vec![];
    let mut found: Vec<(bool, u32, String)> = all
        .into_iter()
        .filter_map(|word| {
            let score = pattern.score(Utf32Str::new(&word, &mut buffer), &mut matcher)?;
            Some((word.starts_with(typed), score, word))
        })
        .collect();
    // Stable: what is equally good stays in the order of the tables.
    found.sort_by_key(|(begins, score, _)| (!begins, std::cmp::Reverse(*score)));
    found.into_iter().map(|(_, _, word)| word).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_begins_so_comes_first_and_letters_between_do_not_matter() {
        let all = || ["revoke", "restore", "reload", "release", "cut", "결제-서버"].map(str::to_owned).to_vec();
        assert_eq!(matching(all(), "rel"), ["reload", "release"]);
        assert_eq!(matching(all(), "rvk"), ["revoke"]);
        assert_eq!(matching(all(), "RVK"), ["revoke"]);
        assert_eq!(matching(all(), "서버"), ["결제-서버"]);
        assert_eq!(matching(all(), "xyz"), Vec::<String>::new());
        assert_eq!(matching(all(), "").len(), 6);
    }
}
