//! Grants: a role or a network of visitors beside what the configuration says, until a time.
//!
//! Whatever asks compares the grant's time with the clock, so that nothing is allowed a moment longer; the end is noticed
//! soon after, and cuts what stands on it.

use super::credential::Credential;
use super::lifecycle::{ActError, By, Done, END_WAIT, count};
use super::live::{Session, Tunnel};
use super::registry::Registry;
use crate::audit::{Actor, Context, Event, What};
use crate::config::Config;
use crate::model::{
    BindPolicy, GrantId, GrantView, Granted, GrantedRole, OperatorName, Powers, Role, TeamName, Time, VisitorId, now,
};
use crate::store::Change;
use chrono::TimeDelta;
use std::net::IpAddr;
use std::sync::Arc;

/// The longest role, days: what is to last longer belongs in the configuration, where it is read again.
pub const ROLE_DAYS: i64 = 30;
/// The longest network, days.
pub const NETWORK_DAYS: i64 = 90;
/// Grants there may be at a time.
const MOST: usize = 1_000;

impl Registry {
    /// What is given now, by id; also what is over and has not been noticed.
    #[must_use]
    pub fn grants(&self) -> Arc<Vec<GrantView>> {
        self.granted.load_full()
    }

    /// What an operator may do now: by the configuration, and by what was granted besides. A certificate brings no more
    /// than its authority vouches for, whatever was granted. None for somebody who is not in the configuration.
    #[must_use]
    pub fn powers(&self, operator: &OperatorName, credential: Option<&Credential>) -> Option<Powers> {
        let config = self.config();
        let o = config.operators.get(operator)?;
        let certified = credential.and_then(|c| c.certified.as_ref());
        let at = now();
        let granted = self.granted.load();
        let held = granted.iter().filter(|g| g.until > at).filter_map(|g| match &g.what {
            Granted::Role { operator: whose, role, teams } if whose == operator => {
                let vouched = certified.is_none_or(|c| config.vouches_role(&c.mark.ca, *role, teams.as_deref()));
                vouched.then(|| GrantedRole { grant: g.id, role: *role, teams: teams.clone(), until: g.until })
            }
            _ => None,
        });
        Some(Powers { role: o.role, teams: o.teams.clone(), granted: held.collect() })
    }

    /// Whether this operator may connect to this tunnel now.
    ///
    /// # Errors
    /// The rule that forbids it.
    pub fn may_visit(&self, operator: &Session, tunnel: &Tunnel) -> Result<(), String> {
        let name = operator.name.parse::<OperatorName>().ok();
        let Some(powers) = name.and_then(|n| self.powers(&n, Some(&operator.credential))) else {
            return Err("you are not in the configuration any more".to_owned());
        };
        if powers.rights().best() < Role::Operator {
            return Err("a viewer may not connect to tunnels".to_owned());
        }
        let team = &tunnel.lease.team;
        match powers.rights().may(Role::Operator, Some(team)) {
            Some(_) => Ok(()),
            None => Err(format!("port {} is team {team}'s, which is not yours", tunnel.port())),
        }
    }

    /// The grant by which somebody at this address may visit the tunnel.
    #[must_use]
    pub fn lets_in(&self, tunnel: &Tunnel, ip: IpAddr) -> Option<GrantView> {
        let at = now();
        let granted = self.granted.load();
        let from = |g: &&GrantView| matches!(&g.what, Granted::Visitors { network, .. } if network.contains(&ip));
        granted.iter().filter(|g| g.until > at && concerns(g, tunnel)).find(from).cloned()
    }

