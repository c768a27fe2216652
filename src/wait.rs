//! Waiting for what may not be there.

use std::future::Future;

/// What this future gives; for ever nothing, where there is none. For a branch of a `select!`.
pub(crate) async fn or_never<F: Future>(future: Option<F>) -> F::Output {
    match future {
        Some(f) => f.await,
        None => std::future::pending().await,
    }
}
