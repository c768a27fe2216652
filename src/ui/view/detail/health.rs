//! What the checks of one tunnel say: verdict, latencies, the last results, and when the verdict changed.

use super::{LABEL, fact, timeline};
use crate::audit::What;
use crate::ui::state::live::Row;
use crate::ui::text;
use crate::ui::view::canvas::{Canvas, Span};

pub(super) fn lines(c: &Canvas<'_>, row: &Row, width: usize) -> Vec<Vec<Span>> {
    let h = &row.view.health;
    let mut out = vec![];
    let plain = c.pal.text;
    let (glyph, style) = c.verdict_look(h.verdict);
    let since = h.since.map(|t| format!(" for {}", c.age(t))).unwrap_or_default();
    if row.view.state.is_live() {
        fact(c, &mut out, width, "verdict", &format!("{glyph} {}{since}", h.verdict), style);
    } else {
        fact(c, &mut out, width, "verdict", &super::overview::was(c, row), c.pal.dim);
    }
    if h.check == crate::model::CheckKind::None {
        fact(c, &mut out, width, "check", "none: nobody asks whether the service answers", plain);
        return out;
    }
    if let Some(e) = &h.last_error {
        let layer = h.layer.map(|l| format!(" at the {}", format!("{l:?}").to_lowercase())).unwrap_or_default();
        fact(c, &mut out, width, "error", &format!("{e}{layer}"), c.pal.bad);
    }
    let last = h.last_at.map(|t| format!(", last {}", c.time(t))).unwrap_or_default();
    fact(c, &mut out, width, "check", &format!("{} every {} s{last}", h.check, h.interval_s), plain);
    fact(c, &mut out, width, "thresholds", &format!("{} good pass, {} bad fail", h.rise, h.fall), plain);
    if let Some(said) = latencies(&h.history) {
        fact(c, &mut out, width, "latency", &said, plain);
    }
    if !h.history.is_empty() {
        let failed = h.history.iter().filter(|r| r.is_none()).count();
        let said = format!("{failed} of the last {} failed", h.history.len());
        fact(c, &mut out, width, "results", &said, if failed > 0 { c.pal.warn } else { plain });
        for (n, part) in h.history.chunks(width.saturating_sub(LABEL).max(1)).enumerate() {
            let label = if n == 0 { "oldest" } else { "" };
            let mut line = vec![(text::fit(label, LABEL, false), c.pal.dim)];
            line.extend(c.strip(part, part.len()));
            out.push(line);
        }
    }
    let of_port = |r: &crate::audit::Record| {
        r.event.context.port == Some(row.port()) && matches!(r.event.what, What::HealthChange { .. })
    };
    out.extend(timeline(c, "changes of the verdict, newest first", width, of_port));
    out
}

/// The middle, the slow end and the worst of what passed.
fn latencies(history: &[Option<f32>]) -> Option<String> {
    let mut passed: Vec<f64> = history.iter().flatten().map(|ms| f64::from(*ms)).collect();
    passed.sort_by(f64::total_cmp);
    let at = |percent: usize| passed.get((passed.len() * percent / 100).min(passed.len().saturating_sub(1))).copied();
    let (median, slow, worst) = (at(50)?, at(95)?, passed.last().copied()?);
    let ms = text::millis;
    Some(format!("half within {}, 95 of 100 within {}, worst {}", ms(median), ms(slow), ms(worst)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn latencies_are_those_of_what_passed() {
        assert_eq!(latencies(&[None, None]), None);
        let history: Vec<Option<f32>> = (1..=100_u8).map(|n| Some(f32::from(n))).chain([None]).collect();
        assert_eq!(latencies(&history).unwrap(), "half within 51ms, 95 of 100 within 96ms, worst 100ms");
    }
}
