//! Questions: what is about to be done, to what exactly, and what it would cut.

use super::bulk::{Plan, Way};
use crate::control::actions::{ActionSpec, Danger};
use crate::control::protocol::Action;
use crate::model::{BlockTarget, Granted, HostName, Port, SessionId, Time};
use crate::ui::words::{Lang, tr};
use tui_input::Input;

/// One line to fill in.
#[derive(Debug, Clone)]
pub(crate) struct Field {
    pub(crate) label: Label,
    pub(crate) input: Input,
    /// Values to complete from.
    pub(crate) known: Vec<String>,
    /// Values to choose from with the arrow keys; then nothing is typed.
    pub(crate) choice: Option<usize>,
}

impl Field {
    pub(crate) fn text(label: Label) -> Self {
        Self { label, input: Input::default(), known: vec![], choice: None }
    }
    pub(crate) fn with(mut self, value: &str) -> Self {
        self.input = value.into();
        self
    }
    pub(crate) fn knowing(mut self, known: Vec<String>) -> Self {
        self.known = known;
        self
    }
    pub(crate) fn choice(label: Label, values: Vec<String>) -> Self {
        let first = values.first().cloned().unwrap_or_default();
        Self { choice: Some(0), known: values, ..Self::text(label).with(&first) }
    }
    pub(crate) fn value(&self) -> &str {
        self.input.value().trim()
    }
    /// Values that begin with (or else contain) what was typed.
    pub(crate) fn completions(&self) -> Vec<&str> {
        let typed = self.value().to_lowercase();
        let mut found: Vec<&str> =
            self.known.iter().map(String::as_str).filter(|k| k.to_lowercase().starts_with(&typed)).collect();
        if found.is_empty() {
            found = self.known.iter().map(String::as_str).filter(|k| k.to_lowercase().contains(&typed)).collect();
        }
        found
    }
}

/// What the question is about, as it was when it was asked. The answer acts on this, whatever is selected by then.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Subject {
    Reconnect {
        host: HostName,
        session: Option<SessionId>,
    },
    Revoke {
        targets: Vec<BlockTarget>,
    },
    Restore {
        target: BlockTarget,
    },
    Assign {
        port: Option<Port>,
    },
    Move {
        from: Port,
    },
    Release {
        port: Port,
    },
    Mute {
        incident: String,
    },
    Approve {
        fingerprint: String,
        host: HostName,
    },
    Reserve {
        port: Port,
    },
    Grant {
        what: Granted,
    },
    Plain {
        action: Action,
    },
    /// All that is marked.
    Bulk {
        plan: Plan,
    },
}

/// A question.
#[derive(Debug, Clone)]
pub(crate) struct Ask {
    pub(crate) spec: &'static ActionSpec,
    pub(crate) subject: Subject,
    /// The row and generation it was asked about; another by the time of the answer, and nothing is done.
    pub(crate) seen: Option<(Port, Option<SessionId>, HostName)>,
    pub(crate) title: String,
    /// The blast radius, a line each.
    pub(crate) facts: Vec<String>,
    pub(crate) fields: Vec<Field>,
    pub(crate) focus: usize,
    /// Why Enter did not do it.
    pub(crate) problem: Option<String>,
    /// What the daemon would say.
    pub(crate) dry: Option<Dry>,
    /// As of when, and in whose days, times are meant.
    pub(crate) window: Option<super::journal::Window>,
}

/// What would come of an action.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Dry {
    pub(crate) of: Action,
    /// None when the daemon did not say.
    pub(crate) allowed: Option<bool>,
    pub(crate) rule: String,
}

impl Ask {
    /// Whether y and n answer; else Enter does, once the fields are filled.
    pub(crate) fn yes_no(&self) -> bool {
        self.fields.is_empty()
    }

    fn field(&self, label: Label) -> Option<String> {
        let f = self.fields.iter().find(|f| f.label == label)?;
        Some(f.value().to_owned()).filter(|v| !v.is_empty())
    }

    /// What a revoke would block, by the choice made.
    pub(crate) fn target(&self) -> Option<&BlockTarget> {
        let Subject::Revoke { targets } = &self.subject else { return None };
        let n = self.fields.iter().find_map(|f| f.choice).unwrap_or(0);
        targets.get(n)
    }

