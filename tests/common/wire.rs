//! A small SSH client that says whatever it is told to, for attacks: curve25519-sha256, aes128-gcm, ed25519, nothing else.
//! It does not check the server's signature: it attacks, and does not trust.

#![allow(dead_code)] // Each user of it needs a part.

use ring::aead::{AES_128_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use ring::agreement::{EphemeralPrivateKey, UnparsedPublicKey, X25519, agree_ephemeral};
use ring::digest::{SHA256, digest};
use ring::rand::SystemRandom;
use ring::signature::Ed25519KeyPair;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::time::Duration;

/// Message numbers (RFC 4250 §4.1.2).
pub mod msg {
    pub const DISCONNECT: u8 = 1;
    pub const IGNORE: u8 = 2;
    pub const DEBUG: u8 = 4;
    pub const SERVICE_REQUEST: u8 = 5;
    pub const KEXINIT: u8 = 20;
    pub const NEWKEYS: u8 = 21;
    pub const KEX_ECDH_INIT: u8 = 30;
    pub const KEX_ECDH_REPLY: u8 = 31;
    pub const USERAUTH_REQUEST: u8 = 50;
    pub const USERAUTH_FAILURE: u8 = 51;
    pub const USERAUTH_SUCCESS: u8 = 52;
    pub const GLOBAL_REQUEST: u8 = 80;
    pub const REQUEST_SUCCESS: u8 = 81;
    pub const REQUEST_FAILURE: u8 = 82;
    pub const CHANNEL_OPEN: u8 = 90;
    pub const CHANNEL_OPEN_CONFIRMATION: u8 = 91;
    pub const CHANNEL_OPEN_FAILURE: u8 = 92;
    pub const CHANNEL_WINDOW_ADJUST: u8 = 93;
    pub const CHANNEL_DATA: u8 = 94;
    pub const CHANNEL_EXTENDED_DATA: u8 = 95;
    pub const CHANNEL_EOF: u8 = 96;
    pub const CHANNEL_CLOSE: u8 = 97;
    pub const CHANNEL_REQUEST: u8 = 98;
}

/// A message in the making.
#[derive(Debug, Clone, Default)]
pub struct Msg(pub Vec<u8>);

impl Msg {
    pub fn new(kind: u8) -> Self {
        Self(vec![kind])
    }
    pub fn byte(mut self, b: u8) -> Self {
        self.0.push(b);
        self
    }
    pub fn u32(mut self, n: u32) -> Self {
        self.0.extend(n.to_be_bytes());
        self
    }
    pub fn string(mut self, s: impl AsRef<[u8]>) -> Self {
        let s = s.as_ref();
        self.0.extend((s.len() as u32).to_be_bytes());
        self.0.extend(s);
        self
    }
    pub fn raw(mut self, s: &[u8]) -> Self {
        self.0.extend(s);
        self
    }
}

/// The string at the beginning, and what follows it.
pub fn string(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let len = u32::from_be_bytes(bytes.get(..4)?.try_into().ok()?) as usize;
    Some((bytes.get(4..4 + len)?, bytes.get(4 + len..)?))
}

struct Keys {
    key: LessSafeKey,
    iv: [u8; 12],
}

impl Keys {
    fn nonce(&mut self) -> Nonce {
        let nonce = Nonce::assume_unique_for_key(self.iv);
        for b in self.iv.iter_mut().rev() {
            *b = b.wrapping_add(1);
            if *b != 0 {
                break;
            }
        }
        nonce
    }
}

/// An ed25519 key as `ssh-keygen` made it.
pub struct Identity {
    pair: Ed25519KeyPair,
    blob: Vec<u8>,
}

impl Identity {
    pub fn read(path: &Path) -> Self {
        let key = ssh_key::PrivateKey::read_openssh_file(path).unwrap();
        let pair = key.key_data().ed25519().unwrap();
        let public = pair.public.0;
        let ring = Ed25519KeyPair::from_seed_and_public_key(&pair.private.to_bytes(), &public).unwrap();
        Self { pair: ring, blob: Msg::default().string("ssh-ed25519").string(public).0 }
    }
}

/// One connection.
pub struct Wire {
    pub stream: TcpStream,
    send: Option<Keys>,
    recv: Option<Keys>,
    session_id: Option<Vec<u8>>,
    server_ident: Vec<u8>,
    client_ident: Vec<u8>,
    /// What has come and is not taken yet.
    inbox: Vec<u8>,
}

/// What the client offers.
pub fn kexinit() -> Msg {
    let mut m = Msg::new(msg::KEXINIT).raw(&[7; 16]);
    for list in [
        "curve25519-sha256",
        "ssh-ed25519",
        "aes128-gcm@openssh.com",
        "aes128-gcm@openssh.com",
        "hmac-sha2-256-etm@openssh.com",
        "hmac-sha2-256-etm@openssh.com",
        "none",
        "none",
        "",
        "",
    ] {
        m = m.string(list);
    }
    m.byte(0).u32(0)
}

/// Connects from an address of this machine.
pub fn connect(to: SocketAddr, from: Option<std::net::IpAddr>) -> io::Result<TcpStream> {
    let socket = socket2::Socket::new(socket2::Domain::for_address(to), socket2::Type::STREAM, None)?;
    if let Some(ip) = from {
        socket.bind(&SocketAddr::new(ip, 0).into())?;
    }
    socket.connect_timeout(&to.into(), Duration::from_secs(5))?;
    let stream: TcpStream = socket.into();
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    stream.set_write_timeout(Some(Duration::from_secs(10)))?;
    Ok(stream)
}

fn odd(what: &str) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, what.to_owned())
}

