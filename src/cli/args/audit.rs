//! What `audit` is asked with: a search, or the proof of the chain.

use crate::audit::{AuditQuery, Clock, Origin, Outcome, moment};
use crate::model::{HostName, Port, Seq, SessionId, TeamName, Time};
use clap::{Args, Subcommand};
use std::path::PathBuf;

/// Records of `audit` unless `--limit` says otherwise.
pub(in crate::cli) const DEFAULT_LIMIT: usize = 1_000;

/// Of `audit`.
#[derive(Debug, Args)]
pub struct AuditArgs {
    /// Instead of searching.
    #[command(subcommand)]
    pub command: Option<AuditCommand>,
    /// Go on with new events as they come
    #[arg(long, short)]
    pub follow: bool,
    /// Print OCSF events, one a line, as a SIEM takes them (schema.ocsf.io)
    #[arg(long)]
    pub ocsf: bool,
    /// Only from then on: 1h, 2days, yesterday, 14:00, 2026-01-31, 2026-01-31T14:00:00Z (days and hours of UTC)
    #[arg(long, value_name = "WHEN", value_parser = when)]
    pub since: Option<Time>,
    /// Only before then
    #[arg(long, value_name = "WHEN", value_parser = when)]
    pub until: Option<Time>,
    /// Event name or its beginning: auth.failure, auth; several with commas between them
    #[arg(long, value_name = "NAME")]
    pub event: Option<String>,
    /// success, refused or failure
    #[arg(long, value_parser = outcome)]
    pub outcome: Option<Outcome>,
    /// On whose account: an operator's or host's name, visitor, unknown, daemon
    #[arg(long, value_name = "NAME")]
    pub actor: Option<String>,
    /// Host concerned
    #[arg(long)]
    pub host: Option<HostName>,
    /// Team concerned
    #[arg(long)]
    pub team: Option<TeamName>,
    /// Port concerned
    #[arg(long)]
    pub port: Option<Port>,
    /// Where the peer came from: 203.0.113.9, 203.0.113.9:50022, 203.0.113.0/24
    #[arg(long, value_name = "ADDRESS")]
    pub source: Option<Origin>,
    /// User name given at login
    #[arg(long, value_name = "NAME")]
    pub user: Option<String>,
    /// Fingerprint of the key used, or its beginning (SHA256:…)
    #[arg(long, value_name = "FINGERPRINT")]
    pub key: Option<String>,
    /// SSH session concerned
    #[arg(long)]
    pub session: Option<SessionId>,
    /// Only before the event of this number (to page back)
    #[arg(long, value_name = "SEQ")]
    pub before: Option<u64>,
    /// At most this many, the newest
    #[arg(long, short = 'n', value_name = "N", default_value_t = DEFAULT_LIMIT)]
    pub limit: usize,
    /// A text that occurs anywhere in the record, case ignored
    pub text: Option<String>,
}

impl AuditArgs {
    /// Whether anything but a subcommand was given.
    #[must_use]
    pub fn searches(&self) -> bool {
        let nothing = AuditQuery { limit: Some(DEFAULT_LIMIT), ..AuditQuery::default() };
        self.follow || self.query() != nothing
    }

    /// The search.
    #[must_use]
    pub fn query(&self) -> AuditQuery {
        AuditQuery {
            after: None,
            before: self.before.map(Seq),
            since: self.since,
            until: self.until,
            event: self.event.clone(),
            outcome: self.outcome,
            actor: self.actor.clone(),
            host: self.host.clone(),
            team: self.team.clone(),
            port: self.port,
            about: Vec::new(),
            source: self.source,
            user: self.user.clone(),
            key: self.key.clone(),
            session: self.session,
            text: self.text.clone(),
            words: Vec::new(),
            limit: Some(self.limit),
        }
    }
}

