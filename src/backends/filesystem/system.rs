//! The calls of the operating system that a put and a read are made of, each in one place, so that a test can make the
//! n-th of them fail.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, FileExt, MetadataExt, OpenOptionsExt};
use std::path::Path;

use rustix::fs::{Advice, CWD, RenameFlags};

/// What a name leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Found {
    pub is_folder: bool,
    pub bytes: u64,
    /// Two names of one file have the same device and number.
    pub device: u64,
    pub number: u64,
}

/// One method a system call, without retries and without judgement.
pub(super) trait System: Send + Sync + std::fmt::Debug {
    fn stat(&self, path: &Path) -> io::Result<Found>;

    fn make_folder(&self, path: &Path) -> io::Result<()>;

    /// Creates a file for writing; its name must be free.
    fn create(&self, path: &Path) -> io::Result<File>;

    /// May write less than it was given.
    fn write(&self, file: &mut File, bytes: &[u8]) -> io::Result<usize>;

    /// Makes a file's content, or a folder's names, durable.
    fn sync(&self, file: &File) -> io::Result<()>;

    /// Renames if the new name is free, which few network file systems can.
    fn rename_new(&self, from: &Path, to: &Path) -> io::Result<()>;

    fn link(&self, from: &Path, to: &Path) -> io::Result<()>;

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    fn remove(&self, path: &Path) -> io::Result<()>;

    /// Opens a file or a folder for reading.
    fn open(&self, path: &Path) -> io::Result<File>;

    fn bytes(&self, file: &File) -> io::Result<u64>;

    /// Gives up what this host remembers of a file, so that the next read asks the server.
    fn forget(&self, file: &File) -> io::Result<()>;

    /// May read less than was asked for.
    fn read(&self, file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize>;
}

/// The operating system itself.
#[derive(Debug)]
pub(super) struct Os;

impl System for Os {
    fn stat(&self, path: &Path) -> io::Result<Found> {
        let found = std::fs::metadata(path)?;
        Ok(Found { is_folder: found.is_dir(), bytes: found.len(), device: found.dev(), number: found.ino() })
    }

    fn make_folder(&self, path: &Path) -> io::Result<()> {
        DirBuilder::new().mode(0o750).create(path)
    }

    fn create(&self, path: &Path) -> io::Result<File> {
        OpenOptions::new().write(true).create_new(true).mode(0o640).open(path)
    }

    fn write(&self, file: &mut File, bytes: &[u8]) -> io::Result<usize> {
        file.write(bytes)
    }

    fn sync(&self, file: &File) -> io::Result<()> {
        file.sync_all()
    }

    fn rename_new(&self, from: &Path, to: &Path) -> io::Result<()> {
        Ok(rustix::fs::renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE)?)
    }

    fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        std::fs::hard_link(from, to)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        std::fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        std::fs::remove_file(path)
    }

    fn open(&self, path: &Path) -> io::Result<File> {
        File::open(path)
    }

    fn bytes(&self, file: &File) -> io::Result<u64> {
        Ok(file.metadata()?.len())
    }

    fn forget(&self, file: &File) -> io::Result<()> {
        Ok(rustix::fs::fadvise(file, 0, None, Advice::DontNeed)?)
    }

    fn read(&self, file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        file.read_at(buffer, offset)
    }
}

/// Writes all parts; short writes and interruptions are carried on from where they stopped.
pub(super) fn write_all<'a>(
    system: &dyn System,
    file: &mut File,
    parts: impl IntoIterator<Item = &'a [u8]>,
) -> io::Result<()> {
    for part in parts {
        let mut rest = part;
        while !rest.is_empty() {
            match system.write(file, rest) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(n) => rest = &rest[n..],
                Err(err) if err.kind() == ErrorKind::Interrupted => {}
                Err(err) => return Err(err),
            }
        }
    }
    Ok(())
}

/// Fills the buffer; a file that ends before is [`ErrorKind::UnexpectedEof`].
pub(super) fn read_exact(system: &dyn System, file: &File, buffer: &mut [u8], offset: u64) -> io::Result<()> {
    let mut done = 0;
    while done < buffer.len() {
        match system.read(file, &mut buffer[done..], offset.saturating_add(done as u64)) {
            Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
            Ok(n) => done += n,
            Err(err) if err.kind() == ErrorKind::Interrupted => {}
            Err(err) => return Err(err),
        }
    }
    Ok(())
}
