//! What the SSH library says in its log and nowhere else: that it refused a certificate before anybody was asked.
//!
//! It looks at a certificate's time and at its CA's signature first, and when they are not good it answers no by itself. A
//! host whose certificate has expired is the most common of all reasons why one does not come back, so the journal has
//! to have it. The library logs it from within its session's task, and that task is known by the stream it reads from.

use super::stream::Ident;
use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::{Arc, Weak};
use tokio::task::Id;

/// Where the library says it.
const TARGET: &str = "russh::server::encrypted";
/// What it says, and the rule in our words.
const SAID: &[(&str, &str)] = &[
    ("Certificate is expired or not yet valid", "the certificate has expired, or is not valid yet"),
    ("Certificate signature is invalid", "the signature of the certificate is wrong"),
];
/// Dead entries are looked for beyond so many.
const MANY: usize = 256;

thread_local! {
    /// The connections that have not signed in, by the task that reads from them. A task stays on its thread.
    static READING: RefCell<HashMap<Id, Weak<Ident>>> = RefCell::new(HashMap::new());
}

/// This task reads from that connection.
pub(super) fn reads(ident: &Arc<Ident>) {
    let Some(task) = tokio::task::try_id() else { return };
    READING.with_borrow_mut(|all| {
        if all.len() >= MANY {
            all.retain(|_, i| i.upgrade().is_some_and(|i| !i.is_in()));
        }
        all.entry(task).or_insert_with(|| Arc::downgrade(ident));
    });
}

/// It has signed in, or is gone.
pub(super) fn reads_no_more() {
    if let Some(task) = tokio::task::try_id() {
        READING.with_borrow_mut(|all| drop(all.remove(&task)));
    }
}

/// The logger of the libraries: hears what concerns certificates, and passes everything on.
pub struct Ear(tracing_log::LogTracer);

impl Ear {
    /// Takes the place of the logger, if nobody has it.
    #[must_use]
    pub fn listen() -> bool {
        log::set_boxed_logger(Box::new(Self(tracing_log::LogTracer::new()))).is_ok()
    }

    /// Has as much logged as the subscriber wants, and warnings at least. To be called when the subscriber is there.
    pub fn heed_level() {
        let level = match tracing::level_filters::LevelFilter::current().into_level() {
            Some(tracing::Level::TRACE) => log::LevelFilter::Trace,
            Some(tracing::Level::DEBUG) => log::LevelFilter::Debug,
            Some(tracing::Level::INFO) => log::LevelFilter::Info,
            // What it has to hear are warnings.
            _ => log::LevelFilter::Warn,
        };
        log::set_max_level(level);
    }
}

impl log::Log for Ear {
    fn enabled(&self, about: &log::Metadata<'_>) -> bool {
        about.target() == TARGET || self.0.enabled(about)
    }

    fn log(&self, record: &log::Record<'_>) {
        if record.level() == log::Level::Warn && record.target() == TARGET {
            let said = record.args().as_str().unwrap_or_default();
            if let Some((_, rule)) = SAID.iter().find(|(text, _)| *text == said) {
                let task = tokio::task::try_id();
                let ident = task.and_then(|t| READING.with_borrow(|all| all.get(&t).and_then(Weak::upgrade)));
                if let Some(ident) = ident {
                    ident.hear(rule);
                }
            }
        }
        self.0.log(record);
    }

    fn flush(&self) {
        self.0.flush();
    }
}
