//! `[audit]`: where the journal is, how it is written, signed and kept, and what holds when it cannot be written.

use super::keys;
use super::problem::{Complaint, Report};
use super::reader::{Item, Table};
use super::schema::{AuditConfig, OnFailure};
use super::sections::place;
use super::values;
use crate::audit::{EVENT_CLASSES, Keep, SYNC_MAX, Sync};
use std::path::Path;
use std::time::Duration;

/// Days of ten years: more is surely a slip for "all".
const KEEP_DAYS_MAX: u32 = 3_660;

/// Reads the section.
pub(super) fn audit<'a>(report: &'a Report<'a>, item: Option<&Item<'a>>, base: &Path, state_dir: &Path) -> AuditConfig {
    let t = Table::new(report, "audit", place(item), item, &keys::AUDIT);
    AuditConfig {
        dir: t.path("dir", base).unwrap_or_else(|| base.join("audit")),
        key: t.path("key", base).unwrap_or_else(|| state_dir.join("audit_ed25519_key")),
        checkpoint: t.duration("checkpoint", Duration::from_secs(60)),
        sync: t.item("sync").map(|i| sync(&i)).unwrap_or_default(),
        keep: Keep {
            days: t.item("keep_days").and_then(|i| i.number(1, KEEP_DAYS_MAX)),
            bytes: t.item("keep_size").and_then(|i| i.parsed("write a size, such as \"50GiB\"", values::size)),
        },
        ships: Vec::new(),
        on_failure: t
            .item("on_failure")
            .and_then(|i| i.word(&[("refuse", OnFailure::Refuse), ("continue", OnFailure::Continue)]))
            .unwrap_or_default(),
    }
}

/// `"200ms"`, or a table by class of events.
fn sync(item: &Item<'_>) -> Sync {
    let remedy = "write a duration up to \"1s\", or a table: { all = \"200ms\", auth = \"50ms\" }";
    let wait = |i: &Item<'_>| i.parsed(remedy, short);
    let mut sync = Sync::default();
    if item.as_table().is_none() {
        sync.all = wait(item).unwrap_or(sync.all);
        return sync;
    }
    for (class, at, value) in item.entries(remedy) {
        if class == "all" {
            sync.all = wait(&value).unwrap_or(sync.all);
        } else if EVENT_CLASSES.contains(&class) {
            sync.classes.extend(wait(&value).map(|d| (class.to_owned(), d)));
        } else {
            let near = keys::nearest(class, EVENT_CLASSES.iter().copied().chain(["all"]));
            let known = format!("classes are all, {}", EVENT_CLASSES.join(", "));
            let remedy = near.map_or(known.clone(), |n| format!("did you mean `{n}`? {known}"));
            item.report.add(&at, format!("`{class}` is not a class of events"), remedy);
        }
    }
    sync
}

fn short(text: &str) -> Result<Duration, Complaint> {
    let d = values::duration(text)?;
    if d > SYNC_MAX {
        return Err(Complaint::new(
            format!("{text:?} is longer than a second, and what waits that long a power cut can take"),
            "write at most \"1s\"",
        ));
    }
    Ok(d)
}
