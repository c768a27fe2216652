//! The server's side of one control connection, over a Unix socket or a channel of an SSH session alike.
//!
//! One writer owns the stream's sending half and, with it, the subscription: the next push is computed when the one
//! before has been written. So a client that reads slowly gets fewer and larger pushes and costs one frame of memory.

use super::codec::{self, CodecError, LineReader, MAX_REQUEST};
use super::protocol::{
    ApiError, ClientFrame, Delta, ErrorCode, Identity, MAX_LINE, Push, Reply, Request, Rows, ServerFrame, Snapshot,
    VERSION,
};
use super::seats::Seat;
use crate::model::{Revision, Seq, clean_line};
use crate::wait::or_never;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{Instant, sleep_until, timeout};

/// Requests of one connection that are answered at a time; further ones wait in the socket.
pub const MAX_IN_FLIGHT: usize = 64;
/// Least time between two pushes: ten a second.
pub const PUSH_INTERVAL: Duration = Duration::from_millis(100);
/// Time a client has to say hello.
const HELLO_WAIT: Duration = Duration::from_secs(10);
/// Time a closing connection has to take what is queued for it.
const FLUSH_WAIT: Duration = Duration::from_secs(5);
/// Time a client has to take the reason why it is closed.
const GOODBYE_WAIT: Duration = Duration::from_millis(500);
/// Replies that wait for the writer. More wait in their own tasks, so that one slow reader holds 64 replies at most.
const QUEUE: usize = 8;

/// A future that may be sent between threads.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// How far a subscriber has been told. Made from the snapshot it got; [`Api::delta`] advances it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cursor {
    /// Rows up to this revision are known to the subscriber.
    pub revision: Revision,
    /// Events up to this number are known to the subscriber.
    pub seq: Seq,
    /// What the subscriber was last told of the daemon itself, in the API's own reckoning.
    pub daemon: Option<u64>,
    /// The version of the incidents it was last told, in the API's own reckoning.
    pub triage: Option<u64>,
}

impl Cursor {
    /// What somebody knows who has this snapshot, asked for with this `since`.
    ///
    /// The last event shown counts, not the journal's last number: an event may be numbered before it can be shown.
    #[must_use]
    pub fn after(snapshot: &Snapshot, since: Option<Seq>) -> Self {
        let seq = snapshot.events.last().map(|r| r.seq).or(since).unwrap_or_default();
        Self { revision: snapshot.revision, seq, daemon: None, triage: None }
    }
}

/// What the daemon does for a control connection. Every method answers as this person may see it.
pub trait Api: Send + Sync + 'static {
    /// The whole live state, with the recent events after `since`.
    fn snapshot(&self, who: &Identity, since: Option<Seq>) -> Snapshot;
    /// Rows changed since `cursor.revision` and events since `cursor.seq`; advances the cursor to what it returns.
    /// None when nothing changed that this person may see (the cursor advances all the same).
    fn delta(&self, who: &Identity, cursor: &mut Cursor) -> Option<Delta>;
    /// Ticks whenever anything changed.
    fn changed(&self) -> watch::Receiver<u64>;
    /// Somebody has connected.
    fn enter(&self, _seat: &Arc<Seat>) {}
    /// Whether this person is to be served no longer: the connection is closed.
    fn dismissed(&self, _who: &Identity) -> bool {
        false
    }
    /// This person as they are now: what they may do can change while they are connected.
    fn identity(&self, who: &Identity) -> Identity {
        who.clone()
    }
    /// Answers everything but `Hello`, `Snapshot` and `Subscribe`. Authorises and audits actions.
    fn handle(&self, who: Identity, request: Request) -> BoxFuture<'static, Result<Reply, ApiError>>;
}

/// What the writer is told.
enum Out {
    /// Send this line.
    Line(Vec<u8>),
    /// Answer this request with `Subscribed` and begin to push.
    Subscribe { id: u64, since: Option<Seq> },
    /// Say why the connection is closed.
    Goodbye(String),
    /// Send what came before and close.
    Close,
}

