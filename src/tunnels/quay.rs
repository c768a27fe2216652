//! The listeners of one tunnel, accepted from by the tunnel's own task: a task and a channel for each would be most of what
//! an idle tunnel weighs.

use crate::model::{AcceptTrouble, Port};
use std::future::poll_fn;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Sleep;

/// See the module.
pub(super) struct Quay {
    listeners: Box<[TcpListener]>,
    /// Whose turn it is, so that the visitors of one address do not keep those of another out.
    turn: usize,
    trouble: Trouble,
    port: Port,
}

/// Out of file descriptors, all listeners are: what one meets holds back all of them.
#[derive(Default)]
struct Trouble {
    counted: AcceptTrouble,
    /// Until when nothing is accepted. Boxed: there is seldom one.
    pause: Option<Pin<Box<Sleep>>>,
}

impl Quay {
    pub(super) fn new(listeners: Vec<TcpListener>, port: Port) -> Self {
        Self { listeners: listeners.into(), turn: 0, trouble: Trouble::default(), port }
    }

    /// The next visitor. Nothing is lost when it is dropped before it is done. Out of file descriptors it backs off instead
    /// of spinning.
    pub(super) async fn accept(&mut self) -> (TcpStream, SocketAddr) {
        poll_fn(|cx| self.poll_accept(cx)).await
    }

    fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<(TcpStream, SocketAddr)> {
        loop {
            if self.trouble.paused(cx) {
                return Poll::Pending;
            }
            let mut waiting = 0;
            for _ in 0..self.listeners.len() {
                self.turn = (self.turn + 1) % self.listeners.len().max(1);
                let Some(listener) = self.listeners.get(self.turn) else { break };
                match listener.poll_accept(cx) {
                    Poll::Ready(Ok(conn)) => {
                        self.trouble.over(self.port);
                        return Poll::Ready(conn);
                    }
                    // Asked again in the next round: there may be more behind it.
                    Poll::Ready(Err(e)) if AcceptTrouble::is_of_one_connection(&e) => {}
                    Poll::Ready(Err(e)) => {
                        self.trouble.begin(&e, self.port);
                        break;
                    }
                    Poll::Pending => waiting += 1,
                }
            }
            if waiting == self.listeners.len() {
                return Poll::Pending;
            }
        }
    }
}

impl Trouble {
    fn begin(&mut self, error: &std::io::Error, port: Port) {
        let wait = self.counted.failed();
        if wait.first {
            tracing::warn!(%port, %error, "cannot accept visitors; they wait");
        }
        self.pause = Some(Box::pin(tokio::time::sleep(wait.pause)));
    }

    /// Whether the pause still lasts; if so, its end wakes.
    fn paused(&mut self, cx: &mut Context<'_>) -> bool {
        match self.pause.as_mut().map(|p| p.as_mut().poll(cx)) {
            None => false,
            Some(Poll::Pending) => true,
            Some(Poll::Ready(())) => {
                self.pause = None;
                false
            }
        }
    }

    fn over(&mut self, port: Port) {
        if let Some(over) = self.counted.over() {
            tracing::info!(%port, failures = over.failures, seconds = over.lasted.as_secs_f64(), "visitors are accepted again");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;
    use std::future::Future;
    use std::io;
    use std::time::Duration;

    async fn quay(n: usize) -> (Quay, Vec<SocketAddr>) {
        let mut listeners = Vec::new();
        for _ in 0..n {
            listeners.push(TcpListener::bind("127.0.0.1:0").await.unwrap());
        }
        let at = listeners.iter().map(|l| l.local_addr().unwrap()).collect();
        (Quay::new(listeners, Port::try_from(2222_u16).unwrap()), at)
    }

    #[tokio::test]
    async fn visitors_of_all_listeners_are_accepted_in_turn() {
        let (mut quay, at) = quay(2).await;
        let mut clients = Vec::new();
        for a in at.iter().chain(&at).chain(&at) {
            clients.push(TcpStream::connect(a).await.unwrap());
        }
        // Both have three; none is served twice before the other was once.
        let mut order = Vec::new();
        for _ in 0..clients.len() {
            order.push(quay.accept().await.0.local_addr().unwrap());
        }
        for pair in order.chunks(2) {
            assert_eq!(pair.iter().copied().collect::<HashSet<_>>().len(), 2, "{order:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn it_pauses_when_descriptors_run_out_and_accepts_again_afterwards() {
        let (mut quay, at) = quay(1).await;
        quay.trouble.begin(&io::Error::from_raw_os_error(nix::libc::EMFILE), quay.port);
        let _client = std::net::TcpStream::connect(at[0]).unwrap();
        let mut cx = Context::from_waker(std::task::Waker::noop());
        assert!(Box::pin(quay.accept()).as_mut().poll(&mut cx).is_pending(), "the pause is not kept");
        tokio::time::advance(Duration::from_secs(2)).await;
        quay.accept().await;
        assert!(quay.trouble.pause.is_none());
    }
}
