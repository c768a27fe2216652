//! The evidence of triage as a sentence. The journal and the command line have it in English, from [`Evidence`] itself.

use super::{Lang, model, obituary, rule, tr};
use crate::model::{Evidence, Incident, TWO_DAYS, Time};
use std::borrow::Cow;

/// An incident's evidence. In another language than the daemon's own as far as this version knows what was seen.
pub(crate) fn said(lang: Lang, x: &Incident) -> Cow<'_, str> {
    let own = x.seen.as_ref().filter(|_| lang != Lang::En).and_then(|e| sentence(lang, &x.cause, e));
    own.map_or(Cow::Borrowed(&x.evidence), Cow::Owned)
}

fn moment(at: Time) -> String {
    at.format("%Y-%m-%d %H:%M:%SZ").to_string()
}

fn clock(at: Time) -> String {
    at.format("%H:%M:%SZ").to_string()
}

fn sentence(l: Lang, cause: &str, e: &Evidence) -> Option<String> {
    Some(match e {
        Evidence::JournalFailed { why } => tr!(l, evidence.journal_failed, why),
        Evidence::Overloaded { late, worst_ms, unaccepted } => {
            let tenths = (worst_ms + 50) / 100;
            let worst = format!("{}.{}", tenths / 10, tenths % 10);
            let late = (*late > 0).then(|| tr!(l, evidence.late, n = *late, worst));
            let closed = (*unaccepted > 0).then(|| tr!(l, evidence.unaccepted, n = unaccepted));
            late.into_iter().chain(closed).collect::<Vec<_>>().join("; ")
        }
        Evidence::KeyExpires { key, at, left_s } => match left_s {
            ..=0 => tr!(l, evidence.expired, key, at = moment(*at)),
            1..TWO_DAYS => tr!(l, evidence.expires_hours, key, at = moment(*at), n = left_s / 3600),
            _ => tr!(l, evidence.expires_days, key, at = moment(*at), n = left_s / 86_400),
        },
        Evidence::UnknownKey { count, source, was, user, key } => match was {
            Some(ip) if ip == source => tr!(l, evidence.unknown_key_same, count, source, user, key),
            Some(was) => tr!(l, evidence.unknown_key_other, count, source, was, user, key),
            None => tr!(l, evidence.unknown_key_new, count, source, user, key),
        },
        Evidence::Refused { count, rule } => tr!(l, evidence.refused, count, rule = rule::said(l, rule)),
        Evidence::NetworkLost { lost, known, network, seconds } => match seconds {
            ..1 => tr!(l, evidence.network_lost_at_once, lost, known, network),
            s => tr!(l, evidence.network_lost, lost, known, network, s),
        },
        Evidence::Restarts { count, since, every, last } => {
            tr!(l, evidence.restarts, count, since = clock(*since), every, last = obituary::cause(l, *last))
        }
        Evidence::Silent { end, heard, rtt_ms } => {
            let mut said = obituary::said(l, end);
            if let Some(heard) = heard {
                said = tr!(l, evidence.heard, said, heard = clock(*heard));
            }
            if let Some(ms) = rtt_ms {
                said = tr!(l, evidence.rtt, said, ms);
            }
            tr!(l, evidence.silent, end = said)
        }
        Evidence::Gone { end } => tr!(l, evidence.silent, end = obituary::said(l, end)),
        Evidence::Service { port, service, check, error } => {
            let check = model::check(l, *check);
            let error = error.as_deref().map_or(tr!(l, evidence.check_fails).into(), |e| rule::said(l, e));
            match service {
                Some(service) => tr!(l, evidence.service_named, port, service, check, error),
                None => tr!(l, evidence.service, port, check, error),
            }
        }
        Evidence::NotRequested { since, port, lease } => {
            tr!(l, evidence.not_requested, since = moment(*since), port, lease = model::lease(l, *lease))
        }
        Evidence::Exhausted { ports, ranges, reserved: false, down } => tr!(l, evidence.exhausted, ports, ranges, down),
        Evidence::Exhausted { ports, ranges, reserved: true, down } => {
            tr!(l, evidence.exhausted_reserved, ports, ranges, down)
        }
        Evidence::Restarted { at, missing: 0, .. } => tr!(l, evidence.restarted_all, at = clock(*at)),
        Evidence::Restarted { at, missing, total } => tr!(l, evidence.restarted, at = clock(*at), missing, total),
        Evidence::Absent => tr!(l, evidence.absent).to_owned(),
        Evidence::First { first, more } => tr!(l, evidence.first, first = sentence(l, cause, first)?, more),
        Evidence::Many { hosts, ports, names } => many(l, cause, (*hosts, *ports), &names.join(", "))?,
        Evidence::Unknown => return None,
    })
}

