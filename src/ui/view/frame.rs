//! What stands around every screen: header, tabs, notices, filter, message, hints.

use super::canvas::{Canvas, Span};
use crate::control::actions::{ACTIONS, ActionSpec, Scope};
use crate::model::{Role, TunnelState};
use crate::ui::keys::{Cmd, KEYS, at_home, offered};
use crate::ui::state::dialog::Prompt;
use crate::ui::state::spots::Target;
use crate::ui::state::tabs::Tab;
use crate::ui::state::{Link, Pending, Plan, Screen, Tone, Zone};
use crate::ui::theme::Palette;
use crate::ui::words::{self, tr};
use crate::ui::{sentence, text};
use chrono::{Local, TimeDelta, Timelike};
use ratatui::layout::Rect;
use ratatui::style::Style;

/// Old data in one colour, so that nobody takes it for live. What warns of that keeps its own.
pub(super) fn greyed(p: &Palette) -> Palette {
    let s = p.stale;
    Palette {
        text: s,
        dim: s,
        accent: s,
        title: s,
        ok: s,
        warn: s,
        bad: s,
        info: s,
        selection: s,
        border: s,
        notice: p.notice,
        stale: s,
        header: s,
    }
}

/// A note where nothing else has room.
pub(super) fn tiny(c: &mut Canvas<'_>, area: Rect) {
    let n = |s| c.state.live.count(s);
    let l = c.lang();
    let note = tr!(l, frame.tiny_counts, up = n(TunnelState::Up), down = n(TunnelState::Down));
    let text_style = c.pal.text;
    c.put(area, area.x, area.y, tr!(l, frame.enlarge_1), text_style);
    c.put(area, area.x, area.y + 1, tr!(l, frame.enlarge_2), text_style);
    c.put(area, area.x, area.y + 2, &note, text_style);
}

/// Instead of everything, while nobody is there.
pub(super) fn locked(c: &mut Canvas<'_>, area: Rect) {
    let l = c.lang();
    let seconds = c.state.live.daemon.as_ref().and_then(|d| d.idle_lock_s).unwrap_or(0);
    let time = humantime::format_duration(std::time::Duration::from_secs(seconds));
    let (plain, dim) = (c.pal.text, c.pal.dim);
    let lines = [(tr!(l, frame.locked, time), plain), (tr!(l, frame.locked_key).to_owned(), dim)];
    let width = usize::from(area.width);
    let lines: Vec<_> = lines
        .iter()
        .flat_map(|(s, style)| text::wrap(s, width.max(8)).into_iter().map(|line| (line, *style)))
        .collect();
    let top = area.y + area.height.saturating_sub(u16::try_from(lines.len()).unwrap_or(0)) / 2;
    for (y, (line, style)) in (top..area.bottom()).zip(lines) {
        let indent = u16::try_from(width.saturating_sub(text::width(&line)) / 2).unwrap_or(0);
        c.put(area, area.x + indent, y, &line, style);
    }
}

/// Draws the frame and gives the room inside.
pub(super) fn around(c: &mut Canvas<'_>, area: Rect, plan: Plan) -> Rect {
    let mut y = area.y;
    if plan.small {
        let body = Rect { height: plan.body, ..area };
        let below = area.y + plan.body;
        if plan.filter > 0 {
            filter(c, area, below);
        }
        status_line(c, area, below + plan.filter);
        return body;
    }
    header(c, area, y);
    y += 1;
    tabs(c, area, y);
    y += 1;
    for n in notices(c, plan) {
        let style = c.pal.notice;
        let width = usize::from(area.width);
        c.put(area, area.x, y, &text::fit(&format!(" {} {}", c.glyph("▲", "!"), c.here(&n)), width, false), style);
        y += 1;
    }
    let body = Rect { x: area.x, y, width: area.width, height: plan.body };
    y += plan.body;
    if plan.filter > 0 {
        filter(c, area, y);
        y += 1;
    }
    message(c, area, y);
    y += plan.message;
    hints(c, area, y);
    body
}

