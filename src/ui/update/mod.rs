//! What an event does to the state, and what it asks of the world. Pure: no I/O, no clock.

mod act;
mod bulk;
mod changes;
mod clipboard;
mod export;
mod idle;
mod journal;
mod link;
mod mouse;
mod mute;
mod palette;
mod rehearse;
mod search;
mod settings;
mod tabs;
mod themes;
mod typing;
mod undo;
mod views;

use super::input::{Key, Typed};
use super::keys::{self, Cmd};
use super::sentence;
use super::settings::file::Edit;
use super::state::dialog::{Dialog, Prompt};
use super::state::grid::{self, PortKind, Way};
use super::state::nav::Step;
use super::state::spots::Spot;
use super::state::tabs::Tab;
use super::state::{Message, Pending, Screen, State, Tone, Zone};
use super::words::tr;
use crate::audit::AuditQuery;
use crate::control::protocol::{Action, Request};
use crate::model::Time;
use chrono::TimeDelta;

pub(crate) use bulk::can as in_bulk;
pub(crate) use export::exported;
pub(crate) use link::link;
pub(crate) use palette::candidates;
pub(crate) use settings::{at as problem, loaded, saved, take_mouse, themes};

/// What the state asks of the world.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Effect {
    /// Send to the daemon; the reply comes back with this number.
    Send(u64, Request),
    /// Put into the clipboard of the terminal.
    Copy(String),
    /// Write a file that is not there yet.
    Export { name: String, text: String, rows: usize },
    /// Change a value in the settings' file.
    Save(Edit),
    /// Tell it to whoever looks elsewhere.
    Tell(String),
    /// Take the mouse, or leave it to the terminal.
    Mouse(bool),
    /// Draw everything anew.
    Redraw,
    /// Leave, for this reason.
    Leave(String),
    /// Leave.
    Quit,
}

/// Older events fetched at a time.
const OLDER: usize = 500;
/// How long a message stands at least that answers no key.
const UNASKED: TimeDelta = TimeDelta::seconds(5);
/// Messages kept for `:messages`.
const SAID: usize = 100;
/// How long the list of a tunnel's visitors is good enough.
const VISITORS_FRESH_MS: i64 = 2_000;

/// Something was typed.
pub(crate) fn typed(state: &mut State, typed: Typed) -> Vec<Effect> {
    let mut out = vec![];
    if idle::woken(state, &mut out) {
        return out;
    }
    state.keyed = true;
    match typed {
        Typed::Mouse(m) => mouse::mouse(state, m, &mut out),
        Typed::Paste(text) => typing::paste(state, &text),
        Typed::Key(k) => {
            let g = std::mem::take(&mut state.g_typed);
            let cmd = state.own.set.keys.find(k, state.screen);
            // Going back puts it away by itself, and does nothing else then.
            if cmd != Some(Cmd::Back) && state.message_until.take_if(|t| *t <= state.now).is_some() {
                state.message = None;
            }
            if state.prompt.is_some() {
                typing::prompt(state, k, &mut out);
            } else if state.dialog.is_some() {
                typing::dialog(state, k, &mut out);
            } else if let Some(cmd) = cmd {
                command(state, if cmd == Cmd::G && g { Cmd::Top } else { cmd }, &mut out);
            }
        }
    }
    changes::ask(state, &mut out);
    journal::attend(state, &mut out);
    rehearse::attend(state, &mut out);
    state.settle();
    state.keyed = false;
    out
}

/// The terminal has another size.
pub(crate) fn resize(state: &mut State, size: (u16, u16)) {
    state.size = super::paint::clamp(size);
    state.resort();
}

/// A frame was drawn: what is scrolled cannot be scrolled past this line, and going back begins there.
pub(crate) fn drawn(state: &mut State, max: usize, spots: Vec<Spot>) {
    state.spots = spots;
    state.detail_scroll = state.detail_scroll.min(max);
    if let Some(scroll) = state.dialog.as_mut().and_then(Dialog::scroll) {
        *scroll = (*scroll).min(max);
    }
}

