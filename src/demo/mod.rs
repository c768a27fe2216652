//! `up --demo`: six hosts of three teams, played by SSH clients in this process with small real services behind them, so
//! that a newcomer sees the product alive: traffic, a flapping host, a dead service, a refused one.

mod cast;
mod client;
mod service;

pub use cast::{DemoError, prepare};

use cast::{Part, Role};
use client::Outcome;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;

/// Plays the demo against this server until the process ends, on a thread of its own.
///
/// # Errors
/// [`DemoError`] when a key of the demo's hosts cannot be read or no thread can be had.
pub fn play(server: SocketAddr, data: &Path) -> Result<(), DemoError> {
    let cast = cast::read(data)?;
    std::thread::Builder::new()
        .name("demo".to_owned())
        .spawn(move || match tokio::runtime::Builder::new_current_thread().enable_all().build() {
            Ok(runtime) => runtime.block_on(perform(server, cast)),
            Err(e) => tracing::error!(error = %e, "the demo has no runtime"),
        })
        .map_err(DemoError::Thread)?;
    Ok(())
}

async fn perform(server: SocketAddr, cast: Vec<Part>) {
    let mut players = tokio::task::JoinSet::new();
    for part in cast {
        if part.visited {
            players.spawn(visit(part.port, part.role));
        }
        players.spawn(keep_up(server, Arc::new(part)));
    }
    while players.join_next().await.is_some() {}
}

/// One host: dials, and dials again, as autossh would.
async fn keep_up(server: SocketAddr, part: Arc<Part>) {
    let service = match service::start(part.role).await {
        Ok(address) => address,
        Err(e) => return tracing::error!(host = part.name, error = %e, "a service of the demo cannot start"),
    };
    loop {
        let stay = (part.role == Role::Flapping).then_some(Duration::from_secs(20));
        let pause = match client::dial(server, &part, service, stay).await {
            Outcome::Ended => Duration::from_secs(4),
            Outcome::Refused => Duration::from_secs(15),
        };
        tokio::time::sleep(pause).await;
    }
}

/// A visitor that comes and goes, so that there are bytes to see.
async fn visit(port: u16, role: Role) {
    loop {
        tokio::time::sleep(Duration::from_millis(1_500)).await;
        if let Ok(stream) = TcpStream::connect(("127.0.0.1", port)).await {
            // A visit that fails is the demo's flapping host at work.
            let _ = tokio::time::timeout(Duration::from_secs(10), service::call(stream, role)).await;
        }
    }
}
