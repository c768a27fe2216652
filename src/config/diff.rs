//! What a reload changes, so that tunnels it does not touch stay up.

use super::schema::{AuditConfig, Config, ControlConfig, Host, HostKey, Operator, Team};
use crate::model::{BindPolicy, HostName, OperatorName, Port, PortRange, Role, TeamName, Time};
use ipnet::IpNet;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// From one configuration to the next. Where the file was read from, and when, is no difference.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Diff {
    /// Hosts that are new.
    pub hosts_added: Vec<HostName>,
    /// Hosts that are gone: their sessions end.
    pub hosts_removed: Vec<HostName>,
    /// Hosts that are in both and differ.
    pub hosts_changed: Vec<HostChange>,
    /// Teams that are new.
    pub teams_added: Vec<TeamName>,
    /// Teams that are gone.
    pub teams_removed: Vec<TeamName>,
    /// Teams that are in both and differ.
    pub teams_changed: Vec<TeamChange>,
    /// Operators that are new.
    pub operators_added: Vec<OperatorName>,
    /// Operators that are gone: their sessions end.
    pub operators_removed: Vec<OperatorName>,
    /// Operators that are in both and differ.
    pub operators_changed: Vec<OperatorChange>,
    /// Authorities, principals, revocation lists and networks of keys: a sentence each.
    pub trust: Vec<String>,
    /// Rules of actions: a sentence each.
    pub actions: Vec<String>,
    /// Settings that apply at once, to what begins from now on.
    pub settings: Vec<SettingChange>,
    /// Settings that apply at the next start.
    pub restart: Vec<SettingChange>,
}

/// A changed host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostChange {
    /// Which.
    pub host: HostName,
    /// From which team to which, when it moved.
    pub team: Option<(TeamName, TeamName)>,
    /// Fingerprints of keys it no longer has: sessions signed in with them end.
    pub keys_removed: Vec<String>,
    /// Fingerprints of new keys.
    pub keys_added: Vec<String>,
    /// Keys that expire at another time, or not at all, now.
    pub expiries_changed: Vec<(String, Option<Time>)>,
    /// Fixed ports it no longer has, with the service's name.
    pub ports_removed: Vec<(String, Port)>,
    /// New fixed ports.
    pub ports_added: Vec<(String, Port)>,
    /// Fixed ports that stay and are checked, or named, otherwise.
    pub checks_changed: Vec<Port>,
    /// Whether the check of its other ports changed.
    pub check_changed: bool,
}

/// A team whose policy changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TeamChange {
    /// Which.
    pub team: TeamName,
    /// From which bind policy to which.
    pub bind: Option<(BindPolicy, BindPolicy)>,
    /// Networks visitors may no longer come from.
    pub visitors_removed: Vec<IpNet>,
    /// Networks visitors may now come from.
    pub visitors_added: Vec<IpNet>,
    /// Its ranges before and now, when they differ.
    pub ranges: Option<(Vec<PortRange>, Vec<PortRange>)>,
    /// Whether whom to call changed.
    pub contact_changed: bool,
    /// From which stall timeout of its own to which.
    pub stall_timeout: Option<(Option<Duration>, Option<Duration>)>,
    /// Whether its limits changed.
    pub limits_changed: bool,
}

/// A changed operator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OperatorChange {
    /// Which.
    pub operator: OperatorName,
    /// Fingerprints of keys the operator no longer has: sessions signed in with them end.
    pub keys_removed: Vec<String>,
    /// Fingerprints of new keys.
    pub keys_added: Vec<String>,
    /// Keys that expire at another time, or not at all, now.
    pub expiries_changed: Vec<(String, Option<Time>)>,
    /// From which role to which.
    pub role: Option<(Role, Role)>,
    /// Teams before and now.
    pub teams: Option<(Scope, Scope)>,
    /// The account before and now.
    pub unix_user: Option<(Option<String>, Option<String>)>,
}

/// The teams an operator is limited to; none means all.
pub type Scope = Option<Vec<TeamName>>;

/// A changed setting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SettingChange {
    /// Its section and key: `ssh.listen`.
    pub key: &'static str,
    /// Before.
    pub from: String,
    /// Now.
    pub to: String,
}

fn missing_in<'a, T: Ord + 'a>(
    of: impl IntoIterator<Item = &'a T>,
    other: impl IntoIterator<Item = &'a T>,
) -> Vec<&'a T> {
    let other: BTreeSet<&T> = other.into_iter().collect();
    of.into_iter().filter(|x| !other.contains(x)).collect()
}

