//! What the process takes from itself before it has any secret.

use nix::sys::stat::{Mode, umask};

/// Set to anything, the daemon can be dumped and traced: for debugging, and nothing else.
const DUMPABLE: &str = "PORTREEVE_DUMPABLE";

/// No file that others can read, unless its mode is set.
pub(super) fn keep_files_private() {
    umask(Mode::from_bits_truncate(0o077));
}

/// No core with the host keys in it, and no debugger of the same account.
pub(super) fn forbid_dumps() {
    if std::env::var_os(DUMPABLE).is_some() {
        tracing::warn!("{DUMPABLE} is set: host keys and sessions' keys can be read out of this process");
        return;
    }
    if let Err(error) = nix::sys::prctl::set_dumpable(false) {
        tracing::warn!(%error, "the process stays dumpable");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // Each test is a process of its own.
    #[test]
    fn the_process_cannot_be_dumped_and_its_files_are_its_own() {
        assert!(nix::sys::prctl::get_dumpable().unwrap());
        keep_files_private();
        forbid_dumps();
        assert!(!nix::sys::prctl::get_dumpable().unwrap());
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x");
        std::fs::write(&path, "x").unwrap();
        let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&path).unwrap().permissions());
        assert_eq!(mode & 0o777, 0o600);
    }
}