fn notices(c: &Canvas<'_>, plan: Plan) -> Vec<String> {
    let all = c.state.notices();
    let room = usize::from(plan.notices);
    let more = all.len().saturating_sub(room);
    let mut shown: Vec<String> = all.into_iter().take(room).collect();
    if let Some(last) = shown.last_mut().filter(|_| more > 0) {
        *last = tr!(c.lang(), frame.more_notices, n = more, notice = last);
    }
    shown
}

/// `● live` or how stale.
fn link(c: &Canvas<'_>) -> Span {
    let l = c.lang();
    match &c.state.link {
        Link::Live if c.state.live.daemon.is_some() => {
            (format!("{} {}", c.glyph("●", "*"), tr!(l, frame.live)), c.pal.ok)
        }
        Link::Live | Link::Connecting(None) => (tr!(l, frame.connecting).into(), c.pal.warn),
        Link::Connecting(Some(_)) => (format!(" {} ", tr!(l, frame.no_connection)), c.pal.notice),
        Link::Stale { since, .. } => (format!(" {} ", tr!(l, frame.stale, age = c.age(*since))), c.pal.notice),
    }
}

fn mode(c: &Canvas<'_>) -> Span {
    match c.state.write_until {
        Some(until) if c.state.writable() => (format!(" RW {} ", c.left(until)), c.pal.notice),
        _ => ("RO".into(), c.pal.header),
    }
}

fn clock(c: &Canvas<'_>) -> String {
    let now = c.state.now;
    // Hours and minutes: a clock with seconds would make an idle screen talk for ever.
    c.wake_at(
        now + TimeDelta::milliseconds(
            60_000 - i64::from(now.second()) * 1000 - i64::from(now.timestamp_subsec_millis()),
        ),
    );
    match c.state.zone {
        Zone::Utc => now.format("%H:%MZ").to_string(),
        Zone::Local | Zone::Relative => now.with_timezone(&Local).format("%H:%M%:z").to_string(),
    }
}

