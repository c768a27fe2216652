//! Tables of which only the rows on the screen are made.

use super::canvas::{Canvas, Span};
use crate::ui::state::spots::Target;
use crate::ui::text;
use crate::ui::words::Lang;
use ratatui::layout::Rect;

/// One column.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Column {
    /// What the settings call it.
    pub(crate) name: &'static str,
    pub(crate) title: Title,
    /// Columns it takes at least.
    pub(crate) min: u16,
    /// Columns it can make use of.
    pub(crate) max: u16,
    pub(crate) right: bool,
    /// The lowest goes first when there is no room; zero stays.
    pub(crate) spare: u8,
}

/// The columns of this screen's list by their places: all in their own order, or those that the settings name, in theirs.
fn chosen(c: &Canvas<'_>, columns: &[Column]) -> Vec<usize> {
    let Some(names) = c.state.own.set.columns.get(&c.state.screen) else { return (0..columns.len()).collect() };
    let places: Vec<usize> = names.iter().filter_map(|n| columns.iter().position(|c| c.name == *n)).collect();
    if places.is_empty() { (0..columns.len()).collect() } else { places }
}

/// A text's title in every language.
pub(crate) type Title = fn(Lang) -> &'static str;

pub(crate) const fn col(name: &'static str, title: Title, min: u16, max: u16, spare: u8) -> Column {
    Column { name, title, min, max, right: false, spare }
}
pub(crate) const fn num(name: &'static str, title: Title, width: u16, spare: u8) -> Column {
    Column { name, title, min: width, max: width, right: true, spare }
}

/// Width of each column, 0 for those left out.
pub(crate) fn widths(columns: &[Column], room: u16) -> Vec<u16> {
    let mut shown: Vec<bool> = columns.iter().map(|_| true).collect();
    let need = |shown: &[bool]| -> u16 {
        columns.iter().zip(shown).filter(|(_, s)| **s).map(|(c, _)| c.min + 1).sum::<u16>().saturating_sub(1)
    };
    while need(&shown) > room {
        let victim = (0..columns.len())
            .filter(|i| shown.get(*i) == Some(&true))
            .filter_map(|i| columns.get(i).filter(|c| c.spare > 0).map(|c| (c.spare, i)))
            .max();
        let Some((_, i)) = victim else { break };
        if let Some(s) = shown.get_mut(i) {
            *s = false;
        }
    }
    let mut spare = room.saturating_sub(need(&shown));
    // Where those that stay are too much, each gets what is left of the room: the last is cut, and says so.
    let mut left = room;
    columns
        .iter()
        .zip(&shown)
        .map(|(c, s)| {
            if !s {
                return 0;
            }
            let extra = spare.min(c.max - c.min);
            spare -= extra;
            let width = (c.min + extra).min(left);
            left = left.saturating_sub(width + 1);
            width
        })
        .collect()
}

/// Which rows there are and which is selected.
pub(crate) struct Rows {
    pub(crate) len: usize,
    pub(crate) offset: usize,
    pub(crate) selected: Option<usize>,
    /// Whether the list has the keys.
    pub(crate) focus: bool,
}

/// Draws titles and as many rows as there is room for; `cells` makes row `i`.
pub(crate) fn draw<'a>(
    c: &mut Canvas<'a>,
    area: Rect,
    columns: &[Column],
    marked: Option<(&str, &str)>,
    rows: &Rows,
    mut cells: impl FnMut(&mut Canvas<'a>, usize) -> Vec<Span>,
) {
    if area.height == 0 || area.width < 3 {
        return;
    }
    // One column for the cursor: the selection is not told by colour alone.
    let inner = Rect { x: area.x + 1, width: area.width - 1, ..area };
    let order = chosen(c, columns);
    let columns: Vec<Column> = order.iter().filter_map(|i| columns.get(*i)).copied().collect();
    let widths = widths(&columns, inner.width);
    let mut x = inner.x;
    let (title, accent) = (c.pal.title, c.pal.accent);
    for (column, w) in columns.iter().zip(&widths).filter(|(_, w)| **w > 0) {
        let mark = marked.filter(|(name, _)| *name == column.name).map(|(_, arrow)| arrow);
        let style = if mark.is_some() { accent } else { title };
        let head = format!("{}{}", (column.title)(c.lang()), mark.unwrap_or_default());
        c.put(inner, x, area.y, &text::fit(&head, usize::from(*w), column.right), style);
        x += w + 1;
    }
    let (selection, cursor) = (c.pal.selection, c.glyph("▸", ">"));
    let room = usize::from(area.height - 1);
    for (y, i) in (area.y + 1..).zip(rows.offset..rows.len.min(rows.offset.saturating_add(room))) {
        c.rows_drawn += 1;
        c.spot(Rect { y, height: 1, ..area }, Target::Row(i));
        let spans = cells(c, i);
        let mut x = inner.x;
        for ((column, w), place) in columns.iter().zip(&widths).zip(&order) {
            let Some((s, style)) = spans.get(*place) else { continue };
            if *w > 0 {
                c.put(inner, x, y, &text::fit(s, usize::from(*w), column.right), *style);
                x += w + 1;
            }
        }
        if rows.selected == Some(i) {
            let line = Rect { y, height: 1, ..area };
            if rows.focus {
                c.tint(line, selection);
            }
            let style = if rows.focus { selection } else { accent };
            c.put(line, area.x, y, cursor, style);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_give_way_by_rank_and_share_what_is_left() {
        let columns = [col("a", |_| "A", 5, 20, 0), num("b", |_| "B", 5, 2), num("c", |_| "C", 5, 1)];
        assert_eq!(widths(&columns, 40), [20, 5, 5]);
        assert_eq!(widths(&columns, 17), [5, 5, 5]);
        assert_eq!(widths(&columns, 16), [10, 0, 5]);
        assert_eq!(widths(&columns, 3), [3, 0, 0], "no wider than there is room");
    }
}
