//! What a process says, line by line, kept and waited for.

use std::io::{BufRead, BufReader, Read};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

#[derive(Default)]
struct Inner {
    lines: Vec<String>,
    over: bool,
}

/// The lines of one stream so far. Clones share them.
#[derive(Clone, Default)]
pub struct Lines(Arc<(Mutex<Inner>, Condvar)>);

impl Lines {
    /// Reads the stream to its end, on a thread.
    pub fn of(stream: impl Read + Send + 'static) -> Self {
        let me = Self::default();
        let writer = me.clone();
        std::thread::spawn(move || {
            let mut reader = BufReader::new(stream);
            let mut raw = Vec::new();
            while reader.read_until(b'\n', &mut raw).is_ok_and(|n| n > 0) {
                let line = String::from_utf8_lossy(&raw).trim_end().to_owned();
                raw.clear();
                writer.0.0.lock().unwrap().lines.push(line);
                writer.0.1.notify_all();
            }
            writer.0.0.lock().unwrap().over = true;
            writer.0.1.notify_all();
        });
        me
    }

    /// All so far.
    pub fn all(&self) -> Vec<String> {
        self.0.0.lock().unwrap().lines.clone()
    }

    /// All so far, as one text.
    pub fn text(&self) -> String {
        self.all().join("\n")
    }

    /// Whether some line has the words.
    pub fn contains(&self, words: &str) -> bool {
        self.all().iter().any(|l| l.contains(words))
    }

    /// The first line, past or to come, for which `pick` gives something. `None` when the time or the stream is over.
    pub fn find<T>(&self, timeout: Duration, mut pick: impl FnMut(&str) -> Option<T>) -> Option<T> {
        let until = Instant::now() + timeout;
        let mut inner = self.0.0.lock().unwrap();
        let mut seen = 0;
        loop {
            while seen < inner.lines.len() {
                if let Some(found) = pick(&inner.lines[seen]) {
                    return Some(found);
                }
                seen += 1;
            }
            let left = until.saturating_duration_since(Instant::now());
            if inner.over || left.is_zero() {
                return None;
            }
            inner = self.0.1.wait_timeout(inner, left).unwrap().0;
        }
    }

    /// Waits for the end of the stream, and gives all of it.
    #[track_caller]
    pub fn to_end(&self, timeout: Duration) -> String {
        let (inner, timed) =
            self.0.1.wait_timeout_while(self.0.0.lock().unwrap(), timeout, |inner| !inner.over).unwrap();
        let text = inner.lines.join("\n");
        drop(inner);
        assert!(!timed.timed_out(), "the stream has not ended within {timeout:?}; so far:\n{text}");
        text
    }

    /// Waits for a line with the words.
    #[track_caller]
    pub fn wait(&self, words: &str, timeout: Duration) -> String {
        let found = self.find(timeout, |l| l.contains(words).then(|| l.to_owned()));
        match found {
            Some(line) => line,
            None => panic!("no line with {words:?} within {timeout:?} or before the end of:\n{}", self.text()),
        }
    }
}
