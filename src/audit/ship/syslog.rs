//! A record as a syslog message (RFC 5424) and as fields of systemd's journal.

use crate::audit::{Outcome, Record, What, ocsf};
use crate::model::clean;
use std::sync::OnceLock;

/// `security/authorization messages (private)`: where sshd writes too.
const AUTHPRIV: u8 = 10;

/// What is sent of one record.
pub(super) struct Message {
    /// Severity of syslog: 0 emergency to 7 debug.
    pub(super) level: u8,
    /// When, RFC 3339.
    at: String,
    /// The event's name.
    pub(super) event: &'static str,
    /// One line of JSON.
    pub(super) text: String,
    pub(super) seq: u64,
}

pub(super) fn of(r: &Record, as_ocsf: bool) -> Message {
    let level = match (&r.event.what, r.event.outcome) {
        (What::AuditResumed { .. }, _) => 3,
        (What::IncidentOpen { .. } | What::Revoke { .. } | What::Revoked { .. }, _) => 4,
        (_, Outcome::Success) => 6,
        (_, Outcome::Refused | Outcome::Failure) => 5,
    };
    let text = if as_ocsf { ocsf(r).map(|e| e.to_string()) } else { serde_json::to_string(r).ok() };
    Message {
        level,
        at: r.at.to_rfc3339_opts(chrono::SecondsFormat::Millis, true),
        event: r.event.name(),
        text: text.unwrap_or_default(),
        seq: r.seq.0,
    }
}

/// This machine's name as RFC 5424 has it: printable ASCII without spaces, or `-`.
fn host() -> &'static str {
    static HOST: OnceLock<String> = OnceLock::new();
    HOST.get_or_init(|| {
        let name = nix::unistd::gethostname().ok().and_then(|n| n.into_string().ok()).unwrap_or_default();
        let name = clean(&name, 255);
        if !name.is_empty() && name.bytes().all(|b| b.is_ascii_graphic()) { name } else { "-".to_owned() }
    })
}

/// What is left of a text too long for a datagram, bytes.
const SHORT: usize = 8 << 10;

impl Message {
    /// The same without the end of its text.
    pub(super) fn short(&self) -> Self {
        let end = (0..=SHORT.min(self.text.len())).rev().find(|at| self.text.is_char_boundary(*at)).unwrap_or(0);
        let text = format!("{}…", self.text.get(..end).unwrap_or_default());
        Self { level: self.level, at: self.at.clone(), event: self.event, text, seq: self.seq }
    }

    /// The message without framing. JSON has no line ends, so it is one line.
    pub(super) fn line(&self) -> String {
        let priority = AUTHPRIV * 8 + self.level;
        let id = std::process::id();
        format!(
            "<{priority}>1 {} {} portreeve {id} {} [meta sequenceId=\"{}\"] {}",
            self.at,
            host(),
            self.event,
            // Up to 2147483647, after which it begins anew at 1.
            (self.seq.saturating_sub(1) % 2_147_483_647) + 1,
            self.text
        )
    }

    /// Fields of systemd's journal; none of the values has a line end in it.
    pub(super) fn fields(&self) -> String {
        format!(
            "MESSAGE={}\nPRIORITY={}\nSYSLOG_FACILITY={AUTHPRIV}\nSYSLOG_IDENTIFIER=portreeve\nPORTREEVE_EVENT={}\nPORTREEVE_SEQ={}\n",
            self.text, self.level, self.event, self.seq
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::{Actor, Context, Event};
    use crate::model::Seq;

    #[test]
    fn a_message_has_the_header_of_rfc_5424_and_the_record_as_it_was_written() {
        let context = Context { user: Some("결제\nx".into()), ..Context::default() };
        let event = Event::refused(Actor::Unknown, What::ConnectionRefused {}, "no", context);
        let at = "2026-11-21T05:02:40.001Z".parse().unwrap();
        let r = Record { seq: Seq(7), at, event, prev: "0".repeat(64), hash: "1".repeat(64) };
        let line = of(&r, false).line();
        let (head, text) = line.split_once("] ").unwrap();
        let id = std::process::id();
        assert!(head.starts_with("<85>1 2026-11-21T05:02:40.001Z "), "authpriv is 10, notice 5: {head}");
        assert!(head.ends_with(&format!(" portreeve {id} connection.refused [meta sequenceId=\"7\"")), "{head}");
        assert_eq!(text, serde_json::to_string(&r).unwrap());
        assert!(!line.contains('\n'));
        let fields = of(&r, true).fields();
        assert_eq!(fields.lines().count(), 6, "{fields}");
        assert!(fields.starts_with("MESSAGE={\"") && fields.contains("\nPRIORITY=5\n"), "{fields}");
    }
}
