//! The console: state, update, view. It knows no sockets and touches no tty; only [`local`] has one.
//!
//! ```text
//! bytes ─▶ input ─▶ update ─▶ state ─▶ view ─▶ paint ─▶ bytes
//!  daemon ─▶ link ──▲  └─▶ effects
//! ```

mod caps;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;
mod fuzzy;
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
mod words;
mod world;

#[cfg(test)]
mod fixtures;

pub use caps::TermEnv;
pub use link::{Ask, BoxFuture, Connection, Connector};
pub use run::{Exit, Options, RESTORE, TermIo, run};
pub use state::Zone;
pub use words::Lang;

use thiserror::Error;

/// Why a console could not run.
#[derive(Debug, Error)]
pub enum UiError {
    /// A terminal without cursor movement, or none at all.
    #[error(
        "the console needs a terminal that can move its cursor, and {0}. Use the commands instead: `portreeve triage`, `tunnels`, `status`, `audit` (over SSH: `ssh OPERATOR@BASTION triage`); or set TERM to what the terminal is (xterm-256color, linux, screen, tmux …), and ask ssh for one with -t"
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