    /// How all that is marked is acted on, by the choice made.
    pub(crate) fn way(&self) -> Option<&Way> {
        let Subject::Bulk { plan } = &self.subject else { return None };
        plan.ways.get(self.fields.iter().find_map(|f| f.choice).unwrap_or(0))
    }

    /// The acts asked for, or what is still missing: how many they are is typed.
    pub(crate) fn acts(&self, l: Lang) -> Result<Vec<Action>, String> {
        let way = self.way().filter(|w| !w.acts.is_empty()).ok_or_else(|| tr!(l, ask.nothing_to_act))?;
        let n = way.acts.len();
        if self.field(TYPE_COUNT).as_deref() != Some(n.to_string().as_str()) {
            return Err(tr!(l, ask.type_count, n));
        }
        let why = self.field(REASON);
        Ok(way.acts.iter().map(|a| with_reason(a.clone(), why.as_ref())).collect())
    }

    /// A moment to come, as of when the question was asked.
    fn moment(&self, l: Lang, text: &str) -> Result<Time, String> {
        let at = self.window.and_then(|w| crate::audit::moment_ahead(text, w.now, w.clock));
        at.ok_or_else(|| tr!(l, ask.no_time_to_come, text))
    }

    /// The action asked for, or what is still missing.
    pub(crate) fn action(&self, l: Lang) -> Result<Action, String> {
        let reason = self.field(REASON);
        Ok(match &self.subject {
            Subject::Reconnect { host, session } => {
                Action::Reconnect { host: host.clone(), session: *session, wait_s: None }
            }
            Subject::Revoke { .. } => {
                let target = self.target().cloned().ok_or_else(|| tr!(l, ask.nothing_to_block))?;
                let typed = self.field(TYPED).unwrap_or_default();
                if self.spec.danger == Danger::TypeName && typed != target.value() {
                    return Err(tr!(l, ask.type_name, name = target.value()));
                }
                Action::Revoke { target, reason }
            }
            Subject::Restore { target } => Action::Restore { target: target.clone() },
            Subject::Assign { port } => {
                let host = self.field(HOST).ok_or_else(|| tr!(l, ask.name_host))?;
                let host = host.parse().map_err(|e: crate::model::NameError| e.to_string())?;
                let until = self.field(UNTIL).map(|text| self.moment(l, &text)).transpose()?;
                Action::Assign { host, port: *port, service: self.field(SERVICE), until, reason }
            }
            Subject::Move { from } => {
                let to = self.field(TO).map(|t| t.parse::<Port>().map_err(|e| e.to_string())).transpose()?;
                if to == Some(*from) {
                    return Err(tr!(l, ask.same_port, port = from));
                }
                Action::Move { from: *from, to, reason }
            }
            Subject::Release { port } => Action::Release { port: *port, reason },
            Subject::Reserve { port } => {
                let text = self.field(UNTIL).ok_or_else(|| tr!(l, ask.until_when))?;
                let until = self.moment(l, &text)?;
                let reason = reason.ok_or_else(|| tr!(l, ask.why_port))?;
                Action::Reserve { port: *port, until, reason }
            }
            Subject::Grant { what } => {
                let text = self.field(UNTIL).ok_or_else(|| tr!(l, ask.until_when))?;
                let until = self.moment(l, &text)?;
                let reason = reason.ok_or_else(|| tr!(l, ask.why_grant))?;
                Action::Grant { what: what.clone(), until, reason }
            }
            Subject::Mute { incident } => {
                let time = self.field(FOR).ok_or_else(|| tr!(l, ask.how_long))?;
                let time = humantime::parse_duration(&time)
                    .map_err(|e| tr!(l, ask.no_time, text = format!("{time:?}"), why = e))?;
                let reason = reason.ok_or_else(|| tr!(l, ask.why_mute))?;
                Action::Mute { incident: incident.clone(), for_s: time.as_secs(), reason }
            }
            Subject::Approve { fingerprint, host } => {
                if self.field(TYPED).as_deref() != Some(host.as_str()) {
                    return Err(tr!(l, ask.type_name, name = host));
                }
                let until = self.field(UNTIL).map(|text| {
                    let at = self.window.and_then(|w| crate::audit::moment_ahead(&text, w.now, w.clock));
                    at.ok_or_else(|| tr!(l, ask.no_time_to_come, text))
                });
                let (fingerprint, host) = (fingerprint.clone(), host.clone());
                Action::Approve { fingerprint, host, until: until.transpose()?, reason }
            }
            Subject::Plain { action } => action.clone(),
            Subject::Bulk { .. } => return Err(tr!(l, ask.several).to_owned()),
        })
    }
}

