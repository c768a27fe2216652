//! Events and actions as sentences and as command lines.

use super::words::{Lang, model, obituary, rule, tr};
use crate::audit::{Actor, Outcome, Record, What};
pub(crate) use crate::control::command::quote;
use crate::control::protocol::Action;

/// `success`, `refused`, `failure`.
pub(crate) fn outcome_word(o: Outcome) -> &'static str {
    match o {
        Outcome::Success => "success",
        Outcome::Refused => "refused",
        Outcome::Failure => "failure",
    }
}

/// On whose account.
pub(crate) fn actor(lang: Lang, a: &Actor) -> String {
    match a {
        Actor::Operator(n) => n.clone(),
        Actor::Host(n) => n.clone(),
        Actor::Visitor => tr!(lang, event.visitor).into(),
        Actor::Unknown => tr!(lang, event.unknown).into(),
        Actor::Daemon => "portreeve".into(),
    }
}

/// Whether the event is a login that was refused, or a connection turned away before one.
pub(crate) fn is_auth_failure(r: &Record) -> bool {
    matches!(r.event.what, What::AuthFailure { .. } | What::ConnectionRefused {})
}

/// How it went unless well, and [`told`].
pub(crate) fn event(lang: Lang, r: &Record) -> String {
    let told = told(lang, r);
    match r.event.outcome {
        Outcome::Success => told,
        Outcome::Refused => tr!(lang, event.refused, told),
        Outcome::Failure => tr!(lang, event.failed, told),
    }
}

/// What happened, on what, and why: one line. Reasons are as they were recorded, and so are rules that this version does not know.
pub(crate) fn told(lang: Lang, r: &Record) -> String {
    let c = &r.event.context;
    let mut s = what(lang, r);
    if let Some(by) = &c.proposed_by {
        s = tr!(lang, event.proposed_by, told = s, by);
    }
    for extra in [&c.rule, &c.reason].into_iter().flatten() {
        s.push_str(" - ");
        s.push_str(&rule::said(lang, extra));
    }
    s
}

