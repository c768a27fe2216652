//! Questions about keys that nobody has, or that were approved.

use super::{blast, new, plain};
use crate::control::actions::ActionSpec;
use crate::control::protocol::Action;
use crate::model::{Approval, Evidence, HostName, Incident, PendingKey};
use crate::ui::state::dialog::{Ask, Field, REASON, Subject, TYPED, UNTIL};
use crate::ui::state::{Screen, State};
use crate::ui::text;
use crate::ui::words::tr;

fn pending<'a>(state: &'a State, fingerprint: &str) -> Option<&'a PendingKey> {
    state.live.daemon.as_ref()?.pending.iter().find(|k| k.fingerprint == fingerprint)
}

fn approved<'a>(state: &'a State, fingerprint: &str) -> Option<&'a Approval> {
    state.live.daemon.as_ref()?.approved.iter().find(|a| a.fingerprint == fingerprint)
}

/// The pending key and the host that an incident is about, where it is about one.
fn of_incident(i: &Incident) -> Option<(&str, &HostName)> {
    match (i.cause.as_str(), &i.seen, i.blast.hosts.as_slice()) {
        ("refused-key-pending", Some(Evidence::UnknownKey { key, .. }), [host]) => Some((key, host)),
        _ => None,
    }
}

/// About what is selected.
pub(super) fn question(state: &State, spec: &'static ActionSpec) -> Result<Ask, String> {
    let l = state.lang();
    let incident = state.selected_incident().filter(|_| state.screen == Screen::Triage);
    let (fingerprint, host) =
        incident.and_then(of_incident).ok_or_else(|| tr!(l, ask.in_palette, verb = spec.verb, args = spec.args))?;
    match spec.id {
        "approve" => Ok(approve(state, spec, fingerprint, host)),
        "dismiss" => Ok(dismiss(state, spec, fingerprint)),
        _ => Err(tr!(l, ask.in_palette, verb = spec.verb, args = spec.args)),
    }
}

/// `:approve KEY HOST`, `:unapprove KEY`, `:dismiss KEY`.
pub(super) fn from_words(state: &State, spec: &'static ActionSpec, words: &[&str]) -> Result<Ask, String> {
    match (spec.id, words) {
        ("approve", [key, host]) => {
            let host = host.parse().map_err(|e: crate::model::NameError| e.to_string())?;
            Ok(approve(state, spec, key, &host))
        }
        ("unapprove", [key]) => Ok(unapprove(state, spec, key)),
        ("dismiss", [key]) => Ok(dismiss(state, spec, key)),
        _ => Err(tr!(state.lang(), ask.usage, verb = spec.verb, args = spec.args)),
    }
}

/// The fingerprint on a line of its own, for it is to be compared; and what else is known of the key.
fn facts(state: &State, fingerprint: &str) -> Vec<String> {
    let l = state.lang();
    let mut out = vec![fingerprint.to_owned()];
    out.push(pending(state, fingerprint).map_or_else(
        || tr!(l, ask.not_pending).to_owned(),
        |k| {
            let (user, source, client, count) = (&k.user, k.source.ip(), &k.client, k.count);
            let age = text::age((state.now - k.first).num_seconds()).0;
            match k.known {
                true => tr!(l, ask.came_known, user, source, client, count, age),
                false => tr!(l, ask.came_new, user, source, client, count, age),
            }
        },
    ));
    out
}

fn approve(state: &State, spec: &'static ActionSpec, fingerprint: &str, host: &HostName) -> Ask {
    let l = state.lang();
    let mut facts = facts(state, fingerprint);
    facts.push(tr!(l, ask.compare, host));
    let rows: Vec<_> = state.live.tunnels.values().filter(|r| r.host() == host).collect();
    let ports = rows.iter().map(|r| r.port().to_string()).collect::<Vec<_>>().join(", ");
    facts.push(match ports.as_str() {
        "" => tr!(l, ask.approve_may_ask, host),
        ports => tr!(l, ask.approve_gets, host, ports),
    });
    if rows.iter().any(|r| r.view.session.is_some()) {
        facts.push(tr!(l, ask.approve_connected, host));
    }
    let fields = vec![Field::text(TYPED).knowing(vec![host.to_string()]), Field::text(UNTIL), Field::text(REASON)];
    let subject = Subject::Approve { fingerprint: fingerprint.to_owned(), host: host.clone() };
    let ask = new(spec, subject, tr!(l, ask.approve, host), facts, fields);
    Ask { window: Some(state.window()), ..ask }
}

pub(in crate::ui::update) fn unapprove(state: &State, spec: &'static ActionSpec, fingerprint: &str) -> Ask {
    let l = state.lang();
    let mut facts = vec![fingerprint.to_owned()];
    facts.push(
        approved(state, fingerprint)
            .map_or_else(|| tr!(l, ask.not_approved).to_owned(), |a| tr!(l, ask.approved_by, by = a.by, host = a.host)),
    );
    facts.extend(blast(state, |r| state.live.session_of(r).is_some_and(|s| s.fingerprint == fingerprint)));
    let action = Action::Unapprove { fingerprint: fingerprint.to_owned(), reason: None };
    plain(spec, action, tr!(l, ask.unapprove), facts)
}

fn dismiss(state: &State, spec: &'static ActionSpec, fingerprint: &str) -> Ask {
    let l = state.lang();
    let mut facts = facts(state, fingerprint);
    facts.push(tr!(l, ask.dismiss_fact).to_owned());
    let action = Action::Dismiss { fingerprint: fingerprint.to_owned() };
    plain(spec, action, tr!(l, ask.dismiss), facts)
}
