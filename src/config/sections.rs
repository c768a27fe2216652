//! The sections of settings: everything but teams, hosts and operators. Each key's default stands here, once.

use super::cipher::{Cipher, cipher};
use super::keys;
use super::problem::{Report, Span};
use super::reader::{Item, Table};
use super::schema::{ControlConfig, HealthConfig, LogConfig, Reach, RelayConfig, SshConfig};
use super::sources;
use super::values;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Longest path of a Unix socket: `sun_path` of unix(7) has 108 bytes, one of them the final zero.
const SOCKET_PATH_MAX: usize = 107;

/// The shortest time without a key after which something happens.
const IDLE_MIN: Duration = Duration::from_secs(5);

const fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

/// Name, address and state folder.
pub(super) fn bastion<'a>(
    report: &'a Report<'a>,
    item: Option<&Item<'a>>,
    base: &Path,
) -> (String, Option<Reach>, PathBuf) {
    let table = Table::new(report, "bastion", place(item), item, &keys::BASTION);
    let given = table.item("name").and_then(|i| {
        let name = i.text("write the name in quotes")?;
        if name.trim().is_empty() || crate::model::clean(name, 64) != name {
            report.add(
                &i.at,
                format!("`{}` must be 1 to 64 characters that can be seen", i.label),
                "write a short name, or leave it out for the machine's host name",
            );
            return None;
        }
        Some(name.to_owned())
    });
    let name = given.unwrap_or_else(|| {
        let host = nix::unistd::gethostname().ok().and_then(|n| n.into_string().ok()).unwrap_or_default();
        let host = crate::model::clean(&host, 64);
        if host.is_empty() { "bastion".to_owned() } else { host }
    });
    let address = table.item("address").and_then(|i| i.parsed("write the name or address in quotes", values::reach));
    (name, address, table.path("state", base).unwrap_or_else(|| base.join("state")))
}

pub(super) fn place(item: Option<&Item<'_>>) -> Span {
    item.map_or(0..0, |i| i.at.clone())
}

/// `[ssh]`.
pub(super) fn ssh<'a>(report: &'a Report<'a>, item: Option<&Item<'a>>, base: &Path) -> SshConfig {
    let t = Table::new(report, "ssh", place(item), item, &keys::SSH);
    let host_keys = t.paths("host_keys", base);
    if let (Some(keys), Some(i)) = (&host_keys, t.item("host_keys")) {
        if i.list().is_empty() {
            report.add(&i.at, "`ssh.host_keys` is empty", "name at least one file; it is made at the first start");
        }
        if let Some((n, twice)) = keys.iter().enumerate().find(|(n, k)| keys.iter().take(*n).any(|other| other == *k)) {
            let at = i.list().get(n).map_or_else(|| i.at.clone(), |i| i.at.clone());
            report.add(&at, format!("`ssh.host_keys` names {} twice", twice.display()), "keep one of them");
        }
    }
    let keepalive_interval = t.duration("keepalive_interval", seconds(15));
    if keepalive_interval < seconds(1)
        && let Some(i) = t.item("keepalive_interval")
    {
        report.add(
            &i.at,
            format!("`{}` is below a second: an ordinary delay of the network would end sessions", i.label),
            "write \"1s\" or more; \"15s\" suits most networks",
        );
    }
    let (max_startups, max_startups_known) = sources::startups(report, &t);
    SshConfig {
        listen: listen(report, &t),
        host_keys: host_keys.unwrap_or_else(|| vec![base.join("ssh_host_ed25519_key"), base.join("ssh_host_rsa_key")]),
        host_certificates: t.paths("host_certificates", base).unwrap_or_default(),
        ciphers: ciphers(report, &t),
        keepalive_interval,
        keepalive_count: t.count("keepalive_count", 100, 3),
        send_timeout: t.duration("send_timeout", seconds(30)),
        login_grace_time: t.duration("login_grace_time", seconds(30)),
        max_startups,
        max_startups_known,
        max_auth_attempts: t.count("max_auth_attempts", 100, 6) as usize,
        takeover_probe: t.duration("takeover_probe", seconds(3)),
        reconnect_wait: t.duration("reconnect_wait", seconds(60)),
        drain: t.duration("drain", seconds(5)),
    }
}

fn ciphers<'a>(report: &'a Report<'a>, ssh: &Table<'a>) -> Option<Vec<Cipher>> {
    let item = ssh.item("ciphers")?;
    let items = item.list();
    if items.is_empty() {
        report.add(&item.at, "`ssh.ciphers` is empty: nobody could connect", "name one, or leave the key out");
    }
    Some(items.iter().filter_map(|i| i.parsed("write the cipher's name in quotes", cipher)).collect())
}

fn listen<'a>(report: &'a Report<'a>, ssh: &Table<'a>) -> Vec<SocketAddr> {
    let Some(item) = ssh.item("listen") else {
        return vec![(Ipv4Addr::LOCALHOST, 2222).into()];
    };
    let items = item.list();
    if items.is_empty() {
        report.add(
            &item.at,
            "`ssh.listen` is empty: no host could sign in",
            "write an address and a port, such as \"0.0.0.0:2222\"",
        );
    }
    let mut addresses: Vec<SocketAddr> = Vec::new();
    for i in items {
        let Some(address) = i.parsed("write an address and a port, such as \"127.0.0.1:2222\"", values::listen) else {
            continue;
        };
        if addresses.contains(&address) && address.port() != 0 {
            report.add(&i.at, format!("`ssh.listen` has {address} twice"), "keep one of them");
        } else {
            addresses.push(address);
        }
    }
    addresses
}

