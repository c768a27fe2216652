//! `[shipping.NAME]`: where the journal is sent on to as it is written.

use super::keys;
use super::people::named;
use super::problem::Complaint;
use super::reader::{Item, Table};
use crate::audit::{ShipTo, Shipping};
use crate::model::TeamName;
use std::path::{Path, PathBuf};

const REMEDY: &str =
    "write \"unix:/dev/log\", \"journald\", \"tcp:siem.example.net:601\" or \"tls:siem.example.net:6514\"";

/// A place as written.
enum Place {
    Unix(PathBuf),
    Journald,
    Tcp(String),
    Tls(String),
}

/// Reads the sections.
pub(super) fn shipping(item: Option<&Item<'_>>, base: &Path) -> Vec<Shipping> {
    let mut all: Vec<Shipping> = named::<TeamName>(item, "receiver", &keys::SHIPPING)
        .into_iter()
        .filter_map(|(name, t)| Some(Shipping { name: name.to_string(), to: to(&t, base)?, ocsf: ocsf(&t) }))
        .collect();
    all.sort_by(|a, b| a.name.cmp(&b.name));
    all
}

fn ocsf(t: &Table<'_>) -> bool {
    t.item("format").and_then(|i| i.word(&[("journal", false), ("ocsf", true)])).unwrap_or(false)
}

fn to(t: &Table<'_>, base: &Path) -> Option<ShipTo> {
    let ca = t.path("ca", base);
    let item = t.required("to", REMEDY)?;
    let place = item.parsed(REMEDY, place)?;
    match (place, ca) {
        (Place::Tls(to), Some(ca)) => Some(ShipTo::Tls { to, ca }),
        (Place::Tls(_), None) => {
            let remedy = "write `ca = \"/etc/portreeve/siem-ca.pem\"`: the certificates by which the receiver is known";
            item.report.add(&item.at, format!("`{}` goes by TLS, and there is no `ca`", item.label), remedy);
            None
        }
        (_, Some(_)) => {
            item.report.add(
                &item.at,
                format!("`{}` does not go by TLS, so `ca` is for nothing", item.label),
                "leave `ca` out, or write \"tls:…\"",
            );
            None
        }
        (Place::Unix(path), None) => Some(ShipTo::Unix(path)),
        (Place::Journald, None) => Some(ShipTo::Journald(PathBuf::from("/run/systemd/journal/socket"))),
        (Place::Tcp(to), None) => Some(ShipTo::Tcp(to)),
    }
}

fn place(text: &str) -> Result<Place, Complaint> {
    let bad = || Complaint::new(format!("{text:?} is no place to send the journal to"), REMEDY);
    let (kind, rest) = text.split_once(':').unwrap_or((text, ""));
    let machine = || {
        let (host, port) = rest.rsplit_once(':').ok_or_else(bad)?;
        let good = !host.is_empty() && port.parse::<u16>().is_ok_and(|p| p > 0);
        good.then(|| rest.to_owned()).ok_or_else(bad)
    };
    match kind {
        "journald" if rest.is_empty() => Ok(Place::Journald),
        "unix" if rest.starts_with('/') => Ok(Place::Unix(PathBuf::from(rest))),
        "tcp" => machine().map(Place::Tcp),
        "tls" => machine().map(Place::Tls),
        _ => Err(bad()),
    }
}
