//! A backend that fails where a test tells it to.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;

use super::{Backend, BackendError, Entry, Space, Tail, total_bytes};

/// What goes wrong with one put.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It works.
    None,
    /// Nothing is stored and the device says so.
    Io,
    /// The place is full.
    Full,
    /// It is stored, and the answer is lost.
    StoredButUnanswered,
    /// Who calls breaks down: a defect of kodo's own.
    Panic,
}

/// Passes calls on, except for the puts and reads that were told to fail.
#[derive(Debug)]
pub struct Faulty<B> {
    inner: B,
    puts: Mutex<VecDeque<Fault>>,
    reads: Mutex<VecDeque<Fault>>,
}

impl<B: Backend> Faulty<B> {
    pub fn new(inner: B) -> Self {
        Self { inner, puts: Mutex::default(), reads: Mutex::default() }
    }

    /// What the next puts will meet, one after the other; later ones work.
    pub fn fail_puts(&self, faults: &[Fault]) {
        self.puts.lock().unwrap_or_else(PoisonError::into_inner).extend(faults);
    }

    pub fn fail_reads(&self, faults: &[Fault]) {
        self.reads.lock().unwrap_or_else(PoisonError::into_inner).extend(faults);
    }

    /// Reads work from now on. Returns how many were still to meet a fault, or to work before one.
    pub fn forgive_reads(&self) -> usize {
        std::mem::take(&mut *self.reads.lock().unwrap_or_else(PoisonError::into_inner)).len()
    }

    pub fn inner(&self) -> &B {
        &self.inner
    }

    fn next(queue: &Mutex<VecDeque<Fault>>) -> Fault {
        queue.lock().unwrap_or_else(PoisonError::into_inner).pop_front().unwrap_or(Fault::None)
    }

    fn reading<T>(&self, read: impl FnOnce() -> Result<T, BackendError>) -> Result<T, BackendError> {
        match Self::next(&self.reads) {
            Fault::None => read(),
            Fault::Io | Fault::Full | Fault::StoredButUnanswered => Err(broken()),
            Fault::Panic => panic!("a read that breaks down"),
        }
    }
}

fn broken() -> BackendError {
    BackendError::Unavailable { place: "faulty".to_owned(), reason: "input/output error".to_owned() }
}

impl<B: Backend> Backend for Faulty<B> {
    fn put(&self, key: &str, parts: &[Bytes]) -> Result<(), BackendError> {
        match Self::next(&self.puts) {
            Fault::None => self.inner.put(key, parts),
            Fault::Io => Err(broken()),
            Fault::Full => {
                Err(BackendError::Full { place: "faulty".to_owned(), need: total_bytes(parts), free: Some(0) })
            }
            Fault::StoredButUnanswered => self.inner.put(key, parts).and(Err(broken())),
            Fault::Panic => panic!("a put that breaks down"),
        }
    }

    fn read_range(&self, key: &str, offset: u64, buffer: &mut [u8]) -> Result<(), BackendError> {
        self.reading(|| self.inner.read_range(key, offset, buffer))
    }

    fn get_tail(&self, key: &str, len: usize) -> Result<Tail, BackendError> {
        self.reading(|| self.inner.get_tail(key, len))
    }

    fn list(&self, prefix: &str) -> Result<Vec<Entry>, BackendError> {
        self.inner.list(prefix)
    }

    fn delete(&self, key: &str) -> Result<(), BackendError> {
        self.inner.delete(key)
    }

    fn set_aside(&self, key: &str) -> Result<(), BackendError> {
        self.inner.set_aside(key)
    }

    fn free_space(&self) -> Result<Option<Space>, BackendError> {
        self.inner.free_space()
    }

    fn sweep(&self) -> Result<u32, BackendError> {
        self.inner.sweep()
    }
}
