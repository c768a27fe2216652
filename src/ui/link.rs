//! The console's line to the daemon: it connects, subscribes, notices silence, and dials again for ever.

use super::words::{Lang, tr};
use crate::control::protocol::{ApiError, ErrorCode, Identity, Push, Reply, Request};
use crate::model::{Port, Seq};
use std::hash::{BuildHasher, Hasher};
use std::pin::Pin;
use std::sync::Arc;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::{Duration, Instant, MissedTickBehavior, interval_at, sleep, timeout};

/// Time one attempt to connect may take.
const CONNECT: Duration = Duration::from_secs(10);
/// Between two signs of life asked of the daemon, and how long it has to answer. A console must not show as live what
/// a hung daemon said a minute ago.
const HEARTBEAT: Duration = Duration::from_secs(5);

/// A future behind a pointer.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// A request and the place for its answer.
pub type Ask = (Request, oneshot::Sender<Result<Reply, ApiError>>);

/// One connection to the daemon, past its `Hello`.
#[derive(Debug)]
pub struct Connection {
    /// Who we are, from `Welcome`.
    pub identity: Identity,
    /// Requests; replies may come in any order. Closing either end is the loss of the connection.
    pub requests: mpsc::Sender<Ask>,
    /// What the daemon sends unasked; closed when the connection is lost.
    pub pushes: mpsc::Receiver<Push>,
}

/// Makes connections to the daemon.
pub trait Connector: Send + Sync + 'static {
    /// Connects anew. The error is a sentence for the screen.
    fn connect(&self) -> BoxFuture<'_, Result<Connection, String>>;
}

/// What the link tells the console.
#[derive(Debug)]
#[allow(clippy::large_enum_variant)] // taken from a queue and gone: never kept in numbers
pub(crate) enum LinkEvent {
    /// Connected, as this operator. The snapshot follows.
    Up(Identity),
    /// From the daemon.
    Push(Push),
    /// The answer to the request of this number.
    Reply(u64, Result<Reply, ApiError>),
    /// Not connected (any more). Requests in flight are lost.
    Down(Lost),
}

/// What a request was sent for.
#[derive(Debug, Clone, Copy)]
enum For {
    Subscription,
    Heartbeat,
    Console(u64),
}

/// Why there is no connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Lost {
    /// It was tried for so many seconds.
    NoAnswer(u64),
    Closed,
    /// Nothing was heard for so many seconds.
    Quiet(u64),
    /// The console's own fault.
    Failed,
    /// As the daemon or the system says.
    Told(String),
}

impl Lost {
    pub(crate) fn said(&self, lang: Lang) -> String {
        match self {
            Self::NoAnswer(s) => tr!(lang, link.no_answer, s),
            Self::Closed => tr!(lang, link.closed).to_owned(),
            Self::Quiet(s) => tr!(lang, link.quiet, s),
            Self::Failed => tr!(lang, link.failed).to_owned(),
            Self::Told(why) => why.clone(),
        }
    }
}

impl<T: Into<String>> From<T> for Lost {
    fn from(why: T) -> Self {
        Self::Told(why.into())
    }
}

fn gone() -> ApiError {
    ApiError::new(
        ErrorCode::Unavailable,
        // As the state knows it by, and says it in its own language.
        tr!(Lang::En, link.gone),
    )
}

/// Runs until the console drops its end.
pub(crate) async fn keep(
    connector: Arc<dyn Connector>,
    mut asks: mpsc::Receiver<(u64, Request)>,
    events: mpsc::Sender<LinkEvent>,
) {
    let mut since = None;
    let mut attempt = 0_u32;
    loop {
        let why = match timeout(CONNECT, connector.connect()).await {
            Ok(Ok(connection)) => {
                let (why, lived) = serve(connection, &mut asks, &events, &mut since).await;
                if lived {
                    attempt = 0;
                }
                why
            }
            Ok(Err(why)) => why.into(),
            Err(_) => Lost::NoAnswer(CONNECT.as_secs()),
        };
        if events.send(LinkEvent::Down(why)).await.is_err() {
            return;
        }
        let pause = backoff(attempt);
        attempt = attempt.saturating_add(1);
        let resume = sleep(pause);
        tokio::pin!(resume);
        loop {
            tokio::select! {
                () = &mut resume => break,
                () = events.closed() => return,
                ask = asks.recv() => match ask {
                    None => return,
                    Some((id, _)) => {
                        let _ = events.send(LinkEvent::Reply(id, Err(gone()))).await;
                    }
                },
            }
        }
    }
}

