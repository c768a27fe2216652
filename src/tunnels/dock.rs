//! The dock of one tunnel: its listener, its visitors, its end. One task, on the thread of the session that carries it.

use super::carrier::{Carrier, FromHost, HostReader, HostWriter, OpenError};
use super::forward::Grant;
use super::live::{Caller, CheckFailure, Tunnel, TunnelOrder, VisitOrder, Visitor};
use super::quay::Quay;
use super::rate::Metered;
use super::registry::Registry;
use super::relay::{Tally, Terms, VisitorStream, leave, relay, settle};
use crate::audit::{Actor, Context, Event, What};
use crate::config::Config;
use crate::model::{CheckKind, FileUse, LinkLayer, Port, VisitorId, is_kept, now};
use bytes::Bytes;
use socket2::{Domain, Protocol, Socket, TcpKeepalive, Type};
use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsRawFd;
use std::sync::atomic::Ordering;
use std::sync::{Arc, OnceLock, PoisonError};
use std::time::{Duration, Instant};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::{AbortHandle, JoinSet};

/// Connections the kernel holds for a tunnel until they are accepted.
const BACKLOG: i32 = 1024;

/// What the kernel may hold unsent for a visitor, bytes. By default it takes megabytes, and tells of room only when a
/// third of it is free: one could not see how fast a visitor reads, and each stalled one would cost that memory.
const UNSENT: u32 = 128 * 1024;

/// An idle visitor whose machine has vanished would hold its place for ever.
const VISITOR_KEEPALIVE: TcpKeepalive =
    TcpKeepalive::new().with_time(Duration::from_secs(60)).with_interval(Duration::from_secs(15)).with_retries(4);

/// Listens on the port, on every address of the grant.
///
/// # Errors
/// A sentence, when an address cannot be had. Of the two loopbacks one is enough: machines without IPv6 exist.
pub fn listen(grant: &Grant, send_timeout: Duration) -> Result<Vec<TcpListener>, String> {
    let port = grant.lease.port;
    let mut out = Vec::new();
    let mut missing = None;
    for ip in &grant.bind {
        match bind_one(*ip, port, send_timeout) {
            Ok(l) => out.push(l),
            Err(e)
                if grant.bind.len() > 1
                    && ip.is_ipv6()
                    && matches!(
                        e.raw_os_error(),
                        Some(nix::libc::EADDRNOTAVAIL | nix::libc::EAFNOSUPPORT | nix::libc::EPROTONOSUPPORT)
                    ) =>
            {
                missing = Some(e);
            }
            Err(e) if e.kind() == io::ErrorKind::AddrInUse => {
                return Err(format!("port {port} is in use on {ip} by another program of the bastion"));
            }
            Err(e) => return Err(format!("cannot listen on {}: {e}", SocketAddr::new(*ip, port.get()))),
        }
    }
    if out.is_empty() {
        let why = missing.map_or_else(String::new, |e| format!(": {e}"));
        return Err(format!("cannot listen on port {port}{why}"));
    }
    Ok(out)
}

fn bind_one(ip: IpAddr, port: Port, send_timeout: Duration) -> io::Result<TcpListener> {
    let address = SocketAddr::new(ip, port.get());
    let socket = Socket::new(Domain::for_address(address), Type::STREAM.nonblocking(), Some(Protocol::TCP))?;
    // Without it a port would stay taken for a minute by connections that linger in TIME_WAIT.
    socket.set_reuse_address(true)?;
    if ip.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    // What is accepted inherits these (tcp(7)), which saves a visit seven calls. They make small answers quick, and dead
    // and slow visitors noticed; none is worth refusing a tunnel for.
    let _ = socket.set_tcp_nodelay(true);
    let _ = socket.set_tcp_user_timeout(Some(send_timeout));
    let _ = socket.set_tcp_keepalive(&VISITOR_KEEPALIVE);
    let _ = socket.set_tcp_notsent_lowat(UNSENT);
    if is_kept(socket.as_raw_fd(), FileUse::Many) {
        return Err(io::Error::other("the open files that are left are kept for operators"));
    }
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}

