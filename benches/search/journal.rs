//! A journal as a busy bastion writes it, with its chain, faster than a daemon would.

use crate::common::{Res, at};
use portreeve::audit::{Actor, Context, Event, What};
use portreeve::model::{Obituary, ObituaryCause, Time, Verdict};
use serde::Serialize;
use sha2::{Digest, Sha256};
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

/// What was written.
pub struct Made {
    pub records: u64,
    pub files: u32,
    pub bytes: u64,
}

#[derive(Serialize)]
struct Line<'a> {
    seq: u64,
    at: Time,
    #[serde(flatten)]
    event: &'a Event,
    prev: &'a str,
}

/// Days, a file each.
const FILES: u32 = 8;

/// Writes so many bytes. One record of the first file has the user name `letters`, another `digits`.
pub fn write(dir: &Path, bytes: u64, letters: &str, digits: &str) -> Res<Made> {
    let mut made = Made { records: 0, files: FILES, bytes: 0 };
    let mut prev = "0".repeat(64);
    let first: Time = "2026-10-01T00:00:00Z".parse().map_err(at("time"))?;
    for day in 0..FILES {
        let start = first + chrono::TimeDelta::days(day.into());
        let name = format!("audit-{}.jsonl", start.format("%Y-%m-%d"));
        let mut file = BufWriter::with_capacity(1 << 20, File::create(dir.join(name)).map_err(at("journal"))?);
        let end = bytes * u64::from(day + 1) / u64::from(FILES);
        let mut in_file: i64 = 0;
        while made.bytes < end {
            made.records += 1;
            in_file += 1;
            let mut event = event(made.records);
            if day == 0 && in_file == 1_000 {
                event.context.user = Some(letters.to_owned());
            }
            if day == 0 && in_file == 2_000 {
                event.context.user = Some(digits.to_owned());
            }
            let line = Line {
                seq: made.records,
                at: start + chrono::TimeDelta::milliseconds(in_file * 250),
                event: &event,
                prev: &prev,
            };
            let mut line = serde_json::to_vec(&line).map_err(at("JSON"))?;
            let hash: String = Sha256::digest(&line).iter().map(|b| format!("{b:02x}")).collect();
            line.pop();
            line.extend_from_slice(format!(",\"hash\":\"{hash}\"}}\n").as_bytes());
            file.write_all(&line).map_err(at("journal"))?;
            made.bytes += line.len() as u64;
            prev = hash;
        }
        file.flush().map_err(at("journal"))?;
    }
    Ok(made)
}

/// The usual mixture: mostly visits, some sign-ins and refusals, a change of health now and then.
fn event(n: u64) -> Event {
    let host = n % 997;
    let name = format!("host-{host:04}");
    let source = format!("203.0.{}.{}:{}", n % 199, n % 251, 1024 + n % 60_000);
    let context = Context {
        source: source.parse().ok(),
        fingerprint: n.is_multiple_of(3).then(|| format!("SHA256:{:043}", n.wrapping_mul(0x9E37_79B9_7F4A_7C15))),
        team: format!("team-{}", host % 20).parse().ok(),
        host: name.parse().ok(),
        port: u16::try_from(20_000 + host).ok().and_then(|p| p.try_into().ok()),
        session: format!("s{:x}", n / 7).parse().ok(),
        visitor: format!("v{n:x}").parse().ok(),
        ..Context::default()
    };
    match n % 10 {
        0 => Event::success(
            Actor::Host(name),
            What::AuthSuccess { role: None, client: "OpenSSH_9.2p1 Debian-2+deb12u3".to_owned() },
            context,
        ),
        1 => Event::refused(
            Actor::Unknown,
            What::AuthFailure { method: "publickey".to_owned(), client: "OpenSSH_8.9".to_owned() },
            "unknown key: no host or operator has it",
            Context { user: Some(format!("user{}", n % 300)), ..context },
        ),
        2 => Event::success(
            Actor::Daemon,
            What::ForwardEnd {
                obituary: Obituary::with(ObituaryCause::KeepaliveTimeout, "3 x 15 s"),
                visitors: n % 50,
                bytes_to_host: n * 17,
                bytes_to_visitors: n * 1009,
            },
            context,
        ),
        3 if n % 100 == 3 => Event::success(
            Actor::Daemon,
            What::HealthChange { from: Verdict::Passing, to: Verdict::Failing, layer: None },
            context,
        ),
        4..=6 => Event::success(Actor::Visitor, What::VisitorOpen {}, context),
        _ => {
            let what =
                What::VisitorClose { seconds: 12.5, bytes_to_host: n % 100_000, bytes_to_visitor: n % 9_999_999 };
            Event::success(Actor::Visitor, what, context)
        }
    }
}
