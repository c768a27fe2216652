//! Every state that a small ledger can come to, and what must hold in each: a model checker of a hundred lines.
//!
//! Two teams, three hosts, four ports, two configurations; whatever a host or an operator may ask for in a state is asked,
//! and where that leads to a state not seen before, it goes on from there until there is none. Answers are compared with
//! a model that knows nothing of maps and ranges, only of who has which port and why.

use super::*;
use std::collections::HashSet;
use std::path::Path;

const HOSTS: [&str; 3] = ["db", "web", "cam"];
/// Three of team pay, the first of them fixed for db; the last of team iot.
const PORTS: [u16; 4] = [20100, 20101, 20102, 20200];

/// As it stands in the file: under the other configuration port 20102 is no team's, and web is of the other team.
fn config(other: bool) -> Config {
    let key = |n: u8| {
        let pair = ssh_key::private::Ed25519Keypair::from_seed(&[n; 32]);
        let key = ssh_key::PrivateKey::new(ssh_key::private::KeypairData::Ed25519(pair), "").unwrap();
        key.public_key().to_openssh().unwrap()
    };
    let (last, team) = if other { (20101, "iot") } else { (20102, "pay") };
    let text = format!(
        "[teams.pay]\nports = \"20100-{last}\"\n[teams.iot]\nports = \"20200\"\n\
         [hosts.db]\nteam = \"pay\"\nkeys = [\"{}\"]\nports = {{ ssh = 20100 }}\n\
         [hosts.web]\nteam = \"{team}\"\nkeys = [\"{}\"]\n[hosts.cam]\nteam = \"iot\"\nkeys = [\"{}\"]\n",
        key(1),
        key(2),
        key(3)
    );
    Config::parse(&text, Path::new("/etc/portreeve/portreeve.toml")).unwrap()
}

fn team_of(host: usize, other: bool) -> &'static str {
    if host == 2 || (host == 1 && other) { "iot" } else { "pay" }
}
fn is_in(team: &str, nth: usize, other: bool) -> bool {
    if team == "iot" { nth == 3 } else { nth < if other { 2 } else { 3 } }
}

