//! Marking rows, and asking once before something is done to all of them. Each act goes to the daemon on its own, so it is
//! authorised and written down on its own.

use super::{Effect, act, ran, report, say, send};
use crate::control::actions::ActionSpec;
use crate::control::protocol::{Action, ApiError, Reply, Request};
use crate::model::{BlockTarget, HostName, Port, SessionId};
use crate::ui::state::bulk::{Batch, Kind, Plan, Way};
use crate::ui::state::dialog::{Ask, Field, REASON, Subject, TARGET, TYPE_COUNT};
use crate::ui::state::live::Row;
use crate::ui::state::nav::Step;
use crate::ui::state::{Pending, Screen, State, Tone};
use crate::ui::words::{Lang, action, model, tr};
use std::collections::{BTreeMap, BTreeSet};

/// Names listed in a question; more are counted.
const NAMED: usize = 24;

/// Marks the row under the cursor, or takes its mark away, and goes on to the next.
pub(super) fn mark(state: &mut State) {
    let Some(port) = state.tunnels.selected else { return };
    if !state.marks.remove(&port) {
        state.marks.insert(port);
    }
    let height = state.list_height();
    state.tunnels.go(Step::Down(1), &state.tunnel_rows, height);
}

/// Marks all rows that the filter shows; none of them, when all are.
pub(super) fn mark_all(state: &mut State) {
    if state.tunnel_rows.iter().all(|p| state.marks.contains(p)) {
        let shown: BTreeSet<Port> = state.tunnel_rows.iter().copied().collect();
        state.marks.retain(|p| !shown.contains(p));
    } else {
        state.marks.extend(state.tunnel_rows.iter().copied());
    }
}

/// Whether an action now means all that is marked.
pub(super) fn meant(state: &State) -> bool {
    state.screen == Screen::Tunnels && !state.detail && !state.marks.is_empty()
}

/// What can be done to many.
pub(crate) fn can(spec: &ActionSpec) -> bool {
    matches!(spec.id, "reconnect" | "revoke" | "restore" | "release")
}

/// One question about all that is marked.
pub(super) fn question(state: &State, spec: &'static ActionSpec) -> Result<Ask, String> {
    let l = state.lang();
    if !can(spec) {
        return Err(tr!(l, bulk.one_at_a_time, verb = action::name(l, spec), back = state.key("back")));
    }
    let rows: Vec<&Row> = state.marks.iter().filter_map(|p| state.row(*p)).collect();
    let ways = match spec.id {
        "reconnect" => vec![reconnects(state, &rows)],
        "revoke" => vec![revoke_hosts(state, &rows), revoke_ports(state, &rows)],
        "restore" => vec![restores(l, &rows)],
        _ => vec![releases(state, &rows)],
    };
    if ways.iter().all(|w| w.acts.is_empty()) {
        return Err(match spec.id {
            "reconnect" => tr!(l, bulk.no_session).to_owned(),
            "restore" => tr!(l, bulk.no_block).to_owned(),
            _ => tr!(l, bulk.gone).to_owned(),
        });
    }
    let mut fields = vec![];
    if ways.len() > 1 {
        fields.push(Field::choice(TARGET, ways.iter().map(|w| w.count(l)).collect()));
    }
    fields.push(Field::text(TYPE_COUNT));
    if matches!(spec.id, "revoke" | "release") {
        fields.push(Field::text(REASON));
    }
    let focus = fields.iter().position(|f| f.label == TYPE_COUNT).unwrap_or(0);
    let seen = rows.iter().map(|r| (r.port(), r.host().clone())).collect();
    let plan = Plan { ways, seen };
    let mut ask = act::new(spec, Subject::Bulk { plan }, String::new(), vec![], fields);
    ask.focus = focus;
    refresh(l, &mut ask);
    Ok(ask)
}

/// Title and facts follow the choice of the way.
pub(super) fn refresh(l: Lang, ask: &mut Ask) {
    let Some(way) = ask.way() else { return };
    let title = tr!(l, bulk.title, verb = action::name(l, ask.spec), what = way.count(l));
    let facts = way.facts.clone();
    ask.title = title;
    ask.facts = facts;
}

