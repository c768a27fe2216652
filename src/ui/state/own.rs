//! What is this console's own and nobody else's: its settings, theme and zone, and where they are kept.

use super::Zone;
use crate::ui::caps::Depth;
use crate::ui::settings::{Known, Problem, Settings};
use crate::ui::theme::{Palette, Themes};
use crate::ui::words::Lang;

/// See the module.
#[derive(Debug)]
pub(crate) struct Own {
    /// In force.
    pub(crate) set: Settings,
    /// The text they were read from.
    pub(crate) text: String,
    /// What of it cannot be used.
    pub(crate) problems: Vec<Problem>,
    /// The file's name, as it is shown; none when nothing is kept.
    pub(crate) file: Option<String>,
    pub(crate) themes: Themes,
    /// The theme in force, which `:theme` may have changed for this console.
    pub(crate) theme: String,
    /// The theme where the settings name none.
    pub(crate) first_theme: String,
    pub(crate) first_zone: Zone,
    /// The language in force.
    pub(crate) lang: Lang,
    /// The language where the settings name none.
    pub(crate) first_lang: Lang,
    /// There is a folder that files can be written to.
    pub(crate) files: bool,
    /// The mouse is ours now, not the terminal's.
    pub(crate) mouse: bool,
    depth: Depth,
}

impl Own {
    pub(crate) fn new(themes: Themes, theme: &str, depth: Depth, zone: Zone) -> Self {
        Self {
            set: Settings::default(),
            text: String::new(),
            problems: vec![],
            file: None,
            themes,
            theme: theme.to_owned(),
            first_theme: theme.to_owned(),
            first_zone: zone,
            lang: Lang::default(),
            first_lang: Lang::default(),
            files: false,
            mouse: false,
            depth,
        }
    }

    /// The styles in force. A theme that has gone away since is `dark` again.
    pub(crate) fn palette(&self) -> Palette {
        let named = |name: &str| self.themes.palette(name, self.depth);
        named(&self.theme).or_else(|| named("dark")).unwrap_or_default()
    }

    pub(crate) fn known(&self) -> Known {
        Known { themes: self.themes.names().map(str::to_owned).collect(), lang: self.lang }
    }
}