/// Runs the tunnel until it is told to stop: accepts visitors, carries them, checks the service.
pub async fn run<C: Carrier>(registry: Arc<Registry>, tunnel: Arc<Tunnel>, listeners: Vec<TcpListener>, carrier: C) {
    let orders = tunnel.orders.reader();
    let mut quay = Quay::new(listeners, tunnel.port());
    let mut visits: JoinSet<VisitorId> = JoinSet::new();
    let mut handles: HashMap<VisitorId, AbortHandle> = HashMap::new();
    let obituary = loop {
        tokio::select! {
            biased;
            cause = tunnel.stop.wait() => break cause.clone(),
            Some(done) = visits.join_next(), if !visits.is_empty() => {
                if let Ok(id) = done {
                    handles.remove(&id);
                }
            }
            order = orders.next() => match order {
                TunnelOrder::Visit(order) => {
                    let VisitOrder { stream, caller, opened } = *order;
                    let visit = Visit::new(&registry, &tunnel, caller);
                    let id = visit.visitor.id;
                    handles.insert(id, visits.spawn(visit.run(stream, carrier.clone(), Some(opened))));
                }
                TunnelOrder::Check { kind, timeout, done } => {
                    let carrier = carrier.clone();
                    tokio::spawn(async move {
                        // Nobody waits any more: the tunnel ended meanwhile.
                        let _ = done.send(check(&carrier, kind, timeout).await);
                    });
                }
                TunnelOrder::Cut(id) => {
                    if let Some(h) = handles.remove(&id) {
                        h.abort();
                    }
                }
            },
            (stream, source) = quay.accept() => {
                let caller = Caller { source, operator: None };
                if let Some(visit) = Visit::admit(&registry, &tunnel, &caller, &stream) {
                    let id = visit.visitor.id;
                    let task = match tunnel.rates(&registry.config()) {
                        None => visits.spawn(visit.run(stream, carrier.clone(), None)),
                        Some(rates) => {
                            visits.spawn(visit.run(Metered { inner: stream, rates }, carrier.clone(), None))
                        }
                    };
                    handles.insert(id, task);
                }
            }
        }
    };
    // First the port, then the visitors; what is aborted writes its own end into the journal as it is dropped.
    drop((quay, orders));
    visits.shutdown().await;
    registry.tunnel_ends(&tunnel, &obituary);
}

/// One visit. Its end is counted and written wherever it comes from: the drop does it.
struct Visit {
    registry: Arc<Registry>,
    tunnel: Arc<Tunnel>,
    visitor: Arc<Visitor>,
    began: Instant,
    open: bool,
    /// That it could not be opened is written.
    failed: bool,
    /// Why it ended; none when it ended in order.
    reason: Option<String>,
}

impl Visit {
    /// Lets a visitor from the network in, or turns it away with a reset and a line in the journal.
    fn admit(registry: &Arc<Registry>, tunnel: &Arc<Tunnel>, caller: &Caller, stream: &TcpStream) -> Option<Self> {
        let config = registry.config();
        let no = match registry.not_stopping() {
            Ok(()) => admissible(registry, &config, tunnel, caller.source.ip(), stream),
            Err(rule) => Err(("stopping", rule)),
        };
        let admitted = no.and_then(|()| {
            let ip = caller.source.ip();
            let visit = Self::new(registry, tunnel, caller.clone());
            // A grant that let it in may have ended meanwhile: whoever cuts what stood on it saw this visitor only from
            // here on.
            match welcome(registry, &registry.config(), tunnel, ip) {
                Ok(()) => Ok(visit),
                Err(rule) => Err(("network", rule)),
            }
        });
        match admitted {
            Ok(visit) => Some(visit),
            Err((word, rule)) => {
                stream.abort();
                tunnel.visitors_refused.fetch_add(1, Ordering::Relaxed);
                let context = Context { source: Some(caller.source), ..tunnel.context() };
                let event = Event::refused(Actor::Visitor, What::VisitorRefused {}, &rule, context);
                registry.record_visitor(tunnel, word, event);
                registry.touch();
                None
            }
        }
    }