/// Names, and how many more there are.
fn list<T: ToString>(l: Lang, all: impl IntoIterator<Item = T>) -> String {
    let all: Vec<String> = all.into_iter().map(|x| x.to_string()).collect();
    let more = all.len().saturating_sub(NAMED);
    let named = all.iter().take(NAMED).cloned().collect::<Vec<_>>().join(" ");
    if more > 0 { tr!(l, bulk.more, names = named, n = more) } else { named }
}

fn hosts<'a>(rows: &[&'a Row]) -> BTreeSet<&'a HostName> {
    rows.iter().map(|r| r.host()).collect()
}

fn reconnects(state: &State, rows: &[&Row]) -> Way {
    let l = state.lang();
    let sessions: BTreeMap<SessionId, &HostName> =
        rows.iter().filter_map(|r| Some((r.view.session?, r.host()))).collect();
    let mut facts = act::blast(state, |r| r.view.session.is_some_and(|s| sessions.contains_key(&s)));
    facts.push(tr!(l, bulk.of_hosts, names = list(l, sessions.values())));
    let without = rows.iter().filter(|r| r.view.session.is_none());
    let without = list(l, without.map(|r| r.port()));
    if !without.is_empty() {
        facts.push(tr!(l, bulk.without_session, names = without));
    }
    facts.push(tr!(l, bulk.reconnect_fact).to_owned());
    let one = |(session, host): (&SessionId, &&HostName)| Action::Reconnect {
        host: (*host).clone(),
        session: Some(*session),
        wait_s: None,
    };
    Way { what: Kind::Host, acts: sessions.iter().map(one).collect(), facts }
}

fn revoke_hosts(state: &State, rows: &[&Row]) -> Way {
    let l = state.lang();
    let hosts = hosts(rows);
    let mut facts = act::blast(state, |r| hosts.contains(r.host()));
    facts.push(tr!(l, bulk.of_hosts, names = list(l, &hosts)));
    facts.push(tr!(l, bulk.revoke_fact).to_owned());
    let one = |h: &&HostName| Action::Revoke { target: BlockTarget::Host((*h).clone()), reason: None };
    Way { what: Kind::Host, acts: hosts.iter().map(one).collect(), facts }
}

fn revoke_ports(state: &State, rows: &[&Row]) -> Way {
    let l = state.lang();
    let ports: BTreeSet<Port> = rows.iter().map(|r| r.port()).collect();
    let mut facts = act::blast(state, |r| ports.contains(&r.port()));
    facts.push(tr!(l, bulk.revoke_ports_fact).to_owned());
    let one = |p: &Port| Action::Revoke { target: BlockTarget::Port(*p), reason: None };
    Way { what: Kind::Port, acts: ports.iter().map(one).collect(), facts }
}

fn restores(l: Lang, rows: &[&Row]) -> Way {
    let blocks: BTreeMap<&BlockTarget, &str> =
        rows.iter().filter_map(|r| r.view.revoked.as_ref()).map(|b| (&b.target, b.by.as_str())).collect();
    let one = |(t, by): (&&BlockTarget, &&str)| tr!(l, bulk.lifts_one, target = model::target(l, t), by) + ",";
    let mut facts = vec![tr!(l, bulk.lifts, names = list(l, blocks.iter().map(one)))];
    let without = list(l, rows.iter().filter(|r| r.view.revoked.is_none()).map(|r| r.port()));
    if !without.is_empty() {
        facts.push(tr!(l, bulk.without_block, names = without));
    }
    Way { what: Kind::Block, acts: blocks.keys().map(|t| Action::Restore { target: (*t).clone() }).collect(), facts }
}

fn releases(state: &State, rows: &[&Row]) -> Way {
    let l = state.lang();
    let ports: BTreeSet<Port> = rows.iter().map(|r| r.port()).collect();
    let mut facts = act::blast(state, |r| ports.contains(&r.port()));
    facts.push(tr!(l, bulk.ends, names = list(l, hosts(rows))));
    let one = |p: &Port| Action::Release { port: *p, reason: None };
    Way { what: Kind::Lease, acts: ports.iter().map(one).collect(), facts }
}

