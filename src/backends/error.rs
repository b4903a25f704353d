//! What can go wrong with a place, told apart by what to do about it.

use std::io::{Error, ErrorKind};
use std::path::Path;

use rustix::io::Errno;

/// Why a backend could not do what was asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BackendError {
    /// No such object. Whoever holds an old location looks it up again.
    #[error("{0} is not in the storage")]
    NotFound(String),
    /// The key is taken; objects are never replaced.
    #[error("{0} is in the storage already and is never replaced")]
    AlreadyExists(String),
    /// No room, or a quota is used up. Stop writing, keep the queue, tell an administrator.
    #[error("{place} is full: {need} bytes were to be written{}; free or add space there", free_text(*free))]
    Full { place: String, need: u64, free: Option<u64> },
    /// The directory is not there. An administrator creates or mounts it.
    #[error(
        "{place} does not exist: create it and give it to user {user} (\"install -d -o {user} -m 750 {place}\"), or \
         mount it if it is a share"
    )]
    Missing { place: String, user: String },
    /// The directory is there and kodo may not use it. An administrator changes its owner or mode.
    #[error(
        "user {user} may not {verb} {place}: give it to that user (\"chown -R {user} {place}\") and see that the \
         directories above may be entered"
    )]
    Denied { place: String, user: String, verb: &'static str },
    /// The file system is mounted read-only, or turned so after an error of its own.
    #[error("{0} is on a read-only file system: look at the system log for why, repair it and mount it writable")]
    ReadOnly(String),
    /// The place does not answer or answers with an error of the device or the server. Retry later.
    #[error("{place} does not work: {reason}")]
    Unavailable { place: String, reason: String },
    /// What was read is not what was written.
    #[error("{key} is damaged: {reason}")]
    Corrupt { key: String, reason: String },
    /// A defect: such a key is never made.
    #[error("\"{0}\" cannot be a key")]
    BadKey(String),
}

fn free_text(free: Option<u64>) -> String {
    free.map(|bytes| format!(" and {bytes} are free")).unwrap_or_default()
}

impl BackendError {
    /// Gives an operating system's error its meaning. `verb` says what was tried on `place`.
    pub(super) fn of(err: &Error, verb: &'static str, place: &Path) -> Self {
        let shown = place.display().to_string();
        match Errno::from_io_error(err) {
            Some(Errno::NOSPC | Errno::DQUOT) => Self::Full { place: shown, need: 0, free: None },
            Some(Errno::ROFS) => Self::ReadOnly(shown),
            Some(Errno::ACCESS | Errno::PERM) => Self::Denied { place: shown, user: current_user(), verb },
            Some(Errno::NOTDIR) => Self::Unavailable { place: shown, reason: "it is not a directory".to_owned() },
            _ if err.kind() == ErrorKind::NotFound => Self::Missing { place: shown, user: current_user() },
            _ => Self::Unavailable { place: shown, reason: format!("cannot {verb}: {err}; {}", advice(err)) },
        }
    }

    /// The same error about an object instead of its path, where its absence is an answer and no fault of the place.
    pub(super) fn about(self, key: &str) -> Self {
        match self {
            Self::Missing { .. } => Self::NotFound(key.to_owned()),
            other => other,
        }
    }
}

/// What an administrator does about an error that the file system gives no other meaning.
fn advice(err: &Error) -> &'static str {
    match Errno::from_io_error(err) {
        Some(Errno::STALE) => "the server no longer knows this directory: mount the share again",
        Some(Errno::INTR | Errno::AGAIN) => "it is tried again later",
        _ => "see the system log for what the disk or the server says",
    }
}

/// The name of the user that kodo runs as, or its number when the system has no name for it here.
fn current_user() -> String {
    let uid = rustix::process::geteuid().as_raw().to_string();
    let accounts = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let name = accounts.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)? == uid).then(|| name.to_owned())
    });
    name.unwrap_or(uid)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_of_the_system_are_told_apart_by_what_to_do() {
        let of = |errno: Errno| BackendError::of(&errno.into(), "write", Path::new("/srv/kodo"));

        assert!(matches!(of(Errno::NOSPC), BackendError::Full { .. }));
        assert!(matches!(of(Errno::DQUOT), BackendError::Full { .. }));
        assert!(matches!(of(Errno::ROFS), BackendError::ReadOnly(_)));
        assert!(matches!(of(Errno::ACCESS), BackendError::Denied { .. }));
        assert!(matches!(of(Errno::NOENT), BackendError::Missing { .. }));
        assert!(matches!(of(Errno::IO), BackendError::Unavailable { .. }));
        assert!(matches!(of(Errno::STALE), BackendError::Unavailable { .. }));
        assert!(of(Errno::STALE).to_string().contains("mount the share again"));
        assert!(of(Errno::IO).to_string().contains("see the system log"));
        assert!(of(Errno::NOENT).to_string().contains("create it and give it to user"));
        assert_eq!(of(Errno::NOENT).about("k"), BackendError::NotFound("k".to_owned()));
    }
}
