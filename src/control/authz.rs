//! Who may do what: the role an action needs (from [`super::actions::ACTIONS`]) and the team it concerns.

use super::actions::action;
use super::protocol::{Action, ApiError, ErrorCode, Identity};
use crate::config::Config;
use crate::model::{BlockTarget, GrantId, Granted, Role, TeamName};

/// The least role for this action: by the table, and by `[actions.NAME]` of the configuration where that asks for more.
///
/// An action that the table does not know needs `admin`: forgetting an entry must not open a door.
#[must_use]
pub fn required_role(config: &Config, wanted: &Action) -> Role {
    let own = action(wanted.id()).map_or(Role::Viewer, |spec| config.role_for(spec));
    own.max(table_role(wanted))
}

fn table_role(wanted: &Action) -> Role {
    match wanted {
        // Not an entry of the palette: every console that acts enters write mode first.
        Action::WriteMode { .. } => Role::Operator,
        // What admins may, only they can give.
        Action::Grant { what: Granted::Role { .. }, .. } => Role::Admin,
        // Of nobody's team, and they reach beyond it.
        Action::Revoke { target, .. } | Action::Restore { target } if beyond_teams(target) => Role::Admin,
        other => action(other.id()).map_or(Role::Admin, |spec| spec.role),
    }
}

fn beyond_teams(target: &BlockTarget) -> bool {
    use BlockTarget as T;
    match target {
        T::Operator(_) | T::Ca(_) | T::Serial(_) | T::Id(_) => true,
        T::Host(_) | T::Key(_) | T::Port(_) | T::Team(_) => false,
    }
}

/// That another operator must confirm this action, by `[actions.NAME]` of the configuration.
#[must_use]
pub fn needs_second(config: &Config, wanted: &Action) -> bool {
    let kind = match wanted {
        Action::Revoke { target, .. } | Action::Restore { target } => Some(target.kind()),
        _ => None,
    };
    config.two_person(wanted.id(), kind)
}

/// The action's name in the configuration and on the command line.
pub(super) fn verb(wanted: &Action) -> &'static str {
    action(wanted.id()).map_or(wanted.id(), |spec| spec.verb)
}

/// The role that an action needs, and where that is said when it is not in the table.
pub(super) fn role_rule(config: &Config, wanted: &Action) -> String {
    let need = required_role(config, wanted);
    let id = wanted.id();
    match action(id).filter(|_| need > table_role(wanted)) {
        Some(spec) => format!("{id} needs the role {need} ([actions.{}] of {})", spec.verb, config.path.display()),
        None => format!("{id} needs the role {need}"),
    }
}

