//! A board that is brought up to date after each thing that happens shows what one made from scratch shows.

use super::*;
use crate::audit::Journal;
use crate::config::Principal;
use crate::model::{Obituary, ObituaryCause, SessionKind};
use crate::store::{Change, SqliteStore, StoreHandle};
use crate::tunnels::{Mailbox, Said, Vital};
use proptest::prelude::*;
use std::path::Path;
use tempfile::TempDir;
use tokio::sync::mpsc;

const HOSTS: usize = 3;
/// Two fixed ports for each host, and a few that are asked for.
const PORTS: u16 = 10;
const FIRST: u16 = 20_100;

/// Something that happens.
#[derive(Debug, Clone)]
enum Op {
    SignIn {
        host: usize,
    },
    /// Of the sessions there are, by turn.
    SignOut {
        nth: usize,
    },
    Forward {
        nth: usize,
        port: u16,
    },
    Cancel {
        nth: usize,
    },
    Bytes {
        nth: usize,
        touched: bool,
    },
    Heard {
        nth: usize,
    },
    Checked {
        nth: usize,
        failing: bool,
    },
    Refused {
        host: usize,
    },
    Assign {
        host: usize,
        port: u16,
    },
    Release {
        port: u16,
    },
    BlockHost {
        host: usize,
    },
    BlockPort {
        port: u16,
    },
    Lift {
        host: usize,
        port: u16,
    },
    /// With or without the last host.
    Reload {
        all: bool,
    },
    Look,
}

fn op() -> impl Strategy<Value = Op> {
    let (host, port, nth) = (0..HOSTS, FIRST..FIRST + PORTS, 0..6_usize);
    prop_oneof![
        3 => host.clone().prop_map(|host| Op::SignIn { host }),
        1 => nth.clone().prop_map(|nth| Op::SignOut { nth }),
        4 => (nth.clone(), port.clone()).prop_map(|(nth, port)| Op::Forward { nth, port }),
        1 => nth.clone().prop_map(|nth| Op::Cancel { nth }),
        2 => (nth.clone(), any::<bool>()).prop_map(|(nth, touched)| Op::Bytes { nth, touched }),
        1 => nth.clone().prop_map(|nth| Op::Heard { nth }),
        2 => (nth, any::<bool>()).prop_map(|(nth, failing)| Op::Checked { nth, failing }),
        1 => host.clone().prop_map(|host| Op::Refused { host }),
        2 => (host.clone(), port.clone()).prop_map(|(host, port)| Op::Assign { host, port }),
        1 => port.clone().prop_map(|port| Op::Release { port }),
        1 => host.clone().prop_map(|host| Op::BlockHost { host }),
        1 => port.clone().prop_map(|port| Op::BlockPort { port }),
        1 => (host, port).prop_map(|(host, port)| Op::Lift { host, port }),
        1 => any::<bool>().prop_map(|all| Op::Reload { all }),
        4 => Just(Op::Look),
    ]
}

fn config(all: bool) -> Config {
    let mut text = format!("[teams.pay]\nports = \"{FIRST}-{}\"\n", FIRST + PORTS - 1);
    for n in 0..if all { HOSTS } else { HOSTS - 1 } {
        let pair = ssh_key::private::Ed25519Keypair::from_seed(&[u8::try_from(n + 1).unwrap(); 32]);
        let key = ssh_key::PrivateKey::new(ssh_key::private::KeypairData::Ed25519(pair), "").unwrap();
        let key = key.public_key().to_openssh().unwrap();
        let first = FIRST + u16::try_from(n).unwrap() * 2;
        text.push_str(&format!(
            "[hosts.h{n}]\nteam = \"pay\"\nkeys = [\"{key}\"]\nports = {{ a = {first}, b = {} }}\n",
            first + 1
        ));
    }
    Config::parse(&text, Path::new("/etc/portreeve/portreeve.toml")).unwrap()
}

fn name(host: usize) -> HostName {
    format!("h{host}").parse().unwrap()
}

fn port(n: u16) -> Port {
    Port::try_from(n).unwrap()
}

