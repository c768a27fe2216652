//! The embedded store: one SQLite file, `ledger.sqlite`, in the state folder.

use super::{Change, Saved, Store, StoreError};
use crate::model::{
    Approval, BlockTarget, GrantView, Granted, KeyUse, LeaseKind, LeaseView, Mute, Port, ReservationView,
    RevocationView, TeamName, Time,
};
use chrono::SecondsFormat;
use rusqlite::{Connection, ErrorCode, Row, Transaction, TransactionBehavior, params};
use std::fs::{self, DirBuilder, OpenOptions, Permissions};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The steps from an empty file to the newest layout. `user_version` tells how many a file has behind it. Never change
/// one that has been released: add another.
const MIGRATIONS: [&str; 6] = [
    "
    CREATE TABLE lease (
        port    INTEGER PRIMARY KEY,
        host    TEXT NOT NULL,
        team    TEXT NOT NULL,
        service TEXT,
        kind    TEXT NOT NULL,
        since   TEXT NOT NULL,
        until   TEXT,
        by      TEXT NOT NULL,
        reason  TEXT
    ) STRICT;
    CREATE TABLE revocation (
        kind    TEXT NOT NULL,
        value   TEXT NOT NULL,
        by      TEXT NOT NULL,
        since   TEXT NOT NULL,
        reason  TEXT,
        PRIMARY KEY (kind, value)
    ) STRICT;
",
    "
    CREATE TABLE mute (
        incident TEXT PRIMARY KEY,
        by       TEXT NOT NULL,
        since    TEXT NOT NULL,
        until    TEXT NOT NULL,
        reason   TEXT NOT NULL,
        teams    TEXT
    ) STRICT;
",
    "
    CREATE TABLE reservation (
        port   INTEGER PRIMARY KEY,
        team   TEXT NOT NULL,
        by     TEXT NOT NULL,
        since  TEXT NOT NULL,
        until  TEXT NOT NULL,
        reason TEXT NOT NULL
    ) STRICT;
",
    "
    CREATE TABLE key_use (
        fingerprint TEXT PRIMARY KEY,
        since       TEXT NOT NULL,
        last        TEXT,
        source      TEXT,
        uses        INTEGER NOT NULL
    ) STRICT;
",
    "
    CREATE TABLE granted (
        grant_id TEXT PRIMARY KEY,
        kind     TEXT NOT NULL,
        operator TEXT,
        role     TEXT,
        teams    TEXT,
        team     TEXT,
        port     INTEGER,
        network  TEXT,
        by       TEXT NOT NULL,
        since    TEXT NOT NULL,
        until    TEXT NOT NULL,
        reason   TEXT NOT NULL
    ) STRICT;
",
    "
    CREATE TABLE approval (
        fingerprint TEXT PRIMARY KEY,
        key         TEXT NOT NULL,
        host        TEXT NOT NULL,
        by          TEXT NOT NULL,
        since       TEXT NOT NULL,
        until       TEXT,
        reason      TEXT
    ) STRICT;
",
];

/// Columns of a grant.
const GRANT: &str = "grant_id, kind, operator, role, teams, team, port, network, by, since, until, reason";

/// How long a reader from outside (`sqlite3`, a backup) may hold us up.
const BUSY: Duration = Duration::from_secs(5);

/// Rows named in one error.
const ODD_ROWS_NAMED: usize = 5;

/// What must survive, in SQLite: write-ahead log, fsynced at every commit (`synchronous=FULL`).
pub struct SqliteStore {
    path: PathBuf,
    db: Connection,
}

