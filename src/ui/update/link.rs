//! What comes from the daemon.

use super::{Effect, bulk, changes, journal, ran, rehearse, report, say, send, tabs, visitors};
use crate::audit::AuditQuery;
use crate::control::protocol::{Action, ApiError, Identity, Push, Reply, Request, Snapshot};
use crate::model::{Incident, ProposalId, Severity};
use crate::ui::link::LinkEvent;
use crate::ui::notify::Notify;
use crate::ui::state::{Link, Pending, State, Tone};
use crate::ui::words::{Lang, cause, tr};
use std::collections::HashSet;

/// Who sits at the console, as the daemon has it.
fn is_now(state: &mut State, who: Identity) {
    // Another operator, or the same with another role: what was allowed before may not be now.
    if state.who.as_ref() != Some(&who) {
        state.write_until = None;
    }
    state.who = Some(who);
}

/// Takes it in.
pub(crate) fn link(state: &mut State, event: LinkEvent) -> Vec<Effect> {
    let mut out = vec![];
    match event {
        LinkEvent::Up(who) => is_now(state, who),
        LinkEvent::Push(push @ (Push::Snapshot(_) | Push::Rows(_))) => {
            if let Push::Snapshot(Snapshot { you: Some(who), .. }) = &push {
                is_now(state, who.as_ref().clone());
            }
            let known = down(state);
            let first = matches!(push, Push::Snapshot(_)) || state.live.refilling();
            let shown = match push {
                Push::Snapshot(s) => state.live.snapshot(s),
                Push::Rows(rows) => state.live.rows(rows),
                Push::Delta(_) | Push::Goodbye(_) => false,
            };
            if shown {
                state.link = Link::Live;
                state.resort();
            }
            if shown && first {
                tell(state, known, &mut out);
                state.changes.rescan();
            }
        }
        LinkEvent::Push(Push::Goodbye(why)) => out.push(Effect::Leave(why)),
        LinkEvent::Push(Push::Delta(d)) => {
            if d.events_missed > 0 {
                let after = state.live.events.back().map(|r| r.seq);
                let before = d.events.first().map(|r| r.seq);
                let query = AuditQuery { after, before, limit: Some(5000), ..AuditQuery::default() };
                send(state, Request::Audit(Box::new(query)), Pending::Missed, &mut out);
            }
            let touched = state.selected_port().is_some_and(|p| d.tunnels.iter().any(|t| t.lease.port == p));
            let known = d.incidents.as_ref().and_then(|_| down(state));
            let before = proposed(state);
            state.live.delta(d);
            tell(state, known, &mut out);
            tell_proposals(state, &before, &mut out);
            state.resort();
            if touched {
                visitors(state, &mut out);
            }
        }
        LinkEvent::Reply(id, result) => {
            if let Some(pending) = state.pending.remove(&id) {
                reply(state, pending, result, &mut out);
            }
        }
        LinkEvent::Down(why) => {
            let why = why.said(state.lang());
            // A question about what may no longer be so is not left standing.
            if matches!(state.dialog, Some(crate::ui::state::dialog::Dialog::Ask(_))) {
                state.dialog = None;
            }
            for lost in std::mem::take(&mut state.pending).into_values() {
                let (Pending::Action { action, .. } | Pending::Batch(action)) = &lost else { continue };
                if matches!(action, Action::WriteMode { .. }) {
                    continue;
                }
                if matches!(lost, Pending::Action { .. }) {
                    report(state, Tone::Bad, tr!(state.lang(), link.outcome_unknown, command = ran(action)));
                }
                // It was asked for, so it stands in the log, whatever came of it.
                state.acts.end(state.now, action.clone(), Err(tr!(state.lang(), link.outcome_lost).to_owned()));
            }
            bulk::lost(state);
            state.acts.forget();
            // Write mode was the old connection's.
            state.write_until = None;
            state.link = match std::mem::replace(&mut state.link, Link::Live) {
                Link::Live if state.live.daemon.is_some() => Link::Stale { since: state.now, why },
                Link::Stale { since, .. } => Link::Stale { since, why },
                _ => Link::Connecting(Some(why)),
            };
        }
    }
    changes::ask(state, &mut out);
    journal::attend(state, &mut out);
    rehearse::attend(state, &mut out);
    state.settle();
    out
}

/// What is known to be down; nothing when nothing is known yet.
fn down(state: &State) -> Option<HashSet<String>> {
    let all = state.live.incidents().iter().filter(|i| i.severity == Severity::Down);
    (state.live.triaged() && state.own.set.notify != Notify::None).then(|| all.map(|i| i.id.clone()).collect())
}

