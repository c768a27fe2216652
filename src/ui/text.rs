//! Widths, numbers and ages as people read them.

use super::words::{Lang, tr};
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// Columns the text takes.
pub(crate) fn width(s: &str) -> usize {
    s.width()
}

/// The text in exactly `columns` columns: padded, or cut with `…` (`~` in ASCII). Wide characters are never halved.
pub(crate) fn fit(s: &str, columns: usize, right: bool) -> String {
    let w = width(s);
    if w <= columns {
        let pad = " ".repeat(columns - w);
        return if right { pad + s } else { s.to_owned() + &pad };
    }
    let mut out = cut(s, columns);
    let w = width(&out);
    out.extend(std::iter::repeat_n(' ', columns.saturating_sub(w)));
    out
}

/// The text in at most `columns` columns, with an ellipsis where something is missing.
pub(crate) fn cut(s: &str, columns: usize) -> String {
    if width(s) <= columns {
        return s.to_owned();
    }
    let mut out = String::with_capacity(columns * 3);
    let mut used = 0;
    for c in s.chars() {
        let w = c.width().unwrap_or(0);
        if used + w + 1 > columns {
            break;
        }
        used += w;
        out.push(c);
    }
    if columns > 0 {
        out.push('…');
    }
    out
}

/// Breaks at spaces into lines of at most `columns` columns; words that are longer are broken.
pub(crate) fn wrap(s: &str, columns: usize) -> Vec<String> {
    let columns = columns.max(1);
    let mut lines = vec![];
    let mut line = String::new();
    let mut used = 0;
    for word in s.split(' ') {
        let w = width(word);
        if used > 0 && used + 1 + w <= columns {
            line.push(' ');
            line.push_str(word);
            used += 1 + w;
            continue;
        }
        if used > 0 {
            lines.push(std::mem::take(&mut line));
            used = 0;
        }
        for c in word.chars() {
            let cw = c.width().unwrap_or(0);
            if used + cw > columns && used > 0 {
                lines.push(std::mem::take(&mut line));
                used = 0;
            }
            line.push(c);
            used += cw;
        }
    }
    if !line.is_empty() || lines.is_empty() {
        lines.push(line);
    }
    lines
}

/// A shell command over several lines: each but the last ends in ` \`, or in `\` inside a word, so that the lines
/// copied together are the same command.
pub(crate) fn wrap_shell(s: &str, columns: usize) -> Vec<String> {
    if width(s) <= columns || columns < 8 {
        return vec![s.to_owned()];
    }
    let mut lines = vec![];
    let mut line = String::new();
    for word in s.split(' ') {
        let gap = usize::from(!line.is_empty());
        if width(&line) + gap + width(word) + 2 <= columns {
            if gap > 0 {
                line.push(' ');
            }
            line.push_str(word);
            continue;
        }
        if !line.is_empty() {
            line.push_str(" \\");
            lines.push(std::mem::take(&mut line));
        }
        for c in word.chars() {
            if width(&line) + 3 > columns {
                line.push('\\');
                lines.push(std::mem::take(&mut line));
            }
            line.push(c);
        }
    }
    lines.push(line);
    lines
}

/// Bytes in at most five columns: `0`, `812B`, `1.5K`, `23K`, `4.0G`.
pub(crate) fn bytes(n: u64) -> String {
    const UNITS: [&str; 6] = ["K", "M", "G", "T", "P", "E"];
    if n == 0 {
        return "0".into();
    }
    if n < 1000 {
        return format!("{n}B");
    }
    #[allow(clippy::cast_precision_loss)]
    let mut v = n as f64 / 1024.0;
    for unit in UNITS {
        if v < 9.95 {
            return format!("{v:.1}{unit}");
        }
        if v < 999.5 {
            return format!("{v:.0}{unit}");
        }
        v /= 1024.0;
    }
    "many".into()
}

