//! Objects in memory: for tests, and the second implementation that keeps the trait honest.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::{Bytes, BytesMut};

use super::{Backend, BackendError, Entry, Space, Tail, aside, check_key, check_prefix, total_bytes};

/// A backend whose objects vanish with it.
#[derive(Debug, Default)]
pub struct Memory {
    objects: Mutex<BTreeMap<String, Bytes>>,
    bytes_max: Option<u64>,
}

impl Memory {
    pub fn new() -> Self {
        Self::default()
    }

    /// A place that is full when its objects reach `bytes_max`.
    pub fn with_room(bytes_max: u64) -> Self {
        Self { objects: Mutex::default(), bytes_max: Some(bytes_max) }
    }

    fn objects(&self) -> MutexGuard<'_, BTreeMap<String, Bytes>> {
        self.objects.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn object(&self, key: &str) -> Result<Bytes, BackendError> {
        check_key(key)?;
        self.objects().get(key).cloned().ok_or_else(|| BackendError::NotFound(key.to_owned()))
    }
}

impl Backend for Memory {
    fn put(&self, key: &str, parts: &[Bytes]) -> Result<(), BackendError> {
        check_key(key)?;
        let need = total_bytes(parts);
        let mut whole = BytesMut::with_capacity(parts.iter().map(Bytes::len).sum());
        parts.iter().for_each(|part| whole.extend_from_slice(part));
        let mut objects = self.objects();
        let used: u64 = objects.values().map(|object| object.len() as u64).sum();
        let free = self.bytes_max.map(|max| max.saturating_sub(used));
        if free.is_some_and(|free| free < need) {
            return Err(BackendError::Full { place: "memory".to_owned(), need, free });
        }
        if objects.contains_key(key) {
            return Err(BackendError::AlreadyExists(key.to_owned()));
        }
        objects.insert(key.to_owned(), whole.freeze());
        Ok(())
    }

    fn read_range(&self, key: &str, offset: u64, buffer: &mut [u8]) -> Result<(), BackendError> {
        buffer.copy_from_slice(&self.get_range(key, offset, buffer.len())?);
        Ok(())
    }

    fn get_range(&self, key: &str, offset: u64, len: usize) -> Result<Bytes, BackendError> {
        let object = self.object(key)?;
        let start = usize::try_from(offset).unwrap_or(usize::MAX);
        match start.checked_add(len) {
            Some(end) if end <= object.len() => Ok(object.slice(start..end)),
            _ => Err(BackendError::Corrupt {
                key: key.to_owned(),
                reason: format!("it ends at byte {}, before {len} bytes from {offset} on", object.len()),
            }),
        }
    }

    fn get_tail(&self, key: &str, len: usize) -> Result<Tail, BackendError> {
        let object = self.object(key)?;
        let start = object.len().saturating_sub(len);
        Ok(Tail { bytes: object.slice(start..), object_bytes: object.len() as u64 })
    }

    fn list(&self, prefix: &str) -> Result<Vec<Entry>, BackendError> {
        check_prefix(prefix)?;
        let objects = self.objects();
        let inside = objects.iter().filter_map(|(key, object)| {
            let name = key.strip_prefix(prefix)?;
            (!name.contains('/')).then(|| Entry { key: key.clone(), bytes: object.len() as u64 })
        });
        Ok(inside.collect())
    }

    fn delete(&self, key: &str) -> Result<(), BackendError> {
        check_key(key)?;
        self.objects().remove(key).map(drop).ok_or_else(|| BackendError::NotFound(key.to_owned()))
    }

    fn set_aside(&self, key: &str) -> Result<(), BackendError> {
        let aside = aside(key)?;
        let mut objects = self.objects();
        let object = objects.get(key).cloned().ok_or_else(|| BackendError::NotFound(key.to_owned()))?;
        if objects.contains_key(&aside) {
            return Err(BackendError::AlreadyExists(aside));
        }
        objects.remove(key);
        objects.insert(aside, object);
        Ok(())
    }

    fn free_space(&self) -> Result<Option<Space>, BackendError> {
        let used: u64 = self.objects().values().map(|object| object.len() as u64).sum();
        Ok(self.bytes_max.map(|max| Space { free_bytes: max.saturating_sub(used), total_bytes: max }))
    }

    fn sweep(&self) -> Result<u32, BackendError> {
        Ok(0)
    }
}
