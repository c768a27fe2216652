//! Asking before acting: an action becomes a question that freezes what it is about.

use super::{Effect, bulk, mute, say, send_action};
use crate::control::actions::{ActionSpec, Danger};
use crate::control::protocol::Action;
use crate::model::{BlockTarget, HostName, Port, Role, SessionId, VisitorId};
use crate::ui::state::dialog::{Ask, Dialog, Field, HOST, REASON, SERVICE, Subject, TARGET, TO, TYPED, UNTIL};
use crate::ui::state::live::Row;
use crate::ui::state::tabs::Tab;
use crate::ui::state::{Screen, State, Tone};
use crate::ui::text;

/// Enters or leaves write mode. The mode begins when the daemon has agreed.
pub(super) fn write_mode(state: &mut State, on: bool, out: &mut Vec<Effect>) {
    if !state.is_live() {
        return say(state, Tone::Bad, "not connected to the daemon: nothing can be done until it is back");
    }
    if on && state.role() < Role::Operator {
        return say(state, Tone::Bad, format!("your role is {}: you can look, not act", state.role()));
    }
    if !on {
        if state.write_until.take().is_none() {
            return say(state, Tone::Info, "read-only already");
        }
        say(state, Tone::Info, "read-only");
    }
    send_action(state, Action::WriteMode { on }, out);
}

/// Why an action cannot be asked for now.
pub(super) fn hindrance(state: &State, spec: &ActionSpec) -> Option<String> {
    if !state.is_live() {
        Some(format!("not connected to the daemon: {} is off until it is back", spec.verb))
    } else if state.role() < spec.role {
        Some(format!("{} needs the role {}; yours is {}", spec.verb, spec.role, state.role()))
    } else if !state.writable() {
        let key = state.own.set.keys.say("write");
        Some(format!("read-only: press {key} (or :write) for ten minutes of write mode, then {} again", spec.verb))
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
        Ok(ask) => state.dialog = Some(Dialog::Ask(Box::new(ask))),
        Err(why) => say(state, Tone::Info, why),
    }
}

fn question(state: &State, spec: &'static ActionSpec) -> Result<Ask, String> {
    if bulk::meant(state) && spec.id != "cut_visitor" {
        return bulk::question(state, spec);
    }
    let port = state.selected_port();
    let row = port.and_then(|p| state.row(p));
    match spec.id {
        "assign" => {
            let Some(port) = port else { return Err("select a port first".into()) };
            if let Some(row) = row {
                return Err(format!(
                    "{port} is leased to {}: move or release it first, f finds a free one",
                    row.host()
                ));
            }
            Ok(assign(state, spec, Some(port), ""))
        }
        "move" => row.map(|r| of_lease(state, spec, r)).ok_or_else(|| "no lease is selected".into()),
        "release" => match (row, port.and_then(|p| state.live.reservation(p))) {
            (Some(row), _) => Ok(of_lease(state, spec, row)),
            (None, Some(r)) => Ok(of_reservation(spec, r)),
            (None, None) => Err("no lease and no reservation is selected".into()),
        },
        "reserve" => {
            let port = port.ok_or("select a free port first; f finds one")?;
            match row {
                Some(row) => Err(format!("{port} is leased to {}: f finds a free one", row.host())),
                None => Ok(reserve(state, spec, port, "", "")),
            }
        }
        "reconnect" if state.screen == Screen::Sessions => {
            let s = state.selected_session().filter(|s| s.team.is_some());
            let s = s.ok_or("select a host's session")?;
            let host = s.name.parse().map_err(|e: crate::model::NameError| e.to_string())?;
            Ok(reconnect(state, spec, &host, Some(s.id)))
        }
        "reconnect" => {
            let row = row.ok_or("no tunnel is selected")?;
            if row.view.session.is_none() {
                return Err(format!("{} has no session to drop: it is {}", row.host(), row.view.state));
            }
            Ok(Ask { seen: seen(row), ..reconnect(state, spec, row.host(), row.view.session) })
        }
        "revoke" if state.screen == Screen::Sessions => {
            let s = state.selected_session().ok_or("no session is selected")?;
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
            (None, None) => Err("nothing is selected".into()),
        },
        "disconnect" => {
            let s = state.selected_session().filter(|_| state.screen == Screen::Sessions);
            Ok(disconnect(state, spec, s.ok_or("select a session first")?.id))
        }
        "restore" => {
            let blocked = row.and_then(|r| r.view.revoked.as_ref()).map(|r| r.target.clone());
            let by_port = port.map(BlockTarget::Port).filter(|t| block(state, t).is_some());
            let target = blocked
                .or(by_port)
                .ok_or("nothing blocks this; :restore HOST|PORT|FINGERPRINT lifts a block by name")?;
            Ok(restore(state, spec, &target))
        }
        "cut_visitor" => {
            let shown = super::tabs::shown(state) && state.tabs.tab == Tab::Visitors;
            let v = state.selected_visitor().filter(|_| shown);
            let v = v.ok_or("select a visitor first: Enter opens the detail, l goes to its visitors")?;
            Ok(cut(state, spec, v.id))
        }
        "mute" | "unmute" => {
            let incident = state.selected_incident().filter(|_| state.screen == Screen::Triage);
            mute::question(state, spec, &incident.ok_or("select an incident first (1)")?.id)
        }
        _ => Err(format!(":{} {} in the palette", spec.verb, spec.args)),
    }
}

