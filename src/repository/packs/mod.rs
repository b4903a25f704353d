//! Packs as a whole: which there are, what one says by itself. What a rebuild and the search for orphans are made of.

pub(super) mod sql;

use super::door::blocking;
use super::format::Header;
use super::reader::read_end;
use super::records::{Records, read_records};
use super::store::packs_prefix;
use super::{Store, StoreError, verify};
use crate::backends::Backend;
use crate::ids::{BlobId, PackUid, WriterId};

/// A pack as the place lists it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PackFile {
    pub uid: PackUid,
    pub bytes: u64,
}

/// What a pack says of itself.
#[derive(Debug)]
pub struct PackContents {
    pub writer: WriterId,
    /// Seconds since 1970, by the writer's clock.
    pub created_s: u32,
    pub n_blobs: u32,
    pub n_records: u32,
    /// The blobs that can be shared, with their lengths, in ascending order.
    pub shared: Vec<(BlobId, u32)>,
    pub records: Records,
}

impl Store {
    /// The packs in one of the 256 folders, by name. Files that are no packs are passed over.
    pub async fn list_packs(&self, folder: u8) -> Result<Vec<PackFile>, StoreError> {
        let store = self.clone();
        blocking(move || list_folder(store.backend(), folder)).await
    }

    /// The blobs in a pack that can be shared, with their lengths, in ascending order.
    pub async fn read_shared(&self, pack: PackUid) -> Result<Vec<(BlobId, u32)>, StoreError> {
        let store = self.clone();
        blocking(move || Ok(read_end(&store, pack)?.index.shared().collect())).await
    }

    /// Reads what a pack says of itself, without its content.
    pub async fn read_pack(&self, pack: PackUid) -> Result<PackContents, StoreError> {
        let store = self.clone();
        blocking(move || {
            let header = read_header(&store, pack)?;
            let end = read_end(&store, pack)?;
            let records = read_records(pack, &end.records()?)?;
            let n_blobs = u32::try_from(end.index.blobs.len()).unwrap_or(u32::MAX);
            Ok(PackContents {
                writer: header.writer,
                created_s: header.created_s,
                n_blobs,
                n_records: end.index.n_records,
                shared: end.index.shared().collect(),
                records,
            })
        })
        .await
    }
}

/// Reads the header of a pack, which must be one of the store. Blocks.
pub(super) fn read_header(store: &Store, pack: PackUid) -> Result<Header, StoreError> {
    verify::read_header(store.backend(), store.description().store, pack)
}

/// The packs in one folder of a place, by name. Blocks.
pub(super) fn list_folder(backend: &dyn Backend, folder: u8) -> Result<Vec<PackFile>, StoreError> {
    let entries = backend.list(&packs_prefix(folder))?;
    let pack = |key: &str, bytes| {
        let name = key.rsplit('/').next()?.strip_suffix(".kpk")?;
        Some(PackFile { uid: PackUid::from_hex(name)?, bytes })
    };
    Ok(entries.iter().filter_map(|entry| pack(&entry.key, entry.bytes)).collect())
}
