//! Token buckets: how many visitors may come to a tunnel in a second, and how many bytes go through it.

use super::relay::VisitorStream;
use super::taken::VisitorWrite;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Sleep;

/// Less than this is not worth a system call of its own.
const PIECE: f64 = 4096.0;

/// So many a second, and so many saved up.
#[derive(Debug, Default)]
pub struct Bucket(Mutex<Option<(f64, Instant)>>);

impl Bucket {
    /// Takes as much of `want` as there is, if that is at least `least`.
    ///
    /// # Errors
    /// How long to wait until there is that much.
    pub fn take(&self, rate: f64, most: f64, least: f64, want: f64, now: Instant) -> Result<f64, Duration> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (had, at) = state.unwrap_or((most, now));
        let has = (had + now.saturating_duration_since(at).as_secs_f64() * rate).min(most);
        let least = least.min(want);
        let taken = if has >= least { has.min(want) } else { 0.0 };
        *state = Some((has - taken, now));
        drop(state);
        if has >= least { Ok(taken) } else { Err(Duration::from_secs_f64((least - has) / rate)) }
    }

    fn give_back(&self, n: f64) {
        if let Some((has, _)) = self.0.lock().unwrap_or_else(PoisonError::into_inner).as_mut() {
            *has += n;
        }
    }
}

/// The buckets of one tunnel, which it has only if there is a rate.
#[derive(Debug)]
pub struct Rates {
    /// Bytes a second.
    pub rate: u64,
    up: Bucket,
    down: Bucket,
}

impl Rates {
    /// So many bytes a second each way.
    #[must_use]
    pub fn new(rate: u64) -> Self {
        Self { rate, up: Bucket::default(), down: Bucket::default() }
    }
}

/// A visitor whose bytes are metered.
#[derive(Debug)]
pub(super) struct Metered<V> {
    pub inner: V,
    pub rates: Arc<Rates>,
}

impl<V: VisitorStream> VisitorStream for Metered<V> {
    fn halves(&mut self) -> (impl AsyncRead + Unpin + Send + '_, impl VisitorWrite + Unpin + Send + '_) {
        let (read, write) = self.inner.halves();
        let rate = self.rates.rate;
        let (up, down) = (&self.rates.up, &self.rates.down);
        (Half { inner: read, gauge: Gauge::new(up, rate) }, Half { inner: write, gauge: Gauge::new(down, rate) })
    }
    fn abort(&self) {
        self.inner.abort();
    }
}

struct Gauge<'a> {
    bucket: &'a Bucket,
    rate: f64,
    wait: Option<Pin<Box<Sleep>>>,
}

impl<'a> Gauge<'a> {
    #[allow(clippy::cast_precision_loss)] // bytes a second
    fn new(bucket: &'a Bucket, rate: u64) -> Self {
        Self { bucket, rate: rate as f64, wait: None }
    }

    /// How many bytes may go now, at most `want`.
    #[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss)] // sizes of buffers
    fn poll(&mut self, cx: &mut Context<'_>, want: usize) -> Poll<usize> {
        loop {
            if let Some(wait) = &mut self.wait {
                ready!(wait.as_mut().poll(cx));
                self.wait = None;
            }
            // A tenth of a second saved up, so that a download does not go in bursts.
            let most = (self.rate / 10.0).max(PIECE * 4.0);
            match self.bucket.take(self.rate, most, PIECE, want as f64, Instant::now()) {
                Ok(n) => return Poll::Ready(n as usize),
                Err(wait) => self.wait = Some(Box::pin(tokio::time::sleep(wait.max(Duration::from_millis(1))))),
            }
        }
    }

    #[allow(clippy::cast_precision_loss)] // sizes of buffers
    fn unused(&self, n: usize) {
        if n > 0 {
            self.bucket.give_back(n as f64);
        }
    }
}

struct Half<'a, T> {
    inner: T,
    gauge: Gauge<'a>,
}

impl<T: AsyncRead + Unpin> AsyncRead for Half<'_, T> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let me = self.get_mut();
        if buf.remaining() == 0 {
            return Pin::new(&mut me.inner).poll_read(cx, buf);
        }
        let may = ready!(me.gauge.poll(cx, buf.remaining()));
        let mut part = ReadBuf::new(buf.initialize_unfilled_to(may));
        let result = Pin::new(&mut me.inner).poll_read(cx, &mut part);
        let n = part.filled().len();
        me.gauge.unused(may.saturating_sub(n));
        buf.advance(n);
        result
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Half<'_, T> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let me = self.get_mut();
        if buf.is_empty() {
            return Pin::new(&mut me.inner).poll_write(cx, buf);
        }
        let may = ready!(me.gauge.poll(cx, buf.len()));
        let result = Pin::new(&mut me.inner).poll_write(cx, buf.get(..may).unwrap_or(buf));
        let n = match &result {
            Poll::Ready(Ok(n)) => *n,
            _ => 0,
        };
        me.gauge.unused(may.saturating_sub(n));
        result
    }
    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_flush(cx)
    }
    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_shutdown(cx)
    }
}

impl<T: VisitorWrite + Unpin> VisitorWrite for Half<'_, T> {
    fn unacknowledged(&self) -> Option<u64> {
        self.inner.unacknowledged()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    #[test]
    fn a_bucket_gives_what_it_has_and_fills_again() {
        let (b, t0) = (Bucket::default(), Instant::now());
        let take = |n: f64, ms: u64| b.take(10.0, 20.0, 1.0, n, t0 + Duration::from_millis(ms));
        assert_eq!(take(15.0, 0), Ok(15.0));
        assert_eq!(take(15.0, 0), Ok(5.0));
        assert_eq!(take(1.0, 0), Err(Duration::from_millis(100)));
        assert_eq!(take(1.0, 100), Ok(1.0));
        assert_eq!(take(100.0, 3_600_000), Ok(20.0), "no more than is saved up");
    }

    #[tokio::test]
    async fn bytes_come_whole_and_at_the_rate() {
        let rates = Arc::new(Rates::new(256 * 1024));
        let (near, mut far) = tokio::io::duplex(1 << 20);
        let mut metered = Metered { inner: near, rates };
        let sent: Vec<u8> = (0..128 * 1024_u32).map(|i| (i % 251) as u8).collect();
        let began = Instant::now();
        let (mut read, mut write) = metered.halves();
        let expected = sent.clone();
        let down = async { write.write_all(&sent).await.unwrap() };
        let up = async {
            let mut got = vec![0; expected.len()];
            read.read_exact(&mut got).await.unwrap();
            got
        };
        let peer = async {
            far.write_all(&expected).await.unwrap();
            let mut got = vec![0; expected.len()];
            far.read_exact(&mut got).await.unwrap();
            got
        };
        let ((), up, down) = tokio::join!(down, up, peer);
        assert!(up == expected && down == expected);
        // Half a second's worth, less a tenth saved up.
        assert!(began.elapsed() >= Duration::from_millis(350), "{:?}", began.elapsed());
    }
}