/// Time has passed.
pub(crate) fn tick(state: &mut State, now: Time) -> Vec<Effect> {
    let mut out = vec![];
    state.now = now;
    if state.visitors_due.take_if(|t| *t <= now).is_some() {
        visitors(state, &mut out);
    }
    if state.screen == Screen::Changes && state.changes.leaves().is_some_and(|t| t <= now) {
        state.resort();
    }
    if state.journal.chain_due.take_if(|t| *t <= now).is_some() {
        journal::chain(state, &mut out);
    }
    if state.interrupt_until.is_some_and(|t| t <= now) {
        state.interrupt_until = None;
        state.message = None;
    }
    if state.write_until.is_some_and(|t| t <= now) {
        state.write_until = None;
        state.dialog = None;
        say(state, Tone::Info, tr!(state.lang(), ask.write_ended, write = state.key("write")));
        send_action(state, Action::WriteMode { on: false }, &mut out);
    }
    idle::tick(state, now, &mut out);
    out
}

/// What came of an act: it stays until something else is said, or somebody puts it away.
fn report(state: &mut State, tone: Tone, text: impl Into<String>) {
    say(state, tone, text);
    state.message_until = None;
}

/// What a key is answered with goes with the next key; what nobody asked for stands for a while first.
fn say(state: &mut State, tone: Tone, text: impl Into<String>) {
    let stands = if state.keyed { TimeDelta::zero() } else { UNASKED };
    state.message_until = Some(state.now + stands);
    let message = Message { tone, text: text.into() };
    if state.said.len() >= SAID {
        state.said.pop_front();
    }
    state.said.push_back((state.now, message.clone()));
    state.message = Some(message);
}

fn send(state: &mut State, request: Request, pending: Pending, out: &mut Vec<Effect>) {
    let id = state.next_request;
    state.next_request += 1;
    state.pending.insert(id, pending);
    out.push(Effect::Send(id, request));
}

fn send_action(state: &mut State, action: Action, out: &mut Vec<Effect>) {
    if state.is_live() {
        let before = undo::before(state, &action);
        state.acts.begin(&action, before);
        let pending = Pending::Action { action: action.clone(), asked: state.now };
        send(state, Request::Act(action), pending, out);
    }
}

fn go(state: &mut State, screen: Screen) {
    state.trail.clear();
    if screen == Screen::Changes {
        state.changes.begin(None);
    }
    show(state, screen);
}

/// Another screen, and the way back is kept.
fn show(state: &mut State, screen: Screen) {
    state.screen = screen;
    state.detail = false;
    state.detail_scroll = 0;
    state.resort();
}

