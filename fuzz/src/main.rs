//! One program for all fuzz targets: `FUZZ_TARGET` names the one that is run. See `fuzz/run`.

#![no_main]

use std::sync::LazyLock;

static TARGET: LazyLock<fn(&[u8])> = LazyLock::new(|| {
    let targets = portreeve::fuzzing::TARGETS;
    let name = std::env::var("FUZZ_TARGET").unwrap_or_default();
    let found = targets.iter().find(|(n, _)| *n == name).map(|(_, target)| *target);
    found.unwrap_or_else(|| {
        let names: Vec<_> = targets.iter().map(|(n, _)| *n).collect();
        eprintln!("FUZZ_TARGET={name:?}: it must be one of {}", names.join(", "));
        std::process::exit(2)
    })
});

libfuzzer_sys::fuzz_target!(|data: &[u8]| TARGET(data));
