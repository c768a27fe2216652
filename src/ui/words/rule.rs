//! What the daemon says in sentences of its own, in the console's language: rules that somebody was refused by, errors of
//! checks, warnings of a tunnel. The journal and the command line have them in English. A sentence is known by its English
//! text in `locales/en/rule.toml`; one that is not known stays as it is.

use super::{Lang, model, tr};
use crate::model::LeaseKind;
use std::borrow::Cow;

/// A sentence with so many places, in a language.
struct Rule {
    places: usize,
    said: fn(Lang, &[&str]) -> String,
}

macro_rules! rule {
    ($name:ident: $($place:ident)*) => {
        Rule {
            places: <[&str]>::len(&[$(stringify!($place)),*]),
            said: |lang, values| {
                let [$($place),*] = values else { return String::new() };
                String::from(tr!(lang, rule.$name, $($place),*))
            },
        }
    };
}

/// Stands in a place while it is looked where the places are.
const PLACE: char = '\u{1}';

const RULES: &[Rule] = &[
    Rule {
        places: 5,
        said: |lang, values| {
            let [port, host, team, kind, since] = values else { return String::new() };
            tr!(lang, rule.held, port, host, team, kind = lease(lang, kind), since)
        },
    },
    rule!(outside: port team ranges),
    rule!(full: team again),
    rule!(revoked_why: target by at why typed),
    rule!(revoked: target by at typed),
    rule!(reserved: port until by why again),
    rule!(other_program: port ip),
    rule!(closing: port host),
    rule!(unknown_key:),
    rule!(approval_over: key host at),
    rule!(other_team: port team host own again),
    rule!(left_outside: port team again),
    rule!(lease_over: port by at),
    rule!(no_host: host),
    rule!(free: port team),
    rule!(next_free: port team host),
    rule!(not_reached: why),
    rule!(not_allowed: why),
    rule!(no_answer: s),
    rule!(ended:),
    rule!(said_nothing: s),
    rule!(not_got_round:),
    Rule {
        places: 3,
        said: |lang, values| {
            let [n, at, rule] = values else { return String::new() };
            tr!(lang, rule.refused, n, at, rule = said(lang, rule))
        },
    },
];

/// The sentence in this language, as far as it is known.
pub(crate) fn said(lang: Lang, rule: &str) -> Cow<'_, str> {
    if lang == Lang::En {
        return Cow::Borrowed(rule);
    }
    let place = PLACE.to_string();
    let known = RULES.iter().find_map(|r| {
        let english = (r.said)(Lang::En, &vec![place.as_str(); r.places]);
        Some((r.said)(lang, &values(&english, rule)?))
    });
    known.map_or(Cow::Borrowed(rule), Cow::Owned)
}

/// What stands in the places of a sentence; none when it is another sentence.
fn values<'a>(english: &str, rule: &'a str) -> Option<Vec<&'a str>> {
    let mut parts = english.split(PLACE);
    let mut rest = rule.strip_prefix(parts.next()?)?;
    let parts: Vec<&str> = parts.collect();
    let Some((last, middle)) = parts.split_last() else { return rest.is_empty().then(Vec::new) };
    let mut out = vec![];
    for part in middle {
        let (value, after) = rest.split_once(*part)?;
        out.push(value);
        rest = after;
    }
    out.push(rest.strip_suffix(*last)?);
    Some(out)
}

fn lease(lang: Lang, word: &str) -> String {
    use LeaseKind::{Assigned, Fixed, Requested, Sticky};
    let kind = [Fixed, Assigned, Sticky, Requested].into_iter().find(|k| k.to_string() == word);
    kind.map_or(word, |k| model::lease(lang, k)).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{BlockTarget, RevocationView};
    use crate::tunnels::block_rule;
    use crate::tunnels::carrier::OpenError;

    /// A rule that is worded otherwise there would stay English here: nobody would notice but who reads Korean.
    #[test]
    fn every_sentence_is_one_that_the_daemon_says() {
        let sources = [
            include_str!("../../config/approved.rs"),
            include_str!("../../tunnels/ledger.rs"),
            include_str!("../../tunnels/ledger/rule.rs"),
            include_str!("../../tunnels/dock.rs"),
            include_str!("../../tunnels/forward.rs"),
            include_str!("../../tunnels/credential.rs"),
            include_str!("../../tunnels/carrier.rs"),
            include_str!("../../tunnels/board.rs"),
            include_str!("../../health/mod.rs"),
        ]
        .concat();
        for r in RULES {
            let english = (r.said)(Lang::En, &vec!["\u{1}"; r.places]);
            // The end of a bracket is put on where there is a reason to put into it.
            for part in english.split(PLACE).map(|p| p.trim_start_matches(')')).filter(|p| p.len() > 3) {
                assert!(sources.contains(part), "{english:?}: {part:?}");
            }
            assert_eq!(values(&english, &english).map(|v| v.len()), Some(r.places));
        }
    }

    #[test]
    fn what_is_said_is_understood_and_what_is_not_known_stays() {
        let ko = |rule: &str| said(Lang::Ko, rule).into_owned();
        let held = "port 20122 is held by host pay-db of team pay (fixed lease since 2026-11-22)";
        assert_eq!(said(Lang::En, held), held);
        assert_eq!(ko(held), "포트 20122: 호스트 pay-db 사용 중 (팀 pay, 고정 임대, 2026-11-22부터)");
        let warning = format!("refused ×7, last at 01:34:29Z: {held}");
        assert_eq!(ko(&warning), format!("거부 7회, 마지막 01:34:29Z: {}", ko(held)));
        for error in [
            OpenError::Refused("refused".into()),
            OpenError::Prohibited("no".into()),
            OpenError::TimedOut(3),
            OpenError::Gone,
        ] {
            assert_ne!(ko(&error.to_string()), error.to_string());
        }
        let at = crate::ui::fixtures::t0();
        let target = BlockTarget::Host("pay-db".parse().unwrap());
        let mut block = RevocationView { target, by: "alice".into(), since: at, reason: Some("lost (twice)".into()) };
        assert!(ko(&block_rule(&block)).contains("사유: lost (twice)"), "{}", ko(&block_rule(&block)));
        block.reason = None;
        assert!(ko(&block_rule(&block)).contains("해제: portreeve restore pay-db"), "{}", ko(&block_rule(&block)));
        assert_eq!(ko("something else"), "something else");
    }
}
