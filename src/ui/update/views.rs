//! `:save NAME` keeps how the list is filtered and sorted now, `:view NAME` has it again.

use super::{Effect, go, say, settings};
use crate::ui::settings::file::Edit;
use crate::ui::state::views::{View, is_name};
use crate::ui::state::{Screen, State, Tone};
use crate::ui::words::tr;

/// Keeps what is on the screen under this name.
pub(super) fn save(state: &mut State, name: &str, out: &mut Vec<Effect>) {
    if !is_name(name) {
        return say(state, Tone::Bad, tr!(state.lang(), problem.view_name));
    }
    let filter = state.filter().map(|f| f.text.clone()).unwrap_or_default();
    let sort = (state.screen == Screen::Tunnels).then_some(state.sort);
    let line = View { screen: state.screen, sort, filter }.line();
    settings::change(state, Edit { name: format!("views.{name}"), words: Some(vec![line]) }, out);
}

/// Goes to the view of this name.
pub(super) fn recall(state: &mut State, name: &str) {
    let Some(view) = state.own.set.views.get(name).cloned() else {
        let known = names(state).join(", ");
        let said = match known.as_str() {
            "" => tr!(state.lang(), say.no_view_saved, name),
            names => tr!(state.lang(), say.no_view, name, names),
        };
        return say(state, Tone::Info, said);
    };
    if let Some(sort) = view.sort {
        state.sort = sort;
    }
    go(state, view.screen);
    state.set_filter(&view.filter);
    say(state, Tone::Info, tr!(state.lang(), say.view, name, line = view.line()));
}

/// Says which there are.
pub(super) fn list(state: &mut State) {
    let all: Vec<String> = state.own.set.views.iter().map(|(name, v)| format!("{name}: {}", v.line())).collect();
    let none = tr!(state.lang(), say.no_views);
    let said = if all.is_empty() { none.to_owned() } else { all.join("; ") };
    say(state, Tone::Info, said);
}

/// Their names, to complete from.
pub(super) fn names(state: &State) -> Vec<String> {
    state.own.set.views.keys().cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ui::fixtures::*;
    use crate::ui::state::rows::SortBy;
    use crate::ui::update;

    #[test]
    fn a_view_is_kept_by_its_name_and_recalled_from_anywhere() {
        let mut s = console((80, 24));
        s.own.file = Some("console.toml".into());
        let effects = keys(&mut s, "/team=iot state!=up\rsS:save night\r");
        let [Effect::Save(edit)] = &effects[..] else { panic!("{effects:?}") };
        assert_eq!(edit.name, "views.night");
        assert_eq!(edit.words.as_deref(), Some(["tunnels sort=-state team=iot state!=up".to_owned()].as_slice()));
        keys(&mut s, "\x1b\x1b\x1bs:save all\r");
        assert_eq!((s.filter().is_some(), s.sort), (false, (SortBy::Host, true)));
        keys(&mut s, "5:view ni\t\r");
        assert_eq!((s.screen, s.sort, s.hidden()), (Screen::Tunnels, (SortBy::State, true), 5));
        assert_eq!(s.filter().map(|f| f.text.as_str()), Some("team=iot state!=up"));
        // What another console wrote is there as well.
        let text = "[views]\nmorning = \"audit outcome=refused\"\nodd = \"somewhere x\"\n";
        update::loaded(&mut s, Ok(text.to_owned()));
        assert!(s.message.as_ref().unwrap().text.contains("line 3"), "{:?}", s.message);
        keys(&mut s, ":view morning\r");
        assert_eq!((s.screen, s.filter().map(|f| f.text.as_str())), (Screen::Audit, Some("outcome=refused")));
        keys(&mut s, ":view night\r");
        assert!(s.message.as_ref().unwrap().text.contains("no view night: morning"), "{:?}", s.message);
        assert!(keys(&mut s, ":save a.b\r").is_empty());
    }
}
