//! Open files, and how many of them are kept for those who have to set things right.
//!
//! The kernel gives a new descriptor the lowest number that is free. So the number itself tells how many are open, at no
//! cost: one close to the limit means that there are hardly any left.

use std::sync::atomic::{AtomicU64, Ordering};

static LIMIT: AtomicU64 = AtomicU64::new(0);

/// Says how many files this process may have open.
pub fn set_file_limit(limit: u64) {
    LIMIT.store(limit, Ordering::Relaxed);
}

/// For what a descriptor is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileUse {
    /// Visitors, their tunnels' listeners, hosts, and whoever is not known: everything that comes in numbers.
    Many,
    /// Somebody from a known network who may turn out to be an operator.
    Perhaps,
}

/// Descriptors kept free of everything that comes in numbers: an eighth, from 16 to 512.
#[must_use]
pub fn kept(limit: u64) -> u64 {
    (limit / 8).clamp(16, 512)
}

/// Whether this descriptor is one of those kept for others.
#[must_use]
pub fn is_kept(fd: i32, used_for: FileUse) -> bool {
    is_kept_of(LIMIT.load(Ordering::Relaxed), fd, used_for)
}

fn is_kept_of(limit: u64, fd: i32, used_for: FileUse) -> bool {
    let kept = match used_for {
        FileUse::Many => kept(limit),
        // The last are for the control socket, the journal and the ledger.
        FileUse::Perhaps => kept(limit) / 2,
    };
    // Nobody has said what the limit is.
    limit > 0 && u64::try_from(fd).is_ok_and(|fd| fd >= limit.saturating_sub(kept))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_descriptors_are_kept() {
        let many = |limit, fd| is_kept_of(limit, fd, FileUse::Many);
        assert!(!many(1024, 895) && many(1024, 896));
        assert!(!many(262_144, 261_631) && many(262_144, 261_632));
        assert!(!is_kept_of(1024, 959, FileUse::Perhaps) && is_kept_of(1024, 960, FileUse::Perhaps));
        assert!(!many(0, 1_000_000), "no limit known");
        assert!(!many(1024, -1));
    }
}