fn block(target: BlockTarget) -> Change {
    Change::PutRevocation(RevocationView { target, by: "alice".into(), since: now(), reason: None })
}

/// A registry without a server.
struct World {
    registry: Arc<Registry>,
    configs: [Arc<Config>; 2],
    _ups: mpsc::UnboundedReceiver<Arc<Tunnel>>,
    _dir: TempDir,
}

impl World {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let journal = Journal::open(&dir.path().join("audit")).unwrap();
        let (store, saved) = StoreHandle::start(SqliteStore::open(&dir.path().join("ledger.sqlite")).unwrap()).unwrap();
        let configs = [Arc::new(config(false)), Arc::new(config(true))];
        let (up, ups) = mpsc::unbounded_channel();
        let registry = Registry::new(Arc::clone(&configs[1]), journal, store, saved, up);
        Self { registry, configs, _ups: ups, _dir: dir }
    }

    fn session(&self, nth: usize) -> Option<Arc<Session>> {
        let all = self.registry.sessions();
        (!all.is_empty()).then(|| Arc::clone(&all[nth % all.len()]))
    }

    fn tunnel(&self, nth: usize) -> Option<Arc<Tunnel>> {
        let all = self.registry.tunnels();
        (!all.is_empty()).then(|| Arc::clone(&all[nth % all.len()]))
    }

    fn sign_in(&self, host: usize) {
        let config = self.registry.config();
        let mine = |p: &Principal| matches!(p, Principal::Host(h) if *h == name(host));
        let Some(fingerprint) = config.keys.iter().find(|(_, p)| mine(p)).map(|(f, _)| f.clone()) else { return };
        let session = Session {
            id: SessionId::new(),
            kind: SessionKind::Host,
            name: name(host).to_string(),
            host: Some(name(host)),
            team: config.hosts.get(&name(host)).map(|h| h.team.clone()),
            role: None,
            user: "tunnel".into(),
            source: ([192, 0, 2, 7], 40_000).into(),
            credential: Box::new(crate::tunnels::Credential { fingerprint, ..Default::default() }),
            client: "OpenSSH_9.2".into(),
            algorithms: None,
            since: now(),
            vital: Arc::new(Vital::default()),
            orders: Mailbox::default(),
            over: Said::default(),
        };
        // Refused where its host or key is blocked.
        let _ = self.registry.session_begins(Arc::new(session));
    }

    async fn forward(&self, session: &Arc<Session>, asked: u16) {
        // A port of another session of the host would be probed for, which takes its time.
        if self.registry.tunnel(port(asked)).is_some() {
            return;
        }
        let Ok(grant) = self.registry.request_forward(session, "localhost", asked.into()).await else { return };
        let listen = vec![([127, 0, 0, 1], asked).into()];
        let tunnel = Tunnel::new(grant.lease.clone(), Arc::clone(session), listen);
        let _ = self.registry.tunnel_begins(grant, Arc::new(tunnel));
    }

    async fn sign_out(&self, session: &Session) {
        let obituary = Obituary::of(ObituaryCause::ClientDisconnect);
        for t in self.registry.tunnels_of(session.id) {
            self.registry.tunnel_ends(&t, &obituary);
        }
        self.registry.session_ends(session, &obituary).await;
    }

    fn apply(&self, change: &Change) {
        self.registry.state().ledger.apply(change);
        self.registry.announce();
    }

    async fn happen(&self, op: &Op) {
        match *op {
            Op::SignIn { host } => self.sign_in(host),
            Op::SignOut { nth } => {
                if let Some(s) = self.session(nth) {
                    self.sign_out(&s).await;
                }
            }
            Op::Forward { nth, port } => {
                if let Some(s) = self.session(nth) {
                    self.forward(&s, port).await;
                }
            }
            Op::Cancel { nth } => {
                if let Some(t) = self.tunnel(nth) {
                    self.registry.tunnel_ends(&t, &Obituary::of(ObituaryCause::ClientCancel));
                }
            }
            Op::Bytes { nth, touched } => {
                if let Some(t) = self.tunnel(nth) {
                    t.tally.to_host.fetch_add(7, Ordering::Relaxed);
                    t.visitors_total.fetch_add(1, Ordering::Relaxed);
                    if touched {
                        self.registry.touch();
                    }
                }
            }
            Op::Heard { nth } => {
                if let Some(s) = self.session(nth) {
                    s.vital.received(5);
                    s.vital.measured(Duration::from_millis(3));
                }
            }
            Op::Checked { nth, failing } => {
                if let Some(t) = self.tunnel(nth) {
                    t.health.lock().unwrap().verdict = if failing { Verdict::Failing } else { Verdict::Passing };
                    self.registry.tunnel_changed(t.port());
                }
            }
            Op::Refused { host } => self.registry.note_refusal(&name(host), "the port is outside", None),
            Op::Assign { host, port: p } => {
                let config = self.registry.config();
                let lease = self.registry.state().ledger.assign(
                    &config,
                    &name(host),
                    Some(port(p)),
                    "alice",
                    None,
                    None,
                    &|_| false,
                );
                if let Ok(lease) = lease {
                    self.apply(&Change::PutLease(lease));
                }
            }
            Op::Release { port: p } => {
                if self.registry.tunnel(port(p)).is_none() {
                    self.apply(&Change::DropLease(port(p)));
                }
            }
            Op::BlockHost { host } => self.apply(&block(BlockTarget::Host(name(host)))),
            Op::BlockPort { port: p } => self.apply(&block(BlockTarget::Port(port(p)))),
            Op::Lift { host, port: p } => {
                self.apply(&Change::DropRevocation(BlockTarget::Host(name(host))));
                self.apply(&Change::DropRevocation(BlockTarget::Port(port(p))));
            }
            Op::Reload { all } => drop(self.registry.swap_config(&self.configs[usize::from(all)])),
            Op::Look => {}
        }
    }
}