/// What could be confirmed here.
fn proposed(state: &State) -> HashSet<ProposalId> {
    let all = state.live.daemon.iter().flat_map(|d| &d.proposals);
    all.filter(|p| p.may_confirm).map(|p| p.id).collect()
}

/// Tells what can be confirmed here and could not before: somebody waits for it.
fn tell_proposals(state: &State, before: &HashSet<ProposalId>, out: &mut Vec<Effect>) {
    if state.own.set.notify == Notify::None {
        return;
    }
    let all = state.live.daemon.iter().flat_map(|d| &d.proposals);
    for p in all.filter(|p| p.may_confirm && !before.contains(&p.id)) {
        out.push(Effect::Tell(tr!(state.lang(), link.proposed, by = p.by, what = p.what, id = p.id)));
    }
}

/// Tells what is down and was not before. What was so when the console came is no news.
fn tell(state: &mut State, known: Option<HashSet<String>>, out: &mut Vec<Effect>) {
    let Some(known) = known else { return };
    let new = |i: &&Incident| i.severity == Severity::Down && !known.contains(&i.id);
    let new: Vec<&Incident> = state.live.incidents().iter().filter(new).collect();
    match new.as_slice() {
        [] => {}
        [one, more @ ..] => {
            let (what, likely) = (&one.what, cause::likely(state.lang(), one));
            out.push(Effect::Tell(match more.len() {
                0 => tr!(state.lang(), link.incident, what, likely),
                n => tr!(state.lang(), link.incidents_more, what, likely, n),
            }));
        }
    }
}

fn reply(state: &mut State, pending: Pending, result: Result<Reply, ApiError>, out: &mut Vec<Effect>) {
    let lang = state.lang();
    let result = result.map_err(|e| match e.message == tr!(Lang::En, link.gone) {
        true => ApiError { message: tr!(lang, link.gone).to_owned(), ..e },
        false => e,
    });
    match (pending, result) {
        (Pending::History { port, tab }, result) => tabs::history(state, (port, tab), result, out),
        (Pending::Batch(action), result) => bulk::answered(state, &action, result, out),
        (Pending::Changes(scope), result) => changes::answered(state, scope.as_ref(), result),
        (Pending::HowTo(host), result) => tabs::howto(state, host, result),
        (Pending::Hunt(number), result) => journal::found(state, number, result, out),
        (Pending::Rehearse(of), result) => rehearse::told(state, of, result),
        (Pending::Chain, result) => journal::chained(state, result, out),
        (Pending::Older | Pending::Missed, Err(e)) => say(state, Tone::Bad, tr!(state.lang(), link.audit, why = e)),
        (Pending::Older, Ok(Reply::Records { records, more })) => {
            state.live.beginning = !more;
            state.live.add_events(records);
            state.changes.rescan();
            state.resort();
        }
        (Pending::Missed, Ok(Reply::Records { records, .. })) => {
            state.live.add_events(records);
            state.changes.rescan();
            state.resort();
        }
        (Pending::Action { action: Action::WriteMode { on }, .. }, Ok(_)) => {
            if on {
                state.write_until = Some(state.write_end());
                say(state, Tone::Ok, tr!(state.lang(), link.write_on, write = state.key("write")));
            }
        }
        (Pending::Action { action, .. }, Ok(Reply::Done(o))) => {
            let tone = match (&o.proposal, o.ok) {
                // Nothing went wrong: it waits.
                (Some(_), _) => Tone::Info,
                (None, true) => Tone::Ok,
                (None, false) => Tone::Bad,
            };
            state.acts.end(state.now, action.clone(), Ok(&o));
            report(
                state,
                tone,
                tr!(state.lang(), link.done_seq, command = ran(&action), seq = o.seq, summary = o.summary),
            );
        }
        (Pending::Action { action, .. }, Ok(_)) => {
            report(state, Tone::Info, tr!(state.lang(), link.done, command = ran(&action)))
        }
        (Pending::Action { action, .. }, Err(e)) => {
            report(state, Tone::Bad, tr!(state.lang(), link.refused, command = ran(&action), why = e));
            if !matches!(action, Action::WriteMode { .. }) {
                state.acts.end(state.now, action, Err(tr!(state.lang(), link.outcome_refused, why = e)));
            }
        }
        (Pending::Visitors(port), Ok(Reply::Visitors { mut visitors })) => {
            visitors.sort_by_key(|v| (!v.holding, std::cmp::Reverse(v.buffered), v.id));
            state.visitors = Some((port, state.now, visitors));
        }
        (Pending::Visitors(_), Err(e)) => say(state, Tone::Bad, tr!(state.lang(), link.visitors, why = e)),
        (Pending::Older | Pending::Missed | Pending::Visitors(_), Ok(_)) | (Pending::Active, _) => {}
    }
}

#[cfg(test)]
mod tests;
