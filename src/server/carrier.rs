//! The SSH carrier: opens `forwarded-tcpip` channels to a host (RFC 4254 §7.2).

use super::flight::Flight;
use crate::tunnels::Vital;
use crate::tunnels::carrier::{Carrier, FromHost, HostReader, HostWriter, LinkGone, OpenError};
use bytes::Bytes;
use russh::server::{Handle, Msg};
use russh::{Channel, ChannelMsg, ChannelOpenFailure, ChannelReadHalf, ChannelWriteHalf};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use tokio::sync::oneshot;

/// One forward of one session.
#[derive(Clone)]
pub(super) struct SshCarrier {
    pub(super) handle: Handle,
    /// The address exactly as the client asked for it: OpenSSH finds its forward by it (DESIGN.md, trap 13).
    pub(super) address: Arc<str>,
    pub(super) port: u16,
    /// Of the session.
    pub(super) vital: Arc<Vital>,
    /// Whether its client is OpenSSH.
    pub(super) openssh: bool,
    /// Opens that the client has not answered.
    pub(super) unanswered: Arc<AtomicUsize>,
}

/// What the other side may send in a channel before it hears of us, bytes (RFC 4254 §5.1).
pub(super) const WINDOW: u32 = 2 * 1024 * 1024;

/// Opens a client may leave unanswered; beyond it the link is as good as broken.
const UNANSWERED: usize = 256;

impl Carrier for SshCarrier {
    type Reader = ChannelReader;
    type Writer = ChannelWriter;

    async fn open(&self, originator: SocketAddr) -> Result<(ChannelReader, ChannelWriter), OpenError> {
        if self.unanswered.load(Ordering::Relaxed) >= UNANSWERED {
            return Err(OpenError::Prohibited(format!("the client has {UNANSWERED} requests to answer")));
        }
        let (tx, rx) = oneshot::channel();
        let me = self.clone();
        self.unanswered.fetch_add(1, Ordering::Relaxed);
        // A task of its own: when the caller gives up, a late answer is still taken and the channel closed again.
        tokio::spawn(async move {
            let opened = me
                .handle
                .channel_open_forwarded_tcpip(
                    me.address.as_ref(),
                    me.port.into(),
                    originator.ip().to_string(),
                    originator.port().into(),
                )
                .await;
            me.unanswered.fetch_sub(1, Ordering::Relaxed);
            // What nobody waits for is dropped here, and a dropped channel closes itself.
            let flight = Arc::new(Flight::new(Arc::clone(&me.vital), me.openssh));
            let _ = tx.send(opened.map(|c| halves(c, me.vital, Some(flight))));
        });
        match rx.await {
            Ok(Ok(halves)) => Ok(halves),
            Ok(Err(russh::Error::ChannelOpenFailure(why))) => Err(match why {
                ChannelOpenFailure::ConnectFailed => {
                    OpenError::Refused("connection refused or not reachable".to_owned())
                }
                other => OpenError::Prohibited(format!("{other:?}")),
            }),
            Ok(Err(_)) | Err(_) => Err(OpenError::Gone),
        }
    }
}

/// A channel's two ends, as the relay wants them.
pub(super) fn halves(
    channel: Channel<Msg>,
    vital: Arc<Vital>,
    flight: Option<Arc<Flight>>,
) -> (ChannelReader, ChannelWriter) {
    let (read, write) = channel.split();
    let ends = Arc::new(Ends::default());
    let reader = ChannelReader { half: read, ends: Arc::clone(&ends), flight: flight.clone() };
    (reader, ChannelWriter { half: Some(write), ends, vital, flight })
}

/// How far a channel has come to its end.
#[derive(Debug, Default)]
struct Ends {
    /// The other side sends nothing more.
    eof: AtomicBool,
    /// We have said that we send nothing more.
    said_eof: AtomicBool,
    /// Either side has closed it.
    closed: AtomicBool,
}

pub(super) struct ChannelReader {
    half: ChannelReadHalf,
    ends: Arc<Ends>,
    flight: Option<Arc<Flight>>,
}

impl HostReader for ChannelReader {
    async fn next(&mut self) -> FromHost {
        loop {
            match self.half.wait().await {
                Some(ChannelMsg::Data { data }) => return FromHost::Data(data),
                Some(ChannelMsg::Eof) => {
                    self.ends.eof.store(true, Ordering::Relaxed);
                    return FromHost::Eof;
                }
                Some(ChannelMsg::Close) => {
                    self.ends.closed.store(true, Ordering::Relaxed);
                    return FromHost::Closed;
                }
                // Either side has closed the channel before, or the session is over without that.
                None if self.ends.closed.swap(true, Ordering::Relaxed) => return FromHost::Closed,
                None => return FromHost::Gone,
                Some(ChannelMsg::WindowAdjusted { new_size }) => {
                    if let Some(flight) = &self.flight {
                        flight.window(new_size);
                    }
                }
                // A host has no second stream to send on.
                Some(_) => {}
            }
        }
    }
}

pub(super) struct ChannelWriter {
    half: Option<ChannelWriteHalf<Msg>>,
    ends: Arc<Ends>,
    vital: Arc<Vital>,
    flight: Option<Arc<Flight>>,
}

impl ChannelWriter {
    fn half(&self) -> Result<&ChannelWriteHalf<Msg>, LinkGone> {
        self.half.as_ref().ok_or(LinkGone)
    }

    /// Whether this side is the first to close. The other may go on sending until it hears of it.
    fn closes_first(&self) -> bool {
        let first = !self.ends.closed.swap(true, Ordering::Relaxed);
        if first && !self.ends.eof.load(Ordering::Relaxed) {
            self.vital.forsakes(WINDOW as usize);
        }
        first
    }
}

impl HostWriter for ChannelWriter {
    async fn write(&self, data: Bytes) -> Result<(), LinkGone> {
        if let Some(flight) = &self.flight {
            flight.send(data.len()).await;
        }
        // Never more than the channel's window: what the library had to keep for one channel would hold up all
        // (DESIGN.md, trap 5). This call waits for the window.
        self.half()?.data_bytes(data).await.map_err(|_| LinkGone)
    }
    async fn eof(&self) -> Result<(), LinkGone> {
        // Once: to some clients (AsyncSSH) a second one is an error of the protocol, and the end of the session.
        if !self.ends.said_eof.load(Ordering::Relaxed) {
            self.half()?.eof().await.map_err(|_| LinkGone)?;
            // Only now: the call before may have been given up while it waited.
            self.ends.said_eof.store(true, Ordering::Relaxed);
        }
        Ok(())
    }
    async fn close(&self) -> Result<(), LinkGone> {
        self.closes_first();
        self.half()?.close().await.map_err(|_| LinkGone)
    }
}

impl Drop for ChannelWriter {
    /// A relay that is cut leaves its channel open; the host's client would go on sending into it.
    fn drop(&mut self) {
        if let Some(half) = self.half.take()
            && self.closes_first()
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            runtime.spawn(async move {
                // Fails when the session is gone, and the channel with it.
                let _ = half.close().await;
            });
        }
    }
}
