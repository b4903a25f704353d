//! How a command ends: an error that knows its exit code.

use std::process::ExitCode;

use crate::app::Failure;

/// The exit codes, as `kodo --help` documents them. Scripts rely on the numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    Ok = 0,
    Failed = 1,
    Usage = 2,
    Incomplete = 3,
    Refused = 4,
    Config = 5,
    CannotStart = 6,
}

/// The part of `kodo --help` that tells the codes. clap itself ends with 2.
pub const HELP: &str = "\
Exit codes:
  0  done
  1  failed: the message says what and why
  2  the command line is wrong, or a needed answer was not given
  3  finished, but incomplete: some items or tasks failed
  4  the server cannot be reached, or the token is missing or does not allow this
  5  the configuration is wrong
  6  cannot start: the database, the port, the certificate, the state directory or its instance
     key is missing, in use, or not fit for this version of kodo";

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// Why a command did not simply succeed.
#[derive(Debug, thiserror::Error)]
pub enum CliError {
    #[error("{0}")]
    Failed(String),
    #[error("{0}")]
    Usage(String),
    /// It ran to its end, and something is missing.
    #[error("{0}")]
    Incomplete(String),
    /// No answer from the server.
    #[error("{0}")]
    Unreachable(String),
    /// An answer that says: not now.
    #[error("{0}")]
    Unavailable(String),
    /// An answer that says: not you.
    #[error("{0}")]
    Refused(String),
    #[error("{0:#}")]
    Config(anyhow::Error),
    /// The configuration is well-formed, and what it names is not there or not to be used.
    #[error("{0:#}")]
    CannotStart(anyhow::Error),
    #[error("{0:#}")]
    Other(#[from] anyhow::Error),
    /// Whoever read our output has seen enough, as `head` does.
    #[error("the output was closed")]
    OutputClosed,
}

impl From<Failure> for CliError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Start(err) => Self::CannotStart(err),
            Failure::Work(err) => Self::Other(err),
        }
    }
}

impl CliError {
    pub fn exit(&self) -> Exit {
        match self {
            Self::Failed(_) | Self::Unavailable(_) | Self::Other(_) => Exit::Failed,
            Self::Usage(_) => Exit::Usage,
            Self::Incomplete(_) => Exit::Incomplete,
            Self::Unreachable(_) | Self::Refused(_) => Exit::Refused,
            Self::Config(_) => Exit::Config,
            Self::CannotStart(_) => Exit::CannotStart,
            Self::OutputClosed => Exit::Ok,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_exit_code_is_documented() {
        let first = [Exit::Ok, Exit::Failed, Exit::Usage, Exit::Incomplete];
        for exit in first.into_iter().chain([Exit::Refused, Exit::Config, Exit::CannotStart]) {
            assert!(HELP.contains(&format!("\n  {}  ", exit as u8)), "{exit:?} is not in the help text");
        }
    }

    #[test]
    fn an_error_of_several_layers_is_told_in_one_line() {
        let err = CliError::from(anyhow::anyhow!("no space left").context("cannot write report.json"));

        assert_eq!(err.to_string(), "cannot write report.json: no space left");
        assert_eq!(err.exit(), Exit::Failed);
    }
}
