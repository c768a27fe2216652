//! Visitors that read slowly, in a sentence: [`BehindView::sentence`] in the console's language.

use super::{Lang, tr};
use crate::model::{BehindView, HostName, bytes};

/// Which visitor, how much, and what comes of it; none when nobody is behind.
pub(crate) fn said(lang: Lang, b: &BehindView, host: &HostName) -> Option<String> {
    let worst = b.worst.as_ref()?;
    let (source, waits) = (worst.source, bytes(worst.buffered));
    let said = match (&worst.operator, worst.holding) {
        (Some(operator), true) => tr!(lang, detail.slow_operator, operator, source, host, bytes = waits),
        (Some(operator), false) => tr!(lang, detail.behind_operator, operator, source, bytes = waits),
        (None, true) => tr!(lang, detail.slow_visitor, source, host, bytes = waits),
        (None, false) => tr!(lang, detail.behind_visitor, source, bytes = waits),
    };
    Some(match b.visitors.saturating_sub(1) {
        0 => said,
        n => tr!(lang, detail.behind_more, said, n, bytes = bytes(b.buffered)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ui::fixtures::slow_tunnel;

    #[test]
    fn in_english_it_is_as_the_daemon_says_it() {
        let mut t = slow_tunnel();
        for (operator, holding, visitors) in
            [(None, true, 1), (Some("al"), true, 2), (None, false, 3), (Some("al"), false, 0)]
        {
            t.behind.visitors = visitors;
            if let Some(w) = &mut t.behind.worst {
                (w.operator, w.holding) = (operator.map(str::to_owned), holding);
            }
            assert_eq!(said(Lang::En, &t.behind, &t.lease.host), t.behind.sentence(&t.lease.host));
        }
    }
}
