//! Keys that wait to be approved, and those that were, with all that is needed to decide.

use super::canvas::{Canvas, Span};
use crate::ui::text;
use crate::ui::words::tr;

/// All lines, for this width.
pub(super) fn lines(c: &Canvas<'_>, width: usize) -> Vec<Vec<Span>> {
    let l = c.lang();
    let (dim, plain, accent) = (c.pal.dim, c.pal.text, c.pal.accent);
    let mut out: Vec<Vec<Span>> = vec![];
    let Some(daemon) = &c.state.live.daemon else { return out };
    let wrapped = |out: &mut Vec<Vec<Span>>, said: &str, style| {
        let lines = text::wrap(said, width.saturating_sub(2).max(8));
        out.extend(lines.into_iter().map(|line| vec![(format!("  {line}"), style)]));
    };
    for k in &daemon.pending {
        out.push(vec![(k.fingerprint.clone(), accent)]);
        let (user, source, client, count) = (&k.user, k.source.ip(), &k.client, k.count);
        let age = text::age((c.state.now - k.first).num_seconds()).0;
        let said = match k.known {
            true => tr!(l, ask.came_known, user, source, client, count, age),
            false => tr!(l, ask.came_new, user, source, client, count, age),
        };
        wrapped(&mut out, &said, plain);
    }
    if daemon.pending.is_empty() {
        out.push(vec![(tr!(l, window.nothing_pending).to_owned(), dim)]);
    } else {
        out.push(vec![]);
        let how = tr!(l, window.pending_how);
        out.extend(text::wrap(how, width).into_iter().map(|line| vec![(line, dim)]));
    }
    for (n, a) in daemon.approved.iter().enumerate() {
        if n == 0 {
            out.push(vec![]);
            out.push(vec![(tr!(l, window.approved_keys).to_owned(), dim)]);
        }
        out.push(vec![(a.fingerprint.clone(), accent)]);
        let mut said = tr!(l, ask.approved_by, by = a.by, host = a.host);
        if let Some(until) = a.until {
            said = tr!(l, window.approved_until, said, until = c.time(until));
        }
        wrapped(&mut out, &said, plain);
    }
    out
}
