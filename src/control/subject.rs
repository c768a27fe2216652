//! What an action is about: its team, whether that is still there, and who stands above it.

use super::desk::Desk;
use super::protocol::{Action, ApiError, ErrorCode, Identity};
use crate::audit::Context;
use crate::config::Principal;
use crate::model::{BlockTarget, Granted, Role, SessionKind, TeamName};

impl Desk {
    /// Blocks are asked for as they are kept, so that what is allowed, done and written down is one thing; and visits to a
    /// port as those of the team that has it in its ranges.
    pub(super) fn canonical(&self, action: &mut Action) -> Result<(), ApiError> {
        if let Action::Grant { what: Granted::Visitors { team, port: Some(port), .. }, .. } = action {
            *team = self.registry.config().owner_of_port(*port).cloned();
        }
        if let Action::Revoke { target, .. } | Action::Restore { target } = action {
            let found = self.registry.canonical(target.clone());
            *target = found.map_err(|e| ApiError::new(ErrorCode::NotFound, e.to_string()))?;
        }
        Ok(())
    }

    /// That the visitor or session an action means is no more.
    pub(super) fn gone(&self, action: &Action) -> Option<String> {
        match action {
            Action::CutVisitor { visitor } if self.registry.find_visitor(*visitor).is_none() => {
                Some(format!("there is no visitor {visitor} (any more)"))
            }
            Action::Disconnect { session } if self.registry.session(*session).is_none() => {
                Some(format!("there is no session {session} (any more)"))
            }
            Action::Ungrant { grant, .. } if self.registry.grants().iter().all(|g| g.id != *grant) => {
                Some(format!("there is no grant {grant} (any more); `portreeve grants` lists them"))
            }
            Action::Confirm { proposal } => self.confirmed_gone(*proposal),
            Action::Withdraw { proposal } => self.proposal_gone(*proposal),
            other => self.not_approved(other),
        }
    }

    /// Operators are closed out by admins only; anybody may close their own sessions, and nobody may block themselves.
    /// Roles are given and taken by admins, not to themselves, and not by whom one was given to.
    pub(super) fn not_above(&self, who: &Identity, action: &Action) -> Result<(), ApiError> {
        self.roles_are_admins(who, action)?;
        if let Action::Revoke { target: BlockTarget::Operator(o), .. } = action
            && o.as_str() == who.name
        {
            let message = format!("{o} would be locked out by their own word: another admin can revoke {o}");
            return Err(ApiError::new(ErrorCode::Conflict, message));
        }
        let whose = match action {
            Action::Revoke { target: BlockTarget::Key(f), .. } | Action::Restore { target: BlockTarget::Key(f) } => {
                match self.registry.config().keys.get(f) {
                    Some(Principal::Operator(o)) => Some(o.to_string()),
                    _ => None,
                }
            }
            Action::Disconnect { session } => {
                let session = self.registry.session(*session);
                session.filter(|s| s.kind == SessionKind::Operator && s.name != who.name).map(|s| s.name.clone())
            }
            _ => None,
        };
        match whose {
            Some(name) if who.rights().best() < Role::Admin => Err(ApiError::new(
                ErrorCode::Forbidden,
                format!(
                    "{} of operator {name} needs the role admin; {} has the role {}",
                    action.id(),
                    who.name,
                    who.rights().best()
                ),
            )),
            _ => Ok(()),
        }
    }

    /// The team an action concerns, and what the audit says of its target.
    pub(super) fn subject(&self, who: &Identity, action: &Action) -> (Option<TeamName>, Context) {
        let config = self.registry.config();
        let of = |t: &BlockTarget| self.registry.target_context(&config, t);
        let context = match action {
            Action::Reconnect { host, .. } | Action::Assign { host, .. } => of(&BlockTarget::Host(host.clone())),
            Action::Revoke { target, .. } | Action::Restore { target } => of(target),
            Action::Move { from: port, .. } | Action::Release { port, .. } | Action::Reserve { port, .. } => {
                of(&BlockTarget::Port(*port))
            }
            Action::CutVisitor { visitor } => {
                self.registry.find_visitor(*visitor).map(|(t, _)| t.context()).unwrap_or_default()
            }
            Action::Disconnect { session } => self.registry.session(*session).map(|s| s.context()).unwrap_or_default(),
            Action::Grant { what, .. } => crate::tunnels::grant_context(what),
            Action::Ungrant { grant, .. } => {
                let found = self.registry.grants().iter().find(|g| g.id == *grant).cloned();
                found.map(|g| crate::tunnels::grant_context(&g.what)).unwrap_or_default()
            }
            Action::Mute { incident, .. } | Action::Unmute { incident } => self.incident_context(who, incident),
            Action::Confirm { proposal } => self.confirmed_context(who, *proposal),
            Action::Withdraw { proposal } => self.proposal_context(*proposal),
            Action::Approve { fingerprint, host, .. } => self.key_context(fingerprint, Some(host)),
            Action::Unapprove { fingerprint, .. } | Action::Dismiss { fingerprint } => {
                self.key_context(fingerprint, None)
            }
            Action::Logout { .. } | Action::Reload | Action::WriteMode { .. } => Context::default(),
        };
        (context.team.clone(), context)
    }
}
