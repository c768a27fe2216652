//! The console: state, update, view. It knows no sockets and touches no tty; only [`local`] has one.
//!
//! ```text
//! bytes ─▶ input ─▶ update ─▶ state ─▶ view ─▶ paint ─▶ bytes
//!  daemon ─▶ link ──▲  └─▶ effects
//! ```

mod caps;
mod input;
mod keymap;
mod keys;
mod link;
pub mod local;
mod notify;
mod paint;
mod run;
pub(crate) mod sentence;
mod settings;
mod state;
pub(crate) mod text;
mod theme;
mod update;
mod view;
mod world;

#[cfg(test)]
mod fixtures;

pub use caps::TermEnv;
pub use link::{Ask, BoxFuture, Connection, Connector};
pub use run::{Exit, Options, RESTORE, TermIo, run};
pub use state::Zone;

use thiserror::Error;

/// Why a console could not run.
#[derive(Debug, Error)]
pub enum UiError {
    /// A terminal without cursor movement, or none at all.
    #[error(
        "the console needs a terminal that can move its cursor, and TERM is {0:?}. Set TERM (xterm-256color, linux, …), ask ssh for a terminal with -t, or use the one-shot commands such as `tunnels` and `status`"
    )]
    Terminal(String),
    /// A theme cannot be had.
    #[error("theme {theme}: {why}")]
    Theme {
        /// Its name or file.
        theme: String,
        /// What is wrong with it.
        why: String,
    },
    /// The local terminal refused.
    #[error("the terminal cannot be used: {0}")]
    Tty(#[from] std::io::Error),
}
