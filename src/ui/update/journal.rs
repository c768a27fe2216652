//! The audit screen: searching back, days and kinds, the chain, failures by source.

use super::{Effect, Pending, Step, follow, say, send};
use crate::audit::{ChainStatus, Found};
use crate::control::protocol::{ApiError, Reply, Request};
use crate::ui::state::failures::Failures;
use crate::ui::state::journal::{Hunt, KINDS, Phase, term_of, with_terms};
use crate::ui::state::{Screen, State, Tone};
use crate::ui::words::tr;
use chrono::{Days, Local, NaiveDate, TimeDelta};

/// How long the daemon searches before it tells what it has, milliseconds.
pub(super) const SLICE_MS: u32 = 250;
/// How long what is known of the chain is good enough while events come.
const CHAIN_FRESH_S: i64 = 10;

/// Sees to it that what the screen shows is asked for, and that nothing runs that it does not show.
pub(super) fn attend(state: &mut State, out: &mut Vec<Effect>) {
    let here = state.screen == Screen::Audit;
    if !here || !state.is_live() {
        if let Some(hunt) = &mut state.journal.hunt {
            hunt.stop();
        }
        state.journal.chain_due = None;
        return;
    }
    if state.prompt.is_none() {
        let filter = state.filter().cloned().unwrap_or_default();
        let known = state.journal.hunt.as_ref().is_some_and(|h| h.filter == filter);
        if filter.is_empty() {
            state.journal.hunt = None;
        } else if !known && state.filter_problem.is_none() {
            state.journal.hunts += 1;
            let before = state.live.events.front().map(|r| r.seq);
            state.journal.hunt = Some(Hunt::new(state.journal.hunts, filter, before));
            piece(state, out);
        }
    }
    let newest = state.live.events.back().map(|r| r.seq);
    match &state.journal.chain {
        None => chain(state, out),
        Some(c)
            if c.complete
                && c.broken.is_none()
                && c.upto.map(|(seq, _)| seq) < newest
                && state.journal.chain_due.is_none() =>
        {
            state.journal.chain_due = Some(state.now + TimeDelta::seconds(CHAIN_FRESH_S));
        }
        Some(_) => {}
    }
}

/// Asks how it stands with the chain.
pub(super) fn chain(state: &mut State, out: &mut Vec<Effect>) {
    state.journal.chain_due = None;
    if state.is_live() && !state.pending.values().any(|p| *p == Pending::Chain) {
        send(state, Request::Chain, Pending::Chain, out);
    }
}

pub(super) fn chained(state: &mut State, result: Result<Reply, ApiError>, out: &mut Vec<Effect>) {
    match result {
        Ok(Reply::Chain(c)) => {
            let more = !c.complete;
            state.journal.chain = Some(c);
            if more && state.screen == Screen::Audit {
                chain(state, out);
            }
        }
        Ok(_) => {}
        Err(e) => {
            // Not asked again at once: it would fail again.
            state.journal.chain.get_or_insert(ChainStatus::default());
            say(state, Tone::Bad, tr!(state.lang(), audit.chain_unknown, why = e));
        }
    }
}

/// Asks for the next piece of the search.
fn piece(state: &mut State, out: &mut Vec<Effect>) {
    let asked = state.journal.asked;
    let Some(hunt) = state.journal.hunt.as_ref().filter(|h| h.runs()) else { return };
    let (number, query) = (hunt.number, Box::new(hunt.query(&asked)));
    if state.pending.values().any(|p| *p == Pending::Hunt(number)) {
        return;
    }
    send(state, Request::Search { query, slice_ms: Some(SLICE_MS) }, Pending::Hunt(number), out);
}

/// A piece has come.
pub(super) fn found(state: &mut State, number: u64, result: Result<Reply, ApiError>, out: &mut Vec<Effect>) {
    let asked = state.journal.asked;
    let Some(hunt) = state.journal.hunt.as_mut().filter(|h| h.number == number) else { return };
    match result {
        Ok(Reply::Found(found)) => {
            let any = !found.records.is_empty();
            let found: Found = found;
            hunt.add(found, &asked);
            if any {
                state.resort();
            }
            piece(state, out);
        }
        Ok(_) => {}
        Err(e) => hunt.phase = Phase::Failed(e.message),
    }
}

