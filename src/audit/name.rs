//! The stable names of events, and their classes.

use super::{Event, What};

/// Classes of events: what stands before the dot of their names.
pub const EVENT_CLASSES: &[&str] = &[
    "daemon",
    "audit",
    "config",
    "refusals",
    "auth",
    "key",
    "connection",
    "session",
    "request",
    "forward",
    "trust",
    "visitor",
    "health",
    "lease",
    "port",
    "operator",
    "incident",
];

impl Event {
    /// The stable name, e.g. `auth.success`.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self.what {
            What::DaemonStart { .. } => "daemon.start",
            What::DaemonStop { .. } => "daemon.stop",
            What::AuditRecovered { .. } => "audit.recovered",
            What::AuditResumed { .. } => "audit.resumed",
            What::Checkpoint(_) => "audit.checkpoint",
            What::AuditExpired { .. } => "audit.expired",
            What::AuditShipping { .. } => "audit.shipping",
            What::ConfigReload { .. } => "config.reload",
            What::RevocationList { .. } => "trust.list",
            What::ConfigConflict { .. } => "config.conflict",
            What::AuthSuccess { .. } => "auth.success",
            What::AuthFailure { .. } => "auth.failure",
            What::KeyPending { .. } => "key.pending",
            What::KeyApproved { .. } => "key.approved",
            What::KeyUnapproved { .. } => "key.unapproved",
            What::KeyDismissed {} => "key.dismissed",
            What::ConnectionRefused {} => "connection.refused",
            What::RefusalsCounted { .. } => "refusals.counted",
            What::SessionEnd { .. } => "session.end",
            What::RequestRefused { .. } => "request.refused",
            What::ForwardGranted { .. } => "forward.granted",
            What::ForwardRefused { .. } => "forward.refused",
            What::ForwardEnd { .. } => "forward.end",
            What::VisitorOpen {} => "visitor.open",
            What::VisitorRefused {} => "visitor.refused",
            What::VisitorSlows { .. } => "visitor.slows",
            What::VisitorClose { .. } => "visitor.close",
            What::HealthChange { .. } => "health.change",
            What::LeaseGranted { .. } => "lease.granted",
            What::LeaseMoved { .. } => "lease.moved",
            What::LeaseReleased {} => "lease.released",
            What::PortReserved { .. } => "port.reserved",
            What::PortUnreserved {} => "port.unreserved",
            What::Reconnect { .. } => "operator.reconnect",
            What::Revoke { .. } => "operator.revoke",
            What::Revoked { .. } => "operator.revoked",
            What::Restore { .. } => "operator.restore",
            What::Mute { .. } => "operator.mute",
            What::Unmute { .. } => "operator.unmute",
            What::Grant { .. } => "operator.grant",
            What::Ungrant { .. } => "operator.ungrant",
            What::IncidentOpen { .. } => "incident.open",
            What::IncidentClose { .. } => "incident.close",
            What::Propose { .. } => "operator.propose",
            What::Confirm { .. } => "operator.confirm",
            What::Withdraw { .. } => "operator.withdraw",
            What::Logout { .. } => "operator.logout",
            What::OperatorRefused { .. } => "operator.refused",
            What::CutVisitor {} => "operator.cut",
            What::Disconnect {} => "operator.disconnect",
            What::Console { .. } => "operator.console",
        }
    }
}

/// The names in the order in which the events are declared, from their source.
#[cfg(test)]
pub(super) fn declared() -> impl Iterator<Item = &'static str> {
    let renamed = |l: &'static str| l.trim().strip_prefix("#[serde(rename = \"")?.strip_suffix("\")]");
    include_str!("event.rs").lines().filter_map(renamed).filter(|n| n.contains('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_classes_are_those_of_the_names() {
        let classes = declared().filter_map(|n| n.split_once('.'));
        let mut named: Vec<&str> = classes.map(|(class, _)| class).collect();
        named.sort_unstable();
        named.dedup();
        let mut classes = EVENT_CLASSES.to_vec();
        classes.sort_unstable();
        assert_eq!(classes, named);
    }
}
