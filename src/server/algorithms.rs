//! What is offered: nothing weak, ML-KEM first.

use crate::config::{Cipher, Config, Fido, SshConfig};
use russh::keys::{Algorithm, Certificate, EcdsaCurve, HashAlg, PrivateKey};
use russh::{MethodKind, MethodSet, Preferred, SshId, cipher, compression, kex, mac};
use std::borrow::Cow;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use thiserror::Error;

/// Kept well apart from any real limit: a key exchange that the server begins kills a busy session (DESIGN.md, trap 3),
/// so it is left to clients (OpenSSH: after 1 GiB with ChaCha20, 64 GiB with AES).
const NEVER: Duration = Duration::from_secs(10 * 365 * 24 * 3600);

/// Messages the library queues inside. Eight are enough to encrypt and write in one go, and stay in a core's cache, which
/// 64 do not: 9 % less CPU time.
const EVENT_BUFFER: usize = 8;

/// Messages of up to 32 KiB that may wait for one visitor inside the library while its backlog is written to disk.
const CHANNEL_BUFFER: usize = 32;

/// Why a host key cannot be used.
#[derive(Debug, Error)]
#[error("the host key {path} cannot be used: {why}. Make one with: ssh-keygen -q -N '' -t ed25519 -f {path}")]
pub struct HostKeyError {
    path: String,
    why: String,
}

/// Reads a host key.
///
/// # Errors
/// [`HostKeyError`] when it cannot be read, is encrypted, or is of a kind not offered.
pub fn read_host_key(path: &Path) -> Result<PrivateKey, HostKeyError> {
    let fail = |why: String| HostKeyError { path: path.display().to_string(), why };
    let key = PrivateKey::read_openssh_file(path).map_err(|e| fail(e.to_string()))?;
    if key.is_encrypted() {
        return Err(fail("it is protected by a passphrase".to_owned()));
    }
    match key.algorithm() {
        Algorithm::Ed25519 | Algorithm::Rsa { .. } => Ok(key),
        other => Err(fail(format!("{other} is not offered; use ed25519 or rsa"))),
    }
}

/// Key exchanges, best first. Curve25519 and the large groups are for clients without ML-KEM.
const KEX: &[kex::Name] = &[
    kex::MLKEM768X25519_SHA256,
    kex::CURVE25519,
    kex::CURVE25519_PRE_RFC_8731,
    kex::DH_G16_SHA512,
    kex::DH_G18_SHA512,
    kex::EXTENSION_SUPPORT_AS_SERVER,
    kex::EXTENSION_OPENSSH_STRICT_KEX_AS_SERVER,
];

/// Signatures: of our host keys, and those accepted from clients (server-sig-algs, RFC 8308 §3.1). No SHA-1.
const KEYS: &[Algorithm] = &[
    Algorithm::Ed25519,
    Algorithm::Ecdsa { curve: EcdsaCurve::NistP256 },
    Algorithm::Ecdsa { curve: EcdsaCurve::NistP384 },
    Algorithm::Ecdsa { curve: EcdsaCurve::NistP521 },
    Algorithm::Rsa { hash: Some(HashAlg::Sha512) },
    Algorithm::Rsa { hash: Some(HashAlg::Sha256) },
];

/// With AES instructions. The client's order decides, and stock OpenSSH puts ChaCha20 first, which halves the speed here.
const CIPHERS_AES: &[cipher::Name] =
    &[cipher::AES_128_GCM, cipher::AES_256_GCM, cipher::AES_128_CTR, cipher::AES_192_CTR, cipher::AES_256_CTR];

/// Without AES instructions.
const CIPHERS_SOFT: &[cipher::Name] = &[
    cipher::CHACHA20_POLY1305,
    cipher::AES_128_GCM,
    cipher::AES_256_GCM,
    cipher::AES_128_CTR,
    cipher::AES_192_CTR,
    cipher::AES_256_CTR,
];

/// Encrypt-then-MAC, for the CTR ciphers.
const MACS: &[mac::Name] = &[mac::HMAC_SHA256_ETM, mac::HMAC_SHA512_ETM];

/// With encrypt-and-MAC: sound with CTR, but with nothing to spare.
const MACS_PLAIN: &[mac::Name] = &[mac::HMAC_SHA256_ETM, mac::HMAC_SHA512_ETM, mac::HMAC_SHA256];

/// Clients that may have no other: Dropbear, as on routers (besides ChaCha20-Poly1305, see [`CIPHERS_AES`]), and libssh2
/// before 1.11. Nobody else is offered it, since clients that have both may like it better. What a client calls itself is
/// part of what the key exchange proves (RFC 4253 §8), so nobody on the way can make one weaker by another name.
const WITHOUT_ETM: &[&str] = &["dropbear", "libssh2"];

fn macs(software: &str) -> &'static [mac::Name] {
    let plain = WITHOUT_ETM.iter().any(|name| software.starts_with(name));
    if plain { MACS_PLAIN } else { MACS }
}

