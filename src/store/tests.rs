//! The ledger over restarts, crashes and damage.

use super::*;
use crate::model::{LeaseKind, Time};
use rusqlite::Connection;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

fn port(n: u16) -> Port {
    n.try_into().unwrap()
}

fn at(millis: i64) -> Time {
    Time::from_timestamp_millis(millis).unwrap()
}

fn lease(n: u16) -> LeaseView {
    LeaseView {
        port: port(n),
        host: "pay-db".parse().unwrap(),
        team: "결제".parse().unwrap(),
        service: Some("ssh".to_owned()),
        kind: LeaseKind::Sticky,
        since: at(1_795_219_190_123),
        until: Some(at(1_795_300_000_000)),
        by: "alice".to_owned(),
        reason: Some("it's \"quoted\"; DROP TABLE lease".to_owned()),
    }
}

fn block(target: BlockTarget) -> RevocationView {
    RevocationView { target, by: "alice".to_owned(), since: at(1_795_219_190_000), reason: None }
}

fn ledger() -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("state/ledger.sqlite");
    (dir, path)
}

fn load(path: &Path) -> Saved {
    SqliteStore::open(path).unwrap().load().unwrap()
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn what_was_saved_is_there_after_reopening_and_drops_are_dropped() {
    let (_dir, path) = ledger();
    let targets = [
        BlockTarget::Host("pay-db".parse().unwrap()),
        BlockTarget::Key("SHA256:abc".to_owned()),
        BlockTarget::Port(port(20100)),
    ];
    let mut bare = lease(20101);
    (bare.service, bare.until, bare.reason, bare.kind) = (None, None, None, LeaseKind::Assigned);
    let mut store = SqliteStore::open(&path).unwrap();
    assert_eq!(store.load().unwrap(), Saved::default());
    let mut changes = vec![Change::PutLease(lease(20100)), Change::PutLease(bare.clone()), Change::PutLease(lease(7))];
    changes.extend(targets.iter().cloned().map(block).map(Change::PutRevocation));
    store.apply(&changes).unwrap();
    drop(store);
    assert_eq!(load(&path).leases, [lease(7), lease(20100), bare.clone()]);
    assert_eq!(load(&path).revocations, targets.clone().map(block));

    let mut moved = lease(20100);
    moved.host = "web-1".parse().unwrap();
    let changes = [
        Change::PutLease(moved.clone()),
        Change::DropLease(port(7)),
        Change::DropLease(port(9)),
        Change::DropRevocation(targets[1].clone()),
    ];
    SqliteStore::open(&path).unwrap().apply(&changes).unwrap();
    let saved = load(&path);
    assert_eq!(saved.leases, [moved, bare]);
    assert_eq!(saved.revocations, [block(targets[0].clone()), block(targets[2].clone())]);
}

#[test]
fn the_file_and_its_log_are_for_the_daemon_alone() {
    let (_dir, path) = ledger();
    let mut store = SqliteStore::open(&path).unwrap();
    store.apply(&[Change::PutLease(lease(20100))]).unwrap();
    assert_eq!(mode(path.parent().unwrap()), 0o700);
    for suffix in ["", "-wal", "-shm"] {
        assert_eq!(mode(&PathBuf::from(format!("{}{suffix}", path.display()))), 0o600, "{suffix}");
    }
    drop(store);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    drop(SqliteStore::open(&path).unwrap());
    assert_eq!(mode(&path), 0o600, "an older, open file is closed");
}

#[test]
fn commits_are_fsynced_into_a_write_ahead_log() {
    let (_dir, path) = ledger();
    let store = SqliteStore::open(&path).unwrap();
    let pragma = |name: &str| store.pragma(name);
    assert_eq!(pragma("journal_mode"), "wal");
    assert_eq!(pragma("synchronous"), "2");
    assert_eq!(pragma("busy_timeout"), "5000");
    assert_eq!(pragma("user_version"), "6");
}

#[test]
fn a_crash_keeps_what_was_applied_and_nothing_of_what_was_not() {
    let (dir, path) = ledger();
    let mut store = SqliteStore::open(&path).unwrap();
    store.apply(&[Change::PutLease(lease(20100))]).unwrap();
    store.begin_and_leave(&[Change::PutLease(lease(20101)), Change::DropLease(port(20100))]);
    // As a kill leaves them: file and log as they are now, no connection closed.
    let copy = dir.path().join("copy.sqlite");
    for suffix in ["", "-wal"] {
        fs::copy(format!("{}{suffix}", path.display()), format!("{}{suffix}", copy.display())).unwrap();
    }
    assert_eq!(load(&copy).leases, [lease(20100)]);
    drop(store);
    assert_eq!(load(&path).leases, [lease(20100)]);
}

#[test]
fn changes_are_saved_all_or_none() {
    let (_dir, path) = ledger();
    let mut store = SqliteStore::open(&path).unwrap();
    store.apply(&[Change::PutLease(lease(20100))]).unwrap();
    Connection::open(&path)
        .unwrap()
        .execute_batch(
            "CREATE TRIGGER full BEFORE INSERT ON revocation BEGIN SELECT RAISE(ABORT, 'the disk is full'); END",
        )
        .unwrap();
    let changes = [
        Change::PutLease(lease(20101)),
        Change::DropLease(port(20100)),
        Change::PutRevocation(block(BlockTarget::Port(port(20100)))),
    ];
    let error = store.apply(&changes).unwrap_err().to_string();
    assert!(error.contains("ledger.sqlite") && error.contains("the disk is full"), "{error}");
    assert_eq!(store.load().unwrap().leases, [lease(20100)]);
    store.apply(&[Change::PutLease(lease(20102))]).unwrap();
    assert_eq!(load(&path).leases, [lease(20100), lease(20102)], "the store works on after a refusal");
}

#[test]
fn a_ledger_of_a_newer_version_is_refused_and_left_as_it_is() {
    let (_dir, path) = ledger();
    drop(SqliteStore::open(&path).unwrap());
    Connection::open(&path).unwrap().pragma_update(None, "user_version", 99).unwrap();
    let error = SqliteStore::open(&path).err().unwrap();
    assert!(matches!(error, StoreError::Newer { found: 99, known: 6, .. }), "{error}");
    assert!(error.to_string().contains("newer portreeve (layout 99, this one knows up to 6)"), "{error}");
    let version: i64 = Connection::open(&path).unwrap().pragma_query_value(None, "user_version", |r| r.get(0)).unwrap();
    assert_eq!(version, 99);
}

#[test]
fn a_file_that_is_no_database_is_named_with_the_remedy() {
    let (_dir, path) = ledger();
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, "this is not a database, however long one looks at it. ".repeat(100)).unwrap();
    let error = SqliteStore::open(&path).err().unwrap().to_string();
    assert!(error.contains("ledger.sqlite cannot be used: file is not a database"), "{error}");
    assert!(error.contains("pragma integrity_check"), "{error}");
}

