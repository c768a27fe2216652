//! The console's way to the desk: over the Unix socket, or over a pipe inside the daemon.

use crate::control::client::{Client, ClientError};
use crate::control::protocol::{ApiError, ErrorCode, Push, Reply, Request};
use crate::ui::{Ask, BoxFuture, Connection, Connector};
use std::path::PathBuf;
use tokio::io::DuplexStream;
use tokio::sync::mpsc;

/// Makes clients.
pub(super) trait Line: Send + Sync + 'static {
    fn dial(&self) -> BoxFuture<'_, Result<Client, ClientError>>;
}

/// Over the Unix socket.
pub(super) struct Socket(pub(super) PathBuf);

impl Line for Socket {
    fn dial(&self) -> BoxFuture<'_, Result<Client, ClientError>> {
        Box::pin(Client::connect_unix(&self.0, "console"))
    }
}

/// Inside the daemon.
pub(super) struct Pipe(Box<dyn Fn() -> DuplexStream + Send + Sync>);

impl Pipe {
    pub(super) fn new(make: impl Fn() -> DuplexStream + Send + Sync + 'static) -> Self {
        Self(Box::new(make))
    }
}

impl Line for Pipe {
    fn dial(&self) -> BoxFuture<'_, Result<Client, ClientError>> {
        Box::pin(Client::connect((self.0)(), "console"))
    }
}

/// Gives the console connections over a [`Line`].
pub(super) struct Dialer<L>(L);

impl<L: Line> Dialer<L> {
    pub(super) fn new(line: L) -> Self {
        Self(line)
    }
}

impl<L: Line> Connector for Dialer<L> {
    fn connect(&self) -> BoxFuture<'_, Result<Connection, String>> {
        Box::pin(async {
            let client = self.0.dial().await.map_err(|e| e.to_string())?;
            let identity = client.identity().clone();
            let (requests, asked) = mpsc::channel(64);
            let (pushed, pushes) = mpsc::channel(4);
            tokio::spawn(attend(client, asked, pushed));
            Ok(Connection { identity, requests, pushes })
        })
    }
}

/// Passes requests on until the console hangs up or the daemon is gone.
async fn attend(client: Client, mut asked: mpsc::Receiver<Ask>, pushed: mpsc::Sender<Push>) {
    let mut tasks = tokio::task::JoinSet::new();
    loop {
        tokio::select! {
            ask = asked.recv() => {
                let Some((request, answer)) = ask else { return };
                let client = client.clone();
                match request {
                    Request::Subscribe { since } => {
                        let pushed = pushed.clone();
                        let subscribed = client.subscribe(since).await;
                        let _ = answer.send(subscribed.as_ref().map(|_| Reply::Subscribed).map_err(told));
                        let Ok(mut source) = subscribed else { continue };
                        tasks.spawn(async move {
                            while let Some(push) = source.recv().await {
                                if pushed.send(push).await.is_err() {
                                    break;
                                }
                            }
                            true
                        });
                    }
                    other => {
                        tasks.spawn(async move {
                            let _ = answer.send(client.request(other).await.map_err(|e| told(&e)));
                            false
                        });
                    }
                }
            }
            // The end of the subscription is the loss of the daemon: dropping our ends tells the console.
            Some(ended) = tasks.join_next(), if !tasks.is_empty() => {
                if ended.unwrap_or(true) {
                    return;
                }
            }
        }
    }
}

fn told(e: &ClientError) -> ApiError {
    match e {
        ClientError::Api(e) => e.clone(),
        other => ApiError::new(ErrorCode::Unavailable, other.to_string()),
    }
}
