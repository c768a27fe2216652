//! What must hold of whatever comes over a control connection, at either end.

use super::codec::{LineReader, MAX_REQUEST, encode};
use super::fake::{identity, snapshot};
use super::protocol::{
    ApiError, ClientFrame, Delta, ErrorCode, Identity, MAX_LINE, Reply, Request, ServerFrame, Snapshot,
};
use super::server::{Api, BoxFuture, Cursor, serve};
use crate::model::{Role, Seq};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::watch;

/// What a connection is sent. The first byte says in what pieces.
pub fn control(data: &[u8]) {
    let Some((size, data)) = data.split_first() else { return };
    let lines = lines(data, usize::from(*size).max(1));
    assert_eq!(lines, self::lines(data, data.len().max(1)), "in pieces of {size}");
    for line in lines {
        written_alike::<ClientFrame>(&line);
        written_alike::<ServerFrame>(&line);
    }
    served(data);
}

/// The whole lines of a stream, up to one that is too long.
fn lines(data: &[u8], size: usize) -> Vec<Vec<u8>> {
    // A mock that gives the bytes in these pieces.
    let pieces = data.chunks(size).map(Ok::<_, std::io::Error>);
    let mut reader = LineReader::new(Pieces(pieces), MAX_REQUEST);
    let mut out = Vec::new();
    loop {
        let next = pin!(reader.next()).poll(&mut Context::from_waker(Waker::noop()));
        match next {
            Poll::Ready(Ok(Some(line))) => {
                assert!(line.len() <= MAX_REQUEST && !line.contains(&b'\n'));
                out.push(line);
            }
            Poll::Ready(Ok(None) | Err(_)) => return out,
            Poll::Pending => unreachable!("all of it is there"),
        }
    }
}

struct Pieces<I>(I);

impl<'a, I: Iterator<Item = std::io::Result<&'a [u8]>> + Unpin> tokio::io::AsyncRead for Pieces<I> {
    fn poll_read(
        mut self: std::pin::Pin<&mut Self>,
        _: &mut Context<'_>,
        buf: &mut tokio::io::ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        if let Some(piece) = self.0.next() {
            // A BufReader asks for more than a piece is long.
            buf.put_slice(piece?);
        }
        Poll::Ready(Ok(()))
    }
}

/// A frame that is understood is written as one that is understood, and then always alike.
fn written_alike<T: Serialize + DeserializeOwned>(line: &[u8]) {
    let Ok(frame) = serde_json::from_slice::<T>(line) else { return };
    let Ok(once) = encode(&frame, MAX_LINE) else { return };
    let again = serde_json::from_slice::<T>(&once).map_err(|e| e.to_string());
    let again = again.and_then(|f| encode(&f, MAX_LINE).map_err(|e| e.to_string()));
    assert_eq!(
        again.map(|a| String::from_utf8_lossy(&a).into_owned()),
        Ok(String::from_utf8_lossy(&once).into_owned())
    );
}

/// A daemon of which nothing is to be had.
struct Mute(watch::Sender<u64>);

impl Api for Mute {
    fn snapshot(&self, _: &Identity, _: Option<Seq>) -> Snapshot {
        snapshot()
    }
    fn delta(&self, _: &Identity, _: &mut Cursor) -> Option<Delta> {
        None
    }
    fn changed(&self) -> watch::Receiver<u64> {
        self.0.subscribe()
    }
    fn handle(&self, _: Identity, _: Request) -> BoxFuture<'static, Result<Reply, ApiError>> {
        Box::pin(async { Err(ApiError::new(ErrorCode::NotFound, "there is nothing here")) })
    }
}

/// A server that is sent this answers in frames, and ends when the client has left.
fn served(data: &[u8]) {
    thread_local! {
        static RUNTIME: Option<tokio::runtime::Runtime> =
            tokio::runtime::Builder::new_current_thread().enable_time().build().ok();
    }
    let hello = b"{\"id\":0,\"request\":{\"do\":\"hello\",\"version\":1,\"client\":\"fuzz\"}}\n";
    RUNTIME.with(|runtime| {
        let Some(runtime) = runtime else { return };
        runtime.block_on(async {
            let (near, far) = tokio::io::duplex(16 * 1024);
            let (mut answers, mut asks) = tokio::io::split(near);
            let asking = async {
                // The server may close before it has read all.
                let _ = asks.write_all(hello).await;
                let _ = asks.write_all(data).await;
                let _ = asks.shutdown().await;
            };
            let mut said = Vec::new();
            let server = serve(far, identity("root", Role::Admin), Arc::new(Mute(watch::Sender::new(0))));
            let _ = tokio::join!(asking, answers.read_to_end(&mut said), server);
            let frames = said.split(|b| *b == b'\n').filter(|l| !l.is_empty());
            for (n, line) in frames.enumerate() {
                let frame = serde_json::from_slice::<ServerFrame>(line);
                assert!(frame.is_ok(), "{:?}", String::from_utf8_lossy(line));
                assert!(n > 0 || matches!(frame, Ok(ServerFrame::Reply { id: 0, result: Ok(_) })), "no welcome");
            }
        });
    });
}
