//! Frames of the control protocol: one JSON object a line.
//!
//! A reader gives whole lines and never holds more than its limit; a line that is not ended by a newline is not a frame
//! (the peer died while writing it).

use serde::Serialize;
use thiserror::Error;
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};

/// Longest line a server accepts from a client, bytes. Requests are small; anything longer is a mistake or an attack.
pub const MAX_REQUEST: usize = 64 * 1024;

/// Why a frame could not be read or written.
#[derive(Debug, Error)]
pub enum CodecError {
    /// Longer than agreed. The stream cannot be used any more: where the next line begins is not known.
    #[error("the line is longer than {max} bytes, the most that is accepted here: ask for less at a time")]
    TooLong {
        /// The limit.
        max: usize,
    },
    /// The stream broke.
    #[error("the control connection broke: {0}")]
    Io(#[from] std::io::Error),
    /// A value that JSON cannot hold.
    #[error("the frame cannot be written as JSON: {0}")]
    Encode(#[source] serde_json::Error),
}

/// Reads lines, and keeps what it has of an unfinished one, so that it may be cancelled at any time.
#[derive(Debug)]
pub struct LineReader<R> {
    inner: BufReader<R>,
    part: Vec<u8>,
    max: usize,
}

impl<R: AsyncRead + Unpin> LineReader<R> {
    /// A reader that refuses lines of more than `max` bytes (the newline aside).
    pub fn new(inner: R, max: usize) -> Self {
        Self { inner: BufReader::new(inner), part: Vec::new(), max }
    }

    /// The next line without its newline; none when the peer has closed. Cancel safe.
    ///
    /// # Errors
    /// [`CodecError::TooLong`], after which the stream must be closed, or [`CodecError::Io`].
    pub async fn next(&mut self) -> Result<Option<Vec<u8>>, CodecError> {
        loop {
            let buf = self.inner.fill_buf().await?;
            if buf.is_empty() {
                return Ok(None);
            }
            let end = buf.iter().position(|b| *b == b'\n');
            let piece = buf.get(..end.unwrap_or(buf.len())).unwrap_or_default();
            if self.part.len() + piece.len() > self.max {
                return Err(CodecError::TooLong { max: self.max });
            }
            self.part.extend_from_slice(piece);
            let used = piece.len() + usize::from(end.is_some());
            self.inner.consume(used);
            if end.is_some() {
                return Ok(Some(std::mem::take(&mut self.part)));
            }
        }
    }
}

/// The frame as a line with its newline.
///
/// # Errors
/// [`CodecError::TooLong`] past `max` bytes, [`CodecError::Encode`] for what JSON cannot hold.
pub fn encode<T: Serialize>(frame: &T, max: usize) -> Result<Vec<u8>, CodecError> {
    let mut line = serde_json::to_vec(frame).map_err(CodecError::Encode)?;
    if line.len() > max {
        return Err(CodecError::TooLong { max });
    }
    line.push(b'\n');
    Ok(line)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::AsyncWriteExt;

    #[tokio::test]
    async fn lines_come_whole_however_they_were_cut_and_a_torn_one_does_not() {
        let (mut tx, rx) = tokio::io::duplex(3);
        let writer = tokio::spawn(async move {
            tx.write_all(b"{\"a\":1}\n\n0123456789\ntorn").await.unwrap();
        });
        let mut lines = LineReader::new(rx, 10);
        assert_eq!(lines.next().await.unwrap().unwrap(), b"{\"a\":1}");
        assert_eq!(lines.next().await.unwrap().unwrap(), b"");
        assert_eq!(lines.next().await.unwrap().unwrap(), b"0123456789");
        assert!(lines.next().await.unwrap().is_none());
        writer.await.unwrap();
    }

    #[tokio::test]
    async fn a_line_past_the_limit_is_refused_before_it_is_held() {
        let (mut tx, rx) = tokio::io::duplex(1024);
        tx.write_all(&[b'x'; 11]).await.unwrap();
        let mut lines = LineReader::new(rx, 10);
        assert!(matches!(lines.next().await, Err(CodecError::TooLong { max: 10 })));
    }

    #[tokio::test]
    async fn a_cancelled_read_loses_nothing() {
        let (mut tx, rx) = tokio::io::duplex(1024);
        let mut lines = LineReader::new(rx, 100);
        tx.write_all(b"ab").await.unwrap();
        tokio::select! {
            biased;
            _ = lines.next() => panic!("there is no whole line yet"),
            () = std::future::ready(()) => {}
        }
        tx.write_all(b"cd\n").await.unwrap();
        assert_eq!(lines.next().await.unwrap().unwrap(), b"abcd");
    }

    #[test]
    fn a_frame_past_the_limit_is_not_sent() {
        assert!(matches!(encode(&"x".repeat(100), 50), Err(CodecError::TooLong { max: 50 })));
        assert_eq!(encode(&1, 50).unwrap(), b"1\n");
    }
}
