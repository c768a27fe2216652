//! Approvals beside a disk that is slow, refuses or hangs.

use super::lifecycle::END_WAIT;
use super::order_tests::{CONFIGS, alice, host, proved, public_key, session, unknown};
use super::*;
use crate::audit::Journal;
use crate::model::{Approval, SessionId, now};
use crate::store::{Change, Saved, Store, StoreError, StoreHandle};
use chrono::TimeDelta;
use std::sync::Arc;
use tokio::sync::mpsc;

/// A disk that tells what it is asked to write, and then does as it is told.
struct Slow {
    asked: mpsc::UnboundedSender<Vec<Change>>,
    answers: std::sync::mpsc::Receiver<Result<(), StoreError>>,
}

impl Store for Slow {
    fn load(&mut self) -> Result<Saved, StoreError> {
        Ok(Saved::default())
    }
    fn apply(&mut self, changes: &[Change]) -> Result<(), StoreError> {
        let _ = self.asked.send(changes.to_vec());
        // When the test is over it no longer hangs.
        self.answers.recv().unwrap_or(Ok(()))
    }
}

struct Rig {
    registry: Arc<Registry>,
    asked: mpsc::UnboundedReceiver<Vec<Change>>,
    disk: std::sync::mpsc::Sender<Result<(), StoreError>>,
    _ups: mpsc::UnboundedReceiver<Arc<Tunnel>>,
    _dir: tempfile::TempDir,
}

impl Rig {
    fn new(approvals: Vec<Approval>) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let journal = Journal::open(&dir.path().join("audit")).unwrap();
        let (tell, asked) = mpsc::unbounded_channel();
        let (disk, answers) = std::sync::mpsc::channel();
        let (store, _) = StoreHandle::start(Slow { asked: tell, answers }).unwrap();
        let (up, _ups) = mpsc::unbounded_channel();
        let saved = Saved { approvals, ..Saved::default() };
        let registry = Registry::new(Arc::clone(&CONFIGS[0]), journal, store, saved, up);
        Self { registry, asked, disk, _ups, _dir: dir }
    }
    /// A client proves the unknown key.
    fn proves(&self) {
        let credential = Credential { fingerprint: unknown(), ..Credential::default() };
        self.registry.note_pending(&credential, proved(), SessionId::new());
    }
    fn approves(&self, name: &'static str) -> tokio::task::JoinHandle<Result<Done, ActError>> {
        let registry = Arc::clone(&self.registry);
        tokio::spawn(async move { registry.approve(alice(), &unknown(), &host(name), None, None).await })
    }
    async fn told(&self) -> Vec<&'static str> {
        self.registry.journal.flush().await.unwrap();
        self.registry.journal.recent(None, 100).iter().map(|r| r.event.name()).collect()
    }
}

#[tokio::test]
async fn an_approval_is_in_the_journal_before_the_ledger_and_nobody_else_approves_it_meanwhile() {
    let mut rig = Rig::new(Vec::new());
    rig.proves();
    let first = rig.approves("db");
    let asked = rig.asked.recv().await.unwrap();
    assert!(matches!(asked.as_slice(), [Change::PutApproval(a)] if a.fingerprint == unknown()), "{asked:?}");
    assert_eq!(rig.told().await, ["key.pending", "key.approved"]);
    assert!(!rig.registry.config().keys.contains_key(&unknown()), "it is in force before it is saved");
    // While it is written its client comes again, and somebody gives it to another host.
    rig.proves();
    assert!(rig.registry.pending().is_empty(), "a key that is being approved is pending again");
    let second = rig.approves("web").await.unwrap();
    assert!(matches!(&second, Err(ActError::Conflict(why)) if why.contains("is being approved")), "{second:?}");
    // The disk does not take it: it never held, and the journal says so.
    rig.disk.send(Err(StoreError::Stopped)).unwrap();
    let first = first.await.unwrap();
    assert!(matches!(first, Err(ActError::Store(_))), "{first:?}");
    assert_eq!(rig.told().await, ["key.pending", "key.approved", "key.unapproved"]);
    assert!(rig.registry.approvals().is_empty() && rig.registry.pending().len() == 1);
    // And then it can be approved.
    rig.disk.send(Ok(())).unwrap();
    rig.approves("web").await.unwrap().unwrap();
    assert_eq!(rig.registry.approval(&unknown()).unwrap().host, host("web"));
    assert_eq!(rig.told().await.last(), Some(&"key.approved"));
}

#[tokio::test(start_paused = true)]
async fn approvals_that_end_together_are_cut_together_beside_clients_that_do_not_listen_and_a_disk_that_hangs() {
    let until = Some(now() + TimeDelta::hours(1));
    let approval = |n: u8| {
        let key = public_key(n);
        let fingerprint = key.fingerprint(ssh_key::HashAlg::Sha256).to_string();
        let (key, by) = (key.to_openssh().unwrap(), "alice".to_owned());
        Approval { fingerprint, key, host: host("db"), by, since: now(), until, reason: None }
    };
    let all: Vec<_> = (10..20).map(approval).collect();
    let mut rig = Rig::new(all.clone());
    // Nobody serves them: they are deaf to the end.
    let sessions: Vec<_> = all.iter().map(|a| session("db", a.fingerprint.clone())).collect();
    for s in &sessions {
        rig.registry.session_begins(Arc::clone(s)).unwrap();
    }
    let began = tokio::time::Instant::now();
    rig.registry.approvals_over(now() + TimeDelta::hours(2)).await;
    assert!(began.elapsed() < END_WAIT * 3, "one after the other: {:?}", began.elapsed());
    assert!(sessions.iter().all(|s| s.vital.is_poisoned()), "a session lives by an approval that is over");
    assert_eq!(rig.told().await, ["key.unapproved"; 10]);
    assert!(rig.registry.approvals().is_empty());
    // Its disk has not answered once.
    assert!(rig.asked.recv().await.is_some());
}
