//! Integration tests: the real binary with real OpenSSH clients, sshd, nginx and autossh.
//!
//! One binary, so that it links once; run it with `cargo nextest run --test it`, where each test is a process of its own.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, clippy::print_stderr)]
#![allow(missing_docs)]

#[path = "../common/mod.rs"]
mod common;

mod abuse_limits;
mod abuse_sources;
mod abuse_wire;
mod actions;
mod bulk;
mod certificates;
mod config;
mod console;
mod crash;
mod detail;
mod enroll;
mod evidence;
mod fido;
mod grants;
mod harness;
mod howto;
mod interop;
mod isolation;
mod isolation_clients;
mod isolation_operators;
mod keys;
mod leases;
mod lifecycle;
mod limits;
mod logout;
mod operators;
mod patterns;
mod pending;
mod reach;
mod refusals;
mod revocation;
mod screens;
mod semantics;
mod shipping;
mod slow;
mod transfer;
mod triage;
mod triage_bastion;
mod triage_teams;
mod two_operators;
mod views;
