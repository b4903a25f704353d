//! Objects as files below one directory, on a local disk, a VDO volume, an NFS or a CIFS share.
//!
//! A put writes `tmp/<agent>.<random>.<name>`, makes it durable, renames it to its place without replacing anything, and makes
//! the directory durable. The root itself is never created: where a share is not mounted, its empty mount point must
//! not be taken for the storage.

#[cfg(test)]
mod faults;
mod publish;
#[cfg(test)]
mod scripted;
mod system;

use std::collections::HashSet;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use bytes::Bytes;

use self::publish::take_name;
use self::system::{Os, System, read_exact};
use super::retry::{Step, patiently};
use super::{Backend, BackendError, Entry, Space, Tail, aside, check_key, check_prefix, total_bytes};

const TMP: &str = "tmp";

/// What kind of file system holds the files: they differ in which errors pass and what must be looked at again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Profile {
    Local,
    Nfs,
    Cifs,
    Vdo,
}

/// Files below one directory.
#[derive(Debug)]
pub struct Filesystem {
    root: PathBuf,
    profile: Profile,
    agent: String,
    /// The device that the root was on when it was opened.
    device: u64,
    /// Folders that are known to survive a crash.
    durable: Mutex<HashSet<PathBuf>>,
    system: Box<dyn System>,
}

impl Filesystem {
    /// Opens the directory `root`, which must exist. `agent` marks the temporary files of this agent; two processes
    /// must not share it.
    pub fn open(root: &Path, profile: Profile, agent: &str) -> Result<Self, BackendError> {
        Self::open_on(Box::new(Os), root, profile, agent)
    }

    fn open_on(system: Box<dyn System>, root: &Path, profile: Profile, agent: &str) -> Result<Self, BackendError> {
        let found = patiently(profile, Step::Name, || system.stat(root));
        let found = found.map_err(|err| BackendError::of(&err, "enter", root))?;
        if !found.is_folder {
            let reason = "it is not a directory".to_owned();
            return Err(BackendError::Unavailable { place: root.display().to_string(), reason });
        }
        let plain = |c: char| if c.is_ascii_alphanumeric() || c == '-' { c } else { '_' };
        let agent = agent.chars().map(plain).take(64).collect();
        Ok(Self { root: root.to_owned(), profile, agent, device: found.device, durable: Mutex::default(), system })
    }

    fn path(&self, key: &str) -> Result<PathBuf, BackendError> {
        check_key(key)?;
        Ok(self.root.join(key))
    }

    /// A share that was unmounted under us leaves an empty directory of another device, where nothing must be put and
    /// where nothing that is missing is known to be gone.
    fn check_still_mounted(&self) -> Result<(), BackendError> {
        let found = patiently(self.profile, Step::Name, || self.system.stat(&self.root));
        let found = found.map_err(|err| BackendError::of(&err, "enter", &self.root))?;
        if found.device == self.device {
            return Ok(());
        }
        Err(self.unavailable("another file system is mounted there than before: mount the storage again".to_owned()))
    }

    fn unavailable(&self, reason: String) -> BackendError {
        BackendError::Unavailable { place: self.root.display().to_string(), reason }
    }

    /// The error of a read or a deletion, about the object rather than its path.
    fn about(&self, err: &io::Error, verb: &'static str, path: &Path, key: &str) -> BackendError {
        match BackendError::of(err, verb, path).about(key) {
            missing @ BackendError::NotFound(_) => self.check_still_mounted().err().unwrap_or(missing),
            other => other,
        }
    }

    fn full_or(&self, err: BackendError, need: u64) -> BackendError {
        match err {
            BackendError::Full { .. } => {
                let free = self.free_space().ok().flatten().map(|space| space.free_bytes);
                BackendError::Full { place: self.root.display().to_string(), need, free }
            }
            other => other,
        }
    }
}

impl Backend for Filesystem {
    fn put(&self, key: &str, parts: &[Bytes]) -> Result<(), BackendError> {
        let path = self.path(key)?;
        self.check_still_mounted()?;
        self.put_new(key, &path, parts).map_err(|err| self.full_or(err, total_bytes(parts)))
    }

    fn read_range(&self, key: &str, offset: u64, buffer: &mut [u8]) -> Result<(), BackendError> {
        let path = self.path(key)?;
        let read = patiently(self.profile, Step::Read, || {
            let file = self.system.open(&path)?;
            read_exact(self.system.as_ref(), &file, buffer, offset)
        });
        match read {
            Ok(()) => Ok(()),
            Err(err) if err.kind() == ErrorKind::UnexpectedEof => Err(BackendError::Corrupt {
                key: key.to_owned(),
                reason: format!("it ends before {} bytes from {offset} on", buffer.len()),
            }),
            Err(err) => Err(self.about(&err, "read", &path, key)),
        }
    }

