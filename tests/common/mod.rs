//! The harness of the integration tests: the real daemon on free ports, real OpenSSH clients, real services.
//!
//! Nothing sleeps and no port is fixed. What can be waited for is waited for (a line of output, an event of the journal);
//! for the rest there is [`eventually`].

// Each test module uses a part of it.
#![allow(dead_code)]

pub mod bastion;
pub mod ca;
pub mod culprits;
pub mod disk;
pub mod incidents;
pub mod lines;
pub mod load;
pub mod meter;
pub mod mutate;
pub mod ports;
pub mod services;
pub mod ssh;
pub mod stream;
pub mod supervised;
pub mod terminal;
pub mod wire;

use std::process::{Child, ExitStatus};
use std::time::{Duration, Instant};

/// How long anything that should happen soon may take on a loaded machine.
pub const SOON: Duration = Duration::from_secs(20);

/// Waits until the condition holds; for things that no event announces.
#[track_caller]
pub fn eventually(what: &str, timeout: Duration, mut condition: impl FnMut() -> bool) -> Duration {
    let began = Instant::now();
    while !condition() {
        assert!(began.elapsed() < timeout, "not within {timeout:?}: {what}");
        std::thread::park_timeout(Duration::from_millis(5));
    }
    began.elapsed()
}

/// Waits for the end of a process.
#[track_caller]
pub fn wait_exit(child: &mut Child, what: &str, timeout: Duration) -> ExitStatus {
    let mut status = None;
    eventually(&format!("the end of {what}"), timeout, || {
        status = child.try_wait().unwrap();
        status.is_some()
    });
    status.unwrap()
}

/// Sends a signal to a process of ours.
#[track_caller]
pub fn signal(child: &Child, signal: nix::sys::signal::Signal) {
    let pid = nix::unistd::Pid::from_raw(i32::try_from(child.id()).unwrap());
    nix::sys::signal::kill(pid, signal).unwrap();
}

/// Ends a process at once and takes its status. Harmless when it has ended already.
pub fn end(child: &mut Child) {
    let _ = child.kill();
    let _ = child.wait();
}
