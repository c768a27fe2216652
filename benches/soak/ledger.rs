//! Which transfers a fault may have broken. Whoever makes a fault opens it here before and closes it when all is well
//! again; a transfer takes a ticket when it begins. What breaks without a fault in between is an error.

use std::sync::atomic::{AtomicU64, Ordering};

/// What may be at fault: the daemon, a host, or the service behind one tunnel.
#[derive(Default)]
pub struct Place {
    opened: AtomicU64,
    closed: AtomicU64,
    blunt: AtomicU64,
}

/// A fault that lasts until it is dropped.
pub struct Fault<'a>(&'a Place);

impl Place {
    /// A fault that breaks transfers, each with a reset.
    pub fn fault(&self) -> Fault<'_> {
        self.opened.fetch_add(1, Ordering::SeqCst);
        Fault(self)
    }
    /// A fault after which a visitor may see an orderly end in the middle, because nothing of ours is left to prevent
    /// it: the kernel closes the sockets of a killed daemon, and OpenSSH's client has no word for a service's reset.
    pub fn blunt_fault(&self) -> Fault<'_> {
        self.blunt.fetch_add(1, Ordering::SeqCst);
        self.fault()
    }
    fn now(&self) -> Seen {
        let closed = self.closed.load(Ordering::SeqCst);
        Seen { opened: self.opened.load(Ordering::SeqCst), closed, blunt: self.blunt.load(Ordering::SeqCst) }
    }
}

impl Drop for Fault<'_> {
    fn drop(&mut self) {
        self.0.closed.fetch_add(1, Ordering::SeqCst);
    }
}

#[derive(Clone, Copy)]
struct Seen {
    opened: u64,
    closed: u64,
    blunt: u64,
}

/// How things stood when a transfer began.
pub struct Ticket<'a> {
    places: [&'a Place; 3],
    then: [Seen; 3],
}

impl<'a> Ticket<'a> {
    /// For a transfer that depends on these.
    pub fn new(places: [&'a Place; 3]) -> Self {
        Self { places, then: places.map(Place::now) }
    }
    /// Whether a fault may have broken it.
    pub fn excused(&self) -> bool {
        self.pairs().any(|(then, now)| then.opened != then.closed || now.opened != then.opened)
    }
    /// Whether a fault may have made its end look orderly.
    pub fn excused_short(&self) -> bool {
        // One that is open since before the transfer began counts too.
        self.pairs().any(|(then, now)| now.blunt != then.blunt || (then.opened != then.closed && then.blunt > 0))
    }
    fn pairs(&self) -> impl Iterator<Item = (Seen, Seen)> {
        self.then.iter().zip(&self.places).map(|(then, place)| (*then, place.now()))
    }
}
