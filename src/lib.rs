//! portreeve: an SSH bastion that carries reverse tunnels itself, and the console that shows and commands them.
//!
//! The folders are floors; each imports only from those above it in this list:
//! `wait`, `model`, `config`, `audit`, `store`, `tunnels`, `triage`, `health`, `server`, `control`, `ui`, `cli`, `daemon`.

pub mod audit;
pub mod cli;
pub mod config;
pub mod control;
pub mod daemon;
pub mod demo;
#[cfg(any(test, fuzzing))]
#[doc(hidden)]
pub mod fuzzing;
pub mod health;
pub mod model;
pub mod server;
pub mod store;
pub mod triage;
pub mod tunnels;
pub mod ui;
mod wait;