/// Many hosts taken together.
fn many(l: Lang, cause: &str, (hosts, ports): (usize, usize), names: &str) -> Option<String> {
    let (hosts, ports) = (tr!(l, evidence.hosts, n = hosts), tr!(l, evidence.ports, n = ports));
    Some(match cause {
        "refused-key-pending" => tr!(l, evidence.many_refused_key_pending, hosts, names),
        "refused-unknown-key" => tr!(l, evidence.many_refused_unknown_key, hosts, names),
        "refused-revoked" => tr!(l, evidence.many_refused_revoked, hosts, names),
        "refused-key-expired" => tr!(l, evidence.many_refused_key_expired, hosts, names),
        "refused-port-held" => tr!(l, evidence.many_refused_port_held, hosts, names),
        "refused-range-full" => tr!(l, evidence.many_refused_range_full, hosts, names),
        "refused-policy" => tr!(l, evidence.many_refused_policy, hosts, names),
        "network-lost" => tr!(l, evidence.many_network_lost, hosts, names),
        "host-restarts" => tr!(l, evidence.many_host_restarts, hosts, names),
        "host-silent" => tr!(l, evidence.many_host_silent, hosts, names),
        "host-gone" => tr!(l, evidence.many_host_gone, hosts, names),
        "service-refused" => tr!(l, evidence.many_service_refused, ports, names),
        "service-silent" => tr!(l, evidence.many_service_silent, ports, names),
        "session-stuck" => tr!(l, evidence.many_session_stuck, ports, names),
        "port-not-requested" => tr!(l, evidence.many_port_not_requested, ports, names),
        "key-expires" => tr!(l, evidence.many_key_expires, hosts, names),
        "host-absent" => tr!(l, evidence.many_host_absent, hosts, names),
        _ => names.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{CheckKind, LeaseKind, Obituary, ObituaryCause};
    use crate::triage::RULES;
    use crate::ui::fixtures::{port, t0};

    #[test]
    fn in_english_it_is_as_the_daemon_says_it() {
        let end = || Obituary::with(ObituaryCause::KeepaliveTimeout, "3 x 15 s");
        let overloaded = |late, unaccepted| Evidence::Overloaded { late, worst_ms: 1849, unaccepted };
        let expires = |left_s| Evidence::KeyExpires { key: "SHA256:k".into(), at: t0(), left_s };
        let unknown = |was: Option<&str>| Evidence::UnknownKey {
            count: 12,
            source: "203.0.113.9".parse().unwrap(),
            was: was.map(|w| w.parse().unwrap()),
            user: "iot".into(),
            key: "SHA256:k".into(),
        };
        let lost = |seconds| Evidence::NetworkLost { lost: 4, known: 5, network: "10.0.0.0/24".into(), seconds };
        let silent = |heard, rtt_ms| Evidence::Silent { end: end(), heard, rtt_ms };
        let service = |service: Option<&str>, error: Option<&str>| Evidence::Service {
            port: port(20101),
            service: service.map(Into::into),
            check: CheckKind::Ssh,
            error: error.map(Into::into),
        };
        let full = |reserved| Evidence::Exhausted { ports: 50, ranges: "20100-20149".into(), reserved, down: 7 };
        let restarted = |missing| Evidence::Restarted { at: t0(), missing, total: 9 };
        let all = [
            Evidence::JournalFailed { why: "no space left on device".into() },
            overloaded(0, 3),
            overloaded(1, 0),
            overloaded(4, 7),
            expires(-5),
            expires(1800),
            expires(3600 * 47),
            expires(86_400 * 3),
            unknown(None),
            unknown(Some("203.0.113.9")),
            unknown(Some("198.51.100.1")),
            Evidence::Refused { count: 2, rule: "port 20102 is held by host x".into() },
            lost(0),
            lost(12),
            Evidence::Restarts { count: 7, since: t0(), every: 90, last: ObituaryCause::ClientDisconnect },
            silent(None, None),
            silent(Some(t0()), Some(31)),
            Evidence::Gone { end: end() },
            service(None, None),
            service(Some("ssh"), Some("connection refused")),
            Evidence::NotRequested { since: t0(), port: port(20102), lease: LeaseKind::Fixed },
            full(false),
            full(true),
            restarted(0),
            restarted(3),
            Evidence::Absent,
            Evidence::First { first: Box::new(Evidence::Absent), more: 2 },
        ];
        for e in all {
            assert_eq!(sentence(Lang::En, "x", &e), Some(e.to_string()));
            assert!(sentence(Lang::Ko, "x", &e).is_some_and(|ko| ko != e.to_string()), "{e}");
            let json = serde_json::to_string(&e).unwrap();
            assert_eq!(serde_json::from_str::<Evidence>(&json).unwrap(), e);
        }
        assert_eq!(serde_json::from_str::<Evidence>("{\"kind\":\"newer\",\"x\":1}").unwrap(), Evidence::Unknown);
    }

    #[test]
    fn many_are_worded_as_the_table_of_rules_does() {
        for rule in RULES {
            let want = rule.many.replace("{hosts}", "3 hosts").replace("{ports}", "1 port").replace("{names}", "a, b");
            assert_eq!(many(Lang::En, rule.cause, (3, 1), "a, b"), Some(want));
        }
    }
}