/// What is offered where the configuration names nothing.
fn suitable_ciphers() -> &'static [cipher::Name] {
    #[cfg(any(target_arch = "x86_64", target_arch = "x86"))]
    let fast = std::is_x86_feature_detected!("aes") && std::is_x86_feature_detected!("pclmulqdq");
    #[cfg(target_arch = "aarch64")]
    let fast = std::arch::is_aarch64_feature_detected!("aes");
    #[cfg(not(any(target_arch = "x86_64", target_arch = "x86", target_arch = "aarch64")))]
    let fast = false;
    if fast { CIPHERS_AES } else { CIPHERS_SOFT }
}

fn ciphers(chosen: Option<&[Cipher]>) -> Cow<'static, [cipher::Name]> {
    let name = |c: &Cipher| match c {
        Cipher::ChaCha20Poly1305 => cipher::CHACHA20_POLY1305,
        Cipher::Aes128Gcm => cipher::AES_128_GCM,
        Cipher::Aes256Gcm => cipher::AES_256_GCM,
        Cipher::Aes128Ctr => cipher::AES_128_CTR,
        Cipher::Aes192Ctr => cipher::AES_192_CTR,
        Cipher::Aes256Ctr => cipher::AES_256_CTR,
    };
    chosen.map_or(Cow::Borrowed(suitable_ciphers()), |cs| cs.iter().map(name).collect())
}

/// Those of tokens are accepted where policy does without the touch.
fn signatures(fido: Fido) -> Cow<'static, [Algorithm]> {
    match fido {
        Fido::Refuse => Cow::Borrowed(KEYS),
        Fido::AcceptUnverified => {
            KEYS.iter().cloned().chain([Algorithm::SkEd25519, Algorithm::SkEcdsaSha2NistP256]).collect()
        }
    }
}

/// What was agreed on with a client of this name that offered this.
pub(super) fn agreed(config: &Config, offer: &super::kexinit::Offer, software: &str) -> Option<String> {
    let kex: Vec<&str> = KEX.iter().map(AsRef::as_ref).collect();
    let ciphers = ciphers(config.ssh.ciphers.as_deref());
    let cipher: Vec<&str> = ciphers.iter().map(AsRef::as_ref).collect();
    let mac: Vec<&str> = macs(software).iter().map(AsRef::as_ref).collect();
    offer.agreed(&kex, &cipher, &mac)
}

/// The library's configurations for ours.
pub(crate) struct Offers {
    usual: Arc<russh::server::Config>,
    plain_mac: Arc<russh::server::Config>,
}

impl Offers {
    pub(super) fn new(config: &Config, keys: &[PrivateKey], certificates: &[Certificate]) -> Self {
        let with = |macs| Arc::new(russh_config(config, keys.to_vec(), certificates.to_vec(), macs));
        Self { usual: with(MACS), plain_mac: with(MACS_PLAIN) }
    }

    /// What a client of this name is offered.
    pub(super) fn to(&self, software: &str) -> Arc<russh::server::Config> {
        Arc::clone(if macs(software) == MACS { &self.usual } else { &self.plain_mac })
    }
}

fn russh_config(
    config: &Config,
    keys: Vec<PrivateKey>,
    certificates: Vec<Certificate>,
    macs: &'static [mac::Name],
) -> russh::server::Config {
    let SshConfig { keepalive_interval, keepalive_count, max_auth_attempts, .. } = &config.ssh;
    let limits =
        russh::Limits { rekey_time_limit: NEVER, rekey_read_limit: usize::MAX / 4, rekey_write_limit: usize::MAX / 4 };
    russh::server::Config {
        server_id: SshId::Standard(Cow::Borrowed(super::greeting::ID)),
        methods: MethodSet::from(&[MethodKind::PublicKey][..]),
        // Public keys cannot be guessed; a client that offers five should not wait for five seconds.
        auth_rejection_time: Duration::from_millis(20),
        auth_rejection_time_initial: Some(Duration::ZERO),
        keys,
        certificates,
        limits,
        preferred: Preferred {
            kex: Cow::Borrowed(KEX),
            key: signatures(config.trust.fido),
            cipher: ciphers(config.ssh.ciphers.as_deref()),
            mac: Cow::Borrowed(macs),
            compression: Cow::Borrowed(&[compression::NONE]),
            ..Preferred::DEFAULT
        },
        // The library counts the `none` with which every client begins.
        max_auth_attempts: *max_auth_attempts + 1,
        window_size: super::carrier::WINDOW,
        // Any packet would reset it, so it guards nothing; the login grace time and the watchdog are ours.
        inactivity_timeout: None,
        // Behind our own (see `pulse`), which is heard first wherever it gets through.
        keepalive_interval: Some(*keepalive_interval * 3 / 2),
        // One more than we allow: our watchdog speaks first, and names the cause.
        keepalive_max: usize::try_from(*keepalive_count).unwrap_or(3) + 1,
        event_buffer_size: EVENT_BUFFER,
        channel_buffer_size: CHANNEL_BUFFER,
        nodelay: true,
        ..Default::default()
    }
}