impl SqliteStore {
    /// Opens the file, made if it is not there (mode 0600, its folder 0700), and brings it to the newest layout.
    ///
    /// # Errors
    /// [`StoreError::File`] when it cannot be made, [`StoreError::Database`] and [`StoreError::Damaged`] when it is no
    /// sound database, [`StoreError::Newer`] when a newer portreeve wrote it.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        make_private(path).map_err(|source| StoreError::File { path: path.display().to_string(), source })?;
        let failed = |source| sqlite_error(path, source);
        let mut db = Connection::open(path).map_err(failed)?;
        prepare(&db).map_err(failed)?;
        let damage = damage(&db).map_err(failed)?;
        if !damage.is_empty() {
            return Err(StoreError::Damaged { path: path.display().to_string(), what: damage });
        }
        let known = known_layout();
        let found = migrate(&mut db).map_err(failed)?;
        if found > known {
            return Err(StoreError::Newer { path: path.display().to_string(), found, known });
        }
        Ok(Self { path: path.to_owned(), db })
    }

    fn failed(&self) -> impl Fn(rusqlite::Error) -> StoreError + use<> {
        let path = self.path.clone();
        move |source| sqlite_error(&path, source)
    }

    /// Every row of a table, or the name of each that cannot be read. One odd row stops the start: a block that is
    /// silently left out would let somebody in.
    fn rows<T>(&self, table: &str, columns: &str, read: impl Fn(&Row<'_>) -> Odd<T>) -> Result<Vec<T>, StoreError> {
        let failed = self.failed();
        let sql = format!("SELECT {columns}, rowid AS id FROM {table} ORDER BY rowid");
        let mut statement = self.db.prepare(&sql).map_err(&failed)?;
        let mut rows = statement.query([]).map_err(&failed)?;
        let (mut good, mut odd) = (Vec::new(), Vec::new());
        while let Some(row) = rows.next().map_err(&failed)? {
            match read(row) {
                Ok(t) => good.push(t),
                Err(what) => {
                    let id: i64 = row.get("id").map_err(&failed)?;
                    odd.push(format!(
                        "{what} (to drop it, with the daemon stopped: sqlite3 {} 'DELETE FROM {table} WHERE rowid = {id}')",
                        self.path.display()
                    ));
                }
            }
        }
        if odd.is_empty() {
            return Ok(good);
        }
        let more = odd.len().saturating_sub(ODD_ROWS_NAMED);
        odd.truncate(ODD_ROWS_NAMED);
        if more > 0 {
            odd.push(format!("and {more} more"));
        }
        Err(StoreError::Row { path: self.path.display().to_string(), what: odd.join("; ") })
    }
}

impl Store for SqliteStore {
    fn load(&mut self) -> Result<Saved, StoreError> {
        Ok(Saved {
            leases: self.rows("lease", "port, host, team, service, kind, since, until, by, reason", read_lease)?,
            revocations: self.rows("revocation", "kind, value, by, since, reason", read_revocation)?,
            mutes: self.rows("mute", "incident, by, since, until, reason, teams", read_mute)?,
            reservations: self.rows("reservation", "port, team, by, since, until, reason", read_reservation)?,
            grants: self.rows("granted", GRANT, read_grant)?,
            key_uses: self.rows("key_use", "fingerprint, since, last, source, uses", read_key_use)?,
            approvals: self.rows("approval", "fingerprint, key, host, by, since, until, reason", read_approval)?,
        })
    }

    fn apply(&mut self, changes: &[Change]) -> Result<(), StoreError> {
        let failed = self.failed();
        let tx = self.db.transaction_with_behavior(TransactionBehavior::Immediate).map_err(&failed)?;
        for change in changes {
            apply_one(&tx, change).map_err(&failed)?;
        }
        tx.commit().map_err(&failed)
    }
}

fn sqlite_error(path: &Path, source: rusqlite::Error) -> StoreError {
    let path = path.display().to_string();
    if source.sqlite_error_code() == Some(ErrorCode::DatabaseCorrupt) {
        StoreError::Damaged { path, what: source.to_string() }
    } else {
        StoreError::Database { path, source }
    }
}

/// SQLite gives its -wal and -shm files the mode of the main file, so that one is made before SQLite sees it.
fn make_private(path: &Path) -> std::io::Result<()> {
    if let Some(dir) = path.parent().filter(|d| !d.as_os_str().is_empty()) {
        DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
    }
    OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(path)?;
    fs::set_permissions(path, Permissions::from_mode(0o600))
}

fn prepare(db: &Connection) -> rusqlite::Result<()> {
    db.busy_timeout(BUSY)?;
    db.pragma_update(None, "journal_mode", "WAL")?;
    db.pragma_update(None, "synchronous", "FULL")
}

/// What SQLite's own check finds, in its words; empty when the file is sound.
fn damage(db: &Connection) -> rusqlite::Result<String> {
    let mut statement = db.prepare("PRAGMA quick_check(3)")?;
    let words: Vec<String> = statement.query_map([], |r| r.get(0))?.collect::<rusqlite::Result<_>>()?;
    Ok(if words == ["ok"] { String::new() } else { words.join("; ") })
}

