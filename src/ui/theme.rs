//! Themes: what colour each role has. TOML files name colours; a session gets them reduced to what it can show.

use super::UiError;
use super::caps::Depth;
use ratatui::style::{Color, Modifier, Style};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::Path;

/// The themes that come with portreeve.
const BUILT_IN: [(&str, &str); 4] = [
    ("dark", include_str!("../../themes/dark.toml")),
    ("light", include_str!("../../themes/light.toml")),
    ("high-contrast", include_str!("../../themes/high-contrast.toml")),
    ("mono", include_str!("../../themes/mono.toml")),
];

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    /// One line about it.
    #[serde(default)]
    #[allow(dead_code)]
    about: String,
    roles: Roles<Look>,
}

/// How one role looks.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Look {
    /// `#rrggbb`, one of the sixteen names, or `default`.
    fg: Option<String>,
    bg: Option<String>,
    /// Instead, where there are sixteen colours only.
    fg16: Option<String>,
    bg16: Option<String>,
    add: Vec<Attribute>,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Attribute {
    Bold,
    Dim,
    Italic,
    Underline,
    Reverse,
}

/// One value for each role. A theme that leaves one out is refused.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Roles<T> {
    /// What is read.
    pub(crate) text: T,
    /// What is there if looked for.
    pub(crate) dim: T,
    /// What belongs to the console itself: the current screen, keys, the cursor.
    pub(crate) accent: T,
    /// Column and section titles.
    pub(crate) title: T,
    pub(crate) ok: T,
    pub(crate) warn: T,
    pub(crate) bad: T,
    pub(crate) info: T,
    /// The selected row.
    pub(crate) selection: T,
    pub(crate) border: T,
    /// What must not be overlooked.
    pub(crate) notice: T,
    /// Everything, while there is no connection.
    pub(crate) stale: T,
    /// The header's line.
    pub(crate) header: T,
}

/// Styles of a session.
pub(crate) type Palette = Roles<Style>;

impl<T> Roles<T> {
    fn try_map<U, E>(&self, mut f: impl FnMut(&T) -> Result<U, E>) -> Result<Roles<U>, E> {
        Ok(Roles {
            text: f(&self.text)?,
            dim: f(&self.dim)?,
            accent: f(&self.accent)?,
            title: f(&self.title)?,
            ok: f(&self.ok)?,
            warn: f(&self.warn)?,
            bad: f(&self.bad)?,
            info: f(&self.info)?,
            selection: f(&self.selection)?,
            border: f(&self.border)?,
            notice: f(&self.notice)?,
            stale: f(&self.stale)?,
            header: f(&self.header)?,
        })
    }
}

/// All themes at hand, by name.
#[derive(Debug, Clone)]
pub(crate) struct Themes(BTreeMap<String, Roles<Look>>);

impl Themes {
    /// Those built in, and those of the folder's `*.toml` files, which may replace them. A file that is no theme is
    /// said, and left out. A folder that is not there is empty.
    pub(crate) fn load(folder: Option<&Path>) -> (Self, Vec<String>) {
        let mut themes = BTreeMap::new();
        let mut problems = vec![];
        for (name, text) in BUILT_IN {
            match parse(name, text) {
                Ok(roles) => drop(themes.insert(name.to_owned(), roles)),
                Err(e) => problems.push(e.to_string()),
            }
        }
        let files = folder.into_iter().flat_map(|f| std::fs::read_dir(f).into_iter().flatten().flatten());
        let mut paths: Vec<_> =
            files.map(|f| f.path()).filter(|p| p.extension().is_some_and(|e| e == "toml")).collect();
        paths.sort();
        for path in paths {
            let Some(name) = path.file_stem().map(|s| s.to_string_lossy().into_owned()) else { continue };
            let fail = |e: std::io::Error| UiError::Theme { theme: path.display().to_string(), why: e.to_string() };
            let text = std::fs::read_to_string(&path).map_err(fail);
            match text.and_then(|text| parse(&path.display().to_string(), &text)) {
                Ok(roles) => drop(themes.insert(name, roles)),
                Err(e) => problems.push(e.to_string().replace('\n', " ")),
            }
        }
        (Self(themes), problems)
    }

    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// The styles of a theme at a session's depth. Without colours every theme is `mono`: weight has to do it all.
    pub(crate) fn palette(&self, name: &str, depth: Depth) -> Option<Palette> {
        let asked = self.0.get(name)?;
        let roles = if depth == Depth::Mono { self.0.get("mono").unwrap_or(asked) } else { asked };
        roles.try_map(|look| style(look, depth)).ok()
    }
}