fn cloned<'a, T: Ord + Clone + 'a>(
    of: impl IntoIterator<Item = &'a T>,
    other: impl IntoIterator<Item = &'a T>,
) -> Vec<T> {
    missing_in(of, other).into_iter().cloned().collect()
}

fn keys_missing_in(of: &[HostKey], other: &[HostKey]) -> Vec<String> {
    cloned(of.iter().map(|k| &k.fingerprint), other.iter().map(|k| &k.fingerprint))
}

/// Keys that both have and that expire at another time now.
fn expiries_changed(of: &[HostKey], other: &[HostKey]) -> Vec<(String, Option<Time>)> {
    let same = |k: &&HostKey| other.iter().any(|o| o.fingerprint == k.fingerprint && o.expires != k.expires);
    of.iter().filter(same).map(|k| (k.fingerprint.clone(), k.expires)).collect()
}

fn tell_expiries(whose: &str, changed: &[(String, Option<Time>)], out: &mut Vec<String>) {
    for (key, at) in changed {
        out.push(match at {
            Some(at) => format!("{whose}: key {key} expires at {}", at.format("%Y-%m-%d %H:%M:%SZ")),
            None => format!("{whose}: key {key} does not expire any more"),
        });
    }
}

fn changed<T: PartialEq + Clone>(a: &T, b: &T) -> Option<(T, T)> {
    (a != b).then(|| (a.clone(), b.clone()))
}

/// The same things in another order are the same.
fn sorted<T: Ord + Clone>(list: &[T]) -> Vec<T> {
    let mut list = list.to_vec();
    list.sort();
    list
}

impl Diff {
    /// What leads from `old` to `new`.
    #[must_use]
    pub fn between(old: &Config, new: &Config) -> Self {
        Self {
            hosts_added: cloned(new.hosts.keys(), old.hosts.keys()),
            hosts_removed: cloned(old.hosts.keys(), new.hosts.keys()),
            hosts_changed: in_both(&old.hosts, &new.hosts, HostChange::between),
            teams_added: cloned(new.teams.keys(), old.teams.keys()),
            teams_removed: cloned(old.teams.keys(), new.teams.keys()),
            teams_changed: in_both(&old.teams, &new.teams, TeamChange::between),
            operators_added: cloned(new.operators.keys(), old.operators.keys()),
            operators_removed: cloned(old.operators.keys(), new.operators.keys()),
            operators_changed: in_both(&old.operators, &new.operators, OperatorChange::between),
            trust: super::diff_trust::changes(old, new),
            actions: super::actions::changes(old, new),
            settings: setting_changes(&settings(old), &settings(new)),
            restart: setting_changes(&restart_settings(old), &restart_settings(new)),
        }
    }

    /// Whether nothing changed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// What changed, a sentence each: for the audit and for the operator who asked.
    #[must_use]
    pub fn sentences(&self) -> Vec<String> {
        let mut out = Vec::new();
        out.extend(self.teams_added.iter().map(|t| format!("team {t} added")));
        out.extend(self.teams_removed.iter().map(|t| format!("team {t} removed")));
        self.teams_changed.iter().for_each(|t| t.tell(&mut out));
        out.extend(self.hosts_added.iter().map(|h| format!("host {h} added")));
        out.extend(self.hosts_removed.iter().map(|h| format!("host {h} removed")));
        self.hosts_changed.iter().for_each(|h| h.tell(&mut out));
        out.extend(self.operators_added.iter().map(|o| format!("operator {o} added")));
        out.extend(self.operators_removed.iter().map(|o| format!("operator {o} removed")));
        self.operators_changed.iter().for_each(|o| o.tell(&mut out));
        out.extend(self.trust.iter().cloned());
        out.extend(self.actions.iter().cloned());
        out.extend(self.settings.iter().map(|s| format!("{}: {} → {}", s.key, s.from, s.to)));
        out.extend(self.needs_restart());
        out
    }

    /// Settings that keep their old value until the next start, a sentence each.
    #[must_use]
    pub fn needs_restart(&self) -> Vec<String> {
        self.restart.iter().map(|s| format!("{}: {} → {}, at the next start", s.key, s.from, s.to)).collect()
    }
}