fn known_layout() -> i64 {
    i64::try_from(MIGRATIONS.len()).unwrap_or(i64::MAX)
}

/// Takes the missing steps, all or none. Returns the layout the file has then, which is above ours when it is too new.
fn migrate(db: &mut Connection) -> rusqlite::Result<i64> {
    let tx = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let found: i64 = tx.pragma_query_value(None, "user_version", |r| r.get(0))?;
    for step in MIGRATIONS.iter().skip(usize::try_from(found).unwrap_or(0)) {
        tx.execute_batch(step)?;
    }
    let now = found.max(known_layout());
    if found < now {
        tx.pragma_update(None, "user_version", now)?;
    }
    tx.commit()?;
    Ok(now)
}

fn apply_one(tx: &Transaction<'_>, change: &Change) -> rusqlite::Result<()> {
    match change {
        Change::PutLease(l) => tx.execute(
            "INSERT OR REPLACE INTO lease (port, host, team, service, kind, since, until, by, reason)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
            params![
                l.port.get(),
                l.host.as_str(),
                l.team.as_str(),
                l.service,
                l.kind.word(),
                write_time(l.since),
                l.until.map(write_time),
                l.by,
                l.reason
            ],
        ),
        Change::DropLease(port) => tx.execute("DELETE FROM lease WHERE port = ?1", [port.get()]),
        Change::PutRevocation(r) => tx.execute(
            "INSERT OR REPLACE INTO revocation (kind, value, by, since, reason) VALUES (?1, ?2, ?3, ?4, ?5)",
            params![r.target.kind(), r.target.value(), r.by, write_time(r.since), r.reason],
        ),
        Change::DropRevocation(t) => {
            tx.execute("DELETE FROM revocation WHERE kind = ?1 AND value = ?2", [t.kind(), &t.value()])
        }
        Change::PutMute(m) => tx.execute(
            "INSERT OR REPLACE INTO mute (incident, by, since, until, reason, teams) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            params![
                m.incident,
                m.by,
                write_time(m.since),
                write_time(m.until),
                m.reason,
                m.teams.as_ref().map(|ts| ts.iter().map(|t| t.as_str()).collect::<Vec<_>>().join(" "))
            ],
        ),
        Change::DropMute(incident) => tx.execute("DELETE FROM mute WHERE incident = ?1", [incident]),
        Change::PutReservation(r) => tx.execute(
            "INSERT OR REPLACE INTO reservation (port, team, by, since, until, reason) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            params![r.port.get(), r.team.as_str(), r.by, write_time(r.since), write_time(r.until), r.reason],
        ),
        Change::PutKeyUse(u) => tx.execute(
            "INSERT OR REPLACE INTO key_use (fingerprint, since, last, source, uses) VALUES (?1, ?2, ?3, ?4, ?5)",
            params![
                u.fingerprint,
                write_time(u.since),
                u.last.map(write_time),
                u.source.map(|s| s.to_string()),
                i64::try_from(u.uses).unwrap_or(i64::MAX)
            ],
        ),
        Change::PutGrant(g) => put_grant(tx, g),
        Change::DropGrant(id) => tx.execute("DELETE FROM granted WHERE grant_id = ?1", [id.to_string()]),
        Change::DropKeyUse(key) => tx.execute("DELETE FROM key_use WHERE fingerprint = ?1", [key]),
        Change::PutApproval(a) => tx.execute(
            "INSERT OR REPLACE INTO approval (fingerprint, key, host, by, since, until, reason)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            params![
                a.fingerprint,
                a.key,
                a.host.as_str(),
                a.by,
                write_time(a.since),
                a.until.map(write_time),
                a.reason
            ],
        ),
        Change::DropApproval(key) => tx.execute("DELETE FROM approval WHERE fingerprint = ?1", [key]),
        Change::DropReservation(port) => tx.execute("DELETE FROM reservation WHERE port = ?1", [port.get()]),
    }
    .map(drop)
}

