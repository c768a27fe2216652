//! `portreeve pending`: keys that nobody has and that wait to be approved.

use crate::cli::exit::Exit;
use crate::cli::human::age;
use crate::cli::out::{Fail, Out};
use crate::cli::table::{Cell, Table, Tone};
use crate::control::client::{Client, unexpected};
use crate::control::protocol::{Reply, Request};
use crate::model::key_type;

/// `pending`
pub(super) async fn pending(client: &Client, out: &mut Out<'_>) -> Result<Exit, Fail> {
    let (at, keys, on) = match client.request(Request::Pending).await? {
        Reply::Pending { at, keys, on } => (at, keys, on),
        other => return Err(unexpected(&other).into()),
    };
    if out.json {
        out.json(&keys).await?;
        return Ok(Exit::Done);
    }
    let mut table = Table::new(&["KEY", "TYPE", "USER", "FROM", "CLIENT", "FIRST", "LAST", "TRIES", "NOTE"]);
    for k in &keys {
        table.row(vec![
            Cell::new(&k.fingerprint),
            Cell::new(key_type(&k.key).trim_start_matches("ssh-")),
            Cell::new(&k.user),
            Cell::new(k.source.ip()),
            Cell::new(&k.client),
            Cell::new(format!("{} ago", age(at, k.first))),
            Cell::new(format!("{} ago", age(at, k.last))),
            Cell::number(k.count),
            if k.known { Cell::new("") } else { Cell::new("nobody has signed in from there").tone(Tone::Warn) },
        ]);
    }
    out.table(&table).await?;
    if !keys.is_empty() {
        out.remark(
            "compare a key in full with the host's owner, by another way than this connection; then\n  \
             portreeve approve KEY HOST, or portreeve dismiss KEY\n",
        )
        .await?;
    } else if !on {
        out.remark("unknown keys are refused and not kept (pending = false in [trust])\n").await?;
    }
    Ok(Exit::Done)
}
