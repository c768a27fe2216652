//! The owner of one connection: the time it has to sign in, the watch over its signs of life, and its end.

use super::Shared;
use super::client::{Client, SignedIn};
use super::gate::{Offence, Pass};
use super::greeting;
use super::pulse::{self, Pulse};
use super::stream::{Ident, SessionStream};
use crate::audit::{Actor, Context, Event, What};
use crate::model::{FileUse, Obituary, ObituaryCause, clean_line, is_kept};
use crate::tunnels::{Order, Session, Vital};
use russh::Disconnect;
use russh::server::{Handle, RunningSession};
use std::io;
use std::net::SocketAddr;
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::sync::oneshot;

/// How long a client has to take a farewell before its connection is cut.
const FAREWELL: Duration = Duration::from_millis(700);
/// How long a poisoned session may take to notice before its owner gives up on it.
const LAST_BREATH: Duration = Duration::from_secs(1);
/// Slack of the watchdog, so that the answer to the last keepalive can still arrive.
const SLACK: Duration = Duration::from_millis(500);

/// From the handshake to the end. The handshake's state is large and short-lived, so it has a place of its own that is
/// given back: there may be ten thousand of these.
pub(super) async fn own(shared: Arc<Shared>, socket: TcpStream, peer: SocketAddr, pass: Pass) {
    if let Some(signed) = Box::pin(sign_in(&shared, socket, peer, pass)).await {
        hold(shared, signed).await;
    }
}

/// A session that has signed in.
struct Signed {
    running: RunningSession<Box<Client>>,
    vital: Arc<Vital>,
    signed_in: SignedIn,
}

async fn sign_in(shared: &Arc<Shared>, socket: TcpStream, peer: SocketAddr, pass: Pass) -> Option<Signed> {
    pass.turn().await;
    let config = shared.registry.config();
    // Without it every handshake waits for delayed acknowledgements: 44 ms a round trip.
    let _ = socket.set_nodelay(true);
    // What is sent to a dead host blocks the library's loop, keepalive included; the kernel notices.
    let _ = socket2::SockRef::from(&socket).set_tcp_user_timeout(Some(config.ssh.send_timeout));
    let crowded = is_kept(socket.as_raw_fd(), FileUse::Many);
    let vital = Arc::new(Vital::default());
    if let Some(rtt) = super::path::round_trip(&socket) {
        vital.path(rtt);
    }
    let ident = Arc::new(Ident::default());
    let mut stream = SessionStream::new(socket, Arc::clone(&vital), Arc::clone(&ident));
    let (tx, signed_in) = oneshot::channel();
    let client = Client::new(Arc::clone(shared), peer, Arc::clone(&vital), Arc::clone(&ident), crowded, tx);
    let refused = |offence: Offence, why: &str| {
        // Who tried keys is told by that, however it ended.
        let offence = match offence {
            Offence::NoAuth if ident.has_failed() => Offence::Auth,
            other => other,
        };
        // What the bastion itself broke off is nobody's fault.
        let fair = shared.registry.not_stopping().is_ok();
        let fate = if fair { pass.offends(offence) } else { None };
        refused(shared, peer, &ident, why, fate.as_deref());
        None
    };

    let grace = config.ssh.login_grace_time;
    let deadline = tokio::time::Instant::now() + grace;
    let starting = async {
        let offer = greeting::meet(&mut stream, &shared.offers.load_full()).await;
        russh::server::run_stream(offer, stream, client).await
    };
    let mut running = match tokio::time::timeout_at(deadline, starting).await {
        Ok(Ok(running)) => running,
        // A load balancer's or our own check of the port; it said nothing, so there is nothing to hold against it.
        Ok(Err(_)) if vital.bytes_in() == 0 => {
            tracing::debug!(%peer, "connected and left without a word");
            return match pass.offends(Offence::NoAuth) {
                Some(fate) => {
                    self::refused(shared, peer, &ident, "it left without a word", Some(&fate));
                    None
                }
                None => None,
            };
        }
        Ok(Err(e)) => return refused(broken(&e), &format!("no SSH handshake: {e}")),
        Err(_) => return refused(Offence::Grace, &format!("no SSH identification within {} s", grace.as_secs())),
    };

    let signed_in = tokio::select! {
        biased;
        Ok(s) = signed_in => s,
        end = &mut running => {
            return match end {
                Ok(()) => refused(Offence::NoAuth, "it left before signing in"),
                Err(e) => match vital.cause().filter(|c| c.cause == ObituaryCause::ProtocolError) {
                    Some(flood) => refused(Offence::Protocol, &flood.to_string()),
                    None => refused(broken(&e), &format!("the handshake failed: {e}")),
                },
            };
        }
        () = tokio::time::sleep_until(deadline) => {
            vital.poison();
            return refused(Offence::Grace, &format!("nobody signed in within {} s", grace.as_secs()));
        }
    };
    pass.signed_in();
    record_heard(shared, peer, &ident);
    Some(Signed { running, vital, signed_in })
}