    /// Gives something until a time. Who may is the caller's to know.
    ///
    /// The journal has it before anybody can use it.
    ///
    /// # Errors
    /// [`ActError`] when there is nobody or nothing to give it to, when time or reason will not do, or when it cannot be
    /// written down or saved.
    pub async fn grant(&self, by: By, what: Granted, until: Time, reason: &str) -> Result<Done, ActError> {
        let wrong = |why: String| Err(ActError::Conflict(why));
        let since = now();
        let (days, which) = match &what {
            Granted::Role { .. } => (ROLE_DAYS, "a role"),
            Granted::Visitors { .. } => (NETWORK_DAYS, "a network"),
        };
        if until <= since || until - since > TimeDelta::days(days) {
            return wrong(format!(
                "{which} is granted until a time within {days} days from now; what is to last longer belongs in the configuration"
            ));
        }
        let reason = crate::model::clean_line(reason);
        if reason.trim().is_empty() {
            return wrong("say why: who reads the list of grants will want to know".to_owned());
        }
        self.grantable(&self.config(), &what)?;
        if self.granted.load().len() >= MOST {
            return wrong(format!("{MOST} grants are in force already; end some first (portreeve grants)"));
        }
        self.auditable()?;
        let grant = GrantView { id: GrantId::new(), what, by: by.name(), since, until, reason };
        let event = What::Grant { id: grant.id, granted: grant.what.clone(), until };
        let seq = self.journal.commit(by.success(event, context(&grant))).await?;
        if let Err(e) = self.store.apply(vec![Change::PutGrant(grant.clone())]).await {
            self.never_given(grant, &format!("it could not be saved: {e}"));
            return Err(e.into());
        }
        // The disk may have taken long, and who it is for be gone meanwhile.
        let over = || ActError::Conflict(format!("its time was over before it was saved ({until})"));
        let still =
            self.grantable(&self.config(), &grant.what).and_then(|()| if now() < until { Ok(()) } else { Err(over()) });
        if let Err(e) = still {
            let forgotten = self.store.apply(vec![Change::DropGrant(grant.id)]);
            let id = grant.id;
            self.never_given(grant, &e.to_string());
            if let Err(error) = forgotten.await {
                tracing::warn!(%error, %id, "a grant that was not given could not be forgotten");
            }
            return Err(e);
        }
        self.change_grants(|all| all.push(grant.clone()));
        let until = until.format("%Y-%m-%d %H:%M:%SZ");
        let summary = format!("granted {} until {until} as {}: {}", grant.what, grant.id, grant.reason);
        Ok(Done { grant: Some(grant), ..Done::new(seq, summary) })
    }

    /// Writes down that a grant the journal has was not given after all.
    fn never_given(&self, grant: GrantView, why: &str) {
        let context = Context { reason: Some(why.to_owned()), ..context(&grant) };
        let event = What::Ungrant { id: grant.id, granted: grant.what, visitors: 0 };
        self.journal.record(Event::success(Actor::Daemon, event, context));
    }

    /// Whether this can be given at all.
    fn grantable(&self, config: &Config, what: &Granted) -> Result<(), ActError> {
        let (not_found, conflict) = (|m| Err(ActError::NotFound(m)), |m| Err(ActError::Conflict(m)));
        let team_of = |name: &TeamName| {
            let path = config.path.display();
            config.teams.get(name).ok_or_else(|| ActError::NotFound(format!("there is no team {name} in {path}")))
        };
        match what {
            Granted::Role { operator, role, teams } => {
                let Some(o) = config.operators.get(operator) else {
                    return not_found(format!("there is no operator {operator} in {}", config.path.display()));
                };
                if let Some(rule) = self.dismissed(operator) {
                    return conflict(rule);
                }
                for team in teams.iter().flatten() {
                    team_of(team)?;
                }
                match teams.as_deref() {
                    Some([]) => return conflict("name the teams, or none for all of them".to_owned()),
                    Some(_) if *role == Role::Admin => {
                        return conflict("the role admin acts on every team: leave the teams out".to_owned());
                    }
                    _ => {}
                }
                let own = Powers { role: o.role, teams: o.teams.clone(), granted: Vec::new() };
                let has = |team: Option<&TeamName>| own.rights().may(*role, team).is_some();
                let has = match teams {
                    None => has(None),
                    Some(teams) => teams.iter().all(|t| has(Some(t))),
                };
                if has {
                    return conflict(format!("operator {operator} has that by the configuration already"));
                }
                Ok(())
            }
            Granted::Visitors { team: None, port, .. } => not_found(match port {
                Some(port) => format!("port {port} is in no team's range"),
                None => "name a team or a port".to_owned(),
            }),
            Granted::Visitors { team: Some(name), port: _, network } => {
                let team = team_of(name)?;
                if team.bind != BindPolicy::Gateway {
                    return conflict(format!(
                        "team {name}'s tunnels listen on loopback only, so that nobody comes to them from {network}: write \
                         bind = \"gateway\" and `visitors` in [teams.{name}] and reload, or let operators come by ssh -J"
                    ));
                }
                if network.prefix_len() == 0 {
                    return conflict(format!(
                        "{network} is everybody: name a network, or write it into `visitors` of [teams.{name}]"
                    ));
                }
                if team.visitors.iter().any(|v| v.contains(network)) {
                    return conflict(format!("{network} is in team {name}'s `visitors` already"));
                }
                Ok(())
            }
        }
    }