/// Serves one connection until the peer closes it or breaks the rules.
///
/// Requests that only ask are dropped with the connection; actions go on to their end.
pub async fn serve<S>(stream: S, who: Identity, api: Arc<dyn Api>)
where
    S: AsyncRead + AsyncWrite + Send,
{
    let (read, write) = tokio::io::split(stream);
    let (queue, replies) = mpsc::channel(QUEUE);
    let seat = Arc::new(Seat::new(who.clone()));
    api.enter(&seat);
    let leaving = dismissed(who.clone(), Arc::clone(&api));
    let last = queue.clone();
    let writer = write_loop(write, replies, who.clone(), Arc::clone(&api));
    tokio::pin!(writer);
    tokio::select! {
        () = read_loop(read, queue, who, (api, Arc::clone(&seat))) => {
            let _ = timeout(FLUSH_WAIT, writer).await;
        }
        // The peer takes nothing more.
        () = &mut writer => {}
        () = leaving => {}
        why = seat.closed() => {
            let farewell = async {
                let _ = last.send(Out::Goodbye(why)).await;
                let _ = last.send(Out::Close).await;
                writer.await;
            };
            let _ = timeout(GOODBYE_WAIT, farewell).await;
        }
    }
}

/// Waits until this person is to be served no longer.
async fn dismissed(who: Identity, api: Arc<dyn Api>) {
    if who.uid.is_none() {
        // Their SSH session ends, and this with it.
        return std::future::pending().await;
    }
    let mut changed = api.changed();
    while !api.dismissed(&who) {
        if changed.changed().await.is_err() {
            // The daemon is stopping; it closes the connection itself.
            return std::future::pending().await;
        }
        // Much may change in a moment.
        tokio::time::sleep(PUSH_INTERVAL).await;
        changed.borrow_and_update();
    }
}

/// Says no and closes: for a connection that is not served at all. `id` 0 stands for no request.
pub async fn refuse<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S, error: ApiError) {
    let said = timeout(FLUSH_WAIT, async {
        stream.write_all(&reply_line(0, Err(error))).await?;
        stream.shutdown().await
    });
    let _ = said.await;
}

/// A reply as a line; one that is too long or cannot be written becomes an error that says so.
fn reply_line(id: u64, result: Result<Reply, ApiError>) -> Vec<u8> {
    codec::encode(&ServerFrame::Reply { id, result }, MAX_LINE).unwrap_or_else(|e| {
        let error = ApiError::new(ErrorCode::Invalid, format!("the answer cannot be sent: {e}"));
        codec::encode(&ServerFrame::Reply { id, result: Err(error) }, MAX_LINE).unwrap_or_default()
    })
}

async fn read_loop<R: AsyncRead + Unpin>(
    read: R,
    queue: mpsc::Sender<Out>,
    who: Identity,
    (api, seat): (Arc<dyn Api>, Arc<Seat>),
) {
    let mut lines = LineReader::new(read, MAX_REQUEST);
    let mut asking = JoinSet::new();
    match timeout(HELLO_WAIT, hello(&mut lines, &who, (api.as_ref(), &seat))).await {
        Ok(Some((id, result))) => {
            let welcome = result.is_ok();
            if queue.send(Out::Line(reply_line(id, result))).await.is_ok() && welcome {
                requests(&mut lines, &queue, &who, (&api, &seat), &mut asking).await;
            }
        }
        Ok(None) => {}
        Err(_) => {
            let late = format!("no hello came within {} s", HELLO_WAIT.as_secs());
            let error = ApiError::new(ErrorCode::Invalid, late);
            let _ = queue.send(Out::Line(reply_line(0, Err(error)))).await;
        }
    }
    // Before the last word: what only asked has nobody to answer.
    drop(asking);
    let _ = timeout(FLUSH_WAIT, queue.send(Out::Close)).await;
}

/// The first request and its answer; none when the peer left.
async fn hello<R: AsyncRead + Unpin>(
    lines: &mut LineReader<R>,
    who: &Identity,
    (api, seat): (&dyn Api, &Seat),
) -> Option<(u64, Result<Reply, ApiError>)> {
    let invalid = |m: String| Err(ApiError::new(ErrorCode::Invalid, m));
    let frame = match next_frame(lines).await? {
        Ok(frame) => frame,
        Err(bad) => return Some((bad.id, Err(bad.error))),
    };
    let result = match frame.request {
        Request::Hello { version: VERSION, client } => {
            if client == "console" {
                seat.is_console();
            }
            Ok(Reply::Welcome {
                version: VERSION,
                portreeve: env!("CARGO_PKG_VERSION").to_owned(),
                you: api.identity(who),
            })
        }
        Request::Hello { version, .. } => invalid(format!(
            "this daemon (portreeve {}) speaks version {VERSION} of the control protocol, the client speaks version \
             {version}: use the daemon's own portreeve binary, or restart the daemon after an upgrade",
            env!("CARGO_PKG_VERSION")
        )),
        _ => invalid("the first request of a connection must be hello".to_owned()),
    };
    Some((frame.id, result))
}