fn put_grant(tx: &Transaction<'_>, g: &GrantView) -> rusqlite::Result<usize> {
    let words = |teams: &[TeamName]| teams.iter().map(|t| t.as_str()).collect::<Vec<_>>().join(" ");
    let (kind, operator, role, teams, team, port, network) = match &g.what {
        Granted::Role { operator, role, teams } => {
            ("role", Some(operator.as_str()), Some(role.to_string()), teams.as_deref().map(words), None, None, None)
        }
        Granted::Visitors { team, port, network } => {
            let team = team.as_ref().map(TeamName::as_str);
            ("visitors", None, None, None, team, port.map(Port::get), Some(network.to_string()))
        }
    };
    let (id, since, until) = (g.id.to_string(), write_time(g.since), write_time(g.until));
    tx.execute(
        &format!("INSERT OR REPLACE INTO granted ({GRANT}) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)"),
        params![id, kind, operator, role, teams, team, port, network, g.by, since, until, g.reason],
    )
}

fn read_grant(row: &Row<'_>) -> Odd<GrantView> {
    let id: String = get(row, "grant_id")?;
    let named = |what: String| format!("the grant {id:?}: {what}");
    let some = |column: &str| -> Odd<String> {
        get::<Option<String>>(row, column)?.ok_or_else(|| format!("{column} is missing"))
    };
    let read = || -> Odd<GrantView> {
        let what = match get::<String>(row, "kind")?.as_str() {
            "role" => Granted::Role {
                operator: some("operator")?.parse().map_err(|e| format!("operator: {e}"))?,
                role: some("role")?.parse()?,
                teams: get::<Option<String>>(row, "teams")?.map(|t| read_teams(&t)).transpose()?,
            },
            "visitors" => Granted::Visitors {
                team: Some(some("team")?.parse().map_err(|e| format!("team: {e}"))?),
                port: get::<Option<i64>>(row, "port")?.map(read_port).transpose()?,
                network: some("network")?.parse().map_err(|e| format!("network: {e}"))?,
            },
            other => return Err(format!("{other:?} is not a kind of grant (role, visitors)")),
        };
        Ok(GrantView {
            id: id.parse()?,
            what,
            by: get(row, "by")?,
            since: read_time("since", &get::<String>(row, "since")?)?,
            until: read_time("until", &get::<String>(row, "until")?)?,
            reason: get(row, "reason")?,
        })
    };
    read().map_err(named)
}

/// Teams are words, so a space parts them.
fn read_teams(text: &str) -> Odd<Vec<TeamName>> {
    text.split_whitespace().map(|t| t.parse().map_err(|e| format!("team {t:?}: {e}"))).collect()
}

fn read_key_use(row: &Row<'_>) -> Odd<KeyUse> {
    let fingerprint: String = get(row, "fingerprint")?;
    let named = |what: String| format!("the use of key {fingerprint:?}: {what}");
    let read = || -> Odd<KeyUse> {
        let source: Option<String> = get(row, "source")?;
        Ok(KeyUse {
            fingerprint: fingerprint.clone(),
            since: read_time("since", &get::<String>(row, "since")?)?,
            last: get::<Option<String>>(row, "last")?.map(|t| read_time("last", &t)).transpose()?,
            source: source.map(|s| s.parse().map_err(|e| format!("source {s:?}: {e}"))).transpose()?,
            uses: u64::try_from(get::<i64>(row, "uses")?).unwrap_or_default(),
        })
    };
    read().map_err(named)
}

fn read_approval(row: &Row<'_>) -> Odd<Approval> {
    let fingerprint: String = get(row, "fingerprint")?;
    let named = |what: String| format!("the approval of key {fingerprint:?}: {what}");
    let read = || -> Odd<Approval> {
        Ok(Approval {
            fingerprint: fingerprint.clone(),
            key: get(row, "key")?,
            host: parse(row, "host")?,
            by: get(row, "by")?,
            since: read_time("since", &get::<String>(row, "since")?)?,
            until: get::<Option<String>>(row, "until")?.map(|t| read_time("until", &t)).transpose()?,
            reason: get(row, "reason")?,
        })
    };
    read().map_err(named)
}

fn read_reservation(row: &Row<'_>) -> Odd<ReservationView> {
    let number: i64 = get(row, "port")?;
    let named = |what: String| format!("the reservation of port {number}: {what}");
    let read = || -> Odd<ReservationView> {
        Ok(ReservationView {
            port: read_port(number)?,
            team: parse(row, "team")?,
            by: get(row, "by")?,
            since: read_time("since", &get::<String>(row, "since")?)?,
            until: read_time("until", &get::<String>(row, "until")?)?,
            reason: get(row, "reason")?,
        })
    };
    read().map_err(named)
}

