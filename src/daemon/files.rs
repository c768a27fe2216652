//! The limit of open files: a session costs a descriptor, a tunnel one for each address it listens on, a visitor one.

use crate::config::Config;
use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// Descriptors of the daemon itself: journal, ledger, sockets, threads.
const OWN: u64 = 100;
/// For a configured host its session, for a fixed port two listeners (both loopbacks), and a visitor at each.
const PER_HOST: u64 = 1;
const PER_PORT: u64 = 3;

/// Uses what the system allows, and says so if that is not enough for what is configured.
pub(super) fn raise_limit(config: &Config) {
    let (soft, hard) = match getrlimit(Resource::RLIMIT_NOFILE) {
        Ok(limits) => limits,
        Err(error) => return tracing::debug!(%error, "the limit of open files is unknown"),
    };
    let mut limit = hard;
    if soft < hard
        && let Err(error) = setrlimit(Resource::RLIMIT_NOFILE, hard, hard)
    {
        tracing::warn!(%error, soft, hard, "the limit of open files stays low");
        limit = soft;
    }
    crate::model::set_file_limit(limit);
    if let Some(warning) = shortage(config.hosts.len(), config.fixed_ports.len(), limit) {
        tracing::warn!("{warning}");
    }
}

/// What to say when the limit is too low for these hosts and fixed ports.
fn shortage(hosts: usize, ports: usize, limit: u64) -> Option<String> {
    let count = |n: usize| u64::try_from(n).unwrap_or(u64::MAX);
    let wanted =
        OWN.saturating_add(count(hosts).saturating_mul(PER_HOST)).saturating_add(count(ports).saturating_mul(PER_PORT));
    (limit < wanted).then(|| {
        format!(
            "the system allows {limit} open files, but {hosts} hosts with {ports} fixed ports want some {wanted} when all \
             are up and visited; what is beyond has to wait. Raise the hard limit: LimitNOFILE= in the systemd unit, \
             `ulimit -Hn` in a shell, --ulimit nofile= for a container"
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_below_what_is_configured_is_told_with_the_remedy() {
        assert_eq!(shortage(0, 0, 1_024), None);
        assert_eq!(shortage(2_000, 2_000, 8_100), None);
        let told = shortage(2_000, 2_000, 8_099).unwrap();
        for word in ["8099", "2000 hosts", "8100", "LimitNOFILE="] {
            assert!(told.contains(word), "{told}");
        }
        // No system has so many; nothing overflows.
        assert!(shortage(usize::MAX, usize::MAX, u64::MAX - 1).is_some());
    }
}