/// The answer is yes: begins, unless a port is somebody else's by now.
pub(super) fn confirmed(state: &mut State, ask: &Ask, acts: Vec<Action>, out: &mut Vec<Effect>) {
    let Subject::Bulk { plan } = &ask.subject else { return };
    let moved = plan.seen.iter().find(|(port, host)| state.row(*port).is_none_or(|r| r.host() != host));
    if let Some((port, host)) = moved {
        return say(state, Tone::Bad, tr!(state.lang(), bulk.moved, port, host));
    }
    state.marks.clear();
    state.message = None;
    state.batch = Some(Batch::new(ask.spec.verb, acts));
    go_on(state, out);
}

/// Asks for as many more as may be on their way.
fn go_on(state: &mut State, out: &mut Vec<Effect>) {
    let (writable, lang) = (state.writable(), state.lang());
    let Some(batch) = &mut state.batch else { return };
    if !writable && !batch.todo.is_empty() {
        let left = batch.todo.len();
        batch.todo.clear();
        batch.failed.push(tr!(lang, bulk.write_ended, n = left));
    }
    let acts: Vec<Action> = std::iter::from_fn(|| batch.next()).collect();
    for action in acts {
        let before = super::undo::before(state, &action);
        state.acts.begin(&action, before);
        send(state, Request::Act(action.clone()), Pending::Batch(action), out);
    }
    over(state);
}

/// One of them was answered. Each is said, as if it had been done alone.
pub(super) fn answered(state: &mut State, action: &Action, result: Result<Reply, ApiError>, out: &mut Vec<Effect>) {
    let lang = state.lang();
    match &result {
        Ok(Reply::Done(o)) => state.acts.end(state.now, action.clone(), Ok(o)),
        Ok(_) => {}
        Err(e) => state.acts.end(state.now, action.clone(), Err(tr!(lang, link.outcome_refused, why = e))),
    }
    let (ok, said) = match result {
        Ok(Reply::Done(o)) => (o.ok, tr!(lang, link.done_seq, command = ran(action), seq = o.seq, summary = o.summary)),
        Ok(_) => (true, tr!(lang, link.done, command = ran(action))),
        Err(e) => (false, tr!(lang, link.refused, command = ran(action), why = e)),
    };
    say(state, if ok { Tone::Ok } else { Tone::Bad }, said.clone());
    if let Some(batch) = &mut state.batch {
        batch.running = batch.running.saturating_sub(1);
        if ok {
            batch.done += 1;
        } else {
            batch.failed.push(said);
        }
    }
    go_on(state, out);
}

/// Asks for no more; what is on its way comes to its end.
pub(super) fn stop(state: &mut State) -> bool {
    let lang = state.lang();
    let Some(batch) = state.batch.as_mut().filter(|b| !b.todo.is_empty()) else { return false };
    let left = batch.todo.len();
    batch.todo.clear();
    batch.failed.push(tr!(lang, bulk.stopped, n = left));
    over(state);
    true
}

/// The connection is lost: nothing more is asked for, and what was on its way is not known.
pub(super) fn lost(state: &mut State) {
    let Some(batch) = state.batch.take() else { return };
    let (progress, left, running) = (batch.progress(state.lang()), batch.todo.len(), batch.running);
    let text = tr!(state.lang(), bulk.lost, progress, left, running);
    report(state, Tone::Bad, text);
}

fn over(state: &mut State) {
    let Some(batch) = state.batch.take_if(|b| b.is_over()) else { return };
    let tone = if batch.failed.is_empty() { Tone::Ok } else { Tone::Bad };
    let progress = batch.progress(state.lang());
    let said = match batch.failed.first() {
        Some(why) => tr!(state.lang(), bulk.over, progress, why),
        None => progress,
    };
    report(state, tone, said);
}

#[cfg(test)]
mod tests;