fn read_port(number: i64) -> Odd<Port> {
    u32::try_from(number)
        .map_err(|_| format!("{number} is not a TCP port (1 to 65535)"))
        .and_then(|n| n.try_into().map_err(|e: crate::model::PortError| e.to_string()))
}

fn read_mute(row: &Row<'_>) -> Odd<Mute> {
    let incident: String = get(row, "incident")?;
    let named = |what: String| format!("the mute of {incident:?}: {what}");
    let read = || -> Odd<Mute> {
        Ok(Mute {
            incident: incident.clone(),
            by: get(row, "by")?,
            since: read_time("since", &get::<String>(row, "since")?)?,
            until: read_time("until", &get::<String>(row, "until")?)?,
            reason: get(row, "reason")?,
            teams: get::<Option<String>>(row, "teams")?.map(|t| read_teams(&t)).transpose()?,
        })
    };
    read().map_err(named)
}

/// A row, or what is odd about it.
type Odd<T> = Result<T, String>;

fn read_lease(row: &Row<'_>) -> Odd<LeaseView> {
    let number: i64 = get(row, "port")?;
    let named = |what: String| format!("the lease of port {number}: {what}");
    let read = || -> Odd<LeaseView> {
        Ok(LeaseView {
            port: read_port(number)?,
            host: parse(row, "host")?,
            team: parse(row, "team")?,
            service: get(row, "service")?,
            kind: read_kind(&get::<String>(row, "kind")?)?,
            since: read_time("since", &get::<String>(row, "since")?)?,
            until: get::<Option<String>>(row, "until")?.map(|t| read_time("until", &t)).transpose()?,
            by: get(row, "by")?,
            reason: get(row, "reason")?,
        })
    };
    read().map_err(named)
}

fn read_revocation(row: &Row<'_>) -> Odd<RevocationView> {
    let (kind, value): (String, String) = (get(row, "kind")?, get(row, "value")?);
    let named = |what: String| format!("the block of {kind} {value:?}: {what}");
    let read = || -> Odd<RevocationView> {
        Ok(RevocationView {
            target: BlockTarget::of(&kind, &value)?,
            by: get(row, "by")?,
            since: read_time("since", &get::<String>(row, "since")?)?,
            reason: get(row, "reason")?,
        })
    };
    read().map_err(named)
}

fn get<T: rusqlite::types::FromSql>(row: &Row<'_>, column: &str) -> Odd<T> {
    row.get(column).map_err(|e| format!("{column}: {e}"))
}

fn parse<T: std::str::FromStr<Err: std::fmt::Display>>(row: &Row<'_>, column: &str) -> Odd<T> {
    let text: String = get(row, column)?;
    text.parse().map_err(|e| format!("{column} {text:?}: {e}"))
}

fn read_kind(word: &str) -> Odd<LeaseKind> {
    [LeaseKind::Fixed, LeaseKind::Assigned, LeaseKind::Sticky, LeaseKind::Requested]
        .into_iter()
        .find(|k| k.word() == word)
        .ok_or_else(|| format!("{word:?} is not a kind of lease (fixed, assigned, sticky, requested)"))
}

fn write_time(t: Time) -> String {
    t.to_rfc3339_opts(SecondsFormat::AutoSi, true)
}

fn read_time(column: &str, text: &str) -> Odd<Time> {
    text.parse().map_err(|e| format!("{column} {text:?} is not a time (2026-11-21T10:00:00Z): {e}"))
}

#[cfg(test)]
impl SqliteStore {
    /// A pragma's value as text.
    pub(super) fn pragma(&self, name: &str) -> String {
        let value = self.db.pragma_query_value(None, name, |r| r.get::<_, rusqlite::types::Value>(0)).unwrap();
        match value {
            rusqlite::types::Value::Text(t) => t,
            rusqlite::types::Value::Integer(n) => n.to_string(),
            other => panic!("{other:?}"),
        }
    }

    /// Runs statements as they are.
    pub(super) fn execute(&self, sql: &str) {
        self.db.execute_batch(sql).unwrap();
    }

    /// Applies within a transaction that is never committed.
    pub(super) fn begin_and_leave(&mut self, changes: &[Change]) {
        let mut tx = self.db.transaction().unwrap();
        tx.set_drop_behavior(rusqlite::DropBehavior::Ignore);
        for change in changes {
            apply_one(&tx, change).unwrap();
        }
    }
}
