//! Turns the texts of `locales/` into code: one type a message, so that a text that is missing in a language, or whose
//! parameters differ, does not compile. Nothing else is built here.

#[path = "build/catalogue.rs"]
mod catalogue;

use std::path::Path;
use std::process::exit;

fn main() {
    println!("cargo:rerun-if-changed=locales");
    println!("cargo:rerun-if-changed=build/catalogue.rs");
    let root = std::env::var_os("CARGO_MANIFEST_DIR").unwrap_or_default();
    let out = std::env::var_os("OUT_DIR").unwrap_or_default();
    let made = catalogue::read(&Path::new(&root).join("locales")).and_then(|texts| catalogue::code(&texts));
    let written = made.and_then(|code| {
        std::fs::write(Path::new(&out).join("words.rs"), code).map_err(|e| vec![format!("words.rs: {e}")])
    });
    if let Err(problems) = written {
        for p in problems {
            println!("cargo::error={p}");
        }
        exit(1);
    }
}
