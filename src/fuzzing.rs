//! What the fuzz targets of `fuzz/` drive: every parser that reads what somebody else wrote, with what must hold of it.
//!
//! Compiled for them (`--cfg fuzzing`) and for the tests, which run the corpus. Each target takes any bytes and panics when
//! something does not hold; `fuzz/run` has time and memory watched besides.

/// A name, and what takes the bytes.
pub type Target = (&'static str, fn(&[u8]));

/// The targets, by name.
pub const TARGETS: [Target; 9] = [
    // `portreeve.toml`, and a reload from one to another.
    ("config", crate::config::fuzz::config),
    // Lines of keys with their options, networks, certificates.
    ("credentials", credentials),
    // Revocation lists, OpenSSH's binary ones and plain ones.
    ("revoked", crate::config::fuzz::revoked),
    // Frames of the control protocol, as the daemon and as a client reads them, and a connection of them.
    ("control", crate::control::fuzz::control),
    // Bytes of a terminal into keys.
    ("input", crate::ui::fuzz::input),
    // What operators type: filters, targets, times, ports.
    ("filter", crate::ui::fuzz::filter),
    // What a client sends first: its identification and its KEXINIT.
    ("opening", crate::server::fuzz::opening),
    // Files of a journal, of anybody's making: proof, walk, search, recovery.
    ("journal", crate::audit::fuzz::journal),
    // A signed journal, tampered with; and searches of a sound one.
    ("tamper", crate::audit::fuzz::tamper),
];

/// What stands between the parts of an input.
pub(crate) const NEXT: &str = "\n%%\n";

fn credentials(data: &[u8]) {
    crate::config::fuzz::credentials(data);
    crate::server::fuzz::certificate(data);
}

#[cfg(test)]
mod tests {
    use super::TARGETS;
    use std::path::Path;

    /// Each file of the corpus, and what once was found, by each target of its name.
    #[test]
    fn every_input_that_is_kept_holds() {
        let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus");
        for (name, target) in TARGETS {
            let mut inputs: Vec<_> = std::fs::read_dir(corpus.join(name)).unwrap().map(|f| f.unwrap().path()).collect();
            inputs.sort();
            assert!(!inputs.is_empty(), "{name} has no corpus");
            for path in inputs {
                let data = std::fs::read(&path).unwrap();
                let held = std::panic::catch_unwind(|| target(&data));
                assert!(held.is_ok(), "{}", path.display());
            }
        }
    }
}
