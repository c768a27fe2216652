//! The registry under acts that meet: every pair of them, in every order in which they can take its lock.
//!
//! What must hold afterwards is said in [`World::judge`]. How often threads are made to wait for one another in a run is
//! bounded; `PORTREEVE_WAITS=3` allows more than usual, which takes minutes.

use super::turns::{every_order, point};
use super::*;
use crate::audit::{Actor, Journal};
use crate::config::{Config, Principal};
use crate::model::{
    Approval, BlockTarget, HostName, Obituary, ObituaryCause, PendingKey, Port, SessionId, SessionKind, now,
};
use crate::store::{Change, Saved, Store, StoreError, StoreHandle};
use std::collections::BTreeMap;
use std::future::poll_fn;
use std::path::Path;
use std::sync::{Arc, LazyLock, Mutex};
use std::task::Poll;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::mpsc;

pub(super) fn public_key(n: u8) -> ssh_key::PublicKey {
    let pair = ssh_key::private::Ed25519Keypair::from_seed(&[n; 32]);
    let key = ssh_key::PrivateKey::new(ssh_key::private::KeypairData::Ed25519(pair), "").unwrap();
    key.public_key().clone()
}

/// The key that nobody has at first.
pub(super) fn unknown() -> String {
    public_key(5).fingerprint(ssh_key::HashAlg::Sha256).to_string()
}

/// As in the file, and after a reload that takes port 20102 from the team and its only key from host cam, and gives the
/// unknown key to host db.
fn config(other: bool) -> Config {
    let key = |n: u8| public_key(n).to_openssh().unwrap();
    let more = if other { format!(", \"{}\"", key(5)) } else { String::new() };
    let text = format!(
        "[trust]\npending = true\n[teams.pay]\nports = \"20100-{}\"\n\
         [hosts.db]\nteam = \"pay\"\nkeys = [\"{}\"{more}]\nports = {{ ssh = 20100 }}\n\
         [hosts.web]\nteam = \"pay\"\nkeys = [\"{}\"]\n[hosts.cam]\nteam = \"pay\"\nkeys = [\"{}\"]\n",
        if other { 20101 } else { 20102 },
        key(1),
        key(2),
        key(if other { 4 } else { 3 })
    );
    Config::parse(&text, Path::new("/etc/portreeve/portreeve.toml")).unwrap()
}

pub(super) static CONFIGS: LazyLock<[Arc<Config>; 2]> =
    LazyLock::new(|| [false, true].map(|other| Arc::new(config(other))));
/// What live sessions and tunnels are owned by.
static RUNTIME: LazyLock<Runtime> =
    LazyLock::new(|| Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap());

/// A disk that can refuse: the ledger as it would be read after a restart.
#[derive(Clone, Default)]
struct Disk(Arc<Mutex<OnDisk>>);

#[derive(Default)]
struct OnDisk {
    ledger: Ledger,
    approvals: BTreeMap<String, Approval>,
    /// Writes until one fails.
    fails_at: Option<usize>,
}

impl Store for Disk {
    fn load(&mut self) -> Result<Saved, StoreError> {
        Ok(Saved::default())
    }
    fn apply(&mut self, changes: &[Change]) -> Result<(), StoreError> {
        let mut disk = self.0.lock().unwrap();
        match &mut disk.fails_at {
            Some(0) => {
                disk.fails_at = None;
                return Err(StoreError::Stopped);
            }
            Some(n) => *n -= 1,
            None => {}
        }
        for c in changes {
            disk.ledger.apply(c);
            match c {
                Change::PutApproval(a) => drop(disk.approvals.insert(a.fingerprint.clone(), a.clone())),
                Change::DropApproval(key) => drop(disk.approvals.remove(key)),
                _ => {}
            }
        }
        Ok(())
    }
}

pub(super) fn host(name: &str) -> HostName {
    name.parse().unwrap()
}
fn port(n: u16) -> Port {
    Port::try_from(n).unwrap()
}
pub(super) fn alice() -> By {
    By { actor: Actor::Operator("alice".into()), via: None, proposed_by: None }
}

