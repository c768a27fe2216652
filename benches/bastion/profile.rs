//! A bulk transfer through our daemon under `perf record`, for `benches/flame`.

use crate::bulk::{Load, Transfer};
use crate::common::ours::Ours;
use crate::common::{Guard, Res, Size, at, eventually};
use crate::peer::{OverSsh, Way};
use crate::rows::CIPHER;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

/// Records this long.
const SECONDS: u64 = 8;

/// Records our daemon's stacks into a file of perf's. The stacks are unwound from the tables that every build has, so that
/// the release binary is profiled as it is.
pub fn record(to: &Path, way: Way, streams: usize) -> Res<()> {
    let ours = Ours::start(Size { hosts: 1, ports_each: 1 }, &[])?;
    let transfer = Transfer::start(&OverSsh(&ours), Load { cipher: CIPHER, clients: 1, streams, way })?;
    let before = transfer.bytes();
    let perf = Command::new("perf")
        .args(["record", "--quiet", "-e", "cpu-clock", "-F", "299", "--call-graph", "dwarf,16384", "-p"])
        .arg(ours.pid().to_string())
        .arg("-o")
        .arg(to)
        .args(["--", "sleep", &SECONDS.to_string()])
        .stdin(Stdio::null())
        .spawn()
        .map_err(at("perf (Debian: linux-perf)"))?;
    let mut perf = Guard(perf);
    eventually("the end of perf record", Duration::from_secs(SECONDS + 60), || !perf.runs())?;
    let moved = (transfer.bytes() - before) as f64 / 1e9;
    eprintln!("{moved:.2} GB {} while perf recorded", way.arrow());
    if perf.0.wait().is_ok_and(|s| s.success()) { Ok(()) } else { Err("perf record failed".to_owned()) }
}