    fn new(registry: &Arc<Registry>, tunnel: &Arc<Tunnel>, caller: Caller) -> Self {
        let visitor = Arc::new(Visitor {
            id: VisitorId::new(),
            caller,
            since: now(),
            tally: Tally::default(),
            why: OnceLock::new(),
        });
        tunnel.visitors.lock().unwrap_or_else(PoisonError::into_inner).insert(visitor.id, Arc::clone(&visitor));
        tunnel.visitors_total.fetch_add(1, Ordering::Relaxed);
        registry.visitor_comes(&tunnel.lease.team);
        registry.touch();
        Self {
            registry: Arc::clone(registry),
            tunnel: Arc::clone(tunnel),
            visitor,
            began: Instant::now(),
            open: false,
            failed: false,
            reason: None,
        }
    }

    fn actor(&self) -> Actor {
        match &self.visitor.caller.operator {
            Some((name, ..)) => Actor::Operator(name.clone()),
            None => Actor::Visitor,
        }
    }

    /// The tunnel's host and port, but the visitor's own address, and the operator's key and session.
    fn context(&self) -> Context {
        let mut c = Context {
            source: Some(self.visitor.caller.source),
            visitor: Some(self.visitor.id),
            reason: self.reason.clone(),
            fingerprint: None,
            user: None,
            ..self.tunnel.context()
        };
        if let Some((_, session, fingerprint)) = &self.visitor.caller.operator {
            c.session = Some(*session);
            c.fingerprint = Some(fingerprint.clone());
        }
        c
    }

    /// From now on the session waits for this visitor. Told once, however often it does.
    fn slows(&self, waiting: u64) {
        let (visitor, session, host) = (self.visitor.id, self.tunnel.session.id, &self.tunnel.lease.host);
        tracing::warn!(%visitor, port = %self.tunnel.port(), %session, %host, waiting, "a visitor slows its session");
        let reason = format!(
            "{waiting} bytes wait for the visitor, the most that may be kept (relay.visitor_spill, total_spill); the \
             session of host {host} is slowed to the visitor's pace"
        );
        let context = Context { reason: Some(reason), ..self.context() };
        self.registry.journal.record(Event::success(self.actor(), What::VisitorSlows { waiting }, context));
        self.registry.touch();
    }

    async fn run<C: Carrier, V: VisitorStream>(
        mut self,
        stream: V,
        carrier: C,
        opened: Option<oneshot::Sender<Result<VisitorId, String>>>,
    ) -> VisitorId {
        let id = self.visitor.id;
        let limits = self.registry.limits();
        // Until the end is known to be orderly, dropping the connection (a revoke aborts this task) resets it.
        let mut stream = Unclean { stream, clean: false };
        let (mut reader, writer) = match open(&carrier, self.visitor.caller.source, limits.config.open_timeout).await {
            Ok(halves) => halves,
            Err(e) => {
                self.tunnel.visitors_refused.fetch_add(1, Ordering::Relaxed);
                if matches!(e, OpenError::Refused(_)) {
                    self.tunnel.refused(&e.to_string());
                    self.registry.tunnel_changed(self.tunnel.port());
                }
                self.tunnel.recheck.notify_one();
                if let Some(tx) = opened {
                    let _ = tx.send(Err(e.to_string()));
                }
                let failed = Event::failure(self.actor(), What::VisitorRefused {}, &e.to_string(), self.context());
                self.registry.record_visitor(&self.tunnel, "failed", failed);
                self.failed = true;
                return id;
            }
        };
        self.open = true;
        self.registry.journal.record(Event::success(self.actor(), What::VisitorOpen {}, self.context()));
        if let Some(tx) = opened {
            let _ = tx.send(Ok(id));
        }
        let tallies = [&self.visitor.tally, &self.tunnel.tally];
        self.reason = Some("cut".to_owned());
        let stall = self.registry.config().stall_timeout(&self.tunnel.lease.team);
        let slows = |waiting| self.slows(waiting);
        let terms = Terms { limits: &limits, stall, vital: &self.tunnel.session.vital, slows: &slows };
        let end = relay(&mut stream.stream, &mut reader, &writer, tallies, &terms).await;
        self.reason = end.sentence();
        stream.clean = self.reason.is_none();
        drop(stream);
        drop(self);
        // Apart, so that the visit is over for everyone while the host takes its time to close its side.
        tokio::spawn(settle(reader, writer, end));
        id
    }
}