impl Wire {
    /// Connected, and idents exchanged.
    pub fn open(to: SocketAddr, from: Option<std::net::IpAddr>) -> io::Result<Self> {
        Self::over(connect(to, from)?, b"SSH-2.0-wire")
    }

    /// The same over a connection that is there, with this ident.
    pub fn over(mut stream: TcpStream, ident: &[u8]) -> io::Result<Self> {
        stream.write_all(&[ident, b"\r\n"].concat())?;
        let mut line = Vec::new();
        let mut byte = [0];
        while !line.ends_with(b"\n") {
            stream.read_exact(&mut byte)?;
            line.push(byte[0]);
            if line.len() > 255 {
                return Err(odd("no ident"));
            }
        }
        if !line.starts_with(b"SSH-2.0-") {
            return Err(odd("refused"));
        }
        let server_ident = line.strip_suffix(b"\r\n").unwrap_or(&line).to_vec();
        Ok(Self {
            stream,
            send: None,
            recv: None,
            session_id: None,
            server_ident,
            client_ident: ident.to_vec(),
            inbox: Vec::new(),
        })
    }

    /// A whole packet for this payload, as it goes onto the wire.
    pub fn frame(&mut self, payload: &[u8]) -> Vec<u8> {
        let (block, outside) = if self.send.is_some() { (16, 0) } else { (8, 4) };
        let mut pad = block - (outside + 1 + payload.len()) % block;
        if pad < 4 {
            pad += block;
        }
        let len = ((1 + payload.len() + pad) as u32).to_be_bytes();
        let mut body = vec![pad as u8];
        body.extend(payload);
        body.extend(vec![0; pad]);
        if let Some(keys) = &mut self.send {
            let nonce = keys.nonce();
            keys.key.seal_in_place_append_tag(nonce, Aad::from(len), &mut body).unwrap();
        }
        [&len[..], &body].concat()
    }

    pub fn send(&mut self, payload: &[u8]) -> io::Result<()> {
        let packet = self.frame(payload);
        self.stream.write_all(&packet)
    }

    fn fill(&mut self, n: usize) -> io::Result<()> {
        let mut buf = [0; 65_536];
        while self.inbox.len() < n {
            let got = self.stream.read(&mut buf)?;
            if got == 0 {
                return Err(ErrorKind::UnexpectedEof.into());
            }
            self.inbox.extend(&buf[..got]);
        }
        Ok(())
    }

    /// The next message, whatever it is.
    pub fn recv(&mut self) -> io::Result<Vec<u8>> {
        self.fill(4)?;
        let len: [u8; 4] = self.inbox[..4].try_into().unwrap();
        let n = u32::from_be_bytes(len) as usize;
        if n > 300_000 {
            return Err(odd("a packet too long"));
        }
        let tag = if self.recv.is_some() { 16 } else { 0 };
        self.fill(4 + n + tag)?;
        let mut body: Vec<u8> = self.inbox.drain(..4 + n + tag).skip(4).collect();
        if let Some(keys) = &mut self.recv {
            let nonce = keys.nonce();
            let open = keys.key.open_in_place(nonce, Aad::from(len), &mut body);
            let n = open.map_err(|_| odd("a packet that is not ours"))?.len();
            body.truncate(n);
        }
        let pad = usize::from(*body.first().ok_or_else(|| odd("an empty packet"))?);
        body.truncate(body.len().saturating_sub(pad));
        body.drain(..1);
        Ok(body)
    }

    /// The next message of this kind; others are passed over.
    pub fn recv_kind(&mut self, kinds: &[u8]) -> io::Result<Vec<u8>> {
        loop {
            let m = self.recv()?;
            match m.first() {
                Some(k) if kinds.contains(k) => return Ok(m),
                Some(&msg::DISCONNECT) => return Err(ErrorKind::ConnectionAborted.into()),
                _ => {}
            }
        }
    }

