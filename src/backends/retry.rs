//! Which errors of a file system pass by themselves within a second, and how often they are met with patience.

use std::io::{Error, Result};
use std::time::Duration;

use rustix::io::Errno;

use super::Profile;

/// Tries of one operation, all included.
const TRIES_MAX: u32 = 6;

/// What is being done: the same errno means different things to a rename and to a read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Opening or reading an object that ought to be there.
    Read,
    /// Creating, renaming or removing a name, or writing a file that is given up when it fails.
    Name,
    /// Making durable what is there already. An error of the device may be reported once and then be forgotten, so a
    /// try that works after one that did not proves nothing.
    Sync,
}

/// Runs `operation`, again after errors that pass. It must be one that may be repeated from its start; a file that
/// an operation opened is never used by the next try.
pub(super) fn patiently<T>(profile: Profile, step: Step, mut operation: impl FnMut() -> Result<T>) -> Result<T> {
    let mut tries = 1;
    loop {
        match operation() {
            Err(err) if tries < TRIES_MAX && passes(profile, step, &err) => {
                pause(tries);
                tries += 1;
            }
            outcome => return outcome,
        }
    }
}

fn passes(profile: Profile, step: Step, err: &Error) -> bool {
    let network = matches!(profile, Profile::Nfs | Profile::Cifs);
    match Errno::from_io_error(err) {
        Some(Errno::INTR | Errno::AGAIN) => true,
        // The server forgot the handle; opening anew asks by name.
        Some(Errno::STALE) => true,
        // Another host may remember for a while that a new name did not exist (the attribute cache of NFS).
        Some(Errno::NOENT) => network && step == Step::Read,
        // A name that somebody has open cannot be renamed or removed for a moment, which CIFS calls "access denied".
        Some(Errno::ACCESS | Errno::BUSY | Errno::TXTBSY) => profile == Profile::Cifs && step == Step::Name,
        // The session with the server broke and is made anew.
        Some(Errno::IO) => profile == Profile::Cifs && step != Step::Sync,
        _ => false,
    }
}

/// 10, 20, 40 … milliseconds.
#[expect(clippy::disallowed_methods, reason = "backends block by contract, and TRIES_MAX bounds the sum to 0.4 s")]
fn pause(tries: u32) {
    std::thread::sleep(Duration::from_millis(10 << tries.min(TRIES_MAX)) / 2);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failing(errno: Errno, times: u32) -> impl FnMut() -> Result<u32> {
        let mut calls = 0;
        move || {
            calls += 1;
            if calls <= times { Err(errno.into()) } else { Ok(calls) }
        }
    }

    #[test]
    fn interruptions_and_stale_handles_are_tried_again_and_a_broken_disk_is_not() {
        let local = |errno, times| patiently(Profile::Local, Step::Read, failing(errno, times));

        assert_eq!(local(Errno::INTR, 2).unwrap(), 3);
        assert_eq!(local(Errno::STALE, 1).unwrap(), 2);
        assert!(local(Errno::IO, 1).is_err());
        assert!(local(Errno::NOENT, 1).is_err());
        assert!(local(Errno::INTR, TRIES_MAX).is_err());
    }

    #[test]
    fn network_file_systems_get_the_patience_that_their_caches_need() {
        assert_eq!(patiently(Profile::Nfs, Step::Read, failing(Errno::NOENT, 1)).unwrap(), 2);
        assert_eq!(patiently(Profile::Cifs, Step::Name, failing(Errno::ACCESS, 1)).unwrap(), 2);
        assert_eq!(patiently(Profile::Cifs, Step::Name, failing(Errno::IO, 1)).unwrap(), 2);
        assert!(patiently(Profile::Cifs, Step::Read, failing(Errno::ACCESS, 1)).is_err());
        assert!(patiently(Profile::Cifs, Step::Sync, failing(Errno::IO, 1)).is_err());
        assert!(patiently(Profile::Nfs, Step::Name, failing(Errno::NOENT, 1)).is_err());
    }
}