#[test]
fn a_damaged_page_is_found_on_opening() {
    let (_dir, path) = ledger();
    let mut store = SqliteStore::open(&path).unwrap();
    let changes: Vec<_> = (20000..20400).map(|n| Change::PutLease(lease(n))).collect();
    store.apply(&changes).unwrap();
    drop(store);
    let mut bytes = fs::read(&path).unwrap();
    let pages = bytes.len() / 4096;
    assert!(pages > 6, "{pages} pages");
    bytes[5 * 4096..6 * 4096].fill(0x5a);
    fs::write(&path, bytes).unwrap();
    let error = SqliteStore::open(&path).err().unwrap();
    assert!(matches!(error, StoreError::Damaged { .. }), "{error}");
    assert!(error.to_string().contains("ledger.sqlite is damaged"), "{error}");
}

#[test]
fn a_row_that_cannot_be_read_names_itself_and_how_to_drop_it() {
    let insert = "INSERT INTO lease VALUES (20100,'pay-db','pay',NULL,'sticky','2026-11-21T10:00:00Z',NULL,'a',NULL)";
    for (sql, wanted) in [
        ("UPDATE lease SET port = 65558", "the lease of port 65558: 65558 is not a TCP port"),
        ("UPDATE lease SET host = '-x'", "the lease of port 20100: host \"-x\": a name must begin with a letter"),
        ("UPDATE lease SET kind = 'eternal'", "the lease of port 20100: \"eternal\" is not a kind of lease"),
        ("UPDATE lease SET until = 'tomorrow'", "the lease of port 20100: until \"tomorrow\" is not a time"),
        (
            "INSERT INTO revocation VALUES ('moon','x','a','2026-11-21T10:00:00Z',NULL)",
            "the block of moon \"x\": \"moon\" is not a kind of block",
        ),
    ] {
        let (_dir, path) = ledger();
        let mut store = SqliteStore::open(&path).unwrap();
        let outside = Connection::open(&path).unwrap();
        outside.execute_batch(insert).unwrap();
        outside.execute_batch(sql).unwrap();
        let error = store.load().unwrap_err().to_string();
        assert!(error.contains(wanted), "{error}");
        // The remedy works as written.
        let remedy = error.split('\'').find(|s| s.starts_with("DELETE")).unwrap();
        outside.execute_batch(remedy).unwrap();
        store.load().unwrap();
    }
}

