//! Every key of `portreeve.toml`, once: what the reader accepts, what it suggests for a misspelt one, and what the
//! tests hold `docs/configuration.md` and `contrib/portreeve.toml` to.

/// What holds when a key is left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fallback {
    /// This value, as TOML.
    Value(&'static str),
    /// Described in words: it depends on something else.
    Words(&'static str),
    /// It must be there.
    Required,
}

/// One key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Key {
    /// As written in the file.
    pub name: &'static str,
    /// When left out.
    pub fallback: Fallback,
}

/// One kind of section and its keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SectionKeys {
    /// Its title, with capitals for what the file's author chooses: `hosts.NAME`.
    pub title: &'static str,
    /// What may stand in it.
    pub keys: &'static [Key],
}

impl SectionKeys {
    /// Whether a key of this name may stand here.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.keys.iter().any(|k| k.name == name)
    }
}

const fn value(name: &'static str, toml: &'static str) -> Key {
    Key { name, fallback: Fallback::Value(toml) }
}
const fn words(name: &'static str, words: &'static str) -> Key {
    Key { name, fallback: Fallback::Words(words) }
}
const fn required(name: &'static str) -> Key {
    Key { name, fallback: Fallback::Required }
}

/// `[bastion]`.
pub const BASTION: SectionKeys = SectionKeys {
    title: "bastion",
    keys: &[
        words("name", "the machine's host name"),
        words("address", "where it listens, or else its name"),
        value("state", "\"state\""),
    ],
};

/// `[ssh]`.
pub const SSH: SectionKeys = SectionKeys {
    title: "ssh",
    keys: &[
        value("listen", "[\"127.0.0.1:2222\"]"),
        value("host_keys", "[\"ssh_host_ed25519_key\", \"ssh_host_rsa_key\"]"),
        words("host_certificates", "none"),
        words("ciphers", "what suits the processor"),
        value("keepalive_interval", "\"15s\""),
        value("keepalive_count", "3"),
        value("send_timeout", "\"30s\""),
        value("login_grace_time", "\"30s\""),
        value("max_startups", "\"100:30:400\""),
        value("max_startups_known", "4096"),
        words("max_unauthenticated", "none: see `max_startups`"),
        value("max_auth_attempts", "6"),
        value("takeover_probe", "\"3s\""),
        value("reconnect_wait", "\"60s\""),
        value("drain", "\"5s\""),
    ],
};

/// `[sources]`.
pub const SOURCES: SectionKeys = SectionKeys {
    title: "sources",
    keys: &[
        words("allow", "all networks"),
        value("deny", "[]"),
        value("exempt", "[\"127.0.0.0/8\", \"::1/128\"]"),
        value("ipv4_prefix", "32"),
        value("ipv6_prefix", "64"),
        value("max_startups", "32"),
        value("penalties", "true"),
        value("penalty_auth", "\"5s\""),
        value("penalty_no_auth", "\"1s\""),
        value("penalty_grace", "\"10s\""),
        value("penalty_protocol", "\"10s\""),
        value("penalty_crash", "\"90s\""),
        value("penalty_min", "\"15s\""),
        value("penalty_max", "\"10m\""),
        value("max_penalties", "65536"),
        value("overflow", "\"permissive\""),
        value("report_interval", "\"60s\""),
    ],
};

/// `[control]`.
pub const CONTROL: SectionKeys = SectionKeys {
    title: "control",
    keys: &[
        words("socket", "`control.sock` in the state folder"),
        words("group", "the daemon's own group"),
        value("idle_lock", "\"off\""),
        value("idle_logout", "\"off\""),
        value("confirm_within", "\"15m\""),
    ],
};

/// `[audit]`.
pub const AUDIT: SectionKeys = SectionKeys {
    title: "audit",
    keys: &[
        value("dir", "\"audit\""),
        words("key", "`audit_ed25519_key` in the state folder"),
        value("checkpoint", "\"60s\""),
        value("sync", "\"200ms\""),
        words("keep_days", "all"),
        words("keep_size", "all"),
        value("on_failure", "\"refuse\""),
    ],
};

/// `[log]`.
pub const LOG: SectionKeys =
    SectionKeys { title: "log", keys: &[words("dir", "none: standard error"), value("level", "\"info\"")] };

/// `[relay]`.
pub const RELAY: SectionKeys = SectionKeys {
    title: "relay",
    keys: &[
        value("visitor_memory", "\"256KiB\""),
        value("visitor_spill", "\"1GiB\""),
        value("total_spill", "\"8GiB\""),
        value("stall_timeout", "\"60s\""),
        value("open_timeout", "\"10s\""),
        value("max_visitors", "1024"),
    ],
};

/// `[limits]`.
pub const LIMITS: SectionKeys = SectionKeys {
    title: "limits",
    keys: &[
        value("sessions_per_host", "32"),
        value("tunnels_per_session", "1024"),
        words("team_visitors", "none"),
        words("visitors_per_second", "none"),
        words("bytes_per_second", "none"),
    ],
};

