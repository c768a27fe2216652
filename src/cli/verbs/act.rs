//! Verbs that act. What may cut connections is asked for on a terminal, and needs `--yes` where there is none.

use crate::cli::args::{Verb, Yes};
use crate::cli::exit::Exit;
use crate::cli::human::count;
use crate::cli::out::{Fail, Out};
use crate::cli::table::Tone;
use crate::control::actions::{Danger, action};
use crate::control::client::{Client, unexpected};
use crate::control::protocol::{Action, Reply, Request, Snapshot};
use crate::model::{BlockTarget, HostName, Port, SessionId, SessionKind, SessionView, TunnelView, clean};

/// Any verb of [`crate::control::actions::ACTIONS`].
pub(super) async fn act(client: &Client, out: &mut Out<'_>, verb: &Verb) -> Result<Exit, Fail> {
    let Some((mut wanted, yes)) = verb.action() else {
        return Err(Fail::Usage("this verb does nothing to the world".to_owned()));
    };
    if yes.dry_run {
        return match client.request(Request::Rehearse(wanted)).await? {
            Reply::Explained(e) => super::judge::show_explanation(out, &e).await,
            other => Err(unexpected(&other).into()),
        };
    }
    let cuts = action(wanted.id()).is_none_or(|spec| spec.cuts);
    let asks = cuts || action(wanted.id()).is_some_and(|spec| spec.danger == Danger::TypeName);
    if asks && !yes.yes {
        if !out.can_ask() {
            let does = if cuts { "may cut live connections" } else { "lets somebody in" };
            let why = format!("{} {does} and there is no terminal to ask on: say --yes if you mean it", wanted.id());
            return Err(Fail::Usage(why));
        }
        let snapshot = client.snapshot().await?;
        freeze(&mut wanted, &snapshot);
        let question = format!("{}. Go on?", clean(&blast_radius(&wanted, &snapshot), 1_000));
        if !out.confirm(&question).await? {
            out.remark("nothing was done\n").await?;
            return Ok(Exit::NotOk);
        }
    }
    let new_port = matches!(wanted, Action::Assign { .. } | Action::Move { .. });
    let outcome = match client.request(Request::Act(wanted)).await? {
        Reply::Done(outcome) => outcome,
        other => return Err(unexpected(&other).into()),
    };
    let exit = if outcome.ok { Exit::Done } else { Exit::NotOk };
    if out.json {
        out.json(&outcome).await?;
        return Ok(exit);
    }
    let (tone, glyph) = if outcome.ok { (Tone::Good, "✓") } else { (Tone::Warn, "!") };
    let line = format!("{} {} (event {})\n", out.paint(tone, glyph), clean(&outcome.summary, 2_000), outcome.seq);
    out.text(&line).await?;
    if let Some(lease) = outcome.lease.filter(|_| new_port) {
        dial(client, out, lease.port).await?;
    }
    Ok(exit)
}

/// A port is of no use before its host asks for it.
async fn dial(client: &Client, out: &mut Out<'_>, port: Port) -> Result<(), Fail> {
    // What was done is done: should this not be known, nothing is said.
    if let Ok(Reply::HowTo(h)) = client.request(Request::HowTo { of: BlockTarget::Port(port) }).await {
        let said =
            format!("on the host:\n  {}\nor as a unit: portreeve howto {} --format systemd\n", h.command(), h.host);
        out.remark(&said).await?;
    }
    Ok(())
}

