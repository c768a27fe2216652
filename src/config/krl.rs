//! OpenSSH's binary key revocation lists (`ssh-keygen -k`; the format is PROTOCOL.krl of OpenSSH).
//!
//! Whatever is not understood makes the whole list bad: half a list would let in whom the other half names.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use sha2::{Digest, Sha256};
use std::collections::HashSet;

/// How a list begins.
pub(super) const MAGIC: &[u8] = b"SSHKRL\n\0";
const VERSION: u32 = 1;

/// Sections.
const CERTIFICATES: u8 = 1;
const EXPLICIT_KEY: u8 = 2;
const FINGERPRINT_SHA1: u8 = 3;
const SIGNATURE: u8 = 4;
const FINGERPRINT_SHA256: u8 = 5;
const EXTENSION: u8 = 255;

/// Sections within the one about certificates.
const SERIAL_LIST: u8 = 0x20;
const SERIAL_RANGE: u8 = 0x21;
const SERIAL_BITMAP: u8 = 0x22;
const KEY_ID: u8 = 0x23;
const CERT_EXTENSION: u8 = 0x39;

/// Everything that lists revoke.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Content {
    /// Keys, by SHA-256: `SHA256:…`. A CA's key stands for all that it signed.
    pub keys: HashSet<String>,
    /// Keys, by SHA-1.
    pub keys_sha1: HashSet<[u8; 20]>,
    /// Certificates.
    pub certificates: Vec<OfCa>,
}

/// Certificates of one CA.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct OfCa {
    /// The CA's key, `SHA256:…`; none: of any CA.
    pub ca: Option<String>,
    /// Numbers, both ends included.
    pub ranges: Vec<(u64, u64)>,
    /// Numbers, as bits from the first one on, the least significant bit of the last byte first.
    pub bitmaps: Vec<(u64, Vec<u8>)>,
    /// Key ids.
    pub ids: HashSet<String>,
}

impl OfCa {
    /// Whether this names a certificate of that CA.
    pub fn names(&self, ca: &str, serial: u64, key_id: &str) -> bool {
        if self.ca.as_deref().is_some_and(|own| own != ca) {
            return false;
        }
        // 0 stands for no number, which thousands may have.
        self.ids.contains(key_id) || (serial != 0 && self.has(serial))
    }

    fn has(&self, serial: u64) -> bool {
        let in_bitmap = |(first, bits): &(u64, Vec<u8>)| {
            let Some(bit) = serial.checked_sub(*first) else { return false };
            let byte = usize::try_from(bit / 8).ok().and_then(|b| bits.iter().rev().nth(b));
            byte.is_some_and(|byte| byte >> (bit % 8) & 1 == 1)
        };
        self.ranges.iter().any(|(low, high)| (*low..=*high).contains(&serial)) || self.bitmaps.iter().any(in_bitmap)
    }

    /// How much it lists, for people.
    pub fn len(&self) -> usize {
        let bits = self.bitmaps.iter().flat_map(|(_, b)| b).map(|b| b.count_ones() as usize).sum::<usize>();
        self.ranges.len() + bits + self.ids.len()
    }
}

/// The SHA-256 fingerprint of a key's blob, as OpenSSH writes it.
pub(super) fn fingerprint(blob: &[u8]) -> String {
    format!("SHA256:{}", STANDARD_NO_PAD.encode(Sha256::digest(blob)))
}

