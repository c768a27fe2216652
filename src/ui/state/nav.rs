//! The cursor of a list: held by id, so that it stays on its row whatever comes, goes or is sorted elsewhere.

/// How a cursor moves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    Down(usize),
    Up(usize),
    Top,
    Bottom,
}

/// Which row is selected and which is the first shown.
#[derive(Debug, Clone)]
pub(crate) struct Nav<Id> {
    pub(crate) selected: Option<Id>,
    /// Number of the first row shown.
    pub(crate) offset: usize,
    /// Where the selected row was last, to stay near when it goes.
    last_index: usize,
}

impl<Id> Default for Nav<Id> {
    fn default() -> Self {
        Self { selected: None, offset: 0, last_index: 0 }
    }
}

impl<Id: Copy + PartialEq> Nav<Id> {
    pub(crate) fn index(&self, rows: &[Id]) -> Option<usize> {
        let selected = self.selected?;
        if rows.get(self.last_index) == Some(&selected) {
            return Some(self.last_index);
        }
        rows.iter().position(|r| *r == selected)
    }

    pub(crate) fn go(&mut self, step: Step, rows: &[Id], height: usize) {
        let Some(last) = rows.len().checked_sub(1) else { return };
        let here = self.index(rows).unwrap_or(0);
        let to = match step {
            Step::Down(n) => here.saturating_add(n).min(last),
            Step::Up(n) => here.saturating_sub(n),
            Step::Top => 0,
            Step::Bottom => last,
        };
        self.select(to, rows, height);
    }

    pub(crate) fn select(&mut self, index: usize, rows: &[Id], height: usize) {
        self.selected = rows.get(index).copied();
        self.last_index = index;
        self.show(index, rows.len(), height);
    }

    /// Selects an id, if it is among the rows.
    pub(crate) fn select_id(&mut self, id: Id, rows: &[Id], height: usize) -> bool {
        let found = rows.iter().position(|r| *r == id);
        if let Some(i) = found {
            self.select(i, rows, height);
        }
        found.is_some()
    }

    /// After the rows have changed: the selected row stays on its line of the screen, whatever was added above it.
    /// When it is gone its neighbour is selected.
    pub(crate) fn settle(&mut self, rows: &[Id], height: usize) {
        let Some(last) = rows.len().checked_sub(1) else {
            *self = Self::default();
            return;
        };
        match self.index(rows) {
            Some(i) => {
                let line = self.last_index.saturating_sub(self.offset);
                self.offset = i.saturating_sub(line);
                self.last_index = i;
                self.show(i, rows.len(), height);
            }
            None => self.select(self.last_index.min(last), rows, height),
        }
    }

    fn show(&mut self, index: usize, len: usize, height: usize) {
        let height = height.max(1);
        self.offset = self.offset.min(index).max((index + 1).saturating_sub(height)).min(len.saturating_sub(height));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cursor_stays_on_its_row_and_line_when_rows_come_above() {
        let mut nav = Nav::default();
        let mut rows: Vec<u32> = (100..200).collect();
        nav.settle(&rows, 10);
        nav.go(Step::Down(20), &rows, 10);
        assert_eq!((nav.selected, nav.offset), (Some(120), 11));
        rows.splice(0..0, 50..60);
        nav.settle(&rows, 10);
        assert_eq!((nav.selected, nav.offset), (Some(120), 21), "same row, same line of the screen");
        rows.reverse();
        nav.settle(&rows, 10);
        assert_eq!(nav.selected, Some(120));
        assert_eq!(nav.index(&rows).unwrap() - nav.offset, 9, "same line of the screen, sorted anew");
    }

    #[test]
    fn when_the_row_goes_the_neighbour_is_selected() {
        let mut nav = Nav::default();
        nav.settle(&[1, 2, 3], 10);
        nav.go(Step::Bottom, &[1, 2, 3], 10);
        nav.settle(&[1, 2], 10);
        assert_eq!(nav.selected, Some(2));
        nav.settle(&[], 10);
        assert_eq!(nav.selected, None);
    }
}
