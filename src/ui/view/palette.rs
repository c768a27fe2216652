//! What could stand where the cursor of the palette is, above its line.

use super::canvas::Canvas;
use crate::control::actions::ACTIONS;
use crate::ui::keys::COMMANDS;
use crate::ui::state::dialog::Prompt;
use crate::ui::{text, update, words};
use ratatui::layout::Rect;

/// Most shown at a time.
const SHOWN: usize = 8;

/// Draws the list upwards from the bottom of this area.
pub(super) fn draw(c: &mut Canvas<'_>, area: Rect) {
    let Some(Prompt::Command { input }) = &c.state.prompt else { return };
    let first = !input.value().trim_start().contains(' ');
    let found = update::candidates(c.state, input.value());
    let room = usize::from(area.height).min(SHOWN);
    if found.is_empty() || room < 3 {
        return;
    }
    let picked = c.state.pick.min(found.len() - 1);
    let from = (picked + 1).saturating_sub(room);
    let rows: Vec<(usize, &String)> = found.iter().enumerate().skip(from).take(room).collect();
    let name = rows.iter().map(|(_, s)| text::width(s)).max().unwrap_or(0).min(24) + 2;
    let width = if first { area.width.min(90) } else { area.width.min(u16::try_from(name + 4).unwrap_or(40)) };
    let height = u16::try_from(rows.len()).unwrap_or(0);
    let place = Rect { x: area.x, y: area.bottom().saturating_sub(height), width, height };
    c.clear(place);
    let (accent, dim, selection, cursor) = (c.pal.accent, c.pal.dim, c.pal.selection, c.glyph("▸", ">"));
    for (y, (i, word)) in (place.y..).zip(rows) {
        let line = Rect { y, height: 1, ..place };
        let about = if first { about(c, word) } else { String::new() };
        let shown = text::fit(&text::cut(word, name.saturating_sub(2)), name, false);
        let mark = if i == picked { cursor } else { " " };
        let room = usize::from(width).saturating_sub(name + 2);
        c.line(line, y, &[(mark.to_owned(), accent), (shown, accent), (text::fit(&about, room + 1, false), dim)]);
        if i == picked {
            c.tint(line, selection);
        }
    }
}

/// A verb's arguments, what it does, and its key.
fn about(c: &Canvas<'_>, verb: &str) -> String {
    let action = ACTIONS.iter().find(|a| a.verb == verb);
    let (args, help) = match (action, COMMANDS.iter().find(|k| k.0 == verb)) {
        (Some(a), _) => (a.args, words::action::help(c.lang(), a)),
        (None, Some(k)) => (k.1, (k.2)(c.lang())),
        (None, None) => return String::new(),
    };
    let key =
        action.and_then(|a| c.state.own.set.keys.of_action(a.verb)).map(|k| format!(" ({k})")).unwrap_or_default();
    let gap = if args.is_empty() { "" } else { "  " };
    format!("{args}{gap}{help}{key}")
}
