//! Actions as command lines.

use super::protocol::Action;
use crate::model::Granted;

impl Action {
    /// The command that does the same from a shell.
    #[must_use]
    pub fn command(&self) -> String {
        match self.verb_line() {
            // Only a console has modes; in the palette it is this.
            line if line.starts_with(':') => line,
            line => format!("portreeve {line}"),
        }
    }

    /// The same without the program's name.
    #[must_use]
    pub fn verb_line(&self) -> String {
        let why = |r: &Option<String>| r.as_ref().map(|r| format!(" --reason {}", quote(r))).unwrap_or_default();
        let port = |p: Option<crate::model::Port>| p.map(|p| format!(" {p}")).unwrap_or_default();
        match self {
            Self::Reconnect { host, .. } => format!("reconnect {host}"),
            Self::Revoke { target, reason } => format!("revoke {}{}", quote(&target.typed()), why(reason)),
            Self::Restore { target } => format!("restore {}", quote(&target.typed())),
            Self::Assign { host, port: p, service, until, reason } => {
                let service = service.as_ref().map(|s| format!(" --service {}", quote(s))).unwrap_or_default();
                let until = until.map(|t| format!(" --until {}", moment(t))).unwrap_or_default();
                format!("assign {host}{}{service}{until}{}", port(*p), why(reason))
            }
            Self::Move { from, to, reason } => format!("move {from}{}{}", port(*to), why(reason)),
            Self::Release { port, reason } => format!("release {port}{}", why(reason)),
            Self::Reserve { port, until, reason } => {
                format!("reserve {port} --until {} --reason {}", moment(*until), quote(reason))
            }
            Self::Grant { what, until, reason } => {
                let what = match what {
                    Granted::Role { operator, role, teams } => {
                        let teams = teams.iter().flatten().map(|t| format!(" --team {t}")).collect::<String>();
                        format!("role {operator} {role}{teams}")
                    }
                    Granted::Visitors { team, port, network } => {
                        let team = team.as_ref().map(ToString::to_string).unwrap_or_default();
                        format!("visitors {} {network}", port.map_or(team, |p| p.to_string()))
                    }
                };
                format!("grant {what} --until {} --reason {}", moment(*until), quote(reason))
            }
            Self::Ungrant { grant, reason } => format!("ungrant {grant}{}", why(reason)),
            Self::CutVisitor { visitor } => format!("cut {visitor}"),
            Self::Disconnect { session } => format!("disconnect {session}"),
            Self::Logout { operator, reason } => format!("logout {operator}{}", why(reason)),
            Self::Mute { incident, for_s, reason } => {
                let time = humantime::format_duration(std::time::Duration::from_secs(*for_s)).to_string();
                format!("mute {} --for {} --reason {}", quote(incident), time.replace(' ', ""), quote(reason))
            }
            Self::Unmute { incident } => format!("unmute {}", quote(incident)),
            Self::Confirm { proposal } => format!("confirm {proposal}"),
            Self::Withdraw { proposal } => format!("withdraw {proposal}"),
            Self::Approve { fingerprint, host, until, reason } => {
                let until = until.map(|t| format!(" --until {}", moment(t))).unwrap_or_default();
                format!("approve {} {host}{until}{}", quote(fingerprint), why(reason))
            }
            Self::Unapprove { fingerprint, reason } => format!("unapprove {}{}", quote(fingerprint), why(reason)),
            Self::Dismiss { fingerprint } => format!("dismiss {}", quote(fingerprint)),
            Self::Reload => "reload".to_owned(),
            Self::WriteMode { on } => if *on { ":write" } else { ":read" }.to_owned(),
        }
    }
}

/// As the command line takes it.
fn moment(t: crate::model::Time) -> String {
    t.to_rfc3339_opts(chrono::SecondsFormat::Secs, true)
}

/// For a POSIX shell.
#[must_use]
pub fn quote(s: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || matches!(c, '.' | '_' | '-' | ':' | '/' | '@' | '+' | '=');
    if !s.is_empty() && s.chars().all(plain) { s.to_owned() } else { format!("'{}'", s.replace('\'', r"'\''")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_line_survives_the_shell() {
        let a = Action::Release { port: 20122_u16.try_into().unwrap(), reason: Some("it's done".into()) };
        assert_eq!(a.command(), r"portreeve release 20122 --reason 'it'\''s done'");
    }
}
