//! Causes and steps of triage. The daemon tells them in English; in another language the console has its own, for all that
//! this version of it knows, and the daemon's words for what it does not.

use super::{Lang, tr};
use crate::model::Incident;
use crate::triage::RULES;
use std::borrow::Cow;

/// The probable cause in a few words.
pub(crate) fn likely(lang: Lang, x: &Incident) -> &str {
    if lang == Lang::En { &x.likely } else { cause(lang, &x.cause).unwrap_or(&x.likely) }
}

fn cause(lang: Lang, cause: &str) -> Option<&'static str> {
    Some(match cause {
        "journal-failed" => tr!(lang, cause.journal_failed),
        "bastion-overloaded" => tr!(lang, cause.bastion_overloaded),
        "refused-key-pending" => tr!(lang, cause.refused_key_pending),
        "refused-unknown-key" => tr!(lang, cause.refused_unknown_key),
        "refused-revoked" => tr!(lang, cause.refused_revoked),
        "refused-key-expired" => tr!(lang, cause.refused_key_expired),
        "refused-port-held" => tr!(lang, cause.refused_port_held),
        "refused-range-full" => tr!(lang, cause.refused_range_full),
        "refused-policy" => tr!(lang, cause.refused_policy),
        "network-lost" => tr!(lang, cause.network_lost),
        "host-restarts" => tr!(lang, cause.host_restarts),
        "host-silent" => tr!(lang, cause.host_silent),
        "host-gone" => tr!(lang, cause.host_gone),
        "service-refused" => tr!(lang, cause.service_refused),
        "service-silent" => tr!(lang, cause.service_silent),
        "session-stuck" => tr!(lang, cause.session_stuck),
        "port-not-requested" => tr!(lang, cause.port_not_requested),
        "key-expires" => tr!(lang, cause.key_expires),
        "range-exhausted" => tr!(lang, cause.range_exhausted),
        "bastion-restarted" => tr!(lang, cause.bastion_restarted),
        "host-absent" => tr!(lang, cause.host_absent),
        _ => return None,
    })
}

/// Whom it concerns: names are as they are, and what the daemon has counted is counted in this language.
pub(crate) fn what(lang: Lang, x: &Incident) -> String {
    let counted = x.what == tr!(Lang::En, triage.hosts, n = x.hosts);
    match x.what.as_str() {
        "the bastion" => tr!(lang, triage.bastion).to_owned(),
        _ if counted => tr!(lang, triage.hosts, n = x.hosts),
        other => match other.strip_prefix("team ") {
            Some(name) => tr!(lang, triage.team, name),
            None => other.to_owned(),
        },
    }
}

/// What one of an incident's steps is.
pub(crate) fn step(lang: Lang, x: &Incident, place: usize) -> Cow<'_, str> {
    let told = x.next.get(place).map_or("", |n| n.what.as_str());
    let own = || {
        let rule = RULES.iter().find(|r| r.cause == x.cause)?;
        let template = rule.next.get(place).filter(|n| x.next.get(place).is_some_and(|t| t.key == n.key))?.what;
        let step = STEPS.iter().find(|s| s(Lang::En, "{host}", "{port}") == template)?;
        let host = x.blast.hosts.first().map_or_else(|| "…".to_owned(), ToString::to_string);
        let port = x.blast.ports.first().map_or_else(|| "…".to_owned(), ToString::to_string);
        Some(step(lang, &host, &port))
    };
    if lang == Lang::En { Cow::Borrowed(told) } else { own().unwrap_or(Cow::Borrowed(told)) }
}

/// A step, of a host and a port.
type Step = fn(Lang, &str, &str) -> Cow<'static, str>;

/// All of them; which is which is told by the English words.
const STEPS: &[Step] = &[
    |l, _, _| tr!(l, step.journal).into(),
    |l, _, _| tr!(l, step.limits).into(),
    |l, _, _| tr!(l, step.busiest).into(),
    |l, _, _| tr!(l, step.sign_ins).into(),
    |l, _, _| tr!(l, step.compare_key).into(),
    |l, _, _| tr!(l, step.approve_key).into(),
    |l, _, _| tr!(l, step.dismiss_key).into(),
    |l, host, _| tr!(l, step.add_key, host).into(),
    |l, _, _| tr!(l, step.tunnel).into(),
    |l, _, _| tr!(l, step.tunnel_blocked).into(),
    |l, _, _| tr!(l, step.lift).into(),
    |l, host, _| tr!(l, step.new_key, host).into(),
    |l, _, _| tr!(l, step.explain).into(),
    |l, _, _| tr!(l, step.holder).into(),
    |l, _, _| tr!(l, step.team_range).into(),
    |l, _, _| tr!(l, step.first).into(),
    |l, _, _| tr!(l, step.network).into(),
    |l, _, _| tr!(l, step.ask_network).into(),
    |l, _, _| tr!(l, step.ended).into(),
    |l, _, _| tr!(l, step.second_client).into(),
    |l, _, _| tr!(l, step.tunnel_last).into(),
    |l, _, _| tr!(l, step.powered).into(),
    |l, _, _| tr!(l, step.tunnel_ended).into(),
    |l, _, _| tr!(l, step.supervised).into(),
    |l, _, _| tr!(l, step.tunnel_checks).into(),
    |l, _, _| tr!(l, step.health).into(),
    |l, _, _| tr!(l, step.running).into(),
    |l, _, _| tr!(l, step.hung).into(),
    |l, _, _| tr!(l, step.tunnel_slow).into(),
    |l, _, _| tr!(l, step.drop_session).into(),
    |l, _, port| tr!(l, step.add_forward, port).into(),
    |l, _, _| tr!(l, step.unwanted).into(),
    |l, _, _| tr!(l, step.change_key).into(),
    |l, _, _| tr!(l, step.range).into(),
    |l, _, _| tr!(l, step.last_run).into(),
    |l, _, _| tr!(l, step.not_back).into(),
    |l, _, _| tr!(l, step.lease).into(),
    |l, _, _| tr!(l, step.awaited).into(),
    |l, _, _| tr!(l, step.bring_up).into(),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_cause_and_step_of_the_daemon_has_its_words() {
        for rule in RULES {
            assert_eq!(cause(Lang::En, rule.cause), Some(rule.likely));
            assert!(Lang::ALL.iter().all(|l| cause(*l, rule.cause).is_some()), "{}", rule.cause);
            for n in rule.next {
                let known = STEPS.iter().any(|s| s(Lang::En, "{host}", "{port}") == n.what);
                assert!(known, "{}: {}", rule.cause, n.what);
            }
        }
        for s in STEPS {
            let said = s(Lang::En, "{host}", "{port}");
            assert!(RULES.iter().flat_map(|r| r.next).any(|n| n.what == said), "{said} is no step of the daemon");
        }
    }
}
