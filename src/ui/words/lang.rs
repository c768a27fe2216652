//! The languages, and which of them somebody wants.

/// A language of the console's texts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub enum Lang {
    /// English.
    #[default]
    En,
    /// Korean.
    Ko,
}

impl Lang {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::En, Self::Ko];

    /// Its code (ISO 639-1), as options and settings write it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::En => "en",
            Self::Ko => "ko",
        }
    }

    /// The language of this code.
    #[must_use]
    pub fn parse(code: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|l| l.word() == code)
    }

    /// The language of a locale's name: `ko_KR.UTF-8`, `ko`, `en_GB@euro`. None for `C`, `POSIX` and what is not known.
    fn of_locale(name: &str) -> Option<Self> {
        let code = name.split(['_', '.', '@', '-']).next().unwrap_or_default();
        Self::parse(&code.to_ascii_lowercase())
    }

    /// By the environment: the first of `LC_ALL`, `LC_MESSAGES` and `LANG` that names a language known here; else English.
    pub fn of_env(var: impl Fn(&str) -> Option<String>) -> Self {
        let names = ["LC_ALL", "LC_MESSAGES", "LANG"].into_iter();
        names.filter_map(var).find_map(|v| Self::of_locale(&v)).unwrap_or_default()
    }
}

impl std::fmt::Display for Lang {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.word())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_variable_that_names_a_known_language_decides() {
        let of = |set: &[(&str, &str)]| {
            Lang::of_env(|name| set.iter().find(|(n, _)| *n == name).map(|(_, v)| (*v).to_owned()))
        };
        for (set, lang) in [
            (&[][..], Lang::En),
            (&[("LANG", "ko_KR.UTF-8")], Lang::Ko),
            (&[("LANG", "ko")], Lang::Ko),
            (&[("LANG", "KO_kr")], Lang::Ko),
            (&[("LANG", "C.UTF-8")], Lang::En),
            (&[("LANG", "kok_IN")], Lang::En),
            (&[("LC_ALL", "en_US.UTF-8"), ("LANG", "ko_KR.UTF-8")], Lang::En),
            (&[("LC_MESSAGES", "ko_KR.UTF-8"), ("LANG", "en_US.UTF-8")], Lang::Ko),
            (&[("LC_ALL", ""), ("LANG", "ko_KR.UTF-8")], Lang::Ko),
            (&[("LC_ALL", "C"), ("LANG", "ko_KR.UTF-8")], Lang::Ko),
            (&[("LC_ALL", "de_DE"), ("LC_MESSAGES", "ko_KR")], Lang::Ko),
            (&[("LC_CTYPE", "ko_KR.UTF-8")], Lang::En),
        ] {
            assert_eq!(of(set), lang, "{set:?}");
        }
    }
}
