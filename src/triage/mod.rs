//! Triage: what is wrong, grouped by probable cause, worked out in the daemon so that console, command line and whoever
//! else asks see the same. Facts first, then rules over the facts (a table), then groups.
//!
//! Nothing here is on the way of a byte.

mod facts;
mod group;
mod rules;
mod table;
mod watch;

#[cfg(test)]
mod rule_fixtures;
#[cfg(test)]
mod rule_tests;

pub use facts::{Expiring, Facts, HostFacts, KEY_WARNING, LostNetwork, Picture, is_silence};
pub use group::{alarms, incidents};
pub use rules::Seen;
pub use table::{Find, Next, RULES, Rule};
pub use watch::{Known, Scope, Triage};
