//! Asking before acting: an action becomes a question that freezes what it is about.

mod grants;
mod keys;
mod ports;
mod two;

use super::{Effect, bulk, mute, say, send_action};
use crate::control::actions::{ActionSpec, Danger};
use crate::control::protocol::Action;
use crate::model::{BlockTarget, HostName, Port, Role, SessionId, VisitorId};
use crate::ui::state::dialog::{Ask, Dialog, Field, REASON, Subject, TARGET, TO, TYPED};
use crate::ui::state::live::Row;
use crate::ui::state::tabs::Tab;
use crate::ui::state::{Screen, State, Tone};
use crate::ui::text;
use crate::ui::words::{action, model, tr};
pub(super) use grants::{grant, ungrant};
pub(super) use keys::unapprove;
use ports::reserve;
pub(super) use ports::{assign, assign_next, of_lease, of_reservation};
pub(super) use two::{proposal, second};

/// Enters or leaves write mode. The mode begins when the daemon has agreed.
pub(super) fn write_mode(state: &mut State, on: bool, out: &mut Vec<Effect>) {
    if !state.is_live() {
        return say(state, Tone::Bad, tr!(state.lang(), ask.not_connected));
    }
    if on && state.role() < Role::Operator {
        return say(
            state,
            Tone::Bad,
            tr!(state.lang(), ask.role_looks, role = model::role(state.lang(), state.role())),
        );
    }
    if !on {
        if state.write_until.take().is_none() {
            return say(state, Tone::Info, tr!(state.lang(), ask.read_only_already));
        }
        say(state, Tone::Info, tr!(state.lang(), ask.read_only));
    }
    send_action(state, Action::WriteMode { on }, out);
}

/// Why an action cannot be asked for now.
pub(super) fn hindrance(state: &State, spec: &ActionSpec) -> Option<String> {
    let l = state.lang();
    let verb = action::name(l, spec);
    if !state.is_live() {
        Some(tr!(l, ask.verb_off, verb))
    } else if state.role() < state.role_for(spec) {
        let (needed, role) = (model::role(l, state.role_for(spec)), model::role(l, state.role()));
        Some(tr!(l, ask.verb_role, verb, needed, role))
    } else if !state.writable() {
        Some(tr!(l, ask.verb_read_only, key = state.key("write"), verb))
    } else {
        None
    }
}

/// An action's key: asks about what is selected.
pub(super) fn ask(state: &mut State, spec: &'static ActionSpec) {
    if let Some(why) = hindrance(state, spec) {
        return say(state, Tone::Bad, why);
    }
    match question(state, spec) {
        Ok(ask) => state.dialog = Some(Dialog::Ask(Box::new(second(state, ask)))),
        Err(why) => say(state, Tone::Info, why),
    }
}

