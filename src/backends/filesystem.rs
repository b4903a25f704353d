//! Objects as files below one directory, on a local disk, a VDO volume, an NFS or a CIFS share.
//!
//! A put writes `tmp/<agent>.<random>.<name>`, makes it durable, renames it to its place without replacing anything, and makes
//! the directory durable. The root itself is never created: where a share is not mounted, its empty mount point must
//! not be taken for the storage.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use rustix::fs::{CWD, RenameFlags};
use rustix::io::Errno;

use super::retry::{Step, patiently};
use super::{Backend, BackendError, Entry, Space, Tail, check_key, check_prefix, total_bytes};

const TMP: &str = "tmp";
/// How much of a new object is read back where a server stands between us and the disk.
const READ_BACK_BYTES: usize = 96;

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
}

impl Filesystem {
    /// Opens the directory `root`, which must exist. `agent` marks the temporary files of this agent; two processes
    /// must not share it.
    pub fn open(root: &Path, profile: Profile, agent: &str) -> Result<Self, BackendError> {
        let found = std::fs::metadata(root).map_err(|err| BackendError::of(&err, "enter", root))?;
        if !found.is_dir() {
            let reason = "it is not a directory".to_owned();
            return Err(BackendError::Unavailable { place: root.display().to_string(), reason });
        }
        let plain = |c: char| if c.is_ascii_alphanumeric() || c == '-' { c } else { '_' };
        let agent = agent.chars().map(plain).take(64).collect();
        Ok(Self { root: root.to_owned(), profile, agent, device: found.dev() })
    }

    fn path(&self, key: &str) -> Result<PathBuf, BackendError> {
        check_key(key)?;
        Ok(self.root.join(key))
    }

    /// A share that was unmounted under us leaves an empty directory of another device, where nothing must be put.
    fn check_still_mounted(&self) -> Result<(), BackendError> {
        let found = std::fs::metadata(&self.root).map_err(|err| BackendError::of(&err, "enter", &self.root))?;
        if found.dev() == self.device {
            return Ok(());
        }
        let reason = "another file system is mounted there than before: mount the storage again".to_owned();
        Err(BackendError::Unavailable { place: self.root.display().to_string(), reason })
    }

    /// Creates the folders of `path` that are missing, each made durable in the one above.
    fn make_folders(&self, folder: &Path) -> Result<(), BackendError> {
        if folder == self.root || folder.is_dir() {
            return Ok(());
        }
        let above = folder.parent().unwrap_or(&self.root);
        self.make_folders(above)?;
        let made = patiently(self.profile, Step::Name, || DirBuilder::new().mode(0o750).create(folder));
        match made {
            Ok(()) => self.sync_folder(above),
            Err(err) if err.kind() == ErrorKind::AlreadyExists => Ok(()),
            Err(err) => Err(BackendError::of(&err, "create", folder)),
        }
    }

