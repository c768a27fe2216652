//! `[trust]` and `[authorities.NAME]`: certificate authorities, what each may vouch for, and whom a certificate signs in.
//!
//! Nothing follows from a good signature alone. The CA must be an authority's, the authority must vouch for what the
//! certificate claims, and one of its principals must be given to somebody by name: all else is refused.

use super::keys;
use super::people::{Placed, named, public_keys, team_name};
use super::problem::{Report, Span};
use super::reader::{Item, Table};
use super::rules::People;
use super::schema::{HostKey, Principal};
use crate::model::{AuthorityName, Role, TeamName, clean};
use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Longest principal.
const PRINCIPAL_MAX: usize = 200;

/// Everything about certificates and revocation lists.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Trust {
    /// `[authorities.NAME]`.
    pub authorities: BTreeMap<AuthorityName, Authority>,
    /// Whose each CA's key is, by its fingerprint.
    pub cas: HashMap<String, AuthorityName>,
    /// Hosts and operators by the principals given to them.
    pub principals: HashMap<String, Principal>,
    /// Teams by the principals given to them.
    pub teams: HashMap<String, TeamName>,
    /// `revoked_keys`: revocation lists.
    pub revoked_keys: Vec<PathBuf>,
    /// `fido`: what becomes of keys that live in tokens.
    pub fido: Fido,
    /// `pending` and its bounds: what becomes of keys that nobody has.
    pub pending: Pending,
}

/// Keys that nobody has: whether those that are proved are kept in memory, so that they can be approved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pending {
    /// `pending`, default false.
    pub on: bool,
    /// `max_pending`, default 64: how many are kept.
    pub most: usize,
    /// `max_pending_network`, default 4: how many of them may come from one network.
    pub of_network: usize,
    /// `pending_time`, default 24 h: how long after it was last proved one is kept.
    pub time: Duration,
}

impl Default for Pending {
    fn default() -> Self {
        Self { on: false, most: 64, of_network: 4, time: Duration::from_secs(86_400) }
    }
}

impl Pending {
    fn read(t: &Table<'_>) -> Self {
        let default = Self::default();
        let count = |key, default| t.item(key).and_then(|i| i.number(1, 1_024)).map_or(default, |n| n as usize);
        Self {
            on: t.item("pending").and_then(|i| i.yes_or_no()).unwrap_or(default.on),
            most: count("max_pending", default.most),
            of_network: count("max_pending_network", default.of_network),
            time: t.duration("pending_time", default.time),
        }
    }

    /// Each by its key, for the difference between two.
    pub(super) fn settings(&self) -> [(&'static str, String); 4] {
        let Self { on, most, of_network, time } = self;
        [
            ("trust.pending", on.to_string()),
            ("trust.max_pending", most.to_string()),
            ("trust.max_pending_network", of_network.to_string()),
            ("trust.pending_time", humantime::format_duration(*time).to_string()),
        ]
    }
}

/// Keys of FIDO tokens (`sk-ssh-ed25519`, `sk-ecdsa`). The SSH library checks their signatures and does not show whether
/// the token was touched, nor whether it knew its user.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Fido {
    /// They sign nobody in: they would promise somebody's presence, and not deliver it.
    #[default]
    Refuse,
    /// They are as good as any other key, and no better.
    AcceptUnverified,
}

impl Fido {
    /// As in the file.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Refuse => "refuse",
            Self::AcceptUnverified => "accept-unverified",
        }
    }
}

/// `[authorities.NAME]`: a certificate authority.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Authority {
    /// `keys`: its public keys, several while it changes from one to the next.
    pub keys: Vec<HostKey>,
    /// `vouches_for`: whether for hosts.
    pub hosts: bool,
    /// `vouches_for`: whether for operators.
    pub operators: bool,
    /// `teams`: those it may vouch within; none means all.
    pub teams: Option<Vec<TeamName>>,
    /// `max_role`, default `viewer`: the highest role of operators it may vouch for.
    pub max_role: Role,
}

