//! Exit codes: what scripts go by.

use crate::control::client::ClientError;
use crate::control::protocol::ErrorCode;

/// How a command ended. The numbers are stable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// It was done.
    Done = 0,
    /// It was done, and the answer is not the good one.
    NotOk = 1,
    /// The command line or the request makes no sense.
    Usage = 2,
    /// There is no daemon to talk to.
    Unreachable = 3,
    /// Role, teams, or the socket's group do not allow it.
    Forbidden = 4,
    /// There is no such thing.
    NotFound = 5,
    /// It has changed meanwhile, or somebody else holds it.
    Conflict = 6,
    /// The daemon could not do it.
    Unavailable = 7,
}

/// The codes as `--help` and the man page show them.
pub const EXIT_CODES: &str = "\
Exit codes:
  0  done
  1  done, but not ok: the host is not back (reconnect), there are findings (check), there are incidents (triage), it would be refused (explain, --dry-run), it waits for another operator (two_person), the chain is broken (audit verify), you were asked and said no
  2  usage: the command line or the request makes no sense
  3  no daemon to talk to: not running, another version, or it went away
  4  forbidden: your role, teams or group do not allow it
  5  not found: no such host, port, session or visitor
  6  conflict: it has changed meanwhile, or somebody else holds it
  7  unavailable: the daemon could not do it";

impl Exit {
    /// The number.
    #[must_use]
    pub fn code(self) -> u8 {
        self as u8
    }
}

impl From<&ClientError> for Exit {
    fn from(e: &ClientError) -> Self {
        match e {
            ClientError::Api(e) => e.code.into(),
            ClientError::Denied { .. } => Self::Forbidden,
            _ => Self::Unreachable,
        }
    }
}

impl From<ErrorCode> for Exit {
    fn from(code: ErrorCode) -> Self {
        match code {
            ErrorCode::Invalid => Self::Usage,
            ErrorCode::Forbidden => Self::Forbidden,
            ErrorCode::NotFound => Self::NotFound,
            ErrorCode::Conflict => Self::Conflict,
            ErrorCode::Unavailable => Self::Unavailable,
        }
    }
}
