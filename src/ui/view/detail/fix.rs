//! How the host brings its tunnels up: what to put where, ready to be copied.

use crate::control::howto::{self, Format, HowTo};
use crate::ui::state::live::Row;
use crate::ui::text;
use crate::ui::view::canvas::Canvas;
use crate::ui::words::tr;
use ratatui::layout::Rect;

pub(super) fn draw(c: &mut Canvas<'_>, area: Rect, row: &Row, focus: bool) {
    let (dim, plain, accent, warn, bad) = (c.pal.dim, c.pal.text, c.pal.accent, c.pal.warn, c.pal.bad);
    let known = c.state.tabs.howto.as_ref().filter(|(host, _)| host == row.host());
    let howto = match known {
        None => {
            let l = c.lang();
            let asking = match focus {
                true => tr!(l, detail.asking_howto).to_owned(),
                false => tr!(l, detail.open_howto, open = c.key("open")),
            };
            c.put(area, area.x, area.y, &asking, dim);
            return;
        }
        Some((_, Err(why))) => {
            let why = why.clone();
            for (y, line) in (area.y..area.bottom()).zip(text::wrap(&why, usize::from(area.width))) {
                c.put(area, area.x, y, &line, bad);
            }
            return;
        }
        Some((_, Ok(h))) => h.clone(),
    };
    let chosen = c.state.tabs.form();
    let mut y = area.y;
    if area.height >= 14 {
        for f in Format::ALL {
            let here = f == chosen;
            let mark = if here { c.glyph("▸", ">") } else { " " };
            let line = vec![
                (format!("{mark}{}", text::fit(f.word(), 12, false)), if here { accent } else { plain }),
                (text::cut(place(c, f), usize::from(area.width).saturating_sub(13)), dim),
            ];
            c.line(area, y, &line);
            y += 1;
        }
        y += 1;
    } else {
        let others: Vec<&str> = Format::ALL.into_iter().filter(|f| *f != chosen).map(Format::word).collect();
        let mark = c.glyph("▸", ">");
        c.line(area, y, &[(format!("{mark}{} ", chosen.word()), accent), (format!("j k: {}", others.join(" ")), dim)]);
        y += 1;
    }
    let width = usize::from(area.width);
    let mut lines = vec![];
    let text_of = broken(&howto.text(chosen), chosen, width);
    lines.extend(text_of.into_iter().map(|l| (l, accent)));
    lines.push((String::new(), plain));
    lines.push((
        tr!(c.lang(), detail.howto_keys, copy = c.key("copy"), copy_command = c.key("copy-command")).to_owned(),
        dim,
    ));
    for remark in remarks(c, &howto) {
        lines.extend(text::wrap(&remark, width).into_iter().map(|l| (l, warn)));
    }
    let rest = Rect { y, height: area.bottom().saturating_sub(y), ..area };
    let room = usize::from(rest.height);
    c.scroll_max = lines.len().saturating_sub(room);
    let scroll = c.state.detail_scroll.min(c.scroll_max);
    for (y, (line, style)) in (rest.y..rest.bottom()).zip(lines.iter().skip(scroll)) {
        c.put(rest, rest.x, y, &text::cut(line, width), *style);
    }
    if scroll < c.scroll_max && room > 1 {
        let n = c.scroll_max - scroll + 1;
        let more = format!(
            "{} {}",
            c.glyph("▼", "v"),
            tr!(c.lang(), detail.more_lines_key, n, page_down = c.key("page-down"))
        );
        c.put(rest, rest.x, rest.bottom().saturating_sub(1), &text::fit(&more, width, false), dim);
    }
}

/// Where it is put.
fn place(c: &Canvas<'_>, f: Format) -> &'static str {
    match f {
        Format::Ssh => tr!(c.lang(), detail.place_ssh),
        file => file.place(),
    }
}

/// What to look at before it is used; [`HowTo::remarks`] has the same for the command line.
fn remarks(c: &Canvas<'_>, h: &HowTo) -> Vec<String> {
    let l = c.lang();
    let mut out = vec![];
    if !h.keys.is_empty() {
        out.push(tr!(l, detail.howto_key, host = h.host, keys = h.keys.join(tr!(l, detail.key_or))));
    }
    for f in &h.forwards {
        out.extend(match (&f.service, f.local, f.port) {
            (Some(service), None, Some(port)) => {
                Some(tr!(l, detail.howto_service, port, service, unknown = howto::UNKNOWN))
            }
            (Some(service), None, None) => Some(tr!(l, detail.howto_service_any, service, unknown = howto::UNKNOWN)),
            (_, Some(local), Some(port)) if f.guessed => Some(tr!(l, detail.howto_guess, port, local)),
            (_, Some(local), None) if f.guessed => Some(tr!(l, detail.howto_guess_any, local)),
            _ => None,
        });
    }
    out
}

/// A command is broken so that it can be copied from the screen too; a file's lines stand as they are.
fn broken(text_of: &str, format: Format, width: usize) -> Vec<String> {
    match format {
        Format::Ssh => text::wrap_shell(text_of.trim_end(), width),
        Format::Config | Format::Systemd | Format::KnownHosts => text_of.lines().map(str::to_owned).collect(),
    }
}
