//! The command line, declared. Help, man pages and the verbs of `ssh ops@bastion VERB` derive from it.

mod audit;
mod grant;

use super::exit::EXIT_CODES;
use crate::audit::{Clock, moment_ahead};
use crate::control::actions::action;
use crate::control::howto::Format;
use crate::model::{
    BlockTarget, GrantId, HostName, OperatorName, Port, ProposalId, SessionId, TeamName, Time, VisitorId,
};
use crate::ui::Lang;
pub(super) use audit::DEFAULT_LIMIT;
pub use audit::{AuditArgs, AuditCommand};
use clap::{Args, Parser, Subcommand};
pub use grant::GrantWhat;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// A language by its code.
fn lang(code: &str) -> Result<Lang, String> {
    Lang::parse(code).ok_or_else(|| "the console has en and ko".to_owned())
}

/// An SSH bastion for reverse tunnels, and its operations console.
///
/// Without a command: the console, over the daemon's control socket.
#[derive(Debug, Parser)]
#[command(name = "portreeve", version, after_help = EXIT_CODES, max_term_width = 100)]
pub struct Cli {
    /// Options of every command.
    #[command(flatten)]
    pub global: Global,
    /// The console takes the mouse: a click selects, the wheel scrolls (the terminal's own selection then needs Shift)
    #[arg(long)]
    pub mouse: bool,
    /// The console's language: en or ko. By default that of its settings, then of LC_ALL, LC_MESSAGES or LANG
    #[arg(long, value_name = "LANG", value_parser = lang)]
    pub lang: Option<Lang>,
    /// What to do; the console when absent.
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// Options of every command.
#[derive(Debug, Clone, Args)]
pub struct Global {
    /// The daemon's control socket [default: ./portreeve-data/state/control.sock or the demo's if there is one, else
    /// /run/portreeve/control.sock]
    #[arg(long, global = true, value_name = "FILE", env = "PORTREEVE_SOCKET", hide_env_values = true)]
    pub socket: Option<PathBuf>,
    /// Print JSON: one value on one line (audit: one record a line); errors as {"code","message"} on standard error
    #[arg(long, global = true)]
    pub json: bool,
}

/// What one may say in `ssh ops@bastion …`: the verbs, and nothing that belongs to the machine one sits at.
#[derive(Debug, Parser)]
#[command(name = "portreeve", version, no_binary_name = true, after_help = EXIT_CODES, max_term_width = 100)]
pub struct Line {
    /// Print JSON: one value on one line (audit: one record a line)
    #[arg(long, global = true)]
    pub json: bool,
    /// What to do.
    #[command(subcommand)]
    pub verb: Verb,
}

/// All commands of the binary.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the daemon
    Serve(ServeArgs),
    /// Try it: scaffold what is missing, start the daemon and open the console
    Up(UpArgs),
    /// Everything that goes through the control socket.
    #[command(flatten)]
    Verb(Verb),
    /// Print a man page, or write all of them into a folder
    Man(ManArgs),
}

/// Of `serve`.
#[derive(Debug, Clone, Args)]
pub struct ServeArgs {
    /// The configuration
    #[arg(long, short, value_name = "FILE")]
    pub config: PathBuf,
}

/// Of `up`.
#[derive(Debug, Clone, Args)]
pub struct UpArgs {
    /// Folder for configuration, keys and state; scaffolded when it is not there. By default ./portreeve-data, and
    /// ./portreeve-demo with --demo
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// Add six hosts of three teams, some of them in trouble
    #[arg(long)]
    pub demo: bool,
    /// The console takes the mouse
    #[arg(long, conflicts_with = "no_console")]
    pub mouse: bool,
    /// The console's language: en or ko
    #[arg(long, value_name = "LANG", value_parser = lang, conflicts_with = "no_console")]
    pub lang: Option<Lang>,
    /// Run without the console; prints one JSON line when ready
    #[arg(long)]
    pub no_console: bool,
    /// Where the SSH server listens, for a new folder
    #[arg(long, value_name = "ADDR:PORT")]
    pub listen: Option<SocketAddr>,
}

/// Of `man`.
#[derive(Debug, Clone, Args)]
pub struct ManArgs {
    /// The command's page instead of portreeve(1)
    pub command: Option<String>,
    /// Write all pages into this folder
    #[arg(long, value_name = "DIR", conflicts_with = "command")]
    pub dir: Option<PathBuf>,
}

