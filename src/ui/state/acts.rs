//! What this console has done: each act as its command, with its number in the journal, what came of it, and how it
//! is taken back.

use crate::control::protocol::{Action, Outcome};
use crate::model::{BlockTarget, LeaseView, Port, RevocationView, Seq, Time};
use crate::ui::words::{Lang, tr};
use std::collections::VecDeque;

/// Acts kept.
const KEPT: usize = 500;

/// What it was about, as it was before: an undo needs it, and afterwards it is gone.
#[derive(Debug, Clone, Default)]
pub(crate) struct Before {
    pub(crate) lease: Option<LeaseView>,
    pub(crate) block: Option<RevocationView>,
}

/// Why an act cannot be taken back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Never {
    PortUnsaid,
    LeaseUnknown,
    MoveUnsaid,
    Dropped,
    Cut,
    Closed,
    Confirmed,
    Reloaded,
    Unapproved,
    Dismissed,
}

impl Never {
    pub(crate) fn said(self, lang: Lang) -> &'static str {
        match self {
            Self::PortUnsaid => tr!(lang, undo.port_unsaid),
            Self::LeaseUnknown => tr!(lang, undo.lease_unknown),
            Self::MoveUnsaid => tr!(lang, undo.move_unsaid),
            Self::Dropped => tr!(lang, undo.dropped),
            Self::Cut => tr!(lang, undo.cut),
            Self::Closed => tr!(lang, undo.closed),
            Self::Confirmed => tr!(lang, undo.confirmed),
            Self::Reloaded => tr!(lang, undo.reloaded),
            Self::Unapproved => tr!(lang, undo.unapproved),
            Self::Dismissed => tr!(lang, undo.dismissed),
        }
    }
}

/// How an act is taken back.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Undo {
    /// By this act, which is asked for like any other.
    By(Action),
    /// Not at all, and why.
    Never(Never),
    /// Nothing was done.
    Nothing,
    /// It has been, or it was itself an undo.
    Done,
}

/// One act.
#[derive(Debug, Clone)]
pub(crate) struct Act {
    pub(crate) at: Time,
    pub(crate) action: Action,
    pub(crate) seq: Option<Seq>,
    pub(crate) ok: bool,
    pub(crate) outcome: String,
    pub(crate) undo: Undo,
}

/// All of them, oldest first.
#[derive(Debug, Default)]
pub(crate) struct Acts {
    pub(crate) log: VecDeque<Act>,
    before: Vec<(Action, Before)>,
}

impl Acts {
    /// An act is asked for: what it will change is kept until the answer.
    pub(crate) fn begin(&mut self, action: &Action, before: Before) {
        self.before.push((action.clone(), before));
    }

    /// The answer: what came of it, or why nothing did.
    pub(crate) fn end(&mut self, at: Time, action: Action, result: Result<&Outcome, String>) {
        let place = self.before.iter().position(|(a, _)| *a == action);
        let before = place.map(|i| self.before.remove(i).1).unwrap_or_default();
        let act = match result {
            Ok(o) => {
                let mut undo = inverse(&action, &before, o);
                // Whoever takes an act back does not do a new one to take back in its turn.
                if let Some(old) = self.log.iter_mut().rev().find(|a| takes_back(&action, &a.undo)) {
                    old.undo = Undo::Done;
                    undo = Undo::Done;
                }
                Act { at, seq: Some(o.seq), ok: o.ok, outcome: o.summary.clone(), action, undo }
            }
            Err(why) => Act { at, seq: None, ok: false, outcome: why, action, undo: Undo::Nothing },
        };
        if self.log.len() >= KEPT {
            self.log.pop_front();
        }
        self.log.push_back(act);
    }

    /// The connection is lost: whatever was asked will not be answered.
    pub(crate) fn forget(&mut self) {
        self.before.clear();
    }

    /// The last act that did something and has not been taken back.
    pub(crate) fn last(&self) -> Option<&Act> {
        self.log.iter().rev().find(|a| matches!(a.undo, Undo::By(_) | Undo::Never(_)))
    }

