//! What is set, what can be, and what of the file cannot be used.

use super::canvas::{Canvas, Span};
use crate::ui::settings::SETTINGS;
use crate::ui::words::tr;
use crate::ui::{text, update};

/// Columns of a setting's name.
const NAME: usize = 18;

/// All lines, for this width.
pub(super) fn lines(c: &Canvas<'_>, width: usize) -> Vec<Vec<Span>> {
    let (title, accent, plain, dim, bad) = (c.pal.title, c.pal.accent, c.pal.text, c.pal.dim, c.pal.bad);
    let (own, l) = (&c.state.own, c.lang());
    let mut out: Vec<Vec<Span>> = vec![];
    let kept = match &own.file {
        Some(file) => tr!(l, setting.kept, file),
        None => tr!(l, setting.not_kept).to_owned(),
    };
    out.extend(text::wrap(&kept, width).into_iter().map(|l| vec![(l, dim)]));
    for p in &own.problems {
        out.extend(text::wrap(&update::problem(c.state, p), width).into_iter().map(|l| vec![(l, bad)]));
    }
    out.push(vec![]);
    let values = own.set.own();
    let mut entry = |name: &str, value: &str, style, help: &str| {
        out.push(vec![(text::fit(name, NAME, false), accent), (value.to_owned(), style)]);
        let room = width.saturating_sub(2);
        out.extend(text::wrap(help, room).into_iter().filter(|l| !l.is_empty()).map(|l| vec![(format!("  {l}"), dim)]));
    };
    for s in SETTINGS {
        let table = s.name.split_once('.').filter(|(_, rest)| rest.starts_with(char::is_uppercase)).map(|(t, _)| t);
        let mine: Vec<&(String, String)> = values
            .iter()
            .filter(|(n, _)| n == s.name || table.is_some_and(|t| n.split('.').next() == Some(t)))
            .collect();
        let help = tr!(l, setting.entry, help = (s.help)(l), values = (s.values)(l));
        match mine.as_slice() {
            [] => entry(s.name, tr!(l, setting.default), dim, &help),
            mine => {
                let last = mine.len() - 1;
                for (i, (name, value)) in mine.iter().enumerate() {
                    entry(name, value, plain, if i == last { &help } else { "" });
                }
            }
        }
    }
    out.push(vec![]);
    out.push(vec![(tr!(l, setting.in_force).to_owned(), title)]);
    let zone = crate::ui::settings::zone_word(c.state.zone);
    let (theme, language) = (&own.theme, l);
    let now = match own.mouse {
        true => tr!(l, setting.now_mouse_on, theme, zone, language),
        false => tr!(l, setting.now_mouse_off, theme, zone, language),
    };
    out.push(vec![(now, plain)]);
    out
}
