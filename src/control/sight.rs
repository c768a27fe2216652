//! Who somebody is, and what of the bastion is theirs to see.

use super::protocol::Identity;
use crate::audit::{Actor, Record};
use crate::model::{Role, SessionKind, SessionView, TunnelView};

/// How an operator came, for the audit.
#[must_use]
pub fn came(who: &Identity) -> String {
    let mut s = who.via.clone();
    for part in [who.source.map(|a| a.to_string()), who.fingerprint.clone(), who.session.map(|id| id.to_string())]
        .into_iter()
        .flatten()
    {
        s.push(' ');
        s.push_str(&part);
    }
    s
}

pub(super) fn unlimited(who: &Identity) -> bool {
    who.rights().teams_as(Role::Viewer).is_none()
}

pub(super) fn sees_tunnel(who: &Identity, t: &TunnelView) -> bool {
    who.sees(&t.lease.team)
}

pub(super) fn sees_session(who: &Identity, s: &SessionView) -> bool {
    match (&s.team, s.kind) {
        (Some(t), _) => who.sees(t),
        (None, SessionKind::Operator) => unlimited(who) || s.name == who.name,
        (None, SessionKind::Host) => unlimited(who),
    }
}

pub(super) fn sees_record(who: &Identity, r: &Record) -> bool {
    match &r.event.context.team {
        Some(t) => who.sees(t),
        None => unlimited(who) || matches!(&r.event.actor, Actor::Operator(n) if *n == who.name),
    }
}

/// Who a peer of the control socket is: the daemon's own user and root are admins; others by `unix_user` of an operator.
///
/// # Errors
/// A sentence that says what is missing.
pub fn identify(config: &crate::config::Config, uid: u32) -> Result<Identity, String> {
    let known = |name: String, role, teams| Identity { uid: Some(uid), ..Identity::unix(name, role, teams) };
    if let Some((name, o)) = config.operator_of_uid(uid) {
        return Ok(known(name.to_string(), o.role, o.teams.clone()));
    }
    let account = crate::config::account_of(uid);
    if uid == 0 || uid == nix::unistd::geteuid().as_raw() {
        return Ok(known(account, Role::Admin, None));
    }
    Err(format!(
        "the account {account} is no operator's: add `unix_user` to an [operators] entry of {} and reload",
        config.path.display()
    ))
}
