//! Keys that wait to be approved, and those that were, for those who may know.

use super::desk::Desk;
use super::protocol::{Action, Identity, Reply};
use super::sight::unlimited;
use crate::audit::Context;
use crate::model::{Approval, BlockTarget, HostName, PendingKey, clean, now};

/// Longest fingerprint that is taken for one.
const FINGERPRINT_MAX: usize = 80;

impl Desk {
    /// A pending key is nobody's. Who is limited to teams sees those that came with the name of a host of theirs.
    pub(super) fn seen_pending(&self, who: &Identity) -> Vec<PendingKey> {
        let config = self.registry.config();
        let theirs = |k: &PendingKey| config.hosts.get(k.user.as_str()).is_some_and(|h| who.sees(&h.team));
        self.registry.pending().into_iter().filter(|k| unlimited(who) || theirs(k)).collect()
    }

    /// Approvals for hosts of this person's teams.
    pub(super) fn seen_approvals(&self, who: &Identity) -> Vec<Approval> {
        let config = self.registry.config();
        let theirs = |a: &Approval| config.hosts.get(&a.host).map_or_else(|| unlimited(who), |h| who.sees(&h.team));
        self.registry.approvals().into_iter().filter(theirs).collect()
    }

    pub(super) fn pending(&self, who: &Identity) -> Reply {
        Reply::Pending { at: now(), keys: self.seen_pending(who), on: self.registry.config().trust.pending.on }
    }

    /// What an action on an unknown or approved key is about.
    pub(super) fn key_context(&self, fingerprint: &str, host: Option<&HostName>) -> Context {
        let approval = self.registry.approval(fingerprint);
        let host = host.or(approval.as_ref().map(|a| &a.host)).cloned();
        let config = self.registry.config();
        let of_host = host.map(|h| self.registry.target_context(&config, &BlockTarget::Host(h))).unwrap_or_default();
        Context { fingerprint: Some(clean(fingerprint, FINGERPRINT_MAX)), ..of_host }
    }

    /// That the key an action means is not, or no more, what it is taken for.
    pub(super) fn not_approved(&self, action: &Action) -> Option<String> {
        match action {
            Action::Unapprove { fingerprint, .. } if self.registry.approval(fingerprint).is_none() => {
                Some(format!("{} is not approved (any more)", clean(fingerprint, FINGERPRINT_MAX)))
            }
            _ => None,
        }
    }
}
