//! Visitors of all kinds. Each says what it will send and get, and checks that it was exactly that.

use super::ledger::Ticket;
use super::service::{Order, Pace, Request, Seen, send};
use super::stream::{self, Rng};
use super::world::World;
use socket2::SockRef;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Notify;

/// What a visitor may take longer than planned before it counts as hung; a daemon cuts dead hosts long before.
const PATIENCE: Duration = Duration::from_secs(60);
const KIB: u64 = 1024;
const MIB: u64 = 1024 * KIB;
/// What a slow reader reads at least within the stall time. The kernel takes up to 128 KiB at once for one that reads
/// little, and until that is read nothing shows that it does.
const STEP: u64 = 160 * KIB;

/// How a visitor reads.
#[derive(Debug, Clone, Copy)]
enum Reading {
    Fast,
    /// At so many bytes a second.
    Slow(u64),
    /// Not at all for a time, in the middle.
    Pausing(Duration),
}

/// A visit to be made.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    kind: &'static str,
    tunnel: usize,
    request: Request,
    reading: Reading,
    /// Says nothing more, and ends, only after the service has ended.
    waits: bool,
    /// Resets after this time.
    resets: Option<Duration>,
    /// Is to be cut.
    stalls: bool,
    /// Comes through an operator's `ssh -W`.
    by_operator: bool,
    ipv6: bool,
}

/// What went wrong.
#[derive(Debug)]
enum Trouble {
    Wrong(u64),
    Extra,
    Short(u64),
    Broken(io::Error),
    Hung,
    Unseen(Option<Seen>),
}

/// Chooses the next visit.
pub fn plan(rng: &mut Rng, world: &World) -> Plan {
    let rate = rng.size(256 * KIB, 8 * MIB);
    let longest = world.longest.as_secs().max(1);
    let len = rng.size(64, (rate * longest / 2).min(16 * MIB));
    let id = world.visits.fetch_add(1, Ordering::Relaxed) + 1;
    let tunnel = rng.below(world.tunnels.len() as u64) as usize;
    let (ipv6, half) = (rng.percent(25), rng.percent(50));
    let seed = rng.next();
    let request = Request { id, order: Order::Both, down: len, up: 0, seed, rate };
    let base = Plan {
        kind: "download",
        tunnel,
        request,
        reading: Reading::Fast,
        waits: half,
        resets: None,
        stalls: false,
        by_operator: false,
        ipv6,
    };
    let short = Request { down: 1 + rng.below(512), ..request };
    let up = rng.size(64, (rate * longest / 2).min(16 * MIB));
    match rng.below(100) {
        0..15 => base,
        15..28 => {
            let request = Request { order: Order::VisitorFirst, up, ..short };
            Plan { kind: "upload", request, waits: false, ..base }
        }
        28..42 => {
            let request = Request { order: Order::Echo, up: len, ..request };
            Plan { kind: "echo", request, waits: false, ..base }
        }
        42..50 => Plan { kind: "both ways", request: Request { up, ..request }, waits: false, ..base },
        50..58 => {
            let request = Request { order: Order::VisitorFirst, up: short.down, ..request };
            Plan { kind: "request, end, answer", request, waits: false, ..base }
        }
        58..66 => {
            let request = Request { order: Order::ServiceFirst, up: up / 4 + 1, ..request };
            Plan { kind: "service speaks and ends first", request, waits: true, ..base }
        }
        66..72 => {
            let slow = (len / longest / 2 + 1).min(rate / 2).max(STEP / world.stall.as_secs().max(1));
            Plan {
                kind: "slow reader",
                request: Request { rate: rate * 4, ..request },
                reading: Reading::Slow(slow.max(len / longest + 1)),
                ..base
            }
        }
        72..77 => {
            let pause = Duration::from_millis(500 + rng.below(world.stall.as_millis() as u64 / 2));
            Plan {
                kind: "pausing reader",
                request: Request { down: len + 4 * MIB, rate: 16 * MIB, ..request },
                reading: Reading::Pausing(pause),
                ..base
            }
        }
        77..78 => Plan {
            kind: "reader that stops for ever (cut)",
            request: Request { down: 40 * MIB, rate: 32 * MIB, ..request },
            reading: Reading::Pausing(world.stall + Duration::from_secs(6)),
            stalls: true,
            ..base
        },
        78..86 => {
            let request = Request { down: 16 * MIB, up: if half { 16 * MIB } else { 0 }, ..request };
            Plan { kind: "visitor resets", request, resets: Some(Duration::from_millis(5 + rng.below(1500))), ..base }
        }
        86..91 => {
            let order = if half { Order::Echo } else { Order::VisitorFirst };
            let len = len.min(4 * MIB);
            let request = Request { order, up: len, down: len, ..request };
            Plan { kind: "by an operator's ssh -W", request, waits: false, by_operator: true, ..base }
        }
        _ => {
            let request = Request { order: Order::Echo, up: short.down, ..short };
            Plan { kind: "short", request, waits: false, ..base }
        }
    }
}