/// What can be asked and done, here and over SSH.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// The bastion in a few lines
    ///
    /// With --json: {daemon, you, tunnels: {up, degraded, down, awaiting, revoked}, sessions: {hosts, operators}, visitors}
    Status,
    /// What is wrong, by probable cause, with the evidence and what to do
    ///
    /// With --json: {at, incidents}, the worst first; the causes are in docs/console.md. Exit code 1 when there are
    /// incidents that are more than notes.
    Triage,
    /// Tunnels and leases, live or not
    ///
    /// With --json: an array of tunnels. FILTER: words that must occur, and comparisons such as team=pay state!=up
    /// port=201* visitors>0; the fields are port, host, team, service, state, kind, source, session, health, visitors,
    /// bytes, behind (visitors that are), waiting (bytes, for slow visitors).
    Tunnels {
        /// Only rows for which all of these hold
        filter: Vec<String>,
    },
    /// Each team's ranges: who holds what, what is free
    ///
    /// Reserved ports and, where the leases of the last weeks carry it, when the range is full. With --json: an array of
    /// {team, ranges, size, leased, free, next_free, used_percent, forecast, reserved, leases}
    Ports {
        /// Only this team
        team: Option<TeamName>,
    },
    /// The checks of the services behind the tunnels
    ///
    /// With --json: an array of {port, host, team, service, state, health}
    Health,
    /// SSH sessions of hosts and operators
    ///
    /// With --json: an array of sessions
    Sessions,
    /// Visitors connected now, and what waits for those that read slowly
    ///
    /// WAITING is what came from the host and the visitor has not read yet. "slows its session" stands where so much
    /// waits that nothing more is taken from the host until the visitor has read some of it; `portreeve cut VISITOR`
    /// ends that. With --json: an array of visitors.
    Visitors {
        /// Only of this tunnel
        port: Option<Port>,
    },
    /// Numbers for Prometheus and the like
    ///
    /// The text format 0.0.4, for a file that node_exporter reads or over `ssh ops@bastion metrics`; there is no HTTP.
    /// Of the teams that you may see. With --json: {process, sessions, spill, audit, teams, tunnels, ...}.
    Metrics {
        /// Leave out the series of each tunnel: thirteen lines a tunnel
        #[arg(long)]
        no_tunnels: bool,
    },
    /// Search the audit journal, or follow it
    ///
    /// With --json: one record a line, as in the journal. `audit verify` checks the journal's chain; to search for that
    /// word write `audit -- verify`.
    Audit(Box<AuditArgs>),
    #[command(about = help("reconnect"), long_about = long_help("reconnect"))]
    /// See the table of actions.
    Reconnect {
        /// Which host
        host: HostName,
        /// How long to watch for the redial [default: the daemon's reconnect_wait]
        #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
        wait: Option<Duration>,
        /// Confirmation.
        #[command(flatten)]
        yes: Yes,
    },
    #[command(about = help("revoke"), long_about = long_help("revoke"))]
    /// See the table of actions.
    Revoke {
        /// A host's name, a port, a key's fingerprint (SHA256:…), team:NAME, operator:NAME; of certificates
        /// serial:N@CA, id:KEYID or ca:CA, where CA is a fingerprint or an authority's name
        #[arg(value_parser = BlockTarget::parse)]
        target: BlockTarget,
        /// Why, for the audit and for whoever is refused
        #[arg(long)]
        reason: Option<String>,
        /// Confirmation.
        #[command(flatten)]
        yes: Yes,
    },
    #[command(about = help("restore"), long_about = long_help("restore"))]
    /// See the table of actions.
    Restore {
        /// A host's name, a port, a key's fingerprint (SHA256:…), team:NAME, operator:NAME; of certificates
        /// serial:N@CA, id:KEYID or ca:CA, where CA is a fingerprint or an authority's name
        #[arg(value_parser = BlockTarget::parse)]
        target: BlockTarget,
        /// Confirmation.
        #[command(flatten)]
        yes: Yes,
    },
    #[command(about = help("assign"), long_about = long_help("assign"))]
    /// See the table of actions.
    Assign {
        /// Whom
        host: HostName,
        /// Which port; the next free one of the team's ranges when absent
        port: Option<Port>,
        /// The service's name, e.g. ssh
        #[arg(long)]
        service: Option<String>,
        /// Until then, within 366 days: 2h, 18:00, 2026-12-01, 2026-12-01T18:00:00Z (days and hours of UTC); the lease ends
        /// by itself and its tunnel is closed. For ever when absent
        #[arg(long, value_name = "WHEN", value_parser = ahead)]
        until: Option<Time>,
        /// Why
        #[arg(long)]
        reason: Option<String>,
        /// Confirmation.
        #[command(flatten)]
        yes: Yes,
    },
    #[command(about = help("move"), long_about = long_help("move"))]
    /// See the table of actions.
    Move {
        /// The lease's port
        from: Port,
        /// Its new port; the next free one when absent
        to: Option<Port>,
        /// Why
        #[arg(long)]
        reason: Option<String>,
        /// Confirmation.
        #[command(flatten)]
        yes: Yes,
    },
    #[command(about = help("release"), long_about = long_help("release"))]
    /// See the table of actions.
    Release {
        /// The lease's port
        port: Port,
        /// Why
        #[arg(long)]
        reason: Option<String>,
        /// Confirmation.
        #[command(flatten)]
        yes: Yes,
    },
    #[command(about = help("reserve"), long_about = long_help("reserve"))]
    /// See the table of actions.
    Reserve {
        /// A port that nobody has
        port: Port,
        /// Until then, within 366 days: 2days, 18:00, 2026-12-01, 2026-12-01T18:00:00Z (days and hours of UTC)
        #[arg(long, value_name = "WHEN", value_parser = ahead)]
        until: Time,
        /// Why: who needs a port will want to know
        #[arg(long)]
        reason: String,
        /// Confirmation.
        #[command(flatten)]
        yes: Yes,
    },
    /// What is given until a time: leases, roles, networks of visitors
    ///
    /// With --json: an array of {kind, id, by, since, until, reason} and, of a role, {operator, role, teams}, of visitors
    /// {team, port, network}, of a lease {port, host, team, service}. A lease has no id: `portreeve release PORT` ends it.
    Grants,
    #[command(about = help("grant"), long_about = long_help("grant"))]
    /// See the table of actions.
    Grant {
        /// What.
        #[command(subcommand)]
        what: GrantWhat,
        /// Do not ask. Needed for what cuts connections wherever there is no terminal to ask on
        #[arg(long, short, global = true)]
        yes: bool,
        /// Do nothing: say whether it would be done now, and by which rule. Exit code 1 when it would not
        #[arg(long, global = true)]
        dry_run: bool,
    },
    #[command(about = help("ungrant"), long_about = long_help("ungrant"))]
    /// See the table of actions.
    Ungrant {
        /// Which, as `portreeve grants` names it
        grant: GrantId,
        /// Why
        #[arg(long)]
        reason: Option<String>,
        /// Confirmation.
        #[command(flatten)]
        yes: Yes,
    },
    #[command(about = help("cut_visitor"), long_about = long_help("cut_visitor"))]
    /// See the table of actions.
    Cut {
        /// Which, as `portreeve visitors` names it
        visitor: VisitorId,
        /// Confirmation.
        #[command(flatten)]
        yes: Yes,
    },
    #[command(about = help("disconnect"), long_about = long_help("disconnect"))]
    /// See the table of actions.
    Disconnect {
        /// Which, as `portreeve sessions` names it
        session: SessionId,
        /// Confirmation.
        #[command(flatten)]
        yes: Yes,
    },
    #[command(about = help("logout"), long_about = long_help("logout"))]
    /// See the table of actions.
    Logout {
        /// Whom
        operator: OperatorName,
        /// Why, for the audit and for whoever is logged out
        #[arg(long)]
        reason: Option<String>,
        /// Confirmation.
        #[command(flatten)]
        yes: Yes,
    },
    /// What operators have proposed and another one must confirm
    ///
    /// An action is proposed rather than done where `[actions.NAME]` of the configuration has `two_person`. With --json: an
    /// array of {id, what, by, since, until, reason, team, blast, yours, may_confirm}.
    Proposals,
    #[command(about = help("confirm"), long_about = long_help("confirm"))]
    /// See the table of actions.
    Confirm {
        /// Which, as `portreeve proposals` names it
        proposal: ProposalId,
        /// Confirmation.
        #[command(flatten)]
        yes: Yes,
    },
    #[command(about = help("withdraw"), long_about = long_help("withdraw"))]
    /// See the table of actions.
    Withdraw {
        /// Which, as `portreeve proposals` names it
        proposal: ProposalId,
        /// Confirmation.
        #[command(flatten)]
        yes: Yes,
    },
    #[command(about = help("mute"), long_about = long_help("mute"))]
    /// See the table of actions.
    Mute {
        /// Which: its id, as `portreeve triage` shows it, e.g. host-gone:pay-01
        incident: String,
        /// For how long, at most 30 days: 30m, 2h, 3days
        #[arg(long = "for", value_name = "TIME", value_parser = humantime::parse_duration)]
        time: Duration,
        /// Why: who takes over from you will want to know
        #[arg(long)]
        reason: String,
        /// Confirmation.
        #[command(flatten)]
        yes: Yes,
    },
    #[command(about = help("unmute"), long_about = long_help("unmute"))]
    /// See the table of actions.
    Unmute {
        /// Which: its id, as `portreeve triage` shows it
        incident: String,
        /// Confirmation.
        #[command(flatten)]
        yes: Yes,
    },
    #[command(about = help("approve"), long_about = long_help("approve"))]
    /// See the table of actions.
    Approve {
        /// Its fingerprint (SHA256:…), as `portreeve pending` shows it: compare it with the host's owner first, by
        /// another way than this connection
        #[arg(value_parser = fingerprint)]
        key: String,
        /// A host of the configuration
        host: HostName,
        /// Until then: 2days, 2026-12-01, 2026-12-01T18:00:00Z (days and hours of UTC); until it is taken back when absent
        #[arg(long, value_name = "WHEN", value_parser = ahead)]
        until: Option<Time>,
        /// Why
        #[arg(long)]
        reason: Option<String>,
        /// Confirmation.
        #[command(flatten)]
        yes: Yes,
    },
    #[command(about = help("unapprove"), long_about = long_help("unapprove"))]
    /// See the table of actions.
    Unapprove {
        /// Its fingerprint (SHA256:…), as `portreeve keys` shows it
        #[arg(value_parser = fingerprint)]
        key: String,
        /// Why
        #[arg(long)]
        reason: Option<String>,
        /// Confirmation.
        #[command(flatten)]
        yes: Yes,
    },
    #[command(about = help("dismiss"), long_about = long_help("dismiss"))]
    /// See the table of actions.
    Dismiss {
        /// Its fingerprint (SHA256:…), as `portreeve pending` shows it
        #[arg(value_parser = fingerprint)]
        key: String,
        /// Confirmation.
        #[command(flatten)]
        yes: Yes,
    },
    #[command(about = help("reload"), long_about = long_help("reload"))]
    /// See the table of actions.
    Reload {
        /// Confirmation.
        #[command(flatten)]
        yes: Yes,
    },
    /// Would this host or key get this port, or this operator or address reach it, and by which rule?
    ///
    /// With --json: {allowed, port, rule, steps}. Exit code 1 when it would be refused.
    Explain {
        /// A host's name, a key's fingerprint (SHA256:…), operator:NAME, or a visitor's address
        #[arg(value_name = "KEY|HOST|OPERATOR|ADDRESS")]
        who: String,
        /// The port it would ask for (0 or absent for any), or that of the tunnel
        port: Option<u32>,
    },
    /// How a host brings its tunnels up: the ssh line, an ssh_config, a systemd unit
    ///
    /// For its keys, ports and this bastion's address (`address` in `[bastion]` says how hosts reach it). What to mind is
    /// said on standard error. With --json: {host, keys, address, port, forwards, host_keys, ssh, config, systemd,
    /// known_hosts, remarks}.
    #[command(name = "howto")]
    HowTo {
        /// A host (all its ports), a port, or a key's fingerprint (SHA256:…)
        #[arg(value_name = "HOST|PORT", value_parser = BlockTarget::parse)]
        of: BlockTarget,
        /// ssh, config, systemd, known_hosts (the bastion's keys for the host)
        #[arg(long, value_name = "FORM", default_value = "ssh", value_parser = format)]
        format: Format,
    },
    /// A lease for a host, where it has none, and the script that brings its tunnels up
    ///
    /// The script is for a POSIX shell, to be run as root on the host: it makes a key where there is none, writes the
    /// bastion's keys, the ssh_config and the unit, and starts it once the bastion knows the key. Run it again after that.
    /// Needs the role operator where a port is to be given. With --json: as howto, and {assigned, script}.
    Enroll {
        /// A host of the configuration
        host: HostName,
        /// The port on the bastion; the next free one where it has none
        port: Option<Port>,
        /// The service's name, such as ssh: decides how it is checked and where it is on the host
        #[arg(long)]
        service: Option<String>,
        /// Why, for the audit
        #[arg(long)]
        reason: Option<String>,
    },
    /// Keys that nobody has, proved by clients that were refused: to be approved or dismissed
    ///
    /// Kept in memory, where `pending = true` in `[trust]`. With --json: an array of {fingerprint, key, user, source,
    /// client, first, last, count, known}, known being whether somebody has signed in from that network before.
    Pending,
    /// Whose keys there are, and when each was last used
    ///
    /// Those that stand in the configuration or were approved; keys in certificates come and go by themselves. With --json:
    /// an array of {fingerprint, since, last, source, uses, algorithm, comment, host, operator, team, expires, from,
    /// sessions, refused}, and approved where it is: {host, by, since, until, reason, key}.
    Keys {
        /// Only this host's or operator's
        name: Option<String>,
        /// Only those that nobody has signed in by for so long: 30days
        #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
        unused: Option<Duration>,
    },
    /// Where configuration and ledger disagree
    ///
    /// With --json: an array of findings. Exit code 1 when there are any.
    Check {
        /// Check this file, without a daemon
        #[arg(long, short, value_name = "FILE")]
        config: Option<PathBuf>,
    },
}

