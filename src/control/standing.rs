//! Who somebody is by now, and what of what is given until a time is theirs to see, to give and to end.

use super::desk::Desk;
use super::protocol::{Action, ApiError, ErrorCode, Identity};
use super::sight::{identify, unlimited};
use crate::model::{GrantView, Granted, GrantedRole, OperatorName, Powers, Role};

impl Desk {
    /// This person as the configuration has them now: connections outlive reloads. Somebody who is no longer in it sees
    /// nothing and may do nothing.
    pub(super) fn as_of_now(&self, who: &Identity) -> Identity {
        let config = self.registry.config();
        let nobody = || Identity { role: Role::Viewer, teams: Some(Vec::new()), granted: Vec::new(), ..who.clone() };
        if let Some(uid) = who.uid {
            let Some(now) = identify(&config, uid).ok().filter(|_| !self.account_out(uid)) else { return nobody() };
            let granted = config.operator_of_uid(uid).and_then(|(name, _)| self.registry.powers(name, None));
            return Identity { granted: granted.map(|p| p.granted).unwrap_or_default(), ..now };
        }
        if who.via != "ssh" {
            return who.clone();
        }
        let session = who.session.and_then(|id| self.registry.session(id));
        let leaving = who.session.is_some() && session.as_ref().is_none_or(|s| s.vital.cause().is_some());
        let credential = session.as_ref().map(|s| s.credential.as_ref());
        let powers = who.name.parse::<OperatorName>().ok().and_then(|n| self.registry.powers(&n, credential));
        match powers {
            Some(Powers { role, teams, granted }) if !leaving && !self.out(&who.name) => {
                Identity { role, teams, granted, ..who.clone() }
            }
            _ => nobody(),
        }
    }

    /// Whether what they signed in with is good by now: between a block and its cut there is a moment.
    pub(super) fn credential_holds(&self, who: &Identity) -> Result<(), ApiError> {
        let session = who.session.and_then(|id| self.registry.session(id));
        let holds = session.map_or(Ok(()), |s| self.registry.still_good(&s));
        holds.map_err(|rule| ApiError::new(ErrorCode::Forbidden, rule))
    }

    /// Whether an operator of this name is blocked.
    fn out(&self, name: &str) -> bool {
        name.parse::<OperatorName>().is_ok_and(|n| self.registry.dismissed(&n).is_some())
    }

    /// Whether the operator whose account this is, is blocked. An account that is nobody's may have an operator's name.
    pub(super) fn account_out(&self, uid: u32) -> bool {
        let config = self.registry.config();
        config.operator_of_uid(uid).is_some_and(|(name, _)| self.registry.dismissed(name).is_some())
    }

    /// What is given until a time, as far as this person may know of it.
    pub(super) fn seen_grants(&self, who: &Identity) -> Vec<GrantView> {
        let sees = |g: &&GrantView| match &g.what {
            Granted::Role { operator, .. } => unlimited(who) || operator.as_str() == who.name,
            Granted::Visitors { team, .. } => team.as_ref().map_or_else(|| unlimited(who), |t| who.sees(t)),
        };
        self.registry.grants().iter().filter(sees).cloned().collect()
    }

    /// What [`Self::not_above`] says of grants.
    pub(super) fn roles_are_admins(&self, who: &Identity, action: &Action) -> Result<(), ApiError> {
        let forbidden = |message: String| Err(ApiError::new(ErrorCode::Forbidden, message));
        match action {
            Action::Grant { what: Granted::Role { operator, .. }, .. } => {
                if operator.as_str() == who.name {
                    return forbidden(format!("nobody grants to themselves: another admin can give {operator} a role"));
                }
                if who.role < Role::Admin {
                    return forbidden(format!(
                        "a role that was granted is not granted on: {} is no admin by the configuration",
                        who.name
                    ));
                }
                Ok(())
            }
            Action::Grant { what: Granted::Visitors { team, .. }, until, .. } => {
                let need = super::authz::required_role(&self.registry.config(), action);
                let own = Identity { granted: Vec::new(), ..who.clone() };
                if own.rights().may(need, team.as_ref()).is_some() {
                    return Ok(());
                }
                let allows = |g: &&GrantedRole| {
                    let alone = Identity { granted: vec![(*g).clone()], ..own.clone() };
                    alone.rights().may(need, team.as_ref()).is_some()
                };
                match who.granted.iter().filter(allows).map(|g| g.until).max() {
                    Some(end) if *until > end => forbidden(format!(
                        "a role that was granted gives no more than itself: that of {} ends at {}",
                        who.name,
                        end.format("%Y-%m-%d %H:%M:%SZ")
                    )),
                    _ => Ok(()),
                }
            }
            // It would stand when the grant is over.
            Action::Approve { .. } if who.role < Role::Admin => forbidden(format!(
                "a role that was granted approves no keys: {} is no admin by the configuration",
                who.name
            )),
            Action::Ungrant { grant, .. } => {
                let is_role = |g: &&GrantView| g.id == *grant && matches!(g.what, Granted::Role { .. });
                if who.rights().best() < Role::Admin && self.registry.grants().iter().any(|g| is_role(&g)) {
                    return forbidden(format!("ungrant of a role needs the role admin; {} has not", who.name));
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }
}