fn parse(theme: &str, text: &str) -> Result<Roles<Look>, UiError> {
    let fail = |why: String| UiError::Theme { theme: theme.to_owned(), why };
    let file: File = toml::from_str(text).map_err(|e| fail(e.to_string()))?;
    file.roles.try_map(|look| style(look, Depth::True).and(style(look, Depth::Ansi16))).map_err(fail)?;
    Ok(file.roles)
}

fn style(look: &Look, depth: Depth) -> Result<Style, String> {
    let pick = |full: &Option<String>, few: &Option<String>| -> Result<Option<Color>, String> {
        let text = if depth == Depth::Ansi16 { few.as_ref().or(full.as_ref()) } else { full.as_ref() };
        let colour = text.map(|t| colour(t)).transpose()?;
        Ok(colour.filter(|_| depth != Depth::Mono).map(|c| reduce(c, depth)))
    };
    let (fg, bg) = (pick(&look.fg, &look.fg16)?, pick(&look.bg, &look.bg16)?);
    let mut s = Style { fg, bg, ..Style::default() };
    for a in &look.add {
        s = s.add_modifier(match a {
            Attribute::Bold => Modifier::BOLD,
            Attribute::Dim => Modifier::DIM,
            Attribute::Italic => Modifier::ITALIC,
            Attribute::Underline => Modifier::UNDERLINED,
            Attribute::Reverse => Modifier::REVERSED,
        });
    }
    Ok(s)
}

/// The sixteen, in ANSI's order, and about how they look.
const SIXTEEN: [(&str, Color, (u8, u8, u8)); 16] = [
    ("black", Color::Black, (0, 0, 0)),
    ("red", Color::Red, (205, 0, 0)),
    ("green", Color::Green, (0, 205, 0)),
    ("yellow", Color::Yellow, (205, 205, 0)),
    ("blue", Color::Blue, (0, 0, 238)),
    ("magenta", Color::Magenta, (205, 0, 205)),
    ("cyan", Color::Cyan, (0, 205, 205)),
    ("gray", Color::Gray, (229, 229, 229)),
    ("dark-gray", Color::DarkGray, (127, 127, 127)),
    ("light-red", Color::LightRed, (255, 0, 0)),
    ("light-green", Color::LightGreen, (0, 255, 0)),
    ("light-yellow", Color::LightYellow, (255, 255, 0)),
    ("light-blue", Color::LightBlue, (92, 92, 255)),
    ("light-magenta", Color::LightMagenta, (255, 0, 255)),
    ("light-cyan", Color::LightCyan, (0, 255, 255)),
    ("white", Color::White, (255, 255, 255)),
];

fn colour(text: &str) -> Result<Color, String> {
    if text == "default" {
        return Ok(Color::Reset);
    }
    if let Some((_, c, _)) = SIXTEEN.iter().find(|(name, ..)| *name == text) {
        return Ok(*c);
    }
    text.strip_prefix('#')
        .filter(|hex| hex.len() == 6)
        .and_then(|hex| u32::from_str_radix(hex, 16).ok())
        .map(|n| {
            let [_, r, g, b] = n.to_be_bytes();
            Color::Rgb(r, g, b)
        })
        .ok_or_else(|| format!("{text:?} is not a colour: write #rrggbb, a name such as light-blue, or default"))
}

