//! Carrying and policing: who may have which port (ledger), what is live (registry), the bytes (relay), and the
//! life and death of sessions and tunnels (lifecycle). Knows nothing of SSH: it reaches a host through a [`Carrier`].

mod approve;
#[cfg(test)]
mod approve_tests;
mod bind;
mod board;
mod brake;
pub mod carrier;
mod counted;
mod credential;
mod crowd;
mod dirty;
pub mod dock;
mod forward;
mod grants;
mod hold;
mod leases;
mod ledger;
mod lifecycle;
mod live;
mod mutes;
#[cfg(test)]
mod order_tests;
mod over;
mod pending;
mod pipe;
mod post;
mod quay;
mod rate;
mod registry;
mod relay;
mod reload;
mod reserve;
mod revoke;
mod rows;
mod spill;
mod strain;
mod taken;
mod trouble;
#[cfg(test)]
mod turns;
mod uses;
mod vital;
mod warden;
mod wish;

pub use bind::bind_addresses;
pub use board::Board;
pub use carrier::Carrier;
pub use credential::Credential;
pub use forward::Grant;
pub use grants::grant_context;
pub use hold::{HOLD_FLOOR, HOLD_WINDOW};
pub use ledger::{Conflict, Decision, Ledger, Who, block_rule};
pub use lifecycle::{ActError, By, Done};
pub use live::{Caller, CheckFailure, Order, Session, Tunnel, TunnelOrder, VisitOrder, Visitor};
pub use over::end_in_time;
pub use pipe::{Cut, FarEnd, NearEnd, pipe};
pub use post::{Gone, Mailbox, Reader, Said};
pub use rate::{Bucket, Rates};
pub use registry::{Past, Registry};
pub use relay::{End, RelayLimits, Tally, Terms, VisitorStream, close, relay, settle_within};
pub use revoke::DISK_WAIT;
pub use spill::SpillBudget;
pub use strain::{FRESH as STRAIN_FRESH, Overload, keep_time};
pub use taken::VisitorWrite;
pub use trouble::{Knock, REFUSED_FRESH, Refusal, Restarts, Troubles};
pub use uses::unused_keys;
pub use vital::{Held, Vital};
pub use warden::watch as watch_credentials;
pub use wish::Wish;
