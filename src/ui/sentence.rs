//! Events and actions as sentences and as command lines.

use crate::audit::{Actor, Outcome, Record, What};
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
pub(crate) fn actor(a: &Actor) -> String {
    match a {
        Actor::Operator(n) => n.clone(),
        Actor::Host(n) => n.clone(),
        Actor::Visitor => "visitor".into(),
        Actor::Unknown => "unknown".into(),
        Actor::Daemon => "portreeve".into(),
    }
}

/// Whether the event is a login that was refused, or a connection turned away before one.
pub(crate) fn is_auth_failure(r: &Record) -> bool {
    matches!(r.event.what, What::AuthFailure { .. } | What::ConnectionRefused {})
}

/// How it went unless well, and [`told`].
pub(crate) fn event(r: &Record) -> String {
    let told = told(r);
    match r.event.outcome {
        Outcome::Success => told,
        Outcome::Refused => format!("REFUSED {told}"),
        Outcome::Failure => format!("FAILED {told}"),
    }
}

/// What happened, on what, and why: one line.
pub(crate) fn told(r: &Record) -> String {
    let c = &r.event.context;
    let mut s = match &r.event.what {
        What::AuditResumed { lost: 0, .. } => "the journal can be written again".to_owned(),
        What::AuditResumed { lost, .. } => format!("the journal can be written again; {lost} events were lost"),
        What::DaemonStart { version } => format!("the bastion started (portreeve {version})"),
        What::DaemonStop { cause } => format!("the bastion stopped: {cause}"),
        What::AuditRecovered { kept, bytes } => format!("journal recovered; {bytes} torn bytes kept in {kept}"),
        What::ConfigReload { changes } if changes.is_empty() => "configuration read anew, nothing changed".into(),
        What::ConfigReload { changes } => format!("configuration read anew: {}", changes.join("; ")),
        What::ConfigConflict { conflict } => format!("configuration and ledger disagree: {conflict}"),
        What::AuthSuccess { client, .. } => format!("signed in with {client}"),
        What::AuthFailure { method, client } => format!("sign-in by {method} with {client}"),
        What::ConnectionRefused {} => "connection".into(),
        What::RefusalsCounted { of, from, count, seconds } => {
            format!("{count} more of {of} from {} in {}", from.as_deref().unwrap_or("everywhere"), secs(*seconds))
        }
        What::SessionEnd { obituary, seconds, .. } => format!("session ended after {}: {obituary}", secs(*seconds)),
        What::RequestRefused { request } => format!("asked for {request}"),
        What::ForwardGranted { asked_port: 0, .. } => "tunnel is up (asked for any port)".into(),
        What::ForwardGranted { .. } => "tunnel is up".into(),
        What::ForwardRefused { asked, asked_port } => {
            format!("{} asked for {}:{asked_port}", actor(&r.event.actor), if asked.is_empty() { "*" } else { asked })
        }
        What::ForwardEnd { obituary, visitors, bytes_to_host, bytes_to_visitors } => format!(
            "tunnel closed: {obituary}; {visitors} visitors, {} in, {} out",
            bytes(*bytes_to_host),
            bytes(*bytes_to_visitors)
        ),
        What::VisitorOpen {} => "visitor came".into(),
        What::VisitorRefused {} => "visitor".into(),
        What::VisitorSlows { waiting } => format!("visitor slows its session, {} waiting", bytes(*waiting)),
        What::VisitorClose { seconds, bytes_to_host, bytes_to_visitor } => format!(
            "visitor left after {}, {} in, {} out",
            secs(*seconds),
            bytes(*bytes_to_host),
            bytes(*bytes_to_visitor)
        ),
        What::HealthChange { from, to, layer } => match layer {
            Some(layer) => format!("health: {from} → {to} at the {}", format!("{layer:?}").to_lowercase()),
            None => format!("health: {from} → {to}"),
        },
        What::LeaseGranted { kind } => format!("{kind} lease"),
        What::LeaseMoved { from } => format!("lease moved from {from}"),
        What::LeaseReleased {} => "lease released".into(),
        What::PortReserved { until } => format!("port reserved until {}", until.format("%Y-%m-%d %H:%MZ")),
        What::PortUnreserved {} => "reservation ended".into(),
        What::Reconnect { stage, seconds } => match seconds {
            Some(s) => format!("reconnect: {stage} after {}", secs(*s)),
            None => format!("reconnect: {stage}"),
        },
        What::Revoke { target } => format!("revoke {target}"),
        What::Revoked { target, sessions, tunnels, visitors } => {
            let n = |n: usize, what: &str| if n == 1 { format!("1 {what}") } else { format!("{n} {what}s") };
            format!(
                "revoked {target}: closed {}, {}, {}",
                n(*sessions, "session"),
                n(*tunnels, "tunnel"),
                n(*visitors, "visitor")
            )
        }
        What::Restore { target } => format!("restore {target}"),
        What::Mute { incident, until } => format!("mute {incident} until {}", until.format("%Y-%m-%d %H:%M:%SZ")),
        What::Unmute { incident } => format!("unmute {incident}"),
        What::IncidentOpen { cause, what, tunnels, hosts, .. } => {
            let n = |n: usize, what: &str| if n == 1 { format!("1 {what}") } else { format!("{n} {what}s") };
            format!("incident {cause}: {what}, {}, {}", n(*tunnels, "tunnel"), n(*hosts, "host"))
        }
        What::IncidentClose { cause, what, seconds } => {
            format!("incident over: {cause}: {what}, after {}", secs(*seconds))
        }
        What::OperatorRefused { action } => action.clone(),
        What::CutVisitor {} => "visitor cut".into(),
        What::Disconnect {} => "session closed by hand".into(),
        What::Console { stage } => format!("console: {stage}"),
    };
    for extra in [&c.rule, &c.reason].into_iter().flatten() {
        s.push_str(" - ");
        s.push_str(extra);
    }
    s
}