/// One connection, to its end: why it ended, and whether it ever answered.
async fn serve(
    mut c: Connection,
    asks: &mut mpsc::Receiver<(u64, Request)>,
    events: &mpsc::Sender<LinkEvent>,
    since: &mut Option<Seq>,
) -> (Lost, bool) {
    let mut lived = false;
    if events.send(LinkEvent::Up(c.identity.clone())).await.is_err() {
        return (Lost::Closed, false);
    }
    let mut inflight: JoinSet<(For, Result<Reply, ApiError>)> = JoinSet::new();
    inflight.spawn(ask(c.requests.clone(), Request::Subscribe { since: *since }, For::Subscription));
    let mut beat = interval_at(Instant::now() + HEARTBEAT, HEARTBEAT);
    beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut unanswered = true;
    let mut asked = 0_usize;
    loop {
        tokio::select! {
            push = c.pushes.recv() => {
                let Some(push) = push else { return (Lost::Closed, lived) };
                lived = true;
                unanswered = false;
                let newest = match &push {
                    Push::Snapshot(s) => Some(s.daemon.audit.seq).max(s.events.last().map(|r| r.seq)),
                    Push::Delta(d) => d.events.last().map(|r| r.seq),
                    Push::Rows(_) | Push::Goodbye(_) => None,
                };
                *since = newest.max(*since);
                if events.send(LinkEvent::Push(push)).await.is_err() {
                    return (Lost::Closed, lived);
                }
            }
            request = asks.recv() => {
                let Some((id, request)) = request else { return (Lost::Closed, lived) };
                asked += 1;
                inflight.spawn(ask(c.requests.clone(), request, For::Console(id)));
            }
            Some(done) = inflight.join_next() => {
                let Ok((what_for, result)) = done else { continue };
                unanswered = false;
                match (what_for, result) {
                    (For::Console(id), result) => {
                        asked = asked.saturating_sub(1);
                        if events.send(LinkEvent::Reply(id, result)).await.is_err() {
                            return (Lost::Closed, lived);
                        }
                    }
                    (For::Subscription, Err(e)) => return (e.message.into(), lived),
                    (For::Subscription, Ok(_)) => lived = true,
                    // Even a refusal is a sign of life.
                    (For::Heartbeat, _) => {}
                }
            }
            _ = beat.tick() => {
                // A reconnect is answered after a minute; a daemon that answers one thing after the other is not hung.
                if unanswered && asked == 0 {
                    return (Lost::Quiet(HEARTBEAT.as_secs()), lived);
                }
                unanswered = true;
                // The cheapest question there is: who visits port 1.
                let port = Port::try_from(1_u16).ok();
                inflight.spawn(ask(c.requests.clone(), Request::Visitors { port }, For::Heartbeat));
            }
        }
    }
}

async fn ask(requests: mpsc::Sender<Ask>, request: Request, what_for: For) -> (For, Result<Reply, ApiError>) {
    let (tx, rx) = oneshot::channel();
    if requests.send((request, tx)).await.is_err() {
        return (what_for, Err(gone()));
    }
    (what_for, rx.await.unwrap_or_else(|_| Err(gone())))
}

/// 0.5 s, doubling to 8 s, each times 0.5 to 1.5: a hundred consoles do not all come back in the same instant.
fn backoff(attempt: u32) -> Duration {
    let base = Duration::from_millis(500) * 2_u32.pow(attempt.min(4));
    let noise = std::hash::RandomState::new().build_hasher().finish() % 1000;
    base / 2 + base * u32::try_from(noise).unwrap_or(0) / 1000
}
