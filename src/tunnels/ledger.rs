//! The ledger: who may have which port, and the rule that says so. Pure: it neither waits nor writes; its callers
//! persist the [`Change`]s it returns.

mod conflicts;
mod rule;
#[cfg(test)]
mod states;

use super::dirty::Changed;
use crate::config::{Config, Host};
use crate::model::{
    BlockTarget, CaSerial, CertMark, HostName, LeaseKind, LeaseView, OperatorName, Port, ReservationView,
    RevocationView, TeamName, Time, now,
};
use crate::store::{Change, Saved};
pub use conflicts::Conflict;
use rule::lease_rule;
pub use rule::{block_rule, reserve_rule, stale};
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// The answer to "may this host have that port?", with the rule that decided, in a sentence.
#[derive(Debug, Clone, PartialEq)]
pub enum Decision {
    /// Yes.
    Grant {
        /// The port.
        port: Port,
        /// A lease that has to be written first.
        fresh: Option<LeaseView>,
        /// Why.
        rule: String,
    },
    /// No.
    Refuse {
        /// Why.
        rule: String,
    },
}

/// Somebody a block may mean: as much as is known of them.
#[derive(Debug, Clone, Copy, Default)]
pub struct Who<'a> {
    /// The host.
    pub host: Option<&'a HostName>,
    /// The host's team.
    pub team: Option<&'a TeamName>,
    /// The operator.
    pub operator: Option<&'a OperatorName>,
    /// The key.
    pub fingerprint: Option<&'a str>,
    /// The certificate.
    pub mark: Option<&'a CertMark>,
}

/// Leases that are not fixed by the configuration, and blocks.
#[derive(Debug, Clone, Default)]
pub struct Ledger {
    leases: BTreeMap<Port, LeaseView>,
    blocks: BTreeMap<BlockTarget, RevocationView>,
    reserved: BTreeMap<Port, ReservationView>,
    /// The sticky leases of each host: a host that asks for any port is looked up, not searched for.
    sticky: HashMap<HostName, BTreeSet<Port>>,
    /// When leases end, for those that do: the clock is looked at all the time, and there may be ten thousand leases.
    ends: BTreeSet<(Time, Port)>,
    version: u64,
    changed: Changed,
}

impl Ledger {
    /// The ledger as it was saved.
    #[must_use]
    pub fn new(saved: Saved) -> Self {
        let mut me = Self::default();
        for l in saved.leases {
            me.put(l);
        }
        me.blocks = saved.revocations.into_iter().map(|r| (r.target.clone(), r)).collect();
        me.reserved = saved.reservations.into_iter().map(|r| (r.port, r)).collect();
        me
    }

    fn put(&mut self, lease: LeaseView) {
        self.drop_lease(lease.port);
        if lease.kind == LeaseKind::Sticky {
            self.sticky.entry(lease.host.clone()).or_default().insert(lease.port);
        }
        self.ends.extend(lease.until.map(|t| (t, lease.port)));
        self.leases.insert(lease.port, lease);
    }

    fn drop_lease(&mut self, port: Port) {
        let Some(old) = self.leases.remove(&port) else { return };
        if let Some(until) = old.until {
            self.ends.remove(&(until, port));
        }
        if let Some(ports) = self.sticky.get_mut(&old.host) {
            ports.remove(&port);
            if ports.is_empty() {
                self.sticky.remove(&old.host);
            }
        }
    }