#[test]
fn an_expired_lease_is_given_back_with_its_end_for_the_ledger_to_judge() {
    let (_dir, path) = ledger();
    let mut old = lease(20100);
    old.until = Some(at(1_000));
    SqliteStore::open(&path).unwrap().apply(&[Change::PutLease(old.clone())]).unwrap();
    assert_eq!(load(&path).leases, [old]);
}

#[tokio::test]
async fn the_handle_saves_in_order_and_refuses_after_closing() {
    let (_dir, path) = ledger();
    let (handle, saved) = StoreHandle::start(SqliteStore::open(&path).unwrap()).unwrap();
    assert_eq!(saved, Saved::default());
    let other = handle.clone();
    handle.apply(vec![Change::PutLease(lease(20100)), Change::PutLease(lease(20101))]).await.unwrap();
    assert_eq!(load(&path).leases.len(), 2, "saved when it resolves");
    other.apply(vec![Change::DropLease(port(20101))]).await.unwrap();
    handle.close();
    handle.close();
    assert!(matches!(other.apply(vec![]).await, Err(StoreError::Stopped)));
    let (_handle, saved) = StoreHandle::start(SqliteStore::open(&path).unwrap()).unwrap();
    assert_eq!(saved.leases, [lease(20100)]);
}

#[tokio::test]
async fn a_refused_change_is_told_to_its_caller_only() {
    let (_dir, path) = ledger();
    let store = SqliteStore::open(&path).unwrap();
    Connection::open(&path)
        .unwrap()
        .execute_batch(
            "CREATE TRIGGER no BEFORE INSERT ON lease WHEN NEW.port = 1 BEGIN SELECT RAISE(ABORT, 'no'); END",
        )
        .unwrap();
    let (handle, _) = StoreHandle::start(store).unwrap();
    let (bad, good) =
        tokio::join!(handle.apply(vec![Change::PutLease(lease(1))]), handle.apply(vec![Change::PutLease(lease(2))]));
    assert!(matches!(bad, Err(StoreError::Database { .. })));
    good.unwrap();
    assert_eq!(load(&path).leases, [lease(2)]);
}

#[test]
fn mutes_are_kept_with_their_teams_and_a_ledger_of_the_first_layout_gets_their_table() {
    let (_dir, path) = ledger();
    let mute = |incident: &str, teams: Option<&[&str]>| Mute {
        incident: incident.to_owned(),
        by: "alice".to_owned(),
        since: at(1_795_219_190_000),
        until: at(1_795_300_000_000),
        reason: "기다리는 중".to_owned(),
        teams: teams.map(|ts| ts.iter().map(|t| t.parse().unwrap()).collect()),
    };
    let all = [mute("host-gone:a", None), mute("host-gone:b", Some(&["결제", "iot"])), mute("host-gone:c", Some(&[]))];
    let mut store = SqliteStore::open(&path).unwrap();
    store.apply(&[Change::PutLease(lease(20_100))]).unwrap();
    // As the version before left it.
    store.execute(
        "DROP TABLE mute; DROP TABLE reservation; DROP TABLE key_use; DROP TABLE granted; DROP TABLE approval; \
         PRAGMA user_version = 1",
    );
    drop(store);
    let mut store = SqliteStore::open(&path).unwrap();
    store.apply(&all.clone().map(Change::PutMute)).unwrap();
    let again = Mute { reason: "later".to_owned(), ..all[0].clone() };
    store.apply(&[Change::PutMute(again.clone()), Change::DropMute("host-gone:c".to_owned())]).unwrap();
    drop(store);
    let saved = load(&path);
    assert_eq!(saved.leases, [lease(20_100)]);
    assert_eq!(saved.mutes, [all[1].clone(), again]);
}

