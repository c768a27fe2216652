//! Whole screens with their styles: below each line of text the runs of it that look alike, as `column-column style`.

use super::lines;
use crate::model::Role;
use crate::ui::caps::{Caps, Depth};
use crate::ui::fixtures::*;
use crate::ui::link::LinkEvent;
use crate::ui::notify::Through;
use crate::ui::state::own::Own;
use crate::ui::state::{State, Zone};
use crate::ui::theme::Themes;
use crate::ui::update;
use crate::ui::view::draw;
use insta::assert_snapshot;
use ratatui::buffer::Buffer;
use ratatui::style::{Color, Modifier};
use std::fmt::Write as _;

/// A colour by its name, its number, or its parts.
fn colour(c: Color) -> String {
    match c {
        Color::Rgb(r, g, b) => format!("#{r:02x}{g:02x}{b:02x}"),
        Color::Indexed(n) => format!("{n}"),
        named => format!("{named:?}").to_lowercase(),
    }
}

fn look(b: &Buffer, x: u16, y: u16) -> String {
    let c = b.cell((x, y)).unwrap();
    let mut out = vec![];
    if c.fg != Color::Reset {
        out.push(colour(c.fg));
    }
    if c.bg != Color::Reset {
        out.push(format!("on {}", colour(c.bg)));
    }
    let added = [(Modifier::BOLD, "bold"), (Modifier::DIM, "dim"), (Modifier::REVERSED, "reverse")];
    let others = [(Modifier::ITALIC, "italic"), (Modifier::UNDERLINED, "underline")];
    out.extend(added.iter().chain(&others).filter(|(m, _)| c.modifier.contains(*m)).map(|(_, w)| (*w).to_owned()));
    out.join(" ")
}

/// Text and styles. What looks like nothing in particular is left out.
fn styled(b: &Buffer) -> String {
    let mut out = String::new();
    for (y, line) in (0..b.area.height).zip(lines(b)) {
        writeln!(out, "{y:>2} {line}").unwrap();
        let mut runs: Vec<(u16, u16, String)> = vec![];
        for x in 0..b.area.width {
            let look = look(b, x, y);
            match runs.last_mut() {
                Some((_, end, same)) if *same == look => *end = x,
                _ => runs.push((x, x, look)),
            }
        }
        let runs: Vec<String> =
            runs.into_iter().filter(|(.., l)| !l.is_empty()).map(|(a, z, l)| format!("{a}-{z} {l}")).collect();
        if !runs.is_empty() {
            writeln!(out, "   {}", runs.join(", ")).unwrap();
        }
    }
    out
}

fn themed(theme: &str, depth: Depth) -> State {
    let caps = Caps { depth, unicode: true, through: Through::Nothing, titled: true };
    let mut s = State::new(t0(), (80, 24), caps, Own::new(Themes::load(None).0, theme, depth, Zone::Utc));
    update::link(&mut s, LinkEvent::Up(alice(Role::Operator)));
    let snap = crate::control::protocol::Snapshot { incidents: Some(incidents()), ..snapshot() };
    update::link(&mut s, LinkEvent::Push(crate::control::protocol::Push::Snapshot(snap)));
    s
}

#[test]
fn triage_with_sixteen_colours() {
    let s = themed("dark", Depth::Ansi16);
    let shown = styled(&draw(&s).buffer);
    assert!(!shown.contains('#'), "a colour that sixteen do not have");
    assert_snapshot!(shown);
}

#[test]
fn tunnels_with_sixteen_colours() {
    let mut s = themed("dark", Depth::Ansi16);
    keys(&mut s, "2jj");
    assert_snapshot!(styled(&draw(&s).buffer));
}

#[test]
fn triage_in_the_light_theme() {
    assert_snapshot!(styled(&draw(&themed("light", Depth::True)).buffer));
}

#[test]
fn tunnels_in_the_light_theme_with_a_question() {
    let mut s = themed("light", Depth::True);
    keys(&mut s, "2jj");
    assert_snapshot!(styled(&draw(&s).buffer));
    s.write_until = Some(s.write_end());
    keys(&mut s, "x");
    assert_snapshot!("a_question_in_the_light_theme", styled(&draw(&s).buffer));
}

#[test]
fn ports_in_the_light_theme_with_sixteen_colours() {
    let mut s = themed("light", Depth::Ansi16);
    keys(&mut s, "3");
    assert_snapshot!(styled(&draw(&s).buffer));
}

/// The other screens, each in both ways: a state that looks like another one would be seen here.
#[test]
fn the_other_screens_in_the_light_theme_and_with_sixteen_colours() {
    for (name, typed) in [("health", "4j"), ("audit", "5"), ("sessions", "6j"), ("changes", "7"), ("detail", "2jj\r")] {
        for (how, theme, depth) in [("light", "light", Depth::True), ("sixteen", "dark", Depth::Ansi16)] {
            let mut s = themed(theme, depth);
            keys(&mut s, typed);
            let shown = styled(&draw(&s).buffer);
            assert!(depth == Depth::True || !shown.contains('#'), "{name}: a colour that sixteen do not have");
            assert_snapshot!(format!("{name}_{how}"), shown);
        }
    }
}