    /// The first key exchange, or another. `change` may spoil each message before it goes out.
    pub fn exchange(&mut self, change: &mut dyn FnMut(&mut Vec<u8>)) -> io::Result<()> {
        let ours = kexinit().0;
        let mut sent = ours.clone();
        change(&mut sent);
        self.send(&sent)?;
        let theirs = self.recv_kind(&[msg::KEXINIT])?;
        let rng = SystemRandom::new();
        let secret = EphemeralPrivateKey::generate(&X25519, &rng).unwrap();
        let public = secret.compute_public_key().unwrap();
        let mut init = Msg::new(msg::KEX_ECDH_INIT).string(&public).0;
        change(&mut init);
        self.send(&init)?;
        let reply = self.recv_kind(&[msg::KEX_ECDH_REPLY])?;
        let (host_key, rest) = string(&reply[1..]).ok_or_else(|| odd("reply"))?;
        let (their_public, _) = string(rest).ok_or_else(|| odd("reply"))?;
        let shared = agree_ephemeral(secret, &UnparsedPublicKey::new(&X25519, their_public), <[u8]>::to_vec)
            .map_err(|_| odd("their key"))?;
        // An mpint (RFC 4251 §5): without leading zeros, and not negative.
        let mut k: Vec<u8> = shared.into_iter().skip_while(|b| *b == 0).collect();
        if k.first().is_some_and(|b| b & 0x80 != 0) {
            k.insert(0, 0);
        }
        let k = Msg::default().string(&k).0;
        let transcript = Msg::default()
            .string(&self.client_ident)
            .string(&self.server_ident)
            .string(&sent)
            .string(&theirs)
            .string(host_key)
            .string(&public)
            .string(their_public)
            .raw(&k);
        let hash = digest(&SHA256, &transcript.0).as_ref().to_vec();
        let id = self.session_id.get_or_insert_with(|| hash.clone()).clone();
        let derive = |letter: u8| digest(&SHA256, &[&k, &hash, &[letter][..], &id].concat()).as_ref().to_vec();
        let keys = |iv: u8, key: u8| Keys {
            key: LessSafeKey::new(UnboundKey::new(&AES_128_GCM, &derive(key)[..16]).unwrap()),
            iv: derive(iv)[..12].try_into().unwrap(),
        };
        let mut done = vec![msg::NEWKEYS];
        change(&mut done);
        self.send(&done)?;
        self.recv_kind(&[msg::NEWKEYS])?;
        self.send = Some(keys(b'A', b'C'));
        self.recv = Some(keys(b'B', b'D'));
        Ok(())
    }

    /// Signs in. False when it is refused.
    pub fn sign_in(&mut self, user: &str, key: &Identity, change: &mut dyn FnMut(&mut Vec<u8>)) -> io::Result<bool> {
        let mut service = Msg::new(msg::SERVICE_REQUEST).string("ssh-userauth").0;
        change(&mut service);
        self.send(&service)?;
        let request = Msg::new(msg::USERAUTH_REQUEST)
            .string(user)
            .string("ssh-connection")
            .string("publickey")
            .byte(1)
            .string("ssh-ed25519")
            .string(&key.blob);
        let signed = Msg::default().string(self.session_id.clone().unwrap_or_default()).raw(&request.0);
        let signature = Msg::default().string("ssh-ed25519").string(key.pair.sign(&signed.0));
        let mut request = request.string(signature.0).0;
        change(&mut request);
        self.send(&request)?;
        let answer = self.recv_kind(&[msg::USERAUTH_SUCCESS, msg::USERAUTH_FAILURE])?;
        Ok(answer[0] == msg::USERAUTH_SUCCESS)
    }

    /// A session that has signed in.
    pub fn session(to: SocketAddr, from: Option<std::net::IpAddr>, user: &str, key: &Identity) -> io::Result<Self> {
        let mut w = Self::open(to, from)?;
        w.exchange(&mut |_| {})?;
        if w.sign_in(user, key, &mut |_| {})? { Ok(w) } else { Err(ErrorKind::PermissionDenied.into()) }
    }

    /// Asks for a forward; whether it was granted.
    pub fn forward(&mut self, port: u16) -> io::Result<bool> {
        let m = Msg::new(msg::GLOBAL_REQUEST).string("tcpip-forward").byte(1);
        self.send(&m.string("localhost").u32(port.into()).0)?;
        Ok(self.recv_kind(&[msg::REQUEST_SUCCESS, msg::REQUEST_FAILURE])?[0] == msg::REQUEST_SUCCESS)
    }

    /// Waits until the server has closed, whatever it says before; false when it has not within the time.
    pub fn wait_closed(&mut self, timeout: Duration) -> bool {
        let deadline = std::time::Instant::now() + timeout;
        let mut buf = [0; 4096];
        loop {
            let left = deadline.saturating_duration_since(std::time::Instant::now());
            if left.is_zero() {
                return false;
            }
            let _ = self.stream.set_read_timeout(Some(left));
            match self.stream.read(&mut buf) {
                Ok(0) => return true,
                Ok(_) => {}
                Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => return false,
                Err(_) => return true,
            }
        }
    }
}