impl Drop for Visit {
    fn drop(&mut self) {
        self.tunnel.visitors.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.visitor.id);
        self.registry.visitor_goes(&self.tunnel.lease.team);
        if self.open {
            if self.reason.is_some() {
                self.tunnel.note_cut();
            }
            if self.reason.as_deref() == Some("cut") {
                // With its tunnel, or alone.
                match self.tunnel.stop.heard() {
                    Some(obituary) => self.reason = Some(format!("cut with its tunnel: {obituary}")),
                    None => {
                        self.tunnel.visitors_refused.fetch_add(1, Ordering::Relaxed);
                        if let Some(why) = self.visitor.why.get() {
                            self.reason = Some(format!("cut: {why}"));
                        }
                    }
                }
            }
            let what = What::VisitorClose {
                seconds: self.began.elapsed().as_secs_f64(),
                bytes_to_host: self.visitor.tally.to_host.load(Ordering::Relaxed),
                bytes_to_visitor: self.visitor.tally.to_visitor.load(Ordering::Relaxed),
            };
            self.registry.journal.record(Event::success(self.actor(), what, self.context()));
        } else if !self.failed {
            self.tunnel.visitors_refused.fetch_add(1, Ordering::Relaxed);
            let why = match (self.tunnel.stop.heard(), self.visitor.why.get()) {
                (Some(obituary), _) => format!("cut with its tunnel before the host had answered: {obituary}"),
                (None, Some(why)) => format!("cut before the host had answered: {why}"),
                (None, None) => "cut before the host had answered".to_owned(),
            };
            let event = Event::failure(self.actor(), What::VisitorRefused {}, &why, self.context());
            self.registry.record_visitor(&self.tunnel, "failed", event);
        }
        self.registry.touch();
    }
}

/// A connection that is reset when it is dropped, unless its end was orderly.
struct Unclean<V: VisitorStream> {
    stream: V,
    clean: bool,
}

impl<V: VisitorStream> Drop for Unclean<V> {
    fn drop(&mut self) {
        if !self.clean {
            self.stream.abort();
        }
    }
}

/// Whether this address may visit. Loopback always may: `ssh -J`-less use on the bastion itself is what a loopback bind
/// is for. Others only where the team's policy is `gateway` and its list or a grant holds them. Else a word for the rule, and
/// the rule.
fn admissible(
    registry: &Registry,
    config: &Config,
    tunnel: &Tunnel,
    ip: IpAddr,
    stream: &TcpStream,
) -> Result<(), (&'static str, String)> {
    // First what costs those who are welcome nothing: strangers must not use up their rate.
    welcome(registry, config, tunnel, ip).map_err(|rule| ("network", rule))?;
    if is_kept(stream.as_raw_fd(), FileUse::Many) {
        return Err(("files", "the open files that are left are kept for operators".to_owned()));
    }
    let (port, team) = (tunnel.port(), &tunnel.lease.team);
    let limits = config.limits_of(team);
    let max = limits.max_visitors;
    if tunnel.visitors_now() >= max {
        let whose =
            if max == config.relay.max_visitors { "relay.max_visitors" } else { "the team's limits.max_visitors" };
        return Err(("max_visitors", format!("port {port} has {max} visitors already ({whose})")));
    }
    if let Some(max) = limits.team_visitors
        && registry.team_visitors(team) >= max
    {
        return Err(("team_visitors", format!("team {team} has {max} visitors already (limits.team_visitors)")));
    }
    if let Some(rate) = limits.visitors_per_second
        && tunnel.intake.take(f64::from(rate), f64::from(rate) * 2.0, 1.0, 1.0, Instant::now()).is_err()
    {
        let rule = format!("port {port} has more than {rate} new visitors a second (limits.visitors_per_second)");
        return Err(("visitors_per_second", rule));
    }
    Ok(())
}