/// What happened.
fn what(l: Lang, r: &Record) -> String {
    match &r.event.what {
        What::AuditResumed { lost: 0, .. } => tr!(l, event.resumed).to_owned(),
        What::AuditResumed { lost, .. } => tr!(l, event.resumed_lost, n = *lost),
        What::DaemonStart { version } => tr!(l, event.started, version),
        What::DaemonStop { cause } => tr!(l, event.stopped, cause),
        What::AuditRecovered { kept, bytes } => tr!(l, event.recovered, bytes, kept),
        What::Checkpoint(c) => tr!(l, event.checkpoint, seq = c.upto, key = c.key),
        What::AuditExpired { file, upto, .. } => tr!(l, event.expired, file, seq = upto),
        What::AuditShipping { name, up: true, behind, .. } => tr!(l, event.ships, name, n = *behind),
        What::AuditShipping { name, to, .. } => tr!(l, event.ships_not, name, to),
        What::ConfigReload { changes } if changes.is_empty() => tr!(l, event.reloaded_same).into(),
        What::ConfigReload { changes } => tr!(l, event.reloaded, changes = changes.join("; ")),
        What::ConfigConflict { conflict } => tr!(l, event.conflict, conflict),
        What::RevocationList { file, keys, certificates } => tr!(l, event.trust_list, file, keys, certificates),
        What::AuthSuccess { client, .. } => tr!(l, event.signed_in, client),
        What::AuthFailure { method, client } => tr!(l, event.sign_in, method, client),
        What::KeyPending { client } => tr!(l, event.key_pending, key = key(r), client),
        What::KeyApproved { until: Some(until), .. } => {
            tr!(l, event.key_approved_until, key = key(r), until = until.format("%Y-%m-%d %H:%MZ"))
        }
        What::KeyApproved { .. } => tr!(l, event.key_approved, key = key(r)),
        What::KeyUnapproved { sessions, tunnels } => {
            let (sessions, tunnels) = (tr!(l, event.sessions, n = *sessions), tr!(l, event.tunnels, n = *tunnels));
            tr!(l, event.key_unapproved, key = key(r), sessions, tunnels)
        }
        What::KeyDismissed {} => tr!(l, event.key_dismissed, key = key(r)),
        What::ConnectionRefused {} => tr!(l, event.connection).into(),
        What::RefusalsCounted { of, from, count, seconds } => {
            let (n, lasted) = (count, secs(*seconds));
            match from {
                Some(from) => tr!(l, event.refusals, n, of, from, lasted),
                None => tr!(l, event.refusals_everywhere, n, of, lasted),
            }
        }
        What::SessionEnd { obituary, seconds, .. } => {
            tr!(l, event.session_ended, lasted = secs(*seconds), why = obituary::said(l, obituary))
        }
        What::RequestRefused { request } => tr!(l, event.asked, request),
        What::ForwardGranted { asked_port: 0, .. } => tr!(l, event.up_any).into(),
        What::ForwardGranted { .. } => tr!(l, event.up).into(),
        What::ForwardRefused { asked, asked_port } => {
            let address = if asked.is_empty() { "*" } else { asked };
            tr!(l, event.asked_forward, who = actor(l, &r.event.actor), address, port = asked_port)
        }
        What::ForwardEnd { obituary, visitors, bytes_to_host, bytes_to_visitors } => {
            let (to_host, to_visitors) = (bytes(*bytes_to_host), bytes(*bytes_to_visitors));
            tr!(l, event.closed, why = obituary::said(l, obituary), n = *visitors, to_host, to_visitors)
        }
        What::VisitorOpen {} => tr!(l, event.visitor_came).into(),
        What::VisitorRefused {} => tr!(l, event.visitor_refused).into(),
        What::VisitorSlows { waiting } => tr!(l, event.visitor_slows, bytes = bytes(*waiting)),
        What::VisitorClose { seconds, bytes_to_host, bytes_to_visitor } => {
            let (to_host, to_visitor) = (bytes(*bytes_to_host), bytes(*bytes_to_visitor));
            tr!(l, event.visitor_left, lasted = secs(*seconds), to_host, to_visitor)
        }
        What::HealthChange { from, to, layer } => {
            let (from, to) = (model::verdict(l, *from), model::verdict(l, *to));
            match layer {
                Some(layer) => tr!(l, event.health_at, from, to, layer = model::layer(l, *layer)),
                None => tr!(l, event.health, from, to),
            }
        }
        What::LeaseGranted { kind, until: None } => tr!(l, event.lease, kind = model::lease(l, *kind)),
        What::LeaseGranted { kind, until: Some(until) } => {
            tr!(l, event.lease_until, kind = model::lease(l, *kind), until = until.format("%Y-%m-%d %H:%M:%SZ"))
        }
        What::LeaseMoved { from } => tr!(l, event.lease_moved, from),
        What::LeaseReleased {} => tr!(l, event.lease_released).into(),
        What::PortReserved { until } => tr!(l, event.reserved, until = until.format("%Y-%m-%d %H:%MZ")),
        What::PortUnreserved {} => tr!(l, event.unreserved).into(),
        What::Reconnect { stage, seconds: Some(s) } => tr!(l, event.reconnect_after, stage, lasted = secs(*s)),
        What::Reconnect { stage, seconds: None } => tr!(l, event.reconnect, stage),
        What::Revoke { target } => tr!(l, event.revoke, target = model::target(l, target)),
        What::Revoked { target, sessions, tunnels, visitors } => {
            let target = model::target(l, target);
            let (sessions, tunnels) = (tr!(l, event.sessions, n = *sessions), tr!(l, event.tunnels, n = *tunnels));
            tr!(l, event.revoked, target, sessions, tunnels, visitors = tr!(l, event.visitors, n = *visitors))
        }
        What::Restore { target } => tr!(l, event.restore, target = model::target(l, target)),
        What::Mute { incident, until } => {
            tr!(l, event.mute, incident, until = until.format("%Y-%m-%d %H:%M:%SZ"))
        }
        What::Unmute { incident } => tr!(l, event.unmute, incident),
        What::Grant { id, granted, until } => {
            let (what, until) = (model::granted(l, granted), until.format("%Y-%m-%d %H:%M:%SZ"));
            tr!(l, event.grant, id, what, until)
        }
        What::Ungrant { id, granted, visitors } => {
            tr!(l, event.ungrant, id, what = model::granted(l, granted), n = *visitors)
        }
        What::IncidentOpen { cause, what, tunnels, hosts, .. } => {
            let (tunnels, hosts) = (tr!(l, event.tunnels, n = *tunnels), tr!(l, event.hosts, n = *hosts));
            tr!(l, event.incident, cause, what, tunnels, hosts)
        }
        What::IncidentClose { cause, what, seconds } => {
            tr!(l, event.incident_over, cause, what, lasted = secs(*seconds))
        }
        What::OperatorRefused { action } => action.clone(),
        What::Propose { what, proposal, .. } => tr!(l, event.propose, what, proposal),
        What::Confirm { what, proposal } => tr!(l, event.confirm, what, proposal),
        What::Withdraw { what, proposal } => tr!(l, event.withdraw, what, proposal),
        What::Logout { operator, sessions, connections, visitors } => {
            let sessions = tr!(l, event.sessions, n = *sessions + *connections);
            tr!(l, event.logout, operator, sessions, visitors = tr!(l, event.visitors, n = *visitors))
        }
        What::CutVisitor {} => tr!(l, event.cut).into(),
        What::Disconnect {} => tr!(l, event.disconnected).into(),
        What::Console { stage } => tr!(l, event.console, stage),
    }
}

/// On what: host and port, or else the user name tried.
pub(crate) fn subject(lang: Lang, r: &Record) -> String {
    let c = &r.event.context;
    match (&c.host, c.port) {
        (Some(h), Some(p)) => format!("{h}:{p}"),
        (Some(h), None) => h.to_string(),
        (None, Some(p)) => format!(":{p}"),
        (None, None) => match (&c.user, c.source) {
            (Some(u), Some(s)) => format!("{u}@{}", s.ip()),
            (Some(user), None) => tr!(lang, event.user, user),
            (None, Some(s)) => s.ip().to_string(),
            (None, None) => String::new(),
        },
    }
}

fn bytes(n: u64) -> String {
    super::text::bytes(n)
}

fn secs(s: f64) -> String {
    if s < 10.0 {
        return format!("{s:.1}s");
    }
    #[allow(clippy::cast_possible_truncation)]
    let whole = s.min(1e15) as i64;
    super::text::age(whole).0
}

/// The key that an event is about.
fn key(r: &Record) -> &str {
    r.event.context.fingerprint.as_deref().unwrap_or_default()
}

/// The command that does the same from a shell.
pub(crate) fn command(a: &Action) -> String {
    a.command()
}
