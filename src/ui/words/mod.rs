//! What the console says, in every language it has: the texts of `locales/`, made into code by `build.rs`.
//!
//! A message is said by `tr!(lang, section.name, place = value)`. Its places are given by name, each once and none besides;
//! a text that a language lacks, or that nobody says, does not compile without a complaint.

pub(crate) mod action;
pub(crate) mod behind;
pub(crate) mod cause;
pub(crate) mod evidence;
mod lang;
pub(crate) mod model;
pub(crate) mod obituary;
pub(crate) mod rule;

pub use lang::Lang;

use std::fmt::Display;

/// A number that has a form of its own for one, in the languages that tell one from many.
pub(crate) trait Count: Display {
    fn is_one(&self) -> bool;
}

macro_rules! counts {
    ($($t:ty),*) => {
        $(impl Count for $t {
            fn is_one(&self) -> bool {
                *self == 1
            }
        })*
    };
}
counts!(usize, u64, u32, i64);

/// A message in a language: `tr!(lang, section.name)`, `tr!(lang, section.name, place = value, place)`.
macro_rules! tr {
    (@ $place:ident) => { &$place };
    (@ $place:ident $value:expr) => { &$value };
    ($lang:expr, $section:ident . $name:ident $(, $place:ident $(= $value:expr)?)* $(,)?) => {
        $crate::ui::words::made::$section::$name { $($place: $crate::ui::words::tr!(@ $place $($value)?)),* }.text($lang)
    };
}
pub(crate) use tr;

#[allow(non_camel_case_types, unused_imports, clippy::needless_lifetimes)]
pub(crate) mod made {
    use super::{Count, Display, Lang};
    include!(concat!(env!("OUT_DIR"), "/words.rs"));
}