/// An authority as written.
pub(super) struct AuthorityEntry {
    keys: Vec<Placed<HostKey>>,
    vouches: Vec<Vouch>,
    teams: Option<Vec<Placed<TeamName>>>,
    max_role: Role,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Vouch {
    Hosts,
    Operators,
}

/// `[trust]`.
pub(super) fn trust<'a>(report: &'a Report<'a>, item: Option<&Item<'a>>, base: &Path) -> Trust {
    let t = Table::new(report, "trust", item.map_or(0..0, |i| i.at.clone()), item, &keys::TRUST);
    let words = [Fido::Refuse, Fido::AcceptUnverified].map(|f| (f.word(), f));
    let fido = t.item("fido").and_then(|i| i.word(&words)).unwrap_or_default();
    let pending = Pending::read(&t);
    Trust { revoked_keys: t.paths("revoked_keys", base).unwrap_or_default(), fido, pending, ..Trust::default() }
}

pub(super) fn authorities(item: Option<&Item<'_>>) -> Vec<(AuthorityName, AuthorityEntry)> {
    const VOUCHES: &[(&str, Vouch)] = &[("hosts", Vouch::Hosts), ("operators", Vouch::Operators)];
    const ROLES: &[(&str, Role)] = &[("viewer", Role::Viewer), ("operator", Role::Operator), ("admin", Role::Admin)];
    let each = |(name, t): (AuthorityName, Table<'_>)| {
        let remedy =
            "give the authority's public keys: keys = [\"ssh-ed25519 AAAA…\"], from the .pub file it signs with";
        let keys_item = t.required("keys", remedy);
        if let Some(i) = keys_item.as_ref().filter(|i| i.list().is_empty()) {
            t.report.add(&i.at, format!("`{}` is empty: nothing could be signed", i.label), remedy);
        }
        let keys: Vec<Placed<HostKey>> = keys_item.iter().flat_map(public_keys).collect();
        for k in keys.iter().filter(|k| k.value.expires.is_some() || k.value.networks.is_some()) {
            t.report.add(
                &k.at,
                format!("[{}]: a CA's key has no options", t.label),
                "limits are in the certificates it signs; take it out of the file when it is to be trusted no more",
            );
        }
        for k in keys.iter().filter(|k| is_token(&k.value)) {
            t.report.add(
                &k.at,
                format!("[{}]: a key of a FIDO token is not accepted as a CA's", t.label),
                "use an ed25519 key (ssh-keygen -t ed25519), well kept",
            );
        }
        let remedy = "say what it may vouch for: vouches_for = [\"hosts\"], [\"operators\"] or both";
        let vouches_item = t.required("vouches_for", remedy);
        if let Some(i) = vouches_item.as_ref().filter(|i| i.list().is_empty()) {
            t.report.add(&i.at, format!("`{}` is empty: its certificates would let nobody in", i.label), remedy);
        }
        let vouches: Vec<Vouch> = vouches_item.iter().flat_map(Item::list).filter_map(|i| i.word(VOUCHES)).collect();
        let teams_item = t.item("teams");
        if let Some(i) = teams_item.as_ref().filter(|i| i.list().is_empty()) {
            t.report.add(
                &i.at,
                format!("`{}` is empty: its certificates would let nobody in", i.label),
                "name teams, or leave the key out for all teams",
            );
        }
        let teams = teams_item.map(|i| i.list().iter().filter_map(team_name).collect());
        let max_role = t.item("max_role").and_then(|i| i.word(ROLES)).unwrap_or(Role::Viewer);
        (name, AuthorityEntry { keys, vouches, teams, max_role })
    };
    named::<AuthorityName>(item, "authority", &keys::AUTHORITY).into_iter().map(each).collect()
}

/// `principals` of a host, operator or team.
pub(super) fn principals(t: &Table<'_>) -> Vec<Placed<String>> {
    let read = |i: Item<'_>| {
        let text = i.text("write each principal in quotes")?;
        if text.is_empty() || clean(text, PRINCIPAL_MAX) != text || text.contains(',') {
            t.report.add(
                &i.at,
                format!(
                    "`{}` has a principal that is empty, longer than {PRINCIPAL_MAX} characters, or not plain",
                    i.label
                ),
                "write it as it is given to ssh-keygen -n, one string each",
            );
            return None;
        }
        Some(Placed { at: i.at.clone(), value: text.to_owned() })
    };
    t.item("principals").iter().flat_map(Item::list).filter_map(read).collect()
}

