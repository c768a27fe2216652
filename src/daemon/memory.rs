//! How the C library's allocator gives memory back.
//!
//! glibc returns the top of its heap to the kernel as soon as 128 KiB of it are free. The SSH library allocates and frees
//! a packet's worth for every packet, so under bulk that happens thousands of times a second, and each time the pages
//! are faulted in again: up to a third of the time of a transfer. jemalloc and mimalloc gained nothing over this.
//!
//! What a busy time leaves behind is given back when it is over: buffers of transfers, and the holes that thousands of key
//! exchanges leave among the sessions that stay.

use crate::control::metrics::cpu_time;
use std::time::Duration;

/// How often the daemon looks at how busy it was.
const LOOK: Duration = Duration::from_secs(10);
/// Share of one core above which it was busy, and below which it is calm.
const BUSY: f64 = 0.05;

/// Free memory at the top of a heap that is kept, bytes.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const TRIM_THRESHOLD: libc::c_int = 64 << 20;
/// Asked of the kernel beyond what is needed, bytes.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const TOP_PAD: libc::c_int = 1 << 20;
/// Larger pieces come from the kernel one by one and go back to it at once, bytes.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const MMAP_THRESHOLD: libc::c_int = 4 << 20;

/// Makes the allocator keep what a transfer will want again in a moment. To be called before threads are started.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
pub(super) fn keep_what_is_freed() {
    for (parameter, value) in
        [(libc::M_TRIM_THRESHOLD, TRIM_THRESHOLD), (libc::M_TOP_PAD, TOP_PAD), (libc::M_MMAP_THRESHOLD, MMAP_THRESHOLD)]
    {
        // SAFETY: mallopt(3) takes two integers and touches nothing but the allocator's own parameters, under the
        // allocator's lock. There is no safe binding and no other way from inside a process (the environment variable
        // GLIBC_TUNABLES is read before `main`).
        #[allow(unsafe_code)]
        let taken = unsafe { libc::mallopt(parameter, value) };
        if taken == 0 {
            tracing::debug!(parameter, value, "the allocator does not take this parameter");
        }
    }
}

/// Other C libraries have other allocators.
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
pub(super) fn keep_what_is_freed() {}

/// Gives memory back whenever a busy time is over; never ends.
pub(super) async fn give_back_when_calm() {
    let mut every = tokio::time::interval(LOOK);
    every.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut swing = Swing::default();
    loop {
        let at = every.tick().await;
        if swing.over(at.into_std(), cpu_time()) {
            // On a thread of its own: with much memory this takes some milliseconds.
            let _ = tokio::task::spawn_blocking(give_back).await;
        }
    }
}

/// Tells when a busy time is over.
#[derive(Debug, Default)]
struct Swing {
    last: Option<(std::time::Instant, Duration)>,
    busy: bool,
}

impl Swing {
    /// Whether a busy time has ended by `at`, when `used` is all processor time used so far.
    fn over(&mut self, at: std::time::Instant, used: Duration) -> bool {
        let Some((before, had)) = self.last.replace((at, used)) else { return false };
        let past = at.saturating_duration_since(before).as_secs_f64();
        let share = used.saturating_sub(had).as_secs_f64() / past.max(0.001);
        let was = std::mem::replace(&mut self.busy, share > BUSY);
        was && !self.busy
    }
}

#[cfg(all(target_os = "linux", target_env = "gnu"))]
fn give_back() {
    let began = std::time::Instant::now();
    // SAFETY: malloc_trim(3) may be called at any time from any thread: it takes the lock of each heap and gives only
    // free pages back. There is no safe binding.
    #[allow(unsafe_code)]
    let some = unsafe { libc::malloc_trim(0) } == 1;
    tracing::debug!(some, took = ?began.elapsed(), "calm again: free memory given back");
}

#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
fn give_back() {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_busy_time_is_over_once_and_calm_is_no_reason_for_anything() {
        let began = std::time::Instant::now();
        let mut swing = Swing::default();
        let mut used = Duration::ZERO;
        let told: Vec<bool> = [0, 100, 900, 2_000, 600, 100, 0, 501, 499, 10]
            .into_iter()
            .zip(1..)
            .map(|(ms, n)| {
                used += Duration::from_millis(ms);
                swing.over(began + LOOK * n, used)
            })
            .collect();
        let expected = [false, false, false, false, false, true, false, false, true, false];
        assert_eq!(told, expected);
    }

    #[test]
    fn the_time_used_rises_with_work() {
        let before = cpu_time();
        let until = std::time::Instant::now() + Duration::from_millis(30);
        while std::time::Instant::now() < until {
            std::hint::black_box(0);
        }
        assert!(cpu_time() > before);
        give_back();
    }
}