    /// Ends a grant before its time: from now on it allows nothing, then what stood on it is cut. As a revoke it is done
    /// whatever the disk says.
    ///
    /// # Errors
    /// [`ActError`] when there is no such grant.
    pub async fn ungrant(&self, by: By, id: GrantId, reason: Option<String>) -> Result<Done, ActError> {
        let found = self.take_grants(|g| g.id == id).pop();
        let Some((grant, saving)) = found else {
            return Err(ActError::NotFound(format!(
                "there is no grant {id} (any more); `portreeve grants` lists them"
            )));
        };
        let cut = self.cut_what_stood_on(&grant, &format!("grant {id} was ended by {}", by.name()));
        self.gone(&cut).await;
        let reason = reason.map(|r| crate::model::clean_line(&r)).filter(|r| !r.trim().is_empty());
        let event = What::Ungrant { id, granted: grant.what.clone(), visitors: cut.len() };
        let context = Context { reason, ..context(&grant) };
        let (seq, warning) = self.prove(by.success(event, context)).await;
        let unsaved = match saving.await {
            Ok(()) => None,
            Err(e) => Some(format!("NOT SAVED ({e}): it is back if the daemon restarts before {}", grant.until)),
        };
        let warnings: Vec<String> = unsaved.into_iter().chain(warning).collect();
        let warning = (!warnings.is_empty()).then(|| warnings.join("; "));
        let summary = format!("ended grant {id} of {}: {}; cut {}", grant.by, grant.what, count(cut.len(), "visitor"));
        Ok(Done { grant: Some(grant), ..Done::warned(seq, summary, warning) })
    }

    /// Ends the grants whose time is over, and writes that down. It waits for no disk: what the disk does not take is
    /// over again at the next start.
    pub fn grants_over(&self, at: Time) {
        if self.granted.load().iter().all(|g| at < g.until) {
            return;
        }
        for (grant, saving) in self.take_grants(|g| g.until <= at) {
            let (id, by) = (grant.id, &grant.by);
            let cut = self.cut_what_stood_on(&grant, &format!("the time of grant {id}, set by {by}, is over"));
            let reason = Some(format!("the time set by {by} is over ({})", grant.reason));
            let context = Context { reason, ..context(&grant) };
            let event = What::Ungrant { id, granted: grant.what, visitors: cut.len() };
            self.journal.record(Event::success(Actor::Daemon, event, context));
            tokio::spawn(async move {
                if let Err(error) = saving.await {
                    tracing::warn!(%error, %id, "a grant that is over could not be forgotten; the next start does it");
                }
            });
        }
    }

    fn change_grants(&self, change: impl FnOnce(&mut Vec<GrantView>)) {
        {
            // Under the lock, so that no two changes meet.
            let _state = self.state();
            let mut all = self.granted.load().as_ref().clone();
            change(&mut all);
            self.granted.store(Arc::new(all));
        }
        self.announce();
    }

    /// Takes grants out, and has them forgotten.
    fn take_grants(&self, which: impl Fn(&GrantView) -> bool) -> Vec<(GrantView, crate::store::Saving)> {
        let mut taken = Vec::new();
        self.change_grants(|all| {
            for grant in all.extract_if(.., |g| which(g)) {
                let saving = self.store.apply(vec![Change::DropGrant(grant.id)]);
                taken.push((grant, saving));
            }
        });
        taken
    }

    /// Tells the visitors to go whom this grant let in, and nothing else does. Whoever comes to be a visitor asks once
    /// more after that, so nobody slips between.
    fn cut_what_stood_on(&self, grant: &GrantView, why: &str) -> Vec<(Arc<Tunnel>, VisitorId)> {
        let config = self.config();
        let mut cut = Vec::new();
        for t in self.tunnels() {
            for (id, source, by) in t.callers() {
                let unwelcome = match (&grant.what, by) {
                    (Granted::Role { operator, .. }, Some((name, session))) if name == operator.as_str() => {
                        // Without a session they are leaving.
                        self.session(session).is_some_and(|s| self.may_visit(&s, &t).is_err())
                    }
                    (Granted::Visitors { .. }, None) if concerns(grant, &t) => {
                        super::dock::welcome(self, &config, &t, source.ip()).is_err()
                    }
                    _ => false,
                };
                if unwelcome && t.cut(id, why) {
                    cut.push((Arc::clone(&t), id));
                }
            }
        }
        cut
    }

