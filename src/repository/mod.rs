//! The content-addressed store on one storage: what is in it, how it gets in and out.
//!
//! Owns: the format (`docs/FORMAT.md`), keys, packs, blobs and records; the tables `storages`, `writers`, `packs`,
//! `blobs` and those of `verify`; how a commit makes packs part of the store. Does not own: items, points and cursors in the database (the
//! catalog does, and commits in the same transaction), when to collect, what is worth keeping.
//!
//! Invariants: a pack is durable before anything in the database names it; a commit validates, under locks, every
//! blob that it builds on; packs never change; content that is read was proved to be what was stored; what blocks
//! runs behind one bounded door; records in the packs are enough to rebuild the catalog.

pub mod adopt;
mod assemble;
mod base64_text;
mod blobs;
mod cbor;
mod chunking;
pub mod collect;
mod commit;
mod door;
mod error;
mod format;
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzzing;
mod guards;
mod ingest;
mod keys;
mod known;
mod lru;
mod mime;
mod pack_end;
mod packer;
mod packs;
mod reader;
mod recipe;
pub mod record;
mod records;
mod scanned;
mod settings;
mod space;
mod spooled;
pub mod storages;
mod store;
mod streamed;
#[cfg(test)]
pub mod tests;
pub mod verify;
pub mod writers;

pub use chunking::ChunkSizes;
pub use collect::CollectionConfig;
pub use commit::{CommitRefused, Flushed, PackIds, commit};
pub use error::StoreError;
pub use format::{Damage, Layout};
pub use keys::{KeyKind, KeyState, MasterKey, NewRecoveryKey, RecoveryKey, StoredKey, Unlock};
pub use packer::{Ingest, IngestContent, Packer, Stored, StoredContent, Streaming};
pub use packs::sql::StoreTotals;
pub use packs::{PackContents, PackFile};
pub use reader::{Pieces, Ranged, Reader, SharedCaches};
pub use record::{ChainIdentity, Location, Record};
pub use records::Records;
pub use scanned::Scanned;
pub use settings::{Packing, RepositoryConfig};
pub use space::{SpaceConfig, SpaceGuard, SpaceMeter, SpaceState, SpaceWatch};
pub use storages::{
    AddedStorage, BackendKind, Storage, StorageConfig, StorageSettings, add_storage, add_storage_with, attach_storage,
    find_place, list_storages, open_place, open_storage, storage_name, storage_space, storage_totals,
};
pub use store::{CreatedSecrets, CreatedStore, Crypto, Description, Store};
pub use streamed::Incoming;
pub use verify::Depth;
pub use writers::{heartbeat_writer, mark_dead_writers, register_writer, retire_writer};
