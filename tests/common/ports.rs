//! Free ports for tests that run at the same time, in processes of their own.

use std::collections::hash_map::RandomState;
use std::fs::File;
use std::hash::{BuildHasher, Hasher};
use std::net::{Ipv4Addr, Ipv6Addr, TcpListener};
use std::ops::Range;

/// Below the range from which the kernel takes the local ports of outgoing connections (32768 on Linux).
const ALL: Range<u16> = 20_000..32_000;
/// Ports of one block.
pub const BLOCK: u16 = 24;

/// A block of free ports, ours until dropped: a lock tells other tests, and nobody listened on any of them.
pub struct Ports {
    first: u16,
    _lock: File,
}

impl Ports {
    /// Takes a block.
    #[track_caller]
    pub fn take() -> Self {
        let dir = std::env::temp_dir().join(format!("portreeve-test-ports-{}", nix::unistd::geteuid()));
        std::fs::create_dir_all(&dir).unwrap();
        let blocks = (ALL.end - ALL.start) / BLOCK;
        let start = u16::try_from(RandomState::new().build_hasher().finish() % u64::from(blocks)).unwrap();
        for n in (0..blocks).map(|n| (start + n) % blocks) {
            let first = ALL.start + n * BLOCK;
            let lock = File::create(dir.join(first.to_string())).unwrap();
            if lock.try_lock().is_ok() && (first..first + BLOCK).all(is_free) {
                return Self { first, _lock: lock };
            }
        }
        panic!("no block of {BLOCK} free ports in {ALL:?}");
    }

    /// The port of this number in the block.
    #[track_caller]
    pub fn get(&self, n: u16) -> u16 {
        assert!(n < BLOCK);
        self.first + n
    }
}

/// Whether nobody listens on it, on any address.
pub fn is_free(port: u16) -> bool {
    TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).is_ok() && {
        // A machine without IPv6 has nobody there either.
        TcpListener::bind((Ipv6Addr::LOCALHOST, port))
            .map_or_else(|e| e.kind() != std::io::ErrorKind::AddrInUse, |_| true)
    }
}
