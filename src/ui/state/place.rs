//! Places one comes back to.

use super::changes::Scope;
use super::tabs::Tab;
use super::{Screen, State};
use crate::model::{Port, Seq};

/// Where somebody was when they went to look at something else.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Place {
    screen: Screen,
    detail: bool,
    scroll: usize,
    tab: Tab,
    /// The tunnels list is where one goes to, so its cursor moves meanwhile. Those of the other screens stay.
    tunnel: Option<Port>,
    /// What changed of what, how far back, and the row.
    changes: (Option<Scope>, i64, Option<Seq>),
}

impl State {
    /// Here and now.
    pub(crate) fn place(&self) -> Place {
        Place {
            screen: self.screen,
            detail: self.detail,
            scroll: self.detail_scroll,
            tab: self.tabs.tab,
            tunnel: self.tunnels.selected,
            changes: (self.changes.scope.clone(), self.changes.minutes, self.changes.nav.selected),
        }
    }

    /// As it was then, with what is so now.
    pub(crate) fn come_back(&mut self, place: Place) {
        self.screen = place.screen;
        self.detail = place.detail;
        self.detail_scroll = place.scroll;
        self.tabs.tab = place.tab;
        let (scope, minutes, row) = place.changes;
        if place.screen == Screen::Changes {
            if self.changes.scope != scope {
                self.changes.begin(scope);
            }
            self.changes.minutes = minutes;
            self.changes.nav.selected = row;
        }
        self.resort();
        if let (Screen::Tunnels, Some(port)) = (place.screen, place.tunnel) {
            let height = self.list_height();
            self.tunnels.select_id(port, &self.tunnel_rows, height);
        }
    }
}