    /// Makes the names in a folder durable. Some file systems cannot and say so, which is no error.
    fn sync_folder(&self, folder: &Path) -> Result<(), BackendError> {
        match File::open(folder).and_then(|dir| dir.sync_all()) {
            Err(err) if !matches!(Errno::from_io_error(&err), Some(Errno::INVAL | Errno::NOTSUP)) => {
                Err(BackendError::of(&err, "make durable", folder))
            }
            _ => Ok(()),
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

    /// Writes and syncs the temporary file. After a failed fsync the kernel may have dropped the pages and call the
    /// next fsync a success, so the descriptor is closed and the file given up.
    fn write_temporary(&self, temporary: &Path, parts: &[Bytes]) -> Result<(), BackendError> {
        let create = || OpenOptions::new().write(true).create_new(true).mode(0o640).open(temporary);
        let mut file =
            patiently(self.profile, Step::Name, create).map_err(|err| BackendError::of(&err, "create", temporary))?;
        let written = write_parts(&mut file, parts).and_then(|()| file.sync_all());
        drop(file);
        written.map_err(|err| BackendError::of(&err, "write", temporary))
    }

    fn publish(&self, temporary: &Path, path: &Path, key: &str, bytes: u64) -> Result<(), BackendError> {
        match patiently(self.profile, Step::Name, || rename_new(temporary, path)) {
            Ok(()) => Ok(()),
            Err(err) if err.kind() == ErrorKind::AlreadyExists => Err(BackendError::AlreadyExists(key.to_owned())),
            // A rename whose answer was lost is sent again by the client and then finds nothing to rename.
            Err(err) if err.kind() == ErrorKind::NotFound && has_length(path, bytes) => Ok(()),
            Err(err) => Err(BackendError::of(&err, "rename into place", path)),
        }
    }

    /// Proves that the server shows what was written; that it is on its disk is the server's promise.
    fn read_back(&self, key: &str, parts: &[Bytes]) -> Result<(), BackendError> {
        if matches!(self.profile, Profile::Local | Profile::Vdo) {
            return Ok(());
        }
        let tail = self.get_tail(key, READ_BACK_BYTES)?;
        let mut expected: Vec<u8> = Vec::with_capacity(READ_BACK_BYTES);
        for part in parts.iter().rev() {
            let missing = READ_BACK_BYTES - expected.len();
            expected.extend(part.iter().rev().take(missing));
        }
        expected.reverse();
        if tail.object_bytes == total_bytes(parts) && tail.bytes == expected {
            return Ok(());
        }
        let reason = "the server shows other bytes than were written".to_owned();
        Err(BackendError::Corrupt { key: key.to_owned(), reason })
    }
}

impl Backend for Filesystem {
    fn put(&self, key: &str, parts: &[Bytes]) -> Result<(), BackendError> {
        let path = self.path(key)?;
        let bytes = total_bytes(parts);
        self.check_still_mounted()?;
        let folder = path.parent().unwrap_or(&self.root);
        let temporaries = self.root.join(TMP);
        self.make_folders(folder)?;
        self.make_folders(&temporaries)?;
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        // Random, so that two puts of one key (STORE.json) never share a file that one renames while the other writes.
        let temporary = temporaries.join(format!("{}.{:08x}.{name}", self.agent, rand::random::<u32>()));
        let published =
            self.write_temporary(&temporary, parts).and_then(|()| self.publish(&temporary, &path, key, bytes));
        if let Err(err) = published {
            if let Err(left) = std::fs::remove_file(&temporary)
                && left.kind() != ErrorKind::NotFound
            {
                tracing::debug!(error = %left, "a temporary file stays until the agent starts again");
            }
            return Err(self.full_or(err, bytes));
        }
        self.sync_folder(folder)?;
        self.read_back(key, parts)
    }

    fn get_range(&self, key: &str, offset: u64, len: usize) -> Result<Bytes, BackendError> {
        let path = self.path(key)?;
        let read = patiently(self.profile, Step::Read, || {
            let mut buffer = vec![0; len];
            File::open(&path)?.read_exact_at(&mut buffer, offset)?;
            Ok(buffer)
        });
        match read {
            Ok(buffer) => Ok(buffer.into()),
            Err(err) if err.kind() == ErrorKind::UnexpectedEof => Err(BackendError::Corrupt {
                key: key.to_owned(),
                reason: format!("it ends before {len} bytes from {offset} on"),
            }),
            Err(err) => Err(BackendError::of(&err, "read", &path).about(key)),
        }
    }

    fn get_tail(&self, key: &str, len: usize) -> Result<Tail, BackendError> {
        let path = self.path(key)?;
        let read = patiently(self.profile, Step::Read, || {
            let file = File::open(&path)?;
            let object_bytes = file.metadata()?.len();
            let start = object_bytes.saturating_sub(len as u64);
            let mut buffer = vec![0; usize::try_from(object_bytes - start).unwrap_or(len)];
            file.read_exact_at(&mut buffer, start)?;
            Ok(Tail { bytes: buffer.into(), object_bytes })
        });
        read.map_err(|err| BackendError::of(&err, "read", &path).about(key))
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
        patiently(self.profile, Step::Name, || std::fs::remove_file(&path))
            .map_err(|err| BackendError::of(&err, "delete", &path).about(key))?;
        self.sync_folder(path.parent().unwrap_or(&self.root))
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
        let entries = match std::fs::read_dir(&temporaries) {
            Ok(entries) => entries,
            Err(err) if err.kind() == ErrorKind::NotFound && self.root.is_dir() => return Ok(0),
            Err(err) => return Err(BackendError::of(&err, "list", &temporaries)),
        };
        for entry in entries {
            let entry = entry.map_err(|err| BackendError::of(&err, "list", &temporaries))?;
            if entry.file_name().to_string_lossy().starts_with(&own) {
                let path = entry.path();
                patiently(self.profile, Step::Name, || std::fs::remove_file(&path))
                    .map_err(|err| BackendError::of(&err, "delete", &path))?;
                n_removed += 1;
            }
        }
        Ok(n_removed)
    }
}

/// Writes all parts; short writes and interruptions are carried on from where they stopped.
fn write_parts(file: &mut impl Write, parts: &[Bytes]) -> io::Result<()> {
    parts.iter().try_for_each(|part| file.write_all(part))
}

/// Renames only if the new name is free, in the best way that the file system knows.
fn rename_new(from: &Path, to: &Path) -> io::Result<()> {
    match rustix::fs::renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
        Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => link_new(from, to),
        outcome => Ok(outcome?),
    }
}

/// NFS knows no rename that refuses to replace; a hard link does refuse.
fn link_new(from: &Path, to: &Path) -> io::Result<()> {
    match std::fs::hard_link(from, to) {
        Ok(()) => std::fs::remove_file(from),
        Err(err) if err.kind() == ErrorKind::AlreadyExists => Err(err),
        Err(_) => look_and_rename(from, to),
    }
}

/// Where there are no hard links either (CIFS, FUSE), a look at the name must do: names of packs are 128 random bits,
/// so nobody else aims at the same one.
fn look_and_rename(from: &Path, to: &Path) -> io::Result<()> {
    match std::fs::symlink_metadata(to) {
        Ok(_) => Err(ErrorKind::AlreadyExists.into()),
        Err(err) if err.kind() == ErrorKind::NotFound => std::fs::rename(from, to),
        Err(err) => Err(err),
    }
}

fn has_length(path: &Path, bytes: u64) -> bool {
    std::fs::metadata(path).is_ok_and(|found| found.len() == bytes)
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

    /// Writes one byte at a time and is interrupted before each.
    struct Tedious {
        written: Vec<u8>,
        interrupted: bool,
    }

    impl Write for Tedious {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.interrupted = !self.interrupted;
            if self.interrupted {
                return Err(ErrorKind::Interrupted.into());
            }
            self.written.extend_from_slice(&bytes[..1]);
            Ok(1)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn short_and_interrupted_writes_are_carried_on() {
        let mut file = Tedious { written: Vec::new(), interrupted: false };

        write_parts(&mut file, &[Bytes::from_static(b"ab"), Bytes::new(), Bytes::from_static(b"cde")]).unwrap();

        assert_eq!(file.written, b"abcde");
    }

    #[test]
    fn a_device_without_room_is_told_from_a_broken_one() {
        let full = Path::new("/dev/full");
        let mut file = OpenOptions::new().write(true).open(full).unwrap();

        let err = write_parts(&mut file, &[Bytes::from_static(b"x")]).unwrap_err();

        assert!(matches!(BackendError::of(&err, "write", full), BackendError::Full { .. }));
    }

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

    #[test]
    fn every_way_of_renaming_moves_to_a_free_name_and_leaves_a_taken_one_alone() {
        for way in [rename_new, link_new, look_and_rename] {
            let dir = tempfile::tempdir().unwrap();
            let (from, to) = (dir.path().join("from"), dir.path().join("to"));
            std::fs::write(&from, b"old").unwrap();
            way(&from, &to).unwrap();
            assert!(!from.exists());
            std::fs::write(&from, b"new").unwrap();

            assert_eq!(way(&from, &to).unwrap_err().kind(), ErrorKind::AlreadyExists);
            assert_eq!(std::fs::read(&to).unwrap(), b"old");
        }
    }
}