/// A line that is not a request.
struct Bad {
    id: u64,
    error: ApiError,
    /// The stream is of no more use.
    fatal: bool,
}

/// Enough of a broken request to answer it under its own number.
#[derive(serde::Deserialize)]
struct IdOnly {
    id: u64,
}

/// The next request; none when the peer left.
async fn next_frame<R: AsyncRead + Unpin>(lines: &mut LineReader<R>) -> Option<Result<ClientFrame, Bad>> {
    loop {
        let line = match lines.next().await {
            Ok(Some(line)) => line,
            Ok(None) | Err(CodecError::Io(_)) => return None,
            Err(e) => {
                let error = ApiError::new(ErrorCode::Invalid, e.to_string());
                return Some(Err(Bad { id: 0, error, fatal: true }));
            }
        };
        if line.trim_ascii().is_empty() {
            continue;
        }
        return Some(serde_json::from_slice(&line).map_err(|e| {
            let id = serde_json::from_slice(&line).map_or(0, |i: IdOnly| i.id);
            let message =
                format!("this is not a request of control protocol {VERSION}: {}", clean_line(&e.to_string()));
            Bad { id, error: ApiError::new(ErrorCode::Invalid, message), fatal: false }
        }));
    }
}

/// Takes requests until the peer leaves or breaks the framing.
async fn requests<R: AsyncRead + Unpin>(
    lines: &mut LineReader<R>,
    queue: &mpsc::Sender<Out>,
    who: &Identity,
    (api, seat): (&Arc<dyn Api>, &Seat),
    asking: &mut JoinSet<()>,
) {
    let slots = Arc::new(Semaphore::new(MAX_IN_FLIGHT));
    while let Some(next) = next_frame(lines).await {
        while asking.try_join_next().is_some() {}
        let ClientFrame { id, request } = match next {
            Ok(frame) => frame,
            Err(Bad { id, error, fatal }) => {
                if queue.send(Out::Line(reply_line(id, Err(error)))).await.is_err() || fatal {
                    return;
                }
                continue;
            }
        };
        let told = match request {
            Request::Hello { .. } => {
                let error = ApiError::new(ErrorCode::Invalid, "hello was said already");
                queue.send(Out::Line(reply_line(id, Err(error)))).await
            }
            Request::Subscribe { since } => queue.send(Out::Subscribe { id, since }).await,
            Request::Active => {
                seat.press();
                queue.send(Out::Line(reply_line(id, Ok(Reply::Noted)))).await
            }
            Request::Snapshot => {
                let snapshot = Box::new(api.snapshot(who, None));
                queue.send(Out::Line(reply_line(id, Ok(Reply::Snapshot(snapshot))))).await
            }
            request => {
                let Ok(slot) = Arc::clone(&slots).acquire_owned().await else { return };
                let acts = matches!(request, Request::Act(_));
                // A task of its own within, so that a panic while answering is an answer too.
                let work = tokio::spawn(api.handle(who.clone(), request));
                let queue = queue.clone();
                let answer = async move {
                    let result = work_result(work, acts).await;
                    let _ = queue.send(Out::Line(reply_line(id, result))).await;
                    drop(slot);
                };
                if acts {
                    tokio::spawn(answer);
                } else {
                    asking.spawn(answer);
                }
                Ok(())
            }
        };
        if told.is_err() {
            return;
        }
    }
}

/// Ends its task when it is dropped.
struct Abort(tokio::task::AbortHandle);
impl Drop for Abort {
    fn drop(&mut self) {
        self.0.abort();
    }
}

async fn work_result(work: JoinHandle<Result<Reply, ApiError>>, acts: bool) -> Result<Reply, ApiError> {
    let _guard = (!acts).then(|| Abort(work.abort_handle()));
    work.await.unwrap_or_else(|_| {
        let message = "the daemon failed while answering; its log says where. What was asked may be half done";
        Err(ApiError::new(ErrorCode::Unavailable, message))
    })
}