type Shown = (Vec<TunnelView>, Vec<SessionView>, Vec<TeamView>);

/// All rows, without the revisions.
fn shown(board: &Board) -> Shown {
    let none = Revision::default();
    (
        board.tunnels_since(none).map(|t| TunnelView { revision: none, ..t.clone() }).collect(),
        board.sessions_since(none).map(|s| SessionView { revision: none, ..s.clone() }).collect(),
        board.teams().to_vec(),
    )
}

/// A console's copy: what it was sent, put over what it had.
#[derive(Default)]
struct Copy {
    tunnels: BTreeMap<Port, TunnelView>,
    sessions: BTreeMap<SessionId, SessionView>,
    at: Revision,
}

impl Copy {
    fn take(&mut self, board: &Board) {
        board.tunnels_gone_since(self.at).for_each(|p| drop(self.tunnels.remove(&p)));
        board.sessions_gone_since(self.at).for_each(|s| drop(self.sessions.remove(&s)));
        self.tunnels.extend(board.tunnels_since(self.at).map(|t| (t.lease.port, t.clone())));
        self.sessions.extend(board.sessions_since(self.at).map(|s| (s.id, s.clone())));
        self.at = board.revision();
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn a_board_kept_up_to_date_is_as_one_made_from_scratch(ops in prop::collection::vec(op(), 1..40)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let world = World::new();
        let (mut board, mut copy) = (Board::default(), Copy::default());
        for op in ops.iter().chain([&Op::Look]) {
            runtime.block_on(world.happen(op));
            if matches!(op, Op::Look) {
                // What is only counted is shown after the next touch, as it is by the desk's clock.
                world.registry.touch();
                board.refresh(&world.registry);
                copy.take(&board);
                let mut anew = Board::default();
                world.registry.state().dirty.all = true;
                anew.refresh(&world.registry);
                prop_assert_eq!(shown(&board), shown(&anew));
                let copied: (Vec<_>, Vec<_>) = (copy.tunnels.values().collect(), copy.sessions.values().collect());
                let all = Revision::default();
                prop_assert_eq!(copied, (board.tunnels_since(all).collect(), board.sessions_since(all).collect()));
            }
        }
    }
}
