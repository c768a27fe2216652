//! The cursor of triage: held by an incident's id, so that it stays on it whatever comes and goes.

use super::filter::Fields;
use super::nav::Step;
use crate::model::Incident;
use crate::ui::words::{Lang, cause, evidence, model};

/// Which incident is selected and which is the first shown.
#[derive(Debug, Clone, Default)]
pub(crate) struct Cursor {
    id: Option<String>,
    /// Its number among those shown.
    pub(crate) selected: Option<usize>,
    /// Number of the first one shown.
    pub(crate) offset: usize,
}

impl Cursor {
    pub(crate) fn go(&mut self, step: Step, len: usize) {
        let Some(last) = len.checked_sub(1) else { return };
        let here = self.selected.unwrap_or(0);
        self.select(match step {
            Step::Down(n) => here.saturating_add(n).min(last),
            Step::Up(n) => here.saturating_sub(n),
            Step::Top => 0,
            Step::Bottom => last,
        });
    }

    /// The id is taken when the rows are settled.
    pub(crate) fn select(&mut self, index: usize) {
        self.selected = Some(index);
        self.id = None;
    }

    /// After the rows have changed: on the same incident, or on the one in its place.
    pub(crate) fn settle(&mut self, ids: &[&str], height: usize) {
        let Some(last) = ids.len().checked_sub(1) else {
            *self = Self::default();
            return;
        };
        let same = self.id.as_deref().and_then(|id| ids.iter().position(|i| *i == id));
        let index = same.unwrap_or_else(|| self.selected.unwrap_or(0).min(last));
        self.selected = Some(index);
        self.id = ids.get(index).map(|id| (*id).to_owned());
        let height = height.max(1);
        self.offset =
            self.offset.min(index).max((index + 1).saturating_sub(height)).min(ids.len().saturating_sub(height));
    }
}

impl Fields for Incident {
    fn field(&self, name: &str) -> Option<String> {
        // Several: one of them must be meant, so they are given as one word list would be.
        let join = |all: Vec<String>| all.join(" ");
        Some(match name {
            "cause" => self.cause.clone(),
            "severity" => self.severity.to_string(),
            "host" => join(self.blast.hosts.iter().map(ToString::to_string).collect()),
            "team" => join(self.blast.teams.iter().map(ToString::to_string).collect()),
            "port" => join(self.blast.ports.iter().map(ToString::to_string).collect()),
            "tunnels" => self.tunnels.to_string(),
            "hosts" => self.hosts.to_string(),
            "visitors" => self.blast.visitors_cut.saturating_add(self.blast.visitors_now).to_string(),
            _ => return None,
        })
    }
    fn words(&self) -> String {
        let hosts: Vec<String> = self.blast.hosts.iter().map(ToString::to_string).collect();
        let told = format!("{} {} {} {} {}", self.severity, self.cause, self.what, self.likely, self.evidence);
        // Whoever reads it in another language looks for it in that.
        let others = Lang::ALL.into_iter().filter(|l| *l != Lang::En);
        let other =
            |l| format!("{} {} {}", model::severity(l, self.severity), cause::likely(l, self), evidence::said(l, self));
        format!("{told} {} {}", hosts.join(" "), others.map(other).collect::<Vec<_>>().join(" "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cursor_stays_on_its_incident_and_takes_the_next_when_that_ends() {
        let mut c = Cursor::default();
        c.settle(&["a", "b", "c"], 10);
        c.go(Step::Down(1), 3);
        c.settle(&["a", "b", "c"], 10);
        c.settle(&["new", "a", "b", "c"], 10);
        assert_eq!(c.selected, Some(2), "still b");
        c.settle(&["new", "a", "c"], 10);
        assert_eq!(c.selected, Some(2), "what came after it");
        c.settle(&["new"], 10);
        assert_eq!(c.selected, Some(0));
        c.settle(&[], 10);
        assert_eq!(c.selected, None);
    }
}
