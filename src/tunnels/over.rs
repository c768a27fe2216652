//! What was given until a time, and ends by itself.

use super::registry::Registry;
use crate::model::now;
use std::sync::Arc;
use std::time::Duration;

/// How often the clock is looked at. It is the clock that counts, not the time that was slept: a machine that was stopped,
/// or whose clock was set, ends at the next look what it should have ended.
const LOOK: Duration = Duration::from_millis(250);

/// Looks for ever.
pub async fn end_in_time(registry: Arc<Registry>) {
    let mut every = tokio::time::interval(LOOK);
    every.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        every.tick().await;
        // By itself: a client that ignores the disconnect has seconds, and nothing else that ends is to wait for them.
        let of_keys = Arc::clone(&registry);
        tokio::spawn(async move { of_keys.approvals_over(now()).await });
        registry.grants_over(now());
        registry.leases_over(now()).await;
    }
}