/// A subscription in the hands of the writer.
struct Subscription {
    cursor: Cursor,
    /// Whom it was begun for. When they may see or do something else, it is begun anew: what is no longer theirs must go.
    who: Identity,
    changed: watch::Receiver<u64>,
    /// Something changed since the last push was computed.
    dirty: bool,
    /// Not before.
    due: Instant,
}

impl Subscription {
    /// With the first push, and the rows that follow it.
    fn begin(who: &Identity, since: Option<Seq>, api: &dyn Api) -> (Self, Push, Vec<Rows>) {
        let mut changed = api.changed();
        // Seen before the picture is taken: what changes in between is told twice rather than never.
        changed.borrow_and_update();
        let now = api.identity(who);
        let snapshot = api.snapshot(who, since);
        let cursor = Cursor::after(&snapshot, since);
        let (snapshot, rows) = snapshot.in_pieces();
        let me = Self { cursor, who: now, changed, dirty: false, due: Instant::now() + PUSH_INTERVAL };
        (me, Push::Snapshot(snapshot), rows)
    }

    /// Waits until there is something to tell and it may be told. Cancel safe.
    async fn ready(&mut self) {
        if !self.dirty {
            if self.changed.changed().await.is_err() {
                // The daemon is stopping; it closes the connection itself.
                return std::future::pending().await;
            }
            self.dirty = true;
        }
        sleep_until(self.due).await;
    }

    /// What is to be pushed now, if anything is.
    fn take(&mut self, who: &Identity, api: &dyn Api) -> Option<(Push, Vec<Rows>)> {
        self.changed.borrow_and_update();
        if api.identity(who) != self.who {
            let (begun, first, rows) = Self::begin(who, Some(self.cursor.seq), api);
            *self = begun;
            return Some((first, rows));
        }
        self.dirty = false;
        self.due = Instant::now() + PUSH_INTERVAL;
        api.delta(who, &mut self.cursor).map(|delta| (Push::Delta(delta), vec![]))
    }
}

async fn write_loop<W: AsyncWrite + Unpin>(
    mut write: W,
    mut replies: mpsc::Receiver<Out>,
    who: Identity,
    api: Arc<dyn Api>,
) {
    let mut subscription: Option<Subscription> = None;
    loop {
        let line = tokio::select! {
            out = replies.recv() => match out {
                Some(Out::Line(line)) => line,
                Some(Out::Goodbye(why)) => push_line(Push::Goodbye(why)),
                Some(Out::Subscribe { id, since }) => {
                    let (begun, first, rows) = Subscription::begin(&who, since, api.as_ref());
                    subscription = Some(begun);
                    let mut lines = reply_line(id, Ok(Reply::Subscribed));
                    lines.extend(push_line(first));
                    match write_but_last(&mut write, lines, rows).await {
                        Ok(last) => last,
                        Err(_) => return,
                    }
                }
                Some(Out::Close) | None => break,
            },
            () = or_never(subscription.as_mut().map(Subscription::ready)) => {
                match subscription.as_mut().and_then(|s| s.take(&who, api.as_ref())) {
                    Some((first, rows)) => match write_but_last(&mut write, push_line(first), rows).await {
                        Ok(last) => last,
                        Err(_) => return,
                    },
                    None => continue,
                }
            }
        };
        if write.write_all(&line).await.is_err() || write.flush().await.is_err() {
            return;
        }
    }
    let _ = write.shutdown().await;
}

/// Writes these lines and the rows that follow them, but for the last of all, which is given back.
async fn write_but_last<W: AsyncWrite + Unpin>(
    write: &mut W,
    mut lines: Vec<u8>,
    rows: Vec<Rows>,
) -> std::io::Result<Vec<u8>> {
    for piece in rows {
        write.write_all(&lines).await?;
        write.flush().await?;
        lines = push_line(Push::Rows(piece));
    }
    Ok(lines)
}

/// A push as a line; one too long to send is dropped, and the client learns of it by an error under number 0.
fn push_line(push: Push) -> Vec<u8> {
    codec::encode(&ServerFrame::Push(Box::new(push)), MAX_LINE).unwrap_or_else(|e| {
        reply_line(0, Err(ApiError::new(ErrorCode::Unavailable, format!("an update cannot be sent: {e}"))))
    })
}