/// Of `audit`, instead of searching.
#[derive(Debug, Subcommand)]
pub enum AuditCommand {
    /// Prove the journal's chain and its signatures, or name the first break
    ///
    /// With --json: {ok, summary}. Exit code 1 when something is broken.
    ///
    /// A folder proved with --key holds nothing that was written anew, and proved with --checkpoint it has not been cut
    /// at its end before that checkpoint either.
    Verify {
        /// Check the journal in this folder, without a daemon
        #[arg(long, value_name = "DIR")]
        dir: Option<PathBuf>,
        /// The daemon's audit key (its .pub file); several for a journal that outlived a key
        #[arg(long, value_name = "FILE", requires = "dir")]
        key: Vec<PathBuf>,
        /// A checkpoint that was kept on another machine
        #[arg(long, value_name = "FILE", requires = "dir")]
        checkpoint: Vec<PathBuf>,
    },
    /// Sign the journal as it is now, and print the checkpoint to be kept on another machine
    ///
    /// With --json: {upto, head, made, key, signature}.
    Checkpoint,
}

fn outcome(s: &str) -> Result<Outcome, String> {
    match s {
        "success" => Ok(Outcome::Success),
        "refused" => Ok(Outcome::Refused),
        "failure" => Ok(Outcome::Failure),
        _ => Err("write success, refused or failure".to_owned()),
    }
}

/// A moment; days and hours are UTC's.
fn when(s: &str) -> Result<Time, String> {
    moment(s, crate::model::now(), Clock::Utc).ok_or_else(|| {
        format!("{s:?} is not a time: write 1h, 2days, yesterday, 14:00, 2026-01-31 or 2026-01-31T14:00:00Z (UTC)")
    })
}

#[cfg(test)]
mod tests {
    use super::super::{Cli, Command, Verb};
    use super::*;
    use clap::Parser;

    #[test]
    fn times_are_ages_days_or_moments() {
        let ago = when("1h").unwrap();
        let hour = crate::model::now() - ago;
        assert!((3_600..3_610).contains(&hour.num_seconds()));
        assert_eq!(when("2026-01-31").unwrap().to_rfc3339(), "2026-01-31T00:00:00+00:00");
        assert_eq!(when("2026-01-31T09:00:00+09:00").unwrap(), when("2026-01-31").unwrap());
        assert!(when("whenever").is_err());
        assert!(when("9999999999999days").is_err());
    }

    #[test]
    fn audit_searches_and_verifies() {
        let parse = |words: &[&str]| match Cli::try_parse_from([&["portreeve"], words].concat()).unwrap().command {
            Some(Command::Verb(Verb::Audit(a))) => a,
            other => panic!("{other:?}"),
        };
        assert!(matches!(parse(&["--json", "audit", "verify"]).command, Some(AuditCommand::Verify { dir: None, .. })));
        // A script that means the proof must not get a search for the word.
        for words in
            [&["audit", "verify", "--json"][..], &["audit", "--json", "verify"], &["audit", "-n", "5", "verify"]]
        {
            assert!(parse(words).command.is_some(), "{words:?}");
        }
        assert!(matches!(parse(&["audit", "checkpoint"]).command, Some(AuditCommand::Checkpoint)));
        let proof = ["audit", "verify", "--dir", "a", "--key", "k.pub", "--key", "old.pub", "--checkpoint", "c"];
        assert!(matches!(parse(&proof).command, Some(AuditCommand::Verify { key, .. }) if key.len() == 2));
        assert!(Cli::try_parse_from(["portreeve", "audit", "verify", "--key", "k.pub"]).is_err(), "needs --dir");
        assert!(!parse(&["audit", "verify"]).searches());
        assert!(parse(&["audit", "-n", "5", "verify"]).searches());
        let a = parse(&["audit", "-f", "-n", "5", "--outcome", "refused", "key"]);
        assert!(a.follow && a.command.is_none());
        assert_eq!((a.limit, a.outcome, a.text.as_deref()), (5, Some(Outcome::Refused), Some("key")));
        assert_eq!(parse(&["audit", "--", "verify"]).text.as_deref(), Some("verify"));
    }
}