/// At the first row, and further up: the search goes on. False when there is none.
pub(super) fn further(state: &mut State, out: &mut Vec<Effect>) -> bool {
    if state.filter().is_none() {
        return false;
    }
    if state.journal.hunt.as_mut().is_some_and(Hunt::go_on) {
        piece(state, out);
    }
    true
}

/// Stops a search that runs.
pub(super) fn stop(state: &mut State) -> bool {
    let runs = state.screen == Screen::Audit && state.journal.hunt.as_ref().is_some_and(Hunt::runs);
    if let Some(hunt) = state.journal.hunt.as_mut().filter(|_| runs) {
        hunt.stop();
    }
    runs
}

/// Another day: yesterday or today when none is chosen, else the one before or after.
pub(super) fn day(state: &mut State, forward: bool) {
    let text = state.filter().map(|f| f.text.clone()).unwrap_or_default();
    let window = state.window();
    let date = |t: crate::model::Time| match window.clock {
        crate::audit::Clock::Utc => t.date_naive(),
        crate::audit::Clock::Local => t.with_timezone(&Local).date_naive(),
    };
    let today = date(state.now);
    let chosen = term_of(&text, "since").and_then(|v| window.moment(v)).map(date);
    let moved =
        |d: NaiveDate, on: bool| if on { d.checked_add_days(Days::new(1)) } else { d.checked_sub_days(Days::new(1)) };
    let day = match chosen {
        None if forward => Some(today),
        None => moved(today, false),
        Some(d) => moved(d, forward),
    };
    let Some(day) = day.filter(|d| *d <= today) else {
        return say(state, Tone::Info, tr!(state.lang(), audit.no_day_after));
    };
    let until = moved(day, true).map(|d| format!("until={d}"));
    let terms: Vec<String> = [Some(format!("since={day}")), until].into_iter().flatten().collect();
    narrow(state, &with_terms(&text, &["since", "until"], &terms));
    say(
        state,
        Tone::Info,
        tr!(
            state.lang(),
            audit.day,
            day,
            day_back = state.key("day-back"),
            day_on = state.key("day-on"),
            back = state.key("back")
        ),
    );
}

/// The next kind of events.
pub(super) fn kind(state: &mut State) {
    let text = state.filter().map(|f| f.text.clone()).unwrap_or_default();
    let at = term_of(&text, "event").and_then(|v| KINDS.iter().position(|k| *k == v));
    let next = at.map_or(Some(0), |n| (n + 1 < KINDS.len()).then_some(n + 1));
    let term: Vec<String> = next.and_then(|n| KINDS.get(n)).map(|k| format!("event={k}")).into_iter().collect();
    narrow(state, &with_terms(&text, &["event"], &term));
}

/// Filters the audit, without which it would follow past what is looked for.
fn narrow(state: &mut State, text: &str) {
    state.journal.failures = None;
    state.set_filter(text);
    follow(state, text.is_empty());
}

/// Opens or closes the failures by source.
pub(super) fn failures(state: &mut State) {
    state.journal.failures = match state.journal.failures.take() {
        Some(_) => None,
        None => Some(Failures::of(&state.audit_rows, &state.live, None)),
    };
    state.settle();
}

pub(super) fn failures_step(state: &mut State, step: Step) {
    let height = state.list_height();
    let Some(f) = &mut state.journal.failures else { return };
    f.selected = match step {
        Step::Down(n) => f.selected.saturating_add(n),
        Step::Up(n) => f.selected.saturating_sub(n),
        Step::Top => 0,
        Step::Bottom => usize::MAX,
    };
    f.settle(height);
}

/// Shows the events of the selected source.
pub(super) fn failures_open(state: &mut State) {
    let Some(name) = state.journal.failures.as_ref().and_then(Failures::current).map(|s| s.name.clone()) else {
        return say(
            state,
            Tone::Info,
            tr!(state.lang(), audit.nothing_refused, day = state.key("day-back"), filter = state.key("filter")),
        );
    };
    let text = state.filter().map(|f| f.text.clone()).unwrap_or_default();
    narrow(state, &with_terms(&text, &["source"], &[format!("source={name}")]));
    say(state, Tone::Info, tr!(state.lang(), audit.source_only, name, failures = state.key("failures")));
}

/// The command that finds the same.
pub(super) fn shell_command(state: &State) -> String {
    match state.filter() {
        None => "portreeve audit -f".to_owned(),
        Some(filter) => state.journal.asked.command(filter),
    }
}

#[cfg(test)]
mod tests;