/// Of everything that acts.
#[derive(Debug, Clone, Copy, Args)]
pub struct Yes {
    /// Do not ask. Needed for what cuts connections wherever there is no terminal to ask on
    #[arg(long, short)]
    pub yes: bool,
    /// Do nothing: say whether it would be done now, by which rule, and what it would cut. Exit code 1 when it would not
    #[arg(long)]
    pub dry_run: bool,
}

/// The action's line of help; the verb's name where the table has none, which a test forbids.
fn help(id: &'static str) -> String {
    let text = action(id).map_or(id, |a| a.help);
    let mut letters = text.chars();
    letters.next().map(|c| c.to_uppercase().chain(letters).collect()).unwrap_or_default()
}

fn long_help(id: &'static str) -> String {
    let role = action(id).map(|a| format!(" Needs the role {}.", a.role)).unwrap_or_default();
    format!(
        "{}.{role}\n\nWith --json: {{seq, summary, ok, lease, revocation, proposal}}, seq being the audit event's number; proposal where \
         another operator must confirm it first (then ok is false and the exit code 1).",
        help(id)
    )
}

/// A key by its fingerprint, whole.
fn fingerprint(s: &str) -> Result<String, String> {
    match BlockTarget::parse(s) {
        Ok(BlockTarget::Key(key)) => Ok(key),
        _ => {
            Err("write the whole fingerprint, SHA256:…, as `portreeve pending` or `portreeve keys` shows it".to_owned())
        }
    }
}

