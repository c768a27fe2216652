//! What must hold of whatever comes in before anybody has signed in, as far as it is ours to read.

use super::certificate;
use super::kexinit::Offer;
use super::stream::{Ident, Opening};
use crate::config::Fido;
use russh::keys::Certificate;

/// What is held of an opening at most: an identification and a first packet.
const HELD: usize = 255 + 35_000;

/// The beginning of a connection: the same however it is cut. The first byte says into what pieces.
pub fn opening(data: &[u8]) {
    let Some((size, data)) = data.split_first() else { return };
    let whole = heard(data, data.len().max(1));
    assert_eq!(heard(data, usize::from(*size).max(1)), whole, "in pieces of {size}");
    let (software, offer) = whole;
    assert!(software.chars().count() <= 81 && !software.chars().any(char::is_control), "{software:?}");
    if let Some(offer) = offer {
        let ours = (["curve25519-sha256"], ["aes128-ctr", "aes256-gcm@openssh.com"], ["hmac-sha2-256"]);
        let agreed = offer.agreed(&ours.0, &ours.1, &ours.2);
        assert!(
            agreed.is_none_or(|a| a
                .split(' ')
                .all(|w| ours.0.contains(&w) || ours.1.contains(&w) || ours.2.contains(&w)))
        );
    }
}

fn heard(data: &[u8], size: usize) -> (String, Option<Offer>) {
    let (ident, mut opening) = (Ident::default(), Opening::default());
    for piece in data.chunks(size) {
        opening.hear(piece, &ident);
        assert!(opening.held() <= HELD, "{} bytes are held", opening.held());
    }
    (ident.software(), ident.take_offer())
}

/// A certificate as a line of a file: whatever it says, it is read or refused.
pub fn certificate(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    for line in text.lines().filter(|l| l.contains("-cert-v01@")) {
        let Ok(c) = Certificate::from_openssh(line) else { continue };
        let Ok(read) = certificate::read(&c, Fido::default()) else { continue };
        assert!(!read.mark.key_id.chars().any(char::is_control), "{:?}", read.mark);
        let _ = read.good(crate::model::now(), std::net::Ipv4Addr::LOCALHOST.into());
        let known = ["source-address", "force-command"];
        assert!(
            c.critical_options().iter().all(|(name, _)| known.contains(&name.as_str())),
            "an option is passed over"
        );
    }
}
