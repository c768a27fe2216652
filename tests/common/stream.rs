//! A long stream of bytes that can be made and checked without holding it: every block differs, and SHA-256 proves it.

use sha2::{Digest, Sha256};
use std::io::{self, Read, Write};

/// A prime, so that no buffer size of anybody's divides it.
const BLOCK: usize = 262_139;

/// Proof of a stream: its length and hash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sum {
    /// Bytes.
    pub len: u64,
    /// SHA-256, as hex.
    pub hash: String,
}

impl std::fmt::Display for Sum {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.len, self.hash)
    }
}

/// Adds up what goes by.
#[derive(Default)]
pub struct Summer {
    hash: Sha256,
    len: u64,
}

impl Summer {
    /// Takes more.
    pub fn update(&mut self, bytes: &[u8]) {
        self.hash.update(bytes);
        self.len += bytes.len() as u64;
    }
    /// The proof.
    pub fn sum(self) -> Sum {
        let hash = self.hash.finalize().iter().map(|b| format!("{b:02x}")).collect();
        Sum { len: self.len, hash }
    }
}

fn noise(seed: u64) -> Vec<u8> {
    let mut x = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut block = Vec::with_capacity(BLOCK + 8);
    while block.len() < BLOCK {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        block.extend_from_slice(&x.to_le_bytes());
    }
    block.truncate(BLOCK);
    block
}

/// Writes `len` bytes of the stream `seed`, and tells their sum.
pub fn write(to: &mut impl Write, seed: u64, len: u64) -> io::Result<Sum> {
    let mut summer = Summer::default();
    let mut block = noise(seed);
    let mut number = 0_u64;
    while summer.len < len {
        // No two blocks are the same, so a block lost, doubled or swapped shows.
        block[..8].copy_from_slice(&number.to_le_bytes());
        number += 1;
        let n = usize::try_from((len - summer.len).min(BLOCK as u64)).unwrap();
        to.write_all(&block[..n])?;
        summer.update(&block[..n]);
    }
    Ok(summer.sum())
}

/// Reads to the end, and tells the sum.
pub fn read(from: &mut impl Read) -> io::Result<Sum> {
    let mut summer = Summer::default();
    let mut buf = vec![0; 64 * 1024];
    loop {
        match from.read(&mut buf)? {
            0 => return Ok(summer.sum()),
            n => summer.update(&buf[..n]),
        }
    }
}

/// The sum of `len` bytes of the stream `seed`.
pub fn sum(seed: u64, len: u64) -> Sum {
    write(&mut io::sink(), seed, len).unwrap()
}

/// The same bytes, held.
pub fn bytes(seed: u64, len: u64) -> Vec<u8> {
    let mut out = Vec::new();
    write(&mut out, seed, len).unwrap();
    out
}