fn format(s: &str) -> Result<Format, String> {
    Format::ALL
        .into_iter()
        .find(|f| f.word() == s)
        .ok_or_else(|| "write ssh, config, systemd or known_hosts".to_owned())
}

/// A moment to come; days and hours are UTC's.
fn ahead(s: &str) -> Result<Time, String> {
    moment_ahead(s, crate::model::now(), Clock::Utc).ok_or_else(|| {
        format!("{s:?} is not a time to come: write 2h, 18:00, 2days, 2026-12-01 or 2026-12-01T18:00:00Z (UTC)")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::actions::ACTIONS;
    use clap::CommandFactory;

    #[test]
    fn the_declaration_is_sound() {
        Cli::command().debug_assert();
        Line::command().debug_assert();
    }

    #[test]
    fn every_action_has_its_verb_with_its_help_and_every_verb_that_acts_its_action() {
        for command in [Cli::command(), Line::command()] {
            for a in ACTIONS {
                let verb = command.find_subcommand(a.verb).unwrap_or_else(|| panic!("no verb {}", a.verb));
                assert_eq!(verb.get_about().unwrap().to_string().to_lowercase(), a.help.to_lowercase());
                assert!(verb.get_arguments().any(|x| x.get_id() == "yes"), "{} can be confirmed", a.verb);
            }
            for verb in command.get_subcommands().filter(|c| c.get_arguments().any(|x| x.get_id() == "yes")) {
                assert!(ACTIONS.iter().any(|a| a.verb == verb.get_name()), "{} is no action", verb.get_name());
            }
        }
    }
}