/// Whether the team's policy, or a grant, lets this address in.
pub(super) fn welcome(registry: &Registry, config: &Config, tunnel: &Tunnel, ip: IpAddr) -> Result<(), String> {
    let ip = ip.to_canonical();
    if ip.is_loopback() {
        return Ok(());
    }
    let team = &tunnel.lease.team;
    let allowed = config.teams.get(team).is_some_and(|t| t.visitors.iter().any(|net| net.contains(&ip)));
    if allowed || registry.lets_in(tunnel, ip).is_some() {
        Ok(())
    } else {
        Err(format!("{ip} is not in team {team}'s `visitors`"))
    }
}

async fn open<C: Carrier>(
    carrier: &C,
    source: SocketAddr,
    timeout: Duration,
) -> Result<(C::Reader, C::Writer), OpenError> {
    match tokio::time::timeout(timeout, carrier.open(source)).await {
        Ok(result) => result,
        Err(_) => Err(OpenError::TimedOut(timeout.as_secs())),
    }
}

/// Meets the service as a visitor would: a stream through the host, and, for services that greet, the greeting.
async fn check<C: Carrier>(carrier: &C, kind: CheckKind, timeout: Duration) -> Result<Duration, CheckFailure> {
    let began = Instant::now();
    let fail = |layer, error: String| CheckFailure { layer, error };
    let source = SocketAddr::from(([127, 0, 0, 1], 0));
    let (mut reader, writer) = open(carrier, source, timeout).await.map_err(|e| match e {
        OpenError::Refused(_) | OpenError::Prohibited(_) => fail(LinkLayer::Channel, e.to_string()),
        OpenError::TimedOut(_) | OpenError::Gone => fail(LinkLayer::Link, e.to_string()),
    })?;
    let left = timeout.saturating_sub(began.elapsed());
    let greeting = match tokio::time::timeout(left, greet(kind, &mut reader, &writer)).await {
        Ok(result) => result,
        Err(_) => Err(format!("the service took the connection and said nothing for {:.0} s", timeout.as_secs_f64())),
    };
    let took = began.elapsed();
    tokio::spawn(leave(reader, writer));
    greeting.map(|()| took).map_err(|error| fail(LinkLayer::Service, error))
}

async fn greet<R: HostReader, W: HostWriter>(kind: CheckKind, reader: &mut R, writer: &W) -> Result<(), String> {
    let (wants, least, question): (&str, usize, &[u8]) = match kind {
        CheckKind::Tcp | CheckKind::None => return Ok(()),
        CheckKind::Ssh => ("SSH-", 4, b""),
        CheckKind::Http => ("HTTP/", 12, b"HEAD / HTTP/1.0\r\nUser-Agent: portreeve-check\r\n\r\n"),
    };
    // A service may send without having been asked, and its session may wait for that to be read.
    let ask = async {
        if !question.is_empty() {
            writer.write(Bytes::from_static(question)).await.map_err(|e| e.to_string())?;
        }
        std::future::pending().await
    };
    let got = tokio::select! {
        biased;
        heard = hear(reader, least) => heard,
        failed = ask => failed,
    }?;
    let text = String::from_utf8_lossy(&got);
    let said = crate::model::clean(text.lines().next().unwrap_or_default(), 40);
    if !text.starts_with(wants) {
        return Err(format!("the service does not speak {kind}: it said {said:?}"));
    }
    if kind == CheckKind::Http {
        let status = text.split(' ').nth(1).and_then(|s| s.get(..3)).and_then(|s| s.parse::<u16>().ok());
        return match status {
            Some(s) if s < 500 => Ok(()),
            _ => Err(format!("the service answered {said:?}")),
        };
    }
    Ok(())
}

/// At least so many bytes, or what there was before the end.
async fn hear<R: HostReader>(reader: &mut R, least: usize) -> Result<Vec<u8>, String> {
    let mut got = Vec::new();
    while got.len() < least {
        match reader.next().await {
            FromHost::Data(d) => got.extend_from_slice(&d),
            FromHost::Eof | FromHost::Closed | FromHost::Gone if got.is_empty() => {
                return Err("the service took the connection and closed it without a word".to_owned());
            }
            FromHost::Eof | FromHost::Closed | FromHost::Gone => break,
        }
    }
    Ok(got)
}