/// A session of a host that this key has signed in.
pub(super) fn session(name: &str, fingerprint: String) -> Arc<Session> {
    Arc::new(Session {
        id: SessionId::new(),
        kind: SessionKind::Host,
        name: name.to_owned(),
        host: Some(host(name)),
        team: Some("pay".parse().unwrap()),
        role: None,
        user: "tunnel".into(),
        source: ([192, 0, 2, 7], 40_000).into(),
        credential: Box::new(Credential { fingerprint, ..Default::default() }),
        client: "OpenSSH_9.2".into(),
        algorithms: None,
        since: now(),
        vital: Arc::new(Vital::default()),
        orders: Mailbox::default(),
        over: Said::default(),
    })
}
/// The unknown key, as a client has proved it.
pub(super) fn proved() -> PendingKey {
    let at = now();
    PendingKey {
        fingerprint: unknown(),
        key: public_key(5).to_openssh().unwrap(),
        user: "db".into(),
        source: ([192, 0, 2, 7], 40_000).into(),
        client: "OpenSSH_9.2".into(),
        first: at,
        last: at,
        count: 1,
        known: true,
    }
}

/// What somebody does.
#[derive(Debug, Clone, Copy)]
enum Act {
    /// The host's newest session asks for a port.
    Asks(&'static str, u16),
    /// The same, but another program listens there.
    AsksInVain(&'static str, u16),
    Leaves(&'static str),
    Assign(&'static str, u16),
    /// For an hour.
    Lend(&'static str, u16),
    /// That hour is over.
    Over,
    Move(u16, u16),
    Release(u16),
    Reserve(u16),
    RevokeHost(&'static str),
    RestoreHost(&'static str),
    RevokePort(u16),
    RestorePort(u16),
    /// A client proves the unknown key.
    Proves,
    Approve(&'static str),
    Unapprove,
    Dismiss,
    Reload,
}

const ACTS: [Act; 18] = [
    Act::Asks("web", 20101),
    Act::Asks("db", 20102),
    Act::Asks("cam", 0),
    Act::Asks("cam", 20102),
    Act::AsksInVain("db", 20102),
    Act::Leaves("web"),
    Act::Assign("db", 20102),
    Act::Assign("cam", 20101),
    Act::Lend("cam", 20102),
    Act::Over,
    Act::Move(20101, 20102),
    Act::Release(20101),
    Act::Reserve(20102),
    Act::RevokeHost("web"),
    Act::RestoreHost("cam"),
    Act::RevokePort(20101),
    Act::RestorePort(20101),
    Act::Reload,
];

/// Those that are about a key that nobody has.
const KEY_ACTS: [Act; 6] =
    [Act::Proves, Act::Approve("db"), Act::Approve("web"), Act::Unapprove, Act::Dismiss, Act::Reload];

struct World {
    registry: Arc<Registry>,
    disk: Disk,
    live: Mutex<Vec<Arc<Tunnel>>>,
    _ups: mpsc::UnboundedReceiver<Arc<Tunnel>>,
}

impl World {
    /// Each host has a session, web two, the older with a tunnel on 20101.
    fn new(journal: &Journal, store: &StoreHandle, disk: &Disk) -> Arc<Self> {
        *disk.0.lock().unwrap() = OnDisk::default();
        let (up, _ups) = mpsc::unbounded_channel();
        let registry = Registry::new(Arc::clone(&CONFIGS[0]), journal.clone(), store.clone(), Saved::default(), up);
        let me = Arc::new(Self { registry, disk: disk.clone(), live: Mutex::default(), _ups });
        me.signs_in("web");
        RUNTIME.block_on(me.happens(Act::Asks("web", 20101)));
        ["db", "web", "cam"].iter().for_each(|h| me.signs_in(h));
        me
    }

    fn signs_in(self: &Arc<Self>, name: &str) {
        let keys = &self.registry.config().keys;
        let mine = |p: &Principal| matches!(p, Principal::Host(h) if h.as_str() == name);
        let fingerprint = keys.iter().find(|(_, p)| mine(p)).map(|(f, _)| f.clone()).unwrap();
        let session = session(name, fingerprint);
        self.registry.session_begins(Arc::clone(&session)).unwrap();
        let registry = Arc::clone(&self.registry);
        RUNTIME.spawn(async move {
            let orders = session.orders.reader();
            let poisoned = poll_fn(|cx| {
                session.vital.wait_read(cx.waker());
                if session.vital.is_poisoned() { Poll::Ready(()) } else { Poll::Pending }
            });
            tokio::pin!(poisoned);
            loop {
                tokio::select! {
                    () = &mut poisoned => break,
                    order = orders.next() => match order {
                        // It is deaf.
                        Order::Ping(_) => {}
                        Order::Goodbye => break,
                    },
                }
            }
            let why = session.vital.cause().unwrap_or(Obituary::of(ObituaryCause::ClientDisconnect));
            registry.session_ends(&session, &why).await;
        });
    }

    fn begins(self: &Arc<Self>, grant: Grant, session: &Arc<Session>) {
        let listen = vec![([127, 0, 0, 1], grant.lease.port.get()).into()];
        let tunnel = Arc::new(Tunnel::new(grant.lease.clone(), Arc::clone(session), listen));
        if self.registry.tunnel_begins(grant, Arc::clone(&tunnel)).is_err() {
            return;
        }
        {
            let mut live = self.live.lock().unwrap();
            live.retain(|t| t.released.heard().is_none());
            let other = live.iter().find(|t| t.port() == tunnel.port());
            assert!(other.is_none(), "two live tunnels of port {}", tunnel.port());
            live.push(Arc::clone(&tunnel));
        }
        let registry = Arc::clone(&self.registry);
        RUNTIME.spawn(async move {
            let why = tunnel.stop.wait().await.clone();
            registry.tunnel_ends(&tunnel, &why);
        });
    }

    async fn happens(self: &Arc<Self>, act: Act) {
        let r = &self.registry;
        let newest = |name: &str| r.sessions_of(&host(name)).last().cloned();
        // What cannot be done is refused, which is as good.
        match act {
            Act::Asks(name, p) => {
                let Some(s) = newest(name) else { return };
                if let Ok(grant) = r.request_forward(&s, "localhost", p.into()).await {
                    point();
                    self.begins(grant, &s);
                }
            }
            Act::AsksInVain(name, p) => {
                let Some(s) = newest(name) else { return };
                if let Ok(grant) = r.request_forward(&s, "localhost", p.into()).await {
                    r.abandon(grant).await;
                }
            }
            Act::Leaves(name) => {
                for s in r.sessions_of(&host(name)) {
                    s.end(Obituary::of(ObituaryCause::ClientDisconnect));
                    s.ended().await;
                }
            }
            Act::Assign(name, p) => drop(r.assign(alice(), &host(name), Some(port(p)), None, None, None).await),
            Act::Lend(name, p) => {
                let until = Some(now() + chrono::TimeDelta::hours(1));
                drop(r.assign(alice(), &host(name), Some(port(p)), None, until, None).await);
            }
            Act::Over => r.leases_over(now() + chrono::TimeDelta::hours(2)).await,
            Act::Move(from, to) => drop(r.move_lease(alice(), port(from), Some(port(to)), None).await),
            Act::Release(p) => drop(r.release(alice(), port(p), None).await),
            Act::Reserve(p) => {
                let until = now() + chrono::TimeDelta::hours(1);
                drop(r.reserve(alice(), port(p), until, "a reason".into()).await);
            }
            Act::RevokeHost(name) => drop(r.revoke(alice(), BlockTarget::Host(host(name)), None).await),
            Act::RestoreHost(name) => drop(r.restore(alice(), BlockTarget::Host(host(name))).await),
            Act::RevokePort(p) => drop(r.revoke(alice(), BlockTarget::Port(port(p)), None).await),
            Act::RestorePort(p) => drop(r.restore(alice(), BlockTarget::Port(port(p))).await),
            Act::Proves => {
                let credential = Credential { fingerprint: unknown(), ..Credential::default() };
                r.note_pending(&credential, proved(), SessionId::new());
            }
            Act::Approve(name) => drop(r.approve(alice(), &unknown(), &host(name), None, None).await),
            Act::Unapprove => drop(r.unapprove(alice(), &unknown(), None).await),
            Act::Dismiss => drop(r.dismiss(alice(), &unknown()).await),
            Act::Reload => drop(r.apply_config(Arc::clone(&CONFIGS[1])).await),
        }
    }

    /// What must hold once all has come to rest. `alike`: the disk has no reason not to have what memory has.
    fn judge(self: &Arc<Self>, alike: bool) {
        let config = self.registry.config();
        for t in self.registry.tunnels() {
            let p = t.port();
            let state = self.registry.state();
            let lease = state.ledger.lease(&config, p).unwrap_or_else(|| panic!("{p} is live and nobody's"));
            assert_eq!(lease.host, t.lease.host, "{p} is live and another's");
            let stale = ledger::stale(&config, &lease);
            assert!(stale.is_none(), "{p} is live outside its team's ranges: {stale:?}");
            assert!(state.ledger.block(&BlockTarget::Port(p)).is_none(), "{p} is live and revoked");
        }
        for s in self.registry.sessions() {
            let holder = s.holder().unwrap();
            let barred = self.registry.blocked(&s.credential, &holder);
            assert!(barred.is_none() || s.vital.is_ending(), "a session is live and barred: {barred:?}");
        }
        // An end in time waits for no disk; what it wrote is there when this is.
        RUNTIME.block_on(self.registry.store.apply(Vec::new())).ok();
        let state = self.registry.state();
        assert!(state.pending.is_empty(), "ports are held for nobody: {:?}", state.pending);
        let (mine, saved) = (entries(&state.ledger), entries(&self.disk.0.lock().unwrap().ledger));
        drop(state);
        let approved: BTreeMap<_, _> =
            self.registry.approvals().into_iter().map(|a| (a.fingerprint.clone(), a)).collect();
        if alike {
            assert_eq!(approved, self.disk.0.lock().unwrap().approvals, "the disk has other approvals than memory");
        }
        for (key, a) in &approved {
            let whose = config.keys.get(key).unwrap_or_else(|| panic!("{key} is approved, and nobody's"));
            let of_file = config.written(key).is_some_and(|who| *who != Principal::Host(a.host.clone()));
            assert!(*whose == Principal::Host(a.host.clone()) || of_file, "{key} is {whose}'s");
        }
        assert!(config.approved.keys().all(|k| approved.contains_key(k)), "a key is in force that nobody approved");
        assert!(self.registry.pending().iter().all(|k| !config.keys.contains_key(&k.fingerprint)));
        // A block that could not be saved holds all the same, and is said to be unsaved.
        if alike && self.registry.unsaved_blocks() == 0 {
            assert_eq!(mine, saved, "the disk has another ledger than memory");
        }
        // And nothing is left behind: all leave, all is lifted and released, and any port can be had by anybody.
        RUNTIME.block_on(async {
            self.happens(Act::Unapprove).await;
            for name in ["db", "web", "cam"] {
                self.happens(Act::Leaves(name)).await;
                self.happens(Act::RestoreHost(name)).await;
            }
            for p in [20101, 20102] {
                self.happens(Act::RestorePort(p)).await;
                self.happens(Act::Release(p)).await;
                // The lease; then the reservation, if there is one.
                self.happens(Act::Release(p)).await;
            }
        });
        let state = self.registry.state();
        assert!(state.tunnels.is_empty() && state.carried.is_empty() && state.sessions.is_empty());
        assert!(state.by_host.is_empty() && state.expiring.is_empty() && state.unsaved.is_empty());
        assert!(entries(&state.ledger).is_empty(), "{:?}", entries(&state.ledger));
        let free = state.ledger.next_free(&config, &"pay".parse().unwrap(), &|_| false);
        assert_eq!(free, Some(port(20101)));
    }
}

/// Leases, blocks and reservations, told apart by whose they are.
fn entries(l: &Ledger) -> BTreeMap<String, String> {
    let leases = [20100, 20101, 20102].into_iter().filter_map(|p| l.stored(port(p)));
    let leases = leases.map(|x| (format!("lease {}", x.port), format!("{} {}", x.host, x.kind)));
    let blocks = l.blocks().map(|b| (b.target.to_string(), b.by.clone()));
    let reserved = l.reservations().map(|r| (format!("reserved {}", r.port), r.by.clone()));
    leases.chain(blocks).chain(reserved).collect()
}

/// Tries these acts in every order, after those that came before.
fn meet(before: &[Act], acts: &[Act], fails_at: Option<usize>, waits: usize) -> usize {
    thread_local! {
        static PLACE: (tempfile::TempDir, Journal, StoreHandle, Disk) = {
            let dir = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
            let (journal, disk) = (Journal::open(&dir.path().join("audit")).unwrap(), Disk::default());
            let (store, _) = StoreHandle::start(disk.clone()).unwrap();
            (dir, journal, store, disk)
        };
    }
    PLACE.with(|(_, journal, store, disk)| {
        every_order(waits, |take_turns| {
            let world = World::new(journal, store, disk);
            before.iter().for_each(|act| RUNTIME.block_on(world.happens(*act)));
            disk.0.lock().unwrap().fails_at = fails_at;
            let thread = |act: &Act| {
                let (world, act) = (Arc::clone(&world), *act);
                Box::new(move || RUNTIME.handle().block_on(world.happens(act))) as Box<dyn FnOnce() + Send>
            };
            take_turns(acts.iter().map(thread).collect());
            // A lease of no use, which could not be taken back, is told in the log; the next start has it again. One whose
            // time is over, which could not be forgotten, is over again then. So is an approval that a reload has ended.
            let approves = before.iter().chain(acts).any(|a| matches!(a, Act::Approve(_)));
            let told_only =
                |a: &Act| matches!(a, Act::AsksInVain(..) | Act::Over) || approves && matches!(a, Act::Reload);
            let in_vain = acts.iter().any(told_only);
            let failed = fails_at.is_some() && disk.0.lock().unwrap().fails_at.take().is_none();
            let told = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| world.judge(!failed || !in_vain)));
            assert!(told.is_ok(), "after {before:?}: {acts:?}, of the writes fails {fails_at:?}");
        })
    })
}

fn waits(usual: usize) -> usize {
    std::env::var("PORTREEVE_WAITS").ok().and_then(|n| n.parse().ok()).unwrap_or(usual)
}

/// Each pair of those about a key.
fn key_pairs() -> impl Iterator<Item = [Act; 2]> {
    KEY_ACTS.iter().enumerate().flat_map(|(n, a)| KEY_ACTS[n..].iter().map(|b| [*a, *b]))
}

fn pairs() -> impl Iterator<Item = [Act; 2]> {
    ACTS.iter().enumerate().flat_map(|(n, a)| ACTS[n..].iter().map(|b| [*a, *b]))
}

#[test]
fn whatever_two_acts_meet_no_port_has_two_owners_and_the_disk_has_what_memory_has() {
    let orders: usize = pairs().map(|acts| meet(&[], &acts, None, waits(2))).sum();
    assert!(orders > 1_000, "{orders}");
}

#[test]
fn the_same_where_something_is_revoked_already() {
    let before = [Act::RevokeHost("cam"), Act::RevokePort(20101)];
    let orders: usize = pairs().map(|acts| meet(&before, &acts, None, waits(1))).sum();
    assert!(orders > 500, "{orders}");
}

#[test]
fn the_same_where_a_lease_is_until_a_time() {
    let before = [Act::Lend("cam", 20102), Act::Asks("cam", 20102)];
    let orders: usize = pairs().map(|acts| meet(&before, &acts, None, waits(1))).sum();
    assert!(orders > 500, "{orders}");
}

#[test]
fn the_same_when_a_write_fails() {
    let mut orders = 0;
    for acts in pairs() {
        for fails_at in [0, 1] {
            orders += meet(&[], &acts, Some(fails_at), waits(1));
        }
    }
    assert!(orders > 500, "{orders}");
}

#[test]
fn a_key_is_in_force_for_whom_it_was_approved_last_and_the_disk_has_the_same() {
    let mut orders = 0;
    for before in [&[][..], &[Act::Proves], &[Act::Proves, Act::Approve("db")], &[Act::Proves, Act::Approve("web")]] {
        for acts in key_pairs() {
            orders += meet(before, &acts, None, waits(2));
            orders += meet(before, &acts, Some(0), waits(1));
        }
    }
    assert!(orders > 300, "{orders}");
}