fn question(state: &State, spec: &'static ActionSpec) -> Result<Ask, String> {
    if bulk::meant(state) && spec.id != "cut_visitor" {
        return bulk::question(state, spec);
    }
    let l = state.lang();
    let port = state.selected_port();
    let row = port.and_then(|p| state.row(p));
    match spec.id {
        "assign" => {
            let Some(port) = port else { return Err(tr!(l, ask.select_port).into()) };
            if let Some(row) = row {
                return Err(tr!(l, ask.leased_assign, port, host = row.host(), find = state.key("next-free")));
            }
            Ok(assign(state, spec, Some(port), ""))
        }
        "move" => row.map(|r| of_lease(state, spec, r)).ok_or_else(|| tr!(l, ask.no_lease).into()),
        "release" => match (row, port.and_then(|p| state.live.reservation(p))) {
            (Some(row), _) => Ok(of_lease(state, spec, row)),
            (None, Some(r)) => Ok(of_reservation(l, spec, r)),
            (None, None) => Err(tr!(l, ask.no_lease_or_reservation).into()),
        },
        "reserve" => {
            let port = port.ok_or_else(|| tr!(l, ask.select_free, find = state.key("next-free")))?;
            match row {
                Some(row) => Err(tr!(l, ask.leased_reserve, port, host = row.host(), find = state.key("next-free"))),
                None => Ok(reserve(state, spec, port, "", "")),
            }
        }
        "reconnect" if state.screen == Screen::Sessions => {
            let s = state.selected_session().filter(|s| s.team.is_some());
            let s = s.ok_or_else(|| tr!(l, ask.select_host_session))?;
            let host = s.name.parse().map_err(|e: crate::model::NameError| e.to_string())?;
            Ok(reconnect(state, spec, &host, Some(s.id)))
        }
        "reconnect" => {
            let row = row.ok_or_else(|| tr!(l, ask.no_tunnel))?;
            if row.view.session.is_none() {
                let state = model::state(l, row.view.state);
                return Err(tr!(l, ask.no_session_to_drop, host = row.host(), state));
            }
            Ok(Ask { seen: seen(row), ..reconnect(state, spec, row.host(), row.view.session) })
        }
        "revoke" if state.screen == Screen::Sessions => {
            let s = state.selected_session().ok_or_else(|| tr!(l, ask.no_session))?;
            let host = s.team.as_ref().and_then(|_| s.name.parse().ok()).map(BlockTarget::Host);
            let targets = host.into_iter().chain([BlockTarget::Key(s.fingerprint.clone())]).collect();
            Ok(revoke(state, spec, targets))
        }
        "revoke" => match (row, port) {
            (Some(row), _) => {
                let key = state.live.session_of(row).map(|s| BlockTarget::Key(s.fingerprint.clone()));
                let targets = [BlockTarget::Host(row.host().clone()), BlockTarget::Port(row.port())];
                Ok(Ask { seen: seen(row), ..revoke(state, spec, targets.into_iter().chain(key).collect()) })
            }
            (None, Some(port)) => Ok(revoke(state, spec, vec![BlockTarget::Port(port)])),
            (None, None) => Err(tr!(l, ask.nothing).into()),
        },
        "disconnect" => {
            let s = state.selected_session().filter(|_| state.screen == Screen::Sessions);
            Ok(disconnect(state, spec, s.ok_or_else(|| tr!(l, ask.select_session))?.id))
        }
        "logout" => {
            let s = state.selected_session().filter(|s| state.screen == Screen::Sessions && s.team.is_none());
            let name = s.ok_or_else(|| tr!(l, ask.select_operator))?.name.clone();
            two::log_out(state, spec, &name, None)
        }
        "restore" => {
            let blocked = row.and_then(|r| r.view.revoked.as_ref()).map(|r| r.target.clone());
            let by_port = port.map(BlockTarget::Port).filter(|t| block(state, t).is_some());
            let target = blocked.or(by_port).ok_or_else(|| tr!(l, ask.nothing_blocks))?;
            Ok(restore(state, spec, &target))
        }
        "cut_visitor" => {
            let shown = super::tabs::shown(state) && state.tabs.tab == Tab::Visitors;
            let v = state.selected_visitor().filter(|_| shown);
            let idle = row.filter(|r| r.view.visitors_now == 0);
            if let (None, Some(row)) = (v, idle) {
                return Err(tr!(l, ask.nobody_to_cut, port = row.port()));
            }
            let v = v.ok_or_else(|| tr!(l, ask.select_visitor, open = state.key("open"), next = state.key("right")))?;
            Ok(cut(state, spec, v.id))
        }
        "mute" | "unmute" => {
            let incident = state.selected_incident().filter(|_| state.screen == Screen::Triage);
            mute::question(
                state,
                spec,
                &incident.ok_or_else(|| tr!(l, ask.select_incident, triage = state.key("triage")))?.id,
            )
        }
        _ => keys::question(state, spec),
    }
}

