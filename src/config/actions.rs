//! `[actions.NAME]`: what the bastion's owner asks of an action beyond what its table says.

use super::keys::{self, nearest};
use super::people::ROLES;
use super::problem::Span;
use super::reader::{Item, Table};
use super::schema::Config;
use crate::model::actions::{ACTIONS, ActionSpec};
use crate::model::{ActionRuleView, Role};
use std::collections::BTreeMap;

/// What `revoke` and `restore` can be about, as [`crate::model::BlockTarget::kind`] calls it.
const KINDS: &[&str] = &["host", "key", "port", "team", "operator", "serial", "id", "ca"];

/// A rule of one action. What is not said is as in the table of actions.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ActionRule {
    /// `role`: the least role, where it is higher than the table's.
    pub role: Option<Role>,
    /// `two_person`: whether another operator must confirm it.
    pub two_person: TwoPerson,
}

/// When another operator must confirm an action.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum TwoPerson {
    /// Never.
    #[default]
    Never,
    /// Whatever it is about.
    Always,
    /// Where it is about something of these kinds.
    Of(Vec<&'static str>),
}

impl TwoPerson {
    /// Whether it holds for an action about something of this kind.
    fn holds(&self, kind: Option<&str>) -> bool {
        match self {
            Self::Never => false,
            Self::Always => true,
            Self::Of(kinds) => kind.is_some_and(|k| kinds.contains(&k)),
        }
    }

    /// The kinds for which it holds, or `all`.
    fn words(&self) -> Vec<String> {
        match self {
            Self::Never => vec![],
            Self::Always => vec!["all".to_owned()],
            Self::Of(kinds) => kinds.iter().map(|k| (*k).to_owned()).collect(),
        }
    }

    fn said(&self) -> String {
        match self {
            Self::Never => "false".to_owned(),
            Self::Always => "true".to_owned(),
            Self::Of(kinds) => kinds.join(", "),
        }
    }
}

impl Config {
    /// The least role for an action.
    #[must_use]
    pub fn role_for(&self, spec: &ActionSpec) -> Role {
        self.actions.get(spec.id).and_then(|r| r.role).map_or(spec.role, |role| role.max(spec.role))
    }

    /// The rules of actions, for those who look.
    #[must_use]
    pub fn action_rules(&self) -> Vec<ActionRuleView> {
        let ruled = ACTIONS.iter().filter_map(|spec| Some((spec, self.actions.get(spec.id)?)));
        let view = |(spec, rule): (&ActionSpec, &ActionRule)| ActionRuleView {
            verb: spec.verb.to_owned(),
            role: self.role_for(spec),
            two_person: rule.two_person.words(),
        };
        ruled.map(view).collect()
    }

    /// Whether another operator must confirm an action of this id; `kind`: what a block is about.
    #[must_use]
    pub fn two_person(&self, id: &str, kind: Option<&str>) -> bool {
        self.actions.get(id).is_some_and(|r| r.two_person.holds(kind))
    }
}

/// An action that stands for another one has no rules of its own.
fn ruled(spec: &ActionSpec) -> bool {
    !matches!(spec.id, "confirm" | "withdraw")
}

pub(super) fn read(item: Option<&Item<'_>>) -> BTreeMap<&'static str, ActionRule> {
    let Some(section) = item else { return BTreeMap::new() };
    let mut found: Vec<_> = section.entries("write a section for each, such as [actions.revoke]").into_iter().collect();
    found.sort_by_key(|(_, at, _)| at.start);
    found.into_iter().filter_map(|(name, at, item)| one(name, &at, &item)).collect()
}

fn one(name: &str, at: &Span, item: &Item<'_>) -> Option<(&'static str, ActionRule)> {
    let Some(spec) = ACTIONS.iter().find(|a| a.verb == name && ruled(a)) else {
        let known = || ACTIONS.iter().filter(|a| ruled(a)).map(|a| a.verb);
        let all = format!("actions are {}", known().collect::<Vec<_>>().join(", "));
        let remedy = nearest(name, known()).map_or(all.clone(), |n| format!("did you mean `{n}`? {all}"));
        let shown = crate::model::clean(name, 64);
        item.report.add(at, format!("{shown:?} is not an action that can have rules"), remedy);
        return None;
    };
    if item.as_table().is_none() {
        item.wrong("a section", &format!("write [{}] on a line of its own, and its keys below", item.label));
        return None;
    }
    let t = Table::new(item.report, &item.label, at.clone(), Some(item), &keys::ACTION);
    let role = t.item("role").and_then(|i| {
        let role = i.word(ROLES)?;
        if role >= spec.role {
            return Some(role);
        }
        i.report.add(
            &i.at,
            format!("`{}` is {role}, less than what {} needs anyhow ({})", i.label, spec.verb, spec.role),
            format!("a rule can only ask for more: write \"{}\" or higher, or leave the key out", spec.role),
        );
        None
    });
    let two_person = t.item("two_person").and_then(|i| two_person(&i, spec)).unwrap_or_default();
    Some((spec.id, ActionRule { role, two_person }))
}

/// `true`, `false`, or for what is done to something of several kinds a list of them.
fn two_person(item: &Item<'_>, spec: &ActionSpec) -> Option<TwoPerson> {
    let of_kinds = matches!(spec.id, "revoke" | "restore");
    if !of_kinds || !item.is_list_of_texts() {
        return item.yes_or_no().map(|yes| if yes { TwoPerson::Always } else { TwoPerson::Never });
    }
    let words: Vec<(&'static str, &'static str)> = KINDS.iter().map(|k| (*k, *k)).collect();
    let mut kinds: Vec<&'static str> = item.list().iter().filter_map(|i| i.word(&words)).collect();
    kinds.sort_unstable();
    kinds.dedup();
    Some(if kinds.is_empty() { TwoPerson::Never } else { TwoPerson::Of(kinds) })
}

/// What a reload changes of the rules, a sentence each.
pub(super) fn changes(old: &Config, new: &Config) -> Vec<String> {
    let mut out = Vec::new();
    for spec in ACTIONS {
        let of = |c: &Config| c.actions.get(spec.id).cloned().unwrap_or_default();
        let (a, b) = (of(old), of(new));
        let (before, now) = (old.role_for(spec), new.role_for(spec));
        if before != now {
            out.push(format!("action {}: role {before} → {now}", spec.verb));
        }
        if a.two_person != b.two_person {
            out.push(format!("action {}: two_person {} → {}", spec.verb, a.two_person.said(), b.two_person.said()));
        }
    }
    out
}
