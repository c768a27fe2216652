//! Whether a visitor takes anything, though nothing can be written to it.
//!
//! The kernel holds some hundred KiB for a visitor, and lets us write again only when much of that is gone. One that reads
//! a few KiB a second takes longer for it than any stall time, and has not stalled. What its side of TCP has acknowledged
//! tells.

use std::time::Duration;
use tokio::io::{AsyncWrite, DuplexStream, WriteHalf};
use tokio::net::TcpStream;
use tokio::time::Instant;

/// Looks at what a visitor has taken within one stall time.
pub(super) const LOOKS: u32 = 4;

/// What the kernel could send at once after a write is acknowledged by then, but on long paths.
const SENT: Duration = Duration::from_millis(50);

/// The way to a visitor.
pub trait VisitorWrite: AsyncWrite {
    /// Bytes written that the visitor's side has not acknowledged, where that can be told.
    fn unacknowledged(&self) -> Option<u64>;
}

impl VisitorWrite for tokio::net::tcp::WriteHalf<'_> {
    fn unacknowledged(&self) -> Option<u64> {
        queued(self.as_ref())
    }
}

impl VisitorWrite for WriteHalf<&mut DuplexStream> {
    /// What is written to a pipe is there.
    fn unacknowledged(&self) -> Option<u64> {
        None
    }
}

/// SIOCOUTQ of tcp(7): not sent, or sent and not acknowledged.
#[cfg(target_os = "linux")]
fn queued(socket: &TcpStream) -> Option<u64> {
    use std::os::fd::AsRawFd;
    let mut bytes: libc::c_int = 0;
    // SAFETY: the request writes one int to where its argument points, which is a live variable of this call; the
    // descriptor is open as long as `socket` is borrowed. There is no safe binding in the crates that are here.
    #[allow(unsafe_code)]
    let result = unsafe { libc::ioctl(socket.as_raw_fd(), libc::TIOCOUTQ, &raw mut bytes) };
    if result == 0 { u64::try_from(bytes).ok() } else { None }
}

/// Other systems tell it in other ways.
#[cfg(not(target_os = "linux"))]
fn queued(_: &TcpStream) -> Option<u64> {
    None
}

/// What was seen at the looks so far.
#[derive(Debug, Default)]
pub(super) struct Taken {
    /// Unacknowledged at the last look, and when that was.
    seen: Option<(u64, Instant)>,
    /// When less was seen than before.
    last: Option<Instant>,
}

impl Taken {
    /// Another look, with what is unacknowledged `now`: when the visitor was last seen to take something. `written` is
    /// when something was last written, which would hide what was taken before.
    pub(super) fn last(&mut self, unacknowledged: Option<u64>, written: Instant, now: Instant) -> Instant {
        let seen = unacknowledged.and_then(|n| self.seen.replace((n, now)).map(|before| (before, n)));
        if let Some(((before, at), left)) = seen
            && written + SENT <= at
            && left < before
        {
            self.last = Some(now);
        }
        self.last.unwrap_or(written)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    #[tokio::test]
    async fn what_the_other_side_has_not_taken_is_told() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut near = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (mut far, _) = listener.accept().await.unwrap();
        let (_, mut write) = near.split();
        assert_eq!(write.unacknowledged(), Some(0));
        // More than both sides hold, without waiting.
        let much = vec![0; 64 << 20];
        let fits = async { write.write(&much).await.unwrap() };
        let wrote = tokio::time::timeout(Duration::from_secs(20), fits).await.unwrap();
        assert!(wrote < much.len());
        let waits = write.unacknowledged().unwrap();
        assert!(waits > 0 && waits <= wrote as u64, "{waits} of {wrote}");
        let mut all = vec![0; wrote];
        far.read_exact(&mut all).await.unwrap();
        let gone = async {
            while write.unacknowledged() != Some(0) {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), gone).await.unwrap();
    }

    #[test]
    fn less_than_before_is_progress_and_a_write_in_between_hides_it() {
        let (t0, second) = (Instant::now(), Duration::from_secs(1));
        let mut taken = Taken::default();
        assert_eq!(taken.last(Some(100), t0, t0 + second), t0, "nothing to compare with");
        assert_eq!(taken.last(Some(100), t0, t0 + second * 2), t0, "nothing taken");
        assert_eq!(taken.last(Some(90), t0, t0 + second * 3), t0 + second * 3);
        assert_eq!(taken.last(Some(90), t0, t0 + second * 4), t0 + second * 3);
        let written = t0 + second * 4 + second / 2;
        assert_eq!(taken.last(Some(80), written, t0 + second * 5), t0 + second * 3, "the write itself tells");
        assert_eq!(taken.last(None, written, t0 + second * 6), t0 + second * 3);
    }
}