    fn get_tail(&self, key: &str, len: usize) -> Result<Tail, BackendError> {
        let path = self.path(key)?;
        let read = patiently(self.profile, Step::Read, || {
            let file = self.system.open(&path)?;
            let object_bytes = self.system.bytes(&file)?;
            let start = object_bytes.saturating_sub(len as u64);
            let mut buffer = vec![0; usize::try_from(object_bytes - start).unwrap_or(len)];
            read_exact(self.system.as_ref(), &file, &mut buffer, start)?;
            Ok(Tail { bytes: buffer.into(), object_bytes })
        });
        match read {
            Ok(tail) => Ok(tail),
            Err(err) if err.kind() == ErrorKind::UnexpectedEof => Err(BackendError::Corrupt {
                key: key.to_owned(),
                reason: "it ends before the length that its server says it has".to_owned(),
            }),
            Err(err) => Err(self.about(&err, "read", &path, key)),
        }
    }

    fn list(&self, prefix: &str) -> Result<Vec<Entry>, BackendError> {
        check_prefix(prefix)?;
        let folder = self.root.join(prefix);
        let found = patiently(self.profile, Step::Name, || list_files(&folder, prefix));
        match found {
            Ok(mut entries) => {
                entries.sort();
                Ok(entries)
            }
            // Folders come into being with their first object.
            Err(err) if err.kind() == ErrorKind::NotFound && self.root.is_dir() => Ok(Vec::new()),
            Err(err) => Err(BackendError::of(&err, "list", &folder)),
        }
    }

    fn delete(&self, key: &str) -> Result<(), BackendError> {
        let path = self.path(key)?;
        patiently(self.profile, Step::Name, || self.system.remove(&path))
            .map_err(|err| self.about(&err, "delete", &path, key))?;
        self.sync_folder(path.parent().unwrap_or(&self.root))
    }

    fn set_aside(&self, key: &str) -> Result<(), BackendError> {
        let (path, aside) = (self.path(key)?, aside(key)?);
        self.check_still_mounted()?;
        match patiently(self.profile, Step::Name, || take_name(self.system.as_ref(), &path, &self.root.join(&aside))) {
            Ok(()) => self.sync_folder(path.parent().unwrap_or(&self.root)),
            Err(err) if err.kind() == ErrorKind::AlreadyExists => Err(BackendError::AlreadyExists(aside)),
            Err(err) => Err(self.about(&err, "set aside", &path, key)),
        }
    }

    fn free_space(&self) -> Result<Option<Space>, BackendError> {
        let found = patiently(self.profile, Step::Read, || Ok(rustix::fs::statvfs(&self.root)?))
            .map_err(|err| BackendError::of(&err, "measure", &self.root))?;
        let bytes = |blocks: u64| blocks.saturating_mul(found.f_frsize);
        let space = Space { free_bytes: bytes(found.f_bavail), total_bytes: bytes(found.f_blocks) };
        match self.profile {
            Profile::Vdo => Ok(super::vdo::room(&self.root, self.device, space)),
            Profile::Local | Profile::Nfs | Profile::Cifs => Ok(Some(space)),
        }
    }

    fn sweep(&self) -> Result<u32, BackendError> {
        let temporaries = self.root.join(TMP);
        let own = format!("{}.", self.agent);
        let mut n_removed = 0;
        let entries = match patiently(self.profile, Step::Name, || std::fs::read_dir(&temporaries)) {
            Ok(entries) => entries,
            Err(err) if err.kind() == ErrorKind::NotFound && self.root.is_dir() => return Ok(0),
            Err(err) => return Err(BackendError::of(&err, "list", &temporaries)),
        };
        for entry in entries {
            let entry = entry.map_err(|err| BackendError::of(&err, "list", &temporaries))?;
            if entry.file_name().to_string_lossy().starts_with(&own) {
                let path = entry.path();
                patiently(self.profile, Step::Name, || self.system.remove(&path))
                    .map_err(|err| BackendError::of(&err, "delete", &path))?;
                n_removed += 1;
            }
        }
        Ok(n_removed)
    }
}

fn list_files(folder: &Path, prefix: &str) -> io::Result<Vec<Entry>> {
    let mut entries = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let Ok(name) = entry.file_name().into_string() else { continue };
        match entry.metadata() {
            Ok(found) if found.is_file() && !name.starts_with('.') => {
                entries.push(Entry { key: format!("{prefix}{name}"), bytes: found.len() });
            }
            Ok(_) => {}
            // Deleted since the folder was read.
            Err(err) if err.kind() == ErrorKind::NotFound => {}
            Err(err) => return Err(err),
        }
    }
    Ok(entries)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_root_is_never_created_and_the_message_says_what_to_do() {
        let above = tempfile::tempdir().unwrap();
        let root = above.path().join("storage");

        let err = Filesystem::open(&root, Profile::Local, "a").unwrap_err();

        assert!(err.to_string().contains("create it and give it to user"), "{err}");
        assert!(!root.exists());
    }

    #[test]
    fn an_agent_sweeps_its_own_leftovers_and_no_others() {
        let dir = tempfile::tempdir().unwrap();
        let mine = Filesystem::open(dir.path(), Profile::Local, "box/1").unwrap();
        std::fs::create_dir(dir.path().join(TMP)).unwrap();
        for name in ["box_1.aa.kpk", "box_1.bb.kpk", "box_2.cc.kpk"] {
            std::fs::write(dir.path().join(TMP).join(name), b"x").unwrap();
        }

        assert_eq!(mine.sweep().unwrap(), 2);
        assert!(dir.path().join("tmp/box_2.cc.kpk").exists());
    }
}
