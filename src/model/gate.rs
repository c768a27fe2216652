//! Connections before sign-in, as the metrics show them.

use serde::{Deserialize, Serialize};

/// Who waits to sign in, and who was not let in.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct GateView {
    /// Connections not signed in, of networks that nobody has signed in from.
    pub strangers: u64,
    /// The same of known networks.
    pub known: u64,
    /// Networks that somebody has signed in from.
    pub known_networks: u64,
    /// Networks under a penalty.
    pub penalised: u64,
    /// Connections refused since the daemon started, by reason.
    pub refused: Vec<(String, u64)>,
}
