//! Whose keys there are and when each was used, for those who may know.

use super::desk::Desk;
use super::protocol::{Identity, Reply};
use super::sight::unlimited;
use crate::model::{KeyView, now};
use crate::tunnels::unused_keys;

impl Desk {
    /// Keys of hosts of this person's teams; of operators their own, and all where they see every team.
    fn seen_keys(&self, who: &Identity) -> Vec<KeyView> {
        let sees = |k: &KeyView| match &k.team {
            Some(team) => who.sees(team),
            None => unlimited(who) || k.whose() == who.name,
        };
        self.registry.keys().into_iter().filter(sees).collect()
    }

    pub(super) fn keys(&self, who: &Identity) -> Reply {
        Reply::Keys { at: now(), keys: self.seen_keys(who) }
    }

    /// Keys that had better be taken out, a sentence each.
    pub(super) fn unused_keys(&self, who: &Identity) -> Vec<String> {
        unused_keys(&self.seen_keys(who), now())
    }
}
