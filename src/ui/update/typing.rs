//! Typing into prompts and dialogs.

use super::{Effect, act, answer, export, palette, themes, undo};
use crate::ui::input::Key;
use crate::ui::keys::Cmd;
use crate::ui::state::State;
use crate::ui::state::dialog::{Dialog, Prompt};
use tui_input::{Input, InputRequest};

/// Longest text of a line typed, characters.
const LINE_MAX: usize = 512;
/// As far as a window can be scrolled before it has been drawn, which says how far it really can.
const SCROLL_MAX: usize = 10_000;

/// A key of a line editor; false when it is none.
fn edit(input: &mut Input, key: Key) -> bool {
    let request = match key {
        Key::Char(c) if input.value().chars().count() < LINE_MAX => InputRequest::InsertChar(c),
        Key::Char(_) => return true,
        Key::Backspace => InputRequest::DeletePrevChar,
        Key::Delete => InputRequest::DeleteNextChar,
        Key::Left => InputRequest::GoToPrevChar,
        Key::Right => InputRequest::GoToNextChar,
        Key::Home | Key::Ctrl('a') => InputRequest::GoToStart,
        Key::End | Key::Ctrl('e') => InputRequest::GoToEnd,
        Key::Ctrl('u') => InputRequest::DeleteLine,
        Key::Ctrl('k') => InputRequest::DeleteTillEnd,
        Key::Ctrl('w') => InputRequest::DeletePrevWord,
        _ => return false,
    };
    input.handle(request);
    true
}

/// A key while the bottom line is being typed.
pub(super) fn prompt(state: &mut State, key: Key, out: &mut Vec<Effect>) {
    let Some(prompt) = &mut state.prompt else { return };
    match (prompt, key) {
        (Prompt::Filter { before, .. }, Key::Esc | Key::Ctrl('c')) => {
            let before = std::mem::take(before);
            state.prompt = None;
            state.set_filter(&before);
        }
        (Prompt::Command { .. }, Key::Esc | Key::Ctrl('c')) => state.prompt = None,
        (Prompt::Filter { input, .. }, Key::Enter) => {
            let text = input.value().trim().to_owned();
            state.prompt = None;
            if !text.is_empty() {
                state.last_search = text;
            }
            state.resort();
        }
        (Prompt::Command { input }, Key::Enter) => {
            let line = input.value().to_owned();
            let picked = state.pick > 0 || !palette::is_command(&line);
            match palette::complete_for_enter(state, &line).filter(|_| picked) {
                Some(done) => {
                    state.pick = 0;
                    state.prompt = Some(Prompt::Command { input: done.into() });
                }
                None => {
                    state.prompt = None;
                    palette::run(state, line.trim(), out);
                }
            }
        }
        (Prompt::Command { input }, Key::Tab) => {
            let line = input.value().to_owned();
            if let Some(done) = palette::complete(state, &line) {
                state.pick = 0;
                state.prompt = Some(Prompt::Command { input: done.into() });
            }
        }
        (Prompt::Command { input }, Key::Down | Key::Ctrl('n')) => {
            let line = input.value().to_owned();
            let last = palette::candidates(state, &line).len().saturating_sub(1);
            state.pick = (state.pick + 1).min(last);
        }
        (Prompt::Command { .. }, Key::Up | Key::Ctrl('p')) => state.pick = state.pick.saturating_sub(1),
        // Backspace in an empty line leaves it, as in vim.
        (Prompt::Command { input }, Key::Backspace) if input.value().is_empty() => state.prompt = None,
        (Prompt::Command { input }, key) => {
            edit(input, key);
            state.pick = 0;
        }
        // The list can be moved through while the filter is typed.
        (Prompt::Filter { .. }, Key::Down) => super::step(state, super::Step::Down(1), out),
        (Prompt::Filter { .. }, Key::Up) => super::step(state, super::Step::Up(1), out),
        (Prompt::Filter { input, .. }, key) => {
            if edit(input, key) {
                let text = input.value().to_owned();
                state.set_filter(&text);
            }
        }
    }
}