fn command(state: &mut State, cmd: Cmd, out: &mut Vec<Effect>) {
    let page = if state.screen == Screen::Ports { state.grid_height() } else { state.list_height() };
    match cmd {
        Cmd::Go(screen) => go(state, screen),
        Cmd::Down => step(state, Step::Down(1), out),
        Cmd::Up => step(state, Step::Up(1), out),
        Cmd::HalfDown => step(state, Step::Down((page / 2).max(1)), out),
        Cmd::HalfUp => step(state, Step::Up((page / 2).max(1)), out),
        Cmd::PageDown => step(state, Step::Down(page), out),
        Cmd::PageUp => step(state, Step::Up(page), out),
        Cmd::Top => step(state, Step::Top, out),
        Cmd::Bottom => step(state, Step::Bottom, out),
        Cmd::G => state.g_typed = true,
        Cmd::Left if state.screen == Screen::Ports => port_step(state, Way::Left),
        Cmd::Right if state.screen == Screen::Ports => port_step(state, Way::Right),
        Cmd::Left | Cmd::Right | Cmd::TabBack | Cmd::TabOn => {
            if tabs::shown(state) {
                let tab = state.tabs.tab.beside(matches!(cmd, Cmd::Right | Cmd::TabOn));
                tabs::show(state, tab, out);
            }
        }
        Cmd::Open => {
            open(state);
            tabs::fill(state, out);
        }
        Cmd::Pane => {
            pane(state);
            tabs::fill(state, out);
        }
        Cmd::Back => {
            back(state);
            tabs::fill(state, out);
        }
        Cmd::Filter if state.screen == Screen::Ports => {
            say(state, Tone::Info, tr!(state.lang(), ports.no_filter, tunnels = state.key("tunnels")));
        }
        Cmd::Filter => {
            let before = state.filter().map(|f| f.text.clone()).unwrap_or_default();
            state.prompt = Some(Prompt::Filter { input: before.clone().into(), before });
        }
        Cmd::Palette => {
            state.pick = 0;
            state.prompt = Some(Prompt::Command { input: "".into() });
        }
        Cmd::Next => search::search(state, true),
        Cmd::Previous => search::search(state, false),
        Cmd::Sort if state.screen == Screen::Sessions => {
            state.session_sort.0 = state.session_sort.0.next();
            state.resort();
            let by = state.session_sort.0.said(state.lang());
            say(state, Tone::Info, tr!(state.lang(), sort.sorted, by, reverse = state.key("reverse")));
        }
        Cmd::Reverse if state.screen == Screen::Sessions => {
            state.session_sort.1 = !state.session_sort.1;
            state.resort();
        }
        Cmd::Sort => {
            state.sort.0 = state.sort.0.next();
            state.resort();
            let by = state.sort.0.said(state.lang());
            say(state, Tone::Info, tr!(state.lang(), sort.sorted, by, reverse = state.key("reverse")));
        }
        Cmd::Reverse => {
            state.sort.1 = !state.sort.1;
            state.resort();
        }
        Cmd::Zone => {
            state.zone = match state.zone {
                Zone::Local => Zone::Utc,
                Zone::Utc => Zone::Relative,
                Zone::Relative => Zone::Local,
            }
        }
        Cmd::CopyValue => clipboard::copy(state, clipboard::value(state), out),
        Cmd::CopyCommand => clipboard::copy(state, clipboard::shell_command(state), out),
        Cmd::Write => act::write_mode(state, !state.writable(), out),
        Cmd::Help => help(state),
        Cmd::Log => state.dialog = Some(Dialog::Log { scroll: 0 }),
        Cmd::Undo => undo::undo(state, None),
        Cmd::Export => export::export(state, None, out),
        Cmd::Quit if state.detail => {
            back(state);
            tabs::fill(state, out);
        }
        Cmd::Quit => out.push(Effect::Quit),
        Cmd::Interrupt if state.interrupt_until.is_some_and(|t| t > state.now) => out.push(Effect::Quit),
        Cmd::Interrupt => {
            state.interrupt_until = Some(state.now + TimeDelta::seconds(2));
            say(state, Tone::Info, tr!(state.lang(), say.interrupt, quit = state.key("quit")));
        }
        Cmd::Redraw => out.push(Effect::Redraw),
        Cmd::Pause => follow(state, !state.follow),
        Cmd::DayBack => journal::day(state, false),
        Cmd::DayOn => journal::day(state, true),
        Cmd::Kind => journal::kind(state),
        Cmd::Failures => journal::failures(state),
        Cmd::NextFree => next_free(state),
        Cmd::Mark => bulk::mark(state),
        Cmd::MarkAll => bulk::mark_all(state),
        Cmd::Changes => changes::open(state),
        Cmd::Longer | Cmd::Shorter => {
            state.changes.reach(cmd == Cmd::Longer);
            state.resort();
        }
        Cmd::Act(spec) => act::ask(state, spec),
        Cmd::Elsewhere(spec) if bulk::meant(state) => act::ask(state, spec),
        // Which port is the daemon's to say, so no screen of ports is needed for it.
        Cmd::Elsewhere(spec) if spec.id == "assign" => act::assign_next(state, spec),
        Cmd::Elsewhere(spec) => {
            let place = Screen::ALL.into_iter().find(|s| keys::offered(spec, *s));
            let (l, verb, args) = (state.lang(), spec.verb, spec.args);
            let said = match place {
                Some(s) => tr!(l, ask.elsewhere, verb, args, screen = s.name(l), key = state.key(s.word())),
                None => tr!(l, ask.elsewhere_palette, verb, args),
            };
            say(state, Tone::Info, said);
        }
    }
}

