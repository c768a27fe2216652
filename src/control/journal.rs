//! The desk's answers out of the journal: searches, in pieces, and its chain.

use super::desk::Desk;
use super::protocol::{ApiError, ErrorCode, Identity, Reply};
use super::sight::{sees_record, unlimited};
use crate::audit::{AuditError, AuditQuery, Found, Record, Trust, verify_by};
use std::time::Duration;

/// How long a piece of a search takes, unless asked otherwise, and at most.
const SLICE_MS: u32 = 250;
const SLICE_MAX_MS: u32 = 1_000;

fn unavailable(e: &AuditError) -> ApiError {
    ApiError::new(ErrorCode::Unavailable, e.to_string())
}

impl Desk {
    async fn piece(&self, who: &Identity, query: AuditQuery, slice_ms: u32) -> Result<Found, ApiError> {
        let slice = Duration::from_millis(slice_ms.min(SLICE_MAX_MS).into());
        let all = unlimited(who);
        let who = who.clone();
        let visible = move |r: &Record| all || sees_record(&who, r);
        self.registry.journal.search(query, slice, visible).await.map_err(|e| unavailable(&e))
    }

    /// One piece of a search.
    pub(super) async fn search(&self, who: &Identity, query: AuditQuery, ms: Option<u32>) -> Result<Reply, ApiError> {
        self.piece(who, query, ms.unwrap_or(SLICE_MS)).await.map(Reply::Found)
    }

    /// Searches until enough is found that this person may see, and whether there is more.
    pub(super) async fn audit(&self, who: &Identity, mut query: AuditQuery) -> Result<Reply, ApiError> {
        let wanted = query.limit.unwrap_or(1_000).clamp(1, 100_000);
        let mut visible: Vec<Record> = Vec::new();
        loop {
            // One more than is wanted tells that there is more.
            query.limit = Some(wanted + 1 - visible.len());
            let Found { mut records, next, .. } = self.piece(who, query.clone(), SLICE_MS).await?;
            records.append(&mut visible);
            visible = records;
            if next.is_none() || visible.len() > wanted {
                let extra = visible.len().saturating_sub(wanted);
                visible.drain(..extra);
                return Ok(Reply::Records { records: visible, more: extra > 0 });
            }
            query.before = next;
        }
    }

    pub(super) async fn chain(&self) -> Result<Reply, ApiError> {
        let slice = Duration::from_millis(SLICE_MS.into());
        self.registry.journal.chain(slice).await.map(Reply::Chain).map_err(|e| unavailable(&e))
    }

    /// All of it, from its beginning.
    pub(super) async fn verify(&self) -> Result<Reply, ApiError> {
        self.registry.journal.flush().await.map_err(|e| unavailable(&e))?;
        // So that what is verified is signed to its end, by the key of now. Older checkpoints may have older keys.
        let last = self.registry.journal.checkpoint().await.ok();
        let dir = self.registry.journal.dir().to_owned();
        let trust = Trust { keys: Vec::new(), checkpoints: last.into_iter().collect() };
        let report = tokio::task::spawn_blocking(move || verify_by(&dir, trust)).await;
        let report = report.map_err(|e| ApiError::new(ErrorCode::Unavailable, e.to_string()))?;
        let report = report.map_err(|e| unavailable(&e))?;
        Ok(Reply::Verified { ok: report.is_ok(), summary: report.to_string() })
    }

    pub(super) async fn checkpoint(&self) -> Result<Reply, ApiError> {
        let made = self.registry.journal.checkpoint().await.map_err(|e| unavailable(&e))?;
        Ok(Reply::Checkpoint(Box::new(made)))
    }
}