fn distance(a: (u8, u8, u8), b: (u8, u8, u8)) -> u32 {
    let d = |x: u8, y: u8| u32::from(x.abs_diff(y)).pow(2);
    // Eyes tell greens apart best and blues worst.
    2 * d(a.0, b.0) + 4 * d(a.1, b.1) + 3 * d(a.2, b.2)
}

fn reduce(c: Color, depth: Depth) -> Color {
    let Color::Rgb(r, g, b) = c else { return c };
    match depth {
        Depth::True => c,
        Depth::Mono => Color::Reset,
        Depth::Ansi16 => {
            SIXTEEN.iter().min_by_key(|(_, _, rgb)| distance(*rgb, (r, g, b))).map_or(Color::Reset, |(_, c, _)| *c)
        }
        Depth::Ansi256 => {
            const STEPS: [u8; 6] = [0, 95, 135, 175, 215, 255];
            let near = |v: u8| (0_u8..).zip(STEPS).min_by_key(|(_, s)| s.abs_diff(v)).unwrap_or((0, 0));
            let ((ri, rv), (gi, gv), (bi, bv)) = (near(r), near(g), near(b));
            let cube = (16 + 36 * ri + 6 * gi + bi, distance((rv, gv, bv), (r, g, b)));
            let grey = (0_u8..24)
                .map(|i| (232 + i, distance((8 + 10 * i, 8 + 10 * i, 8 + 10 * i), (r, g, b))))
                .min_by_key(|(_, d)| *d)
                .unwrap_or(cube);
            Color::Indexed(if grey.1 < cube.1 { grey.0 } else { cube.0 })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_built_in_theme_defines_every_role_at_every_depth() {
        let themes = Themes::load(None).0;
        assert_eq!(themes.names().collect::<Vec<_>>(), ["dark", "high-contrast", "light", "mono"]);
        for name in ["dark", "high-contrast", "light", "mono"] {
            for depth in [Depth::Mono, Depth::Ansi16, Depth::Ansi256, Depth::True] {
                let p = themes.palette(name, depth).unwrap();
                // What must be told apart is, even without colour.
                assert_ne!(p.bad, p.ok, "{name} {depth:?}");
                assert_ne!(p.selection, p.text, "{name} {depth:?}");
                assert_ne!(p.notice, p.text, "{name} {depth:?}");
                let rgb = |c: Option<Color>| matches!(c, Some(Color::Rgb(..)));
                assert!(depth == Depth::True || !rgb(p.bad.fg), "{name} {depth:?}");
                assert!(depth != Depth::Mono || (p.bad.fg.is_none() && p.selection.bg.is_none()));
            }
        }
    }

    #[test]
    fn a_theme_with_a_role_missing_or_a_colour_misspelt_is_refused_and_named() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("mine.toml"), "[roles]\ntext = {}\n").unwrap();
        let e = Themes::load(Some(dir.path())).1.join("");
        assert!(e.contains("mine.toml") && e.contains("missing field"), "{e}");
        let text = BUILT_IN[0].1.replacen("fg = \"", "fg = \"x", 1);
        std::fs::write(dir.path().join("mine.toml"), text).unwrap();
        let e = Themes::load(Some(dir.path())).1.join("");
        assert!(e.contains("is not a colour"), "{e}");
    }

    #[test]
    fn a_theme_of_the_folder_replaces_the_one_built_in() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("dark.toml"), BUILT_IN[1].1).unwrap();
        let mine = Themes::load(Some(dir.path())).0;
        let light = Themes::load(None).0.palette("light", Depth::True).unwrap();
        assert_eq!(mine.palette("dark", Depth::True).unwrap().accent, light.accent);
    }

    #[test]
    fn colours_come_near() {
        assert_eq!(reduce(Color::Rgb(255, 0, 0), Depth::Ansi256), Color::Indexed(196));
        assert_eq!(reduce(Color::Rgb(8, 8, 8), Depth::Ansi256), Color::Indexed(232));
        assert_eq!(reduce(Color::Rgb(250, 5, 5), Depth::Ansi16), Color::LightRed);
    }
}