/// A question from the palette, with its words.
pub(super) fn from_words(state: &State, spec: &'static ActionSpec, words: &[&str]) -> Result<Ask, String> {
    let usage = || format!("usage: :{} {}", spec.verb, spec.args);
    let port = |w: &str| w.parse::<Port>().map_err(|e| e.to_string());
    let lease = |w: &str| {
        let p = port(w)?;
        state.row(p).ok_or_else(|| format!("no lease has the port {p}"))
    };
    let extra = |n: usize| if words.len() > n { Err(usage()) } else { Ok(()) };
    let Some(first) = words.first() else {
        if spec.id == "reload" {
            return Ok(plain(
                spec,
                Action::Reload,
                "read the configuration anew",
                vec!["tunnels that the new configuration does not touch stay up".into()],
            ));
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
                Some(r) => Ok(of_reservation(spec, r)),
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
        "mute" | "unmute" => mute::from_words(state, spec, words),
        _ => Err(usage()),
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
    let known = state.visitors.iter().flat_map(|(_, _, all)| all).find(|v| v.id == visitor);
    let facts = known.map_or_else(
        || vec!["this visitor is not among those known here; the daemon decides".to_owned()],
        |v| {
            let who = v.operator.as_deref().map(|o| format!("operator {o} ")).unwrap_or_default();
            let waits = if v.buffered > 0 {
                format!(", {} that wait for it are lost", text::bytes(v.buffered))
            } else {
                String::new()
            };
            let moved = v.bytes_to_host.saturating_add(v.bytes_to_visitor);
            vec![format!("{who}{} on port {}, {} carried so far{waits}", v.source, v.port, text::bytes(moved))]
        },
    );
    plain(spec, Action::CutVisitor { visitor }, &format!("cut visitor {visitor}"), facts)
}

fn disconnect(state: &State, spec: &'static ActionSpec, session: SessionId) -> Ask {
    let facts = state.live.sessions.get(&session).map_or_else(
        || vec!["this session is not among those known".to_owned()],
        |s| {
            let what = if s.team.is_some() { "host" } else { "operator" };
            let mut facts = vec![format!("{what} {} from {}", s.name, s.source)];
            facts.push(format!("signed in with {} by {}", s.fingerprint, s.client));
            facts.extend(blast(state, |r| r.view.session == Some(session)));
            if state.who.as_ref().is_some_and(|w| w.session == Some(session)) {
                facts.push("this is your own session: this console ends with it".to_owned());
            } else if s.team.is_some() {
                facts.push("its supervisor will dial again; revoke keeps it out".to_owned());
            }
            facts
        },
    );
    plain(spec, Action::Disconnect { session }, &format!("close session {session}"), facts)
}

fn reconnect(state: &State, spec: &'static ActionSpec, host: &HostName, session: Option<SessionId>) -> Ask {
    let mut facts = blast(state, |r| r.host() == host);
    facts.push("its session is dropped; its supervisor must dial again, which is watched".into());
    let subject = Subject::Reconnect { host: host.clone(), session };
    new(spec, subject, format!("reconnect {host}"), facts, vec![])
}

pub(super) fn revoke(state: &State, spec: &'static ActionSpec, targets: Vec<BlockTarget>) -> Ask {
    let mut fields = vec![];
    if targets.len() > 1 {
        fields.push(Field::choice(TARGET, targets.iter().map(ToString::to_string).collect()));
    }
    if spec.danger == Danger::TypeName {
        fields.push(Field::text(TYPED));
    }
    fields.push(Field::text(REASON));
    let focus = fields.iter().position(|f| f.label == TYPED).unwrap_or(0);
    let title = format!("revoke {}", targets.first().map(ToString::to_string).unwrap_or_default());
    let mut ask = new(spec, Subject::Revoke { targets }, title, vec![], fields);
    ask.focus = focus;
    refresh(state, &mut ask);
    ask
}

/// The facts of a revoke follow the choice of its target.
pub(super) fn refresh(state: &State, ask: &mut Ask) {
    if matches!(ask.subject, Subject::Bulk { .. }) {
        return bulk::refresh(ask);
    }
    let Some(target) = ask.target().cloned() else { return };
    ask.title = format!("revoke {target}");
    ask.facts = match &target {
        BlockTarget::Host(h) => blast(state, |r| r.host() == h),
        BlockTarget::Port(p) => blast(state, |r| r.port() == *p),
        BlockTarget::Key(k) => blast(state, |r| state.live.session_of(r).is_some_and(|s| s.fingerprint == *k)),
        BlockTarget::Team(t) => blast(state, |r| r.team() == t),
        // What they hold, the daemon knows.
        BlockTarget::Operator(_) | BlockTarget::Serial(_) | BlockTarget::Id(_) | BlockTarget::Ca(_) => vec![],
    };
    ask.facts.push("blocked until restored, across restarts of the bastion".into());
    if let Some((port, _, host)) = &ask.seen
        && matches!(target, BlockTarget::Port(_))
    {
        ask.facts.push(format!("{host} keeps its other tunnels; nobody can have {port}"));
    }
}

pub(super) fn restore(state: &State, spec: &'static ActionSpec, target: &BlockTarget) -> Ask {
    let fact = match block(state, target) {
        Some(r) => {
            let why = r.reason.as_deref().map(|w| format!(": {w}")).unwrap_or_default();
            format!("blocked by {}{why}", r.by)
        }
        None => "no such block is known here; the daemon decides".into(),
    };
    new(spec, Subject::Restore { target: target.clone() }, format!("restore {target}"), vec![fact], vec![])
}

fn block<'a>(state: &'a State, target: &BlockTarget) -> Option<&'a crate::model::RevocationView> {
    state.live.daemon.as_ref()?.revocations.iter().find(|r| r.target == *target)
}

