//! The leak check: very many short visitors on one session of a stock client, sixteen at once, and what the daemon
//! holds at each step.

use super::Options;
use super::common::bastion::Bastion;
use super::common::services::Sshd;
use super::daemon::{Figures, figures};
use super::hosts::through;
use super::service::{Desk, Order, Request, Service};
use super::stream;
use super::tally::Tally;
use socket2::SockRef;
use std::net::Ipv4Addr;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::Instant;

/// Visitors at once.
const AT_ONCE: u64 = 16;
/// What may be added after the first tenth of the visitors.
const ALLOWED_KIB: u64 = 4 * 1024;

/// How a short visit ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Kind {
    /// A question, its answer, and the visitor ends first.
    Echo,
    /// A question, its answer, and the visitor resets.
    Reset,
    /// The host's side ends first.
    HostFirst,
    /// The visitor resets amid a download that the service would go on with.
    Abandon,
}

enum Server {
    Ours(Box<Bastion>),
    Theirs { _held: Box<Sshd> },
}

impl Server {
    /// The processes that serve: the daemon, or sshd's child for the session.
    fn figures(&self) -> Figures {
        let pids = match self {
            Self::Ours(b) => vec![b.pid()],
            Self::Theirs { .. } => descendants("sshd"),
        };
        pids.into_iter().filter_map(figures).fold(Figures::default(), |a, b| Figures {
            rss: a.rss + b.rss,
            pss: a.pss + b.pss,
            fds: a.fds + b.fds,
            threads: a.threads + b.threads,
            cpu: a.cpu + b.cpu,
        })
    }
}

/// Our children of this name, and theirs.
fn descendants(name: &str) -> Vec<u32> {
    let mut found = Vec::new();
    let mut look = vec![std::process::id()];
    while let Some(pid) = look.pop() {
        let Ok(tasks) = std::fs::read_dir(format!("/proc/{pid}/task")) else { continue };
        for task in tasks.flatten() {
            let children = std::fs::read_to_string(task.path().join("children")).unwrap_or_default();
            for child in children.split_whitespace().filter_map(|c| c.parse::<u32>().ok()) {
                if std::fs::read_to_string(format!("/proc/{child}/comm")).is_ok_and(|c| c.trim() == name) {
                    found.push(child);
                    look.push(child);
                }
            }
        }
    }
    found
}

