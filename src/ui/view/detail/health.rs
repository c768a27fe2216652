//! What the checks of one tunnel say: verdict, latencies, the last results, and when the verdict changed.

use super::{LABEL, fact, timeline};
use crate::audit::What;
use crate::ui::state::live::Row;
use crate::ui::text;
use crate::ui::view::canvas::{Canvas, Span};
use crate::ui::words::{self, tr};

pub(super) fn lines(c: &Canvas<'_>, row: &Row, width: usize) -> Vec<Vec<Span>> {
    let h = &row.view.health;
    let mut out = vec![];
    let plain = c.pal.text;
    let (glyph, style) = c.verdict_look(h.verdict);
    let l = c.lang();
    let verdict = words::model::verdict(l, h.verdict);
    let said = match h.since {
        Some(t) => tr!(l, health.verdict_for, verdict, age = c.age(t)),
        None => verdict.to_owned(),
    };
    if row.view.state.is_live() {
        fact(c, &mut out, width, tr!(l, health.verdict), &format!("{glyph} {said}"), style);
    } else {
        fact(c, &mut out, width, tr!(l, health.verdict), &super::overview::was(c, row), c.pal.dim);
    }
    if h.check == crate::model::CheckKind::None {
        fact(c, &mut out, width, tr!(l, health.check), tr!(l, health.no_check), plain);
        return out;
    }
    if let Some(said) = error(c, row) {
        fact(c, &mut out, width, tr!(l, health.error), &said, c.pal.bad);
    }
    let (check, s) = (words::model::check(l, h.check), h.interval_s);
    let interval = match h.last_at {
        Some(t) => tr!(l, health.interval_last, check, s, time = c.time(t)),
        None => tr!(l, health.interval, check, s),
    };
    fact(c, &mut out, width, tr!(l, health.check), &interval, plain);
    let thresholds = tr!(l, health.rise_fall, rise = h.rise, fall = h.fall);
    fact(c, &mut out, width, tr!(l, health.thresholds), &thresholds, plain);
    if let Some([median, slow, worst]) = latencies(&h.history) {
        fact(c, &mut out, width, tr!(l, health.latency), &tr!(l, health.latencies, median, slow, worst), plain);
    }
    if !h.history.is_empty() {
        let failed = h.history.iter().filter(|r| r.is_none()).count();
        let said = tr!(l, health.failed_of, failed, n = h.history.len());
        fact(c, &mut out, width, tr!(l, health.results), &said, if failed > 0 { c.pal.warn } else { plain });
        for (n, part) in h.history.chunks(width.saturating_sub(LABEL).max(1)).enumerate() {
            let label = if n == 0 { tr!(l, health.oldest) } else { "" };
            let mut line = vec![(text::fit(label, LABEL, false), c.pal.dim)];
            line.extend(c.strip(part, part.len()));
            out.push(line);
        }
    }
    let of_port = |r: &crate::audit::Record| {
        r.event.context.port == Some(row.port()) && matches!(r.event.what, What::HealthChange { .. })
    };
    out.extend(timeline(c, tr!(l, health.changes), width, of_port));
    out
}

/// The last error, and where it arose.
pub(super) fn error(c: &Canvas<'_>, row: &Row) -> Option<String> {
    let h = &row.view.health;
    let error = words::rule::said(c.lang(), h.last_error.as_deref()?);
    Some(match h.layer {
        Some(layer) => tr!(c.lang(), health.error_at, error, layer = words::model::layer(c.lang(), layer)),
        None => error.into_owned(),
    })
}

/// The middle, the slow end and the worst of what passed.
fn latencies(history: &[Option<f32>]) -> Option<[String; 3]> {
    let mut passed: Vec<f64> = history.iter().flatten().map(|ms| f64::from(*ms)).collect();
    passed.sort_by(f64::total_cmp);
    let at = |percent: usize| passed.get((passed.len() * percent / 100).min(passed.len().saturating_sub(1))).copied();
    let (median, slow, worst) = (at(50)?, at(95)?, passed.last().copied()?);
    let ms = text::millis;
    Some([ms(median), ms(slow), ms(worst)])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn latencies_are_those_of_what_passed() {
        assert_eq!(latencies(&[None, None]), None);
        let history: Vec<Option<f32>> = (1..=100_u8).map(|n| Some(f32::from(n))).chain([None]).collect();
        assert_eq!(latencies(&history).unwrap(), ["51ms", "96ms", "100ms"]);
    }
}