/// Help, with nothing looked for in it yet.
fn help(state: &mut State) {
    state.help = Default::default();
    state.dialog = Some(Dialog::Help { scroll: 0 });
}

fn step(state: &mut State, step: Step, out: &mut Vec<Effect>) {
    if state.detail && matches!(state.screen, Screen::Tunnels | Screen::Health) {
        return tabs::step(state, step, out);
    }
    let height = state.list_height();
    match state.screen {
        Screen::Triage => state.triage.go(step, state.incident_rows.len()),
        Screen::Tunnels => state.tunnels.go(step, &state.tunnel_rows, height),
        Screen::Health => state.health.go(step, &state.health_rows, height),
        Screen::Sessions => state.sessions.go(step, &state.session_rows, height),
        Screen::Changes => state.changes.nav.go(step, &state.changes.ids, height),
        Screen::Ports => port_step(
            state,
            match step {
                Step::Down(n) => Way::Down(n),
                Step::Up(n) => Way::Up(n),
                Step::Top => Way::First,
                Step::Bottom => Way::Last,
            },
        ),
        Screen::Audit if state.summing() => journal::failures_step(state, step),
        Screen::Audit => {
            if step == Step::Bottom {
                follow(state, true);
                return;
            }
            state.audit.go(step, &state.audit_ids, height);
            let last = state.audit_ids.last().copied();
            if matches!(step, Step::Up(_) | Step::Top) && state.audit.selected != last {
                follow(state, false);
            }
            let at_top = state.audit_ids.is_empty() || state.audit.selected == state.audit_ids.first().copied();
            if at_top && matches!(step, Step::Up(_) | Step::Top) && !journal::further(state, out) {
                older(state, out);
            }
        }
    }
}

/// Asks who visits the tunnel whose detail is open, if that is not known well enough.
fn visitors(state: &mut State, out: &mut Vec<Effect>) {
    // In the detail, or beside the list where there is room.
    let seen = state.detail || (state.plan().wide && matches!(state.screen, Screen::Tunnels | Screen::Health));
    let Some(port) = state.selected_port().filter(|_| seen && state.is_live()) else { return };
    let fresh = |at: Time| (state.now - at).num_milliseconds() < VISITORS_FRESH_MS;
    let known = state.visitors.as_ref().is_some_and(|(p, at, _)| *p == port && fresh(*at));
    let asked = state.pending.values().any(|p| matches!(p, Pending::Visitors(_)));
    let live = state.row(port).is_some_and(|r| r.view.state.is_live());
    if live && (known || asked) {
        // What has just come changed meanwhile: ask again when it has aged.
        state.visitors_due = Some(state.now + TimeDelta::milliseconds(VISITORS_FRESH_MS));
    } else if live {
        state.visitors_due = None;
        send(state, Request::Visitors { port: Some(port) }, Pending::Visitors(port), out);
    }
}

/// Asks for events older than the oldest known.
fn older(state: &mut State, out: &mut Vec<Effect>) {
    if state.live.beginning || !state.is_live() || state.pending.values().any(|p| *p == Pending::Older) {
        return;
    }
    let before = state.live.events.front().map(|r| r.seq);
    let query = AuditQuery { before, limit: Some(OLDER), ..AuditQuery::default() };
    send(state, Request::Audit(Box::new(query)), Pending::Older, out);
}

