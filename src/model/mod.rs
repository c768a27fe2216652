//! The vocabulary: ids, ports and ranges, states, times and the pictures of them. No I/O.

mod accept;
pub mod actions;
mod behind;
mod certified;
mod evidence;
mod files;
mod forecast;
mod gate;
mod grant;
mod ids;
mod incident;
mod keyuse;
mod metrics;
mod networks;
mod pending;
mod ports;
mod proposal;
mod state;
mod text;
mod view;

pub use accept::{AcceptTrouble, Episode, Wait, accept_failures};
pub use behind::{BEHIND, BehindView, Laggard, SpillView};
pub use certified::{CaSerial, CertMark, Certified};
pub use evidence::{Evidence, TWO_DAYS};
pub use files::{FileUse, is_kept, kept as kept_files, set_file_limit};
pub use forecast::{Forecast, forecast};
pub use gate::GateView;
pub use grant::{GrantView, Granted, GrantedRole, Powers, Rights, TunnelsOf};
pub use ids::{
    AuthorityName, GrantId, HostName, NameError, OperatorName, ProposalId, Revision, Seq, SessionId, TeamName,
    VisitorId,
};
pub use incident::{Blast, Incident, Mute, NextStep, Severity};
pub use keyuse::{KeyUse, KeyView};
pub use metrics::{Metrics, ProcessMetrics, SessionCounts, StateCounts, TeamMetrics, Traffic, TunnelMetrics};
pub use networks::{Networks, network};
pub use pending::{Approval, PendingKey, key_type};
pub use ports::{Port, PortError, PortRange};
pub use proposal::ProposalView;
pub use state::{
    BindPolicy, BlockTarget, CheckKind, LeaseKind, LinkLayer, Obituary, ObituaryCause, Role, TunnelState, Verdict,
};
pub use text::{bytes, clean, clean_line, glob};
pub use view::{
    ActionRuleView, AuditStatus, DaemonView, HealthView, LeaseView, ObituaryView, ReservationView, RevocationView,
    SessionKind, SessionView, TeamView, TunnelView, VisitorView,
};

/// A point in time, always UTC; screens convert it for their reader.
pub type Time = chrono::DateTime<chrono::Utc>;

/// The time now, cut to milliseconds so that what is written equals what is kept in memory.
#[must_use]
pub fn now() -> Time {
    let t = chrono::Utc::now();
    Time::from_timestamp_millis(t.timestamp_millis()).unwrap_or(t)
}