impl People {
    /// Checks authorities and principals against everything else, and adds them to `[trust]`.
    pub(super) fn trust(&self, report: &Report<'_>, mut trust: Trust, keys: &HashMap<String, Principal>) -> Trust {
        for (name, entry) in &self.authorities {
            entry.teams.iter().flatten().for_each(|t| self.known_team(report, &format!("authority {name}"), t));
            for key in &entry.keys {
                let print = &key.value.fingerprint;
                if let Some(owner) = keys.get(print) {
                    report.add(
                        &key.at,
                        format!("the key {print} of authority {name} is also {owner}'s"),
                        "a CA's key signs certificates and nothing else: make one for it (ssh-keygen -t ed25519)",
                    );
                }
                if let Some(other) = trust.cas.insert(print.clone(), name.clone()) {
                    report.add(
                        &key.at,
                        format!("the key {print} of authority {name} is also authority {other}'s"),
                        "a CA's key stands in the file once",
                    );
                }
            }
            trust.authorities.insert(name.clone(), entry.finish());
        }
        self.principals(report, &mut trust);
        self.tokens(report, trust.fido);
        trust
    }

    fn tokens(&self, report: &Report<'_>, fido: Fido) {
        let of_hosts = self.hosts.iter().flat_map(|(_, e)| &e.keys);
        let of_operators = self.operators.iter().flat_map(|(_, e)| &e.keys);
        let tokens = of_hosts.chain(of_operators).filter(|k| is_token(&k.value));
        for k in tokens.filter(|_| fido == Fido::Refuse) {
            report.add(
                &k.at,
                format!("the key {} is a FIDO token's: the SSH library does not show whether it was touched", k.value.fingerprint),
                "make an ed25519 key (ssh-keygen -t ed25519) and put its .pub line here; or accept it as any other key with fido = \"accept-unverified\" in [trust]",
            );
        }
    }

    fn principals(&self, report: &Report<'_>, trust: &mut Trust) {
        let mut seen: HashMap<&str, (String, &Span)> = HashMap::new();
        let hosts =
            self.hosts.iter().map(|(n, e)| (format!("host {n}"), Given::To(Principal::Host(n.clone())), &e.principals));
        let operators = self
            .operators
            .iter()
            .map(|(n, e)| (format!("operator {n}"), Given::To(Principal::Operator(n.clone())), &e.principals));
        let teams = self.teams.iter().map(|(n, e)| (format!("team {n}"), Given::Team(n.clone()), &e.principals));
        for (whose, given, principals) in hosts.chain(operators).chain(teams) {
            for p in principals {
                if let Some((other, place)) = seen.get(p.value.as_str()) {
                    report.add(
                        &p.at,
                        format!("the principal {:?} of {whose} is also {other}'s ({})", p.value, report.line(place)),
                        "a principal stands for one host, operator or team: take it out of one of them",
                    );
                    continue;
                }
                seen.insert(&p.value, (whose.clone(), &p.at));
                match &given {
                    Given::To(who) => drop(trust.principals.insert(p.value.clone(), who.clone())),
                    Given::Team(team) => drop(trust.teams.insert(p.value.clone(), team.clone())),
                }
            }
        }
    }
}

fn is_token(key: &HostKey) -> bool {
    key.algorithm.starts_with("sk-")
}

enum Given {
    To(Principal),
    Team(TeamName),
}

impl AuthorityEntry {
    fn finish(&self) -> Authority {
        Authority {
            keys: self.keys.iter().map(|k| k.value.clone()).collect(),
            hosts: self.vouches.contains(&Vouch::Hosts),
            operators: self.vouches.contains(&Vouch::Operators),
            teams: self.teams.as_ref().map(|ts| ts.iter().map(|t| t.value.clone()).collect()),
            max_role: self.max_role,
        }
    }
}
