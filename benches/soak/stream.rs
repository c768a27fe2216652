//! Bytes that tell where they belong: each word is a function of the stream's seed and of its place, so that a byte
//! lost, doubled, swapped or of another stream is seen where it stands, and nothing has to be kept to compare with.

/// The step of splitmix64 (Steele, Lea, Flood: "Fast splittable pseudorandom number generators", 2014).
const STEP: u64 = 0x9E37_79B9_7F4A_7C15;

fn word(seed: u64, index: u64) -> [u8; 8] {
    mix(seed.wrapping_add(index.wrapping_add(1).wrapping_mul(STEP))).to_le_bytes()
}

fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// Writes the bytes of the stream from offset `at` on.
pub fn fill(seed: u64, mut at: u64, mut out: &mut [u8]) {
    while !out.is_empty() {
        let skip = (at % 8) as usize;
        let n = (8 - skip).min(out.len());
        let (head, tail) = out.split_at_mut(n);
        head.copy_from_slice(&word(seed, at / 8)[skip..skip + n]);
        at += n as u64;
        out = tail;
    }
}

/// Compares with the bytes of the stream from offset `at` on.
///
/// # Errors
/// The offset of the first word that differs.
pub fn check(seed: u64, mut at: u64, mut got: &[u8]) -> Result<(), u64> {
    while !got.is_empty() {
        let skip = (at % 8) as usize;
        let n = (8 - skip).min(got.len());
        let (head, tail) = got.split_at(n);
        if head != &word(seed, at / 8)[skip..skip + n] {
            return Err(at);
        }
        at += n as u64;
        got = tail;
    }
    Ok(())
}

/// What chooses: the same seed makes the same choices.
#[derive(Clone)]
pub struct Rng(u64);

impl Rng {
    /// One of several that begin with the same seed.
    pub fn new(seed: u64, number: u64) -> Self {
        Self(mix(seed ^ mix(number.wrapping_mul(STEP))))
    }
    /// Any number.
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(STEP);
        mix(self.0)
    }
    /// A number below `n`.
    pub fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }
    /// A number from `low` to `high`, each power of two as likely as the next.
    pub fn size(&mut self, low: u64, high: u64) -> u64 {
        let octaves = u64::from((high / low).max(2).ilog2());
        let base = low << self.below(octaves);
        (base + self.below(base)).min(high)
    }
    /// Yes, in so many of a hundred.
    pub fn percent(&mut self, n: u64) -> bool {
        self.below(100) < n
    }
}
