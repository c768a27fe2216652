//! Every screen action, declared once: key help, palette, CLI verbs and man page derive from this table.

use super::Role;

/// How careful one has to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Danger {
    /// Changes nothing.
    None,
    /// Asked once: y or n.
    Confirm,
    /// The target's name is typed.
    TypeName,
}

/// Where an action is to be found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// Acts on the selected tunnel or lease.
    Tunnel,
    /// Acts on the selected visitor of a tunnel's detail.
    Visitor,
    /// Acts on the selected free port or lease of the ports screen.
    Port,
    /// Acts on the selected incident.
    Incident,
    /// Acts on the selected session.
    Session,
    /// Acts on a key that is pending or approved.
    Key,
    /// Acts on the whole bastion.
    Bastion,
}

/// One action.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ActionSpec {
    /// Stable id, as in the audit.
    pub id: &'static str,
    /// Default key of the console; none when it is in the palette only.
    pub key: Option<char>,
    /// Name in the console's palette (`:name`) and verb of the CLI.
    pub verb: &'static str,
    /// Arguments, as help shows them.
    pub args: &'static str,
    /// One line of help.
    pub help: &'static str,
    /// How careful.
    pub danger: Danger,
    /// Whether it may cut what is live; the CLI asks before these and needs `--yes` where it cannot ask.
    pub cuts: bool,
    /// Least role.
    pub role: Role,
    /// Where.
    pub scope: Scope,
}

/// All of them.
pub const ACTIONS: &[ActionSpec] = &[
    ActionSpec {
        id: "reconnect",
        key: Some('c'),
        verb: "reconnect",
        args: "HOST",
        help: "drop the host's session and watch for its redial",
        danger: Danger::Confirm,
        cuts: true,
        role: Role::Operator,
        scope: Scope::Tunnel,
    },
    ActionSpec {
        id: "revoke",
        key: Some('x'),
        verb: "revoke",
        args: "TARGET",
        help: "block a host, port, key, team, operator, certificate or CA, then cut what it holds",
        danger: Danger::TypeName,
        cuts: true,
        role: Role::Operator,
        scope: Scope::Tunnel,
    },
    ActionSpec {
        id: "restore",
        key: Some('u'),
        verb: "restore",
        args: "TARGET",
        help: "lift a block",
        danger: Danger::Confirm,
        cuts: false,
        role: Role::Operator,
        scope: Scope::Tunnel,
    },
    ActionSpec {
        id: "assign",
        key: Some('a'),
        verb: "assign",
        args: "HOST [PORT]",
        help: "give a host a port (the next free one unless named)",
        danger: Danger::Confirm,
        cuts: false,
        role: Role::Operator,
        scope: Scope::Port,
    },
    ActionSpec {
        id: "move",
        key: Some('m'),
        verb: "move",
        args: "FROM [TO]",
        help: "move a lease to another port of its team",
        danger: Danger::Confirm,
        cuts: true,
        role: Role::Operator,
        scope: Scope::Port,
    },
    ActionSpec {
        id: "release",
        key: Some('r'),
        verb: "release",
        args: "PORT",
        help: "end a lease or a reservation",
        danger: Danger::Confirm,
        cuts: true,
        role: Role::Operator,
        scope: Scope::Port,
    },
    ActionSpec {
        id: "reserve",
        key: Some('v'),
        verb: "reserve",
        args: "PORT UNTIL REASON",
        help: "keep a free port free until a date, for a reason",
        danger: Danger::Confirm,
        cuts: false,
        role: Role::Operator,
        scope: Scope::Port,
    },
    ActionSpec {
        id: "grant",
        key: None,
        verb: "grant",
        args: "role NAME ROLE [TEAM…] | visitors TEAM|PORT NETWORK",
        help: "give a role, or a network of visitors a way in, until a time",
        danger: Danger::Confirm,
        cuts: false,
        role: Role::Operator,
        scope: Scope::Bastion,
    },
    ActionSpec {
        id: "ungrant",
        key: None,
        verb: "ungrant",
        args: "GRANT",
        help: "end a grant before its time, then cut what stands on it",
        danger: Danger::Confirm,
        cuts: true,
        role: Role::Operator,
        scope: Scope::Bastion,
    },
    ActionSpec {
        id: "cut_visitor",
        key: Some('X'),
        verb: "cut",
        args: "VISITOR",
        help: "cut one visitor",
        danger: Danger::Confirm,
        cuts: true,
        role: Role::Operator,
        scope: Scope::Visitor,
    },
    ActionSpec {
        id: "disconnect",
        key: Some('D'),
        verb: "disconnect",
        args: "SESSION",
        help: "close one SSH session",
        danger: Danger::Confirm,
        cuts: true,
        role: Role::Operator,
        scope: Scope::Session,
    },
    ActionSpec {
        id: "logout",
        key: Some('E'),
        verb: "logout",
        args: "OPERATOR",
        help: "close all of an operator's consoles, connections and forwards; they can sign in again",
        danger: Danger::Confirm,
        cuts: true,
        role: Role::Admin,
        scope: Scope::Session,
    },
    ActionSpec {
        id: "mute",
        key: Some('m'),
        verb: "mute",
        args: "INCIDENT TIME REASON",
        help: "no alarm for an incident for a time",
        danger: Danger::Confirm,
        cuts: false,
        role: Role::Operator,
        scope: Scope::Incident,
    },
    ActionSpec {
        id: "unmute",
        key: Some('M'),
        verb: "unmute",
        args: "INCIDENT",
        help: "alarm for it again",
        danger: Danger::Confirm,
        cuts: false,
        role: Role::Operator,
        scope: Scope::Incident,
    },
    ActionSpec {
        id: "approve",
        key: None,
        verb: "approve",
        args: "KEY HOST",
        help: "let a pending key sign in a host, beside the configuration",
        danger: Danger::TypeName,
        cuts: false,
        role: Role::Admin,
        scope: Scope::Key,
    },
    ActionSpec {
        id: "unapprove",
        key: None,
        verb: "unapprove",
        args: "KEY",
        help: "take an approval back, and end what lives by it",
        danger: Danger::Confirm,
        cuts: true,
        role: Role::Operator,
        scope: Scope::Key,
    },
    ActionSpec {
        id: "dismiss",
        key: None,
        verb: "dismiss",
        args: "KEY",
        help: "drop a pending key, and note it no more for a time",
        danger: Danger::Confirm,
        cuts: false,
        role: Role::Operator,
        scope: Scope::Key,
    },
    ActionSpec {
        id: "confirm",
        key: None,
        verb: "confirm",
        args: "PROPOSAL",
        help: "do what another operator has proposed",
        danger: Danger::Confirm,
        cuts: true,
        role: Role::Operator,
        scope: Scope::Bastion,
    },
    ActionSpec {
        id: "withdraw",
        key: None,
        verb: "withdraw",
        args: "PROPOSAL",
        help: "take back what is proposed and waits for a second operator",
        danger: Danger::Confirm,
        cuts: false,
        role: Role::Operator,
        scope: Scope::Bastion,
    },
    ActionSpec {
        id: "reload",
        key: None,
        verb: "reload",
        args: "",
        help: "read the configuration anew; untouched tunnels stay up",
        danger: Danger::Confirm,
        cuts: false,
        role: Role::Admin,
        scope: Scope::Bastion,
    },
];

/// The action with this id.
#[must_use]
pub fn action(id: &str) -> Option<&'static ActionSpec> {
    ACTIONS.iter().find(|a| a.id == id)
}