/// A key while a dialog is open.
pub(super) fn dialog(state: &mut State, key: Key, out: &mut Vec<Effect>) {
    match &mut state.dialog {
        None => {}
        Some(Dialog::Themes { .. }) => themes::key(state, key, out),
        Some(Dialog::Offer { .. }) => export::offered(state, key, out),
        Some(Dialog::Help { scroll }) if state.help.1 => {
            let (find, typing) = &mut state.help;
            *scroll = 0;
            match key {
                Key::Enter => *typing = false,
                Key::Esc | Key::Ctrl('c') => state.help = Default::default(),
                key => {
                    edit(find, key);
                }
            }
        }
        Some(Dialog::Help { .. }) if key == Key::Char('/') => state.help.1 = true,
        Some(Dialog::Help { .. }) if key == Key::Esc && !state.help.0.value().is_empty() => {
            state.help = Default::default()
        }
        Some(Dialog::Log { .. }) if state.own.set.keys.find(key, state.screen) == Some(Cmd::Undo) => {
            state.dialog = None;
            undo::undo(state, None);
        }
        Some(
            window @ (Dialog::Help { .. }
            | Dialog::Messages { .. }
            | Dialog::Settings { .. }
            | Dialog::Log { .. }
            | Dialog::Pending { .. }),
        ) => {
            let Some(scroll) = window.scroll() else { return };
            match key {
                Key::Down | Key::Char('j') => *scroll = scroll.saturating_add(1),
                Key::Up | Key::Char('k') => *scroll = scroll.saturating_sub(1),
                Key::PageDown | Key::Ctrl('d') | Key::Char(' ') => *scroll = scroll.saturating_add(10),
                Key::PageUp | Key::Ctrl('u') => *scroll = scroll.saturating_sub(10),
                Key::Home | Key::Char('g') => *scroll = 0,
                Key::End | Key::Char('G') => *scroll = SCROLL_MAX,
                Key::Esc | Key::Enter | Key::Char('?' | 'q') | Key::Ctrl('c') => state.dialog = None,
                _ => {}
            }
            if let Some(scroll) = state.dialog.as_mut().and_then(Dialog::scroll) {
                *scroll = (*scroll).min(SCROLL_MAX);
            }
        }
        Some(Dialog::Ask(ask)) if ask.yes_no() => match answer(key) {
            Some(true) => act::confirmed(state, out),
            Some(false) => state.dialog = None,
            None => {}
        },
        Some(Dialog::Ask(ask)) => {
            ask.problem = None;
            let fields = ask.fields.len().max(1);
            let Some(field) = ask.fields.get_mut(ask.focus) else { return };
            match key {
                Key::Esc | Key::Ctrl('c') => state.dialog = None,
                Key::Down => ask.focus = (ask.focus + 1) % fields,
                Key::Up | Key::BackTab => ask.focus = (ask.focus + fields - 1) % fields,
                Key::Tab => {
                    let done = field.completions().first().map(|s| (*s).to_owned());
                    match done.filter(|d| field.choice.is_none() && !field.value().is_empty() && d != field.value()) {
                        Some(done) => field.input = done.into(),
                        None => ask.focus = (ask.focus + 1) % fields,
                    }
                }
                Key::Enter => act::confirmed(state, out),
                key => match field.choice {
                    Some(n) => {
                        let len = field.known.len().max(1);
                        let n = match key {
                            Key::Right | Key::Char('l' | ' ') => (n + 1) % len,
                            Key::Left | Key::Char('h') => (n + len - 1) % len,
                            _ => n,
                        };
                        field.choice = Some(n);
                        field.input = field.known.get(n).cloned().unwrap_or_default().into();
                        // Facts are looked up in the state, so the question is taken out of it for the while.
                        if let Some(Dialog::Ask(mut ask)) = state.dialog.take() {
                            act::refresh(state, &mut ask);
                            state.dialog = Some(Dialog::Ask(ask));
                        }
                    }
                    None => {
                        edit(&mut field.input, key);
                    }
                },
            }
        }
    }
}

/// Pasted text goes into the line being typed, without what would act in it; elsewhere it is nothing.
pub(super) fn paste(state: &mut State, text: &str) {
    let text = crate::model::clean(text.lines().next().unwrap_or_default(), LINE_MAX);
    let into = |input: &mut Input| {
        for c in text.chars() {
            edit(input, Key::Char(c));
        }
    };
    match (&mut state.prompt, &mut state.dialog) {
        (Some(Prompt::Filter { input, .. }), _) => {
            into(input);
            let text = input.value().to_owned();
            state.set_filter(&text);
        }
        (Some(Prompt::Command { input }), _) => into(input),
        (None, Some(Dialog::Ask(ask))) => {
            if let Some(field) = ask.fields.get_mut(ask.focus).filter(|f| f.choice.is_none()) {
                into(&mut field.input);
            }
        }
        _ => {}
    }
}
