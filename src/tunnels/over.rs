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
        registry.grants_over(now());
        registry.leases_over(now()).await;
    }
}
