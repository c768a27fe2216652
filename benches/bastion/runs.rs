//! How often, how long, and in which order.

use crate::common::{Res, Server};
use crate::ping::Stint;
use std::time::Duration;

/// Length of everything.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// Counted runs of each peer.
    pub rounds: usize,
    /// Steady transfer in a run.
    pub bulk: Duration,
    /// The same in the run that is not counted.
    pub warm: Duration,
    /// Round trips alone.
    pub ping: Stint,
    /// Round trips beside a bulk transfer.
    pub busy_ping: Stint,
    /// New visitors.
    pub visits: Duration,
    /// Sign-ins of a run.
    pub handshakes: usize,
}

impl Plan {
    /// For figures to be kept.
    pub const FULL: Self = Self {
        rounds: 5,
        bulk: Duration::from_millis(1600),
        warm: Duration::from_millis(300),
        ping: Stint { count: 6_000, time: Duration::from_secs(5) },
        busy_ping: Stint { count: 6_000, time: Duration::from_secs(3) },
        visits: Duration::from_secs(1),
        handshakes: 48,
    };
    /// For a look.
    pub const QUICK: Self = Self {
        rounds: 3,
        bulk: Duration::from_millis(700),
        warm: Duration::from_millis(100),
        ping: Stint { count: 5_000, time: Duration::from_secs(2) },
        busy_ping: Stint { count: 5_000, time: Duration::from_millis(1500) },
        visits: Duration::from_millis(600),
        handshakes: 24,
    };
}

/// A run of one peer; told whether it is the one that is not counted.
pub type Run<'a, T> = Box<dyn Fn(bool) -> Res<T> + 'a>;

/// Lets the peers run in turn, once without counting and then `rounds` times. A peer whose run fails twice in a row is out,
/// and its reason is its result.
pub fn alternate<T>(rounds: usize, peers: &[Run<'_, T>]) -> Vec<Res<Vec<T>>> {
    let mut results: Vec<Res<Vec<T>>> = peers.iter().map(|_| Ok(Vec::new())).collect();
    for round in 0..=rounds {
        for (run, result) in peers.iter().zip(&mut results) {
            let Ok(samples) = result else { continue };
            match run(round == 0).or_else(|_| run(round == 0)) {
                Ok(sample) if round > 0 => samples.push(sample),
                Ok(_) => {}
                Err(why) => *result = Err(why),
            }
        }
    }
    results
}

/// The servers that every row is about.
pub struct Stage<'a> {
    /// sshd.
    pub sshd: &'a dyn Server,
    /// portreeve.
    pub ours: &'a dyn Server,
    /// How long.
    pub plan: Plan,
}
