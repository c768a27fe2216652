//! The plan of a screen: how many columns and lines each of its parts has.

use super::dialog::Prompt;
use super::{Pending, Screen, State};
use crate::ui::text;
use crate::ui::words::tr;

/// Columns and lines of the parts of a screen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Plan {
    /// Too small for anything but a note.
    pub(crate) tiny: bool,
    /// A list and a status line only.
    pub(crate) small: bool,
    /// Room for a detail pane beside the list.
    pub(crate) wide: bool,
    pub(crate) notices: u16,
    pub(crate) filter: u16,
    pub(crate) message: u16,
    pub(crate) body: u16,
}

impl State {
    /// Lines of the first-tunnel block above the list.
    pub(crate) fn intro_lines(&self) -> Vec<String> {
        self.first_tunnel().map(|l| text::wrap_shell(l, usize::from(self.size.0))).unwrap_or_default()
    }

    pub(crate) fn plan(&self) -> Plan {
        let (w, h) = self.size;
        let tiny = w < 20 || h < 5;
        let small = w < 60 || h < 15;
        let notices = if small { 0 } else { u16::try_from(self.notices().len().min(2)).unwrap_or(2) };
        let filtering = self.filter().is_some() || matches!(self.prompt, Some(Prompt::Filter { .. }));
        let filter = u16::from(filtering);
        let said = u16::try_from(self.said_lines().len()).unwrap_or(1).max(1);
        let message = if small { 0 } else { said };
        // Header and tabs above, hints below; when small one status line is all.
        let frame = if small { said } else { 3 };
        let body = h.saturating_sub(frame + notices + filter + message);
        Plan { tiny, small, wide: w >= 120 && h >= 20, notices, filter, message, body }
    }

    /// What was last said, over as many lines as it takes: at most three, two where there is little room. It has the
    /// line to itself until it is cleared, so it is whole where that is possible.
    pub(crate) fn said_lines(&self) -> Vec<String> {
        let (w, h) = self.size;
        let (Some(m), None) = (&self.message, &self.prompt) else { return vec![] };
        if self.pending.values().any(|p| matches!(p, Pending::Action { .. })) || h < 8 {
            return vec![];
        }
        let (most, room) = (if h < 20 { 2 } else { 3 }, usize::from(w.saturating_sub(4)).max(8));
        let mut lines = text::wrap(&m.text, room);
        if lines.len() > most {
            lines.truncate(most);
            if let Some(last) = lines.last_mut() {
                let more = tr!(self.lang(), frame.cut_more);
                *last =
                    format!("{}{more}", text::cut(last, room.saturating_sub(text::width(more))).trim_end_matches('…'));
            }
        }
        lines
    }

    /// Rows a list can show.
    pub(crate) fn list_height(&self) -> usize {
        let plan = self.plan();
        // The audit says above its titles what it is doing.
        let titles = if self.screen == Screen::Audit && !plan.small { 2 } else { 1 };
        let intro = self.intro_lines().len();
        let intro = if intro > 0 { intro + 4 } else { 0 };
        usize::from(plan.body).saturating_sub(titles + intro + self.footer()).max(1)
    }

    /// Lines below a list about its selected row.
    pub(crate) fn footer(&self) -> usize {
        match (self.screen, self.plan().body) {
            (Screen::Triage, _) if self.plan().wide => 0,
            (Screen::Triage, 15..) => 9,
            (Screen::Triage, 8..) => 3,
            (Screen::Tunnels, 7..) if !self.plan().wide => 1,
            (Screen::Sessions, 15..) => 5,
            (Screen::Sessions, 7..) => 1,
            (Screen::Audit, 13..) => 4,
            (Screen::Changes, 13..) => 5,
            (Screen::Changes, _) => 1,
            _ => 0,
        }
    }

    /// Lines of ports the grid can show: legend and the line about the port are below.
    pub(crate) fn grid_height(&self) -> usize {
        usize::from(self.plan().body).saturating_sub(if self.plan().small { 1 } else { 5 }).max(1)
    }
}