    /// The last act before this one that can be taken back.
    pub(crate) fn last_undoable(&self) -> Option<&Act> {
        self.log.iter().rev().find(|a| matches!(a.undo, Undo::By(_)))
    }
}

/// What takes an act back.
fn inverse(action: &Action, before: &Before, o: &Outcome) -> Undo {
    if let Some(p) = &o.proposal {
        return Undo::By(Action::Withdraw { proposal: p.id });
    }
    match action {
        Action::Revoke { target, .. } => Undo::By(Action::Restore { target: target.clone() }),
        Action::Restore { target } => {
            let reason = before.block.as_ref().and_then(|b| b.reason.clone());
            Undo::By(Action::Revoke { target: target.clone(), reason })
        }
        Action::Assign { .. } => match &o.lease {
            Some(lease) => Undo::By(Action::Release { port: lease.port, reason: None }),
            None => Undo::Never(Never::PortUnsaid),
        },
        Action::Release { port, .. } => match &before.lease {
            Some(l) => Undo::By(Action::Assign {
                host: l.host.clone(),
                port: Some(*port),
                service: l.service.clone(),
                until: l.until,
                reason: l.reason.clone(),
            }),
            None => Undo::Never(Never::LeaseUnknown),
        },
        Action::Move { from, .. } => match &o.lease {
            Some(lease) => Undo::By(Action::Move { from: lease.port, to: Some(*from), reason: None }),
            None => Undo::Never(Never::MoveUnsaid),
        },
        Action::Reconnect { .. } => Undo::Never(Never::Dropped),
        Action::CutVisitor { .. } => Undo::Never(Never::Cut),
        Action::Disconnect { .. } | Action::Logout { .. } => Undo::Never(Never::Closed),
        Action::Confirm { .. } => Undo::Never(Never::Confirmed),
        Action::Reload => Undo::Never(Never::Reloaded),
        Action::Approve { fingerprint, .. } => {
            Undo::By(Action::Unapprove { fingerprint: fingerprint.clone(), reason: None })
        }
        Action::Unapprove { .. } => Undo::Never(Never::Unapproved),
        Action::Dismiss { .. } => Undo::Never(Never::Dismissed),
        Action::Reserve { port, .. } => Undo::By(Action::Release { port: *port, reason: None }),
        Action::Grant { .. } => match &o.grant {
            Some(g) => Undo::By(Action::Ungrant { grant: g.id, reason: None }),
            None => Undo::Nothing,
        },
        Action::Ungrant { .. } => match &o.grant {
            Some(g) => Undo::By(Action::Grant { what: g.what.clone(), until: g.until, reason: g.reason.clone() }),
            None => Undo::Nothing,
        },
        Action::Mute { incident, .. } => Undo::By(Action::Unmute { incident: incident.clone() }),
        _ => Undo::Nothing,
    }
}

/// Whether an act does what would take another one back, whatever its reason says.
fn takes_back(done: &Action, undo: &Undo) -> bool {
    let Undo::By(undo) = undo else { return false };
    if let (Action::Unmute { incident: a }, Action::Unmute { incident: b }) = (done, undo) {
        return a == b;
    }
    match (done, undo) {
        (Action::Ungrant { grant: a, .. }, Action::Ungrant { grant: b, .. }) => return a == b,
        (Action::Grant { what: a, .. }, Action::Grant { what: b, .. }) => return a == b,
        (Action::Unapprove { fingerprint: a, .. }, Action::Unapprove { fingerprint: b, .. }) => return a == b,
        (Action::Withdraw { proposal: a }, Action::Withdraw { proposal: b }) => return a == b,
        _ => {}
    }
    let key = |a: &Action| -> (Option<BlockTarget>, Option<Port>, Option<Port>) {
        match a {
            Action::Revoke { target, .. } | Action::Restore { target } => (Some(target.clone()), None, None),
            Action::Assign { port, .. } => (None, *port, None),
            Action::Release { port, .. } => (None, Some(*port), None),
            Action::Move { from, to, .. } => (None, Some(*from), *to),
            _ => (None, None, None),
        }
    };
    done.id() == undo.id() && key(done) == key(undo)
}
