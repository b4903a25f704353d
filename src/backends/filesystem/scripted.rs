//! The operating system with faults of a test's choice, and a memory of what it was asked.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

use rustix::io::Errno;

use super::system::{Found, Os, System};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call {
    Stat,
    MakeFolder,
    Create,
    Write,
    Sync,
    RenameNew,
    Link,
    Rename,
    Remove,
    Open,
    Bytes,
    Forget,
    Read,
}

/// What becomes of one call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// It is not done.
    Refused(Errno),
    /// It is done, and the answer is lost. Writes and reads are refused instead: they have no such state.
    Unanswered(Errno),
    /// Of a write or a read, one byte is done.
    Short,
    /// Of a read, the bytes are others than were written.
    Zeros,
    /// Of a length, it is another by so much.
    Longer(i64),
}

/// Decides by the number of the call, counted from 0, by what it is, and by the path that it is about.
type Script = Box<dyn Fn(usize, Call, &Path) -> Option<Effect> + Send>;

/// Clones share script and memory.
#[derive(Clone)]
pub struct Scripted {
    state: Arc<Mutex<State>>,
}

struct State {
    script: Script,
    calls: Vec<(Call, PathBuf)>,
    opened: HashMap<i32, PathBuf>,
}

impl std::fmt::Debug for Scripted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Scripted({} calls)", self.state().calls.len())
    }
}

impl Scripted {
    pub fn new(script: impl Fn(usize, Call, &Path) -> Option<Effect> + Send + 'static) -> Self {
        let state = State { script: Box::new(script), calls: Vec::new(), opened: HashMap::new() };
        Self { state: Arc::new(Mutex::new(state)) }
    }

    /// Begins to count anew, under another script.
    pub fn follow(&self, script: impl Fn(usize, Call, &Path) -> Option<Effect> + Send + 'static) {
        let mut state = self.state();
        state.script = Box::new(script);
        state.calls.clear();
    }

    /// What was asked since the script began.
    pub fn calls(&self) -> Vec<(Call, PathBuf)> {
        self.state().calls.clone()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    fn note(&self, call: Call, path: &Path) -> Option<Effect> {
        let mut state = self.state();
        let effect = (state.script)(state.calls.len(), call, path);
        state.calls.push((call, path.to_owned()));
        effect
    }

    fn path_of(&self, file: &File) -> PathBuf {
        self.state().opened[&file.as_raw_fd()].clone()
    }

    fn meet<T>(&self, call: Call, path: &Path, real: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
        match self.note(call, path) {
            Some(Effect::Refused(errno)) => Err(errno.into()),
            Some(Effect::Unanswered(errno)) => real().and_then(|_| Err(errno.into())),
            Some(Effect::Short | Effect::Zeros | Effect::Longer(_)) | None => real(),
        }
    }

    fn opening(&self, call: Call, path: &Path, real: impl FnOnce() -> io::Result<File>) -> io::Result<File> {
        let file = self.meet(call, path, real)?;
        self.state().opened.insert(file.as_raw_fd(), path.to_owned());
        Ok(file)
    }
}

impl System for Scripted {
    fn stat(&self, path: &Path) -> io::Result<Found> {
        self.meet(Call::Stat, path, || Os.stat(path))
    }

    fn make_folder(&self, path: &Path) -> io::Result<()> {
        self.meet(Call::MakeFolder, path, || Os.make_folder(path))
    }

    fn create(&self, path: &Path) -> io::Result<File> {
        self.opening(Call::Create, path, || Os.create(path))
    }

    fn write(&self, file: &mut File, bytes: &[u8]) -> io::Result<usize> {
        match self.note(Call::Write, &self.path_of(file)) {
            Some(Effect::Refused(errno) | Effect::Unanswered(errno)) => Err(errno.into()),
            Some(Effect::Short) => Os.write(file, &bytes[..1]),
            Some(Effect::Zeros | Effect::Longer(_)) | None => Os.write(file, bytes),
        }
    }

    /// Durability is not what is watched here, and a thousand waits for the disk are long.
    fn sync(&self, file: &File) -> io::Result<()> {
        self.meet(Call::Sync, &self.path_of(file), || Ok(()))
    }

    fn rename_new(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.meet(Call::RenameNew, to, || Os.rename_new(from, to))
    }

    fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.meet(Call::Link, to, || Os.link(from, to))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.meet(Call::Rename, to, || Os.rename(from, to))
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.meet(Call::Remove, path, || Os.remove(path))
    }

    fn open(&self, path: &Path) -> io::Result<File> {
        self.opening(Call::Open, path, || Os.open(path))
    }

    fn bytes(&self, file: &File) -> io::Result<u64> {
        match self.note(Call::Bytes, &self.path_of(file)) {
            Some(Effect::Refused(errno) | Effect::Unanswered(errno)) => Err(errno.into()),
            Some(Effect::Longer(by)) => Os.bytes(file).map(|bytes| bytes.saturating_add_signed(by)),
            Some(Effect::Short | Effect::Zeros) | None => Os.bytes(file),
        }
    }

    fn forget(&self, file: &File) -> io::Result<()> {
        self.meet(Call::Forget, &self.path_of(file), || Os.forget(file))
    }

    fn read(&self, file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        match self.note(Call::Read, &self.path_of(file)) {
            Some(Effect::Refused(errno) | Effect::Unanswered(errno)) => Err(errno.into()),
            Some(Effect::Short) => Os.read(file, &mut buffer[..1], offset),
            Some(Effect::Zeros) => {
                let n = Os.read(file, buffer, offset)?;
                buffer[..n].fill(0);
                Ok(n)
            }
            Some(Effect::Longer(_)) | None => Os.read(file, buffer, offset),
        }
    }
}