/// A question from the palette, with its words.
pub(super) fn from_words(state: &State, spec: &'static ActionSpec, words: &[&str]) -> Result<Ask, String> {
    let l = state.lang();
    let usage = || tr!(l, ask.usage, verb = spec.verb, args = spec.args);
    let port = |w: &str| w.parse::<Port>().map_err(|e| e.to_string());
    let lease = |w: &str| {
        let p = port(w)?;
        state.row(p).ok_or_else(|| tr!(l, ask.no_lease_of_port, port = p))
    };
    let extra = |n: usize| if words.len() > n { Err(usage()) } else { Ok(()) };
    let Some(first) = words.first() else {
        if spec.id == "reload" {
            return Ok(plain(spec, Action::Reload, tr!(l, ask.reload), vec![tr!(l, ask.reload_fact).into()]));
        }
        if spec.id == "disconnect" {
            let s = state.selected_session().filter(|_| state.screen == Screen::Sessions).ok_or_else(usage)?;
            return Ok(disconnect(state, spec, s.id));
        }
        return question(state, spec);
    };
    match spec.id {
        "reconnect" => {
            extra(1)?;
            let host = first.parse().map_err(|e: crate::model::NameError| e.to_string())?;
            let of_host = |r: &&Row| *r.host() == host;
            let session = state.live.tunnels.values().filter(of_host).find_map(|r| r.view.session);
            Ok(reconnect(state, spec, &host, session))
        }
        "revoke" => {
            extra(1)?;
            Ok(revoke(state, spec, vec![BlockTarget::parse(first)?]))
        }
        "restore" => {
            extra(1)?;
            Ok(restore(state, spec, &BlockTarget::parse(first)?))
        }
        "assign" => {
            extra(2)?;
            let port = words.get(1).map(|w| port(w)).transpose()?;
            Ok(assign(state, spec, port, first))
        }
        "move" => {
            extra(2)?;
            let mut ask = of_lease(state, spec, lease(first)?);
            if let Some(field) = ask.fields.iter_mut().find(|f| f.label == TO) {
                field.input = words.get(1).copied().unwrap_or_default().into();
            }
            Ok(ask)
        }
        "release" => {
            extra(1)?;
            match state.live.reservation(port(first)?) {
                Some(r) => Ok(of_reservation(l, spec, r)),
                None => Ok(of_lease(state, spec, lease(first)?)),
            }
        }
        "reserve" => {
            let until = words.get(1).copied().unwrap_or_default();
            Ok(reserve(state, spec, port(first)?, until, &words.get(2..).unwrap_or_default().join(" ")))
        }
        "cut_visitor" => {
            extra(1)?;
            Ok(cut(state, spec, first.parse()?))
        }
        "disconnect" => {
            extra(1)?;
            Ok(disconnect(state, spec, first.parse()?))
        }
        "logout" => {
            let reason = words.get(1..).unwrap_or_default().join(" ");
            two::log_out(state, spec, first, Some(reason).filter(|r| !r.is_empty()))
        }
        "confirm" | "withdraw" => {
            extra(1)?;
            proposal(state, spec, first.parse()?)
        }
        "mute" | "unmute" => mute::from_words(state, spec, words),
        "grant" => grants::from_words(state, spec, words),
        "ungrant" => {
            extra(1)?;
            ungrant(state, spec, first.parse()?)
        }
        _ => keys::from_words(state, spec, words),
    }
}

fn seen(row: &Row) -> Option<(Port, Option<SessionId>, HostName)> {
    Some((row.port(), row.view.session, row.host().clone()))
}

pub(super) fn new(
    spec: &'static ActionSpec,
    subject: Subject,
    title: String,
    facts: Vec<String>,
    fields: Vec<Field>,
) -> Ask {
    Ask { spec, subject, seen: None, title, facts, fields, focus: 0, problem: None, dry: None, window: None }
}

pub(super) fn plain(spec: &'static ActionSpec, action: Action, title: &str, facts: Vec<String>) -> Ask {
    new(spec, Subject::Plain { action }, title.to_owned(), facts, vec![])
}

fn cut(state: &State, spec: &'static ActionSpec, visitor: VisitorId) -> Ask {
    let l = state.lang();
    let known = state.visitors.iter().flat_map(|(_, _, all)| all).find(|v| v.id == visitor);
    let facts = known.map_or_else(
        || vec![tr!(l, ask.cut_unknown).to_owned()],
        |v| {
            let (source, port) = (v.source, v.port);
            let bytes = text::bytes(v.bytes_to_host.saturating_add(v.bytes_to_visitor));
            let said = match &v.operator {
                Some(operator) => tr!(l, ask.cut_operator, operator, source, port, bytes),
                None => tr!(l, ask.cut_visitor, source, port, bytes),
            };
            let lost = (v.buffered > 0).then(|| text::bytes(v.buffered));
            vec![match lost {
                Some(bytes) => tr!(l, ask.cut_waits, said, bytes),
                None => said,
            }]
        },
    );
    plain(spec, Action::CutVisitor { visitor }, &tr!(l, ask.cut, visitor), facts)
}

