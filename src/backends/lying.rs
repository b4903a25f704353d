//! A backend that shows other bytes than were written, as a broken disk, a broken cache or a broken server does.

use bytes::Bytes;

use super::{Backend, BackendError, Entry, Memory, Space, Tail};

/// Passes calls on, except that some objects read as a test wants them to.
#[derive(Debug)]
pub struct Lying<B> {
    inner: B,
    shown: Memory,
}

impl<B: Backend> Lying<B> {
    pub fn new(inner: B) -> Self {
        Self { inner, shown: Memory::new() }
    }

    /// From now on an object reads as these bytes.
    pub fn show(&self, key: &str, bytes: impl Into<Bytes>) {
        self.be_honest_about(key);
        self.shown.put(key, &[bytes.into()]).unwrap();
    }

    pub fn be_honest_about(&self, key: &str) {
        if self.shown.get_tail(key, 0).is_ok() {
            self.shown.delete(key).unwrap();
        }
    }

    fn reading<T>(&self, mut read: impl FnMut(&dyn Backend) -> Result<T, BackendError>) -> Result<T, BackendError> {
        match read(&self.shown) {
            Err(BackendError::NotFound(_)) => read(&self.inner),
            outcome => outcome,
        }
    }
}

impl<B: Backend> Backend for Lying<B> {
    fn put(&self, key: &str, parts: &[Bytes]) -> Result<(), BackendError> {
        self.inner.put(key, parts)
    }

    fn read_range(&self, key: &str, offset: u64, buffer: &mut [u8]) -> Result<(), BackendError> {
        self.reading(|backend| backend.read_range(key, offset, buffer))
    }

    fn get_tail(&self, key: &str, len: usize) -> Result<Tail, BackendError> {
        self.reading(|backend| backend.get_tail(key, len))
    }

    fn list(&self, prefix: &str) -> Result<Vec<Entry>, BackendError> {
        self.inner.list(prefix)
    }

    fn delete(&self, key: &str) -> Result<(), BackendError> {
        self.be_honest_about(key);
        self.inner.delete(key)
    }

    fn set_aside(&self, key: &str) -> Result<(), BackendError> {
        self.be_honest_about(key);
        self.inner.set_aside(key)
    }

    fn free_space(&self) -> Result<Option<Space>, BackendError> {
        self.inner.free_space()
    }

    fn sweep(&self) -> Result<u32, BackendError> {
        self.inner.sweep()
    }
}