fn follow(state: &mut State, on: bool) {
    if state.follow && !on {
        state.paused_at = state.audit_ids.last().copied().unwrap_or_default();
    }
    state.follow = on;
    state.settle();
}

fn port_step(state: &mut State, way: Way) {
    state.port_cursor = grid::step(&state.grid, state.port_cursor, way, state.size.0);
}

fn next_free(state: &mut State) {
    let ports = || state.grid.iter().flat_map(grid::GridLine::ports);
    let free = |p: &crate::model::Port| PortKind::of(&state.live, *p) == PortKind::Free;
    let after = ports().skip_while(|p| Some(*p) != state.port_cursor).skip(1).find(free);
    match after.or_else(|| ports().find(free)) {
        Some(p) => state.port_cursor = Some(p),
        None => say(state, Tone::Bad, tr!(state.lang(), ports.none_is_free)),
    }
}

fn open(state: &mut State) {
    match state.screen {
        Screen::Audit if state.summing() => journal::failures_open(state),
        Screen::Tunnels | Screen::Health if state.selected_port().is_some() => {
            state.detail = true;
            state.detail_scroll = 0;
            state.tabs.tab = if state.screen == Screen::Health { Tab::Health } else { Tab::Overview };
        }
        Screen::Tunnels | Screen::Health => {}
        Screen::Changes => changes::enter(state),
        Screen::Triage | Screen::Audit | Screen::Sessions | Screen::Ports => {
            let host = match state.screen {
                Screen::Triage => state.selected_incident().and_then(|i| i.blast.hosts.first().cloned()),
                Screen::Audit => state.selected_event().and_then(|r| r.event.context.host.clone()),
                _ => state.selected_session().and_then(|s| s.name.parse().ok()),
            };
            let of_host = || state.live.tunnels.values().find(|r| Some(r.host()) == host.as_ref()).map(|r| r.port());
            let port = state.selected_port().filter(|p| state.row(*p).is_some()).or_else(of_host);
            match port {
                Some(port) => {
                    let here = state.place();
                    jump(state, port);
                    state.trail.push(here);
                }
                None => say(state, Tone::Info, tr!(state.lang(), say.no_tunnel_of_this)),
            }
        }
    }
}

/// Goes to a tunnel, past any filter that hides it.
fn jump(state: &mut State, port: crate::model::Port) {
    show(state, Screen::Tunnels);
    let height = state.list_height();
    if !state.tunnels.select_id(port, &state.tunnel_rows, height) {
        state.set_filter("");
        state.tunnels.select_id(port, &state.tunnel_rows, height);
    }
    state.detail = true;
    state.tabs.tab = Tab::Overview;
}

fn pane(state: &mut State) {
    if matches!(state.screen, Screen::Tunnels | Screen::Health) && state.selected_port().is_some() {
        state.detail = !state.detail;
        state.detail_scroll = 0;
    }
}

fn back(state: &mut State) {
    // Whatever is on the screen now was gone to: back it goes, unless a list is being looked at on its own.
    if (state.detail || !matches!(state.screen, Screen::Tunnels | Screen::Health))
        && let Some(place) = state.trail.pop()
    {
        state.come_back(place);
    } else if state.detail {
        state.detail = false;
    } else if bulk::stop(state) {
        // Said by then.
    } else if bulk::meant(state) {
        state.marks.clear();
        state.message = None;
    } else if journal::stop(state) {
        // The screen's header says so.
    } else if state.summing() {
        journal::failures(state);
    } else if state.message.is_some() {
        state.message = None;
    } else if state.filter().is_some() {
        state.set_filter("");
    }
}

/// What an action looks like while it runs and when it is done.
fn ran(action: &Action) -> String {
    format!("$ {}", sentence::command(action))
}

/// Keys that mean yes and no in every question.
fn answer(k: Key) -> Option<bool> {
    match k {
        Key::Char('y' | 'Y') => Some(true),
        Key::Char('n' | 'N') | Key::Esc | Key::Ctrl('c') => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
