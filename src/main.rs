//! Starts portreeve.

use std::process::ExitCode;

fn main() -> ExitCode {
    portreeve::cli::main(&portreeve::daemon::hooks())
}