async fn hold(shared: Arc<Shared>, signed: Signed) {
    let Signed { mut running, vital, signed_in: SignedIn { session, handle } } = signed;
    let orders = session.orders.reader();
    let mut pulse = Pulse::new(&session);
    let mut farewell: Option<tokio::time::Instant> = None;
    let ended = loop {
        let (every, silence_allowed) = {
            let c = shared.registry.config();
            (c.ssh.keepalive_interval, c.ssh.keepalive_interval * c.ssh.keepalive_count + SLACK)
        };
        let deaf = tokio::time::Instant::now() + silence_allowed.saturating_sub(vital.silence());
        // One timer for all that may be due.
        let alarm = [Some(deaf), pulse.next(&vital, every), farewell].into_iter().flatten().min().unwrap_or(deaf);
        tokio::select! {
            end = &mut running => break Some(end),
            () = pulse.answered() => {}
            order = orders.next() => match order {
                Order::Ping(answer) => {
                    tokio::spawn(probe(handle.clone(), Arc::clone(&vital), answer));
                }
                Order::Goodbye if farewell.is_none() => {
                    farewell = Some(tokio::time::Instant::now() + FAREWELL);
                    let text = vital.cause().map_or_else(String::new, |c| format!("portreeve: {c}"));
                    tokio::spawn(say_goodbye(handle.clone(), text));
                }
                Order::Goodbye => {}
            },
            () = tokio::time::sleep_until(alarm) => {
                let now = tokio::time::Instant::now();
                if vital.silence() >= silence_allowed {
                    vital.ends(Obituary::with(
                        ObituaryCause::KeepaliveTimeout,
                        &format!("nothing heard for {:.0} s", vital.silence().as_secs_f64()),
                    ));
                    vital.poison();
                    break tokio::time::timeout(LAST_BREATH, &mut running).await.ok();
                }
                if farewell.is_some_and(|at| at <= now) {
                    vital.poison();
                    break tokio::time::timeout(LAST_BREATH, &mut running).await.ok();
                }
                if pulse.next(&vital, every).is_some_and(|at| at <= now) {
                    pulse.ask(handle.clone(), Arc::clone(&vital));
                }
            }
        }
    };
    // From now on an end is not asked for but made.
    drop(orders);
    let obituary = vital.cause().unwrap_or_else(|| from_error(ended));
    vital.ends(obituary.clone());
    // Whatever still holds the stream finds it poisoned.
    vital.poison();
    shared.registry.session_ends(&session, &obituary).await;
    log_end(&session, &obituary);
}

fn log_end(session: &Session, obituary: &Obituary) {
    tracing::info!(session = %session.id, name = %session.name, source = %session.source, %obituary, "session ended");
}

async fn say_goodbye(handle: Handle, text: String) {
    // Queues behind data and may never be sent; the owner cuts the connection after a moment all the same.
    let _ = tokio::time::timeout(FAREWELL, handle.disconnect(Disconnect::ByApplication, text, "en".to_owned())).await;
}

/// Asks for a sign of life on somebody's behalf, who is told how long it took.
async fn probe(handle: Handle, vital: Arc<Vital>, answer: oneshot::Sender<Duration>) {
    if let Some(took) = pulse::ask(handle, vital).await {
        let _ = answer.send(took);
    }
}

fn from_error(ended: Option<Result<(), russh::Error>>) -> Obituary {
    match ended {
        None => Obituary::of(ObituaryCause::ProtocolError),
        Some(Ok(()) | Err(russh::Error::Disconnect | russh::Error::HUP)) => {
            Obituary::of(ObituaryCause::ClientDisconnect)
        }
        Some(Err(russh::Error::KeepaliveTimeout | russh::Error::InactivityTimeout)) => {
            Obituary::of(ObituaryCause::KeepaliveTimeout)
        }
        Some(Err(russh::Error::IO(e))) => match e.kind() {
            io::ErrorKind::TimedOut => Obituary::of(ObituaryCause::SendTimeout),
            io::ErrorKind::UnexpectedEof => Obituary::of(ObituaryCause::ClientDisconnect),
            io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionAborted => {
                Obituary::of(ObituaryCause::PeerReset)
            }
            _ => Obituary::with(ObituaryCause::PeerReset, &e.to_string()),
        },
        Some(Err(e)) => Obituary::with(ObituaryCause::ProtocolError, &e.to_string()),
    }
}

/// What it was that a connection ended with before anybody had signed in.
fn broken(e: &russh::Error) -> Offence {
    use russh::Error::{Disconnect, Elapsed, HUP, IO, Join};
    match e {
        // The session's task: it panicked, since nobody cancels it.
        Join(_) => Offence::Crash,
        // It left, or the network did. Being shown out after too many keys is among these.
        IO(_) | Disconnect | HUP | Elapsed(_) => Offence::NoAuth,
        // No algorithm in common is an old client, not an attack.
        russh::Error::NoCommonAlgo { .. } => Offence::NoAuth,
        _ => Offence::Protocol,
    }
}

/// Writes down what the library refused by itself.
fn record_heard(shared: &Shared, peer: SocketAddr, ident: &Ident) {
    for rule in ident.take_heard() {
        let what = What::AuthFailure { method: "publickey".to_owned(), client: ident.software() };
        let context = Context { source: Some(peer), ..Context::default() };
        shared.registry.record_sign_in(peer.ip(), Event::refused(Actor::Unknown, what, rule, context));
    }
}

fn refused(shared: &Shared, peer: SocketAddr, ident: &Ident, why: &str, fate: Option<&str>) {
    record_heard(shared, peer, ident);
    let software = ident.software();
    tracing::debug!(%peer, software, why, "connection ended before sign-in");
    let mut reason = if software.is_empty() { why.to_owned() } else { format!("{why} ({software})") };
    if let Some(fate) = fate {
        tracing::info!(%peer, fate, "penalty");
        reason = format!("{reason}; {fate}");
    }
    let context = Context {
        source: Some(peer),
        fingerprint: ident.unproved(),
        reason: Some(clean_line(&reason)),
        ..Context::default()
    };
    let told = |event| match fate {
        Some(_) => shared.registry.record_penalty(peer.ip(), event),
        None => shared.registry.record_sign_in(peer.ip(), event),
    };
    told(Event::refused(Actor::Unknown, What::ConnectionRefused {}, "not signed in", context));
}
