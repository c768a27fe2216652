//! The rows of the current screen, filtered and sorted, and the cursors that stay on theirs.

use super::grid;
use super::live::Row;
use super::rows::{self, SortBy, TunnelRow};
use super::{Screen, State, failures, journal, nav};
use crate::audit::Record;
use crate::model::Port;
use std::sync::Arc;

impl State {
    /// Filters and sorts the rows of the current screen anew, and keeps every cursor on its row.
    pub(crate) fn resort(&mut self) {
        let filter = self.filters.get(&self.screen).cloned().unwrap_or_default();
        self.filter_problem = None;
        match self.screen {
            Screen::Triage => {
                let all = self.live.incidents();
                let shown = |i: &crate::model::Incident| filter.is_empty() || filter.matches(i);
                let rows = all.iter().enumerate().filter(|(_, i)| shown(i)).map(|(n, _)| n).collect();
                self.filter_problem = all.first().and_then(|i| filter.unknown_field(i).map(ToOwned::to_owned));
                self.incident_rows = rows;
            }
            Screen::Tunnels | Screen::Health => {
                let by_port = (SortBy::Port, false);
                let (by, reverse) = if self.screen == Screen::Tunnels { self.sort } else { by_port };
                let now = self.now;
                let with = |row| TunnelRow { row, live: &self.live, now };
                let mut rows: Vec<&Row> =
                    self.live.tunnels.values().filter(|r| filter.is_empty() || filter.matches(&with(r))).collect();
                rows::sort(&mut rows, by, reverse, now);
                self.filter_problem = self
                    .live
                    .tunnels
                    .values()
                    .next()
                    .and_then(|r| filter.unknown_field(&with(r)).map(ToOwned::to_owned));
                let ids: Vec<Port> = rows.iter().map(|r| r.port()).collect();
                if !self.marks.is_empty() {
                    self.marks.retain(|p| self.live.tunnels.contains_key(p));
                }
                if self.screen == Screen::Tunnels { self.tunnel_rows = ids } else { self.health_rows = ids }
            }
            Screen::Sessions => {
                let mut rows: Vec<_> = self.live.sessions.values().filter(|s| filter.matches(*s)).collect();
                rows::sort_sessions(&mut rows, self.session_sort);
                self.session_rows = rows.iter().map(|s| s.id).collect();
                let first = self.live.sessions.values().next();
                self.filter_problem = first.and_then(|s| filter.unknown_field(s).map(ToOwned::to_owned));
            }
            Screen::Audit => {
                self.keep_for_hunt();
                let asked = self.journal.asked;
                let shown = |r: &&Arc<Record>| journal::shows(&filter, r, &asked);
                let hunted: Vec<Arc<Record>> = self.hunted().cloned().collect();
                let (oldest, newest) =
                    (self.live.events.front().map(|r| r.seq), self.live.events.back().map(|r| r.seq));
                let (from, upto, by) = &self.audit_from;
                let same = *from == hunted.first().map(|r| r.seq).or(oldest) && *by == filter;
                if !self.live.filled_in() && same {
                    // Only newer ones have come: a busy journal is not filtered anew ten times a second.
                    let known = self.live.events.partition_point(|r| Some(r.seq) <= *upto);
                    self.audit_rows.extend(self.live.events.iter().skip(known).filter(shown).cloned());
                } else {
                    self.audit_rows = hunted.iter().chain(self.live.events.iter().filter(shown)).cloned().collect();
                }
                self.audit_ids.truncate(0);
                self.audit_ids.extend(self.audit_rows.iter().map(|r| r.seq));
                self.audit_from = (hunted.first().map(|r| r.seq).or(oldest), newest, filter.clone());
                let first = self.live.events.front();
                self.filter_problem = first.and_then(|r| journal::unknown_field(&filter, r, &asked));
                if let Some(before) = self.journal.failures.take() {
                    let found = failures::Failures::of(&self.audit_rows, &self.live, Some(&before));
                    self.journal.failures = Some(found);
                }
            }
            Screen::Changes => {
                self.changes.absorb(&self.live, self.now);
                self.changes.arrange(&filter);
                let first = self.changes.rows.first();
                self.filter_problem = first.and_then(|c| filter.unknown_field(c).map(ToOwned::to_owned));
            }
            Screen::Ports => {
                self.grid = grid::lines(&self.live, self.size.0);
            }
        }
        self.settle();
    }

    /// The ids of the incidents shown.
    fn incident_ids(&self) -> Vec<&str> {
        let all = self.live.incidents();
        self.incident_rows.iter().filter_map(|n| all.get(*n)).map(|i| i.id.as_str()).collect()
    }

    /// Cursors within their rows, and on the screen.
    pub(crate) fn settle(&mut self) {
        let height = self.list_height();
        if self.detail || self.plan().wide {
            let ids = self.visitor_ids();
            self.tabs.visitor.settle(&ids, usize::MAX);
            if let Some(history) = &mut self.tabs.history {
                history.absorb(&self.live);
                self.tabs.event.settle(&history.ids, usize::MAX);
            }
        }
        match self.screen {
            Screen::Triage => {
                let mut cursor = std::mem::take(&mut self.triage);
                cursor.settle(&self.incident_ids(), height);
                self.triage = cursor;
            }
            Screen::Tunnels => self.tunnels.settle(&self.tunnel_rows, height),
            Screen::Health => self.health.settle(&self.health_rows, height),
            Screen::Sessions => self.sessions.settle(&self.session_rows, height),
            Screen::Audit if self.journal.failures.is_some() => {
                if let Some(f) = &mut self.journal.failures {
                    f.settle(height);
                }
            }
            Screen::Audit if self.follow => self.audit.go(nav::Step::Bottom, &self.audit_ids, height),
            Screen::Audit => self.audit.settle(&self.audit_ids, height),
            Screen::Changes => self.changes.nav.settle(&self.changes.ids, height),
            Screen::Ports => {
                let at = |p| self.grid.iter().position(|l| l.contains(p));
                if self.port_cursor.and_then(at).is_none() {
                    self.port_cursor = grid::step(&self.grid, None, grid::Way::First, self.size.0);
                }
                let line = self.port_cursor.and_then(at).unwrap_or(0);
                let height = self.grid_height();
                // The team's title is kept in sight with its first line.
                let top = if line == 1 { 0 } else { line };
                self.port_offset = self.port_offset.min(top).max((line + 1).saturating_sub(height));
                self.port_offset = self.port_offset.min(self.grid.len().saturating_sub(height));
            }
        }
    }
}