fn with_reason(action: Action, why: Option<&String>) -> Action {
    match action {
        Action::Revoke { target, .. } => Action::Revoke { target, reason: why.cloned() },
        Action::Release { port, .. } => Action::Release { port, reason: why.cloned() },
        other => other,
    }
}

impl Ask {
    /// The action to try before it is asked for, whether all of it is filled in or not.
    pub(crate) fn rehearsed(&self) -> Option<Action> {
        match &self.subject {
            Subject::Reserve { port } => {
                let until = self.window.map(|w| w.now + chrono::TimeDelta::hours(1))?;
                Some(Action::Reserve { port: *port, until, reason: String::new() })
            }
            Subject::Assign { .. } | Subject::Move { .. } | Subject::Release { .. } => self.action(Lang::En).ok(),
            _ => None,
        }
    }
}

/// What a field is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Label {
    Reason,
    Typed,
    Count,
    Host,
    Service,
    To,
    Until,
    Target,
    For,
}

impl Label {
    pub(crate) fn said(self, lang: Lang) -> &'static str {
        match self {
            Self::Reason => tr!(lang, ask.label_reason),
            Self::Typed => tr!(lang, ask.label_typed),
            Self::Count => tr!(lang, ask.label_count),
            Self::Host => tr!(lang, ask.label_host),
            Self::Service => tr!(lang, ask.label_service),
            Self::To => tr!(lang, ask.label_to),
            Self::Until => tr!(lang, ask.label_until),
            Self::Target => tr!(lang, ask.label_target),
            Self::For => tr!(lang, ask.label_for),
        }
    }
}

pub(crate) const REASON: Label = Label::Reason;
pub(crate) const TYPED: Label = Label::Typed;
pub(crate) const TYPE_COUNT: Label = Label::Count;
pub(crate) const HOST: Label = Label::Host;
pub(crate) const SERVICE: Label = Label::Service;
pub(crate) const TO: Label = Label::To;
pub(crate) const UNTIL: Label = Label::Until;
pub(crate) const TARGET: Label = Label::Target;
pub(crate) const FOR: Label = Label::For;

/// What lies over the screen.
#[derive(Debug, Clone)]
pub(crate) enum Dialog {
    Ask(Box<Ask>),
    Help {
        scroll: usize,
    },
    /// What the message line has said, in full.
    Messages {
        scroll: usize,
    },
    /// What is set, and what can be.
    Settings {
        scroll: usize,
    },
    /// What this console has done.
    Log {
        scroll: usize,
    },
    /// Keys that wait to be approved, and those that were.
    Pending {
        scroll: usize,
    },
    /// The themes; the one in force before, for Esc.
    Themes {
        before: String,
    },
    /// An export where no file can be written: into the clipboard instead?
    Offer {
        rows: usize,
        text: String,
    },
}

impl Dialog {
    /// How far a window that is only read is scrolled.
    pub(crate) fn scroll(&mut self) -> Option<&mut usize> {
        match self {
            Self::Help { scroll }
            | Self::Messages { scroll }
            | Self::Settings { scroll }
            | Self::Log { scroll }
            | Self::Pending { scroll } => Some(scroll),
            Self::Ask(_) | Self::Themes { .. } | Self::Offer { .. } => None,
        }
    }
}

/// What is being typed into the line at the bottom.
#[derive(Debug, Clone)]
pub(crate) enum Prompt {
    /// A filter; what it was before, for Esc.
    Filter { input: Input, before: String },
    /// A command.
    Command { input: Input },
}
