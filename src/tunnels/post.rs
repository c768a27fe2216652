//! How the tasks of sessions and tunnels are told something. tokio's channels have room for 32 messages from the start, and
//! its `watch` for hundreds of waiters; of these there are thousands, with hardly ever a message or a waiter.

use std::collections::VecDeque;
use std::sync::{Mutex, OnceLock, PoisonError};
use tokio::sync::Notify;

/// Something that becomes known once, and stays so.
#[derive(Debug)]
pub struct Said<T> {
    what: OnceLock<T>,
    told: Notify,
}

impl<T> Default for Said<T> {
    fn default() -> Self {
        Self { what: OnceLock::new(), told: Notify::new() }
    }
}

impl<T> Said<T> {
    /// Says it; what was said first stands.
    pub fn say(&self, what: T) {
        if self.what.set(what).is_ok() {
            self.told.notify_waiters();
        }
    }

    /// What was said, if something was.
    pub fn heard(&self) -> Option<&T> {
        self.what.get()
    }

    /// Waits until something is said.
    pub async fn wait(&self) -> &T {
        loop {
            let told = self.told.notified();
            tokio::pin!(told);
            // From here on nothing is missed, so that the look that follows is the last one needed.
            told.as_mut().enable();
            if let Some(what) = self.heard() {
                return what;
            }
            told.await;
        }
    }
}

/// A queue of orders to one task. It has no limit of its own: whoever sends waits for what comes of it, or ends something.
#[derive(Debug)]
pub struct Mailbox<T> {
    /// None: nobody reads any more.
    queue: Mutex<Option<VecDeque<T>>>,
    filled: Notify,
}

impl<T> Default for Mailbox<T> {
    fn default() -> Self {
        Self { queue: Mutex::new(Some(VecDeque::new())), filled: Notify::new() }
    }
}

/// Nobody reads the mailbox any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gone;

impl<T> Mailbox<T> {
    /// Sends an order.
    ///
    /// # Errors
    /// When nobody reads any more.
    pub fn send(&self, order: T) -> Result<(), Gone> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner).as_mut().ok_or(Gone)?.push_back(order);
        self.filled.notify_one();
        Ok(())
    }

    /// The place of the one task that reads. When it goes, so do the orders that it has not read.
    #[must_use]
    pub fn reader(&self) -> Reader<'_, T> {
        Reader(self)
    }
}

/// See [`Mailbox::reader`].
#[derive(Debug)]
pub struct Reader<'a, T>(&'a Mailbox<T>);

impl<T> Reader<'_, T> {
    /// The next order. Nothing is lost when it is dropped before it is done.
    pub async fn next(&self) -> T {
        loop {
            if let Some(order) = self.take() {
                return order;
            }
            self.0.filled.notified().await;
        }
    }

    fn take(&self) -> Option<T> {
        let mut queue = self.0.queue.lock().unwrap_or_else(PoisonError::into_inner);
        let queue = queue.as_mut()?;
        let order = queue.pop_front();
        if queue.is_empty() && queue.capacity() > 16 {
            *queue = VecDeque::new();
        }
        order
    }
}

impl<T> Drop for Reader<'_, T> {
    fn drop(&mut self) {
        let unread = self.0.queue.lock().unwrap_or_else(PoisonError::into_inner).take();
        // Outside the lock: whoever waits for an answer to one is told by its end.
        drop(unread);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use tokio::sync::oneshot;

    #[tokio::test]
    async fn what_is_said_first_stands_and_all_who_wait_hear_it() {
        let said = Arc::new(Said::default());
        let waiters: Vec<_> = (0..3)
            .map(|_| {
                let said = Arc::clone(&said);
                tokio::spawn(async move { *said.wait().await })
            })
            .collect();
        tokio::task::yield_now().await;
        assert_eq!(said.heard(), None);
        said.say(1);
        said.say(2);
        for w in waiters {
            assert_eq!(w.await.unwrap(), 1);
        }
        assert_eq!(*said.wait().await, 1);
    }

    #[tokio::test]
    async fn orders_come_in_order_also_those_sent_before_anybody_read() {
        let mailbox = Arc::new(Mailbox::default());
        for i in 0..100 {
            mailbox.send(i).unwrap();
        }
        let sender = Arc::clone(&mailbox);
        let reader = mailbox.reader();
        for i in 0..100 {
            assert_eq!(reader.next().await, i);
        }
        let late = tokio::spawn(async move { sender.send(100) });
        assert_eq!(reader.next().await, 100);
        late.await.unwrap().unwrap();
    }

    #[tokio::test]
    async fn orders_that_nobody_will_read_end_and_no_more_are_taken() {
        let mailbox = Mailbox::default();
        let (answer, asked) = oneshot::channel::<()>();
        mailbox.send(answer).unwrap();
        drop(mailbox.reader());
        assert!(asked.await.is_err());
        let (answer, _asked) = oneshot::channel();
        assert_eq!(mailbox.send(answer), Err(Gone));
    }
}
