//! Visitors that read more slowly than their host sends: how much waits for them, and what it costs the others.

use super::{HostName, VisitorId, bytes};
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;

/// A visitor for whom this much waits is behind. Less is what any fast transfer has on its way at any moment.
pub const BEHIND: u64 = 1 << 20;

/// The visitors of one tunnel that are behind.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct BehindView {
    /// Bytes waiting in the bastion for all visitors of the tunnel.
    pub buffered: u64,
    /// Visitors for whom at least [`BEHIND`] bytes wait, or that slow the session.
    pub visitors: u32,
    /// Of them those for whom nothing more is taken from the host now, so that its whole session is slowed.
    pub holding: u32,
    /// For how long visitors have slowed the session since the tunnel came up, in milliseconds.
    pub held_ms: u64,
    /// The one to look at: it slows the session, or else has most waiting.
    pub worst: Option<Laggard>,
}

/// One visitor that is behind.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Laggard {
    /// Its id.
    pub id: VisitorId,
    /// Where it comes from.
    pub source: SocketAddr,
    /// The operator's name when it came through an operator's session.
    pub operator: Option<String>,
    /// Bytes that wait for it.
    pub buffered: u64,
    /// Whether it slows the session.
    pub holding: bool,
}

impl BehindView {
    /// Which visitor, how much, and what comes of it; none when nobody is behind.
    #[must_use]
    pub fn sentence(&self, host: &HostName) -> Option<String> {
        let worst = self.worst.as_ref()?;
        let who = match &worst.operator {
            Some(operator) => format!("operator {operator} ({})", worst.source),
            None => format!("visitor {}", worst.source),
        };
        let mut said = if worst.holding {
            format!("{who} slows host {host}'s session: {} wait for it", bytes(worst.buffered))
        } else {
            format!("{who} is {} behind", bytes(worst.buffered))
        };
        let others = self.visitors.saturating_sub(1);
        if others > 0 {
            let are = if others == 1 { "is" } else { "are" };
            said.push_str(&format!(" ({others} more {are} behind, {} in all)", bytes(self.buffered)));
        }
        Some(said)
    }
}

/// The files in which data waits for slow visitors, all together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct SpillView {
    /// Bytes in them now.
    pub used: u64,
    /// Bytes they may hold together (`relay.total_spill`).
    pub limit: u64,
}

impl SpillView {
    /// Whether nine tenths are used: beyond the rest slow visitors slow their sessions.
    #[must_use]
    pub fn is_nearly_full(self) -> bool {
        self.limit > 0 && self.used >= self.limit - self.limit / 10
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn behind(visitors: u32, holding: bool) -> BehindView {
        let source = "10.0.0.7:51234".parse().unwrap();
        let worst = Laggard { id: VisitorId::new(), source, operator: None, buffered: 312 << 20, holding };
        BehindView {
            buffered: 500 << 20,
            visitors,
            holding: u32::from(holding),
            held_ms: 0,
            worst: (visitors > 0).then_some(worst),
        }
    }

    #[test]
    fn the_sentence_says_who_how_much_and_what_it_costs() {
        let host: HostName = "pay-db".parse().unwrap();
        let say = |b: BehindView| b.sentence(&host);
        assert_eq!(say(behind(0, false)), None);
        assert_eq!(say(behind(1, false)).unwrap(), "visitor 10.0.0.7:51234 is 312.0 MiB behind");
        assert_eq!(
            say(behind(3, true)).unwrap(),
            "visitor 10.0.0.7:51234 slows host pay-db's session: 312.0 MiB wait for it (2 more are behind, 500.0 MiB in all)"
        );
    }

    #[test]
    fn a_spill_is_nearly_full_at_nine_tenths() {
        let full = |used, limit| SpillView { used, limit }.is_nearly_full();
        assert!(full(90, 100) && full(100, 100));
        assert!(!full(89, 100) && !full(0, 0));
    }
}