pub(super) fn assign(state: &State, spec: &'static ActionSpec, port: Option<Port>, host: &str) -> Ask {
    let place = port.map_or_else(|| "the next free port of its team".to_owned(), |p| format!("port {p}"));
    let team = port.and_then(|p| state.live.team_of(p));
    let mut facts = team.map(|t| vec![format!("range of team {}", t.name)]).unwrap_or_default();
    facts.extend(port.and_then(|p| clash(state, p)));
    // A host of another team would be refused.
    let hosts = team.map_or_else(|| state.live.host_names(), |t| state.live.hosts_of(&t.name));
    let fields = vec![
        Field::text(HOST).with(host).knowing(hosts),
        Field::text(SERVICE).knowing(["ssh", "http", "https"].map(str::to_owned).to_vec()),
        Field::text(REASON),
    ];
    new(spec, Subject::Assign { port }, format!("assign {place}"), facts, fields)
}

/// Keeps a free port free.
fn reserve(state: &State, spec: &'static ActionSpec, port: Port, until: &str, reason: &str) -> Ask {
    let mut facts: Vec<String> =
        state.live.team_of(port).map(|t| format!("range of team {}", t.name)).into_iter().collect();
    if let Some(r) = state.live.reservation(port) {
        facts.push(format!("reserved by {}: {}; this takes its place", r.by, r.reason));
    }
    facts.push("nobody gets it until then; the reservation ends by itself, and release ends it before".to_owned());
    let fields = vec![Field::text(UNTIL).with(until), Field::text(REASON).with(reason)];
    let ask = new(spec, Subject::Reserve { port }, format!("reserve {port}"), facts, fields);
    Ask { window: Some(state.window()), ..ask }
}

