//! Text from outside (user names, client versions, banners, error messages) made safe to print.

/// The text without control, bidirectional-override and zero-width characters, cut to `max` characters.
///
/// What would move a cursor, change a colour or reorder a line becomes `·`, so that it can be seen that something was there.
#[must_use]
pub fn clean(s: &str, max: usize) -> String {
    let mut out = String::with_capacity(s.len().min(max * 4));
    for (n, c) in s.chars().enumerate() {
        if n == max {
            out.push('…');
            break;
        }
        out.push(if hostile(c) { '·' } else { c });
    }
    out
}

/// [`clean`] at 200 characters: enough for a line of a screen or a log.
#[must_use]
pub fn clean_line(s: &str) -> String {
    clean(s.trim_end(), 200)
}

fn hostile(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{00ad}' | '\u{061c}' | '\u{115f}' | '\u{1160}' | '\u{180e}' | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}'
            | '\u{feff}' | '\u{ffa0}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}')
}

/// Bytes with a binary unit and at most one decimal: `0 B`, `1.5 KiB`, `3.0 GiB`.
#[must_use]
#[allow(clippy::cast_precision_loss)] // one decimal is shown
pub fn bytes(n: u64) -> String {
    const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    if n < 1024 {
        return format!("{n} B");
    }
    let mut value = n as f64;
    let mut unit = "B";
    for u in UNITS {
        // 1023.95 and more would read "1024.0".
        if value < 1023.95 {
            break;
        }
        value /= 1024.0;
        unit = u;
    }
    format!("{value:.1} {unit}")
}

/// Whether the text is the pattern, in which `*` stands for any text. Takes no longer the more of them there are: each part
/// between two is looked for once, where it comes first.
#[must_use]
pub fn glob(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = text.strip_prefix(first) else { return false };
    let mut parts = parts.peekable();
    if parts.peek().is_none() {
        return rest.is_empty();
    }
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            return rest.ends_with(part);
        }
        match rest.find(part) {
            Some(at) => rest = rest.get(at + part.len()..).unwrap_or_default(),
            None => return false,
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escape_sequences_and_invisible_characters_do_not_reach_the_screen() {
        assert_eq!(clean_line("a\u{1b}[2Jb"), "a·[2Jb");
        assert_eq!(clean_line("x\u{202e}y\u{200b}z"), "x·y·z");
        assert_eq!(clean_line("한글 漢字"), "한글 漢字");
        assert_eq!(clean("abcdef", 3), "abc…");
    }

    #[test]
    fn stars_stand_for_any_text_and_many_of_them_take_no_longer() {
        for (pattern, text) in
            [("*", ""), ("a*", "a"), ("a*b*c", "axbybc"), ("*b", "ab"), ("ab", "ab"), ("*한*", "결한")]
        {
            assert!(glob(pattern, text), "{pattern} {text}");
        }
        for (pattern, text) in [("", "a"), ("a", ""), ("ab*ba", "aba"), ("*b*b", "b"), ("a*c", "ab"), ("a*b", "abc")] {
            assert!(!glob(pattern, text), "{pattern} {text}");
        }
        // Looked for at every place, and from there again, this takes longer than anybody lives.
        assert!(!glob(&("*a".repeat(500) + "b"), &"a".repeat(5_000)));
    }
}
