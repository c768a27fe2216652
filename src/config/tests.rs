//! The configuration as its author meets it: what is read, what is refused and with which words, what a reload changes.

mod diffs;
mod documents;
mod problems;
mod reading;

use super::Config;
use std::path::Path;

pub(super) const PAY_DB: &str =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIO5Ii7KVi6U8TEV+fCgsoDeHx5tnIPQrV2zzCTZVAoYt pay-db";
pub(super) const PAY_WEB: &str =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIEj8WPZbAv3DYSHJyIW0JORUfDMkCbh4Eu067QpkBAOe pay-web";
pub(super) const ALICE: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGGPp6NMGFXGOymFamyXvg3x13d8W78Lr3x1lRN67BQV alice";
pub(super) const ECDSA: &str = "ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBBEIQJpAnmD3hjQAE8M/jzUQh+Z0P7xbfH2VnprdpNM49MY18oYxWZQ8xb4aXzDljhSR6JfWMPI8HFH0PaPqThK0= ec";

/// The text with `@PAY_DB`, `@PAY_WEB`, `@ALICE`, `@ECDSA` replaced by keys, so that a case fits a line.
pub(super) fn filled(text: &str) -> String {
    text.replace("@PAY_DB", PAY_DB).replace("@PAY_WEB", PAY_WEB).replace("@ALICE", ALICE).replace("@ECDSA", ECDSA)
}

/// A configuration that must be good.
pub(super) fn good(text: &str) -> Config {
    match Config::parse(&filled(text), Path::new("/etc/portreeve/portreeve.toml")) {
        Ok(config) => config,
        Err(e) => panic!("{e}"),
    }
}
