//! How an object comes to be: all of it or nothing, durable, in the place of no other.
//!
//! The order is what durability hangs on: write the temporary file, make it durable, rename it, make the folder
//! durable. Until the rename every failure leaves the storage as it was but for a file in `tmp`; after it the object is
//! there, and a failure is [`BackendError::Unavailable`]: the caller must not build on it and cannot know that it is
//! not there.

use std::fs::File;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::PoisonError;

use bytes::Bytes;
use rustix::io::Errno;

use super::system::{System, read_exact, write_all};
use super::{Filesystem, Profile, TMP};
use crate::backends::retry::{Step, patiently};
use crate::backends::{Backend, BackendError, total_bytes};

/// How much of a new object is read back where a server stands between us and the disk.
const READ_BACK_BYTES: usize = 96;
/// Folders that are remembered as durable: far more than the layout of a store has.
const DURABLE_FOLDERS_MAX: usize = 4096;

impl Filesystem {
    /// Puts an object whose key is checked. See the module.
    pub(super) fn put_new(&self, key: &str, path: &Path, parts: &[Bytes]) -> Result<(), BackendError> {
        let folder = path.parent().unwrap_or(&self.root);
        self.make_folders(folder)?;
        self.make_folders(&self.root.join(TMP))?;
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let temporary = self.write_temporary(&name, parts)?;
        if let Err(err) = self.publish(&temporary, path, key, total_bytes(parts)) {
            discard(self.system.as_ref(), &temporary);
            return Err(err);
        }
        let durable = self.sync_folder(folder).and_then(|()| self.read_back(key, path, parts));
        durable.map_err(|err| match err {
            err @ BackendError::Unavailable { .. } => err,
            other => self.unavailable(format!("{key} was written and is not sure to stay: {other}")),
        })
    }

    /// Creates the folders of `path` that are missing, each made durable in the one above: also one that is there
    /// already, since whoever made it may have failed before it was durable.
    fn make_folders(&self, folder: &Path) -> Result<(), BackendError> {
        let known = self.durable.lock().unwrap_or_else(PoisonError::into_inner).contains(folder);
        if folder == self.root || known && self.system.stat(folder).is_ok_and(|found| found.is_folder) {
            return Ok(());
        }
        let above = folder.parent().unwrap_or(&self.root);
        self.make_folders(above)?;
        match patiently(self.profile, Step::Name, || self.system.make_folder(folder)) {
            Err(err) if err.kind() != ErrorKind::AlreadyExists => {
                return Err(BackendError::of(&err, "create", folder));
            }
            _ => self.sync_folder(above)?,
        }
        let mut durable = self.durable.lock().unwrap_or_else(PoisonError::into_inner);
        if durable.len() >= DURABLE_FOLDERS_MAX {
            durable.clear();
        }
        durable.insert(folder.to_owned());
        Ok(())
    }

    /// Makes the names in a folder durable. Some file systems cannot and say so, which is no error.
    pub(super) fn sync_folder(&self, folder: &Path) -> Result<(), BackendError> {
        let synced =
            patiently(self.profile, Step::Sync, || self.system.open(folder).and_then(|dir| self.system.sync(&dir)));
        match synced {
            Err(err) if !matches!(Errno::from_io_error(&err), Some(Errno::INVAL | Errno::NOTSUP)) => {
                Err(BackendError::of(&err, "make durable", folder))
            }
            _ => Ok(()),
        }
    }

    /// Writes and syncs a temporary file. After a failed fsync the kernel may have dropped the pages and call the next
    /// fsync a success, so the file is given up, and another try writes another one from the start.
    fn write_temporary(&self, name: &str, parts: &[Bytes]) -> Result<PathBuf, BackendError> {
        let folder = self.root.join(TMP);
        let written = patiently(self.profile, Step::Name, || {
            // Random, so that two puts of one key (STORE.json) never share a file that one renames while the other
            // writes.
            let temporary = folder.join(format!("{}.{:08x}.{name}", self.agent, rand::random::<u32>()));
            let mut file = self.system.create(&temporary)?;
            let written = write_all(self.system.as_ref(), &mut file, parts.iter().map(AsRef::as_ref))
                .and_then(|()| self.system.sync(&file));
            drop(file);
            written.inspect_err(|_| discard(self.system.as_ref(), &temporary)).map(|()| temporary)
        });
        written.map_err(|err| BackendError::of(&err, "write", &folder))
    }

    fn publish(&self, temporary: &Path, path: &Path, key: &str, bytes: u64) -> Result<(), BackendError> {
        let system = self.system.as_ref();
        match patiently(self.profile, Step::Name, || take_name(system, temporary, path)) {
            Ok(()) => Ok(()),
            // Its answer was lost, or it was tried again and found its own work in the way.
            Err(_) if has_name(system, temporary, path, bytes) => {
                discard(system, temporary);
                Ok(())
            }
            Err(err) if err.kind() == ErrorKind::AlreadyExists => Err(BackendError::AlreadyExists(key.to_owned())),
            Err(err) => Err(BackendError::of(&err, "rename into place", path)),
        }
    }