/// Whether this person may do this to something of this team. `team` is none where no team owns the target: a key that
/// nobody has, a port outside all ranges, an operator's session; then only those not limited to teams may. Gives the grant
/// that allows it, where the configuration does not.
///
/// # Errors
/// [`ErrorCode::Forbidden`] with what is missing.
pub fn check(
    config: &Config,
    who: &Identity,
    wanted: &Action,
    team: Option<&TeamName>,
) -> Result<Option<GrantId>, ApiError> {
    let need = required_role(config, wanted);
    let forbidden = |message: String| Err(ApiError::new(ErrorCode::Forbidden, message));
    let rights = who.rights();
    if rights.best() < need {
        let rule = role_rule(config, wanted);
        return forbidden(format!("{rule}; {} has the role {}", who.name, rights.best()));
    }
    if matches!(wanted, Action::WriteMode { .. }) {
        return Ok(None);
    }
    if let Some(by) = rights.may(need, team) {
        return Ok(by);
    }
    let own = rights.teams_as(need).unwrap_or_default();
    let list = own.iter().map(TeamName::as_str).collect::<Vec<_>>().join(", ");
    let list = if list.is_empty() { "no team".to_owned() } else { format!("the team(s) {list}") };
    match team {
        Some(t) => forbidden(format!("{} is not allowed on team {t}: {} is limited to {list}", wanted.id(), who.name)),
        None => forbidden(format!(
            "{} is not allowed here: the target belongs to no team and {} is limited to {list}",
            wanted.id(),
            who.name
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::super::fake;
    use super::*;
    use crate::control::actions::ACTIONS;

    fn someone(role: Role, teams: Option<&[&str]>) -> Identity {
        let teams = teams.map(|ts| ts.iter().map(|t| t.parse().unwrap()).collect());
        Identity { role, teams, ..fake::identity("alice", role) }
    }
    fn config(text: &str) -> Config {
        Config::parse(text, std::path::Path::new("/etc/portreeve.toml")).unwrap()
    }
    fn revoke() -> Action {
        Action::Revoke { target: BlockTarget::parse("20100").unwrap(), reason: None }
    }

    #[test]
    fn every_action_needs_the_role_of_its_table_entry() {
        let plain = config("");
        let check = |who: &Identity, a: &Action, team| check(&plain, who, a, team);
        for a in fake::every_action() {
            let id = a.id();
            let want = if id == "write_mode" { Role::Operator } else { action(id).unwrap().role };
            assert_eq!(required_role(&plain, &a), want, "{id}");
            assert!(check(&someone(Role::Viewer, None), &a, None).is_err(), "a viewer may not {id}");
            assert!(check(&someone(Role::Admin, Some(&[])), &a, None).is_ok(), "an admin may {id}");
        }
        assert!(ACTIONS.iter().all(|s| fake::every_action().iter().any(|a| a.id() == s.id)));
    }

    #[test]
    fn a_limited_operator_acts_on_own_teams_only() {
        let pay: TeamName = "pay".parse().unwrap();
        let iot: TeamName = "iot".parse().unwrap();
        let limited = someone(Role::Operator, Some(&["pay"]));
        let plain = config("");
        let check = |who: &Identity, a: &Action, team| check(&plain, who, a, team);
        assert!(check(&limited, &revoke(), Some(&pay)).is_ok());
        for team in [Some(&iot), None] {
            let e = check(&limited, &revoke(), team).unwrap_err();
            assert_eq!(e.code, ErrorCode::Forbidden);
            assert!(e.message.contains("pay"), "{e}");
        }
        assert!(check(&limited, &Action::WriteMode { on: true }, None).is_ok());
        assert!(check(&someone(Role::Operator, None), &revoke(), Some(&iot)).is_ok());
        assert!(check(&someone(Role::Operator, None), &Action::Reload, None).is_err());
    }

    #[test]
    fn a_granted_role_holds_on_its_teams_and_the_grant_is_told() {
        let plain = config("");
        let check = |who: &Identity, a: &Action, team| check(&plain, who, a, team);
        let (pay, iot): (TeamName, TeamName) = ("pay".parse().unwrap(), "iot".parse().unwrap());
        let until = crate::model::now();
        let grant = GrantId::new();
        let of = |role, teams| crate::model::GrantedRole { grant, role, teams, until };
        let mut who = someone(Role::Viewer, Some(&["pay", "iot"]));
        assert!(check(&who, &Action::WriteMode { on: true }, None).is_err());
        who.granted = vec![of(Role::Operator, Some(vec![pay.clone()]))];
        assert_eq!(check(&who, &revoke(), Some(&pay)).unwrap(), Some(grant));
        assert!(check(&who, &Action::WriteMode { on: true }, None).is_ok());
        let e = check(&who, &revoke(), Some(&iot)).unwrap_err();
        assert!(e.message.contains("limited to the team(s) pay"), "{e}");
        assert!(check(&who, &revoke(), None).is_err() && check(&who, &Action::Reload, None).is_err());
        who.granted = vec![of(Role::Admin, None)];
        assert_eq!(check(&who, &Action::Reload, None).unwrap(), Some(grant));
        // What the configuration allows is not by the grant.
        let own = Identity { granted: vec![of(Role::Admin, None)], ..someone(Role::Operator, Some(&["pay"])) };
        assert_eq!(check(&own, &revoke(), Some(&pay)).unwrap(), None);
        assert_eq!(check(&own, &revoke(), Some(&iot)).unwrap(), Some(grant));
    }

    #[test]
    fn roles_are_for_admins_to_give_and_networks_for_the_teams_operators() {
        let plain = config("");
        let check = |who: &Identity, a: &Action, team| check(&plain, who, a, team);
        let pay: TeamName = "pay".parse().unwrap();
        let give = |what| Action::Grant { what, until: crate::model::now(), reason: "x".to_owned() };
        let role = give(Granted::Role { operator: "bob".parse().unwrap(), role: Role::Viewer, teams: None });
        let network = "203.0.113.0/24".parse().unwrap();
        let visitors = give(Granted::Visitors { team: Some(pay.clone()), port: None, network });
        let ann = someone(Role::Operator, Some(&["pay"]));
        assert!(check(&ann, &role, Some(&pay)).is_err() && check(&ann, &visitors, Some(&pay)).is_ok());
        assert!(check(&someone(Role::Admin, None), &role, None).is_ok());
    }

    #[test]
    fn the_configuration_raises_the_role_of_an_action_and_says_that_it_does() {
        let strict = config("[actions.revoke]\nrole = \"admin\"\n");
        let e = check(&strict, &someone(Role::Operator, None), &revoke(), None).unwrap_err();
        assert_eq!(
            e.message,
            "revoke needs the role admin ([actions.revoke] of /etc/portreeve.toml); alice has the role operator"
        );
        assert!(check(&strict, &someone(Role::Admin, None), &revoke(), None).is_ok());
        let restore = Action::Restore { target: BlockTarget::parse("20100").unwrap() };
        assert!(check(&strict, &someone(Role::Operator, None), &restore, None).is_ok(), "another action is as it was");
    }

    #[test]
    fn what_needs_a_second_person_is_told_by_kind() {
        let of = |target: &str| Action::Revoke { target: BlockTarget::parse(target).unwrap(), reason: None };
        let teams = config("[actions.revoke]\ntwo_person = [\"team\", \"ca\"]\n");
        for (target, wanted) in [("team:pay", true), ("ca:corp", true), ("pay-db", false), ("20100", false)] {
            assert_eq!(needs_second(&teams, &of(target)), wanted, "{target}");
        }
        let all = config("[actions.revoke]\ntwo_person = true\n[actions.reload]\ntwo_person = true\n");
        assert!(needs_second(&all, &of("pay-db")) && needs_second(&all, &Action::Reload));
        let restore = Action::Restore { target: BlockTarget::parse("20100").unwrap() };
        assert!(!needs_second(&all, &restore));
    }
}