impl Config {
    /// This configuration with the running one's values for what changes only at a start. The daemon keeps this one after
    /// a reload, so that what it shows of itself stays true and the next reload tells again what waits for a restart.
    #[must_use]
    pub fn with_running(mut self, running: &Self) -> Self {
        self.ssh.listen.clone_from(&running.ssh.listen);
        self.ssh.host_keys.clone_from(&running.ssh.host_keys);
        self.control = ControlConfig {
            socket: running.control.socket.clone(),
            group: running.control.group.clone(),
            ..self.control
        };
        self.audit = AuditConfig { on_failure: self.audit.on_failure, ..running.audit.clone() };
        self.log.clone_from(&running.log);
        self.state_dir.clone_from(&running.state_dir);
        self
    }
}

fn in_both<K: Ord, V, C>(old: &BTreeMap<K, V>, new: &BTreeMap<K, V>, between: fn(&K, &V, &V) -> Option<C>) -> Vec<C> {
    old.iter().filter_map(|(k, a)| between(k, a, new.get(k)?)).collect()
}

impl HostChange {
    fn between(host: &HostName, a: &Host, b: &Host) -> Option<Self> {
        let ports = |h: &Host| -> BTreeSet<Port> { h.services.values().map(|s| s.port).collect() };
        let only = |h: &Host, other: &Host| -> Vec<(String, Port)> {
            let taken = ports(other);
            let own = h.services.iter().filter(|(_, s)| !taken.contains(&s.port));
            own.map(|(name, s)| (name.clone(), s.port)).collect()
        };
        let stays_otherwise = |port: &Port| {
            let of = |h: &Host| h.services.iter().find(|(_, s)| s.port == *port).map(|(n, s)| (n.clone(), s.clone()));
            of(a) != of(b)
        };
        let change = Self {
            host: host.clone(),
            team: changed(&a.team, &b.team),
            keys_removed: keys_missing_in(&a.keys, &b.keys),
            keys_added: keys_missing_in(&b.keys, &a.keys),
            expiries_changed: expiries_changed(&b.keys, &a.keys),
            ports_removed: only(a, b),
            ports_added: only(b, a),
            checks_changed: ports(a).intersection(&ports(b)).copied().filter(stays_otherwise).collect(),
            check_changed: a.check != b.check,
        };
        (change != Self::nothing(host)).then_some(change)
    }

    fn nothing(host: &HostName) -> Self {
        Self {
            host: host.clone(),
            team: None,
            keys_removed: Vec::new(),
            keys_added: Vec::new(),
            expiries_changed: Vec::new(),
            ports_removed: Vec::new(),
            ports_added: Vec::new(),
            checks_changed: Vec::new(),
            check_changed: false,
        }
    }

    fn tell(&self, out: &mut Vec<String>) {
        let host = &self.host;
        out.extend(self.team.iter().map(|(a, b)| format!("host {host} moved from team {a} to team {b}")));
        out.extend(self.keys_removed.iter().map(|k| format!("host {host}: key {k} removed")));
        out.extend(self.keys_added.iter().map(|k| format!("host {host}: key {k} added")));
        tell_expiries(&format!("host {host}"), &self.expiries_changed, out);
        out.extend(self.ports_removed.iter().map(|(s, p)| format!("host {host}: port {p} ({s}) removed")));
        out.extend(self.ports_added.iter().map(|(s, p)| format!("host {host}: port {p} ({s}) added")));
        out.extend(self.checks_changed.iter().map(|p| format!("host {host}: name or check of port {p} changed")));
        if self.check_changed {
            out.push(format!("host {host}: check of its other ports changed"));
        }
    }
}

fn list<T: ToString>(items: &[T]) -> String {
    if items.is_empty() { "none".to_owned() } else { items.iter().map(T::to_string).collect::<Vec<_>>().join(", ") }
}

impl TeamChange {
    fn between(team: &TeamName, a: &Team, b: &Team) -> Option<Self> {
        let change = Self {
            team: team.clone(),
            bind: changed(&a.bind, &b.bind),
            visitors_removed: cloned(&a.visitors, &b.visitors),
            visitors_added: cloned(&b.visitors, &a.visitors),
            ranges: changed(&sorted(&a.ports), &sorted(&b.ports)),
            contact_changed: a.contact != b.contact,
            stall_timeout: changed(&a.stall_timeout, &b.stall_timeout),
            limits_changed: a.limits != b.limits,
        };
        let same = change.bind.is_none()
            && change.visitors_removed.is_empty()
            && change.visitors_added.is_empty()
            && change.ranges.is_none()
            && !change.contact_changed
            && change.stall_timeout.is_none()
            && !change.limits_changed;
        (!same).then_some(change)
    }