    /// Proves that the server answers a read with the length and the last bytes that were written: that it has the
    /// object, whole, under its name, and shows it to others. Not that the bytes before are right, nor that any of it
    /// has reached the server's disk, which is the promise of its answer to fsync.
    fn read_back(&self, key: &str, path: &Path, parts: &[Bytes]) -> Result<(), BackendError> {
        if matches!(self.profile, Profile::Local | Profile::Vdo) {
            return Ok(());
        }
        let expected = last_bytes(parts);
        let read = patiently(self.profile, Step::Read, || read_end(self.system.as_ref(), path, expected.len()));
        match read {
            Ok(found) if found == (total_bytes(parts), expected) => return Ok(()),
            Err(err) if err.kind() != ErrorKind::UnexpectedEof => {
                return Err(BackendError::of(&err, "read back", path));
            }
            Ok(_) | Err(_) => {}
        }
        // Nothing refers to it yet, and nobody could use it.
        if let Err(err) = self.delete(key) {
            tracing::warn!(error = %err, object = key, "an object that reads back wrong stays in the storage");
        }
        Err(self.unavailable(format!(
            "the server shows other bytes of {key} than were written: look at its log, and verify the storage before \
             you trust it again"
        )))
    }
}

/// Removes a name in `tmp`. One that stays is swept when the agent starts again.
fn discard(system: &dyn System, temporary: &Path) {
    if let Err(left) = system.remove(temporary)
        && left.kind() != ErrorKind::NotFound
    {
        tracing::debug!(error = %left, "a temporary file stays until the agent starts again");
    }
}

fn read_end(system: &dyn System, path: &Path, len: usize) -> io::Result<(u64, Vec<u8>)> {
    let file: File = system.open(path)?;
    // Without this our own page cache would answer. The pages are clean after the fsync, so they can go; that a file
    // system knows no such advice (ENOSYS on some FUSE mounts) only makes the proof weaker.
    if let Err(err) = system.forget(&file) {
        tracing::debug!(error = %err, "a read-back may be answered by the page cache");
    }
    let bytes = system.bytes(&file)?;
    let mut end = vec![0; len];
    read_exact(system, &file, &mut end, bytes.saturating_sub(len as u64))?;
    Ok((bytes, end))
}

fn last_bytes(parts: &[Bytes]) -> Vec<u8> {
    let backwards = parts.iter().rev().flat_map(|part| part.iter().rev()).take(READ_BACK_BYTES);
    let mut last: Vec<u8> = backwards.copied().collect();
    last.reverse();
    last
}

/// Renames only if the new name is free, in the best way that the file system knows.
pub(super) fn take_name(system: &dyn System, from: &Path, to: &Path) -> io::Result<()> {
    match system.rename_new(from, to) {
        Err(err) if unknown_to_file_system(&err) => link_new(system, from, to),
        outcome => outcome,
    }
}

/// NFS knows no rename that refuses to replace; a hard link does refuse.
fn link_new(system: &dyn System, from: &Path, to: &Path) -> io::Result<()> {
    match system.link(from, to) {
        Ok(()) => {
            // The object has its name, whatever becomes of the other.
            discard(system, from);
            Ok(())
        }
        Err(err) if unknown_to_file_system(&err) => look_and_rename(system, from, to),
        Err(err) => Err(err),
    }
}

/// Where there are no hard links either (CIFS, FUSE), a look at the name must do: names of packs are 128 random bits,
/// so nobody else aims at the same one.
fn look_and_rename(system: &dyn System, from: &Path, to: &Path) -> io::Result<()> {
    match system.stat(to) {
        Ok(_) => Err(ErrorKind::AlreadyExists.into()),
        Err(err) if err.kind() == ErrorKind::NotFound => system.rename(from, to),
        Err(err) => Err(err),
    }
}

/// How file systems say that they have no such call: for hard links Linux says "not permitted".
fn unknown_to_file_system(err: &io::Error) -> bool {
    let errno = Errno::from_io_error(err);
    matches!(errno, Some(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP | Errno::PERM | Errno::MLINK | Errno::ACCESS))
}

/// Whether a file that was to take a name has it: both names are one file after a link, and after a rename the
/// temporary name, which is random and nobody else's, is gone.
fn has_name(system: &dyn System, temporary: &Path, path: &Path, bytes: u64) -> bool {
    let Ok(found) = system.stat(path) else { return false };
    match system.stat(temporary) {
        Ok(own) => (own.device, own.number) == (found.device, found.number),
        Err(err) => err.kind() == ErrorKind::NotFound && found.bytes == bytes,
    }
}

#[cfg(test)]
mod tests {
    use super::super::system::Os;
    use super::*;

    #[test]
    fn every_way_of_renaming_moves_to_a_free_name_and_leaves_a_taken_one_alone() {
        type Way = fn(&Path, &Path) -> io::Result<()>;
        let ways: [Way; 3] = [
            |from, to| take_name(&Os, from, to),
            |from, to| link_new(&Os, from, to),
            |from, to| look_and_rename(&Os, from, to),
        ];
        for way in ways {
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

    #[test]
    fn the_last_bytes_are_gathered_across_parts() {
        let parts = [Bytes::from(vec![1; 90]), Bytes::new(), Bytes::from(vec![2; 50])];

        assert_eq!(last_bytes(&parts), [vec![1; 46], vec![2; 50]].concat());
        assert_eq!(last_bytes(&parts[..1]), [1; 90]);
    }
}
