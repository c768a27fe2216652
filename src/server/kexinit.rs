//! What a client offers in its first packet, and what both sides choose by it (RFC 4253 §7.1): the library does not say.

/// The longest first packet looked at (the longest that RFC 4253 §6.1 asks for).
const PACKET_MAX: usize = 35_000;

/// What a client would have, the best first.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Offer {
    kex: Vec<String>,
    cipher: Vec<String>,
    mac: Vec<String>,
}

/// Reads the packet behind the identification line as it comes.
#[derive(Debug, Default)]
pub(super) struct Sniffer {
    bytes: Vec<u8>,
    done: bool,
}

impl Sniffer {
    /// More bytes of the stream; the offer once it is whole. Nothing is kept afterwards.
    pub(super) fn feed(&mut self, bytes: &[u8]) -> Option<Offer> {
        if self.done {
            return None;
        }
        let room = PACKET_MAX.saturating_sub(self.bytes.len());
        self.bytes.extend_from_slice(bytes.get(..bytes.len().min(room)).unwrap_or_default());
        let length =
            self.bytes.first_chunk::<4>().map(|n| usize::try_from(u32::from_be_bytes(*n)).unwrap_or(usize::MAX))?;
        if length <= PACKET_MAX && self.bytes.len() < length.saturating_add(4) && self.bytes.len() < PACKET_MAX {
            return None;
        }
        self.done = true;
        let packet = std::mem::take(&mut self.bytes);
        read(packet.get(4..length.checked_add(4)?)?)
    }

    /// Bytes held.
    #[cfg(any(test, fuzzing))]
    pub(super) fn held(&self) -> usize {
        self.bytes.len()
    }
}

/// Of a packet without its length: padding's length, 20, a cookie, and lists of names.
fn read(packet: &[u8]) -> Option<Offer> {
    if packet.get(1) != Some(&20) {
        return None;
    }
    let mut rest = packet.get(18..)?;
    let mut list = || -> Option<Vec<String>> {
        let (length, after) = rest.split_first_chunk::<4>()?;
        let (names, after) = after.split_at_checked(usize::try_from(u32::from_be_bytes(*length)).ok()?)?;
        rest = after;
        Some(std::str::from_utf8(names).ok()?.split(',').map(str::to_owned).collect())
    };
    let kex = list()?;
    let _host_keys = list()?;
    let cipher = list()?;
    let _to_client = list()?;
    let mac = list()?;
    Some(Offer { kex, cipher, mac })
}

impl Offer {
    /// Key exchange, cipher and, where the cipher needs one, MAC, from client to server: the first of the client's that we
    /// have too.
    pub(super) fn agreed(&self, kex: &[&str], cipher: &[&str], mac: &[&str]) -> Option<String> {
        let first = |theirs: &[String], ours: &[&str]| theirs.iter().find(|t| ours.contains(&t.as_str())).cloned();
        let (kex, cipher) = (first(&self.kex, kex)?, first(&self.cipher, cipher)?);
        let sealed = cipher.contains("gcm") || cipher.contains("poly1305");
        let mac = first(&self.mac, mac).filter(|_| !sealed).map(|m| format!(" {m}")).unwrap_or_default();
        Some(format!("{kex} {cipher}{mac}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(lists: &[&str]) -> Vec<u8> {
        let mut body = vec![4, 20];
        body.extend([7; 16]);
        for l in lists {
            body.extend(u32::try_from(l.len()).unwrap().to_be_bytes());
            body.extend(l.as_bytes());
        }
        body.extend([0; 9]);
        let mut out = u32::try_from(body.len()).unwrap().to_be_bytes().to_vec();
        out.extend(body);
        out
    }

    #[test]
    fn the_first_of_the_clients_that_we_have_is_chosen_however_the_bytes_come() {
        let lists = [
            "sntrup,curve25519-sha256,ext-info-c",
            "ssh-ed25519",
            "aes128-ctr,aes128-gcm@openssh.com",
            "x",
            "umac,hmac-sha2-256",
        ];
        let bytes = packet(&lists);
        for size in [1, 7, bytes.len()] {
            let mut s = Sniffer::default();
            let found: Vec<Offer> = bytes.chunks(size).filter_map(|c| s.feed(c)).collect();
            let [offer] = &found[..] else { panic!("{size}: {found:?}") };
            let ours = (["curve25519-sha256"], ["aes128-ctr", "aes128-gcm@openssh.com"], ["hmac-sha2-256"]);
            let agreed = offer.agreed(&ours.0, &ours.1, &ours.2);
            assert_eq!(agreed.as_deref(), Some("curve25519-sha256 aes128-ctr hmac-sha2-256"));
            let gcm = offer.agreed(&ours.0, &["aes128-gcm@openssh.com"], &ours.2);
            assert_eq!(gcm.as_deref(), Some("curve25519-sha256 aes128-gcm@openssh.com"), "which has its own");
            assert_eq!(offer.agreed(&["other"], &ours.1, &ours.2), None);
        }
    }

    #[test]
    fn what_is_no_such_packet_is_passed_over() {
        for bad in [vec![0; 100], vec![0xff; 40_000], packet(&["a"]), b"GET / HTTP/1.1\r\n\r\n".to_vec()] {
            let mut s = Sniffer::default();
            assert!(bad.chunks(1_000).all(|c| s.feed(c).is_none()), "{:?}", bad.get(..8));
            assert!(s.bytes.len() <= PACKET_MAX);
        }
    }
}