    fn tell(&self, out: &mut Vec<String>) {
        let team = &self.team;
        out.extend(self.bind.iter().map(|(a, b)| format!("team {team}: bind {a} → {b}")));
        out.extend(self.visitors_removed.iter().map(|n| format!("team {team}: visitors from {n} no longer let in")));
        out.extend(self.visitors_added.iter().map(|n| format!("team {team}: visitors from {n} let in")));
        out.extend(self.ranges.iter().map(|(a, b)| format!("team {team}: ports {} → {}", list(a), list(b))));
        if self.contact_changed {
            out.push(format!("team {team}: contact changed"));
        }
        if self.limits_changed {
            out.push(format!("team {team}: limits changed"));
        }
        let own = |d: &Option<Duration>| d.map_or_else(|| "as in [relay]".to_owned(), time);
        out.extend(
            self.stall_timeout.iter().map(|(a, b)| format!("team {team}: stall_timeout {} → {}", own(a), own(b))),
        );
    }
}

impl OperatorChange {
    fn between(operator: &OperatorName, a: &Operator, b: &Operator) -> Option<Self> {
        let teams = |o: &Operator| o.teams.as_deref().map(sorted);
        let change = Self {
            operator: operator.clone(),
            keys_removed: keys_missing_in(&a.keys, &b.keys),
            keys_added: keys_missing_in(&b.keys, &a.keys),
            expiries_changed: expiries_changed(&b.keys, &a.keys),
            role: changed(&a.role, &b.role),
            teams: changed(&teams(a), &teams(b)),
            unix_user: changed(&a.unix_user, &b.unix_user),
        };
        let same = change.keys_removed.is_empty()
            && change.keys_added.is_empty()
            && change.expiries_changed.is_empty()
            && change.role.is_none()
            && change.teams.is_none()
            && change.unix_user.is_none();
        (!same).then_some(change)
    }

    fn tell(&self, out: &mut Vec<String>) {
        let operator = &self.operator;
        let teams = |t: &Scope| t.as_deref().map_or_else(|| "all".to_owned(), list);
        let user = |u: &Option<String>| u.clone().unwrap_or_else(|| "none".to_owned());
        out.extend(self.keys_removed.iter().map(|k| format!("operator {operator}: key {k} removed")));
        out.extend(self.keys_added.iter().map(|k| format!("operator {operator}: key {k} added")));
        tell_expiries(&format!("operator {operator}"), &self.expiries_changed, out);
        out.extend(self.role.iter().map(|(a, b)| format!("operator {operator}: role {a} → {b}")));
        out.extend(self.teams.iter().map(|(a, b)| format!("operator {operator}: teams {} → {}", teams(a), teams(b))));
        out.extend(
            self.unix_user.iter().map(|(a, b)| format!("operator {operator}: unix_user {} → {}", user(a), user(b))),
        );
    }
}

