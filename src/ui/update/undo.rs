//! Taking back what was done: the act that does so is asked for as any other, and recorded as its own.

use super::{act, say};
use crate::control::actions::{ActionSpec, action as spec_of};
use crate::control::protocol::Action;
use crate::model::Port;
use crate::ui::sentence;
use crate::ui::state::acts::{Act, Before, Undo};
use crate::ui::state::dialog::{Ask, Dialog, Label, REASON, SERVICE, TO, UNTIL};
use crate::ui::state::{State, Tone};
use crate::ui::words::tr;

/// What an act is about to change, kept for its undo.
pub(super) fn before(state: &State, action: &Action) -> Before {
    let lease = match action {
        Action::Release { port, .. } => state.row(*port).map(|r| r.view.lease.clone()),
        _ => None,
    };
    let block = match action {
        Action::Restore { target } => {
            let blocks = state.live.daemon.iter().flat_map(|d| &d.revocations);
            blocks.into_iter().find(|r| r.target == *target).cloned()
        }
        _ => None,
    };
    Before { lease, block }
}

/// `U`: asks whether to take the last act back. `:undo SEQ`: that one.
pub(super) fn undo(state: &mut State, seq: Option<u64>) {
    let l = state.lang();
    let found = match seq {
        None => state.acts.last().cloned(),
        Some(n) => state.acts.log.iter().find(|a| a.seq.is_some_and(|s| s.0 == n)).cloned(),
    };
    let Some(act) = found else {
        let said = match seq {
            None => tr!(l, undo.nothing).to_owned(),
            Some(n) => tr!(l, undo.no_number, n),
        };
        return say(state, Tone::Info, said);
    };
    let command = sentence::command(&act.action);
    match &act.undo {
        Undo::By(by) => ask(state, &act, by),
        Undo::Never(why) => {
            let why = why.said(l);
            let said = match state.acts.last_undoable().and_then(|a| Some((a, a.seq?))) {
                Some((before, n)) => {
                    tr!(l, undo.never_before, command, why, before = sentence::command(&before.action), n)
                }
                None => tr!(l, undo.never, command, why),
            };
            say(state, Tone::Info, said);
        }
        Undo::Done => say(state, Tone::Info, tr!(l, undo.done, command)),
        Undo::Nothing => say(state, Tone::Info, tr!(l, undo.did_nothing, command)),
    }
}

fn ask(state: &mut State, of: &Act, by: &Action) {
    let Some(spec) = spec_of(by.id()) else { return };
    if let Some(why) = act::hindrance(state, spec) {
        return say(state, Tone::Bad, why);
    }
    match question(state, spec, by) {
        Ok(mut question) => {
            let command = sentence::command(&of.action);
            let back = match of.seq {
                Some(seq) => tr!(state.lang(), undo.takes_back_seq, command, seq),
                None => tr!(state.lang(), undo.takes_back, command),
            };
            question.facts.insert(0, back);
            state.dialog = Some(Dialog::Ask(Box::new(question)));
        }
        Err(why) => say(state, Tone::Bad, tr!(state.lang(), undo.not_undone, why)),
    }
}

/// The question of the act that takes another one back, filled in as that one was.
fn question(state: &State, spec: &'static ActionSpec, by: &Action) -> Result<Ask, String> {
    let l = state.lang();
    let fill = |ask: &mut Ask, label: Label, value: Option<&str>| {
        for f in ask.fields.iter_mut().filter(|f| f.label == label) {
            f.input = value.unwrap_or_default().into();
        }
    };
    let lease = |port: Port| state.row(port).ok_or_else(|| tr!(l, undo.no_lease_any_more, port));
    Ok(match by {
        Action::Restore { target } => act::restore(state, spec, target),
        Action::Unapprove { fingerprint, .. } => act::unapprove(state, spec, fingerprint),
        Action::Revoke { target, reason } => {
            let mut ask = act::revoke(state, spec, vec![target.clone()]);
            fill(&mut ask, REASON, reason.as_deref());
            ask
        }
        Action::Assign { host, port, service, until, reason } => {
            if let Some(row) = port.and_then(|p| state.row(p)) {
                return Err(tr!(l, undo.has_port, host = row.host(), port = row.port()));
            }
            let mut ask = act::assign(state, spec, *port, host.as_str());
            fill(&mut ask, SERVICE, service.as_deref());
            fill(&mut ask, UNTIL, until.map(|t| t.to_rfc3339_opts(chrono::SecondsFormat::Secs, true)).as_deref());
            fill(&mut ask, REASON, reason.as_deref());
            ask
        }
        Action::Move { from, to, .. } => {
            if let Some(row) = to.and_then(|p| state.row(p)) {
                return Err(tr!(l, undo.has_port, host = row.host(), port = row.port()));
            }
            let mut ask = act::of_lease(state, spec, lease(*from)?);
            fill(&mut ask, TO, to.map(|p| p.to_string()).as_deref());
            ask
        }
        Action::Release { port, .. } => match state.live.reservation(*port) {
            Some(r) if state.row(*port).is_none() => act::of_reservation(l, spec, r),
            _ => act::of_lease(state, spec, lease(*port)?),
        },
        Action::Grant { what, until, reason } => {
            let until = until.to_rfc3339_opts(chrono::SecondsFormat::Secs, true);
            act::grant(state, spec, what.clone(), (&until, reason))
        }
        Action::Ungrant { grant, .. } => act::ungrant(state, spec, *grant)?,
        Action::Withdraw { proposal } => act::proposal(state, spec, *proposal)?,
        Action::Unmute { incident } => super::mute::question(state, spec, incident)?,
        _ => return Err(tr!(l, undo.no_question).into()),
    })
}