/// On what: host and port, or else the user name tried.
pub(crate) fn subject(r: &Record) -> String {
    let c = &r.event.context;
    match (&c.host, c.port) {
        (Some(h), Some(p)) => format!("{h}:{p}"),
        (Some(h), None) => h.to_string(),
        (None, Some(p)) => format!(":{p}"),
        (None, None) => match (&c.user, c.source) {
            (Some(u), Some(s)) => format!("{u}@{}", s.ip()),
            (Some(u), None) => format!("user {u}"),
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

/// The command that does the same from a shell.
pub(crate) fn command(a: &Action) -> String {
    let why = |r: &Option<String>| r.as_ref().map(|r| format!(" --reason {}", quote(r))).unwrap_or_default();
    let port = |p: Option<crate::model::Port>| p.map(|p| format!(" {p}")).unwrap_or_default();
    let rest = match a {
        Action::Reconnect { host, .. } => format!("reconnect {host}"),
        Action::Revoke { target, reason } => format!("revoke {}{}", target.value(), why(reason)),
        Action::Restore { target } => format!("restore {}", target.value()),
        Action::Assign { host, port: p, service, reason } => {
            let service = service.as_ref().map(|s| format!(" --service {}", quote(s))).unwrap_or_default();
            format!("assign {host}{}{service}{}", port(*p), why(reason))
        }
        Action::Move { from, to, reason } => format!("move {from}{}{}", port(*to), why(reason)),
        Action::Release { port, reason } => format!("release {port}{}", why(reason)),
        Action::Reserve { port, until, reason } => {
            let until = until.to_rfc3339_opts(chrono::SecondsFormat::Secs, true);
            format!("reserve {port} --until {until} --reason {}", quote(reason))
        }
        Action::CutVisitor { visitor } => format!("cut {visitor}"),
        Action::Disconnect { session } => format!("disconnect {session}"),
        Action::Mute { incident, for_s, reason } => {
            let time = humantime::format_duration(std::time::Duration::from_secs(*for_s)).to_string();
            format!("mute {} --for {} --reason {}", quote(incident), time.replace(' ', ""), quote(reason))
        }
        Action::Unmute { incident } => format!("unmute {}", quote(incident)),
        Action::Reload => "reload".into(),
        // Only a console has modes; in the palette it is this.
        Action::WriteMode { on } => return if *on { ":write".into() } else { ":read".into() },
    };
    format!("portreeve {rest}")
}

/// For a POSIX shell.
pub(crate) fn quote(s: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || matches!(c, '.' | '_' | '-' | ':' | '/' | '@' | '+' | '=');
    if !s.is_empty() && s.chars().all(plain) { s.to_owned() } else { format!("'{}'", s.replace('\'', r"'\''")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_line_survives_the_shell() {
        let a = Action::Release { port: 20122_u16.try_into().unwrap(), reason: Some("it's done".into()) };
        assert_eq!(command(&a), r"portreeve release 20122 --reason 'it'\''s done'");
    }
}
