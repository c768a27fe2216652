//! What must hold of whatever is typed.

use super::input::{Input, Typed};
use super::state::filter::{Fields, Filter};
use crate::audit::{Clock, Origin, event_matches, moment, moment_ahead};
use crate::control::fake;
use crate::fuzzing::NEXT;
use crate::model::{BlockTarget, Port, PortRange, SessionId, Time, TunnelState, VisitorId};
use std::fmt::{Debug, Display};
use std::str::FromStr;

/// Bytes of a terminal: the same keys however they are cut. The first byte says into what pieces.
pub fn input(data: &[u8]) {
    let Some((size, data)) = data.split_first() else { return };
    let whole = typed(data, data.len().max(1));
    assert_eq!(typed(data, usize::from(*size).max(1)), whole, "in pieces of {size}");
    // Whatever came, the next key is heard.
    let mut input = Input::default();
    input.feed(data);
    input.timeout();
    assert!(input.deadline().is_none());
}

fn typed(data: &[u8], size: usize) -> Vec<Typed> {
    let mut input = Input::default();
    let mut out: Vec<Typed> = data.chunks(size).flat_map(|piece| input.feed(piece)).collect();
    out.extend(input.timeout());
    out
}

/// A row with one text in all of its fields.
struct Row<'a>(&'a str);

impl Fields for Row<'_> {
    fn field(&self, name: &str) -> Option<String> {
        (name != "unknown").then(|| self.0.to_owned())
    }
    fn words(&self) -> String {
        self.0.to_owned()
    }
}

/// A filter and what it is held against; then each line as everything that can be typed.
pub fn filter(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let (filter, row) = text.split_once(NEXT).unwrap_or((text, ""));
    let read = Filter::parse(filter);
    assert_eq!(Filter::parse(&read.text), read, "read alike twice");
    if read.matches(&Row(row)) {
        assert!(read.matches_fields(&Row(row)), "shown by all of it and not by a part");
    }
    assert_eq!(read.is_empty(), filter.trim().is_empty());
    if let Ok(read) = crate::cli::filter::Filter::parse(&[filter.to_owned()]) {
        let _ = read.matches(&fake::tunnel(20100, "pay-db", "pay", TunnelState::Degraded));
    }
    for line in text.lines().take(50) {
        as_written::<Port>(line);
        as_written::<PortRange>(line);
        as_written::<SessionId>(line);
        as_written::<VisitorId>(line);
        as_written::<Origin>(line);
        if let Ok(target) = BlockTarget::parse(line) {
            assert_eq!(BlockTarget::parse(&target.typed()).as_ref(), Ok(&target), "as it is told to be typed");
            assert_eq!(BlockTarget::of(target.kind(), &target.value()).as_ref(), Ok(&target));
        }
        let now = Time::from_timestamp(1_795_219_190, 0).unwrap_or_default();
        for clock in [Clock::Utc, Clock::Local] {
            let _ = moment(line, now, clock);
            assert!(moment_ahead(line, now, clock).is_none_or(|t| t >= now), "{line:?} is past");
        }
        let _ = event_matches(line, "auth.failure");
    }
}

/// What is read from a text and written again is read alike.
fn as_written<T: FromStr + Display + PartialEq + Debug>(text: &str) {
    if let Ok(value) = text.parse::<T>() {
        assert_eq!(value.to_string().parse::<T>().ok(), Some(value), "{text:?}");
    }
}
