//! `portreeve proposals`: what waits for a second operator.

use crate::cli::exit::Exit;
use crate::cli::human::age;
use crate::cli::out::{Fail, Out};
use crate::cli::table::{Cell, Table, Tone};
use crate::control::client::Client;

/// `proposals`
pub(super) async fn proposals(client: &Client, out: &mut Out<'_>) -> Result<Exit, Fail> {
    let s = client.snapshot().await?;
    let all = &s.daemon.proposals;
    if out.json {
        out.json(all).await?;
        return Ok(Exit::Done);
    }
    let mut table = Table::new(&["PROPOSAL", "BY", "AGE", "LEFT", "WHAT", "IT WOULD", "NOTE"]);
    for p in all {
        let note = match (p.yours, p.may_confirm) {
            (true, _) => Cell::new("yours: another operator must confirm it").tone(Tone::Dim),
            (false, true) => Cell::new(format!("portreeve confirm {}", p.id)).tone(Tone::Warn),
            (false, false) => Cell::new("not yours to confirm").tone(Tone::Dim),
        };
        table.row(vec![
            Cell::new(p.id),
            Cell::new(&p.by),
            Cell::number(age(s.at, p.since)),
            Cell::number(age(p.until, s.at)),
            Cell::new(&p.what),
            Cell::new(&p.blast),
            note,
        ]);
    }
    out.table(&table).await?;
    if all.is_empty() {
        out.remark("nothing waits for a second operator\n").await?;
    }
    Ok(Exit::Done)
}
