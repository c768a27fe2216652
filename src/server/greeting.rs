//! The first lines of a connection (RFC 4253 §4.2), ahead of the library: what is offered depends on who comes.

use super::algorithms::Offers;
use super::stream::SessionStream;
use std::sync::Arc;
use tokio::io::AsyncWriteExt;

/// The library's line, byte for byte.
const OURS: &str = "SSH-2.0-portreeve\r\n";

/// The same without its end.
pub(super) const ID: &str = OURS.trim_ascii_end();

/// Says who we are, and chooses by the first bytes of the client what it will be offered. The library sends its first packet
/// only after the client's line, but takes its configuration before; so the line is looked at here, and left where it is.
///
/// Whatever goes wrong goes wrong for the library once more, and it says what.
pub(super) async fn meet(stream: &mut SessionStream, offers: &Offers) -> Arc<russh::server::Config> {
    // First ours: there are clients that wait for it.
    if stream.write_all(OURS.as_bytes()).await.is_err() {
        return offers.to("");
    }
    stream.has_said(OURS.as_bytes());
    let mut first = [0; 32];
    // Clients send their line at once and in one piece. Who sends it in crumbs is offered what everybody is.
    let n = stream.peek(&mut first).await.unwrap_or(0);
    let line = String::from_utf8_lossy(first.get(..n).unwrap_or_default());
    offers.to(line.strip_prefix("SSH-2.0-").unwrap_or_default())
}
