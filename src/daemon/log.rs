//! Operational logs, apart from the audit: to a folder with a file a day, or to standard error.

use crate::config::Config;
use crate::server::Ear;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use thiserror::Error;
use tracing_appender::non_blocking::WorkerGuard;
use tracing_appender::rolling::{RollingFileAppender, Rotation};
use tracing_subscriber::EnvFilter;

/// Files kept.
const KEPT: usize = 14;

/// Why logs cannot be written.
#[derive(Debug, Error)]
pub enum LogError {
    /// `log.level` is not a filter.
    #[error("log.level {level:?} is not a filter: {why}. Write info, or info,portreeve=debug")]
    Level {
        /// As written.
        level: String,
        /// Why.
        why: String,
    },
    /// The folder cannot be used.
    #[error("logs cannot be written to {dir}: {why}")]
    Dir {
        /// Which.
        dir: PathBuf,
        /// Why.
        why: String,
    },
}

/// Whether `log.level` is a filter.
pub(super) fn check_level(level: &str) -> Result<EnvFilter, LogError> {
    EnvFilter::try_new(level).map_err(|e| LogError::Level { level: level.to_owned(), why: e.to_string() })
}

/// Writes out what is buffered when dropped.
pub(super) struct Guard(#[allow(dead_code)] WorkerGuard);

/// Starts logging. `quiet` is the folder to use where the configuration names none and the terminal belongs to a console.
pub(super) fn start(config: &Config, quiet: Option<&Path>) -> Result<Option<Guard>, LogError> {
    let filter = check_level(&config.log.level)?;
    log_panics();
    // Before the subscriber, which would put a logger of its own there; and the level is the subscriber's.
    let ear = Ear::listen();
    let start = begin(config, filter, quiet);
    if ear {
        Ear::heed_level();
    }
    start
}

fn begin(config: &Config, filter: EnvFilter, quiet: Option<&Path>) -> Result<Option<Guard>, LogError> {
    let dir = config.log.dir.as_deref().or(quiet);
    let Some(dir) = dir else {
        let colour = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
        // A second start in the same process (tests) keeps the first subscriber.
        let _ =
            tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(colour).try_init();
        return Ok(None);
    };
    let fail = |why: String| LogError::Dir { dir: dir.to_owned(), why };
    std::fs::create_dir_all(dir).map_err(|e| fail(e.to_string()))?;
    let file = RollingFileAppender::builder()
        .rotation(Rotation::DAILY)
        .filename_prefix("portreeve")
        .filename_suffix("log")
        .max_log_files(KEPT)
        .build(dir)
        .map_err(|e| fail(e.to_string()))?;
    let (writer, guard) = tracing_appender::non_blocking(file);
    let _ = tracing_subscriber::fmt().with_env_filter(filter).with_writer(writer).with_ansi(false).try_init();
    Ok(Some(Guard(guard)))
}

/// A panic in one console or session goes to the log, not over somebody's screen.
fn log_panics() {
    std::panic::set_hook(Box::new(|info| {
        tracing::error!(backtrace = %std::backtrace::Backtrace::capture(), "panic: {info}");
    }));
}
