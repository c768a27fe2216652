//! Visitors of each team, all its tunnels together.

use super::registry::Registry;
use crate::model::TeamName;
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Crowd(Mutex<HashMap<TeamName, usize>>);

impl Registry {
    /// A visitor of the team begins.
    pub(super) fn visitor_comes(&self, team: &TeamName) {
        let mut crowd = self.crowd.0.lock().unwrap_or_else(PoisonError::into_inner);
        match crowd.get_mut(team) {
            Some(n) => *n += 1,
            None => drop(crowd.insert(team.clone(), 1)),
        }
    }

    /// One ends.
    pub(super) fn visitor_goes(&self, team: &TeamName) {
        let mut crowd = self.crowd.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(n) = crowd.get_mut(team) {
            *n -= 1;
            if *n == 0 {
                crowd.remove(team);
            }
        }
    }

    /// How many there are.
    pub(super) fn team_visitors(&self, team: &TeamName) -> usize {
        self.crowd.0.lock().unwrap_or_else(PoisonError::into_inner).get(team).copied().unwrap_or(0)
    }
}