impl Verb {
    /// The action it stands for and whether it is confirmed; none for those that only ask.
    fn action(&self) -> Option<(Action, Yes)> {
        Some(match self {
            Self::Reconnect { host, wait, yes } => {
                // Part of a second is a second: 0 would mean not to watch at all.
                let wait_s = wait.map(|w| w.as_secs() + u64::from(w.subsec_nanos() > 0));
                (Action::Reconnect { host: host.clone(), session: None, wait_s }, *yes)
            }
            Self::Revoke { target, reason, yes } => {
                (Action::Revoke { target: target.clone(), reason: reason.clone() }, *yes)
            }
            Self::Restore { target, yes } => (Action::Restore { target: target.clone() }, *yes),
            Self::Assign { host, port, service, until, reason, yes } => {
                let (host, service, reason) = (host.clone(), service.clone(), reason.clone());
                (Action::Assign { host, port: *port, service, until: *until, reason }, *yes)
            }
            Self::Move { from, to, reason, yes } => {
                (Action::Move { from: *from, to: *to, reason: reason.clone() }, *yes)
            }
            Self::Release { port, reason, yes } => (Action::Release { port: *port, reason: reason.clone() }, *yes),
            Self::Reserve { port, until, reason, yes } => {
                (Action::Reserve { port: *port, until: *until, reason: reason.clone() }, *yes)
            }
            Self::Grant { what, yes, dry_run } => {
                let (what, until, reason) = what.granted();
                (Action::Grant { what, until, reason }, Yes { yes: *yes, dry_run: *dry_run })
            }
            Self::Ungrant { grant, reason, yes } => (Action::Ungrant { grant: *grant, reason: reason.clone() }, *yes),
            Self::Cut { visitor, yes } => (Action::CutVisitor { visitor: *visitor }, *yes),
            Self::Disconnect { session, yes } => (Action::Disconnect { session: *session }, *yes),
            Self::Logout { operator, reason, yes } => {
                (Action::Logout { operator: operator.clone(), reason: reason.clone() }, *yes)
            }
            Self::Confirm { proposal, yes } => (Action::Confirm { proposal: *proposal }, *yes),
            Self::Withdraw { proposal, yes } => (Action::Withdraw { proposal: *proposal }, *yes),
            Self::Mute { incident, time, reason, yes } => {
                let (incident, reason) = (incident.clone(), reason.clone());
                (Action::Mute { incident, for_s: time.as_secs(), reason }, *yes)
            }
            Self::Unmute { incident, yes } => (Action::Unmute { incident: incident.clone() }, *yes),
            Self::Approve { key, host, until, reason, yes } => {
                let (fingerprint, host, reason) = (key.clone(), host.clone(), reason.clone());
                (Action::Approve { fingerprint, host, until: *until, reason }, *yes)
            }
            Self::Unapprove { key, reason, yes } => {
                (Action::Unapprove { fingerprint: key.clone(), reason: reason.clone() }, *yes)
            }
            Self::Dismiss { key, yes } => (Action::Dismiss { fingerprint: key.clone() }, *yes),
            Self::Reload { yes } => (Action::Reload, *yes),
            _ => return None,
        })
    }
}

/// What is confirmed is the session seen now; the daemon refuses when it is another by then.
fn freeze(wanted: &mut Action, s: &Snapshot) {
    if let Action::Reconnect { host, session, .. } = wanted {
        *session = host_session(s, host);
    }
}

fn host_session(s: &Snapshot, host: &HostName) -> Option<SessionId> {
    s.sessions.iter().filter(|x| x.kind == SessionKind::Host && x.name == host.as_str()).map(|x| x.id).max()
}

