//! A visit that comes through an operator's session: a pipe between the operator's thread and the tunnel's.
//!
//! A pipe can only end, and an end would look like an orderly one. So a cut is told beside it, and the operator's end
//! never takes the end of a pipe that was cut for one.

use super::relay::VisitorStream;
use super::taken::VisitorWrite;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, DuplexStream, ReadBuf};
use tokio::sync::Notify;

/// Both ends, with room for so many bytes each way.
#[must_use]
pub fn pipe(size: usize) -> (NearEnd, FarEnd) {
    let (near, far) = tokio::io::duplex(size);
    let cut = Arc::new(Cut::default());
    (NearEnd { stream: near, cut: Arc::clone(&cut) }, FarEnd { stream: far, cut })
}

/// Told when the visit is cut.
#[derive(Debug, Default)]
pub struct Cut {
    is: AtomicBool,
    told: Notify,
}

impl Cut {
    /// Waits until it is; tells once.
    pub async fn told(&self) {
        self.told.notified().await;
    }

    /// Whether it is.
    #[must_use]
    pub fn is(&self) -> bool {
        self.is.load(Ordering::Acquire)
    }
}

/// The tunnel's end.
#[derive(Debug)]
pub struct FarEnd {
    stream: DuplexStream,
    cut: Arc<Cut>,
}

impl VisitorStream for FarEnd {
    fn halves(&mut self) -> (impl AsyncRead + Unpin + Send + '_, impl VisitorWrite + Unpin + Send + '_) {
        tokio::io::split(&mut self.stream)
    }
    fn abort(&self) {
        // Before the pipe ends, which the drop that follows makes it do.
        self.cut.is.store(true, Ordering::Release);
        self.cut.told.notify_one();
    }
}

/// The operator's end. Once the visit is cut it has nothing more to read, not even an end: [`Cut::told`] tells of it.
#[derive(Debug)]
pub struct NearEnd {
    stream: DuplexStream,
    cut: Arc<Cut>,
}

impl NearEnd {
    /// Where a cut is told.
    #[must_use]
    pub fn watch(&self) -> Arc<Cut> {
        Arc::clone(&self.cut)
    }
}

impl VisitorStream for NearEnd {
    fn halves(&mut self) -> (impl AsyncRead + Unpin + Send + '_, impl VisitorWrite + Unpin + Send + '_) {
        let (stream, write) = tokio::io::split(&mut self.stream);
        (Reader { stream, cut: &self.cut }, write)
    }
    fn abort(&self) {}
}

struct Reader<'a, R> {
    stream: R,
    cut: &'a Cut,
}

impl<R: AsyncRead + Unpin> AsyncRead for Reader<'_, R> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<std::io::Result<()>> {
        let before = buf.filled().len();
        let result = Pin::new(&mut self.stream).poll_read(cx, buf);
        let ended = result.is_ready() && buf.filled().len() == before;
        // Whoever waits for the cut as well has been woken by it.
        if ended && self.cut.is() { Poll::Pending } else { result }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    #[tokio::test]
    async fn an_end_is_an_end_and_a_cut_is_not() {
        let mut byte = [0; 8];
        let (mut near, mut far) = pipe(64);
        far.halves().1.write_all(b"last").await.unwrap();
        drop(far);
        assert_eq!(near.halves().0.read(&mut byte).await.unwrap(), 4);
        assert_eq!(near.halves().0.read(&mut byte).await.unwrap(), 0);

        let (mut near, far) = pipe(64);
        let cut = near.watch();
        far.abort();
        drop(far);
        tokio::select! {
            biased;
            n = async { near.halves().0.read(&mut byte).await } => panic!("{n:?} though it was cut"),
            () = cut.told() => {}
        }
    }
}