pub(super) fn of_reservation(spec: &'static ActionSpec, r: &crate::model::ReservationView) -> Ask {
    let facts = vec![format!("reserved by {}: {}", r.by, r.reason), "anybody of its team may have it then".to_owned()];
    let subject = Subject::Release { port: r.port };
    new(spec, subject, format!("end the reservation of {}", r.port), facts, vec![Field::text(REASON)])
}

/// Who else wants a port.
fn clash(state: &State, port: Port) -> Option<String> {
    let (last, count) = state.live.clash(port)?;
    let times = if count == 1 { "once".to_owned() } else { format!("{count} times") };
    Some(format!(
        "{} asked for it {times} and was refused",
        crate::ui::sentence::actor(state.lang(), &last.event.actor)
    ))
}

pub(super) fn of_lease(state: &State, spec: &'static ActionSpec, row: &Row) -> Ask {
    let port = row.port();
    let mut facts = vec![format!("{} lease of {} ({})", row.view.lease.kind, row.host(), row.team())];
    facts.extend(blast(state, |r| r.port() == port));
    facts.extend(clash(state, port));
    let (subject, title, fields) = if spec.id == "move" {
        let to = Field::text(TO);
        (Subject::Move { from: port }, format!("move {port}"), vec![to, Field::text(REASON)])
    } else {
        (Subject::Release { port }, format!("release {port}"), vec![Field::text(REASON)])
    };
    Ask { seen: seen(row), ..new(spec, subject, title, facts, fields) }
}

/// What goes down with these rows: tunnels, visitors, bytes, and what else their hosts hold.
pub(super) fn blast(state: &State, hit: impl Fn(&Row) -> bool) -> Vec<String> {
    let rows: Vec<&Row> = state.live.tunnels.values().filter(|r| hit(r)).collect();
    let live: Vec<&&Row> = rows.iter().filter(|r| r.view.state.is_live()).collect();
    let visitors: u64 = live.iter().map(|r| u64::from(r.view.visitors_now)).sum();
    let bytes: u64 = live.iter().map(|r| r.bytes()).sum();
    let plural = |n: usize, word: &str| format!("{n} {word}{}", if n == 1 { "" } else { "s" });
    let mut facts = vec![format!(
        "cuts {} and {}, {} carried so far",
        plural(live.len(), "live tunnel"),
        plural(usize::try_from(visitors).unwrap_or(usize::MAX), "visitor"),
        text::bytes(bytes)
    )];
    let ports: Vec<String> = rows
        .iter()
        .map(|r| format!("{}{}", r.port(), r.view.lease.service.as_ref().map(|s| format!(" {s}")).unwrap_or_default()))
        .collect();
    if !ports.is_empty() {
        facts.push(format!("ports: {}", ports.join(", ")));
    }
    if let [one] = rows.as_slice() {
        let others: Vec<String> = state.live.others_of(one.host(), one.port()).map(|r| r.port().to_string()).collect();
        if !others.is_empty() {
            facts.push(format!("other leases of {}: {}", one.host(), others.join(", ")));
        }
    }
    facts
}

/// The answer is yes: does it, if it is still about what was asked.
pub(super) fn confirmed(state: &mut State, out: &mut Vec<Effect>) {
    let Some(Dialog::Ask(ask)) = &mut state.dialog else { return };
    if matches!(ask.subject, Subject::Bulk { .. }) {
        return confirmed_all(state, out);
    }
    let action = match ask.action() {
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
                None => "its lease is gone".to_owned(),
                Some((None, h)) => format!("{h} has lost its session"),
                Some((Some(s), h)) => format!("it is {h} in session {s} now"),
            };
            return say(state, Tone::Bad, format!("nothing done: {port} has changed since you were asked ({what})"));
        }
    }
    send_action(state, action, out);
}

/// The same for all that is marked.
fn confirmed_all(state: &mut State, out: &mut Vec<Effect>) {
    let Some(Dialog::Ask(ask)) = &mut state.dialog else { return };
    let acts = match ask.acts() {
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
        None if state.batch.is_some() => say(state, Tone::Bad, "nothing done: the last one is not over yet"),
        None => bulk::confirmed(state, &ask, acts, out),
    }
}

#[cfg(test)]
mod tests;