/// An age and the seconds until its text changes: `42s`, then `3m`, `5h12m`, `9d`.
pub(crate) fn age(seconds: i64) -> (String, i64) {
    let s = seconds.max(0);
    match s {
        0..60 => (format!("{s}s"), 1),
        60..3600 => (format!("{}m", s / 60), 60 - s % 60),
        3600..86_400 => (format!("{}h{:02}m", s / 3600, s % 3600 / 60), 60 - s % 60),
        _ => (format!("{}d{:02}h", s / 86_400, s % 86_400 / 3600), 3600 - s % 3600),
    }
}

/// Milliseconds, short: `0.4ms`, `12ms`, `1.2s`.
pub(crate) fn millis(ms: f64) -> String {
    if ms < 10.0 {
        format!("{ms:.1}ms")
    } else if ms < 1000.0 {
        format!("{ms:.0}ms")
    } else {
        format!("{:.1}s", ms / 1000.0)
    }
}

/// The text with its moments (`2026-03-04 14:02:11Z`, as the daemon writes them) put in other words.
pub(crate) fn in_words(text: &str, say: impl Fn(crate::model::Time) -> String) -> String {
    const LONG: usize = "2026-03-04 14:02:11Z".len();
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("Z").map(|z| z + 1) {
        let (head, tail) = rest.split_at(at);
        let moment = head.len().checked_sub(LONG).and_then(|from| head.split_at_checked(from));
        let found = moment.and_then(|(before, m)| {
            let naive = chrono::NaiveDateTime::parse_from_str(m, "%Y-%m-%d %H:%M:%SZ").ok()?;
            Some((before, naive.and_utc()))
        });
        match found {
            Some((before, at)) => {
                out.push_str(before);
                out.push_str(&say(at));
            }
            None => out.push_str(head),
        }
        rest = tail;
    }
    out + rest
}

/// When a range runs out.
pub(crate) fn forecast(lang: Lang, f: &crate::model::Forecast) -> String {
    let week = if f.per_week >= 1.5 { format!("{:.0}", f.per_week) } else { format!("{:.1}", f.per_week) };
    if f.days < 1.0 {
        return tr!(lang, ports.full, week);
    }
    tr!(lang, ports.full_in, days = format!("{:.0}", f.days), week)
}

#[cfg(test)]
mod tests {
    #[test]
    fn moments_in_a_sentence_are_put_in_other_words_and_nothing_else() {
        let say = |at: crate::model::Time| at.format("<%H:%M>").to_string();
        let said = super::in_words("since 2026-03-04 14:02:11Z, until 2026-03-04 15:00:00Z; Zed at 14:02Z, 결제Z", say);
        assert_eq!(said, "since <14:02>, until <15:00>; Zed at 14:02Z, 결제Z");
    }

    use super::*;

    #[test]
    fn wide_text_is_cut_to_columns_and_never_halved() {
        assert_eq!(fit("결제-서버", 9, false), "결제-서버");
        assert_eq!(fit("결제-서버", 6, false), "결제-…");
        assert_eq!(width(&fit("결제-서버", 5, false)), 5);
        assert_eq!(fit("7", 3, true), "  7");
    }

    #[test]
    fn a_wrapped_command_is_the_same_command_again_when_copied() {
        let cmd = "ssh -N -i ./portreeve-data/first_host_key -p 41022 -R 20100:localhost:22 first@127.0.0.1";
        for columns in 8..100 {
            let lines = wrap_shell(cmd, columns);
            assert!(lines.iter().all(|l| width(l) <= columns), "{columns}: {lines:?}");
            let joined = lines.join("\n").replace("\\\n", "");
            assert_eq!(joined, cmd, "{columns}");
        }
    }

    #[test]
    fn numbers_stay_short() {
        for n in [0, 1, 999, 1000, 1023, 1024, 10_189, 1 << 20, 999 << 20, 1 << 40, u64::MAX] {
            assert!(width(&bytes(n)) <= 5, "{n} {}", bytes(n));
        }
        assert_eq!(age(59), ("59s".into(), 1));
        assert_eq!(age(61), ("1m".into(), 59));
        assert_eq!(age(3600 * 5 + 60 * 12), ("5h12m".into(), 60));
    }
}