/// A team's own limits: `limits = { visitors_per_second = 50 }`.
pub const TEAM_LIMITS: SectionKeys = SectionKeys {
    title: "teams.NAME.limits",
    keys: &[
        words("sessions_per_host", "as in `[limits]`"),
        words("tunnels_per_session", "as in `[limits]`"),
        words("max_visitors", "as in `[relay]`"),
        words("team_visitors", "as in `[limits]`"),
        words("visitors_per_second", "as in `[limits]`"),
        words("bytes_per_second", "as in `[limits]`"),
    ],
};

/// `[health]`.
pub const HEALTH: SectionKeys = SectionKeys {
    title: "health",
    keys: &[value("interval", "\"30s\""), value("timeout", "\"5s\""), value("rise", "2"), value("fall", "3")],
};

/// `[teams.NAME]`.
pub const TEAM: SectionKeys = SectionKeys {
    title: "teams.NAME",
    keys: &[
        required("ports"),
        value("bind", "\"loopback\""),
        words("visitors", "none"),
        words("contact", "none"),
        words("stall_timeout", "as in `[relay]`"),
        words("limits", "as in `[limits]`"),
        words("principals", "none"),
    ],
};

/// `[hosts.NAME]`.
pub const HOST: SectionKeys = SectionKeys {
    title: "hosts.NAME",
    keys: &[
        required("team"),
        words("keys", "none"),
        words("principals", "none"),
        words("ports", "none"),
        value("check", "\"tcp\""),
    ],
};

/// A fixed port of a host written as a table: `ports = { web = { port = 20180, check = "http" } }`.
pub const SERVICE: SectionKeys = SectionKeys {
    title: "hosts.NAME.ports.SERVICE",
    keys: &[
        required("port"),
        words("check", "by the service's name"),
        words("interval", "as in `[health]`"),
        words("timeout", "as in `[health]`"),
        words("rise", "as in `[health]`"),
        words("fall", "as in `[health]`"),
    ],
};

/// `[operators.NAME]`.
pub const OPERATOR: SectionKeys = SectionKeys {
    title: "operators.NAME",
    keys: &[
        words("keys", "none"),
        words("principals", "none"),
        value("role", "\"viewer\""),
        words("teams", "all teams"),
        words("unix_user", "none"),
    ],
};

/// `[trust]`.
pub const TRUST: SectionKeys = SectionKeys {
    title: "trust",
    keys: &[
        words("revoked_keys", "none"),
        value("fido", "\"refuse\""),
        value("pending", "false"),
        value("max_pending", "64"),
        value("max_pending_network", "4"),
        value("pending_time", "\"24h\""),
    ],
};

/// `[actions.NAME]`.
pub const ACTION: SectionKeys =
    SectionKeys { title: "actions.NAME", keys: &[words("role", "the action's own"), value("two_person", "false")] };

/// `[shipping.NAME]`.
pub const SHIPPING: SectionKeys = SectionKeys {
    title: "shipping.NAME",
    keys: &[required("to"), value("format", "\"journal\""), words("ca", "none")],
};

/// `[authorities.NAME]`.
pub const AUTHORITY: SectionKeys = SectionKeys {
    title: "authorities.NAME",
    keys: &[required("keys"), required("vouches_for"), words("teams", "all teams"), value("max_role", "\"viewer\"")],
};

/// All of them, in the order of the documentation.
pub const SECTIONS: &[SectionKeys] = &[
    BASTION,
    SSH,
    SOURCES,
    CONTROL,
    AUDIT,
    LOG,
    RELAY,
    LIMITS,
    HEALTH,
    TRUST,
    AUTHORITY,
    SHIPPING,
    TEAM,
    TEAM_LIMITS,
    HOST,
    SERVICE,
    OPERATOR,
    ACTION,
];

/// What may stand at the top of the file.
pub const TOP: &[&str] = &[
    "bastion",
    "ssh",
    "sources",
    "control",
    "audit",
    "log",
    "relay",
    "limits",
    "health",
    "trust",
    "authorities",
    "shipping",
    "teams",
    "hosts",
    "operators",
    "actions",
];

/// The known word nearest to a misspelt one, if it is near enough to be what was meant.
#[must_use]
pub fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let word = word.to_lowercase();
    let squeeze = |s: &str| s.replace(['-', '_'], "");
    known
        .into_iter()
        .map(|k| (strsim::damerau_levenshtein(&squeeze(&word), &squeeze(k)), k))
        .min_by_key(|(distance, _)| *distance)
        // A third of the letters wrong is still a slip of the hand; more is another word.
        .filter(|(distance, k)| *distance <= (k.chars().count() / 3).max(1))
        .map(|(_, k)| k)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_is_recognised_and_another_word_is_not() {
        assert_eq!(nearest("keepalive-interval", SSH.keys.iter().map(|k| k.name)), Some("keepalive_interval"));
        assert_eq!(nearest("lisen", SSH.keys.iter().map(|k| k.name)), Some("listen"));
        assert_eq!(nearest("Team", HOST.keys.iter().map(|k| k.name)), Some("team"));
        assert_eq!(nearest("password", HOST.keys.iter().map(|k| k.name)), None);
    }
}
