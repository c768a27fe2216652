//! Messages that are spoilt, the same for the same seed.

#![allow(dead_code)] // Each user of it needs a part.

use super::wire::{Msg, msg};

/// xorshift64*: the same numbers for the same seed.
#[derive(Clone)]
pub struct Rng(u64);

impl Rng {
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }
    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 16
    }
    pub fn below(&mut self, n: usize) -> usize {
        (self.next() % n.max(1) as u64) as usize
    }
    pub fn pick<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.below(of.len())]
    }
}

/// Numbers at which something goes wrong, if it does.
const EDGES: [u32; 10] = [0, 1, 4, 0x7f, 0xff, 0xffff, 0x7fff_ffff, 0x8000_0000, 0xffff_fff0, u32::MAX];

/// Spoils a message.
pub fn spoil(m: &mut Vec<u8>, rng: &mut Rng) {
    for _ in 0..=rng.below(3) {
        if m.is_empty() {
            m.push(rng.next() as u8);
        }
        let at = rng.below(m.len());
        match rng.below(8) {
            0 => m[at] ^= 1 << rng.below(8),
            1 => m[at] = rng.next() as u8,
            2 => m.truncate(at),
            3 => m.insert(at, rng.next() as u8),
            4 => {
                let edge = rng.pick(&EDGES).to_be_bytes();
                for (b, e) in m.iter_mut().skip(at).zip(edge) {
                    *b = e;
                }
            }
            5 => m[0] = rng.next() as u8,
            6 => {
                let piece: Vec<u8> = m[at..].iter().copied().take(64).collect();
                m.splice(at..at, piece);
            }
            _ => m.extend(vec![rng.next() as u8; rng.below(2_000)]),
        }
    }
}

/// Messages of a session that has signed in, well formed.
pub fn message(rng: &mut Rng, port: u16) -> Vec<u8> {
    let channel = rng.below(12) as u32;
    let edge = |rng: &mut Rng| *rng.pick(&EDGES);
    let kinds =
        ["session", "direct-tcpip", "forwarded-tcpip", "x11", "direct-streamlocal@openssh.com", "tun@openssh.com"];
    let requests = [
        "shell",
        "exec",
        "pty-req",
        "env",
        "subsystem",
        "window-change",
        "signal",
        "exit-status",
        "exit-signal",
        "x11-req",
        "auth-agent-req@openssh.com",
        "xon-xoff",
        "break",
        "eow@openssh.com",
        "keepalive@openssh.com",
    ];
    match rng.below(16) {
        0 | 1 => {
            let kind = rng.pick(&kinds);
            let m = Msg::new(msg::CHANNEL_OPEN).string(kind).u32(channel).u32(edge(rng)).u32(edge(rng));
            if *kind == "session" { m.0 } else { m.string("127.0.0.1").u32(edge(rng)).string("127.0.0.1").u32(1).0 }
        }
        2..=4 => {
            let kind = rng.pick(&requests);
            let m = Msg::new(msg::CHANNEL_REQUEST).u32(channel).string(kind).byte(rng.below(2) as u8);
            match *kind {
                "exec" | "subsystem" | "signal" => m.string("status").0,
                "env" => m.string("LANG").string("C").0,
                "pty-req" => {
                    let modes = [&[1_u8, 0, 0, 0, 3][..], &[0xff, 1], &[]].concat();
                    m.string("xterm").u32(edge(rng)).u32(edge(rng)).u32(0).u32(0).string(modes).0
                }
                "window-change" => m.u32(edge(rng)).u32(edge(rng)).u32(0).u32(0).0,
                "exit-status" => m.u32(edge(rng)).0,
                "exit-signal" => m.string("KILL").byte(0).string("").string("").0,
                "x11-req" => m.byte(0).string("MIT").string("00").u32(0).0,
                _ => m.0,
            }
        }
        5 => Msg::new(msg::CHANNEL_WINDOW_ADJUST).u32(channel).u32(edge(rng)).0,
        6 => Msg::new(msg::CHANNEL_DATA).u32(channel).string(vec![7; rng.below(2_000)]).0,
        7 => Msg::new(msg::CHANNEL_EXTENDED_DATA).u32(channel).u32(edge(rng)).string(vec![7; rng.below(500)]).0,
        8 => Msg::new(*rng.pick(&[msg::CHANNEL_EOF, msg::CHANNEL_CLOSE])).u32(channel).0,
        9 | 10 => {
            let kinds = ["tcpip-forward", "cancel-tcpip-forward"];
            let port = if rng.below(2) == 0 { u32::from(port) } else { edge(rng) };
            let m = Msg::new(msg::GLOBAL_REQUEST).string(rng.pick(&kinds)).byte(1);
            m.string(rng.pick(&["", "*", "localhost", "::", "\u{202e}x"])).u32(port).0
        }
        11 => {
            let kinds = [
                "keepalive@openssh.com",
                "hostkeys-prove-00@openssh.com",
                "no-more-sessions@openssh.com",
                "streamlocal-forward@openssh.com",
                "x",
            ];
            Msg::new(msg::GLOBAL_REQUEST).string(rng.pick(&kinds)).byte(rng.below(2) as u8).string("/tmp/x").0
        }
        12 => {
            Msg::new(*rng.pick(&[msg::CHANNEL_OPEN_CONFIRMATION, msg::CHANNEL_OPEN_FAILURE]))
                .u32(channel)
                .u32(edge(rng))
                .u32(edge(rng))
                .u32(edge(rng))
                .0
        }
        13 => {
            Msg::new(*rng.pick(&[
                msg::REQUEST_SUCCESS,
                msg::REQUEST_FAILURE,
                msg::USERAUTH_REQUEST,
                msg::SERVICE_REQUEST,
            ]))
            .string("ssh-connection")
            .0
        }
        14 => Msg::new(msg::DEBUG).byte(1).string("x").string("").0,
        _ => Msg::new(msg::IGNORE).string(vec![0; rng.below(300)]).0,
    }
}