#[test]
fn reservations_are_there_after_reopening_and_the_port_is_their_key() {
    let (_dir, path) = ledger();
    let reserved = |n: u16, by: &str| ReservationView {
        port: port(n),
        team: "결제".parse().unwrap(),
        by: by.to_owned(),
        since: at(1_795_219_190_123),
        until: at(1_795_300_000_000),
        reason: "it's for the \"new\" database".to_owned(),
    };
    let mut store = SqliteStore::open(&path).unwrap();
    let put = [reserved(20100, "alice"), reserved(20101, "alice"), reserved(20100, "bob")].map(Change::PutReservation);
    store.apply(&put).unwrap();
    drop(store);
    assert_eq!(load(&path).reservations, [reserved(20100, "bob"), reserved(20101, "alice")]);
    SqliteStore::open(&path).unwrap().apply(&[Change::DropReservation(port(20100))]).unwrap();
    assert_eq!(load(&path).reservations, [reserved(20101, "alice")]);
}

#[test]
fn the_use_of_keys_is_kept_and_a_key_that_is_gone_is_forgotten() {
    let (_dir, path) = ledger();
    let used = |key: &str, last: Option<i64>| crate::model::KeyUse {
        fingerprint: key.to_owned(),
        since: at(1_795_219_190_000),
        last: last.map(at),
        source: last.map(|_| "[2001:db8::7]:40000".parse().unwrap()),
        uses: u64::from(last.is_some()),
    };
    let mut store = SqliteStore::open(&path).unwrap();
    let (a, b) = (used("SHA256:a", Some(1_795_300_000_000)), used("SHA256:b", None));
    store.apply(&[Change::PutKeyUse(used("SHA256:a", None)), Change::PutKeyUse(b)]).unwrap();
    store.apply(&[Change::PutKeyUse(a.clone()), Change::DropKeyUse("SHA256:b".to_owned())]).unwrap();
    drop(store);
    assert_eq!(load(&path).key_uses, [a]);
}

#[test]
fn grants_of_both_kinds_are_there_after_reopening_and_one_that_cannot_be_read_is_named() {
    use crate::model::{GrantView, Granted, Role};
    let (_dir, path) = ledger();
    let grant = |id: &str, what: Granted| GrantView {
        id: id.parse().unwrap(),
        what,
        by: "alice".to_owned(),
        since: at(1_795_219_190_123),
        until: at(1_795_300_000_000),
        reason: "it's the on-call week".to_owned(),
    };
    let operator = || "bob".parse().unwrap();
    let teams = Some(vec!["결제".parse().unwrap(), "iot".parse().unwrap()]);
    let network = "2001:db8::/48".parse().unwrap();
    let all = [
        grant("g1", Granted::Role { operator: operator(), role: Role::Admin, teams: None }),
        grant("g2", Granted::Role { operator: operator(), role: Role::Operator, teams }),
        grant("g3", Granted::Visitors { team: "결제".parse().ok(), port: None, network }),
        grant("g4", Granted::Visitors { team: "결제".parse().ok(), port: Some(port(20100)), network }),
    ];
    let mut store = SqliteStore::open(&path).unwrap();
    store.apply(&all.clone().map(Change::PutGrant)).unwrap();
    drop(store);
    assert_eq!(load(&path).grants, all);
    let mut store = SqliteStore::open(&path).unwrap();
    store.apply(&[Change::DropGrant(all[1].id), Change::DropGrant(all[2].id)]).unwrap();
    assert_eq!(store.load().unwrap().grants, [all[0].clone(), all[3].clone()]);
    store.execute("UPDATE granted SET role = 'king' WHERE grant_id = 'g1'");
    let error = store.load().unwrap_err().to_string();
    assert!(error.contains("the grant \"g1\": \"king\" is not a role"), "{error}");
}

#[test]
fn approvals_are_there_after_reopening_and_a_ledger_without_their_table_gets_it() {
    let (_dir, path) = ledger();
    let approval = |key: &str, until: Option<i64>| Approval {
        fingerprint: key.to_owned(),
        key: "ssh-ed25519 AAAA".to_owned(),
        host: "pay-db".parse().unwrap(),
        by: "alice".to_owned(),
        since: at(1_795_219_190_123),
        until: until.map(at),
        reason: until.map(|_| "it's \"new\"".to_owned()),
    };
    let store = SqliteStore::open(&path).unwrap();
    // As the version before left it.
    store.execute("DROP TABLE approval; PRAGMA user_version = 5");
    drop(store);
    let mut store = SqliteStore::open(&path).unwrap();
    let (a, b) = (approval("SHA256:a", None), approval("SHA256:b", Some(1_795_300_000_000)));
    store.apply(&[Change::PutApproval(approval("SHA256:b", None)), Change::PutApproval(a)]).unwrap();
    store.apply(&[Change::PutApproval(b.clone()), Change::DropApproval("SHA256:a".to_owned())]).unwrap();
    drop(store);
    assert_eq!(load(&path).approvals, [b]);
}
