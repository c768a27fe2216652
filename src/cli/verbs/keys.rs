//! `portreeve keys`: whose keys there are, and when each was last used.

use crate::cli::exit::Exit;
use crate::cli::human::{age, count};
use crate::cli::out::{Fail, Out};
use crate::cli::table::{Cell, Table, Tone};
use crate::control::client::{Client, unexpected};
use crate::control::protocol::{Reply, Request};
use crate::model::{KeyView, Time};
use chrono::TimeDelta;
use std::time::Duration;

/// `keys [NAME] [--unused TIME]`
pub(super) async fn keys(
    client: &Client,
    out: &mut Out<'_>,
    name: Option<&str>,
    unused: Option<Duration>,
) -> Result<Exit, Fail> {
    let (at, all) = match client.request(Request::Keys).await? {
        Reply::Keys { at, keys } => (at, keys),
        other => return Err(unexpected(&other).into()),
    };
    let unused = unused.map(|u| TimeDelta::from_std(u).unwrap_or(TimeDelta::MAX));
    let wanted = |k: &&KeyView| {
        let idle = |least: TimeDelta| k.idle_since().is_some_and(|t| at - t >= least);
        name.is_none_or(|n| k.whose() == n) && unused.is_none_or(idle)
    };
    let rows: Vec<&KeyView> = all.iter().filter(wanted).collect();
    if out.json {
        out.json(&rows).await?;
        return Ok(Exit::Done);
    }
    let mut table = Table::new(&["OWNER", "KEY", "TYPE", "LAST USED", "FROM", "USES", "EXPIRES", "NOTE"]);
    for k in &rows {
        let owner =
            if k.operator.is_some() { format!("operator {}", k.whose()) } else { format!("host {}", k.whose()) };
        table.row(vec![
            Cell::new(owner),
            Cell::new(&k.used.fingerprint),
            Cell::new(k.algorithm.strip_prefix("ssh-").unwrap_or(&k.algorithm)),
            last(k, at),
            Cell::or_dash(k.used.source.map(|s| s.ip())),
            Cell::number(k.used.uses),
            Cell::or_dash(k.expires.map(|t| t.format("%Y-%m-%d").to_string())),
            note(k),
        ]);
    }
    out.table(&table).await?;
    if rows.len() < all.len() {
        out.remark(&format!("{} not shown\n", count(all.len() - rows.len(), "key"))).await?;
    }
    Ok(Exit::Done)
}

fn last(k: &KeyView, at: Time) -> Cell {
    match (k.sessions, k.used.last) {
        (0, Some(t)) => Cell::new(format!("{} ago", age(at, t))),
        (0, None) => Cell::new(format!("never, in {}", age(at, k.used.since))).tone(Tone::Warn),
        _ => Cell::new("now").tone(Tone::Good),
    }
}

fn note(k: &KeyView) -> Cell {
    if let Some(why) = &k.refused {
        return Cell::new(why).tone(Tone::Bad);
    }
    if let Some(a) = &k.approved {
        let reason = a.reason.as_ref().map(|r| format!(": {r}")).unwrap_or_default();
        let by = format!("approved by {} on {}{reason}", a.by, a.since.format("%Y-%m-%d"));
        return Cell::new(by).tone(Tone::Warn);
    }
    let from = k.from.as_ref().map(|nets| format!("from {nets} only"));
    let comment = Some(k.comment.clone()).filter(|c| !c.is_empty());
    Cell::new([from, comment].into_iter().flatten().collect::<Vec<_>>().join(", "))
}