/// The bytes not yet read.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, n: usize) -> Result<&'a [u8], String> {
        let (head, rest) = self.0.split_at_checked(n).ok_or("it is cut short")?;
        self.0 = rest;
        Ok(head)
    }
    fn array<const N: usize>(&mut self) -> Result<[u8; N], String> {
        self.take(N)?.try_into().map_err(|_| "it is cut short".to_owned())
    }
    fn u8(&mut self) -> Result<u8, String> {
        self.array().map(u8::from_be_bytes)
    }
    fn u32(&mut self) -> Result<u32, String> {
        self.array().map(u32::from_be_bytes)
    }
    fn u64(&mut self) -> Result<u64, String> {
        self.array().map(u64::from_be_bytes)
    }
    fn string(&mut self) -> Result<&'a [u8], String> {
        let n = self.u32()? as usize;
        self.take(n)
    }
    fn text(&mut self) -> Result<String, String> {
        String::from_utf8(self.string()?.to_vec()).map_err(|_| "it has a text that is not UTF-8".to_owned())
    }
    fn section(&mut self) -> Result<(u8, Reader<'a>), String> {
        Ok((self.u8()?, Reader(self.string()?)))
    }
    fn done(&self) -> bool {
        self.0.is_empty()
    }
}

/// Reads a list.
pub(super) fn read(bytes: &[u8]) -> Result<Content, String> {
    let mut r = Reader(bytes.strip_prefix(MAGIC).ok_or("it does not begin as a key revocation list")?);
    let version = r.u32()?;
    if version != VERSION {
        return Err(format!("it is of format {version}, and {VERSION} is known"));
    }
    // Its number, when it was made, flags: none of them decides anything.
    for _ in 0..3 {
        r.u64()?;
    }
    let (_reserved, _comment) = (r.string()?, r.string()?);
    let mut content = Content::default();
    while !r.done() {
        let (kind, mut s) = r.section()?;
        match kind {
            CERTIFICATES => content.certificates.push(certificates(&mut s)?),
            EXPLICIT_KEY => {
                while !s.done() {
                    content.keys.insert(fingerprint(s.string()?));
                }
            }
            FINGERPRINT_SHA1 => {
                while !s.done() {
                    let print = s.string()?.try_into().map_err(|_| "it has a SHA-1 fingerprint of another length")?;
                    content.keys_sha1.insert(print);
                }
            }
            FINGERPRINT_SHA256 => {
                while !s.done() {
                    let print: [u8; 32] =
                        s.string()?.try_into().map_err(|_| "it has a SHA-256 fingerprint of another length")?;
                    content.keys.insert(format!("SHA256:{}", STANDARD_NO_PAD.encode(print)));
                }
            }
            // OpenSSH makes none any more and reads over those there are.
            SIGNATURE => {}
            EXTENSION => extension(&mut s)?,
            other => return Err(format!("it has a section of the unknown type {other}")),
        }
    }
    Ok(content)
}

fn extension(s: &mut Reader<'_>) -> Result<(), String> {
    let name = crate::model::clean(&s.text()?, 60);
    let critical = s.u8()? != 0;
    s.string()?;
    if !s.done() {
        return Err(format!("its extension {name} has bytes too many"));
    }
    if critical { Err(format!("it has the critical extension {name}, which is not known")) } else { Ok(()) }
}

fn certificates(s: &mut Reader<'_>) -> Result<OfCa, String> {
    let ca = s.string()?;
    let _reserved = s.string()?;
    let mut of = OfCa { ca: (!ca.is_empty()).then(|| fingerprint(ca)), ..OfCa::default() };
    while !s.done() {
        let (kind, mut s) = s.section()?;
        match kind {
            SERIAL_LIST => {
                while !s.done() {
                    let n = s.u64()?;
                    of.ranges.push((n, n));
                }
            }
            SERIAL_RANGE => {
                let (low, high) = (s.u64()?, s.u64()?);
                if low > high {
                    return Err(format!("it has a range of numbers that ends before it begins ({low}-{high})"));
                }
                of.ranges.push((low, high));
            }
            SERIAL_BITMAP => {
                let first = s.u64()?;
                of.bitmaps.push((first, s.string()?.to_vec()));
            }
            KEY_ID => {
                while !s.done() {
                    of.ids.insert(s.text()?);
                }
            }
            CERT_EXTENSION => extension(&mut s)?,
            other => return Err(format!("it has certificates in a section of the unknown type {other}")),
        }
        if !s.done() {
            return Err("a section of its certificates has bytes too many".to_owned());
        }
    }
    Ok(of)
}

#[cfg(test)]
mod tests;
