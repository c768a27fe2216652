//! Questions about a port: who is to have it, and until when.

use super::{blast, hindrance, new, say, seen};
use crate::control::actions::ActionSpec;
use crate::model::Port;
use crate::ui::state::dialog::{Ask, Dialog, Field, HOST, REASON, SERVICE, Subject, TO, UNTIL};
use crate::ui::state::live::Row;
use crate::ui::state::{State, Tone};
use crate::ui::words::{Lang, model, tr};

/// Asks for the host that is to have the next free port of its team.
pub(in crate::ui::update) fn assign_next(state: &mut State, spec: &'static ActionSpec) {
    if let Some(why) = hindrance(state, spec) {
        return say(state, Tone::Bad, why);
    }
    state.dialog = Some(Dialog::Ask(Box::new(assign(state, spec, None, ""))));
}

pub(in crate::ui::update) fn assign(state: &State, spec: &'static ActionSpec, port: Option<Port>, host: &str) -> Ask {
    let l = state.lang();
    let title = port.map_or_else(|| tr!(l, ask.assign_next).to_owned(), |port| tr!(l, ask.assign, port));
    let team = port.and_then(|p| state.live.team_of(p));
    let mut facts = team.map(|t| vec![tr!(l, ask.range_of, team = t.name)]).unwrap_or_default();
    facts.extend(port.and_then(|p| clash(state, p)));
    // A host of another team would be refused.
    let hosts = team.map_or_else(|| state.live.host_names(), |t| state.live.hosts_of(&t.name));
    let fields = vec![
        Field::text(HOST).with(host).knowing(hosts),
        Field::text(SERVICE).knowing(["ssh", "http", "https"].map(str::to_owned).to_vec()),
        Field::text(UNTIL),
        Field::text(REASON),
    ];
    facts.push(tr!(l, ask.assign_fact).to_owned());
    Ask { window: Some(state.window()), ..new(spec, Subject::Assign { port }, title, facts, fields) }
}

/// Keeps a free port free.
pub(super) fn reserve(state: &State, spec: &'static ActionSpec, port: Port, until: &str, reason: &str) -> Ask {
    let l = state.lang();
    let team = state.live.team_of(port);
    let mut facts: Vec<String> = team.map(|t| tr!(l, ask.range_of, team = t.name)).into_iter().collect();
    if let Some(r) = state.live.reservation(port) {
        facts.push(tr!(l, ask.reserved_replaced, by = r.by, reason = r.reason));
    }
    facts.push(tr!(l, ask.reserve_fact).to_owned());
    let fields = vec![Field::text(UNTIL).with(until), Field::text(REASON).with(reason)];
    let ask = new(spec, Subject::Reserve { port }, tr!(l, ask.reserve, port), facts, fields);
    Ask { window: Some(state.window()), ..ask }
}

pub(in crate::ui::update) fn of_reservation(
    l: Lang,
    spec: &'static ActionSpec,
    r: &crate::model::ReservationView,
) -> Ask {
    let facts = vec![tr!(l, ask.reserved_by, by = r.by, reason = r.reason), tr!(l, ask.unreserve_fact).to_owned()];
    let subject = Subject::Release { port: r.port };
    new(spec, subject, tr!(l, ask.unreserve, port = r.port), facts, vec![Field::text(REASON)])
}

/// Who else wants a port.
fn clash(state: &State, port: Port) -> Option<String> {
    let (last, count) = state.live.clash(port)?;
    let who = crate::ui::sentence::actor(state.lang(), &last.event.actor);
    Some(tr!(state.lang(), ask.clash, who, n = count))
}

pub(in crate::ui::update) fn of_lease(state: &State, spec: &'static ActionSpec, row: &Row) -> Ask {
    let (l, port) = (state.lang(), row.port());
    let kind = model::lease(l, row.view.lease.kind);
    let mut facts = vec![tr!(l, ask.lease_of, kind, host = row.host(), team = row.team())];
    facts.extend(blast(state, |r| r.port() == port));
    facts.extend(clash(state, port));
    let (subject, title, fields) = if spec.id == "move" {
        let to = Field::text(TO);
        (Subject::Move { from: port }, tr!(l, ask.move_, port), vec![to, Field::text(REASON)])
    } else {
        (Subject::Release { port }, tr!(l, ask.release, port), vec![Field::text(REASON)])
    };
    Ask { seen: seen(row), ..new(spec, subject, title, facts, fields) }
}
