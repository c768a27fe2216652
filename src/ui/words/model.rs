//! Words for what the model has: states, verdicts, kinds. Filters, settings and the wire have them in English.

use super::{Lang, tr};
use crate::model::{
    BlockTarget, CheckKind, Granted, LeaseKind, LinkLayer, Role, SessionKind, Severity, TeamName, TunnelState, Verdict,
};

pub(crate) fn state(lang: Lang, s: TunnelState) -> &'static str {
    match s {
        TunnelState::Up => tr!(lang, state.up),
        TunnelState::Degraded => tr!(lang, state.degraded),
        TunnelState::Down => tr!(lang, state.down),
        TunnelState::Awaiting => tr!(lang, state.awaiting),
        TunnelState::Revoked => tr!(lang, state.revoked),
    }
}

pub(crate) fn verdict(lang: Lang, v: Verdict) -> &'static str {
    match v {
        Verdict::Passing => tr!(lang, state.passing),
        Verdict::Failing => tr!(lang, state.failing),
        Verdict::Unknown => tr!(lang, state.unknown),
    }
}

pub(crate) fn severity(lang: Lang, s: Severity) -> &'static str {
    match s {
        Severity::Down => tr!(lang, state.severity_down),
        Severity::Warning => tr!(lang, state.severity_warning),
        Severity::Note => tr!(lang, state.severity_note),
    }
}

pub(crate) fn lease(lang: Lang, k: LeaseKind) -> &'static str {
    match k {
        LeaseKind::Fixed => tr!(lang, state.lease_fixed),
        LeaseKind::Assigned => tr!(lang, state.lease_assigned),
        LeaseKind::Sticky => tr!(lang, state.lease_sticky),
        LeaseKind::Requested => tr!(lang, state.lease_requested),
    }
}

pub(crate) fn role(lang: Lang, r: Role) -> &'static str {
    match r {
        Role::Viewer => tr!(lang, state.role_viewer),
        Role::Operator => tr!(lang, state.role_operator),
        Role::Admin => tr!(lang, state.role_admin),
    }
}

/// What is given until a time.
pub(crate) fn granted(lang: Lang, g: &Granted) -> String {
    match g {
        Granted::Role { operator, role, teams } => {
            let role = self::role(lang, *role);
            match teams {
                None => tr!(lang, grant.role, role, operator),
                Some(teams) => tr!(lang, grant.role_on, role, operator, teams = names(teams)),
            }
        }
        Granted::Visitors { port: Some(port), network, .. } => tr!(lang, grant.port, port, network),
        Granted::Visitors { team: Some(team), network, .. } => tr!(lang, grant.team, team, network),
        Granted::Visitors { network, .. } => tr!(lang, grant.visits, network),
    }
}

/// Teams, one after the other.
pub(crate) fn names(teams: &[TeamName]) -> String {
    teams.iter().map(TeamName::as_str).collect::<Vec<_>>().join(", ")
}

/// Protocols are called so in every language.
pub(crate) fn check(lang: Lang, k: CheckKind) -> &'static str {
    match k {
        CheckKind::Tcp => "tcp",
        CheckKind::Ssh => "ssh",
        CheckKind::Http => "http",
        CheckKind::None => tr!(lang, state.check_none),
    }
}

pub(crate) fn layer(lang: Lang, l: LinkLayer) -> &'static str {
    match l {
        LinkLayer::Link => tr!(lang, state.layer_link),
        LinkLayer::Channel => tr!(lang, state.layer_channel),
        LinkLayer::Service => tr!(lang, state.layer_service),
    }
}

pub(crate) fn session_kind(lang: Lang, k: SessionKind) -> &'static str {
    match k {
        SessionKind::Host => tr!(lang, state.kind_host),
        SessionKind::Operator => tr!(lang, state.kind_operator),
    }
}

/// What a revocation blocks: its kind and its name.
pub(crate) fn target(lang: Lang, t: &BlockTarget) -> String {
    match t {
        BlockTarget::Host(name) => tr!(lang, state.target_host, name),
        BlockTarget::Key(name) => tr!(lang, state.target_key, name),
        BlockTarget::Port(name) => tr!(lang, state.target_port, name),
        BlockTarget::Team(name) => tr!(lang, state.target_team, name),
        BlockTarget::Operator(name) => tr!(lang, state.target_operator, name),
        BlockTarget::Serial(name) => tr!(lang, state.target_serial, name),
        BlockTarget::Id(name) => tr!(lang, state.target_id, name),
        BlockTarget::Ca(name) => tr!(lang, state.target_ca, name),
    }
}
