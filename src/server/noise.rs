//! Whether what a session sends is for anything. A client can make the daemon work without end by what carries nothing: key
//! exchanges one after the other, requests that are refused, empty packets. The library counts none of it and shows most of
//! it to nobody; but it is bytes, and they are not data of any channel, nor an answer to bytes of ours.

use crate::tunnels::Vital;
use std::time::{Duration, Instant};

/// Looked at whenever so much has come, bytes.
const LOOK: u64 = 256 * 1024;
/// Slower than a look in this time is no flood.
const SLOW: Duration = Duration::from_secs(4);
/// So many looks in a row, and it is one: 2 MiB.
const LOOKS: u32 = 8;
/// What we send earns an answer of this part: windows are raised, channels confirmed.
const ANSWER: u64 = 16;
/// What a message that carries something costs besides.
pub(super) const MESSAGE: usize = 64;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Noise {
    since: Option<Look>,
    strikes: u32,
    /// What may still come for channels that we have closed, and is nobody's fault.
    late: u64,
}

#[derive(Debug, Clone, Copy)]
struct Look {
    at: Instant,
    received: u64,
    carried: u64,
    sent: u64,
    forsaken: u64,
}

impl Noise {
    /// Bytes have come. Gives what to say of a session that floods.
    pub(super) fn look(&mut self, vital: &Vital, now: impl Fn() -> Instant) -> Option<String> {
        let received = vital.bytes_in();
        if self.since.is_some_and(|l| received - l.received < LOOK) {
            return None;
        }
        let (carried, sent, forsaken) = (vital.carried(), vital.bytes_out(), vital.forsaken());
        let here = Look { at: now(), received, carried, sent, forsaken };
        let known = self.since.map_or(0, |l| l.forsaken);
        self.late += forsaken - known;
        let last = self.since.replace(here)?;
        let got = here.received - last.received;
        let purpose = (here.carried - last.carried) + (here.sent - last.sent) / ANSWER;
        let unheard = got.saturating_sub(purpose);
        let noise = unheard.saturating_sub(self.late);
        self.late -= unheard - noise;
        let floods = here.at.saturating_duration_since(last.at) < SLOW && noise >= got / 4 * 3;
        self.strikes = if floods { self.strikes + 1 } else { 0 };
        (self.strikes >= LOOKS).then(|| {
            let mib = (LOOK * u64::from(LOOKS)) >> 20;
            format!("a flood: of {mib} MiB in a row hardly any carried data (key exchanges, refused requests, empty packets)")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Looks at so many pieces, each with so much that carries and is sent, at this pace. Whether it was a flood.
    fn floods(pieces: usize, carried: usize, sent: usize, every: Duration) -> bool {
        let (vital, mut noise, mut at) = (Vital::default(), Noise::default(), Instant::now());
        (0..pieces).any(|_| {
            vital.received(64 * 1024);
            vital.carries(carried);
            vital.sent(sent);
            at += every;
            noise.look(&vital, || at).is_some()
        })
    }

    #[test]
    fn what_was_on_its_way_when_we_closed_its_channel_is_no_flood() {
        let (vital, mut noise, at) = (Vital::default(), Noise::default(), Instant::now());
        let mut floods = |mib: u64, forsaken: usize| {
            vital.forsakes(forsaken);
            (0..mib * 16).any(|_| {
                vital.received(64 * 1024);
                noise.look(&vital, || at).is_some()
            })
        };
        assert!(!floods(8, 8 << 20), "four channels' windows");
        assert!(!floods(1, 0), "a little more is none yet");
        assert!(floods(2, 0), "it is used up");
    }

    #[test]
    fn what_carries_nothing_is_a_flood_and_what_does_is_not() {
        let quick = Duration::from_millis(20);
        assert!(floods(100, 0, 0, quick));
        assert!(!floods(30, 0, 0, quick), "less than 2 MiB");
        assert!(!floods(10_000, 60 * 1024, 0, quick), "an upload");
        assert!(!floods(10_000, 20 * 1024, 0, quick), "a chatty service");
        assert!(!floods(10_000, 0, 2 * 1024 * 1024, quick), "raises windows for a download");
        assert!(!floods(1_000, 0, 0, Duration::from_secs(2)), "slow");
        assert!(floods(1_000, 0, 80 * 1024, quick), "answers to its floods earn it little");
    }
}