/// A lease as the model has it: whose, of which team, whether the host gets it again when it asks for any, and whether its
/// time is over and nobody has noticed yet.
type Held = (usize, &'static str, bool, bool);

/// All that tells one state from another.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
struct Model {
    other: bool,
    held: [Option<Held>; 4],
    reserved: [bool; 4],
    web_blocked: bool,
    port_blocked: bool,
}

/// The port that is blocked, if one is.
const BLOCKED: usize = 1;

impl Model {
    fn owner(&self, nth: usize) -> Option<Held> {
        if nth == 0 { Some((0, "pay", false, false)) } else { self.held[nth] }
    }
    fn blocked(&self, nth: usize) -> bool {
        self.port_blocked && nth == BLOCKED
    }
    fn is_free(&self, nth: usize) -> bool {
        self.owner(nth).is_none() && !self.reserved[nth] && !self.blocked(nth)
    }
    /// The port a host is given that asks for this one, or for any; whether the lease is new.
    fn asks(&self, host: usize, asked: Option<usize>) -> Option<(usize, bool)> {
        let team = team_of(host, self.other);
        if host == 1 && self.web_blocked {
            return None;
        }
        let good = |nth: usize, of: &str| of == team && is_in(team, nth, self.other);
        match asked {
            Some(nth) => match self.owner(nth) {
                Some((owner, of, _, over)) => {
                    (owner == host && good(nth, of) && !over && !self.blocked(nth)).then_some((nth, false))
                }
                None => (self.is_free(nth) && is_in(team, nth, self.other)).then_some((nth, true)),
            },
            None => {
                let mine =
                    |nth: &usize| matches!(self.held[*nth], Some((h, of, true, false)) if h == host && good(*nth, of));
                let again = (1..4).find(|nth| mine(nth) && !self.blocked(*nth)).map(|nth| (nth, false));
                again.or_else(|| self.next(team).map(|nth| (nth, true)))
            }
        }
    }
    fn next(&self, team: &str) -> Option<usize> {
        (0..4).find(|nth| is_in(team, *nth, self.other) && self.is_free(*nth))
    }
}

fn host(nth: usize) -> HostName {
    HOSTS[nth].parse().unwrap()
}
fn port(nth: usize) -> Port {
    Port::try_from(PORTS[nth]).unwrap()
}
fn nth(port: Port) -> usize {
    PORTS.iter().position(|p| *p == port.get()).unwrap()
}

/// The model of the ledger as it is.
fn seen(l: &Ledger, other: bool) -> Model {
    let mut m = Model { other, ..Model::default() };
    for lease in l.leases.values() {
        let host = HOSTS.iter().position(|h| *h == lease.host.as_str()).unwrap();
        let team = if lease.team.as_str() == "iot" { "iot" } else { "pay" };
        let over = lease.until.is_some_and(|t| t <= now());
        m.held[nth(lease.port)] = Some((host, team, lease.kind == LeaseKind::Sticky, over));
    }
    l.reserved.keys().for_each(|p| m.reserved[nth(*p)] = true);
    m.web_blocked = l.block(&BlockTarget::Host(host(1))).is_some();
    m.port_blocked = l.block(&BlockTarget::Port(port(BLOCKED))).is_some();
    m
}

fn granted(d: &Decision) -> Option<(usize, bool)> {
    match d {
        Decision::Grant { port, fresh, .. } => Some((nth(*port), fresh.is_some())),
        Decision::Refuse { rule } => {
            assert!(!rule.is_empty(), "refused without a rule");
            None
        }
    }
}

/// Asks everything in this state; gives the states it leads to, each with the model's.
fn step(l: &Ledger, m: &Model, configs: &[Config; 2]) -> Vec<(Ledger, Model)> {
    let c = &configs[usize::from(m.other)];
    let mut out = Vec::new();
    let mut go = |changes: Vec<Change>, want: Model| {
        let mut new = l.clone();
        let version = new.version();
        changes.iter().for_each(|change| new.apply(change));
        assert!(changes.is_empty() || new.version() > version);
        assert_eq!(seen(&new, want.other), want, "after {changes:?} in {m:?}");
        out.push((new, want));
    };
    let hold = |nth: usize, held: Option<Held>| {
        let mut new = m.clone();
        new.held[nth] = held;
        new
    };
    for (h, name) in HOSTS.iter().enumerate() {
        let team = team_of(h, m.other);
        // A host asks for any port, or for each.
        for asked in std::iter::once(None).chain((0..4).map(Some)) {
            let number = asked.map_or(0, |nth| u32::from(PORTS[nth]));
            let d = l.decide(c, &host(h), None, number, &|_| false, &|_| false);
            assert_eq!(granted(&d), m.asks(h, asked), "{name} asks for {number} in {m:?}: {d:?}");
            if let Decision::Grant { port, fresh: Some(lease), .. } = d {
                assert!(asked.is_none() || lease.port == port);
                go(vec![Change::PutLease(lease)], hold(nth(port), Some((h, team, asked.is_none(), false))));
            }
        }
        // An operator gives it any port, or each.
        for asked in std::iter::once(None).chain((0..4).map(Some)) {
            let d = l.assign(c, &host(h), asked.map(port), "alice", None, None, &|_| false);
            let want = asked.or_else(|| m.next(team)).filter(|n| m.is_free(*n) && is_in(team, *n, m.other));
            assert_eq!(d.as_ref().ok().map(|l| nth(l.port)), want, "{name} is given {asked:?} in {m:?}: {d:?}");
            if let Ok(lease) = d {
                let at = nth(lease.port);
                go(vec![Change::PutLease(lease)], hold(at, Some((h, team, false, false))));
            }
        }
    }
    for from in 0..4 {
        let held = if from == 0 { None } else { m.held[from] };
        assert_eq!(l.releasable(c, port(from)).is_ok(), held.is_some(), "{from} in {m:?}");
        if held.is_some() {
            go(vec![Change::DropLease(port(from))], hold(from, None));
        }
        // Its time ends; and is noticed, wherever it does.
        if let (Some((h, team, sticky, false)), Some(lease)) = (held, l.stored(port(from))) {
            let ended = LeaseView { until: Some(lease.since), ..lease.clone() };
            go(vec![Change::PutLease(ended)], hold(from, Some((h, team, sticky, true))));
        }
        for to in std::iter::once(None).chain((0..4).map(Some)) {
            let d = l.moved(c, port(from), to.map(port), "alice", None, &|_| false);
            let want = held.and_then(|(_, team, ..)| {
                to.or_else(|| m.next(team)).filter(|n| m.is_free(*n) && is_in(team, *n, m.other))
            });
            assert_eq!(d.as_ref().ok().map(|l| nth(l.port)), want, "{from} is moved to {to:?} in {m:?}: {d:?}");
            if let Ok(lease) = d {
                let mut new = hold(from, None);
                new.held[nth(lease.port)] = held;
                go(vec![Change::DropLease(port(from)), Change::PutLease(lease)], new);
            }
        }
        let free =
            m.owner(from).is_none() && !m.blocked(from) && is_in(if from == 3 { "iot" } else { "pay" }, from, m.other);
        let reservable = l.reservable(c, port(from));
        assert_eq!(reservable.is_ok(), free, "{from} is reserved in {m:?}: {reservable:?}");
        let mut new = m.clone();
        new.reserved[from] = !m.reserved[from];
        if m.reserved[from] {
            go(vec![Change::DropReservation(port(from))], new);
        } else if let Ok(team) = reservable {
            let until = now() + chrono::TimeDelta::hours(1);
            let (by, reason) = ("alice".to_owned(), "a reason".to_owned());
            let r = ReservationView { port: port(from), team, by, since: now(), until, reason };
            go(vec![Change::PutReservation(r)], new);
        }
    }
    let mut over: Vec<usize> = l.over(now()).iter().map(|lease| nth(lease.port)).collect();
    over.sort_unstable();
    let want: Vec<usize> = (0..4).filter(|n| m.held[*n].is_some_and(|(.., over)| over)).collect();
    assert_eq!(over, want, "over in {m:?}");
    let mut new = m.clone();
    over.iter().for_each(|n| new.held[*n] = None);
    go(over.iter().map(|n| Change::DropLease(port(*n))).collect(), new);
    let block = |target: BlockTarget, is: bool| {
        let put = RevocationView { target: target.clone(), by: "alice".into(), since: now(), reason: None };
        vec![if is { Change::DropRevocation(target) } else { Change::PutRevocation(put) }]
    };
    let web = block(BlockTarget::Host(host(1)), m.web_blocked);
    go(web, Model { web_blocked: !m.web_blocked, ..m.clone() });
    let one = block(BlockTarget::Port(port(BLOCKED)), m.port_blocked);
    go(one, Model { port_blocked: !m.port_blocked, ..m.clone() });
    go(vec![], Model { other: !m.other, ..m.clone() });
    out
}

/// What holds in every state, whatever led there.
fn holds(l: &Ledger, m: &Model, c: &Config) {
    let all = l.all(c);
    for (n, number) in PORTS.iter().enumerate() {
        let of = |lease: &LeaseView| lease.host == host(m.owner(n).unwrap().0);
        assert_eq!(all.contains_key(&port(n)), m.owner(n).is_some());
        assert!(all.get(&port(n)).is_none_or(of), "a port is another's in {m:?}");
        // Two hosts never both may have a port.
        let may =
            |h: &usize| granted(&l.decide(c, &host(*h), None, (*number).into(), &|_| false, &|_| false)).is_some();
        let who: Vec<usize> = (0..HOSTS.len()).filter(may).collect();
        assert!(m.owner(n).is_none() || who.len() <= 1, "port {n} is {who:?}'s in {m:?}");
    }
    // What the ledger keeps beside the leases, to look sticky ones up by host, is what they say.
    let mut sticky: HashMap<HostName, BTreeSet<Port>> = HashMap::new();
    for lease in l.leases.values().filter(|l| l.kind == LeaseKind::Sticky) {
        sticky.entry(lease.host.clone()).or_default().insert(lease.port);
    }
    assert_eq!(l.sticky, sticky);
    let ends: BTreeSet<(Time, Port)> = l.leases.values().filter_map(|l| Some((l.until?, l.port))).collect();
    assert_eq!(l.ends, ends);
    // As saved and read again it is the same.
    let saved = Saved {
        leases: l.leases.values().cloned().collect(),
        revocations: l.blocks().cloned().collect(),
        reservations: l.reservations().cloned().collect(),
        ..Saved::default()
    };
    assert_eq!(seen(&Ledger::new(saved), m.other), *m);
}

#[test]
fn in_every_state_a_ledger_can_come_to_each_port_has_one_owner_within_its_teams_ranges() {
    let configs = [config(false), config(true)];
    let mut known = HashSet::from([Model::default()]);
    let mut open = vec![(Ledger::default(), Model::default())];
    let mut steps = 0;
    while let Some((l, m)) = open.pop() {
        holds(&l, &m, &configs[usize::from(m.other)]);
        for (new, model) in step(&l, &m, &configs) {
            steps += 1;
            if known.insert(model.clone()) {
                open.push((new, model));
            }
        }
    }
    assert!(known.len() > 1_000 && steps > 10_000, "{} states, {steps} steps: something is not asked", known.len());
}