fn header(c: &mut Canvas<'_>, area: Rect, y: u16) {
    let name = c.state.live.daemon.as_ref().map_or("portreeve", |d| d.name.as_str()).to_owned();
    let bar = (format!(" {} ", c.glyph("│", "|")), c.pal.border);
    let mut spans = vec![(format!(" {}", text::cut(&name, 30)), c.pal.header), (" ".into(), c.pal.text), link(c)];
    spans.push(bar.clone());
    spans.push(mode(c));
    if let Some(who) = &c.state.who {
        let teams = match who.rights().teams_as(Role::Viewer) {
            Some(t) => format!(" [{}]", t.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")),
            None => String::new(),
        };
        let role = words::model::role(c.lang(), who.rights().best());
        spans.push((format!(" {}@{role}{teams}", who.name), c.pal.text));
    }
    spans.push(bar);
    spans.push((clock(c), c.pal.dim));
    if c.state.zone == Zone::Relative {
        spans.push((format!(" {}", tr!(c.lang(), frame.ages)), c.pal.dim));
    }
    if let Some((said, style)) = spill(c) {
        let taken: usize = spans.iter().map(|(s, _)| text::width(s)).sum();
        let wide = taken + 3 + text::width(&said) <= usize::from(area.width);
        spans.push((format!(" {} ", c.glyph("│", "|")), c.pal.border));
        let used = c.state.live.daemon.as_ref().map(|d| text::bytes(d.spill.used));
        let short = used.map(|used| tr!(c.lang(), frame.spill_short, used));
        spans.push((if wide { said } else { short.unwrap_or_default() }, style));
    }
    c.line(area, y, &spans);
}

/// What waits on disk for slow visitors, while anything does.
fn spill(c: &Canvas<'_>) -> Option<Span> {
    let spill = c.state.live.daemon.as_ref()?.spill;
    let style = if spill.is_nearly_full() { c.pal.bad } else { c.pal.warn };
    let (used, limit) = (text::bytes(spill.used), text::bytes(spill.limit));
    (spill.used > 0).then(|| (tr!(c.lang(), frame.spill, used, limit), style))
}

/// Counts by state: glyph, number and word where there is room, glyph and number where not.
fn counts(c: &Canvas<'_>, words: bool) -> Vec<Span> {
    let all = [TunnelState::Up, TunnelState::Degraded, TunnelState::Down, TunnelState::Awaiting, TunnelState::Revoked];
    all.into_iter()
        .map(|s| {
            let n = c.state.live.count(s);
            let (glyph, style) = c.state_look(s);
            let style = if n == 0 { c.pal.dim } else { style };
            (
                if words {
                    format!("{glyph}{n} {}  ", words::model::state(c.lang(), s))
                } else {
                    format!("{glyph}{n} ")
                },
                style,
            )
        })
        .collect()
}

fn tabs(c: &mut Canvas<'_>, area: Rect, y: u16) {
    let alarms = crate::triage::alarms(c.state.live.incidents());
    let mut x = area.x;
    for screen in Screen::ALL {
        let n = c.key(screen.word());
        let here = screen == c.state.screen;
        let alarmed = screen == Screen::Triage && alarms > 0;
        let style = match here {
            true => c.pal.selection,
            false if alarmed => c.pal.bad,
            false => c.pal.dim,
        };
        // Brackets take the place of spaces, and where there is little room one space has to do between two.
        let tight = area.width < 100;
        let word = if tight && !here { screen.short(c.lang()) } else { screen.name(c.lang()) };
        let word = if alarmed { tr!(c.lang(), triage.alarms, n = alarms) } else { word.to_owned() };
        let label = match here {
            true => format!("[{n} {word}]"),
            false if tight => format!("{n} {word}"),
            false => format!(" {n} {word} "),
        };
        let from = x + u16::from(tight);
        x = c.put(area, from, y, &label, style);
        c.spot(Rect { x: from, y, width: x.saturating_sub(from), height: 1 }, Target::Screen(screen));
    }
    let room = usize::from(area.right().saturating_sub(x));
    let total = |spans: &[Span]| spans.iter().map(|(s, _)| text::width(s)).sum::<usize>();
    let full = counts(c, true);
    let mut spans = if total(&full) < room { full } else { counts(c, false) };
    let tight = total(&spans) >= room;
    if let Some((last, _)) = spans.last_mut().filter(|_| tight) {
        last.truncate(last.trim_end().len());
    }
    // Half a number is another number: what there is no room for is left out, what counts none first.
    let none =
        |(said, _): &Span| said.trim_end().ends_with('0') && said.chars().filter(char::is_ascii_digit).count() == 1;
    while total(&spans) >= room && !spans.is_empty() {
        let at = spans.iter().rposition(none).unwrap_or(spans.len() - 1);
        spans.remove(at);
    }
    let width = u16::try_from(total(&spans)).unwrap_or(0);
    let at = area.right().saturating_sub(width).max(x + 1);
    c.line(Rect { x: at, width: area.right().saturating_sub(at), ..area }, y, &spans);
}

fn filter(c: &mut Canvas<'_>, area: Rect, y: u16) {
    let (accent, dim, bad) = (c.pal.accent, c.pal.dim, c.pal.bad);
    let typed = match &c.state.prompt {
        Some(Prompt::Filter { input, .. }) => Some(input.clone()),
        _ => None,
    };
    let shown = typed.as_ref().map(|i| i.value().to_owned());
    let shown = shown.or_else(|| c.state.filter().map(|f| f.text.clone())).unwrap_or_default();
    let n = c.state.hidden();
    let tail = match &c.state.filter_problem {
        Some(field) => (tr!(c.lang(), frame.no_field, field), bad),
        None if typed.is_some() => (tr!(c.lang(), frame.hidden, n), dim),
        None => (tr!(c.lang(), frame.hidden_clear, n, back = c.key("back")), dim),
    };
    let tail = (format!("  {}", tail.0), tail.1);
    let room = usize::from(area.width).saturating_sub(2 + text::width(&tail.0));
    let x = c.line(area, y, &[("/ ".into(), accent), (text::cut(&shown, room), accent)]);
    let _ = c.put(area, x, y, &tail.0, tail.1);
    if let Some(input) = typed {
        let at = area.x + 2 + u16::try_from(input.visual_cursor().min(room)).unwrap_or(0);
        c.cursor = Some((at, y));
    }
}

/// What was done and what came of it; or what is being typed; or what is still being waited for.
fn message(c: &mut Canvas<'_>, area: Rect, y: u16) {
    if let Some(Prompt::Command { input }) = &c.state.prompt {
        let (input, accent, dim) = (input.clone(), c.pal.accent, c.pal.dim);
        let room = usize::from(area.width.saturating_sub(2));
        let scroll = input.visual_scroll(room);
        let shown: String = input.value().chars().skip(scroll).collect();
        let x = c.line(area, y, &[(":".into(), accent), (shown, accent)]);
        let found = crate::ui::update::candidates(c.state, input.value());
        let help = ACTIONS
            .iter()
            .find(|a| input.value().split(' ').next() == Some(a.verb))
            .map(|a| format!("   {} {}: {}", a.verb, a.args, words::action::help(c.lang(), a)));
        let hint = match help.filter(|_| input.value().contains(' ')) {
            Some(h) if found.is_empty() || input.value().ends_with(' ') => h,
            // Where there is room they stand above, with what they do.
            _ if c.state.plan().body >= 3 && !found.is_empty() => String::new(),
            _ => format!("   {}", found.join(" ")),
        };
        c.put(area, x, y, &hint, dim);
        let at = u16::try_from(input.visual_cursor().saturating_sub(scroll)).unwrap_or(0);
        c.cursor = Some((area.x + 1 + at.min(area.width.saturating_sub(2)), y));
        return;
    }
    let (s, style) = said(c);
    let lines = c.state.said_lines();
    if lines.is_empty() {
        c.put(area, area.x + 1, y, &text::cut(&s, usize::from(area.width.saturating_sub(2))), style);
    }
    let glyph = c.state.message.as_ref().map_or("", |m| tone(c, m.tone).0);
    for (n, line) in lines.iter().enumerate() {
        let head = if n == 0 { glyph.to_owned() } else { " ".repeat(text::width(glyph)) };
        c.put(area, area.x + 1, y + u16::try_from(n).unwrap_or(0), &format!("{head}{line}"), style);
    }
}

fn tone(c: &Canvas<'_>, tone: Tone) -> (&'static str, Style) {
    match tone {
        Tone::Info => ("", c.pal.info),
        Tone::Ok => (c.glyph("✓ ", "+ "), c.pal.ok),
        Tone::Bad => (c.glyph("✗ ", "x "), c.pal.bad),
    }
}

fn said(c: &Canvas<'_>) -> Span {
    if let Some(batch) = &c.state.batch {
        let progress = batch.progress(c.lang());
        return (tr!(c.lang(), frame.batch_running, progress, back = c.key("back")), c.pal.warn);
    }
    let running = c.state.pending.values().find_map(|p| match p {
        Pending::Action { action, asked } => Some((action, *asked)),
        _ => None,
    });
    if let Some((action, asked)) = running {
        let (command, age) = (format!("$ {}", sentence::command(action)), c.age(asked));
        let doing = match action {
            crate::control::protocol::Action::Reconnect { .. } => tr!(c.lang(), frame.acting_reconnect, command, age),
            _ => tr!(c.lang(), frame.acting, command, age),
        };
        return (doing, c.pal.warn);
    }
    match (&c.state.link, &c.state.message) {
        (Link::Stale { why, .. } | Link::Connecting(Some(why)), None) => {
            (tr!(c.lang(), frame.retrying, why), c.pal.text)
        }
        (_, Some(m)) => {
            let (glyph, style) = tone(c, m.tone);
            (format!("{glyph}{}", m.text), style)
        }
        _ => (String::new(), c.pal.text),
    }
}

/// Whether what the action acts on is in sight.
fn here(c: &Canvas<'_>, a: &ActionSpec) -> bool {
    a.scope != Scope::Visitor || (c.state.tabs.tab == Tab::Visitors && (c.state.detail || c.state.plan().wide))
}

fn hints(c: &mut Canvas<'_>, area: Rect, y: u16) {
    let (screen, keys) = (c.state.screen, &c.state.own.set.keys);
    let (key, word) = (c.pal.accent, c.pal.dim);
    let mut spans: Vec<Span> = vec![];
    let mut hint = |shown: &str, text: &str| {
        spans.push((format!(" {shown}"), key));
        spans.push((format!(" {text} "), word));
    };
    // However many there are, the way to the others is always seen.
    let l = c.lang();
    hint(&keys.say("help"), tr!(l, hint.help));
    if c.state.detail {
        hint(&keys.say("back"), tr!(l, hint.back));
        hint(&format!("{} {}", keys.say("tab-back"), keys.say("tab-on")), tr!(l, hint.tabs));
    }
    if c.state.role() >= Role::Operator {
        if c.state.writable() {
            let many = screen == Screen::Tunnels && !c.state.detail && !c.state.marks.is_empty();
            let may = |a: &ActionSpec| c.state.role() >= c.state.role_for(a);
            let fits = |a: &&ActionSpec| match many {
                true => crate::ui::update::in_bulk(a),
                false => offered(a, screen) && at_home(a, screen) && here(c, a) && may(a),
            };
            for a in ACTIONS.iter().filter(fits) {
                if let Some(k) = keys.of_action(a.verb) {
                    hint(&k, words::action::name(l, a));
                }
            }
        } else {
            hint(&keys.say("write"), tr!(l, hint.write));
        }
    }
    for b in KEYS.iter().filter(|b| b.on.is_empty() || b.on.contains(&screen)) {
        // What is of the list is not of the detail.
        if let Some(h) = b.hint.filter(|_| !c.state.detail || !matches!(b.cmd, Cmd::Open | Cmd::Sort)) {
            let shown = keys.shown(b);
            if let Some(k) = shown.split(' ').next().filter(|k| !k.is_empty()) {
                hint(k, h(l));
            }
        }
    }
    // Whole hints only; what does not fit is in the help.
    let mut room = usize::from(area.width);
    let fitting: Vec<Span> = spans
        .chunks(2)
        .take_while(|pair| {
            let w: usize = pair.iter().map(|(s, _)| text::width(s)).sum();
            let fits = w <= room;
            room = room.saturating_sub(w);
            fits
        })
        .flatten()
        .cloned()
        .collect();
    c.line(area, y, &fitting);
}

/// Everything that matters in one line.
fn status_line(c: &mut Canvas<'_>, area: Rect, y: u16) {
    if matches!(c.state.prompt, Some(Prompt::Command { .. })) {
        return message(c, area, y);
    }
    if let Some(n) = c.state.notices().first() {
        let style = c.pal.notice;
        let s = text::fit(&format!("! {n}"), usize::from(area.width), false);
        c.put(area, area.x, y, &s, style);
        return;
    }
    let (s, style) = said(c);
    if !c.state.said_lines().is_empty() && c.state.is_live() {
        return message(c, area, y);
    }
    if !s.is_empty() && c.state.is_live() {
        c.put(area, area.x, y, &text::cut(&s, usize::from(area.width)), style);
        return;
    }
    let gap = (" ".to_owned(), c.pal.text);
    let mut spans = vec![link(c), gap.clone(), mode(c), gap];
    spans.extend(counts(c, false));
    spans.push((clock(c), c.pal.dim));
    c.line(area, y, &spans);
}