    /// Rises with every change.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.version
    }

    /// What changed since the last call.
    pub(super) fn take_changed(&mut self) -> Changed {
        std::mem::take(&mut self.changed)
    }

    /// Blocks in force, by target.
    pub fn blocks(&self) -> impl Iterator<Item = &RevocationView> {
        self.blocks.values()
    }

    /// The block on this target.
    #[must_use]
    pub fn block(&self, target: &BlockTarget) -> Option<&RevocationView> {
        self.blocks.get(target)
    }

    /// Reservations, by port, also those whose time is over and has not been noticed.
    pub fn reservations(&self) -> impl Iterator<Item = &ReservationView> {
        self.reserved.values()
    }

    /// The reservation of this port, if it is in force.
    #[must_use]
    pub fn reservation(&self, port: Port) -> Option<&ReservationView> {
        self.reserved.get(&port).filter(|r| r.until > now())
    }

    /// The team in whose range an operator may reserve this port: nobody has it, and nothing blocks it.
    ///
    /// # Errors
    /// The rule that forbids it.
    pub fn reservable(&self, config: &Config, port: Port) -> Result<TeamName, String> {
        if let Some(block) = self.block(&BlockTarget::Port(port)) {
            return Err(block_rule(block));
        }
        if let Some(l) = self.lease(config, port) {
            return Err(format!(
                "port {port} is held by host {} ({} lease); `portreeve release {port}` frees it first",
                l.host, l.kind
            ));
        }
        let team = config.teams.iter().find(|(_, t)| t.ports.iter().any(|r| r.contains(port)));
        team.map(|(name, _)| name.clone()).ok_or_else(|| format!("port {port} is in no team's ranges"))
    }

    /// The block that keeps somebody out, if any.
    #[must_use]
    pub fn barred(&self, who: &Who<'_>) -> Option<&RevocationView> {
        if self.blocks.is_empty() {
            return None;
        }
        let mark = who.mark;
        let numbered = mark.filter(|m| m.serial != 0);
        [
            who.host.map(|h| BlockTarget::Host(h.clone())),
            who.team.map(|t| BlockTarget::Team(t.clone())),
            who.operator.map(|o| BlockTarget::Operator(o.clone())),
            who.fingerprint.map(|f| BlockTarget::Key(f.to_owned())),
            mark.map(|m| BlockTarget::Ca(m.ca.clone())),
            // Blocked when it was no CA's yet.
            mark.map(|m| BlockTarget::Key(m.ca.clone())),
            numbered.map(|m| BlockTarget::Serial(CaSerial { serial: m.serial, ca: m.ca.clone() })),
            mark.map(|m| BlockTarget::Id(m.key_id.clone())),
        ]
        .into_iter()
        .flatten()
        .find_map(|target| self.block(&target))
    }

    /// The lease of this port: the configuration's, else the ledger's.
    #[must_use]
    pub fn lease(&self, config: &Config, port: Port) -> Option<LeaseView> {
        fixed_lease(config, port).or_else(|| self.leases.get(&port).cloned())
    }

    /// The ledger's own entry for this port, whatever the configuration says.
    #[must_use]
    pub fn stored(&self, port: Port) -> Option<&LeaseView> {
        self.leases.get(&port)
    }

    /// The ledger's own leases whose time is over by then.
    #[must_use]
    pub fn over(&self, at: Time) -> Vec<LeaseView> {
        let over = self.ends.iter().take_while(|(t, _)| *t <= at);
        over.filter_map(|(_, port)| self.leases.get(port)).cloned().collect()
    }

    /// Every lease, by port.
    #[must_use]
    pub fn all(&self, config: &Config) -> BTreeMap<Port, LeaseView> {
        let mut all = self.leases.clone();
        for (name, host) in &config.hosts {
            for (service, s) in &host.services {
                all.insert(s.port, fixed(config, name, host, service, s.port));
            }
        }
        all
    }

    /// Leases of one host, by port.
    #[must_use]
    pub fn of_host(&self, config: &Config, host: &HostName) -> Vec<LeaseView> {
        self.all(config).into_values().filter(|l| &l.host == host).collect()
    }

    /// Decides on a request for a port (0 for any). `in_use` tells ports on which somebody listens right now: they are
    /// passed over when one has to be chosen. `carried` tells ports this very session carries already.
    #[must_use]
    pub fn decide(
        &self,
        config: &Config,
        host: &HostName,
        fingerprint: Option<&str>,
        asked: u32,
        in_use: &dyn Fn(Port) -> bool,
        carried: &dyn Fn(Port) -> bool,
    ) -> Decision {
        let refuse = |rule: String| Decision::Refuse { rule };
        let Some(h) = config.hosts.get(host) else {
            return refuse(format!("host {host} is not in the configuration"));
        };
        let who = Who { host: Some(host), team: Some(&h.team), fingerprint, ..Who::default() };
        if let Some(block) = self.barred(&who) {
            return refuse(block_rule(block));
        }
        if asked == 0 {
            return self.decide_any(config, host, &h.team, in_use, carried);
        }
        let port = match Port::try_from(asked) {
            Ok(p) => p,
            Err(e) => return refuse(e.to_string()),
        };
        if let Some(block) = self.block(&BlockTarget::Port(port)) {
            return refuse(block_rule(block));
        }
        if let Some(lease) = self.lease(config, port) {
            if &lease.host == host {
                if let Some(rule) = stale(config, &lease) {
                    return refuse(rule);
                }
                return Decision::Grant { port, fresh: None, rule: lease_rule(&lease) };
            }
            return refuse(format!(
                "port {port} is held by host {} of team {} ({} lease since {})",
                lease.host,
                lease.team,
                lease.kind,
                lease.since.format("%Y-%m-%d")
            ));
        }
        if let Some(r) = self.reservation(port) {
            return refuse(reserve_rule(r));
        }
        let ranges = team_ranges(config, &h.team);
        if !ranges.iter().any(|r| r.contains(port)) {
            let list: Vec<String> = ranges.iter().map(ToString::to_string).collect();
            return refuse(format!("port {port} is outside team {}'s ranges ({})", h.team, list.join(", ")));
        }
        Decision::Grant {
            port,
            fresh: Some(self.fresh(host, &h.team, port, LeaseKind::Requested, host.as_str(), None, None)),
            rule: format!("port {port} is free in team {}'s range", h.team),
        }
    }

    fn decide_any(
        &self,
        config: &Config,
        host: &HostName,
        team: &TeamName,
        in_use: &dyn Fn(Port) -> bool,
        carried: &dyn Fn(Port) -> bool,
    ) -> Decision {
        let sticky = self.sticky.get(host).into_iter().flatten().filter_map(|p| self.leases.get(p));
        let mine = sticky.into_iter().find(|l| {
            stale(config, l).is_none()
                && !carried(l.port)
                && self.block(&BlockTarget::Port(l.port)).is_none()
                && fixed_lease(config, l.port).is_none()
        });
        if let Some(l) = mine {
            return Decision::Grant { port: l.port, fresh: None, rule: lease_rule(l) };
        }
        match self.next_free(config, team, in_use) {
            Some(port) => Decision::Grant {
                port,
                fresh: Some(self.fresh(host, team, port, LeaseKind::Sticky, host.as_str(), None, None)),
                rule: format!("port {port} is the next free one of team {team}; it stays host {host}'s"),
            },
            None => Decision::Refuse {
                rule: format!("team {team} has no free port left; widen `ports` in [teams.{team}] or release a lease"),
            },
        }
    }

    /// The lowest port of the team's ranges that is neither leased, blocked nor in use.
    #[must_use]
    pub fn next_free(&self, config: &Config, team: &TeamName, in_use: &dyn Fn(Port) -> bool) -> Option<Port> {
        team_ranges(config, team).iter().find_map(|r| {
            // Both in order: what is leased is stepped over in one pass rather than looked up port by port.
            let mut leased = self.leases.range(r.first()..=r.last()).map(|(p, _)| *p).peekable();
            r.iter().find(|p| {
                if leased.next_if_eq(p).is_some() {
                    return false;
                }
                !config.fixed_ports.contains_key(p)
                    && self.reservation(*p).is_none()
                    && self.block(&BlockTarget::Port(*p)).is_none()
                    && !in_use(*p)
            })
        })
    }

    #[allow(clippy::too_many_arguments, clippy::unused_self)]
    fn fresh(
        &self,
        host: &HostName,
        team: &TeamName,
        port: Port,
        kind: LeaseKind,
        by: &str,
        service: Option<String>,
        reason: Option<String>,
    ) -> LeaseView {
        LeaseView {
            port,
            host: host.clone(),
            team: team.clone(),
            service,
            kind,
            since: now(),
            until: None,
            by: by.to_owned(),
            reason,
        }
    }

    /// An operator gives a host a port: the next free one unless named.
    ///
    /// # Errors
    /// The rule that forbids it.
    #[allow(clippy::too_many_arguments)]
    pub fn assign(
        &self,
        config: &Config,
        host: &HostName,
        port: Option<Port>,
        by: &str,
        service: Option<String>,
        reason: Option<String>,
        in_use: &dyn Fn(Port) -> bool,
    ) -> Result<LeaseView, String> {
        let team = &config.hosts.get(host).ok_or_else(|| format!("there is no host {host} in the configuration"))?.team;
        let port = match port {
            Some(p) => p,
            None => self.next_free(config, team, in_use).ok_or_else(|| format!("team {team} has no free port left"))?,
        };
        self.may_take(config, host, team, port)?;
        Ok(self.fresh(host, team, port, LeaseKind::Assigned, by, service, reason))
    }

    /// Whether an operator may give the port to the host: inside the team's ranges, not blocked, nobody else's.
    fn may_take(&self, config: &Config, host: &HostName, team: &TeamName, port: Port) -> Result<(), String> {
        if let Some(block) = self.block(&BlockTarget::Port(port)) {
            return Err(block_rule(block));
        }
        if let Some(l) = self.lease(config, port) {
            let whose = if &l.host == host { "already " } else { "" };
            return Err(format!(
                "port {port} is {whose}held by host {} of team {} ({} lease since {}, given by {})",
                l.host,
                l.team,
                l.kind,
                l.since.format("%Y-%m-%d"),
                l.by
            ));
        }
        if let Some(r) = self.reservation(port) {
            return Err(reserve_rule(r));
        }
        if !team_ranges(config, team).iter().any(|r| r.contains(port)) {
            return Err(format!("port {port} is outside team {team}'s ranges"));
        }
        Ok(())
    }

    /// A lease on another port, all else equal.
    ///
    /// # Errors
    /// The rule that forbids it.
    pub fn moved(
        &self,
        config: &Config,
        from: Port,
        to: Option<Port>,
        by: &str,
        reason: Option<String>,
        in_use: &dyn Fn(Port) -> bool,
    ) -> Result<LeaseView, String> {
        let lease = self.releasable(config, from)?;
        let to = match to {
            Some(p) => p,
            None => self
                .next_free(config, &lease.team, in_use)
                .ok_or_else(|| format!("team {} has no free port left", lease.team))?,
        };
        self.may_take(config, &lease.host, &lease.team, to)?;
        Ok(LeaseView {
            port: to,
            // A sticky one stays so, or the host's next `-R 0` would be given yet another port.
            kind: if lease.kind == LeaseKind::Sticky { LeaseKind::Sticky } else { LeaseKind::Assigned },
            since: now(),
            by: by.to_owned(),
            reason: reason.or(lease.reason),
            ..lease
        })
    }

    /// The lease of this port, if an operator may end it.
    ///
    /// # Errors
    /// When there is none, or when the configuration fixes it.
    pub fn releasable(&self, config: &Config, port: Port) -> Result<LeaseView, String> {
        if let Some((host, service, _)) = config.fixed(port) {
            return Err(format!(
                "port {port} is fixed for host {host} in {} ([hosts.{host}] ports.{service}); change it there and reload",
                config.path.display()
            ));
        }
        self.leases.get(&port).cloned().ok_or_else(|| format!("nobody has a lease of port {port}"))
    }

    /// Puts back what the lease of this port was before a change that could not be saved, unless somebody has changed it
    /// again meanwhile.
    pub fn take_back(&mut self, port: Port, left: Option<&LeaseView>, was: Option<LeaseView>) {
        if self.stored(port) == left {
            self.apply(&was.map_or(Change::DropLease(port), Change::PutLease));
        }
    }

    /// Writes a change into memory.
    pub fn apply(&mut self, change: &Change) {
        self.version += 1;
        match change {
            Change::PutLease(l) => {
                self.changed.port(l.port);
                self.put(l.clone());
            }
            Change::DropLease(p) => {
                self.changed.port(*p);
                self.drop_lease(*p);
            }
            Change::PutRevocation(r) => {
                self.changed.all = true;
                self.blocks.insert(r.target.clone(), r.clone());
            }
            Change::DropRevocation(t) => {
                self.changed.all = true;
                self.blocks.remove(t);
            }
            Change::PutReservation(r) => {
                self.changed.all = true;
                self.reserved.insert(r.port, r.clone());
            }
            Change::DropReservation(p) => {
                self.changed.all = true;
                self.reserved.remove(p);
            }
            // The registry's.
            Change::PutMute(_)
            | Change::DropMute(_)
            | Change::PutKeyUse(_)
            | Change::DropKeyUse(_)
            | Change::PutGrant(_)
            | Change::DropGrant(_)
            | Change::PutApproval(_)
            | Change::DropApproval(_) => {}
        }
    }
}

fn team_ranges<'a>(config: &'a Config, team: &TeamName) -> &'a [crate::model::PortRange] {
    config.teams.get(team).map_or(&[], |t| t.ports.as_slice())
}

fn fixed_lease(config: &Config, port: Port) -> Option<LeaseView> {
    let (name, service, _) = config.fixed(port)?;
    config.hosts.get(name).map(|host| fixed(config, name, host, service, port))
}

fn fixed(config: &Config, name: &HostName, host: &Host, service: &str, port: Port) -> LeaseView {
    LeaseView {
        port,
        host: name.clone(),
        team: host.team.clone(),
        service: Some(service.to_owned()),
        kind: LeaseKind::Fixed,
        since: config.read_at,
        until: None,
        by: "config".to_owned(),
        reason: None,
    }
}

#[cfg(test)]
mod tests;
