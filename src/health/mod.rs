//! Health: each live tunnel is checked as a visitor would meet it, on an interval, with rise and fall counts.
//!
//! Three layers can fail, and the verdict says which: the SSH link, the channel (the host's service refused), the
//! service (it took the connection and does not speak).

mod verdict;

use crate::audit::{Actor, Event, What};
use crate::config::{Config, HealthConfig};
use crate::model::{CheckKind, HealthView, LinkLayer, Verdict, clean_line, now};
use crate::tunnels::{CheckFailure, Registry, Tunnel, TunnelOrder};
use std::sync::{Arc, PoisonError};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;
pub use verdict::Judge;

/// A check asked for out of turn (a visitor met a fault) waits at least this long after the one before.
const LEAST_PAUSE: Duration = Duration::from_secs(1);

/// Least time between the first checks of two tunnels. When ten thousand come up together (the bastion was restarted),
/// their checks must not get in the way of those that still sign in, nor come together ever after.
const STAGGER: Duration = Duration::from_millis(4);

/// Checks every tunnel that comes up, until the sender is dropped.
pub async fn watch(registry: Arc<Registry>, mut up: mpsc::UnboundedReceiver<Arc<Tunnel>>) {
    let mut turn = Instant::now();
    while let Some(tunnel) = up.recv().await {
        let (kind, health) = registry.config().check_for(&tunnel.lease.host, tunnel.port());
        show(&registry, &tunnel, kind, &health);
        turn = turn.max(Instant::now());
        // What is not checked needs no turn, and wakes nobody.
        let first = (kind != CheckKind::None).then_some(turn);
        tokio::spawn(watch_tunnel(Arc::clone(&registry), tunnel, first));
        if first.is_some() {
            turn += STAGGER;
        }
    }
}

async fn watch_tunnel(registry: Arc<Registry>, tunnel: Arc<Tunnel>, turn: Option<Instant>) {
    let mut judge = Judge::default();
    // Boxed, as the rounds below: of the tunnels that are not checked there may be thousands, and each would keep room for
    // a check.
    if let Some(turn) = turn {
        let wait = async {
            tokio::select! {
                () = tokio::time::sleep_until(turn) => {}
                () = tunnel.closed() => {}
            }
        };
        Box::pin(wait).await;
    }
    while tunnel.released.heard().is_none() {
        let round = {
            let (kind, health) = registry.config().check_for(&tunnel.lease.host, tunnel.port());
            show(&registry, &tunnel, kind, &health);
            (kind != CheckKind::None).then(|| Box::pin(round(&registry, &tunnel, &mut judge, kind, health)))
        };
        match round {
            Some(round) => round.await,
            // Until the configuration changes.
            None => tokio::select! {
                () = tunnel.recheck.notified() => {}
                () = tunnel.closed() => {}
            },
        }
    }
}

/// One check, and the pause after it.
async fn round(registry: &Registry, tunnel: &Tunnel, judge: &mut Judge, kind: CheckKind, health: HealthConfig) {
    let result = ask(tunnel, kind, health.timeout).await;
    if tunnel.released.heard().is_some() {
        return;
    }
    note(registry, tunnel, judge, &health, &result);
    // The first checks after the start follow quickly, until there is a verdict; then the interval, a little
    // scattered so that a thousand tunnels that came up together are not checked together.
    let pause = if judge.settled() { scatter(health.interval, tunnel.port().get()) } else { first_pause(&health) };
    let checked = Instant::now();
    tokio::select! {
        () = tokio::time::sleep(pause) => {}
        () = async { tunnel.recheck.notified().await; tokio::time::sleep_until(checked + LEAST_PAUSE).await } => {}
        () = tunnel.closed() => {}
    }
}

/// After a reload: checks what is now checked in another way than before, one tunnel after another.
pub async fn reconsider(registry: Arc<Registry>, old: Arc<Config>) {
    for tunnel in registry.tunnels() {
        let check = |c: &Config| c.check_for(&tunnel.lease.host, tunnel.port());
        if check(&old) != check(&registry.config()) {
            tunnel.recheck.notify_one();
            tokio::time::sleep(STAGGER).await;
        }
    }
}

fn first_pause(h: &HealthConfig) -> Duration {
    h.interval.min(LEAST_PAUSE)
}

fn scatter(interval: Duration, port: u16) -> Duration {
    // ±5 %, by port: steady for one tunnel, different for its neighbours.
    interval.mul_f64(0.95 + f64::from(port % 101) / 1000.0)
}

async fn ask(tunnel: &Tunnel, kind: CheckKind, timeout: Duration) -> Result<Duration, CheckFailure> {
    let gone = || CheckFailure { layer: LinkLayer::Link, error: "the tunnel is ending".to_owned() };
    let (done, result) = oneshot::channel();
    tunnel.orders.send(TunnelOrder::Check { kind, timeout, done }).map_err(|_| gone())?;
    // The check keeps the time itself; twice that means that the thread of the session does not get round to it.
    match tokio::time::timeout(timeout * 2 + LEAST_PAUSE, result).await {
        Ok(Ok(r)) => r,
        Ok(Err(_)) => Err(gone()),
        Err(_) => {
            Err(CheckFailure { layer: LinkLayer::Link, error: "the session did not get round to the check".to_owned() })
        }
    }
}

/// Shows how the tunnel is checked, also before the first result.
fn show(registry: &Registry, tunnel: &Tunnel, kind: CheckKind, h: &HealthConfig) {
    {
        let mut view = tunnel.health.lock().unwrap_or_else(PoisonError::into_inner);
        let now = (kind, h.interval.as_secs(), h.rise, h.fall);
        if (view.check, view.interval_s, view.rise, view.fall) == now {
            return;
        }
        (view.check, view.interval_s, view.rise, view.fall) = now;
    }
    registry.tunnel_changed(tunnel.port());
}

fn note(
    registry: &Registry,
    tunnel: &Tunnel,
    judge: &mut Judge,
    h: &HealthConfig,
    result: &Result<Duration, CheckFailure>,
) {
    let before = judge.verdict();
    let after = judge.take(result.is_ok(), h.rise, h.fall);
    let failure = result.as_ref().err().cloned();
    {
        let mut view = tunnel.health.lock().unwrap_or_else(PoisonError::into_inner);
        record(&mut view, result);
        view.verdict = after;
        if before != after {
            view.since = Some(now());
        }
    }
    if before != after {
        let mut context = tunnel.context();
        context.reason = failure.as_ref().map(|f| clean_line(&f.error));
        let what = What::HealthChange { from: before, to: after, layer: failure.map(|f| f.layer) };
        let event = Event::success(Actor::Daemon, what, context);
        let outcome = if after == Verdict::Failing { crate::audit::Outcome::Failure } else { event.outcome };
        registry.journal.record(Event { outcome, ..event });
    }
    registry.tunnel_changed(tunnel.port());
}

fn record(view: &mut HealthView, result: &Result<Duration, CheckFailure>) {
    view.last_at = Some(now());
    if view.history.len() >= 60 {
        view.history.remove(0);
    }
    match result {
        Ok(took) => {
            view.latency_ms = Some(took.as_secs_f64() * 1000.0);
            #[allow(clippy::cast_possible_truncation)]
            view.history.push(Some((took.as_secs_f64() * 1000.0) as f32));
            if view.verdict != Verdict::Failing {
                view.last_error = None;
                view.layer = None;
            }
        }
        Err(f) => {
            view.history.push(None);
            view.last_error = Some(clean_line(&f.error));
            view.layer = Some(f.layer);
        }
    }
}
