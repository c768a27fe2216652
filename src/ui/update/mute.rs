//! The questions of muting: for how long, and why.

use super::act;
use crate::control::actions::ActionSpec;
use crate::control::protocol::Action;
use crate::ui::state::State;
use crate::ui::state::dialog::{Ask, FOR, Field, REASON, Subject};
use crate::ui::text;
use crate::ui::words::{cause, tr};

/// How long, unless something else is typed.
const TIME: &str = "1h";

pub(super) fn question(state: &State, spec: &'static ActionSpec, incident: &str) -> Result<Ask, String> {
    let l = state.lang();
    let known = state.live.incidents().iter().find(|i| i.id == incident);
    let mut facts: Vec<String> = known
        .map(|i| tr!(l, ask.incident, what = cause::what(l, i), likely = cause::likely(l, i)))
        .into_iter()
        .collect();
    let muted = known.and_then(|i| i.muted.as_ref());
    if let Some(m) = muted {
        let left = text::age((m.until - state.now).num_seconds()).0;
        facts.push(tr!(l, ask.muted_by, by = m.by, left, reason = m.reason));
    }
    if spec.id == "unmute" {
        if known.is_some() && muted.is_none() {
            return Err(tr!(l, ask.not_muted, incident));
        }
        return Ok(act::plain(
            spec,
            Action::Unmute { incident: incident.to_owned() },
            &tr!(l, ask.unmute, incident),
            facts,
        ));
    }
    facts.push(tr!(l, ask.mute_fact).to_owned());
    let fields = vec![Field::text(FOR).with(TIME), Field::text(REASON)];
    let subject = Subject::Mute { incident: incident.to_owned() };
    let mut ask = act::new(spec, subject, tr!(l, ask.mute, incident), facts, fields);
    ask.focus = 1;
    Ok(ask)
}

/// `:mute INCIDENT TIME REASON`, the last two may be left to the question.
pub(super) fn from_words(state: &State, spec: &'static ActionSpec, words: &[&str]) -> Result<Ask, String> {
    let (first, rest) =
        words.split_first().ok_or_else(|| tr!(state.lang(), ask.usage, verb = spec.verb, args = spec.args))?;
    let mut ask = question(state, spec, first)?;
    for f in &mut ask.fields {
        match f.label {
            FOR => f.input = rest.first().copied().unwrap_or(TIME).into(),
            _ => f.input = rest.get(1..).unwrap_or_default().join(" ").into(),
        }
    }
    Ok(ask)
}
