//! The state as a frame. Pure: the same state gives the same frame.

mod audit;
mod canvas;
mod changes;
mod detail;
mod dialog;
mod frame;
mod health;
mod help;
mod log;
mod palette;
mod pending;
mod ports;
mod sessions;
mod settings;
mod table;
mod triage;
mod tunnels;

use super::state::spots::Spot;
use super::state::{Screen, State};
use crate::model::Time;
use canvas::Canvas;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use std::cell::Cell;

/// A frame, and when it will read differently though nothing happens.
pub(crate) struct Drawn {
    pub(crate) buffer: Buffer,
    pub(crate) cursor: Option<(u16, u16)>,
    pub(crate) wake: Option<Time>,
    /// How far what is scrolled can be.
    pub(crate) scroll_max: usize,
    /// What can be clicked, while the mouse is ours.
    pub(crate) spots: Vec<Spot>,
    /// Rows of lists drawn.
    #[cfg_attr(not(test), allow(dead_code))]
    pub(crate) rows: usize,
}

/// The columns that a screen's list can have, in their own order.
pub(crate) fn columns(screen: Screen) -> &'static [table::Column] {
    match screen {
        Screen::Triage => &triage::COLUMNS,
        Screen::Tunnels => &tunnels::COLUMNS,
        Screen::Health => &health::COLUMNS,
        Screen::Audit => &audit::COLUMNS,
        Screen::Sessions => &sessions::COLUMNS,
        Screen::Ports | Screen::Changes => &[],
    }
}

/// Draws the state.
pub(crate) fn draw(state: &State) -> Drawn {
    let buf = super::paint::blank(state.size);
    let whole = buf.area;
    let pal = if state.is_live() { state.palette.clone() } else { frame::greyed(&state.palette) };
    let mut c =
        Canvas { state, pal, buf, cursor: None, wake: Cell::new(None), rows_drawn: 0, scroll_max: 0, spots: vec![] };
    let text = c.pal.text;
    c.tint(whole, text);
    let plan = state.plan();
    if state.locked {
        frame::locked(&mut c, whole);
    } else if plan.tiny {
        frame::tiny(&mut c, whole);
    } else {
        let body = frame::around(&mut c, whole, plan);
        match state.screen {
            Screen::Triage => triage::draw(&mut c, body, plan),
            Screen::Tunnels => tunnels::draw(&mut c, body, plan),
            Screen::Ports => ports::draw(&mut c, body),
            Screen::Health => health::draw(&mut c, body, plan),
            Screen::Audit => audit::draw(&mut c, body),
            Screen::Sessions => sessions::draw(&mut c, body),
            Screen::Changes => changes::draw(&mut c, body),
        }
        palette::draw(&mut c, body);
        dialog::draw(&mut c, Rect { height: whole.height.saturating_sub(1), ..whole });
    }
    Drawn {
        buffer: c.buf,
        cursor: c.cursor,
        wake: c.wake.get(),
        scroll_max: c.scroll_max,
        spots: c.spots,
        rows: c.rows_drawn,
    }
}

#[cfg(test)]
pub(crate) mod tests;