    /// Waits until these visitors are gone: a turn of their tunnels' threads.
    async fn gone(&self, visitors: &[(Arc<Tunnel>, VisitorId)]) {
        let mut changes = self.changes();
        let gone = async {
            loop {
                changes.mark_unchanged();
                if visitors.iter().all(|(t, id)| !t.has_visitor(*id)) || changes.changed().await.is_err() {
                    return;
                }
            }
        };
        let _ = tokio::time::timeout(END_WAIT, gone).await;
    }
}

/// Whether a grant is of visits to this tunnel.
fn concerns(grant: &GrantView, t: &Tunnel) -> bool {
    matches!(&grant.what, Granted::Visitors { team, port, .. }
        if team.as_ref() == Some(&t.lease.team) && port.is_none_or(|p| p == t.port()))
}

fn context(g: &GrantView) -> Context {
    Context { reason: Some(g.reason.clone()), ..grant_context(&g.what) }
}

/// The audit's fields for what is given.
#[must_use]
pub fn grant_context(what: &Granted) -> Context {
    let (team, port) = match what {
        Granted::Role { teams, .. } => match teams.as_deref() {
            Some([one]) => (Some(one), None),
            // Of several teams, or of all: nobody's but the bastion's.
            _ => (None, None),
        },
        Granted::Visitors { team, port, .. } => (team.as_ref(), *port),
    };
    Context { team: team.cloned(), port, ..Context::default() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::Journal;
    use crate::store::{Saved, Store, StoreError, StoreHandle};
    use std::path::Path;
    use std::sync::mpsc::{Receiver, channel};
    use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

    /// A disk that tells of each write and is done with it when it is let go on.
    struct Slow(UnboundedSender<Change>, Receiver<()>);

    impl Store for Slow {
        fn load(&mut self) -> Result<Saved, StoreError> {
            Ok(Saved::default())
        }
        fn apply(&mut self, changes: &[Change]) -> Result<(), StoreError> {
            for change in changes {
                self.0.send(change.clone()).unwrap();
                self.1.recv().unwrap();
            }
            Ok(())
        }
    }

    fn config(operator: &str) -> Arc<Config> {
        let pair = ssh_key::private::Ed25519Keypair::from_seed(&[1; 32]);
        let key = ssh_key::PrivateKey::new(ssh_key::private::KeypairData::Ed25519(pair), "").unwrap();
        let key = key.public_key().to_openssh().unwrap();
        let text = format!("[operators.{operator}]\nrole = \"viewer\"\nkeys = [\"{key}\"]\n");
        Arc::new(Config::parse(&text, Path::new("/etc/portreeve/portreeve.toml")).unwrap())
    }

    #[tokio::test]
    async fn who_goes_while_the_disk_writes_is_given_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let journal = Journal::open(&dir.path().join("audit")).unwrap();
        let ((told, mut writes), (go_on, wait)) = (unbounded_channel(), channel());
        let (store, saved) = StoreHandle::start(Slow(told, wait)).unwrap();
        let registry = Registry::new(config("cam"), journal.clone(), store, saved, unbounded_channel().0);
        let by = By { actor: Actor::Operator("boss".into()), via: None, proposed_by: None };
        let what = Granted::Role { operator: "cam".parse().unwrap(), role: Role::Operator, teams: None };
        let asked = {
            let registry = Arc::clone(&registry);
            tokio::spawn(async move { registry.grant(by, what, now() + TimeDelta::hours(1), "oncall").await })
        };
        assert!(matches!(writes.recv().await, Some(Change::PutGrant(_))));
        registry.apply_config(config("dan")).await;
        go_on.send(()).unwrap();
        assert!(matches!(writes.recv().await, Some(Change::DropGrant(_))), "the disk forgets it");
        go_on.send(()).unwrap();
        let told = asked.await.unwrap().unwrap_err().to_string();
        assert!(told.contains("there is no operator cam"), "{told}");
        assert!(registry.grants().is_empty());
        journal.flush().await.unwrap();
        let last = journal.recent(None, 1).pop().unwrap();
        assert_eq!(last.event.name(), "operator.ungrant");
        assert!(last.event.context.reason.as_deref().unwrap().contains("there is no operator cam"));
    }
}