/// Runs it; whether nothing grew.
pub async fn run(options: &Options, visitors: u64) -> bool {
    let out = tempfile::tempdir().unwrap();
    let tally = Arc::new(Tally::new(out.path()));
    let block = super::ports::Ports::take();
    let service = Service::new(block.get(0), Arc::new(Desk::default()), Arc::clone(&tally));
    service.up().await;
    let (server, key, user, address, port) = if options.sshd {
        let s = Sshd::start();
        let (key, user, address) = (s.key(), s.user(), s.address);
        (Server::Theirs { _held: Box::new(s) }, key, user, address, block.get(1))
    } else {
        let b = Bastion::builder().team("soak", 4).host("soak", "soak").start();
        let (key, address, port) = (b.key("soak"), b.address(), b.port("soak", 0));
        (Server::Ours(Box::new(b)), key, "soak".to_owned(), address, port)
    };
    let mut client = through("ssh", &key, address.port());
    client.args(["-N", "-T", "-o", "ExitOnForwardFailure=yes", "-R", &format!("{port}:{}", service.address)]);
    client.arg(format!("{user}@{}", address.ip())).stdin(Stdio::null());
    let mut client = super::process::spawn(&mut client);
    let began = Instant::now();
    while visit(port, Kind::Echo, 0).await.is_err() {
        assert!(began.elapsed() < Duration::from_secs(20), "the tunnel is not up");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    tokio::time::sleep(Duration::from_secs(1)).await;

    let start = server.figures();
    println!(
        "{:>10} {:>10} {:>10} {:>8} {:>10} {:>12}",
        "visitors", "RSS KiB", "PSS KiB", "fds", "CPU s", "visitors/s"
    );
    show(0, &start, 0.0);
    let done = Arc::new(AtomicU64::new(0));
    let failed = Arc::new(AtomicU64::new(0));
    let step = (visitors / 10).clamp(1, 10_000);
    let (mut base, mut n, began) = (None, 0, Instant::now());
    while n < visitors {
        let step_began = Instant::now();
        let until = (n + step).min(visitors);
        let mut work = tokio::task::JoinSet::new();
        for worker in 0..AT_ONCE {
            let (kinds, done, failed) = (options.kinds.clone(), Arc::clone(&done), Arc::clone(&failed));
            let (seed, first) = (options.seed, n + worker);
            work.spawn(async move {
                for id in (first..until).step_by(AT_ONCE as usize) {
                    let kind = kinds[(id % kinds.len() as u64) as usize];
                    match tokio::time::timeout(Duration::from_secs(30), visit(port, kind, seed.wrapping_add(id))).await
                    {
                        Ok(Ok(())) => done.fetch_add(1, Ordering::Relaxed),
                        Ok(Err(e)) if failed.fetch_add(1, Ordering::Relaxed) < 10 => {
                            println!("visitor {id} ({kind:?}): {e}");
                            0
                        }
                        Ok(Err(_)) => 0,
                        Err(_) => {
                            println!("visitor {id} ({kind:?}): not done within 30 s");
                            failed.fetch_add(1, Ordering::Relaxed)
                        }
                    };
                }
            });
        }
        while work.join_next().await.is_some() {}
        let rate = (until - n) as f64 / step_began.elapsed().as_secs_f64();
        n = until;
        let now = server.figures();
        show(n, &now, rate);
        base.get_or_insert(now);
    }
    println!("{n} visitors in {:.1} s", began.elapsed().as_secs_f64());

    let mut end = server.figures();
    let until = Instant::now() + Duration::from_secs(20);
    while end.fds != start.fds && Instant::now() < until {
        tokio::time::sleep(Duration::from_millis(100)).await;
        end = server.figures();
    }
    // Streams that the host has not closed are closed by force some seconds later.
    tokio::time::sleep(Duration::from_secs(2)).await;
    end = server.figures();
    show(n, &end, 0.0);
    let base = base.unwrap_or(start);
    let grown = end.rss.saturating_sub(base.rss);
    let each = grown as f64 * 1024.0 / (n.saturating_sub(step)).max(1) as f64;
    println!("after the first {step}: {grown} KiB more, {each:.0} bytes a visitor (allowed: {ALLOWED_KIB} KiB in all)");
    println!("descriptors: {} at the start, {} at the end", start.fds, end.fds);
    let failed = failed.load(Ordering::Relaxed);
    println!("failed visitors: {failed}; errors of services: {}", tally.errors());
    client.kill();
    failed == 0 && tally.errors() == 0 && end.fds == start.fds && grown <= ALLOWED_KIB
}

fn show(n: u64, f: &Figures, rate: f64) {
    println!("{n:>10} {:>10} {:>10} {:>8} {:>10.2} {rate:>12.0}", f.rss, f.pss, f.fds, f.cpu);
}

async fn visit(port: u16, kind: Kind, seed: u64) -> std::io::Result<()> {
    let mut conn = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await?;
    conn.set_nodelay(true)?;
    let (order, down) = match kind {
        Kind::Echo | Kind::Reset => (Order::Echo, 64),
        Kind::HostFirst => (Order::ServiceFirst, 64),
        Kind::Abandon => (Order::Both, u64::MAX),
    };
    let up = if order == Order::Echo { down } else { 0 };
    let request = Request { id: seed, order, down, up, seed, rate: 1 << 20 };
    conn.write_all(&request.bytes()).await?;
    let mut bytes = [0; 64];
    if order == Order::Echo {
        stream::fill(!seed, 0, &mut bytes);
        conn.write_all(&bytes).await?;
    }
    conn.read_exact(&mut bytes).await?;
    let sent_by = if order == Order::Echo { !seed } else { seed };
    stream::check(sent_by, 0, &bytes).map_err(|at| std::io::Error::other(format!("a wrong byte at {at}")))?;
    match kind {
        Kind::Reset | Kind::Abandon => SockRef::from(&conn).set_linger(Some(Duration::ZERO)),
        Kind::Echo => {
            conn.shutdown().await?;
            ended(&mut conn).await
        }
        Kind::HostFirst => {
            ended(&mut conn).await?;
            conn.shutdown().await
        }
    }
}

async fn ended(conn: &mut TcpStream) -> std::io::Result<()> {
    match conn.read(&mut [0; 1]).await? {
        0 => Ok(()),
        _ => Err(std::io::Error::other("a byte too many")),
    }
}
