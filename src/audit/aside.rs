//! Work that reads much and may wait: on a thread of its own, behind everything else this machine has to do.

use super::AuditError;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use tokio::sync::oneshot;

/// As nice as can be: what carries tunnels goes first.
const NICE: i32 = 19;

/// Whether anybody still waits for the answer.
#[derive(Debug, Clone, Default)]
pub(super) struct Left(Arc<AtomicBool>);

impl Left {
    pub(super) fn is_gone(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// Tells the thread that nobody waits any more.
struct Leave(Left);
impl Drop for Leave {
    fn drop(&mut self) {
        self.0.0.store(true, Ordering::Relaxed);
    }
}

/// Runs it and waits for what it gives. When the future is dropped the work is told, and ends when it next looks.
pub(super) async fn run<T: Send + 'static>(
    name: &str,
    dir: &Path,
    work: impl FnOnce(&Left) -> T + Send + 'static,
) -> Result<T, AuditError> {
    let left = Left::default();
    let guard = Leave(left.clone());
    let (tell, told) = oneshot::channel();
    let body = move || {
        // Of this thread alone, though the call is named after processes. Without it the work is done all the same.
        let _ = rustix::process::setpriority_process(None, NICE);
        let _ = tell.send(work(&left));
    };
    thread::Builder::new()
        .name(name.to_owned())
        .spawn(body)
        .map_err(AuditError::folder(dir, "searched by a thread"))?;
    let done = told.await.map_err(|_| AuditError::Stopped);
    drop(guard);
    done
}