fn disconnect(state: &State, spec: &'static ActionSpec, session: SessionId) -> Ask {
    let l = state.lang();
    let facts = state.live.sessions.get(&session).map_or_else(
        || vec![tr!(l, ask.disconnect_unknown).to_owned()],
        |s| {
            let (name, source) = (&s.name, s.source);
            let mut facts = vec![match s.team {
                Some(_) => tr!(l, ask.session_host, name, source),
                None => tr!(l, ask.session_operator, name, source),
            }];
            facts.push(tr!(l, ask.signed_in, key = s.fingerprint, client = s.client));
            facts.extend(blast(state, |r| r.view.session == Some(session)));
            if state.who.as_ref().is_some_and(|w| w.session == Some(session)) {
                facts.push(tr!(l, ask.own_session).to_owned());
            } else if s.team.is_some() {
                facts.push(tr!(l, ask.dials_again).to_owned());
            }
            facts
        },
    );
    plain(spec, Action::Disconnect { session }, &tr!(l, ask.disconnect, session), facts)
}

fn reconnect(state: &State, spec: &'static ActionSpec, host: &HostName, session: Option<SessionId>) -> Ask {
    let mut facts = blast(state, |r| r.host() == host);
    facts.push(tr!(state.lang(), ask.reconnect_fact).into());
    let subject = Subject::Reconnect { host: host.clone(), session };
    new(spec, subject, tr!(state.lang(), ask.reconnect, host), facts, vec![])
}

pub(super) fn revoke(state: &State, spec: &'static ActionSpec, targets: Vec<BlockTarget>) -> Ask {
    let mut fields = vec![];
    if targets.len() > 1 {
        fields.push(Field::choice(TARGET, targets.iter().map(|t| model::target(state.lang(), t)).collect()));
    }
    if spec.danger == Danger::TypeName {
        fields.push(Field::text(TYPED));
    }
    fields.push(Field::text(REASON));
    let focus = fields.iter().position(|f| f.label == TYPED).unwrap_or(0);
    let l = state.lang();
    let title = tr!(l, ask.revoke, target = targets.first().map(|t| model::target(l, t)).unwrap_or_default());
    let mut ask = new(spec, Subject::Revoke { targets }, title, vec![], fields);
    ask.focus = focus;
    refresh(state, &mut ask);
    ask
}

/// The facts of a revoke follow the choice of its target.
pub(super) fn refresh(state: &State, ask: &mut Ask) {
    if matches!(ask.subject, Subject::Bulk { .. }) {
        return bulk::refresh(state.lang(), ask);
    }
    let Some(target) = ask.target().cloned() else { return };
    let l = state.lang();
    // One letter of it, and Tab: nobody means the wrong name by that, and at night every key counts.
    if let Some(typed) = ask.fields.iter_mut().find(|f| f.label == TYPED) {
        typed.known = vec![target.value().to_owned()];
    }
    ask.title = tr!(l, ask.revoke, target = model::target(l, &target));
    ask.facts = match &target {
        BlockTarget::Host(h) => blast(state, |r| r.host() == h),
        BlockTarget::Port(p) => blast(state, |r| r.port() == *p),
        BlockTarget::Key(k) => blast(state, |r| state.live.session_of(r).is_some_and(|s| s.fingerprint == *k)),
        BlockTarget::Team(t) => blast(state, |r| r.team() == t),
        // What they hold, the daemon knows.
        BlockTarget::Operator(_) | BlockTarget::Serial(_) | BlockTarget::Id(_) | BlockTarget::Ca(_) => vec![],
    };
    ask.facts.push(tr!(l, ask.revoke_fact).into());
    if state.needs_second(ask.spec, Some(target.kind())) {
        ask.facts.push(tr!(l, ask.second).into());
    }
    if let Some((port, _, host)) = &ask.seen
        && matches!(target, BlockTarget::Port(_))
    {
        ask.facts.push(tr!(l, ask.revoke_port_fact, host, port));
    }
}

