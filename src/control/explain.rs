//! "Would it be allowed, and by which rule?"

use super::authz;
use super::desk::Desk;
use super::protocol::{Action, ApiError, ErrorCode, Explanation, Identity};
use super::sight::unlimited;
use crate::config::Principal;
use crate::model::{HostName, Port, now};
use crate::tunnels::{Decision, Wish};

impl Desk {
    pub(super) fn explain(&self, who: &Identity, asked: &str, port: Option<u32>) -> Result<Explanation, ApiError> {
        let config = self.registry.config();
        let not_found = |m: String| ApiError::new(ErrorCode::NotFound, m);
        if let Some(visit) = self.explain_visit(who, asked, port) {
            return visit;
        }
        let mut steps = Vec::new();
        let (host, fingerprint) = if asked.starts_with("SHA256:") {
            match config.keys.get(asked) {
                Some(Principal::Host(h)) => {
                    steps.push(format!("key {asked} is host {h}'s"));
                    (h.clone(), Some(asked.to_owned()))
                }
                Some(Principal::Operator(o)) => {
                    return Ok(Explanation {
                        allowed: false,
                        port: None,
                        rule: format!("key {asked} is operator {o}'s; operators hold no ports"),
                        steps,
                    });
                }
                None => {
                    if let Some(k) = self.seen_pending(who).iter().find(|k| k.fingerprint == asked) {
                        let (count, user, from) = (k.count, &k.user, k.source.ip());
                        steps.push(format!(
                            "it is pending: proved ×{count} as user {user} from {from}; `portreeve approve` lets it sign in a host"
                        ));
                    }
                    return Ok(Explanation {
                        allowed: false,
                        port: None,
                        rule: format!(
                            "key {asked} is unknown: no host or operator of {} has it",
                            config.path.display()
                        ),
                        steps,
                    });
                }
            }
        } else {
            let host: HostName = asked.parse().map_err(|e| not_found(format!("{asked:?}: {e}")))?;
            (host, None)
        };
        let Some(h) = config.hosts.get(&host) else {
            return Err(not_found(format!("there is no host {host} in {}", config.path.display())));
        };
        if !who.sees(&h.team) {
            return Err(ApiError::new(ErrorCode::Forbidden, format!("host {host} is of a team that is not yours")));
        }
        let ranges: Vec<String> =
            config.teams.get(&h.team).map(|t| t.ports.iter().map(ToString::to_string).collect()).unwrap_or_default();
        steps.push(format!("host {host} is of team {} (ports {})", h.team, ranges.join(", ")));
        if let Err(why) = self.registry.open_for_business() {
            return Ok(Explanation { allowed: false, port: None, rule: why, steps });
        }
        if let Some(why) = fingerprint.as_deref().and_then(|f| config.expired(f, now())) {
            return Ok(Explanation { allowed: false, port: None, rule: why, steps });
        }
        let port = port.unwrap_or(0);
        steps.push(if port == 0 {
            "it asks for any port (-R 0)".to_owned()
        } else {
            format!("it asks for port {port}")
        });
        Ok(match self.registry.would_grant(&host, fingerprint.as_deref(), port) {
            Decision::Grant { port, rule, .. } => {
                if let Some(t) = self.registry.tunnel(port) {
                    steps.push(format!(
                        "session {} of {} holds it now; a new session of the same host takes it over if that one is silent",
                        t.session.id, t.session.name
                    ));
                }
                Explanation { allowed: true, port: Some(port), rule, steps }
            }
            Decision::Refuse { rule } => Explanation { allowed: false, port: None, rule, steps },
        })
    }

    /// What would come of an action, by the rights of this person and the rules of the ledger, as they are now.
    pub(super) fn rehearse(&self, who: &Identity, action: &Action) -> Explanation {
        let explain = |steps, outcome: Result<(Option<Port>, String), String>| match outcome {
            Ok((port, rule)) => Explanation { allowed: true, port, rule, steps },
            Err(rule) => Explanation { allowed: false, port: None, rule, steps },
        };
        let mut action = action.clone();
        if let Err(e) = self.canonical(&mut action) {
            return explain(vec![], Err(e.message));
        }
        let (action, config) = (&action, self.registry.config());
        let (team, _) = self.subject(who, action);
        if let Err(e) = authz::check(&config, who, action, team.as_ref())
            .and_then(|_| self.not_above(who, action))
            .and_then(|()| self.by_two(who, action).map(drop))
        {
            return explain(vec![], Err(e.message));
        }
        let mut steps =
            vec![format!("{}; {} has the role {}", authz::role_rule(&config, action), who.name, who.rights().best())];
        steps.extend(team.map(|team| match &who.teams {
            Some(_) if !unlimited(who) => format!("it concerns team {team}, which is one of {}'s", who.name),
            _ => format!("it concerns team {team}; {} acts on every team", who.name),
        }));
        if authz::needs_second(&config, action) {
            let verb = authz::verb(action);
            steps.push(format!(
                "[actions.{verb}] two_person: another operator must confirm it, until then nothing is done"
            ));
        }
        explain(steps, self.registry.would_do(action_of(action)))
    }
}

/// What of an action the ledger decides.
fn action_of(action: &Action) -> Wish {
    match action.clone() {
        Action::Assign { host, port, .. } => Wish::Assign(host, port),
        Action::Move { from, to, .. } => Wish::Move(from, to),
        Action::Release { port, .. } => Wish::Release(port),
        Action::Reserve { port, .. } => Wish::Reserve(port),
        Action::Revoke { target, .. } => Wish::Revoke(target),
        Action::Restore { target } => Wish::Restore(target),
        Action::Reconnect { host, .. } => Wish::Reconnect(host),
        Action::Disconnect { session } => Wish::Disconnect(session),
        Action::Logout { operator, .. } => Wish::LogOut(operator),
        _ => Wish::Other,
    }
}
