//! Records: what a restore point changed, kept in the packs so that the catalog can be rebuilt from them alone.
//!
//! Each record belongs to a chain and a point and has a sequence number that grows over all writers of the chain. A
//! rebuild applies them in the order (point, sequence); applying one twice changes nothing. On disk a record is a CBOR
//! array [kind, chain, point, sequence, body] whose body is a map with whole numbers as keys: unknown kinds and
//! unknown keys are skipped, so that an older version reads what it knows of a newer one's packs.

use minicbor::{Decode, Encode};

use super::cbor::{id, ids};
use crate::ids::{BlobId, ItemKey, PackUid, PointNumber};

/// What says, without any database, whose data a chain is.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Encode, Decode)]
#[cbor(map)]
pub struct ChainIdentity {
    #[n(0)]
    pub entra_tenant_id: String,
    #[n(1)]
    pub resource_graph_id: String,
    #[n(2)]
    pub resource_kind: String,
    #[n(3)]
    pub resource_name: String,
    #[n(4)]
    pub address: String,
    #[n(5)]
    pub feature: String,
}

/// A record with what it belongs to.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// `None` for what concerns the whole store.
    pub chain: Option<std::sync::Arc<ChainIdentity>>,
    pub point: PointNumber,
    pub seq: u64,
    pub record: Record,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Record {
    PointBegin(PointBegin),
    /// A container as it is from this point on.
    Container(Container),
    /// A container that is gone from this point on, with everything in it.
    ContainerGone(ContainerGone),
    /// An item as it is from this point on; it replaces the version before.
    Item(Item),
    ItemGone(ItemGone),
    /// Where the walk of a container continues.
    Cursor(Cursor),
    /// An item that could not be captured.
    Issue(Issue),
    IssueResolved(IssueResolved),
    /// The point is complete and can be restored.
    PointSeal(PointSeal),
    /// Retention gave up points of the chain.
    Expire(Expire),
    /// What was alive in one pack lies in another.
    Compacted(Compacted),
}

#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct PointBegin {
    /// Milliseconds since 1970, UTC.
    #[n(0)]
    pub started_ms: i64,
}

#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Container {
    #[n(0)]
    pub graph_id: String,
    #[n(1)]
    pub parent: Option<String>,
    #[n(2)]
    pub name: String,
    #[n(3)]
    pub hidden: bool,
    #[n(4)]
    pub well_known: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct ContainerGone {
    #[n(0)]
    pub graph_id: String,
}

/// Where an unshared blob lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Encode, Decode)]
#[cbor(map)]
pub struct Location {
    #[cbor(n(0), with = "id")]
    pub pack: PackUid,
    #[cbor(n(1), with = "id")]
    pub blob: BlobId,
}

#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Item {
    /// The container's Graph id.
    #[n(0)]
    pub container: String,
    #[n(1)]
    pub graph_id: String,
    #[n(2)]
    pub kind: u8,
    #[n(3)]
    pub flags: u16,
    #[n(4)]
    pub change_tag: u64,
    #[n(5)]
    pub name: String,
    #[n(6)]
    pub party: String,
    /// Seconds since 1970, UTC.
    #[n(7)]
    pub time_s: i64,
    #[n(8)]
    pub bytes: u64,
    #[n(9)]
    pub properties: Location,
    #[n(10)]
    pub content: Option<Location>,
    /// The shared blobs that the content is made of.
    #[cbor(n(11), with = "ids")]
    pub refs: Vec<BlobId>,
    /// The item that holds it, such as the folder of a file; `None`: it stands directly in its container.
    #[n(12)]
    pub parent: Option<Parent>,
    /// What is searched besides name and other side, a text a line: recipients behind `>`, names of attachments behind
    /// `+`. `None`: what an earlier record of the item says while it shows the same.
    #[n(13)]
    pub words: Option<String>,
}

/// The item that holds another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(transparent)]
pub struct Parent(#[cbor(n(0), with = "id")] pub ItemKey);

#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct ItemGone {
    #[cbor(n(0), with = "id")]
    pub item: ItemKey,
    /// The Graph id of the container that it left; an item that lives in another meanwhile stays there. `None`: it is
    /// nowhere any more.
    #[n(1)]
    pub container: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub enum CursorState {
    /// Nothing to continue from: the next walk starts over.
    #[n(0)]
    None,
    /// The walk ended; the next one reads what changed since this token.
    #[n(1)]
    Since(#[n(0)] String),
    /// A walk is under way and goes on here.
    #[n(2)]
    Resume(#[n(0)] String),
}

#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Cursor {
    /// The container's Graph id; empty for the walk over the containers themselves.
    #[n(0)]
    pub container: String,
    #[n(1)]
    pub state: CursorState,
    /// The point whose full walk is under way, if one is. A rebuild starts such a walk over: which items it had met
    /// unchanged is not recorded.
    #[n(2)]
    pub full_walk_point: Option<u32>,
}

#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Issue {
    #[n(0)]
    pub container: String,
    #[n(1)]
    pub graph_id: String,
    #[n(2)]
    pub name: String,
    #[n(3)]
    pub reason: String,
    #[n(4)]
    pub message: String,
    #[n(5)]
    pub attempts: u32,
    #[n(6)]
    pub at_ms: i64,
    /// Its cause is permanent: it is not asked for again until the service reports it anew.
    #[n(7)]
    pub skipped: Option<bool>,
}

#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct IssueResolved {
    #[cbor(n(0), with = "id")]
    pub item: ItemKey,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct PointSeal {
    #[n(0)]
    pub sealed_ms: i64,
    #[n(1)]
    pub n_items: u64,
    #[n(2)]
    pub n_added: u64,
    #[n(3)]
    pub n_changed: u64,
    #[n(4)]
    pub n_removed: u64,
    #[n(5)]
    pub n_issues: u64,
    #[n(6)]
    pub bytes_read: u64,
    #[n(7)]
    pub bytes_stored: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Expire {
    #[n(0)]
    pub points: Vec<u32>,
}

#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Compacted {
    #[cbor(n(0), with = "id")]
    pub old: PackUid,
    #[cbor(n(1), with = "id")]
    pub new: PackUid,
}
