//! Child processes without tokio's `process` feature, which nothing else here needs: waited for by looking often enough.

use std::io;
use std::process::{Command, ExitStatus, Output};
use std::time::Duration;
use tokio::net::unix::pipe;

/// A child process, killed when dropped.
pub struct Child(std::process::Child);

/// Starts it.
pub fn spawn(command: &mut Command) -> Child {
    Child(command.spawn().unwrap())
}

/// Runs it to its end, at most for a minute. What takes longer goes on by itself, and is told as none.
pub async fn output(mut command: Command) -> Option<Output> {
    let run = tokio::task::spawn_blocking(move || command.output());
    tokio::time::timeout(Duration::from_secs(60), run).await.ok()?.ok()?.ok()
}

impl Child {
    /// Its process id.
    pub fn id(&self) -> u32 {
        self.0.id()
    }
    /// Whether it has ended.
    pub fn try_wait(&mut self) -> io::Result<Option<ExitStatus>> {
        self.0.try_wait()
    }
    /// Waits for its end.
    pub async fn wait(&mut self) -> io::Result<ExitStatus> {
        loop {
            if let Some(status) = self.0.try_wait()? {
                return Ok(status);
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
    /// Ends it at once.
    pub fn kill(&mut self) {
        // It may have ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
    /// What it reads.
    pub fn stdin(&mut self) -> pipe::Sender {
        pipe::Sender::from_owned_fd(self.0.stdin.take().unwrap().into()).unwrap()
    }
    /// What it says.
    pub fn stdout(&mut self) -> pipe::Receiver {
        pipe::Receiver::from_owned_fd(self.0.stdout.take().unwrap().into()).unwrap()
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        self.kill();
    }
}