/// What would be cut, in a sentence.
fn blast_radius(wanted: &Action, s: &Snapshot) -> String {
    let of_host = |host: &HostName| live(s, |t| t.lease.host == *host);
    let of_port = |port: &Port| live(s, |t| t.lease.port == *port);
    match wanted {
        Action::Reconnect { host, .. } => format!("Reconnect {host}: {}", of_host(host)),
        Action::Revoke { target, .. } => {
            let cut = match target {
                BlockTarget::Host(host) => of_host(host),
                BlockTarget::Port(port) => of_port(port),
                BlockTarget::Team(team) => live(s, |t| t.lease.team == *team),
                BlockTarget::Key(key) => of_sessions(s, |x| x.fingerprint == *key),
                BlockTarget::Operator(o) => of_sessions(s, |x| x.kind == SessionKind::Operator && x.name == o.as_str()),
                // Which sessions came by which certificate is the daemon's to know.
                BlockTarget::Serial(_) | BlockTarget::Id(_) | BlockTarget::Ca(_) => {
                    "closes every session signed in by it".to_owned()
                }
            };
            format!("Revoke {target}, until it is restored: {cut}")
        }
        Action::Move { from, to, .. } => {
            let to = to.map_or_else(|| "the next free port".to_owned(), |p| p.to_string());
            format!("Move the lease of {from} to {to}: {}", of_port(from))
        }
        Action::Release { port, .. } => {
            let host = s.tunnels.iter().find(|t| t.lease.port == *port).map(|t| t.lease.host.to_string());
            format!("End the lease of {port} ({}): {}", host.unwrap_or_else(|| "nobody".to_owned()), of_port(port))
        }
        Action::Ungrant { grant, .. } => match s.daemon.grants.iter().find(|g| g.id == *grant) {
            Some(g) => format!("End grant {grant} of {}, and cut what stands on it: {}", g.by, g.what),
            None => format!("End grant {grant}, and cut what stands on it"),
        },
        Action::CutVisitor { visitor } => format!("Cut the visitor {visitor}"),
        Action::Disconnect { session } => {
            let name = s.sessions.iter().find(|x| x.id == *session).map(|x| format!("{} from {}", x.name, x.source));
            let cut = live(s, |t| t.session == Some(*session));
            format!("Close the session {session} ({}): {cut}", name.unwrap_or_else(|| "not known now".to_owned()))
        }
        Action::Approve { fingerprint, host, .. } => {
            let told = s.daemon.pending.iter().find(|k| k.fingerprint == *fingerprint).map(|k| {
                let (user, from, client) = (&k.user, k.source.ip(), &k.client);
                format!(
                    "It came as user {user} from {from} ({client}), {}. ",
                    count(usize::try_from(k.count).unwrap_or(usize::MAX), "time")
                )
            });
            let now = if s.sessions.iter().any(|x| x.kind == SessionKind::Host && x.name == host.as_str()) {
                ", WHICH IS CONNECTED NOW WITH ANOTHER KEY".to_owned()
            } else {
                String::new()
            };
            format!("{}Let the key {fingerprint} sign in host {host}{now}: {}", told.unwrap_or_default(), held(s, host))
        }
        Action::Unapprove { fingerprint, .. } => {
            let cut = of_sessions(s, |x| x.fingerprint == *fingerprint);
            format!("Take back the approval of {fingerprint}: {cut}")
        }
        Action::Logout { operator, .. } => {
            let cut = of_sessions(s, |x| x.kind == SessionKind::Operator && x.name == operator.as_str());
            format!("Log {operator} out, with all that goes through their sessions: {cut}")
        }
        Action::Confirm { proposal } => match s.daemon.proposals.iter().find(|p| p.id == *proposal) {
            Some(p) => {
                let why = p.reason.as_ref().map(|r| format!(" ({r})")).unwrap_or_default();
                format!("Do what {} has proposed{why}: {}. {}", p.by, p.what, p.blast)
            }
            None => format!("Confirm the proposal {proposal}, which is not known now"),
        },
        other => other.id().to_owned(),
    }
}

/// What a host's key gives to who has it.
fn held(s: &Snapshot, host: &HostName) -> String {
    let ports: Vec<String> =
        s.tunnels.iter().filter(|t| t.lease.host == *host).map(|t| t.lease.port.to_string()).collect();
    if ports.is_empty() {
        return "who has it may ask for the host's ports".to_owned();
    }
    format!("who has it gets the host's ports ({}) and what visitors send there", ports.join(" "))
}

fn of_sessions(s: &Snapshot, which: impl Fn(&SessionView) -> bool) -> String {
    let ids: Vec<SessionId> = s.sessions.iter().filter(|x| which(x)).map(|x| x.id).collect();
    let cut = live(s, |t| t.session.is_some_and(|id| ids.contains(&id)));
    format!("{}, {cut}", count(ids.len(), "session"))
}

fn live(s: &Snapshot, which: impl Fn(&TunnelView) -> bool) -> String {
    let rows: Vec<&TunnelView> = s.tunnels.iter().filter(|t| t.state.is_live() && which(t)).collect();
    let visitors = rows.iter().map(|t| usize::try_from(t.visitors_now).unwrap_or(usize::MAX)).sum();
    let ports: Vec<String> = rows.iter().map(|t| t.lease.port.to_string()).collect();
    let ports = if ports.is_empty() { String::new() } else { format!(" ({})", ports.join(" ")) };
    format!("closes {}{ports} with {}", count(rows.len(), "tunnel"), count(visitors, "visitor"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::fake::{every_action, session_id, snapshot};

    #[test]
    fn the_question_says_what_is_cut() {
        let s = snapshot();
        let ask = |a: Action| blast_radius(&a, &s);
        let host: HostName = "pay-db".parse().unwrap();
        let mut reconnect = Action::Reconnect { host, session: None, wait_s: None };
        assert_eq!(ask(reconnect.clone()), "Reconnect pay-db: closes 1 tunnel (20100) with 2 visitors");
        freeze(&mut reconnect, &s);
        assert!(matches!(reconnect, Action::Reconnect { session: Some(id), .. } if id == session_id()));
        let key = Action::Revoke { target: BlockTarget::Key("SHA256:abc".to_owned()), reason: None };
        assert!(ask(key).contains("1 session, closes 2 tunnels (20100 20101) with 4 visitors"));
        for a in every_action() {
            assert!(!ask(a).is_empty());
        }
    }
}