type Settings = Vec<(&'static str, String)>;

fn time(d: Duration) -> String {
    humantime::format_duration(d).to_string()
}

pub(super) fn bytes(n: u64) -> String {
    let units = [(40, "TiB"), (30, "GiB"), (20, "MiB"), (10, "KiB")];
    let unit = units.iter().find(|(shift, _)| n > 0 && n.trailing_zeros() >= *shift);
    unit.map_or_else(|| format!("{n}B"), |(shift, unit)| format!("{}{unit}", n >> shift))
}

fn ship(s: &crate::audit::Shipping) -> String {
    format!("{} to {} as {}", s.name, s.to, if s.ocsf { "ocsf" } else { "journal" })
}

fn sync(s: &crate::audit::Sync) -> String {
    let classes = s.classes.iter().map(|(class, wait)| format!(", {class} {}", time(*wait)));
    std::iter::once(time(s.all)).chain(classes).collect()
}

/// Settings that take effect at once. Taken apart field by field, so that a new field cannot be forgotten here.
fn settings(c: &Config) -> Settings {
    let Config {
        path: _,
        read_at: _,
        name,
        address,
        state_dir: _,
        ssh,
        sources,
        control: ControlConfig { idle_lock, idle_logout, confirm_within, socket: _, group: _ },
        audit: AuditConfig { on_failure, dir: _, key: _, checkpoint: _, sync: _, keep: _, ships: _ },
        log: _,
        relay,
        limits,
        health,
        trust,
        ..
    } = c;
    let super::SshConfig {
        listen: _,
        host_keys: _,
        host_certificates,
        ciphers,
        keepalive_interval,
        keepalive_count,
        send_timeout,
        login_grace_time,
        max_startups,
        max_startups_known,
        max_auth_attempts,
        takeover_probe,
        reconnect_wait,
        drain,
    } = ssh;
    let super::RelayConfig { visitor_memory, visitor_spill, total_spill, stall_timeout, open_timeout, max_visitors } =
        relay;
    let super::HealthConfig { interval, timeout, rise, fall } = health;
    let mut all = vec![
        ("bastion.name", name.clone()),
        ("bastion.address", address.as_ref().map_or_else(|| "where it listens".to_owned(), ToString::to_string)),
        ("ssh.host_certificates", list(&host_certificates.iter().map(|p| p.display().to_string()).collect::<Vec<_>>())),
        ("ssh.ciphers", ciphers.as_ref().map_or_else(|| "what suits the processor".to_owned(), |c| list(c))),
        ("ssh.keepalive_interval", time(*keepalive_interval)),
        ("ssh.keepalive_count", keepalive_count.to_string()),
        ("ssh.send_timeout", time(*send_timeout)),
        ("ssh.login_grace_time", time(*login_grace_time)),
        ("ssh.max_startups", max_startups.to_string()),
        ("ssh.max_startups_known", max_startups_known.to_string()),
        ("ssh.max_auth_attempts", max_auth_attempts.to_string()),
        ("ssh.takeover_probe", time(*takeover_probe)),
        ("ssh.reconnect_wait", time(*reconnect_wait)),
        ("ssh.drain", time(*drain)),
        ("control.idle_lock", idle_lock.map_or_else(|| "off".to_owned(), time)),
        ("control.idle_logout", idle_logout.map_or_else(|| "off".to_owned(), time)),
        ("control.confirm_within", time(*confirm_within)),
        ("audit.on_failure", on_failure.word().to_owned()),
        ("relay.visitor_memory", bytes(*visitor_memory as u64)),
        ("relay.visitor_spill", bytes(*visitor_spill)),
        ("relay.total_spill", bytes(*total_spill)),
        ("relay.stall_timeout", time(*stall_timeout)),
        ("relay.open_timeout", time(*open_timeout)),
        ("relay.max_visitors", max_visitors.to_string()),
        ("health.interval", time(*interval)),
        ("health.timeout", time(*timeout)),
        ("health.rise", rise.to_string()),
        ("health.fall", fall.to_string()),
    ];
    all.extend(sources.settings());
    all.extend(trust.pending.settings());
    all.extend(limits.settings());
    all
}

/// Settings that are fixed while the daemon runs: what it has bound, opened or made its threads with.
fn restart_settings(c: &Config) -> Settings {
    let paths = |p: &[std::path::PathBuf]| list(&p.iter().map(|p| p.display().to_string()).collect::<Vec<_>>());
    vec![
        ("bastion.state", c.state_dir.display().to_string()),
        ("ssh.listen", list(&c.ssh.listen)),
        ("ssh.host_keys", paths(&c.ssh.host_keys)),
        ("control.socket", c.control.socket.display().to_string()),
        ("control.group", c.control.group.clone().unwrap_or_else(|| "the daemon's own".to_owned())),
        ("audit.dir", c.audit.dir.display().to_string()),
        ("audit.key", c.audit.key.display().to_string()),
        ("audit.checkpoint", time(c.audit.checkpoint)),
        ("audit.sync", sync(&c.audit.sync)),
        ("shipping", list(&c.audit.ships.iter().map(ship).collect::<Vec<_>>())),
        ("audit.keep_days", c.audit.keep.days.map_or_else(|| "all".to_owned(), |d| d.to_string())),
        ("audit.keep_size", c.audit.keep.bytes.map_or_else(|| "all".to_owned(), bytes)),
        ("log.dir", c.log.dir.as_ref().map_or_else(|| "standard error".to_owned(), |d| d.display().to_string())),
        ("log.level", c.log.level.clone()),
    ]
}

fn setting_changes(old: &Settings, new: &Settings) -> Vec<SettingChange> {
    let pairs = old.iter().zip(new).filter(|(a, b)| a != b);
    pairs.map(|((key, from), (_, to))| SettingChange { key, from: from.clone(), to: to.clone() }).collect()
}