/// `[control]`.
pub(super) fn control<'a>(report: &'a Report<'a>, item: Option<&Item<'a>>, base: &Path, state: &Path) -> ControlConfig {
    let t = Table::new(report, "control", place(item), item, &keys::CONTROL);
    let socket = t.path("socket", base).unwrap_or_else(|| state.join("control.sock"));
    let length = socket.as_os_str().len();
    if length > SOCKET_PATH_MAX {
        let at = t.item("socket").map_or_else(|| place(item), |i| i.at);
        report.add(
            &at,
            format!(
                "the control socket's path has {length} bytes, Unix sockets have at most {SOCKET_PATH_MAX}: {}",
                socket.display()
            ),
            "set `socket` in [control] to a shorter path, such as \"/run/portreeve/control.sock\"",
        );
    }
    let group = t.item("group").and_then(|i| {
        let name = i.text("write the group's name in quotes")?;
        if name.is_empty() {
            report.add(&i.at, "`control.group` is empty", "write a group's name, or leave the key out");
            return None;
        }
        Some(name.to_owned())
    });
    ControlConfig {
        socket,
        group,
        idle_lock: idle(&t, "idle_lock"),
        idle_logout: idle(&t, "idle_logout"),
        confirm_within: t.duration("confirm_within", seconds(15 * 60)),
    }
}

/// A time without a key, or `off`.
fn idle(t: &Table<'_>, key: &str) -> Option<Duration> {
    let i = t.item(key)?;
    let time = i.parsed("write a duration, such as \"15m\", or \"off\"", values::duration_or_off)?;
    if time > Duration::ZERO && time < IDLE_MIN {
        i.report.add(
            &i.at,
            format!("`{}` is below {} seconds: it would meet whoever reads", i.label, IDLE_MIN.as_secs()),
            "write \"5s\" or more; \"10m\" suits most",
        );
    }
    (time > Duration::ZERO).then_some(time)
}

/// `[log]`.
pub(super) fn log<'a>(report: &'a Report<'a>, item: Option<&Item<'a>>, base: &Path) -> LogConfig {
    let t = Table::new(report, "log", place(item), item, &keys::LOG);
    let level = t.item("level").and_then(|i| {
        let remedy = "write error, warn, info, debug or trace, or directives such as \"info,portreeve=debug\"";
        let level = i.text(remedy)?;
        let parsed = tracing_subscriber::EnvFilter::builder().parse(level);
        // A word that is not a level reads as the name of a module to the filter, and so silences everything.
        let known = |w: &str| ["off", "error", "warn", "info", "debug", "trace"].contains(&w.to_lowercase().as_str());
        let stray = level.split(',').map(str::trim).find(|d| !d.contains(['=', '[', ':']) && !known(d));
        let why = match (parsed, stray) {
            (Err(e), _) => e.to_string(),
            (Ok(_), Some(word)) => format!("{word:?} is not a level"),
            (Ok(_), None) => return Some(level.to_owned()),
        };
        report.add(&i.at, format!("`log.level` cannot be {level:?}: {why}"), remedy);
        None
    });
    LogConfig { dir: t.path("dir", base), level: level.unwrap_or_else(|| "info".to_owned()) }
}

/// `[relay]`.
pub(super) fn relay<'a>(report: &'a Report<'a>, item: Option<&Item<'a>>) -> RelayConfig {
    let t = Table::new(report, "relay", place(item), item, &keys::RELAY);
    let visitor_memory = t.size("visitor_memory", 256 << 10);
    let visitor_spill = t.size("visitor_spill", 1 << 30);
    let total_spill = t.size("total_spill", 8 << 30);
    if total_spill < visitor_spill
        && let Some(i) = t.item("total_spill").or_else(|| t.item("visitor_spill"))
    {
        report.add(
            &i.at,
            "`relay.total_spill` is less than `relay.visitor_spill`: one visitor could not have its share",
            "raise total_spill or lower visitor_spill",
        );
    }
    RelayConfig {
        visitor_memory: usize::try_from(visitor_memory).unwrap_or(usize::MAX),
        visitor_spill,
        total_spill,
        stall_timeout: t.duration("stall_timeout", seconds(60)),
        open_timeout: t.duration("open_timeout", seconds(10)),
        max_visitors: t.count("max_visitors", 1_000_000, 1024) as usize,
    }
}

/// `[health]`.
pub(super) fn health<'a>(report: &'a Report<'a>, item: Option<&Item<'a>>) -> HealthConfig {
    let t = Table::new(report, "health", place(item), item, &keys::HEALTH);
    let defaults = HealthConfig { interval: seconds(30), timeout: seconds(5), rise: 2, fall: 3 };
    health_keys(&t, &defaults)
}

/// The four keys that `[health]` and a service have in common, over what holds without them.
pub(super) fn health_keys(t: &Table<'_>, defaults: &HealthConfig) -> HealthConfig {
    let health = HealthConfig {
        interval: t.duration("interval", defaults.interval),
        timeout: t.duration("timeout", defaults.timeout),
        rise: t.count("rise", 100, defaults.rise),
        fall: t.count("fall", 100, defaults.fall),
    };
    if health.timeout > health.interval
        && let Some(i) = t.item("timeout").or_else(|| t.item("interval"))
    {
        let (timeout, interval) =
            (humantime::format_duration(health.timeout), humantime::format_duration(health.interval));
        t.report.add(
            &i.at,
            format!("`{}`: a check may take {timeout} but the next one begins after {interval}", t.label),
            "make the timeout at most as long as the interval",
        );
    }
    health
}
