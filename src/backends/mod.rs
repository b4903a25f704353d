//! Bytes by key on one outside place, nothing else.
//!
//! Owns: the trait [`Backend`], its kinds (a directory on a local, NFS, CIFS or VDO file system; memory), what an
//! error of a place means for the caller. Does not own: what the bytes are, when they may be deleted, any retry that
//! takes longer than a second or two.
//!
//! Invariants, held by every kind and checked by `conformance`: a put is atomic (a reader sees all of an object or
//! none), durable when it returns, and never replaces an object; a failed put leaves no object behind unless the
//! error is [`BackendError::Unavailable`], when nobody can say; keys are checked before a path is made of them.
//!
//! All calls block. Callers run them behind a bounded door of their own, never on an async thread.

#[cfg(test)]
mod conformance;
mod error;
#[cfg(test)]
pub mod faulty;
mod filesystem;
#[cfg(test)]
pub mod lying;
mod memory;
mod retry;
mod vdo;

use bytes::Bytes;

pub use error::BackendError;
pub use filesystem::{Filesystem, Profile};
pub use memory::Memory;

/// The longest key.
pub const KEY_BYTES_MAX: usize = 200;

/// A place that keeps bytes by key.
pub trait Backend: Send + Sync + std::fmt::Debug {
    /// Stores `parts`, one behind the other, as a new object. Durable on return; [`BackendError::AlreadyExists`] when
    /// the key is taken.
    fn put(&self, key: &str, parts: &[Bytes]) -> Result<(), BackendError>;

    /// Fills `buffer` with the bytes from `offset` on; an object that ends before is [`BackendError::Corrupt`].
    fn read_range(&self, key: &str, offset: u64, buffer: &mut [u8]) -> Result<(), BackendError>;

    /// As [`Self::read_range`], for `len` bytes that are kept.
    fn get_range(&self, key: &str, offset: u64, len: usize) -> Result<Bytes, BackendError> {
        let mut buffer = vec![0; len];
        self.read_range(key, offset, &mut buffer)?;
        Ok(buffer.into())
    }

    /// Reads the last `len` bytes, or all when there are fewer.
    fn get_tail(&self, key: &str, len: usize) -> Result<Tail, BackendError>;

    /// The objects directly in the folder `prefix`, which ends in `/`, or at the top for the empty prefix; by key.
    fn list(&self, prefix: &str) -> Result<Vec<Entry>, BackendError>;

    /// Deletes an object. [`BackendError::NotFound`] when there is none.
    fn delete(&self, key: &str) -> Result<(), BackendError>;

    /// Renames an object that is damaged to `<key>.bad`, where nothing looks for it and everything of it is left.
    /// [`BackendError::NotFound`] when there is none, [`BackendError::AlreadyExists`] when one was set aside before.
    fn set_aside(&self, key: &str) -> Result<(), BackendError>;

    /// How much room is left, if the place can tell.
    fn free_space(&self) -> Result<Option<Space>, BackendError>;

    /// Removes what interrupted puts of an earlier life of this agent left behind. Only at the start of an agent:
    /// it would pull the ground from under a put that is under way. Returns how many there were.
    fn sweep(&self) -> Result<u32, BackendError>;
}

/// The end of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tail {
    pub bytes: Bytes,
    /// The length of the whole object.
    pub object_bytes: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Entry {
    pub key: String,
    pub bytes: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Space {
    pub free_bytes: u64,
    pub total_bytes: u64,
}

/// Refuses what could leave the storage or means different objects on different file systems.
fn check_key(key: &str) -> Result<(), BackendError> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
    let segment = |s: &str| !s.is_empty() && !s.starts_with('.') && s.bytes().all(plain);
    let well_formed = key.len() <= KEY_BYTES_MAX && key.split('/').all(segment) && !key.starts_with("tmp/");
    if well_formed { Ok(()) } else { Err(BackendError::BadKey(key.to_owned())) }
}

/// Where [`Backend::set_aside`] puts an object.
fn aside(key: &str) -> Result<String, BackendError> {
    check_key(key)?;
    let aside = format!("{key}.bad");
    check_key(&aside).map(|()| aside)
}

/// A folder to list: empty or keys' first segments with a slash behind.
fn check_prefix(prefix: &str) -> Result<(), BackendError> {
    match prefix.strip_suffix('/') {
        Some(folder) => check_key(folder),
        None if prefix.is_empty() => Ok(()),
        None => Err(BackendError::BadKey(prefix.to_owned())),
    }
}

/// The length of an object that is about to be put.
fn total_bytes(parts: &[Bytes]) -> u64 {
    parts.iter().map(|part| part.len() as u64).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_that_could_leave_the_storage_are_refused() {
        for good in ["STORE.json", "packs/ab/abcd.kpk", "keys/0-1_2.json"] {
            check_key(good).unwrap();
        }
        let long = "k".repeat(KEY_BYTES_MAX + 1);
        for bad in ["", "/etc/passwd", "../x", "packs/../../x", "a//b", ".hidden", "a b", "tmp/x", "é", &long] {
            assert!(check_key(bad).is_err(), "{bad}");
        }
        check_prefix("").unwrap();
        check_prefix("packs/ab/").unwrap();
        assert!(check_prefix("packs").is_err());
    }
}
