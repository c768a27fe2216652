//! Where on the screen what can be clicked stands, as the last frame had it. Kept only while the mouse is ours.

use super::Screen;
use crate::model::Port;
use ratatui::layout::{Position, Rect};

/// What a click there is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Target {
    /// A screen's name in the line of them.
    Screen(Screen),
    /// A row of the list, by its place among all.
    Row(usize),
    /// A port in the grid.
    Port(Port),
    /// The pane beside the list.
    Detail,
}

/// A place and what stands there.
pub(crate) type Spot = (Rect, Target);

/// What is at a place; what was drawn last lies on top.
pub(crate) fn at(spots: &[Spot], x: u16, y: u16) -> Option<Target> {
    spots.iter().rev().find(|(area, _)| area.contains(Position { x, y })).map(|(_, t)| *t)
}
