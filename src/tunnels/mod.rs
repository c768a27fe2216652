//! Carrying and policing: who may have which port (ledger), what is live (registry), the bytes (relay), and the
//! life and death of sessions and tunnels (lifecycle). Knows nothing of SSH: it reaches a host through a [`Carrier`].

mod bind;
mod board;
mod brake;
pub mod carrier;
mod dirty;
pub mod dock;
mod forward;
mod hold;
mod leases;
mod ledger;
mod lifecycle;
mod live;
mod mutes;
mod pipe;
mod post;
mod quay;
mod registry;
mod relay;
mod reload;
mod revoke;
mod rows;
mod spill;
mod strain;
mod taken;
mod trouble;
mod vital;

pub use bind::bind_addresses;
pub use board::Board;
pub use carrier::Carrier;
pub use forward::Grant;
pub use hold::{HOLD_FLOOR, HOLD_WINDOW};
pub use ledger::{Conflict, Decision, Ledger, block_rule};
pub use lifecycle::{ActError, By, Done};
pub use live::{Caller, CheckFailure, Order, Session, Tunnel, TunnelOrder, VisitOrder, Visitor};
pub use pipe::{Cut, FarEnd, NearEnd, pipe};
pub use post::{Gone, Mailbox, Reader, Said};
pub use registry::{Past, Registry};
pub use relay::{End, RelayLimits, Tally, Terms, VisitorStream, relay, settle, settle_within};
pub use spill::SpillBudget;
pub use strain::{FRESH as STRAIN_FRESH, Overload, keep_time};
pub use taken::VisitorWrite;
pub use trouble::{Knock, REFUSED_FRESH, Refusal, Restarts, Troubles};
pub use vital::{Held, Vital};
