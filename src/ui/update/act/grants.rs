//! Questions about what is given until a time.

use super::{new, plain};
use crate::control::actions::ActionSpec;
use crate::control::protocol::Action;
use crate::model::{GrantId, Granted, Role, TunnelsOf, network};
use crate::ui::state::State;
use crate::ui::state::dialog::{Ask, Field, REASON, Subject, UNTIL};
use crate::ui::words::{model, tr};

/// Until when, and why.
pub(in crate::ui::update) fn grant(
    state: &State,
    spec: &'static ActionSpec,
    what: Granted,
    (until, reason): (&str, &str),
) -> Ask {
    let l = state.lang();
    let title = tr!(l, ask.grant, what = model::granted(l, &what));
    let fields = vec![Field::text(UNTIL).with(until), Field::text(REASON).with(reason)];
    let ask = new(spec, Subject::Grant { what }, title, vec![tr!(l, ask.grant_fact).to_owned()], fields);
    Ask { window: Some(state.window()), ..ask }
}

/// Whether it is to end now.
pub(in crate::ui::update) fn ungrant(state: &State, spec: &'static ActionSpec, id: GrantId) -> Result<Ask, String> {
    let l = state.lang();
    let known = state.live.grant(id).ok_or_else(|| tr!(l, ask.no_grant, id))?;
    let (what, until) = (model::granted(l, &known.what), known.until.format("%Y-%m-%d %H:%M:%SZ"));
    let of = tr!(l, ask.ungrant_of, what, by = known.by, until, reason = known.reason);
    let action = Action::Ungrant { grant: id, reason: None };
    Ok(plain(spec, action, &tr!(l, ask.ungrant, id), vec![of, tr!(l, ask.ungrant_fact).to_owned()]))
}

/// `:grant role NAME ROLE [TEAM…]`, `:grant visitors TEAM|PORT NETWORK`; the rest is left to the question.
pub(super) fn from_words(state: &State, spec: &'static ActionSpec, words: &[&str]) -> Result<Ask, String> {
    let name = |e: crate::model::NameError| e.to_string();
    let what = match words {
        ["role", operator, role, teams @ ..] => Granted::Role {
            operator: operator.parse().map_err(name)?,
            role: role.parse::<Role>()?,
            teams: match teams {
                [] => None,
                some => Some(some.iter().map(|t| t.parse().map_err(name)).collect::<Result<_, _>>()?),
            },
        },
        ["visitors", to, from] => {
            let TunnelsOf { team, port } = to.parse()?;
            Granted::Visitors { team, port, network: network(from)? }
        }
        _ => return Err(tr!(state.lang(), ask.usage, verb = spec.verb, args = spec.args)),
    };
    Ok(grant(state, spec, what, ("", "")))
}