pub(super) fn restore(state: &State, spec: &'static ActionSpec, target: &BlockTarget) -> Ask {
    let l = state.lang();
    let fact = match block(state, target) {
        Some(r) => {
            let by = &r.by;
            match &r.reason {
                Some(reason) => tr!(l, ask.blocked_why, by, reason),
                None => tr!(l, ask.blocked_by, by),
            }
        }
        None => tr!(l, ask.no_block).into(),
    };
    new(
        spec,
        Subject::Restore { target: target.clone() },
        tr!(l, ask.restore, target = model::target(l, target)),
        vec![fact],
        vec![],
    )
}

fn block<'a>(state: &'a State, target: &BlockTarget) -> Option<&'a crate::model::RevocationView> {
    state.live.daemon.as_ref()?.revocations.iter().find(|r| r.target == *target)
}

/// What goes down with these rows: tunnels, visitors, bytes, and what else their hosts hold.
pub(super) fn blast(state: &State, hit: impl Fn(&Row) -> bool) -> Vec<String> {
    let rows: Vec<&Row> = state.live.tunnels.values().filter(|r| hit(r)).collect();
    let live: Vec<&&Row> = rows.iter().filter(|r| r.view.state.is_live()).collect();
    let visitors: u64 = live.iter().map(|r| u64::from(r.view.visitors_now)).sum();
    let bytes: u64 = live.iter().map(|r| r.bytes()).sum();
    let l = state.lang();
    let (tunnels, visitors) = (tr!(l, ask.live_tunnels, n = live.len()), tr!(l, ask.visitors, n = visitors));
    let mut facts = vec![tr!(l, ask.cuts, tunnels, visitors, bytes = text::bytes(bytes))];
    let ports: Vec<String> = rows
        .iter()
        .map(|r| format!("{}{}", r.port(), r.view.lease.service.as_ref().map(|s| format!(" {s}")).unwrap_or_default()))
        .collect();
    if !ports.is_empty() {
        facts.push(tr!(l, ask.ports, ports = ports.join(", ")));
    }
    if let [one] = rows.as_slice() {
        let others: Vec<String> = state.live.others_of(one.host(), one.port()).map(|r| r.port().to_string()).collect();
        if !others.is_empty() {
            facts.push(tr!(l, ask.other_leases, host = one.host(), ports = others.join(", ")));
        }
    }
    facts
}

/// The answer is yes: does it, if it is still about what was asked.
pub(super) fn confirmed(state: &mut State, out: &mut Vec<Effect>) {
    let l = state.lang();
    let Some(Dialog::Ask(ask)) = &mut state.dialog else { return };
    if matches!(ask.subject, Subject::Bulk { .. }) {
        return confirmed_all(state, out);
    }
    let action = match ask.action(l) {
        Ok(action) => action,
        Err(why) => {
            ask.problem = Some(why);
            return;
        }
    };
    let (spec, seen) = (ask.spec, ask.seen.clone());
    state.dialog = None;
    if let Some(why) = hindrance(state, spec) {
        return say(state, Tone::Bad, why);
    }
    if let Some((port, session, host)) = seen {
        let now = state.row(port).map(|r| (r.view.session, r.host().clone()));
        if now.as_ref() != Some(&(session, host)) {
            let what = match now {
                None => tr!(l, ask.lease_gone).to_owned(),
                Some((None, host)) => tr!(l, ask.session_lost, host),
                Some((Some(session), host)) => tr!(l, ask.other_session, host, session),
            };
            return say(state, Tone::Bad, tr!(l, ask.changed, port, what));
        }
    }
    send_action(state, action, out);
}

/// The same for all that is marked.
fn confirmed_all(state: &mut State, out: &mut Vec<Effect>) {
    let l = state.lang();
    let Some(Dialog::Ask(ask)) = &mut state.dialog else { return };
    let acts = match ask.acts(l) {
        Ok(acts) => acts,
        Err(why) => {
            ask.problem = Some(why);
            return;
        }
    };
    let ask = ask.clone();
    state.dialog = None;
    match hindrance(state, ask.spec) {
        Some(why) => say(state, Tone::Bad, why),
        None if state.batch.is_some() => say(state, Tone::Bad, tr!(l, ask.busy)),
        None => bulk::confirmed(state, &ask, acts, out),
    }
}

#[cfg(test)]
mod tests;