/// A short one, to see whether a tunnel is well.
pub async fn probe(world: &World, tunnel: usize) -> bool {
    let id = world.visits.fetch_add(1, Ordering::Relaxed) + 1;
    let request = Request { id, order: Order::Echo, down: 64, up: 64, seed: id, rate: MIB };
    let plan = Plan {
        kind: "probe",
        tunnel,
        request,
        reading: Reading::Fast,
        waits: false,
        resets: None,
        stalls: false,
        by_operator: false,
        ipv6: false,
    };
    matches!(tokio::time::timeout(Duration::from_secs(15), by_network(world, &plan)).await, Ok(Ok(_)))
}

impl Plan {
    /// Whether it is one of those that come in numbers.
    pub fn is_short(&self) -> bool {
        self.kind == "short"
    }
    /// The same again, through the same tunnel.
    pub fn again(&self, world: &World) -> Self {
        let id = world.visits.fetch_add(1, Ordering::Relaxed) + 1;
        Self { request: Request { id, seed: self.request.seed.wrapping_add(id), ..self.request }, ..*self }
    }
    fn limit(&self, world: &World) -> Duration {
        // Both directions may take their turn, and a busy machine its time.
        world.longest * 3 + world.stall * 2 + PATIENCE
    }
}

/// Makes the visit, and tells what came of it.
pub async fn make(world: &World, plan: &Plan) {
    let tally = &world.tally;
    let ticket = world.ticket(plan.tunnel);
    let expected = world.desk.expect(plan.request.id);
    let visit = async { if plan.by_operator { by_operator(world, plan).await } else { by_network(world, plan).await } };
    let result = tokio::time::timeout(plan.limit(world), visit).await.unwrap_or(Err(Trouble::Hung));
    let result = match result {
        Ok(true) if plan.request.up > 0 && plan.request.order != Order::Echo => {
            let seen = tokio::time::timeout(Duration::from_secs(20), expected).await.ok().and_then(Result::ok);
            match seen {
                Some(Seen { bytes, orderly: true }) if bytes == plan.request.up => Ok(true),
                other => Err(Trouble::Unseen(other)),
            }
        }
        other => other,
    };
    world.desk.forget(plan.request.id);
    judge(world, plan, &ticket, result);
    tally.add("visits", plan.kind, 1);
}

fn judge(world: &World, plan: &Plan, ticket: &Ticket<'_>, result: Result<bool, Trouble>) {
    let tally = &world.tally;
    let r = &plan.request;
    let say = |what: &str| {
        let t = &world.tunnels[plan.tunnel];
        let host = &world.hosts[t.host].name;
        let (kind, port) = (plan.kind, t.port);
        tally.error(&format!(
            "{what}: visit {:#x} ({kind}, {:?}, {} down, {} up) through {port} of {host}",
            r.id, r.order, r.down, r.up
        ));
    };
    match result {
        Ok(_) if plan.stalls && !ticket.excused() => say("a visitor that stopped reading was not cut"),
        Ok(true) => tally.add("transfers", "whole, each byte right", 1),
        Ok(false) => tally.add("transfers", "reset by the visitor", 1),
        Err(Trouble::Wrong(at)) => say(&format!("a wrong byte at {at}")),
        Err(Trouble::Extra) => say("more bytes than were sent"),
        Err(Trouble::Hung) => say("neither finished nor cut"),
        // A channel has no reset, so that `ssh -W` cannot tell either.
        Err(Trouble::Short(_)) if ticket.excused_short() || (plan.by_operator && ticket.excused()) => {
            tally.add("transfers", "ended early by a fault that leaves nobody to reset", 1);
        }
        Err(Trouble::Short(got)) => say(&format!("an orderly end after {got} bytes")),
        Err(Trouble::Broken(_)) if plan.stalls => tally.add("transfers", "cut because the visitor stopped reading", 1),
        Err(Trouble::Broken(_) | Trouble::Unseen(_)) if ticket.excused() => {
            tally.add("transfers", "broken by a fault", 1);
        }
        Err(Trouble::Broken(e)) => say(&format!("broken without a fault ({e})")),
        Err(Trouble::Unseen(seen)) => say(&format!("whole for the visitor, not for the service ({seen:?})")),
    }
}

