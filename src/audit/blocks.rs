//! A file read from its end in large blocks of whole lines, and the place of a record found without reading the rest.

use super::chain::Link;
use crate::model::Seq;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

/// Read at a time: small enough to be searched while it is in the cache of a core.
const BLOCK: usize = 256 * 1024;
/// Read at a time while looking for the place of a record.
const PROBE: usize = 8 * 1024;
/// The longest line that is looked for there.
const PROBE_MAX: usize = 1024 * 1024;

/// The whole lines of a file up to some place, a block at a time, the last block first.
pub(super) struct Blocks {
    file: File,
    /// Where what has been read begins.
    pos: u64,
    /// At its beginning, as long as `head`: the beginning of a line whose end has been given out.
    buf: Vec<u8>,
    head: usize,
    /// Nothing has been read: what follows the last newline is no whole line.
    fresh: bool,
}

impl Blocks {
    /// The lines that begin before `end`, which must be a place where one begins; all whole lines if none is given.
    pub(super) fn open(path: &Path, end: Option<u64>) -> io::Result<Self> {
        let file = File::open(path)?;
        let len = file.metadata()?.len();
        let pos = end.map_or(len, |e| e.min(len));
        Ok(Self { file, pos, buf: Vec::new(), head: 0, fresh: true })
    }

    /// How much of the file is not read yet.
    pub(super) fn left(&self) -> u64 {
        self.pos
    }

    /// The next block: whole lines, each with its newline. None at the beginning of the file.
    pub(super) fn next(&mut self) -> io::Result<Option<&[u8]>> {
        loop {
            if self.pos == 0 {
                return Ok(None);
            }
            // As long as what is left of a long line, so that it costs no more than twice its length.
            let want = BLOCK.max(self.head);
            let n = usize::try_from(self.pos).map_or(want, |pos| want.min(pos));
            self.buf.resize((n + self.head).max(self.buf.len()), 0);
            self.buf.copy_within(0..self.head, n);
            self.pos -= n as u64;
            let Some(room) = self.buf.get_mut(..n) else { return Ok(None) };
            self.file.read_exact_at(room, self.pos)?;
            let mut end = n + self.head;
            if self.fresh {
                // What is being written, or was torn.
                let whole = self.buf.get(..n).and_then(|b| memchr::memrchr(b'\n', b));
                let Some(last) = whole else { continue };
                self.fresh = false;
                end = last + 1;
            }
            let begin = if self.pos == 0 {
                0
            } else {
                match self.buf.get(..end).and_then(|b| memchr::memchr(b'\n', b)) {
                    Some(at) => at + 1,
                    None => end,
                }
            };
            self.head = begin.min(end);
            if begin < end {
                return Ok(self.buf.get(begin..end));
            }
        }
    }
}

/// The number of the record whose line begins here.
pub(super) fn seq_at(line: &[u8]) -> Option<Seq> {
    let rest = line.strip_prefix(b"{\"seq\":")?;
    let digits = rest.iter().position(|b| !b.is_ascii_digit())?;
    std::str::from_utf8(rest.get(..digits)?).ok()?.parse().ok().map(Seq)
}

/// Where the lines of the records before this one end: they all begin before the place given, which is the beginning of a
/// line (or the end of the file), and not much else does. Reads a few pieces of the file only.
pub(super) fn end_before(file: &File, before: Seq) -> io::Result<u64> {
    let mut low = 0;
    let mut high = file.metadata()?.len();
    while high - low > PROBE as u64 {
        let middle = low + (high - low) / 2;
        match line_after(file, middle, high)? {
            Some((begin, seq)) if seq >= before => high = begin,
            Some(_) => low = middle,
            // Nothing but a long line there, or nothing that is a record.
            None => break,
        }
    }
    Ok(high)
}

/// The first record whose line begins after this place and before that one.
fn line_after(file: &File, from: u64, to: u64) -> io::Result<Option<(u64, Seq)>> {
    let mut size = PROBE;
    loop {
        let mut buf = vec![0; size];
        let mut read = 0;
        while let Some(room) = buf.get_mut(read..).filter(|r| !r.is_empty()) {
            match file.read_at(room, from + read as u64)? {
                0 => break,
                n => read += n,
            }
        }
        buf.truncate(read);
        let begin = memchr::memchr(b'\n', &buf).map(|at| at + 1);
        if let Some((begin, seq)) = begin.and_then(|b| Some((b, seq_at(buf.get(b..)?)?))) {
            let begin = from + begin as u64;
            return Ok((begin < to).then_some((begin, seq)));
        }
        if read < size || size >= PROBE_MAX {
            return Ok(None);
        }
        size *= 4;
    }
}

/// The number of the first record of a file.
pub(super) fn first_seq(file: &File) -> Option<Seq> {
    let mut buf = [0; 64];
    let n = file.read_at(&mut buf, 0).ok()?;
    seq_at(buf.get(..n)?)
}

/// The number of the first record of a block.
pub(super) fn seq_of_first(block: &[u8]) -> Option<Seq> {
    block.split_inclusive(|b| *b == b'\n').find_map(|l| seq_at(l).or_else(|| Link::read(l).map(|x| x.seq)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::fs;

    fn record(seq: u64, size: usize) -> String {
        format!("{{\"seq\":{seq},\"at\":\"{}\"}}\n", "x".repeat(size))
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn blocks_from_the_end_are_the_whole_lines_of_the_file(
            sizes in prop::collection::vec(prop_oneof![0..50_usize, 250_000..270_000_usize, 600_000..601_000_usize], 0..8),
            torn in prop_oneof![0..3_usize, 300_000..300_002_usize]
        ) {
            let whole: String = sizes.iter().zip(1..).map(|(n, seq)| record(seq, *n)).collect();
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("f");
            fs::write(&path, whole.clone() + &"t".repeat(torn)).unwrap();
            let mut blocks = Blocks::open(&path, None).unwrap();
            let mut got = Vec::new();
            while let Some(b) = blocks.next().unwrap() {
                prop_assert!(b.ends_with(b"\n"));
                got.push(b.to_vec());
            }
            got.reverse();
            prop_assert_eq!(String::from_utf8(got.concat()).unwrap(), whole);
        }

        #[test]
        fn the_place_of_a_record_is_found_among_lines_of_any_length(
            sizes in prop::collection::vec(prop_oneof![0..500_usize, 9_000..30_000_usize], 1..60), before in 0..70_u64
        ) {
            let lines: Vec<String> = sizes.iter().zip(1..).map(|(n, seq)| record(seq, *n)).collect();
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("f");
            fs::write(&path, lines.concat()).unwrap();
            let end = end_before(&File::open(&path).unwrap(), Seq(before)).unwrap();
            let mut at = 0;
            let mut begins = vec![];
            for l in &lines { begins.push(at); at += l.len() as u64; }
            prop_assert!(end == at || begins.contains(&end), "the beginning of a line");
            for (begin, seq) in begins.iter().zip(1..) {
                prop_assert!(seq >= before || *begin < end, "none before it is left out");
            }
        }
    }
}
