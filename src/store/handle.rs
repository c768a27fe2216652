//! The store's own thread, and the handle to it: nobody else ever waits for the disk.

use super::{Change, Saved, Store, StoreError};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock, mpsc};
use std::task::{Context, Poll};
use std::thread::{self, JoinHandle};
use tokio::sync::oneshot;

struct Order {
    changes: Vec<Change>,
    reply: oneshot::Sender<Result<(), StoreError>>,
}

/// Applies changes in the order of the calls. Cheap to clone; the thread ends, after all it was given, when it is closed
/// or the last handle is gone.
#[derive(Clone)]
pub struct StoreHandle {
    inner: Arc<Inner>,
}

/// Orders saved together at most.
const BATCH: usize = 256;

/// Saves the batch as one; if that fails, each order by itself, so that what is wrong with one does not undo another.
/// Whether the last of them was saved.
fn save(store: &mut impl Store, batch: Vec<Order>) -> bool {
    if batch.len() > 1 {
        let all: Vec<Change> = batch.iter().flat_map(|o| o.changes.iter().cloned()).collect();
        if store.apply(&all).is_ok() {
            for order in batch {
                // Nobody may be waiting any more; it is saved all the same.
                let _ = order.reply.send(Ok(()));
            }
            return true;
        }
    }
    let mut saved = true;
    for order in batch {
        let result = store.apply(&order.changes);
        if let Err(error) = &result {
            tracing::error!(%error, "the ledger was not saved");
        }
        saved = result.is_ok();
        let _ = order.reply.send(result);
    }
    saved
}

/// Changes on their way to the disk; resolves when they are there.
#[derive(Debug)]
#[must_use = "what is not awaited may not have been saved"]
pub struct Saving(oneshot::Receiver<Result<(), StoreError>>);

impl Future for Saving {
    type Output = Result<(), StoreError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0).poll(cx).map(|done| done.unwrap_or(Err(StoreError::Stopped)))
    }
}

struct Inner {
    /// None once closed.
    orders: RwLock<Option<mpsc::Sender<Order>>>,
    thread: Mutex<Option<JoinHandle<()>>>,
    failed: Arc<AtomicBool>,
}

impl StoreHandle {
    /// Reads what was saved, then gives the store a thread of its own.
    ///
    /// # Errors
    /// [`StoreError`] when what was saved cannot be read.
    pub fn start(mut store: impl Store) -> Result<(Self, Saved), StoreError> {
        let saved = store.load()?;
        let (tx, rx) = mpsc::channel::<Order>();
        let failed = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&failed);
        let run = move || {
            while let Ok(first) = rx.recv() {
                // What came meanwhile is saved with it: ten thousand hosts that get their first leases wait for some
                // forty fsyncs, not for ten thousand.
                let batch: Vec<Order> = std::iter::once(first).chain(rx.try_iter().take(BATCH - 1)).collect();
                told.store(!save(&mut store, batch), Ordering::Relaxed);
            }
        };
        let thread = thread::Builder::new().name("store".to_owned()).spawn(run).map_err(StoreError::Thread)?;
        let inner = Inner { orders: RwLock::new(Some(tx)), thread: Mutex::new(Some(thread)), failed };
        Ok((Self { inner: Arc::new(inner) }, saved))
    }

    /// Saves all of the changes or none; they are on the disk when it resolves. They are saved even if the future is
    /// dropped, and in the order of the calls: whoever calls under the lock under which memory is changed has both change
    /// in the same order.
    ///
    /// # Errors
    /// [`StoreError`] when they were not saved.
    pub fn apply(&self, changes: Vec<Change>) -> Saving {
        let (reply, done) = oneshot::channel();
        let orders = self.inner.orders.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(orders) = orders.as_ref() {
            // Where the thread is gone, so is the reply.
            let _ = orders.send(Order { changes, reply });
        }
        Saving(done)
    }

    /// Whether the last changes were saved.
    #[must_use]
    pub fn healthy(&self) -> bool {
        !self.inner.failed.load(Ordering::Relaxed)
    }

    /// Saves what was given and ends the thread. Blocks until then. Calling it again does nothing.
    pub fn close(&self) {
        drop(self.inner.orders.write().unwrap_or_else(PoisonError::into_inner).take());
        let thread = self.inner.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if thread.is_some_and(|t| t.join().is_err()) {
            tracing::error!("the ledger's thread had panicked");
        }
    }
}