/// Yes when it went to its end, no when the visitor reset it as planned.
async fn by_network(world: &World, plan: &Plan) -> Result<bool, Trouble> {
    let port = world.tunnels[plan.tunnel].port;
    let ip = if plan.ipv6 { IpAddr::from(Ipv6Addr::LOCALHOST) } else { Ipv4Addr::LOCALHOST.into() };
    let mut conn = TcpStream::connect((ip, port)).await.map_err(Trouble::Broken)?;
    let _ = conn.set_nodelay(true);
    let (mut read, write) = conn.split();
    let work = carry(world, &mut read, write, plan);
    match plan.resets {
        None => work.await.map(|()| true),
        Some(time) => match tokio::time::timeout(time, work).await {
            Ok(done) => done.map(|()| true),
            Err(_) => {
                let _ = SockRef::from(&conn).set_linger(Some(Duration::ZERO));
                Ok(false)
            }
        },
    }
}

async fn by_operator(world: &World, plan: &Plan) -> Result<bool, Trouble> {
    let mut command = super::hosts::ssh(world, "operator");
    command
        .args(["-W", &format!("localhost:{}", world.tunnels[plan.tunnel].port)])
        .arg(super::hosts::target("operator"));
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = super::process::spawn(&mut command);
    let (mut read, write) = (child.stdout(), child.stdin());
    let result = carry(world, &mut read, write, plan).await;
    drop(read);
    tokio::time::timeout(Duration::from_secs(20), child.wait())
        .await
        .map_err(|_| Trouble::Hung)?
        .map_err(Trouble::Broken)?;
    result.map(|()| true)
}

async fn carry<R, W>(world: &World, read: &mut R, write: W, plan: &Plan) -> Result<(), Trouble>
where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin,
{
    let over = Arc::new(Notify::new());
    let (speaking, reading) = (speak(write, plan, Arc::clone(&over)), listen(world, read, plan, &over));
    tokio::pin!(speaking, reading);
    tokio::select! {
        heard = &mut reading => {
            heard?;
            speaking.await.map_err(Trouble::Broken)
        }
        spoken = &mut speaking => match spoken {
            Ok(()) => reading.await,
            // What can still be read tells more than that it could not be written. But a reset is told only once, here to
            // the writer, and the reader then sees what looks like an end; one after an orderly end would be EPIPE.
            Err(e) => match tokio::time::timeout(Duration::from_secs(2), reading).await {
                Ok(Err(Trouble::Short(_))) if e.kind() == io::ErrorKind::ConnectionReset => Err(Trouble::Broken(e)),
                Ok(Err(trouble)) => Err(trouble),
                _ => Err(Trouble::Broken(e)),
            },
        },
    }
}

async fn speak<W: AsyncWrite + Unpin>(mut to: W, plan: &Plan, over: Arc<Notify>) -> io::Result<()> {
    let r = &plan.request;
    to.write_all(&r.bytes()).await?;
    if plan.waits {
        over.notified().await;
    }
    send(&mut to, !r.seed, r.up, r.rate).await?;
    // Of a socket this is the end; of a pipe the drop that follows is.
    to.shutdown().await
}

async fn listen<R: AsyncRead + Unpin>(world: &World, from: &mut R, plan: &Plan, over: &Notify) -> Result<(), Trouble> {
    let r = &plan.request;
    let (seed, len) = if r.order == Order::Echo { (!r.seed, r.up) } else { (r.seed, r.down) };
    let mut pace = match plan.reading {
        Reading::Slow(rate) => Some(Pace::new(rate)),
        Reading::Fast | Reading::Pausing(_) => None,
    };
    let mut pause = match plan.reading {
        Reading::Pausing(time) => Some(time),
        Reading::Fast | Reading::Slow(_) => None,
    };
    let mut buf = vec![0; pace.as_ref().map_or(32 * 1024, Pace::chunk)];
    let mut got = 0;
    loop {
        let n = from.read(&mut buf).await.map_err(Trouble::Broken)? as u64;
        if n == 0 {
            over.notify_one();
            return if got == len { Ok(()) } else { Err(Trouble::Short(got)) };
        }
        stream::check(seed, got, &buf[..n as usize]).map_err(Trouble::Wrong)?;
        world.tally.add("bytes checked", "by visitors", n);
        got += n;
        if got > len {
            return Err(Trouble::Extra);
        }
        if let Some(pace) = &mut pace {
            pace.take(n).await;
        }
        if got > 64 * KIB
            && let Some(time) = pause.take()
        {
            tokio::time::sleep(time).await;
        }
    }
}
