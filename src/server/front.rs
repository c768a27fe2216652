//! An operator's session channel, from the request to the console or command behind it.

use crate::tunnels::Session;
use bytes::Bytes;
use russh::ChannelWriteHalf;
use russh::server::Msg;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::sync::{mpsc, watch};

/// Chunks of input that may wait for a console.
const INPUT: usize = 256;

/// Who shows consoles and runs commands for operators who come by SSH. Both calls return at once.
pub trait Front: Send + Sync + 'static {
    /// Shows the console.
    fn console(&self, operator: Arc<Session>, channel: OperatorChannel);
    /// Runs one command line.
    fn exec(&self, operator: Arc<Session>, line: String, channel: OperatorChannel);
}

/// The operator's terminal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Screen {
    /// `$TERM`, cleaned.
    pub term: String,
    /// Columns and rows, within 500 × 200.
    pub size: (u16, u16),
}

/// A channel handed to a [`Front`].
#[derive(Debug)]
pub struct OperatorChannel {
    /// Keys, as they come: split or joined anywhere.
    pub input: mpsc::Receiver<Bytes>,
    /// Columns and rows; changes when the operator's window does.
    pub size: watch::Receiver<(u16, u16)>,
    /// The terminal, when one was asked for.
    pub screen: Option<Screen>,
    /// Variables the client sent (LANG, NO_COLOR, …), cleaned.
    pub env: HashMap<String, String>,
    /// Where answers go.
    pub output: Output,
}

/// The way back to the operator. Waits while the operator's window is closed.
#[derive(Debug)]
pub struct Output(ChannelWriteHalf<Msg>, Spent);

/// Set when the channel's user has done with it.
#[derive(Debug, Clone, Default)]
struct Spent(Arc<AtomicBool>);

impl Drop for Output {
    fn drop(&mut self) {
        self.1.0.store(true, Ordering::Relaxed);
    }
}

/// The operator has gone.
#[derive(Debug, thiserror::Error, Clone, Copy, PartialEq, Eq)]
#[error("the operator's connection is closed")]
pub struct Hangup;

impl Output {
    /// Writes to the operator's standard output.
    ///
    /// # Errors
    /// [`Hangup`] when nobody is there.
    pub async fn write(&self, data: impl Into<Bytes>) -> Result<(), Hangup> {
        self.0.data_bytes(data).await.map_err(|_| Hangup)
    }

    /// Writes to the operator's standard error.
    ///
    /// # Errors
    /// [`Hangup`] when nobody is there.
    pub async fn error(&self, data: impl Into<Bytes>) -> Result<(), Hangup> {
        self.0.extended_data_bytes(1, data).await.map_err(|_| Hangup)
    }

    /// Ends the channel with an exit status.
    pub async fn exit(self, status: u32) {
        // Each may fail only because the operator has gone, and then there is nobody to tell.
        let _ = self.0.exit_status(status).await;
        let _ = self.0.eof().await;
        let _ = self.0.close().await;
    }
}

/// A session channel as the server keeps it.
pub(super) struct Door {
    write: Option<ChannelWriteHalf<Msg>>,
    pub(super) screen: Option<Screen>,
    pub(super) env: HashMap<String, String>,
    input: Option<mpsc::Sender<Bytes>>,
    size: watch::Sender<(u16, u16)>,
    spent: Spent,
}

impl Door {
    pub(super) fn new(write: ChannelWriteHalf<Msg>) -> Self {
        Self {
            write: Some(write),
            screen: None,
            env: HashMap::new(),
            input: None,
            size: watch::Sender::new((80, 24)),
            spent: Spent::default(),
        }
    }

    /// Hands the channel out, once.
    pub(super) fn open(&mut self) -> Option<OperatorChannel> {
        let write = self.write.take()?;
        let (tx, rx) = mpsc::channel(INPUT);
        self.input = Some(tx);
        if let Some(s) = &self.screen {
            self.size.send_replace(s.size);
        }
        Some(OperatorChannel {
            input: rx,
            size: self.size.subscribe(),
            screen: self.screen.clone(),
            env: self.env.clone(),
            output: Output(write, self.spent.clone()),
        })
    }

    /// Whether its user has done with it. The library says nothing when the client answers a close that came from us.
    pub(super) fn spent(&self) -> bool {
        self.spent.0.load(Ordering::Relaxed)
    }

    pub(super) fn resize(&self, size: (u16, u16)) {
        self.size.send_replace(size);
    }

    /// Passes input on. False when it is more than can wait.
    pub(super) fn input(&self, data: &[u8]) -> bool {
        match &self.input {
            Some(tx) => !matches!(tx.try_send(Bytes::copy_from_slice(data)), Err(mpsc::error::TrySendError::Full(_))),
            None => true,
        }
    }

    pub(super) fn end_of_input(&mut self) {
        self.input = None;
    }
}
