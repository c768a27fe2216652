//! The rules, as a table: a cause, what has to hold for it, and what to do. Of a host's troubles the first rule that holds
//! is the cause.

use super::facts::{Facts, HostFacts};
use super::rules::{
    Reason, Seen, absent, exhausted, expires, gone, journal_failed, network_lost, not_requested, overloaded, refused,
    restarted, restarts, service, silent, unknown_key,
};
use crate::model::{LinkLayer, Severity, TunnelView};

/// What a rule looks at.
#[derive(Clone, Copy)]
pub enum Find {
    /// The bastion and its teams.
    Bastion(fn(&Facts<'_>) -> Vec<Seen>),
    /// A host. What it explains, no later rule looks at: all of the host's tunnels that are not live.
    Host(fn(&Facts<'_>, &HostFacts<'_>) -> Option<Seen>),
    /// One tunnel or lease that is not up.
    Tunnel(fn(&Facts<'_>, &HostFacts<'_>, &TunnelView) -> Option<Seen>),
}

/// One thing to do; `{host}`, `{port}`, `{team}`, `{target}` (of a block) and `{key}` (that waits to be approved for the
/// host) stand for the first that is concerned.
#[derive(Debug, Clone, Copy)]
pub struct Next {
    /// The key in the console, or a command of its palette.
    pub key: &'static str,
    /// What it does, or what to do.
    pub what: &'static str,
    /// As a command line.
    pub run: Option<&'static str>,
}

/// One line of the table.
#[derive(Clone, Copy)]
pub struct Rule {
    /// Its name, for scripts.
    pub cause: &'static str,
    /// How bad.
    pub severity: Severity,
    /// The cause in a few words.
    pub likely: &'static str,
    /// When it holds.
    pub find: Find,
    /// The evidence where many are taken together; `{hosts}`, `{ports}` and `{names}` are filled in.
    pub many: &'static str,
    /// What to do.
    pub next: &'static [Next],
}

const fn next(key: &'static str, what: &'static str, run: &'static str) -> Next {
    Next { key, what, run: Some(run) }
}
const fn open(what: &'static str) -> Next {
    Next { key: "Enter", what, run: None }
}
const SIGN_INS: Next = next("5", "sign-ins and refusals in the journal", "portreeve audit --host {host} -n 20");
const EXPLAIN: Next = next("Y", "what the rules say of it (copies the command)", "portreeve explain {host} {port}");

/// Every cause, in the order in which they are tried.
pub const RULES: &[Rule] = &[
    Rule {
        cause: "journal-failed",
        severity: Severity::Down,
        likely: "the audit journal cannot be written",
        find: Find::Bastion(journal_failed),
        many: "{names}",
        next: &[Next {
            key: "5",
            what: "what was written last; then make room on the disk",
            run: Some("portreeve status"),
        }],
    },
    Rule {
        cause: "bastion-overloaded",
        severity: Severity::Warning,
        likely: "does not keep up",
        find: Find::Bastion(overloaded),
        many: "{names}",
        next: &[
            Next {
                key: "",
                what: "on the bastion: top, and LimitNOFILE of its unit; the daemon's own figures:",
                run: Some("portreeve metrics --no-tunnels"),
            },
            next("6", "who moves the most bytes", "portreeve sessions"),
        ],
    },
    Rule {
        cause: "refused-key-pending",
        severity: Severity::Down,
        likely: "redials, key pending",
        find: Find::Host(|f, h| unknown_key(f, h, true)),
        many: "{hosts} are away, and keys that wait to be approved are offered in their place: {names}",
        next: &[
            next(":pending", "compare the key, in full, with the host's owner by another way", "portreeve pending"),
            next(":approve", "if it is the host's: approve it", "portreeve approve {key} {host}"),
            next(":dismiss", "if it is not", "portreeve dismiss {key}"),
            SIGN_INS,
        ],
    },
    Rule {
        cause: "refused-unknown-key",
        severity: Severity::Down,
        likely: "redials, key unknown",
        find: Find::Host(|f, h| unknown_key(f, h, false)),
        many: "{hosts} are away, and keys that nobody here has are offered in their place: {names}",
        next: &[
            SIGN_INS,
            next(
                ":reload",
                "if the key is the host's: put it into [hosts.{host}] keys, then reload",
                "portreeve reload",
            ),
            open("the tunnel"),
        ],
    },
    Rule {
        cause: "refused-revoked",
        severity: Severity::Warning,
        likely: "redials, revoked",
        find: Find::Host(|f, h| refused(f, h, Reason::Revoked)),
        many: "{hosts} redial and are refused, for they are revoked: {names}",
        next: &[
            open("the tunnel: who blocked it, and why"),
            next("u", "lift the block", "portreeve restore {target}"),
            SIGN_INS,
        ],
    },
    Rule {
        cause: "refused-key-expired",
        severity: Severity::Down,
        likely: "redials, key expired",
        find: Find::Host(|f, h| refused(f, h, Reason::Expired)),
        many: "{hosts} redial with keys that have expired: {names}",
        next: &[
            next(
                ":reload",
                "put the host's new key into [hosts.{host}] keys, or a later expiry-time before this one, then reload",
                "portreeve reload",
            ),
            SIGN_INS,
        ],
    },
    Rule {
        cause: "refused-port-held",
        severity: Severity::Down,
        likely: "redials, port held by another",
        find: Find::Host(|f, h| refused(f, h, Reason::Held)),
        many: "{hosts} ask for ports that others hold: {names}",
        next: &[
            EXPLAIN,
            next(
                "3",
                "who has the port; move the lease, or have the host ask for its own",
                "portreeve tunnels port={port}",
            ),
            SIGN_INS,
        ],
    },
    Rule {
        cause: "refused-range-full",
        severity: Severity::Down,
        likely: "redials, no port left",
        find: Find::Host(|f, h| refused(f, h, Reason::Full)),
        many: "{hosts} ask for a port and there is none left: {names}",
        next: &[
            next("3", "the team's range: release a lease that is silent, or widen the range", "portreeve ports {team}"),
            SIGN_INS,
        ],
    },
    Rule {
        cause: "refused-policy",
        severity: Severity::Down,
        likely: "refused by the rules",
        find: Find::Host(|f, h| refused(f, h, Reason::Policy)),
        many: "{hosts} are refused by the rules: {names}",
        next: &[EXPLAIN, SIGN_INS, open("the tunnel")],
    },
    Rule {
        cause: "network-lost",
        severity: Severity::Down,
        likely: "same network: path lost",
        find: Find::Host(network_lost),
        many: "{hosts} of networks that were lost: {names}",
        next: &[
            open("the first of them: last byte, last round trip"),
            Next { key: "6", what: "who of the network is still connected", run: Some("portreeve sessions") },
            Next { key: "", what: "ask whoever runs that network; the hosts redial by themselves", run: None },
        ],
    },
    Rule {
        cause: "host-restarts",
        severity: Severity::Warning,
        likely: "restarts again and again",
        find: Find::Host(restarts),
        many: "{hosts} restart again and again: {names}",
        next: &[
            next("5", "how its sessions ended", "portreeve audit --host {host} --event session"),
            Next {
                key: "",
                what: "on the host: journalctl -u of its ssh; look for a second client with its key",
                run: None,
            },
            open("the tunnel"),
        ],
    },
    Rule {
        cause: "host-silent",
        severity: Severity::Down,
        likely: "keepalive lost, silent",
        find: Find::Host(silent),
        many: "{hosts} went silent at different times: {names}",
        next: &[
            open("the tunnel: last byte, last round trip"),
            Next { key: "", what: "is the host powered and on the net? it redials by itself", run: None },
            SIGN_INS,
        ],
    },
    Rule {
        cause: "host-gone",
        severity: Severity::Down,
        likely: "session ended, not back",
        find: Find::Host(gone),
        many: "{hosts} are gone and have not dialled again: {names}",
        next: &[
            open("the tunnel: how it ended"),
            Next { key: "", what: "on the host: is its ssh still running, and who supervises it?", run: None },
            SIGN_INS,
        ],
    },
    Rule {
        cause: "service-refused",
        severity: Severity::Down,
        likely: "service refuses connections",
        find: Find::Tunnel(|_, h, t| service(h, t, LinkLayer::Channel)),
        many: "{ports} refuse connections at their hosts: {names}",
        next: &[
            open("the tunnel: the checks"),
            next("4", "health of all", "portreeve health"),
            Next { key: "", what: "on the host: is the service running, and on the address that -R names?", run: None },
        ],
    },
    Rule {
        cause: "service-silent",
        severity: Severity::Down,
        likely: "service does not speak",
        find: Find::Tunnel(|_, h, t| service(h, t, LinkLayer::Service)),
        many: "{ports} take connections and do not answer as they should: {names}",
        next: &[
            open("the tunnel: the checks"),
            next("4", "health of all", "portreeve health"),
            Next { key: "", what: "on the host: is the service hung, or another one than `check` expects?", run: None },
        ],
    },
    Rule {
        cause: "session-stuck",
        severity: Severity::Down,
        likely: "session up, does not answer",
        find: Find::Tunnel(|_, h, t| service(h, t, LinkLayer::Link)),
        many: "{ports}: the session does not answer the checks: {names}",
        next: &[
            open("the tunnel: who reads slowly"),
            next("c", "drop the session; the host redials", "portreeve reconnect {host}"),
        ],
    },
    Rule {
        cause: "port-not-requested",
        severity: Severity::Warning,
        likely: "connected, port not asked for",
        find: Find::Tunnel(not_requested),
        many: "{ports} are leased to hosts that are connected and did not ask for them: {names}",
        next: &[
            open("the tunnel"),
            Next {
                key: "",
                what: "on the host: add -R {port}:… to its ssh, or `RemoteForward {port} …` to its ssh_config",
                run: Some("portreeve howto {host}"),
            },
            next(":release", "if it is not wanted any more", "portreeve release {port}"),
        ],
    },
    Rule {
        cause: "key-expires",
        severity: Severity::Warning,
        likely: "key expires soon, or has",
        find: Find::Bastion(expires),
        many: "{hosts} have keys that expire soon or have expired: {names}",
        next: &[next(
            ":reload",
            "put a new key beside it, have the host use it, then take the old one out and reload",
            "portreeve reload",
        )],
    },
    Rule {
        cause: "range-exhausted",
        severity: Severity::Warning,
        likely: "no port left in the range",
        find: Find::Bastion(exhausted),
        many: "{names}",
        next: &[next("3", "the range: release a lease that is silent, or widen `ports`", "portreeve ports {team}")],
    },
    Rule {
        cause: "bastion-restarted",
        severity: Severity::Note,
        likely: "the bastion was restarted",
        find: Find::Bastion(restarted),
        many: "{names}",
        next: &[
            next("5", "how the last run ended", "portreeve audit --event daemon"),
            next("2", "who is not back", "portreeve tunnels state=awaiting"),
        ],
    },
    Rule {
        cause: "host-absent",
        severity: Severity::Note,
        likely: "not seen since the start",
        find: Find::Host(absent),
        many: "{hosts} have not dialled in since the bastion started: {names}",
        next: &[
            open("the lease"),
            next("2", "all that are awaited", "portreeve tunnels state=awaiting"),
            Next { key: "", what: "on the host: this line brings its tunnels up", run: Some("portreeve howto {host}") },
        ],
    },
];
